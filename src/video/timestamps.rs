//! Frame times: what the container says, and the even grid behind a clock that is too coarse.
//!
//! Matroska, WebM, Flash and ASF count milliseconds: at 240 frames a second the steps between
//! frames come out as 4 and 5 ms, and speeds by a fifth too high or low. Where all times of a video
//! are those of an even rate, rounded to the clock, the frames are given the times of that rate.
//! Times that fit no rate are kept as they are.

/// A clock with fewer ticks to a frame than this falsifies steps by more than two percent, and is
/// looked behind.
const ENOUGH_TICKS_PER_FRAME: f64 = 20.0;
/// A time may be from the grid by the rounding of the clock, and by that of our own arithmetic.
const ROUNDING_TICKS: f64 = 1.0 + 1e-3;
/// Fewer frames fit too many rates.
const MIN_FRAMES: usize = 8;
/// Rates that containers and cameras round to: a whole number of frames per second, or that
/// divided by 1.001, as television has it.
const TELEVISION_DIVISOR: f64 = 1.001;
/// A stated rate is taken for the nearest of those when it differs by less than nanoseconds in its
/// duration make.
const NEARLY_SAME_RATE: f64 = 2e-5;

/// An even grid of times: frame `n` of it is at `start_secs + n / rate_hz`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameGrid {
    pub start_secs: f64,
    pub rate_hz: f64,
    tick_secs: f64,
    /// Frames have the places 0, 1, 2, ...; otherwise some are missing.
    is_gapless: bool,
}

impl FrameGrid {
    /// Finds the grid behind `ticks`, the presentation times of all frames in ascending order on a
    /// clock of `tick_secs`. `stated_rates_hz` are rates that the container names.
    ///
    /// `None` where the clock is fine enough, or where the times fit no grid.
    pub fn behind(ticks: &[i64], tick_secs: f64, stated_rates_hz: &[f64]) -> Option<Self> {
        let (first, last) = (*ticks.first()?, *ticks.last()?);
        if ticks.len() < MIN_FRAMES || last <= first {
            return None;
        }
        let steps = (ticks.len() - 1) as f64;
        let span_ticks = (last - first) as f64;
        let mean_rate_hz = steps / (span_ticks * tick_secs);
        let is_fine = |rate_hz: f64| rate_hz * tick_secs * ENOUGH_TICKS_PER_FRAME < 1.0;
        // Where frames are missing, the rate is higher than their mean.
        let highest_hz = stated_rates_hz.iter().copied().fold(mean_rate_hz, f64::max);
        if is_fine(highest_hz) {
            return None;
        }
        let slowest_hz = steps / ((span_ticks + 1.0) * tick_secs);
        let fastest_hz = steps / ((span_ticks - 1.0).max(0.5) * tick_secs);
        let usual = usual_rate_between(slowest_hz, fastest_hz);
        // Short videos leave room for 60 and 59.94 alike; which it is shows in how all times fit.
        let television = television_rate_between(slowest_hz, fastest_hz);
        let stated = stated_rates_hz
            .iter()
            .map(|rate_hz| nearest_usual(*rate_hz));
        let guessed = usual.into_iter().chain(television).chain([mean_rate_hz]);
        let gapless = stated.clone().chain(guessed);
        let gapless = gapless.map(|rate_hz| (rate_hz, true));
        // With less than two ticks to a frame, the place of a frame cannot be told from its time.
        let with_gaps = stated
            .filter(|rate_hz| rate_hz * tick_secs < 0.5)
            .map(|rate_hz| (rate_hz, false));
        let rates = gapless.chain(with_gaps);
        rates
            .filter(|(rate_hz, _)| rate_hz.is_finite() && *rate_hz > 0.0 && !is_fine(*rate_hz))
            .find_map(|(rate_hz, is_gapless)| Self::fitting(ticks, tick_secs, rate_hz, is_gapless))
    }

    /// The grid of this rate, if all times are on it but for rounding to whole ticks in any one
    /// direction.
    fn fitting(ticks: &[i64], tick_secs: f64, rate_hz: f64, is_gapless: bool) -> Option<Self> {
        let first = ticks[0];
        let ticks_per_frame = 1.0 / (rate_hz * tick_secs);
        let (mut earliest, mut latest) = (f64::INFINITY, f64::NEG_INFINITY);
        for (frame, tick) in ticks.iter().enumerate() {
            let passed = (tick - first) as f64;
            let place = if is_gapless {
                frame as f64
            } else {
                (passed / ticks_per_frame).round()
            };
            let off = passed - place * ticks_per_frame;
            earliest = earliest.min(off);
            latest = latest.max(off);
            if latest - earliest > ROUNDING_TICKS {
                return None;
            }
        }
        Some(Self {
            start_secs: first as f64 * tick_secs,
            rate_hz,
            tick_secs,
            is_gapless,
        })
    }

