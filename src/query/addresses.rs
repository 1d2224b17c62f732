//! Which addresses SQL may name where the lake's files lie in a bucket.
//!
//! DuckDB compares an address with the prefix that it may read letter by letter, and leads paths with
//! `..` out of folders, but not out of prefixes: `s3://clips/data/../else.csv` begins as the lake's
//! files do, and what it means is up to the client that sends it and to the store. So in such a lake
//! an address is written out, without anything that could mean a way up; an address that SQL computes
//! cannot be looked at before it is used.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Beginnings of the names of functions that read files.
const READING_PREFIXES: [&str; 4] = ["glob", "parquet_", "read_", "sniff_"];
/// How lists are written: `[…]`, and `list_value(…)`, which it stands for.
const LISTS: [&str; 2] = ["list_value", "ARRAY_CONSTRUCTOR"];
/// What all addresses have behind their scheme.
const SCHEME_END: &str = "://";

/// What of a table function's call is not allowed, in words.
pub fn refused_in_call(call: &Value) -> Option<String> {
    let name = call["function_name"].as_str()?.to_ascii_lowercase();
    if !READING_PREFIXES.iter().any(|first| name.starts_with(first)) {
        return None;
    }
    let arguments = call["children"].as_array().into_iter().flatten();
    let mut paths = arguments.filter(|argument| !is_named(argument));
    paths.find_map(|path| refused_path(&name, path))
}

/// What of a table's name is not allowed, in words; `parts` are catalog, schema and table, of which the
/// first two may be empty. Names that no table has are read as paths, whose dots part them.
pub fn refused_name(parts: [&str; 3]) -> Option<String> {
    let named: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let name = named.join(".");
    (!is_plain(&name)).then(|| not_plain(&name))
}

/// Whether an argument is a setting, as `delim = ','` or `delim => ','`.
fn is_named(argument: &Value) -> bool {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let names = &argument["left"]["column_names"];
    !text(argument, "alias").is_empty()
        || text(argument, "type") == "COMPARE_EQUAL"
            && names.as_array().is_some_and(|names| names.len() == 1)
}

fn refused_path(function: &str, path: &Value) -> Option<String> {
    let kind = path["function_name"].as_str().or(path["type"].as_str());
    match kind {
        Some("VALUE_CONSTANT") => {
            // What is no text is no path.
            let text = path["value"]["value"].as_str()?;
            (!is_plain(text)).then(|| not_plain(text))
        }
        Some(kind) if LISTS.contains(&kind) => {
            let mut items = path["children"].as_array().into_iter().flatten();
            items.find_map(|item| refused_path(function, item))
        }
        _ => Some(format!("a path of {function} that is not written out")),
    }
}

fn not_plain(address: &str) -> String {
    format!("an address with empty parts, dots alone, ? or \\ ({address})")
}

/// Whether a text is no address, or one in which nothing could mean a way up or a setting, however often
/// it is decoded.
fn is_plain(text: &str) -> bool {
    let Some((_, below)) = text.split_once(SCHEME_END) else {
        return true;
    };
    let below = below.strip_suffix('/').unwrap_or(below);
    let decoded = decoded(below);
    let mut decoded_parts = decoded.split(['/', '\\']);
    !below.contains(['?', '\\'])
        && below.split('/').all(|part| !part.is_empty())
        && decoded_parts.all(|part| !matches!(part, "." | ".."))
}

fn decoded(text: &str) -> String {
    let mut decoded = text.to_owned();
    loop {
        let further = percent_decode_str(&decoded).decode_utf8_lossy();
        if further == decoded {
            return decoded;
        }
        decoded = further.into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_lead_out_of_a_prefix_is_not_plain() {
        for address in [
            "s3://lakes/data/../a.csv",
            "s3://lakes/data/./../a.csv",
            "s3://lakes/data//../a.csv",
            "s3://lakes/data/x/..",
            "s3://lakes/data/%2e%2E/a.csv",
            "s3://lakes/data/.%2e/a.csv",
            "s3://lakes/data/%252e%252e/a.csv",
            "s3://lakes/data%2F..%2fa.csv",
            "s3://lakes/data/..%5ca.csv",
            "s3://lakes/data/..\\a.csv",
            "s3://lakes/data/a.csv?s3_endpoint=elsewhere",
            "S3://lakes/data/../a.csv",
        ] {
            assert!(!is_plain(address), "{address}");
        }
    }

    #[test]
    fn the_lake_s_own_files_can_be_named() {
        for address in [
            "s3://lakes/data/main/metrics/sport=ski%20jump/*.parquet",
            "s3://lakes/data/main/metrics/sport=50%25/a..b.parquet",
            "s3://lakes/data/",
            "videos",
            "../a.csv",
        ] {
            assert!(is_plain(address), "{address}");
        }
    }

    #[test]
    fn a_name_in_parts_is_looked_at_as_a_whole() {
        assert!(refused_name(["", "s3://lakes/data/.", "/a.csv"]).is_some());
        assert!(refused_name(["s3://lakes/data/", "", "/a.csv"]).is_some());
        assert_eq!(refused_name(["lake", "main", "videos"]), None);
        assert_eq!(refused_name(["", "", "s3://lakes/data/a.parquet"]), None);
    }
}
