"""What an engine has to survive, whichever it is: `test_ray.py` and `test_dask.py` run these cases.

The program is the stand-in; its processes, the workers and the clusters are real.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_SECS, Driver, Standin, StartDriver, wait_until
from tests.standin import LAKE_VARIABLE

# Variables of the driver's that workers do not have of themselves.
NOT_THE_WORKERS = ("POSEDATA_BIN", "POSEDATA_MODELS", LAKE_VARIABLE)
# Longer than anything that these cases wait for: what runs so long never ends by itself.
ENDLESS_SECS = 3600
SECRET = "hunter2-and-more"


class Cluster(ABC):
    """A cluster of two workers with one core each that outlives drivers."""

    module: str
    address: str

    @abstractmethod
    def n_workers(self) -> int:
        """How many are there now."""

    @abstractmethod
    def told(self) -> str:
        """What the cluster has logged."""

    def driver_of(self, program_pid: int) -> int:
        """The worker's process, which has started a program."""
        status = Path(f"/proc/{program_pid}/stat").read_text().rpartition(")")[2]
        return int(status.split()[1])


def program_of(standin: Standin, name: str) -> int:
    """The process that has begun a video last."""
    notes = [note for note in standin.notes("video") if Path(note["video"]).stem == name]
    pid: int = notes[-1]["pid"]
    return pid


def wait_for(standin: Standin, *names: str) -> None:
    wait_until(f"{names} are in work", lambda: set(names) <= set(standin.tries()))


@contextmanager
def without_variables() -> Iterator[None]:
    """The environment in which a cluster begins."""
    with pytest.MonkeyPatch.context() as patch:
        for name in NOT_THE_WORKERS:
            patch.delenv(name, raising=False)
        yield


class EngineCases:
    """Each test gets the cluster with two workers, and leaves it with two."""

    @pytest.fixture(autouse=True)
    def whole(self, cluster: Cluster) -> None:
        wait_until("both workers are there", lambda: cluster.n_workers() == 2)

    @pytest.fixture
    def drive(self, standin: Standin, start_driver: StartDriver, cluster: Cluster) -> StartDriver:
        """Starts a driver on the cluster."""

        def start(*options: str, **environment: str) -> Driver:
            command = ["-m", cluster.module, "ingest", "clips", "--lake", "lake"]
            return start_driver(*command, "--address", cluster.address, *options, **environment)

        return start

    def test_good_broken_and_passing_videos_each_have_their_outcome(
        self, standin: Standin, drive: StartDriver
    ) -> None:
        names = [f"v{i}" for i in range(6)]
        for name in names:
            standin.video(name)
        bad = standin.video("bad", do="broken")
        standin.video("later", do="passing", times=1)
        driver = drive("--pose-model", "lite", "--cores-per-task", "1", "--no-video")
        assert driver.wait() == 2, driver.text()
        outcomes = driver.outcomes()
        assert outcomes.pop("bad") == "failed"
        assert outcomes == dict.fromkeys([*names, "later"], "ingested")
        assert standin.committed() == sorted([*names, "later"])
        assert standin.tries().count("bad") == 1
        assert standin.tries().count("later") == 2
        assert driver.text().count(f"{bad}: it is broken") == 1
        for started in standin.notes("started"):
            words = " ".join(started["argv"])
            assert " --cores 1 --memory-limit 1073741824B " in words
            assert " --pose-model lite --no-video -- " in words
            assert started["cwd"] == str(standin.folder)
        assert not standin.left_behind()

    def test_frames_are_told_while_a_video_is_in_work(
        self, standin: Standin, cluster: Cluster
    ) -> None:
        standin.video("a", secs=4, frames=100)
        command = [sys.executable, "-m", cluster.module, "ingest", "clips", "--lake", "lake"]
        command += ["--address", cluster.address]
        master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        process = subprocess.Popen(command, stderr=slave, env=environment, start_new_session=True)
        os.close(slave)
        shown = bytearray()

        def read() -> None:
            # A terminal whose last process has ended answers with an error.
            try:
                while data := os.read(master, 1000):
                    shown.extend(data)
            except OSError:
                pass

        reader = threading.Thread(target=read)
        reader.start()
        assert process.wait(PATIENCE_SECS) == 0
        reader.join()
        os.close(master)
        bars = re.findall(rb"0 of 1 videos, 1 in work, (\d+) frames", shown)
        frames = [int(each) for each in bars]
        assert frames == sorted(frames)
        assert len({each for each in frames if 0 < each < 100}) >= 3, shown

    def test_a_killed_worker_s_video_is_done_by_another(
        self, standin: Standin, drive: StartDriver, cluster: Cluster
    ) -> None:
        standin.video("long", 2000, secs=ENDLESS_SECS, times=1)
        for i in range(3):
            standin.video(f"v{i}", 1000)
        driver = drive("--batch-bytes", "1000")
        wait_for(standin, "long")
        first = program_of(standin, "long")
        os.kill(cluster.driver_of(first), signal.SIGKILL)
        wait_until("the first program has ended", lambda: first not in standin.left_behind())
        assert driver.wait() == 0, driver.text()
        assert set(driver.outcomes().values()) == {"ingested"}
        assert program_of(standin, "long") != first
        assert standin.tries().count("long") == 2
        assert not standin.left_behind()

    def test_ctrl_c_ends_the_programs_of_all_workers(
        self, standin: Standin, drive: StartDriver
    ) -> None:
        for i in range(6):
            standin.video(f"v{i}", 1000, secs=ENDLESS_SECS)
        standin.video("done", 5000)
        driver = drive("--batch-bytes", "1000")
        wait_until("two videos are in work", lambda: len(standin.notes("video")) == 3)
        wait_until("one is done", lambda: standin.committed() == ["done"])
        # What the workers tell comes in parcels.
        wait_until("the driver knows it", lambda: "done.mp4: " in driver.text())
        driver.interrupt_group()
        assert driver.wait() == 130, driver.text()
        # Nobody killed them: they were asked.
        assert len(standin.notes("terminated")) == 2
        assert not standin.left_behind()
        outcomes = driver.outcomes()
        assert outcomes.pop("done") == "ingested"
        assert set(outcomes.values()) == {"cancelled"}
        assert len(standin.calls()) == 3

    def test_a_killed_driver_leaves_no_program(
        self, standin: Standin, drive: StartDriver, cluster: Cluster
    ) -> None:
        for i in range(4):
            standin.video(f"v{i}", 1000, secs=ENDLESS_SECS)
        driver = drive("--batch-bytes", "1000")
        wait_until("two videos are in work", lambda: len(standin.notes("video")) == 2)
        driver.process.kill()
        wait_until("the programs have ended", lambda: not standin.left_behind())
        # Nobody begins the others instead.
        time.sleep(1)
        assert len(standin.notes("video")) == 2
        assert standin.committed() == []

    def test_secrets_reach_the_program_and_are_shown_nowhere(
        self, standin: Standin, drive: StartDriver, cluster: Cluster
    ) -> None:
        standin.video("a", secs=1)
        standin.video("bad", do="die")
        driver = drive("--retries", "0", AWS_SECRET_ACCESS_KEY=SECRET, PGPASSWORD=f"{SECRET}!")
        wait_for(standin, "a")
        commands = b"".join(_read(path) for path in Path("/proc").glob("[0-9]*/cmdline"))
        assert driver.wait() == 2, driver.text()
        for started in standin.notes("started"):
            assert started["environment"]["AWS_SECRET_ACCESS_KEY"] == SECRET
            assert started["environment"]["PGPASSWORD"] == f"{SECRET}!"
        assert SECRET.encode() not in commands
        assert SECRET not in driver.text()
        assert SECRET not in driver.report_file.read_text()
        assert SECRET not in cluster.told()

    def test_a_task_that_no_worker_can_take_is_told_of(
        self, standin: Standin, drive: StartDriver, cluster: Cluster
    ) -> None:
        standin.video("a")
        driver = drive(*self.too_much)
        wait_until("it is told", lambda: "note: waiting for a worker with" in driver.text())
        driver.interrupt_group()
        assert driver.wait() == 130, driver.text()
        assert not standin.notes()

    too_much: tuple[str, ...] = ("--cores-per-task", "64")


