"""Sweeps: a notebook is run over a grid of parameters, and one table collects the results."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gmmlab.workbook.files import write_whole
from gmmlab.workbook.html import sweep_page
from gmmlab.workbook.notebooks import Notebook, Workbook
from gmmlab.workbook.parameters import grid
from gmmlab.workbook.recording import flat
from gmmlab.workbook.runs import ClusterRunner, Outcome, Runner, Settings, Task
from gmmlab.workbook.runs.provenance import cores
from gmmlab.workbook.runs.store import write_json, writing


@dataclass(frozen=True)
class Sweep:
    """A finished sweep.

    Parameters
    ----------
    folder : Path
        Contains `sweep.csv`, `sweep.html` and `sweep.json`.
    outcomes : list of Outcome
        One for each set of parameters, in their order.
    swept : list of str
        The parameters that vary.
    """

    folder: Path
    outcomes: list[Outcome]
    swept: list[str]

    @property
    def failures(self) -> list[Outcome]:
        """The outcomes of failed runs."""
        return [outcome for outcome in self.outcomes if outcome.failure is not None]

    @property
    def table(self) -> pd.DataFrame:
        """The content of `sweep.csv`, one row for each run; lists remain lists."""
        rows = [row(outcome) for outcome in self.outcomes]
        return pd.DataFrame(rows, columns=_columns(rows))


def sweep(
    notebook: str | Path,
    values: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    *,
    fixed: Mapping[str, Any] | None = None,
    workbook: Workbook | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Run a notebook over a grid or a list of parameters.

    Parameters
    ----------
    notebook : str or Path
        The file, the name or the number of the notebook.
    values : mapping of str to iterable, or iterable of mappings
        Either the values of each swept parameter, of which every combination is run, or a list
        of sets of parameters.
    fixed : mapping, optional
        Values of other parameters, the same in all runs.
    workbook : Workbook, optional
        By default, the workbook that contains the current folder.
    jobs : int, optional
        Number of runs at the same time; by default, the number of cores.
    scheduler : str, optional
        Address of a Dask scheduler whose workers make the runs.
    **settings
        Fields of `Settings`: ``limits``, ``force``, ``threads``.

    Returns
    -------
    DataFrame
        One row for each run, with the columns `run`, `status`, every parameter, every recorded
        result (one column for each entry of a dict), and `reason`, which says why a run failed.
        Failed runs have no results.

    Raises
    ------
    ValueError
        If there is no such notebook, or a parameter is unknown or not allowed. Nothing has been
        started then.
    """
    runner = runner_of(workbook or Workbook.find(), scheduler)
    runner.store.recover()
    found = runner.workbook.notebook(notebook)
    sets = grid(values) if isinstance(values, Mapping) else [dict(each) for each in values]
    tasks = plan(runner, found, sets, fixed or {})
    chosen = Settings(**{"jobs": jobs or cores(), "threads": 1} | settings)
    return make(runner, found, tasks, fixed or {}, chosen).table


def runner_of(workbook: Workbook, scheduler: str | None) -> Runner:
    """Return a runner on this machine or, with the address of a scheduler, on its cluster."""
    return Runner(workbook) if scheduler is None else ClusterRunner(workbook, scheduler)


def plan(
    runner: Runner,
    notebook: Notebook,
    sets: Sequence[Mapping[str, Any]],
    fixed: Mapping[str, Any],
) -> list[Task]:
    """Return the tasks of a sweep.

    Raises
    ------
    ValueError
        If there is no set of parameters, a parameter is both swept and fixed, or a parameter is
        unknown or not allowed.
    """
    if not sets:
        raise ValueError("a sweep needs at least one set of parameters; got none")
    if both := sorted({name for each in sets for name in each} & set(fixed)):
        raise ValueError(f"a parameter is either swept or fixed, not both: {', '.join(both)}")
    tasks = [runner.task(notebook, {**fixed, **each}) for each in sets]
    return list({task.id: task for task in tasks}.values())


