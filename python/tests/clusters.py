"""Clusters of workers with one core each on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posedata.ray import LOOPBACK, OBJECT_STORE_BYTES
from tests.cases import Cluster
from tests.conftest import wait_until

MEMORY_BYTES = 1 << 30


class RayCluster(Cluster):
    module = "posedata.ray"

    def __init__(self, n_workers: int = 2) -> None:
        from ray import cluster_utils

        head = {**self.node_options(), "include_dashboard": False}
        self._cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        for _ in range(1, n_workers):
            self.add_node()

    def node_options(self) -> dict[str, Any]:
        return {
            "num_cpus": 1,
            "memory": MEMORY_BYTES,
            "object_store_memory": OBJECT_STORE_BYTES,
            "node_ip_address": LOOPBACK,
        }

    def add_node(self) -> None:
        """Adds the one that `kill_second_node` kills."""
        self._node = self._cluster.add_node(**self.node_options())

    def n_workers(self) -> int:
        return sum(node["Alive"] for node in self._cluster.global_state.node_table())

    def told(self) -> str:
        logs = Path(self._cluster.head_node.get_session_dir_path()) / "logs"
        files = [path for path in logs.rglob("*") if path.is_file()]
        assert files
        return "".join(path.read_text(errors="replace") for path in files)

    def is_on_second_node(self, program_pid: int) -> bool:
        """Whether a program's worker belongs to the node that is not the head."""
        (raylet,) = self._node.all_processes["raylet"]
        return bool(self.driver_of(self.driver_of(program_pid)) == raylet.process.pid)

    def kill_second_node(self) -> None:
        self._cluster.remove_node(self._node, allow_graceful=False)

    def end(self) -> None:
        self._cluster.shutdown()


class DaskCluster(Cluster):
    module = "posedata.dask"

    def __init__(self, folder: Path, n_workers: int = 2) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        scheduler_file = folder / "scheduler.json"
        self.address = str(scheduler_file)
        here = ("--host", LOOPBACK, "--dashboard-address", f"{LOOPBACK}:0")
        self._start("scheduler", *here, "--port", "0", "--scheduler-file", self.address)
        wait_until("the scheduler is there", lambda: is_json(scheduler_file))
        one = ("--nthreads", "1", "--memory-limit", "0", "--resources", f"memory={1 << 30}")
        for _ in range(n_workers):
            self._start("worker", *here, *one, "--scheduler-file", self.address)

    def _start(self, *command: str) -> None:
        with open(self._folder / f"{len(self._processes)}.log", "wb") as log:
            arguments: Sequence[str] = [sys.executable, "-m", "dask", *command]
            self._processes.append(
                subprocess.Popen(arguments, stdout=log, stderr=log, cwd=self._folder)
            )

    def n_workers(self) -> int:
        import distributed

        with distributed.Client(scheduler_file=self.address, set_as_default=False) as client:
            return len(client.scheduler_info(n_workers=-1)["workers"])

    def told(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self._folder.glob("*.log"))

    def signal_scheduler(self, number: signal.Signals) -> None:
        self._processes[0].send_signal(number)

    def end(self) -> None:
        # Asked in order, some of them wait for each other for minutes.
        for process in self._processes:
            process.kill()
            process.wait()


def is_json(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text()))
    except (OSError, ValueError):
        return False
