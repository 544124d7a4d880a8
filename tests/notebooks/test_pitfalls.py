"""Notebook 08 shows 33 mistakes, and a law catches each of them."""

import ast
import re
from collections import Counter
from pathlib import Path

import nbformat

from gmmlab.workbook.recording import recorded

NOTEBOOK = nbformat.read(
    Path(__file__).parent.parent.parent / "notebooks" / "08-pitfalls.ipynb", as_version=4
)
RESULTS = recorded(NOTEBOOK)
SOURCES = [cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code"]


def decorated(name):
    """Return the functions of the notebook with a decorator, and the decorator's arguments."""
    for node in (n for source in SOURCES for n in ast.walk(ast.parse(source))):
        for call in getattr(node, "decorator_list", ()):
            if isinstance(call, ast.Call) and call.func.id == name:
                yield node, [argument.value for argument in call.args]


def test_there_are_thirty_three_mistakes():
    """The two named "derived wrongly: …" count as one."""
    names = [name for _, (_, name) in decorated("wrong")]
    assert set(RESULTS["caught_by"]) == set(names)
    assert len({name.partition(":")[0] for name in names}) == 33


def test_each_mistake_is_marked_as_wrong_and_exposed():
    text = "\n".join(SOURCES)
    for function, (_, name) in decorated("wrong"):
        assert function.name.startswith("wrong_")
        assert ast.get_docstring(function).startswith("WRONG: ")
        assert f'expose("{name}")' in text


def test_a_law_that_the_right_function_keeps_catches_each_mistake():
    assert all(RESULTS["caught_by"].values())
    assert RESULTS["broken_by_right"] == []
    outputs = [output for cell in NOTEBOOK.cells for output in cell.get("outputs", ())]
    printed = "".join(output.get("text", "") for output in outputs)
    assert printed.count("caught by: ") > 34
    assert "NOT EXPOSED" not in printed


def test_each_law_catches_a_mistake():
    laws = {name for _, (_, name) in decorated("law")}
    assert set().union(*RESULTS["caught_by"].values()) == laws


def test_a_rising_log_likelihood_does_not_catch_stale_means():
    """The most common law passes this wrong M-step; (A3) says why."""
    assert RESULTS["stale_means_climb"] is True


def test_each_piece_has_one_right_function():
    pieces = Counter(piece for _, (piece,) in decorated("right"))
    assert set(pieces) >= {"E-step", "M-step", "loop", "restarts", "start", "ellipse"}
    assert set(pieces.values()) == {1}


def test_the_text_calls_mistakes_by_name_and_not_by_number():
    text = "\n".join(cell.source for cell in NOTEBOOK.cells)
    assert not re.findall(r"(?i)mistake [A-Z]?\d", text)
