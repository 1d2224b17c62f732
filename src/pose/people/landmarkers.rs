//! Landmark runs of several people in one picture, side by side.

use std::time::Instant;

use super::super::landmarker::RawPose;
use super::super::roi::{ImageSize, Region, Roi};
use super::super::stages::{Certainty, LandmarkStage, Reading};
use super::super::{Landmarker, ModelFiles, PoseError, PoseTimings};
use crate::image::Pixels;

/// A session for lone runs that uses all threads, and single-threaded ones for runs side by side.
///
/// Those are loaded when several people are to be looked at for the first time: each takes about
/// 30 MB with the full model.
pub struct Landmarkers {
    files: ModelFiles,
    min_probability: f64,
    lone: LandmarkStage,
    side_by_side: Vec<LandmarkStage>,
    max_threads: usize,
}

impl Landmarkers {
    pub fn new(
        lone: Landmarker,
        files: ModelFiles,
        max_threads: usize,
        min_probability: f64,
    ) -> Self {
        Self {
            files,
            min_probability,
            lone: LandmarkStage::new(lone, min_probability),
            side_by_side: Vec::new(),
            max_threads,
        }
    }

    /// Whether others need cores from now on.
    pub fn set_beside_others(&mut self, is_beside_others: bool) {
        self.lone.set_beside_others(is_beside_others);
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
        let threads = regions.len().min(self.max_threads);
        if threads < 2 {
            let read = |region| self.lone.run(frame, region, timings);
            return regions.iter().map(read).collect();
        }
        // One who would be left over alone gets all threads.
        let left_over = usize::from(regions.len() % threads == 1);
        let (regions, last) = regions.split_at(regions.len() - left_over);
        while self.side_by_side.len() < threads {
            let model = Landmarker::load(&self.files, 1)?;
            self.side_by_side
                .push(LandmarkStage::new(model, self.min_probability));
        }
        // For all of them, so that the threads need not wait for each other.
        let started = Instant::now();
        let shown = frame.show(regions.iter().map(Region::corners));
        timings.crop += started.elapsed();
        // Everybody costs the same, so that fixed shares are fair: stage i reads regions i,
        // i + threads, ...
        let share = |stage: &mut LandmarkStage, first: usize| {
            let mut timings = PoseTimings::default();
            let mut frame = Pixels::from(shown);
            let regions = regions.iter().skip(first).step_by(threads);
            let readings: Result<Vec<Reading>, PoseError> = regions
                .map(|region| stage.run(&mut frame, region, &mut timings))
                .collect();
            readings.map(|readings| (readings, timings))
        };
        let shares = std::thread::scope(|scope| {
            let mut stages = self.side_by_side[..threads].iter_mut().enumerate();
            let own = stages.next();
            let others: Vec<_> = stages
                .map(|(first, stage)| scope.spawn(move || share(stage, first)))
                .collect();
            let own = own.map(|(first, stage)| share(stage, first));
            let others = others.into_iter().map(|other| match other.join() {
                Ok(share) => share,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            own.into_iter().chain(others).collect::<Result<Vec<_>, _>>()
        })?;
        let mut readings: Vec<Reading> = vec![None; regions.len()];
        for (first, (share, spent)) in shares.into_iter().enumerate() {
            let places = readings.iter_mut().skip(first).step_by(threads);
            for (place, reading) in places.zip(share) {
                *place = reading;
            }
            timings.add(spent);
        }
        for region in last {
            readings.push(self.lone.run(frame, region, timings)?);
        }
        Ok(readings)
    }
}
