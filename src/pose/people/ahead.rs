//! Readings of people in frames that are still to come, by threads that have nothing else to do.
//!
//! Where to look for somebody in the next frame follows from the reading in this one alone. So who has been
//! read can be read in the next frame before everybody else was read in this one, and before what is
//! done between two frames. Whether a reading counts is decided when its frame comes: it has to be of
//! the region that is to be read then, and is what it would have been then.
//!
//! Each one who is followed has a chain of readings. A thread takes the chain that is furthest behind, reads
//! its next frame, and puts it back.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::thread::{Thread, current, park};

use super::super::roi::{ImageSize, Region};
use super::super::smoothing::Smoother;
use super::super::stages::{LandmarkStage, Reading};
use super::super::{PoseError, PoseTimings};
use crate::at_work::{AtWork, Shareable};
use crate::image::{Picture, Pixels};
use crate::sync::lock;

/// So many frames beyond the one that is estimated somebody is read at most.
const READ_AHEAD_FRAMES: u64 = 4;

/// Somebody who is to be read in a frame.
pub struct Followed<'a> {
    /// Of the track.
    pub key: u64,
    pub region: Region,
    /// As it was after the frame before.
    pub smoother: &'a Smoother,
}

/// A frame that is to be estimated.
#[derive(Clone)]
struct Announced {
    number: u64,
    picture: Arc<dyn Picture>,
    /// Its time on the smoothing filters' clock.
    filter_secs: f64,
}

/// Where somebody is to be read in a frame.
#[derive(Clone, Copy, PartialEq)]
struct Place {
    frame: u64,
    region: Region,
}

/// Readings of one who is followed, from frame to frame. After nobody was found it goes on no more.
struct Chain {
    /// No other chain has it.
    number: u64,
    key: u64,
    /// What is to be read next, with the smoother as it is before that.
    next: Option<(Place, Box<Smoother>)>,
    /// What somebody is reading.
    taken: Option<Place>,
    readings: VecDeque<(Place, Reading)>,
}

impl Chain {
    /// Whether it has this reading, or will have it.
    fn leads_to(&self, place: Place) -> bool {
        let next = self.next.as_ref().map(|(place, _)| *place);
        let read = self.readings.front().map(|(place, _)| *place);
        [next, self.taken, read].contains(&Some(place))
    }
}

/// A reading that a thread has taken upon itself.
struct Job {
    chain: u64,
    frame: Announced,
    place: Place,
    smoother: Box<Smoother>,
}

/// What came of it.
struct Done {
    chain: u64,
    place: Place,
    reading: Reading,
    next: Option<(Place, Box<Smoother>)>,
}

impl Job {
    /// Reads in pixels of its own.
    fn run(self, stage: &mut LandmarkStage, timings: &mut PoseTimings) -> Result<Done, PoseError> {
        let picture = Arc::clone(&self.frame.picture);
        self.run_in(&mut picture.look(), stage, timings)
    }

    /// Reads in these pixels of the frame.
    fn run_in(
        mut self,
        pixels: &mut Pixels<'_>,
        stage: &mut LandmarkStage,
        timings: &mut PoseTimings,
    ) -> Result<Done, PoseError> {
        let reading = stage.run(pixels, &self.place.region, timings)?;
        let size = ImageSize::new(pixels.width(), pixels.height());
        let region = reading.as_ref().map(|(raw, _)| {
            let pose = self.smoother.apply(raw, self.frame.filter_secs);
            stage.followed(raw, &pose, size)
        });
        let next = region.filter(Region::is_usable).map(|region| {
            let frame = self.place.frame + 1;
            (Place { frame, region }, self.smoother)
        });
        Ok(Done {
            chain: self.chain,
            place: self.place,
            reading,
            next,
        })
    }
}

/// Why a helper has stopped.
enum Failure {
    Pose(PoseError),
    Panic(Box<dyn Any + Send>),
}

/// What threads have in common.
#[derive(Default)]
pub struct Board(Mutex<State>);

#[derive(Default)]
struct State {
    /// The one that is estimated, and those after it.
    frames: VecDeque<Announced>,
    chains: Vec<Chain>,
    chains_made: u64,
    /// Of helpers.
    timings: PoseTimings,
    failure: Option<Failure>,
    helpers: Vec<Thread>,
    /// Whose threads read when they have nothing else to do.
    crew: Option<AtWork>,
    /// Who waits for what helpers read.
    waiting: Option<Thread>,
}

