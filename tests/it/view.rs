//! `posedata view`: who gets in, what is answered, and what attacks come to.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use posedata::ingest::VideoOutcome;
use posedata::lake::LakePaths;
use posedata::media_time::{MediaPosition, MediaRange};
use posedata::video::{Frame, VideoReader};
use reqwest::Method;
use reqwest::blocking::{Client, Response};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::lake::{CLIP_FRAMES, clip, config, fixture, ingest};
use crate::support::{ScriptedBackend, command, make_clip, posedata, stderr, stdout};

/// No answer takes so long; it keeps a broken server from holding the tests up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A viewer at work.
struct Viewer {
    child: Child,
    port: u16,
    url: String,
    client: Client,
    cookie: String,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Viewer {
    /// Starts the program over the lake in `folder`.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = command(folder)
            .args(["view", "--no-open", "--port", "0", "--quiet"])
            .args(arguments)
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output"));
        let mut url = String::new();
        lines.read_line(&mut url).expect("a line");
        if url.is_empty() {
            let mut told = String::new();
            let mut stderr = child.stderr.take().expect("standard error");
            stderr.read_to_string(&mut told).expect("a text");
            panic!("the viewer did not start: {told}");
        }
        let url = url.trim().to_owned();
        let parsed = reqwest::Url::parse(&url).expect("an address");
        let client = Client::builder().redirect(Policy::none()).timeout(PATIENCE);
        Self {
            child,
            port: parsed.port().expect("a port"),
            url,
            client: client.build().expect("a client"),
            cookie: String::new(),
        }
    }

    /// The same, with the cookie that the token is exchanged for.
    fn enter(folder: &Path, arguments: &[&str]) -> Self {
        let mut viewer = Self::start(folder, arguments);
        let answer = viewer.client.get(&viewer.url).send().expect("an answer");
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().expect("a text");
        let (pair, _) = cookie.split_once(';').expect("flags");
        viewer.cookie = pair.to_owned();
        viewer
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Option<String>,
    ) -> Response {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut all = HeaderMap::new();
        if !self.cookie.is_empty() {
            all.insert("cookie", self.cookie.parse().expect("a value"));
        }
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a value");
            all.insert(HeaderName::from_static(name), value);
        }
        let request = self.client.request(method, url).headers(all);
        let request = match body {
            Some(body) => request.body(body),
            None => request,
        };
        request.send().expect("an answer")
    }

    fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, &[], None)
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(
            answer.status(),
            200,
            "{path}: {}",
            answer.text().unwrap_or_default()
        );
        answer.json().expect("JSON")
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path);
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().expect("bytes").to_vec()
    }

    fn query(&self, question: &Value) -> (u16, Value) {
        let answer = self.send(Method::POST, "/api/query", &[], Some(question.to_string()));
        (answer.status().as_u16(), answer.json().expect("JSON"))
    }

    /// The only video's address.
    fn video(&self) -> String {
        let videos = self.json("/api/videos");
        let videos = videos["videos"].as_array().expect("a list");
        assert_eq!(videos.len(), 1);
        let id = videos[0]["video_id"].as_str().expect("an id");
        format!("/api/videos/{id}")
    }

    /// A request as it is written, and the status that it gets.
    fn raw(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut answer = String::new();
        // A connection may be closed before all is sent, or read.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_string(&mut answer);
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (status.unwrap_or(0), answer)
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    values
        .iter()
        .map(|four| f32::from_le_bytes(*four))
        .collect()
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    let (values, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty());
    values
        .iter()
        .map(|eight| f64::from_le_bytes(*eight))
        .collect()
}

/// Bits of a frame's number that are painted, side by side.
const BITS: u32 = 8;
const PAINTED_WIDTH: u32 = 128;

/// A clip on whose frames their numbers are painted: a bar for each bit, white for 1. Frames have
/// uneven times; `codec` are the encoder's arguments.
fn painted_clip(path: &Path, frames: u32, codec: &[&str]) {
    let bars = format!("geq=lum='if(bitand(N,pow(2,floor(X*{BITS}/W))),235,16)':cb=128:cr=128");
    let times = "setpts='(N+floor(N/7)*0.5)/(30*TB)'";
    let source = format!("color=black:size={PAINTED_WIDTH}x64:rate=30");
    let (filter, count) = (format!("{bars},{times}"), frames.to_string());
    let mut arguments = vec!["-f", "lavfi", "-i", &source, "-vf", &filter];
    arguments.extend(["-frames:v", &count, "-fps_mode", "passthrough"]);
    arguments.extend(codec);
    make_clip(path, &arguments);
}

const WITH_B_FRAMES: [&str; 8] = [
    "-c:v", "libx264", "-bf", "3", "-g", "20", "-pix_fmt", "yuv420p",
];

/// The number that is painted on a picture, by the brightness in the middle of its bars.
fn painted_number(brightness: impl Fn(u32) -> u8) -> u32 {
    (0..BITS)
        .filter(|bit| brightness((2 * bit + 1) * PAINTED_WIDTH / (2 * BITS)) > 128)
        .map(|bit| 1 << bit)
        .sum()
}

fn number_in_png(bytes: &[u8]) -> u32 {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a picture");
    let row = info.line_size * (info.height as usize / 2);
    let channels = info.color_type.samples();
    painted_number(|x| pixels[row + x as usize * channels])
}

/// The numbers painted on all frames of a video, with their times.
fn numbers_in_video(path: &Path) -> Vec<(u32, f64)> {
    let mut reader = VideoReader::open(path).expect("a video");
    let mut frame = Frame::default();
    let mut numbers = Vec::new();
    while reader.read(&mut frame).expect("a whole video") {
        let view = frame.view().expect("pixels");
        let number = painted_number(|x| view.pixel(x as usize, view.height() / 2)[0]);
        numbers.push((number, frame.time.as_secs()));
    }
    numbers
}

/// A lake of one video, in `folder`.
fn lake_of(folder: &Path, video: &Path) {
    let lake = LakePaths::new(folder.join("lake"));
    let summary = ingest(&config(vec![video.into()], &lake)).expect("an ingest");
    assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Ingested)), 1);
}