    /// The time of the `frame`th frame in order of presentation, which the container has at
    /// `secs`.
    pub fn time_secs(&self, frame: u64, secs: f64) -> f64 {
        let by_order = self.start_secs + frame as f64 / self.rate_hz;
        // A decoder may have lost frames, and all that come after move up.
        if self.is_gapless && (by_order - secs).abs() <= ROUNDING_TICKS * self.tick_secs {
            return by_order;
        }
        let place = ((secs - self.start_secs) * self.rate_hz).round();
        self.start_secs + place / self.rate_hz
    }
}

/// Whether a clock of `tick_secs` is so coarse for a rate that it is worth reading all times.
pub fn is_coarse(tick_secs: f64, rate_hz: f64) -> bool {
    rate_hz * tick_secs * ENOUGH_TICKS_PER_FRAME >= 1.0
}

/// The usual rate within these bounds: a whole number, the roundest first.
fn usual_rate_between(slowest_hz: f64, fastest_hz: f64) -> Option<f64> {
    for unit in [100.0, 10.0, 5.0, 1.0] {
        let rate_hz = (slowest_hz / unit).ceil() * unit;
        if rate_hz > 0.0 && rate_hz <= fastest_hz {
            return Some(rate_hz);
        }
    }
    None
}

/// The lowest rate within these bounds that is a whole number divided by 1.001.
fn television_rate_between(slowest_hz: f64, fastest_hz: f64) -> Option<f64> {
    let rate_hz = (slowest_hz * TELEVISION_DIVISOR).ceil() / TELEVISION_DIVISOR;
    (rate_hz <= fastest_hz).then_some(rate_hz)
}

/// The usual rate that a stated one is but for rounding, or the stated one.
fn nearest_usual(stated_hz: f64) -> f64 {
    let whole = stated_hz.round();
    let broken = (stated_hz * TELEVISION_DIVISOR).round() / TELEVISION_DIVISOR;
    [whole, broken]
        .into_iter()
        .find(|rate_hz| (rate_hz / stated_hz - 1.0).abs() < NEARLY_SAME_RATE)
        .unwrap_or(stated_hz)
}

/// How far back times of a stream that may be cut anywhere have to go for a new clock to be
/// assumed, in seconds; FFmpeg's own program uses the same.
const NEW_CLOCK_SECS: f64 = 0.1;

/// Turns the presentation times of a container into times from its start.
pub struct FrameClock {
    tick_secs: f64,
    start_ticks: Option<i64>,
    /// The first time on the grid.
    grid_start_secs: Option<f64>,
    /// Transport and program streams may be joined without regard for their clocks.
    may_restart: bool,
    restart_secs: f64,
    usual_step_secs: f64,
    /// Whatever times there are were made up by the demuxer.
    is_timeless: bool,
    grid: Option<FrameGrid>,
    last: Option<Last>,
}

#[derive(Clone, Copy)]
struct Last {
    secs: f64,
    step_secs: f64,
}

impl FrameClock {
    pub fn new(
        tick_secs: f64,
        start_ticks: Option<i64>,
        may_restart: bool,
        rate_hz: Option<f64>,
        grid: Option<FrameGrid>,
    ) -> Self {
        Self {
            tick_secs,
            start_ticks,
            grid_start_secs: start_ticks.map(|ticks| ticks as f64 * tick_secs),
            may_restart,
            restart_secs: 0.0,
            usual_step_secs: rate_hz.map_or(0.0, |rate_hz| 1.0 / rate_hz),
            is_timeless: false,
            grid,
            last: None,
        }
    }

    /// The clock of a stream without times: frames follow each other at its rate.
    pub fn without_times(rate_hz: f64) -> Self {
        Self {
            is_timeless: true,
            ..Self::new(1.0, None, false, Some(rate_hz), None)
        }
    }

    /// The time of the next frame, which is the `frame`th.
    ///
    /// The container's own time is kept, also where two frames share one or it goes back. A frame
    /// without a time follows the one before at the distance of the last two.
    pub fn time_secs(&mut self, frame: u64, ticks: Option<i64>) -> f64 {
        let secs = match ticks {
            _ if self.is_timeless => frame as f64 * self.usual_step_secs,
            Some(ticks) => {
                let start = *self.start_ticks.get_or_insert(ticks);
                let secs = ticks.saturating_sub(start) as f64 * self.tick_secs;
                let secs = match &self.grid {
                    Some(grid) => {
                        let secs = grid.time_secs(frame, ticks as f64 * self.tick_secs);
                        secs - *self.grid_start_secs.get_or_insert(secs)
                    }
                    None => secs,
                };
                self.on_one_clock(secs)
            }
            None => (self.last).map_or(0.0, |last| last.secs + last.step_secs),
        };
        let before = self.last;
        self.last = Some(Last {
            secs,
            step_secs: match before {
                Some(before) if secs > before.secs => secs - before.secs,
                Some(before) => before.step_secs,
                None => self.usual_step_secs,
            },
        });
        secs
    }

