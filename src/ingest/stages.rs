//! The stages of a video's way before and after its poses are estimated: decoding, drawing, writing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};

use super::memory::{FramePool, MemoryError};
use super::panics::PanicError;
use super::returned::{Returned, Returner};
use super::slow_motion::SlowMotionError;
use crate::crew::{Stage, Step};
use crate::export::annotation::{AnnotationError, Annotator};
use crate::export::faces::{LOOK_AHEAD_SECS, Scene};
use crate::export::{ExportError, Faces, PoseJsonWriter};
use crate::lake::{LakeError, PersonRow, StagedVideo, VideoWriter};
use crate::pose::PoseError;
use crate::store::StoreError;
use crate::sync::Cancellation;
use crate::video::{Frame, MediaTime, ReadSummary, VideoError, VideoReader};

/// Why a video was not finished.
pub enum Interruption {
    Stopped,
    Video(VideoError),
    Store(StoreError),
    /// A video from elsewhere is none; in words that name its address.
    Fetched(String),
    Lake(LakeError),
    Pose(PoseError),
    Memory(MemoryError),
    Annotation(AnnotationError),
    Export(ExportError),
    SlowMotion(SlowMotionError),
    Panic(PanicError),
}

/// A frame's number, its real time, and everybody in it.
pub type FrameRows = (u64, MediaTime, Vec<PersonRow>);

/// A frame with everybody in it, on its way to be drawn on.
pub struct Estimate {
    pub frame: Frame,
    pub rows: FrameRows,
}

/// What is done in steps and leaves something.
pub trait StepWise: Send {
    type Left: Send;

    /// Does what can be done without waiting.
    ///
    /// # Errors
    /// When the video cannot be finished.
    fn step(&mut self) -> Result<Step, Interruption>;

    /// After the last step.
    ///
    /// # Errors
    /// When the video cannot be finished.
    fn finish(self) -> Result<Self::Left, Interruption>;
}

/// A stage of a crew that puts what it leaves into `left`.
pub fn stage<'s, W: StepWise + 's>(
    work: W,
    left: &'s mut Option<Result<W::Left, Interruption>>,
) -> Stage<'s> {
    let mut work = Some(work);
    Box::new(move || {
        let step = work.as_mut().map_or(Ok(Step::Done), W::step);
        match step {
            Ok(Step::Done) => *left = work.take().map(W::finish),
            Ok(step) => return step,
            Err(interruption) => *left = Some(Err(interruption)),
        }
        Step::Done
    })
}

/// How long decoding took, how long it waited, and what it found.
#[derive(Default)]
pub struct Decoded {
    pub busy: Duration,
    pub waiting: Duration,
    pub summary: ReadSummary,
}

/// Decodes the whole video; hands frames on in batches, or fewer when no buffer is free.
///
/// It works in bursts: when all buffers are full it waits until half of them have come back, so that the models
/// have all cores meanwhile.
pub struct Decoding {
    reader: VideoReader,
    pool: FramePool,
    batch_size: usize,
    /// Never full: it has room for all buffers.
    frames: Sender<Vec<Frame>>,
    used: Returned,
    batch: Vec<Frame>,
    free: Vec<Frame>,
    /// Buffers that have to come back, and since when.
    wanted: Option<(usize, Instant)>,
    size_changes_seen: usize,
    decoded: Decoded,
}

impl Decoding {
    pub fn new(
        reader: VideoReader,
        pool: FramePool,
        batch_size: usize,
        frames: Sender<Vec<Frame>>,
        used: Returned,
    ) -> Self {
        Self {
            reader,
            pool,
            batch_size,
            frames,
            used,
            batch: Vec::new(),
            free: Vec::new(),
            wanted: None,
            size_changes_seen: 0,
            decoded: Decoded::default(),
        }
    }

    /// `Err` with what there is to do without one.
    fn free_frame(&mut self) -> Result<Frame, Step> {
        if self.free.is_empty() {
            let wanted = self.wanted.map_or(0, |(wanted, _)| wanted);
            self.free = self.used.take(wanted).ok_or(Step::Waits)?;
        }
        let waited = self.wanted.take();
        if let Some((_, since)) = waited {
            self.decoded.waiting += since.elapsed();
        }
        if let Some(frame) = self.free.pop().or_else(|| self.pool.another()) {
            return Ok(frame);
        }
        // What is held back here might be what the others wait for. They all come back, since nobody who has
        // one waits for another; unless a worker that gave up has dropped its ends.
        if waited.is_some() || !self.hand_on() {
            return Err(Step::Done);
        }
        self.wanted = Some((self.pool.made().div_ceil(2), Instant::now()));
        Err(Step::Worked)
    }

