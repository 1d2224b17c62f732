//! Verifies every file of the lake against the catalog, and every video against its rows; mends
//! what can be mended.
//!
//! The catalog is held only while it is copied; everything else is done with the private copy, so
//! that others go on reading and committing. Files that turn out to be lost are taken out of the
//! copy, which makes all the others readable. When something is wrong and the lake has changed
//! meanwhile, the check is done again.

mod census;
mod check;
mod files;
mod repair;
mod report;
mod rows;

pub use report::{CheckReport, Finding, Severity};
