//! Landmark runs of several people in one picture, side by side.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::super::landmarker::RawPose;
use super::super::model_threads::ModelThreads;
use super::super::roi::{ImageSize, Region, Roi};
use super::super::stages::{Certainty, LandmarkStage, Reading};
use super::super::{Landmarker, ModelFiles, PoseError, PoseTimings};
use crate::image::Pixels;

/// A session for lone runs that uses all threads, and single-threaded ones for runs side by side.
///
/// Those are loaded when several people are to be looked at for the first time: each takes about
/// 30 MB with the full model, by ONNX Runtime.
pub struct Landmarkers {
    files: ModelFiles,
    min_probability: f64,
    lone: LandmarkStage,
    side_by_side: Vec<LandmarkStage>,
    /// Threads for runs side by side, beside the calling one.
    helpers: Option<ThreadPool>,
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
            side_by_side: Vec::new(),
            helpers: None,
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

    /// Reads all regions; the results stand in their order and do not depend on the threads.
    ///
    /// # Errors
    /// When a model cannot be loaded or run.
    pub fn read_all(
        &mut self,
        frame: &mut Pixels<'_>,
        regions: &[Region],
        timings: &mut PoseTimings,
    ) -> Result<Vec<Reading>, PoseError> {
        let mut readings = Vec::with_capacity(regions.len());
        while let [first, others @ ..] = &regions[readings.len()..] {
            let rest = 1 + others.len();
            let threads = rest.min(self.threads.now());
            if threads < 2 {
                readings.push(self.lone.run(frame, first, timings)?);
                continue;
            }
            // One who would be left over alone gets all threads.
            let count = rest - usize::from(rest % threads == 1);
            let some = &regions[readings.len()..][..count];
            readings.extend(self.read_side_by_side(frame, some, threads, timings)?);
        }
        Ok(readings)
    }

    fn read_side_by_side(
        &mut self,
        frame: &mut Pixels<'_>,
        regions: &[Region],
        threads: usize,
        timings: &mut PoseTimings,
    ) -> Result<Vec<Reading>, PoseError> {
        while self.side_by_side.len() < threads {
            let model = Landmarker::load(&self.files, 1)?;
            self.side_by_side
                .push(LandmarkStage::new(model, self.min_probability));
        }
        let helpers = match &mut self.helpers {
            Some(helpers) => helpers,
            none => none.insert(helpers_of(self.threads.alone - 1)?),
        };
        // For all of them, so that the threads need not wait for each other.
        let started = Instant::now();
        let shown = frame.show(regions.iter().map(Region::corners));
        timings.crop += started.elapsed();
        // Whoever is done takes the next region.
        let next = AtomicUsize::new(0);
        let share = |stage: &mut LandmarkStage| -> Result<Share, PoseError> {
            let mut share = Share::default();
            let mut frame = Pixels::from(shown);
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(region) = regions.get(place) else {
                    return Ok(share);
                };
                let reading = stage.run(&mut frame, region, &mut share.timings)?;
                share.readings.push((place, reading));
            }
        };
        let mut shares: Vec<Result<Share, PoseError>> = Vec::new();
        shares.resize_with(threads, || Ok(Share::default()));
        helpers.in_place_scope(|scope| {
            let mut work = self.side_by_side.iter_mut().zip(&mut shares);
            let own = work.next();
            for (stage, done) in work {
                scope.spawn(|_| *done = share(stage));
            }
            if let Some((stage, done)) = own {
                *done = share(stage);
            }
        });
        let mut readings: Vec<Reading> = vec![None; regions.len()];
        for share in shares {
            let share = share?;
            for (place, reading) in share.readings {
                readings[place] = reading;
            }
            timings.add(share.timings);
        }
        Ok(readings)
    }
}

/// What one thread has read.
#[derive(Default)]
struct Share {
    /// With the regions' places.
    readings: Vec<(usize, Reading)>,
    timings: PoseTimings,
}

fn helpers_of(count: usize) -> Result<ThreadPool, PoseError> {
    let builder = ThreadPoolBuilder::new().num_threads(count);
    let builder = builder.thread_name(|number| format!("people-{number}"));
    builder.build().map_err(|e| PoseError::Inference {
        model: "landmark",
        reason: format!("a thread could not be started: {e}"),
    })
}
