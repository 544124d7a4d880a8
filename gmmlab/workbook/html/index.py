"""The index of a reports folder: a card for every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from gmmlab.workbook.html.layout import render

#: results that a card shows at most
SHOWN = 6


def index(cards: Iterable[Mapping[str, Any]]) -> str:
    """Return the page with a card for every run.

    Parameters
    ----------
    cards : iterable of mapping
        For each run `notebook`, `title`, `question`, `picture` (a relative link or a data URI,
        or None) with its `alt`, `results` by name (those that are single values are shown, six
        at most), the relative link `href` to its page, `id`, the `parameters` that are not at
        their defaults, its `status`, "completed" or "failed", and if failed the `reason`. All
        but `title` may be missing.

    Returns
    -------
    str
        HTML.
    """
    shown = [{**card, "numbers": _numbers(card)} for card in cards]
    failed = sum(card.get("status") == "failed" for card in shown)
    summary = f"{len(shown)} run{'s' if len(shown) != 1 else ''}"
    if failed:
        summary += f", {failed} of them failed"
    return render("index.html.j2", title="Reports", summary=f"{summary}.", cards=shown)


def _numbers(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results that fit on a card; a failed run has none."""
    if card.get("status") == "failed":
        return {}
    scalars = (
        (name, value)
        for name, value in (card.get("results") or {}).items()
        if isinstance(value, int | float | str | bool)
    )
    return dict(islice(scalars, SHOWN))
