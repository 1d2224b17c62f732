//! Where an example comes from: its video, its recipe, and whether the recipe still gives its facts.

use std::path::Path;

use serde::Serialize;

use super::build::facts_at;
use super::{Dataset, DatasetError, DatasetKind, Example};
use crate::lake::Lake;
use crate::text::shell_word;

/// Where an example comes from.
#[derive(Clone, Debug, Serialize)]
pub struct Trace<'a> {
    /// As the dataset has it.
    pub example: &'a Example,
    /// Version of the lake that the facts were read from.
    pub lake_snapshot: u64,
    /// `None` where it has been removed from the lake.
    pub video: Option<VideoFacts>,
    /// The one that found the facts, whoever wrote the words; `None` where its record is lost.
    pub recipe: Option<RecipeFacts<'a>>,
    /// Whether the recipe, run again on that snapshot, gives the same facts; `None` where that
    /// could not be tried.
    pub same_facts: Option<bool>,
    /// Why it could not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_tried: Option<String>,
}

/// The video that an example is about.
#[derive(Clone, Debug, Serialize)]
pub struct VideoFacts {
    /// Where the file was when it was ingested.
    pub path: String,
    /// Name of the landmark model.
    pub pose_model: String,
    /// Of that model's file, in hexadecimal digits.
    pub pose_model_sha256: String,
}

/// The recipe that made an example.
#[derive(Clone, Debug, Serialize)]
pub struct RecipeFacts<'a> {
    /// Of the file's bytes, in hexadecimal digits.
    pub sql_blake3: &'a str,
    /// Of the file's bytes, in hexadecimal digits.
    pub template_blake3: &'a str,
    /// As it was used; empty where the dataset has lost the file.
    pub sql: &'a str,
}

/// Finds out where an example of a dataset, whose folder is `folder`, comes from.
///
/// # Errors
/// When the recipe is broken.
pub fn trace<'a>(
    lake: &Lake,
    dataset: &'a Dataset,
    folder: &Path,
    example: &'a Example,
) -> Result<Trace<'a>, DatasetError> {
    // The video may have been removed from the lake since.
    let videos = lake.find_videos(std::slice::from_ref(&example.lineage.video_id));
    let video = videos.ok().and_then(|mut videos| videos.pop());
    let recipes = dataset.manifest.recipes.iter();
    let recipe = recipes
        .clone()
        .find(|recipe| recipe.task == example.recipe());
    let recipe = recipe.map(|recipe| RecipeFacts {
        sql_blake3: &recipe.sql_blake3,
        template_blake3: &recipe.template_blake3,
        sql: (dataset.recipe_files)
            .get(&format!("{}.sql", recipe.task))
            .map_or("", String::as_str),
    });
    let is_call = dataset.manifest.kind == DatasetKind::Calls;
    let again = match recipe {
        Some(_) if !is_call => facts_at(lake, &dataset.manifest, &folder.join("recipes"), example),
        _ => Ok(Vec::new()),
    };
    let (same_facts, not_tried) = match again {
        _ if recipe.is_none() => (None, Some("no recipe made it".into())),
        _ if is_call => {
            let how = format!(
                "it holds a call and no facts; `posedata ask --call {}` runs it",
                shell_word(&example.answer)
            );
            (None, Some(how))
        }
        Ok(facts) => (Some(facts.contains(&example.facts)), None),
        Err(error @ (DatasetError::Lake(_) | DatasetError::Query(_))) => {
            (None, Some(error.to_string()))
        }
        Err(error) => return Err(error),
    };
    Ok(Trace {
        example,
        lake_snapshot: dataset.manifest.lake_snapshot,
        video: video.map(|record| VideoFacts {
            path: record.path,
            pose_model: record.pose_model,
            pose_model_sha256: record.pose_model_sha256,
        }),
        recipe,
        same_facts,
        not_tried,
    })
}
