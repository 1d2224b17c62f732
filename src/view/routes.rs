//! What is answered under which address; `docs/view-api.md` says the same in words.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::json;

use super::answer::{as_download, bytes, file, json_body, set, tagged, tagged_json};
use super::clip::{Drawn, MAX_CLIP_FRAMES, make_clip};
use super::columns::{self, Column, Selection, Stretch, Table};
use super::curve::{is_thinned, thin};
use super::files::FileState;
use super::params::{Params, number};
use super::pictures::Wanted;
use super::problem::{Kind, Problem};
use super::rows::query;
use super::sql::{self, Question};
use super::videos::{self, Video};
use super::viewer::{Known, Times, Viewer, Work};
use super::{detail, examples, pages};
use crate::lake::FORMAT_VERSION;
use crate::media_time::MediaTime;
use crate::plot::Quantity;
use crate::sync::Cancellation;
use crate::video::{ImageFormat, VideoReader, proxy_times};

/// Time for rows, once the lake is free.
const ROWS_WITHIN: Duration = Duration::from_secs(60);
/// Time for one picture, also of a video in which it has to be looked for.
const PICTURE_WITHIN: Duration = Duration::from_secs(60);
/// Time for reading a file as a whole, and for a clip.
const FILE_WITHIN: Duration = Duration::from_secs(600);
/// Time for a request's body to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a request's body.
const MAX_BODY_BYTES: usize = 64 << 10;

/// Frames of one answer with landmarks or columns.
const MAX_STRETCH_FRAMES: usize = 20_000;
const MAX_CURVE_COLUMNS: usize = 16;
const DEFAULT_CURVE_POINTS: usize = 1_000;
const MAX_CURVE_POINTS: usize = 8_192;
const WIDTHS_PX: std::ops::RangeInclusive<u32> = 16..=3_840;
const THUMBNAIL_WIDTH_PX: u32 = 320;
/// A thumbnail is looked for among so many frames from where its person appears.
const THUMBNAIL_WITHIN_FRAMES: u64 = 300;
const DEFAULT_EXAMPLES: u64 = 50;

const OCTETS: &str = "application/octet-stream";
const CSV: &str = "text/csv; charset=utf-8";
const MP4: &str = "video/mp4";
const FRAME_COUNT: HeaderName = HeaderName::from_static("x-frame-count");
const FRAME_FROM: HeaderName = HeaderName::from_static("x-frame-from");
const FRAME_TO: HeaderName = HeaderName::from_static("x-frame-to");
const PERSON: HeaderName = HeaderName::from_static("x-person");
const PERSONS: HeaderName = HeaderName::from_static("x-persons");

type Answer = Result<Response, Problem>;
type Asked = State<Arc<Viewer>>;

/// All addresses.
pub fn router(viewer: Arc<Viewer>) -> Router {
    Router::new()
        .route("/", get(pages::page))
        .route("/assets/{name}", get(pages::asset))
        .route("/api/lake", get(lake))
        .route("/api/videos", get(list))
        .route("/api/videos/{id}", get(one_video))
        .route("/api/videos/{id}/check", get(check))
        .route("/api/videos/{id}/times", get(times))
        .route("/api/videos/{id}/landmarks", get(landmarks))
        .route("/api/videos/{id}/columns", get(values))
        .route("/api/videos/{id}/curve", get(curve))
        .route("/api/videos/{id}/marks", get(marks))
        .route("/api/videos/{id}/video", get(video_file))
        .route("/api/videos/{id}/proxy", get(proxy_status).post(make_proxy))
        .route("/api/videos/{id}/proxy.mp4", get(proxy_file))
        .route("/api/videos/{id}/frames/{name}", get(frame))
        .route("/api/videos/{id}/thumbnail.jpg", get(thumbnail))
        .route("/api/videos/{id}/examples", get(list_examples))
        .route("/api/videos/{id}/clip.mp4", get(clip))
        .route("/api/videos/{id}/table.csv", get(table))
        .route("/api/queries", get(queries))
        .route("/api/query", post(ask))
        .route("/api/query.csv", post(ask_csv))
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(Arc::clone(&viewer), pages::guard))
        .with_state(viewer)
}

async fn nothing() -> Problem {
    Problem::missing("there is nothing at this address")
}