    /// `false` when a worker that gave up has dropped its ends.
    fn hand_on(&mut self) -> bool {
        self.batch.is_empty() || self.frames.send(std::mem::take(&mut self.batch)).is_ok()
    }
}

impl StepWise for Decoding {
    type Left = Decoded;

    fn step(&mut self) -> Result<Step, Interruption> {
        let mut frame = match self.free_frame() {
            Ok(frame) => frame,
            Err(step) => return Ok(step),
        };
        let started = Instant::now();
        let is_frame = self.reader.read(&mut frame)?;
        self.decoded.busy += started.elapsed();
        if !is_frame {
            self.decoded.summary = self.reader.summary().clone();
            self.hand_on();
            return Ok(Step::Done);
        }
        // There may be some before the part of the video that is wanted.
        let changes = &self.reader.summary().size_changes;
        for change in &changes[self.size_changes_seen..] {
            self.pool.grow(change.width_px, change.height_px)?;
        }
        self.size_changes_seen = changes.len();
        self.batch.push(frame);
        match self.batch.len() < self.batch_size || self.hand_on() {
            true => Ok(Step::Worked),
            false => Ok(Step::Done),
        }
    }

    fn finish(self) -> Result<Decoded, Interruption> {
        Ok(self.decoded)
    }
}

/// An annotated video that has all its frames, but not its name, and how long they took.
pub struct Drawn {
    pub annotator: Annotator,
    pub busy: Duration,
}

impl Drawn {
    fn new(annotator: Annotator) -> Self {
        Self {
            annotator,
            busy: Duration::ZERO,
        }
    }

    fn push(&mut self, frame: &mut Frame, scene: Scene<'_>) -> Result<(), Interruption> {
        let started = Instant::now();
        self.annotator.push(frame, scene)?;
        self.busy += started.elapsed();
        Ok(())
    }

    /// The encoder comes to its end now.
    fn closed(mut self) -> Self {
        self.annotator.close();
        self
    }
}

/// Sends rows to who writes them; keeps those for which there is no room.
struct RowSender {
    rows: Sender<FrameRows>,
    kept: Option<FrameRows>,
}

impl RowSender {
    fn new(rows: Sender<FrameRows>) -> Self {
        Self { rows, kept: None }
    }

    /// With the next step.
    fn send(&mut self, rows: FrameRows) {
        self.kept = Some(rows);
    }

    /// [`Step::Worked`] when there is room for more rows; [`Step::Done`] when the writer has failed, and its
    /// error is the one to report.
    fn step(&mut self) -> Step {
        let Some(rows) = self.kept.take() else {
            return Step::Worked;
        };
        match self.rows.try_send(rows) {
            Ok(()) => Step::Worked,
            Err(TrySendError::Disconnected(_)) => Step::Done,
            Err(TrySendError::Full(rows)) => {
                self.kept = Some(rows);
                Step::Waits
            }
        }
    }
}

/// Draws on the pictures that were looked at, then lets go of them.
pub struct DrawingOnEstimates {
    drawn: Drawn,
    estimates: Receiver<Estimate>,
    used: Returner,
    rows: RowSender,
}

impl DrawingOnEstimates {
    pub fn new(
        annotator: Annotator,
        estimates: Receiver<Estimate>,
        used: Returner,
        rows: Sender<FrameRows>,
    ) -> Self {
        Self {
            drawn: Drawn::new(annotator),
            estimates,
            used,
            rows: RowSender::new(rows),
        }
    }
}

impl StepWise for DrawingOnEstimates {
    type Left = Drawn;

    fn step(&mut self) -> Result<Step, Interruption> {
        let step = self.rows.step();
        if step != Step::Worked {
            return Ok(step);
        }
        if !self.drawn.annotator.has_room() {
            return Ok(Step::Waits);
        }
        let Estimate { mut frame, rows } = match self.estimates.try_recv() {
            Ok(estimate) => estimate,
            Err(TryRecvError::Empty) => return Ok(Step::Waits),
            Err(TryRecvError::Disconnected) => return Ok(Step::Done),
        };
        let scene = Scene {
            time_secs: rows.1.as_secs(),
            persons: &rows.2,
            later: &[],
        };
        self.drawn.push(&mut frame, scene)?;
        self.used.push(frame);
        self.rows.send(rows);
        Ok(Step::Worked)
    }

    fn finish(self) -> Result<Drawn, Interruption> {
        Ok(self.drawn.closed())
    }
}

