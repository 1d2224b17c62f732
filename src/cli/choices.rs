//! Options whose values are the library's choices: their names, and what --help says of each.
//! Those of datasets and language models are in `language_choices`.

use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PathBufValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::export::ExportFormat;
use crate::movement::{FloorAngle, Gait, GaitMethod};
use crate::query::Format as QueryFormat;
use crate::store::has_scheme;

/// People are not taller or smaller than this, in metres; whoever writes 175 meant centimetres.
const HEIGHT_RANGE_M: std::ops::RangeInclusive<f64> = 0.3..=3.0;

/// A person's height.
pub fn height(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if HEIGHT_RANGE_M.contains(&value) => Ok(value),
        _ => Err(format!(
            "expected metres between {} and {}, such as 1.75",
            HEIGHT_RANGE_M.start(),
            HEIGHT_RANGE_M.end()
        )),
    }
}

/// Whose height it is, where that is said, and how tall in metres: `1.72` or `2=1.72`.
pub fn height_of(text: &str) -> Result<(Option<u16>, f64), String> {
    let Some((person, metres)) = text.split_once('=') else {
        return Ok((None, height(text)?));
    };
    let person = person
        .trim()
        .parse()
        .map_err(|_| "expected the number of a person before =, such as 2=1.72".to_owned())?;
    Ok((Some(person), height(metres.trim())?))
}

/// How the floor slopes.
pub fn floor_angle(text: &str) -> Result<FloorAngle, String> {
    match text.parse::<f64>() {
        _ if text == "auto" => Ok(FloorAngle::Auto),
        Ok(degrees) if degrees.abs() <= 45.0 => Ok(FloorAngle::Degrees(degrees)),
        _ => Err("expected auto, or degrees between -45 and 45".into()),
    }
}

/// A path where an address is of no use: it would be taken for folders of that name.
pub fn local_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.to_str().is_some_and(has_scheme) {
        true => Err("expected a path on this machine, where no address can be read or written"),
        false => Ok(path),
    })
}

/// How many of something: a whole number above 0.
pub fn count<N: FromStr<Err = ParseIntError>>(text: &str) -> Result<N, String> {
    text.parse().map_err(|error: ParseIntError| {
        match error.kind() {
            IntErrorKind::PosOverflow => "that is too large",
            _ => "expected a whole number above 0",
        }
        .into()
    })
}

/// A number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected a number above 0".into()),
    }
}

/// Takes one of `values`, which are names of `T`.
pub fn one_of<T>(
    values: impl IntoIterator<Item = PossibleValue>,
) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(values).try_map(|name| T::from_str(&name))
}

pub fn export_format() -> impl TypedValueParser<Value = ExportFormat> {
    one_of(ExportFormat::ALL.map(|format| {
        PossibleValue::new(format.name()).help(match format {
            ExportFormat::PoseJson => {
                "A list with one object per frame and person: points and metrics"
            }
            ExportFormat::Csv => "A table with one row per frame and person: metrics and landmarks",
            ExportFormat::Trc => "OpenSim markers: world landmarks in metres, a file per person",
            ExportFormat::Mot => {
                "OpenSim motion: joint and segment angles in degrees, a file per person"
            }
            ExportFormat::Parquet => "The table of csv as Parquet",
            ExportFormat::C3d => "C3D markers: world landmarks in millimetres, a file per person",
            ExportFormat::OpenPose => {
                "OpenPose's BODY_25 points in pixels: a folder with a JSON file per frame"
            }
            ExportFormat::CocoKeypoints => "COCO's 17 keypoints in pixels, as one JSON file",
        })
    }))
}

pub fn gait_method() -> impl TypedValueParser<Value = GaitMethod> {
    one_of(GaitMethod::ALL.map(|method| {
        PossibleValue::new(method.name()).help(match method {
            GaitMethod::Zeni => "Heel and toes farthest before and behind the hips",
            GaitMethod::OConnor => "Vertical velocity of the feet",
            GaitMethod::ForwardVelocity => "Forward velocity of the feet: only over ground",
            GaitMethod::Running => "Vertical velocity of the hips, and the knee's extension",
        })
    }))
}

pub fn gait() -> impl TypedValueParser<Value = Gait> {
    one_of(Gait::ALL.map(|gait| PossibleValue::new(gait.name())))
}

pub fn query_format() -> impl TypedValueParser<Value = QueryFormat> {
    one_of(QueryFormat::ALL.map(|format| {
        let value = PossibleValue::new(format.name());
        match format {
            QueryFormat::Table => value.help("Aligned columns for people"),
            QueryFormat::Json => value.help("One array of objects"),
            QueryFormat::Jsonl => value.help("One object a line"),
            QueryFormat::Arrow => value.help("A stream of Arrow's IPC format (suffix .arrows)"),
            QueryFormat::Csv | QueryFormat::Parquet => value,
        }
    }))
}

#[cfg(test)]
pub mod tests {
    use std::fmt::Debug;
    use std::num::NonZeroU16;

    use super::*;

    #[track_caller]
    pub fn check<T>(choices: &[T], name: fn(T) -> &'static str)
    where
        T: Copy + Debug + PartialEq + FromStr<Err = String>,
    {
        for choice in choices {
            assert_eq!(name(*choice).parse(), Ok(*choice));
        }
        let error = "nonsense".parse::<T>().expect_err("no such name");
        assert!(error.contains(name(choices[0])), "{error}");
    }

    #[test]
    fn addresses_are_no_paths_on_this_machine() {
        let argument = || clap::Arg::new("path").value_parser(local_path());
        let parsed = |text: &str| {
            let command = clap::Command::new("x").arg(argument());
            command
                .try_get_matches_from(["x", text])
                .map_err(|e| e.to_string())
        };
        for address in [
            "s3://lakes/a.json",
            "gs://a/b",
            "https://example.org/a.onnx",
        ] {
            let error = parsed(address).expect_err(address);
            assert!(error.contains("on this machine"), "{error}");
        }
        for path in [
            "a.json",
            "./s3://lakes",
            "/a/b://c",
            "s3:/a",
            "://",
            "a b://c",
        ] {
            assert!(parsed(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn what_is_no_count_is_told_in_words() {
        assert_eq!(count::<NonZeroU16>("4").map(NonZeroU16::get), Ok(4));
        for (text, expected) in [
            ("0", "a whole number above 0"),
            ("-1", "a whole number above 0"),
            ("4.5", "a whole number above 0"),
            ("", "a whole number above 0"),
            ("65536", "too large"),
        ] {
            let error = count::<NonZeroU16>(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn every_name_is_read_back() {
        check(&ExportFormat::ALL, ExportFormat::name);
        check(&QueryFormat::ALL, QueryFormat::name);
        check(&GaitMethod::ALL, GaitMethod::name);
        check(&Gait::ALL, Gait::name);
    }
}