#[test]
fn one_browser_is_let_in_by_the_token_and_stays_in_by_its_cookie() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let mut viewer = Viewer::start(folder.path(), &["red.mp4"]);
    assert!(viewer.url.contains("/?token=") && viewer.url.contains("#video="));
    for path in [
        "/",
        "/api/lake",
        "/api/videos",
        "/assets/index.html",
        "/api/nothing",
    ] {
        assert_eq!(viewer.get(path).status(), 403, "{path}");
    }
    for token in ["", "0", &"0".repeat(64)] {
        let path = format!("/?token={token}");
        assert_eq!(viewer.get(&path).status(), 403, "{path}");
    }
    let answer = viewer.client.get(&viewer.url).send().expect("an answer");
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()["location"], "/");
    let cookie = answer.headers()["set-cookie"]
        .to_str()
        .expect("a text")
        .to_owned();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"),
        "{cookie}"
    );
    // Whoever reads the address over somebody's shoulder comes too late.
    let again = viewer.client.get(&viewer.url).send().expect("an answer");
    assert_eq!(again.status(), 403);
    assert!(!again.headers().contains_key("set-cookie"));
    viewer.cookie = cookie.split(';').next().expect("a pair").to_owned();
    assert_eq!(viewer.get("/api/lake").status(), 200);
    let page = viewer.get("/");
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .expect("a text");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    assert!(!page.headers().contains_key("access-control-allow-origin"));
    let etag = page.headers()["etag"].to_str().expect("a text").to_owned();
    let kept = viewer.send(Method::GET, "/", &[("if-none-match", &etag)], None);
    assert_eq!(kept.status(), 304);
    // The same browser may open the printed address again.
    let path = viewer.url.split_once("127.0.0.1:").expect("an address").1;
    let path = &path[path.find('/').expect("a path")..path.find('#').expect("a fragment")];
    assert_eq!(viewer.get(path).status(), 303);
}

#[test]
fn other_hosts_other_sites_and_other_methods_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let viewer = Viewer::enter(folder.path(), &[]);
    let request = |host: &str, more: &str| {
        let cookie = &viewer.cookie;
        let head = format!("GET /api/lake HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n");
        viewer.raw(&format!("{head}{more}Connection: close\r\n\r\n"))
    };
    let own = format!("127.0.0.1:{}", viewer.port);
    assert_eq!(request(&own, "").0, 200);
    assert_eq!(request(&format!("localhost:{}", viewer.port), "").0, 200);
    for host in [
        format!("evil.example:{}", viewer.port),
        "127.0.0.1".into(),
        format!("127.0.0.1.evil.example:{}", viewer.port),
        String::new(),
    ] {
        let (status, answer) = request(&host, "");
        assert!([400, 403].contains(&status), "{host}: {answer}");
        assert!(!answer.contains("snapshot"), "{answer}");
    }
    for more in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost:1\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Host: evil.example\r\n",
    ] {
        let (status, answer) = request(&own, more);
        assert!([400, 403].contains(&status), "{more}: {answer}");
        assert!(
            !answer.to_lowercase().contains("access-control"),
            "{answer}"
        );
    }
    let absolute = format!(
        "GET http://evil.example/api/lake HTTP/1.1\r\nHost: {own}\r\nCookie: {}\r\nConnection: close\r\n\r\n",
        viewer.cookie
    );
    assert_eq!(viewer.raw(&absolute).0, 403);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = viewer.send(method.clone(), "/api/videos", &[], None);
        assert_eq!(answer.status(), 405, "{method}");
    }
    assert_eq!(
        viewer.send(Method::HEAD, "/api/videos", &[], None).status(),
        200
    );
    assert_eq!(viewer.get("/api/lake").status(), 200);
}

#[test]
fn rows_come_as_the_lake_has_them() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let viewer = Viewer::enter(folder.path(), &[]);
    let lake = viewer.json("/api/lake");
    assert_eq!(lake["counts"]["videos"], 1);
    assert_eq!(lake["counts"]["frames"], CLIP_FRAMES);
    let list = viewer.json("/api/videos");
    let entry = &list["videos"][0];
    assert_eq!(entry["file_name"], "red.mp4");
    assert_eq!(entry["frame_count"], CLIP_FRAMES);
    assert_eq!(entry["pose_share"], 0.9);
    assert_eq!(
        entry["quality"],
        json!({"good": 27, "partial": 0, "poor": 0, "no_pose": 3})
    );
    assert_eq!(entry["file"]["state"], "source");
    let video = viewer.video();
    let detail = viewer.json(&video);
    assert_eq!(detail["persons"][0]["frame_count"], 27);
    assert_eq!(detail["has_filtered"], false);
    assert_eq!(detail["landmarks"].as_array().map(Vec::len), Some(33));
    let columns = detail["columns"].as_array().expect("a list");
    let knee = columns
        .iter()
        .find(|c| c["column"] == "left_knee_deg")
        .expect("a column");
    assert_eq!(
        (&knee["unit"], &knee["side"]),
        (&json!("degrees"), &json!("left"))
    );
    assert!(columns.iter().all(|column| {
        !column["table"]
            .as_str()
            .expect("a name")
            .contains("filtered")
    }));

    let times = doubles(&viewer.bytes(&format!("{video}/times")));
    assert_eq!(times.len() as u64, 2 * CLIP_FRAMES);
    for (frame, pair) in times.chunks(2).enumerate() {
        let secs = frame as f64 / 30.0;
        assert!(
            (pair[0] - secs).abs() < 1e-6 && (pair[1] - secs).abs() < 1e-6,
            "{frame}"
        );
    }

    let values = floats(&viewer.bytes(&format!("{video}/landmarks?from=5&to=12")));
    assert_eq!(values.len(), 8 * 33 * 3);
    for (frame, values) in (5..).zip(values.chunks(33 * 3)) {
        match ScriptedBackend::pose(frame) {
            None => assert!(values.iter().all(|value| value.is_nan()), "{frame}"),
            Some(pose) => {
                for (value, landmark) in values.chunks(3).zip(pose.landmarks) {
                    assert_eq!(value, [landmark.x, landmark.y, landmark.visibility]);
                }
            }
        }
    }
    let everybody = viewer.get(&format!("{video}/landmarks?person=all"));
    assert_eq!(everybody.headers()["x-persons"], "0");
    assert_eq!(everybody.bytes().expect("bytes").len(), 30 * 33 * 3 * 4);

    let path = format!("{video}/columns?table=landmarks&columns=x,visibility&landmark=left_wrist");
    let values = floats(&viewer.bytes(&path));
    for (frame, pair) in (0..).zip(values.chunks(2)) {
        match ScriptedBackend::pose(frame) {
            None => assert!(pair[0].is_nan() && pair[1].is_nan()),
            Some(pose) => assert_eq!(pair, [pose.landmarks[15].x, 1.0]),
        }
    }
    let path = format!("{video}/curve?table=landmarks&columns=x&landmark=left_wrist");
    let curve = viewer.json(&path);
    assert_eq!(curve["is_thinned"], false);
    let series = &curve["series"][0];
    assert_eq!(series["null_count"], 3);
    assert_eq!(series["values"][9], Value::Null);
    let x = ScriptedBackend::pose(4).expect("a pose").landmarks[15].x;
    assert_eq!(series["values"][4].as_f64(), Some(f64::from(x)));
    let thin = viewer.json(&format!("{path}&points=3"));
    assert_eq!(thin["is_thinned"], true);
    let frames = thin["series"][0]["frames"]
        .as_array()
        .expect("a list")
        .len();
    assert!((6..=12).contains(&frames), "{frames}");
    let marks = viewer.json(&format!("{video}/marks"));
    assert!(marks["left_right_swap"].is_array() && marks["bone_length_jump"].is_array());

    let csv = viewer.get(&format!("{video}/table.csv?table=metrics&from=3&to=4"));
    let disposition = csv.headers()["content-disposition"]
        .to_str()
        .expect("a text")
        .to_owned();
    assert!(disposition.starts_with("attachment; filename=\"red_metrics.csv\""));
    let sql = "select * from metrics where frame between 3 and 4 order by frame, person";
    let query = posedata(folder.path(), &["query", "-e", sql, "--format", "csv"]);
    assert_eq!(csv.text().expect("a text"), stdout(&query));
}