async fn other_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "this address takes another method")
}

async fn lake(State(viewer): Asked, headers: HeaderMap, uri: Uri) -> Answer {
    Params::parse(uri.query(), &[])?;
    let told = viewer.read(ROWS_WITHIN, |viewer, session| {
        let snapshot = viewer.videos.list(session)?.snapshot;
        Ok(json!({
            "lake": viewer.lake,
            "posedata_version": env!("CARGO_PKG_VERSION"),
            "snapshot": snapshot,
            "format_version": session.format_version(),
            "newest_format_version": FORMAT_VERSION,
            "counts": videos::counts(session)?,
            "memory_limit_bytes": viewer.memory_limit_bytes,
            "limits": {
                "query_rows": sql::MAX_ROWS,
                "query_bytes": sql::MAX_BYTES,
                "query_secs": viewer.query_timeout.as_secs(),
                "csv_bytes": sql::MAX_CSV_BYTES,
                "stretch_frames": MAX_STRETCH_FRAMES,
                "curve_columns": MAX_CURVE_COLUMNS,
                "curve_points": MAX_CURVE_POINTS,
                "clip_frames": MAX_CLIP_FRAMES,
                "examples": examples::MAX_EXAMPLES,
            },
        }))
    });
    Ok(tagged_json(&headers, &told.await?))
}

async fn list(State(viewer): Asked, headers: HeaderMap, uri: Uri) -> Answer {
    Params::parse(uri.query(), &[])?;
    let listed = viewer.read(ROWS_WITHIN, |viewer, session| {
        Ok(viewer.videos.list(session)?.to_json(&viewer.files))
    });
    Ok(tagged_json(&headers, &listed.await?))
}

async fn one_video(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    Params::parse(uri.query(), &[])?;
    let told = viewer.read(ROWS_WITHIN, move |viewer, session| {
        let video = viewer.video_in(&id, session)?;
        detail::detail(session, &viewer.files, &video)
    });
    Ok(tagged_json(&headers, &told.await?))
}

async fn check(State(viewer): Asked, Path(id): Path<String>, uri: Uri) -> Answer {
    Params::parse(uri.query(), &[])?;
    let state = viewer.work(Work::WholeFile, FILE_WITHIN, move |viewer, cancellation| {
        let video = viewer.video(&id, cancellation)?;
        let state = viewer.file_state(&video);
        if let Ok(Some(path)) = state.local() {
            viewer.files.is_same(path, &video.video_id, cancellation)?;
        }
        // Another file of the same size may be the video's.
        Ok(viewer.file_state(&video).to_json())
    });
    Ok(json_body(&state.await?))
}

async fn times(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let params = Params::parse(uri.query(), &["of"])?;
    let is_of_proxy = params.choice("of", &["source", "proxy"])? == "proxy";
    let read = viewer.work(Work::Rows, ROWS_WITHIN, move |viewer, cancellation| {
        let video = viewer.video(&id, cancellation)?;
        let times = viewer.file_times(&video, cancellation)?;
        let start = match is_of_proxy {
            true => MediaTime::default(),
            false => start_of_file(viewer, &video, &times, cancellation),
        };
        Ok((video, times, start))
    });
    let (video, times, start) = read.await?;
    let factor = video.file_secs_per_real_sec();
    let in_file = match is_of_proxy {
        true => Arc::new(proxy_times(&times)),
        false => Arc::clone(&times),
    };
    let pairs = in_file.times.iter().zip(&times.times);
    let content = pairs.flat_map(|(file, time)| {
        let file_secs = file.as_secs() - start.as_secs();
        let real_secs = time.as_secs() / factor;
        [file_secs.to_le_bytes(), real_secs.to_le_bytes()]
    });
    let content: Vec<u8> = content.flatten().collect();
    let mut response = kept(&headers, content);
    set(&mut response, FRAME_COUNT, &times.times.len().to_string());
    set(&mut response, FRAME_FROM, &times.first_frame.to_string());
    Ok(response)
}

