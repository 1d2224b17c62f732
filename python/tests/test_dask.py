"""The driver on Dask: a scheduler and two workers with one thread each, on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from posedata.dask import LOOPBACK
from tests.cases import ORPHAN_SECS, Cluster, EngineCases, LocalCases, without_variables
from tests.conftest import Standin, StartDriver, wait_until

MODULE = "posedata.dask"


class DaskCluster(Cluster):
    module = MODULE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        scheduler_file = folder / "scheduler.json"
        self.address = str(scheduler_file)
        here = ("--host", LOOPBACK, "--dashboard-address", f"{LOOPBACK}:0")
        self._start("scheduler", *here, "--port", "0", "--scheduler-file", self.address)
        wait_until("the scheduler is there", lambda: is_json(scheduler_file))
        one = ("--nthreads", "1", "--memory-limit", "0", "--resources", f"memory={1 << 30}")
        for _ in range(2):
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

    def kill_scheduler(self) -> None:
        self._processes[0].kill()

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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with without_variables():
        made = DaskCluster(tmp_path_factory.mktemp("dask"))
    yield made
    made.end()


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
        wait_until("the video is in work", lambda: standin.notes("video"))
        made.kill_scheduler()
        assert driver.wait() == 1, driver.text()
        assert "error: the Dask cluster is gone" in driver.text()
        wait_until("the program has ended", lambda: not standin.left_behind(), ORPHAN_SECS)
    finally:
        made.end()
