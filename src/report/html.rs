//! The report's page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::content::{
    CURVES, Cell, KEY_FRAMES, NUMBERS, Picture, QUALITY, RECORDINGS, Report, SYMMETRY, Table,
    decimal_text, number_text,
};
use super::curves::panels;

const STYLE: &str = include_str!("report.css");

/// Of differences in percent.
const PERCENT_DECIMALS: usize = 1;
/// Heights that are more uncertain than this are warned of.
const UNSURE_PERCENT: f64 = 25.0;
/// What the quality's statement gives for warnings alone.
const FOR_WARNINGS: [&str; 3] = ["jumps", "jumps_without_height", "height_uncertain_percent"];

/// What a reader has to know before believing a number.
const LIMITS: [&str; 7] = [
    "One camera sees the picture's plane only. Angles and lengths are right for movement across the picture; whoever turns, or walks towards the camera, is measured too small.",
    "Contacts of feet are told in side view only. Where a number is missing, the view, hidden feet or an unknown scale did not carry it; nothing was guessed.",
    "Positions come from a pose model, not from markers. A joint's angle is off by about 5 to 10 degrees; differences within one recording are more reliable than the angle itself.",
    "Times are as fine as the frame rate: at 30 frames a second a contact is known to about 0.03 s. A difference that is smaller than this, or than the standard deviation, says nothing.",
    "A height by the flight time is right only for who lands as they took off; bent knees at landing make it larger.",
    "Lengths in metres hold at the person's usual distance from the camera, with the height that was given.",
    "This report describes a movement. It is no diagnosis, and no medical device made it.",
];

/// The report as one HTML file; `pictures` by video.
pub fn page(report: &Report, pictures: &[(String, Vec<Picture>)]) -> String {
    let title = escaped(&report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    let groups: Vec<String> = (report.groups.iter())
        .map(|group| format!("<b>{}</b>", escaped(&group.name)))
        .collect();
    if groups.len() > 1 {
        let _ = write!(
            page,
            "<p class=\"lead\">Compared: {}. Differences are the second minus the first.</p>",
            groups.join(" and ")
        );
    }
    let left_out: &[&str] = match has_names_of_files(report) {
        true => &["group_number", "group_name"],
        false => &["group_number"],
    };
    section(
        &mut page,
        "Recordings",
        &named(&report.recordings, left_out, &[]),
    );
    if !pictures.is_empty() {
        section(&mut page, "Pictures", &picture_rows(pictures));
    }
    section(&mut page, "Numbers", &numbers(report));
    section(&mut page, "Curves", &curves(report));
    if !report.symmetry.rows.is_empty() {
        let text = "<p>Difference = left - right; ratio = left / right; symmetry index = 100 (left - right) / (0.5 (left + right)): 0 % is alike, 10 % is often taken for the limit of what is usual.</p>";
        let table = named(&report.symmetry, &[], &[]);
        section(&mut page, "Left and right", &format!("{text}{table}"));
    }
    section(&mut page, "How far this can be trusted", &quality(report));
    let limits: String = LIMITS
        .iter()
        .map(|limit| format!("<li>{limit}</li>"))
        .collect();
    section(&mut page, "Limits", &format!("<ul>{limits}</ul>"));
    let _ = writeln!(
        page,
        "<section class=\"sources\"><h2>Where the numbers come from</h2>{}</section>",
        sources(report)
    );
    let _ = writeln!(
        page,
        "<footer>Made by posedata {}.</footer></body></html>",
        env!("CARGO_PKG_VERSION")
    );
    page
}

/// Whether groups are single recordings, so that their names would only say again what the files' say.
fn has_names_of_files(report: &Report) -> bool {
    let table = &report.recordings;
    (0..table.rows.len()).all(|row| table.text(row, "group_name") == table.text(row, "file_name"))
}

fn section(page: &mut String, title: &str, content: &str) {
    let _ = writeln!(page, "<section><h2>{title}</h2>{content}</section>");
}

/// A table with its columns' names as people read them, without those in `left_out`.
fn named(table: &Table, left_out: &[&str], renamed: &[(&str, &str)]) -> String {
    let shown: Vec<usize> = (0..table.columns.len())
        .filter(|i| !left_out.contains(&table.columns[*i].as_str()))
        .collect();
    let mut html = String::from("<table><thead><tr>");
    for i in &shown {
        let column = table.columns[*i].as_str();
        let name = renamed.iter().find(|(from, _)| *from == column);
        let name = name.map_or_else(|| words(column), |(_, to)| escaped(to));
        let _ = write!(html, "<th>{name}</th>");
    }
    html += "</tr></thead><tbody>";
    for row in &table.rows {
        html += "<tr>";
        for i in &shown {
            html += &cell(&row[*i]);
        }
        html += "</tr>";
    }
    html + "</tbody></table>"
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Null => "<td class=\"none\">&ndash;</td>".into(),
        Cell::Number(value) => {
            format!("<td class=\"number\">{}</td>", number_text(*value))
        }
        Cell::Text(text) if is_short(text) => {
            format!("<td class=\"short\">{}</td>", escaped(text))
        }
        Cell::Text(text) => format!("<td>{}</td>", escaped(text)),
    }
}

