"""Every committed notebook keeps the rules, and breaking one is seen."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import notebook_rules as rules
import pytest

from gmmlab.workbook.recording import MIME_TYPE
from gmmlab.workbook.runs import execution

NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))
PROBLEM_SETS = sorted(
    (Path(__file__).parent.parent.parent / "notebooks" / "assignments" / "source").glob("*/*.ipynb")
)


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_notebook_keeps_the_rule(path, rule):
    assert list(rule(read(path))) == []


@pytest.mark.parametrize("path", PROBLEM_SETS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", rules.RULES_OF_PROBLEM_SETS, ids=lambda rule: rule.__name__)
def test_problem_set_keeps_the_rule(path, rule):
    assert list(rule(read(path))) == []


def test_both_problem_sets_are_there():
    assert [path.stem for path in PROBLEM_SETS] == ["ps1-em", "ps2-mixtures-at-work"]


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


@pytest.mark.parametrize("damage", [open_a_solution, forget_a_cell, hide_nothing, change_points])
def test_what_students_must_not_see_is_marked(damage):
    notebook = copy.deepcopy(read(PROBLEM_SETS[0]))
    damage(notebook)
    assert list(rules.solutions_and_hidden_tests_are_marked(notebook)) != []


def test_the_five_experiments_are_there():
    assert [path.stem for path in NOTEBOOKS if "01" <= path.stem < "06"] == [
        "01-known-covariance",
        "02-full-em",
        "03-three-dimensions",
        "04-mnist",
        "05-elbo",
    ]


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


def turn_without_a_still(notebook):
    figure = {rules.TURNING: {"data": [{}], "layout": {}, "config": {}}}
    rules.code_cells(notebook)[3].outputs = [nbformat.v4.new_output("display_data", figure)]


def turn_too_much(notebook):
    figure = {rules.TURNING: {"data": [60_000 * "A"], "layout": {}, "config": {}}, "image/png": ""}
    rules.code_cells(notebook)[3].outputs = [nbformat.v4.new_output("display_data", figure)]


def film_without_stills(notebook):
    film = {"text/html": f"{rules.FILM}<script></script></figure>", "image/png": ""}
    rules.code_cells(notebook)[3].outputs = [nbformat.v4.new_output("display_data", film)]


def film_too_much(notebook):
    film = {"text/html": f"{rules.FILM}<img>{400_000 * 'A'}</figure>", "image/png": ""}
    rules.code_cells(notebook)[3].outputs = [nbformat.v4.new_output("display_data", film)]


def use_an_unknown_command(notebook):
    notebook.cells[0].source += r" $\nosuchcommand x$"


def warn(notebook):
    stream = nbformat.v4.new_output("stream", name="stderr", text="careful")
    rules.code_cells(notebook)[3].outputs.append(stream)


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (strip_outputs, rules.executed_in_order),
        (edit_a_cell, rules.outputs_belong_to_sources),
        (run_out_of_order, rules.executed_in_order),
        (add_papermill_metadata, rules.metadata_is_clean),
        (name_a_machine, rules.metadata_is_clean),
        (untype_a_parameter, rules.parameters_are_a_contract),
        (tag_a_second_parameters_cell, rules.parameters_are_a_contract),
        (drop_the_record, rules.results_are_recorded_last),
        (drop_alt_text, rules.images_have_alt_text),
        (turn_without_a_still, rules.turning_figures_are_small_and_have_a_still),
        (turn_too_much, rules.turning_figures_are_small_and_have_a_still),
        (film_without_stills, rules.films_are_small_and_have_stills),
        (film_too_much, rules.films_are_small_and_have_stills),
        (use_an_unknown_command, rules.formulas_render),
        (warn, rules.executed_in_order),
    ],
    ids=lambda value: value.__name__,
)
def test_breaking_a_rule_turns_the_suite_red(damage, rule):
    notebook = copy.deepcopy(read(NOTEBOOKS[0].with_name("01-known-covariance.ipynb")))
    damage(notebook)
    assert list(rule(notebook)) != []


def nbval(path):
    """Run plain nbval on a notebook, with the project's configuration; return what it says."""
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "conftest"]
    command += ["-p", "no:cacheprovider", "-c", str(root / "pyproject.toml"), str(path)]
    run = subprocess.run(
        command,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    return run.stdout


def test_a_changed_output_is_seen_by_plain_nbval(tmp_path):
    """A number the code does not print, and a result it does not record beyond the tolerance."""
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
