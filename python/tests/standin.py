"""A program that speaks as posedata does, for tests of what drives it.

A video is a file with a JSON object that says how its ingest goes:

    frames  how many (10)
    secs    how long it takes (0)
    analysis  broken or passing: a failure after the commit
    do      broken, passing (reported), die (killed by a signal), mute (nothing is told), stubborn
            (SIGTERM is ignored)
    times   how often it goes so before it goes well and at once (always)

The lake is a folder: `videos/` has what is committed, `calls.jsonl` every start of the program.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

LAKE_VARIABLE = "POSEDATA_STANDIN_LAKE"
SUFFIX = ".mp4"
TERMINATED = 143
SIZE_OF_ADDRESS = 1000


def tell(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, "time": "2026-11-26T00:00:00Z", **values}), flush=True)


def fail(message: str) -> int:
    print("some line before", file=sys.stderr)
    print(f"error: {message}\nhint: do something about it", file=sys.stderr)
    return 1


class Standin:
    def __init__(self, argv: list[str]) -> None:
        self.argv = argv
        self.lake = Path(self.option("--lake") or os.environ[LAKE_VARIABLE])
        self.counts = dict.fromkeys(("ingested", "replaced", "skipped", "failed", "cancelled"), 0)
        self.is_stopped = False
        self.is_stubborn = False

    def option(self, name: str) -> str | None:
        return self.argv[self.argv.index(name) + 1] if name in self.argv else None

    def operands(self) -> list[str]:
        return self.argv[self.argv.index("--") + 1 :] if "--" in self.argv else []

    def run(self) -> int:
        command = self.argv[0]
        if command == "list":
            return self.list_videos()
        if command == "query":
            return self.query()
        return self.work()

    def list_videos(self) -> int:
        found: list[dict[str, Any]] = []
        output = Path(self.option("--output") or "output").resolve()
        exit_code = 0
        for number, name in enumerate(self.operands()):
            if name.startswith("s3://gone"):
                exit_code = 2
                print(f"error: the store does not answer: {name}", file=sys.stderr)
                continue
            if name.startswith("https://"):
                found.append({"path": shown_address(name), "bytes": None, "input": number})
                continue
            if "://" in name:
                paths_there = [f"{name}{i}{SUFFIX}" for i in (1, 2)]
                found += [
                    {"path": each, "bytes": SIZE_OF_ADDRESS, "input": number}
                    for each in paths_there
                ]
                continue
            path = Path(name)
            if not path.exists():
                return fail(f"there is nothing: {name}")
            paths = sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]
            if path.resolve() != output:
                paths = [each for each in paths if output not in each.resolve().parents]
            found += [
                {"path": str(each), "bytes": each.stat().st_size, "input": number} for each in paths
            ]
        if not found and exit_code == 0:
            return fail("there are no videos")
        print(json.dumps(found))
        return exit_code

    def query(self) -> int:
        if self.option("--format") == "json":
            rows = [json.loads(path.read_text()) for path in sorted(self.committed())]
            print(json.dumps(rows))
            return 0
        import pyarrow as pa

        sql = next((w.split("=", 1)[1] for w in self.argv if w.startswith("--execute=")), None)
        if sql == "select boom":
            return fail("no such column: boom")
        table = pa.table({"word": self.argv, "number": list(range(len(self.argv)))})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue().to_pybytes()
        if sql == "select half":
            sys.stdout.buffer.write(data[: len(data) // 2])
            return fail("the disk is full")
        sys.stdout.buffer.write(data)
        return 0

    def committed(self) -> list[Path]:
        return list((self.lake / "videos").glob("*.json"))

    def work(self) -> int:
        (self.lake / "videos").mkdir(parents=True, exist_ok=True)
        self.note("started", argv=self.argv, cwd=os.getcwd(), environment=shown(os.environ))
        if "--exit-on-stdin-close" in self.argv:
            threading.Thread(target=self.watch_stdin, daemon=True).start()
        signal.signal(signal.SIGTERM, self.stop)
        if "--wrong" in self.argv:
            return fail("unexpected argument '--wrong'")
        if "--no-database" in self.argv:
            tell("failed", video=None, kind="passing", error="the database does not answer")
            return 1
        for name in self.operands():
            self.video(name)
        exit_code = TERMINATED if self.is_stopped else 2 if self.counts["failed"] else 0
        tell("summary", **self.counts, frames=0, elapsed_secs=0.0, exit_code=exit_code)
        self.note("ended")
        return exit_code

    def note(self, what: str, **values: Any) -> None:
        line = json.dumps({"what": what, "pid": os.getpid(), "at": time.time(), **values})
        with open(self.lake / "calls.jsonl", "a") as file:
            file.write(line + "\n")

    def watch_stdin(self) -> None:
        while os.read(0, 100):
            pass
        self.note("stdin closed")
        os._exit(TERMINATED)

    def stop(self, *_: object) -> None:
        self.note("terminated")
        self.is_stopped = not self.is_stubborn

    def video(self, name: str) -> None:
        if self.is_stopped:
            self.cancel(name)
            return
        # Of the lake's videos the path is told, whatever they were called.
        row = self.lake / "videos" / f"{name}.json"
        if self.argv[0] != "ingest" and row.is_file():
            path = json.loads(row.read_text())["path"]
            tell("started", video=path, file_bytes=1, frame_count=10)
            self.commit(path, 10, name)
            return
        behaviour = self.behaviour(name)
        n_frames = behaviour.get("frames", 10)
        is_due = self.is_due(name, behaviour)
        do = behaviour.get("do") if is_due else None
        secs = behaviour.get("secs", 0) if is_due else 0
        self.is_stubborn = do == "stubborn"
        if do == "mute":
            return
        tell("started", video=shown_address(name), file_bytes=1, frame_count=n_frames)
        self.note("video", video=name)
        began = time.monotonic()
        for frame in range(n_frames):
            while time.monotonic() - began < secs * frame / n_frames:
                time.sleep(0.01)
                if self.is_stopped:
                    self.cancel(name)
                    return
            tell("progress", video=shown_address(name), frames=frame + 1, frame_count=n_frames)
        if do == "die":
            time.sleep(behaviour.get("linger", 0))
            os.kill(os.getpid(), signal.SIGKILL)
        if do in ("broken", "passing"):
            self.counts["failed"] += 1
            tell("failed", video=name, kind=do, error=f"it is {do}")
            return
        self.commit(name, n_frames)
        if "analysis" in behaviour and self.is_due(f"{name}-analysis", behaviour):
            self.counts["failed"] += 1
            kind = behaviour["analysis"]
            tell("failed", video=name, kind=kind, error=f"its analysis is {kind}")

    def cancel(self, name: str) -> None:
        self.counts["cancelled"] += 1
        tell("cancelled", video=name)

    def behaviour(self, name: str) -> dict[str, Any]:
        path = Path(name)
        if not path.is_file():
            # An address, or a video of the lake by its id.
            return {}
        behaviour: dict[str, Any] = json.loads(path.read_text())
        return behaviour

    def is_due(self, name: str, behaviour: dict[str, Any]) -> bool:
        """Counts the tries of a video, all processes together."""
        with open(self.lake / f"tries-{identity(name)}", "ab") as file:
            file.write(b".")
            file.flush()
            n_tries = os.fstat(file.fileno()).st_size
        times = behaviour.get("times")
        return times is None or n_tries <= times

    def commit(self, name: str, n_frames: int, video_id: str | None = None) -> None:
        if self.argv[0] != "ingest":
            outcome = "written" if self.argv[0] == "annotate" else "computed"
        else:
            outcome = "ingested"
            row = {
                "video_id": identity(name),
                "path": name,
                "file_name": Path(name).name,
                "file_bytes": 1,
                "frame_count": 10,
            }
            try:
                with open(self.lake / "videos" / f"{identity(name)}.json", "x") as file:
                    json.dump(row, file)
            except FileExistsError:
                outcome = "skipped"
            self.counts[outcome] += 1
        tell(
            "committed",
            video=shown_address(name),
            video_id=video_id or identity(name),
            outcome=outcome,
            frames=n_frames,
            pose_frames=n_frames - 1,
            secs=0.1,
            notes=["a note"] if outcome == "ingested" else [],
        )


def shown_address(name: str) -> str:
    return name.split("?", maxsplit=1)[0]


def identity(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def shown(environment: Any) -> dict[str, str]:
    wanted = ("AWS_", "PG", "POSEDATA_")
    return {k: v for k, v in environment.items() if k.startswith(wanted)}


if __name__ == "__main__":
    sys.exit(Standin(sys.argv[1:]).run())
