"""Where results come from: hashes of what they depend on, and what there was at the time."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gmmlab.workbook.notebooks import PACKAGE, Notebook, Workbook
from gmmlab.workbook.runs.kernels import THREAD_VARIABLES

#: distributions whose versions can change results
NUMERICAL = ("numpy", "scipy", "scikit-learn", "pandas", "jax", "jaxlib", "keras")
_SEEDS = ("seed", "random_state")


@dataclass(frozen=True)
class Surroundings:
    """What a result depends on beside the notebook and its parameters.

    Parameters
    ----------
    package : str
        Hash of the package's files.
    data : dict of str to str
        Hash of each file of data.
    libraries : dict of str to str
        Version of Python and of each numerical library.
    """

    package: str
    data: Mapping[str, str]
    libraries: Mapping[str, str]

    @classmethod
    def of(cls, workbook: Workbook) -> Surroundings:
        """Return what there is now, here."""
        files = (path for path in PACKAGE.rglob("*") if path.parent.name != "__pycache__")
        libraries = {"python": ".".join(map(str, sys.version_info[:2]))}
        return cls(
            package=_hash(json.dumps(_hashes(files, PACKAGE)).encode()),
            data=_hashes(workbook.data.rglob("*"), workbook.data),
            libraries=libraries | {n: v for n in NUMERICAL if (v := _version(n))},
        )

    def run_id(self, notebook: Notebook, parameters: Mapping[str, Any]) -> str:
        """Return the name of the run of a notebook with all its parameters."""
        depends = [notebook.sha256, parameters, self.package, self.data, self.libraries]
        return _hash(json.dumps(depends, sort_keys=True).encode())[:16]


def environment(threads: int | None) -> dict[str, Any]:
    """Return what there is on this machine: interpreter, packages, BLAS, threads."""
    import numpy as np  # noqa: F401  threadpoolctl sees what is loaded
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    variables = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    if threads is not None:
        variables = dict.fromkeys(variables, str(threads))
    keys = ("internal_api", "version", "architecture", "threading_layer")
    blas = [
        {key: library[key] for key in keys if key in library}
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": _packages(),
        "numerical": [name for name in NUMERICAL if _version(name)],
        "blas": blas,
        "threads": {"cores": cores(), **variables},
    }


@cache
def _packages() -> dict[str, str]:
    """Return the version of everything that is installed."""
    distributions = importlib.metadata.distributions()
    # half-removed ones have no name
    versions = {name: found.version for found in distributions if (name := found.metadata["Name"])}
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


def code(workbook: Workbook, notebook: Notebook, surroundings: Surroundings) -> dict[str, Any]:
    """Return which notebook, package, commit and data a run was made with."""
    return {
        "notebook": {"path": place(notebook, workbook), "sha256": notebook.sha256},
        "package": {
            "name": PACKAGE.name,
            "version": _version(PACKAGE.name),
            "sha256": surroundings.package,
        },
        "git": git(workbook.root),
        "data": dict(surroundings.data),
        "libraries": dict(surroundings.libraries),
    }


def place(notebook: Notebook, workbook: Workbook) -> str:
    """Return where a notebook is, as seen from the workbook where it is inside."""
    if notebook.path is None:
        return notebook.name
    if notebook.path.is_relative_to(workbook.root):
        return notebook.path.relative_to(workbook.root).as_posix()
    return str(notebook.path)


def seed(parameters: Mapping[str, Any]) -> Any:
    """Return the value of the parameter that is the seed, where there is one."""
    return next((parameters[name] for name in _SEEDS if name in parameters), None)


def git(folder: Path) -> dict[str, Any] | None:
    """Return the commit that a folder is at, and whether nothing has been changed since.

    What runs leave in `reports` is no change.
    """

    def ask(*question: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *question], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changes = ask("status", "--porcelain", "--", ":/", ":(exclude)reports")
        return {"commit": ask("rev-parse", "HEAD"), "clean": not changes}
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return None


def cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system can say
        return os.cpu_count() or 1


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _hashes(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Return the hash of each file, by its path within a folder."""
    return {
        path.relative_to(root).as_posix(): _hash(path.read_bytes())
        for path in sorted(files)
        if path.is_file()
    }


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
