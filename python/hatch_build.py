"""Puts the program into the wheel where `POSEDATA_STAGE` names a tree that `make install` has laid.

`bin/posedata` becomes a script of the environment, and everything else keeps its place beside it, so
that the program finds DuckDB's library at `../lib/posedata` as it does everywhere.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "POSEDATA_STAGE"
SCRIPTS = "bin"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the files of the stage, and says for which machines the wheel is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        stage_name = os.environ.get(VARIABLE)
        if not stage_name or version == "editable":
            return
        stage = Path(stage_name)
        program = stage / SCRIPTS / "posedata"
        if not program.is_file():
            raise FileNotFoundError(f"{VARIABLE} has no {SCRIPTS}/posedata: {stage}")
        build_data["shared_scripts"][str(program)] = "posedata"
        for path in sorted(stage.rglob("*")):
            if path.is_file() and path != program:
                build_data["shared_data"][str(path)] = path.relative_to(stage).as_posix()
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
