"""Hands videos out to an engine until each has an outcome.

Which engine it is does not matter here. What is resident is one record for each video; calls are
handed to the engine only as far as it can begin them soon.
"""

from __future__ import annotations

import heapq
import itertools
import posixpath
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from posedata import _events
from posedata._core import EVENT_OPTIONS, UNABLE, Call, Environment
from posedata._events import Event, VideoResult
from posedata._plan import Share, Video, plan
from posedata._progress import Progress, State, with_name

# How long the driver sleeps at most between two looks.
WAIT_SECS = 0.2
# After a signal: how long calls may take to end. The program needs 2 s at most; the engine some more
# to say so.
STOP_SECS = 25.0
# Before a passing error is tried again: 1 s, 2 s, 4 s, …, this at most.
MAX_DELAY_SECS = 60.0
# As many calls that gave up before any video, while none succeeded, and the run gives up too.
MAX_FATAL = 3


@dataclass(frozen=True)
class Report:
    """What an engine tells of a task: events; or that it has ended, perhaps by an error of the engine
    (a worker or a node was lost)."""

    task_id: int
    events: tuple[Event, ...] = ()
    is_end: bool = False
    error: str | None = None
    kind: str = _events.PASSING


class EngineLostError(Exception):
    """There is no cluster any more."""


class Engine(Protocol):
    """What runs `posedata._core.work` elsewhere. Its methods raise `EngineLostError`."""

    name: str

    def slots(self) -> int:
        """How many tasks run at once, now."""

    def submit(self, task_id: int, call: Call) -> None:
        """Begins a task when there is room for it."""

    def wait(self, timeout_secs: float) -> list[Report]:
        """What was told since; waits for it, not much longer than told."""

    def cancel(self) -> None:
        """Ends all programs. Their tasks' ends are still to be reported."""

    def close(self) -> None:
        """Leaves the cluster, and ends it where it was begun for this run."""


@dataclass(frozen=True)
class Config:
    """What is to be done with each share of videos."""

    command: tuple[str, ...]
    lake: str
    cores: int
    memory_bytes: int
    batch_bytes: int
    retries: int
    # None where the command writes no files.
    output: str | None = None
    program_options: tuple[str, ...] = ()
    folder: str | None = None
    environment: Environment = field(default_factory=lambda: Environment({}))

    def call(self, share: Share) -> Call:
        """The call of the program for a share."""
        arguments = [*self.command, *EVENT_OPTIONS, "--lake", self.lake]
        arguments += ["--cores", str(self.cores), "--memory-limit", f"{self.memory_bytes}B"]
        if self.output is not None:
            arguments += ["--output", posixpath.join(self.output, share.subfolder).rstrip("/")]
        arguments += [*self.program_options, "--", *(video.name for video in share.videos)]
        return Call(tuple(arguments), self.environment, self.folder)


@dataclass
class _Task:
    share: Share
    # Videos that the program has begun and not finished.
    begun: set[str] = field(default_factory=set)
    ended: Event | None = None


