"""Package and program together: real videos, on this machine and on both engines.

`make test-python` sets POSEDATA_BIN, and fetches clips and models before.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

import posedata
from posedata import Event, PosedataError
from posedata._command import COMMANDS, DECIDED_HERE, OWN_OPTIONS, PROGRAM_FLAGS
from posedata.ray import LOCAL_VARIABLES
from tests.cases import Cluster
from tests.conftest import Driver, StartDriver, wait_until
from tests.servers import BUCKET, PG_PASSWORD, S3_SECRET, ObjectStore, Postgres

CLIPS = ("single_cam01", "single_cam02", "multi_cam01")
N_FRAMES = 12
# In work for some seconds, so that something can happen meanwhile.
LONG_CLIP, N_LONG_FRAMES = "single_cam03", 90
OPTIONS = ("--no-video", "--no-pose-json")
# Rows that an ingest measures; the same on every machine.
TABLES_OF_FILES = ("landmarks", "metrics")
TABLES = (*TABLES_OF_FILES, "persons")


@pytest.fixture(scope="module")
def program() -> str:
    """The program; there are no tests of it without it."""
    path = os.environ.get("POSEDATA_BIN")
    if not path or not os.access(path, os.X_OK):
        pytest.fail(
            "POSEDATA_BIN does not name the program that is to be tested; "
            "`make test-python` builds it and sets the variable"
        )
    return os.path.abspath(path)


def run(program: str, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def test_the_driver_knows_which_options_of_the_program_take_no_value(program: str) -> None:
    """Otherwise what follows one would be its value, and a run over one video one over all."""
    flags = set()
    for command, _ in COMMANDS.values():
        text = run(program, *command, "--help")
        for short, long, value in re.findall(r"^ +(?:(-\w), )?(--[\w-]+)( <)?", text, re.M):
            if not value:
                flags |= {short, long} - {""}
    assert flags - set(OWN_OPTIONS) - set(DECIDED_HERE) == PROGRAM_FLAGS


def cut(program: str, name: str, n_frames: int, folder: Path) -> None:
    source = run(program, "models", "path", name).strip()
    command = ["ffmpeg", "-v", "error", "-i", source, "-an", "-c", "copy"]
    target = folder / f"{name}.mp4"
    subprocess.run([*command, "-frames:v", str(n_frames), str(target)], check=True)


@pytest.fixture(scope="module")
def clips(program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of short videos, of which one is none."""
    folder = tmp_path_factory.mktemp("clips")
    for name in CLIPS:
        cut(program, name, N_FRAMES, folder)
    (folder / "bad.mp4").write_bytes(b"\0" * 5000)
    return folder