/// What to do for the readings of a frame.
enum Step {
    Take(Vec<Reading>, PoseTimings),
    Read(Job),
    Wait,
    Fail(Failure),
}

impl Board {
    /// Tells of the frame with that number, the next one after those told of.
    pub fn announce(&self, number: u64, picture: Arc<dyn Picture>, filter_secs: f64) {
        let mut state = lock(&self.0);
        state.frames.push_back(Announced {
            number,
            picture,
            filter_secs,
        });
        state.wake_helpers();
    }

    /// Frames that were told of and are not done.
    pub fn announced(&self) -> usize {
        lock(&self.0).frames.len()
    }

    /// Whether the frame with that number was told of.
    pub fn is_announced(&self, number: u64) -> bool {
        let state = lock(&self.0);
        state
            .frames
            .front()
            .is_some_and(|frame| frame.number == number)
    }

    /// Lets go of the frame, and those before it.
    pub fn finish(&self, number: u64) {
        let mut state = lock(&self.0);
        let is_done = |frame: &Announced| frame.number <= number;
        let count = state
            .frames
            .iter()
            .take_while(|frame| is_done(frame))
            .count();
        let done: Vec<Announced> = state.frames.drain(..count).collect();
        state.wake_helpers();
        drop(state);
        // Whoever made the pictures may do something with them now.
        drop(done);
    }

    /// Nobody is read ahead.
    pub fn forget_chains(&self) {
        lock(&self.0).chains.clear();
    }

    /// Lets go of all frames, and follows nobody.
    pub fn clear(&self) {
        let mut state = lock(&self.0);
        state.chains.clear();
        state.failure = None;
        let frames = std::mem::take(&mut state.frames);
        drop(state);
        drop(frames);
    }

    /// Wakes this thread when there may be something to read.
    pub fn add_helper(&self, helper: Thread) {
        lock(&self.0).helpers.push(helper);
    }

    /// Tells this crew when there may be something to read.
    pub fn add_crew(&self, crew: AtWork) {
        lock(&self.0).crew = Some(crew);
    }

    /// Wakes all helpers.
    pub fn wake(&self) {
        for helper in &lock(&self.0).helpers {
            helper.unpark();
        }
    }

    /// Reads what is to be read next, if there is anything, on a thread that is a helper. `false` when
    /// there is nothing, or it failed.
    pub fn help(&self, stage: &mut LandmarkStage) -> bool {
        let Some(job) = lock(&self.0).take() else {
            return false;
        };
        let chain = job.chain;
        let mut timings = PoseTimings::default();
        let run = AssertUnwindSafe(|| job.run(stage, &mut timings));
        let failure = match catch_unwind(run) {
            Ok(Ok(done)) => {
                self.put(done, timings);
                return true;
            }
            Ok(Err(error)) => Failure::Pose(error),
            Err(panic) => Failure::Panic(panic),
        };
        let mut state = lock(&self.0);
        // It may be of a video that was given up.
        if state.chains.iter().any(|one| one.number == chain) {
            state.failure = Some(failure);
        }
        state.wake_waiting();
        false
    }

