"""The workbook folder, and its notebooks as they are before a run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gmmlab.workbook.parameters import Parameter, nearest, read_parameters

#: the folder of the package that contains this module
PACKAGE = Path(__file__).resolve().parent.parent
#: tag of the cell that papermill inserts to set parameters
INJECTED = "injected-parameters"


@dataclass(frozen=True)
class Workbook:
    """A folder with `notebooks`, the `data` that they read, and the `reports` of their runs.

    Parameters
    ----------
    root : Path
        The folder that contains `notebooks`.
    """

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Workbook:
        """Return the workbook that contains a folder.

        Parameters
        ----------
        start : Path, optional
            The folder; by default, the current folder.

        Returns
        -------
        Workbook
            The nearest folder, from `start` upwards, that contains `notebooks`. If there is none,
            the folder from which this package was installed.

        Raises
        ------
        ValueError
            If that folder does not contain `notebooks` either.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents, PACKAGE.parent):
            if (folder / "notebooks").is_dir():
                return cls(folder)
        raise ValueError(
            f"no workbook found: neither {start} nor a folder above it contains `notebooks`"
        )

    @property
    def notebooks(self) -> list[Path]:
        """The notebook files, in the order of their names."""
        return sorted((self.root / "notebooks").glob("[!.]*.ipynb"))

    @property
    def data(self) -> Path:
        """The folder of the data that notebooks read."""
        return self.root / "data"

    @property
    def reports(self) -> Path:
        """The folder of runs, sweeps and their pages."""
        return self.root / "reports"

    def notebook(self, name: str | Path) -> Notebook:
        """Return the notebook with a name.

        Parameters
        ----------
        name : str or Path
            Its file, its name without the suffix, or its number.

        Raises
        ------
        ValueError
            If there is no such notebook, or more than one.
        """
        path = Path(name)
        if path.suffix == ".ipynb" and path.is_file():
            return Notebook.read(path.resolve())
        stem = path.name.removesuffix(".ipynb")
        found = [notebook for notebook in self.notebooks if notebook.stem == stem]
        if not found and stem.isdecimal():
            found = [path for path in self.notebooks if _number(path.stem) == int(stem)]
        if len(found) == 1:
            return Notebook.read(found[0])
        names = [notebook.stem for notebook in self.notebooks]
        problem = "more than one notebook matches" if found else "there is no notebook"
        raise ValueError(f"{problem} {str(name)!r}{nearest(stem, names)}")

    def relative(self, notebook: Notebook) -> str:
        """Return the path of a notebook, relative to the workbook if it is inside."""
        if notebook.path is None:
            return notebook.name
        if notebook.path.is_relative_to(self.root):
            return notebook.path.relative_to(self.root).as_posix()
        return str(notebook.path)


def _number(stem: str) -> int | None:
    match = re.match(r"\d+", stem)
    return int(match.group()) if match else None


@dataclass(frozen=True)
class Notebook:
    """A notebook, without the outputs and cells that a run adds.

    Parameters
    ----------
    name : str
        The file name, without the suffix.
    path : Path or None
        The file; None for a notebook that was read from the folder of a run.
    content : mapping
        The JSON of the file without outputs, execution counts and cells inserted by papermill.
    """

    name: str
    path: Path | None
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Notebook:
        """Read a notebook, executed or not.

        Raises
        ------
        ValueError
            If the file is not a notebook.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(path.stem, path, _clean(content))
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is not a notebook: {error!r}") from None

    @cached_property
    def sources(self) -> list[str]:
        """The source of each code cell."""
        return [_text(cell) for cell in self.content["cells"] if cell["cell_type"] == "code"]

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The contract of the parameters cell, by name of parameter.

        Raises
        ------
        ValueError
            If there is not exactly one parameters cell, or it has the wrong format.
        """
        tagged = [
            cell
            for cell in self.content["cells"]
            if "parameters" in cell["metadata"].get("tags", ())
        ]
        if len(tagged) != 1:
            raise ValueError(
                f"{self.name} must have one cell tagged `parameters`; it has {len(tagged)}"
            )
        try:
            return read_parameters(_text(tagged[0]))
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"the parameters cell of {self.name} is invalid: {error}") from None

    @property
    def title(self) -> str:
        """The first heading of the notebook, or else its name."""
        match = re.search(r"(?m)^# +(.+)$", self._prose)
        return match.group(1).strip() if match else self.name

    @property
    def question(self) -> str:
        """The paragraph that begins with **Question.**, or an empty string."""
        match = re.search(r"\*\*Question\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", self._prose, re.DOTALL)
        return " ".join(match.group(1).split()) if match else ""

    @property
    def _prose(self) -> str:
        cells = [cell for cell in self.content["cells"] if cell["cell_type"] == "markdown"]
        return "\n\n".join(map(_text, cells))

    @cached_property
    def sha256(self) -> str:
        """A hash of the types, tags and sources of the cells."""
        cells = [
            [cell["cell_type"], cell["metadata"].get("tags", []), _text(cell)]
            for cell in self.content["cells"]
        ]
        return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def _text(cell: Mapping[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _clean(content: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of a notebook without everything that a run adds."""
    cells = []
    for cell in content["cells"]:
        tags = cell["metadata"].get("tags", [])
        if INJECTED in tags:
            continue
        new = {key: cell[key] for key in ("cell_type", "id", "attachments") if key in cell}
        new |= {"source": _text(cell), "metadata": {"tags": list(tags)} if tags else {}}
        if cell["cell_type"] == "code":
            new |= {"outputs": [], "execution_count": None}
        cells.append(new)
    known = ("kernelspec", "language_info")
    metadata = {key: content["metadata"][key] for key in known if key in content["metadata"]}
    formats = {key: content[key] for key in ("nbformat", "nbformat_minor")}
    return {"cells": cells, "metadata": metadata, **formats}
