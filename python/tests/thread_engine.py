"""The least that is an engine: threads of this process. For tests of the driver."""

from __future__ import annotations

import os
import queue
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from posedata import _events
from posedata._command import EngineOptions, main
from posedata._core import Call, work
from posedata._driver import Report
from posedata._events import Event


class ThreadEngine:
    name = "threads"

    def __init__(self, options: EngineOptions) -> None:
        self._n_slots = options.local or 1
        self._executor = ThreadPoolExecutor(self._n_slots)
        self.futures: list[Future[None]] = []
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._stop = threading.Event()

    def slots(self) -> int:
        return self._n_slots

    def submit(self, task_id: int, call: Call) -> None:
        self.futures.append(self._executor.submit(self._run, task_id, call))

    def _run(self, task_id: int, call: Call) -> None:
        for batch in work(call, self._stop.is_set):
            self._reports.put(Report(task_id, tuple(Event.of(each) for each in batch)))
        self._reports.put(Report(task_id, is_end=True))

    def wait(self, timeout_secs: float) -> list[Report]:
        try:
            return [self._reports.get(timeout=timeout_secs)]
        except queue.Empty:
            return []

    def cancel(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self._stop.set()
        self._executor.shutdown()


class LosingEngine(ThreadEngine):
    """Loses the first worker with all that it has told."""

    def _run(self, task_id: int, call: Call) -> None:
        if task_id > 1:
            super()._run(task_id, call)
            return
        told = [Event.of(each) for batch in work(call, self._stop.is_set) for each in batch]
        assert told[-1].event == _events.ENDED
        self._reports.put(Report(task_id, is_end=True, error="the worker was lost"))


if __name__ == "__main__":
    code = main("threads", ThreadEngine)
    sys.stdout.flush()
    os._exit(code)
