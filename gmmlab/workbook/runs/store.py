"""The folder of runs, in which each run appears whole or not at all.

<notebook>/<id>/                 a completed run
<notebook>/<id>-failed/          the files of a failed run
<notebook>/.making-<id>-…/       the staging folder of a run in progress, or interrupted
<notebook>/.replaced-<id>-…/     an old run that is about to be replaced
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
    """A run, as files in a folder.

    Parameters
    ----------
    folder : Path
        Contains `notebook.ipynb`, `parameters.json` and `provenance.json`; `results.json` if the
        run completed, or `FAILED.txt` if it failed; and, unless the run was interrupted,
        `report.html` and `figures`.
    """

    folder: Path

    @property
    def id(self) -> str:
        """The hash of everything that the run depends on."""
        return self.folder.name.removesuffix(_FAILED)

    @property
    def notebook(self) -> str:
        """The name of the notebook."""
        return self.folder.parent.name

    @property
    def name(self) -> str:
        """The notebook and the id, as commands accept them."""
        return f"{self.notebook}/{self.folder.name}"

    @property
    def completed(self) -> bool:
        """Whether the run completed, and so has results."""
        return not self.folder.name.endswith(_FAILED)

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters, including those at their defaults."""
        return self.read("parameters.json")

    @property
    def results(self) -> dict[str, Any]:
        """The results that the notebook recorded; empty if the run failed."""
        return self.read("results.json") if self.completed else {}

    @property
    def provenance(self) -> dict[str, Any]:
        """Everything that the results depend on, and the environment of the run."""
        return self.read("provenance.json")

    @property
    def page(self) -> Path:
        """The HTML page of the run."""
        return self.folder / "report.html"

    @property
    def failure(self) -> str:
        """The reason of the failure, in one line; empty if the run completed."""
        if self.completed:
            return ""
        with suppress(OSError):
            return (self.folder / _REASON).read_text(encoding="utf-8").splitlines()[0]
        return "unknown"

    def read(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON file in the folder; empty if it cannot be read."""
        with suppress(OSError, ValueError):  # a full disk may leave an empty file, for example
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        return {}


class Store:
    """The runs in a folder.

    Parameters
    ----------
    folder : Path
        The folder, which does not have to exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def completed(self, notebook: str, id_: str) -> Run | None:
        """Return the completed run with this id, or None."""
        folder = self.folder / notebook / id_
        return Run(folder) if (folder / "results.json").exists() else None

    def runs(self) -> list[Run]:
        """Return all runs, including failed ones."""
        folders = sorted(self.folder.glob("*/[!.]*"))
        return [Run(folder) for folder in folders if (folder / "parameters.json").exists()]

    def find(self, name: str) -> Run:
        """Return the run with a name.

        Parameters
        ----------
        name : str
            Its folder, or its id, with or without the notebook: ``02-full-em/3f2a``. The first
            characters of the id are enough; without the notebook, at least two are needed.

        Raises
        ------
        ValueError
            If no run, or more than one, matches the name.
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
            f"{'more than one' if found else 'no'} run matches {name!r}{nearest(name, names)}"
        )

    @contextmanager
    def staging(self, notebook: str, id_: str) -> Iterator[Path]:
        """Provide a staging folder for a run; it is removed at the end, unless it was kept.

        Raises
        ------
        CannotWrite
            If the folder cannot be created, or writing in it fails with an `OSError`.
        """
        parent = self.folder / notebook
        with writing(parent):
            parent.mkdir(parents=True, exist_ok=True)
            staging = _new_folder(parent, f".making-{id_}")
            try:
                write_json(staging / _OWNER, _this_process())
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def keep(self, staging: Path, notebook: str, id_: str) -> Run:
        """Move a completed run from its staging folder to its place; return it."""
        (staging / _OWNER).unlink()
        run = self._move(staging, self.folder / notebook / id_)
        shutil.rmtree(self.folder / notebook / f"{id_}{_FAILED}", ignore_errors=True)
        return run

    def keep_failed(self, staging: Path, notebook: str, id_: str, reason: str) -> Run:
        """Move the files of a failed run to its place, marked as failed; return it."""
        (staging / "results.json").unlink(missing_ok=True)
        (staging / _REASON).write_text(reason.strip() + "\n", encoding="utf-8")
        (staging / _OWNER).unlink(missing_ok=True)
        return self._move(staging, self.folder / notebook / f"{id_}{_FAILED}")

    def _move(self, staging: Path, place: Path) -> Run:
        old = None
        if place.exists():
            old = _new_folder(place.parent, f".replaced-{place.name}-{os.getpid()}")
            place.rename(old)
        try:
            staging.rename(place)
        except OSError:
            if not place.exists():
                if old is not None:
                    old.rename(place)
                raise
            # Another process has just made the same run.
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
        return Run(place)

    def recover(self) -> list[str]:
        """Clean up after processes that were killed; return a message for each run concerned.

        A run that was in progress becomes a failed run. A run that was being replaced is
        restored.
        """
        messages = []
        with writing(self.folder):
            for folder in sorted(self.folder.glob("*/.replaced-*")):
                messages += self._restore(folder)
            for folder in sorted(self.folder.glob("*/.making-*")):
                messages += self._keep_interrupted(folder)
        return messages

    def _restore(self, old: Path) -> list[str]:
        match = _REPLACED.match(old.name)
        if match is None:  # not written by this module
            return []
        place = old.parent / match.group(1)
        if psutil.pid_exists(int(match.group(2))):  # that process is still replacing the run
            return []
        with suppress(FileNotFoundError):  # another process has restored it in the meantime
            if place.exists():
                shutil.rmtree(old, ignore_errors=True)
                return []
            old.rename(place)
            return [f"the run {Run(place).name} was restored, because its replacement was killed"]
        return []

    def _keep_interrupted(self, staging: Path) -> list[str]:
        match = _MAKING.match(staging.name)
        owner = Run(staging).read(_OWNER)
        if match is None or _is_alive(owner, staging):
            return []
        started = f", started {owner['begun']}," if owner else ""
        reason = (
            f"the run {staging.parent.name}/{match.group(1)}{started} was interrupted: "
            "its process was killed"
        )
        with suppress(FileNotFoundError):  # another process has kept it in the meantime
            if not (staging / "notebook.ipynb").exists():
                shutil.rmtree(staging)
                return [f"{reason}. It left no files to keep"]
            run = self.keep_failed(staging, staging.parent.name, match.group(1), reason)
            return [f"{reason}. Its files are kept as {run.name}"]
        return []


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn an `OSError` in the body, which writes to `place`, into a `CannotWrite`."""
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


def _is_alive(owner: dict[str, Any], staging: Path) -> bool:
    """Return whether the process that makes a run may still be alive."""
    if not owner:  # it was killed before it wrote the file, is about to write it, or is finished
        with suppress(FileNotFoundError):
            return datetime.now(UTC).timestamp() - staging.stat().st_mtime < 10
        return True
    if owner["host"] != socket.gethostname():
        return True  # processes of another host cannot be checked
    with suppress(psutil.Error):
        # Only to the second, because setting the clock moves the time of creation slightly.
        return abs(psutil.Process(owner["pid"]).create_time() - owner["created"]) < 1
    return False


def now() -> str:
    """Return the current time in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON; equal values give the same bytes."""
    path.write_text(
        json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def _new_folder(parent: Path, prefix: str) -> Path:
    folder = parent / f"{prefix}-{secrets.token_hex(4)}"
    folder.mkdir()
    return folder
