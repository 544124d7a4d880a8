"""The grade of a student, task by task."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbformat import NotebookNode

from gmmlab.course.cells import grade_id


@dataclass(frozen=True)
class Task:
    """The result of one graded cell.

    Parameters
    ----------
    name : str
        Name of the cell in nbgrader.
    points : float or None
        None for a written answer that has not been marked.
    max_points : float
    mistake : str
        Name of the mistake; empty if no mistake was found.
    message : str
        Explanation of the mistake, or the comment of the marker.
    written : bool
        Whether a person marks the task.
    """

    name: str
    points: float | None
    max_points: float
    mistake: str = ""
    message: str = ""
    written: bool = False

    @property
    def failed(self) -> bool:
        """Whether this is an automatic test that did not give all its points."""
        return not self.written and self.points != self.max_points


@dataclass
class Graded:
    """The grade of a student.

    Parameters
    ----------
    student : str
    tasks : list of Task
        Empty if the submission could not be graded.
    notes : list of str
        Remarks about the submission as a whole.
    status : str
        "graded", "to be marked" (a written answer has no points yet), "not handed in" or
        "not graded".
    notebook : NotebookNode or None
        The executed notebook.
    """

    student: str
    tasks: list[Task] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    status: str = "graded"
    notebook: NotebookNode | None = None

    @property
    def points(self) -> float:
        """The sum of the points given so far."""
        return sum(task.points or 0.0 for task in self.tasks)

    def answer(self, task: str | None) -> str:
        """Return the student's written answer to a task."""
        cells = [] if self.notebook is None else self.notebook.cells
        return next((cell.source for cell in cells if grade_id(cell) == task), "")
