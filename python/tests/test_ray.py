"""The driver on Ray: a cluster of two nodes on this machine."""

from __future__ import annotations

import os

import pytest

from posedata.ray import LOCAL_VARIABLES
from tests.cases import EngineCases, LocalCases, program_of, wait_for
from tests.clusters import RayCluster
from tests.conftest import Standin, StartDriver, wait_until

MODULE = "posedata.ray"


@pytest.fixture
def cluster(ray_cluster: RayCluster) -> RayCluster:
    return ray_cluster


class TestRay(EngineCases):
    @pytest.fixture(autouse=True)
    def loopback(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Drivers find a cluster that listens on the loopback only."""
        for name, value in LOCAL_VARIABLES.items():
            monkeypatch.setenv(name, value)

    def test_a_killed_node_s_video_is_done_on_another(
        self, standin: Standin, drive: StartDriver, cluster: RayCluster
    ) -> None:
        standin.video("a", 2000, secs=8, times=1)
        standin.video("b", 2000, secs=8, times=1)
        driver = drive("--batch-bytes", "1000")
        wait_for(standin, "a", "b")
        programs = {name: program_of(standin, name) for name in ("a", "b")}
        (lost,) = [name for name, pid in programs.items() if cluster.is_on_second_node(pid)]
        cluster.kill_second_node()
        try:
            wait_until(
                "the node's program has ended",
                lambda: programs[lost] not in standin.left_behind(),
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
