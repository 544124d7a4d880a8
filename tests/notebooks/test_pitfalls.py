"""The pitfalls notebook has the mistakes it promises, and each is caught."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from gmmlab.workbook.recording import recorded

NOTEBOOK = nbformat.read(
    Path(__file__).parent.parent.parent / "notebooks" / "08-pitfalls.ipynb", as_version=4
)
RESULTS = recorded(NOTEBOOK)
SOURCES = [cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code"]
#: by what goes wrong; the two that are "derived wrongly" are one mistake
MISTAKES = {
    "E-step": [
        *("normalised over samples", "weights as a column"),
        *("derived wrongly: log 2π without its d", "densities multiplied out", "zero over zero"),
        *("a constant in the logarithm", "single precision and an inverse"),
        *("a singular covariance allowed", "a loop over samples"),
    ],
    "M-step": [
        *("an inner product for an outer one", "derived wrongly: a multiplier of one component"),
        *("covariances about the old means", "means in an integer array"),
        *("what was known, overwritten", "neither diagonal nor floored"),
    ],
    "loop": [
        *("the sign of the log-likelihood", "a loss that is constant", "a bound of two steps"),
        *("a stopping test that binds wrongly", "a return inside the loop"),
        "no stopping rule, no likelihood",
    ],
    "restarts and starts": [
        *("the collapsed winner", "the trace of the last run", "an error swallowed"),
        *("a start in the unit square", "a nearly singular start", "the truth in the start"),
    ],
    "drawing and claiming": [
        *("an ellipse along the axes", "one point for a cluster"),
        *("a claim without a score", "an order that is never selected"),
    ],
    "programming": [
        *("shuffled without a seed", "drawn before the seed"),
        "an array asked whether it is true",
    ],
}


def decorated(name):
    """Return the functions of the notebook that a decorator keeps, with its arguments."""
    for node in (n for source in SOURCES for n in ast.walk(ast.parse(source))):
        for call in getattr(node, "decorator_list", ()):
            if isinstance(call, ast.Call) and call.func.id == name:
                yield node, [argument.value for argument in call.args]


def test_thirty_three_mistakes_are_there():
    names = [name for group in MISTAKES.values() for name in group]
    assert len({name.split(":")[0] for name in names}) == 33
    assert set(RESULTS["caught_by"]) == set(names)


def test_each_is_marked_as_wrong_and_exposed():
    text = "\n".join(SOURCES)
    for function, (_, name) in decorated("wrong"):
        assert function.name.startswith("wrong_")
        assert ast.get_docstring(function).startswith("WRONG: ")
        assert f'expose("{name}")' in text


def test_each_is_caught_by_a_law_that_the_right_function_keeps():
    assert all(RESULTS["caught_by"].values())
    assert RESULTS["broken_by_right"] == []
    outputs = [output for cell in NOTEBOOK.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    assert printed.count("caught by: ") > 34
    assert "NOT EXPOSED" not in printed


def test_each_law_catches_something():
    laws = {name for _, (_, name) in decorated("law")}
    assert set().union(*RESULTS["caught_by"].values()) == laws


def test_no_trace_shows_stale_means():
    """The law that most rely on passes a wrong M-step; (A3) says why."""
    assert RESULTS["stale_means_climb"] is True


@pytest.mark.parametrize("piece", ["E-step", "M-step", "loop", "restarts", "start", "ellipse"])
def test_each_piece_has_one_right_function(piece):
    assert [of for _, (of,) in decorated("right")].count(piece) == 1


def test_mistakes_go_by_names_and_not_by_numbers():
    text = "\n".join(cell.source for cell in NOTEBOOK.cells)
    assert not re.findall(r"(?i)mistake [A-Z]?\d", text)
