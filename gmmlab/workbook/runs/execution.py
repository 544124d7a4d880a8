"""Executing a notebook: with papermill and within limits; or in place, as it is committed."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import logging
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_core.utils import ensure_event_loop
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.execute import remove_error_markers

from gmmlab.workbook.errors import CellFailed, KernelDied, OutOfTime
from gmmlab.workbook.files import write_whole
from gmmlab.workbook.runs.kernels import KernelManager, Kernels

_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
#: seconds between two savings of a notebook that is being executed
_SAVED_EVERY = 2.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What papermill and nbclient log on their own is said by the failures.
logging.getLogger("papermill").addHandler(logging.NullHandler())
logging.getLogger("traitlets").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Limits:
    """Seconds that a cell, and a whole run, may take; None for no limit.

    Raises
    ------
    ValueError
        If a limit is not positive.
    """

    cell: float | None = 300.0
    run: float | None = None

    def __post_init__(self) -> None:
        for name, seconds in vars(self).items():
            if seconds is not None and not seconds > 0:
                raise ValueError(
                    f"the limit of a {name} must be a positive number of seconds; got {seconds}"
                )


def execute(
    source: nbformat.NotebookNode,
    parameters: Mapping[str, Any],
    to: Path,
    *,
    folder: Path,
    kernels: Kernels,
    limits: Limits,
    environment: Mapping[str, str] | None = None,
    on_cell: Callable[[int], None] = lambda number: None,
) -> nbformat.NotebookNode:
    """Execute a notebook with papermill.

    Parameters
    ----------
    source : NotebookNode
        The notebook; it is not changed.
    parameters : mapping
        Values to put in place of the notebook's own.
    to : Path
        Where the notebook is saved: now and then, and in the end.
    folder : Path
        Where the kernel works.
    kernels : Kernels
        Where the kernel comes from.
    limits : Limits
    environment : mapping of str to str, optional
        More variables for the kernel.
    on_cell : callable, optional
        Is called with the number of cells done before each cell.

    Returns
    -------
    NotebookNode
        The executed notebook.

    Raises
    ------
    CellFailed, KernelDied, OutOfTime
        Failures of the notebook. What there is of it by then has been saved.
    OSError
        If it cannot be saved.
    """
    kernel = _Kernel(kernels, limits, folder, dict(environment or {}), on_cell, to)
    try:
        executed = papermill.execute_notebook(
            copy.deepcopy(source),
            # papermill takes braces in a path for parameters
            str(to).replace("{", "{{").replace("}", "}}"),
            dict(parameters),
            engine_name="gmmlab",
            kernel_name="python3",
            progress_bar=False,
            # it would save before and after each cell, which takes longer than most cells
            request_save_on_cell_execute=False,
            kernel=kernel,
        )
    except papermill.PapermillExecutionError as error:
        _save(remove_error_markers(nbformat.read(to, as_version=4)), to)  # cells of papermill's own
        reason = f"{error.ename}: {_COLOURS.sub('', error.evalue)}".removesuffix(": ")
        details = _COLOURS.sub("", "\n".join(error.traceback))
        raise CellFailed(reason, cell=error.cell_index, details=details) from None
    _check_completed(executed)
    return executed


class _Kernel:
    """What the engine needs to know of one execution, and what it has seen of it."""

    def __init__(
        self,
        kernels: Kernels,
        limits: Limits,
        folder: Path,
        environment: dict[str, str],
        on_cell: Callable[[int], None],
        to: Path,
    ) -> None:
        self.manager: KernelManager = kernels.manager()
        self.environment = kernels.environment | environment
        self.folder = folder
        self.limits = limits
        self.on_cell = on_cell
        self.to = to
        self.begun = self.saved = time.monotonic()
        self.cell = 0

    def cell_starts(self, notebook: nbformat.NotebookNode, number: int) -> None:
        """Note where the execution is, and what would be left of it if it were cut off here."""
        self.cell = number
        self.on_cell(number)
        if time.monotonic() - self.saved > _SAVED_EVERY:
            self.save(notebook)

    def save(self, notebook: nbformat.NotebookNode) -> None:
        _save(notebook, self.to)
        self.saved = time.monotonic()

    def seconds_left(self, cell: Any = None) -> float | None:
        """Return how long the next cell may take."""
        run = self.limits.run
        if run is not None:  # a last moment, for a limit of 0 would be none
            run = max(run - (time.monotonic() - self.begun), 1e-3)
        limits = [limit for limit in (self.limits.cell, run) if limit is not None]
        return min(limits, default=None)

    def which_limit(self) -> str:
        run = self.limits.run
        if run is not None and time.monotonic() - self.begun >= run:
            return f"the run took longer than {run:g} s"
        return f"the cell took longer than {self.limits.cell:g} s"

    def last_words(self) -> str:
        log = Path(self.manager.connection_file).with_suffix(".log")
        return log.read_text(errors="replace").strip()[-2000:] if log.exists() else ""


def _save(notebook: nbformat.NotebookNode, to: Path) -> None:
    write_whole(to, nbformat.writes(notebook))


class _Engine(NBClientEngine):
    """papermill's engine, with kernels of ours and words for what it leaves unsaid."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, kernel: _Kernel, **options: Any
    ) -> None:
        client = PapermillNotebookClient(
            nb_man,
            km=kernel.manager,
            kernel_name=kernel_name,
            startup_timeout=60,
            timeout_func=kernel.seconds_left,
            on_cell_start=lambda cell, cell_index: kernel.cell_starts(nb_man.nb, cell_index),
            coalesce_streams=True,  # what is printed is one text, however slowly it comes
            log=logging.getLogger("papermill"),
        )
        environment = {**os.environ, **kernel.environment}
        try:
            with client.setup_kernel(cleanup_kc=True, cwd=str(kernel.folder), env=environment):
                cls._execute_cells(client, kernel)
        except CellTimeoutError:
            raise OutOfTime(kernel.which_limit(), cell=kernel.cell) from None
        except RuntimeError as error:  # of jupyter_client, from before the first cell
            raise KernelDied(f"the kernel did not start: {error}") from error
        finally:
            _end_tasks()
            kernel.save(nb_man.nb)

    @staticmethod
    def _execute_cells(client: PapermillNotebookClient, kernel: _Kernel) -> None:
        process = kernel.manager.provisioner.process
        try:
            client.papermill_execute_cells()
            info = client.wait_for_reply(client.kc.kernel_info())
            client.nb.metadata["language_info"] = info["content"]["language_info"]
        except (CellTimeoutError, OSError):
            raise
        except Exception as error:
            code = process.poll()
            if code is None and not isinstance(error, DeadKernelError):
                raise
            reason = f"the kernel died: {_how_it_ended(code)}"
            raise KernelDied(reason, cell=kernel.cell, details=kernel.last_words()) from None


