"""The pages of a reports folder: one for each run, and an index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat

from gmmlab.workbook.files import write_whole
from gmmlab.workbook.html import index_page, print_pdf
from gmmlab.workbook.notebooks import Notebook
from gmmlab.workbook.runs import Run, write_page


def renew(run: Run) -> None:
    """Write the page of a run again, from its files."""
    write_page(run.folder, _notebook(run), failure=None if run.completed else run.failure)


def write_index(runs: Sequence[Run], folder: Path) -> Path:
    """Write `index.html`, with a card for each run, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_whole(folder / "index.html", index_page([_card(run, folder) for run in runs]))


def _notebook(run: Run) -> Notebook:
    notebook = Notebook.read(run.folder / "notebook.ipynb")
    return Notebook(run.notebook, None, notebook.content)


def _card(run: Run, folder: Path) -> dict[str, Any]:
    notebook = _notebook(run)
    contract = notebook.parameters
    picture, alt = _first_figure(run)
    return {
        "notebook": run.notebook,
        "title": notebook.title,
        "question": notebook.question,
        "picture": picture and os.path.relpath(picture, folder),
        "alt": alt,
        "results": run.results,
        "href": os.path.relpath(run.page, folder),
        "id": run.id,
        "parameters": {
            name: value
            for name, value in run.parameters.items()
            if name not in contract or value != contract[name].default
        },
        "status": "completed" if run.completed else "failed",
        "reason": run.failure,
    }


def _first_figure(run: Run) -> tuple[Path | None, str]:
    """Return the file and the alt text of the first figure of a run."""
    path = run.folder / "figures" / "01.png"
    if not path.exists():
        return None, ""
    executed = nbformat.read(run.folder / "notebook.ipynb", as_version=4)
    outputs = (output for cell in executed.cells for output in cell.get("outputs", ()))
    metadata = (output.get("metadata", {}).get("image/png", {}) for output in outputs)
    return path, next((found["alt"] for found in metadata if "alt" in found), "")


def write_pdf(run: Run) -> Path:
    """Print the page of a run to a PDF in the same folder, and return its path.

    Raises
    ------
    FileNotFoundError
        If no Chromium is installed.
    """
    path = run.folder / "report.pdf"
    print_pdf(run.page, path)
    return path
