//! Landmark runs of several people in one picture, side by side.

use super::super::landmarker::RawPose;
use super::super::roi::Roi;
use super::super::stages::LandmarkStage;
use super::super::{LandmarkModel, ModelFiles, PoseError, PoseTimings};
use crate::image::BgrView;

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

/// A run's pose with its probability; `None` where a region shows nobody.
pub type Reading = Option<(RawPose, f32)>;

impl Landmarkers {
    pub fn new(
        lone: LandmarkModel,
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

    /// Reads one region.
    ///
    /// # Errors
    /// When the model fails.
    pub fn read(
        &mut self,
        frame: BgrView<'_>,
        roi: &Roi,
        timings: &mut PoseTimings,
    ) -> Result<Reading, PoseError> {
        self.lone.run(frame, roi, timings)
    }

    /// Reads all regions; the results stand in their order and do not depend on the threads.
    ///
    /// # Errors
    /// When a model cannot be loaded or run.
    pub fn read_all(
        &mut self,
        frame: BgrView<'_>,
        rois: &[Roi],
        timings: &mut PoseTimings,
    ) -> Result<Vec<Reading>, PoseError> {
        let threads = rois.len().min(self.max_threads);
        if threads < 2 {
            let read = |roi| self.lone.run(frame, roi, timings);
            return rois.iter().map(read).collect();
        }
        // One who would be left over alone gets all threads.
        let left_over = usize::from(rois.len() % threads == 1);
        let (rois, last) = rois.split_at(rois.len() - left_over);
        while self.side_by_side.len() < threads {
            let model = LandmarkModel::load(&self.files, 1)?;
            self.side_by_side
                .push(LandmarkStage::new(model, self.min_probability));
        }
        // Everybody costs the same, so that fixed shares are fair: stage i reads regions i,
        // i + threads, ...
        let share = |stage: &mut LandmarkStage, first: usize| {
            let mut timings = PoseTimings::default();
            let rois = rois.iter().skip(first).step_by(threads);
            let readings: Result<Vec<Reading>, PoseError> = rois
                .map(|roi| stage.run(frame, roi, &mut timings))
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
        let mut readings: Vec<Reading> = vec![None; rois.len()];
        for (first, (share, spent)) in shares.into_iter().enumerate() {
            let places = readings.iter_mut().skip(first).step_by(threads);
            for (place, reading) in places.zip(share) {
                *place = reading;
            }
            timings.add(spent);
        }
        for roi in last {
            readings.push(self.lone.run(frame, roi, timings)?);
        }
        Ok(readings)
    }
}