/// Dates, sizes and the like do not go over two lines.
fn is_short(text: &str) -> bool {
    const MAX_SHORT_CHARS: usize = 12;
    text.chars().count() <= MAX_SHORT_CHARS
}

/// A column's name in words: `good_percent` is "good %".
fn words(column: &str) -> String {
    let column = column.replace("_percent", " %").replace("_secs", " (s)");
    escaped(&column.replace("_px", " (px)").replace('_', " "))
}

fn numbers(report: &Report) -> String {
    let table = &report.numbers;
    if table.rows.is_empty() {
        return "<p>No strides, jumps or repetitions were found in these recordings.</p>".into();
    }
    let name = |number: usize| (report.groups.get(number)).map(|group| escaped(&group.name));
    let is_pair = report.groups.len() > 1;
    let mut html = String::new();
    let mut heading = String::new();
    for row in 0..table.rows.len() {
        let kind = match table.text(row, "angle").as_str() {
            "" => title_of(&table.text(row, "kind")),
            angle => format!("Repetitions: {}", words(angle.trim_end_matches("_deg"))),
        };
        if kind != heading {
            if !heading.is_empty() {
                html += "</tbody></table>";
            }
            let _ = write!(
                html,
                "<h3>{kind}</h3><table><thead><tr><th>quantity</th><th>side</th>"
            );
            for number in 0..report.groups.len() {
                let name = name(number).unwrap_or_default();
                let name = if is_pair {
                    name
                } else {
                    "mean &plusmn; SD".into()
                };
                let _ = write!(html, "<th class=\"name\">{name}</th><th>n</th>");
            }
            if is_pair {
                html += "<th>difference</th><th>in %</th>";
            }
            html += "<th>what it means</th></tr></thead><tbody>";
            heading = kind;
        }
        html += "<tr>";
        html += &cell(table.cell(row, "quantity"));
        html += &cell(table.cell(row, "side"));
        let decimals = table.number(row, "decimals").unwrap_or_default() as usize;
        let decimal = |value: f64| decimal_text(value, decimals);
        for number in 1..=report.groups.len() {
            let column = |name: &str| format!("{name}{number}");
            let value = |name: &str| Some(decimal(table.number(row, &column(name))?));
            let text = match (value("mean"), value("sd")) {
                (None, _) => "&ndash;".into(),
                (Some(mean), None) => mean,
                (Some(mean), Some(sd)) => format!("{mean} &plusmn; {sd}"),
            };
            let count = table.text(row, &column("n"));
            let _ = write!(
                html,
                "<td class=\"number\">{text}</td><td class=\"number\">{count}</td>"
            );
        }
        if is_pair {
            let difference = table.number(row, "difference").map(decimal);
            let percent = table.number(row, "difference_percent");
            let percent = percent.map(|value| decimal_text(value, PERCENT_DECIMALS));
            for text in [difference, percent] {
                let text = text.unwrap_or_else(|| "&ndash;".into());
                let _ = write!(html, "<td class=\"number\">{text}</td>");
            }
        }
        let meaning = table.text(row, "meaning");
        let _ = write!(
            html,
            "<td class=\"meaning\">{}</td></tr>",
            escaped(&meaning)
        );
    }
    html + "</tbody></table>"
}

