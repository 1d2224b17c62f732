//! Buffers on their way back to the decoder.
//!
//! The decoder works in bursts: it sleeps until enough buffers have come back, so that it is not woken
//! for each of them, and models have its core meanwhile. Who gives the last one that it waits for says
//! for it that it is at work, so that no model takes the core before it is awake.

use std::sync::{Arc, Condvar, Mutex};

use crate::at_work::{AtWork, Working};
use crate::sync::lock;
use crate::video::Frame;

/// Makes the two ends.
pub fn returned(at_work: &AtWork) -> (Returner, Returned) {
    let basket = Arc::new(Basket::default());
    let returner = Returner {
        basket: Arc::clone(&basket),
        at_work: at_work.clone(),
    };
    (returner, Returned(basket))
}

/// Gives buffers back. After it is dropped, none comes any more.
pub struct Returner {
    basket: Arc<Basket>,
    at_work: AtWork,
}

/// Takes what came back. After it is dropped, nobody needs buffers, and they are freed.
pub struct Returned(Arc<Basket>);

#[derive(Default)]
struct Basket {
    content: Mutex<Content>,
    is_enough: Condvar,
}

#[derive(Default)]
struct Content {
    frames: Vec<Frame>,
    /// So many somebody waits for.
    wanted: Option<usize>,
    /// For who waits no more.
    working: Option<Working>,
    /// Whether none comes any more, or none is needed.
    is_closed: bool,
}

impl Returner {
    /// Gives one back.
    pub fn push(&self, frame: Frame) {
        let mut content = lock(&self.basket.content);
        if content.is_closed {
            return;
        }
        content.frames.push(frame);
        if (content.wanted).is_some_and(|wanted| content.frames.len() >= wanted) {
            content.wanted = None;
            content.working = Some(self.at_work.begin());
            self.basket.is_enough.notify_one();
        }
    }
}

impl Drop for Returner {
    fn drop(&mut self) {
        lock(&self.basket.content).is_closed = true;
        self.basket.is_enough.notify_one();
    }
}

impl Returned {
    /// What has come back.
    pub fn take(&self) -> Vec<Frame> {
        std::mem::take(&mut lock(&self.0.content).frames)
    }

    /// Waits for so many, or for as many as still come; nobody is at work meanwhile. With `None` for work
    /// where none comes any more.
    pub fn wait_for(
        &self,
        count: usize,
        mut working: Option<Working>,
    ) -> (Vec<Frame>, Option<Working>) {
        let mut content = lock(&self.0.content);
        if content.frames.len() < count && !content.is_closed {
            content.wanted = Some(count);
            working = None;
        }
        while content.wanted.is_some() && !content.is_closed {
            let waited = self.0.is_enough.wait(content);
            content = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        content.wanted = None;
        let working = content.working.take().or(working);
        (std::mem::take(&mut content.frames), working)
    }
}

impl Drop for Returned {
    fn drop(&mut self) {
        let mut content = lock(&self.0.content);
        content.is_closed = true;
        content.frames.clear();
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
        assert!(lock(&basket.content).frames.is_empty());
    }

    #[test]
    fn who_waits_is_at_work_from_the_last_one_on() {
        let at_work = AtWork::default();
        let (returner, returned) = returned(&at_work);
        let working = at_work.begin();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| returned.wait_for(2, Some(working)));
            while lock(&returned.0.content).wanted.is_none() {
                std::thread::yield_now();
            }
            assert!(!at_work.is_anybody());
            returner.push(Frame::default());
            assert!(!at_work.is_anybody());
            returner.push(Frame::default());
            assert!(at_work.is_anybody(), "before anybody is awake");
            let (frames, working) = waiting.join().expect("no panic");
            assert_eq!(frames.len(), 2);
            drop(working.expect("there is something to do"));
            assert!(!at_work.is_anybody());
        });
    }

    #[test]
    fn nobody_waits_for_what_is_there_or_will_not_come() {
        let at_work = AtWork::default();
        let (returner, returned) = returned(&at_work);
        returner.push(Frame::default());
        let (frames, working) = returned.wait_for(1, Some(at_work.begin()));
        assert_eq!(frames.len(), 1);
        assert!(at_work.is_anybody() && working.is_some());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| returned.wait_for(2, Some(at_work.begin())));
            drop(returner);
            assert!(waiting.join().expect("no panic").0.is_empty());
        });
    }
}
