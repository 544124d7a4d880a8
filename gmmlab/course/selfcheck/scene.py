"""A small class that hands in notebooks and is graded."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from gmmlab.course.assignment import Assignment
from gmmlab.course.cells import grade_id, is_solution
from gmmlab.course.grades import Graded
from gmmlab.course.grading import grade
from gmmlab.course.release import personal, release, write_seeds
from gmmlab.course.roster import Student, seed_of


@dataclass(frozen=True)
class Finding:
    """The result of one test submission.

    Parameters
    ----------
    name : str
    passed : bool
        Whether it was graded as it should be.
    message : str
    """

    name: str
    passed: bool
    message: str


class Scene:
    """A released problem set and a class that hands in notebooks.

    Parameters
    ----------
    assignment : Assignment
        The problem set; its course is modified.

    Attributes
    ----------
    given : NotebookNode
        The released notebook.
    solved : NotebookNode
        The released notebook with the instructor's solutions.
    """

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        solutions = {grade_id(c): c.source for c in assignment.notebook.cells if is_solution(c)}
        release(assignment)
        self.given = nbformat.read(assignment.path("release"), as_version=4)
        self.solved = filled(self.given, solutions)

    def hand_in(self, student: str, notebook: nbformat.NotebookNode | str) -> Path:
        """Hand in a notebook with the student's own seed, or the text of a file as it is.

        Returns
        -------
        Path
            The file that was written.
        """
        path = self.assignment.path("submitted", student)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(notebook, str):
            notebook = personal(notebook, seed_of(self.assignment.name, student))
            notebook = nbformat.writes(notebook)
        path.write_text(notebook, "utf-8")
        return path

    def graded(self, students: list[str], **options: Any) -> dict[str, Graded]:
        """Grade what was handed in, with a roster of these students, and remove it.

        Parameters
        ----------
        students : list of str
        **options
            Options of `grade`.
        """
        roster = [Student(name) for name in students]
        write_seeds(self.assignment, roster)
        found = grade(self.assignment, roster, **options)
        shutil.rmtree(self.assignment.course.root / "submitted")
        return {one.student: one for one in found}


def filled(
    notebook: nbformat.NotebookNode, sources: Mapping[str | None, str]
) -> nbformat.NotebookNode:
    """Return a copy of a notebook with other sources in some of its cells."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        name = grade_id(cell) or cell.id
        cell.source = sources.get(name, cell.source)
    return notebook
