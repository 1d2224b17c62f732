"""What belongs to the package and not to its code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import posedata

HERE = Path(__file__).resolve().parent.parent


def version_of(file: Path) -> str:
    match = re.search(r'^version = "(.*)"$', file.read_text(), re.MULTILINE)
    assert match is not None
    return match.group(1)


def test_package_and_program_have_one_version() -> None:
    assert version_of(HERE / "pyproject.toml") == posedata.__version__
    assert version_of(HERE.parent / "Cargo.toml") == posedata.__version__


def test_the_wheel_with_the_program_is_the_same_package() -> None:
    """It has a build system of its own, so that `pip install ./python` needs no compiler."""
    mine, wheel = (tables_of(folder / "pyproject.toml") for folder in (HERE, HERE.parent))
    # Files are named from where the description lies.
    for table in (mine, wheel):
        table["project"] = [
            line for line in table["project"] if not line.startswith(("readme", "license-files"))
        ]
    for name in ("project", "project.optional-dependencies"):
        assert mine[name]
        assert mine[name] == wheel[name]


def tables_of(file: Path) -> dict[str, list[str]]:
    """The lines of each table, without comments. (Python 3.10 reads no TOML.)"""
    tables: dict[str, list[str]] = {}
    name = ""
    for line in file.read_text().splitlines():
        if line.startswith("["):
            name = line.strip("[]")
        elif line.strip() and not line.startswith("#"):
            tables.setdefault(name, []).append(line)
    return tables


def test_the_package_needs_nothing_but_python() -> None:
    script = (
        "import sys, posedata, posedata.ray, posedata.dask, posedata._command\n"
        "foreign = {'ray', 'dask', 'distributed', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "assert not foreign, foreign\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=HERE)