#[test]
fn filtered_rows_are_there_when_they_are_made() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let viewer = Viewer::enter(folder.path(), &[]);
    let video = viewer.video();
    let path = format!("{video}/landmarks?rows=filtered");
    assert_eq!(viewer.get(&path).status(), 404);
    // Beside the viewer, which sees it.
    let recompute = posedata(folder.path(), &["metrics", "recompute"]);
    assert!(recompute.status.success(), "{}", stderr(&recompute));
    assert_eq!(viewer.json(&video)["has_filtered"], true);
    let values = floats(&viewer.bytes(&path));
    assert_eq!(values.len(), 30 * 33 * 3);
    // A landmark that stands still is where it was; frame 9 lies in a gap that is filled.
    let nose = |frame: usize| &values[frame * 33 * 3..][..3];
    let raw = ScriptedBackend::pose(5).expect("a pose").landmarks[0];
    assert!((nose(5)[0] - raw.x).abs() < 1e-4 && (nose(5)[1] - raw.y).abs() < 1e-4);
    assert_eq!(nose(5)[2], raw.visibility);
    assert!((nose(9)[0] - raw.x).abs() < 1e-4 && nose(9)[2].is_nan());
    let path = format!("{video}/curve?table=metrics_filtered&columns=left_knee_deg,right_knee_deg");
    assert_eq!(
        viewer.json(&path)["series"].as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn files_come_in_the_parts_that_are_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let viewer = Viewer::enter(folder.path(), &[]);
    let path = format!("{}/video", viewer.video());
    let content = fs::read(folder.path().join("red.mp4")).expect("the clip");
    let size = content.len();
    let whole = viewer.get(&path);
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    assert_eq!(whole.headers()["content-type"], "video/mp4");
    let etag = whole.headers()["etag"].to_str().expect("a text").to_owned();
    assert_eq!(whole.bytes().expect("bytes"), content);
    let part = |range: &str, more: &[(&'static str, &str)]| {
        let headers = [&[("range", range)], more].concat();
        viewer.send(Method::GET, &path, &headers, None)
    };
    for (range, first, last) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=10-99".into(), 10, 99),
        ("bytes=100-".into(), 100, size - 1),
        ("bytes=-7".into(), size - 7, size - 1),
        (format!("bytes=5-{}", 10 * size), 5, size - 1),
    ] {
        let answer = part(&range, &[]);
        assert_eq!(answer.status(), 206, "{range}");
        let told = format!("bytes {first}-{last}/{size}");
        assert_eq!(answer.headers()["content-range"], told, "{range}");
        assert_eq!(
            answer.bytes().expect("bytes"),
            content[first..=last],
            "{range}"
        );
    }
    let behind = part(&format!("bytes={size}-"), &[]);
    assert_eq!(behind.status(), 416);
    assert_eq!(behind.headers()["content-range"], format!("bytes */{size}"));
    assert_eq!(part("bytes=1-2", &[("if-range", &etag)]).status(), 206);
    let other = part("bytes=1-2", &[("if-range", "\"other\"")]);
    assert_eq!(other.status(), 200);
    assert_eq!(other.bytes().expect("bytes").len(), size);
    assert_eq!(part("bytes=1-2,5-6", &[]).status(), 200);
    let kept = viewer.send(Method::GET, &path, &[("if-none-match", &etag)], None);
    assert_eq!(kept.status(), 304);
}

