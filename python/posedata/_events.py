"""What the program tells while it works (`--events json`), and what that means for each video.

Nothing here starts a process or knows of an engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

STARTED = "started"
PROGRESS = "progress"
COMMITTED = "committed"
FAILED = "failed"
CANCELLED = "cancelled"
SUMMARY = "summary"
# Not the program's: what `posedata._core.work` says when the program has ended.
ENDED = "ended"

# Kinds of failures. The program says `broken` or `passing`; `fatal` is a program that gave up before
# any video (wrong usage, a missing model).
BROKEN = "broken"
PASSING = "passing"
FATAL = "fatal"


@dataclass(frozen=True)
class Event:
    """One line of the program's events; fields that an event does not have are None.

    Attributes:
        event: started, progress, committed, failed, cancelled, summary; or ended, with which every
            call of the program closes.
        video: The video as it was given to the program.
        video_id: Id of the video in the lake (committed).
        outcome: ingested, replaced, skipped, written or computed (committed).
        frames: Frames so far (progress), or in all (committed, summary).
        frame_count: Frames that the file states (started, progress).
        pose_frames: Frames with a pose (committed).
        file_bytes: Size of the file (started).
        secs: What the video took, in seconds (committed).
        notes: What was unusual about the video (committed).
        kind: broken, passing or fatal (failed, ended).
        error: What was wrong (failed, ended).
        exit_code: How the program ended (summary, ended); minus the signal that killed it.
        host: Name of the machine on which the program ran (ended).
        time: When, as the program says it.
    """

    event: str
    video: str | None = None
    video_id: str | None = None
    outcome: str | None = None
    frames: int | None = None
    frame_count: int | None = None
    pose_frames: int | None = None
    file_bytes: int | None = None
    secs: float | None = None
    notes: tuple[str, ...] = ()
    kind: str | None = None
    error: str | None = None
    exit_code: int | None = None
    host: str | None = None
    time: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Event:
        """An event of its JSON object; fields that are not known are left out."""
        known = {name: values[name] for name in _FIELDS if values.get(name) is not None}
        if "notes" in known:
            known["notes"] = tuple(str(note) for note in known["notes"])
        if "time" in known:
            known["time"] = str(known["time"])
        return cls(**known)

    @classmethod
    def parse(cls, line: bytes | str) -> Event | None:
        """An event of a line of the program's output; None of a line that is none."""
        try:
            values = json.loads(line)
        except ValueError:
            return None
        if not isinstance(values, dict) or not isinstance(values.get("event"), str):
            return None
        return cls.of(values)

    def as_dict(self) -> dict[str, Any]:
        """The event as plain values, which any engine can carry."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        values["notes"] = list(self.notes)
        return values


_FIELDS = tuple(each.name for each in fields(Event))


@dataclass
class VideoResult:
    """What became of a video.

    Attributes:
        video: Path or address of the video.
        outcome: ingested, replaced, skipped, written, computed, failed or cancelled; None while it is
            not known.
        kind: Of a failure: broken (the video), passing (the machine, the network), fatal (the call).
        tries: How often the video was given to a program.
        host: Name of the machine that had it last.
    """

    video: str
    video_id: str | None = None
    file_bytes: int | None = None
    outcome: str | None = None
    frames: int | None = None
    pose_frames: int | None = None
    secs: float | None = None
    notes: list[str] = field(default_factory=list)
    kind: str | None = None
    error: str | None = None
    tries: int = 0
    host: str | None = None

    @property
    def is_failed(self) -> bool:
        return self.outcome == FAILED

    def take(self, event: Event) -> bool:
        """Takes an outcome over, unless there is one already. Whether it did.

        A task that ran twice (its first worker was lost after the commit) reports `skipped` the second
        time; what was done the first time stays. A failure after a commit (of the analysis that
        follows an ingest) does not.
        """
        if self.outcome is not None and (event.event != FAILED or self.is_failed):
            return False
        if event.event == COMMITTED:
            self.outcome = event.outcome or "ingested"
            self.video_id = event.video_id or self.video_id
            self.frames = event.frames
            self.pose_frames = event.pose_frames
            self.secs = event.secs
            self.notes = list(event.notes)
            self.kind = self.error = None
            return True
        if event.event == FAILED:
            self.kind = event.kind or PASSING
            self.error = event.error or "the program gave no reason"
            self.outcome = FAILED if self.kind == BROKEN else None
            return self.is_failed
        return False

    def fail(self, kind: str, error: str) -> None:
        """Nothing more is tried."""
        self.outcome = FAILED
        self.kind = kind
        self.error = error

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def count_outcomes(videos: Iterable[VideoResult]) -> dict[str, int]:
    """How many videos have each outcome."""
    counts = dict.fromkeys(
        ("ingested", "replaced", "skipped", "written", "computed", FAILED, CANCELLED), 0
    )
    for video in videos:
        name = video.outcome or CANCELLED
        counts[name] = counts.get(name, 0) + 1
    return counts