fn title_of(kind: &str) -> String {
    match kind {
        "walk" => "Walking".into(),
        "run" => "Running".into(),
        "jump" => "Jumps".into(),
        "repetition" => "Repetitions".into(),
        other => escaped(other),
    }
}

fn curves(report: &Report) -> String {
    let panels = panels(&report.curves);
    if panels.is_empty() {
        return "<p>There are no cycles, so there are no curves.</p>".into();
    }
    let is_pair = report.groups.len() > 1;
    let mut html = format!(
        "<p>Mean angle (line) and standard deviation (band) in degrees over the cycle; 180 = straight. Strides go from contact to contact of the same foot, jumps from take-off to landing, repetitions from rest to rest. A line ends where a cycle's angle is not known, as the mean of the others is another one.</p><div class=\"curves{}\">",
        if is_pair { " pairs" } else { "" }
    );
    for panel in panels {
        let title = format!("{}: {}", title_of(&panel.kind), escaped(&panel.joint));
        // Two groups stand side by side, also where one of them has no such curve.
        for (number, group) in (1..).zip(&report.groups) {
            let chart = panel.charts.iter().find(|(of, _)| *of == number);
            let name = match is_pair {
                true => format!(", {}", escaped(&group.name)),
                false => String::new(),
            };
            let chart = chart.map_or("<p class=\"missing\">none were found</p>", |(_, chart)| {
                chart
            });
            let _ = write!(
                html,
                "<figure><figcaption>{title}{name}</figcaption>{chart}</figure>"
            );
        }
    }
    html + "</div>"
}

fn quality(report: &Report) -> String {
    let table = &report.quality;
    let mut html = String::from(
        "<p>A frame can be trusted where shoulders and hips were seen; all seen means arms and legs, too. Left and right exchanged, or bones that change their length, mean that the model was wrong there.</p>",
    );
    let mut left_out = Vec::from(FOR_WARNINGS);
    if has_names_of_files(report) {
        left_out.push("group_name");
    }
    html += &named(
        table,
        &left_out,
        &[
            ("good_percent", "all seen (%)"),
            ("left_right_swaps", "left and right exchanged (times)"),
            ("bone_length_jumps", "bones changed length (frames)"),
            ("trusted_percent", "frames that can be trusted (%)"),
            ("not_found_percent", "not found (%)"),
            ("lowest_confidence", "lowest confidence of an event"),
        ],
    );
    let mut warnings = Vec::new();
    let recordings = &report.recordings;
    let models = (0..recordings.rows.len()).map(|row| recordings.text(row, "pose_model"));
    let models: BTreeSet<String> = models.collect();
    if models.len() > 1 {
        let models: Vec<String> = models.iter().map(|model| escaped(model)).collect();
        warnings.push(format!("The poses are from several models ({}), which put the same joint at different places: a part of the differences is theirs.", models.join(", ")));
    }
    for row in 0..table.rows.len() {
        let file = escaped(&table.text(row, "file_name"));
        let below = |name: &str, limit: f64| table.number(row, name).is_some_and(|v| v < limit);
        if below("trusted_percent", 90.0) {
            warnings.push(format!("{file}: more than a tenth of the frames cannot be trusted; mind gaps in its curves."));
        }
        if below("lowest_confidence", 0.5) {
            warnings.push(format!("{file}: some events are unsure (confidence below 0.5); look at them in the table events."));
        }
        if below("events", 1.0) {
            warnings.push(format!("{file}: no steps, jumps or repetitions were found; run posedata events detect if that was not done."));
        }
        let above = |name: &str, limit: f64| table.number(row, name).is_some_and(|v| v > limit);
        if above("jumps_without_height", 0.0) {
            let [unknown, all] =
                ["jumps_without_height", "jumps"].map(|name| table.text(row, name));
            warnings.push(format!("{file}: {unknown} of {all} jumps have no flight time and no height: take-off or landing could not be seen well enough, as feet were hidden, the person had only just been found, or the frames are too few. They are in no number and curve of jumps."));
        }
        if above("height_uncertain_percent", UNSURE_PERCENT) {
            let percent = table.text(row, "height_uncertain_percent");
            warnings.push(format!("{file}: heights of jumps are uncertain by up to {percent} % of themselves; do not compare heights that differ by less."));
        }
        if above("left_right_swaps", 0.0) {
            warnings.push(format!(
                "{file}: left and right were exchanged in places; sides may be wrong there."
            ));
        }
    }
    if !warnings.is_empty() {
        let items: String = warnings
            .iter()
            .map(|text| format!("<li>{text}</li>"))
            .collect();
        let _ = write!(html, "<ul class=\"warnings\">{items}</ul>");
    }
    html
}

