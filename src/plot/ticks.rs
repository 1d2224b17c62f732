//! An axis: its range, round values to label, and their labels.

/// Seconds per minute, hour and day.
const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// Steps of dates and times of day, in seconds.
const CALENDAR_STEPS: [f64; 21] = [
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    7.0 * DAY,
    30.0 * DAY,
];
/// Steps of angles in degrees, above which the decimal ones go on.
const DEGREE_STEPS: [f64; 7] = [5.0, 10.0, 15.0, 30.0, 45.0, 90.0, 180.0];

/// From here on a decimal number is printed with an exponent.
const LARGE: f64 = 1e6;
const SMALL: f64 = 1e-4;

/// What the values on an axis are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Decimal,
    Degrees,
    /// Seconds since 1970-01-01, UTC.
    Calendar,
}

/// An axis from `low` to `high`, which differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    /// Round values within the range, ascending, with their labels.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis over values from `min` to `max` with about `count` labelled values. `margin` is the
    /// part of the range that is left free at either end.
    pub fn new(min: f64, max: f64, margin: f64, count: usize, scale: Scale) -> Self {
        let (low, high) = if max > min {
            let free = (max - min) * margin;
            (min - free, max + free)
        } else {
            // A single value stands in the middle.
            let around = if min == 0.0 { 1.0 } else { 0.05 * min.abs() };
            (min - around, max + around)
        };
        let step = step((high - low) / count.max(1) as f64, scale);
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        let ticks = (first..=last).map(|i| {
            let value = i as f64 * step;
            (value, label(value, step, scale))
        });
        Self {
            low,
            high,
            ticks: ticks.collect(),
        }
    }

    /// Where a value lies between the axis' ends, 0 to 1.
    pub fn fraction(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

/// The smallest round step that is not smaller than `wanted`.
fn step(wanted: f64, scale: Scale) -> f64 {
    let steps: &[f64] = match scale {
        Scale::Decimal => &[],
        Scale::Degrees => &DEGREE_STEPS,
        Scale::Calendar => &CALENDAR_STEPS,
    };
    let is_in_table = steps.first().is_some_and(|first| wanted > *first / 2.0);
    let round = steps.iter().copied().find(|step| *step >= wanted);
    match round {
        Some(step) if is_in_table => step,
        _ => {
            let power = 10f64.powf(wanted.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|s| s * power);
            // The last is never below what is wanted, but for rounding.
            steps
                .into_iter()
                .find(|s| *s >= wanted * (1.0 - 1e-9))
                .unwrap_or(10.0 * power)
        }
    }
}

fn label(value: f64, step: f64, scale: Scale) -> String {
    if scale == Scale::Calendar {
        return calendar_label(value, step);
    }
    // Multiples of a step are inexact; what remains of zero is zero.
    let value = if value.abs() < step * 1e-6 {
        0.0
    } else {
        value
    };
    let text = if value == 0.0 && step < SMALL {
        "0".into()
    } else if value.abs() >= LARGE || step < SMALL {
        let text = format!("{value:.3e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        format!("{digits}e{exponent}")
    } else {
        let decimals = (-(step * 1.000_001).log10().floor()).max(0.0) as usize;
        format!("{value:.decimals$}")
    };
    text.replace('-', "\u{2212}")
}

fn calendar_label(secs: f64, step: f64) -> String {
    let Some(time) = arrow::temporal_conversions::timestamp_us_to_datetime((secs * 1e6) as i64)
    else {
        return String::new();
    };
    let format = if step >= DAY {
        "%Y-%m-%d"
    } else if step >= MINUTE {
        "%m-%d %H:%M"
    } else {
        "%H:%M:%S"
    };
    time.format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn labels_are_round_and_as_exact_as_they_need_to_be() {
        let axis = Axis::new(0.0, 7.63, 0.0, 8, Scale::Decimal);
        assert_eq!(labels(&axis), ["0", "1", "2", "3", "4", "5", "6", "7"]);
        let axis = Axis::new(-0.31, 0.29, 0.0, 6, Scale::Decimal);
        assert_eq!(labels(&axis), ["−0.3", "−0.2", "−0.1", "0.0", "0.1", "0.2"]);
        let axis = Axis::new(12.0, 171.0, 0.0, 4, Scale::Degrees);
        assert_eq!(labels(&axis), ["45", "90", "135"]);
        let axis = Axis::new(2e6, 4e6, 0.0, 4, Scale::Decimal);
        assert_eq!(labels(&axis), ["2e6", "2.5e6", "3e6", "3.5e6", "4e6"]);
    }

    #[test]
    fn tiny_values_have_exponents_and_zero_has_none() {
        let axis = Axis::new(-1e-5, 1e-5, 0.0, 4, Scale::Decimal);
        assert_eq!(labels(&axis), ["−1e−5", "−5e−6", "0", "5e−6", "1e−5"]);
    }

    #[test]
    fn dates_are_labelled_as_dates() {
        // 2024-03-01 00:00 UTC, five days.
        let start = 1_709_251_200.0;
        let axis = Axis::new(start, start + 4.0 * DAY, 0.0, 4, Scale::Calendar);
        assert_eq!(labels(&axis)[0], "2024-03-01");
        assert_eq!(axis.ticks.len(), 5);
    }

    #[test]
    fn a_single_value_stands_in_the_middle() {
        for value in [0.0, 3.0, -7.5, 1e9] {
            let axis = Axis::new(value, value, 0.05, 5, Scale::Decimal);
            assert!((axis.fraction(value) - 0.5).abs() < 1e-9, "{value}");
            assert!(!axis.ticks.is_empty(), "{value}");
        }
    }
}
