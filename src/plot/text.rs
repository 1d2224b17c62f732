//! Text in pictures: its width, and its pixels.
//!
//! The font is part of the program, so that pictures look the same on a machine without any.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};

/// DejaVu Sans 2.37 (Bitstream Vera licence, changes in the public domain). It has degree and minus
/// signs, Greek and Cyrillic, and no figure that could be taken for a letter.
fn font() -> &'static FontRef<'static> {
    static FONT: OnceLock<FontRef<'static>> = OnceLock::new();
    FONT.get_or_init(|| {
        FontRef::try_from_slice(dejavu::sans::regular()).expect("the font is part of the program")
    })
}

/// The font's glyphs at `em_px` pixels to an em.
fn scaled(em_px: f64) -> ab_glyph::PxScaleFont<&'static FontRef<'static>> {
    let font = font();
    let height_per_em = font
        .units_per_em()
        .map_or(1.0, |units| font.height_unscaled() / units);
    font.into_scaled(PxScale::from(em_px as f32 * height_per_em))
}

/// Width of a line of text in pixels.
pub fn width(text: &str, em_px: f64) -> f64 {
    let (_, end) = glyphs(text, em_px);
    f64::from(end)
}

/// The glyphs of a line that starts at 0, and where it ends.
fn glyphs(text: &str, em_px: f64) -> (Vec<Glyph>, f32) {
    let font = scaled(em_px);
    let mut glyphs: Vec<Glyph> = Vec::new();
    let mut x = 0.0;
    for c in text.chars() {
        let id = font.glyph_id(c);
        if let Some(before) = glyphs.last() {
            x += font.kern(before.id, id);
        }
        glyphs.push(id.with_scale_and_position(font.scale(), point(x, 0.0)));
        x += font.h_advance(id);
    }
    (glyphs, x)
}

/// Calls `pixel` with the offset from the left end of the base line and the part of the pixel, 0 to
/// 1, that is covered.
pub fn draw(text: &str, em_px: f64, mut pixel: impl FnMut(i32, i32, f32)) {
    for glyph in glyphs(text, em_px).0 {
        let Some(outline) = font().outline_glyph(glyph) else {
            continue;
        };
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, covered| {
            pixel(
                corner.x as i32 + x as i32,
                corner.y as i32 + y as i32,
                covered,
            );
        });
    }
}

/// The text, or its beginning and an ellipsis where it is too long.
pub fn fit(text: &str, em_px: f64, max_px: f64) -> String {
    if width(text, em_px) <= max_px {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let shortened = kept.iter().collect::<String>().trim_end().to_owned() + "…";
        if width(&shortened, em_px) <= max_px {
            return shortened;
        }
    }
    String::new()
}

/// Breaks a text between words into at most `max_lines` lines; what is left over is cut.
pub fn wrap(text: &str, em_px: f64, max_px: f64, max_lines: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let longer = lines.last().map(|line| format!("{line} {word}"));
        match (lines.last_mut(), longer) {
            (Some(line), Some(longer)) if width(&longer, em_px) <= max_px => *line = longer,
            _ => lines.push(word.to_owned()),
        }
    }
    // Words beyond the last line's end.
    if lines.len() > max_lines {
        let rest = lines.split_off(max_lines - 1).join(" ");
        lines.push(rest);
    }
    lines.iter().map(|line| fit(line, em_px, max_px)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_grows_with_its_size_and_is_cut_where_it_does_not_fit() {
        let small = width("speed (px/s)", 10.0);
        assert!((width("speed (px/s)", 20.0) - 2.0 * small).abs() < 0.01 * small);
        // DejaVu Sans' figures are 1303 of 2048 units wide (its hmtx table).
        assert!(
            (width("0", 2048.0) - 1303.0).abs() < 1.0,
            "{}",
            width("0", 2048.0)
        );
        assert_eq!(fit("demo.mp4", 10.0, 1000.0), "demo.mp4");
        let cut = fit("a very long name of a video.mp4", 10.0, 80.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 80.0, "{cut}");
    }

    #[test]
    fn long_titles_are_broken_between_words() {
        let text = "one two three four five six seven eight";
        let lines = wrap(text, 10.0, 80.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with('…'), "{lines:?}");
        assert!(
            lines.iter().all(|line| width(line, 10.0) <= 80.0),
            "{lines:?}"
        );
        assert_eq!(wrap("short", 10.0, 80.0, 2), ["short"]);
    }

    #[test]
    fn pixels_of_a_letter_lie_between_its_base_line_and_its_top() {
        let (mut ink, mut top, mut bottom) = (0.0, i32::MAX, i32::MIN);
        draw("H", 100.0, |_, y, covered| {
            if covered > 0.5 {
                ink += covered;
                top = top.min(y);
                bottom = bottom.max(y);
            }
        });
        // Capitals of DejaVu Sans are 1493 of 2048 units high.
        assert!((-73..=-71).contains(&top), "{top}");
        assert!((-1..=0).contains(&bottom), "{bottom}");
        assert!(ink > 500.0);
    }
}
