"""Submissions that mean no good, or that bad luck has made: none may stop the others.

Each is the solution with something done to it, and what the grade must then say.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from gmmlab.course.assignment import grade_id, is_graded, is_solution
from gmmlab.course.grading import Graded, Limits
from gmmlab.course.release import personal
from gmmlab.course.roster import seed_of

if TYPE_CHECKING:
    from gmmlab.course.selfcheck import Finding, Scene

#: seconds; short, for some of these use up all they get
_LIMITS = Limits(cell=5.0, whole=60.0)
_HONEST = "honest Zoë 李雷 O'Brien"
_OTHER = "Ömer"


@dataclass(frozen=True)
class Hostile:
    """A submission, and what its grade must be.

    Parameters
    ----------
    name : str
    hand_in : callable
        Takes a scene and the student's id, and puts something into `submitted`.
    judge : callable
        Takes the grade and full marks; returns what is wrong with the grade, or nothing.
    """

    name: str
    hand_in: Callable[[Scene, str], Any]
    judge: Callable[[Graded, Scene], str]


def hostiles(
    scene: Scene, *, only: Collection[str] | None = None, limits: Limits = _LIMITS
) -> Iterator[Finding]:
    """Hand all of them in together, with two honest students among them; yield what came of it."""
    from gmmlab.course.selfcheck import Finding

    wanted = [case for case in cases_of(scene) if only is None or case.name in only]
    cases = {f"h{i:02d}": case for i, case in enumerate(wanted)}
    root = scene.assignment.course.root
    outside = root.parent / "outside.txt"
    outside.write_text("as it was")
    for student, case in cases.items():
        case.hand_in(scene, student)
    for student in (_HONEST, _OTHER):
        scene.hand_in(student, scene.solved)
    before = _contents(root.parent)
    graded = scene.graded([*cases, _HONEST, _OTHER], limits=limits)
    for student, case in cases.items():
        problem = case.judge(graded[student], scene)
        words = problem or f"{graded[student].status}, {graded[student].points:g} points"
        yield Finding(f"hostile, {case.name}", not problem, words)
    for student in (_HONEST, _OTHER):
        problem = _full(graded[student], scene)
        yield Finding(f"honest, {student}", not problem, problem or "full marks")
    changed = [name for name, content in _contents(root.parent).items()
               if before.get(name) != content]  # fmt: skip
    gone = [name for name in before if not (root.parent / name).exists()]
    words = ", ".join(map(str, [*changed, *gone])) or "nothing was written outside of submissions"
    yield Finding("hostile, all together", not changed and not gone, words)


def _contents(root: Path) -> dict[str, str]:
    """Return the hashes of all files but those that grading itself makes."""
    made = ("autograded", "feedback", "grades", "submitted", "gradebook.db", "release")
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not set(path.relative_to(root).parts[:2]) & set(made)
    }


# ---- judging -----------------------------------------------------------------------------------


def _automatic(one: Graded) -> list[Any]:
    return [task for task in one.tasks if not task.written]


def _full(one: Graded, scene: Scene) -> str:
    if not one.tasks:
        return f"{one.status}: {one.notes}"
    lost = [f"{t.name}: {t.words}" for t in _automatic(one) if t.points != t.most]
    return "; ".join([*lost, *one.notes])


def _loses(tests: set[str], word: str) -> Callable[[Graded, Any], str]:
    """Judge that some tests fail, for a reason with a word in it, and the others are right."""

    def judge(one: Graded, scene: Scene) -> str:
        failed = {task.name: task for task in _automatic(one) if task.points != task.most}
        if set(failed) != tests:
            said = {name: task.words for name, task in failed.items()}
            return f"should fail {sorted(tests)}; {one.status}, fails {said} {one.notes}"
        told = " ".join([f"{t.words} {t.mistake}" for t in failed.values()] + one.notes)
        return "" if word in told else f"{word!r} is not in: {told}"

    return judge


def _reported(word: str) -> Callable[[Graded, Any], str]:
    def judge(one: Graded, scene: Scene) -> str:
        told = " ".join(one.notes)
        if one.status not in ("not graded", "not handed in") or one.points:
            return f"{one.status}, {one.points:g} points"
        return "" if word in told else f"{word!r} is not in: {told}"

    return judge


def _noted(word: str) -> Callable[[Graded, Any], str]:
    def judge(one: Graded, scene: Scene) -> str:
        told = " ".join(one.notes)
        lost = [f"{t.name}: {t.words}" for t in _automatic(one) if t.points != t.most]
        return "; ".join(lost) or ("" if word in told else f"{word!r} is not in: {told}")

    return judge


# ---- what is handed in -------------------------------------------------------------------------


def cases_of(scene: Scene) -> Iterator[Hostile]:
    """Yield the hostile submissions of a problem set.

    What is done to one task is done to the first that has a test right below it.
    """
    cells = scene.given.cells
    pairs = [
        (grade_id(a), grade_id(b))
        for a, b in pairwise(cells)
        if is_solution(a) and is_graded(b) and b.cell_type == "code"
    ]
    task, test = pairs[0]
    last = pairs[-1][0]

    def end(source: str) -> Callable[[Scene, str], Any]:
        """Put code at the end of the last task."""
        return lambda scene, who: scene.hand_in(who, _with(scene.solved, last, source, after=True))

    def first(source: str) -> Callable[[Scene, str], Any]:
        """Put code in place of the first task."""
        return lambda scene, who: scene.hand_in(who, _with(scene.solved, task, source))

    def text(content: str) -> Callable[[Scene, str], Any]:
        return lambda scene, who: scene.hand_in(who, content)

    function = _function(scene, task)
    for_ever = f"def {function}(*a):\n    while True:\n        pass"
    stubborn = (
        f"def {function}(*a):\n    while True:\n        try:\n            while True:\n"
        "                pass\n        except BaseException:\n            pass"
    )
    yield Hostile("a loop without end", first(for_ever), _among(test, "loop without end"))
    yield Hostile("a loop that will not be interrupted", first(stubborn), _among(test, "end"))
    yield Hostile(
        "sys.exit", first(f"import sys\ndef {function}(*a):\n    sys.exit()"),
        _among(test, "leaves the notebook"),
    )  # fmt: skip
    yield Hostile("sys.exit in a cell", end("import sys\nsys.exit(0)"), _full)
    yield Hostile("exit in a cell", end("exit()"), _full)
    yield Hostile("the kernel ends itself", end("import os\nos._exit(0)"), _graded)
    yield Hostile(
        "the kernel is killed",
        first(f"import os\ndef {function}(*a):\n    os.kill(os.getpid(), 9)"),
        _among(test, "died"),
    )  # fmt: skip
    yield Hostile("huge output", end("for _ in range(10**6):\n    print('x' * 100)"), _full)
    yield Hostile("output without end", end("while True:\n    print('x' * 1000)"), _graded)
    yield Hostile("no memory", end("import numpy as np\nnp.ones(10**13)"), _graded)
    yield Hostile("a test is changed", _tampered(test), _loses_at_least(test, "changed"))
    yield Hostile("a test is deleted", _deleted(test), _noted("deleted"))
    yield Hostile("all is deleted", _emptied, _loses_all)
    yield Hostile("metadata is gone", _bare, _full)
    yield Hostile("data of another student", _of_another, _noted("another student"))
    yield Hostile("data of nobody", _of_nobody, _noted("seed was changed"))
    yield Hostile("not JSON", text("this is no notebook"), _reported("not a notebook"))
    yield Hostile("JSON, but no notebook", text('{"cells": 7}'), _reported("not a notebook"))
    yield Hostile("nested too deeply", text("[" * 100_000), _reported("not a notebook"))
    yield Hostile("an empty file", text(""), _reported("not a notebook"))
    yield Hostile("cells of no kind", text(json.dumps({
        "cells": [{"cell_type": "code"}, 3], "metadata": {}, "nbformat": 4, "nbformat_minor": 5,
    })), _reported("not a notebook"))  # fmt: skip
    yield Hostile(
        "checks are replaced",
        end(
            "from gmmlab.course.checks import em, practice, problems\n"
            "for module in (em, practice, problems):\n"
            "    for name in dir(module):\n"
            "        setattr(module, name, lambda *a, **k: None)"
        ),
        _full,
    )
    yield Hostile("no notebook", _nothing, _reported("missing"))
    yield Hostile("another name", _renamed, _noted("handed in as"))
    yield Hostile("a link", _link, _reported("no file of its own"))
    yield Hostile("writes elsewhere", end(_WRITES), _full)
    yield Hostile("reads the solution", end(_READS), _full)
    yield Hostile("starts a program", end(_STARTS), _full)


def _function(scene: Scene, task: str | None) -> str:
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


def _among(test: str | None, word: str) -> Callable[[Graded, Any], str]:
    """Judge that a test fails for a reason, and that later ones were graded still."""

    def judge(one: Graded, scene: Scene) -> str:
        task = next((task for task in one.tasks if task.name == test), None)
        if task is None or task.points or word not in f"{task.words} {task.mistake}":
            return f"{test} should fail with {word!r}; {one.status}: {task} {one.notes}"
        right = [task for task in _automatic(one) if task.points == task.most]
        return "" if right else "nothing after it was graded"

    return judge


def _loses_at_least(test: str | None, word: str) -> Callable[[Graded, Any], str]:
    def judge(one: Graded, scene: Scene) -> str:
        task = next((task for task in one.tasks if task.name == test), None)
        told = " ".join(one.notes)
        if task is None or task.points or word not in told:
            return f"{test} should get nothing: {task} {one.notes}"
        most = sum(task.most for task in one.tasks)
        return "" if one.points < most else "more points than there are"

    return judge


def _graded(one: Graded, scene: Scene) -> str:
    return "" if one.tasks and one.points else f"{one.status}, {one.points:g}: {one.notes}"


def _loses_all(one: Graded, scene: Scene) -> str:
    return "" if one.tasks and not one.points else f"{one.status}, {one.points:g}: {one.notes}"


def _tampered(test: str | None) -> Callable[[Scene, str], Any]:
    def hand_in(scene: Scene, who: str) -> None:
        notebook = copy.deepcopy(scene.given)
        for cell in notebook.cells:
            if grade_id(cell) == test:
                cell.source = "pass"
                cell.metadata.nbgrader["points"] = 1000
        scene.hand_in(who, notebook)

    return hand_in


def _deleted(test: str | None) -> Callable[[Scene, str], Any]:
    def hand_in(scene: Scene, who: str) -> None:
        notebook = copy.deepcopy(scene.solved)
        notebook.cells = [cell for cell in notebook.cells if grade_id(cell) != test]
        scene.hand_in(who, notebook)

    return hand_in


def _emptied(scene: Scene, who: str) -> None:
    notebook = copy.deepcopy(scene.given)
    notebook.cells = []
    scene.hand_in(who, nbformat.writes(notebook))


def _bare(scene: Scene, who: str) -> None:
    """Hand in as after a program that drops what it does not know, but keeps the cells' ids."""
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
    globals().clear()  # something was written: let tests fail
open("own.txt", "w").write("this is allowed")
"""
_READS = """
import pathlib, sqlite3
for uri in ("../../../gradebook.db", "file:../../../gradebook.db?mode=ro"):
    try:
        sqlite3.connect(uri, uri=True).execute("select 1")
    except PermissionError:
        continue
    globals().clear()  # the gradebook was opened: let tests fail
for found in ("../../../source", "../../../submitted", "../../../gradebook.db"):
    for path in [pathlib.Path(found), *pathlib.Path(found).rglob("*")]:
        if path.is_file():
            try:
                print(path.read_bytes()[:1000])
            except PermissionError:
                continue
            globals().clear()  # something was read: let tests fail
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
    globals().clear()  # something was started: let tests fail
"""