/// When the file's first picture is shown. Only the file tells it where that has no rows.
fn start_of_file(
    viewer: &Viewer,
    video: &Video,
    times: &Times,
    cancellation: &Cancellation,
) -> MediaTime {
    let first = times.times.first().copied().unwrap_or_default();
    if times.first_frame == 0 {
        return first;
    }
    // Of a file that is not there, or cannot be opened, nothing is shown.
    let state = viewer.file_state(video);
    let path = state.local().ok().flatten();
    let reader = path.and_then(|path| VideoReader::open_unless(path, cancellation).ok());
    reader.map_or_else(MediaTime::default, |reader| reader.start_time())
}

/// Bytes of numbers that the browser keeps as long as they do not change.
fn kept(headers: &HeaderMap, content: Vec<u8>) -> Response {
    let etag = super::answer::etag_of(&content);
    tagged(headers, OCTETS, &etag, content.into())
}

fn landmark_table(params: &Params) -> Result<Table, Problem> {
    Ok(match params.choice("rows", &["raw", "filtered"])? {
        "filtered" => Table::LandmarksFiltered,
        _ => Table::Landmarks,
    })
}

async fn landmarks(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    const EVERYBODY: &str = "all";
    let params = Params::parse(uri.query(), &["person", "from", "to", "rows"])?;
    let read = viewer.read(ROWS_WITHIN, move |viewer, session| {
        let video = viewer.video_in(&id, session)?;
        let table = landmark_table(&params)?;
        if table.is_filtered() && !videos::has_filtered(session, &video)? {
            return Err(no_filtered_rows());
        }
        let persons = match params.text("person") {
            Some(EVERYBODY) => {
                let persons = videos::persons(session, &video)?;
                persons.iter().map(|person| person.person).collect()
            }
            _ => vec![params.person(&video)?],
        };
        let stretch = params.stretch(&video, MAX_STRETCH_FRAMES / persons.len().max(1))?;
        let mut content = Vec::new();
        for person in &persons {
            content.extend(columns::landmarks(
                session, &video, table, *person, stretch,
            )?);
        }
        Ok((stretch, persons, content))
    });
    let (stretch, persons, content) = read.await?;
    let mut response = kept(&headers, content);
    set_stretch(&mut response, stretch);
    let persons: Vec<String> = persons.iter().map(u16::to_string).collect();
    if let [person] = persons.as_slice() {
        set(&mut response, PERSON, person);
    }
    set(&mut response, PERSONS, &persons.join(","));
    Ok(response)
}

fn no_filtered_rows() -> Problem {
    Problem::missing("the video has no filtered rows")
        .with_remedy("`posedata metrics recompute` makes them")
}

fn set_stretch(response: &mut Response, stretch: Stretch) {
    set(response, FRAME_FROM, &stretch.from.to_string());
    set(response, FRAME_TO, &stretch.to.to_string());
}

/// Which columns of whom are asked for.
struct Asking {
    video: Arc<Video>,
    selection: Selection,
    columns: Vec<&'static Column>,
}

impl Asking {
    fn new(
        viewer: &Viewer,
        id: &str,
        params: &Params,
        cancellation: &Cancellation,
    ) -> Result<Self, Problem> {
        let video = viewer.video(id, cancellation)?;
        let table = Table::find(params.needed("table")?)?;
        let names: Vec<&str> = params.needed("columns")?.split(',').collect();
        if names.len() > MAX_CURVE_COLUMNS {
            let message = format!("one answer has at most {MAX_CURVE_COLUMNS} columns");
            return Err(Problem::new(Kind::TooLarge, message));
        }
        let columns = names.iter().map(|name| table.column(name));
        let columns = columns.collect::<Result<_, _>>()?;
        let selection = Selection::new(table, params.person(&video)?, params.text("landmark"))?;
        Ok(Self {
            video,
            selection,
            columns,
        })
    }

    fn values(
        &self,
        viewer: &Viewer,
        cancellation: &Cancellation,
    ) -> Result<Vec<columns::Values>, Problem> {
        viewer.whole_columns(&self.video, &self.selection, &self.columns, cancellation)
    }
}

