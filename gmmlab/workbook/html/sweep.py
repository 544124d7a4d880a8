"""The page of a sweep: what failed, what was recorded, and how it depends on what was swept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from gmmlab.workbook.html.charts import REPLICATE, label, panels
from gmmlab.workbook.html.layout import is_number, render

#: pictures on a page at most
PICTURES = 24


def sweep(
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
        One row a run: "run", "status", parameters, recorded results, "reason". Only "run" must
        be there.
    swept : sequence of str
        The parameters that vary, in `table`. One named "seed" is what the spread is taken over.
    failures : iterable of mapping, optional
        The runs that failed, each with "run", "reason" and "parameters"; by default those whose
        status in the table is "failed".
    links : mapping, optional
        For each run a relative link to its page.
    parameters : sequence of str, optional
        Parameters in `table` that do not vary; else they would count as results.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    KeyError
        If `table` has no column "run", or a swept parameter is none of its columns.
    """
    if missing := [name for name in ("run", *swept) if name not in table.columns]:
        raise KeyError(f"the table of the sweep has no column {', '.join(missing)}")
    table = _plain(table)
    done = table[table["status"] != "failed"] if "status" in table else table
    fixed = [name for name in parameters if name in table and name not in swept]
    results = [
        name
        for name in table.columns
        if name not in {"run", "status", "reason", *swept, *fixed}
    ]  # fmt: skip
    numbers, words = _kinds(done, results)
    drawn = list(islice(panels(done, swept, numbers), PICTURES))
    possible = len(numbers) * max(1, len([name for name in swept if name != REPLICATE]))
    order = ["run", "status", *swept, *results, *fixed, "reason"]
    return render(
        "sweep.html.j2",
        title=title,
        swept={name: _listed(table[name]) for name in swept},
        n_runs=len(table),
        failures=[{**(f.get("parameters") or {}), **f} for f in failures] or _failures(table),
        panels=drawn,
        left_out=max(0, possible - len(drawn)),
        words=words,
        columns=[name for name in order if name in table and not _empty(table, name)],
        numeric={name for name in table if any(map(is_number, table[name]))},
        rows=table.to_dict("records"),
        links=links or {},
        datatables=_datatables(),
    )


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with Python's own values, None where there is none.

    A column of whole numbers that has holes comes from a file as floats: they are whole again.
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
        # A notebook may record a parameter under its own name.
        columns[f"{name} (result)" if name in columns else name] = pd.Series(values, dtype=object)
    return pd.DataFrame(columns)


def _empty(table: pd.DataFrame, name: str) -> bool:
    return name == "reason" and not any(table[name])


def _kinds(table: pd.DataFrame, results: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the results that can be drawn, and the others with what to say of them."""
    numbers, words = [], {}
    for name in results:
        values = [value for value in table[name] if value is not None]
        if not values:
            words[name] = "never recorded"
        elif len(set(map(label, values))) == 1:
            words[name] = f"{label(values[0])} in every run"
        elif all(is_number(value) for value in values):
            numbers.append(name)
        else:
            words[name] = _listed(pd.Series(values, dtype=object))
    return numbers, words


def _listed(values: pd.Series, shown: int = 8) -> str:
    """Say which values there are, and how often each one that is not a number."""
    if all(is_number(value) for value in values):
        names = [label(value) for value in sorted(set(values))]
    else:
        counts = values.map(label).value_counts()
        names = [f"{name} ({count})" for name, count in counts.items()]
    if len(names) <= shown:
        return ", ".join(names)
    return f"{', '.join(names[: shown - 2])}, …, {names[-1]} ({len(names)} in all)"


def _failures(table: pd.DataFrame) -> list[dict[str, Any]]:
    if "status" not in table:
        return []
    return table[table["status"] == "failed"].to_dict("records")


@cache
def _datatables() -> Markup:
    """Return the library that sorts and searches; itables brings it along."""
    from itables import options

    return Markup(Path(options.dt_bundle).read_text("utf-8"))
