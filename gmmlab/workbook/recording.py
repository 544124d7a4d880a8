"""What a notebook leaves for whoever ran it: named results, as one JSON bundle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

#: the mime type of the bundle in the notebook's outputs
MIME_TYPE = "application/vnd.gmmlab.record+json"


def record(**results: Any) -> None:
    """Record the notebook's results; call it once, in the last cell.

    Parameters
    ----------
    **results
        Numbers, strings, booleans, None, and lists, tuples, dicts and arrays of them. Numbers
        must be finite. No timings: they are not results. The name `tolerances` is kept for how
        much results may differ between kinds of machine, where it is more than rounding (a
        network that was trained, say): a dict by name of result; see `differences`.

    Raises
    ------
    TypeError, ValueError
        If a result is of another kind, is not finite, or there is none.
    """
    from IPython.display import display

    if not results:
        raise ValueError("record needs at least one named result, e.g. record(n_iter=12)")
    plain = {name: _plain(value, name) for name, value in results.items()}
    display({MIME_TYPE: plain, "text/plain": f"Recorded: {', '.join(plain)}"}, raw=True)


def recorded(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an executed notebook recorded.

    Parameters
    ----------
    notebook : mapping
        The notebook as nbformat reads it.

    Returns
    -------
    dict
        The results by name; empty if nothing was recorded.
    """
    results: dict[str, Any] = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            results.update(output.get("data", {}).get(MIME_TYPE, {}))
    return results


def differences(
    one: Mapping[str, Any], other: Mapping[str, Any], *, tolerance: float = 1e-6
) -> dict[str, tuple[Any, Any]]:
    """Return the recorded results that are not the same in two runs.

    Parameters
    ----------
    one, other : mapping
        What `recorded` gave.
    tolerance : float, default 1e-6
        Numbers may differ by this much, relative to their size where that is above 1; with 0,
        not by a bit. Otherwise results that both say may differ by more, under the name
        `tolerances`, may do so.

    Returns
    -------
    dict
        For each name that differs, both values (None where there is none).

    Examples
    --------
    >>> differences({"n_iter": 12, "x": [1.0]}, {"n_iter": 13, "x": [1.0 + 1e-9]})
    {'n_iter': (12, 13)}
    """
    loose = one.get("tolerances") if tolerance else None
    loose = loose if isinstance(loose, Mapping) and loose == other.get("tolerances") else {}
    return {
        name: (one.get(name), other.get(name))
        for name in [*one, *(name for name in other if name not in one)]
        if name not in one
        or name not in other
        or not _same(one[name], other[name], max(tolerance, loose.get(name, 0)))
    }


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values by dotted names.

    Examples
    --------
    >>> flat({"a": 1, "b": {"c": [2], "d": {"e": 3}}})
    {'a': 1, 'b.c': [2], 'b.d.e': 3}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": each for inner, each in flat(value).items()}
        else:
            found[name] = value
    return found


def _same(one: Any, other: Any, tolerance: float) -> bool:
    if tolerance == 0:  # to the last bit: 0.0 is not −0.0, nor 1.0 a 1
        return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other, [tolerance] * len(one)))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return not differences(one, other, tolerance=tolerance)
    if isinstance(one, float) or isinstance(other, float):
        return (
            _is_number(one)
            and _is_number(other)
            and math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
        )
    return one == other and type(one) is type(other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any, name: str) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, name) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, name) for entry in value]
    if value is not None and not isinstance(value, str | bool | int | float):
        raise TypeError(f"{name} must be something JSON can hold; got {type(value).__name__}")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError(f"{name} must be finite to be recorded; got {value}") from None
    return value