@pytest.fixture(scope="module")
def long_clip(program: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    cut(program, LONG_CLIP, N_LONG_FRAMES, folder)
    return folder


@pytest.fixture(scope="module")
def told() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def lake(
    program: str, clips: Path, told: list[Event], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A lake of the clips, made on this machine in one call."""
    lake = tmp_path_factory.mktemp("alone") / "lake"
    result = posedata.ingest(clips, lake=lake, progress=told.append, options=OPTIONS)
    assert sorted((Path(v.video).stem, v.outcome) for v in result.videos) == sorted(
        [("bad", "failed"), *((name, "ingested") for name in CLIPS)]
    )
    assert result.exit_code == 2
    (failed,) = result.failed
    assert failed.kind == "broken"
    assert failed.error
    return lake


def assert_same_rows(one: Path | str, other: Path | str) -> None:
    """What was measured is the same, whatever lakes it lies in."""
    for table in TABLES:
        ours, theirs = (
            posedata.query(f"select * from {table} order by all", lake=lake)
            for lake in (one, other)
        )
        assert ours.num_rows > 0
        assert ours.schema.equals(theirs.schema)
        if table in TABLES_OF_FILES:
            assert ours.equals(theirs), table
            continue
        # DuckLake writes numbers of few rows into PostgreSQL with 16 digits.
        for name in ours.column_names:
            expected = [
                pytest.approx(value, rel=1e-14) if isinstance(value, float) else value
                for value in theirs[name].to_pylist()
            ]
            assert ours[name].to_pylist() == expected, name


def test_listing_says_what_ingest_takes(program: str, clips: Path) -> None:
    from posedata._core import list_videos

    listed, errors = list_videos([str(clips)], "output")
    assert not errors
    found = {(each.name, each.path, each.n_bytes) for each in listed}
    assert found == {(str(path), str(path), path.stat().st_size) for path in clips.iterdir()}


def test_ingest_tells_of_each_video(lake: Path, clips: Path, told: list[Event]) -> None:
    committed = [event for event in told if event.event == "committed"]
    assert sorted(event.video or "" for event in committed) == [
        str(clips / f"{name}.mp4") for name in sorted(CLIPS)
    ]
    for event in committed:
        assert event.frames == N_FRAMES
        assert event.pose_frames is not None
        assert event.secs is not None
        assert event.secs > 0
    started = {event.video for event in told if event.event == "started"}
    assert {event.video for event in committed} <= started
    assert told[-1].event == "summary"
    assert told[-1].exit_code == 2


def test_ingest_again_has_nothing_to_do(lake: Path, clips: Path) -> None:
    result = posedata.ingest([clips / f"{name}.mp4" for name in CLIPS], lake=lake, options=OPTIONS)
    assert {video.outcome for video in result.videos} == {"skipped"}
    assert result.exit_code == 0
    assert not result.failed


def test_ingest_raises_what_the_program_says(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(PosedataError, match="--no-such-option") as caught:
        posedata.ingest(tmp_path, lake=lake, options=["--no-such-option"])
    assert caught.value.exit_code == 1
    with pytest.raises(PosedataError, match=str(tmp_path)):
        posedata.ingest(tmp_path, lake=lake)


def test_query_answers_with_types(lake: Path) -> None:
    import pyarrow as pa

    table = posedata.query(
        "-- which ones\nselect file_name, frame_count, duration_secs, ingested_at from videos "
        "where frame_count >= $n order by file_name",
        lake=lake,
        params={"n": N_FRAMES},
    )
    assert table["file_name"].to_pylist() == [f"{name}.mp4" for name in sorted(CLIPS)]
    assert table.schema.field("frame_count").type == pa.int64()
    assert table.schema.field("duration_secs").type == pa.float64()
    assert pa.types.is_timestamp(table.schema.field("ingested_at").type)
    assert table["frame_count"].to_pylist() == [N_FRAMES] * len(CLIPS)


def test_query_knows_the_programs_own_queries(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = posedata.query("velocity", lake=lake, params={"landmark": "left_wrist"})
    assert set(named["landmark"].to_pylist()) == {"left_wrist"}
    (tmp_path / "mine.sql").write_text("select count(*) as n from videos")
    mine = posedata.query(tmp_path / "mine.sql", lake=lake)
    assert mine.to_pydict() == {"n": [len(CLIPS)]}


def test_query_without_rows_still_has_columns(lake: Path) -> None:
    table = posedata.query("select file_name from videos where false", lake=lake)
    assert (table.num_rows, table.schema.names) == (0, ["file_name"])


def test_query_raises_what_the_program_says(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(PosedataError, match="no_such_column") as caught:
        posedata.query("select no_such_column from videos", lake=lake)
    assert caught.value.exit_code == 1
    with pytest.raises(PosedataError, match=str(tmp_path)):
        posedata.query("select 1", lake=tmp_path / "nowhere")


@pytest.fixture(params=["ray_cluster", "dask_cluster"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Two workers, which have no variables that name the program."""
    made: Cluster = request.getfixturevalue(request.param)
    wait_until("both workers are there", lambda: made.n_workers() == 2)
    return made


@pytest.fixture
def drive(start_driver: StartDriver, cluster: Cluster) -> StartDriver:
    def start(command: str, *words: str) -> Driver:
        address = ("--address", cluster.address)
        # By these, drivers find a Ray cluster that listens on the loopback only.
        return start_driver("-m", cluster.module, command, *words, *address, **LOCAL_VARIABLES)

    return start


def programs_of(driver: Driver, command: str) -> list[int]:
    """Processes of the program that work for a driver, by the lake's name in their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if command in words[1:3] and str(driver.folder / "lake") in words:
            found.append(int(path.parent.name))
    return found


def test_two_drivers_at_once_make_the_lake_that_one_machine_makes(
    program: str,
    clips: Path,
    lake: Path,
    cluster: Cluster,
    drive: StartDriver,
    postgres: Postgres,
    object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**object_store.variables(), "PGPASSWORD": PG_PASSWORD}.items():
        monkeypatch.setenv(name, value)
    prefix = f"s3://{BUCKET}/{cluster.module}"
    for clip in clips.iterdir():
        object_store.put(f"{cluster.module}/clips/{clip.name}", clip)
    made = postgres.lake(cluster.module.replace(".", "_"))
    run(program, "lake", "create", made, "--data-path", f"{prefix}/lake/")

    words = (f"{prefix}/clips/", "--lake", made, *OPTIONS, "--batch-bytes", "100KiB")
    drivers = [drive("ingest", *words), drive("ingest", *words)]
    # The network of a cluster is not always there.
    n_ended = 0
    while any(driver.process.poll() is None for driver in drivers):
        n_ended += postgres.end_connections(0.3 if n_ended else 1.0)
        time.sleep(0.7)
    assert n_ended > 0
    for driver in drivers:
        assert driver.wait() == 2, driver.text()
        assert len([line for line in driver.text().splitlines() if "bad.mp4" in line]) == 1
        for secret in (PG_PASSWORD, S3_SECRET):
            assert secret not in driver.text() + driver.report_file.read_text()
    for name in CLIPS:
        outcomes = sorted(driver.outcomes()[name] for driver in drivers)
        assert outcomes == ["ingested", "skipped"], [driver.text() for driver in drivers]
    assert {driver.outcomes()["bad"] for driver in drivers} == {"failed"}
    assert_same_rows(made, lake)
    run(program, "lake", "check", "--lake", made)


def test_commands_over_a_lake_do_all_its_videos(
    lake: Path, start_driver: StartDriver, tmp_path: Path
) -> None:
    def drive(*words: str) -> Driver:
        driver = start_driver("-m", "posedata.dask", *words, "--lake", str(lake), "--local", "1")
        assert driver.wait() == 0, driver.text()
        return driver

    driver = drive("recompute", "--cutoff", "5")
    assert driver.report()["counts"]["computed"] == len(CLIPS)
    filtered = posedata.query(
        "select count(distinct video_id) as n from metrics_filtered", lake=lake
    )
    assert filtered.to_pydict() == {"n": [len(CLIPS)]}
    driver = drive("annotate", CLIPS[0], "--output", "drawn")
    assert driver.report()["counts"]["written"] == 1
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == [f"annotated_{CLIPS[0]}.mp4"]


def test_a_worker_that_is_killed_in_the_middle_of_a_video_costs_nothing_but_time(
    program: str, long_clip: Path, cluster: Cluster, drive: StartDriver, tmp_path: Path
) -> None:
    driver = drive("ingest", str(long_clip), "--lake", "lake", *OPTIONS)
    wait_until("the program works", lambda: programs_of(driver, "ingest"))
    (first,) = programs_of(driver, "ingest")
    # The hidden files of a video in work are there when its frames are.
    wait_until("rows are written", lambda: list((tmp_path / "lake").rglob("*.parquet*")))
    os.kill(cluster.driver_of(first), signal.SIGKILL)
    wait_until("the program has ended", lambda: not Path(f"/proc/{first}").exists())
    assert driver.wait() == 0, driver.text()
    assert driver.outcomes() == {LONG_CLIP: "ingested"}
    run(program, "lake", "check", "--lake", str(tmp_path / "lake"))
    counts = posedata.query(
        "select frame_count, (select count(distinct frame) from metrics) from videos",
        lake=tmp_path / "lake",
    )
    assert [each[0] for each in counts.to_pydict().values()] == [N_LONG_FRAMES] * 2


def test_ctrl_c_leaves_neither_a_program_nor_half_a_video(
    program: str, long_clip: Path, drive: StartDriver, tmp_path: Path
) -> None:
    driver = drive("ingest", str(long_clip), "--lake", "lake", *OPTIONS)
    wait_until("rows are written", lambda: list((tmp_path / "lake").rglob("*.parquet*")))
    driver.interrupt_group()
    assert driver.wait() == 130, driver.text()
    assert not programs_of(driver, "ingest")
    assert driver.outcomes() == {LONG_CLIP: "cancelled"}
    if (tmp_path / "lake").exists():
        run(program, "lake", "check", "--lake", str(tmp_path / "lake"))