papermill_engines.register("gmmlab", _Engine)


def _end_tasks() -> None:
    """End what nbclient leaves waiting for outputs when a cell is given up."""
    loop = ensure_event_loop()
    if loop.is_running():  # the caller's own: not ours to end
        return
    waiting = asyncio.all_tasks(loop)
    for task in waiting:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))


def _check_completed(notebook: nbformat.NotebookNode) -> None:
    """Refuse what papermill takes for completed, and is not."""
    for number, cell in enumerate(notebook.cells):
        skipped = "skip-execution" in cell.metadata.get("tags", ())
        if cell.cell_type != "code" or not cell.source.strip() or skipped:
            continue
        for output in cell.outputs:
            if output.output_type == "error" and output.ename == "SystemExit":
                raise CellFailed("the cell left the notebook by sys.exit", cell=number)
        if cell.execution_count is None:
            raise CellFailed("the cell was not run: one before it ended the kernel", cell=number)


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "it does not answer"
    if code == -signal.SIGKILL:
        return "it was killed (SIGKILL), as the system does when memory runs out"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


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
    with Kernels() as kernels:
        client = NotebookClient(
            node, km=kernels.manager(), timeout=300, record_timing=False, coalesce_streams=True
        )
        client.execute(cleanup_kc=True, cwd=str(notebook.resolve().parent), env=dict(os.environ))
    node.metadata = nbformat.from_dict({"kernelspec": _KERNEL, "language_info": {"name": "python"}})
    for cell in node.cells:
        tags = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        stamp = {"source_sha256": source_hash(cell.source)} if cell.cell_type == "code" else {}
        # What nbgrader needs to know of a cell is the author's, not the run's.
        kept = {"nbgrader": cell.metadata["nbgrader"]} if "nbgrader" in cell.metadata else {}
        cell.metadata = nbformat.from_dict(tags | kept | stamp)
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                raise ValueError(f"{notebook.name}: a cell wrote to stderr: {output.text}")
    nbformat.validate(node)
    write_whole(notebook, nbformat.writes(node) + "\n")


def source_hash(source: str) -> str:
    """Return the hash of a cell's source that `refresh` leaves in its metadata."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]
