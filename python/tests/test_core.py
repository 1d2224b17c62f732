"""Calls of the program: its events, its end, queries and ingest for notebooks."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import posedata
from posedata import Event, PosedataError, _core
from posedata._core import EVENT_OPTIONS, Call, Environment, message_of, work
from tests.conftest import Standin, wait_until


def call(standin: Standin, *names: str, options: tuple[str, ...] = ()) -> Call:
    lake = ("--lake", str(standin.lake))
    return Call(("ingest", *EVENT_OPTIONS, *lake, *options, "--", *names))


def events(call: Call, **arguments: Any) -> list[Event]:
    return [Event.of(each) for batch in work(call, **arguments) for each in batch]


def test_events_come_as_the_program_tells_them(standin: Standin) -> None:
    video = standin.video("a", frames=3)
    told = events(call(standin, video))
    assert [each.event for each in told] == [
        "started",
        "progress",
        "committed",
        "summary",
        "ended",
    ]
    committed = told[2]
    assert (committed.outcome, committed.frames, committed.pose_frames) == ("ingested", 3, 2)
    assert committed.notes == ("a note",)
    assert told[-1].exit_code == 0
    assert told[-1].kind is None


def test_events_come_while_the_program_works(standin: Standin) -> None:
    video = standin.video("a", secs=3, frames=30)
    batches = work(call(standin, video))
    first = next(batches)
    assert {each["event"] for each in first} <= {"started", "progress"}
    assert standin.left_behind()
    batches.close()
    assert not standin.left_behind()


def test_unknown_events_and_lines_that_are_none_do_no_harm() -> None:
    assert Event.parse(b"not JSON") is None
    assert Event.parse(b"[1]") is None
    assert Event.parse(b'{"frames": 1}') is None
    parsed = Event.parse(b'{"event": "later", "video": "a", "unheard": {"of": 1}}')
    assert parsed == Event("later", video="a")
    assert Event.of(parsed.as_dict()) == parsed


def test_a_program_that_is_killed_failed_for_a_reason_that_passes(standin: Standin) -> None:
    video = standin.video("a", do="die")
    ended = events(call(standin, video))[-1]
    assert (ended.event, ended.kind, ended.exit_code) == ("ended", "passing", -signal.SIGKILL)
    assert "SIGKILL" in str(ended.error)


def test_wrong_usage_is_fatal_and_tells_the_programs_words(standin: Standin) -> None:
    ended = events(call(standin, standin.video("a"), options=("--wrong",)))[-1]
    assert (ended.kind, ended.exit_code) == ("fatal", 1)
    assert ended.error == "unexpected argument '--wrong'\nhint: do something about it"


def test_a_failure_without_a_video_is_of_the_kind_that_the_program_says(
    standin: Standin,
) -> None:
    ended = events(call(standin, standin.video("a"), options=("--no-database",)))[-1]
    assert (ended.kind, ended.error) == ("passing", "the database does not answer")


def test_a_missing_program_is_fatal(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEDATA_BIN", "/nowhere/posedata")
    (ended,) = events(call(standin, "a"))
    assert ended.kind == "fatal"
    assert "/nowhere/posedata" in str(ended.error)


def test_stopping_ends_the_program_at_once(standin: Standin) -> None:
    video = standin.video("a", secs=30)
    began = time.monotonic()
    told = events(call(standin, video), is_stopped=lambda: time.monotonic() - began > 1)
    assert time.monotonic() - began < 5
    assert [each.event for each in told][-3:] == ["cancelled", "summary", "ended"]
    assert told[-1].kind == "cancelled"
    assert standin.notes("terminated")
    assert not standin.left_behind()


def test_a_program_that_does_not_listen_is_killed(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_core, "GRACE_SECS", 0.5)
    video = standin.video("a", secs=30, do="stubborn")
    told = events(call(standin, video), is_stopped=lambda: bool(standin.notes("video")))
    assert told[-1].kind == "cancelled"
    assert not standin.left_behind()


def test_nothing_is_started_when_it_is_too_late(standin: Standin) -> None:
    (ended,) = events(call(standin, standin.video("a")), is_stopped=lambda: True)
    assert ended.kind == "cancelled"
    assert not standin.notes()


def test_an_interrupt_ends_the_program_and_waits_for_it(standin: Standin) -> None:
    video = standin.video("a", secs=30)

    def interrupt() -> bool:
        if standin.notes("video"):
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        events(call(standin, video), is_stopped=interrupt)
    assert not standin.left_behind()


def test_the_program_ends_when_who_started_it_is_killed(standin: Standin) -> None:
    video = standin.video("a", secs=60)
    script = (
        "import sys; from posedata import _core\n"
        "call = _core.Call(tuple(sys.argv[1:]))\n"
        "for _ in _core.work(call): pass\n"
    )
    arguments = call(standin, video).arguments
    parent = subprocess.Popen([sys.executable, "-c", script, *arguments])
    wait_until("the video is in work", lambda: standin.notes("video"))
    parent.kill()
    parent.wait()
    wait_until("the program has ended", lambda: not standin.left_behind(), secs=5)
    assert standin.notes("stdin closed")


def test_no_files_are_left_open(standin: Standin) -> None:
    video = standin.video("a")
    events(call(standin, video))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        events(call(standin, video))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_secrets_go_along_and_are_not_shown(standin: Standin) -> None:
    environment = Environment.carried({"PGPASSWORD": "hunter2", "EDITOR": "vi"})
    told = Call(call(standin, standin.video("a")).arguments, environment)
    assert "hunter2" not in repr(told)
    events(pickle.loads(pickle.dumps(told)))
    (started,) = standin.notes("started")
    assert started["environment"]["PGPASSWORD"] == "hunter2"
    assert "hunter2" not in str(started["argv"])


def test_paths_of_a_machine_stay_its_own(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    carried = Environment(
        {"POSEDATA_BIN": "/theirs", "POSEDATA_MODELS": "/nowhere", "AWS_REGION": "there"}
    )
    monkeypatch.setenv("AWS_REGION", "here")
    monkeypatch.delenv("POSEDATA_MODELS", raising=False)
    here = carried.on_this_machine()
    assert here["POSEDATA_BIN"] == str(standin.program)
    assert here["AWS_REGION"] == "there"
    assert "POSEDATA_MODELS" not in here
    assert Environment({"POSEDATA_MODELS": str(tmp_path)}).on_this_machine()[
        "POSEDATA_MODELS"
    ] == str(tmp_path)


def test_errors_are_found_in_what_the_program_tells() -> None:
    assert message_of(["noise", "error: it is so", "hint: do"]) == "it is so\nhint: do"
    assert message_of(["error: one", "error: two", ""]) == "two"
    assert message_of(["a", "b", "c", "d"]) == "b\nc\nd"
    assert message_of([]) == ""


def test_ingest_gives_a_result_for_each_video(standin: Standin) -> None:
    good, bad = standin.video("good", frames=4), standin.video("bad", do="broken")
    told: list[Event] = []
    result = posedata.ingest([good, bad], lake=standin.lake, progress=told.append)
    assert [(v.video, v.outcome, v.frames) for v in result.videos] == [
        (good, "ingested", 4),
        (bad, "failed", None),
    ]
    assert [(v.video, v.error) for v in result.failed] == [(bad, "it is broken")]
    assert result.exit_code == 2
    assert repr(result).startswith("IngestResult(1 ingested, 1 failed; ")
    assert {each.event for each in told} == {
        "started",
        "progress",
        "committed",
        "failed",
        "summary",
    }
    again = posedata.ingest(good, lake=standin.lake)
    assert again.videos[0].outcome == "skipped"


def test_ingest_raises_what_kept_it_from_working(standin: Standin) -> None:
    with pytest.raises(PosedataError, match="unexpected argument") as caught:
        posedata.ingest(standin.video("a"), lake=standin.lake, options=["--wrong"])
    assert caught.value.exit_code == 1
    with pytest.raises(PosedataError, match="SIGKILL") as caught:
        posedata.ingest(standin.video("b", do="die"), lake=standin.lake)
    assert caught.value.exit_code == -signal.SIGKILL
    with pytest.raises(ValueError, match="no videos"):
        posedata.ingest([])


def test_an_error_of_the_callback_ends_the_program(standin: Standin) -> None:
    def progress(_: Event) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        posedata.ingest(standin.video("a", secs=30), lake=standin.lake, progress=progress)
    gc.collect()
    assert not standin.left_behind()


def words(table: Any) -> list[str]:
    found: list[str] = table.column("word").to_pylist()
    return found


def test_query_gives_a_table(standin: Standin) -> None:
    table = posedata.query("select 1", lake=standin.lake, params={"name": "x y", "yes": True}, at=3)
    assert table.schema.names == ["word", "number"]
    assert words(table) == [
        "query",
        "--format",
        "arrow",
        "--lake",
        str(standin.lake),
        "--at",
        "3",
        "--param=name=x y",
        "--param=yes=true",
        "--execute=select 1",
    ]


def test_queries_are_statements_files_or_names(standin: Standin) -> None:
    def last(sql: str | Path) -> str:
        return words(posedata.query(sql, lake=standin.lake))[-1]

    assert last("-- why\nselect 1") == "--execute=-- why\nselect 1"
    assert last("from(videos)") == "--execute=from(videos)"
    assert last("velocity") == "queries/velocity.sql"
    assert last("queries/velocity.sql") == "queries/velocity.sql"
    assert last("with space.sql") == "with space.sql"
    assert last(Path("mine")) == "mine"


def test_query_raises_the_programs_words(standin: Standin) -> None:
    with pytest.raises(PosedataError, match="no such column: boom\nhint") as caught:
        posedata.query("select boom", lake=standin.lake)
    assert caught.value.exit_code == 1
    with pytest.raises(PosedataError, match="the disk is full"):
        posedata.query("select half", lake=standin.lake)


def test_errors_survive_a_pickle() -> None:
    error = pickle.loads(pickle.dumps(PosedataError("why", 2)))
    assert (str(error), error.exit_code) == ("why", 2)