class LocalCases:
    """Clusters that are begun for a run, on this machine."""

    module: str
    # Of an engine: what ends by itself, later, when the driver was killed.
    slow_helpers: tuple[str, ...] = ()

    @pytest.fixture
    def drive(self, standin: Standin, start_driver: StartDriver) -> StartDriver:
        """Starts a driver with two workers of its own."""

        def start(*options: str, **environment: str) -> Driver:
            command = ["-m", self.module, "ingest", "clips", "--lake", "lake", "--local", "2"]
            return start_driver(*command, *options, **environment)

        return start

    def test_a_local_cluster_is_reached_from_this_machine_only_and_ends_with_the_run(
        self, standin: Standin, drive: StartDriver
    ) -> None:
        for i in range(2):
            standin.video(f"v{i}", 1000, secs=6)
        driver = drive()
        wait_until("two videos are in work", lambda: len(standin.notes("video")) == 2)
        ours = {*driver.offspring(), driver.process.pid}
        listening = addresses_of(ours)
        assert listening
        assert all(is_loopback(each) for each in listening), listening
        assert driver.wait() == 0, driver.text()
        assert len(standin.committed()) == 2
        wait_until("all processes have ended", lambda: not driver.offspring())

    def test_ctrl_c_ends_a_local_cluster(self, standin: Standin, drive: StartDriver) -> None:
        for i in range(3):
            standin.video(f"v{i}", secs=ENDLESS_SECS)
        driver = drive()
        wait_until("two videos are in work", lambda: len(standin.notes("video")) == 2)
        driver.interrupt_group()
        assert driver.wait() == 130, driver.text()
        assert not standin.left_behind()
        assert set(driver.outcomes().values()) == {"cancelled"}
        wait_until("all processes have ended", lambda: not driver.offspring())

    def test_a_killed_driver_takes_its_local_cluster_along(
        self, standin: Standin, drive: StartDriver
    ) -> None:
        for i in range(3):
            standin.video(f"v{i}", secs=ENDLESS_SECS)
        driver = drive()
        wait_until("two videos are in work", lambda: len(standin.notes("video")) == 2)
        driver.process.kill()
        wait_until("the programs have ended", lambda: not standin.left_behind())

        def left() -> list[str]:
            commands = driver.offspring().values()
            return [each for each in commands if not each.startswith(self.slow_helpers)]

        wait_until("all processes have ended", lambda: not left())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def addresses_of(pids: set[int]) -> list[str]:
    """Where processes listen, as the kernel writes addresses."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(os.readlink(link))
            except OSError:
                continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            is_listening = fields[3] == "0A"
            if is_listening and f"socket:[{fields[9]}]" in sockets:
                found.append(fields[1].split(":")[0])
    return found


def is_loopback(address: str) -> bool:
    # 127.0.0.1, ::1, ::ffff:127.0.0.1, in the kernel's order of bytes.
    return address in (
        "0100007F",
        "00000000000000000000000001000000",
        "0000000000000000FFFF00000100007F",
    )
