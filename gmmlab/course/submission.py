"""What was handed in, put into the notebook that was given out.

The notebook that is graded has the cells of the release, in its order: tests and data as they
were given out, and the student's own where students write. Cells that a student has added stay
where they are. So whatever was changed, moved or deleted, there is something to grade.
"""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from gmmlab.course.assignment import grade_id, is_graded, is_parameters, is_solution
from gmmlab.course.roster import seed_in

#: bytes of a notebook that is still read
LARGEST = 100 * 2**20


class Unreadable(ValueError):
    """There is nothing that could be graded; the message says why."""


@dataclass
class HandedIn:
    """A submission as it will be graded.

    Parameters
    ----------
    notebook : NotebookNode
        The release with the student's work in it.
    seed : int or None
        The seed that the student's parameters cell has; None if there is none.
    notes : list of str
        What was not as it should be.
    """

    notebook: nbformat.NotebookNode
    seed: int | None
    notes: list[str] = field(default_factory=list)


def find(folder: Path, name: str) -> tuple[Path, list[str]]:
    """Return the notebook in a folder, and what is to be said of it.

    Raises
    ------
    Unreadable
        If there is none, more than one that it could be, or only a link.
    """
    path, notes = folder / f"{name}.ipynb", []
    if folder.is_symlink() or folder.parent.is_symlink():
        raise Unreadable("the folder is a link to somewhere else")
    if not path.exists() and not path.is_symlink():
        others = sorted(p for p in folder.glob("*.ipynb") if p.is_file())
        if len(others) != 1:
            found = f"none of {', '.join(p.name for p in others)} is" if others else "nothing is"
            raise Unreadable(f"{name}.ipynb is missing: {found} there in its place")
        path = others[0]
        notes.append(f"The notebook was handed in as {path.name}; it should be {name}.ipynb.")
    if path.is_symlink() or not path.is_file():
        raise Unreadable(f"{path.name} is no file of its own")
    return path, notes


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook that was handed in.

    Raises
    ------
    Unreadable
        If it is too large or no notebook.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise Unreadable(f"{path.name} has {size / 2**20:.0f} MB; {LARGEST // 2**20} are allowed")
    try:
        notebook = nbformat.reads(path.read_text("utf-8-sig"), as_version=4)
        for cell in notebook.cells:
            if not isinstance(cell.source, str) or not isinstance(cell.metadata, dict):
                raise ValueError("a cell without source or metadata")
    except RecursionError:
        raise Unreadable(f"{path.name} is not a notebook: it is nested too deeply") from None
    except Exception as error:  # of many classes: of JSON, of its schema, of what is missing
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unreadable(f"{path.name} is not a notebook: {reason:.120}") from None
    return notebook


def put_together(
    skeleton: nbformat.NotebookNode,
    submitted: nbformat.NotebookNode,
    source: nbformat.NotebookNode | None = None,
) -> HandedIn:
    """Put a student's work into the notebook that was given out.

    Parameters
    ----------
    skeleton : NotebookNode
        What was given out.
    submitted : NotebookNode
        What came back.
    source : NotebookNode, optional
        What the skeleton was made from. A test that is as in there has not been changed: it is
        the instructor's own solution that is graded.
    """
    truth = {grade_id(cell): cell.source for cell in (source or skeleton).cells}
    numbers = {cell.id: i for i, cell in enumerate(skeleton.cells)}
    numbers |= {_name(cell): i for i, cell in enumerate(skeleton.cells)}
    theirs: dict[int, Any] = {}
    added: dict[int, list[Any]] = {}
    at = -1
    for cell in submitted.cells:
        number = _number(cell, numbers)
        if number is None:
            added.setdefault(at, []).append(cell)
        else:
            at = number
            theirs[number] = cell
    result = HandedIn(copy.deepcopy(skeleton), None)
    cells = [_plain(cell) for cell in added.get(-1, ())]
    for number, given in enumerate(result.notebook.cells):
        cells.append(_filled(given, theirs.get(number), result, truth))
        cells += [_plain(cell) for cell in added.get(number, ())]
    result.notebook.cells = cells
    return result


def _name(cell: nbformat.NotebookNode) -> str:
    return "parameters" if is_parameters(cell) else grade_id(cell) or cell.id


def _number(cell: nbformat.NotebookNode, numbers: dict[str, int]) -> int | None:
    """Return which cell of the skeleton this is, if any."""
    nbgrader = cell.metadata.get("nbgrader")
    own = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    tags = cell.metadata.get("tags")
    if isinstance(tags, list) and "parameters" in tags:
        own = "parameters"
    for name in (own, cell.get("id")):
        if isinstance(name, str) and name in numbers:
            return numbers[name]
    # A program has taken away what marks the cell.
    return numbers["parameters"] if seed_in(cell.source) is not None else None


def _filled(given: Any, theirs: Any, result: HandedIn, truth: dict[str | None, str]) -> Any:
    """Return a cell of the skeleton with the student's work, and note what is to be said."""
    name = _name(given)
    if is_parameters(given):
        result.seed = None if theirs is None else seed_in(theirs.source)
        if theirs is None:
            result.notes.append("The parameters cell had been deleted; it was put back.")
        elif result.seed is None:
            result.notes.append("The parameters cell has no seed any more; it was put back.")
    elif is_solution(given):
        if theirs is None:
            result.notes.append(f"The cell `{name}` had been deleted: it counts as not done.")
        else:
            given.source = theirs.source
    elif grade_id(given):
        what = "test" if is_graded(given) else "cell"
        if theirs is None:
            result.notes.append(f"The {what} `{name}` had been deleted; it was put back.")
        elif theirs.source.strip() not in (given.source.strip(), truth[name].strip()):
            result.notes.append(f"The {what} `{name}` had been changed; it was put back.")
    elif given.cell_type == "code" and theirs is not None:
        given.source = theirs.source
    return given


def _plain(cell: Any) -> Any:
    """Return a student's own cell, without what it claims to be."""
    make = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
    }.get(cell.cell_type, nbformat.v4.new_raw_cell)
    return make(cell.source)


def copy_other_files(folder: Path, to: Path) -> None:
    """Copy what was handed in beside the notebook: files, no links, no other notebooks."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
        linked = any(parent.is_symlink() for parent in (path, *path.parents))
        if hidden or linked or not path.is_file() or path.suffix == ".ipynb":
            continue
        if path.stat().st_size <= LARGEST:
            (to / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to / inside)