#[test]
fn every_frame_is_the_one_that_was_asked_for() {
    const FRAMES: u32 = 100;
    let folder = tempfile::tempdir().expect("a folder");
    for (name, codec) in [
        ("painted.mp4", &WITH_B_FRAMES[..]),
        ("painted.mkv", &WITH_B_FRAMES[..]),
        ("painted.avi", &["-c:v", "mpeg4", "-q:v", "2"]),
    ] {
        let folder = folder.path().join(name.replace('.', "_"));
        fs::create_dir(&folder).expect("a folder");
        let clip = folder.join(name);
        painted_clip(&clip, FRAMES, codec);
        lake_of(&folder, &clip);
        let viewer = Viewer::enter(&folder, &[]);
        let video = viewer.video();
        let count = viewer.json(&video)["frame_count"]
            .as_u64()
            .expect("a number") as u32;
        // AVI has a picture for each tick of its clock.
        assert!(count >= FRAMES, "{name}");
        let painted = numbers_in_video(&clip);
        // Forward, backward, and to and fro.
        let steps = (0..FRAMES).chain((0..FRAMES).rev()).step_by(3);
        let jumps = (0..40).map(|i| (i * 37) % FRAMES);
        for frame in steps.chain(jumps) {
            let picture = viewer.bytes(&format!("{video}/frames/{frame}.png"));
            let number = painted[frame as usize].0;
            assert_eq!(number_in_png(&picture), number, "{name}: frame {frame}");
        }
        assert_eq!(
            viewer.get(&format!("{video}/frames/{count}.png")).status(),
            404
        );
        let small = viewer.bytes(&format!("{video}/frames/3.jpg?width=64"));
        assert!(small.starts_with(&[0xff, 0xd8]));
        let thumbnail = viewer.get(&format!("{video}/thumbnail.jpg"));
        assert_eq!(thumbnail.headers()["content-type"], "image/jpeg");
    }
}

