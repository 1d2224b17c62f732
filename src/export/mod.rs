//! What leaves the lake, or goes beside it: annotated videos and files for other programs.

pub mod annotation;
pub mod replay;
