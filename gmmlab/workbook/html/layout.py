"""Shared by all pages: templates, style, and how values are written."""

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
    """Render a template of this package.

    Values in the context are escaped, unless they are `Markup`.
    """
    return _environment().get_template(template).render(**context)


def brief(value: Any, digits: int = 6) -> str:
    """Return a single value in few characters: round numbers, and shorten hashes.

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
    """Return a value in full, as Python code.

    Examples
    --------
    >>> exact(0.1), exact("full"), exact([1, None, True])
    ('0.1', "'full'", '[1, None, True]')
    """
    return repr(value)


def date_time(text: Any) -> str:
    """Return an ISO 8601 time in words; return any other text unchanged.

    Examples
    --------
    >>> date_time("2026-11-22T07:15:25+00:00"), date_time("today")
    ('22 November 2026, 07:15 UTC', 'today')
    """
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return str(text)
    return f"{when.day} {when:%B %Y, %H:%M %Z}".strip()


def compact(value: Any) -> str:
    """Return any value in one line, as JSON where possible."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):  # a circular reference, or nested too deeply
        return "…"


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; booleans are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@cache
def _environment() -> jinja2.Environment:
    """Return the templates, compiled once. Several threads may render them."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters = (brief, exact, date_time, compact)
    environment.filters |= {function.__name__: function for function in filters}
    environment.tests["list"] = lambda value: isinstance(value, list | tuple)
    environment.globals["style"] = Markup((_HERE / "style.css").read_text("utf-8"))
    return environment