@dataclass
class _InWork:
    frames: int = 0
    frame_count: int | None = None


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        fatal: Why the run was given up, where it was.
    """

    videos: list[VideoResult]
    elapsed_secs: float
    n_tasks: int
    is_stopped: bool
    fatal: str | None


def drive(
    config: Config,
    videos: Sequence[Video],
    engine: Engine,
    progress: Progress,
    is_stopped: Callable[[], bool],
) -> Outcome:
    """Runs the program over all videos."""
    return _Run(config, videos, engine, progress, is_stopped).run()


class _Run:
    def __init__(
        self,
        config: Config,
        videos: Sequence[Video],
        engine: Engine,
        progress: Progress,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._config = config
        self._engine = engine
        self._progress = progress
        self._is_stopped = is_stopped
        self._videos = {video.name: video for video in videos}
        self._results = {
            video.name: VideoResult(video.path, file_bytes=video.n_bytes) for video in videos
        }
        self._aliases = _aliases(videos)
        self._in_work: dict[str, _InWork] = {}
        self._ids = itertools.count(1)
        self._pending = deque(plan(videos, config.batch_bytes, engine.slots()))
        self._delayed: list[tuple[float, int, Share]] = []
        self._running: dict[int, _Task] = {}
        self._n_planned = len(self._pending)
        self._n_tasks = 0
        self._n_fatal = 0
        self._finished: set[str] = set()
        self._n_failed = 0
        self._done_bytes = 0
        self._done_frames = 0
        self._total_bytes = sum(video.n_bytes or 0 for video in videos)
        self._has_success = False
        self._fatal: str | None = None
        self._stop_at: float | None = None
        self._started = time.monotonic()

    def run(self) -> Outcome:
        was_stopped = False
        try:
            while self._pending or self._delayed or self._running:
                if self._is_stopped() and not was_stopped:
                    was_stopped = True
                    self._stop("interrupted: ending the videos in work; again to end at once")
                self._submit()
                for report in self._engine.wait(WAIT_SECS):
                    self._take(report)
                self._progress.draw(self._state())
                if self._stop_at is not None and time.monotonic() > self._stop_at:
                    break
        except EngineLostError as error:
            self._fatal = str(error)
            for result in self._results.values():
                if result.outcome is None and result.tries > 0:
                    result.fail(_events.PASSING, self._fatal)
        for result in self._results.values():
            if result.outcome is None:
                result.outcome = _events.CANCELLED
        self._progress.end()
        return Outcome(
            list(self._results.values()),
            time.monotonic() - self._started,
            self._n_tasks,
            was_stopped,
            self._fatal,
        )

    def _stop(self, note: str) -> None:
        self._pending.clear()
        self._delayed.clear()
        if self._stop_at is None:
            self._stop_at = time.monotonic() + STOP_SECS
            self._progress.note(note)
            self._engine.cancel()

    def _submit(self) -> None:
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            self._pending.append(heapq.heappop(self._delayed)[2])
        # Some more than run at once, so that no place waits for the driver; not all, so that little
        # has to be called off.
        slots = max(self._engine.slots(), 1)
        room = slots + max(slots // 4, 1)
        while self._pending and len(self._running) < room:
            share = self._pending.popleft()
            for video in share.videos:
                self._results[video.name].tries += 1
            task_id = next(self._ids)
            self._running[task_id] = _Task(share)
            self._n_tasks += 1
            self._engine.submit(task_id, self._config.call(share))

    def _take(self, report: Report) -> None:
        task = self._running.get(report.task_id)
        for event in report.events:
            self._take_event(event, task)
        if report.is_end and task is not None:
            del self._running[report.task_id]
            self._end(task, report)

    def _take_event(self, event: Event, task: _Task | None) -> None:
        if event.event == _events.ENDED:
            if task is not None:
                task.ended = event
                for video in task.share.videos:
                    self._results[video.name].host = event.host
            return
        name = self._name_of(event, task)
        if name is None:
            return
        if event.event in (_events.STARTED, _events.PROGRESS):
            in_work = self._in_work.setdefault(name, _InWork())
            in_work.frames = event.frames or 0
            in_work.frame_count = event.frame_count or in_work.frame_count
            if task is not None:
                task.begun.add(name)
            return
        if task is not None:
            task.begun.discard(name)
        self._in_work.pop(name, None)
        result = self._results[name]
        if result.take(event):
            self._finish(name)

    def _name_of(self, event: Event, task: _Task | None) -> str | None:
        """The video that is meant; of a lake's videos the program tells their paths."""
        in_task = [] if task is None else task.share.videos
        if event.video is not None and len(in_task) == 1:
            # A call of one video can only mean that one.
            return in_task[0].name
        for told in (event.video, event.video_id):
            if told in self._results:
                return told
        if event.video is None:
            return None
        of_path = [video.name for video in in_task if event.video == video.path]
        if len(of_path) == 1:
            return of_path[0]
        return self._aliases.get(event.video)

    def _finish(self, name: str) -> None:
        result = self._results[name]
        # An ingest whose analysis fails has two ends.
        if name not in self._finished:
            self._finished.add(name)
            self._done_bytes += self._videos[name].n_bytes or 0
        if result.is_failed:
            self._n_failed += 1
        else:
            self._has_success = True
            # Nobody's time went into frames that were there already.
            self._done_frames += 0 if result.outcome == "skipped" else result.frames or 0
        self._progress.finished(result)

    def _end(self, task: _Task, report: Report) -> None:
        """Decides about the videos of a task that have no outcome when it has ended."""
        names = [video.name for video in task.share.videos]
        for name in names:
            self._in_work.pop(name, None)
        left = [name for name in names if self._results[name].outcome is None]
        if not left or self._stop_at is not None:
            return
        kind, error = _reason(task, report)
        gave_up = task.ended is not None and task.ended.exit_code == UNABLE
        is_exhausted = all(self._results[name].tries > self._config.retries for name in left)
        if kind == _events.FATAL or (gave_up and is_exhausted):
            self._n_fatal += 1
            if not self._has_success and self._n_fatal >= min(MAX_FATAL, self._n_planned):
                self._give_up(kind, error)
                return
        self._retry(task, left, kind, error)

    def _give_up(self, kind: str, error: str) -> None:
        self._fatal = error
        for name, result in self._results.items():
            if result.outcome is None and result.tries > 0:
                result.fail(kind, error)
                self._in_work.pop(name, None)
        self._stop("nothing could be done: ending the run")

    def _retry(self, task: _Task, left: Sequence[str], kind: str, error: str) -> None:
        """Tries again what may succeed, and gives the rest up.

        When a program was killed, the videos that were in work are the ones to suspect: each of them
        is tried alone, and counted; the others go on together as if nothing had been.
        """
        is_killed = kind == _events.PASSING and bool(task.begun)
        # The program's own word about a video is better than the one about all.
        told = {name for name in left if self._results[name].kind is not None}
        is_whole = task.ended is not None and task.ended.kind is None
        suspects = {name for name in left if name in task.begun} | told if is_killed else set(left)
        innocent = [name for name in left if name not in suspects]
        alone: list[str] = []
        for name in (name for name in left if name in suspects):
            result = self._results[name]
            result.kind = result.kind or kind
            result.error = result.error or error
            if result.tries > self._config.retries:
                result.fail(result.kind, result.error)
                self._finish(name)
            else:
                alone.append(name)
        for name in innocent:
            self._results[name].tries -= 1
        if innocent:
            self._again([innocent], task, delay_secs=0.0)
        if alone:
            tries = max(self._results[name].tries for name in alone)
            delay_secs = min(2.0 ** (tries - 1), MAX_DELAY_SECS)
            singly = is_killed or is_whole
            self._again([[name] for name in alone] if singly else [alone], task, delay_secs)
            for name in alone:
                result = self._results[name]
                self._progress.note(f"trying again: {with_name(result)}")
                # The next try has its own.
                result.kind = result.error = None

    def _again(self, groups: Iterable[Sequence[str]], task: _Task, delay_secs: float) -> None:
        at = time.monotonic() + delay_secs
        for group in groups:
            share = Share(tuple(self._videos[name] for name in group), task.share.subfolder)
            heapq.heappush(self._delayed, (at, next(self._ids), share))

    def _state(self) -> State:
        done_bytes = float(self._done_bytes)
        for name, in_work in self._in_work.items():
            if in_work.frame_count:
                share = min(in_work.frames / in_work.frame_count, 1.0)
                done_bytes += share * (self._videos[name].n_bytes or 0)
        return State(
            n_videos=len(self._videos),
            n_done=len(self._finished),
            n_failed=self._n_failed,
            n_running=len(self._in_work),
            done_bytes=done_bytes,
            total_bytes=float(self._total_bytes),
            frames=self._done_frames + sum(each.frames for each in self._in_work.values()),
            elapsed_secs=time.monotonic() - self._started,
        )


def _reason(task: _Task, report: Report) -> tuple[str, str]:
    """Kind and words for videos of which the program said nothing."""
    if report.error is not None:
        return report.kind, report.error
    ended = task.ended
    if ended is None:
        return _events.PASSING, "the task ended without a word about the program"
    if ended.kind == _events.CANCELLED:
        return _events.PASSING, "the program was stopped"
    if ended.kind is not None:
        return ended.kind, ended.error or "the program gave no reason"
    return _events.PASSING, "the program ended without a word about this video"


def _aliases(videos: Sequence[Video]) -> dict[str, str]:
    """Other names of videos, as far as they are unmistakable."""
    names: dict[str, set[str]] = {}
    for video in videos:
        for alias in (video.path, posixpath.basename(video.path), *video.aliases):
            names.setdefault(alias, set()).add(video.name)
    return {alias: name for alias, (name, *others) in names.items() if not others}
