"""The page of an executed notebook."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from markupsafe import Markup
from nbconvert.filters.ansi import ansi2html, strip_ansi
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import TextLexer, get_lexer_by_name
from pygments.util import ClassNotFound

from gmmlab.workbook.html.formulas import Markdown
from gmmlab.workbook.html.layout import render

_PLOTLY = "application/vnd.plotly.v1+json"
_PICTURES = ("image/svg+xml", "image/png", "image/jpeg")
_FORMATTER = HtmlFormatter()


def to_html(
    notebook: Mapping[str, Any],
    *,
    title: str,
    run: Mapping[str, Any] | None = None,
    failure: str | None = None,
) -> str:
    """Return the page of an executed notebook.

    Safe to call from several threads at once.

    Parameters
    ----------
    notebook : NotebookNode
        The notebook as nbformat reads it; it is not changed.
    title : str
        Title of the page.
    run : mapping, optional
        What was run, for the head of the page: `id`, `notebook`, `parameters` (for each its
        `value`, `default`, `help`, `allowed`), `results`, `provenance`, `figures` (relative
        links). Any of them may be missing.
    failure : str, optional
        Why the run failed, a traceback say. The page then says so before anything else.

    Returns
    -------
    str
        HTML.
    """
    markdown = Markdown()
    lexer = _lexer(notebook.get("metadata", {}).get("language_info", {}))
    cells = [_cell(cell, markdown, lexer) for cell in notebook["cells"]]
    interactive = any(
        output["kind"] == "plotly" for cell in cells for output in cell.get("outputs", ())
    )
    return render(
        "notebook.html.j2",
        title=title if failure is None else f"Failed: {title}",
        heading=markdown.title,
        headings=markdown.headings,
        cells=cells,
        run=run,
        changed=_changed(run or {}),
        failure=None if failure is None else strip_ansi(failure),
        plotly=_plotly() if interactive else None,
    )


def _changed(run: Mapping[str, Any]) -> str | None:
    """Say how many parameters are not at their defaults."""
    parameters = [p for p in (run.get("parameters") or {}).values() if isinstance(p, Mapping)]
    if not parameters:
        return None
    changed = sum("default" in p and p.get("value") != p["default"] for p in parameters)
    if not changed:
        return "All parameters at their defaults."
    return f"{changed} of {len(parameters)} parameters changed from their defaults."


def _cell(cell: Mapping[str, Any], markdown: Markdown, lexer: Lexer) -> dict[str, Any]:
    if cell["cell_type"] == "markdown":
        return {"kind": "markdown", "html": markdown(cell["source"], cell.get("attachments"))}
    if cell["cell_type"] == "code":
        return {
            "kind": "code",
            "html": Markup(highlight(cell["source"], lexer, _FORMATTER)),
            "outputs": list(_outputs(cell.get("outputs", ()), markdown)),
        }
    return {"kind": cell["cell_type"]}


def _outputs(outputs: Any, markdown: Markdown) -> Iterator[dict[str, Any]]:
    """Return what the page shows of a cell's outputs."""
    for output in outputs:
        if output["output_type"] == "stream":
            yield _text(output["text"], output.get("name", "stdout"))
        elif output["output_type"] == "error":
            yield _text("\n".join(output["traceback"]), "error")
        else:
            yield _richest(output["data"], output.get("metadata", {}), markdown)


def _richest(data: Any, metadata: Any, markdown: Markdown) -> dict[str, Any]:
    """Return the form of an output that says most and needs no network.

    HTML, Markdown and formulas are taken as the notebook has them; scripts and widgets are not.
    """
    still = next((mime for mime in _PICTURES if mime in data), None)
    if _PLOTLY in data:
        return {
            "kind": "plotly",
            "content": data[_PLOTLY],
            "still": still and _uri(data[still], still),
            "metadata": metadata.get(still, {}),
        }
    if "text/html" in data:
        return {"kind": "html", "content": Markup(data["text/html"])}
    for mime in ("text/markdown", "text/latex"):
        if mime in data:
            return {"kind": "html", "content": Markdown()(data[mime])}
    if still:
        uri = _uri(data[still], still)
        return {"kind": "picture", "content": uri, "metadata": metadata.get(still, {})}
    return _text(data.get("text/plain", "An output that this page cannot show"), "result")


def _text(text: str, name: str) -> dict[str, Any]:
    return {"kind": "text", "name": name, "content": Markup(ansi2html(text))}


def _uri(picture: str, mime: str) -> str:
    """Return a picture as a link that holds it. Notebooks have SVG as text."""
    if mime == "image/svg+xml":
        picture = base64.b64encode(picture.encode()).decode()
    return f"data:{mime};base64,{''.join(picture.split())}"


def _lexer(language: Mapping[str, Any]) -> Lexer:
    return _lexer_of(language.get("pygments_lexer") or language.get("name") or "python")


@cache
def _lexer_of(name: str) -> Lexer:
    try:
        return get_lexer_by_name(name)
    except ClassNotFound:
        return TextLexer()


@cache
def _plotly() -> Markup:
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs())
