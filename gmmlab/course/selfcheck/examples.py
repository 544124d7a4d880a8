"""Right and wrong example submissions, described in `tests/submissions/<problem set>.yaml`.

Right submissions solve the tasks in different styles and must get full marks. A wrong submission
is the solution with one mistake. It must fail in the right test and in no other, with feedback
that names the mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml

from gmmlab.course.assignment import Assignment
from gmmlab.course.cells import grade_id, is_graded, is_solution
from gmmlab.course.selfcheck.scene import Finding, Scene, filled


@dataclass(frozen=True)
class WrongExample:
    """A submission with one mistake.

    Parameters
    ----------
    name : str
    sources : dict of str to str
        Sources of the cells that differ from the solution.
    tests : tuple of str
        The tests that must fail.
    mistakes : tuple of str
        Names that the feedback may give to the mistake.
    consequences : tuple of str
        Other tests that may fail too.
    """

    name: str
    sources: dict[str, str]
    tests: tuple[str, ...]
    mistakes: tuple[str, ...]
    consequences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examples:
    """The example submissions of a problem set.

    Parameters
    ----------
    right : dict of str to dict
        For each right submission, the sources of the cells that differ from the solution.
    wrong : list of WrongExample
    """

    right: dict[str, dict[str, str]]
    wrong: list[WrongExample]


def examples_of(assignment: Assignment) -> Examples:
    """Return the examples of a problem set; there are none if the file does not exist."""
    root = assignment.course.root.parent.parent
    path = root / "tests" / "submissions" / f"{assignment.name}.yaml"
    return read_examples(path, assignment.notebook) if path.is_file() else Examples({}, [])


def read_examples(path: Path, source: nbformat.NotebookNode) -> Examples:
    """Read a file of example submissions.

    Parameters
    ----------
    path : Path
    source : NotebookNode
        The notebook with solutions.

    Raises
    ------
    ValueError
        If an example refers to a cell or a test that does not exist, or replaces a text that the
        cell does not contain.
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
        cell, text = entry["cell"], solutions.get(entry["cell"], "")
        for old, new in ((entry["old"], entry["new"]), entry.get("also", ("", ""))):
            if old not in text:
                raise ValueError(f"{path}, wrong {number}: {cell} does not contain {old!r}")
            text = text.replace(old, new, 1)
        fails, mistakes = (_tuple(entry[name]) for name in ("fails", "mistake"))
        if unknown := set(fails) - tests:
            raise ValueError(f"{path}, wrong {number}: there is no test {', '.join(unknown)}")
        name = f"wrong {number}, {cell}: {' or '.join(mistakes)}"
        wrong.append(
            WrongExample(name, {cell: text}, fails, mistakes, _tuple(entry.get("may", ())))
        )
    return Examples(right, wrong)


def _tuple(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def check_right(scene: Scene, right: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """Grade the solution and other right submissions, which must all get full marks."""
    names = {f"right-{i:02d}": name for i, name in enumerate(["the solution", *right])}
    for student, sources in zip(names, [{}, *right.values()], strict=True):
        scene.hand_in(student, filled(scene.solved, sources))
    for student, one in scene.graded(list(names)).items():
        lost = [f"{t.name}: {t.message}" for t in one.tasks if t.mistake or t.failed]
        passed = bool(one.tasks) and not lost and not one.notes
        message = "full marks" if passed else "; ".join([*lost, *one.notes])
        yield Finding(names[student], passed, message)


def check_wrong(scene: Scene, wrong: Sequence[WrongExample]) -> Iterator[Finding]:
    """Grade wrong submissions, which must fail in the right tests."""
    examples = {f"wrong-{i:03d}": example for i, example in enumerate(wrong)}
    for student, example in examples.items():
        scene.hand_in(student, filled(scene.solved, example.sources))
    for student, one in scene.graded(list(examples)).items() if examples else ():
        failed = {t.name: (t.mistake, t.message) for t in one.tasks if t.mistake or t.failed}
        yield judge(examples[student], failed)


def judge(wrong: WrongExample, failed: Mapping[str, tuple[str, str]]) -> Finding:
    """Return whether the right tests have failed, with feedback that names the mistake.

    Parameters
    ----------
    wrong : WrongExample
    failed : mapping of str to (str, str)
        For each failed test, the name of the mistake and the message.
    """
    tests = set(failed) - set(wrong.consequences)
    if tests != set(wrong.tests):
        message = f"should fail {', '.join(wrong.tests)}; fails {dict(failed) or 'nothing'}"
        return Finding(wrong.name, False, message)
    for test in wrong.tests:
        mistake, message = failed[test]
        if mistake not in wrong.mistakes:
            return Finding(wrong.name, False, f"{test} says: {message} [{mistake}]")
    return Finding(wrong.name, True, failed[wrong.tests[0]][1])
