"""Submissions that disturb grading, on purpose or by accident; none may affect the others.

Each one is the solution after some change, together with what its grade must be.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat

from gmmlab.course.cells import grade_id, is_graded, is_solution
from gmmlab.course.checks.calling import ENDLESS
from gmmlab.course.grades import Graded, Task
from gmmlab.course.grading import Limits
from gmmlab.course.release import personal
from gmmlab.course.roster import seed_of
from gmmlab.course.selfcheck.scene import Finding, Scene

# Short limits, because some of these submissions use all the time they get.
_LIMITS = Limits(cell=5.0, whole=60.0)
# Two students with unusual ids who hand in the solution.
_HONEST = "honest Zoë 李雷 O'Brien"
_OTHER = "Ömer"

#: hands something in for a student of a scene
HandIn = Callable[[Scene, str], Any]
#: returns what is wrong with a grade; empty if nothing is wrong
Judge = Callable[[Graded], str]


@dataclass(frozen=True)
class Adversarial:
    """An adversarial submission.

    Parameters
    ----------
    name : str
    hand_in : callable
    judge : callable
    """

    name: str
    hand_in: HandIn
    judge: Judge


def check_adversarial(
    scene: Scene, *, only: Collection[str] | None = None, limits: Limits = _LIMITS
) -> Iterator[Finding]:
    """Grade adversarial submissions together with the solution of two honest students.

    Parameters
    ----------
    scene : Scene
    only : collection of str, optional
        Names of the submissions to use; by default all.
    limits : Limits, optional

    Yields
    ------
    Finding
        One for each submission, and one that tells whether other files were changed.
    """
    wanted = [case for case in adversarial_submissions(scene) if only is None or case.name in only]
    cases = {f"h{i:02d}": case for i, case in enumerate(wanted)}
    root = scene.assignment.course.root
    outside = root.parent / "outside.txt"
    outside.write_text("unchanged")
    for student, case in cases.items():
        case.hand_in(scene, student)
    for student in (_HONEST, _OTHER):
        scene.hand_in(student, scene.solved)
    before = _contents(root.parent)
    graded = scene.graded([*cases, _HONEST, _OTHER], limits=limits)
    for student, case in cases.items():
        problem = case.judge(graded[student])
        message = problem or f"{graded[student].status}, {graded[student].points:g} points"
        yield Finding(f"adversarial, {case.name}", not problem, message)
    for student in (_HONEST, _OTHER):
        problem = _gets_full_marks(graded[student])
        yield Finding(f"honest, {student}", not problem, problem or "full marks")
    after = _contents(root.parent)
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    message = ", ".join(changed) or "no file outside of the submissions was changed"
    yield Finding("adversarial, all together", not changed, message)


def _contents(root: Path) -> dict[str, str]:
    """Return the hashes of all files except those that grading itself writes."""
    written = ("autograded", "feedback", "grades", "submitted", "gradebook.db", "release")
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not set(path.relative_to(root).parts[:2]) & set(written)
    }


# ---- judging a grade ---------------------------------------------------------------------------


def _gets_full_marks(one: Graded) -> str:
    if not one.tasks:
        return f"{one.status}: {one.notes}"
    return "; ".join([*_lost(one), *one.notes])


def _gets_some_points(one: Graded) -> str:
    return "" if one.tasks and one.points else f"{one.status}, {one.points:g}: {one.notes}"


def _gets_no_points(one: Graded) -> str:
    return "" if one.tasks and not one.points else f"{one.status}, {one.points:g}: {one.notes}"


def _is_rejected(text: str) -> Judge:
    """Judge that a submission is not graded, and that a note with this text says why."""

    def judge(one: Graded) -> str:
        if one.status not in ("not graded", "not handed in") or one.points:
            return f"{one.status}, {one.points:g} points"
        return _missing(text, " ".join(one.notes))

    return judge


def _is_noted(text: str) -> Judge:
    """Judge that a submission gets full marks, with a note that contains a text."""

    def judge(one: Graded) -> str:
        return "; ".join(_lost(one)) or _missing(text, " ".join(one.notes))

    return judge


def _fails(test: str | None, text: str) -> Judge:
    """Judge that a test fails with a text in its feedback, and that other tests pass."""

    def judge(one: Graded) -> str:
        task = _task(one, test)
        if task is None or task.points or text not in f"{task.message} {task.mistake}":
            return f"{test} should fail with {text!r}; {one.status}: {task} {one.notes}"
        passed = any(not (other.written or other.failed) for other in one.tasks)
        return "" if passed else "no other test passes"

    return judge


def _fails_after_change(test: str | None) -> Judge:
    """Judge that a changed test is noted and gives no points."""

    def judge(one: Graded) -> str:
        task = _task(one, test)
        if task is None or task.points or "changed" not in " ".join(one.notes):
            return f"{test} should give no points: {task} {one.notes}"
        total = sum(task.max_points for task in one.tasks)
        return "" if one.points < total else "full marks or more"

    return judge


def _lost(one: Graded) -> list[str]:
    return [f"{task.name}: {task.message}" for task in one.tasks if task.failed]


def _task(one: Graded, name: str | None) -> Task | None:
    return next((task for task in one.tasks if task.name == name), None)


def _missing(text: str, found: str) -> str:
    return "" if text in found else f"{text!r} is not in: {found}"


# ---- what is handed in -------------------------------------------------------------------------


def adversarial_submissions(scene: Scene) -> list[Adversarial]:
    """Return the adversarial submissions of a problem set.

    Those that change one task change the first one that has a test directly below it.
    """
    pairs = [
        (grade_id(a), grade_id(b))
        for a, b in pairwise(scene.given.cells)
        if is_solution(a) and is_graded(b) and b.cell_type == "code"
    ]
    task, test = pairs[0]
    last = pairs[-1][0]

    def at_end(source: str) -> HandIn:
        """Append code to the last task."""
        return lambda scene, who: scene.hand_in(who, _with(scene.solved, last, source, after=True))

    def as_first(source: str) -> HandIn:
        """Replace the code of the first task."""
        return lambda scene, who: scene.hand_in(who, _with(scene.solved, task, source))

    def text(content: str) -> HandIn:
        return lambda scene, who: scene.hand_in(who, content)

    function = _function(scene, task)
    endless = f"def {function}(*a):\n    while True:\n        pass"
    stubborn = (
        f"def {function}(*a):\n    while True:\n        try:\n            while True:\n"
        "                pass\n        except BaseException:\n            pass"
    )
    invalid = {"cells": [{"cell_type": "code"}, 3], "metadata": {}, "nbformat": 4,
                "nbformat_minor": 5}  # fmt: skip
    not_a_notebook = _is_rejected("not a notebook")
    cases: list[tuple[str, HandIn, Judge]] = [
        ("an endless loop", as_first(endless), _fails(test, ENDLESS)),
        ("an endless loop that ignores interrupts", as_first(stubborn), _fails(test, "end")),
        (
            "sys.exit",
            as_first(f"import sys\ndef {function}(*a):\n    sys.exit()"),
            _fails(test, "exits the notebook"),
        ),
        ("sys.exit in a cell", at_end("import sys\nsys.exit(0)"), _gets_full_marks),
        ("exit in a cell", at_end("exit()"), _gets_full_marks),
        ("the kernel ends itself", at_end("import os\nos._exit(0)"), _gets_some_points),
        (
            "the kernel is killed",
            as_first(f"import os\ndef {function}(*a):\n    os.kill(os.getpid(), 9)"),
            _fails(test, "died"),
        ),
        (
            "large output",
            at_end("for _ in range(10**6):\n    print('x' * 100)"),
            _gets_full_marks,
        ),
        ("endless output", at_end("while True:\n    print('x' * 1000)"), _gets_some_points),
        ("out of memory", at_end("import numpy as np\nnp.ones(10**13)"), _gets_some_points),
        ("a changed test", _with_changed(test), _fails_after_change(test)),
        ("a deleted test", _without(test), _is_noted("deleted")),
        ("all cells deleted", _emptied, _gets_no_points),
        ("no metadata", _without_metadata, _gets_full_marks),
        ("data of another student", _of_another, _is_noted("another student")),
        ("an unknown seed", _of_nobody, _is_noted("seed was changed")),
        ("not JSON", text("this is not a notebook"), not_a_notebook),
        ("JSON, but not a notebook", text('{"cells": 7}'), not_a_notebook),
        ("nested too deeply", text("[" * 100_000), not_a_notebook),
        ("an empty file", text(""), not_a_notebook),
        ("invalid cells", text(json.dumps(invalid)), not_a_notebook),
        ("replaced checks", at_end(_REPLACES), _gets_full_marks),
        ("no notebook", _nothing, _is_rejected("missing")),
        ("another name", _renamed, _is_noted("handed in as")),
        ("a link", _link, _is_rejected("not a regular file")),
        ("writes elsewhere", at_end(_WRITES), _gets_full_marks),
        ("reads the solution", at_end(_READS), _gets_full_marks),
        ("starts a program", at_end(_STARTS), _gets_full_marks),
    ]
    return [Adversarial(*case) for case in cases]


def _function(scene: Scene, task: str | None) -> str:
    """Return the name of the function that a task asks for."""
    (cell,) = (c for c in scene.solved.cells if grade_id(c) == task)
    line = next(line for line in cell.source.splitlines() if line.startswith("def "))
    return line[4:].partition("(")[0]


def _with(
    notebook: nbformat.NotebookNode, task: str | None, source: str, *, after: bool = False
) -> nbformat.NotebookNode:
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if grade_id(cell) == task:
            cell.source = f"{cell.source}\n{source}" if after else source
    return notebook


def _with_changed(test: str | None) -> HandIn:
    """Return a function that hands in nothing but a test that passes for 1000 points."""

    def hand_in(scene: Scene, who: str) -> None:
        notebook = _with(scene.given, test, "pass")
        for cell in notebook.cells:
            if grade_id(cell) == test:
                cell.metadata.nbgrader["points"] = 1000
        scene.hand_in(who, notebook)

    return hand_in


def _without(test: str | None) -> HandIn:
    def hand_in(scene: Scene, who: str) -> None:
        notebook = copy.deepcopy(scene.solved)
        notebook.cells = [cell for cell in notebook.cells if grade_id(cell) != test]
        scene.hand_in(who, notebook)

    return hand_in


def _emptied(scene: Scene, who: str) -> None:
    notebook = copy.deepcopy(scene.given)
    notebook.cells = []
    scene.hand_in(who, nbformat.writes(notebook))


def _without_metadata(scene: Scene, who: str) -> None:
    """Hand in what is left by a program that removes unknown metadata but keeps cell ids."""
    notebook = personal(scene.solved, seed_of(scene.assignment.name, who))
    for cell in notebook.cells:
        cell.metadata = nbformat.NotebookNode()
    scene.hand_in(who, nbformat.writes(notebook))


def _of_another(scene: Scene, who: str) -> None:
    notebook = personal(scene.solved, seed_of(scene.assignment.name, _OTHER))
    scene.hand_in(who, nbformat.writes(notebook))


def _of_nobody(scene: Scene, who: str) -> None:
    scene.hand_in(who, nbformat.writes(personal(scene.solved, 12345)))


def _nothing(scene: Scene, who: str) -> None:
    path = scene.hand_in(who, "")
    path.unlink()


def _renamed(scene: Scene, who: str) -> None:
    path = scene.hand_in(who, scene.solved)
    path.rename(path.with_name(f"{path.stem} (1) – Übung.ipynb"))


def _link(scene: Scene, who: str) -> None:
    path = scene.hand_in(who, "")
    path.unlink()
    path.symlink_to(scene.assignment.source.resolve())


_REPLACES = """
from gmmlab.course.checks import em, practice, problems
for module in (em, practice, problems):
    for name in dir(module):
        setattr(module, name, lambda *a, **k: None)
