"""The HTML of an executed notebook: one file that needs nothing else, no network either.

nbconvert does the work. Its own page fetches a renderer for formulas and has no alt text;
here formulas become MathML, and images keep theirs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

_HERE = Path(__file__).parent


def to_html(notebook: nbformat.NotebookNode, *, title: str) -> str:
    """Return the page of an executed notebook.

    Parameters
    ----------
    notebook : NotebookNode
    title : str
        Title of the page.

    Returns
    -------
    str
        HTML.
    """
    exporter = _PageExporter(
        template_name="workbook", extra_template_basedirs=[str(_HERE)], exclude_anchor_links=True
    )
    return exporter.from_notebook_node(notebook, {"metadata": {"name": title}})[0]


def to_mathml(formula: str, *, display: str = "inline") -> str:
    """Return a LaTeX formula as MathML; `display` is "inline" or "block"."""
    # The converter knows `split`, which is what `aligned` is within a formula, and it leaves out
    # the thin space that LaTeX puts after the name of a function.
    mathml = convert(formula.replace("{aligned}", "{split}"), display=display)
    return re.sub(r"(<mi>(?:log|exp|sin|cos|det)</mi>)", r'\1<mspace width="0.167em" />', mathml)


class _MathRenderer(IPythonRenderer):
    """Markdown with its formulas as MathML."""

    def inline_math(self, body: str) -> str:
        return to_mathml(body)

    def block_math(self, body: str) -> str:
        return f'<div class="formula">{to_mathml(body, display="block")}</div>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")


class _PageExporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        renderer = _MathRenderer(
            escape=False,
            attachments=context.get("cell", {}).get("attachments", {}),
            exclude_anchor_links=self.exclude_anchor_links,
        )
        return MarkdownWithMath(renderer=renderer).render(source)
