"""Everything that results depend on, as hashes, and the environment of a run."""

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

#: libraries whose versions can change results
NUMERICAL = ("numpy", "scipy", "scikit-learn", "pandas", "jax", "jaxlib", "keras")
_SEEDS = ("seed", "random_state")


@dataclass(frozen=True)
class Fingerprint:
    """Everything that a result depends on besides the notebook and its parameters.

    Parameters
    ----------
    package : str
        Hash of the files of the package.
    data : dict of str to str
        Hash of each data file.
    libraries : dict of str to str
        Version of Python and of each numerical library.
    """

    package: str
    data: Mapping[str, str]
    libraries: Mapping[str, str]

    @classmethod
    def of(cls, workbook: Workbook) -> Fingerprint:
        """Return the current fingerprint of a workbook."""
        files = (path for path in PACKAGE.rglob("*") if path.parent.name != "__pycache__")
        libraries = {"python": ".".join(map(str, sys.version_info[:2]))}
        return cls(
            package=_hash(json.dumps(_hashes(files, PACKAGE)).encode()),
            data=_hashes(workbook.data.rglob("*"), workbook.data),
            libraries=libraries | {n: v for n in NUMERICAL if (v := _version(n))},
        )

    def run_id(self, notebook: Notebook, parameters: Mapping[str, Any]) -> str:
        """Return the id of the run of a notebook with all its parameters."""
        depends = [notebook.sha256, parameters, self.package, self.data, self.libraries]
        return _hash(json.dumps(depends, sort_keys=True).encode())[:16]


def environment(threads: int | None) -> dict[str, Any]:
    """Return the interpreter, packages, BLAS libraries and threads of this machine."""
    # threadpoolctl only sees libraries that are loaded. Import them here, because the other
    # functions of this module must be quick to load.
    import numpy as np  # noqa: F401
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
    """Return the version of every installed distribution."""
    distributions = importlib.metadata.distributions()
    # A distribution that was removed only in part has no name.
    versions = {name: found.version for found in distributions if (name := found.metadata["Name"])}
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


def code(workbook: Workbook, notebook: Notebook, fingerprint: Fingerprint) -> dict[str, Any]:
    """Return the notebook, package, commit, data and libraries of a run."""
    return {
        "notebook": {"path": workbook.relative(notebook), "sha256": notebook.sha256},
        "package": {
            "name": PACKAGE.name,
            "version": _version(PACKAGE.name),
            "sha256": fingerprint.package,
        },
        "git": git(workbook.root),
        "data": dict(fingerprint.data),
        "libraries": dict(fingerprint.libraries),
    }


def seed(parameters: Mapping[str, Any]) -> Any:
    """Return the value of the seed parameter, or None."""
    return next((parameters[name] for name in _SEEDS if name in parameters), None)


def git(folder: Path) -> dict[str, Any] | None:
    """Return the git commit of a folder, and whether there are no uncommitted changes.

    Files in `reports` do not count as changes.
    """

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changes = ask("status", "--porcelain", "--", ":/", ":(exclude)reports")
        return {"commit": ask("rev-parse", "HEAD"), "clean": not changes}
    except (OSError, subprocess.CalledProcessError):  # git is not installed, or no repository
        return None


def cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not available on every system
        return os.cpu_count() or 1


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _hashes(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Return the hash of each file, by its path relative to a folder."""
    return {
        path.relative_to(root).as_posix(): _hash(path.read_bytes())
        for path in sorted(files)
        if path.is_file()
    }


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
