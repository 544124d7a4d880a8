"""The index of a reports folder, with a card for each run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from gmmlab.workbook.html.layout import render

#: maximum number of results on a card
SHOWN = 6


def index_page(cards: Iterable[Mapping[str, Any]]) -> str:
    """Return the page with a card for each run.

    Parameters
    ----------
    cards : iterable of mapping
        The content of each card. Every key except `title` is optional: `notebook`, `title`,
        `question`, `picture` (a relative link, a data URI or None), its text `alt`, `results` by
        name (the first six that are single values are shown), the relative link `href` to the
        page of the run, `id`, the `parameters` that differ from their defaults, `status`
        ("completed" or "failed"), and the `reason` of a failure.

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
    """Return the results to show on a card; a failed run has none."""
    if card.get("status") == "failed":
        return {}
    scalars = (
        (name, value)
        for name, value in (card.get("results") or {}).items()
        if isinstance(value, int | float | str | bool)
    )
    return dict(islice(scalars, SHOWN))
