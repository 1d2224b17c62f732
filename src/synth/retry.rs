//! When to ask again: exponential backoff with full jitter, or when the provider says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longer waits than this are not worth it within a run: the next run will ask.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// How often to ask, and how long to wait in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// First attempt included; at least 1.
    pub attempts: u32,
    /// Longest wait before the second attempt; doubles with each.
    pub base: Duration,
    /// Longest wait before any.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// How long to wait after attempt number `attempt` (from 1) failed; `None` when it was the last.
    /// `fraction` is random, from 0 to 1: full jitter, as in "Exponential Backoff And Jitter"
    /// (Brooker, AWS Architecture Blog, 2015). What the provider asks for is honoured, with a
    /// tenth more at random, so that those who were told the same do not come back at once.
    pub fn wait(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
        fraction: f64,
    ) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        match retry_after {
            Some(wanted) if wanted > LONGEST_WAIT => None,
            Some(wanted) => Some(wanted.mul_f64(1.0 + fraction / 10.0)),
            None => {
                let doublings = attempt.saturating_sub(1).min(16);
                let longest = self.base.saturating_mul(1 << doublings).min(self.cap);
                Some(longest.mul_f64(fraction))
            }
        }
    }
}

/// Reads a `retry-after` header: seconds, or a date of HTTP (RFC 9110, 10.2.3).
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(secs) = value.parse::<f64>() {
        let is_sane = secs.is_finite() && secs >= 0.0;
        return is_sane.then(|| Duration::from_secs_f64(secs.min(1e9)));
    }
    let at = UNIX_EPOCH + Duration::from_secs(parse_http_date(value)?);
    Some(at.duration_since(now).unwrap_or_default())
}

/// Seconds since 1970 of "Sun, 06 Nov 1994 08:49:37 GMT"; the two older forms are no longer sent.
fn parse_http_date(value: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, date) = value.split_once(", ")?;
    let words: Vec<&str> = date.split(' ').collect();
    let [day, month, year, time, "GMT"] = words[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    secs_of(year.parse().ok()?, month, day.parse().ok()?, time)
}

/// Seconds since 1970 of "1994-11-06T08:49:37Z", in UTC only and without parts of seconds.
pub fn parse_rfc3339(value: &str) -> Option<u64> {
    let (date, time) = value.split_once('T')?;
    let time = time
        .strip_suffix('Z')
        .or_else(|| time.strip_suffix("+00:00"))?;
    let date: Vec<&str> = date.split('-').collect();
    let [year, month, day] = date[..] else {
        return None;
    };
    let whole_secs = time.split('.').next()?;
    secs_of(
        year.parse().ok()?,
        month.parse().ok()?,
        day.parse().ok()?,
        whole_secs,
    )
}

/// Seconds since 1970 of a date and a time of day as HH:MM:SS.
fn secs_of(year: i64, month: i64, day: i64, time: &str) -> Option<u64> {
    let time: Vec<&str> = time.split(':').collect();
    let [hours, minutes, secs] = time[..] else {
        return None;
    };
    let secs_of_day = hours.parse::<i64>().ok()? * 3600
        + minutes.parse::<i64>().ok()? * 60
        + secs.parse::<i64>().ok()?;
    // Days of the civil calendar (Hinnant, chrono-Compatible Low-Level Date Algorithms).
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    u64::try_from(days * 86_400 + secs_of_day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_cap_and_end_with_the_attempts() {
        let policy = RetryPolicy {
            attempts: 5,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(3),
        };
        let longest: Vec<Option<Duration>> = (1..=5)
            .map(|attempt| policy.wait(attempt, None, 1.0))
            .collect();
        let secs = |secs| Some(Duration::from_secs(secs));
        assert_eq!(longest, [secs(1), secs(2), secs(3), secs(3), None]);
        assert_eq!(policy.wait(3, None, 0.0), secs(0));
    }

    #[test]
    fn what_the_provider_says_is_honoured() {
        let policy = RetryPolicy::default();
        let secs = Duration::from_secs;
        assert_eq!(policy.wait(1, Some(secs(20)), 0.0), Some(secs(20)));
        assert!(policy.wait(1, Some(secs(20)), 0.9) > Some(secs(20)));
        assert_eq!(policy.wait(1, Some(secs(3600)), 0.5), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let parse = |value| parse_retry_after(value, now);
        assert_eq!(parse("7"), Some(Duration::from_secs(7)));
        assert_eq!(parse("0.25"), Some(Duration::from_millis(250)));
        // The example of RFC 9110, 5.6.7, is 784111777 seconds after 1970.
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(
            parse("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            parse("Tue, 29 Feb 2000 00:00:00 GMT").map(|d| d.as_secs()),
            Some(951_782_400 - 784_111_777)
        );
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(
            parse_rfc3339("1994-11-06T08:49:37.25+00:00"),
            Some(784_111_777)
        );
        assert_eq!(parse_rfc3339("1994-11-06T08:49:37Z"), Some(784_111_777));
        for wrong in ["", "soon", "-1", "nan", "Sunday, 06-Nov-94 08:49:37 GMT"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
