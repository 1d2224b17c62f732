//! Where stores have the content of videos that are in the lake: the table `sources`.

use std::collections::{HashMap, HashSet};

use duckdb::Connection;

use super::catalog::Access;
use super::error::LakeError;
use super::session::Lake;
use super::sql::{insert_all, is_missing_table, owned, quoted_text, row};

/// Paths that are named in one statement.
const PATHS_OF_STATEMENT: usize = 1000;

/// A place in a store where the content of a video lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VideoSource {
    /// Its address, as everybody may see it.
    pub path: String,
    /// What the store called this content when it was fetched.
    pub source_etag: String,
}

impl Lake {
    /// Where stores have the content of videos beside the addresses that the videos are known by, by the
    /// videos' ids; none in a lake of a format without them.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn sources(&self) -> Result<HashMap<String, Vec<VideoSource>>, LakeError> {
        self.with_catalog(Access::ReadOnly, sources)
    }

    /// Writes down that stores have the content of videos, by their ids, at these places, in one
    /// transaction. What is known of the places goes, and so does what is said of videos that the lake
    /// has no more.
    ///
    /// # Errors
    /// When the commit fails; then the lake is as it was.
    pub fn record_sources(&self, sources: &[(String, VideoSource)]) -> Result<(), LakeError> {
        // Of a place the last word counts.
        let by_path: HashMap<&str, _> = (sources.iter())
            .map(|(video_id, source)| (source.path.as_str(), (video_id, source)))
            .collect();
        self.transaction(|connection| {
            let paths: Vec<String> = by_path.keys().map(|path| quoted_text(path)).collect();
            for paths in paths.chunks(PATHS_OF_STATEMENT) {
                let delete = format!("DELETE FROM sources WHERE path IN ({})", paths.join(", "));
                connection.execute_batch(&delete)?;
            }
            let video_ids = video_ids(connection)?;
            let known = (by_path.values()).filter(|(video_id, _)| video_ids.contains(*video_id));
            let rows = known.map(|(video_id, source)| {
                owned(row! {
                    video_id: *video_id,
                    path: source.path,
                    source_etag: source.source_etag,
                })
            });
            insert_all(connection, "sources", &rows.collect::<Result<Vec<_>, _>>()?)
        })
    }
}

fn video_ids(connection: &Connection) -> Result<HashSet<String>, LakeError> {
    let mut statement = connection.prepare("SELECT video_id FROM videos")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All places of videos, by the videos' ids; none in a lake of a format without them.
pub(super) fn sources(
    connection: &Connection,
) -> Result<HashMap<String, Vec<VideoSource>>, LakeError> {
    let mut statement = match connection.prepare("SELECT video_id, path, source_etag FROM sources")
    {
        Err(error) if is_missing_table(&error) => return Ok(HashMap::new()),
        prepared => prepared?,
    };
    let rows = statement.query_map([], |row| {
        let source = VideoSource {
            path: row.get(1)?,
            source_etag: row.get(2)?,
        };
        Ok((row.get::<_, String>(0)?, source))
    })?;
    let mut sources: HashMap<String, Vec<VideoSource>> = HashMap::new();
    for row in rows {
        let (video_id, source) = row?;
        sources.entry(video_id).or_default().push(source);
    }
    Ok(sources)
}
