"""A run that is to be made, its outcome, and the settings with which it is made."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gmmlab.workbook.errors import RunFailed
from gmmlab.workbook.notebooks import Notebook, Workbook
from gmmlab.workbook.runs.execution import Limits
from gmmlab.workbook.runs.store import Run
from gmmlab.workbook.values import to_text


@dataclass(frozen=True)
class Task:
    """A run that is to be made.

    Parameters
    ----------
    notebook : Notebook
    given : dict
        The parameters that differ from their defaults.
    parameters : dict
        All parameters.
    id : str
        Hash of everything that the results depend on.
    """

    notebook: Notebook
    given: dict[str, Any]
    parameters: dict[str, Any]
    id: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task.

    Parameters
    ----------
    task : Task
    run : Run or None
        The run; None if nothing could be kept.
    failure : RunFailed, optional
        The reason, if the run failed.
    made : bool, default True
        Whether the run was made now; False if it existed already.
    """

    task: Task
    run: Run | None
    failure: RunFailed | None = None
    made: bool = True


@dataclass(frozen=True)
class Settings:
    """Settings with which runs are made; none of them changes a result.

    Parameters
    ----------
    jobs : int, default 1
        Number of runs at the same time.
    threads : int or None, default None
        Number of threads for the numerical libraries in a kernel; None for their own default.
    limits : Limits
        Time limits.
    force : bool, default False
        Whether to repeat runs that exist already.
    on_cell : callable, optional
        Called with the task and the index of the cell before each cell.

    Raises
    ------
    ValueError
        If `jobs` or `threads` is not a positive integer.
    """

    jobs: int = 1
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)
    force: bool = False
    on_cell: Callable[[Task, int], None] = lambda task, index: None

    def __post_init__(self) -> None:
        for name in ("jobs", "threads"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a positive int; got {value!r}")


def command(task: Task, workbook: Workbook, threads: int | None) -> str:
    """Return the command line that repeats a run."""
    if task.notebook.path is None:  # only the folder of the run contains this notebook
        return shlex.join(["gmmlab", "rerun", f"{task.notebook.name}/{task.id}"])
    words = ["gmmlab", "run", workbook.relative(task.notebook)]
    for name, value in task.given.items():
        words += ["-p", name, to_text(task.notebook.parameters[name], value)]
    if threads is not None:
        words += ["--threads", str(threads)]
    return shlex.join(words)