fn picture_rows(pictures: &[(String, Vec<Picture>)]) -> String {
    let mut html = String::new();
    for (name, pictures) in pictures {
        let _ = write!(html, "<h3>{}</h3><div class=\"pictures\">", escaped(name));
        for picture in pictures {
            let _ = write!(
                html,
                "<figure><img alt=\"{0}\" src=\"data:image/jpeg;base64,{1}\"><figcaption>{0}</figcaption></figure>",
                escaped(&picture.caption),
                base64(&picture.jpeg)
            );
        }
        html += "</div>";
    }
    html
}

fn sources(report: &Report) -> String {
    let mut html = String::from(
        "<p>Every number above is a result of one of these SQL statements over the lake; each runs as it stands in posedata query.</p><div class=\"sql\">",
    );
    let videos = videos_as_sql(report);
    for statement in [
        &RECORDINGS,
        &KEY_FRAMES,
        &NUMBERS,
        &CURVES,
        &SYMMETRY,
        &QUALITY,
    ] {
        let _ = write!(
            html,
            "<details><summary>{}</summary><pre>{}</pre></details>",
            statement.title,
            escaped(&with_videos(&videos, statement.sql))
        );
    }
    html + "</div>"
}

/// The table `report_videos` as the beginning of a statement.
fn videos_as_sql(report: &Report) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let rows = (1..).zip(&report.groups).flat_map(|(number, group)| {
        let name = quoted(&group.name);
        group.video_ids.iter().map(move |id| {
            let person = report.person_of(id);
            format!("    ({}, {person}, {number}, {name})", quoted(id))
        })
    });
    let rows: Vec<String> = rows.collect();
    format!(
        "WITH report_videos (video_id, person, group_number, group_name) AS (\n    VALUES\n{}\n)",
        rows.join(",\n")
    )
}

/// A statement behind the table that it asks; one that begins with tables of its own lists them there.
fn with_videos(videos: &str, sql: &str) -> String {
    match sql.strip_prefix("WITH ") {
        Some(rest) => format!("{videos},\n{rest}"),
        None => format!("{videos}\n{sql}"),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c if crate::text::is_control(c) && c != '\n' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in vectors {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn names_cannot_leave_their_place_in_the_page() {
        let name = "<script>alert(\"1\")</script> & more";
        let safe = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; more";
        assert_eq!(escaped(name), safe);
    }
}
