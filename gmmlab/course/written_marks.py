"""Points that the instructor gives for written answers.

`grades/<problem set>/written.csv` has a row for each written answer. The instructor fills in
points, and a comment if wanted, and grades again. The last column, `marked`, is a short hash of
the answer that the points are for. If a different answer has been handed in since, the points are
kept and a note says so. Clearing the cell in this column confirms the points for the new answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gmmlab.course.assignment import Assignment
from gmmlab.course.grades import Graded
from gmmlab.course.roster import normalize_id
from gmmlab.course.tables import read_table, write_table

_COLUMNS = ("id", "task", "points", "most", "comment", "answer", "marked")
_REQUIRED = _COLUMNS[:5]


@dataclass(frozen=True)
class Mark:
    """Points for a written answer.

    Parameters
    ----------
    points : float or None
        None if the answer has not been marked.
    comment : str
    marked : str
        Hash of the answer that was marked; empty if the points hold for any answer.
    """

    points: float | None = None
    comment: str = ""
    marked: str = ""

    def is_for(self, answer: str) -> bool:
        """Return whether the points are for this answer; True if there are no points."""
        return self.points is None or self.marked in ("", hash_of(answer))


def hash_of(answer: str) -> str:
    """Return a short hash of an answer that no spreadsheet reads as a number.

    Examples
    --------
    >>> hash_of("Because.") == hash_of("Because. ") != hash_of("Because not.")
    True
    """
    return "h" + hashlib.sha256(answer.strip().encode()).hexdigest()[:9]


def marks_path(assignment: Assignment) -> Path:
    """Return the path of the table."""
    return assignment.grades / "written.csv"


def read_marks(assignment: Assignment) -> dict[tuple[str, str], Mark]:
    """Return the marks by student and task.

    Raises
    ------
    ValueError
        If columns are missing or not separated with commas, or points are not a number between 0
        and the points of the task.
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
                f"{marks_path(assignment)}, answer {number}: points must be a number from 0 to "
                f"{row['most']}, or empty; got {text!r}"
            ) from None
        found[key] = Mark(points, row["comment"].strip(), row.get("marked", "").strip())
    return found


def write_marks(assignment: Assignment, graded: Iterable[Graded]) -> None:
    """Rewrite the table with the current answers and their marks.

    The rows of students who are not in `graded` are kept.
    """
    rows: dict[tuple[str, str], list[str]] = {
        key: [row.get(column, "") for column in _COLUMNS] for key, row in _rows(assignment).items()
    }
    marks = read_marks(assignment)
    for one in graded:
        for task in one.tasks:
            if task.written:
                mark = marks.get((one.student, task.name), Mark())
                text = one.answer(task.name)
                marked = hash_of(text) if mark.is_for(text) else mark.marked
                points = "" if mark.points is None else f"{mark.points:g}"
                most = f"{task.max_points:g}"
                rows[one.student, task.name] = [
                    one.student, task.name, points, most, mark.comment, text, marked
                ]  # fmt: skip
    if rows:
        write_table(marks_path(assignment), _COLUMNS, [rows[key] for key in sorted(rows)])


def _rows(assignment: Assignment) -> dict[tuple[str, str], dict[str, str]]:
    path = marks_path(assignment)
    if not path.is_file():
        return {}
    columns, rows = read_table(path)
    if missing := [name for name in _REQUIRED if name not in columns]:
        raise ValueError(f"{path} must have a column {', '.join(missing)}; got {columns}")
    return {(normalize_id(row["id"]), row["task"]): row for _, row in rows}