/// Has a video's proxy made.
fn await_proxy(viewer: &Viewer, video: &str) {
    let status = format!("{video}/proxy");
    let started = viewer.send(Method::POST, &status, &[], None);
    assert_eq!(started.status(), 200);
    let began = Instant::now();
    loop {
        let told = viewer.json(&status);
        match told["state"].as_str() {
            Some("ready") => break,
            Some("waiting" | "making") => assert!(began.elapsed() < PATIENCE, "{told}"),
            _ => panic!("{told}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_proxy_has_every_frame_at_its_time() {
    const FRAMES: u32 = 60;
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("painted.mkv");
    painted_clip(&clip, FRAMES, &WITH_B_FRAMES);
    lake_of(folder.path(), &clip);
    let viewer = Viewer::enter(folder.path(), &[]);
    let video = viewer.video();
    let file = &viewer.json(&video)["file"];
    assert_eq!(file["state"], "proxy");
    assert!(
        file["message"]
            .as_str()
            .is_some_and(|text| text.contains("Matroska"))
    );
    assert_eq!(viewer.get(&format!("{video}/video")).status(), 409);
    let early = viewer.get(&format!("{video}/proxy.mp4"));
    assert_eq!(early.status(), 409);
    assert_eq!(
        early.json::<Value>().expect("JSON")["error"]["kind"],
        "proxy_not_ready"
    );
    let status = format!("{video}/proxy");
    assert_eq!(viewer.json(&status)["state"], "none");
    await_proxy(&viewer, &video);
    let proxy = folder.path().join("proxy.mp4");
    fs::write(&proxy, viewer.bytes(&format!("{video}/proxy.mp4"))).expect("room");
    let (source, proxied) = (numbers_in_video(&clip), numbers_in_video(&proxy));
    assert_eq!(proxied.len(), FRAMES as usize);
    let times = doubles(&viewer.bytes(&format!("{video}/times?of=proxy")));
    for (frame, (proxied, source)) in proxied.iter().zip(&source).enumerate() {
        assert_eq!(proxied.0, frame as u32, "frame {frame}");
        assert_eq!(source.0, frame as u32, "frame {frame}");
        assert!(
            (proxied.1 - (source.1 - 0.0)).abs() < 1.0 / 90_000.0,
            "frame {frame}"
        );
        assert!((proxied.1 - times[2 * frame]).abs() < 1e-9, "frame {frame}");
    }
    // It is there for the next viewer too.
    drop(viewer);
    let next = Viewer::enter(folder.path(), &[]);
    assert_eq!(next.json(&status)["state"], "ready");
}

/// A lake of a part of a video.
fn lake_of_part(folder: &Path, video: &Path, from: &str, to: &str) {
    let lake = LakePaths::new(folder.join("lake"));
    let mut config = config(vec![video.into()], &lake);
    let place = |text: &str| Some(text.parse::<MediaPosition>().expect("a place"));
    config.rows = config.rows.with_range(MediaRange {
        from: place(from),
        to: place(to),
    });
    let summary = ingest(&config).expect("an ingest");
    let is_there = |o: &VideoOutcome| matches!(o, VideoOutcome::Ingested | VideoOutcome::Replaced);
    assert_eq!(summary.count(is_there), 1);
}

#[test]
fn a_part_of_a_video_has_the_pictures_numbers_and_times_of_the_file() {
    const FRAMES: u32 = 200;
    let folder = tempfile::tempdir().expect("a folder");
    // Key pictures are before, at the beginning of and inside the part.
    for (name, codec, from, to) in [
        ("late.mp4", &WITH_B_FRAMES[..], "95f", "171f"),
        ("timed.mkv", &WITH_B_FRAMES[..], "3.4", "5.5"),
        ("early.mp4", &WITH_B_FRAMES[..], "5f", "71f"),
        (
            "counted.avi",
            &["-c:v", "mpeg4", "-q:v", "2"],
            "100f",
            "150f",
        ),
    ] {
        let folder = folder.path().join(name.replace('.', "_"));
        fs::create_dir(&folder).expect("a folder");
        let clip = folder.join(name);
        painted_clip(&clip, FRAMES, codec);
        let painted = numbers_in_video(&clip);
        lake_of_part(&folder, &clip, from, to);
        let viewer = Viewer::enter(&folder, &[]);
        let video = viewer.video();
        let entry = viewer.json(&video);
        assert_eq!(entry["is_part"], true, "{name}");
        let first = entry["first_frame"].as_u64().expect("a number");
        let count = entry["frame_count"].as_u64().expect("a number");
        let end = first + count;
        assert!(first > 0 && count >= 45, "{name}: {first}, {count}");

        let times = viewer.get(&format!("{video}/times"));
        assert_eq!(times.headers()["x-frame-from"], first.to_string());
        let times = doubles(&times.bytes().expect("bytes"));
        assert_eq!(times.len() as u64, 2 * count, "{name}");
        for (frame, pair) in (first..).zip(times.chunks(2)) {
            let secs = painted[frame as usize].1;
            assert!((pair[0] - secs).abs() < 1e-6, "{name}: frame {frame}");
            assert!((pair[1] - secs).abs() < 1e-6, "{name}: frame {frame}");
        }

        // The first request is for a frame in the middle; then to and fro.
        let jumps = (0..30).map(|i| first + (i * 37 + 30) % count);
        let steps = (first..end).chain((first..end).rev()).step_by(5);
        for frame in jumps.chain(steps) {
            let picture = viewer.bytes(&format!("{video}/frames/{frame}.png"));
            let number = painted[frame as usize].0;
            assert_eq!(number_in_png(&picture), number, "{name}: frame {frame}");
        }
        for outside in [0, first - 1, end] {
            let answer = viewer.get(&format!("{video}/frames/{outside}.png"));
            assert_eq!(answer.status(), 404, "{name}: frame {outside}");
            let told = answer.text().expect("a text");
            assert!(
                told.contains(&format!("frames {first} to {}", end - 1)),
                "{told}"
            );
        }
        assert_eq!(viewer.get(&format!("{video}/thumbnail.jpg")).status(), 200);

        // Rows by the file's numbers.
        let all = floats(&viewer.bytes(&format!("{video}/landmarks")));
        assert_eq!(all.len() as u64, count * 33 * 3);
        let path = format!("{video}/landmarks?from={}&to={}", first + 3, first + 4);
        let some = floats(&viewer.bytes(&path));
        let there = &all[3 * 33 * 3..5 * 33 * 3];
        assert!(
            some.iter()
                .zip(there)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
        let early = format!("{video}/landmarks?from={}", first - 1);
        assert_eq!(viewer.get(&early).status(), 404);
        let curve = viewer.json(&format!(
            "{video}/curve?table=metrics&columns=left_knee_deg"
        ));
        assert_eq!(
            (&curve["from"], &curve["to"]),
            (&json!(first), &json!(end - 1))
        );
        assert_eq!(curve["series"][0]["frames"][0], first);
        let (_, rows) = viewer.query(&json!({
            "sql": "select count(*) from metrics join videos using (video_id)
                    where frame between first_frame and first_frame + frame_count - 1"
        }));
        assert_eq!(rows["rows"], json!([[count]]));

        // A stretch as a clip, and the part as a proxy.
        let (from, to) = (first + 10, first + 26);
        let made = folder.join("made.mp4");
        for skeleton in ["no", "yes"] {
            let path = format!("{video}/clip.mp4?from={from}&to={to}&skeleton={skeleton}");
            fs::write(&made, viewer.bytes(&path)).expect("room");
            let numbers = numbers_in_video(&made);
            assert_eq!(numbers.len() as u64, to - from + 1, "{name}");
            if skeleton == "no" {
                for (frame, (number, _)) in (from..).zip(&numbers) {
                    assert_eq!(*number, painted[frame as usize].0, "{name}: frame {frame}");
                }
            }
        }
        await_proxy(&viewer, &video);
        fs::write(&made, viewer.bytes(&format!("{video}/proxy.mp4"))).expect("room");
        let proxied = numbers_in_video(&made);
        let times = doubles(&viewer.bytes(&format!("{video}/times?of=proxy")));
        assert_eq!(
            (proxied.len() as u64, times.len() as u64),
            (count, 2 * count)
        );
        for (frame, ((number, secs), pair)) in (first..).zip(proxied.iter().zip(times.chunks(2))) {
            let (painted_number, painted_secs) = painted[frame as usize];
            assert_eq!(*number, painted_number, "{name}: frame {frame}");
            assert!((secs - pair[0]).abs() < 1e-9, "{name}: frame {frame}");
            assert!(
                (pair[1] - painted_secs).abs() < 1e-6,
                "{name}: frame {frame}"
            );
        }
        // The hash is that of the whole file.
        assert_eq!(
            viewer.json(&format!("{video}/check"))["state"],
            entry["file"]["state"]
        );
        let mut content = fs::read(&clip).expect("the clip");
        *content.last_mut().expect("a byte") ^= 1;
        fs::write(&clip, content).expect("room");
        assert_eq!(viewer.json(&format!("{video}/check"))["state"], "changed");
    }
}

#[test]
fn another_part_of_a_video_replaces_the_first_while_it_is_viewed() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("painted.mkv");
    painted_clip(&clip, 120, &WITH_B_FRAMES);
    lake_of_part(folder.path(), &clip, "20f", "50f");
    let viewer = Viewer::enter(folder.path(), &[]);
    let video = viewer.video();
    let painted = numbers_in_video(&clip);
    let proxy_numbers = |first: usize, count: usize| {
        await_proxy(&viewer, &video);
        let made = folder.path().join("made.mp4");
        fs::write(&made, viewer.bytes(&format!("{video}/proxy.mp4"))).expect("room");
        let numbers: Vec<u32> = numbers_in_video(&made).iter().map(|(n, _)| *n).collect();
        let expected: Vec<u32> = painted[first..first + count]
            .iter()
            .map(|(n, _)| *n)
            .collect();
        assert_eq!(numbers, expected);
    };
    proxy_numbers(20, 30);
    // As many frames, elsewhere.
    lake_of_part(folder.path(), &clip, "70f", "100f");
    assert_eq!(viewer.video(), video);
    assert_eq!(viewer.json(&video)["first_frame"], 70);
    proxy_numbers(70, 30);
    assert_eq!(viewer.get(&format!("{video}/frames/30.png")).status(), 404);
    assert_eq!(
        number_in_png(&viewer.bytes(&format!("{video}/frames/80.png"))),
        painted[80].0
    );
}

#[test]
fn a_file_that_took_anothers_place_has_its_own_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("painted.mp4");
    painted_clip(&clip, 60, &WITH_B_FRAMES);
    lake_of(folder.path(), &clip);
    let viewer = Viewer::enter(folder.path(), &[]);
    let first = viewer.video();
    assert_eq!(
        number_in_png(&viewer.bytes(&format!("{first}/frames/5.png"))),
        5
    );
    // The same name; its pictures begin with 7.
    let other = folder.path().join("other.mp4");
    let all = folder.path().join("all.mp4");
    painted_clip(
        &all,
        60,
        &["-c:v", "libx264", "-g", "1", "-pix_fmt", "yuv420p"],
    );
    let all = all.to_str().expect("a path");
    make_clip(
        &other,
        &[
            "-i",
            all,
            "-vf",
            "select='gte(n,7)',setpts=PTS-STARTPTS",
            "-c:v",
            "libx264",
        ],
    );
    fs::rename(&other, &clip).expect("a file");
    assert_eq!(viewer.get(&format!("{first}/frames/6.png")).status(), 409);
    lake_of(folder.path(), &clip);
    let videos = viewer.json("/api/videos");
    let ids = videos["videos"].as_array().expect("a list").iter();
    let second = ids
        .filter_map(|video| video["video_id"].as_str())
        .find(|id| !first.ends_with(id))
        .expect("another video");
    let second = format!("/api/videos/{second}");
    assert_eq!(
        number_in_png(&viewer.bytes(&format!("{second}/frames/5.png"))),
        12
    );
    assert_eq!(viewer.get(&format!("{first}/frames/6.png")).status(), 409);
}

#[test]
fn a_clip_has_the_stretch_that_was_marked() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("it's <b>.mp4");
    painted_clip(&clip, 90, &WITH_B_FRAMES);
    lake_of(folder.path(), &clip);
    let viewer = Viewer::enter(folder.path(), &[]);
    let video = viewer.video();
    let answer = viewer.get(&format!("{video}/clip.mp4?from=41&to=57&skeleton=no"));
    assert_eq!(answer.status(), 200);
    let disposition = answer.headers()["content-disposition"]
        .to_str()
        .expect("a text")
        .to_owned();
    assert!(
        disposition.starts_with("attachment; filename=\"it_s__b__41-57.mp4\""),
        "{disposition}"
    );
    let plain = folder.path().join("plain.mp4");
    fs::write(&plain, answer.bytes().expect("bytes")).expect("room");
    let source = numbers_in_video(&clip);
    for (place, (number, secs)) in numbers_in_video(&plain).into_iter().enumerate() {
        assert_eq!(number, 41 + place as u32);
        let expected = source[41 + place].1 - source[41].1;
        assert!((secs - expected).abs() < 1e-4, "{secs} for {expected}");
    }
    let drawn = folder.path().join("drawn.mp4");
    fs::write(
        &drawn,
        viewer.bytes(&format!("{video}/clip.mp4?from=41&to=57")),
    )
    .expect("room");
    assert_eq!(numbers_in_video(&drawn).len(), 17);
    assert_ne!(
        fs::read(&drawn).expect("a clip"),
        fs::read(&plain).expect("a clip")
    );
    assert_eq!(
        viewer
            .get(&format!("{video}/clip.mp4?from=5&to=90"))
            .status(),
        404
    );
}

#[test]
fn files_that_are_gone_changed_or_moved_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let home = folder.path().join("red.mp4");
    let viewer = Viewer::enter(folder.path(), &[]);
    let video = viewer.video();
    let state = |viewer: &Viewer, path: &str| viewer.json(path)["state"].clone();
    let check = format!("{video}/check");
    assert_eq!(state(&viewer, &check), "source");
    // The same size, another content.
    let mut content = fs::read(&home).expect("the clip");
    let original = content.clone();
    *content.last_mut().expect("a byte") ^= 1;
    fs::write(&home, &content).expect("room");
    assert_eq!(state(&viewer, &check), "changed");
    let changed = viewer.get(&format!("{video}/video"));
    assert_eq!(changed.status(), 409);
    assert_eq!(
        changed.json::<Value>().expect("JSON")["error"]["kind"],
        "file_changed"
    );
    assert_eq!(viewer.get(&format!("{video}/frames/0.jpg")).status(), 409);
    fs::remove_file(&home).expect("a file");
    let file = viewer.json(&video)["file"].clone();
    assert_eq!(file["state"], "missing");
    assert!(
        file["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("--videos DIR")),
        "{file}"
    );
    // Rows do not need it.
    assert_eq!(viewer.get(&format!("{video}/landmarks")).status(), 200);
    let moved = folder.path().join("moved");
    fs::create_dir(&moved).expect("a folder");
    fs::write(moved.join("renamed.mp4"), &original).expect("room");
    let viewer = Viewer::enter(folder.path(), &["--videos", "moved"]);
    assert_eq!(state(&viewer, &check), "source");
    assert_eq!(viewer.bytes(&format!("{video}/video")), original);
}

#[test]
fn sql_is_answered_within_limits_and_never_leaves_the_lake() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    fs::write(folder.path().join("secret.csv"), "word\nnot-to-be-seen\n").expect("room");
    let viewer = Viewer::enter(folder.path(), &[]);
    let ask = |sql: &str| viewer.query(&json!({ "sql": sql }));
    let (status, answer) = ask(
        "select frame, quality, mean_visibility from metrics where frame in (8, 9) order by frame;",
    );
    assert_eq!(status, 200);
    assert_eq!(
        answer["rows"],
        json!([[8, "good", 1], [9, "no_pose", null]])
    );
    assert_eq!(
        answer["columns"][1],
        json!({"name": "quality", "type": "Utf8", "is_number": false})
    );
    let (_, cut) =
        viewer.query(&json!({ "sql": "select frame from metrics order by frame", "limit": 7 }));
    assert_eq!(
        (&cut["row_count"], &cut["is_cut"]),
        (&json!(7), &json!(true))
    );
    assert_eq!(cut["rows"][6], json!([6]));
    let (_, odd) = ask(
        "select 9007199254740993::BIGINT, 'nan'::DOUBLE, 1::DECIMAL(4,2), date '2026-01-31', [1, 2], null",
    );
    assert_eq!(
        odd["rows"][0],
        json!(["9007199254740993", "NaN", 1.0, "2026-01-31", "[1, 2]", null])
    );
    let shipped = viewer.json("/api/queries");
    let queries = shipped["queries"].as_array().expect("a list");
    let velocity = queries
        .iter()
        .find(|query| query["name"] == "velocity")
        .expect("a query");
    let params = json!({ "landmark": "left_wrist" });
    let (status, answer) = viewer.query(&json!({ "sql": velocity["sql"], "params": params }));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["row_count"], 27);

    let secret = folder.path().join("secret.csv");
    let secret = secret.display();
    for sql in [
        format!("select * from read_csv('{secret}')"),
        format!("select * from '{secret}'"),
        format!("select * from read_text('{secret}')"),
        "select * from read_text('/etc/passwd')".into(),
        "select * from glob('/etc/*')".into(),
        format!("copy (select 1) to '{secret}'"),
        format!("attach '{secret}' as other"),
        "select 1; select 2".into(),
        "delete from videos".into(),
        "set memory_limit = '100GB'".into(),
        "install httpfs".into(),
        "select * from query('select 1')".into(),
        "select getenv('HOME')".into(),
        "select 1) union all (select 2".into(),
        "nonsense".into(),
        String::new(),
    ] {
        let (status, answer) = ask(&sql);
        assert_eq!(status, 400, "{sql}: {answer}");
        assert!(!answer.to_string().contains("not-to-be-seen"), "{answer}");
        assert!(!answer.to_string().contains("root:"), "{answer}");
    }
    for body in [
        "",
        "{}",
        "[]",
        "{\"sql\": 1}",
        "{\"sql\": \"select 1\", \"path\": \"x\"}",
    ] {
        let answer = viewer.send(Method::POST, "/api/query", &[], Some(body.into()));
        assert_eq!(answer.status(), 400, "{body}");
    }
    let long = json!({ "sql": "x".repeat(66_000) });
    assert_eq!(viewer.query(&long).0, 413);
    assert_eq!(
        posedata(folder.path(), &["lake", "check"]).status.code(),
        Some(0)
    );
}