async fn values(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let known = ["table", "columns", "person", "from", "to", "landmark"];
    let params = Params::parse(uri.query(), &known)?;
    let read = viewer.work(Work::Rows, ROWS_WITHIN, move |viewer, cancellation| {
        let asking = Asking::new(viewer, &id, &params, cancellation)?;
        let stretch = params.stretch(&asking.video, MAX_STRETCH_FRAMES)?;
        let values = asking.values(viewer, cancellation)?;
        let person = asking.selection.person;
        Ok((stretch, person, columns::interleaved(&values, stretch)))
    });
    let (stretch, person, content) = read.await?;
    let mut response = kept(&headers, content);
    set_stretch(&mut response, stretch);
    set(&mut response, PERSON, &person.to_string());
    Ok(response)
}

async fn curve(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let known = [
        "table", "columns", "person", "from", "to", "points", "landmark",
    ];
    let params = Params::parse(uri.query(), &known)?;
    let points = params.number("points")?.unwrap_or(DEFAULT_CURVE_POINTS);
    if !(1..=MAX_CURVE_POINTS).contains(&points) {
        let message = format!("points is a number from 1 to {MAX_CURVE_POINTS}");
        return Err(Problem::bad(message));
    }
    let read = viewer.work(Work::Rows, ROWS_WITHIN, move |viewer, cancellation| {
        let asking = Asking::new(viewer, &id, &params, cancellation)?;
        let stretch = params.stretch(&asking.video, usize::MAX)?;
        let values = asking.values(viewer, cancellation)?;
        let series = asking.columns.iter().zip(&values);
        let series = series.map(|(column, values)| {
            let part = values.of(stretch);
            Series::new(column, &asking.selection, stretch, part, points)
        });
        Ok(Curves {
            table: asking.selection.table.name(),
            person: asking.selection.person,
            from: stretch.from,
            to: stretch.to,
            is_thinned: is_thinned(stretch.len(), points),
            series: series.collect(),
        })
    });
    Ok(tagged_json(&headers, &read.await?))
}

/// Curves over the same frames.
#[derive(Serialize)]
struct Curves {
    table: &'static str,
    person: u16,
    from: u64,
    to: u64,
    is_thinned: bool,
    series: Vec<Series>,
}

/// One column's curve. It is not made of JSON's own values, which would write 32-bit floats with
/// the digits of 64-bit ones.
#[derive(Serialize)]
struct Series {
    column: &'static str,
    unit: &'static str,
    name: String,
    side: Option<&'static str>,
    landmark: Option<&'static str>,
    min: Option<f32>,
    max: Option<f32>,
    null_count: usize,
    frames: Vec<u64>,
    values: Vec<Option<f32>>,
}

impl Series {
    fn new(
        column: &'static Column,
        selection: &Selection,
        stretch: Stretch,
        values: &[f32],
        points: usize,
    ) -> Self {
        let there = || values.iter().copied().filter(|value| value.is_finite());
        let quantity = Quantity::of(&column.name);
        let curve = thin(stretch.from, values, points);
        Self {
            column: &column.name,
            unit: quantity.unit,
            name: quantity.name,
            side: column.side(),
            landmark: selection.landmark.map(|landmark| landmark.name()),
            min: there().min_by(f32::total_cmp),
            max: there().max_by(f32::total_cmp),
            null_count: values.len() - there().count(),
            frames: curve.frames,
            values: curve.values,
        }
    }
}

async fn marks(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    const FLAGS: [&str; 2] = ["left_right_swap", "bone_length_jump"];
    let params = Params::parse(uri.query(), &["person", "rows"])?;
    let table = match params.choice("rows", &["raw", "filtered"])? {
        "filtered" => Table::MetricsFiltered,
        _ => Table::Metrics,
    };
    let read = viewer.work(Work::Rows, ROWS_WITHIN, move |viewer, cancellation| {
        let video = viewer.video(&id, cancellation)?;
        let selection = Selection::new(table, params.person(&video)?, None)?;
        let flags = FLAGS.iter().map(|name| table.column(name));
        let flags = flags.collect::<Result<Vec<_>, _>>()?;
        let values = viewer.whole_columns(&video, &selection, &flags, cancellation)?;
        let mut told = json!({ "person": selection.person });
        for (name, values) in FLAGS.iter().zip(&values) {
            told[*name] = json!(values.runs());
        }
        Ok(told)
    });
    Ok(tagged_json(&headers, &read.await?))
}

