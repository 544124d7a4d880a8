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

    Several threads may call this function at once.

    Parameters
    ----------
    notebook : NotebookNode
        The notebook as nbformat reads it; it is not modified.
    title : str
        Title of the page.
    run : mapping, optional
        The content of the head of the page. Every key is optional: `id`, `notebook`,
        `parameters` (for each its `value`, `default`, `help`, `allowed`), `results`,
        `provenance`, `figures` (relative links).
    failure : str, optional
        The reason why the run failed, for example a traceback. The page begins with it.

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
    """Return a sentence that says how many parameters differ from their defaults."""
    parameters = [p for p in (run.get("parameters") or {}).values() if isinstance(p, Mapping)]
    if not parameters:
        return None
    changed = sum("default" in p and p.get("value") != p["default"] for p in parameters)
    if not changed:
        return "All parameters have their default values."
    verb = "differs from its default" if changed == 1 else "differ from their defaults"
    return f"{changed} of {len(parameters)} parameters {verb}."


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
    """Yield the outputs of a cell in the form that the page shows."""
    for output in outputs:
        if output["output_type"] == "stream":
            yield _text(output["text"], output.get("name", "stdout"))
        elif output["output_type"] == "error":
            yield _text("\n".join(output["traceback"]), "error")
        else:
            yield _richest(output["data"], output.get("metadata", {}), markdown)


def _richest(data: Any, metadata: Any, markdown: Markdown) -> dict[str, Any]:
    """Return the richest form of an output that works without the network.

    This can be a Plotly figure, HTML, Markdown, LaTeX, an image or text, in this order. Scripts
    and widgets are not supported.
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
    return _text(data.get("text/plain", "This page cannot show this output."), "result")


def _text(text: str, name: str) -> dict[str, Any]:
    return {"kind": "text", "name": name, "content": Markup(ansi2html(text))}


def _uri(picture: str, mime: str) -> str:
    """Return an image as a data URI."""
    if mime == "image/svg+xml":  # which a notebook stores as text, not in base 64
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
