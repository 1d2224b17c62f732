//! Landmark runs of one person after the other, or of several people side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle, park};

use super::super::landmarker::RawPose;
use super::super::model_threads::ModelThreads;
use super::super::roi::{ImageSize, Region, Roi};
use super::super::stages::{Certainty, LandmarkStage, Reading};
use super::super::{Landmarker, ModelFiles, PoseError, PoseTimings};
use super::ahead::{Board, Followed, Reader};
use crate::image::{Picture, Pixels};

/// A session for lone runs that uses all threads, and single-threaded ones for runs side by side.
///
/// Those are loaded when several people are to be looked at for the first time: each takes about
/// 30 MB with the full model, by ONNX Runtime.
pub struct Landmarkers {
    files: ModelFiles,
    min_probability: f64,
    lone: LandmarkStage,
    /// Of the calling thread, for runs side by side.
    own: Option<LandmarkStage>,
    helpers: Vec<JoinHandle<()>>,
    /// Of a crew's threads, in place of helpers.
    readers: Vec<Arc<Reader>>,
    board: Arc<Board>,
    is_over: Arc<AtomicBool>,
    threads: ModelThreads,
}

impl Landmarkers {
    pub fn new(
        lone: Landmarker,
        files: ModelFiles,
        threads: ModelThreads,
        min_probability: f64,
    ) -> Self {
        Self {
            files,
            min_probability,
            lone: LandmarkStage::new(lone, min_probability),
            own: None,
            helpers: Vec::new(),
            readers: Vec::new(),
            board: Arc::default(),
            is_over: Arc::default(),
            threads,
        }
    }

    /// What the model's probabilities mean.
    pub fn certainty(&self) -> Certainty {
        self.lone.certainty()
    }

    /// Reads someone whom the detector has found.
    ///
    /// # Errors
    /// When the model fails.
    pub fn read_detected(
        &mut self,
        frame: &mut Pixels<'_>,
        roi: &Roi,
        timings: &mut PoseTimings,
    ) -> Result<Reading, PoseError> {
        self.lone.read_detected(frame, roi, timings)
    }

    /// Where to look for someone who was just read as `raw`, which smoothing has made `pose`, in pictures
    /// of that size.
    pub fn followed(&self, raw: &RawPose, pose: &RawPose, size: ImageSize) -> Region {
        self.lone.followed(raw, pose, size)
    }

    /// Reads one region.
    ///
    /// # Errors
    /// When the model fails.
    pub fn read(
        &mut self,
        frame: &mut Pixels<'_>,
        region: &Region,
        timings: &mut PoseTimings,
    ) -> Result<Reading, PoseError> {
        self.lone.run(frame, region, timings)
    }

    /// Frames that were told of and are not finished.
    pub fn announced(&self) -> usize {
        self.board.announced()
    }

    /// Tells of the frame with that number, at `filter_secs` on the filters' clock.
    pub fn announce(&mut self, number: u64, picture: Arc<dyn Picture>, filter_secs: f64) {
        self.board.announce(number, picture, filter_secs);
    }

    /// Lets go of that frame.
    pub fn finish(&mut self, number: u64) {
        self.board.finish(number);
    }

    /// Lets go of all frames and everybody who is followed.
    pub fn clear(&mut self) {
        self.board.clear();
    }

    /// Reads everybody in the frame with that number, of which `pixels` are; the results stand in their order
    /// and do not depend on the threads. Where the frame was told of, several are read side by side, and in
    /// frames after it.
    ///
    /// # Errors
    /// When a model cannot be loaded or run.
    pub fn read_all(
        &mut self,
        number: u64,
        pixels: &mut Pixels<'_>,
        followed: &[Followed<'_>],
        timings: &mut PoseTimings,
    ) -> Result<Vec<Reading>, PoseError> {
        if followed.len() < 2 || self.threads.alone < 2 || !self.board.is_announced(number) {
            self.board.forget_chains();
            let readings = followed.iter();
            return readings
                .map(|one| self.lone.run(pixels, &one.region, timings))
                .collect();
        }
        let helpers = followed.len().min(self.threads.alone) - 1;
        while self.helpers.len() + self.readers.len() < helpers {
            match self.threads.others.has_crew() {
                true => self.add_reader()?,
                false => self.start_helper()?,
            }
        }
        let own = match &mut self.own {
            Some(own) => own,
            none => none.insert(side_by_side(&self.files, self.min_probability)?),
        };
        self.board.read(number, followed, own, pixels, timings)
    }

    fn add_reader(&mut self) -> Result<(), PoseError> {
        let crew = &self.threads.others;
        let stage = side_by_side(&self.files, self.min_probability)?;
        let reader = Arc::new(Reader::new(Arc::clone(&self.board), stage));
        let shareable = Arc::downgrade(&reader);
        crew.share(shareable);
        self.board.add_crew(crew.clone());
        self.readers.push(reader);
        Ok(())
    }

    fn start_helper(&mut self) -> Result<(), PoseError> {
        let number = self.helpers.len();
        let mut stage = side_by_side(&self.files, self.min_probability)?;
        let board = Arc::clone(&self.board);
        let is_over = Arc::clone(&self.is_over);
        // Also while others need cores: what is read ahead makes up for what they take, and a core that
        // one of three threads leaves is not always given to another at once.
        let help = move || {
            while !is_over.load(Ordering::Acquire) {
                if !board.help(&mut stage) {
                    park();
                }
            }
        };
        let builder = Builder::new().name(format!("people-{number}"));
        let helper = builder.spawn(help).map_err(|e| PoseError::Inference {
            model: "landmark",
            reason: format!("a thread could not be started: {e}"),
        })?;
        self.board.add_helper(helper.thread().clone());
        self.helpers.push(helper);
        Ok(())
    }
}

impl Drop for Landmarkers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        self.board.wake();
        for helper in self.helpers.drain(..) {
            // Helpers hand panics on.
            let _ = helper.join();
        }
    }
}

/// Runs on one thread.
fn side_by_side(files: &ModelFiles, min_probability: f64) -> Result<LandmarkStage, PoseError> {
    let model = Landmarker::load(files, 1)?;
    Ok(LandmarkStage::new(model, min_probability))
}
