"""The results that a notebook records, and their comparison between runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gmmlab._extras import extra

#: MIME type of the recorded results among the outputs of a notebook
MIME_TYPE = "application/vnd.gmmlab.record+json"


def record(**results: Any) -> None:
    """Record the results of a notebook; call it once, in the last cell.

    Parameters
    ----------
    **results
        Numbers, strings, booleans, None, and lists, tuples, dicts and arrays of them. Numbers
        must be finite. Do not record timings: they are not results. The name `tolerances` is
        reserved for a dict of tolerances by name of result, for results that differ between kinds
        of machine by more than rounding, such as those of a trained network; see `differences`.

    Raises
    ------
    TypeError
        If a result has another type.
    ValueError
        If a result is not finite, or no result is given.
    """
    with extra("workbook"):
        from IPython.display import display

    if not results:
        raise ValueError("record needs at least one named result, e.g. record(n_iter=12)")
    plain = {name: _plain(value, name) for name, value in results.items()}
    display({MIME_TYPE: plain, "text/plain": f"Recorded: {', '.join(plain)}"}, raw=True)


def recorded(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results that an executed notebook recorded.

    Parameters
    ----------
    notebook : mapping
        The notebook as nbformat reads it.

    Returns
    -------
    dict
        The results by name; empty if the notebook recorded none.
    """
    results: dict[str, Any] = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            results.update(output.get("data", {}).get(MIME_TYPE, {}))
    return results


def differences(
    one: Mapping[str, Any], other: Mapping[str, Any], *, tolerance: float = 1e-6
) -> dict[str, tuple[Any, Any]]:
    """Return the recorded results that differ between two runs.

    Parameters
    ----------
    one, other : mapping
        Results as returned by `recorded`.
    tolerance : float, default 1e-6
        The largest difference allowed between two numbers: absolute up to size 1 and relative
        above. With 0, numbers must be equal to the last bit. With a positive value, a result
        for which both runs recorded the same larger entry in `tolerances` may differ by that
        entry.

    Returns
    -------
    dict
        For each name that differs, both values; None stands for a missing value.

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
    """Flatten nested mappings to one mapping with dotted names.

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
    if tolerance == 0:  # to the last bit: 0.0 differs from −0.0, and 1.0 from 1
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
    """Convert a value to the types of JSON."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, name) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, name) for entry in value]
    if value is not None and not isinstance(value, str | bool | int | float):
        raise TypeError(f"{name} must have a type that JSON supports; got {type(value).__name__}")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError(f"{name} must be finite to be recorded; got {value}") from None
    return value
