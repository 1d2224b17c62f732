//! What the commands that filter landmarks share: their options, and what they say of videos that
//! failed.

use anyhow::ensure;
use clap::Args;
use serde::Serialize;

use crate::cli::{ExitStatus, choices, logs, print_error};
use crate::lake::VideoRecord;
use crate::metrics::filter::FilterConfig;
use crate::movement::DetectConfig;
use crate::recompute::{KnownHeight, MovementCounts, PersonScale, RecomputeConfig};
use crate::sync::Cancellation;

/// How landmarks are filtered, and how tall somebody is.
#[derive(Args)]
pub struct FilteringArgs {
    /// Cut-off frequency of the low-pass filter
    #[arg(long, value_name = "HZ", default_value_t = 6.0, value_parser = choices::positive)]
    pub cutoff: f64,
    /// Gaps of more frames than this are left open; shorter ones are filled with straight lines
    #[arg(long, value_name = "FRAMES", default_value_t = 10)]
    pub max_gap: usize,
    /// Height of a person, in metres, for that person's lengths and speeds: of the only or main person (or
    /// --person), or of the person of that number; several by commas, or given again
    #[arg(long, value_name = "METRES|N=METRES", value_delimiter = ',', value_parser = choices::height_of)]
    height_m: Vec<(Option<u16>, f64)>,
    /// Number of the person whose height is given without one [default: each video's main person]
    #[arg(long, value_name = "N", requires = "height_m")]
    person: Option<u16>,
}

impl FilteringArgs {
    /// What is to be computed.
    ///
    /// # Errors
    /// When two heights are given for one person, or none for `--person`.
    pub fn config(&self, movement: DetectConfig) -> anyhow::Result<RecomputeConfig> {
        let mut heights: Vec<KnownHeight> = Vec::new();
        for (person, height_m) in &self.height_m {
            let person = person.or(self.person);
            ensure!(
                heights.iter().all(|known| known.person != person),
                "two heights for {}; give --height-m N=METRES for each person",
                person.map_or("the main person".into(), |n| format!("person {n}"))
            );
            heights.push(KnownHeight {
                person,
                height_m: *height_m,
            });
        }
        ensure!(
            self.person.is_none() || self.height_m.iter().any(|(person, _)| person.is_none()),
            "--person says whose height a --height-m METRES is, and none is given without a person"
        );
        Ok(RecomputeConfig {
            filter: FilterConfig {
                cutoff_hz: self.cutoff,
                max_gap_frames: self.max_gap,
            },
            heights,
            movement,
        })
    }

    /// The height that is given without a person, or else the first.
    pub fn height_m(&self) -> Option<f64> {
        let bare = self.height_m.iter().find(|(person, _)| person.is_none());
        bare.or(self.height_m.first())
            .map(|(_, height_m)| *height_m)
    }
}

/// Tells whose lengths stay unknown in a video of several people.
pub fn tell_without_height(file_name: &str, with: &[PersonScale], without: &[u16]) {
    if without.is_empty() {
        return;
    }
    let list = |numbers: &mut dyn Iterator<Item = u16>| {
        let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
        let noun = if numbers.len() == 1 {
            "person"
        } else {
            "persons"
        };
        format!("{noun} {}", numbers.join(", "))
    };
    let known = list(&mut with.iter().map(|scale| scale.person));
    let unknown = list(&mut without.iter().copied());
    logs::note(format_args!(
        "note: {file_name}: the height is that of {known}; lengths and speeds in metres of {unknown} stay empty: give --height-m {}=METRES",
        without[0]
    ));
}

/// Tells how many strides have no length because one scale does not hold for them.
pub fn tell_out_of_scale(file_name: &str, found: &MovementCounts) {
    let MovementCounts {
        strides,
        strides_out_of_scale,
        ..
    } = *found;
    if strides_out_of_scale > 0 {
        logs::note(format_args!(
            "note: {file_name}: {strides_out_of_scale} of {strides} strides have no length: the person comes nearer to the camera there, or goes away, and one scale holds at one distance only"
        ));
    }
}

/// A video of which nothing was computed.
#[derive(Serialize)]
pub struct FailedVideo {
    video_id: String,
    file_name: String,
    error: String,
}

impl FailedVideo {
    /// Tells of it on standard error as well.
    pub fn told(video: &VideoRecord, error: String) -> Self {
        print_error(&anyhow::anyhow!("{}: {error}", video.file_name));
        Self {
            video_id: video.video_id.clone(),
            file_name: video.file_name.clone(),
            error,
        }
    }
}

/// How such a command ends.
pub fn ending(failed: &[FailedVideo], cancellation: &Cancellation) -> ExitStatus {
    if cancellation.is_cancelled() {
        ExitStatus::Interrupted
    } else if failed.is_empty() {
        ExitStatus::Success
    } else {
        ExitStatus::SomeVideosFailed
    }
}
