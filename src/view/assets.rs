//! The page: its files are inside the program.

use std::sync::LazyLock;

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The file that `/` gives.
pub const INDEX: &str = "index.html";

/// Types by the endings of names.
const MEDIA_TYPES: [(&str, &str); 8] = [
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
];

/// A file of the page.
#[derive(Debug)]
pub struct Asset {
    name: &'static str,
    /// For the header of the answer.
    pub media_type: &'static str,
    /// The whole content.
    pub bytes: &'static [u8],
    /// Changes with the content.
    pub etag: String,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let assets = PAGE.iter().filter_map(|(name, bytes)| {
        let (_, ending) = name.rsplit_once('.')?;
        let (_, media_type) = MEDIA_TYPES.iter().find(|(known, _)| *known == ending)?;
        Some(Asset {
            name,
            media_type,
            bytes,
            etag: super::answer::etag_of(bytes),
        })
    });
    assets.collect()
});

/// The file of a name.
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_files_that_are_there() {
        let index = find(INDEX).expect("the page");
        let text = std::str::from_utf8(index.bytes).expect("a text");
        let names = text.split("/assets/").skip(1).map(|rest| {
            let end = rest.find(['"', '\'', '?', '#']);
            &rest[..end.unwrap_or(rest.len())]
        });
        let names: Vec<&str> = names.collect();
        assert!(!names.is_empty());
        for name in names {
            assert!(find(name).is_some(), "{name}");
        }
        assert!(find("../Cargo.toml").is_none() && find("").is_none());
    }

    #[test]
    fn every_module_is_fetched_before_it_is_imported() {
        let index = find(INDEX).expect("the page");
        let text = std::str::from_utf8(index.bytes).expect("a text");
        for (name, bytes) in PAGE {
            // What is no module imports nothing, and is imported by none.
            let is_module = name.ends_with(".js") && *name != "uplot.js";
            assert!(
                !is_module || text.contains(&format!("/assets/{name}\"")),
                "{name}"
            );
            let source = String::from_utf8_lossy(bytes);
            for import in source.split("from './").skip(1).filter(|_| is_module) {
                let end = import.find('\'').expect("a quote");
                assert!(find(&import[..end]).is_some(), "{name}: {}", &import[..end]);
            }
        }
    }
}
