//! What is told of several videos while they are worked on, one after the other.

/// What happens to a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<R> {
    /// Its turn has come.
    Begun,
    /// Another of its frames is done.
    Frame,
    /// It came to its end, a good one or a bad one; not told of a video that was given up.
    Done(R),
}
