"""posedata for Python: queries and ingest for notebooks, drivers for Ray and Dask.

All work is done by the program `posedata`, which is found by `POSEDATA_BIN`, beside this Python, on
`PATH` or in `~/.local/bin`.
"""

from __future__ import annotations

from posedata._binary import ProgramNotFoundError, find_program
from posedata._core import IngestResult, PosedataError, ingest, query
from posedata._events import Event, VideoResult

__version__ = "0.1.0"

__all__ = [
    "Event",
    "IngestResult",
    "PosedataError",
    "ProgramNotFoundError",
    "VideoResult",
    "find_program",
    "ingest",
    "query",
]
