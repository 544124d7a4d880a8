"""Sweeps: a notebook run over a grid of parameters, and one table of what came out."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmmlab.workbook import html as page
from gmmlab.workbook.files import write_whole
from gmmlab.workbook.notebooks import Notebook, Workbook
from gmmlab.workbook.recording import flat
from gmmlab.workbook.runs import provenance
from gmmlab.workbook.runs.runner import Maker, Outcome, Settings, Task
from gmmlab.workbook.runs.store import write_json, writing

if TYPE_CHECKING:
    import pandas as pd


def grid(values: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return every combination of values; the last parameter varies fastest.

    Raises
    ------
    TypeError
        If the values of a parameter are not a list or the like.

    Examples
    --------
    >>> grid({"k": [2, 3], "seed": range(2)})
    [{'k': 2, 'seed': 0}, {'k': 2, 'seed': 1}, {'k': 3, 'seed': 0}, {'k': 3, 'seed': 1}]
    """
    for name, each in values.items():
        if isinstance(each, str | Mapping) or not isinstance(each, Iterable):
            raise TypeError(f"{name} must be swept over a list of values; got {each!r}")
    names = list(values)
    return [
        dict(zip(names, combination, strict=True))
        for combination in itertools.product(*map(list, values.values()))
    ]


@dataclass(frozen=True)
class Sweep:
    """A finished sweep.

    Parameters
    ----------
    folder : Path
        With `sweep.csv`, `sweep.html` and `sweep.json`.
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
        """Those that failed."""
        return [outcome for outcome in self.outcomes if outcome.failure is not None]

    @property
    def table(self) -> pd.DataFrame:
        """One row a run: what `sweep.csv` holds, with lists as lists."""
        import pandas as pd

        rows = [row(outcome) for outcome in self.outcomes]
        return pd.DataFrame(rows, columns=_columns(rows))


def sweep(
    notebook: str | Path,
    values: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    *,
    fixed: Mapping[str, Any] | None = None,
    workbook: Workbook | None = None,
    jobs: int | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Run a notebook over a grid, or a list, of parameters.

    Parameters
    ----------
    notebook : str or Path
        Its file, its name or its number.
    values : mapping of str to iterable, or iterable of mappings
        The values of each swept parameter, of which every combination is run; or the sets of
        parameters one by one.
    fixed : mapping, optional
        Values of other parameters, the same in all runs.
    workbook : Workbook, optional
        The one that the current folder is in, if nothing is said.
    jobs : int, optional
        Runs at the same time: as many as there are cores, if nothing is said.
    **settings
        As of `Settings`: ``limits``, ``force``, ``scheduler``.

    Returns
    -------
    DataFrame
        One row a run: `run`, `status`, every parameter, every recorded result (of a dict, one
        column for each entry), and in `reason` why a run failed. Failed runs have no results.

    Raises
    ------
    ValueError
        If there is no such notebook, or a parameter is not what it may be: before anything is
        started.
    """
    maker = Maker(workbook or Workbook.find())
    maker.store.recover()
    found = maker.workbook.notebook(notebook)
    sets = grid(values) if isinstance(values, Mapping) else [dict(each) for each in values]
    tasks = plan(maker, found, sets, fixed or {})
    chosen = Settings(**{"jobs": jobs or provenance.cores(), "threads": 1} | settings)
    return make(maker, found, tasks, fixed or {}, chosen).table


def plan(
    maker: Maker,
    notebook: Notebook,
    sets: Sequence[Mapping[str, Any]],
    fixed: Mapping[str, Any],
) -> list[Task]:
    """Return the tasks of a sweep.

    Raises
    ------
    ValueError
        If there is none, a parameter is both swept and fixed, or one is not what it may be.
    """
    if not sets:
        raise ValueError("a sweep needs at least one set of parameters; got none")
    if both := sorted({name for each in sets for name in each} & set(fixed)):
        raise ValueError(f"a parameter is either swept or fixed; both: {', '.join(both)}")
    tasks = [maker.task(notebook, {**fixed, **each}) for each in sets]
    return list({task.id: task for task in tasks}.values())


def make(
    maker: Maker,
    notebook: Notebook,
    tasks: Sequence[Task],
    fixed: Mapping[str, Any],
    settings: Settings,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Sweep:
    """Make the runs that are missing, and the table and the page of all.

    The table grows as runs come in; at the end it is written again in the order of the tasks.
    One failed run does not stop the others.
    """
    swept = [
        name
        for name in notebook.parameters
        if len({json.dumps(task.parameters[name]) for task in tasks}) > 1
    ]
    folder = maker.workbook.reports / "sweeps" / notebook.name / _name(swept, tasks)
    outcomes = {}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        table = _Table(folder / "sweep.csv")
        with closing(maker.make(tasks, settings)) as made:
            for outcome in made:
                outcomes[outcome.task.id] = outcome
                table.add(row(outcome))
                on_outcome(outcome)
        sweep = Sweep(folder, [outcomes[task.id] for task in tasks], swept)
        _write(sweep, notebook, fixed)
    return sweep


def row(outcome: Outcome) -> dict[str, Any]:
    """Return what the table says of a run.

    A parameter whose name is taken goes by `parameter NAME`, and a result, by a parameter say,
    by `recorded NAME`.
    """
    run = outcome.run
    said = {
        "run": run.folder.name if run is not None else outcome.task.id,
        "status": "failed" if outcome.failure is not None else "completed",
        "reason": "" if outcome.failure is None else outcome.failure.reason,
    }
    given = outcome.task.parameters
    said |= {column(name): value for name, value in given.items()}
    results = flat(run.results if run is not None else {})
    return said | {f"recorded {n}" if n in said else n: v for n, v in results.items()}


def column(parameter: str) -> str:
    """Return the name of a parameter's column."""
    return f"parameter {parameter}" if parameter in ("run", "status", "reason") else parameter


class _Table:
    """A CSV that grows by a row at a time, and is never half a row to whoever reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.columns: list[str] = []

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if set(row) <= set(self.columns):
            with self.path.open("a", newline="", encoding="utf-8") as file:
                file.write(_csv([row], self.columns, header=False))
        else:  # a column more: as with the first that completed
            write_csv(self.path, self.rows)
            self.columns = _columns(self.rows)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table whole, in place of what was there."""
    write_whole(path, _csv(rows, _columns(rows), header=True))


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of all columns; the reason of a failure comes last."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [*(name for name in names if name != "reason"), "reason"]


def _csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, header: bool) -> str:
    import pandas as pd

    texts = [{name: _entry(value) for name, value in row.items()} for row in rows]
    table = pd.DataFrame(texts, columns=list(columns), dtype=object)
    return table.to_csv(index=False, header=header)


def _entry(value: Any) -> Any:
    """Return a value as CSV has it: lists as JSON, numbers to the last digit."""
    return json.dumps(value) if isinstance(value, list) else value


def _name(swept: Sequence[str], tasks: Sequence[Task]) -> str:
    """Return the name of a sweep: by what varies, and a hash of all its parameters."""
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
    html = page.sweep(
        notebook.title,
        # Lists that were recorded are for programs: there is no picture of them.
        table.drop(columns=set(lists) - set(parameters)),
        [column(name) for name in sweep.swept],
        links=links,
        parameters=[name for name in parameters if name not in map(column, sweep.swept)],
    )
    write_whole(sweep.folder / "sweep.html", html)
