//! When to ask again: exponential backoff with full jitter, or when the provider says.

use std::time::{Duration, SystemTime};

use chrono::DateTime;

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
pub(super) fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(secs) = value.parse::<f64>() {
        let is_sane = secs.is_finite() && secs >= 0.0;
        return is_sane.then(|| Duration::from_secs_f64(secs.min(1e9)));
    }
    // The two older forms of dates are no longer sent.
    let at = SystemTime::from(DateTime::parse_from_rfc2822(value).ok()?);
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

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
        // Neither a date that there is not nor a time zone breaks it.
        assert_eq!(
            parse("Sun, 06 Nov 1994 09:50:07 +0100"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(parse("Wed, 30 Feb 2000 00:00:00 GMT"), None);
        for wrong in ["", "soon", "-1", "nan", "Sunday, 06-Nov-94 08:49:37 GMT"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
