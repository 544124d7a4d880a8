"""Making runs: parameters are checked before anything starts, and each run is kept whole."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import nbformat

from gmmlab.workbook.errors import CellFailed, InputsChanged, RunFailed
from gmmlab.workbook.files import write_whole
from gmmlab.workbook.html import to_html
from gmmlab.workbook.notebooks import Notebook, Workbook
from gmmlab.workbook.parameters import check_values
from gmmlab.workbook.recording import recorded
from gmmlab.workbook.runs import provenance
from gmmlab.workbook.runs.execution import execute
from gmmlab.workbook.runs.kernels import Kernels
from gmmlab.workbook.runs.store import Run, Store, now, write_json, writing
from gmmlab.workbook.runs.tasks import Outcome, Settings, Task, command
from gmmlab.workbook.values import as_declared

_IMAGES = {"image/png": "png", "image/svg+xml": "svg", "image/jpeg": "jpg"}


class Runner:
    """Makes the runs of a workbook on this machine.

    Parameters
    ----------
    workbook : Workbook
    store : Store, optional
        The folder in which runs are kept; by default ``reports/runs`` of the workbook.
    """

    def __init__(self, workbook: Workbook, store: Store | None = None) -> None:
        self.workbook = workbook
        self.store = store or Store(workbook.reports / "runs")
        self.fingerprint = provenance.Fingerprint.of(workbook)

    def task(self, notebook: Notebook, given: Mapping[str, Any]) -> Task:
        """Return the task of running a notebook with parameters.

        Raises
        ------
        ValueError
            If a parameter is unknown, or its value is not allowed.
        """
        contract = notebook.parameters
        given = {n: as_declared(contract[n], v) if n in contract else v for n, v in given.items()}
        check_values(contract, given)
        defaults = {name: as_declared(each, each.default) for name, each in contract.items()}
        parameters = defaults | given
        return Task(
            notebook,
            {name: value for name, value in given.items() if not _same(value, defaults[name])},
            parameters,
            self.fingerprint.run_id(notebook, parameters),
        )

    def make(self, tasks: Iterable[Task], settings: Settings) -> Iterator[Outcome]:
        """Make the missing runs; yield first the existing runs, then each outcome as it comes.

        If the caller stops early, by an exception or by closing the iterator, all kernels are
        killed, and runs that are not complete are not kept.
        """
        unique = {task.id: task for task in tasks}
        missing = []
        for task in unique.values():
            run = self.store.completed(task.notebook.name, task.id)
            if run is not None and not settings.force:
                yield Outcome(task, run, made=False)
            else:
                missing.append(task)
        if missing:
            yield from self.make_missing(missing, settings)

    def make_missing(self, tasks: Sequence[Task], settings: Settings) -> Iterator[Outcome]:
        """Make runs, `settings.jobs` at a time; yield each outcome as it comes."""
        with _KernelsByNotebook(settings.threads) as kernels:
            executor = ThreadPoolExecutor(min(settings.jobs, len(tasks)))

            def make(task: Task) -> Outcome:
                return self.make_one(task, kernels(task.notebook), settings)

            futures = {executor.submit(make, task): task for task in tasks}
            with _stopping_together(executor, futures, kernels.close):
                yield from _outcomes(futures)

    def make_one(self, task: Task, kernels: Kernels, settings: Settings) -> Outcome:
        """Make a run in this thread.

        Raises
        ------
        CannotWrite
            If its files cannot be written.
        """
        name = task.notebook.name
        with self.store.staging(name, task.id) as staging:
            notebook = staging / "notebook.ipynb"
            clock = time.monotonic()
            origin = self._provenance(task, settings.threads)
            write_json(staging / "parameters.json", task.parameters)
            # Write these two now, in case the process is killed during the run.
            write_json(staging / "provenance.json", origin)
            write_json(notebook, task.notebook.content)
            failure = None
            try:
                executed = execute(
                    nbformat.from_dict(task.notebook.content),
                    task.given,
                    notebook,
                    folder=self._working_folder(task.notebook),
                    kernels=kernels,
                    limits=settings.limits,
                    # makes the notebooks store vector figures too
                    environment={"WORKBOOK_FIGURES": "png svg"},
                    on_cell=lambda index: settings.on_cell(task, index),
                )
            except RunFailed as error:
                if kernels.closed:  # the caller stopped: this is not a failure of the run
                    raise
                failure = error
                executed = nbformat.read(notebook, as_version=4)
            if failure is None and provenance.Fingerprint.of(self.workbook) != self.fingerprint:
                # The id stands for the old inputs, and the run may have read the new ones.
                failure = InputsChanged("code, data or libraries changed during the run")
            if failure is None:
                try:
                    write_json(staging / "results.json", recorded(executed))
                    self._write_figures(staging, executed)
                except ValueError as error:  # results not written by `record`, or invalid images
                    failure = CellFailed(f"the results of the notebook cannot be saved: {error}")
            origin["status"] = "failed" if failure else "completed"
            origin |= {"ended": now(), "seconds": round(time.monotonic() - clock, 3)}
            write_json(staging / "provenance.json", origin)
            if failure is not None:
                return self._keep_failed(staging, task, executed, failure)
            _write_notebook(notebook, executed, task)
            write_page(staging, task.notebook)
            return Outcome(task, self.store.keep(staging, name, task.id))

    def _provenance(self, task: Task, threads: int | None) -> dict[str, Any]:
        """Return the provenance of a run that starts now."""
        return {
            "id": task.id,
            "status": "interrupted",
            "command": command(task, self.workbook, threads),
            "started": now(),
            "ended": None,
            "seconds": None,
            "seed": provenance.seed(task.parameters),
            **provenance.code(self.workbook, task.notebook, self.fingerprint),
            **provenance.environment(threads),
        }

    def _keep_failed(self, staging: Path, task: Task, executed: Any, failure: RunFailed) -> Outcome:
        reason = failure.reason
        if failure.cell is not None:
            before = executed.cells[: failure.cell + 1]
            reason += f" (In [{sum(cell.cell_type == 'code' for cell in before)}])"
        text = f"{reason}\n\n{failure.details}" if failure.details else reason
        with suppress(ValueError):  # write the valid images that come before an invalid one
            self._write_figures(staging, executed)
        _write_notebook(staging / "notebook.ipynb", executed, task)
        write_page(staging, task.notebook, failure=text)
        run = self.store.keep_failed(staging, task.notebook.name, task.id, text)
        return Outcome(task, run, failure)

    def _working_folder(self, notebook: Notebook) -> Path:
        """Return the working folder of the kernel: that of the notebook, as in JupyterLab."""
        if notebook.path is not None and notebook.path.parent.is_dir():
            return notebook.path.parent
        folder = self.workbook.root / "notebooks"
        return folder if folder.is_dir() else self.workbook.root

    @staticmethod
    def _write_figures(staging: Path, executed: Any) -> None:
        """Write the images of a notebook to files, and remove the SVGs from the notebook."""
        folder = staging / "figures"
        folder.mkdir(exist_ok=True)
        outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
        number = 0
        for output in outputs:
            data = output.get("data", {})
            found = {kind: data[kind] for kind in _IMAGES if kind in data}
            if not found:
                continue
            number += 1
            for kind, image in found.items():
                content = image.encode() if kind.endswith("xml") else base64.b64decode(image)
                (folder / f"{number:02d}.{_IMAGES[kind]}").write_bytes(content)
            if "image/png" in found and data.pop("image/svg+xml", None):
                output.metadata.pop("image/svg+xml", None)


def _outcomes(futures: Mapping[Future, Task]) -> Iterator[Outcome]:
    """Yield the outcome of each future as it comes."""
    pending = set(futures)
    while pending:
        # The timeout lets Python handle signals between two waits.
        done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                yield future.result()
            except RunFailed as failure:
                yield Outcome(futures[future], None, failure)


@contextmanager
def _stopping_together(
    executor: Executor, futures: Iterable[Future], close_kernels: Callable[[], None]
) -> Iterator[None]:
    """Cancel the futures and close the kernels when the body stops early."""
    try:
        yield
    except BaseException:
        # Close the kernels before waiting for the threads, which wait for the kernels.
        for future in futures:
            future.cancel()
        close_kernels()
        raise
    finally:
        executor.shutdown(wait=True)


class _KernelsByNotebook:
    """The source of kernels for each notebook, created when it is first needed."""

    def __init__(self, threads: int | None) -> None:
        self.threads = threads
        self._lock = Lock()
        self._sources: dict[str, Kernels] = {}

    def __enter__(self) -> _KernelsByNotebook:
        return self

    def __call__(self, notebook: Notebook) -> Kernels:
        with self._lock:
            if notebook.name not in self._sources:
                with writing(Path("/tmp")):  # the folder of the sockets
                    self._sources[notebook.name] = Kernels(notebook.sources, threads=self.threads)
            return self._sources[notebook.name]

    def close(self) -> None:
        with self._lock:
            for kernels in self._sources.values():
                kernels.close()

    def __exit__(self, *error: object) -> None:
        self.close()


def run(
    notebook: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    workbook: Workbook | None = None,
    **settings: Any,
) -> Run:
    """Run a notebook and return the run.

    A run that exists already is returned without running the notebook again.

    Parameters
    ----------
    notebook : str or Path
        The file, the name or the number of the notebook.
    parameters : mapping, optional
        Parameters that differ from their defaults.
    workbook : Workbook, optional
        By default, the workbook that contains the current folder.
    **settings
        Fields of `Settings`: ``threads``, ``limits``, ``force``.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If there is no such notebook, or a parameter is unknown or not allowed. Nothing has been
        started then.
    RunFailed
        If the run fails: a cell, the kernel, a time limit or the disk.
    """
    runner = Runner(workbook or Workbook.find())
    runner.store.recover()
    task = runner.task(runner.workbook.notebook(notebook), dict(parameters or {}))
    (outcome,) = runner.make([task], Settings(**settings))
    if outcome.failure is not None:
        raise outcome.failure
    return outcome.run


def write_page(folder: Path, notebook: Notebook, failure: str | None = None) -> None:
    """Write the page of a run from the other files in its folder."""
    run = Run(folder)
    contract = notebook.parameters
    shown = {
        name: {
            "value": value,
            "default": contract[name].default,
            "help": contract[name].help,
            "allowed": contract[name].allowed,
        }
        for name, value in run.parameters.items()
        if name in contract
    }
    origin = run.provenance
    html = to_html(
        nbformat.read(folder / "notebook.ipynb", as_version=4),
        title=notebook.title,
        run={
            # The folder may be a staging folder, which is not named after the run.
            "id": origin.get("id", run.id),
            "notebook": notebook.name,
            "parameters": shown,
            "results": run.read("results.json"),
            "provenance": origin,
            "figures": [f"figures/{path.name}" for path in sorted(folder.glob("figures/*"))],
        },
        failure=failure,
    )
    write_whole(folder / "report.html", html)


def _write_notebook(path: Path, executed: Any, task: Task) -> None:
    """Write an executed notebook without the path of its staging folder."""
    executed.metadata.papermill.input_path = task.notebook.path.name if task.notebook.path else None
    executed.metadata.papermill.output_path = path.name
    path.write_text(nbformat.writes(executed) + "\n", encoding="utf-8")


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal and of the same type."""
    return json.dumps(one) == json.dumps(other)
