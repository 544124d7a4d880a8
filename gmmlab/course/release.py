"""The students' version of a problem set: no solutions, no hidden tests, personal data."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import nbformat

from gmmlab.course.assignment import Assignment
from gmmlab.course.cells import grade_id, hidden_lines, is_parameters, visible_source
from gmmlab.course.roster import Student, normalize_id, seed_in, seed_of, with_seed
from gmmlab.course.tables import read_table, write_table
from gmmlab.workbook.files import write_whole


def release(assignment: Assignment, students: Sequence[Student] = ()) -> list[Path]:
    """Make the students' version of a problem set.

    Parameters
    ----------
    assignment : Assignment
    students : sequence of Student, optional
        Each of these students gets a copy with personal data.

    Returns
    -------
    list of Path
        The notebooks that were made. The common one comes first.

    Raises
    ------
    ValueError
        If the source is not a valid problem set, or a student's id is the name of a problem set.
    NbgraderError
        If nbgrader rejects the source.
    """
    check_source(assignment)
    taken = {name.casefold() for name in assignment.course.assignments}
    for student in students:
        if student.id.casefold() in taken:
            raise ValueError(f"a student's id must not be the name of a problem set: {student.id}")
    if assignment.seeds.is_file() and not students:
        raise ValueError(
            f"{assignment.name} was released with a roster, and is graded with personal data: "
            f"pass the roster again, or remove {assignment.seeds} to release common data"
        )
    released = assignment.path("release").parent
    for outdated in released.parent.glob(f"*/{released.name}"):  # copies of an earlier roster
        shutil.rmtree(outdated, ignore_errors=True)
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
    """Make the students' version with nbgrader, and enter the problem set in the gradebook.

    Parameters
    ----------
    assignment : Assignment
    step : str
        Name of the folder in which the notebook is written.
    """
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
        raise ValueError(
            f"the release of {assignment.name} would contain a line of a solution or a hidden "
            f"test: {leaks[0]!r}"
        )
    return notebook


def leaked(source: nbformat.NotebookNode, released: str) -> Iterable[str]:
    """Yield the lines of solutions and hidden tests that occur in a released notebook.

    Lines that the source also contains outside of solutions and hidden tests are not reported.

    Parameters
    ----------
    source : NotebookNode
        The notebook with solutions.
    released : str
        The text of the released file.
    """
    shown = "\n".join(visible_source(cell) for cell in source.cells)
    unquoted = released.replace('\\"', '"').replace("\\\\", "\\")
    for cell in source.cells:
        yield from (line for line in hidden_lines(cell) if line not in shown and line in unquoted)
    yield from (mark for mark in ("BEGIN SOLUTION", "BEGIN HIDDEN TESTS") if mark in released)


def personal(notebook: nbformat.NotebookNode, seed: int) -> nbformat.NotebookNode:
    """Return a copy of a notebook with another seed in its parameters cell."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if is_parameters(cell):
            cell.source = with_seed(cell.source, seed)
    return notebook


def check_source(assignment: Assignment) -> None:
    """Check that the source of a problem set can be graded.

    Raises
    ------
    ValueError
        If the parameters cell or its seed is missing, or two cells have the same name.
    """
    cells = assignment.notebook.cells
    parameters = [cell for cell in cells if is_parameters(cell)]
    if len(parameters) != 1 or seed_in(parameters[0].source) is None:
        raise ValueError(f"{assignment.name} must have one parameters cell, with a `seed`")
    names = [grade_id(cell) for cell in cells if grade_id(cell)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{assignment.name} has two cells named {', '.join(sorted(twice))}")


# ---- the table of seeds ------------------------------------------------------------------------


def write_seeds(assignment: Assignment, students: Sequence[Student]) -> None:
    """Write the table of students with personal data."""
    rows = []
    for student in students:
        path = assignment.path("release", student.id).relative_to(assignment.course.root)
        rows.append((student.id, seed_of(assignment.name, student.id), path.as_posix()))
    write_table(assignment.seeds, ("id", "seed", "notebook"), rows)


def read_seeds(assignment: Assignment) -> list[tuple[str, int]]:
    """Return ids and seeds of the students with personal data; empty without a roster."""
    if not assignment.seeds.is_file():
        return []
    _, rows = read_table(assignment.seeds)
    return [(normalize_id(row["id"]), int(row["seed"])) for _, row in rows]


def _write(notebook: nbformat.NotebookNode, path: Path) -> None:
    nbformat.validate(notebook)
    write_whole(path, nbformat.writes(notebook) + "\n")
