"""Makes a notebook of a script with `# %%` cells and runs it.

    python run_notebook.py notebook.py notebook.ipynb FOLDER

FOLDER is where the notebook runs. Needs nbformat, nbclient, ipykernel, and what the script imports.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

MARKER = "# %%"
MARKDOWN = " [markdown]"


def cells_of(script: str) -> list[nbformat.NotebookNode]:
    """One cell for each marker; of text cells the comment signs are taken away."""
    cells = []
    for part in script.split(f"\n{MARKER}"):
        kind, _, body = part.removeprefix(MARKER).partition("\n")
        body = body.strip("\n")
        if kind == MARKDOWN:
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.split("\n"))
            cells.append(nbformat.v4.new_markdown_cell(text.strip()))
        else:
            cells.append(nbformat.v4.new_code_cell(body))
    for number, cell in enumerate(cells):
        # Otherwise they are drawn anew with each run.
        cell["id"] = f"cell-{number}"
    return cells


def main(script: Path, target: Path, folder: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=cells_of(script.read_text()))
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    resources = {"metadata": {"path": folder}}
    client = NotebookClient(notebook, record_timing=False, resources=resources)
    client.execute()
    target.write_text(nbformat.writes(notebook) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
