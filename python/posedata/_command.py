"""The command line that all engines share: arguments to a configuration, a run, a report.

The program's own options are passed on as they are; only what the driver has to decide itself is known
here.
"""

from __future__ import annotations

import argparse
import json
import os
import posixpath
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

from posedata import _core, _events
from posedata._core import Environment, PosedataError
from posedata._driver import Config, Engine, EngineLostError, Outcome, drive
from posedata._events import count_outcomes
from posedata._plan import Video, parse_bytes
from posedata._progress import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# As shells tell of a signal.
SIGNAL_BASE = 128

DEFAULT_BYTES_PER_CORE = 1 << 30
DEFAULT_BATCH_BYTES = 64 << 20

_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")

# What the program calls the commands, and whether it writes files beside the lake.
COMMANDS: dict[str, tuple[tuple[str, ...], bool]] = {
    "ingest": (("ingest",), True),
    "recompute": (("metrics", "recompute"), False),
    "annotate": (("annotate",), True),
    "analyze": (("analyze",), False),
}

# Options of the program that take no value: what follows them is an input. All others that are not the
# driver's take one.
PROGRAM_FLAGS = frozenset(
    {
        "--blur-faces",
        "--force",
        "--no-pose-json",
        "--no-smoothing",
        "--no-video",
        "--verbose",
        "--yes",
        "-v",
        "-y",
    }
)
# What the driver tells the program, and the option of the driver that decides it.
DECIDED_HERE = {
    "--cores": "--cores-per-task",
    "--memory-limit": "--memory-per-task",
    "--events": "",
    "--exit-on-stdin-close": "",
}


@dataclass(frozen=True)
class EngineOptions:
    """What an engine needs to know.

    Attributes:
        address: Of a cluster; None where the engine's own ways of finding one are to be used.
        local: Workers of a cluster of this machine that lives as long as the run, if one is wanted.
        cores: Of one task.
        memory_bytes: Of one task.
    """

    address: str | None
    local: int | None
    cores: int
    memory_bytes: int


OpenEngine = Callable[[EngineOptions], Engine]
Prepare = Callable[[EngineOptions], None]


def nothing(_: EngineOptions) -> None:
    """For engines that need no preparation."""


def main(
    engine_name: str,
    open_engine: OpenEngine,
    argv: Sequence[str] | None = None,
    prepare: Prepare = nothing,
) -> int:
    """Runs a command and returns the exit code.

    `prepare` runs in a thread of its own while the videos are listed: what takes time in opening the
    engine, reaches nobody and begins nothing.
    """
    try:
        arguments = parse(engine_name, sys.argv[1:] if argv is None else argv)
        return run(engine_name, open_engine, arguments, prepare)
    except (PosedataError, EngineLostError) as error:
        print(f"error: {error}", file=sys.stderr)
        return _core.UNABLE
    except KeyboardInterrupt:
        return SIGNAL_BASE + signal.SIGINT


