//! Files that are part of the program: queries, recipes, schemas, skeletons. So a program that was installed
//! somewhere has them too; a file of the user's own at the same path wins.

use std::path::{Component, Path, PathBuf};

/// A file as it stood in the repository when the program was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShippedFile {
    /// From the repository's top, with `/` between its parts: `queries/velocity.sql`.
    pub path: &'static str,
    /// The whole content.
    pub text: &'static str,
}

/// What a shipped file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShippedKind {
    /// SQL for `posedata query` and `posedata plot`.
    Query,
    /// A recipe of `posedata dataset build`: SQL, its template, or a template that several share.
    Recipe,
    /// A question of `posedata ask`: SQL, its template, or a template that several share.
    Question,
    /// The definition of one of the lake's tables, or of an exported file.
    Schema,
    /// What the joints of a pose model are, for `posedata ingest --skeleton`.
    Skeleton,
}

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// All files, ordered by path.
pub fn files() -> &'static [ShippedFile] {
    SHIPPED
}

/// The file at a path such as `queries/velocity.sql`, or, where that is shorter, of a query's name
/// with or without its suffix (`velocity`).
pub fn find(path: &Path) -> Option<&'static ShippedFile> {
    let parts = normal_parts(path)?;
    let whole = parts.join("/");
    let by_path = files().iter().find(|file| file.path == whole);
    by_path.or_else(|| {
        let [name] = parts.as_slice() else {
            return None;
        };
        files().iter().find(|file| {
            let is_query = file.kind() == ShippedKind::Query;
            is_query && (file.name() == *name || file.stem() == *name)
        })
    })
}

/// The files that lie directly in a folder, such as `queries/instruct`, ordered by path.
pub fn folder(path: &Path) -> Vec<&'static ShippedFile> {
    let Some(parts) = normal_parts(path) else {
        return Vec::new();
    };
    let prefix = format!("{}/", parts.join("/"));
    let in_folder = |file: &&ShippedFile| {
        let rest = file.path.strip_prefix(&prefix);
        rest.is_some_and(|rest| !rest.contains('/'))
    };
    files().iter().filter(in_folder).collect()
}

/// The parts of a relative path; `None` where it leads up, or begins at the root.
fn normal_parts(path: &Path) -> Option<Vec<&str>> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect()
}

impl ShippedFile {
    /// Goes by the folder that the file lies in.
    pub fn kind(&self) -> ShippedKind {
        if self.path.starts_with("schemas/") {
            ShippedKind::Schema
        } else if self.path.starts_with("skeletons/") {
            ShippedKind::Skeleton
        } else if self.path.starts_with("queries/instruct/") {
            ShippedKind::Recipe
        } else if self.path.starts_with("queries/ask/") {
            ShippedKind::Question
        } else {
            ShippedKind::Query
        }
    }

    /// The last part of the path.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// The name up to its first dot.
    pub fn stem(&self) -> &'static str {
        let name = self.name();
        name.split('.').next().unwrap_or(name)
    }

    /// Where the file lies below `folder`, once it is copied there.
    pub fn path_in(&self, folder: &Path) -> PathBuf {
        folder.join(self.path)
    }

    /// What the file's first line of comment says; empty where it has none.
    pub fn about(&self) -> &'static str {
        let mark = match self.kind() {
            ShippedKind::Skeleton => "# ",
            _ => "-- ",
        };
        let first = self.text.lines().find_map(|line| line.strip_prefix(mark));
        first.unwrap_or_default().trim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_found_by_its_path_and_by_its_name() {
        let velocity = find(Path::new("queries/velocity.sql")).expect("a shipped query");
        assert_eq!(velocity.kind(), ShippedKind::Query);
        assert!(velocity.text.contains("landmark_speed"));
        for other in ["./queries/velocity.sql", "velocity.sql", "velocity"] {
            assert_eq!(find(Path::new(other)), Some(velocity), "{other}");
        }
        // A recipe is not run by its bare name.
        assert!(find(Path::new("queries/instruct/read_value.sql")).is_some());
        for nothing in ["read_value", "/queries/velocity.sql", "../velocity.sql", ""] {
            assert_eq!(find(Path::new(nothing)), None, "{nothing}");
        }
    }

    #[test]
    fn a_folder_holds_its_own_files_alone() {
        let recipes = folder(Path::new("./queries/instruct"));
        assert!(recipes.iter().any(|file| file.name() == "read_value.jinja"));
        let queries = folder(Path::new("queries"));
        assert!(queries.iter().all(|file| file.kind() == ShippedKind::Query));
        assert!(!queries.is_empty());
        assert!(folder(Path::new("nowhere")).is_empty());
    }

    #[test]
    fn every_query_says_what_it_answers() {
        let queries = files().iter().filter(|f| f.kind() == ShippedKind::Query);
        for query in queries {
            assert!(!query.about().is_empty(), "{}", query.path);
        }
    }
}
