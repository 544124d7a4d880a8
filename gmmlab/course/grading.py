"""Grading what was handed in: one submission after the other, and none stops the next."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from gmmlab.course import submission as handin
from gmmlab.course.assignment import (
    Assignment,
    CannotGrade,
    grade_id,
    is_graded,
    is_parameters,
    is_solution,
)
from gmmlab.course.checks.calling import NOT_DONE
from gmmlab.course.release import check_source, generate, read_seeds
from gmmlab.course.roster import Student, normal, seed_in, seed_of, whose, with_seed
from gmmlab.course.written_marks import Mark, answer, read_marks
from gmmlab.workbook.files import write_whole
from gmmlab.workbook.runs.kernels import Kernels

#: folders of the course that are there while it is graded
_SKELETON, _STAGED = ".skeleton", ".staged"


@dataclass(frozen=True)
class Task:
    """A cell that brings points, and what became of it.

    Parameters
    ----------
    name : str
    points : float or None
        None for a written answer that nobody has marked yet.
    most : float
    mistake : str
        Its name; empty if there is none.
    words : str
        What is wrong, or what the marker says.
    written : bool
        Whether a person marks it.
    """

    name: str
    points: float | None
    most: float
    mistake: str = ""
    words: str = ""
    written: bool = False


@dataclass
class Graded:
    """A student's grade.

    Parameters
    ----------
    student : str
    tasks : list of Task
        Empty if nothing could be graded.
    notes : list of str
        What else is to be said.
    status : str
        "graded", "to be marked" (a written answer is not), "not handed in" or "not graded".
    notebook : NotebookNode or None
        The notebook as it was run.
    """

    student: str
    tasks: list[Task] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    status: str = "graded"
    notebook: nbformat.NotebookNode | None = None

    @property
    def points(self) -> float:
        """The points so far."""
        return sum(task.points or 0.0 for task in self.tasks)


@dataclass(frozen=True)
class Limits:
    """Seconds that a cell, and a whole submission, may take."""

    cell: float = 20.0
    whole: float = 300.0


def grade(
    assignment: Assignment,
    students: Sequence[Student] = (),
    *,
    only: Sequence[str] = (),
    limits: Limits | None = None,
    on_student: Callable[[Graded], None] = lambda graded: None,
) -> list[Graded]:
    """Grade all that was handed in for a problem set.

    Parameters
    ----------
    assignment : Assignment
    students : sequence of Student, optional
        The roster: who should have handed something in. Whose data are whose was settled when
        the set was released: with a roster then, each student has data of the student's own;
        without one, all have the same, whatever is given here.
    only : sequence of str, optional
        Grade these students; by default all.
    limits : Limits, optional
    on_student : callable, optional
        Is called with each grade.

    Returns
    -------
    list of Graded
        In the order of the ids.

    Raises
    ------
    ValueError, CannotGrade
        If the problem set itself is not sound.
    """
    check_source(assignment)
    grader = _Grader(assignment, students, limits or Limits())
    with grader:
        found = []
        for student in grader.students(only):
            found.append(grader.grade(student))
            on_student(found[-1])
    return found


def astray(assignment: Assignment) -> list[Path]:
    """Return notebooks below `submitted` that are in the folder of no student and problem set."""
    root, names = assignment.course.root / "submitted", set(assignment.course.assignments)
    inside = {path: path.relative_to(root).parts for path in root.rglob("*.ipynb")}
    return sorted(
        path
        for path, parts in inside.items()
        if not ((len(parts) > 2 and parts[1] in names) or any(p.startswith(".") for p in parts))
    )


class _Grader:
    """What is the same for all submissions."""

    def __init__(self, assignment: Assignment, students: Sequence[Student], limits: Limits) -> None:
        for name in (_SKELETON, _STAGED):  # of a run that was cut off
            _remove(assignment.course.root / name)
        self.assignment = assignment
        self.root = assignment.course.root
        self.skeleton = generate(assignment, _SKELETON)
        self.tests = {grade_id(c): c for c in assignment.notebook.cells if is_graded(c)}
        self.roster = [s.id for s in students] or [s for s, _ in read_seeds(assignment)]
        self.personal = assignment.seeds.is_file()
        (parameters,) = (c for c in self.skeleton.cells if is_parameters(c))
        self.seed = seed_in(parameters.source)
        self.handed_in = {
            normal(folder.parent.name): folder
            for folder in sorted((self.root / "submitted").glob(f"[!.]*/{assignment.name}"))
        }
        self.marks = read_marks(assignment)
        self.limits = limits
        cells = [cell.source for cell in self.skeleton.cells if cell.cell_type == "code"]
        self.kernels = Kernels(cells, threads=1)

    def __enter__(self) -> _Grader:
        return self

    def __exit__(self, *error: object) -> None:
        self.kernels.close()
        for name in (_SKELETON, _STAGED):
            _remove(self.root / name)

    def students(self, only: Sequence[str]) -> list[str]:
        everybody = sorted({*self.handed_in, *self.roster})
        wanted = [normal(name) for name in only]
        for name in wanted:
            if name not in everybody:
                raise ValueError(f"{name!r} has handed nothing in, and is on no roster")
        return wanted or everybody

    def seed_for(self, student: str) -> int:
        """Return the seed of a student's data: the same for all, unless released by a roster."""
        return seed_of(self.assignment.name, student) if self.personal else self.seed

    def grade(self, student: str) -> Graded:
        """Grade one student, whatever was handed in."""
        graded = Graded(student)
        if self.roster and student not in self.roster:
            graded.notes.append("This id is not on the roster.")
        if student not in self.handed_in:
            graded.status = "not handed in"
            return graded
        try:
            Student(student)  # a folder may have any name
            _remove(self.assignment.path("autograded", student).parent)
            self._stage(student, graded)
            self._autograde(student)
        except (ValueError, CannotGrade, OSError) as error:
            graded.status = "not graded"
            graded.notes.append(f"This could not be graded: {error}.")
            return graded
        finally:
            _remove(self.root / _STAGED)
        path = self.assignment.path("autograded", student)
        graded.notebook = nbformat.read(path, as_version=4)
        graded.tasks = list(self._tasks(student, graded.notebook))
        for task in graded.tasks:
            mark = self.marks.get((student, task.name), Mark())
            if task.written and not mark.is_for(answer(graded, task.name)):
                graded.notes.append(
                    f"The answer to {task.name} has changed since it was marked: look at it again."
                )
        if any(task.points is None for task in graded.tasks):
            graded.status = "to be marked"
        return graded

    def _stage(self, student: str, graded: Graded) -> None:
        """Put the submission where nbgrader finds it, whole and with the right data."""
        name, folder = self.assignment.name, self.handed_in[student]
        path, notes = handin.find(folder, name)
        found = handin.put_together(self.skeleton, handin.read(path), self.assignment.notebook)
        graded.notes += notes + found.notes
        graded.notes += self._of_the_seed(student, found.seed)
        for cell in found.notebook.cells:
            if is_parameters(cell):
                cell.source = with_seed(cell.source, self.seed_for(student))
        to = self.assignment.path(_STAGED, student)
        to.parent.mkdir(parents=True)
        write_whole(to, nbformat.writes(found.notebook))
        handin.copy_other_files(folder, to.parent)

    def _of_the_seed(self, student: str, seed: int | None) -> Iterator[str]:
        right = self.seed_for(student)
        if seed is None or seed == right:
            return
        everybody = {*self.roster, *self.handed_in} - {student} if self.personal else ()
        owner = whose(self.assignment.name, seed, everybody)
        if owner is not None:
            yield f"The notebook has the data of another student, {owner} (seed {seed})."
        elif seed == self.seed:
            yield "The notebook has the data for everybody, not the student's own."
        else:
            yield f"The seed was changed to {seed}."
        yield f"It was graded with the right data (seed {right})."

    def _autograde(self, student: str) -> None:
        from nbgrader.converters import Autograde
        from nbgrader.preprocessors import CheckCellMetadata, LimitOutput, SaveAutoGrades

        from gmmlab.course.execution import Confined

        run = Confined(self.kernels, str(self.root.resolve()), *vars(self.limits).values())
        directory = self.assignment.course.directory(
            self.assignment.name, submitted_directory=_STAGED, student_id=glob.escape(student)
        )
        self.assignment.convert(
            Autograde,
            directory,
            force=True,
            autograde_preprocessors=[run, LimitOutput, SaveAutoGrades, CheckCellMetadata],
        )

    def _tasks(self, student: str, notebook: nbformat.NotebookNode) -> Iterator[Task]:
        cells = {grade_id(cell): cell for cell in notebook.cells if is_graded(cell)}
        name = self.assignment.name
        with self.assignment.course.gradebook() as gradebook:
            for task, source in self.tests.items():
                grade = gradebook.find_grade(task, name, name, student)
                if source.cell_type == "markdown":
                    mark = self.marks.get((student, task), Mark())
                    points = mark.points
                    if points is None and grade.auto_score == 0:  # nothing was written
                        points = 0.0
                    if mark.points is not None:
                        grade.manual_score, grade.needs_manual_grade = mark.points, False
                        gradebook.db.commit()
                    words = mark.comment or ("" if mark.points is not None or points is None
                                             else "No answer.")  # fmt: skip
                    yield Task(task, points, grade.max_score, "", words, written=True)
                    continue
                mistake, words = said(cells[task], notebook)
                yield Task(task, grade.auto_score, grade.max_score, mistake, words)