def parser(engine_name: str) -> argparse.ArgumentParser:
    """The options of the driver."""
    top = argparse.ArgumentParser(
        prog=f"python -m posedata.{engine_name}",
        description=f"Runs posedata over many videos on a cluster of {engine_name.capitalize()}.",
        epilog="Options that are not listed are passed on to the program (--pose-model lite), and so "
        "is everything after --. Exit codes: 0 all good; 1 nothing could be done; 2 some videos "
        "failed; 130 after Ctrl-C.",
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("ingest", "estimate poses in videos and put landmarks and metrics into the lake"),
        ("recompute", "filter landmarks of the lake and measure them again"),
        ("annotate", "draw skeletons and metrics on videos of the lake"),
        ("analyze", "run a model of your own over landmarks of the lake (--model FILE.onnx)"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name == "ingest":
            command.add_argument(
                "inputs",
                nargs="+",
                metavar="INPUT",
                help="video, folder, s3:// prefix, https:// address, or @FILE with one of them a line",
            )
        else:
            command.add_argument(
                "inputs",
                nargs="*",
                metavar="VIDEO",
                help="id, path, file name, or @FILE with one of them a line [default: all videos]",
            )
        _add_options(command, COMMANDS[name][1])
    return top


def _add_options(command: argparse.ArgumentParser, writes_files: bool) -> None:
    lake = os.environ.get("POSEDATA_LAKE") or "lake"
    command.add_argument("--lake", default=lake, help="the lake [%(default)s]")
    if writes_files:
        command.add_argument(
            "--output",
            metavar="DIR",
            default="output",
            help="where annotated videos and pose files go, on the machines that make them "
            "[%(default)s]",
        )
    command.add_argument(
        "--cores-per-task",
        metavar="N",
        type=_count,
        default=1,
        help="cores of a task [%(default)s]",
    )
    command.add_argument(
        "--memory-per-task", metavar="SIZE", type=_size, help="memory of a task [1GiB a core]"
    )
    command.add_argument(
        "--batch-bytes",
        metavar="SIZE",
        type=_size,
        default=DEFAULT_BATCH_BYTES,
        help="short videos share a task up to this size [64MiB]",
    )
    command.add_argument(
        "--retries",
        metavar="N",
        type=_count_or_none,
        default=2,
        help="how often a video is tried again after an error that may pass [%(default)s]",
    )
    command.add_argument("--address", help="of the cluster [as the engine finds it]")
    command.add_argument(
        "--local",
        metavar="N",
        type=_count,
        help="begin a cluster of N workers on this machine, for this run",
    )
    command.add_argument("--report", metavar="FILE.json", help="write a report of the run")
    command.add_argument("--json", action="store_true", help="print the report to standard output")
    command.add_argument("-q", "--quiet", action="store_true", help="tell nothing but errors")


def parse(engine_name: str, argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with what is for the program in `program_options`.

    Raises:
        PosedataError: They are wrong.
    """
    top = parser(engine_name)
    is_command = bool(argv) and argv[0] in COMMANDS
    mine, passed_on = split(argv) if is_command else (list(argv), [])
    for option in passed_on:
        name = option.split("=")[0]
        if name in DECIDED_HERE:
            hint = f"; use {DECIDED_HERE[name]}" if DECIDED_HERE[name] else ""
            raise PosedataError(f"{name} is set for each task by the driver{hint}")
    try:
        arguments = top.parse_args(mine)
    except SystemExit as exit_:
        # 2 would mean that some videos failed.
        raise SystemExit(_core.UNABLE if exit_.code else 0) from None
    arguments.program_options = passed_on
    if arguments.address is not None and arguments.local is not None:
        raise PosedataError("--address and --local exclude each other")
    return arguments


# Options of the driver, and whether they take a value.
OWN_OPTIONS = {
    "--lake": True,
    "--output": True,
    "--cores-per-task": True,
    "--memory-per-task": True,
    "--batch-bytes": True,
    "--retries": True,
    "--address": True,
    "--local": True,
    "--report": True,
    "--json": False,
    "--quiet": False,
    "-q": False,
    "--help": False,
    "-h": False,
}


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divides the command line into what is the driver's and what is the program's.

    `argparse` cannot: it would take the value of an option that it does not know for an input.
    """
    mine: list[str] = []
    passed_on: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            return mine, passed_on + words
        if not word.startswith("-") or word == "-":
            mine.append(word)
            continue
        name, has_value = word.split("=")[0], "=" in word
        is_own = name in OWN_OPTIONS
        target = mine if is_own else passed_on
        target.append(word)
        takes_value = OWN_OPTIONS[name] if is_own else not _is_flag(name)
        if takes_value and not has_value and words and (is_own or not words[0].startswith("-")):
            target.append(words.pop(0))
    return mine, passed_on


def _is_flag(name: str) -> bool:
    """Whether an option of the program takes no value; short ones may stand together (`-yv`)."""
    if name in PROGRAM_FLAGS:
        return True
    letters = name[1:]
    return not name.startswith("--") and all(f"-{letter}" in PROGRAM_FLAGS for letter in letters)


def _count(text: str) -> int:
    value = _count_or_none(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1: {text}")
    return value


def _count_or_none(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number: {text}")
    return int(text)


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


class _Signals:
    """The first signal is remembered; the second ends the process at once."""

    def __init__(self) -> None:
        self.number: int | None = None

    def catch(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.number is not None:
            # Programs that still run end by themselves: their standard input closes.
            os._exit(SIGNAL_BASE + number)
        self.number = number

    def is_stopped(self) -> bool:
        return self.number is not None


def run(
    engine_name: str,
    open_engine: OpenEngine,
    arguments: argparse.Namespace,
    prepare: Prepare = nothing,
) -> int:
    """Finds the videos, drives the engine, reports."""
    progress = Progress(sys.stderr, arguments.quiet)
    started = datetime.now(timezone.utc)
    if arguments.report is not None:
        _check_report_file(arguments.report)
    command, writes_files = COMMANDS[arguments.command]
    lake = _core.absolute(arguments.lake)
    _refuse_password(lake)
    output = _core.absolute(arguments.output) if writes_files else None
    inputs = _read_names(arguments.inputs)
    cores = arguments.cores_per_task
    memory_bytes = arguments.memory_per_task or cores * DEFAULT_BYTES_PER_CORE
    options = EngineOptions(arguments.address, arguments.local, cores, memory_bytes)
    preparing = threading.Thread(target=prepare, args=(options,), name="posedata-prepare")
    preparing.start()
    input_errors: list[str] = []
    try:
        if arguments.command == "ingest" and output is not None:
            videos, input_errors = _videos_of_inputs(inputs, output)
        else:
            videos = _videos_of_lake(lake, inputs)
    finally:
        preparing.join()
    for error in input_errors:
        progress.error(error)
    config = Config(
        command=command,
        lake=lake,
        cores=cores,
        memory_bytes=memory_bytes,
        batch_bytes=arguments.batch_bytes,
        retries=arguments.retries,
        output=output,
        program_options=tuple(arguments.program_options),
        folder=os.getcwd(),
        environment=Environment.carried(),
    )
    signals = _Signals()
    # Until the engine is there, a signal may interrupt whatever is being waited for.
    signal.signal(signal.SIGTERM, _exit_by_signal)
    signal.signal(signal.SIGHUP, _exit_by_signal)
    engine = open_engine(options)
    try:
        # Engines catch signals of their own while they begin.
        signals.catch()
        n_slots = engine.slots()
        progress.note(f"{_n_videos(len(videos))}, {n_slots} at once on {engine_name}")
        if n_slots == 0:
            wanted = f"{cores} cores and {memory_bytes >> 20} MiB"
            progress.note(f"note: waiting for a worker with {wanted} for a task; there is none now")
        outcome = drive(config, videos, engine, progress, signals.is_stopped)
    finally:
        engine.close()
    exit_code = _exit_code(outcome, signals.number, input_errors)
    report = {
        "command": arguments.command,
        "engine": engine_name,
        "lake": lake,
        "inputs": [_core.without_secrets(each) for each in arguments.inputs],
        "input_errors": input_errors,
        "program_options": list(arguments.program_options),
        "started_at": started.isoformat(timespec="seconds"),
        **_report(outcome),
        "exit_code": exit_code,
    }
    if arguments.report is not None:
        _write(Path(arguments.report), report)
    if arguments.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    if outcome.fatal is not None:
        progress.error(f"error: {outcome.fatal}")
    progress.note(_summary(report))
    return exit_code


def _exit_by_signal(number: int, _: FrameType | None) -> None:
    sys.exit(SIGNAL_BASE + number)


def _exit_code(outcome: Outcome, signal_number: int | None, input_errors: Sequence[str]) -> int:
    if outcome.is_stopped and signal_number is not None:
        return SIGNAL_BASE + signal_number
    is_bad = [video.outcome in (_events.FAILED, _events.CANCELLED) for video in outcome.videos]
    if outcome.fatal is not None and all(is_bad):
        return _core.UNABLE
    return _core.SOME_FAILED if any(is_bad) or input_errors else _core.SUCCESS


def _read_names(inputs: Sequence[str]) -> list[str]:
    """The inputs, with the lines of `@FILE` in its place."""
    names: list[str] = []
    for word in inputs:
        if not word.startswith("@"):
            names.append(word)
            continue
        try:
            # A name may hold what `splitlines` takes for the end of a line.
            lines = Path(word[1:]).read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise PosedataError(f"cannot read the list of names ({error}): {word[1:]}") from error
        names += [_name_of_line(line) for line in lines if line.strip()]
    return names


def _name_of_line(line: str) -> str:
    """Blanks around a name are hardly meant, unless a file is called so."""
    name = line.rstrip("\r")
    return name if os.path.lexists(name) else name.strip()


def _videos_of_inputs(inputs: Sequence[str], output: str) -> tuple[list[Video], list[str]]:
    """The videos, and what could not be looked into."""
    listed, errors = _core.list_videos(inputs, output) if inputs else ([], [])
    if not listed:
        shown = ", ".join(map(_core.without_secrets, inputs)) or "the list of names"
        raise PosedataError("\n".join([f"there are no videos in {shown}", *errors]))
    videos = [Video(each.name, each.path, each.n_bytes, n_frames=each.n_frames) for each in listed]
    return videos, errors


def _videos_of_lake(lake: str, names: Sequence[str]) -> list[Video]:
    videos = []
    for row in _core.lake_videos(lake):
        video_id, path = str(row["video_id"]), str(row["path"])
        aliases = (str(row["file_name"]), posixpath.splitext(str(row["file_name"]))[0])
        n_bytes, n_frames = int(row["file_bytes"]), int(row["frame_count"])
        videos.append(Video(video_id, path, n_bytes, aliases, n_frames))
    if names:
        videos = _chosen(videos, names)
    if not videos:
        raise PosedataError(f"there are no videos in the lake: {lake}")
    return videos


def _chosen(videos: Sequence[Video], names: Sequence[str]) -> list[Video]:
    """The videos that are meant by ids, paths, file names or beginnings of ids."""
    chosen: dict[str, Video] = {}
    for name in names:
        known = (name, _core.absolute(name))
        found = [
            each
            for each in videos
            if each.name == name or each.path in known or name in each.aliases
        ] or [each for each in videos if each.name.startswith(name)]
        if not found:
            raise PosedataError(f"no such video in the lake: {name}")
        chosen.update((each.name, each) for each in found)
    return list(chosen.values())


def _n_videos(n_videos: int) -> str:
    return "1 video" if n_videos == 1 else f"{n_videos} videos"


def _report(outcome: Outcome) -> dict[str, Any]:
    worked_on = [video for video in outcome.videos if video.outcome != "skipped"]
    return {
        "elapsed_secs": round(outcome.elapsed_secs, 3),
        "error": outcome.fatal,
        "tasks": outcome.n_tasks,
        "counts": count_outcomes(outcome.videos),
        "frames": sum(video.frames or 0 for video in worked_on),
        "videos": [video.as_dict() for video in outcome.videos],
    }


def _summary(report: dict[str, Any]) -> str:
    words = {
        "skipped": "in the lake already",
        _events.CANCELLED: "not finished",
    }
    counts = [
        f"{count} {words.get(outcome, outcome)}"
        for outcome, count in report["counts"].items()
        if count
    ]
    secs, frames = report["elapsed_secs"], report["frames"]
    rate = f"; {frames} frames in {secs:.1f} s ({frames / secs:.0f} frames/s)" if frames else ""
    return f"{_n_videos(len(report['videos']))}: {', '.join(counts)}{rate}"


def _refuse_password(lake: str) -> None:
    """Refuses an address with a password in it, which reports and lists of processes would show."""
    scheme, mark, rest = lake.partition("://")
    if not mark:
        return
    if ":" in rest.rpartition("@")[0] or "password=" in rest:
        raise PosedataError(
            f"the address of a lake must not hold a password ({scheme}://…); set PGPASSWORD or "
            "POSEDATA_PG_PASSWORD, or write it into ~/.pgpass"
        )


def _check_report_file(name: str) -> None:
    """Refuses a report file that could not be written when the work is done."""
    if _ADDRESS.match(name):
        raise PosedataError(f"the report is a file on this machine, not at an address: {name}")
    path = Path(name)
    if path.is_dir():
        raise PosedataError(f"the report file is a folder: {path}")
    if not path.absolute().parent.is_dir():
        raise PosedataError(f"there is no folder for the report file; make it: {path}")


def _write(path: Path, report: dict[str, Any]) -> None:
    """Writes a file that appears whole or not at all."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.absolute().parent, prefix=f".{path.name}.", delete=False
        ) as file:
            json.dump(report, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise PosedataError(f"cannot write the report ({error}): {path}") from error
