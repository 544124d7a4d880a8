"""A submitted notebook, merged into the released one.

The notebook that is graded has the cells of the release, in their order. Tests and data are as
released; cells that students write into contain the student's work. Cells that the student added
stay at their place. So there is something to grade whatever was changed, moved or deleted.
"""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from gmmlab.course.cells import grade_id, is_graded, is_parameters, is_solution
from gmmlab.course.roster import seed_in

#: the size in bytes above which files are not read
MAX_SIZE = 100 * 2**20


class Unreadable(ValueError):
    """There is no notebook that can be graded; the message says why."""


@dataclass
class Submission:
    """A submission as it will be graded.

    Parameters
    ----------
    notebook : NotebookNode
        The release with the student's work in it.
    seed : int or None
        The seed in the student's parameters cell; None if it is missing.
    notes : list of str
        Remarks about changes that were undone.
    """

    notebook: nbformat.NotebookNode
    seed: int | None
    notes: list[str] = field(default_factory=list)


def find_notebook(folder: Path, name: str) -> tuple[Path, list[str]]:
    """Return the path of the notebook in a folder, and remarks about it.

    A notebook of another name is accepted if it is the only one.

    Parameters
    ----------
    folder : Path
        The folder of a submission.
    name : str
        Name of the problem set.

    Raises
    ------
    Unreadable
        If there is no notebook, it is ambiguous which one is meant, or it is only a link.
    """
    path, notes = folder / f"{name}.ipynb", []
    if folder.is_symlink() or folder.parent.is_symlink():
        raise Unreadable("the folder is a symbolic link")
    if not path.exists() and not path.is_symlink():
        others = sorted(p for p in folder.glob("*.ipynb") if p.is_file())
        if len(others) != 1:
            found = f"found {', '.join(p.name for p in others)}" if others else "found no notebook"
            raise Unreadable(f"{name}.ipynb is missing; {found}")
        path = others[0]
        notes.append(f"The notebook was handed in as {path.name}; it should be {name}.ipynb.")
    if path.is_symlink() or not path.is_file():
        raise Unreadable(f"{path.name} is not a regular file")
    return path, notes


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a submitted notebook.

    Raises
    ------
    Unreadable
        If the file is too large or is not a notebook.
    """
    if (size := path.stat().st_size) > MAX_SIZE:
        raise Unreadable(
            f"{path.name} has {size / 2**20:.0f} MB; at most {MAX_SIZE // 2**20} MB are allowed"
        )
    try:
        notebook = nbformat.reads(path.read_text("utf-8-sig"), as_version=4)
        for cell in notebook.cells:
            if not isinstance(cell.source, str) or not isinstance(cell.metadata, dict):
                raise ValueError("a cell has no source or no metadata")
    except RecursionError:
        raise Unreadable(f"{path.name} is not a notebook: it is nested too deeply") from None
    except Exception as error:  # JSON, its schema and missing entries raise many classes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unreadable(f"{path.name} is not a notebook: {reason:.120}") from None
    return notebook


def merge(
    released: nbformat.NotebookNode,
    submitted: nbformat.NotebookNode,
    source: nbformat.NotebookNode | None = None,
) -> Submission:
    """Put a student's work into the released notebook.

    Parameters
    ----------
    released : NotebookNode
        The notebook that was released.
    submitted : NotebookNode
        The notebook that the student handed in.
    source : NotebookNode, optional
        The notebook with solutions. A test as it stands there counts as unchanged: then the
        instructor's own solution is being graded.
    """
    originals = {grade_id(cell): cell.source for cell in (source or released).cells}
    numbers = {cell.id: i for i, cell in enumerate(released.cells)}
    numbers |= {_name(cell): i for i, cell in enumerate(released.cells)}
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
    result = Submission(copy.deepcopy(released), None)
    cells = [_without_metadata(cell) for cell in added.get(-1, ())]
    for number, given in enumerate(result.notebook.cells):
        cells.append(_merged(given, theirs.get(number), result, originals))
        cells += [_without_metadata(cell) for cell in added.get(number, ())]
    result.notebook.cells = cells
    return result


def _name(cell: nbformat.NotebookNode) -> str:
    return "parameters" if is_parameters(cell) else grade_id(cell) or cell.id


def _number(cell: nbformat.NotebookNode, numbers: dict[str, int]) -> int | None:
    """Return the number of a cell in the released notebook, or None if the student added it."""
    nbgrader = cell.metadata.get("nbgrader")
    own = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    tags = cell.metadata.get("tags")
    if isinstance(tags, list) and "parameters" in tags:
        own = "parameters"
    for name in (own, cell.get("id")):
        if isinstance(name, str) and name in numbers:
            return numbers[name]
    # Some programs remove ids and metadata; the seed still identifies the parameters cell.
    return numbers["parameters"] if seed_in(cell.source) is not None else None


def _merged(given: Any, theirs: Any, result: Submission, originals: dict[str | None, str]) -> Any:
    """Return a released cell with the student's work, and note changes that are undone."""
    name = _name(given)
    if is_parameters(given):
        result.seed = None if theirs is None else seed_in(theirs.source)
        if theirs is None:
            result.notes.append("The parameters cell had been deleted; it was restored.")
        elif result.seed is None:
            result.notes.append("The parameters cell had no seed any more; it was restored.")
    elif is_solution(given):
        if theirs is None:
            result.notes.append(f"The cell `{name}` had been deleted; it counts as not done.")
        else:
            given.source = theirs.source
    elif grade_id(given):
        what = "test" if is_graded(given) else "cell"
        if theirs is None:
            result.notes.append(f"The {what} `{name}` had been deleted; it was restored.")
        elif theirs.source.strip() not in (given.source.strip(), originals[name].strip()):
            result.notes.append(f"The {what} `{name}` had been changed; it was restored.")
    elif given.cell_type == "code" and theirs is not None:
        given.source = theirs.source
    return given


def _without_metadata(cell: Any) -> Any:
    """Return a new cell with the source of a cell that a student added."""
    make = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
    }.get(cell.cell_type, nbformat.v4.new_raw_cell)
    return make(cell.source)


def copy_other_files(folder: Path, to: Path) -> None:
    """Copy the regular files of a submission, except notebooks, hidden and very large files."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
        linked = any(parent.is_symlink() for parent in (path, *path.parents))
        if hidden or linked or not path.is_file() or path.suffix == ".ipynb":
            continue
        if path.stat().st_size <= MAX_SIZE:
            (to / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to / inside)
