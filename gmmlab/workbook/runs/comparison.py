"""Comparing two runs, and repeating a run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmmlab.workbook.notebooks import Notebook, Workbook
from gmmlab.workbook.recording import differences, flat
from gmmlab.workbook.runs.runner import Runner
from gmmlab.workbook.runs.store import Run, Store
from gmmlab.workbook.runs.tasks import Settings

Differences = dict[str, tuple[Any, Any]]
#: fields of the provenance that describe one run and not its environment
_OF_ONE_RUN = ("id", "status", "command", "started", "ended", "seconds", "seed")


@dataclass(frozen=True)
class Comparison:
    """The differences between two runs: both values by name, None for a missing value."""

    parameters: Differences
    results: Differences
    environment: Differences

    @property
    def same(self) -> bool:
        """Whether the results are the same."""
        return not self.results


def compare(one: Run, other: Run, *, tolerance: float = 0.0) -> Comparison:
    """Compare the parameters, results and provenance of two runs.

    Parameters
    ----------
    one, other : Run
    tolerance : float, default 0.0
        The largest difference allowed between two recorded numbers: absolute up to size 1 and
        relative above. With 0, numbers must be equal to the last bit.
    """
    return Comparison(
        parameters=differences(one.parameters, other.parameters, tolerance=0.0),
        results=differences(one.results, other.results, tolerance=tolerance),
        environment=differences(_environment(one), _environment(other), tolerance=0.0),
    )


def _environment(run: Run) -> dict[str, Any]:
    found = run.provenance
    return flat({name: found[name] for name in found if name not in _OF_ONE_RUN})


def recorded_notebook(run: Run) -> Notebook:
    """Return the notebook of a run, as it was at the time.

    Raises
    ------
    ValueError
        If the notebook in the folder of the run has been modified since.
    """
    notebook = Notebook.read(run.folder / "notebook.ipynb")
    expected = run.provenance.get("notebook", {})
    if notebook.sha256 != expected.get("sha256"):
        raise ValueError(f"the notebook in {run.name} has been modified since the run")
    return Notebook(run.notebook, None, notebook.content)


def rerun(run: Run, *, workbook: Workbook | None = None, **settings: Any) -> Run:
    """Repeat a run with its own notebook and parameters, and the current code.

    Parameters
    ----------
    run : Run
    workbook : Workbook, optional
        By default, the workbook that contains the current folder.
    **settings
        Fields of `Settings`: ``threads``, ``limits``.

    Returns
    -------
    Run
        The new run, kept under the id that belongs to the current code.

    Raises
    ------
    ValueError
        If the files of the run are inconsistent.
    RunFailed
        If the run fails.
    """
    return _repeat(run, Runner(workbook or Workbook.find()), settings)


def check(
    run: Run, *, workbook: Workbook | None = None, tolerance: float = 0.0, **settings: Any
) -> Comparison:
    """Repeat a run in a temporary folder and compare the results with the old ones.

    Parameters
    ----------
    run : Run
        A completed run.
    workbook, **settings
        As for `rerun`.
    tolerance : float, default 0.0
        As for `compare`. The last bits differ between kinds of machine.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If the run failed, or its files are inconsistent.
    RunFailed
        If the new run fails.
    """
    check_completed(run)
    with tempfile.TemporaryDirectory(prefix="rerun-") as folder:
        runner = Runner(workbook or Workbook.find(), Store(Path(folder)))
        return compare(run, _repeat(run, runner, settings), tolerance=tolerance)


def check_completed(run: Run) -> None:
    """Raise a ValueError if a run failed, because there are no results to compare."""
    if not run.completed:
        raise ValueError(f"{run.name} failed, so it has no results to compare")


def _repeat(run: Run, runner: Runner, settings: Mapping[str, Any]) -> Run:
    notebook = recorded_notebook(run)
    with suppress(ValueError):  # use the notebook of the workbook if it is still the same
        own = runner.workbook.notebook(run.notebook)
        notebook = own if own.sha256 == notebook.sha256 else notebook
    task = runner.task(notebook, run.parameters)
    (outcome,) = runner.make([task], Settings(**({"force": True} | dict(settings))))
    if outcome.failure is not None:
        raise outcome.failure
    return outcome.run
