"""The driver on Ray: a cluster of two nodes on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posedata.ray import LOCAL_VARIABLES, LOOPBACK, OBJECT_STORE_BYTES
from tests.cases import Cluster, EngineCases, LocalCases, program_of, wait_for, without_variables
from tests.conftest import Standin, StartDriver, wait_until

MEMORY_BYTES = 1 << 30
MODULE = "posedata.ray"


class RayCluster(Cluster):
    module = MODULE

    def __init__(self) -> None:
        from ray import cluster_utils

        head = {**self.node_options(), "include_dashboard": False}
        self._cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self._node = self.add_node()

    def node_options(self) -> dict[str, Any]:
        return {
            "num_cpus": 1,
            "memory": MEMORY_BYTES,
            "object_store_memory": OBJECT_STORE_BYTES,
            "node_ip_address": LOOPBACK,
        }

    def add_node(self) -> Any:
        self._node = self._cluster.add_node(**self.node_options())
        return self._node

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


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with without_variables(), pytest.MonkeyPatch.context() as patch:
        for name, value in LOCAL_VARIABLES.items():
            patch.setenv(name, value)
        made = RayCluster()
    yield made
    made.end()


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers find a cluster that listens on the loopback only."""
    for name, value in LOCAL_VARIABLES.items():
        monkeypatch.setenv(name, value)


class TestRay(EngineCases):
    def test_a_killed_node_s_video_is_done_on_another(
        self, standin: Standin, drive: StartDriver, cluster: RayCluster
    ) -> None:
        standin.video("a", 2000, secs=4)
        standin.video("b", 2000, secs=4)
        driver = drive("--batch-bytes", "1000")
        wait_for(standin, "a", "b")
        programs = {name: program_of(standin, name) for name in ("a", "b")}
        (lost,) = [name for name, pid in programs.items() if cluster.is_on_second_node(pid)]
        cluster.kill_second_node()
        try:
            wait_until(
                "the node's program has ended",
                lambda: programs[lost] not in standin.left_behind(),
                secs=10,
            )
            assert driver.wait() == 0, driver.text()
        finally:
            cluster.add_node()
        assert set(driver.outcomes().values()) == {"ingested"}
        assert standin.tries().count(lost) == 2
        assert not standin.left_behind()

    def test_a_worker_without_the_program_is_told_of(
        self, standin: Standin, drive: StartDriver
    ) -> None:
        standin.video("a")
        driver = drive(PATH="/nowhere", POSEDATA_BIN=str(standin.program))
        assert driver.wait() == 0, driver.text()
        os.rename(standin.program, standin.program.with_suffix(".old"))
        driver = drive(POSEDATA_BIN=str(standin.program))
        assert driver.wait() == 1
        assert "POSEDATA_BIN names no program" in driver.text()


class TestLocal(LocalCases):
    module = MODULE
    # They try for a minute to tell Ray's server, which has ended, that their node has ended.
    slow_helpers = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")


def test_no_cluster_is_explained(standin: Standin, start_driver: StartDriver) -> None:
    standin.video("a")
    driver = start_driver("-m", MODULE, "ingest", "clips", "--address", "ray://127.0.0.1:1")
    assert driver.wait() == 1
    assert "use `ray job submit" in driver.text()
