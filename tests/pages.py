"""Notebooks, runs, cards and sweeps for tests of the HTML pages."""

import base64
import io

import nbformat
import numpy as np
import pandas as pd
from bs4 import BeautifulSoup
from PIL import Image

from gmmlab.workbook.html import sweep_page, to_html

PLOTLY = "application/vnd.plotly.v1+json"
#: a text that breaks a page which does not escape it
HOSTILE = "<script>alert('x')</script>\"'&"


def text(source):
    """Return a Markdown cell."""
    return nbformat.v4.new_markdown_cell(source)


def code(source="1", *outputs):
    """Return a code cell."""
    return nbformat.v4.new_code_cell(source, outputs=list(outputs))


def shown(metadata=None, **data):
    """Return an output; its MIME types are written with _ instead of /."""
    data = {mime.replace("_", "/", 1): value for mime, value in data.items()}
    return nbformat.v4.new_output("display_data", data=data, metadata=metadata or {})


def pixels(kind="PNG"):
    """Return an image in base 64."""
    file = io.BytesIO()
    Image.new("RGB", (320, 200), "teal").save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def plotly(*, kind="scatter", still=True, **layout):
    """Return the output of a Plotly figure, with or without a still image."""
    values = {"x": [1, 2, 3], "y": [1, 4, 9]} | ({"z": [1, 2, 3]} if kind == "scatter3d" else {})
    data = {PLOTLY: {"data": [{"type": kind, **values}], "layout": layout}, "text/plain": "figure"}
    if still:
        data["image/png"] = pixels()
    return nbformat.v4.new_output(
        "display_data", data=data, metadata={"image/png": {"alt": "A parabola"}} if still else {}
    )


def run(**changes):
    """Return the content of the head of a page."""
    return {
        "id": "3f2a9c0d17be",
        "notebook": "02-full-em",
        "parameters": {
            "n_samples": {"value": 500, "default": 500, "help": "size", "allowed": "in [1, 9]"},
            "kind": {"value": "full", "default": "tied", "help": "the <structure>"},
        },
        "results": {
            "log_likelihood": -1472.2182249779785,
            "status": "converged",
            "weights": [0.5] * 12,
            "means": [[1.0, 2.0], [3.0, 4.0]],
            "accuracy": {f"case {i}": i / 7 for i in range(9)},
        },
        "provenance": {
            "command": "gmmlab run 02-full-em -p kind full",
            "started": "2026-11-22T07:15:25+00:00",
            "git": {"commit": "ab" * 20, "clean": False},
            "packages": {f"package-{i}": "1.0" for i in range(150)} | {"numpy": "2.1"},
            "numerical": ["numpy"],
            "seed": None,
        },
        "figures": ["figures/01.png"],
        **changes,
    }


def everything():
    """Return a notebook with every kind of cell and output."""
    table = pd.DataFrame(np.ones((3, 30))).to_html()
    return nbformat.v4.new_notebook(
        cells=[
            text("# A title with $x^2$\n\n**Question.** What is $\\pi$?"),
            text("## Formulas\n\n$$\\sum_k \\pi_k = 1$$\n\n" + "$$" + "x + " * 80 + "x$$"),
            text("## Tables\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- item\n\n> quoted, `code`"),
            code("x = 'a string'  # and a comment\nfor i in range(10):\n    print(i + 1.5, None)"),
            code("'wide ' + " * 60 + "''", nbformat.v4.new_output("stream", text="long " * 200)),
            code("1", nbformat.v4.new_output("stream", name="stderr", text="\x1b[31mred\x1b[0m")),
            code("1", nbformat.v4.new_output("error", traceback=["\x1b[1;31mTypeError\x1b[0m"])),
            text("## Images\n\n### Three formats"),
            code("1", shown({"image/png": {"alt": "A png"}}, image_png=pixels())),
            code("1", shown({"image/jpeg": {"alt": "A jpeg"}}, image_jpeg=pixels("JPEG"))),
            code(
                "1",
                shown(
                    {"image/svg+xml": {"alt": "An svg"}},
                    **{
                        "image_svg+xml": "<svg xmlns='http://www.w3.org/2000/svg' width='30' "
                        "height='20'><circle r='9'/></svg>"
                    },
                ),
            ),
            code("1", shown(text_html=table, text_plain="table")),
            code("1", shown(text_latex="$\\alpha$")),
        ]
    )


def soup(html):
    """Parse a page."""
    return BeautifulSoup(html, "html.parser")


def page_of(*cells, **options):
    """Return the page of a notebook with these cells."""
    return to_html(nbformat.v4.new_notebook(cells=list(cells)), title="A title", **options)


def sweep_table(n_components=(2, 3, 4), structure=("full", "diag"), seed=range(4)):
    """Return the table of a sweep, whose second run has failed."""
    rows = [
        {"run": f"r{k}{s}{i}", "status": "completed", "n_components": k, "structure": s, "seed": i}
        for k in n_components
        for s in structure
        for i in seed
    ]
    for i, row in enumerate(rows):
        value = 10.0 * row["n_components"] + 0.1 * i
        row |= {"score": value, "n_iter": 40 - i, "fixed": 7, "message": "ab"[i % 2], "reason": ""}
    rows[1] |= {"status": "failed", "score": None, "n_iter": None, "reason": "it <broke>"}
    return pd.DataFrame(rows)


def cards():
    """Return three cards: plain, with a figure and parameters, and failed."""
    one = {
        "notebook": "01", "title": "First", "question": "Why?", "picture": None, "id": "a1",
        "results": {"score": 1.23456789, "names": ["x"]}, "href": "first.html",
        "status": "completed",
    }  # fmt: skip
    picture = f"data:image/png;base64,{pixels()}"
    return [
        one,
        {**one, "title": "Second", "picture": picture, "alt": "A square", "parameters": {"k": 3}},
        {**one, "title": "Third", "status": "failed", "reason": "it <broke>", "href": "third.html"},
    ]


def example_sweep():
    """Return the page of a sweep."""
    table = sweep_table()
    links = {name: f"runs/{name}/report.html" for name in table["run"]}
    return sweep_page("A sweep", table, ["n_components", "structure", "seed"], links=links)