/// Decodes the video once more, and draws on its frames what comes later than they did.
pub struct DrawingAgain {
    reader: VideoReader,
    /// In errors.
    path: PathBuf,
    drawn: Drawn,
    estimated: Receiver<FrameRows>,
    /// Whether none comes any more.
    is_whole: bool,
    rows: RowSender,
    frame: Frame,
    /// Rows of frames that are still to be drawn on.
    coming: VecDeque<FrameRows>,
    /// How much later what is drawn may be.
    reach_secs: f64,
}

impl DrawingAgain {
    /// `reader` is at the beginning of the video at `path`.
    pub fn new(
        (reader, path): (VideoReader, PathBuf),
        annotator: Annotator,
        faces: Faces,
        estimated: Receiver<FrameRows>,
        rows: Sender<FrameRows>,
    ) -> Self {
        Self {
            reader,
            path,
            drawn: Drawn::new(annotator),
            estimated,
            is_whole: false,
            rows: RowSender::new(rows),
            frame: Frame::default(),
            coming: VecDeque::new(),
            reach_secs: match faces {
                Faces::Blurred => LOOK_AHEAD_SECS,
                Faces::Shown => 0.0,
            },
        }
    }

    /// Whether all rows are there that the next frame needs.
    fn has_all(&self) -> bool {
        let Some((_, time, _)) = self.coming.front() else {
            return false;
        };
        let last = self.coming.back().filter(|_| self.coming.len() > 1);
        let is_beyond =
            |(_, later, _): &FrameRows| later.as_secs() - time.as_secs() > self.reach_secs;
        self.reach_secs == 0.0 || last.is_some_and(is_beyond)
    }
}

impl StepWise for DrawingAgain {
    type Left = Drawn;

    fn step(&mut self) -> Result<Step, Interruption> {
        let step = self.rows.step();
        if step != Step::Worked {
            return Ok(step);
        }
        while !self.is_whole && !self.has_all() {
            match self.estimated.try_recv() {
                Ok(rows) => self.coming.push_back(rows),
                Err(TryRecvError::Empty) => return Ok(Step::Waits),
                Err(TryRecvError::Disconnected) => self.is_whole = true,
            }
        }
        if !self.drawn.annotator.has_room() {
            return Ok(Step::Waits);
        }
        let Some(rows) = self.coming.pop_front() else {
            return Ok(Step::Done);
        };
        let started = Instant::now();
        if !self.reader.read(&mut self.frame)? || self.frame.index != rows.0 {
            return Err(Interruption::Video(VideoError::Decode {
                path: self.path.clone(),
                reason: format!("frame {} is not there when it is read again", rows.0),
            }));
        }
        self.drawn.busy += started.elapsed();
        let later = self.coming.iter();
        let later: Vec<_> = later
            .map(|(_, time, persons)| (time.as_secs(), persons.as_slice()))
            .collect();
        let scene = Scene {
            time_secs: rows.1.as_secs(),
            persons: &rows.2,
            later: &later,
        };
        self.drawn.push(&mut self.frame, scene)?;
        self.rows.send(rows);
        Ok(Step::Worked)
    }

    fn finish(self) -> Result<Drawn, Interruption> {
        Ok(self.drawn.closed())
    }
}

/// The lake's files, and the pose file, which has no name yet.
pub struct Written {
    pub staged: StagedVideo,
    pub pose_json: Option<PoseJsonWriter>,
    pub busy: Duration,
}

/// Writes the lake's files and the pose file.
pub struct Writing<'c> {
    pub writer: VideoWriter,
    pub pose_json: Option<PoseJsonWriter>,
    pub rows: Receiver<FrameRows>,
    pub cancellation: &'c Cancellation,
    pub busy: Duration,
}

impl StepWise for Writing<'_> {
    type Left = Written;

    fn step(&mut self) -> Result<Step, Interruption> {
        let started = Instant::now();
        let mut step = Step::Waits;
        // Some more may come meanwhile; these are not too many.
        for _ in 0..self.rows.len().max(1) {
            let (frame, time, persons) = match self.rows.try_recv() {
                Ok(rows) => rows,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    step = Step::Done;
                    break;
                }
            };
            if let Some(pose_json) = &mut self.pose_json {
                pose_json.push(frame, time, &persons)?;
            }
            self.writer.push(frame, time, persons)?;
            step = Step::Worked;
        }
        self.busy += started.elapsed();
        Ok(step)
    }

    fn finish(self) -> Result<Written, Interruption> {
        // The rows that are still to be written may be many.
        if self.cancellation.is_cancelled() {
            return Err(Interruption::Stopped);
        }
        let started = Instant::now();
        let staged = self.writer.finish()?;
        Ok(Written {
            staged,
            pose_json: self.pose_json,
            busy: self.busy + started.elapsed(),
        })
    }
}
