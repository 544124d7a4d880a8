"""Making runs: each checked before anything is started, and kept whole."""

from __future__ import annotations

import base64
import json
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import nbformat

from gmmlab.workbook.errors import CellFailed, Changed, RunFailed
from gmmlab.workbook.files import write_whole
from gmmlab.workbook.html import to_html
from gmmlab.workbook.notebooks import Notebook, Workbook
from gmmlab.workbook.parameters import check_values
from gmmlab.workbook.recording import recorded
from gmmlab.workbook.runs import provenance
from gmmlab.workbook.runs.execution import Limits, execute
from gmmlab.workbook.runs.kernels import Kernels
from gmmlab.workbook.runs.store import Run, Store, now, write_json, writing
from gmmlab.workbook.values import as_declared, to_text

_IMAGES = {"image/png": "png", "image/svg+xml": "svg", "image/jpeg": "jpg"}


@dataclass(frozen=True)
class Task:
    """A run that is to be made.

    Parameters
    ----------
    notebook : Notebook
    given : dict
        The parameters that differ from the notebook's own.
    parameters : dict
        All of them.
    id : str
        Hash of all that the results depend on.
    """

    notebook: Notebook
    given: dict[str, Any]
    parameters: dict[str, Any]
    id: str


@dataclass(frozen=True)
class Outcome:
    """What became of a task: a run; and its failure, if it is a failed one.

    `run` is None where there was nothing to keep, and `made` is False where the run was there
    already.
    """

    task: Task
    run: Run | None
    failure: RunFailed | None = None
    made: bool = True