async fn video_file(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let params = Params::parse(uri.query(), &["anyway"])?;
    let is_anyway = params.choice("anyway", &["0", "1"])? == "1";
    let opened = viewer.work(Work::Rows, ROWS_WITHIN, move |viewer, cancellation| {
        let video = viewer.video(&id, cancellation)?;
        let state = viewer.file_state(&video);
        let path = state.local()?;
        let media_type = match (&state, path) {
            (FileState::Source { media_type, .. }, _) => *media_type,
            (_, Some(_)) if is_anyway => OCTETS,
            _ => {
                let message = "browsers do not play this file; its proxy has to be made";
                return Err(Problem::new(Kind::ProxyNotReady, message));
            }
        };
        let path = path.ok_or_else(|| Problem::missing("the file lies elsewhere"))?;
        let opened = File::open(path).map_err(|e| unreadable(&e))?;
        Ok((opened, media_type, video.video_id.clone()))
    });
    let (opened, media_type, video_id) = opened.await?;
    let etag = format!("\"{video_id}\"");
    file(&headers, opened, media_type, &etag).map_err(|e| unreadable(&e))
}

fn unreadable(error: &std::io::Error) -> Problem {
    Problem::new(
        Kind::FileUnreadable,
        format!("the file cannot be read ({error})"),
    )
}

async fn proxy_status(State(viewer): Asked, Path(id): Path<String>, uri: Uri) -> Answer {
    Params::parse(uri.query(), &[])?;
    let status = viewer.work(Work::Rows, ROWS_WITHIN, move |viewer, cancellation| {
        let video = viewer.video(&id, cancellation)?;
        Ok(viewer.proxies.status(&video))
    });
    Ok(json_body(&status.await?))
}

async fn make_proxy(State(viewer): Asked, Path(id): Path<String>, uri: Uri) -> Answer {
    Params::parse(uri.query(), &[])?;
    let started = viewer.work(Work::Rows, ROWS_WITHIN, move |viewer, cancellation| {
        let video = viewer.video(&id, cancellation)?;
        // A file that is gone is told at once.
        viewer.file_state(&video).local()?;
        let (locator, sought) = (Arc::clone(viewer), Arc::clone(&video));
        let locate = move |cancellation: &Cancellation| locator.proxy_source(&sought, cancellation);
        viewer.proxies.start(&video, locate)
    });
    Ok(json_body(&started.await?))
}

async fn proxy_file(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    Params::parse(uri.query(), &[])?;
    let opened = viewer.work(Work::Rows, ROWS_WITHIN, move |viewer, cancellation| {
        let video = viewer.video(&id, cancellation)?;
        let path = viewer.proxies.get(&video)?;
        let opened = File::open(path).map_err(|e| unreadable(&e))?;
        Ok((opened, video.video_id.clone()))
    });
    let (opened, video_id) = opened.await?;
    let size = opened.metadata().map_err(|e| unreadable(&e))?.len();
    let etag = format!("\"{video_id}-proxy-{size}\"");
    file(&headers, opened, MP4, &etag).map_err(|e| unreadable(&e))
}

/// The frame and the kind of picture that a name means: `17.jpg`.
fn frame_name(name: &str) -> Option<(u64, ImageFormat, &'static str)> {
    let (frame, ending) = name.split_once('.')?;
    let frame = number(frame)?;
    match ending {
        "jpg" => Some((frame, ImageFormat::Jpeg, "image/jpeg")),
        "png" => Some((frame, ImageFormat::Png, "image/png")),
        _ => None,
    }
}

async fn frame(
    State(viewer): Asked,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let params = Params::parse(uri.query(), &["width"])?;
    let width: Option<u32> = params.number("width")?;
    if width.is_some_and(|width| !WIDTHS_PX.contains(&width)) {
        let (least, most) = WIDTHS_PX.into_inner();
        let message = format!("width is a number from {least} to {most}");
        return Err(Problem::bad(message));
    }
    let no_picture = || Problem::missing("a frame is N.jpg or N.png");
    let (frame, format, media_type) = frame_name(&name).ok_or_else(no_picture)?;
    let etag = format!("\"{id}-{name}-{}\"", width.unwrap_or_default());
    let decoded = viewer.work(
        Work::Picture,
        PICTURE_WITHIN,
        move |viewer, cancellation| {
            let video = viewer.video(&id, cancellation)?;
            let still = Still {
                frame,
                max_width_px: width,
                format,
                known: Known::ByContent,
            };
            still.of(&video, viewer, cancellation)
        },
    );
    Ok(tagged(&headers, media_type, &etag, decoded.await?))
}

