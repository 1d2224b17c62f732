"""What people see of a run: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import TextIO

from posedata._events import VideoResult

# How often a bar is drawn at most.
DRAW_SECS = 0.2
# How often a line tells how far the run is, where there is no terminal.
TELL_SECS = 30.0
BAR_CHARS = 20


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        done_bytes: Of the videos' sizes, what is done; a video in work counts by its frames.
        frames: Frames of this run, also of videos in work.
    """

    n_videos: int
    n_done: int
    n_failed: int
    n_running: int
    done_bytes: float
    total_bytes: float
    frames: int
    elapsed_secs: float


class Progress:
    """Tells of finished videos and of the whole, on standard error."""

    def __init__(self, stream: TextIO, is_quiet: bool = False) -> None:
        self._stream = stream
        self._is_quiet = is_quiet
        self._is_terminal = not is_quiet and stream.isatty() and os.environ.get("TERM") != "dumb"
        self._is_drawn = False
        self._told_at = time.monotonic()

    def note(self, text: str) -> None:
        """A line for people."""
        if not self._is_quiet:
            self._line(text)

    def error(self, text: str) -> None:
        """A line that even those see who want no others."""
        self._line(text)

    def finished(self, result: VideoResult) -> None:
        """Tells what became of a video."""
        if result.is_failed:
            self.error(with_name(result))
            return
        self.note(f"{result.video}: {describe(result)}")
        for note in result.notes:
            self.note(f"  note: {note}")

    def draw(self, state: State) -> None:
        """Draws the bar anew, or tells now and then."""
        if self._is_quiet:
            return
        now = time.monotonic()
        if now - self._told_at < (DRAW_SECS if self._is_terminal else TELL_SECS):
            return
        self._told_at = now
        if not self._is_terminal:
            self._line(summary_line(state))
            return
        share = state.done_bytes / state.total_bytes if state.total_bytes else 0.0
        n_filled = round(BAR_CHARS * min(max(share, 0.0), 1.0))
        bar = "#" * n_filled + "-" * (BAR_CHARS - n_filled)
        text = f"[{bar}] {summary_line(state)}"
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\x1b[K{text[:width]}")
        self._is_drawn = True

    def end(self) -> None:
        """Takes the bar away."""
        if self._is_drawn:
            self._write("\r\x1b[K")
            self._is_drawn = False

    def _line(self, text: str) -> None:
        self.end()
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # A terminal that was closed is no reason to end.
            self._is_quiet = True


def with_name(result: VideoResult) -> str:
    """A failure, and whose: the program's errors mostly end with the path."""
    error = result.error or "failed"
    return error if result.video in error else f"{result.video}: {error}"


def describe(result: VideoResult) -> str:
    """An outcome in words."""
    if result.outcome == "skipped":
        return "in the lake already"
    parts = []
    if result.frames is not None:
        parts.append(f"{result.frames} frames")
    if result.pose_frames is not None:
        parts.append(f"{result.pose_frames} with a pose")
    text = ", ".join(parts) or str(result.outcome)
    return text if result.secs is None else f"{text} ({result.secs:.1f} s)"


def summary_line(state: State) -> str:
    """How far a run is, in words."""
    parts = [f"{state.n_done} of {state.n_videos} videos", f"{state.n_running} in work"]
    if state.n_failed:
        parts.append(f"{state.n_failed} failed")
    rate = state.frames / state.elapsed_secs if state.elapsed_secs > 0 else 0.0
    parts.append(f"{state.frames} frames, {rate:.0f} frames/s")
    return ", ".join(parts)
