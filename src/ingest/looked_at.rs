//! Frames on their way to be estimated, of which the backend is told before it is their turn.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError};

use super::returned::Returner;
use crate::crew::Crew;
use crate::image::{Picture, Pixels};
use crate::pose::PoseBackend;
use crate::video::{Frame, MediaTime, PixelRooms};

/// A frame, and where its pixels are made. Its buffer goes back to the decoder when nobody looks at it any
/// more.
pub struct LookedAt {
    frame: Frame,
    rooms: Arc<PixelRooms>,
    returner: Option<Arc<Returner>>,
}

impl LookedAt {
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// `None` for a frame that was never read.
    pub fn pixels(&self) -> Option<Pixels<'_>> {
        self.frame.pixels(&self.rooms)
    }

    /// The frame, which does not go back by itself.
    pub fn into_frame(mut self) -> Frame {
        self.returner = None;
        std::mem::take(&mut self.frame)
    }
}

impl Picture for LookedAt {
    fn look(&self) -> Pixels<'_> {
        self.pixels()
            .expect("frames that were never read are not announced")
    }
}

impl Drop for LookedAt {
    fn drop(&mut self) {
        if let Some(returner) = &self.returner {
            let mut frame = std::mem::take(&mut self.frame);
            frame.forget();
            returner.push(frame);
        }
    }
}

/// Frames that were decoded. When it is dropped, the backend lets go of them.
pub struct Ahead<'a> {
    backend: &'a mut dyn PoseBackend,
    frames: &'a Receiver<Vec<Frame>>,
    returner: Option<Arc<Returner>>,
    rooms: Arc<PixelRooms>,
    coming: VecDeque<Arc<LookedAt>>,
    /// So many of those that come next the backend knows.
    announced: usize,
}

impl<'a> Ahead<'a> {
    /// Buffers go back by `returner`; without, frames belong to who gets them, and the backend is told
    /// nothing.
    pub fn new(
        backend: &'a mut dyn PoseBackend,
        frames: &'a Receiver<Vec<Frame>>,
        returner: Option<Arc<Returner>>,
    ) -> Self {
        Self {
            backend,
            frames,
            returner,
            rooms: Arc::default(),
            coming: VecDeque::new(),
            announced: 0,
        }
    }

    pub fn backend(&mut self) -> &mut dyn PoseBackend {
        self.backend
    }

    /// The next frame, when it is there, and other work of the crew until then; `None` after the last one.
    /// `time` says when a frame was taken.
    pub fn next(
        &mut self,
        time: impl Fn(&Frame) -> MediaTime,
        crew: &Crew<'_>,
    ) -> Option<Arc<LookedAt>> {
        if self.coming.is_empty() {
            let batch = crew.work_until(|| match self.frames.try_recv() {
                Err(TryRecvError::Empty) => None,
                received => Some(received.ok()),
            });
            self.push(batch?);
        }
        while let Ok(batch) = self.frames.try_recv() {
            self.push(batch);
        }
        if self.returner.is_some() {
            self.announce(time);
        }
        self.announced = self.announced.saturating_sub(1);
        self.coming.pop_front()
    }

    fn push(&mut self, batch: Vec<Frame>) {
        self.coming.extend(batch.into_iter().map(|frame| {
            Arc::new(LookedAt {
                frame,
                rooms: Arc::clone(&self.rooms),
                returner: self.returner.clone(),
            })
        }));
    }

    /// Tells of what comes next, up to a frame that will be passed over.
    fn announce(&mut self, time: impl Fn(&Frame) -> MediaTime) {
        for looked_at in self.coming.iter().skip(self.announced) {
            let frame = &looked_at.frame;
            if frame.is_corrupt || !frame.was_read() {
                break;
            }
            let picture: Arc<LookedAt> = Arc::clone(looked_at);
            self.backend.announce(picture, time(frame));
            self.announced += 1;
        }
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.backend.forget_announced();
    }
}
