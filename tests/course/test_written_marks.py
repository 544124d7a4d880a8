"""Points that the instructor gives for written answers."""

import pytest
from courses import cell
from nbformat.v4 import new_notebook

from gmmlab.course.grades import Graded, Task
from gmmlab.course.written_marks import marks_path, read_marks, write_marks


def answered(text):
    why = cell("markdown", text, "why", grade=True, solution=True, points=2)
    task = Task("why", None, 2.0, written=True)
    return Graded("ada", [task], notebook=new_notebook(cells=[why]))


def test_points_hold_for_the_answer_that_was_marked(assignment):
    table = marks_path(assignment)
    table.parent.mkdir(parents=True)
    write_marks(assignment, [answered("=first")])
    table.write_text(table.read_text("utf-8").replace("ada,why,,2", "ada,why,1,2"), "utf-8")
    for text in ("=first", "second"):  # the points stay with the first answer
        write_marks(assignment, [answered(text)])
    mark = read_marks(assignment)["ada", "why"]
    assert (mark.points, mark.is_for("=first"), mark.is_for("second")) == (1, True, False)
    table.write_text(table.read_text("utf-8").replace(mark.marked, ""), "utf-8")
    write_marks(assignment, [answered("second")])
    assert read_marks(assignment)["ada", "why"].is_for("second")


def test_points_outside_of_the_range_and_missing_columns_are_rejected(assignment):
    table = marks_path(assignment)
    table.parent.mkdir(parents=True)
    for points in ("3", "-1", "x"):
        table.write_text(f"id,task,points,most,comment,answer\nada,why,{points},2,,\n")
        with pytest.raises(ValueError, match="from 0 to 2, or empty"):
            read_marks(assignment)
    table.write_text("id,task,points\nada,why,1\n")
    with pytest.raises(ValueError, match="must have a column most, comment"):
        read_marks(assignment)