/// One picture of a video.
struct Still {
    frame: u64,
    max_width_px: Option<u32>,
    format: ImageFormat,
    known: Known,
}

impl Still {
    fn of(
        self,
        video: &Video,
        viewer: &Viewer,
        cancellation: &Cancellation,
    ) -> Result<Bytes, Problem> {
        if !video.frames().contains(&self.frame) {
            return Err(video.no_such_frame());
        }
        let footage = viewer.footage(video, self.known, cancellation)?;
        let wanted = Wanted {
            video_id: video.video_id.clone(),
            path: footage.path.clone(),
            frame: footage.number(video, self.frame),
            max_width_px: self.max_width_px,
            format: self.format,
        };
        let picture = viewer.pictures.get(&wanted, &footage.times, cancellation)?;
        picture.ok_or_else(|| video.no_such_frame())
    }
}

async fn thumbnail(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    Params::parse(uri.query(), &[])?;
    let decoded = viewer.work(
        Work::Picture,
        PICTURE_WITHIN,
        move |viewer, cancellation| {
            let video = viewer.video(&id, cancellation)?;
            let persons =
                viewer.in_session(cancellation, |session| videos::persons(session, &video));
            let persons = persons?;
            let main = persons
                .iter()
                .find(|person| Some(person.person) == video.main_person);
            // A third into what is seen of the person, who has come into the picture by then.
            let frame = main.map_or(video.frames().start, |main| {
                let seen = main.last_frame.saturating_sub(main.first_frame);
                main.first_frame + (seen / 3).min(THUMBNAIL_WITHIN_FRAMES)
            });
            let still = Still {
                frame,
                max_width_px: Some(THUMBNAIL_WIDTH_PX),
                format: ImageFormat::Jpeg,
                known: Known::BySize,
            };
            let picture = still.of(&video, viewer, cancellation)?;
            Ok((format!("\"{id}-thumbnail-{frame}\""), picture))
        },
    );
    let (etag, picture) = decoded.await?;
    Ok(tagged(&headers, "image/jpeg", &etag, picture))
}

async fn list_examples(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let params = Params::parse(uri.query(), &["dataset", "offset", "limit"])?;
    let offset: u32 = params.number("offset")?.unwrap_or(0);
    let limit = params.number("limit")?.unwrap_or(DEFAULT_EXAMPLES);
    if !(1..=examples::MAX_EXAMPLES).contains(&limit) {
        let most = examples::MAX_EXAMPLES;
        return Err(Problem::bad(format!("limit is a number from 1 to {most}")));
    }
    let listed = viewer.read(ROWS_WITHIN, move |viewer, session| {
        let video = viewer.video_in(&id, session)?;
        let dataset = params.text("dataset").filter(|name| !name.is_empty());
        examples::examples(session, &video, dataset, offset.into(), limit)
    });
    Ok(tagged_json(&headers, &listed.await?))
}