#[test]
fn results_are_bounded_and_queries_end_with_who_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let viewer = Viewer::enter(folder.path(), &["--memory-limit", "600MiB"]);
    // A hundred megabytes.
    let huge = "select repeat('x', 10000) as text from range(10000)";
    let (status, answer) = viewer.query(&json!({ "sql": huge }));
    assert_eq!(status, 200);
    assert_eq!(answer["is_cut"], true);
    assert!(answer.to_string().len() < 20 << 20);
    let body = Some(json!({ "sql": huge }).to_string());
    let csv = viewer.send(Method::POST, "/api/query.csv", &[], body);
    assert_eq!(csv.status(), 413);
    let body = Some(json!({ "sql": "select 1 as one" }).to_string());
    let csv = viewer.send(Method::POST, "/api/query.csv", &[], body);
    assert_eq!(csv.text().expect("a text"), "one\n1\n");
    // Nobody waits for these, which would take for ever; each of the workers would be held by one.
    let endless =
        json!({ "sql": "select sum(a.range * b.range) from range(10000000) a, range(10000000) b" });
    let endless = endless.to_string();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(("127.0.0.1", viewer.port)).expect("a connection");
        let request = format!(
            "POST /api/query HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nCookie: {}\r\nContent-Length: {}\r\n\r\n{endless}",
            viewer.port,
            viewer.cookie,
            endless.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        drop(stream);
    }
    let (status, answer) = viewer.query(&json!({ "sql": "select 1" }));
    assert_eq!((status, &answer["rows"]), (200, &json!([[1]])));
    drop(viewer);
    // Whoever waits is told in the end.
    let viewer = Viewer::enter(folder.path(), &["--query-timeout", "1"]);
    let (status, answer) = viewer.query(&serde_json::from_str(&endless).expect("JSON"));
    assert_eq!(status, 504, "{answer}");
    assert_eq!(answer["error"]["kind"], "too_slow");
    assert_eq!(viewer.json("/api/lake")["limits"]["query_secs"], 1);
}

