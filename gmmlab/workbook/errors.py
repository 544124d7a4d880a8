"""What can go wrong with a run, each with the exit code of the command that meets it."""

from __future__ import annotations


class RunFailed(Exception):
    """A run that did not complete.

    Parameters
    ----------
    reason : str
        What happened, in a line.
    cell : int, optional
        Number of the cell, from 0, in which it happened.
    details : str, default ""
        The traceback, or what the kernel said last.
    """

    exit_code = 1

    def __init__(self, reason: str, *, cell: int | None = None, details: str = "") -> None:
        super().__init__(reason, cell, details)
        self.reason = reason
        self.cell = cell
        self.details = details

    def __reduce__(self) -> tuple:
        return _again, (type(self), self.reason, self.cell, self.details)

    def __str__(self) -> str:
        return self.reason


def _again(kind: type[RunFailed], reason: str, cell: int | None, details: str) -> RunFailed:
    return kind(reason, cell=cell, details=details)


class CellFailed(RunFailed):
    """A cell raised an exception, or left the notebook by ``sys.exit``."""


class KernelDied(RunFailed):
    """The kernel ended before the notebook did."""

    exit_code = 3


class OutOfTime(RunFailed):
    """A cell or the run took longer than it may."""

    exit_code = 4


class CannotWrite(RunFailed):
    """The run could not be kept: a full disk, a folder that cannot be written to."""

    exit_code = 5


class Elsewhere(RunFailed):
    """A worker could not do the run as it would be done here."""

    exit_code = 7


class Changed(RunFailed):
    """Code, data or libraries were changed while the run was made."""

    exit_code = 8


#: exit codes of commands, beside click's own 2 for what cannot be understood
EXIT_CODES = {
    0: "done",
    1: "a cell failed",
    2: "not a notebook, parameter or run that there is",
    3: "a kernel died",
    4: "out of time",
    5: "cannot write",
    6: "the results differ",
    7: "no scheduler answers, or a worker has other code, data or libraries",
    8: "code, data or libraries were changed while a run was made",
    130: "interrupted (SIGINT)",
    143: "ended (SIGTERM)",
}
DIFFERENT = 6
