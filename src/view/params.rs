//! Parameters of requests: what stands behind the question mark of an address.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::columns::Stretch;
use super::problem::{Kind, Problem};
use super::videos::Video;

/// Digits of a video's id.
const ID_DIGITS: usize = 32;

/// Parameters by their names.
#[derive(Clone, Debug, Default)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// What a query string says.
    ///
    /// # Errors
    /// When a parameter comes twice, or is none of `known`.
    pub fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut params = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                let known = match known {
                    [] => "no parameter".into(),
                    names => format!("{} and no other parameter", names.join(", ")),
                };
                return Err(Problem::bad(format!("this address takes {known}")));
            }
            if params
                .insert(name.clone().into_owned(), value.into_owned())
                .is_some()
            {
                return Err(Problem::bad(format!("{name} is given twice")));
            }
        }
        Ok(Self(params))
    }

    /// A parameter's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn needed(&self, name: &str) -> Result<&str, Problem> {
        let text = self.text(name);
        text.ok_or_else(|| Problem::bad(format!("{name} is missing")))
    }

    /// A whole number from 0 on.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Problem> {
        let number = self.text(name).map(|text| {
            number(text).ok_or_else(|| Problem::bad(format!("{name} is no number that fits")))
        });
        number.transpose()
    }

    /// One of a few words; the first where it is not given.
    ///
    /// # Errors
    /// When it is another word.
    pub fn choice<'c>(&self, name: &str, choices: &[&'c str]) -> Result<&'c str, Problem> {
        let chosen = match self.text(name) {
            None => choices.first(),
            Some(text) => choices.iter().find(|choice| **choice == text),
        };
        let wrong = || Problem::bad(format!("{name} is one of {}", choices.join(", ")));
        chosen.copied().ok_or_else(wrong)
    }

    /// The person that is meant: the main one where none is named.
    ///
    /// # Errors
    /// When it is no number, or nobody is in the video.
    pub fn person(&self, video: &Video) -> Result<u16, Problem> {
        let person = self.number("person")?.or(video.main_person);
        person.ok_or_else(|| Problem::missing("nobody was found in this video"))
    }

    /// The stretch of frames that is meant: all that have rows, as far as `most_frames` allow, where
    /// nothing is said.
    ///
    /// # Errors
    /// When the video has no such frames, or there are more than `most_frames`.
    pub fn stretch(&self, video: &Video, most_frames: usize) -> Result<Stretch, Problem> {
        let frames = video.frames();
        if frames.is_empty() {
            return Err(Problem::missing("the video has no frames"));
        }
        let from: u64 = self.number("from")?.unwrap_or(frames.start);
        let most = most_frames as u64;
        let furthest = from
            .saturating_add(most.saturating_sub(1))
            .min(frames.end - 1);
        let to: u64 = self.number("to")?.unwrap_or(furthest);
        if from > to {
            return Err(Problem::bad("from is behind to, or behind the video's end"));
        }
        if from < frames.start || to >= frames.end {
            return Err(video.no_such_frame());
        }
        if to - from >= most {
            return Err(Problem::new(
                Kind::TooLarge,
                format!("one answer has at most {most} frames"),
            ));
        }
        Ok(Stretch { from, to })
    }
}

/// Digits alone: no sign, no space.
pub fn number<N: FromStr>(text: &str) -> Option<N> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Whether a text can be a video's id; everything else names no video.
pub fn is_id(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == ID_DIGITS && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_parameters_of_the_right_kind_pass() {
        let parse = |query| Params::parse(Some(query), &["from", "table"]);
        let params = parse("from=7&table=a%20b").expect("known ones");
        assert_eq!(params.number::<u64>("from"), Ok(Some(7)));
        assert_eq!(params.text("table"), Some("a b"));
        assert_eq!(params.number::<u64>("to"), Ok(None));
        for wrong in ["path=/etc/passwd", "from=1&from=2", "FROM=1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "",
            "-1",
            "+1",
            " 1",
            "1.5",
            "99999999999999999999",
            "x",
            "1e3",
        ] {
            let params = Params(BTreeMap::from([("from".into(), wrong.into())]));
            assert!(params.number::<u64>("from").is_err(), "{wrong}");
        }
        let params = parse("table=raw").expect("known ones");
        assert_eq!(params.choice("table", &["raw", "filtered"]), Ok("raw"));
        assert_eq!(params.choice("from", &["raw", "filtered"]), Ok("raw"));
        assert!(params.choice("table", &["yes", "no"]).is_err());
    }

    #[test]
    fn ids_are_never_paths() {
        assert!(is_id("0123456789abcdef0123456789abcdef"));
        for wrong in [
            "",
            "..",
            "../../../../../../etc/passwd",
            "0123456789ABCDEF0123456789abcdef",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdef0",
            "0123456789abcdef/../6789abcdef012",
            "%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e",
        ] {
            assert!(!is_id(wrong), "{wrong}");
        }
    }
}
