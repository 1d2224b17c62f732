"""The driver on Dask: a scheduler and two workers with one thread each, on this machine."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.cases import ENDLESS_SECS, EngineCases, LocalCases, without_variables
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


def test_a_scheduler_that_stands_still_or_is_lost_ends_the_run(
    standin: Standin, start_driver: StartDriver, tmp_path: Path
) -> None:
    folder = tmp_path / "short"
    folder.mkdir()
    with without_variables():
        made = DaskCluster(folder)
    try:
        standin.video("a", secs=ENDLESS_SECS)
        command = ("-m", MODULE, "ingest", "clips", "--address", made.address)

        driver = start_driver(*command)
        driver.wait_until("the video is in work", lambda: standin.notes("video"))
        made.signal_scheduler(signal.SIGSTOP)
        driver.interrupt_group()
        assert driver.wait() == 130, driver.text()
        assert "scheduler does not answer" in driver.text()
        made.signal_scheduler(signal.SIGCONT)
        wait_until("the program has ended", lambda: not standin.left_behind())

        driver = start_driver(*command)
        driver.wait_until("the video is in work", lambda: len(standin.notes("video")) == 2)
        made.signal_scheduler(signal.SIGKILL)
        assert driver.wait() == 1, driver.text()
        assert "error: the Dask cluster is gone" in driver.text()
        wait_until("the program has ended", lambda: not standin.left_behind())
    finally:
        made.end()
