"""Markdown to HTML with its formulas as MathML, which browsers render by themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from latex2mathml.converter import convert
from markupsafe import Markup, escape
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.filters.strings import html2text


@cache
def to_mathml(formula: str, *, display: str = "inline") -> str:
    """Return a LaTeX formula as MathML; `display` is "inline" or "block".

    A formula that cannot be converted is shown as it was written.
    """
    # The converter knows `split`, which is what `aligned` is within a formula, and it leaves out
    # the thin space that LaTeX puts after the name of a function.
    try:
        mathml = convert(formula.replace("{aligned}", "{split}"), display=display)
    except Exception:  # its errors have no common class
        return f"<code>{escape(formula)}</code>"
    return re.sub(r"(<mi>(?:log|exp|sin|cos|det)</mi>)", r'\1<mspace width="0.167em" />', mathml)


class Heading(NamedTuple):
    """A heading of the notebook, for its table of contents."""

    level: int
    anchor: str
    html: Markup


class Markdown:
    """Renders the Markdown of one notebook and remembers its headings.

    Attributes
    ----------
    title : Markup or None
        The notebook's first heading, if it is of the first level. It is left out of the text:
        the page puts it at its own head.
    headings : list of Heading
        All the others.
    """

    def __init__(self) -> None:
        self.title: Markup | None = None
        self.headings: list[Heading] = []
        self._renderer = _Renderer(self)
        self._markdown = MarkdownWithMath(renderer=self._renderer)

    def __call__(self, source: str, attachments: Mapping[str, Any] | None = None) -> Markup:
        """Return the HTML of a cell's source."""
        self._renderer.attachments = dict(attachments or {})
        html = self._markdown.render(source)
        html = html.replace("<table", '<div class="wide"><table').replace(
            "</table>", "</table></div>"
        )
        return Markup(html)

    def heading(self, html: str, level: int) -> str:
        """Return a heading with an anchor, or nothing where it is the title."""
        if level == 1 and self.title is None and not self.headings:
            self.title = Markup(html)
            return ""
        # Anchors are those of JupyterLab, so that links within a notebook lead somewhere.
        anchor = html2text(html).strip().replace(" ", "-")
        taken = sum(heading.anchor.split("~")[0] == anchor for heading in self.headings)
        anchor += f"~{taken + 1}" if taken else ""
        self.headings.append(Heading(level, anchor, Markup(html)))
        return f'<h{level} id="{escape(anchor)}">{html}</h{level}>\n'


class _Renderer(IPythonRenderer):
    def __init__(self, owner: Markdown) -> None:
        super().__init__(escape=False, exclude_anchor_links=True)
        self._owner = owner

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        return self._owner.heading(text, level)

    def inline_math(self, body: str) -> str:
        return to_mathml(body)

    def block_math(self, body: str) -> str:
        return f'<div class="formula">{to_mathml(body, display="block")}</div>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")
