//! Requests and tokens per minute, as token buckets.

use std::time::{Duration, Instant};

/// What an account may do in a minute; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Attempts count, whether they are answered or not.
    pub requests_per_minute: Option<u32>,
    /// Prompts and answers, the latter taken as long as they may be.
    pub tokens_per_minute: Option<u32>,
}

/// A bucket that fills evenly, up to a minute's worth.
#[derive(Debug)]
struct Bucket {
    per_minute: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    fn new(per_minute: u32, now: Instant) -> Self {
        Self {
            per_minute: f64::from(per_minute),
            level: f64::from(per_minute),
            at: now,
        }
    }

    /// Takes an amount, or says how long to wait for it. What is more than a minute's worth is let
    /// through when the bucket is full, and owed.
    fn wait_for(&mut self, amount: f64, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + elapsed * self.per_minute / 60.0).min(self.per_minute);
        self.at = now;
        let wanted = amount.min(self.per_minute);
        if self.level + 1e-6 >= wanted {
            Duration::ZERO
        } else {
            Duration::from_secs_f64((wanted - self.level) * 60.0 / self.per_minute)
        }
    }
}

/// The buckets of a run.
#[derive(Debug)]
pub(super) struct Limiter {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

impl Limiter {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            requests: limits.requests_per_minute.map(|n| Bucket::new(n, now)),
            tokens: limits.tokens_per_minute.map(|n| Bucket::new(n, now)),
        }
    }

    /// Takes one request of so many tokens if both buckets have it; otherwise nothing is taken, and
    /// the time to wait before the next try is given.
    pub fn take(&mut self, tokens: u64, now: Instant) -> Duration {
        let amounts = [(&mut self.requests, 1.0), (&mut self.tokens, tokens as f64)];
        let mut wait = Duration::ZERO;
        let mut taken = Vec::new();
        for (bucket, amount) in amounts {
            if let Some(bucket) = bucket {
                wait = wait.max(bucket.wait_for(amount, now));
                taken.push((bucket, amount));
            }
        }
        if wait.is_zero() {
            for (bucket, amount) in taken {
                bucket.level -= amount;
            }
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of `count` requests may go, in seconds, for someone who always waits as told.
    fn times(limits: Limits, tokens: u64, count: usize) -> Vec<f64> {
        let start = Instant::now();
        let mut limiter = Limiter::new(limits, start);
        let mut now = start;
        let mut times = Vec::new();
        while times.len() < count {
            let wait = limiter.take(tokens, now);
            if wait.is_zero() {
                times.push(now.duration_since(start).as_secs_f64().round());
            } else {
                now += wait;
            }
        }
        times
    }

    #[test]
    fn a_minute_sees_no_more_than_its_requests() {
        let limits = Limits {
            requests_per_minute: Some(3),
            tokens_per_minute: None,
        };
        assert_eq!(times(limits, 500, 6), [0.0, 0.0, 0.0, 20.0, 40.0, 60.0]);
    }

    #[test]
    fn a_minute_sees_no_more_than_its_tokens() {
        let limits = Limits {
            requests_per_minute: Some(100),
            tokens_per_minute: Some(1000),
        };
        assert_eq!(times(limits, 500, 4), [0.0, 0.0, 30.0, 60.0]);
        // A request of more than a minute's tokens waits for a full bucket rather than for ever.
        assert_eq!(times(limits, 2000, 3), [0.0, 120.0, 240.0]);
    }

    #[test]
    fn without_limits_nobody_waits() {
        assert_eq!(times(Limits::default(), 1_000_000, 3), [0.0; 3]);
    }
}