    /// Goes on from the last time where a joined stream begins to count anew.
    fn on_one_clock(&mut self, secs: f64) -> f64 {
        if let Some(last) = self.last
            && self.may_restart
            && secs + self.restart_secs < last.secs - NEW_CLOCK_SECS
        {
            self.restart_secs = last.secs + last.step_secs - secs;
        }
        secs + self.restart_secs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: f64 = 1e-3;

    fn rounded(rate_hz: f64, frames: impl Iterator<Item = u32>) -> Vec<i64> {
        frames
            .map(|n| (f64::from(n) / rate_hz / MILLISECOND).round() as i64)
            .collect()
    }

    #[test]
    fn even_rates_are_found_behind_a_clock_of_milliseconds() {
        for rate_hz in [
            59.94005994,
            60.0,
            100.0,
            119.88011988,
            120.0,
            240.0,
            1000.0,
            2000.0,
        ] {
            let ticks = rounded(rate_hz, 0..60);
            for stated in [vec![], vec![rate_hz], vec![25.0]] {
                let grid = FrameGrid::behind(&ticks, MILLISECOND, &stated).expect("a grid");
                for n in 0..60u32 {
                    let secs = grid.time_secs(n.into(), ticks[n as usize] as f64 * MILLISECOND);
                    let right = f64::from(n) / rate_hz;
                    // Without a stated rate 60 frames do not tell 59.94 from 60.
                    let tolerance = if stated == [rate_hz] {
                        1e-6
                    } else {
                        MILLISECOND
                    };
                    assert!((secs - right).abs() < tolerance, "{rate_hz} {n}: {secs}");
                }
                assert!((grid.rate_hz / rate_hz - 1.0).abs() < 0.01, "{grid:?}");
            }
        }
    }

    #[test]
    fn rounding_down_is_as_good_as_rounding() {
        let ticks: Vec<i64> = (0..500).map(|n| n * 1000 / 240).collect();
        let grid = FrameGrid::behind(&ticks, MILLISECOND, &[]).expect("a grid");
        assert_eq!(grid.rate_hz, 240.0);
    }

    #[test]
    fn missing_frames_leave_gaps_in_the_grid() {
        let frames = || (0..200).filter(|n| n % 7 != 3 && !(50..90).contains(n));
        let ticks = rounded(240.0, frames());
        let grid = FrameGrid::behind(&ticks, MILLISECOND, &[240.0]).expect("a grid");
        for (i, n) in frames().enumerate() {
            let secs = grid.time_secs(i as u64, ticks[i] as f64 * MILLISECOND);
            assert!((secs - f64::from(n) / 240.0).abs() < 1e-9);
        }
    }

    #[test]
    fn uneven_times_and_fine_clocks_are_left_alone() {
        // A phone's frames: around 120 a second, each by up to 2 ms early or late.
        let uneven: Vec<i64> = (0..200)
            .map(|n| n * 1000 / 120 + (n * n * 7919) % 5 - 2)
            .collect();
        assert_eq!(FrameGrid::behind(&uneven, MILLISECOND, &[120.0]), None);
        assert_eq!(FrameGrid::behind(&uneven, MILLISECOND, &[]), None);
        let slow = rounded(30.0, 0..60);
        assert_eq!(FrameGrid::behind(&slow, MILLISECOND, &[30.0]), None);
        let fine: Vec<i64> = (0..100).map(|n| n * 375).collect();
        assert_eq!(FrameGrid::behind(&fine, 1.0 / 90_000.0, &[240.0]), None);
        assert_eq!(FrameGrid::behind(&[], MILLISECOND, &[240.0]), None);
    }

    #[test]
    fn times_of_the_container_are_kept_also_twice_and_backwards() {
        let mut clock = FrameClock::new(MILLISECOND, Some(100), false, Some(25.0), None);
        let ticks = [Some(100), Some(140), Some(140), Some(90), None, Some(300)];
        let secs = ticks.iter().enumerate();
        let secs: Vec<i64> = secs
            .map(|(n, ticks)| (clock.time_secs(n as u64, *ticks) * 1e6).round() as i64)
            .collect();
        assert_eq!(secs, [0, 40_000, 40_000, -10_000, 30_000, 200_000]);
    }

    #[test]
    fn a_joined_stream_goes_on_where_the_clock_starts_anew() {
        let mut clock = FrameClock::new(MILLISECOND, Some(5000), true, None, None);
        let ticks = [5000, 5040, 5080, 2000, 2040, 2030];
        let secs = ticks.iter().enumerate();
        let secs: Vec<f64> = secs
            .map(|(n, ticks)| (clock.time_secs(n as u64, Some(*ticks)) * 1e3).round())
            .collect();
        assert_eq!(secs, [0.0, 40.0, 80.0, 120.0, 160.0, 150.0]);
    }
}
