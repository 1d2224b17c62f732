"""Ray and Dask against one call of the program: the same twelve clips on the same cores.

    make bench-cluster

Each round measures, in turn: `posedata ingest` with N cores; the driver on a Ray cluster of N nodes
with one core each; the driver on Dask with N workers of one thread each; each with the lake in a folder
and with its catalog in PostgreSQL. A cluster is there before it is measured, as clusters are; the time
is that from the start of the command to its end, so it has the driver's own start and that of each call
of the program. Printed are medians, and how fast a cluster is against the program alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHON = Path(__file__).resolve().parent.parent / "python"
sys.path.insert(0, str(PYTHON))

from posedata.ray import LOCAL_VARIABLES
from tests.cases import Cluster, without_variables
from tests.clusters import DaskCluster, RayCluster
from tests.conftest import wait_until
from tests.servers import PG_PASSWORD, Postgres, run

CLIPS = (
    "demo",
    *(f"single_cam0{i}" for i in range(1, 5)),
    *(f"multi_cam0{i}" for i in range(1, 4)),
)
# Parts of the demo video, which are other videos: seconds of it at which they begin, and how long they are.
PART_STARTS_SECS = (0, 0.5, 1, 1.5)
PART_SECS = 6
OPTIONS = ("--no-video", "--no-pose-json")
ALONE = "posedata alone"
LAKES = ("folder", "PostgreSQL")


def make_clips(program: str, folder: Path) -> int:
    """Puts twelve clips into a folder; their frames together."""
    paths = {name: run(program, "models", "path", name).strip() for name in CLIPS}
    for name, path in paths.items():
        (folder / f"{name}.mp4").symlink_to(path)
    for start_secs in PART_STARTS_SECS:
        cut = ("-ss", str(start_secs), "-t", str(PART_SECS), "-i", paths["demo"], "-an")
        encode = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20")
        run("ffmpeg", "-v", "error", *cut, *encode, str(folder / f"part{start_secs}.mp4"))
    counted = ("-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0")
    probe = ("ffprobe", "-v", "error", "-select_streams", "v", *counted)
    return sum(int(run(*probe, str(path)).strip(",\n")) for path in folder.iterdir())


class Bench:
    """Lakes one after the other, and how long each took to be filled."""

    def __init__(self, program: str, folder: Path, postgres: Postgres, n_workers: int) -> None:
        self._program = program
        self._folder = folder
        self._postgres = postgres
        self._n_workers = n_workers
        self._n_lakes = 0
        self.clips = folder / "clips"
        self.clips.mkdir()
        self.n_frames = make_clips(program, self.clips)
        self.secs: dict[tuple[str, str], list[float]] = {}

    def alone(self) -> None:
        """Measures one call of the program."""
        cores = ("--cores", str(self._n_workers))
        for kind in LAKES:
            self._measure(ALONE, kind, self._program, *cores)

    def on(self, name: str, cluster: Cluster) -> None:
        """Measures the driver on a cluster."""
        wait_until("the workers are there", lambda: cluster.n_workers() == self._n_workers)
        for kind in LAKES:
            driver = (sys.executable, "-m", cluster.module)
            self._measure(name, kind, *driver, "--address", cluster.address)

    def _measure(self, name: str, kind: str, *words: str) -> None:
        self._n_lakes += 1
        files = self._folder / f"files{self._n_lakes}"
        lake = str(files)
        if kind != "folder":
            lake = self._postgres.lake(f"lake{self._n_lakes}")
            run(self._program, "lake", "create", lake, "--data-path", str(files))
        # The command comes after what starts the program or the driver.
        n_first = 3 if words[0] == sys.executable else 1
        command = [*words[:n_first], "ingest", str(self.clips), *words[n_first:]]
        command += ["--lake", lake, "--quiet", *OPTIONS]
        began = time.monotonic()
        subprocess.run(command, check=True, cwd=self._folder, stdin=subprocess.DEVNULL)
        secs = time.monotonic() - began
        frames = "SELECT count(*) || ' ' || sum(frame_count) FROM videos"
        query = ("query", "--lake", lake, "--format", "csv", "-e", frames)
        found = run(self._program, *query).splitlines()[1]
        wanted = f"{len(CLIPS) + len(PART_STARTS_SECS)} {self.n_frames}"
        if found != wanted:
            sys.exit(f"{name}: the lake has {found} videos and frames, not {wanted}")
        self.secs.setdefault((name, kind), []).append(secs)
        print(f"{name}, lake in {kind}: {secs:.1f} s", flush=True)

    def report(self) -> None:
        """Prints medians and ratios."""
        print(f"\n{len(CLIPS) + len(PART_STARTS_SECS)} clips, {self.n_frames} frames, median s")
        print(f"{'':16}" + "".join(f"{kind:>12} {'ratio':>6}" for kind in LAKES))
        for name in dict.fromkeys(name for name, _ in self.secs):
            line = f"{name:16}"
            for kind in LAKES:
                secs = statistics.median(self.secs[name, kind])
                alone_secs = statistics.median(self.secs[ALONE, kind])
                line += f"{secs:12.1f} {alone_secs / secs:6.2f}"
            print(line)


@contextmanager
def running(make: Callable[[], RayCluster | DaskCluster]) -> Iterator[Cluster]:
    """A cluster that has none of this process's variables of posedata."""
    with without_variables():
        cluster = make()
    try:
        yield cluster
    finally:
        cluster.end()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--posedata", required=True, help="the program")
    arguments.add_argument("--workers", type=int, default=2, help="N [%(default)s]")
    arguments.add_argument("--rounds", type=int, default=3, help="[%(default)s]")
    given = arguments.parse_args()
    program = os.path.abspath(given.posedata)
    os.environ.update(LOCAL_VARIABLES, POSEDATA_BIN=program, PGPASSWORD=PG_PASSWORD)
    postgres = Postgres()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            bench = Bench(program, folder, postgres, given.workers)
            for number in range(given.rounds):
                bench.alone()
                with running(lambda: RayCluster(given.workers)) as cluster:
                    bench.on("Ray", cluster)
                dask = folder / f"dask{number}"
                dask.mkdir()
                with running(lambda dask=dask: DaskCluster(dask, given.workers)) as cluster:
                    bench.on("Dask", cluster)
            bench.report()
    finally:
        postgres.end()


if __name__ == "__main__":
    main()
