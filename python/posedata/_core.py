"""Calls the program: to the end for its answer, or along its events.

`work` is what a worker of an engine runs; `query` and `ingest` are for notebooks.
Resident are one line of the program's output and the end of its standard error.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Union

from posedata import _events
from posedata._binary import ProgramNotFoundError, find_program
from posedata._events import Event, VideoResult, count_outcomes

if TYPE_CHECKING:
    import pyarrow

PathLike = Union[str, "os.PathLike[str]"]

# The program is to end within 2 s of SIGTERM; what does not is killed.
GRACE_SECS = 10.0
# How often a call looks whether it is to stop, at least.
POLL_SECS = 0.2
# Events are handed on together, so that thousands of workers do not ask for the driver's attention
# with every frame.
BATCH_SECS = 0.5
# Lines of standard error that are kept for the message of an error.
KEPT_LINES = 40
MAX_MESSAGE_CHARS = 2000
READ_BYTES = 1 << 16
# Names are given to the program in calls whose arguments stay far below the system's limit.
MAX_ARGUMENT_BYTES = 100_000
# So many videos are asked for their frames; of more, that would take longer than it helps.
MAX_OPENED = 500

SUCCESS = 0
UNABLE = 1
SOME_FAILED = 2
# Errors of starting a process that pass: no memory, no process, no file to be had.
_PASSING_ERRNOS = frozenset({errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})

# What the program reads from its environment, and the libraries for catalogs and stores in it.
_CARRIED_PREFIXES = ("POSEDATA_", "AWS_", "PG")
# Paths, which a node may have elsewhere.
_PATHS_OF_A_NODE = frozenset({"POSEDATA_BIN", "POSEDATA_MODELS"})


class PosedataError(Exception):
    """The program could not do what was asked.

    Attributes:
        exit_code: The program's; minus the signal, where one ended it.
    """

    def __init__(self, message: str, exit_code: int = UNABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.exit_code))


class Environment:
    """Variables that go along to other machines. Their values are never shown: some are secrets."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    @classmethod
    def carried(cls, environment: Mapping[str, str] | None = None) -> Environment:
        """Those of this process that the program reads."""
        environment = os.environ if environment is None else environment
        return cls({k: v for k, v in environment.items() if k.startswith(_CARRIED_PREFIXES)})

    def on_this_machine(self) -> dict[str, str]:
        """The environment of a program that is started here.

        What was carried comes first; a path of this machine stays, and one that it does not have is
        left out.
        """
        merged = dict(os.environ)
        for name, value in self._values.items():
            if name in _PATHS_OF_A_NODE and (name in merged or not os.path.exists(value)):
                continue
            merged[name] = value
        return merged

    def __repr__(self) -> str:
        return f"Environment({len(self._values)} variables)"


@dataclass(frozen=True)
class Call:
    """A call of the program: its arguments without its own name, and where it runs."""

    arguments: tuple[str, ...]
    environment: Environment = field(default_factory=lambda: Environment({}))
    # Left out on machines that have no such folder.
    folder: str | None = None


def never() -> bool:
    """For calls that nobody stops."""
    return False


def work(
    call: Call, is_stopped: Callable[[], bool] = never
) -> Generator[list[dict[str, Any]], None, None]:
    """Runs the program and yields its events, some at a time, as plain values.

    The last one is always `ended`. When `is_stopped` says so, or the generator is closed, or an
    exception comes (which is how engines interrupt), the program is ended first.
    """
    batch: list[Event] = []
    handed_on = time.monotonic()
    for event in run_program(call, is_stopped):
        if event is not None:
            _append(batch, event)
        now = time.monotonic()
        if batch and now - handed_on >= BATCH_SECS:
            yield [each.as_dict() for each in batch]
            batch = []
            handed_on = now
    yield [each.as_dict() for each in batch]


def _append(batch: list[Event], event: Event) -> None:
    """Only the last progress of each video is worth handing on."""
    if event.event == _events.PROGRESS:
        batch[:] = [
            each for each in batch if each.event != _events.PROGRESS or each.video != event.video
        ]
    batch.append(event)


