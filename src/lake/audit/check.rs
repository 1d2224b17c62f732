//! Looks at everything and changes nothing.

use std::collections::HashSet;

use super::census::{COPY_NAME, Census, Copy};
use super::report::{CheckReport, Finding, Severity};
use super::rows::Faults;
use crate::lake::error::LakeError;
use crate::lake::inventory::FileKind;
use crate::lake::lost_files::remove_from_catalog;
use crate::lake::schema::FORMAT_VERSION;
use crate::lake::session::Lake;
use crate::lake::sql::OpenTransaction;

/// How often to look again at a lake that others change meanwhile.
const MAX_ATTEMPTS: usize = 3;

impl Lake {
    /// Looks at everything and changes nothing.
    ///
    /// # Errors
    /// When there is no lake or its catalog cannot be read.
    pub fn check(&self) -> Result<CheckReport, LakeError> {
        self.must_exist()?;
        Ok(self.check_until_steady()?.0)
    }

    pub(super) fn check_until_steady(&self) -> Result<(CheckReport, Faults), LakeError> {
        let mut attempt = 1;
        loop {
            let (census, copy) = self.census()?;
            let (report, faults) = self.check_copy(&census, &copy)?;
            drop(copy);
            // Somebody may have replaced a video and deleted its old files while they were read.
            if report.whole || attempt == MAX_ATTEMPTS || self.lake_state()? == census.state {
                return Ok((report, faults));
            }
            attempt += 1;
        }
    }

    fn check_copy(
        &self,
        census: &Census,
        copy: &Copy<'_>,
    ) -> Result<(CheckReport, Faults), LakeError> {
        let mut findings = census.findings.clone();
        let mut faults = Faults::default();
        if census.format_version < FORMAT_VERSION {
            findings.push(Finding {
                severity: Severity::Note,
                subject: "catalog.ducklake".into(),
                cause: format!(
                    "the lake has format {}, the newest is {FORMAT_VERSION}",
                    census.format_version
                ),
                remedy: "posedata lake upgrade".into(),
            });
        }
        let mut bytes = 0;
        let mut unrecorded = 0;
        let causes = self.check_files(copy.connection, census)?;
        for (file, cause) in census.files.iter().zip(causes) {
            bytes += file.byte_size;
            match cause {
                None => {
                    unrecorded += u64::from(
                        file.is_current
                            && file.kind == FileKind::Rows
                            && !census.recorded.contains(&file.path),
                    );
                }
                Some(cause) => {
                    findings.push(self.lost_file_finding(file, cause));
                    faults.lost_files.push(file.clone());
                }
            }
        }
        if unrecorded > 0 {
            findings.push(Finding {
                severity: Severity::Note,
                subject: format!("{unrecorded} files"),
                cause: "their checksums are not recorded".into(),
                remedy: "posedata lake check --repair".into(),
            });
        }
        // Without the list of its deleted rows a file is of no use.
        let lost_deletions: HashSet<i64> = faults
            .lost_files
            .iter()
            .filter(|file| file.kind == FileKind::Deletions)
            .map(|file| file.data_file_id)
            .collect();
        let of_lost_deletions = census.files.iter().filter(|file| {
            file.kind == FileKind::Rows && lost_deletions.contains(&file.data_file_id)
        });
        for file in of_lost_deletions {
            if !faults.lost_files.contains(file) {
                faults.lost_files.push(file.clone());
            }
        }
        remove_from_catalog(copy.connection, COPY_NAME, &faults.lost_files)?;
        self.attach_copy_as_lake(copy)?;
        // Outside a transaction each query would read anew what the catalog has of its table, twice.
        let _snapshot = OpenTransaction::begin(copy.connection)?;
        let videos = self.check_rows(copy.connection, census, &mut findings, &mut faults)?;
        findings.sort_by_key(|finding| finding.severity);
        let report = CheckReport {
            lake: self.paths().root(),
            format_version: census.format_version,
            snapshot: census.state.newest_snapshot,
            whole: findings.iter().all(|f| f.severity != Severity::Damage),
            videos,
            files: census.files.len() as u64,
            bytes,
            files_in_work: census.files_in_work,
            findings,
            repairs: Vec::new(),
        };
        Ok((report, faults))
    }
}
