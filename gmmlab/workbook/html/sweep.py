"""The page of a sweep: failures, charts of the recorded results, and a table of all runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from gmmlab.workbook.html.charts import REPLICATE, draw_charts, value_label
from gmmlab.workbook.html.layout import is_number, render

#: maximum number of charts on a page
CHARTS = 24


def sweep_page(
    title: str,
    table: pd.DataFrame,
    swept: Sequence[str],
    *,
    failures: Iterable[Mapping[str, Any]] = (),
    links: Mapping[str, str] | None = None,
    parameters: Sequence[str] = (),
) -> str:
    """Return the page of a sweep.

    Parameters
    ----------
    title : str
        Title of the page.
    table : DataFrame
        One row for each run, with the columns "run", "status", parameters, recorded results and
        "reason". All except "run" and the swept parameters are optional.
    swept : sequence of str
        The columns of the parameters that vary. Charts show the spread over the one named "seed".
    failures : iterable of mapping, optional
        The runs that failed, each with "run", "reason" and "parameters"; by default, the rows
        whose status is "failed".
    links : mapping, optional
        A relative link to the page of each run.
    parameters : sequence of str, optional
        Columns of parameters that do not vary. Other columns are results.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    KeyError
        If `table` has no column "run", or no column for a swept parameter.
    """
    if missing := [name for name in ("run", *swept) if name not in table.columns]:
        raise KeyError(f"table must have the column {', '.join(missing)}")
    table = _python_values(table)
    done = table[table["status"] != "failed"] if "status" in table else table
    fixed = [name for name in parameters if name in table and name not in swept]
    results = [
        name
        for name in table.columns
        if name not in {"run", "status", "reason", *swept, *fixed}
    ]  # fmt: skip
    numbers, summaries = _split_results(done, results)
    charts = list(islice(draw_charts(done, swept, numbers), CHARTS))
    possible = len(numbers) * max(1, len([name for name in swept if name != REPLICATE]))
    order = ["run", "status", *swept, *results, *fixed, "reason"]
    return render(
        "sweep.html.j2",
        title=title,
        swept={name: _summary(table[name]) for name in swept},
        n_runs=len(table),
        failures=[{**(f.get("parameters") or {}), **f} for f in failures] or _failures(table),
        charts=charts,
        omitted=max(0, possible - len(charts)),
        summaries=summaries,
        columns=[name for name in order if name in table and not _empty(table, name)],
        numeric={name for name in table if any(map(is_number, table[name]))},
        rows=table.to_dict("records"),
        links=links or {},
        datatables=_datatables(),
    )


def _python_values(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with Python values, and None for missing ones.

    pandas reads a column of whole numbers with missing values as floats; they become ints again.
    """

    def plain(value: Any) -> Any:
        value = value.item() if hasattr(value, "item") else value
        if value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
            return None
        return value

    columns: dict[str, pd.Series] = {}
    for i, name in enumerate(map(str, table.columns)):
        values = [plain(value) for value in table.iloc[:, i]]
        present = [value for value in values if value is not None]
        whole = all(isinstance(value, float) and value.is_integer() for value in present)
        if None in values and whole:
            values = [None if value is None else int(value) for value in values]
        # A notebook may record a result under the name of a parameter.
        columns[f"{name} (result)" if name in columns else name] = pd.Series(values, dtype=object)
    return pd.DataFrame(columns)


def _empty(table: pd.DataFrame, name: str) -> bool:
    return name == "reason" and not any(table[name])


def _split_results(table: pd.DataFrame, results: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the names of results to draw, and a summary in words of each of the others."""
    numbers, summaries = [], {}
    for name in results:
        values = [value for value in table[name] if value is not None]
        if not values:
            summaries[name] = "not recorded by any run"
        elif len(set(map(value_label, values))) == 1:
            summaries[name] = f"{value_label(values[0])} in every run"
        elif all(is_number(value) for value in values):
            numbers.append(name)
        else:
            summaries[name] = _summary(pd.Series(values, dtype=object))
    return numbers, summaries


def _summary(values: pd.Series, shown: int = 8) -> str:
    """List the distinct values and, unless all are numbers, how often each occurs."""
    if all(is_number(value) for value in values):
        names = [value_label(value) for value in sorted(set(values))]
    else:
        counts = values.map(value_label).value_counts()
        names = [f"{name} ({count})" for name, count in counts.items()]
    if len(names) <= shown:
        return ", ".join(names)
    return f"{', '.join(names[: shown - 2])}, …, {names[-1]} ({len(names)} in total)"


def _failures(table: pd.DataFrame) -> list[dict[str, Any]]:
    if "status" not in table:
        return []
    return table[table["status"] == "failed"].to_dict("records")


@cache
def _datatables() -> Markup:
    """Return the JavaScript library DataTables, which is part of itables."""
    from itables import options

    return Markup(Path(options.dt_bundle).read_text("utf-8"))
