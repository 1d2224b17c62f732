"""Where the program is looked for."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from posedata import ProgramNotFoundError, find_program
from tests.conftest import Standin


def program_in(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "posedata"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the program."""
    monkeypatch.delenv("POSEDATA_BIN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda *_, **__: str(tmp_path / "venv" / "bin"))
    return tmp_path


def test_the_variable_decides(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program_in(nowhere / "venv" / "bin")
    chosen = program_in(nowhere / "chosen")
    monkeypatch.setenv("POSEDATA_BIN", str(chosen))
    assert find_program() == str(chosen)


def test_a_variable_that_names_nothing_is_an_error_and_no_reason_to_look_elsewhere(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program_in(nowhere / "venv" / "bin")
    monkeypatch.setenv("POSEDATA_BIN", str(nowhere / "missing"))
    with pytest.raises(ProgramNotFoundError, match="POSEDATA_BIN names no program"):
        find_program()


def test_the_environments_own_program_comes_before_the_path(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = program_in(nowhere / "path")
    monkeypatch.setenv("PATH", str(nowhere / "path"))
    assert find_program() == str(on_path)
    own = program_in(nowhere / "venv" / "bin")
    assert find_program() == str(own)


def test_the_users_own_folder_comes_last(nowhere: Path) -> None:
    installed = program_in(nowhere / "home" / ".local" / "bin")
    assert find_program() == str(installed)


def test_where_there_is_none_the_message_says_what_to_do(nowhere: Path) -> None:
    with pytest.raises(ProgramNotFoundError, match="make install"):
        find_program()


def test_the_module_is_the_program(standin: Standin) -> None:
    video = standin.video("a")
    command = [sys.executable, "-m", "posedata", "list", "--json", "--", video]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert video in done.stdout
