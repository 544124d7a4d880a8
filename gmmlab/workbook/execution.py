"""Running notebooks: each into a report, or in place so that its outputs are committed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient import NotebookClient
from traitlets.config import Config

from gmmlab.workbook.page import to_html

#: seconds that a cell may take
CELL_TIMEOUT = 300
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def report(
    notebook: Path, folder: Path, parameters: dict[str, Any] | None = None
) -> tuple[Path, Path]:
    """Execute a notebook with papermill and leave it and its page in a folder.

    Parameters
    ----------
    notebook : Path
        The notebook; it is not changed.
    folder : Path
        Where the executed notebook and its HTML go, under the notebook's name.
    parameters : dict, optional
        Values that differ from the notebook's own.

    Returns
    -------
    (Path, Path)
        The executed notebook and the page. Both appear when both are done, or neither does.

    Raises
    ------
    papermill.PapermillExecutionError
        If a cell fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".running-") as aside, kernels() as config:
        executed = Path(aside) / notebook.name
        papermill.execute_notebook(
            notebook,
            executed,
            parameters=parameters,
            kernel_name="python3",
            execution_timeout=CELL_TIMEOUT,
            config=config,
        )
        page = executed.with_suffix(".html")
        page.write_text(to_html(nbformat.read(executed, as_version=4), title=notebook.stem))
        return executed.replace(folder / executed.name), page.replace(folder / page.name)


def refresh(notebook: Path) -> None:
    """Execute a notebook in place and leave it clean, as it is to be committed.

    Clean means counts from 1, no timing or machine in the metadata, and in each code cell a
    hash of its source, by which a cell that was edited and not run again is seen.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails; the file then is as it was.
    ValueError
        If a cell writes to stderr (a warning, say): a reader would see it too.
    """
    node = nbformat.read(notebook, as_version=4)
    with kernels() as config:
        NotebookClient(
            node,
            kernel_name="python3",
            timeout=CELL_TIMEOUT,
            record_timing=False,
            coalesce_streams=True,
            config=config,
        ).execute()
    node.metadata = nbformat.from_dict({"kernelspec": _KERNEL, "language_info": {"name": "python"}})
    for cell in node.cells:
        tags = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        stamp = {"source_sha256": source_hash(cell.source)} if cell.cell_type == "code" else {}
        cell.metadata = nbformat.from_dict(tags | stamp)
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                raise ValueError(f"{notebook.name}: a cell wrote to stderr: {output.text}")
    nbformat.validate(node)
    aside = notebook.with_name(f".{notebook.name}.tmp")
    aside.write_text(nbformat.writes(node) + "\n")
    aside.replace(notebook)


def source_hash(source: str) -> str:
    """Return the hash of a cell's source that `refresh` leaves in its metadata."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


@contextmanager
def kernels() -> Iterator[Config]:
    """Provide a configuration under which kernels talk through sockets of their own.

    Over TCP, kernels that start at the same time can take each other's ports. A socket's
    path must be short (under 107 bytes), hence the folder.
    """
    if os.name != "posix":
        yield Config()
        return
    with tempfile.TemporaryDirectory(prefix="nb-", dir="/tmp") as folder:
        yield Config(KernelManager={"transport": "ipc", "ip": f"{folder}/k"})