    /// Reads everybody in the frame with that number, which was told of; `pixels` are its.
    ///
    /// # Errors
    /// When the model fails, here or on a helper.
    pub fn read(
        &self,
        number: u64,
        followed: &[Followed<'_>],
        stage: &mut LandmarkStage,
        pixels: &mut Pixels<'_>,
        timings: &mut PoseTimings,
    ) -> Result<Vec<Reading>, PoseError> {
        lock(&self.0).follow(number, followed);
        loop {
            let step = lock(&self.0).step(number, followed);
            match step {
                Step::Take(readings, of_helpers) => {
                    timings.add(of_helpers);
                    return Ok(readings);
                }
                Step::Read(job) => {
                    let done = match job.place.frame == number {
                        true => job.run_in(pixels, stage, timings)?,
                        false => job.run(stage, timings)?,
                    };
                    self.put(done, PoseTimings::default());
                }
                Step::Wait => park(),
                Step::Fail(Failure::Pose(error)) => return Err(error),
                Step::Fail(Failure::Panic(panic)) => resume_unwind(panic),
            }
        }
    }

    fn put(&self, done: Done, timings: PoseTimings) {
        let mut state = lock(&self.0);
        state.timings.add(timings);
        let mut chains = state.chains.iter_mut();
        // Nobody may follow them any more.
        if let Some(chain) = chains.find(|chain| chain.number == done.chain) {
            chain.taken = None;
            chain.next = done.next;
            chain.readings.push_back((done.place, done.reading));
        }
        state.wake_waiting();
        state.wake_helpers();
    }
}

/// What a thread of a crew reads with.
pub struct Reader {
    board: Arc<Board>,
    stage: Mutex<LandmarkStage>,
}

impl Reader {
    pub fn new(board: Arc<Board>, stage: LandmarkStage) -> Self {
        Self {
            board,
            stage: Mutex::new(stage),
        }
    }
}

impl Shareable for Reader {
    fn share(&self, is_free: &dyn Fn() -> bool) -> bool {
        let Ok(mut stage) = self.stage.try_lock() else {
            // Another thread reads with it.
            return false;
        };
        let mut has_read = false;
        while is_free() && self.board.help(&mut stage) {
            has_read = true;
        }
        has_read
    }
}

impl State {
    /// Keeps the chains that lead to what is to be read, and begins those that are missing.
    fn follow(&mut self, number: u64, followed: &[Followed<'_>]) {
        let place = |one: &Followed<'_>| Place {
            frame: number,
            region: one.region,
        };
        for chain in &mut self.chains {
            let is_old = |(place, _): &(Place, Reading)| place.frame < number;
            while chain.readings.front().is_some_and(is_old) {
                chain.readings.pop_front();
            }
        }
        self.chains.retain(|chain| {
            let mut followed = followed.iter();
            followed.any(|one| one.key == chain.key && chain.leads_to(place(one)))
        });
        for one in followed {
            if !self.chains.iter().any(|chain| chain.key == one.key) {
                self.chains_made += 1;
                self.chains.push(Chain {
                    number: self.chains_made,
                    key: one.key,
                    next: Some((place(one), Box::new(one.smoother.clone()))),
                    taken: None,
                    readings: VecDeque::new(),
                });
            }
        }
        self.wake_helpers();
    }

    fn step(&mut self, number: u64, followed: &[Followed<'_>]) -> Step {
        if let Some(failure) = self.failure.take() {
            return Step::Fail(failure);
        }
        let is_read = |chain: &Chain| {
            let reading = chain.readings.front();
            reading.is_some_and(|(place, _)| place.frame == number)
        };
        if self.chains.iter().all(is_read) {
            let reading = |one: &Followed<'_>| {
                let mut chains = self.chains.iter_mut();
                let chain = chains.find(|chain| chain.key == one.key);
                chain.and_then(|chain| chain.readings.pop_front()?.1)
            };
            let readings = followed.iter().map(reading).collect();
            return Step::Take(readings, std::mem::take(&mut self.timings));
        }
        match self.take() {
            Some(job) => Step::Read(job),
            None => {
                self.waiting = Some(current());
                Step::Wait
            }
        }
    }

    /// The chain to go on with, and its frame.
    fn ready(&self) -> Option<(usize, &Announced)> {
        let latest = self.frames.front()?.number + READ_AHEAD_FRAMES;
        let chains = self.chains.iter().enumerate();
        let next = chains.filter_map(|(i, chain)| Some((i, chain.next.as_ref()?.0.frame)));
        let (chain, number) = next.min_by_key(|(_, frame)| *frame)?;
        let mut frames = self
            .frames
            .iter()
            .take_while(|frame| frame.number <= latest);
        Some((chain, frames.find(|frame| frame.number == number)?))
    }

    fn take(&mut self) -> Option<Job> {
        let (chain, frame) = self.ready()?;
        let frame = frame.clone();
        let chain = &mut self.chains[chain];
        let (place, smoother) = chain.next.take()?;
        chain.taken = Some(place);
        Some(Job {
            chain: chain.number,
            frame,
            place,
            smoother,
        })
    }

    fn wake_helpers(&self) {
        if self.ready().is_some() {
            for helper in &self.helpers {
                helper.unpark();
            }
            if let Some(crew) = &self.crew {
                crew.change();
            }
        }
    }

    fn wake_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.unpark();
        }
    }
}
