"""Two runs side by side, and a run made again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmmlab.workbook.notebooks import Notebook, Workbook
from gmmlab.workbook.recording import differences, flat
from gmmlab.workbook.runs.runner import Maker, Settings
from gmmlab.workbook.runs.store import Run, Store

Differences = dict[str, tuple[Any, Any]]
#: of the provenance, what belongs to one run and not to what it depends on
_OF_ONE_RUN = ("id", "status", "command", "started", "ended", "seconds", "seed")


@dataclass(frozen=True)
class Comparison:
    """What is not the same in two runs: by name, the value of each (None where there is none)."""

    parameters: Differences
    results: Differences
    environment: Differences

    @property
    def same(self) -> bool:
        """Whether the results are the same."""
        return not self.results


def compare(one: Run, other: Run, *, tolerance: float = 0.0) -> Comparison:
    """Compare parameters, results and provenance of two runs.

    Parameters
    ----------
    one, other : Run
    tolerance : float, default 0.0
        Recorded numbers may differ by this much, relative to their size where that is above 1;
        0 for not by a bit.
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
    """Return the notebook that was run, as it then was.

    Raises
    ------
    ValueError
        If the run's notebook has been changed since.
    """
    notebook = Notebook.read(run.folder / "notebook.ipynb")
    expected = run.provenance.get("notebook", {})
    if notebook.sha256 != expected.get("sha256"):
        raise ValueError(f"the notebook in {run.name} is not the one that was run: it was changed")
    return Notebook(run.notebook, None, notebook.content)


def rerun(run: Run, *, workbook: Workbook | None = None, **settings: Any) -> Run:
    """Make a run again: the notebook as it then was, the same parameters, and today's code.

    Parameters
    ----------
    run : Run
    workbook : Workbook, optional
        The one that the current folder is in, if nothing is said.
    **settings
        As of `Settings`: ``threads``, ``limits``.

    Returns
    -------
    Run
        Kept like any other, under the id that it has with today's code.

    Raises
    ------
    ValueError
        If the run's files do not belong together.
    RunFailed
        If it fails.
    """
    return _again(run, Maker(workbook or Workbook.find()), settings)


def check(
    run: Run, *, workbook: Workbook | None = None, tolerance: float = 0.0, **settings: Any
) -> Comparison:
    """Make a run again, aside, and compare it with what it was; nothing is kept.

    Parameters
    ----------
    run : Run
        One that completed.
    workbook, **settings
        As of `rerun`.
    tolerance : float, default 0.0
        As of `compare`. On another kind of machine the last bits differ.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If the run failed, or its files do not belong together.
    RunFailed
        If it fails now.
    """
    check_completed(run)
    with tempfile.TemporaryDirectory(prefix="rerun-") as folder:
        maker = Maker(workbook or Workbook.find(), Store(Path(folder)))
        return compare(run, _again(run, maker, settings), tolerance=tolerance)


def check_completed(run: Run) -> None:
    """Raise a ValueError if a run failed, and so cannot be checked."""
    if not run.completed:
        raise ValueError(f"{run.name} failed: there are no results to compare with")


def _again(run: Run, maker: Maker, settings: Mapping[str, Any]) -> Run:
    notebook = recorded_notebook(run)
    with suppress(ValueError):  # the workbook's own, if it is still the same
        own = maker.workbook.notebook(run.notebook)
        notebook = own if own.sha256 == notebook.sha256 else notebook
    task = maker.task(notebook, run.parameters)
    (outcome,) = maker.make([task], Settings(**({"force": True} | dict(settings))))
    if outcome.failure is not None:
        raise outcome.failure
    return outcome.run
