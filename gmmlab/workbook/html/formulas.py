"""Markdown with LaTeX formulas, as HTML with MathML, which browsers render without scripts."""

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

    A formula that cannot be converted is returned as code.
    """
    # The converter does not support `aligned`, but the equivalent `split`. It also omits the
    # thin space that LaTeX inserts after the name of a function.
    try:
        mathml = convert(formula.replace("{aligned}", "{split}"), display=display)
    except Exception:  # the errors of the converter have no common base class
        return f"<code>{escape(formula)}</code>"
    return re.sub(r"(<mi>(?:log|exp|sin|cos|det)</mi>)", r'\1<mspace width="0.167em" />', mathml)


class Heading(NamedTuple):
    """A heading of the notebook, for the table of contents."""

    level: int
    anchor: str
    html: Markup


class Markdown:
    """Renders the Markdown of one notebook and collects its headings.

    Attributes
    ----------
    title : Markup or None
        The first heading of the notebook, if it has level 1. It is left out of the rendered
        text, because the page shows it at the top.
    headings : list of Heading
        All other headings.
    """

    def __init__(self) -> None:
        self.title: Markup | None = None
        self.headings: list[Heading] = []
        self._renderer = _Renderer(self)
        self._markdown = MarkdownWithMath(renderer=self._renderer)

    def __call__(self, source: str, attachments: Mapping[str, Any] | None = None) -> Markup:
        """Return the HTML of the source of a cell."""
        self._renderer.attachments = dict(attachments or {})
        html = self._markdown.render(source)
        html = html.replace("<table", '<div class="wide"><table').replace(
            "</table>", "</table></div>"
        )
        return Markup(html)

    def heading(self, html: str, level: int) -> str:
        """Return the HTML of a heading with an anchor; empty for the title."""
        if level == 1 and self.title is None and not self.headings:
            self.title = Markup(html)
            return ""
        # Use the anchors of JupyterLab, so that links within a notebook work.
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
