//! Buffers on their way back to the decoder.
//!
//! The decoder works in bursts: it goes on when enough buffers have come back, so that models have its core
//! for a while.

use std::sync::{Arc, Mutex};

use crate::at_work::AtWork;
use crate::sync::lock;
use crate::video::Frame;

/// Makes the two ends. `at_work` is told of what comes back.
pub fn returned(at_work: &AtWork) -> (Returner, Returned) {
    let basket = Arc::new(Mutex::default());
    let returner = Returner {
        basket: Arc::clone(&basket),
        at_work: at_work.clone(),
    };
    (returner, Returned(basket))
}

/// Gives buffers back. After it is dropped, none comes any more.
pub struct Returner {
    basket: Arc<Mutex<Basket>>,
    at_work: AtWork,
}

/// Takes what came back. After it is dropped, nobody needs buffers, and they are freed.
pub struct Returned(Arc<Mutex<Basket>>);

#[derive(Default)]
struct Basket {
    frames: Vec<Frame>,
    /// So many are waited for.
    wanted: usize,
    /// Whether none comes any more, or none is needed.
    is_closed: bool,
}

impl Returner {
    /// Gives one back.
    pub fn push(&self, frame: Frame) {
        let mut basket = lock(&self.basket);
        if basket.is_closed {
            return;
        }
        basket.frames.push(frame);
        let is_enough = basket.frames.len() == basket.wanted;
        drop(basket);
        if is_enough {
            self.at_work.change();
        }
    }
}

impl Drop for Returner {
    fn drop(&mut self) {
        lock(&self.basket).is_closed = true;
        self.at_work.change();
    }
}

impl Returned {
    /// What has come back, if that is at least so many, or no more come. Else `None`, and there is a
    /// change when they have come.
    pub fn take(&self, wanted: usize) -> Option<Vec<Frame>> {
        let mut basket = lock(&self.0);
        basket.wanted = wanted;
        let is_enough = basket.frames.len() >= wanted || basket.is_closed;
        is_enough.then(|| std::mem::take(&mut basket.frames))
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        let mut basket = lock(&self.0);
        basket.is_closed = true;
        basket.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_needs_is_not_kept() {
        let (returner, returned) = returned(&AtWork::default());
        returner.push(Frame::default());
        let basket = Arc::clone(&returned.0);
        drop(returned);
        returner.push(Frame::default());
        assert!(lock(&basket).frames.is_empty());
    }

    #[test]
    fn who_waits_for_several_is_told_when_all_are_there() {
        let at_work = AtWork::default();
        let (returner, returned) = returned(&at_work);
        assert!(returned.take(2).is_none());
        let seen = at_work.changes();
        returner.push(Frame::default());
        assert_eq!(at_work.changes(), seen);
        assert!(returned.take(2).is_none());
        returner.push(Frame::default());
        assert_ne!(at_work.changes(), seen);
        assert_eq!(returned.take(2).map(|frames| frames.len()), Some(2));
        assert_eq!(returned.take(0).map(|frames| frames.len()), Some(0));
    }

    #[test]
    fn nobody_waits_for_what_will_not_come() {
        let at_work = AtWork::default();
        let (returner, returned) = returned(&at_work);
        returner.push(Frame::default());
        assert!(returned.take(2).is_none());
        let seen = at_work.changes();
        drop(returner);
        assert_ne!(at_work.changes(), seen);
        assert_eq!(returned.take(2).map(|frames| frames.len()), Some(1));
        assert_eq!(returned.take(2).map(|frames| frames.len()), Some(0));
    }
}
