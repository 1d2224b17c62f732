"""`python -m posedata.ray`: the program over many videos, on a Ray cluster.

    ray job submit -- python -m posedata.ray ingest s3://clips/ --lake postgres://posedata@db/lake

A task is a generator that yields the program's events; Ray ends it with its node, its worker and
its driver, and the program ends with it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from posedata import _events
from posedata._command import EngineOptions, main
from posedata._core import Call, PosedataError, work
from posedata._driver import EngineLostError, Report
from posedata._events import Event

NAME = "ray"
ADDRESS_VARIABLE = "RAY_ADDRESS"
LOOPBACK = "127.0.0.1"
# For clusters that are begun here.
LOCAL_VARIABLES = {
    # Nobody is told of the use of Ray.
    "RAY_USAGE_STATS_ENABLED": "0",
    # On Linux, Ray replaces 127.0.0.1 by an address that all the network reaches, unless it is told
    # that this is no machine for clusters; then all its servers stay with 127.0.0.1.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
# The least that Ray accepts; events are a few kilobytes.
OBJECT_STORE_BYTES = 80_000_000


def _work(call: Call) -> Iterator[list[dict[str, Any]]]:
    """What a worker of Ray runs. Cancelling raises KeyboardInterrupt in it, which ends all."""
    yield from work(call)


def prepare(options: EngineOptions) -> None:
    """Imports Ray, which takes a second."""
    if options.local is not None:
        # Ray reads them when it is imported.
        os.environ.update(LOCAL_VARIABLES)
    # Whether it is there is found out, and told, when it is needed.
    with contextlib.suppress(ImportError):
        import ray  # noqa: F401


class RayEngine:
    """Tasks on the Ray cluster to which this process is connected."""

    name = NAME

    def __init__(self, options: EngineOptions) -> None:
        prepare(options)
        try:
            import ray
        except ImportError as error:
            raise PosedataError("Ray is not installed: pip install 'posedata[ray]'") from error
        self._ray = ray
        self._options = options
        self._running: dict[int, Any] = {}
        self._slots = 0
        self._slots_at = float("-inf")
        _connect(ray, options)
        # What may be tried again is decided by the driver, which knows what is in the lake already.
        self._work = ray.remote(_work).options(
            num_cpus=options.cores,
            memory=options.memory_bytes,
            num_returns="streaming",
            max_retries=0,
            name="posedata",
        )

    def slots(self) -> int:
        """Counted by nodes: a task does not run half on one and half on another."""
        now = time.monotonic()
        if now - self._slots_at > SLOTS_SECS:
            self._slots_at = now
            self._slots = sum(self._slots_of(node) for node in self._nodes())
        return self._slots

    def _nodes(self) -> list[dict[str, float]]:
        try:
            return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        except Exception as error:
            raise EngineLostError(f"the Ray cluster is gone: {error}") from error

    def _slots_of(self, resources: dict[str, float]) -> int:
        by_cores = resources.get("CPU", 0.0) // self._options.cores
        by_memory = resources.get("memory", 0.0) // self._options.memory_bytes
        return int(min(by_cores, by_memory))

    def submit(self, task_id: int, call: Call) -> None:
        try:
            self._running[task_id] = self._work.remote(call)
        except Exception as error:
            raise EngineLostError(f"Ray takes no task: {error}") from error

    def wait(self, timeout_secs: float) -> list[Report]:
        ids = {generator: task_id for task_id, generator in self._running.items()}
        if not ids:
            time.sleep(timeout_secs)
            return []
        generators = list(ids)
        # The first that has something to say; then all the others that do as well.
        ready, _ = self._ray.wait(
            generators, num_returns=1, timeout=timeout_secs, fetch_local=False
        )
        if ready:
            ready, _ = self._ray.wait(
                generators, num_returns=len(generators), timeout=0, fetch_local=False
            )
        return [self._next(ids[generator], generator) for generator in ready]

    def _next(self, task_id: int, generator: Any) -> Report:
        try:
            batch = self._ray.get(next(generator))
        except StopIteration:
            del self._running[task_id]
            return Report(task_id, is_end=True)
        except self._ray.exceptions.RayTaskError as error:
            # The worker is well; what it was given to do is not (the package is missing there).
            del self._running[task_id]
            cause = error.cause if error.cause is not None else error
            text = f"{type(cause).__name__}: {cause}"
            return Report(task_id, is_end=True, error=text, kind=_events.FATAL)
        except self._ray.exceptions.RayError as error:
            del self._running[task_id]
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            text = f"Ray lost the task ({type(error).__name__}): {first_line}"
            return Report(task_id, is_end=True, error=text)
        return Report(task_id, tuple(Event.of(each) for each in batch))

    def cancel(self) -> None:
        try:
            for generator in self._running.values():
                self._ray.cancel(generator, force=False, recursive=False)
        except Exception as error:
            raise EngineLostError(f"the Ray cluster is gone: {error}") from error

    def close(self) -> None:
        self._running.clear()
        self._ray.shutdown()


# Nodes come and go slowly.
SLOTS_SECS = 2.0


def _connect(ray: Any, options: EngineOptions) -> None:
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        if options.local is not None:
            ray.init(
                address="local",
                num_cpus=options.local * options.cores,
                _memory=options.local * options.memory_bytes,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                _node_ip_address=LOOPBACK,
                **quiet,
            )
            return
        address = options.address or os.environ.get(ADDRESS_VARIABLE) or "auto"
        if address.startswith("ray://"):
            raise PosedataError(
                "Ray's client (ray://) cannot follow events: use `ray job submit -- python -m "
                "posedata.ray …`, or the address of the cluster's head (HOST:6379)"
            )
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise PosedataError(
            f"cannot reach a Ray cluster: {error}\n"
            "hint: `ray start --head` begins one, --address says where it is, and --local N begins "
            "one of N workers on this machine for this run"
        ) from error


if __name__ == "__main__":
    sys.exit(main(NAME, RayEngine, prepare=prepare))
