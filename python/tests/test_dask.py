"""The driver on Dask: a scheduler and two workers with one thread each, on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases import ORPHAN_SECS, EngineCases, LocalCases, without_variables
from tests.clusters import DaskCluster
from tests.conftest import Standin, StartDriver, wait_until

MODULE = "posedata.dask"


@pytest.fixture
def cluster(dask_cluster: DaskCluster) -> DaskCluster:
    return dask_cluster


class TestDask(EngineCases):
    # Workers declare memory, and no cores.
    too_much = ("--memory-per-task", "8GiB")


class TestLocal(LocalCases):
    module = MODULE


def test_a_lost_scheduler_ends_the_run(
    standin: Standin, start_driver: StartDriver, tmp_path: Path
) -> None:
    folder = tmp_path / "short"
    folder.mkdir()
    with without_variables():
        made = DaskCluster(folder)
    try:
        standin.video("a", secs=60)
        driver = start_driver("-m", MODULE, "ingest", "clips", "--address", made.address)
        driver.wait_until("the video is in work", lambda: standin.notes("video"))
        made.kill_scheduler()
        assert driver.wait() == 1, driver.text()
        assert "error: the Dask cluster is gone" in driver.text()
        wait_until("the program has ended", lambda: not standin.left_behind(), ORPHAN_SECS)
    finally:
        made.end()
