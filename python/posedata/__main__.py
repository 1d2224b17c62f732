"""`python -m posedata …` is the program itself."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from posedata._binary import ProgramNotFoundError, find_program


def main() -> NoReturn:
    """Becomes the program, or ends where there is none."""
    try:
        program = find_program()
    except ProgramNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(program, [program, *sys.argv[1:]])


if __name__ == "__main__":
    main()