#[test]
fn no_parameter_leads_out_of_the_lake() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let viewer = Viewer::enter(folder.path(), &[]);
    let video = viewer.video();
    let id = video.rsplit('/').next().expect("an id");
    let ways_out = [
        "../../../../../../etc/passwd",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5cetc%5cpasswd",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "....//....//etc/passwd",
        "passwd%00.jpg",
        "file:%2f%2f%2fetc%2fpasswd",
        "-1",
        "1;DROP%20TABLE%20videos",
        "'%20OR%20'1'='1",
        "99999999999999999999999",
    ];
    let mut paths = Vec::new();
    for way in ways_out {
        paths.extend([
            format!("/{way}"),
            format!("/assets/{way}"),
            format!("/api/videos/{way}"),
            format!("/api/videos/{way}/video"),
            format!("/api/videos/{id}{way}/video"),
            format!("{video}/frames/{way}"),
            format!("{video}/frames/{way}.jpg"),
            format!("{video}/{way}"),
        ]);
        for parameter in [
            "landmarks?person=",
            "landmarks?from=",
            "landmarks?rows=",
            "columns?columns=x&landmark=nose&table=",
            "columns?table=landmarks&landmark=nose&columns=",
            "columns?table=landmarks&columns=x&landmark=",
            "curve?table=metrics&columns=left_knee_deg&points=",
            "curve?table=metrics&columns=left_knee_deg&to=",
            "marks?person=",
            "times?of=",
            "video?anyway=",
            "frames/0.jpg?width=",
            "examples?offset=",
            "clip.mp4?skeleton=",
            "table.csv?table=",
            "table.csv?path=",
        ] {
            paths.push(format!("{video}/{parameter}{way}"));
        }
    }
    for path in paths {
        // As it is written: a client would make sense of the dots.
        let (status, answer) = viewer.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nCookie: {}\r\nConnection: close\r\n\r\n",
            viewer.port, viewer.cookie
        ));
        assert!((400..500).contains(&status), "{path}: {answer}");
        assert!(!answer.contains("root:"), "{path}: {answer}");
    }
    // A dataset of that name is not there.
    let none = viewer.json(&format!("{video}/examples?dataset=..%2f..%2fetc"));
    assert_eq!(none["examples"], json!([]));
    let check = posedata(folder.path(), &["lake", "check"]);
    assert!(check.status.success(), "{}", stderr(&check));
}

