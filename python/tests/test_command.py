"""The command line: what is the driver's, what is the program's, which videos are meant."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from posedata import PosedataError, _progress
from posedata._command import EngineOptions, main, parse, split
from posedata._core import without_secrets
from posedata._driver import EngineLostError
from posedata._events import VideoResult
from posedata._progress import Progress, State
from tests.conftest import Standin
from tests.standin import identity
from tests.thread_engine import ThreadEngine


def run(*argv: str) -> int:
    return main("threads", ThreadEngine, argv)


def report(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert run(*argv, "--json") in (0, 2)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_unknown_options_are_the_programs_wherever_they_stand() -> None:
    mine, passed_on = split(
        ["ingest", "--pose-model", "lite", "a", "--no-video", "b", "--lake", "l", "--pick=largest"]
    )
    assert mine == ["ingest", "a", "b", "--lake", "l"]
    assert passed_on == ["--pose-model", "lite", "--no-video", "--pick=largest"]


def test_what_covers_faces_takes_no_video_for_its_value() -> None:
    mine, passed_on = split(["annotate", "--blur-faces", "a.mp4", "-v", "b.mp4"])
    assert mine == ["annotate", "a.mp4", "b.mp4"]
    assert passed_on == ["--blur-faces", "-v"]


def test_short_options_may_stand_together() -> None:
    mine, passed_on = split(["ingest", "-yv", "a.mp4", "-yx", "b.mp4"])
    assert mine == ["ingest", "a.mp4"]
    assert passed_on == ["-yv", "-yx", "b.mp4"]


@pytest.mark.parametrize(
    "lake",
    [
        "postgres://u:not-to-be-seen@db/lake",
        "postgresql://u:not-to-be/seen@db:5432/lake?schema=x",
        "postgres://u@db/lake?password=not-to-be-seen",
    ],
)
def test_a_password_in_a_lakes_address_is_refused_and_in_no_output(
    standin: Standin, lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    standin.video("a")
    assert run("ingest", "clips", "--lake", lake, "--json") == 1
    told = capsys.readouterr()
    assert "PGPASSWORD" in told.err
    assert "not-to-be" not in told.out + told.err
    assert not standin.notes()


def test_signed_addresses_reach_the_program_and_are_not_shown(
    standin: Standin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = [f"https://example.org/get?id={i}&sig=secret" for i in (1, 2)]
    path = tmp_path / "report.json"
    told = report(capsys, "ingest", *signed, "https://example.org/get", "--report", str(path))
    assert [video["outcome"] for video in told["videos"]] == ["ingested"] * 3
    assert {video["video"] for video in told["videos"]} == {"https://example.org/get"}
    assert told["tasks"] == 3
    given = [note["argv"][-1] for note in standin.notes() if note["what"] == "started"]
    assert sorted(given) == sorted([*signed, "https://example.org/get"])
    outputs = {
        note["argv"][note["argv"].index("--output") + 1]
        for note in standin.notes()
        if note["what"] == "started"
    }
    assert len(outputs) == 3
    assert "secret" not in path.read_text() + json.dumps(told) + capsys.readouterr().err


def test_addresses_are_shown_without_keys_in_them() -> None:
    shown = without_secrets("https://ada:secret@example.org/a@b.mp4?sig=secret#secret")
    assert shown == "https://example.org/a@b.mp4"
    assert without_secrets("https://example.org?sig=secret") == "https://example.org"
    for path in ("a?b.mp4", "s3://clips/a?b.mp4", "http"):
        assert without_secrets(path) == path


def test_all_after_two_dashes_is_the_programs() -> None:
    mine, passed_on = split(["ingest", "a", "--report", "r", "--", "--report", "x", "y"])
    assert mine == ["ingest", "a", "--report", "r"]
    assert passed_on == ["--report", "x", "y"]


@pytest.mark.parametrize(
    ("option", "hint"),
    [("--cores", "--cores-per-task"), ("--memory-limit=1GiB", "--memory-per-task")],
)
def test_what_the_driver_decides_cannot_be_passed_on(option: str, hint: str) -> None:
    with pytest.raises(PosedataError, match=f"use {hint}"):
        parse("ray", ["ingest", "a", option, "2"])


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["ingest"],
        ["ingest", "a", "--retries", "-1"],
        ["ingest", "a", "--cores-per-task", "0"],
        ["ingest", "a", "--batch-bytes", "much"],
        ["ingest", "a", "--lake"],
        ["recompute", "--output", "x"],
    ],
)
def test_wrong_usage_has_the_exit_code_1(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*argv)
    assert caught.value.code == 1
    assert "usage: python -m posedata.threads" in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("ingest", "--help")
    assert caught.value.code == 0
    assert "--cores-per-task" in capsys.readouterr().out


def test_engines_have_the_same_options(capsys: pytest.CaptureFixture[str]) -> None:
    from posedata import dask, ray

    texts = []
    for module, engine in ((ray, ray.RayEngine), (dask, dask.DaskEngine)):
        with pytest.raises(SystemExit):
            main(module.NAME, engine, ["ingest", "--help"])
        text = capsys.readouterr().out.replace(module.NAME, "X")
        texts.append(" ".join(text.split()))
    assert texts[0] == texts[1]


def test_nothing_to_do_is_an_error(standin: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ingest", "clips") == 1
    assert "error: there are no videos" in capsys.readouterr().err
    assert run("recompute", "--lake", "lake") == 1
    assert "error: there are no videos in the lake" in capsys.readouterr().err


def test_what_the_program_says_of_inputs_is_passed_on(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("ingest", "missing") == 1
    assert "error: there is nothing: missing" in capsys.readouterr().err


def test_a_report_that_could_not_be_written_is_refused_first(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    standin.video("a")
    assert run("ingest", "clips", "--report", "missing/r.json") == 1
    assert "there is no folder for the report" in capsys.readouterr().err
    assert run("ingest", "clips", "--report", "s3://bucket/r.json") == 1
    assert "on this machine" in capsys.readouterr().err
    assert not standin.notes()


def test_inputs_are_folders_files_addresses_and_lists_of_them(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = standin.video("sub/a"), standin.video("b")
    Path("names.txt").write_text(f"{a}\n\n  s3://clips/2026/\n")
    found = report(capsys, "ingest", "@names.txt", "clips/b.mp4", "clips", "--lake", "lake")
    assert {video["video"] for video in found["videos"]} == {
        a,
        b,
        "s3://clips/2026/1.mp4",
        "s3://clips/2026/2.mp4",
    }
    assert found["inputs"] == ["@names.txt", "clips/b.mp4", "clips"]


def test_names_in_a_list_end_where_lines_end_and_nowhere_else(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    odd, plain = standin.video("two\u2028lines\x85"), standin.video("b")
    blank = standin.video(" ")
    # What a stand-in's video is called ends with its suffix.
    trailing = Path(blank).rename(Path(blank).with_name(" c.mp4 "))
    lines = f"{odd}\r\n{plain}\r\n{trailing}\r\n  clips/b.mp4  "
    Path("names.txt").write_bytes(lines.encode("utf-8-sig"))
    found = report(capsys, "ingest", "@names.txt", "--lake", "lake")
    assert {video["video"] for video in found["videos"]} == {odd, plain, str(trailing)}


def test_outputs_of_an_earlier_run_are_no_inputs(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    a = standin.video("a")
    drawn = standin.video("output/annotated_a")
    options = ("--lake", "lake", "--output", "clips/output")
    found = report(capsys, "ingest", "clips", *options)
    assert [video["video"] for video in found["videos"]] == [a]
    found = report(capsys, "ingest", "clips/output", *options)
    assert [video["video"] for video in found["videos"]] == [drawn]


def test_what_cannot_be_listed_is_told_and_the_rest_is_done(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    standin.video("a")
    assert run("ingest", "clips", "s3://gone/", "--lake", "lake", "--report", "r.json") == 2
    assert "error: the store does not answer: s3://gone/\n" in capsys.readouterr().err
    found = json.loads(Path("r.json").read_text())
    assert found["counts"]["ingested"] == 1
    assert found["input_errors"] == ["error: the store does not answer: s3://gone/"]
    assert run("ingest", "s3://gone/", "--lake", "lake") == 1


def test_a_remote_lake_is_named_as_it_was_given(
    standin: Standin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEDATA_LAKE", "postgres://u@db/lake?schema=x")
    arguments = parse("threads", ["ingest", "clips"])
    assert arguments.lake == "postgres://u@db/lake?schema=x"


def test_commands_over_a_lake_take_its_videos_by_their_ids(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [standin.video("a"), standin.video("b")]
    report(capsys, "ingest", "clips", "--lake", "lake", "--local", "2")
    ids = {identity(path) for path in paths}
    for command, words, outcome in (
        ("recompute", ["metrics", "recompute"], "computed"),
        ("annotate", ["annotate"], "written"),
        ("analyze", ["analyze"], "computed"),
    ):
        options = ("--model", "m.onnx") if command == "analyze" else ()
        found = report(capsys, command, "--lake", "lake", *options)
        assert {v["video"] for v in found["videos"]} == set(paths)
        assert found["counts"][outcome] == 2
        calls = [n["argv"] for n in standin.notes("started") if n["argv"][: len(words)] == words]
        assert {v for argv in calls for v in argv[argv.index("--") + 1 :]} == ids
        assert all(("--output" in argv) == (command == "annotate") for argv in calls)
        assert all(("--model" in argv) == (command == "analyze") for argv in calls)


def test_videos_of_a_lake_are_chosen_by_any_of_their_names(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = (standin.video(name) for name in "abc")
    report(capsys, "ingest", "clips", "--lake", "lake")
    names = ("a.mp4", "b", identity(c)[:9])
    found = report(capsys, "recompute", *names, "--lake", "lake")
    assert {v["video"] for v in found["videos"]} == {a, b, c}
    found = report(capsys, "recompute", "clips/b.mp4", "--lake", "lake", "--cutoff", "5")
    assert {v["video"] for v in found["videos"]} == {b}
    assert run("recompute", "nobody", "--lake", "lake") == 1
    assert "no such video in the lake: nobody" in capsys.readouterr().err


def test_a_missing_cluster_is_explained(
    standin: Standin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from posedata.dask import DaskEngine

    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    standin.video("a")
    assert main("dask", DaskEngine, ["ingest", "clips"]) == 1
    assert "no Dask cluster is named\nhint: --address" in capsys.readouterr().err


def test_a_cluster_that_is_lost_before_the_first_task_is_told_of(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    class Lost(ThreadEngine):
        def slots(self) -> int:
            raise EngineLostError("the cluster is gone")

    standin.video("a")
    assert main("threads", Lost, ["ingest", "clips"]) == 1
    assert capsys.readouterr().err == "error: the cluster is gone\n"


def test_what_prepares_an_engine_runs_before_it_is_opened_and_only_then(
    standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    happened: list[str] = []

    def prepare(_: EngineOptions) -> None:
        happened.append("prepared")

    def open_engine(options: EngineOptions) -> ThreadEngine:
        happened.append("opened")
        return ThreadEngine(options)

    standin.video("a")
    assert main("threads", open_engine, ["ingest", "clips"], prepare) == 0
    assert happened == ["prepared", "opened"]
    assert main("threads", open_engine, ["ingest", "missing"], prepare) == 1
    assert happened[2:] in ([], ["prepared"])


def test_a_missing_engine_is_explained(
    standin: Standin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from posedata.dask import DaskEngine
    from posedata.ray import RayEngine

    standin.video("a")
    for name, engine in (("ray", RayEngine), ("distributed", DaskEngine)):
        monkeypatch.setitem(sys.modules, name, None)
        assert main("x", engine, ["ingest", "clips"]) == 1
        assert "is not installed: pip install 'posedata[" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "DRAW_SECS", 0.0)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    progress = Progress(terminal)
    progress.draw(State(8, 2, 1, 3, 50.0, 200.0, 120, 10.0))
    assert terminal.getvalue() == (
        "\r\x1b[K[#####---------------] 2 of 8 videos, 3 in work, 1 failed, 120 frames, 12 frames/s"
    )
    progress.finished(VideoResult("a", outcome="skipped"))
    progress.end()
    assert terminal.getvalue().endswith("\r\x1b[Ka: in the lake already\n")


def test_a_bar_is_as_wide_as_the_terminal_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "DRAW_SECS", 0.0)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    Progress(terminal).draw(State(8, 2, 1, 3, 50.0, 0.0, 120, 0.0))
    assert len(terminal.getvalue().removeprefix("\r\x1b[K")) == 29
