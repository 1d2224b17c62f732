"""Order, retries, failures, signals: what the driver does, whatever the engine."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posedata import _driver
from posedata._command import EngineOptions
from posedata._core import never
from posedata._driver import Config, EngineLostError, Outcome, drive
from posedata._plan import Video
from posedata._progress import Progress
from tests.conftest import Standin, StartDriver, wait_until
from tests.thread_engine import LosingEngine, ThreadEngine

ENGINE_FILE = str(Path(__file__).with_name("thread_engine.py"))


class Run:
    """A run of the driver over videos of the stand-in."""

    def __init__(self, standin: Standin) -> None:
        self.standin = standin
        self.stream = io.StringIO()

    def __call__(
        self,
        *paths: str,
        engine_type: type[ThreadEngine] = ThreadEngine,
        slots: int = 1,
        is_stopped: Callable[[], bool] = never,
        **config: Any,
    ) -> dict[str, Any]:
        videos = [Video(path, path, os.stat(path).st_size) for path in paths]
        engine = engine_type(EngineOptions(None, slots, 1, 1 << 30))
        settings: dict[str, Any] = {
            "command": ("ingest",),
            "lake": str(self.standin.lake),
            "cores": 1,
            "memory_bytes": 1 << 30,
            "batch_bytes": 64 << 20,
            "retries": 2,
            **config,
        }
        try:
            self.outcome: Outcome = drive(
                Config(**settings), videos, engine, Progress(self.stream), is_stopped
            )
        finally:
            engine.close()
        assert not self.standin.left_behind()
        return {Path(v.video).stem: v for v in self.outcome.videos}


@pytest.fixture
def run(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(_driver, "MAX_DELAY_SECS", 0.1)
    return Run(standin)


def test_the_largest_goes_first_and_short_ones_together(standin: Standin, run: Run) -> None:
    small = [standin.video(f"small{i}", 100) for i in range(6)]
    paths = [*small, standin.video("large", 5000), standin.video("middle", 1000)]
    videos = run(*paths, batch_bytes=1000)
    assert standin.calls() == [
        ["large"],
        ["middle"],
        [f"small{i}" for i in range(6)],
    ]
    assert {v.outcome for v in videos.values()} == {"ingested"}
    assert standin.committed() == sorted(videos)


def test_the_program_is_told_its_share_of_the_machine(standin: Standin, run: Run) -> None:
    run(
        standin.video("a"),
        cores=3,
        memory_bytes=2 << 30,
        output="/tmp/out",
        program_options=("--pose-model", "lite"),
        folder=str(standin.folder),
    )
    (started,) = standin.notes("started")
    assert started["argv"][:-2] == [
        "ingest",
        "--events",
        "json",
        "--exit-on-stdin-close",
        "--lake",
        str(standin.lake),
        "--cores",
        "3",
        "--memory-limit",
        f"{2 << 30}B",
        "--output",
        "/tmp/out",
        "--pose-model",
        "lite",
    ]
    assert started["cwd"] == str(standin.folder)


def test_a_broken_video_is_told_once_and_not_tried_again(standin: Standin, run: Run) -> None:
    paths = [standin.video(f"good{i}") for i in range(3)]
    videos = run(*paths, standin.video("bad", do="broken"))
    assert videos["bad"].outcome == "failed"
    assert (videos["bad"].kind, videos["bad"].error) == ("broken", "it is broken")
    assert standin.tries().count("bad") == 1
    assert len(standin.committed()) == 3
    assert run.stream.getvalue().count("it is broken") == 1


def test_an_error_that_passes_is_tried_again(standin: Standin, run: Run) -> None:
    videos = run(standin.video("a", do="passing", times=2), standin.video("b"))
    assert videos["a"].outcome == "ingested"
    assert videos["a"].tries == 3
    assert videos["a"].error is None
    assert videos["b"].tries == 1
    assert standin.tries().count("a") == 3


def test_retries_end(standin: Standin, run: Run) -> None:
    videos = run(standin.video("a", do="passing"), retries=1)
    assert (videos["a"].outcome, videos["a"].kind) == ("failed", "passing")
    assert standin.tries() == ["a", "a"]
    assert run.stream.getvalue().count("trying again") == 1


def test_a_killed_program_costs_only_the_video_that_was_in_work(standin: Standin, run: Run) -> None:
    names = [f"v{i}" for i in range(16)]
    paths = [standin.video(each, frames=1) for each in names]
    paths[1] = standin.video("v1", do="die", times=1, linger=0.7)
    videos = run(*paths)
    assert standin.committed() == sorted(names)
    assert {name: videos[name].tries for name in names} == {
        name: 2 if name == "v1" else 1 for name in names
    }
    # The first was in the lake when its program was killed; v1 was tried again alone.
    assert standin.calls()[0][:3] == ["v0", "v1", "v10"]
    assert ["v1"] in standin.calls()
    assert standin.tries().count("v0") == 1


def test_a_video_that_always_kills_takes_no_other_with_it(standin: Standin, run: Run) -> None:
    paths = [standin.video(f"v{i}") for i in range(16)]
    paths[3] = standin.video("v3", do="die", linger=0.7)
    videos = run(*paths, retries=1)
    failed = {name for name, video in videos.items() if video.outcome == "failed"}
    assert failed == {"v3"}
    assert "SIGKILL" in str(videos["v3"].error)
    assert len(standin.committed()) == 15


def test_a_video_of_which_nothing_is_told_is_tried_again_and_then_failed(
    standin: Standin, run: Run
) -> None:
    videos = run(standin.video("a", do="mute"), standin.video("b", do="mute", times=1))
    assert videos["b"].outcome == "ingested"
    assert videos["a"].outcome == "failed"
    assert "without a word" in str(videos["a"].error)
    assert videos["a"].tries == 3


def test_a_lost_worker_s_videos_are_done_elsewhere(standin: Standin, run: Run) -> None:
    videos = run(standin.video("a"), engine_type=LosingEngine)
    # It was committed before the worker was lost, so there is nothing left to do.
    assert videos["a"].outcome == "skipped"
    assert videos["a"].tries == 2


def test_wrong_usage_is_not_tried_with_every_video(standin: Standin, run: Run) -> None:
    paths = [standin.video(f"v{i}", 1000) for i in range(20)]
    run(*paths, program_options=("--wrong",), batch_bytes=1000)
    assert run.outcome.fatal is not None
    assert "unexpected argument" in run.outcome.fatal
    assert len(standin.calls()) <= 5
    assert {v.outcome for v in run.outcome.videos} == {"failed", "cancelled"}


def test_a_lake_that_is_away_ends_the_run_after_the_retries(standin: Standin, run: Run) -> None:
    paths = [standin.video(f"v{i}", 1000) for i in range(20)]
    run(*paths, program_options=("--no-database",), batch_bytes=1000, retries=1)
    assert run.outcome.fatal == "the database does not answer"
    assert {v.kind for v in run.outcome.videos if v.outcome == "failed"} == {"passing"}
    # Some are tried twice, and none of the others is begun when it is clear.
    assert len(standin.calls()) < 40


def test_a_failed_analysis_is_told_although_the_video_is_in_the_lake(
    standin: Standin, run: Run
) -> None:
    videos = run(
        standin.video("bad", analysis="broken"),
        standin.video("later", analysis="passing", times=1),
        standin.video("good"),
    )
    assert (videos["bad"].outcome, videos["bad"].error) == ("failed", "its analysis is broken")
    assert (videos["later"].outcome, videos["later"].tries) == ("skipped", 2)
    assert videos["good"].outcome == "ingested"
    assert standin.committed() == ["bad", "good", "later"]


def test_videos_of_one_path_are_told_apart_by_their_ids(standin: Standin, run: Run) -> None:
    # A file whose content was replaced: both ids have its path.
    videos = [Video(name, "/same.mp4", 100) for name in ("id1", "id2")]
    (standin.lake / "videos").mkdir(parents=True)
    for video in videos:
        row = json.dumps({"path": video.path})
        (standin.lake / "videos" / f"{video.name}.json").write_text(row)
    engine = ThreadEngine(EngineOptions(None, 1, 1, 1 << 30))
    config = Config(("annotate",), str(standin.lake), 1, 1 << 30, 64 << 20, 0)
    outcome = drive(config, videos, engine, Progress(io.StringIO()), never)
    engine.close()
    assert [video.outcome for video in outcome.videos] == ["written", "written"]
    assert [video.video_id for video in outcome.videos] == ["id1", "id2"]


def test_one_node_without_models_does_not_end_the_run(standin: Standin, run: Run) -> None:
    class OneBadNode(ThreadEngine):
        def submit(self, task_id: int, call: Any) -> None:
            if task_id in (2, 3, 4, 5):
                report = _driver.Report(task_id, is_end=True, error="no models", kind="fatal")
                self._reports.put(report)
                return
            super().submit(task_id, call)
            self.futures[-1].result()

    paths = [standin.video(f"v{i}", 1000) for i in range(8)]
    videos = run(*paths, engine_type=OneBadNode, batch_bytes=1000)
    assert {v.outcome for v in videos.values()} == {"ingested"}


def test_a_lost_cluster_ends_the_run_with_what_was_done(standin: Standin, run: Run) -> None:
    class Vanishing(ThreadEngine):
        def submit(self, task_id: int, call: Any) -> None:
            if task_id > 3:
                raise EngineLostError("it is gone")
            super().submit(task_id, call)
            self.futures[-1].result()

    paths = [standin.video(f"v{i}", 1000) for i in range(8)]
    run(*paths, engine_type=Vanishing, batch_bytes=1000)
    assert run.outcome.fatal == "it is gone"
    counts = [v.outcome for v in run.outcome.videos]
    assert counts.count("ingested") >= 1
    assert "failed" in counts
    assert "cancelled" in counts


def test_stopping_ends_all_programs_and_begins_no_more(standin: Standin, run: Run) -> None:
    paths = [standin.video(f"v{i}", 1000, secs=20) for i in range(6)]
    done = standin.video("done", 5000, secs=0)
    began = time.monotonic()
    videos = run(
        done,
        *paths,
        slots=2,
        batch_bytes=1000,
        is_stopped=lambda: len(standin.notes("video")) >= 3,
    )
    assert time.monotonic() - began < 15
    assert run.outcome.is_stopped
    assert videos.pop("done").outcome == "ingested"
    assert {v.outcome for v in videos.values()} == {"cancelled"}
    assert len(standin.calls()) == 3
    assert len(standin.notes("terminated")) == 2


def test_retries_wait_while_others_work(standin: Standin, run: Run) -> None:
    _driver.MAX_DELAY_SECS = 60.0
    threads = threading.active_count()
    videos = run(
        standin.video("a", 2000, do="passing", times=1),
        *[standin.video(f"v{i}", 1000) for i in range(4)],
        batch_bytes=1000,
    )
    assert {v.outcome for v in videos.values()} == {"ingested"}
    assert standin.tries()[0] == "a"
    assert standin.tries()[-1] == "a"
    assert threading.active_count() == threads


def test_ctrl_c_leaves_no_process_and_exits_with_130(
    standin: Standin, start_driver: StartDriver
) -> None:
    for i in range(4):
        standin.video(f"v{i}", secs=60)
    driver = start_driver(ENGINE_FILE, "ingest", "clips", "--lake", "lake", "--local", "2")
    wait_until("two videos are in work", lambda: len(standin.notes("video")) == 2)
    driver.interrupt_group()
    assert driver.wait() == 130
    assert not standin.left_behind()
    assert set(driver.outcomes().values()) == {"cancelled"}
    assert driver.report()["exit_code"] == 130


def test_sigterm_ends_as_ctrl_c_does(standin: Standin, start_driver: StartDriver) -> None:
    standin.video("a", secs=60)
    driver = start_driver(ENGINE_FILE, "ingest", "clips", "--lake", "lake")
    wait_until("the video is in work", lambda: standin.notes("video"))
    driver.process.send_signal(signal.SIGTERM)
    assert driver.wait() == 143
    assert standin.notes("terminated")
    assert not standin.left_behind()


def test_a_second_ctrl_c_ends_at_once(standin: Standin, start_driver: StartDriver) -> None:
    standin.video("a", secs=60, do="stubborn")
    driver = start_driver(ENGINE_FILE, "ingest", "clips", "--lake", "lake")
    wait_until("the video is in work", lambda: standin.notes("video"))
    driver.interrupt_group()
    wait_until("the program was asked to end", lambda: standin.notes("terminated"))
    driver.interrupt_group()
    assert driver.wait(5) == 130
    wait_until("the program has ended", lambda: not standin.left_behind(), secs=5)


def test_a_killed_driver_leaves_no_process(standin: Standin, start_driver: StartDriver) -> None:
    standin.video("a", secs=60)
    standin.video("b", secs=60)
    driver = start_driver(ENGINE_FILE, "ingest", "clips", "--lake", "lake", "--local", "2")
    wait_until("two videos are in work", lambda: len(standin.notes("video")) == 2)
    driver.process.kill()
    wait_until("the programs have ended", lambda: not standin.left_behind(), secs=5)


def test_where_there_is_no_terminal_lines_tell_of_videos(
    standin: Standin, start_driver: StartDriver
) -> None:
    good, bad = standin.video("good", frames=7), standin.video("bad", do="broken")
    driver = start_driver(ENGINE_FILE, "ingest", "clips", "--lake", "lake")
    assert driver.wait() == 2
    text = driver.text()
    assert f"{good}: 7 frames, 6 with a pose (0.1 s)\n  note: a note\n" in text
    assert f"{bad}: it is broken\n" in text
    assert "2 videos: 1 ingested, 1 failed; 7 frames in" in text
    assert "\x1b" not in text
    assert "\r" not in text


def test_the_report_is_json_with_all_that_happened(
    standin: Standin, start_driver: StartDriver
) -> None:
    standin.video("good", frames=7)
    bad = standin.video("bad", 200, do="broken")
    driver = start_driver(ENGINE_FILE, "ingest", "clips", "--lake", "lake", "--no-video", "--quiet")
    assert driver.wait() == 2
    report = driver.report()
    assert report["exit_code"] == 2
    assert report["command"] == "ingest"
    assert report["program_options"] == ["--no-video"]
    assert report["lake"] == str(standin.lake)
    assert report["frames"] == 7
    assert report["counts"]["ingested"] == report["counts"]["failed"] == 1
    (failed,) = [video for video in report["videos"] if video["outcome"] == "failed"]
    assert failed == {
        "video": bad,
        "video_id": None,
        "file_bytes": 200,
        "outcome": "failed",
        "frames": None,
        "pose_frames": None,
        "secs": None,
        "notes": [],
        "kind": "broken",
        "error": "it is broken",
        "tries": 1,
        "host": os.uname().nodename,
    }
    assert driver.text() == f"{bad}: it is broken\n"
    assert json.dumps(report)