def run_program(call: Call, is_stopped: Callable[[], bool] = never) -> Iterator[Event | None]:
    """Runs the program with events; yields them as they come, None now and then, `ended` last."""
    host = socket.gethostname()

    def ended(exit_code: int | None, kind: str | None, error: str | None) -> Event:
        return Event(_events.ENDED, exit_code=exit_code, kind=kind, error=error, host=host)

    if is_stopped():
        yield ended(None, _events.CANCELLED, None)
        return
    try:
        process = _Process(call)
    except ProgramNotFoundError as error:
        yield ended(UNABLE, _events.FATAL, str(error))
        return
    except OSError as error:
        kind = _events.PASSING if error.errno in _PASSING_ERRNOS else _events.FATAL
        yield ended(UNABLE, kind, f"cannot start posedata: {error}")
        return
    has_summary = False
    without_video: Event | None = None
    with process:
        for line in process.lines(is_stopped):
            event = None if line is None else Event.parse(line)
            if event is None:
                yield None
                continue
            if event.event == _events.SUMMARY:
                has_summary = True
            if event.event == _events.FAILED and event.video is None:
                without_video = event
            yield event
        exit_code = process.exit_code()
    if process.was_stopped:
        yield ended(exit_code, _events.CANCELLED, None)
    elif has_summary and exit_code in (SUCCESS, SOME_FAILED):
        yield ended(exit_code, None, None)
    elif exit_code == UNABLE:
        if without_video is not None and without_video.error:
            is_passing = without_video.kind == _events.PASSING
            kind = _events.PASSING if is_passing else _events.FATAL
            yield ended(exit_code, kind, without_video.error)
        else:
            yield ended(exit_code, _events.FATAL, process.message() or "posedata gave no reason")
    else:
        message = " ".join(filter(None, [_how_it_ended(exit_code), process.message()]))
        yield ended(exit_code, _events.PASSING, message)


def _how_it_ended(exit_code: int) -> str:
    if exit_code >= 0:
        return f"posedata ended with exit code {exit_code} before it was done"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = " (out of memory?)" if -exit_code == signal.SIGKILL else ""
    return f"posedata was ended by {name}{hint}"


