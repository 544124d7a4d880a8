"""Rules for the committed notebooks. Each function yields one message for each violation."""

import json
import re
import statistics

from gmmlab.workbook.html import to_mathml
from gmmlab.workbook.parameters import read_parameters
from gmmlab.workbook.recording import MIME_TYPE, recorded
from gmmlab.workbook.runs.execution import source_hash

INTERACTIVE = "application/vnd.plotly.v1+json"
ANIMATION = '<figure class="gmmlab-animation">'
MACHINE_PATH = re.compile(r"/(?:home|root|tmp|Users|work|usr)/|[A-Z]:\\\\Users")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def executed_in_order(notebook):
    """Execution counts run from 1 to n; no cell is empty, fails or writes to stderr."""
    for number, cell in enumerate(code_cells(notebook), start=1):
        if not cell.source.strip():
            yield f"{cell.id}: the code cell is empty"
        if cell.execution_count != number:
            yield f"{cell.id}: the execution count is {cell.execution_count}, not {number}"
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"{cell.id}: the cell raised {output.ename}"
            if output.get("name") == "stderr":
                yield f"{cell.id}: the cell writes to stderr"


def outputs_belong_to_sources(notebook):
    """Each code cell stores the hash of the source that produced its outputs."""
    for cell in code_cells(notebook):
        if cell.metadata.get("source_sha256") != source_hash(cell.source):
            yield f"{cell.id}: the cell was edited after its run; `make refresh` runs it again"


def parameters_are_a_contract(notebook):
    """The first code cell, and no other, is the parameters cell; the next cell checks it."""
    cells = code_cells(notebook)
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    if tagged != cells[:1]:
        yield "there must be one parameters cell, and it must be the first code cell"
        return
    try:
        if not read_parameters(tagged[0].source):
            yield "the parameters cell has no parameters"
    except ValueError as error:
        yield str(error)
    if "check_parameters()" not in cells[1].source:
        yield "the cell after the parameters must call check_parameters()"


def results_are_recorded_last(notebook):
    cells = code_cells(notebook)
    if not recorded({"cells": cells[-1:]}):
        yield "the last code cell must record the results"
    if any(MIME_TYPE in o.get("data", {}) for c in cells[:-1] for o in c.outputs):
        yield "only the last code cell may record results"


def metadata_is_clean(notebook):
    """There is no metadata of a run, and no path of a machine.

    The metadata of nbgrader are allowed: the author of a problem set writes them.
    """
    if set(notebook.metadata) != {"kernelspec", "language_info"}:
        yield f"the notebook has the metadata {sorted(notebook.metadata)}"
    for cell in notebook.cells:
        if unknown := set(cell.metadata) - {"tags", "nbgrader", "source_sha256"}:
            yield f"{cell.id}: the cell has the metadata {sorted(unknown)}"
        texts = [cell.source]
        for output in cell.get("outputs", ()):
            texts.append(output.get("text", ""))
            texts += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
        if any(MACHINE_PATH.search("".join(text)) for text in texts):
            yield f"{cell.id}: the cell contains a path of a machine"


def images_have_alt_text(notebook):
    """The alt text of an image has at least four words."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt", "")
                if len(alt.split()) < 4:
                    yield f"{cell.id}: the alt text of the image is too short: {alt!r}"


def interactive_figures_are_small_and_have_an_image(notebook):
    """The image is for readers without scripts; small figures keep the notebook small."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if figure := output.get("data", {}).get(INTERACTIVE):
                if "image/png" not in output.data:
                    yield f"{cell.id}: the interactive figure has no image"
                if (size := len(json.dumps(figure, indent=1))) > 60_000:
                    yield f"{cell.id}: the interactive figure has {size} bytes; 60,000 at most"
                if not figure["data"] or set(figure) != {"data", "layout", "config"}:
                    yield f"{cell.id}: the interactive figure has the keys {sorted(figure)}"


def animations_are_small_and_have_an_image(notebook):
    """The image is an output of its own, and in the HTML too, for JupyterLab without scripts."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            html = output.get("data", {}).get("text/html", "")
            if ANIMATION in html:
                if "image/png" not in output.data or "<img" not in html:
                    yield f"{cell.id}: the animation has no image"
                if len(html) > 400_000:
                    yield f"{cell.id}: the animation has {len(html)} bytes; 400,000 at most"


def formulas_render(notebook):
    """Each formula converts to MathML without LaTeX left over."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if re.search(r"[\x00-\x09\x0b-\x1f]", cell.source):
                yield f"{cell.id}: the text has a control character; is a backslash not escaped?"
            prose = re.sub(r"`[^`]*`", "", cell.source)
            for block, inline in re.findall(r"(?s)\$\$(.+?)\$\$|\$(.+?)\$", prose):
                mathml = to_mathml(block or inline)
                if re.search(r"\\|<m\w+>&</|script", mathml):
                    yield f"{cell.id}: the formula does not convert: {block or inline}"


def reads_well(notebook):
    """Code cells are short, have text between them, and follow a question at the top."""
    lengths = [
        sum(bool(line.strip()) for line in cell.source.splitlines())
        for cell in code_cells(notebook)
    ]
    if max(lengths) > 15:
        yield f"the longest code cell has {max(lengths)} lines; 15 at most"
    if statistics.median(lengths) > 7:
        yield f"the median code cell has {statistics.median(lengths)} lines; 7 at most"
    if notebook.cells[0].cell_type != "markdown" or "**Question.**" not in notebook.cells[0].source:
        yield "the first cell must ask the question"
    runs = "".join("c" if cell.cell_type == "code" else "m" for cell in notebook.cells)
    if "ccc" in runs[:-1]:
        yield "three code cells follow each other without text between them"


def solutions_and_hidden_tests_are_marked(notebook):
    """Solutions and hidden tests are between marks, which the student version leaves out."""
    points = 0
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader")
        kinds = [kind for kind in ("SOLUTION", "HIDDEN TESTS") if f"BEGIN {kind}" in cell.source]
        for kind in kinds:
            if cell.source.count(f"### BEGIN {kind}\n") != cell.source.count(f"### END {kind}"):
                yield f"{cell.id}: the mark BEGIN {kind} has no END"
        if about is None:
            if kinds:
                yield f"{cell.id}: the cell has marks but no metadata of nbgrader"
            continue
        if set(about) != {"grade", "grade_id", "locked", "schema_version", "solution", "task"} | (
            {"points"} if about["grade"] else set()
        ):
            yield f"{cell.id}: nbgrader has the metadata {sorted(about)}"
        if about["solution"] != ("SOLUTION" in kinds):
            yield f"{cell.id}: the cell must have both marks and metadata of a solution, or neither"
        if about["grade"] and not about["solution"] and "HIDDEN TESTS" not in kinds:
            yield f"{cell.id}: the test has no hidden part"
        points += about.get("points", 0)
    stated = re.search(r"(\d+) points", notebook.cells[0].source)
    if stated is None or int(stated.group(1)) != points:
        yield f"the first cell must state that there are {points} points"


RULES = (
    executed_in_order,
    outputs_belong_to_sources,
    parameters_are_a_contract,
    results_are_recorded_last,
    metadata_is_clean,
    images_have_alt_text,
    interactive_figures_are_small_and_have_an_image,
    animations_are_small_and_have_an_image,
    formulas_render,
    reads_well,
)
#: students submit a problem set; it records no results
RULES_OF_PROBLEM_SETS = (
    *(rule for rule in RULES if rule is not results_are_recorded_last),
    solutions_and_hidden_tests_are_marked,
)
