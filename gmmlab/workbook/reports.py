"""Reports: the pages of runs, and one page from which they are reached."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gmmlab.workbook import html as page
from gmmlab.workbook.files import write_whole
from gmmlab.workbook.notebooks import Notebook
from gmmlab.workbook.runs.runner import write_page
from gmmlab.workbook.runs.store import Run


def renew(run: Run) -> None:
    """Write the page of a run anew, from its files."""
    write_page(run.folder, _notebook(run), failure=None if run.completed else run.failure)


def write_index(runs: Sequence[Run], folder: Path) -> Path:
    """Write `index.html`, with a card for each run.

    Returns
    -------
    Path
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return write_whole(folder / "index.html", page.index([_card(run, folder) for run in runs]))


def _notebook(run: Run) -> Notebook:
    notebook = Notebook.read(run.folder / "notebook.ipynb")
    return Notebook(run.notebook, None, notebook.content)


def _card(run: Run, folder: Path) -> dict[str, Any]:
    notebook = _notebook(run)
    contract = notebook.parameters
    picture, alt = _picture(run)
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


def _picture(run: Run) -> tuple[Path | None, str]:
    """Return the first figure of a run and its alt text."""
    path = run.folder / "figures" / "01.png"
    if not path.exists():
        return None, ""
    import nbformat

    executed = nbformat.read(run.folder / "notebook.ipynb", as_version=4)
    outputs = (output for cell in executed.cells for output in cell.get("outputs", ()))
    metadata = (output.get("metadata", {}).get("image/png", {}) for output in outputs)
    return path, next((found["alt"] for found in metadata if "alt" in found), "")


def write_pdf(run: Run) -> Path:
    """Write the page of a run as PDF, beside it.

    Raises
    ------
    FileNotFoundError
        If there is no Chromium.
    """
    place = run.folder / "report.pdf"
    page.pdf(run.page, place)
    return place
