"""What students get: the notebook without solutions and hidden tests, with data of their own."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import nbformat

from gmmlab.course.assignment import Assignment, grade_id, in_the_open, is_parameters, left_out
from gmmlab.course.roster import Student, normal, seed_in, seed_of, with_seed
from gmmlab.course.tables import read_table, write_table
from gmmlab.workbook.files import write_whole


def release(assignment: Assignment, students: Sequence[Student] = ()) -> list[Path]:
    """Make the students' version of a problem set.

    Parameters
    ----------
    assignment : Assignment
    students : sequence of Student, optional
        For each a copy is made with data of the student's own.

    Returns
    -------
    list of Path
        The notebooks made: the one for everybody first.

    Raises
    ------
    ValueError
        If the source is not a sound problem set, or a student's id is the name of one.
    CannotGrade
        If nbgrader refuses it.
    """
    check_source(assignment)
    taken = {name.casefold() for name in assignment.course.assignments}
    for student in students:
        if student.id.casefold() in taken:
            raise ValueError(f"a student's id must not be the name of a problem set: {student.id}")
    if assignment.seeds.is_file() and not students:
        raise ValueError(
            f"{assignment.name} was released with a roster, and is graded with its data: give the "
            f"roster again, or remove {assignment.seeds} if all are to have the same"
        )
    released = assignment.path("release").parent
    for copies in released.parent.glob(f"*/{released.name}"):  # of an earlier roster
        shutil.rmtree(copies, ignore_errors=True)
    notebook = generate(assignment, "release")
    made = [assignment.path("release")]
    with assignment.course.gradebook() as gradebook:
        for student in students:
            names = {name: value for name, value in vars(student).items() if name != "id"}
            gradebook.update_or_create_student(student.id, **names)
            made.append(assignment.path("release", student.id))
            made[-1].parent.mkdir(parents=True, exist_ok=True)
            _write(personal(notebook, seed_of(assignment.name, student.id)), made[-1])
    if students:
        write_seeds(assignment, students)
    return made


def generate(assignment: Assignment, step: str) -> nbformat.NotebookNode:
    """Have nbgrader make the students' version in a folder, and enter it in the gradebook."""
    directory = assignment.course.directory(assignment.name, release_directory=step)
    from nbgrader.converters import GenerateAssignment

    assignment.convert(GenerateAssignment, directory, force=True)
    path = assignment.path(step)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("source_sha256", None)
        if is_parameters(cell):
            cell.metadata |= {"deletable": False, "editable": False}
    _write(notebook, path)
    if leaks := list(leaked(assignment.notebook, path.read_text("utf-8"))):
        path.unlink()
        raise ValueError(f"{assignment.name} would give away what is hidden: {leaks[0]!r}")
    return notebook


def leaked(source: nbformat.NotebookNode, released: str) -> Iterable[str]:
    """Yield the lines of solutions and hidden tests that a released notebook still has.

    Lines that the source has in the open too are none.
    """
    shown = "\n".join(in_the_open(cell) for cell in source.cells)
    quoted = released.replace('\\"', '"').replace("\\\\", "\\")
    for cell in source.cells:
        yield from (line for line in left_out(cell) if line not in shown and line in quoted)
    yield from (mark for mark in ("BEGIN SOLUTION", "BEGIN HIDDEN TESTS") if mark in released)


def personal(notebook: nbformat.NotebookNode, seed: int) -> nbformat.NotebookNode:
    """Return a notebook with another seed in its parameters cell."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if is_parameters(cell):
            cell.source = with_seed(cell.source, seed)
    return notebook


def check_source(assignment: Assignment) -> None:
    """Refuse a source that could not be graded.

    Raises
    ------
    ValueError
        With what is missing.
    """
    cells = assignment.notebook.cells
    parameters = [cell for cell in cells if is_parameters(cell)]
    if len(parameters) != 1 or seed_in(parameters[0].source) is None:
        raise ValueError(f"{assignment.name} must have one parameters cell, with a `seed`")
    known = [grade_id(cell) for cell in cells if grade_id(cell)]
    if twice := {name for name in known if known.count(name) > 1}:
        raise ValueError(f"{assignment.name} has two cells named {', '.join(sorted(twice))}")


# ---- the table of seeds ------------------------------------------------------------------------


def write_seeds(assignment: Assignment, students: Sequence[Student]) -> None:
    """Write which students have data of their own."""
    rows = []
    for student in students:
        path = assignment.path("release", student.id).relative_to(assignment.course.root)
        rows.append((student.id, seed_of(assignment.name, student.id), path.as_posix()))
    write_table(assignment.seeds, ("id", "seed", "notebook"), rows)


def read_seeds(assignment: Assignment) -> list[tuple[str, int]]:
    """Return the students with data of their own, and their seeds; none without a roster."""
    if not assignment.seeds.is_file():
        return []
    _, rows = read_table(assignment.seeds)
    return [(normal(row["id"]), int(row["seed"])) for _, row in rows]


def _write(notebook: nbformat.NotebookNode, path: Path) -> None:
    nbformat.validate(notebook)
    write_whole(path, nbformat.writes(notebook) + "\n")