@dataclass(frozen=True)
class Settings:
    """How runs are made; nothing here changes a result.

    Parameters
    ----------
    jobs : int, default 1
        Runs that are made at the same time.
    threads : int or None, default None
        Threads for the libraries in a kernel; None for what they choose.
    limits : Limits
    force : bool, default False
        Whether a run that is there already is made again.
    scheduler : str or None, default None
        Address of a Dask scheduler whose workers make the runs, in place of `jobs`.
    on_cell : callable, optional
        Is called with a task and the number of cells done, before each cell.

    Raises
    ------
    ValueError
        If `jobs` or `threads` is not positive.
    """

    jobs: int = 1
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)
    force: bool = False
    scheduler: str | None = None
    on_cell: Callable[[Task, int], None] = lambda task, number: None

    def __post_init__(self) -> None:
        for name in ("jobs", "threads"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a positive int; got {value!r}")


class Maker:
    """Makes the runs of a workbook.

    Parameters
    ----------
    workbook : Workbook
    store : Store, optional
        Where runs are kept: the workbook's reports, if nothing is said.
    """

    def __init__(self, workbook: Workbook, store: Store | None = None) -> None:
        self.workbook = workbook
        self.store = store or Store(workbook.reports / "runs")
        self.surroundings = provenance.Surroundings.of(workbook)

    def task(self, notebook: Notebook, given: Mapping[str, Any]) -> Task:
        """Return the task of running a notebook with some parameters.

        Raises
        ------
        ValueError
            If a parameter is unknown, or its value is not one it may have.
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
            self.surroundings.run_id(notebook, parameters),
        )

    def make(self, tasks: Iterable[Task], settings: Settings) -> Iterator[Outcome]:
        """Make what is missing; yield each outcome as it comes, those already there first.

        Stopping in the midst, by an exception or by closing the iterator, ends all kernels; what
        was not complete by then is not there.
        """
        unique = {task.id: task for task in tasks}
        missing = []
        for task in unique.values():
            run = self.store.completed(task.notebook.name, task.id)
            if run is not None and not settings.force:
                yield Outcome(task, run, made=False)
            else:
                missing.append(task)
        if not missing:
            return
        if settings.scheduler is not None:
            from gmmlab.workbook.runs.cluster import make_elsewhere

            yield from make_elsewhere(self, missing, settings)
            return
        with _KernelsOf(settings.threads) as kernels:
            executor = ThreadPoolExecutor(min(settings.jobs, len(missing)))

            def make(task: Task) -> Outcome:
                return self.make_one(task, kernels(task.notebook), settings)

            futures = {executor.submit(make, task): task for task in missing}
            with _ended_together(executor, futures, kernels):
                yield from as_outcomes(futures)

    def make_one(self, task: Task, kernels: Kernels, settings: Settings) -> Outcome:
        """Make a run, here and now.

        Raises
        ------
        CannotWrite
            If it could not be kept.
        """
        name = task.notebook.name
        with self.store.aside(name, task.id) as aside:
            notebook = aside / "notebook.ipynb"
            clock = time.monotonic()
            where_from = self._where_from(task, settings.threads)
            write_json(aside / "parameters.json", task.parameters)
            # for if it is cut off
            write_json(aside / "provenance.json", where_from)
            write_json(notebook, task.notebook.content)
            failure = None
            try:
                executed = execute(
                    nbformat.from_dict(task.notebook.content),
                    task.given,
                    notebook,
                    folder=self._workplace(task.notebook),
                    kernels=kernels,
                    limits=settings.limits,
                    # figures as vectors too, from notebooks that know of this
                    environment={"WORKBOOK_FIGURES": "png svg"},
                    on_cell=lambda number: settings.on_cell(task, number),
                )
            except RunFailed as error:
                if kernels.closed:  # it was stopped: no failure of its own
                    raise
                failure = error
                executed = nbformat.read(notebook, as_version=4)
            if failure is None and provenance.Surroundings.of(self.workbook) != self.surroundings:
                # Nobody can say with which of them it was made, and its id says the first.
                failure = Changed("code, data or libraries were changed while it was made")
            if failure is None:
                try:
                    write_json(aside / "results.json", recorded(executed))
                    self._write_figures(aside, executed)
                except ValueError as error:  # not by `record`, or no image
                    failure = CellFailed(f"what the notebook has left cannot be kept: {error}")
            where_from["status"] = "failed" if failure else "completed"
            where_from |= {"ended": now(), "seconds": round(time.monotonic() - clock, 3)}
            write_json(aside / "provenance.json", where_from)
            if failure is not None:
                return self._keep_failed(aside, task, executed, failure)
            _write_notebook(notebook, executed, task)
            write_page(aside, task.notebook)
            return Outcome(task, self.store.keep(aside, name, task.id))

    def _where_from(self, task: Task, threads: int | None) -> dict[str, Any]:
        """Return the provenance of a run that begins now."""
        return {
            "id": task.id,
            "status": "cut off",
            "command": command(task, self.workbook, threads),
            "started": now(),
            "ended": None,
            "seconds": None,
            "seed": provenance.seed(task.parameters),
            **provenance.code(self.workbook, task.notebook, self.surroundings),
            **provenance.environment(threads),
        }

    def _keep_failed(self, aside: Path, task: Task, executed: Any, failure: RunFailed) -> Outcome:
        reason = failure.reason
        if failure.cell is not None:
            before = executed.cells[: failure.cell + 1]
            reason += f" (In [{sum(cell.cell_type == 'code' for cell in before)}])"
        text = f"{reason}\n\n{failure.details}" if failure.details else reason
        with suppress(ValueError):  # as many as there are
            self._write_figures(aside, executed)
        _write_notebook(aside / "notebook.ipynb", executed, task)
        write_page(aside, task.notebook, failure=text)
        run = self.store.keep_failed(aside, task.notebook.name, task.id, text)
        return Outcome(task, run, failure)

    def _workplace(self, notebook: Notebook) -> Path:
        """Return where a notebook's kernel works: beside the notebook, as in JupyterLab."""
        if notebook.path is not None and notebook.path.parent.is_dir():
            return notebook.path.parent
        folder = self.workbook.root / "notebooks"
        return folder if folder.is_dir() else self.workbook.root

    @staticmethod
    def _write_figures(aside: Path, executed: Any) -> None:
        """Write the images in a notebook's outputs as files, and take the SVGs out of it."""
        folder = aside / "figures"
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


def as_outcomes(futures: Mapping[Future, Task]) -> Iterator[Outcome]:
    """Yield the outcome of each future as it comes; wait so that signals are heard."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            try:
                yield future.result()
            except RunFailed as failure:
                yield Outcome(futures[future], None, failure)


@contextmanager
def _ended_together(
    executor: Executor, futures: Iterable[Future], kernels: _KernelsOf
) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # The kernels first: whoever waits for one then fails at once.
        for future in futures:
            future.cancel()
        kernels.close()
        raise
    finally:
        executor.shutdown(wait=True)


class _KernelsOf:
    """A source of kernels for each notebook, begun when it is first asked for."""

    def __init__(self, threads: int | None) -> None:
        self.threads = threads
        self._lock = Lock()
        self._of: dict[str, Kernels] = {}

    def __enter__(self) -> _KernelsOf:
        return self

    def __call__(self, notebook: Notebook) -> Kernels:
        with self._lock:
            if notebook.name not in self._of:
                with writing(Path("/tmp")):  # where the sockets are
                    self._of[notebook.name] = Kernels(notebook.sources, threads=self.threads)
            return self._of[notebook.name]

    def close(self) -> None:
        with self._lock:
            for kernels in self._of.values():
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
    """Run a notebook and return what it left.

    Parameters
    ----------
    notebook : str or Path
        Its file, its name or its number.
    parameters : mapping, optional
        Values that differ from the notebook's own; they arrive in it as they are.
    workbook : Workbook, optional
        The one that the current folder is in, if nothing is said.
    **settings
        As of `Settings`: ``threads``, ``limits``, ``force``.

    Returns
    -------
    Run
        The run; one that was there already is not made again.

    Raises
    ------
    ValueError
        If there is no such notebook, or a parameter is not what it may be: before anything is
        started.
    RunFailed
        If the run fails: a cell, the kernel, the time or the disk.
    """
    maker = Maker(workbook or Workbook.find())
    maker.store.recover()
    task = maker.task(maker.workbook.notebook(notebook), dict(parameters or {}))
    (outcome,) = maker.make([task], Settings(**settings))
    if outcome.failure is not None:
        raise outcome.failure
    return outcome.run


def command(task: Task, workbook: Workbook, threads: int | None) -> str:
    """Return the command that makes a run."""
    if task.notebook.path is None:  # as it was in a run, which holds it
        return shlex.join(["gmmlab", "rerun", f"{task.notebook.name}/{task.id}"])
    path = provenance.place(task.notebook, workbook)
    words = ["gmmlab", "run", path]
    for name, value in task.given.items():
        words += ["-p", name, to_text(task.notebook.parameters[name], value)]
    if threads is not None:
        words += ["--threads", str(threads)]
    return shlex.join(words)


def write_page(folder: Path, notebook: Notebook, failure: str | None = None) -> None:
    """Write the page of a run from its other files."""
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
    where_from = run.provenance
    html = to_html(
        nbformat.read(folder / "notebook.ipynb", as_version=4),
        title=notebook.title,
        run={
            # The folder may still have the name that it is made under.
            "id": where_from.get("id", run.id),
            "notebook": notebook.name,
            "parameters": shown,
            "results": run._read("results.json"),
            "provenance": where_from,
            "figures": [f"figures/{path.name}" for path in sorted(folder.glob("figures/*"))],
        },
        failure=failure,
    )
    write_whole(folder / "report.html", html)


def _write_notebook(path: Path, executed: Any, task: Task) -> None:
    """Write an executed notebook, with nothing in it of where it was made."""
    executed.metadata.papermill.input_path = task.notebook.path.name if task.notebook.path else None
    executed.metadata.papermill.output_path = path.name
    path.write_text(nbformat.writes(executed) + "\n", encoding="utf-8")


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are the same, and of the same kind."""
    return json.dumps(one) == json.dumps(other)
