//! The questions of `posedata ask`: what the files answer, against SQL of its own; what the grammar
//! allows; what happens with wrong files and questions.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::ask::write_models;
use crate::dataset::{folder_with_lake, query};
use crate::support::{posedata, stderr, stdout};

const DEMO: &str = "(SELECT video_id FROM videos WHERE file_name = 'demo.mp4')";

fn shipped() -> String {
    format!("{}/queries/ask", env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn call(folder: &Path, call: &str) -> Value {
    let shipped = shipped();
    let output = posedata(
        folder,
        &["ask", "--call", call, "--questions", &shipped, "--json"],
    );
    assert!(output.status.success(), "{call}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn value(answer: &Value, name: &str) -> f64 {
    let values = answer["values"].as_array().expect("values");
    let named = values.iter().find(|value| value["name"] == name);
    named.and_then(|value| value["value"].as_f64()).expect(name)
}

/// The first value of a row of SQL.
fn expected(folder: &Path, sql: &str) -> f64 {
    let rows = query(folder, sql);
    let row = rows[0].as_object().expect("a row");
    row.values()
        .next()
        .and_then(Value::as_f64)
        .expect("a number")
}

#[test]
fn every_shipped_question_answers_what_other_sql_finds() {
    let folder = folder_with_lake();
    let folder = folder.path();
    for (clip, subject) in [("demo.mp4", "ben"), ("single_cam01.mp4", "anna")] {
        let tagged = posedata(folder, &["tag", clip, "--subject", subject]);
        assert!(tagged.status.success(), "{}", stderr(&tagged));
    }
    let of_demo = format!("FROM metrics WHERE video_id = {DEMO} AND person = 0");
    let one = |expression: &str| format!("SELECT {expression} AS x {of_demo}");
    let within = "time_secs BETWEEN 1 AND 2.5";
    let at = |column: &str, secs: &str| {
        format!("SELECT {column} AS x {of_demo} ORDER BY abs(time_secs - {secs}), frame LIMIT 1")
    };
    let cases: Vec<(&str, &str, String)> = vec![
        ("value joint=left_knee at_secs=2 video=demo.mp4", "value_deg", at("left_knee_deg", "2")),
        ("extreme joint=right_knee which=smallest video=demo.mp4", "value_deg", one("min(right_knee_deg)")),
        ("extreme joint=right_knee which=smallest video=demo.mp4", "at_secs", one("arg_min(time_secs, right_knee_deg)")),
        ("extreme joint=left_hip which=largest from_secs=1 to_secs=2.5 video=demo.mp4", "value_deg", one(&format!("max(left_hip_deg) FILTER ({within})"))),
        ("range joint=left_elbow from_secs=1 to_secs=2.5 video=demo.mp4", "range_deg", one(&format!("max(left_elbow_deg) FILTER ({within}) - min(left_elbow_deg) FILTER ({within})"))),
        ("mean joint=trunk_lean video=demo.mp4", "mean_deg", one("avg(trunk_lean_deg::DOUBLE)")),
        ("mean joint=forward_lean video=demo.mp4", "mean_deg", one("90 - avg(trunk_segment_deg::DOUBLE)")),
        ("change joint=left_knee from_secs=1 to_secs=2 video=demo.mp4", "change_deg", format!("SELECT ({}) - ({}) AS x", at("left_knee_deg", "2"), at("left_knee_deg", "1"))),
        ("sides_at part=knee at_secs=2 video=demo.mp4", "difference_deg", at("left_knee_deg - right_knee_deg", "2")),
        ("sides part=hip video=demo.mp4", "difference_deg", one("avg(left_hip_deg::DOUBLE - right_hip_deg)")),
        ("crossings joint=left_knee direction=below limit_deg=120 video=demo.mp4", "crossing_count", format!("SELECT count(*) FILTER (b AND NOT p) AS x FROM (SELECT left_knee_deg < 120 AS b, lag(left_knee_deg < 120) OVER (ORDER BY frame) AS p {of_demo} AND left_knee_deg IS NOT NULL)")),
        // The clip has frames of one length.
        ("time_beyond joint=left_knee direction=above limit_deg=150 video=demo.mp4", "beyond_secs", format!("SELECT count(*) FILTER (left_knee_deg > 150) / 30.0 AS x {of_demo}")),
        ("speed landmark=left_wrist statistic=peak video=demo.mp4", "speed_px_per_sec", "SELECT max(speed_px_per_sec) AS x FROM landmark_speed('left_wrist') WHERE file_name = 'demo.mp4' AND visibility >= 0.5".into()),
        ("fastest video=demo.mp4", "speed_px_per_sec", one("max(peak_landmark_speed_px_per_sec)")),
        ("posture at_secs=2 video=demo.mp4", "right_hip_deg", at("right_hip_deg", "2")),
        ("quality video=demo.mp4", "good_percent", one("100.0 * avg((quality = 'good')::INTEGER)")),
        ("compare_videos joint=left_knee statistic=range video=demo.mp4 other_video=single_cam01.mp4", "first_deg", one("max(left_knee_deg) - min(left_knee_deg)")),
        ("compare_subjects joint=left_knee statistic=smallest subject=ben other_subject=anna", "first_deg", one("min(left_knee_deg)")),
        ("rank_videos joint=left_knee statistic=smallest which=least", "value_deg", "SELECT min(left_knee_deg) AS x FROM metrics".into()),
        ("rank_subjects joint=left_hip statistic=largest which=most", "value_deg", "SELECT max(left_hip_deg) AS x FROM metrics JOIN subjects USING (video_id) WHERE person = 0".into()),
        ("videos", "video_count", "SELECT 3 AS x".into()),
        ("duration video=demo.mp4", "frame_count", "SELECT 230 AS x".into()),
        ("people video=demo.mp4", "person_count", "SELECT 1 AS x".into()),
    ];
    for (text, name, sql) in &cases {
        let answer = call(folder, text);
        let (found, known) = (value(&answer, name), expected(folder, sql));
        assert!((found - known).abs() < 1e-3, "{text}: {found}, not {known}");
        assert_eq!(answer["refused"], false, "{text}");
        // The words give the number that the values give.
        let rounded = match name.ends_with("_secs") {
            true => format!("{found:.2}"),
            false => format!("{found:.0}"),
        };
        let words = answer["answer"].as_str().expect("words");
        let is_told = words.contains(&rounded) || words.contains(&format!("{:.1}", found.abs()));
        assert!(is_told, "{text}: {rounded} in {words}");
    }
    let names = fs::read_dir(shipped()).expect("questions").flatten();
    for file in names.map(|entry| entry.path()) {
        let name = file
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let is_tested = |(text, ..): &(&str, &str, String)| text.split(' ').next() == Some(&name);
        let is_shared = name.starts_with('_') || name == "cannot_tell";
        assert!(is_shared || cases.iter().any(is_tested), "{name}");
    }
}

/// SQL of a shipped question with values in place of its parameters.
fn with_values(question: &str, values: &[(&str, &str)]) -> String {
    let path = Path::new(&shipped()).join(format!("{question}.sql"));
    let sql = fs::read_to_string(path).expect("a question");
    let code = sql.lines().filter(|line| !line.starts_with("--"));
    let mut sql = code.collect::<Vec<_>>().join("\n");
    for (name, value) in values {
        sql = sql.replace(&format!("${name}"), value);
    }
    sql
}

/// Two people in ten frames a second: from 3 s to 4 s, and after a pause from 6 s to 6.5 s. Person 1 is
/// there in the first five frames alone, and nobody in the last. The angle of person 0 is the time in
/// degrees times ten, but hidden at 3.2 s. Landmarks become faster, and the torso is hidden at the fastest.
const RECORDING: &str = "
    CREATE TABLE videos AS SELECT 'v' AS video_id, 1.5 + 2.0 AS duration_secs, 10.0 AS fps, 15::BIGINT AS frame_count;
    CREATE TABLE metrics AS
        SELECT
            'v' AS video_id, person, frame,
            if(frame < 10, 3 + frame / 10, 5 + frame / 10)::DOUBLE AS time_secs,
            if(frame = 14, 'no_pose', 'good') AS quality,
            0.9::FLOAT AS mean_visibility,
            if(frame = 13, NULL, 50)::FLOAT AS torso_length_px,
            if(frame = 2 OR frame = 14, NULL, 10 * time_secs)::FLOAT AS left_knee_deg,
            NULL::FLOAT AS trunk_segment_deg
        FROM range(15) AS frames (frame), range(2) AS people (person)
        WHERE person = 0 OR frame < 5;
    CREATE TABLE landmarks (video_id VARCHAR, person SMALLINT, landmark VARCHAR, visibility FLOAT);
    CREATE MACRO landmark_speed(name) AS TABLE
        SELECT video_id, person, frame, time_secs, 0.9 AS visibility, 100.0 * frame AS speed_px_per_sec
        FROM metrics WHERE quality <> 'no_pose' AND name IS NOT NULL;
";

#[test]
fn parts_pauses_and_people_who_leave_are_what_the_frames_say() {
    let database = duckdb::Connection::open_in_memory().expect("a database");
    database.execute_batch(RECORDING).expect("tables");
    let first = |question: &str, values: &[(&str, &str)], column: &str| -> Option<f64> {
        let all = [
            ("video", "'v'"),
            ("joint", "'left_knee'"),
            ("landmark", "'nose'"),
            ("direction", "'below'"),
        ];
        let sql = with_values(question, &[values, &all].concat());
        let sql = sql.trim_end().trim_end_matches(';');
        let of_column = format!("SELECT ({column})::DOUBLE FROM ({sql})");
        let mut statement = database.prepare(&of_column).expect(question);
        let mut rows = statement.query([]).expect(question);
        let row = rows.next().expect(question)?;
        row.get(0).expect("a number")
    };
    let value = |at: &str| first("value", &[("person", "0"), ("at_secs", at)], "value_deg");
    for (at, expected) in [
        ("3.41", Some(34.0)),
        ("4.0", Some(39.0)),
        ("6.3", Some(63.0)),
        // Before the part that was ingested, hidden, in the pause, after the end.
        ("1", None),
        ("2.9", None),
        ("3.2", None),
        ("5", None),
        ("6.6", None),
    ] {
        let found = value(at);
        let is_same = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-4,
            (found, expected) => found == expected,
        };
        assert!(is_same, "{at}: {found:?}, not {expected:?}");
    }
    let change = |to: &str| {
        let times = [("person", "0"), ("from_secs", "3"), ("to_secs", to)];
        first("change", &times, "change_deg")
    };
    let found = change("6.1").expect("a change");
    assert!((found - 31.0).abs() < 1e-4, "{found}");
    assert_eq!((change("5"), change("7")), (None, None));
    for (person, from, to, limit, expected) in [
        // What lies within the stretch, of each frame.
        ("0", "3.35", "3.55", "400", 0.2),
        ("0", "3.35", "3.55", "34.5", 0.15),
        // The frame before the pause lasts as others do; that of 3.2 s is not measured.
        ("0", "NULL", "5.9", "400", 0.9),
        ("0", "NULL", "NULL", "400", 1.3),
        // Whoever leaves is not there until the next time.
        ("1", "NULL", "NULL", "400", 0.4),
    ] {
        let values = [
            ("person", person),
            ("from_secs", from),
            ("to_secs", to),
            ("limit_deg", limit),
        ];
        let found = first("time_beyond", &values, "beyond_secs").expect("a duration");
        assert!((found - expected).abs() < 1e-6, "{values:?}: {found}");
    }
    let speed = |statistic: &str, column: &str| {
        let values = [
            ("person", "0"),
            ("statistic", statistic),
            ("from_secs", "NULL"),
            ("to_secs", "NULL"),
        ];
        first("speed", &values, column)
    };
    assert_eq!(speed("'peak'", "speed_px_per_sec"), Some(1300.0));
    assert_eq!(speed("'peak'", "speed_torso_per_sec"), None);
    assert_eq!(speed("'mean'", "speed_px_per_sec"), Some(650.0));
    // All frames but the last one with a torso.
    assert_eq!(speed("'mean'", "speed_torso_per_sec"), Some(12.0));
    for (person, good, missing) in [
        ("0", 1400.0 / 15.0, 100.0 / 15.0),
        ("1", 500.0 / 15.0, 1000.0 / 15.0),
    ] {
        let values = [("person", person)];
        let found = first("quality", &values, "good_percent").expect("a share");
        assert!((found - good).abs() < 1e-6, "{person}: {found}");
        let found = first("quality", &values, "no_pose_percent").expect("a share");
        assert!((found - missing).abs() < 1e-6, "{person}: {found}");
    }
}

#[test]
fn a_part_of_a_video_has_the_times_of_its_file() {
    let folder = folder_with_lake();
    let clip = crate::support::installed("demo");
    let clip = clip.to_str().expect("UTF-8");
    let arguments = [
        "ingest",
        clip,
        "--from",
        "5",
        "--to",
        "5.5",
        "--no-video",
        "--no-pose-json",
    ];
    let ingested = posedata(folder.path(), &arguments);
    assert!(ingested.status.success(), "{}", stderr(&ingested));
    let answer = call(folder.path(), "posture at_secs=5.2 video=demo.mp4");
    assert_eq!(answer["refused"], false, "{answer}");
    assert!((value(&answer, "at_secs") - 5.2).abs() < 1e-6, "{answer}");
    for (at, words) in [
        ("2", "has 5.00 s to 5.50 s"),
        ("5.6", "has 5.00 s to 5.50 s"),
    ] {
        let text = format!("posture at_secs={at} video=demo.mp4");
        let answer = call(folder.path(), &text);
        assert!(
            answer["answer"].as_str().is_some_and(|a| a.contains(words)),
            "{answer}"
        );
    }
}

#[test]
fn where_there_is_nothing_it_is_said_why() {
    let folder = folder_with_lake();
    for (text, reason) in [
        (
            "value joint=left_knee at_secs=99 video=demo.mp4",
            "lasts 7.67 s",
        ),
        (
            "value joint=left_knee at_secs=0 video=demo.mp4",
            "not seen then",
        ),
        (
            "mean joint=left_knee video=demo.mp4 person=7",
            "Person 7 is not seen",
        ),
        ("mean joint=left_knee", "Which video is meant?"),
        ("mean joint=left_knee video=other.mp4", "no video other.mp4"),
        ("mean joint=left_knee video=dmo.mp4", "near are: demo.mp4"),
        (
            "compare_videos joint=left_knee statistic=mean video=demo.mp4 other_video=dmo.mp4",
            "near are: demo.mp4",
        ),
        (
            "compare_subjects joint=left_knee statistic=mean subject=ben other_subject=anna",
            "no subject ben",
        ),
        (
            "mean joint=left_knee from_secs=2 to_secs=1 video=demo.mp4",
            "the end comes before the beginning",
        ),
        (
            "value joint=left_knee at_secs=-0.01 video=demo.mp4",
            "nothing at -0.01 s",
        ),
        (
            "rank_subjects joint=left_hip statistic=mean which=most",
            "posedata tag",
        ),
        ("cannot_tell topic=forces", "cannot be seen in a video"),
    ] {
        let answer = call(folder.path(), text);
        let words = answer["answer"].as_str().expect("words");
        assert!(words.contains(reason), "{text}: {words}");
        assert_eq!(
            (&answer["refused"], &answer["values"]),
            (&true.into(), &Value::Array(vec![]))
        );
    }
}

#[test]
fn what_is_no_call_is_refused() {
    let folder = folder_with_lake();
    let shipped = shipped();
    for (text, words) in [
        ("select * from videos", "there is no question 'select'"),
        ("extreme joint=right_knee colour=red", "no parameter colour"),
        (
            "extreme joint=tail which=smallest video=demo.mp4",
            "one of left_knee",
        ),
        (
            "extreme joint=right_knee video=demo.mp4",
            "which has no value",
        ),
        (
            "value joint=left_knee at_secs=soon video=demo.mp4",
            "a time in seconds",
        ),
        ("value joint=left_knee at_secs=1;drop", "a time in seconds"),
        (
            "mean joint=left_knee video=demo.mp4 person=second",
            "person=second is not a whole number",
        ),
        (
            "mean joint=left_knee joint=right_knee video=demo.mp4",
            "joint is given twice",
        ),
    ] {
        let arguments = [
            "ask",
            "--call",
            text,
            "--questions",
            &shipped,
            "--video",
            "demo.mp4",
        ];
        let output = posedata(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            stderr(&output).contains(words),
            "{text}: {}",
            stderr(&output)
        );
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn broken_question_files_are_named_with_their_line() {
    let folder = folder_with_lake();
    let questions = folder.path().join("mine");
    let template = "{% block questions %}How?{% endblock %}{% block answer %}So.{% endblock %}";
    for (sql, template, words) in [
        (
            "-- a\n-- param x colour\nSELECT $x",
            template,
            "line 2: there is no type 'colour'",
        ),
        (
            "-- a\n-- param x text\nSELECT $x",
            template,
            "list the values",
        ),
        (
            "-- a\n-- param x time = 3\nSELECT $x",
            template,
            "has the default null",
        ),
        (
            "-- a\n-- param x time\nSELECT 1",
            template,
            "does not use $x",
        ),
        (
            "-- a\n-- question train = maybe\nSELECT 1",
            template,
            "train is `yes` or `no`",
        ),
        (
            "-- a\n-- words x=near : close\nSELECT 1",
            template,
            "line 2: words for x, which is no parameter",
        ),
        (
            "-- a\n-- param x choice(near, far)\n-- words x=here : close\nSELECT $x",
            template,
            "line 3: words for x=here; x is one of near, far",
        ),
        (
            "-- a\n-- param x time\n-- words x=1 : close\nSELECT $x",
            template,
            "whose type has no list of values",
        ),
        (
            "-- a\n-- words : close,\nSELECT 1",
            template,
            "line 2: the phrase '' is empty",
        ),
        (
            "-- a\n-- words for nail : close\nSELECT 1",
            template,
            "no part of the body 'nail'",
        ),
        (
            "-- a\n-- question words = needed\nSELECT 1",
            template,
            "words are needed, and the header has none",
        ),
        (
            "-- a\n-- question words = many\nSELECT 1",
            template,
            "words is `needed` or `needed, PARAMETER`",
        ),
        (
            "-- a\n-- param x choice(near, far)\n-- question said = near\n-- words x=far : distant\nSELECT $x",
            template,
            "'near' has to be said, and the header has no words for it",
        ),
        (
            "-- a\n-- param 1x time\nSELECT $1x",
            template,
            "begins with no digit",
        ),
        (
            "-- a\n-- param x choice(near, near)\nSELECT $x",
            template,
            "near stands twice",
        ),
        (
            "-- a\n--param x time\nSELECT $x",
            template,
            "line 2: a line of the header is written `-- param NAME",
        ),
        (
            "-- a\n-- Question weight = 2\nSELECT 1",
            template,
            "line 2: a line of the header is written `-- question KEY",
        ),
        (
            "-- a\n-- word : close\nSELECT 1",
            template,
            "line 2: a line of the header is written `-- words :",
        ),
        (
            "-- a\n-- question nothing =\nSELECT 1",
            template,
            "nothing is what to say",
        ),
        (
            "-- a\n-- question words = needed, x\n-- words : close\nSELECT 1",
            template,
            "words are needed of x, which is no parameter",
        ),
        (
            "-- a\nSELECT $y AS x",
            template,
            "the header declares no parameter y",
        ),
        ("SELECT 1", template, "the first line is a comment"),
        (
            "-- a\nSELECT 1",
            "{% block questions %}{% endblock %}",
            "no block answer",
        ),
        (
            "-- a\nSELECT 1",
            "{% block answer %}{% endblock",
            "no block questions",
        ),
    ] {
        let _ = fs::remove_dir_all(&questions);
        fs::create_dir_all(&questions).expect("a folder");
        for ending in ["sql", "jinja"] {
            let name = format!("cannot_tell.{ending}");
            fs::copy(Path::new(&shipped()).join(&name), questions.join(&name)).expect("a copy");
        }
        fs::copy(
            Path::new(&shipped()).join("_shared.jinja"),
            questions.join("_shared.jinja"),
        )
        .expect("a copy");
        fs::write(questions.join("mine.sql"), sql).expect("room");
        fs::write(questions.join("mine.jinja"), template).expect("room");
        let arguments = ["ask", "--call", "mine", "--questions", "mine"];
        let output = posedata(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{sql}");
        let told = stderr(&output);
        assert!(
            told.contains(words) && told.contains("mine."),
            "{sql}: {told}"
        );
    }
}

#[test]
fn two_files_add_a_question_and_no_other_statement_is_run() {
    let folder = folder_with_lake();
    let questions = folder.path().join("mine");
    fs::create_dir_all(&questions).expect("a folder");
    for name in ["cannot_tell.sql", "cannot_tell.jinja", "_shared.jinja"] {
        fs::copy(Path::new(&shipped()).join(name), questions.join(name)).expect("a copy");
    }
    fs::write(
        questions.join("sport.sql"),
        "-- Which sport is it?\n-- param video video\nSELECT sport FROM videos WHERE video_id = $video",
    )
    .expect("room");
    fs::write(
        questions.join("sport.jinja"),
        "{% block questions %}Which sport{{ where }}?{% endblock %}{% block answer %}It is {{ sport }}.{% endblock %}",
    )
    .expect("room");
    let arguments = [
        "ask",
        "--call",
        "sport video=demo.mp4",
        "--questions",
        "mine",
    ];
    let output = posedata(folder.path(), &arguments);
    assert_eq!(
        stdout(&output).trim(),
        "It is running.",
        "{}",
        stderr(&output)
    );
    let shown = posedata(folder.path(), &[&arguments[..], &["--show-sql"]].concat());
    assert!(stdout(&shown).contains("SELECT sport FROM videos"));
    // Its words alone make up for what no adapter has learned of it.
    write_models(folder.path(), |_| 0.0);
    let record = r#"{"dataset": "ask", "dataset_blake3": "", "threshold": 0.0, "is_threshold_chosen": false}"#;
    fs::write(folder.path().join("adapter/ask.json"), record).expect("room");
    fs::write(
        questions.join("sport.sql"),
        "-- Which sport is it?\n-- question words = needed\n-- param video video\n-- words : discipline|sport*\nSELECT sport FROM videos WHERE video_id = $video",
    )
    .expect("room");
    let model = [
        "--base",
        "./base",
        "--adapter",
        "adapter",
        "--questions",
        "mine",
    ];
    for (question, told) in [
        ("demo.mp4: the discipline, please", "It is running."),
        ("demo.mp4: the weather, please", "That cannot be told"),
    ] {
        let output = posedata(folder.path(), &[&["ask", question][..], &model].concat());
        assert!(
            stdout(&output).contains(told),
            "{question}: {}",
            stderr(&output)
        );
    }
    fs::write(
        questions.join("sport.sql"),
        "-- Which sport is it?\n-- param video video\nDELETE FROM videos WHERE video_id = $video",
    )
    .expect("room");
    let output = posedata(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("only SELECT"),
        "{}",
        stderr(&output)
    );
    assert_eq!(query(folder.path(), "SELECT * FROM videos").len(), 3);
}

/// A folder with a lake, and an adapter of random weights that is said to write calls.
pub fn folder_with_adapter() -> tempfile::TempDir {
    let folder = folder_with_lake();
    write_models(folder.path(), |_| 0.0);
    let record = r#"{"dataset": "ask", "dataset_blake3": "", "threshold": 0.0, "is_threshold_chosen": false}"#;
    fs::create_dir_all(folder.path().join("llm_models")).expect("a folder");
    fs::rename(
        folder.path().join("adapter"),
        folder.path().join("llm_models/ask"),
    )
    .expect("a name");
    fs::write(folder.path().join("llm_models/ask/ask.json"), record).expect("room");
    folder
}

fn ask(folder: &Path, question: &str, more: &[&str]) -> std::process::Output {
    let shipped = shipped();
    let arguments = ["ask", question, "--base", "./base", "--questions", &shipped];
    posedata(folder, &[&arguments[..], more].concat())
}

#[test]
fn whatever_a_model_says_the_call_can_run_and_uses_what_the_question_names() {
    let folder = folder_with_adapter();
    let questions = [
        "How large is the left knee at 1.5 s in demo.mp4?",
        "l. elbow below 90 deg between 1 and 2,5s, single_cam01",
        "'; DROP TABLE videos; --",
        "{{ 7 * 7 }} \"quotes\" and `ticks`",
        "and the right one of person 0 in multi_cam01.mp4 at 0:01?",
    ];
    for question in questions {
        let output = ask(folder.path(), question, &["--json"]);
        assert!(output.status.success(), "{question}: {}", stderr(&output));
        let answer: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        let text = answer["call"].as_str().expect("a call");
        let probability = answer["probability"].as_f64().expect("a number");
        assert!(probability > 0.0 && probability <= 1.0, "{probability}");
        if !text.starts_with("cannot_tell") {
            for (named, slot) in [
                ("1.5 s", "=1.5"),
                ("90 deg", "limit_deg=90"),
                ("2,5s", "to_secs=2.5"),
                ("demo.mp4", "=demo.mp4"),
                ("person 0", "person=0"),
                ("0:01", "=1"),
            ] {
                assert!(
                    !question.contains(named) || text.contains(slot),
                    "{question}: {text}"
                );
            }
        }
        let again = call(folder.path(), text);
        assert_eq!(again["values"], answer["values"], "{text}");
    }
    assert_eq!(query(folder.path(), "SELECT * FROM videos").len(), 3);
}

#[test]
fn questions_that_cannot_be_asked_are_errors() {
    let folder = folder_with_adapter();
    let long = "why ".repeat(2500);
    for (question, more, words) in [
        ("  ", &[][..], "the question is empty"),
        (long.as_str(), &[], "in at most 500"),
        (
            "When is the knee most bent in demi.mp4?",
            &[],
            "near are: demo.mp4",
        ),
        (
            "How?",
            &["--adapter", "base"],
            "not trained to choose queries",
        ),
        ("How?", &["--llm-models", "none"], "make demo-ask"),
        ("How?", &["--video", "nothing.mp4"], "nothing.mp4"),
    ] {
        let output = ask(folder.path(), question, more);
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn datasets_of_calls_have_three_splits_without_common_words() {
    let folder = folder_with_lake();
    let shipped = shipped();
    write_models(folder.path(), |_| 0.0);
    let build = |seed: &str| {
        let arguments = [
            "dataset",
            "build",
            "--name",
            "ask",
            "--recipes",
            &shipped,
            "--examples",
            "400",
            "--valid",
            "0.34",
            "--seed",
            seed,
            "--base",
            "./base",
            "--json",
        ];
        let output = posedata(folder.path(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let read = |split: &str| {
            let path = folder
                .path()
                .join(format!("llm_training_data/ask/{split}.jsonl"));
            fs::read_to_string(path).expect("a split")
        };
        ["train", "valid", "test"].map(read)
    };
    let splits = build("7");
    assert_eq!(splits, build("7"), "the same seed gives the same bytes");
    assert_ne!(splits, build("8"));
    let [train, valid, test] = splits;
    assert!(
        train.lines().count() >= 390 && valid.lines().count() > 100 && test.lines().count() > 300
    );
    for untrained in ["fastest", "people"] {
        let task = format!("\"task\":\"{untrained}\"");
        assert!(!train.contains(&task) && !valid.contains(&task));
        assert!(test.contains(&task), "{untrained}");
    }
    let videos = query(
        folder.path(),
        "SELECT video_id FROM examples WHERE dataset = 'ask' GROUP BY video_id HAVING count(DISTINCT split) > 1",
    );
    assert_eq!(videos.len(), 0, "whole videos are in one split");
    let traced = posedata(folder.path(), &["dataset", "trace", "ask", "0001"]);
    assert!(traced.status.success(), "{}", stderr(&traced));
    assert!(stdout(&traced).contains("posedata ask --call"));
    // Calls are not to be paid for in other words.
    let arguments = [
        "synth",
        "--dataset",
        "ask",
        "--provider",
        "openai",
        "--n",
        "1",
        "--dry-run",
    ];
    let refused = posedata(folder.path(), &arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("holds calls of questions"),
        "{}",
        stderr(&refused)
    );
}
