"""Grade the submissions of a problem set; a bad submission does not affect the others."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from gmmlab.course.assignment import Assignment, NbgraderError
from gmmlab.course.cells import grade_id, is_graded, is_parameters, is_solution
from gmmlab.course.checks.calling import ENDLESS, ERROR, NOT_DONE
from gmmlab.course.grades import Graded, Task
from gmmlab.course.release import check_source, generate, read_seeds
from gmmlab.course.roster import (
    Student,
    normalize_id,
    owner_of_seed,
    seed_in,
    seed_of,
    with_seed,
)
from gmmlab.course.submission import copy_other_files, find_notebook, merge, read_notebook
from gmmlab.course.written_marks import Mark, read_marks
from gmmlab.workbook.files import write_whole
from gmmlab.workbook.runs.kernels import Kernels

# Folders of the course that exist only during grading: the release that submissions are merged
# into, and the merged submissions.
_RELEASED, _MERGED = ".released", ".merged"


@dataclass(frozen=True)
class Limits:
    """Time limits.

    Parameters
    ----------
    cell : float, default 20.0
        Seconds that a cell may take.
    whole : float, default 300.0
        Seconds that a submission may take.
    """

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
    """Grade all submissions of a problem set.

    Parameters
    ----------
    assignment : Assignment
    students : sequence of Student, optional
        The roster: the students who should have handed something in. It does not decide which
        data they have. If the problem set was released with a roster, each student has personal
        data; otherwise all students have the same data.
    only : sequence of str, optional
        Ids of the students to grade; by default all.
    limits : Limits, optional
    on_student : callable, optional
        Called with each grade.

    Returns
    -------
    list of Graded
        In the order of the ids.

    Raises
    ------
    ValueError, NbgraderError
        If the problem set itself cannot be graded.
    """
    check_source(assignment)
    with Grader(assignment, students, limits or Limits()) as grader:
        found = []
        for student in grader.students(only):
            found.append(grader.grade(student))
            on_student(found[-1])
    return found


def misplaced(assignment: Assignment) -> list[Path]:
    """Return notebooks below `submitted` that are in no student's folder of a problem set."""
    root, names = assignment.course.root / "submitted", set(assignment.course.assignments)
    inside = {path: path.relative_to(root).parts for path in root.rglob("*.ipynb")}
    return sorted(
        path
        for path, parts in inside.items()
        if not ((len(parts) > 2 and parts[1] in names) or any(p.startswith(".") for p in parts))
    )