"""
_WRITES = """
import os, pathlib, shutil
for attempt in (
    lambda: open("../../../../outside.txt", "w").write("changed"),
    lambda: pathlib.Path("../../../source/planted.py").write_text("x"),
    lambda: os.remove("../../../../outside.txt"),
    lambda: os.rename("../../../../outside.txt", "mine.txt"),
    lambda: shutil.rmtree("../../../source"),
    lambda: os.mkdir("../../../../planted"),
    lambda: os.symlink("/", "../../../../planted"),
    lambda: os.open("../../../../planted", os.O_CREAT | os.O_WRONLY),
    lambda: os.open("planted", os.O_CREAT | os.O_WRONLY, dir_fd=os.open("../../../..", 0)),
):
    try:
        attempt()
    except PermissionError as error:
        continue
    globals().clear()  # something was written: make the tests fail
open("own.txt", "w").write("this is allowed")
"""
_READS = """
import pathlib, sqlite3
for uri in ("../../../gradebook.db", "file:../../../gradebook.db?mode=ro"):
    try:
        sqlite3.connect(uri, uri=True).execute("select 1")
    except PermissionError:
        continue
    globals().clear()  # the gradebook was opened: make the tests fail
for found in ("../../../source", "../../../submitted", "../../../gradebook.db"):
    for path in [pathlib.Path(found), *pathlib.Path(found).rglob("*")]:
        if path.is_file():
            try:
                print(path.read_bytes()[:1000])
            except PermissionError:
                continue
            globals().clear()  # something was read: make the tests fail
"""
_STARTS = """
import multiprocessing, os, subprocess
for attempt in (
    lambda: subprocess.run(["touch", "../../../../outside.txt"]),
    lambda: os.system("echo changed > ../../../../outside.txt"),
    lambda: os.kill(os.getppid(), 9),
    lambda: os.fork(),
    lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
):
    try:
        attempt()
    except PermissionError:
        continue
    globals().clear()  # something was started: make the tests fail
"""