async fn clip(
    State(viewer): Asked,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Answer {
    let params = Params::parse(uri.query(), &["from", "to", "skeleton"])?;
    let drawn = match params.choice("skeleton", &["yes", "no"])? {
        "no" => Drawn::Nothing,
        _ => Drawn::Skeletons,
    };
    let made = viewer.work(Work::WholeFile, FILE_WITHIN, move |viewer, cancellation| {
        let video = viewer.video(&id, cancellation)?;
        let stretch = params.stretch(&video, MAX_CLIP_FRAMES)?;
        let footage = viewer.footage(&video, Known::ByContent, cancellation)?;
        let made = make_clip(&viewer.gate, &video, &footage, stretch, drawn, cancellation);
        Ok((made?, video, stretch))
    });
    let (made, video, stretch) = made.await?;
    let etag = format!("\"{}-{}-{}\"", video.video_id, stretch.from, stretch.to);
    // It is made anew for each request, so that its parts would not fit together.
    let mut whole = headers;
    whole.remove(axum::http::header::RANGE);
    whole.remove(axum::http::header::IF_NONE_MATCH);
    let mut response = file(&whole, made, MP4, &etag).map_err(|e| unreadable(&e))?;
    response.headers_mut().remove(axum::http::header::ETAG);
    response
        .headers_mut()
        .remove(axum::http::header::ACCEPT_RANGES);
    let name = format!("{}_{}-{}.mp4", stem(&video), stretch.from, stretch.to);
    as_download(&mut response, &name);
    Ok(response)
}

fn stem(video: &Video) -> &str {
    let stem = video.file_name.rsplit_once('.').map(|(stem, _)| stem);
    stem.filter(|stem| !stem.is_empty())
        .unwrap_or(&video.file_name)
}

async fn table(State(viewer): Asked, Path(id): Path<String>, uri: Uri) -> Answer {
    let params = Params::parse(uri.query(), &["table", "person", "from", "to"])?;
    let written = viewer.read(ROWS_WITHIN, move |viewer, session| {
        let video = viewer.video_in(&id, session)?;
        let table = Table::find(params.needed("table")?)?;
        let person: Option<u16> = params.number("person")?;
        let stretch = params.stretch(&video, usize::MAX)?;
        let (name, order) = match table.is_of_landmarks() {
            true => (table.name(), "frame, person, landmark_index"),
            false => (table.name(), "frame, person"),
        };
        let of_person = if person.is_some() {
            " AND person = $person"
        } else {
            ""
        };
        let sql = format!(
            "-- param id text
-- param sport text
-- param first integer
-- param last integer
-- param person integer
SELECT * FROM {name} WHERE video_id = $id AND sport = $sport
AND frame BETWEEN $first AND $last{of_person} ORDER BY {order}"
        );
        let (first, last) = (stretch.from.to_string(), stretch.to.to_string());
        let person = person.map(|person| person.to_string());
        let mut values = vec![
            ("id", video.video_id.as_str()),
            ("sport", &video.sport),
            ("first", &first),
            ("last", &last),
        ];
        values.extend(person.as_deref().map(|person| ("person", person)));
        let content = sql::csv_of(session, &query(&sql, &values))?;
        Ok((content, format!("{}_{name}.csv", stem(&video))))
    });
    let (content, name) = written.await?;
    let mut response = bytes(CSV, content.into());
    as_download(&mut response, &name);
    Ok(response)
}

async fn queries(headers: HeaderMap, uri: Uri) -> Answer {
    Params::parse(uri.query(), &[])?;
    Ok(tagged_json(&headers, &sql::shipped_queries()))
}

async fn question(body: Body) -> Result<Question, Problem> {
    let body = tokio::time::timeout(BODY_WITHIN, to_bytes(body, MAX_BODY_BYTES)).await;
    let body = body.map_err(|_| Problem::new(Kind::TooSlow, "the request's body did not come"))?;
    let body = body.map_err(|_| {
        let most = MAX_BODY_BYTES >> 10;
        let message = format!("a request's body has at most {most} KiB");
        Problem::new(Kind::TooLarge, message)
    })?;
    serde_json::from_slice(&body)
        .map_err(|e| Problem::bad(format!("the request's body is not what it should be ({e})")))
}

async fn ask(State(viewer): Asked, body: Body) -> Answer {
    let question = question(body).await?;
    let answered = viewer.read(viewer.query_timeout, move |_, session| {
        sql::answer(session, &question)
    });
    Ok(json_body(&answered.await?))
}

async fn ask_csv(State(viewer): Asked, body: Body) -> Answer {
    let question = question(body).await?;
    let written = viewer.read(viewer.query_timeout, move |_, session| {
        sql::csv(session, &question)
    });
    let mut response = bytes(CSV, written.await?.into());
    as_download(&mut response, "query.csv");
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pictures_are_numbers() {
        assert_eq!(
            frame_name("17.jpg"),
            Some((17, ImageFormat::Jpeg, "image/jpeg"))
        );
        assert_eq!(
            frame_name("0.png"),
            Some((0, ImageFormat::Png, "image/png"))
        );
        for wrong in [
            "17",
            "17.gif",
            "-1.jpg",
            ".jpg",
            "1.2.jpg",
            "../17.jpg",
            "a.jpg",
        ] {
            assert_eq!(frame_name(wrong), None, "{wrong}");
        }
    }
}
