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


def test_the_package_needs_nothing_but_python() -> None:
    script = (
        "import sys, posedata, posedata.ray, posedata.dask, posedata._command\n"
        "foreign = {'ray', 'dask', 'distributed', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "assert not foreign, foreign\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=HERE)
