//! Mends what a check finds.

use super::report::CheckReport;
use super::rows::short;
use crate::lake::catalog::Access;
use crate::lake::error::LakeError;
use crate::lake::inventory::unnamed_files;
use crate::lake::schema::FORMAT_VERSION;
use crate::lake::session::Lake;

impl Lake {
    /// Mends what can be mended and looks again.
    ///
    /// What killed processes left is deleted, missing checksums are recorded, an older format is
    /// upgraded. Lost files are taken out of the catalog (and moved to the folder `damaged`), and
    /// videos whose rows are not all there are removed, each in one transaction.
    ///
    /// # Errors
    /// When there is no lake, or it cannot be read or written.
    pub fn repair(&self) -> Result<CheckReport, LakeError> {
        self.must_exist()?;
        let mut repairs = Vec::new();
        let (before, faults) = self.check_until_steady()?;
        if before.format_version < FORMAT_VERSION {
            self.upgrade()?;
            repairs.push(format!(
                "upgraded the lake from format {} to {FORMAT_VERSION}",
                before.format_version
            ));
        }
        if !faults.lost_files.is_empty() {
            self.remove_lost_files(&faults.lost_files)?;
            for file in &faults.lost_files {
                repairs.push(format!("took out of the catalog: {}", file.path));
            }
        }
        let ids: Vec<String> = faults.broken_videos.keys().cloned().collect();
        if !ids.is_empty() {
            self.remove_videos(&ids)?;
            for (id, facts) in &faults.broken_videos {
                repairs.push(match facts {
                    Some(facts) => format!(
                        "removed {} ({}); `{}` brings it back",
                        facts.file_name,
                        short(id),
                        facts.ingest_command()
                    ),
                    None => format!(
                        "deleted the rows of {}, which is no video of the lake",
                        short(id)
                    ),
                });
            }
        }
        let removed = self.remove_orphans()?;
        if removed.0 > 0 {
            let (files, bytes) = removed;
            repairs.push(format!(
                "deleted {files} files ({bytes} bytes) that killed processes had left behind"
            ));
        }
        let recorded = self.record_checksums()?;
        if recorded > 0 {
            repairs.push(format!("recorded the checksums of {recorded} files"));
        }
        let (mut report, _) = self.check_until_steady()?;
        report.repairs = repairs;
        Ok(report)
    }

    fn remove_orphans(&self) -> Result<(u64, u64), LakeError> {
        self.with_catalog(Access::ReadWrite, |connection| {
            let mut removed = (0, 0);
            for orphan in unnamed_files(connection, self.paths())?.orphans {
                let bytes = orphan.byte_size;
                orphan.delete()?;
                removed = (removed.0 + 1, removed.1 + bytes);
            }
            Ok(removed)
        })
    }
}
