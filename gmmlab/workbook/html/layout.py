"""What all pages share: the frame, the look, and how values are written."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_HERE = Path(__file__).parent / "templates"


def render(template: str, **context: Any) -> str:
    """Return a page made of a template of this package.

    What is handed in is escaped, unless it is `Markup`.
    """
    return _environment().get_template(template).render(**context)


def brief(value: Any, digits: int = 6) -> str:
    """Return a single value in few characters: numbers rounded, strings as they are.

    Examples
    --------
    >>> brief(-1472.2182249779785), brief(3), brief(True), brief("full"), brief(None)
    ('-1472.22', '3', 'True', 'full', 'None')
    """
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40,}", value):
        return f"{value[:12]}…"
    return str(value)


def exact(value: Any) -> str:
    """Return a value in full, as the parameters cell of a notebook would have it.

    Examples
    --------
    >>> exact(0.1), exact("full"), exact([1, None, True])
    ('0.1', "'full'", '[1, None, True]')
    """
    return repr(value)


def moment(text: Any) -> str:
    """Return a time in ISO 8601 as people write it; anything else as it is.

    Examples
    --------
    >>> moment("2026-11-22T07:15:25+00:00"), moment("today")
    ('22 November 2026, 07:15 UTC', 'today')
    """
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    return f"{when.day} {when:%B %Y, %H:%M %Z}".strip()


def compact(value: Any) -> str:
    """Return anything in one line."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):  # a circle, or too deep
        return "…"


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@cache
def _environment() -> jinja2.Environment:
    """Return the templates, compiled once; rendering them is safe in several threads."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"brief": brief, "exact": exact, "compact": compact, "moment": moment}
    environment.tests["list"] = lambda value: isinstance(value, list | tuple)
    environment.globals["style"] = Markup((_HERE / "style.css").read_text("utf-8"))
    return environment
