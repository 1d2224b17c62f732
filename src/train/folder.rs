//! The folder of a run: whose it is, what was asked for there, and who works on it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::{self, Position};
use super::{End, TrainError};
use crate::files::{folder_of, temporary_folder_beside, why_not_written, write_atomically};

/// The file that makes a folder a run.
pub const CONFIG_FILE: &str = "train_config.json";

/// What decides about a run's numbers: names and values.
pub type Settings = serde_json::Map<String, serde_json::Value>;

/// What is to become of a run that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExisting {
    /// It is an error.
    Refuse,
    /// Go on where it was; where there is none, begin.
    Resume,
    /// Delete it, and begin anew.
    Overwrite,
}

/// The file `train_config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunConfig {
    /// Version of the program that began the run.
    pub posedata_version: String,
    /// What must be the same for the run to be resumed.
    pub settings: Settings,
    /// What may change: names, and what only decides about speed and memory.
    #[serde(rename = "about")]
    pub metadata: Settings,
}

/// A run's folder, which no other process works on.
pub struct RunFolder {
    path: PathBuf,
    /// Holds the lock until it is dropped.
    _lock: File,
    on_existing: OnExisting,
    resumed: Option<RunConfig>,
}

impl RunFolder {
    /// Takes the folder for a run of these settings. Nothing of what is there changes yet.
    ///
    /// # Errors
    /// When another process works there, when there is a run that is not to be replaced or has
    /// other settings, or when the folder holds something else.
    pub fn open(
        path: &Path,
        settings: &Settings,
        on_existing: OnExisting,
    ) -> Result<Self, TrainError> {
        let lock = lock(path)?;
        let there = RunConfig::read(path)?;
        match (&there, on_existing) {
            (None, _) => {
                let mut entries = fs::read_dir(path).into_iter().flatten();
                if entries.next().is_some() {
                    return Err(TrainError::NotARun { path: path.into() });
                }
            }
            (Some(_), OnExisting::Refuse) => {
                return Err(TrainError::Exists {
                    path: path.into(),
                    progress: progress_of(path)?,
                });
            }
            (Some(there), OnExisting::Resume) => {
                let differences = differences(&there.settings, settings);
                if !differences.is_empty() {
                    return Err(TrainError::OtherSettings {
                        path: path.into(),
                        differences: differences.join("; "),
                    });
                }
            }
            (Some(_), OnExisting::Overwrite) => {}
        }
        Ok(Self {
            path: path.into(),
            _lock: lock,
            on_existing,
            resumed: there.filter(|_| on_existing == OnExisting::Resume),
        })
    }

    /// What was asked for when the run that goes on was begun.
    pub fn resumed(&self) -> Option<&RunConfig> {
        self.resumed.as_ref()
    }

    /// Where adapter, logs and checkpoints are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder ready: clears away what is to be replaced and what a killed process left,
    /// and writes what is asked for.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn begin(&self, config: &RunConfig) -> Result<(), TrainError> {
        self.prepare(config).map_err(|e| TrainError::Write {
            path: self.path.clone(),
            reason: why_not_written(&e),
        })
    }

    fn prepare(&self, config: &RunConfig) -> io::Result<()> {
        if self.on_existing == OnExisting::Overwrite && self.path.exists() {
            // In one step, or a process that is killed would leave a folder that nobody knows.
            let aside = temporary_folder_beside(&self.path)?;
            fs::rename(&self.path, aside.path())?;
        }
        fs::create_dir_all(&self.path)?;
        checkpoint::remove_leftovers(&self.path)?;
        let mut bytes = serde_json::to_vec_pretty(config)?;
        bytes.push(b'\n');
        write_atomically(&self.path.join(CONFIG_FILE), &bytes)
    }
}

impl RunConfig {
    /// Reads what was asked for in a run's folder; `None` where there is no run.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn read(run: &Path) -> Result<Option<Self>, TrainError> {
        let path = run.join(CONFIG_FILE);
        let damaged = |reason: String| TrainError::Damaged {
            path: path.clone(),
            reason,
        };
        match fs::read(&path) {
            Ok(bytes) => {
                let config = serde_json::from_slice(&bytes);
                Ok(Some(config.map_err(|e| damaged(e.to_string()))?))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(damaged(e.to_string())),
        }
    }
}

