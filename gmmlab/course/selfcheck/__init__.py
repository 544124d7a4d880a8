"""Is a problem set sound? Made-up submissions are released, handed in and graded.

They are described in `tests/submissions/<problem set>.yaml` of the workbook: right ones in other
styles, which must get full marks, and wrong ones, each the solution with one mistake, which must
fail in the right test, and only there, with feedback that names the mistake. Hostile ones are the
same for every problem set, and made here.
"""

from __future__ import annotations

import copy
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from gmmlab.course.assignment import Assignment, Course, grade_id, is_graded, is_solution
from gmmlab.course.grading import Graded, grade
from gmmlab.course.release import personal, release, write_seeds
from gmmlab.course.roster import Student, seed_of


@dataclass(frozen=True)
class Wrong:
    """A submission with one mistake.

    Parameters
    ----------
    name : str
    sources : dict of str to str
        Sources of the cells that differ from the solution.
    tests : tuple of str
        The tests that must fail, and no others.
    mistakes : tuple of str
        What the feedback may name.
    consequences : tuple of str
        Tests that may fail too.
    """

    name: str
    sources: dict[str, str]
    tests: tuple[str, ...]
    mistakes: tuple[str, ...]
    consequences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What became of a made-up submission."""

    name: str
    sound: bool
    words: str


@dataclass(frozen=True)
class MadeUp:
    """The made-up submissions of a problem set: for each, the sources of some cells."""

    right: dict[str, dict[str, str]]
    wrong: list[Wrong]


def read_made_up(path: Path, source: nbformat.NotebookNode) -> MadeUp:
    """Read a file of made-up submissions.

    Parameters
    ----------
    path : Path
    source : NotebookNode
        The notebook with solutions.

    Raises
    ------
    ValueError
        If a patch does not apply, or names a cell that there is not.
    """
    described = yaml.safe_load(path.read_text("utf-8"))
    solutions = {grade_id(cell): cell.source for cell in source.cells if is_solution(cell)}
    tests = {grade_id(cell) for cell in source.cells if is_graded(cell)}
    ways: dict[str, list[str]] = described.get("right") or {}
    layouts: dict[str, dict[str, str]] = described.get("layouts") or {}
    if unknown := {*ways, *(c for cells in layouts.values() for c in cells)} - set(solutions):
        raise ValueError(f"{path}: there is no cell {', '.join(sorted(unknown))}")
    right = {
        f"right, way {i + 1}": {cell: of[i] for cell, of in ways.items() if i < len(of)}
        for i in range(max(map(len, ways.values()), default=0))
    }
    for layout, cells in layouts.items():
        (shape,) = (c for c in source.cells if c.source.startswith("R_SHAPE"))
        declared = re.sub(r'^R_SHAPE = "[^"]*"', f'R_SHAPE = "{layout}"', shape.source)
        right[f"right, responsibilities {layout}"] = {**cells, shape.id: declared}
    wrong = []
    for number, entry in enumerate(described.get("wrong") or (), start=1):
        of = solutions.get(entry["cell"], "")
        for old, new in ((entry["old"], entry["new"]), entry.get("also", ("", ""))):
            if old not in of:
                raise ValueError(f"{path}, wrong {number}: {entry['cell']} does not hold {old!r}")
            of = of.replace(old, new, 1)
        fails, mistakes = (_tuple(entry[name]) for name in ("fails", "mistake"))
        if not set(fails) <= tests:
            raise ValueError(f"{path}, wrong {number}: there is no test {fails}")
        name = f"wrong {number}, {entry['cell']}: {' or '.join(mistakes)}"
        may = _tuple(entry.get("may", ()))
        wrong.append(Wrong(name, {entry["cell"]: of}, fails, mistakes, may))
    return MadeUp(right, wrong)


def _tuple(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def made_up_of(assignment: Assignment) -> MadeUp:
    """Return the made-up submissions of a problem set; none if nobody has described any."""
    root = assignment.course.root.parent.parent
    path = root / "tests" / "submissions" / f"{assignment.name}.yaml"
    return read_made_up(path, assignment.notebook) if path.is_file() else MadeUp({}, [])


def filled(notebook: nbformat.NotebookNode, sources: dict[str, str]) -> nbformat.NotebookNode:
    """Return a notebook with other sources in some of its cells."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        name = grade_id(cell) or cell.id
        cell.source = sources.get(name, cell.source)
    return notebook


