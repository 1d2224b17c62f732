"""Where the program is.

The wheel brings it into the interpreter's scripts; a source installation uses one that was installed
otherwise.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

NAME = "posedata"
VARIABLE = "POSEDATA_BIN"


class ProgramNotFoundError(FileNotFoundError):
    """The program is not where it is looked for."""


def find_program(environment: Mapping[str, str] | None = None) -> str:
    """The path of the program.

    `POSEDATA_BIN` decides where it is set; otherwise the scripts of this interpreter are looked at,
    then `PATH`, then `~/.local/bin`.

    Raises:
        ProgramNotFoundError: it is in none of these places.
    """
    environment = os.environ if environment is None else environment
    chosen = environment.get(VARIABLE)
    if chosen:
        if _is_program(Path(chosen)):
            return os.path.abspath(chosen)
        raise ProgramNotFoundError(f"{VARIABLE} names no program: {chosen}")
    for folder in _script_folders():
        if _is_program(folder / NAME):
            return str(folder / NAME)
    on_path = shutil.which(NAME, path=environment.get("PATH"))
    if on_path is not None:
        return os.path.abspath(on_path)
    installed = Path.home() / ".local" / "bin" / NAME
    if _is_program(installed):
        return str(installed)
    raise ProgramNotFoundError(
        "the program posedata is neither beside this Python, nor on PATH, nor in ~/.local/bin; "
        f"run `make install` in posedata's sources, or set {VARIABLE} to its path"
    )


def _script_folders() -> Iterator[Path]:
    yield Path(sysconfig.get_path("scripts"))
    yield Path(sys.executable).parent
    user_scheme = sysconfig.get_preferred_scheme("user")
    yield Path(sysconfig.get_path("scripts", scheme=user_scheme))
    # `pip install --target DIR` puts scripts into DIR/bin.
    yield Path(__file__).resolve().parent.parent / "bin"


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
