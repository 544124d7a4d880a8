"""Executing a notebook: with papermill and time limits, or in place before a commit."""

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
#: seconds between two saves of a notebook during its execution
_SAVE_INTERVAL = 2.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# The exceptions of this module contain everything that papermill and nbclient log.
logging.getLogger("papermill").addHandler(logging.NullHandler())
logging.getLogger("traitlets").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Limits:
    """Time limits of a cell and of a whole run, in seconds; None for no limit.

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
                    f"the time limit of a {name} must be a positive number of seconds or None; "
                    f"got {seconds}"
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
    on_cell: Callable[[int], None] = lambda index: None,
) -> nbformat.NotebookNode:
    """Execute a notebook with papermill.

    Parameters
    ----------
    source : NotebookNode
        The notebook; it is not modified.
    parameters : mapping
        Parameters that replace those of the notebook.
    to : Path
        The file in which the notebook is saved, during the execution and at its end.
    folder : Path
        Working folder of the kernel.
    kernels : Kernels
        Source of the kernel.
    limits : Limits
        Time limits.
    environment : mapping of str to str, optional
        Additional environment variables of the kernel.
    on_cell : callable, optional
        Called with the index of the cell before each cell.

    Returns
    -------
    NotebookNode
        The executed notebook.

    Raises
    ------
    CellFailed, KernelDied, OutOfTime
        If the notebook fails. The part that was executed has been saved.
    OSError
        If the notebook cannot be saved.
    """
    kernel = _Kernel(kernels, limits, folder, dict(environment or {}), on_cell, to)
    try:
        executed = papermill.execute_notebook(
            copy.deepcopy(source),
            # papermill would replace braces in a path by parameters
            str(to).replace("{", "{{").replace("}", "}}"),
            dict(parameters),
            engine_name="gmmlab",
            kernel_name="python3",
            progress_bar=False,
            # saving before and after each cell would take longer than most cells
            request_save_on_cell_execute=False,
            kernel=kernel,
        )
    except papermill.PapermillExecutionError as error:
        _save(remove_error_markers(nbformat.read(to, as_version=4)), to)  # papermill's own cells
        reason = f"{error.ename}: {_COLOURS.sub('', error.evalue)}".removesuffix(": ")
        details = _COLOURS.sub("", "\n".join(error.traceback))
        raise CellFailed(reason, cell=error.cell_index, details=details) from None
    _check_completed(executed)
    return executed


class _Kernel:
    """The kernel, limits and progress of one execution, for the papermill engine."""

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
        self.started = self.saved = time.monotonic()
        self.cell = 0

    def start_cell(self, notebook: nbformat.NotebookNode, index: int) -> None:
        """Record the progress, and save the notebook from time to time."""
        self.cell = index
        self.on_cell(index)
        if time.monotonic() - self.saved > _SAVE_INTERVAL:
            self.save(notebook)

    def save(self, notebook: nbformat.NotebookNode) -> None:
        _save(notebook, self.to)
        self.saved = time.monotonic()

    def seconds_left(self, cell: Any = None) -> float | None:
        """Return the time limit of the next cell."""
        run = self.limits.run
        if run is not None:  # never 0, which nbclient takes for no limit
            run = max(run - (time.monotonic() - self.started), 1e-3)
        limits = [limit for limit in (self.limits.cell, run) if limit is not None]
        return min(limits, default=None)

    def exceeded_limit(self) -> str:
        run = self.limits.run
        if run is not None and time.monotonic() - self.started >= run:
            return f"the run took longer than {run:g} s"
        return f"the cell took longer than {self.limits.cell:g} s"

    def last_output(self) -> str:
        log = Path(self.manager.connection_file).with_suffix(".log")
        return log.read_text(errors="replace").strip()[-2000:] if log.exists() else ""


def _save(notebook: nbformat.NotebookNode, to: Path) -> None:
    write_whole(to, nbformat.writes(notebook))


class _Engine(NBClientEngine):
    """The engine of papermill, with kernels of `Kernels` and a reason for every failure."""

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
            on_cell_start=lambda cell, cell_index: kernel.start_cell(nb_man.nb, cell_index),
            coalesce_streams=True,  # printed text is one output, whatever its timing
            log=logging.getLogger("papermill"),
        )
        environment = {**os.environ, **kernel.environment}
        try:
            with client.setup_kernel(cleanup_kc=True, cwd=str(kernel.folder), env=environment):
                cls._execute_cells(client, kernel)
        except CellTimeoutError:
            raise OutOfTime(kernel.exceeded_limit(), cell=kernel.cell) from None
        except RuntimeError as error:  # raised by jupyter_client before the first cell
            raise KernelDied(f"the kernel did not start: {error}") from error
        finally:
            _cancel_tasks()
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
            reason = f"the kernel died: {_exit_reason(code)}"
            raise KernelDied(reason, cell=kernel.cell, details=kernel.last_output()) from None


papermill_engines.register("gmmlab", _Engine)


def _cancel_tasks() -> None:
    """Cancel the tasks with which nbclient still waits for the outputs of an abandoned cell."""
    loop = ensure_event_loop()
    if loop.is_running():  # the loop belongs to the caller
        return
    waiting = asyncio.all_tasks(loop)
    for task in waiting:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))


def _check_completed(notebook: nbformat.NotebookNode) -> None:
    """Raise an error for notebooks that papermill wrongly regards as completed."""
    for index, cell in enumerate(notebook.cells):
        skipped = "skip-execution" in cell.metadata.get("tags", ())
        if cell.cell_type != "code" or not cell.source.strip() or skipped:
            continue
        for output in cell.outputs:
            if output.output_type == "error" and output.ename == "SystemExit":
                raise CellFailed("the cell called sys.exit", cell=index)
        if cell.execution_count is None:
            raise CellFailed("the cell was not run: an earlier cell stopped the kernel", cell=index)


def _exit_reason(code: int | None) -> str:
    if code is None:
        return "it does not answer"
    if code == -signal.SIGKILL:
        return "it was killed (SIGKILL), possibly because memory ran out"
    if code < 0:
        return f"it was terminated by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}"


def refresh(notebook: Path) -> None:
    """Execute a notebook in place and clean it for a commit.

    A clean notebook has execution counts from 1, no timings or machine names in its metadata,
    and in each code cell a hash of its source, which shows if the cell was edited and not run
    again.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails. The file is not modified.
    ValueError
        If a cell writes to stderr, for example a warning. The file is not modified.
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
        # The metadata of nbgrader belong to the author, not to the execution.
        kept = {"nbgrader": cell.metadata["nbgrader"]} if "nbgrader" in cell.metadata else {}
        cell.metadata = nbformat.from_dict(tags | kept | stamp)
        for output in cell.get("outputs", ()):
            if output.get("name") == "stderr":
                raise ValueError(f"{notebook.name}: a cell wrote to stderr: {output.text}")
    nbformat.validate(node)
    write_whole(notebook, nbformat.writes(node) + "\n")


def source_hash(source: str) -> str:
    """Return the hash that `refresh` stores in the metadata of a cell with this source."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]
