"""What tests share: a stand-in for the program with lake and videos, and drivers as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import standin as standin_module

if TYPE_CHECKING:
    from tests.clusters import DaskCluster, RayCluster
    from tests.servers import ObjectStore, Postgres

HERE = Path(__file__).resolve().parent
# How long anything in a test may take, on a machine with much other work; a test that needs it fails.
PATIENCE_SECS = 240.0

MARK = "POSEDATA_TEST_MARK"

# Processes that tests start, and workers of engines, find the package as this process does.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")])
)
# Servers of this machine are reached as they are, also where all else goes through a proxy.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


def wait_until(what: str, is_true: Callable[[], Any], secs: float = PATIENCE_SECS) -> float:
    """Waits for a condition; the seconds that it took."""
    began = time.monotonic()
    while not is_true():
        if time.monotonic() - began > secs:
            pytest.fail(f"waited {secs:.0f} s in vain until {what}")
        time.sleep(0.05)
    return time.monotonic() - began


def process_state(pid: int) -> str | None:
    """The kernel's letter for a process: Z is one that nobody waited for; None is no process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


class Standin:
    """The stand-in, its lake and its videos."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = folder / "lake"
        self.videos = folder / "clips"
        self.videos.mkdir()
        self.program = folder / "posedata"
        source = Path(standin_module.__file__).read_text()
        self.program.write_text(f"#!{sys.executable}\n{source}")
        self.program.chmod(0o755)
        self.environment = {
            "POSEDATA_BIN": str(self.program),
            standin_module.LAKE_VARIABLE: str(self.lake),
        }

    def video(self, name: str, n_bytes: int = 100, **behaviour: Any) -> str:
        """Makes a video and returns its path."""
        path = self.videos / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(behaviour).ljust(n_bytes))
        return str(path)

    def notes(self, what: str | None = None) -> list[dict[str, Any]]:
        """What the calls of the program have left behind."""
        file = self.lake / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        notes = [json.loads(line) for line in lines]
        return [each for each in notes if what in (None, each["what"])]

    def calls(self) -> list[list[str]]:
        """The videos of each call, in the order in which the calls began."""
        return [
            [Path(word).stem for word in note["argv"][note["argv"].index("--") + 1 :]]
            for note in self.notes("started")
        ]

    def tries(self) -> list[str]:
        """The videos that were begun, in that order."""
        return [Path(note["video"]).stem for note in self.notes("video")]

    def committed(self) -> list[str]:
        """The videos of the lake."""
        rows = [json.loads(p.read_text()) for p in (self.lake / "videos").glob("*.json")]
        return sorted(Path(row["path"]).stem for row in rows)

    def left_behind(self) -> dict[int, str]:
        """Programs that were started and still have a process."""
        states = {note["pid"]: process_state(note["pid"]) for note in self.notes("started")}
        return {pid: state for pid, state in states.items() if state is not None}


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standin:
    """A stand-in that this process finds."""
    made = Standin(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return made


class Driver:
    """A driver that runs as a process of its own, the leader of a group as under a shell."""

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.report_file = folder / f"report-{time.monotonic_ns()}.json"
        self.log = self.report_file.with_suffix(".log")
        # By this all processes are found that come of it.
        self.mark = f"{MARK}={self.log}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command, "--report", str(self.report_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, **environment, MARK: str(self.log)},
                start_new_session=True,
            )

    def wait(self, secs: float = PATIENCE_SECS) -> int:
        """The exit code."""
        try:
            return self.process.wait(secs)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the driver did not end:\n{self.text()}")

    def wait_until(self, what: str, is_true: Callable[[], Any]) -> None:
        """Waits for what happens only while the driver is there."""
        began = time.monotonic()
        while not is_true():
            if self.process.poll() is not None:
                pytest.fail(f"the driver ended before {what}:\n{self.text()}")
            if time.monotonic() - began > PATIENCE_SECS:
                pytest.fail(f"waited in vain until {what}:\n{self.text()}")
            time.sleep(0.05)

    def text(self) -> str:
        """What the driver told."""
        return self.log.read_text(errors="replace")

    def report(self) -> dict[str, Any]:
        assert self.report_file.exists(), self.text()
        report: dict[str, Any] = json.loads(self.report_file.read_text())
        return report

    def outcomes(self) -> dict[str, str]:
        """Outcomes by the videos' names."""
        return {Path(each["video"]).stem: each["outcome"] for each in self.report()["videos"]}

    def interrupt_group(self) -> None:
        """As a terminal does on Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def offspring(self) -> dict[int, str]:
        """All processes that came of the driver and are there, with their commands."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(folder.name)] = command.decode(errors="replace")
            except OSError:
                continue
        found.pop(self.process.pid, None)
        return found

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


StartDriver = Callable[..., Driver]


@pytest.fixture
def start_driver(tmp_path: Path) -> Iterator[StartDriver]:
    """Starts drivers, and ends at last those that still run."""
    started: list[Driver] = []

    def start(*command: str, **environment: str) -> Driver:
        driver = Driver(command, tmp_path, environment)
        started.append(driver)
        return driver

    yield start
    for driver in started:
        driver.end()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """Two nodes of Ray that listen on the loopback only."""
    from posedata.ray import LOCAL_VARIABLES
    from tests.cases import without_variables
    from tests.clusters import RayCluster

    with without_variables(), pytest.MonkeyPatch.context() as patch:
        for name, value in LOCAL_VARIABLES.items():
            patch.setenv(name, value)
        cluster = RayCluster()
    yield cluster
    cluster.end()


@pytest.fixture(scope="session")
def dask_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler of Dask and two workers with one thread each."""
    from tests.cases import without_variables
    from tests.clusters import DaskCluster

    with without_variables():
        cluster = DaskCluster(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.end()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server of PostgreSQL."""
    from tests.servers import Postgres

    server = Postgres()
    yield server
    server.end()


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """A store of objects, which `make test` fetches to where the program is built."""
    from tests.servers import ObjectStore

    program = Path(os.environ["POSEDATA_BIN"]).resolve()
    store = ObjectStore(program.parent.parent / "interop" / "seaweedfs" / "bin" / "weed")
    yield store
    store.end()
