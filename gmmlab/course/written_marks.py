"""Points for written answers: a table that the instructor fills in.

`grades/<problem set>/written.csv` has a line for each written answer. Put points in (and a
comment), grade again, and they count. The last column, `marked`, is a short hash of the answer that
the points are for. Where another answer has been handed in since, the points stay and a note says
so; empty that cell to say that they are for the new answer too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gmmlab.course.roster import normal
from gmmlab.course.tables import read_table, write_table

if TYPE_CHECKING:
    from gmmlab.course.assignment import Assignment
    from gmmlab.course.grading import Graded

_COLUMNS = ("id", "task", "points", "most", "comment", "answer", "marked")


@dataclass(frozen=True)
class Mark:
    """Points for a written answer; None if it was not marked.

    Parameters
    ----------
    points : float or None
    comment : str
    marked : str
        Hash of the answer that they are for; empty if for whatever was answered.
    """

    points: float | None = None
    comment: str = ""
    marked: str = ""

    def is_for(self, answer: str) -> bool:
        """Whether this is a mark of an answer, and not of an earlier one; true without points."""
        return self.points is None or self.marked in ("", hash_of(answer))


def hash_of(answer: str) -> str:
    """Return a short hash of an answer, which no spreadsheet takes for a number.

    Examples
    --------
    >>> hash_of("Because.") == hash_of("Because. ") != hash_of("Because not.")
    True
    """
    return "h" + hashlib.sha256(answer.strip().encode()).hexdigest()[:9]


def read_marks(assignment: Assignment) -> dict[tuple[str, str], Mark]:
    """Return the marks by student and task.

    Raises
    ------
    ValueError
        If columns are missing or not separated with commas, or points are no number, negative, or
        more than there are.
    """
    found = {}
    for number, (key, row) in enumerate(_rows(assignment).items(), start=1):
        text = row["points"].strip()
        try:
            points, most = float(text) if text else None, float(row["most"])
            if points is not None and not 0 <= points <= most:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{_path(assignment)}, answer {number}: points must be a number from 0 to "
                f"{row['most']}, or nothing; got {text!r}"
            ) from None
        found[key] = Mark(points, row["comment"].strip(), row.get("marked", "").strip())
    return found


def write_marks(assignment: Assignment, graded: Iterable[Graded]) -> None:
    """Write the table anew, with the answers there are and the marks they have.

    Answers of students who were not graded this time keep their lines.
    """
    rows: dict[tuple[str, str], list[str]] = {
        key: [row.get(column, "") for column in _COLUMNS] for key, row in _rows(assignment).items()
    }
    marks = read_marks(assignment)
    for one in graded:
        for task in one.tasks:
            if task.written:
                mark = marks.get((one.student, task.name), Mark())
                text = answer(one, task.name)
                marked = hash_of(text) if mark.is_for(text) else mark.marked
                points = "" if mark.points is None else f"{mark.points:g}"
                most = f"{task.most:g}"
                rows[one.student, task.name] = [
                    one.student, task.name, points, most, mark.comment, text, marked
                ]  # fmt: skip
    if rows:
        write_table(_path(assignment), _COLUMNS, [rows[key] for key in sorted(rows)])


def _path(assignment: Assignment) -> Path:
    return assignment.grades / "written.csv"


def _rows(assignment: Assignment) -> dict[tuple[str, str], dict[str, str]]:
    path = _path(assignment)
    if not path.is_file():
        return {}
    columns, rows = read_table(path)
    if missing := [name for name in _COLUMNS[:5] if name not in columns]:
        raise ValueError(f"{path} must have a column {', '.join(missing)}; got {columns}")
    return {(normal(row["id"]), row["task"]): row for _, row in rows}


def answer(graded: Graded, task: str) -> str:
    """Return what a student has written."""
    from gmmlab.course.assignment import grade_id

    cells = [] if graded.notebook is None else graded.notebook.cells
    return next((cell.source for cell in cells if grade_id(cell) == task), "")
