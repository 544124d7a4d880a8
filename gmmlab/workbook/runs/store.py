"""The folder of runs: each appears in it whole or not at all.

<notebook>/<id>/                 a run that completed
<notebook>/<id>-failed/          what there is of one that did not
<notebook>/.making-<id>-…/       one that is being made, or was cut off
<notebook>/.replaced-<id>-…/     one that another is about to replace
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from gmmlab.workbook.errors import CannotWrite
from gmmlab.workbook.parameters import nearest

_FAILED = "-failed"
_MAKING = re.compile(r"\.making-([0-9a-f]+)-")
_REPLACED = re.compile(r"\.replaced-([0-9a-f]+(?:-failed)?)-(\d+)-")
_OWNER = "owner.json"
_REASON = "FAILED.txt"


@dataclass(frozen=True)
class Run:
    """A run that was made: files in a folder.

    Parameters
    ----------
    folder : Path
        With `notebook.ipynb`, `parameters.json` and `provenance.json`; with `results.json` if it
        completed, or `FAILED.txt` if not; and, unless it was cut off, `report.html` and `figures`.
    """

    folder: Path

    @property
    def id(self) -> str:
        """The hash of all it depends on."""
        return self.folder.name.removesuffix(_FAILED)

    @property
    def notebook(self) -> str:
        """The name of its notebook."""
        return self.folder.parent.name

    @property
    def name(self) -> str:
        """Notebook and id, by which commands know it."""
        return f"{self.notebook}/{self.folder.name}"

    @property
    def completed(self) -> bool:
        """Whether it has results."""
        return not self.folder.name.endswith(_FAILED)

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, those left at their defaults too."""
        return self._read("parameters.json")

    @property
    def results(self) -> dict[str, Any]:
        """What the notebook recorded; nothing if it failed."""
        return self._read("results.json") if self.completed else {}

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the results come from."""
        return self._read("provenance.json")

    @property
    def page(self) -> Path:
        """The report, to be opened in a browser."""
        return self.folder / "report.html"

    @property
    def failure(self) -> str:
        """Why it failed, in a line; nothing if it completed."""
        if self.completed:
            return ""
        with suppress(OSError):
            return (self.folder / _REASON).read_text(encoding="utf-8").splitlines()[0]
        return "unknown"

    def _read(self, name: str) -> dict[str, Any]:
        with suppress(OSError, ValueError):  # a disk that was full has left an empty file, say
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        return {}


class Store:
    """Runs, in a folder.

    Parameters
    ----------
    folder : Path
        It need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def completed(self, notebook: str, id_: str) -> Run | None:
        """Return the run with this id, if there is one and it completed."""
        folder = self.folder / notebook / id_
        return Run(folder) if (folder / "results.json").exists() else None

    def runs(self) -> list[Run]:
        """Return all runs, failed ones too."""
        folders = sorted(self.folder.glob("*/[!.]*"))
        return [Run(folder) for folder in folders if (folder / "parameters.json").exists()]

    def find(self, name: str) -> Run:
        """Return the run that a name means.

        Parameters
        ----------
        name : str
            Its folder, its id or the beginning of it, with or without its notebook:
            ``02-full-em/3f2a``. A single sign is no beginning: it would be taken for a notebook's.

        Raises
        ------
        ValueError
            If there is no such run, or more than one.
        """
        path = Path(name)
        if (path / "parameters.json").is_file():
            return Run(path.resolve())
        notebook, _, start = name.rstrip("/").rpartition("/")
        found = [
            run
            for run in self.runs()
            if run.folder.name.startswith(start)
            and (notebook == run.notebook if notebook else len(start) > 1)
        ]
        if exact := [run for run in found if run.folder.name == start]:
            found = exact
        if len(found) == 1:
            return found[0]
        names = [run.name for run in found or self.runs()]
        raise ValueError(
            f"{'more than one' if found else 'no'} run is {name!r}{nearest(name, names)}"
        )

    @contextmanager
    def aside(self, notebook: str, id_: str) -> Iterator[Path]:
        """Provide a folder to make a run in; what is left of it at the end is removed.

        Raises
        ------
        CannotWrite
            If there can be no such folder, or writing in it fails with an `OSError`.
        """
        parent = self.folder / notebook
        with writing(parent):
            parent.mkdir(parents=True, exist_ok=True)
            aside = _new_folder(parent, f".making-{id_}")
            try:
                write_json(aside / _OWNER, _this_process())
                yield aside
            finally:
                shutil.rmtree(aside, ignore_errors=True)

    def keep(self, aside: Path, notebook: str, id_: str) -> Run:
        """Give the run that was made aside its place, in one move; and return it."""
        (aside / _OWNER).unlink()
        run = self._move(aside, self.folder / notebook / id_)
        shutil.rmtree(self.folder / notebook / f"{id_}{_FAILED}", ignore_errors=True)
        return run

    def keep_failed(self, aside: Path, notebook: str, id_: str, reason: str) -> Run:
        """Keep what there is of a run that failed, marked as such; and return it."""
        (aside / "results.json").unlink(missing_ok=True)
        (aside / _REASON).write_text(reason.strip() + "\n", encoding="utf-8")
        (aside / _OWNER).unlink(missing_ok=True)
        return self._move(aside, self.folder / notebook / f"{id_}{_FAILED}")

    def _move(self, aside: Path, place: Path) -> Run:
        old = None
        if place.exists():
            old = _new_folder(place.parent, f".replaced-{place.name}-{os.getpid()}")
            place.rename(old)
        try:
            aside.rename(place)
        except OSError:
            if not place.exists():
                if old is not None:
                    old.rename(place)
                raise
            # Another process has made the same run, a moment sooner.
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
        return Run(place)

    def recover(self) -> list[str]:
        """Put in order what was cut off before; return what there was to do, in words.

        A run that was being made when its process was killed becomes a failed one; one that was
        just being replaced is put back.
        """
        said = []
        with writing(self.folder):
            for folder in sorted(self.folder.glob("*/.replaced-*")):
                said += self._put_back(folder)
            for folder in sorted(self.folder.glob("*/.making-*")):
                said += self._keep_cut_off(folder)
        return said

    def _put_back(self, old: Path) -> list[str]:
        match = _REPLACED.match(old.name)
        if match is None:  # not one of ours
            return []
        place = old.parent / match.group(1)
        if psutil.pid_exists(int(match.group(2))):  # the process that replaces it is at it
            return []
        with suppress(FileNotFoundError):  # another call has found it too, and was quicker
            if place.exists():
                shutil.rmtree(old, ignore_errors=True)
                return []
            old.rename(place)
            return [f"the run {Run(place).name}, while being replaced, is back"]
        return []

    def _keep_cut_off(self, aside: Path) -> list[str]:
        match = _MAKING.match(aside.name)
        owner = Run(aside)._read(_OWNER)
        if match is None or _is_alive(owner, aside):
            return []
        begun = f", begun {owner['begun']}," if owner else ""
        reason = (
            f"the run {aside.parent.name}/{match.group(1)}{begun} was cut off: "
            "its process was killed"
        )
        with suppress(FileNotFoundError):  # another call has found it too, and was quicker
            if not (aside / "notebook.ipynb").exists():
                shutil.rmtree(aside)
                return [f"{reason}. There is nothing of it to keep"]
            run = self.keep_failed(aside, aside.parent.name, match.group(1), reason)
            return [f"{reason}. What there is of it is kept as {run.name}"]
        return []


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Take an `OSError` for what it is where files are written: a `CannotWrite`."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(
            f"cannot write to {error.filename or place}: {error.strerror or error}"
        ) from error


def _this_process() -> dict[str, Any]:
    process = psutil.Process()
    return {
        "host": socket.gethostname(),
        "pid": process.pid,
        "created": process.create_time(),
        "begun": now(),
    }


def _is_alive(owner: dict[str, Any], aside: Path) -> bool:
    """Return whether the process that makes a run is still at it."""
    if not owner:  # killed before it could write that; or just about to, or done in this moment
        with suppress(FileNotFoundError):
            return datetime.now(UTC).timestamp() - aside.stat().st_mtime < 10
        return True
    if owner["host"] != socket.gethostname():
        return True  # not ours to judge
    with suppress(psutil.Error):
        # to the second: it is counted from a boot time that moves when the clock is set
        return abs(psutil.Process(owner["pid"]).create_time() - owner["created"]) < 1
    return False


def now() -> str:
    """Return the time, as it is written down."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_json(path: Path, value: Any) -> None:
    """Write JSON as a person reads it, the same bytes for the same value."""
    path.write_text(
        json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def _new_folder(parent: Path, prefix: str) -> Path:
    folder = parent / f"{prefix}-{secrets.token_hex(4)}"
    folder.mkdir()
    return folder
