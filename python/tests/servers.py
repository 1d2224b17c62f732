"""Real servers, on the loopback and free ports: PostgreSQL, and a store of objects that speaks S3's
protocol. Whoever starts one ends it; it ends by its process's id."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.conftest import process_state, wait_until

LOOPBACK = "127.0.0.1"
PG_USER = "posedata"
# No output may show these.
PG_PASSWORD = "not-to-be-seen-pg"
S3_KEY_ID = "TESTKEYID"
S3_SECRET = "not-to-be-seen-s3"
BUCKET = "lakes"


def free_port() -> int:
    with socket.socket() as made:
        made.bind((LOOPBACK, 0))
        port: int = made.getsockname()[1]
        return port


def run(*command: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stderr}"
    return done.stdout


class Postgres:
    """A server with one role and one empty database."""

    def __init__(self) -> None:
        # The server refuses to run as root, and whoever it runs as needs the folder.
        self._folder = Path(tempfile.mkdtemp(prefix="posedata-postgres-"))
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(self._folder, "postgres")
        self._data = self._folder / "data"
        self._tools = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self.port = free_port()
        password = self._folder / "password"
        password.write_text("superuser")
        password.chmod(0o644)
        access = ("-A", "scram-sha-256", "-U", "postgres", f"--pwfile={password}")
        self._tool("initdb", "-D", str(self._data), "-N", *access)
        options = f"-p {self.port} -c listen_addresses={LOOPBACK} -c unix_socket_directories=''"
        # What is redirected by the shell stays open as long as the server runs.
        log = str(self._folder / "log")
        self._tool("pg_ctl", "-D", str(self._data), "-o", options, "-l", log, "-w", "start")
        self.sql("postgres", f"CREATE ROLE {PG_USER} LOGIN PASSWORD '{PG_PASSWORD}'")
        self.sql("postgres", f"CREATE DATABASE lake OWNER {PG_USER}")

    def lake(self, schema: str) -> str:
        """The address of a lake in the database."""
        return f"postgres://{PG_USER}@{LOOPBACK}:{self.port}/lake?schema={schema}"

    def sql(self, database: str, sql: str) -> str:
        """Runs SQL as the superuser; what it prints."""
        where = ("-h", LOOPBACK, "-p", str(self.port), "-U", "postgres", "-d", database)
        return run("psql", *where, "-At", "-c", sql, PGPASSWORD="superuser").strip()

    def end_connections(self, share: float) -> int:
        """Ends that share of the connections to the database without warning; how many it were."""
        ended = self.sql(
            "postgres",
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            f"WHERE datname = 'lake' AND pid <> pg_backend_pid() AND random() < {share}",
        )
        return int(ended)

    def _tool(self, tool: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as_user, str(self._tools / tool), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def end(self) -> None:
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        wait_until("PostgreSQL has ended", lambda: process_state(pid) in (None, "Z"))
        shutil.rmtree(self._folder, ignore_errors=True)


class ObjectStore:
    """A store with one bucket."""

    def __init__(self, weed: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="posedata-store-"))
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": S3_KEY_ID, "secretKey": S3_SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self._folder / "ids.json"
        config.write_text(json.dumps({"identities": [identity]}))
        port = free_port()
        self.endpoint = f"http://{LOOPBACK}:{port}"
        ports = [f"-{name}.port={free_port()}" for name in ("master", "volume", "filer")]
        ports += [
            f"-{name}.port.grpc={free_port()}" for name in ("master", "volume", "filer", "s3")
        ]
        self._process = subprocess.Popen(
            [
                str(weed),
                "server",
                f"-ip={LOOPBACK}",
                f"-ip.bind={LOOPBACK}",
                f"-dir={self._folder}",
                "-filer",
                "-s3",
                f"-s3.port={port}",
                f"-s3.config={config}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.telemetry=false",
                "-master.volumeSizeLimitMB=32",
                "-volume.max=10",
                *ports,
            ],
            env={**os.environ, "GOMEMLIMIT": "128MiB"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # It answers before all its parts do.
        wait_until("there is a bucket", lambda: self._curl("", "-X", "PUT") == 0)

    def variables(self) -> dict[str, str]:
        """What the program reads of it."""
        return {
            "AWS_ACCESS_KEY_ID": S3_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": S3_SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def put(self, key: str, file: Path) -> None:
        """Puts a file into the bucket."""
        assert self._curl(key, "-T", str(file)) == 0

    def _curl(self, key: str, *arguments: str) -> int:
        command = ["curl", "-sf", "--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:s3"]
        command += ["-u", f"{S3_KEY_ID}:{S3_SECRET}", *arguments, f"{self.endpoint}/{BUCKET}/{key}"]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        ).returncode

    def end(self) -> None:
        # Asked in order, it takes half a minute.
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