#[test]
fn many_requests_and_half_open_ones_do_not_stop_the_viewer() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let viewer = Viewer::enter(folder.path(), &[]);
    let video = viewer.video();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let requests = (0..200).map(|i| {
            let (viewer, video) = (&viewer, &video);
            scope.spawn(move || {
                let path = match i % 4 {
                    0 => format!("{video}/frames/{}.jpg", i % 30),
                    1 => format!("{video}/landmarks"),
                    2 => format!("{video}/curve?table=metrics&columns=left_knee_deg"),
                    _ => format!("{video}/video"),
                };
                viewer.get(&path).status().as_u16()
            })
        });
        let requests: Vec<_> = requests.collect();
        requests
            .into_iter()
            .map(|request| request.join().expect("an answer"))
            .collect()
    });
    assert!(
        statuses.iter().all(|status| [200, 429].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.contains(&200));
    assert_eq!(viewer.get("/api/lake").status(), 200);
    // More than there is room for; each holds a place until its time is over.
    let half_open: Vec<TcpStream> = (0..80)
        .map(|i| {
            let mut stream = TcpStream::connect(("127.0.0.1", viewer.port)).expect("a connection");
            let begun: &[u8] = if i % 2 == 0 {
                b""
            } else {
                b"GET /api/lake HTTP/1.1\r\nHo"
            };
            stream.write_all(begun).expect("sent");
            stream
        })
        .collect();
    assert_eq!(viewer.get("/api/lake").status(), 200);
    drop(half_open);
    // Heads without end, and lines that are no HTTP.
    let (status, _) = viewer.raw(&format!(
        "GET / HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(1 << 20)
    ));
    assert!([0, 400, 431].contains(&status), "{status}");
    let (status, _) = viewer.raw("\u{16}\u{3}\u{1}\r\n\r\n");
    assert!([0, 400].contains(&status), "{status}");
    assert_eq!(viewer.get("/api/lake").status(), 200);
}

#[test]
fn an_ingest_and_a_second_viewer_are_not_hindered() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    let (first, second) = (
        Viewer::enter(folder.path(), &[]),
        Viewer::enter(folder.path(), &[]),
    );
    let before = first.json("/api/videos");
    assert_eq!(second.json("/api/videos"), before);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            // As a page that looks for new videos, without a pause.
            let began = Instant::now();
            loop {
                let videos = first.json("/api/videos");
                if videos["videos"].as_array().map(Vec::len) == Some(3) {
                    return videos;
                }
                assert!(began.elapsed() < PATIENCE, "{videos}");
            }
        });
        for name in ["<script>alert(1)</script>.mp4", "blue.mp4"] {
            let tint = if name == "blue.mp4" { "blue" } else { "green" };
            // A file's name cannot hold a slash.
            let name = name.replace('/', "_");
            let clip = clip(folder.path(), &name, tint);
            let summary = ingest(&config(vec![clip], &lake)).expect("an ingest");
            assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Ingested)), 1);
        }
        let videos = asking.join().expect("all videos");
        assert!(videos["snapshot"].as_u64() > before["snapshot"].as_u64());
        assert_eq!(
            videos["videos"][0]["file_name"],
            "<script>alert(1)<_script>.mp4"
        );
    });
    let listed = first.get("/api/videos");
    assert_eq!(listed.headers()["content-type"], "application/json");
    assert_eq!(listed.headers()["x-content-type-options"], "nosniff");
}

#[test]
fn a_signal_ends_the_viewer_whatever_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut viewer = Viewer::enter(folder.path(), &[]);
        let idle = TcpStream::connect(("127.0.0.1", viewer.port)).expect("a connection");
        let mut asking = TcpStream::connect(("127.0.0.1", viewer.port)).expect("a connection");
        let endless = "{\"sql\": \"select sum(a.range * b.range) from range(10000000) a, range(10000000) b\"}";
        let request = format!(
            "POST /api/query HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nCookie: {}\r\nContent-Length: {}\r\n\r\n{endless}",
            viewer.port,
            viewer.cookie,
            endless.len()
        );
        asking.write_all(request.as_bytes()).expect("sent");
        let id = viewer.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill").success());
        let ended = viewer.child.wait().expect("an end");
        assert_eq!(ended.code(), Some(code));
        drop((idle, asking));
    }
}

#[test]
fn what_is_wrong_with_the_lake_is_told_before_there_is_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = posedata(folder.path(), &["view", "--no-open", "--port", "0"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("lake"), "{}", stderr(&none));
    fixture(folder.path());
    for (arguments, told) in [
        (&["nobody.mp4"][..], "nobody.mp4"),
        (
            &["--videos", "nowhere"],
            "--videos is a folder that is there",
        ),
        (&["--host", "192.0.2.1"], "cannot listen at 192.0.2.1"),
    ] {
        let arguments = [&["view", "--no-open", "--port", "0"], arguments].concat();
        let output = posedata(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    let removed = posedata(folder.path(), &["remove", "red.mp4"]);
    assert!(removed.status.success(), "{}", stderr(&removed));
    let viewer = Viewer::enter(folder.path(), &[]);
    assert_eq!(viewer.json("/api/lake")["counts"]["videos"], 0);
    assert_eq!(viewer.json("/api/videos")["videos"], json!([]));
    assert_eq!(viewer.get("/").status(), 200);
}

/// Where a proxy of a clip that shares times with itself lies.
fn cached_proxies(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder.join("cache/posedata/proxies"));
    found
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

#[test]
fn a_proxy_that_nobody_waits_for_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let mut viewer = Viewer::enter(folder.path(), &[]);
    let video = viewer.video();
    // Any video may have one.
    viewer.send(Method::POST, &format!("{video}/proxy"), &[], None);
    let id = viewer.child.id().to_string();
    Command::new("kill")
        .args(["-s", "INT", &id])
        .status()
        .expect("kill");
    viewer.child.wait().expect("an end");
    // All of it, or nothing.
    for proxy in cached_proxies(folder.path()) {
        assert!(
            proxy.extension().is_some_and(|ending| ending == "mp4"),
            "{}",
            proxy.display()
        );
        assert_eq!(numbers_in_video(&proxy).len() as u64, CLIP_FRAMES);
    }
}