def said(cell: Any, notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """Return the mistake that a test has found, and its words; both empty if it has passed."""
    for output in cell.outputs:
        if output.output_type != "error":
            continue
        if output.ename == "Wrong":
            words, _, mistake = output.evalue.rpartition(" [")
            mistake = mistake.removesuffix("]")
            if mistake == NOT_DONE:  # or done, in a cell that failed before it had an answer
                return _before(cell, notebook, "There is no answer", (mistake, words))
            return mistake, words
        if output.ename == "NameError":
            missing = output.evalue
            return _before(cell, notebook, missing, (
                "not defined",
                f"{missing}: is the cell that defines it missing, or the name misspelt?",
            ))  # fmt: skip
        if output.ename == "TimeOut":
            return "a loop without end", f"The test was stopped: {output.evalue}."
        if output.ename == "KernelDied":
            return "the kernel died", (
                "Python itself ended in this test: killed from within, or out of memory."
            )
        if output.ename == "NotRun":
            return "not run", "The test was not run: cells before it took all the time there is."
        return "an error", f"The test ended with {output.ename}: {output.evalue}"
    return "", ""


def _before(
    cell: Any, notebook: nbformat.NotebookNode, missing: str, otherwise: tuple[str, str]
) -> tuple[str, str]:
    """Say why a test finds no answer: what happened in the student's cell before it, if any."""
    before = notebook.cells[: notebook.cells.index(cell)]
    for earlier in reversed([c for c in before if is_solution(c)]):
        for output in earlier.get("outputs", ()):
            if output.output_type == "error":
                if output.ename == "NotImplementedError":
                    return NOT_DONE, "This task is not done yet."
                return "an error", (
                    f"{missing}: the cell above failed with {output.ename}: {output.evalue}"
                )
        break
    return otherwise


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