def check(assignment: Assignment, *, every: int = 1, hostile: bool = True) -> Iterator[Finding]:
    """Grade the made-up submissions of a problem set, in a folder of their own.

    Parameters
    ----------
    assignment : Assignment
    every : int, default 1
        Take only every so many of the wrong ones.
    hostile : bool, default True
        Whether to hand in hostile ones too.

    Yields
    ------
    Finding
        For each submission whether it was graded as it should be.
    """
    made_up = made_up_of(assignment)
    wrong = made_up.wrong[::every]
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        root = Path(folder) / "assignments"
        shutil.copytree(
            assignment.course.root / "source" / assignment.name, root / "source" / assignment.name
        )
        copied = Course(root).assignment(assignment.name)
        scene = Scene(copied)
        yield from scene.rights(made_up.right)
        yield from scene.wrongs(wrong)
        if hostile:
            yield from scene.hostiles()


class Scene:
    """A class that hands in what it is told to."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.students = 0
        solutions = {grade_id(c): c.source for c in assignment.notebook.cells if is_solution(c)}
        release(assignment)
        given = nbformat.read(assignment.path("release"), as_version=4)
        self.given = given
        self.solved = filled(given, solutions)

    def hand_in(self, student: str, notebook: nbformat.NotebookNode | str) -> Path:
        """Put a notebook, or a text, where it is handed in, with the student's own seed."""
        path = self.assignment.path("submitted", student)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(notebook, str):
            notebook = personal(notebook, seed_of(self.assignment.name, student))
            notebook = nbformat.writes(notebook)
        path.write_text(notebook, "utf-8")
        return path

    def graded(self, students: list[str], **options: Any) -> dict[str, Graded]:
        """Grade everybody, with a roster, and nobody else."""
        roster = [Student(name) for name in students]
        write_seeds(self.assignment, roster)
        found = grade(self.assignment, roster, **options)
        shutil.rmtree(self.assignment.course.root / "submitted")
        return {one.student: one for one in found}

    def rights(self, ways: dict[str, dict[str, str]]) -> Iterator[Finding]:
        """Hand the solution and other right ways in; all must get full marks."""
        names = {f"right-{i:02d}": name for i, name in enumerate(["the solution", *ways])}
        for student, sources in zip(names, [{}, *ways.values()], strict=True):
            self.hand_in(student, filled(self.solved, sources))
        for student, one in self.graded(list(names)).items():
            lost = [f"{t.name}: {t.words}" for t in one.tasks if t.mistake or _less(t)]
            sound = bool(one.tasks) and not lost and not one.notes
            words = "full marks" if sound else "; ".join([*lost, *one.notes])
            yield Finding(names[student], sound, words)

    def wrongs(self, wrong: list[Wrong]) -> Iterator[Finding]:
        """Hand wrong solutions in; each must fail where it is wrong."""
        students = {f"wrong-{i:03d}": each for i, each in enumerate(wrong)}
        for student, each in students.items():
            self.hand_in(student, filled(self.solved, each.sources))
        for student, one in self.graded(list(students)).items() if students else ():
            failed = {t.name: (t.mistake, t.words) for t in one.tasks if t.mistake or _less(t)}
            yield judged(students[student], failed)

    def hostiles(self) -> Iterator[Finding]:
        """Hand hostile submissions in."""
        from gmmlab.course.selfcheck.adversarial import hostiles

        yield from hostiles(self)


def _less(task: Any) -> bool:
    return not task.written and task.points != task.most


def judged(wrong: Wrong, failed: Mapping[str, tuple[str, str]]) -> Finding:
    """Say whether the right tests have failed, and with the right words.

    Parameters
    ----------
    wrong : Wrong
    failed : mapping of str to (str, str)
        The mistake and its words, by the test that has found it.
    """
    tests = set(failed) - set(wrong.consequences)
    if tests != set(wrong.tests):
        words = f"should fail {', '.join(wrong.tests)}; fails {dict(failed) or 'nothing'}"
        return Finding(wrong.name, False, words)
    for test in wrong.tests:
        mistake, words = failed[test]
        if mistake not in wrong.mistakes:
            return Finding(wrong.name, False, f"{test} says: {words} [{mistake}]")
    return Finding(wrong.name, True, failed[wrong.tests[0]][1])
