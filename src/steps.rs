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

impl<R, E> Step<Result<R, E>> {
    /// The step, in which what follows a good end can still fail.
    pub fn and_then<S>(self, follow: impl FnOnce(R) -> Result<S, E>) -> Step<Result<S, E>> {
        match self {
            Self::Begun => Step::Begun,
            Self::Frame => Step::Frame,
            Self::Done(result) => Step::Done(result.and_then(follow)),
        }
    }
}
