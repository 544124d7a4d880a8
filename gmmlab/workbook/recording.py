"""What a notebook leaves for whoever ran it: named results, as one JSON bundle."""

from __future__ import annotations

import json
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
        must be finite. No timings: they are not results.

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
