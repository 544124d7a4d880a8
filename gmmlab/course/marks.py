"""Points for written answers: a table that the instructor fills in.

`grades/<problem set>/written.csv` has a line for each written answer. Put points in (and a
comment), grade again, and they count.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gmmlab.course.roster import normal
from gmmlab.workbook.files import write_whole

if TYPE_CHECKING:
    from gmmlab.course.folder import Assignment
    from gmmlab.course.grading import Graded

_COLUMNS = ("id", "task", "points", "most", "comment", "answer")


@dataclass(frozen=True)
class Mark:
    """Points for a written answer; None if it was not marked."""

    points: float | None = None
    comment: str = ""


def read_marks(assignment: Assignment) -> dict[tuple[str, str], Mark]:
    """Return the marks by student and task.

    Raises
    ------
    ValueError
        If points are no number, negative, or more than there are.
    """
    path = assignment.grades / "written.csv"
    if not path.is_file():
        return {}
    found = {}
    lines = path.read_text("utf-8-sig").splitlines(keepends=True)
    for number, row in enumerate(csv.DictReader(lines), start=2):
        text = (row.get("points") or "").strip()
        try:
            points, most = float(text) if text else None, float(row["most"])
            if points is not None and not 0 <= points <= most:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{path}, answer {number - 1}: points must be a number from 0 to "
                f"{row.get('most')}, or nothing; got {text!r}"
            ) from None
        key = normal(row["id"]), row["task"]
        found[key] = Mark(points, (row.get("comment") or "").strip())
    return found


def write_marks(assignment: Assignment, graded: Iterable[Graded]) -> None:
    """Write the table anew, with the answers there are and the marks they have.

    Answers of students who were not graded this time keep their lines.
    """
    path = assignment.grades / "written.csv"
    rows: dict[tuple[str, str], dict[str, object]] = {}
    if path.is_file():
        lines = path.read_text("utf-8-sig").splitlines(keepends=True)
        rows = {(normal(row["id"]), row["task"]): dict(row) for row in csv.DictReader(lines)}
    marks = read_marks(assignment)
    for one in graded:
        for task in one.tasks:
            if task.written:
                mark = marks.get((one.student, task.name), Mark())
                row = (one.student, task.name, "" if mark.points is None else f"{mark.points:g}",
                       f"{task.most:g}", mark.comment, answer(one, task.name))  # fmt: skip
                rows[one.student, task.name] = dict(zip(_COLUMNS, row, strict=True))
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows[key] for key in sorted(rows))
    write_whole(path, text.getvalue())


def answer(graded: Graded, task: str) -> str:
    """Return what a student has written."""
    from gmmlab.course.folder import grade_id

    cells = [] if graded.notebook is None else graded.notebook.cells
    return next((cell.source for cell in cells if grade_id(cell) == task), "")
