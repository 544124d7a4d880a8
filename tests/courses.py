"""A small course for tests of its commands, and the real problem sets with example submissions."""

import contextlib
import io
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from gmmlab.course.assignment import Course
from gmmlab.course.cells import grade_id, is_graded, is_solution
from gmmlab.course.checks import Wrong
from gmmlab.course.checks.calling import NOT_DONE
from gmmlab.course.grading import Limits
from gmmlab.course.selfcheck.examples import read_examples

ROOT = Path(__file__).parent.parent
NAME = "ps0"
#: short limits for tests
LIMITS = Limits(cell=3.0, whole=60.0)

# ---- a small course ----------------------------------------------------------------------------


def cell(kind, source, name, **about):
    """Make a cell with nbgrader's metadata."""
    known = {"grade": False, "locked": False, "solution": False, "task": False}
    make = new_code_cell if kind == "code" else new_markdown_cell
    meta = {"grade_id": name, "schema_version": 3, **known, **about}
    return make(source, id=f"c-{name}", metadata={"nbgrader": meta})


def parameters_cell(source="seed: int = 1  # the seed of your data; >= 0"):
    """Make a parameters cell."""
    made = new_code_cell(source, id="parameters")
    made.metadata["tags"] = ["parameters"]
    return made


def _test_of(name, shown, hidden):
    source = f"{shown}\n### BEGIN HIDDEN TESTS\n{hidden}\n### END HIDDEN TESTS"
    return cell("code", source, f"test-{name}", grade=True, locked=True, points=2)


def _solution(name, line, answer):
    text = f"{line}\n    ### BEGIN SOLUTION\n    {answer}\n    ### END SOLUTION"
    return cell("code", text, name, solution=True)


def make_course(root):
    """Make a course with one small problem set: two functions and a written answer."""
    answer = "### BEGIN SOLUTION\nBecause the sum is over $k$.\n### END SOLUTION"
    tools = "from gmmlab.course.checks.calling import call, compare"
    cells = [
        new_markdown_cell("# Problem set 0\n\n**Question.** Can you add? 6 points.", id="top"),
        parameters_cell(),
        cell("code", tools, "tools", locked=True),
        _solution("double", "def double(x):", "return 2 * x"),
        _test_of("double", "compare(call(double, 2), 4, {}, 'double')",
                 "compare(call(double, seed % 9973), 2 * (seed % 9973), {}, 'doubled')"),
        _solution("triple", "def triple(x):", "return x + x + x"),
        _test_of("triple", "compare(call(triple, 1), 3, {}, 'triple')",
                 "compare(call(triple, 50), 150, {('wrong sum', 'Add, and do not subtract.'): 50},"
                 " 'tripled')"),
        cell("markdown", answer, "why", grade=True, solution=True, points=2),
    ]  # fmt: skip
    path = root / "notebooks" / "assignments" / "source" / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    kernel = {"name": "python3", "display_name": "Python", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return Course.find(root)


def sources(notebook):
    """Return the sources of all cells."""
    return [cell.source for cell in notebook.cells]


# ---- the real problem sets ---------------------------------------------------------------------

# Cells with plots, digits and long fits, which no test needs.
_SKIPPED = ("check_parameters()", "plots.show", "load_mnist", "restarts(run, 5", "(levels")


@cache
def source(name):
    """Return the notebook of a problem set with its solutions."""
    path = ROOT / "notebooks" / "assignments" / "source" / name / f"{name}.ipynb"
    return nbformat.read(path, as_version=4)


@cache
def examples(name):
    """Return the example submissions of a problem set."""
    return read_examples(ROOT / "tests" / "submissions" / f"{name}.yaml", source(name))


def wrong_by_task(name):
    """Return the wrong examples of a problem set by the cell in which the mistake is."""
    groups = {}
    for example in examples(name).wrong:
        (task,) = example.sources
        groups.setdefault(task, []).append(example)
    return groups


@cache
def solved(name):
    """Return the variables of a problem set after running its solutions."""
    space = {}
    for cell in source(name).cells:
        if cell.cell_type == "code" and not any(text in cell.source for text in _SKIPPED):
            _execute(cell.source, cell.id, space)
    return space


def failures(name, sources, tests=None):
    """Return mistake and message by test for a solution with other sources in some cells.

    Only some of the tests are run if `tests` are given.
    """
    space, found = dict(solved(name)), {}
    for cell in source(name).cells:
        own = grade_id(cell) or cell.id
        if cell.cell_type == "code" and (own in sources or is_solution(cell)):
            _execute(sources.get(own, cell.source), cell.id, space)
        elif cell.cell_type == "code" and is_graded(cell) and (tests is None or own in tests):
            try:
                _execute(cell.source, cell.id, space)
            except Wrong as error:
                found[own] = error.mistake, error.message
    return found


def _execute(text, name, space):
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text, f"<{name}>", "exec"), space)


def check_answers(name, shown, hidden, right, wrong, invalid):
    """Check that the shown check accepts valid answers, and the hidden one only right ones."""
    for answer in right:
        assert shown(answer) is None
        assert hidden(answer) is None
    for answer in wrong:
        assert shown(answer) is None
        with pytest.raises(Wrong):
            hidden(answer)
    for check in (shown, hidden):
        for answer in invalid:
            with pytest.raises(Wrong, match=f"{name}`? should be"):
                check(answer)
        with pytest.raises(Wrong, match=f"`{name}` is None") as caught:
            check(None)
        assert caught.value.mistake == NOT_DONE
