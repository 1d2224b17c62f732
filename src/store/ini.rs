//! AWS's own files: sections of names and values.

use std::collections::HashMap;

/// The values of one section; `None` where the file has no such section.
///
/// Comments begin with `#` or `;` at a line's beginning. Lines that are set in belong to the value
/// above (a nested setting), and are passed over.
pub(super) fn section(text: &str, name: &str) -> Option<HashMap<String, String>> {
    let mut values = None;
    let mut is_inside = false;
    for line in text.lines() {
        let is_set_in = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[').and_then(|l| l.split_once(']')) {
            is_inside = header.0.split_whitespace().collect::<Vec<_>>().join(" ") == name;
            if is_inside {
                values.get_or_insert_with(HashMap::new);
            }
        } else if is_inside
            && !is_set_in
            && let Some((key, value)) = line.split_once('=')
            && let Some(values) = &mut values
        {
            values.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_s_values_are_read() {
        let text = "# keys\n[default]\naws_access_key_id=A\n\n[ profile  lab ]\nregion = eu-1\ns3 =\n  addressing_style = path\n; no\nendpoint_url=http://localhost:1\n[default]\naws_secret_access_key = b=c\n";
        let default = section(text, "default").expect("a section");
        assert_eq!(default["aws_access_key_id"], "A");
        assert_eq!(default["aws_secret_access_key"], "b=c");
        let lab = section(text, "profile lab").expect("a section");
        assert_eq!(lab["region"], "eu-1");
        assert_eq!(lab["endpoint_url"], "http://localhost:1");
        assert!(!lab.contains_key("addressing_style"));
        assert_eq!(section(text, "lab"), None);
    }
}