class _Process:
    """The running program. Leaving the `with` ends it, and waits for its end."""

    def __init__(self, call: Call) -> None:
        environment = call.environment.on_this_machine()
        program = find_program(environment)
        folder = call.folder if call.folder and os.path.isdir(call.folder) else None
        # The program ends when this pipe does, which the kernel closes however this process ends.
        read_end, self._write_end = os.pipe()
        try:
            self._process = subprocess.Popen(
                [program, *call.arguments],
                stdin=read_end,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=environment,
                # A terminal's Ctrl-C is the driver's to handle, not each program's.
                start_new_session=True,
            )
        except BaseException:
            os.close(self._write_end)
            self._write_end = -1
            raise
        finally:
            os.close(read_end)
        self._stderr_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._stderr_rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.was_stopped = False

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        finally:
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()

    def __del__(self) -> None:
        # An engine may interrupt between the start and the `with`.
        if getattr(self, "_write_end", -1) >= 0:
            os.close(self._write_end)
            self._write_end = -1

    def lines(self, is_stopped: Callable[[], bool]) -> Iterator[bytes | None]:
        """Lines of standard output until the program has ended; None where there was none for a
        while."""
        stdout, stderr = self._process.stdout, self._process.stderr
        assert stdout is not None and stderr is not None
        rest = b""
        kill_at: float | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(POLL_SECS)
                for key, _ in ready:
                    # As `os.read`, because what is buffered would be seen by no selector.
                    data = os.read(key.fd, READ_BYTES)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is stderr:
                        self._keep(data)
                    else:
                        *lines, rest = (rest + data).split(b"\n")
                        yield from lines
                yield None
                if kill_at is None and is_stopped():
                    self.was_stopped = True
                    self._signal(signal.SIGTERM)
                    kill_at = time.monotonic() + GRACE_SECS
                if kill_at is not None and time.monotonic() > kill_at:
                    self._kill_group()
                # A grandchild may hold the pipes open longer than the program lives.
                if not ready and self._process.poll() is not None:
                    break
        if rest:
            yield rest

    def exit_code(self) -> int:
        """Waits for the end, which the closed pipes announce."""
        self._end(is_expected=True)
        return self._process.returncode

    def message(self) -> str:
        """The error out of what the program told to standard error."""
        return message_of([*self._stderr_lines, self._stderr_rest])

    def _keep(self, data: bytes) -> None:
        *lines, rest = (self._stderr_rest + self._decoder.decode(data)).split("\n")
        self._stderr_lines.extend(lines)
        self._stderr_rest = rest[-MAX_MESSAGE_CHARS:]

    def _end(self, is_expected: bool = False) -> None:
        if self._process.poll() is None and not is_expected:
            self._signal(signal.SIGTERM)
        try:
            self._process.wait(GRACE_SECS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if self._process.poll() is None:
                self._kill_group()
                self._process.wait()
            if self._write_end >= 0:
                os.close(self._write_end)
                self._write_end = -1

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _kill_group(self) -> None:
        """The program leads a session of its own, so nobody else is in its group."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def message_of(lines: Iterable[str]) -> str:
    """The last error of a program's standard error, with the hints that follow it."""
    kept = [line for line in lines if line.strip()]
    starts = [index for index, line in enumerate(kept) if line.startswith("error")]
    if starts:
        message = "\n".join(kept[starts[-1] :])
        message = re.sub(r"^error:\s*", "", message)
    else:
        message = "\n".join(kept[-3:])
    return message[:MAX_MESSAGE_CHARS]


def call_for_json(arguments: Sequence[str]) -> tuple[Any, str]:
    """What the program answers in JSON, and what it says was wrong with a part of it.

    Raises:
        PosedataError: It could not; or it is not there.
    """
    try:
        done = subprocess.run(
            [_program(), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise PosedataError(f"cannot start posedata: {error}") from error
    stderr = done.stderr.decode(errors="replace").splitlines()
    if done.returncode not in (SUCCESS, SOME_FAILED):
        message = message_of(stderr)
        raise PosedataError(message or _how_it_ended(done.returncode), done.returncode)
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise PosedataError(f"posedata answered with something else than JSON: {error}") from error
    return answer, "" if done.returncode == SUCCESS else "\n".join(filter(None, stderr))


def _program() -> str:
    try:
        return find_program()
    except ProgramNotFoundError as error:
        raise PosedataError(str(error)) from error


@dataclass(frozen=True)
class Listed:
    """A video that `ingest` would take.

    Attributes:
        name: What the program is given: an absolute path, or an address.
        path: What the program calls it: of a web address without what may be a key in it.
        n_bytes: Its size; None where nobody knows.
        n_frames: As its file states; None where it does not, or was not asked.
    """

    name: str
    path: str
    n_bytes: int | None
    n_frames: int | None = None


def list_videos(inputs: Sequence[str], output: str) -> tuple[list[Listed], list[str]]:
    """The videos that `ingest` would take of files, folders, prefixes and addresses.

    Args:
        output: The folder of annotated videos, which is not searched unless it is an input.

    Returns:
        The videos, each once; and what could not be looked into.
    """
    videos: dict[str, Listed] = {}
    errors: list[str] = []
    for part in _parts(inputs):
        options = ["--json", "--output", output, "--frames", str(MAX_OPENED)]
        listed, error = call_for_json(["list", *options, "--", *part])
        for video in listed:
            path = absolute(str(video["path"]))
            given = part[video["input"]]
            name = given if is_web_address(given) else path
            found = Listed(name, path, video.get("bytes"), video.get("frames"))
            videos.setdefault(name, found)
        errors += filter(None, [error])
    return list(videos.values()), errors


def is_web_address(text: str) -> bool:
    return text.startswith(("https://", "http://"))


def without_secrets(text: str) -> str:
    """A path or an address as far as everybody may see it, as the program shows it."""
    if not is_web_address(text):
        return text
    scheme, rest = re.split(r"[?#]", text, maxsplit=1)[0].split("://", 1)
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _parts(names: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    n_bytes = 0
    for name in names:
        n_bytes += len(os.fsencode(name)) + 1
        if part and n_bytes > MAX_ARGUMENT_BYTES:
            yield part
            part, n_bytes = [], len(os.fsencode(name)) + 1
        part.append(name)
    if part:
        yield part


def lake_videos(lake: str) -> list[dict[str, Any]]:
    """Id, path, name, size and frames of a lake's videos."""
    columns = "video_id, path, file_name, file_bytes, frame_count"
    sql = f"select {columns} from videos order by video_id"
    rows, _ = call_for_json(["query", "--lake", lake, "--format", "json", "-e", sql])
    return list(rows)


def absolute(path: PathLike) -> str:
    """An absolute path; an address (`s3://…`, `postgres://…`) as it is."""
    text = os.fspath(path)
    return text if "://" in text else os.path.abspath(os.path.expanduser(text))


@dataclass
class IngestResult:
    """What an ingest did.

    Attributes:
        videos: One result for each video, in the order in which the program told of them.
        elapsed_secs: From start to end.
        exit_code: The program's: 0, or 2 where some videos failed.
    """

    videos: list[VideoResult]
    elapsed_secs: float
    exit_code: int

    @property
    def failed(self) -> list[VideoResult]:
        """The videos that are not in the lake, each with its error."""
        return [video for video in self.videos if video.is_failed]

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{count} {outcome}" for outcome, count in count_outcomes(self.videos).items() if count
        )
        return f"IngestResult({counts or 'no videos'}; {self.elapsed_secs:.1f} s)"


def ingest(
    inputs: PathLike | Sequence[PathLike],
    *,
    lake: PathLike | None = None,
    progress: Callable[[Event], None] | None = None,
    options: Sequence[str] = (),
) -> IngestResult:
    """Puts videos into a lake, on this machine.

    Args:
        inputs: Videos, folders, `s3://` prefixes, `https://` addresses.
        lake: The lake; as the program chooses by default.
        progress: Called with every event of the program, in this thread.
        options: Further options of `posedata ingest`, such as `["--pose-model", "lite"]`.

    Returns:
        A result for each video. Videos that failed are among them, see `IngestResult.failed`.

    Raises:
        PosedataError: The program could not begin, or ended before it was done.
    """
    given = [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs
    names = [os.fspath(each) for each in given]
    if not names:
        raise ValueError("no videos are given")
    lake_options = [] if lake is None else ["--lake", os.fspath(lake)]
    arguments = ["ingest", *EVENT_OPTIONS, *lake_options, *options, "--", *names]
    results: dict[str, VideoResult] = {}
    started = time.monotonic()
    last: Event | None = None
    for event in run_program(Call(tuple(arguments))):
        if event is None:
            continue
        last = event
        if event.video is not None:
            result = results.setdefault(event.video, VideoResult(event.video, tries=1))
            result.file_bytes = event.file_bytes or result.file_bytes
            result.take(event)
            if event.event == _events.FAILED:
                result.outcome = _events.FAILED
            elif event.event == _events.CANCELLED:
                result.outcome = _events.CANCELLED
        if progress is not None and event.event != _events.ENDED:
            progress(event)
    assert last is not None
    if last.kind is not None:
        raise PosedataError(last.error or "posedata was stopped", last.exit_code or UNABLE)
    elapsed_secs = time.monotonic() - started
    return IngestResult(list(results.values()), elapsed_secs, last.exit_code or SUCCESS)


# How a program is run that somebody listens to, and that must not outlive whoever does.
EVENT_OPTIONS = ("--events", "json", "--exit-on-stdin-close")


def query(
    sql: PathLike,
    *,
    lake: PathLike | None = None,
    params: Mapping[str, object] | None = None,
    at: int | None = None,
    options: Sequence[str] = (),
) -> pyarrow.Table:
    """The rows that SQL finds in a lake.

    Args:
        sql: A SELECT statement; or a file with one, or the name of a query that comes with posedata
            (`velocity`, `queries/velocity.sql`).
        lake: The lake; as the program chooses by default.
        params: Values of the query's parameters.
        at: Snapshot of the lake, see `posedata lake info`.
        options: Further options of `posedata query`.

    Raises:
        PosedataError: The statement is wrong, or there is no such lake.
        ImportError: pyarrow is not installed (`pip install 'posedata[arrow]'`).
    """
    try:
        import pyarrow
        from pyarrow import ipc
    except ImportError as error:
        raise ImportError("posedata.query needs pyarrow: pip install 'posedata[arrow]'") from error
    arguments = ["query", "--format", "arrow"]
    if lake is not None:
        arguments += ["--lake", os.fspath(lake)]
    if at is not None:
        arguments += ["--at", str(at)]
    arguments += [f"--param={name}={_text(value)}" for name, value in (params or {}).items()]
    arguments += options
    # With `=`, so that a comment in front (`-- …`) is not taken for an option.
    file = _query_file(sql)
    arguments += [f"--execute={os.fspath(sql)}"] if file is None else ["--", file]
    try:
        process = subprocess.Popen(
            [_program(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise PosedataError(f"cannot start posedata: {error}") from error
    with process:
        assert process.stdout is not None and process.stderr is not None
        stderr = _Drained(process.stderr)
        table, unreadable = None, None
        try:
            with ipc.open_stream(process.stdout) as stream:
                table = stream.read_all()
        except pyarrow.ArrowInvalid as error:
            # Nothing, or half a stream: the program has the reason.
            unreadable = error
        except BaseException:
            process.terminate()
            raise
        exit_code = process.wait()
        message = message_of(stderr.lines())
    if exit_code != SUCCESS:
        raise PosedataError(message or _how_it_ended(exit_code), exit_code)
    if table is None:
        raise PosedataError(f"posedata answered with something else than Arrow: {unreadable}")
    return table


class _Drained:
    """The end of what a pipe gives, read beside other work so that the writer never waits."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._thread = threading.Thread(
            target=self._read, args=(pipe,), name="posedata-stderr", daemon=True
        )
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._lines.append(line.decode(errors="replace").rstrip("\n"))

    def lines(self) -> list[str]:
        self._thread.join()
        return list(self._lines)


_NAME = re.compile(r"[\w./~-]+")


def _query_file(sql: PathLike) -> str | None:
    """The file that is meant, or None where it is a statement: those have spaces in them."""
    if not isinstance(sql, str):
        return os.fspath(sql)
    if sql.endswith(".sql") and "\n" not in sql:
        return sql
    if not _NAME.fullmatch(sql):
        return None
    return sql if os.path.exists(sql) else str(Path("queries") / f"{sql}.sql")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