/// A file beside the folder, because the folder itself may be replaced.
fn lock(run: &Path) -> Result<File, TrainError> {
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let path = folder_of(run).join(format!(".{name}.lock"));
    let write_error = |e: io::Error| TrainError::Write {
        path: path.clone(),
        reason: why_not_written(&e),
    };
    fs::create_dir_all(folder_of(run)).map_err(write_error)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(write_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TrainError::InUse { path: run.into() }),
        Err(TryLockError::Error(e)) => Err(write_error(e)),
    }
}

/// How far the run in a folder came, for people.
fn progress_of(run: &Path) -> Result<String, TrainError> {
    Ok(match Position::load(run)? {
        None => "without a checkpoint yet".into(),
        Some(position) => {
            let step = position.step;
            match position.end {
                Some(End::Finished | End::StoppedEarly | End::OutOfTime) => {
                    format!("finished after {step} steps")
                }
                Some(End::Interrupted) | None => format!("ended at step {step}"),
            }
        }
    })
}

/// Limits at which a run ends: one that goes on may have larger ones.
const LIMITS: [&str; 3] = ["epochs", "max_steps", "patience"];

/// Whether only a run's end moves, and it moves away.
fn is_larger_limit(name: &str, before: &Settings, now: &Settings) -> bool {
    let number = |settings: &Settings| settings.get(name)?.as_u64();
    LIMITS.contains(&name) && number(before).zip(number(now)).is_some_and(|(a, b)| a < b)
}

/// What differs between the settings that were and those that are asked for, larger limits left out.
fn differences(before: &Settings, now: &Settings) -> Vec<String> {
    let names = before
        .keys()
        .chain(now.keys().filter(|name| !before.contains_key(*name)));
    let text = |value: Option<&serde_json::Value>| match value {
        None | Some(serde_json::Value::Null) => "not given".into(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let differing = names
        .filter(|name| before.get(*name) != now.get(*name))
        .filter(|name| !is_larger_limit(name, before, now));
    differing
        .map(|name| {
            let (was, is) = (text(before.get(name)), text(now.get(name)));
            format!("{name} was {was}, now it is {is}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_may_only_grow() {
        let of = |json: serde_json::Value| json.as_object().expect("an object").clone();
        let told = |before, now| differences(&of(before), &of(now));
        let json = |max_steps: u64| serde_json::json!({"max_steps": max_steps, "seed": 0});
        assert!(told(json(10), json(20)).is_empty());
        let smaller = told(json(20), json(10));
        assert_eq!(smaller, ["max_steps was 20, now it is 10"]);
        let seeds = told(
            serde_json::json!({"seed": 0}),
            serde_json::json!({"seed": 1}),
        );
        assert_eq!(seeds, ["seed was 0, now it is 1"]);
    }

    fn settings(rate: f64) -> Settings {
        let json = serde_json::json!({"lr": rate, "seed": 0});
        json.as_object().expect("an object").clone()
    }

    fn begin(path: &Path, on_existing: OnExisting) -> Result<RunFolder, TrainError> {
        let folder = RunFolder::open(path, &settings(0.5), on_existing)?;
        folder.begin(&RunConfig {
            posedata_version: "0".into(),
            settings: settings(0.5),
            metadata: Settings::new(),
        })?;
        Ok(folder)
    }

    #[test]
    fn a_run_is_resumed_or_replaced_only_when_that_is_asked_for() {
        let models = tempfile::tempdir().expect("a folder");
        let path = models.path().join("gait");
        let first = begin(&path, OnExisting::Resume).expect("a new run");
        let error = begin(&path, OnExisting::Resume).err().expect("in use");
        assert!(matches!(error, TrainError::InUse { .. }), "{error}");
        drop(first);
        let error = begin(&path, OnExisting::Refuse).err().expect("a run");
        assert!(error.to_string().contains("--resume"), "{error}");
        begin(&path, OnExisting::Resume).expect("the same run");
        let error = RunFolder::open(&path, &settings(0.25), OnExisting::Resume);
        let error = error.err().expect("another learning rate").to_string();
        assert!(error.contains("lr was 0.5, now it is 0.25"), "{error}");
        fs::write(path.join("old"), "").expect("a file");
        begin(&path, OnExisting::Overwrite).expect("a new run");
        assert!(!path.join("old").exists());
    }

    #[test]
    fn other_folders_are_left_alone() {
        let models = tempfile::tempdir().expect("a folder");
        fs::write(models.path().join("mine"), "").expect("a file");
        for on_existing in [
            OnExisting::Refuse,
            OnExisting::Resume,
            OnExisting::Overwrite,
        ] {
            let error = begin(models.path(), on_existing).err().expect("no run");
            assert!(matches!(error, TrainError::NotARun { .. }), "{error}");
        }
    }
}
