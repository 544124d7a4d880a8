"""The rules that every committed notebook keeps; each function lists what breaks one of them."""

import json
import re
import statistics

from gmmlab.workbook.html import to_mathml
from gmmlab.workbook.parameters import read_parameters
from gmmlab.workbook.recording import MIME_TYPE, recorded
from gmmlab.workbook.runs.execution import source_hash

TURNING = "application/vnd.plotly.v1+json"
FILM = '<figure class="film">'
MACHINE_PATH = re.compile(r"/(?:home|root|tmp|Users|work|usr)/|[A-Z]:\\\\Users")


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def executed_in_order(notebook):
    """Counts run 1..n, no cell is empty, and no cell failed."""
    for number, cell in enumerate(code_cells(notebook), start=1):
        if not cell.source.strip():
            yield f"{cell.id}: an empty code cell"
        if cell.execution_count != number:
            yield f"{cell.id}: execution count {cell.execution_count}, not {number}"
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"{cell.id}: {output.ename}"
            if output.get("name") == "stderr":
                yield f"{cell.id}: writes to stderr"


def outputs_belong_to_sources(notebook):
    """Each code cell carries the hash of the source that its outputs came from."""
    for cell in code_cells(notebook):
        if cell.metadata.get("source_sha256") != source_hash(cell.source):
            yield f"{cell.id}: edited since it was run; `make refresh` runs it again"


def parameters_are_a_contract(notebook):
    """Exactly one cell is tagged, the first code cell; a check follows it."""
    cells = code_cells(notebook)
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    if tagged != cells[:1]:
        yield "the parameters cell must be one, and the first code cell"
        return
    try:
        if not read_parameters(tagged[0].source):
            yield "there are no parameters"
    except ValueError as error:
        yield str(error)
    if "check_parameters()" not in cells[1].source:
        yield "the cell after the parameters must check them"


def results_are_recorded_last(notebook):
    cells = code_cells(notebook)
    if not recorded({"cells": cells[-1:]}):
        yield "the last code cell must record the results"
    if any(MIME_TYPE in o.get("data", {}) for c in cells[:-1] for o in c.outputs):
        yield "results must be recorded once"


def metadata_is_clean(notebook):
    """Nothing of a run or a machine: no papermill, no timing, no paths.

    In a problem set, what nbgrader is told of a cell is the author's.
    """
    if set(notebook.metadata) != {"kernelspec", "language_info"}:
        yield f"notebook metadata {sorted(notebook.metadata)}"
    for cell in notebook.cells:
        if unknown := set(cell.metadata) - {"tags", "nbgrader", "source_sha256"}:
            yield f"{cell.id}: metadata {sorted(unknown)}"
        texts = [cell.source]
        for output in cell.get("outputs", ()):
            texts.append(output.get("text", ""))
            texts += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
        if any(MACHINE_PATH.search("".join(text)) for text in texts):
            yield f"{cell.id}: a path of a machine"


def images_have_alt_text(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt", "")
                if len(alt.split()) < 4:
                    yield f"{cell.id}: alt text {alt!r}"


def turning_figures_are_small_and_have_a_still(notebook):
    """Where scripts do not run there is a picture, and the notebook stays a file one can mail."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if figure := output.get("data", {}).get(TURNING):
                if "image/png" not in output.data:
                    yield f"{cell.id}: a figure that turns, without a still picture"
                if (size := len(json.dumps(figure, indent=1))) > 60_000:
                    yield f"{cell.id}: a figure that turns of {size} bytes; 60,000 at the most"
                if not figure["data"] or set(figure) != {"data", "layout", "config"}:
                    yield f"{cell.id}: a figure that turns, of {sorted(figure)}"


def films_are_small_and_have_stills(notebook):
    """As figures that turn; what is shown without scripts is in the film too, for JupyterLab."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            html = output.get("data", {}).get("text/html", "")
            if FILM in html:
                if "image/png" not in output.data or "<img" not in html:
                    yield f"{cell.id}: a film without stills"
                if len(html) > 400_000:
                    yield f"{cell.id}: a film of {len(html)} bytes; 400,000 at the most"


def formulas_render(notebook):
    """Each formula becomes MathML with no LaTeX left over."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if re.search(r"[\x00-\x09\x0b-\x1f]", cell.source):
                yield f"{cell.id}: a control character, as of an unescaped backslash"
            prose = re.sub(r"`[^`]*`", "", cell.source)
            for block, inline in re.findall(r"(?s)\$\$(.+?)\$\$|\$(.+?)\$", prose):
                mathml = to_mathml(block or inline)
                if re.search(r"\\|<m\w+>&</|script", mathml):
                    yield f"{cell.id}: {block or inline}"


def reads_well(notebook):
    """Short cells, a sentence before each, and a question at the top."""
    lengths = [
        sum(bool(line.strip()) for line in cell.source.splitlines())
        for cell in code_cells(notebook)
    ]
    if max(lengths) > 15:
        yield f"a code cell of {max(lengths)} lines; 15 at the most"
    if statistics.median(lengths) > 7:
        yield f"a median code cell of {statistics.median(lengths)} lines; about 5"
    if notebook.cells[0].cell_type != "markdown" or "**Question.**" not in notebook.cells[0].source:
        yield "the first cell must ask the question"
    runs = "".join("c" if cell.cell_type == "code" else "m" for cell in notebook.cells)
    if "ccc" in runs[:-1]:
        yield "three code cells in a row, with no sentence between them"


def solutions_and_hidden_tests_are_marked(notebook):
    """What is between the marks is left out for students; each opens, closes and has points."""
    points = 0
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader")
        kinds = [kind for kind in ("SOLUTION", "HIDDEN TESTS") if f"BEGIN {kind}" in cell.source]
        for kind in kinds:
            if cell.source.count(f"### BEGIN {kind}\n") != cell.source.count(f"### END {kind}"):
                yield f"{cell.id}: a {kind} that does not close"
        if about is None:
            if kinds:
                yield f"{cell.id}: nbgrader does not know it"
            continue
        if set(about) != {"grade", "grade_id", "locked", "schema_version", "solution", "task"} | (
            {"points"} if about["grade"] else set()
        ):
            yield f"{cell.id}: nbgrader metadata {sorted(about)}"
        if about["solution"] != ("SOLUTION" in kinds):
            yield f"{cell.id}: a solution without marks, or marks without one"
        if about["grade"] and not about["solution"] and "HIDDEN TESTS" not in kinds:
            yield f"{cell.id}: a test that hides nothing"
        points += about.get("points", 0)
    said = re.search(r"(\d+) points", notebook.cells[0].source)
    if said is None or int(said.group(1)) != points:
        yield f"the first cell should say that there are {points} points"


RULES = (
    executed_in_order,
    outputs_belong_to_sources,
    parameters_are_a_contract,
    results_are_recorded_last,
    metadata_is_clean,
    images_have_alt_text,
    turning_figures_are_small_and_have_a_still,
    films_are_small_and_have_stills,
    formulas_render,
    reads_well,
)
#: a problem set is handed in, not run for its results
RULES_OF_PROBLEM_SETS = (
    *(rule for rule in RULES if rule is not results_are_recorded_last),
    solutions_and_hidden_tests_are_marked,
)
