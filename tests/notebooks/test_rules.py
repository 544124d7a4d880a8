"""Every committed notebook keeps the rules, and each rule detects its violations."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import notebook_rules as rules
import pytest

from gmmlab.workbook.recording import MIME_TYPE
from gmmlab.workbook.runs import execution

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROBLEM_SETS = sorted((ROOT / "notebooks" / "assignments" / "source").glob("*/*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", [*NOTEBOOKS, *PROBLEM_SETS], ids=lambda path: path.stem)
def test_every_notebook_keeps_the_rules(path):
    kept = rules.RULES_OF_PROBLEM_SETS if path in PROBLEM_SETS else rules.RULES
    notebook = read(path)
    assert [(rule.__name__, problem) for rule in kept for problem in rule(notebook)] == []


@pytest.mark.parametrize(
    ("readme", "paths"),
    [("README.md", NOTEBOOKS), ("notebooks/assignments/README.md", PROBLEM_SETS)],
)
def test_the_readme_lists_every_notebook(readme, paths):
    linked = re.findall(r"\]\((\S+\.ipynb)\)", (ROOT / readme).read_text(encoding="utf-8"))
    assert [(ROOT / readme).parent / link for link in linked] == paths


# ---- violations of each rule -------------------------------------------------------------------


def open_a_solution(notebook):
    cell = next(cell for cell in notebook.cells if "END SOLUTION" in cell.source)
    cell.source = cell.source.replace("### END SOLUTION", "")


def forget_a_cell(notebook):
    del next(c for c in notebook.cells if "END SOLUTION" in c.source).metadata["nbgrader"]


def hide_nothing(notebook):
    cell = next(cell for cell in notebook.cells if "HIDDEN TESTS" in cell.source)
    cell.source = cell.source.partition("###")[0]


def change_points(notebook):
    cell = next(cell for cell in notebook.cells if "HIDDEN TESTS" in cell.source)
    cell.metadata.nbgrader["points"] += 1


def strip_outputs(notebook):
    for cell in rules.code_cells(notebook):
        cell.outputs, cell.execution_count = [], None


def edit_a_cell(notebook):
    rules.code_cells(notebook)[5].source += "\n1 + 1"


def run_out_of_order(notebook):
    rules.code_cells(notebook)[3].execution_count = 40


def add_papermill_metadata(notebook):
    notebook.metadata["papermill"] = {"duration": 3.2}


def name_a_machine(notebook):
    notebook.cells[2].source += " See /home/ada/gmm."


def untype_a_parameter(notebook):
    cell = rules.code_cells(notebook)[0]
    cell.source = cell.source.replace(": int =", " =", 1)


def tag_a_second_parameters_cell(notebook):
    rules.code_cells(notebook)[4].metadata["tags"] = ["parameters"]


def drop_the_record(notebook):
    notebook.cells.pop()


def drop_alt_text(notebook):
    for cell in rules.code_cells(notebook):
        for output in cell.outputs:
            output.get("metadata", {}).pop("image/png", None)


def display(notebook, bundle):
    """Replace the output of a cell."""
    rules.code_cells(notebook)[3].outputs = [nbformat.v4.new_output("display_data", bundle)]


def drop_the_image_of_an_interactive_figure(notebook):
    display(notebook, {rules.INTERACTIVE: {"data": [{}], "layout": {}, "config": {}}})


def enlarge_an_interactive_figure(notebook):
    figure = {"data": [60_000 * "A"], "layout": {}, "config": {}}
    display(notebook, {rules.INTERACTIVE: figure, "image/png": ""})


def add_a_key_to_an_interactive_figure(notebook):
    figure = {"data": [{}], "layout": {}, "config": {}, "frames": []}
    display(notebook, {rules.INTERACTIVE: figure, "image/png": ""})


def drop_the_image_of_an_animation(notebook):
    html = f"{rules.ANIMATION}<script></script></figure>"
    display(notebook, {"text/html": html, "image/png": ""})


def enlarge_an_animation(notebook):
    html = f"{rules.ANIMATION}<img>{400_000 * 'A'}</figure>"
    display(notebook, {"text/html": html, "image/png": ""})


def use_an_unknown_command(notebook):
    notebook.cells[0].source += r" $\nosuchcommand x$"


def warn(notebook):
    stream = nbformat.v4.new_output("stream", name="stderr", text="careful")
    rules.code_cells(notebook)[3].outputs.append(stream)


def skip_the_check(notebook):
    cell = rules.code_cells(notebook)[1]
    cell.source = cell.source.replace("check_parameters()", "")


def record_twice(notebook):
    cells = rules.code_cells(notebook)
    cells[3].outputs = cells[-1].outputs


def lengthen_a_cell(notebook):
    rules.code_cells(notebook)[5].source = "1 + 1\n" * 16


def lengthen_all_cells(notebook):
    for cell in rules.code_cells(notebook):
        cell.source = "1 + 1\n" * 8


def drop_the_question(notebook):
    del notebook.cells[0]


def drop_the_text(notebook):
    notebook.cells[1:] = rules.code_cells(notebook)


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (strip_outputs, rules.executed_in_order),
        (run_out_of_order, rules.executed_in_order),
        (warn, rules.executed_in_order),
        (edit_a_cell, rules.outputs_belong_to_sources),
        (untype_a_parameter, rules.parameters_are_a_contract),
        (tag_a_second_parameters_cell, rules.parameters_are_a_contract),
        (skip_the_check, rules.parameters_are_a_contract),
        (drop_the_record, rules.results_are_recorded_last),
        (record_twice, rules.results_are_recorded_last),
        (add_papermill_metadata, rules.metadata_is_clean),
        (name_a_machine, rules.metadata_is_clean),
        (drop_alt_text, rules.images_have_alt_text),
        (
            drop_the_image_of_an_interactive_figure,
            rules.interactive_figures_are_small_and_have_an_image,
        ),
        (enlarge_an_interactive_figure, rules.interactive_figures_are_small_and_have_an_image),
        (add_a_key_to_an_interactive_figure, rules.interactive_figures_are_small_and_have_an_image),
        (drop_the_image_of_an_animation, rules.animations_are_small_and_have_an_image),
        (enlarge_an_animation, rules.animations_are_small_and_have_an_image),
        (use_an_unknown_command, rules.formulas_render),
        (lengthen_a_cell, rules.reads_well),
        (lengthen_all_cells, rules.reads_well),
        (drop_the_question, rules.reads_well),
        (drop_the_text, rules.reads_well),
        (open_a_solution, rules.solutions_and_hidden_tests_are_marked),
        (forget_a_cell, rules.solutions_and_hidden_tests_are_marked),
        (hide_nothing, rules.solutions_and_hidden_tests_are_marked),
        (change_points, rules.solutions_and_hidden_tests_are_marked),
    ],
    ids=lambda value: value.__name__,
)
def test_each_rule_detects_its_violations(damage, rule):
    of_problem_sets = rule is rules.solutions_and_hidden_tests_are_marked
    path = PROBLEM_SETS[0] if of_problem_sets else ROOT / "notebooks" / "01-known-covariance.ipynb"
    notebook = read(path)
    assert list(rule(notebook)) == []
    damage(notebook)
    assert list(rule(notebook)) != []


# ---- nbval -------------------------------------------------------------------------------------


def nbval(path):
    """Run nbval on a notebook with the configuration of the project; return its report."""
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "conftest"]
    command += ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), str(path)]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    return run.stdout


def test_nbval_detects_a_changed_output_and_a_changed_result(tmp_path):
    """Printed numbers are compared exactly, recorded results with a tolerance."""
    path = tmp_path / "n.ipynb"
    cells = ["print(1 + 1)", "from gmmlab import record\n\nrecord(third=1 / 3)"]
    nodes = [nbformat.v4.new_code_cell(cell, id=f"c{i}") for i, cell in enumerate(cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=nodes), path)
    execution.refresh(path)
    notebook = read(path)
    bundle = notebook.cells[1].outputs[0].data[MIME_TYPE]
    bundle["third"] += 1e-9
    nbformat.write(notebook, path)
    assert "2 passed" in nbval(path)
    bundle["third"] += 1e-3
    notebook.cells[0].outputs[0].text = "3\n"
    nbformat.write(notebook, path)
    report = nbval(path)
    assert "2 failed" in report
    assert "recorded results differ" in report
