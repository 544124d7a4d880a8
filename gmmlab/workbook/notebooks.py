"""The workbook as a folder, and its notebooks as they are before they are run."""

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

#: the package that this module is part of, by which notebooks are taken to compute
PACKAGE = Path(__file__).resolve().parent.parent
#: tag of the cell by which papermill puts in values
INJECTED = "injected-parameters"


@dataclass(frozen=True)
class Workbook:
    """A folder with `notebooks`, the `data` they read, and the `reports` they leave.

    Parameters
    ----------
    root : Path
    """

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Workbook:
        """Return the workbook that a folder is in.

        Parameters
        ----------
        start : Path, optional
            The folder; the current one if there is none.

        Returns
        -------
        Workbook
            The nearest folder, from `start` upwards, that holds `notebooks`; if none does, the
            one that this package was installed from.

        Raises
        ------
        ValueError
            If there is no such folder.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents, PACKAGE.parent):
            if (folder / "notebooks").is_dir():
                return cls(folder)
        raise ValueError(
            f"there is no workbook here: neither {start} nor a folder above it holds `notebooks`"
        )

    @property
    def notebooks(self) -> list[Path]:
        """The notebooks, in the order of their names."""
        return sorted((self.root / "notebooks").glob("[!.]*.ipynb"))

    @property
    def data(self) -> Path:
        """Where notebooks find their data."""
        return self.root / "data"

    @property
    def reports(self) -> Path:
        """Where runs leave what they made."""
        return self.root / "reports"

    def notebook(self, name: str | Path) -> Notebook:
        """Return a notebook.

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
        problem = "more than one notebook is" if found else "there is no notebook"
        raise ValueError(f"{problem} {str(name)!r}{nearest(stem, names)}")


def _number(stem: str) -> int | None:
    match = re.match(r"\d+", stem)
    return int(match.group()) if match else None


@dataclass(frozen=True)
class Notebook:
    """A notebook's cells, without what a run adds to them.

    Parameters
    ----------
    name : str
        Its name, without the suffix.
    path : Path or None
        Its file, where there is one.
    content : mapping
        The JSON of the file, clean: no outputs, no counts, nothing that papermill put in.
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
        """What its parameters may be.

        Raises
        ------
        ValueError
            If its parameters cell is no contract, or there is not exactly one.
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
            raise ValueError(f"the parameters cell of {self.name}: {error}") from None

    @property
    def title(self) -> str:
        """Its first heading, or its name."""
        match = re.search(r"(?m)^# +(.+)$", self._prose)
        return match.group(1).strip() if match else self.name

    @property
    def question(self) -> str:
        """What it asks: the paragraph that begins with **Question.**; or nothing."""
        match = re.search(r"\*\*Question\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", self._prose, re.DOTALL)
        return " ".join(match.group(1).split()) if match else ""

    @property
    def _prose(self) -> str:
        cells = [cell for cell in self.content["cells"] if cell["cell_type"] == "markdown"]
        return "\n\n".join(map(_text, cells))

    @cached_property
    def sha256(self) -> str:
        """The hash of what it says and does: kinds, tags and sources of its cells."""
        said = [
            [cell["cell_type"], cell["metadata"].get("tags", []), _text(cell)]
            for cell in self.content["cells"]
        ]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _text(cell: Mapping[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _clean(content: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook's JSON as it would be had it never been run."""
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
