//! The documents are true as far as a program can tell: links lead somewhere, what is generated is
//! current, what is named exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{command, stderr, stdout};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All Markdown files of the repository: those at its root, in docs, and those beside tests.
fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "tests/goldens", "tests/fixtures"];
    let folders = folders.map(|folder| Path::new(ROOT).join(folder));
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let mut documents: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    documents.sort();
    assert!(documents.len() > 10, "{documents:?}");
    documents
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{e}: {}", path.display()))
}

fn document(name: &str) -> String {
    read(&Path::new(ROOT).join(name))
}

/// The lines of a document outside code blocks, fenced or indented.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    text.lines().filter(move |line| {
        if line.starts_with("```") {
            is_fenced = !is_fenced;
            return false;
        }
        !is_fenced && !line.starts_with("    ")
    })
}

/// Targets of the links and pictures in a document: what stands between `](` and `)`.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        // A link's words may be code, its target is not.
        let parts: Vec<&str> = line.split("](").skip(1).collect();
        let targets = parts.iter().filter_map(|part| part.split_once(')'));
        links.extend(targets.map(|(target, _)| target.to_owned()));
    }
    links
}

/// The names under which a document's headings can be linked to, made as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let titles = headings.map(|line| line.trim_start_matches('#').trim());
    let mut anchors = BTreeSet::new();
    for title in titles {
        let kept = title.to_lowercase();
        let kept = kept.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            _ if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        });
        anchors.insert(kept.collect());
    }
    anchors
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    let mut count = 0;
    for path in documents() {
        let text = read(&path);
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = path.parent().expect("a folder");
            let target = match file {
                "" => path.clone(),
                _ => folder.join(file),
            };
            let leads =
                target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(count > 50, "{count} links");
    assert_eq!(broken, Vec::<String>::new());
}

/// What the program prints of itself, in surroundings that must not matter.
#[track_caller]
fn reference(more: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command(folder.path())
        .arg("reference")
        .args(more)
        .env("COLUMNS", "40")
        .env("POSEDATA_LAKE", "/elsewhere")
        .env("POSEDATA_LOCK_TIMEOUT", "7")
        .env("POSEDATA_CORES", "1")
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn the_reference_of_commands_is_what_the_program_prints() {
    assert!(
        document("docs/reference.md") == reference(&[]),
        "docs/reference.md is old; run `make docs`"
    );
}

#[test]
fn the_lakes_tables_are_what_the_schemas_say() {
    assert!(
        document("docs/lake-tables.md") == reference(&["--tables"]),
        "docs/lake-tables.md is old; run `make docs`"
    );
}

#[test]
fn the_specifications_are_those_of_the_formats_in_use() {
    let versions = [
        (
            "docs/lake-format.md",
            posedata::lake::FORMAT_VERSION.to_string(),
        ),
        (
            "docs/dataset-format.md",
            posedata::dataset::FORMAT_VERSION.to_string(),
        ),
    ];
    for (name, version) in versions {
        let text = document(name);
        assert!(
            text.contains(&format!("\nVersion {version}.\n")),
            "{name}: {version}"
        );
        // What each version brought is told, of the newest too.
        assert!(
            text.contains(&format!("\n| {version} | ")),
            "{name}: {version}"
        );
    }
}

#[test]
fn the_reference_has_every_option_of_every_command() {
    let text = document("docs/reference.md");
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("## posedata "));
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 15, "{names:?}");
    let (_, of_all) = text
        .split_once("\n## Options of all commands\n")
        .expect("a section");
    let of_all = of_all.split("\n## ").next().unwrap_or_default();
    let folder = tempfile::tempdir().expect("a folder");
    for name in names {
        let (_, section) = text
            .split_once(&format!("\n## posedata {name}\n"))
            .expect("a section");
        let section = section.split("\n## ").next().unwrap_or_default();
        let help = command(folder.path())
            .args([name, "--help"])
            .output()
            .expect("the program starts");
        let help = stdout(&help);
        let (_, after_usage) = help.split_once("Usage:").expect("a usage");
        let words = after_usage.split_whitespace();
        for option in words.filter_map(|word| word.strip_prefix("--")) {
            let option = option.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if ["help", "version", ""].contains(&option) {
                continue;
            }
            let named = format!("--{option}");
            let is_there = section.contains(&named) || of_all.contains(&named);
            assert!(is_there, "{name}: {named}");
        }
    }
}

#[test]
fn the_readme_is_one_page_that_names_every_command_and_how_to_test() {
    let readme = document("README.md");
    let lines = readme.lines().count();
    assert!(lines <= 150, "{lines} lines");
    for line in document("docs/reference.md").lines() {
        if let Some(name) = line.strip_prefix("## posedata ") {
            assert!(readme.contains(&format!("`posedata {name}")), "{name}");
        }
    }
    // The command by which the suite is run, wherever it is run.
    assert!(readme.contains("make test "));
    let ci = document(".ci/run");
    assert!(ci.lines().any(|line| line.trim() == "make test"), "{ci}");
}

#[test]
fn what_the_documents_say_of_make_exists() {
    let makefile = document("Makefile");
    let is_target = |name: &str| makefile.lines().any(|l| l.starts_with(&format!("{name}:")));
    for path in documents() {
        if path.ends_with("CHANGELOG.md") {
            continue;
        }
        let text = read(&path);
        for words in text.split("`make ").skip(1) {
            let name = words.split(['`', ' ', '\n']).next().unwrap_or_default();
            assert!(is_target(name), "{}: make {name}", path.display());
        }
    }
}

#[test]
fn the_architecture_names_files_that_exist_and_all_folders() {
    let text = document("ARCHITECTURE.md");
    let source = Path::new(ROOT).join("src");
    let folders = [
        "src",
        "tests",
        "queries",
        "schemas",
        "models",
        "benches",
        "scripts",
        "python",
        "assets",
        "skeletons",
    ];
    let mut paths = vec![Path::new(ROOT).join("build.rs")];
    for folder in folders {
        let entries = walkdir::WalkDir::new(Path::new(ROOT).join(folder)).into_iter();
        paths.extend(entries.map(|entry| entry.expect("an entry").into_path()));
    }
    let mut count = 0;
    for line in prose(&text) {
        for name in line.split('`').skip(1).step_by(2) {
            let is_path = name.ends_with(".rs") || name.ends_with('/');
            if !is_path || name.contains(' ') {
                continue;
            }
            count += 1;
            // Files beside one that was named before are named without their folder.
            let is_it = |path: &PathBuf| path.ends_with(name.trim_end_matches('/'));
            assert!(paths.iter().any(is_it), "{name}");
        }
    }
    assert!(count > 50, "{count} names");
    for entry in fs::read_dir(&source).expect("the source") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            let name = format!("`src/{}/`", entry.file_name().to_string_lossy());
            assert!(text.contains(&name), "{name}");
        }
    }
}

#[test]
fn headings_and_links_are_read_as_github_reads_them() {
    let text = "# The `lake`, or: it\n```sh\n# no heading [a](b)\n```\nSee [`x`](y.md#z) and [w](#v).\n    [c](d)\n";
    assert_eq!(links(text), ["y.md#z", "#v"]);
    let anchors: Vec<String> = anchors(text).into_iter().collect();
    assert_eq!(anchors, ["the-lake-or-it"]);
}