class Grader:
    """What all submissions of a problem set have in common.

    It is a context manager. On exit it ends the kernels and removes temporary folders.

    Parameters
    ----------
    assignment : Assignment
    students : sequence of Student
        The roster; may be empty.
    limits : Limits
    """

    def __init__(self, assignment: Assignment, students: Sequence[Student], limits: Limits) -> None:
        for name in (_RELEASED, _MERGED):  # left by a run that was interrupted
            _remove(assignment.course.root / name)
        self.assignment = assignment
        self.root = assignment.course.root
        self.released = generate(assignment, _RELEASED)
        self.tests = {grade_id(c): c for c in assignment.notebook.cells if is_graded(c)}
        self.roster = [s.id for s in students] or [s for s, _ in read_seeds(assignment)]
        self.personal = assignment.seeds.is_file()
        (parameters,) = (c for c in self.released.cells if is_parameters(c))
        self.seed = seed_in(parameters.source)
        self.submissions = {
            normalize_id(folder.parent.name): folder
            for folder in sorted((self.root / "submitted").glob(f"[!.]*/{assignment.name}"))
        }
        self.marks = read_marks(assignment)
        self.limits = limits
        cells = [cell.source for cell in self.released.cells if cell.cell_type == "code"]
        self.kernels = Kernels(cells, threads=1)

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *error: object) -> None:
        self.kernels.close()
        for name in (_RELEASED, _MERGED):
            _remove(self.root / name)

    def students(self, only: Sequence[str] = ()) -> list[str]:
        """Return the ids of the students to grade: those in `only`, or by default all."""
        everybody = sorted({*self.submissions, *self.roster})
        wanted = [normalize_id(name) for name in only]
        for name in wanted:
            if name not in everybody:
                raise ValueError(f"{name!r} is not on the roster and has handed nothing in")
        return wanted or everybody

    def seed_for(self, student: str) -> int:
        """Return the seed of a student's data, which may be the common seed."""
        return seed_of(self.assignment.name, student) if self.personal else self.seed

    def grade(self, student: str) -> Graded:
        """Grade one student; problems with the submission are noted in the grade."""
        graded = Graded(student)
        if self.roster and student not in self.roster:
            graded.notes.append("This id is not on the roster.")
        if student not in self.submissions:
            graded.status = "not handed in"
            return graded
        try:
            Student(student)  # the id is the name of a folder, which may not be a valid id
            _remove(self.assignment.path("autograded", student).parent)
            self._merge(student, graded)
            self._autograde(student)
        except (ValueError, NbgraderError, OSError) as error:
            graded.status = "not graded"
            graded.notes.append(f"This could not be graded: {error}.")
            return graded
        finally:
            _remove(self.root / _MERGED)
        path = self.assignment.path("autograded", student)
        graded.notebook = nbformat.read(path, as_version=4)
        graded.tasks = list(self._tasks(student, graded.notebook))
        for task in graded.tasks:
            mark = self.marks.get((student, task.name), Mark())
            if task.written and not mark.is_for(graded.answer(task.name)):
                graded.notes.append(
                    f"The answer to {task.name} has changed since it was marked; check its points."
                )
        if any(task.points is None for task in graded.tasks):
            graded.status = "to be marked"
        return graded

    def _merge(self, student: str, graded: Graded) -> None:
        """Write the submission, complete and with the right data, where nbgrader finds it."""
        name, folder = self.assignment.name, self.submissions[student]
        path, notes = find_notebook(folder, name)
        submission = merge(self.released, read_notebook(path), self.assignment.notebook)
        graded.notes += notes + submission.notes
        graded.notes += self._notes_on_seed(student, submission.seed)
        for cell in submission.notebook.cells:
            if is_parameters(cell):
                cell.source = with_seed(cell.source, self.seed_for(student))
        to = self.assignment.path(_MERGED, student)
        to.parent.mkdir(parents=True)
        write_whole(to, nbformat.writes(submission.notebook))
        copy_other_files(folder, to.parent)

    def _notes_on_seed(self, student: str, seed: int | None) -> Iterator[str]:
        right = self.seed_for(student)
        if seed is None or seed == right:
            return
        others = {*self.roster, *self.submissions} - {student} if self.personal else ()
        owner = owner_of_seed(self.assignment.name, seed, others)
        if owner is not None:
            yield f"The notebook has the data of another student, {owner} (seed {seed})."
        elif seed == self.seed:
            yield "The notebook has the common data, not the student's own."
        else:
            yield f"The seed was changed to {seed}."
        yield f"It was graded with the right data (seed {right})."

    def _autograde(self, student: str) -> None:
        from nbgrader.converters import Autograde
        from nbgrader.preprocessors import CheckCellMetadata, LimitOutput, SaveAutoGrades

        from gmmlab.course.execution import ConfinedExecute

        run = ConfinedExecute(
            self.kernels, str(self.root.resolve()), self.limits.cell, self.limits.whole
        )
        directory = self.assignment.course.directory(
            self.assignment.name, submitted_directory=_MERGED, student_id=glob.escape(student)
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
                    points, message = mark.points, mark.comment
                    if points is None and grade.auto_score == 0:  # the answer is empty
                        points, message = 0.0, message or "No answer."
                    if mark.points is not None:
                        grade.manual_score, grade.needs_manual_grade = mark.points, False
                        gradebook.db.commit()
                    yield Task(task, points, grade.max_score, "", message, written=True)
                else:
                    mistake, message = find_mistake(cells[task], notebook)
                    yield Task(task, grade.auto_score, grade.max_score, mistake, message)


def find_mistake(test: Any, notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """Return the mistake that an executed test reports.

    Parameters
    ----------
    test : NotebookNode
        The cell of the test.
    notebook : NotebookNode
        The executed notebook.

    Returns
    -------
    mistake, message : str
        Name and explanation of the mistake; both are empty if the test has passed.
    """
    for output in test.outputs:
        if output.output_type != "error":
            continue
        if output.ename == "Wrong":
            message, _, mistake = output.evalue.rpartition(" [")
            mistake = mistake.removesuffix("]")
            if mistake == NOT_DONE:
                # The task may be done in a cell that failed before it assigned the answer.
                return _cause(test, notebook, "There is no answer", (mistake, message))
            return mistake, message
        if output.ename == "NameError":
            return _cause(test, notebook, output.evalue, (
                "not defined",
                f"{output.evalue}: is the cell that defines it missing, or the name misspelt?",
            ))  # fmt: skip
        if output.ename == "TimeOut":
            return ENDLESS, f"The test was stopped: {output.evalue}."
        if output.ename == "KernelDied":
            return "the kernel died", (
                "Python stopped during this test: the code ended it, or memory ran out."
            )
        if output.ename == "NotRun":
            return "not run", "The test was not run: the cells before it used up the time limit."
        return ERROR, f"The test ended with {output.ename}: {output.evalue}"
    return "", ""


def _cause(
    test: Any, notebook: nbformat.NotebookNode, missing: str, otherwise: tuple[str, str]
) -> tuple[str, str]:
    """Return why a test finds no answer: the error in the student's cell above it, if any."""
    before = notebook.cells[: notebook.cells.index(test)]
    above = next((cell for cell in reversed(before) if is_solution(cell)), {})
    for output in above.get("outputs", ()):
        if output.output_type == "error":
            if output.ename == "NotImplementedError":
                return NOT_DONE, "This task is not done yet."
            return ERROR, f"{missing}: the cell above failed with {output.ename}: {output.evalue}"
    return otherwise


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