def make(
    runner: Runner,
    notebook: Notebook,
    tasks: Sequence[Task],
    fixed: Mapping[str, Any],
    settings: Settings,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Sweep:
    """Make the missing runs of a sweep, and write the table and the page of all runs.

    The table grows as runs come in; at the end it is written again in the order of the tasks.
    A failed run does not stop the others.
    """
    swept = [
        name
        for name in notebook.parameters
        if len({json.dumps(task.parameters[name]) for task in tasks}) > 1
    ]
    folder = runner.workbook.reports / "sweeps" / notebook.name / _name(swept, tasks)
    outcomes = {}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        table = _Table(folder / "sweep.csv")
        with closing(runner.make(tasks, settings)) as finished:
            for outcome in finished:
                outcomes[outcome.task.id] = outcome
                table.add(row(outcome))
                on_outcome(outcome)
        made = Sweep(folder, [outcomes[task.id] for task in tasks], swept)
        _write(made, notebook, fixed)
    return made


def row(outcome: Outcome) -> dict[str, Any]:
    """Return the row of a run in the table.

    A parameter with the name of another column is called `parameter NAME`, and a result with
    such a name is called `recorded NAME`.
    """
    run = outcome.run
    cells = {
        "run": run.folder.name if run is not None else outcome.task.id,
        "status": "failed" if outcome.failure is not None else "completed",
        "reason": "" if outcome.failure is None else outcome.failure.reason,
    }
    parameters = outcome.task.parameters
    cells |= {column(name): value for name, value in parameters.items()}
    results = flat(run.results if run is not None else {})
    return cells | {f"recorded {n}" if n in cells else n: v for n, v in results.items()}


def column(parameter: str) -> str:
    """Return the name of the column of a parameter."""
    return f"parameter {parameter}" if parameter in ("run", "status", "reason") else parameter


class _Table:
    """A CSV file that grows row by row; a reader never sees an incomplete row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.columns: list[str] = []

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if set(row) <= set(self.columns):
            with self.path.open("a", newline="", encoding="utf-8") as file:
                file.write(_csv([row], self.columns, header=False))
        else:  # a new column, for example the results of the first completed run
            write_csv(self.path, self.rows)
            self.columns = _columns(self.rows)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table atomically."""
    write_whole(path, _csv(rows, _columns(rows), header=True))


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of all columns, with `reason` last."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [*(name for name in names if name != "reason"), "reason"]


def _csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, header: bool) -> str:
    texts = [{name: _entry(value) for name, value in row.items()} for row in rows]
    table = pd.DataFrame(texts, columns=list(columns), dtype=object)
    return table.to_csv(index=False, header=header)


def _entry(value: Any) -> Any:
    """Return a value as it is written to CSV: lists as JSON, numbers with all digits."""
    return json.dumps(value) if isinstance(value, list) else value


def _name(swept: Sequence[str], tasks: Sequence[Task]) -> str:
    """Return the name of a sweep: the swept parameters, and a hash of all parameters."""
    given = json.dumps([task.given for task in tasks], sort_keys=True)
    return "-".join([*swept, hashlib.sha256(given.encode()).hexdigest()[:8]])


def _write(sweep: Sweep, notebook: Notebook, fixed: Mapping[str, Any]) -> None:
    write_csv(sweep.folder / "sweep.csv", [row(outcome) for outcome in sweep.outcomes])
    write_json(
        sweep.folder / "sweep.json",
        {
            "notebook": notebook.name,
            "swept": sweep.swept,
            "fixed": dict(fixed),
            "runs": [outcome.task.id for outcome in sweep.outcomes],
        },
    )
    links = {
        outcome.run.folder.name: os.path.relpath(outcome.run.page, sweep.folder)
        for outcome in sweep.outcomes
        if outcome.run is not None
    }
    table = sweep.table
    parameters = [column(name) for name in notebook.parameters]
    lists = [name for name in table if any(isinstance(value, list) for value in table[name])]
    for name in set(lists) & set(parameters):
        table[name] = table[name].map(_entry)
    html = sweep_page(
        notebook.title,
        # Recorded lists are meant for programs; the page has no chart of them.
        table.drop(columns=set(lists) - set(parameters)),
        [column(name) for name in sweep.swept],
        links=links,
        parameters=[name for name in parameters if name not in map(column, sweep.swept)],
    )
    write_whole(sweep.folder / "sweep.html", html)
