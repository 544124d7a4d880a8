"""How nbgrader and the workbook mark the cells of a notebook."""

from __future__ import annotations

import re

from nbformat import NotebookNode

# The parts that nbgrader removes from a release, with the comments that mark them.
_HIDDEN = re.compile(
    r"^[ \t]*### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)^[ \t]*### END (?:SOLUTION|HIDDEN TESTS)\n?",
    re.DOTALL | re.MULTILINE,
)
# A shorter line, such as "return x", reveals nothing.
_MIN_LENGTH = 12


def grade_id(cell: NotebookNode) -> str | None:
    """Return nbgrader's name of a cell, or None if it has none."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_solution(cell: NotebookNode) -> bool:
    """Return whether students write into a cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def is_graded(cell: NotebookNode) -> bool:
    """Return whether a cell gives points."""
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def is_parameters(cell: NotebookNode) -> bool:
    """Return whether a cell is the parameters cell."""
    return "parameters" in cell.metadata.get("tags", ())


def visible_source(cell: NotebookNode) -> str:
    """Return the source of a cell without solutions and hidden tests."""
    return _HIDDEN.sub("", cell.source)


def hidden_lines(cell: NotebookNode) -> list[str]:
    """Return the lines of solutions and hidden tests, without very short ones."""
    lines = (line.strip() for line in "".join(_HIDDEN.findall(cell.source)).splitlines())
    return [line for line in lines if len(line) >= _MIN_LENGTH]
