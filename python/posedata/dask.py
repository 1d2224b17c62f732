"""`python -m posedata.dask`: the program over many videos, on a Dask cluster.

    python -m posedata.dask ingest s3://clips/ --lake postgres://posedata@db/lake --address tcp://head:8786

Each task runs in a thread of a worker. Dask cannot interrupt a thread, so a task looks by itself
whether it is still wanted: an event of the cluster tells it of a signal, the worker's own state
that the driver is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from posedata import _events
from posedata._command import EngineOptions, main
from posedata._core import Call, PosedataError, work
from posedata._driver import EngineLostError, Report
from posedata._events import Event

NAME = "dask"
LOOPBACK = "127.0.0.1"
# How long one question for the event of a run lasts; the answer comes at once when it is set.
ASK_SECS = 10.0
# States of a task that the scheduler has released while its thread goes on.
UNWANTED_STATES = ("cancelled", "resumed")
ENDING_STATUSES = ("closing", "closed", "failed")
# Names under which workers may declare what they have, `dask worker --resources "cores=8"`.
CORES, MEMORY = "cores", "memory"
IGNORE_INTERRUPTS = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
# How long the driver waits for an answer of the scheduler. Dask itself tries for half a minute to reach
# one that is gone, and waits for ever for one that stands still.
ANSWER_SECS = 5.0
# Workers come and go slowly.
WORKERS_SECS = 2.0
CLOSE_SECS = 5.0


def _work(call: Call, task_id: int, topic: str, stop_name: str) -> dict[str, Any]:
    """What a worker of Dask runs: tells events as they come, and returns all but progress.

    What is told may come late or, with a worker that is lost, never. Dask may run a task again by
    itself, so each time has a name.
    """
    import distributed

    worker = distributed.get_worker()
    key = worker.get_current_task()
    stop = distributed.Event(stop_name)
    is_done, is_set = threading.Event(), threading.Event()
    if stop.is_set():
        is_set.set()

    def ask() -> None:
        while not (is_done.is_set() or is_set.is_set()):
            try:
                if stop.wait(timeout=ASK_SECS):
                    is_set.set()
            except Exception:
                # The scheduler is away; the worker's state tells when it has given the task up.
                time.sleep(1.0)

    def is_stopped() -> bool:
        # A worker that has lost its scheduler waits for its threads before it ends.
        if is_set.is_set() or worker.status.name in ENDING_STATUSES:
            return True
        task = worker.state.tasks.get(key)
        return task is None or task.state in UNWANTED_STATES

    threading.Thread(target=ask, name="posedata-stop", daemon=True).start()
    time_name = uuid.uuid4().hex
    kept: list[dict[str, Any]] = []
    try:
        for batch in work(call, is_stopped):
            told = {"task": task_id, "time": time_name, "first": len(kept), "events": batch}
            worker.log_event(topic, told)
            kept += [each for each in batch if each["event"] != _events.PROGRESS]
    finally:
        is_done.set()
    return {"time": time_name, "events": kept}


def prepare(_: EngineOptions) -> None:
    """Imports Dask, which takes a second."""
    # Whether it is there is found out, and told, when it is needed.
    with contextlib.suppress(ImportError):
        import distributed  # noqa: F401


class DaskEngine:
    """Tasks on the Dask cluster to which this process is connected."""

    name = NAME

    def __init__(self, options: EngineOptions) -> None:
        try:
            import distributed
        except ImportError as error:
            raise PosedataError("Dask is not installed: pip install 'posedata[dask]'") from error
        self._options = options
        self._run = f"posedata-{uuid.uuid4().hex[:12]}"
        self._futures: dict[int, Any] = {}
        # What was told, and futures that are done, both by Dask's threads.
        self._told: queue.SimpleQueue[dict[str, Any] | tuple[int, Any]] = queue.SimpleQueue()
        # How many events that are also returned were taken of each time that a task ran.
        self._taken: dict[int, dict[str, int]] = {}
        self._known_workers: list[dict[str, Any]] | None = None
        self._workers_at = float("-inf")
        # What Dask tells of lost workers is in the report, in fewer words.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._cluster: Any = None
        self._client: Any = None
        try:
            if options.local is not None:
                self._cluster = _local_cluster(distributed, options.local)
            self._client = _client(distributed, self._cluster, options.address)
            self._stop = distributed.Event(self._run, client=self._client)
            self._client.subscribe_topic(self._run, self._take)
        except BaseException:
            self.close()
            raise

    def _must_be_connected(self) -> None:
        if self._client.status != "running":
            raise EngineLostError("the Dask cluster is gone: its scheduler does not answer")

    def _ask(self, question: Callable[[], Awaitable[Any]]) -> Any:
        """What the scheduler answers."""
        self._must_be_connected()
        try:
            return self._client.sync(question, callback_timeout=ANSWER_SECS)
        except Exception as error:
            # Of what follows a lost connection there are many kinds.
            raise EngineLostError("the Dask cluster's scheduler does not answer") from error

    def _workers(self) -> list[dict[str, Any]]:
        """As the scheduler told last, which may be busy with other things for a while."""
        now = time.monotonic()
        if not self._known_workers or now - self._workers_at > WORKERS_SECS:
            try:
                # All of them; the summary that the client keeps by itself has five.
                told = self._ask(lambda: self._client.scheduler.identity(n_workers=-1))
                self._known_workers = list(told["workers"].values())
            except EngineLostError:
                self._must_be_connected()
                if self._known_workers is None:
                    raise
            self._workers_at = time.monotonic()
        return self._known_workers

    def slots(self) -> int:
        """One for each thread, unless workers say how many cores and how much memory they have."""
        slots = 0
        for worker in self._workers():
            resources = worker.get("resources") or {}
            n_tasks = int(worker["nthreads"])
            for name, wanted in self._wanted().items():
                if name in resources:
                    n_tasks = min(n_tasks, int(resources[name] // wanted))
            slots += n_tasks
        return slots

    def _wanted(self) -> dict[str, int]:
        return {CORES: self._options.cores, MEMORY: self._options.memory_bytes}

    def submit(self, task_id: int, call: Call) -> None:
        # Dask never runs a task that asks for what no worker declares.
        declared = {name for worker in self._workers() for name in worker.get("resources") or {}}
        resources = {name: n for name, n in self._wanted().items() if name in declared}
        try:
            future = self._client.submit(
                _work,
                call,
                task_id,
                self._run,
                self._run,
                key=f"{self._run}-{task_id}",
                pure=False,
                retries=0,
                resources=resources or None,
            )
        except Exception as error:
            raise EngineLostError(f"Dask takes no task: {error}") from error
        self._futures[task_id] = future
        self._taken[task_id] = {}
        future.add_done_callback(lambda done: self._told.put((task_id, done)))

    def _take(self, stamped: tuple[float, Any]) -> None:
        _, told = stamped
        self._told.put(told)

    def wait(self, timeout_secs: float) -> list[Report]:
        reports: list[Report] = []
        try:
            reports.append(self._report(self._told.get(timeout=timeout_secs)))
            while True:
                reports.append(self._report(self._told.get_nowait()))
        except queue.Empty:
            pass
        if not reports:
            self._must_be_connected()
        return reports

    def _report(self, told: dict[str, Any] | tuple[int, Any]) -> Report:
        if isinstance(told, tuple):
            task_id, future = told
            del self._futures[task_id]
            return _end_of(task_id, future, self._taken.pop(task_id))
        task_id, events = told["task"], told["events"]
        taken = self._taken.get(task_id)
        if taken is None or taken.get(told["time"], 0) != told["first"]:
            # The task has ended, or something before is missing: what it returns has all.
            return Report(task_id)
        n_kept = sum(each["event"] != _events.PROGRESS for each in events)
        taken[told["time"]] = told["first"] + n_kept
        return Report(task_id, tuple(Event.of(each) for each in events))

    def cancel(self) -> None:
        # Cancelling a future does not stop a task that runs, and takes its answer away; so it is only
        # done with those that wait for a worker.
        self._ask(self._stop.set)
        processing = self._ask(self._client.processing)
        with_workers = {str(key) for keys in processing.values() for key in keys}
        waiting = [each for each in self._futures.values() if str(each.key) not in with_workers]
        self._ask(lambda: self._client.cancel(waiting))

    def close(self) -> None:
        for each in (self._client, self._cluster):
            # A scheduler that is gone takes no leave; what is left ends with this process.
            with contextlib.suppress(Exception):
                if each is not None:
                    each.close(timeout=CLOSE_SECS)


def _end_of(task_id: int, future: Any, taken: dict[str, int]) -> Report:
    if future.status == "finished":
        answer = future.result()
        rest = answer["events"][taken.get(answer["time"], 0) :]
        return Report(task_id, tuple(Event.of(each) for each in rest), is_end=True)
    if future.status != "error":
        return Report(task_id, is_end=True, error=f"Dask lost the task: it is {future.status}")
    error = future.exception()
    text = f"{type(error).__name__}: {error}"
    # Dask's own errors are of workers that died; all others are of what was to be done.
    is_passing = type(error).__module__.split(".")[0] == "distributed"
    kind = _events.PASSING if is_passing else _events.FATAL
    return Report(task_id, is_end=True, error=text, kind=kind)


def _local_cluster(distributed: Any, n_workers: int) -> Any:
    return distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        host=LOOPBACK,
        # Otherwise it is reached from everywhere.
        dashboard_address=f"{LOOPBACK}:0",
        # The program keeps to its own limit, and Dask would only measure the worker around it.
        memory_limit=0,
        silence_logs=logging.CRITICAL,
        # A terminal's Ctrl-C reaches the workers too, which would end before their programs do.
        preload=[IGNORE_INTERRUPTS],
    )


def _client(distributed: Any, cluster: Any, address: str | None) -> Any:
    if cluster is not None:
        return distributed.Client(cluster)
    import dask

    # Without an address, Dask would begin a cluster of this machine and say nothing.
    address = address or dask.config.get("scheduler-address", None)
    if not address:
        raise PosedataError(
            "no Dask cluster is named\n"
            "hint: --address says where its scheduler is (tcp://HOST:8786, or its scheduler file), "
            "and --local N begins a cluster of N workers on this machine for this run"
        )
    try:
        if os.path.isfile(address):
            return distributed.Client(scheduler_file=address)
        return distributed.Client(address)
    except (OSError, ValueError) as error:
        raise PosedataError(f"cannot reach the Dask cluster ({error}): {address}") from error


if __name__ == "__main__":
    sys.exit(main(NAME, DaskEngine, prepare=prepare))
