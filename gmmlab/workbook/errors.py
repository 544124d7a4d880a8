"""The ways in which a run can fail, each with the exit code of the command."""

from __future__ import annotations


class RunFailed(Exception):
    """A run did not complete.

    Parameters
    ----------
    reason : str
        What happened, in one line.
    cell : int, optional
        Index of the cell, from 0, in which it happened.
    details : str, default ""
        The traceback, or the last output of the kernel.
    """

    exit_code = 1

    def __init__(self, reason: str, *, cell: int | None = None, details: str = "") -> None:
        super().__init__(reason, cell, details)
        self.reason = reason
        self.cell = cell
        self.details = details

    def __reduce__(self) -> tuple:
        return _rebuild, (type(self), self.reason, self.cell, self.details)

    def __str__(self) -> str:
        return self.reason


def _rebuild(kind: type[RunFailed], reason: str, cell: int | None, details: str) -> RunFailed:
    return kind(reason, cell=cell, details=details)


class CellFailed(RunFailed):
    """A cell raised an exception or called ``sys.exit``."""


class KernelDied(RunFailed):
    """The kernel ended before the notebook did."""

    exit_code = 3


class OutOfTime(RunFailed):
    """A cell or the run exceeded its time limit."""

    exit_code = 4


class CannotWrite(RunFailed):
    """The files of the run could not be written, for example because the disk is full."""

    exit_code = 5


class ClusterError(RunFailed):
    """The scheduler does not answer, or a worker cannot reproduce what this machine would do."""

    exit_code = 7


class InputsChanged(RunFailed):
    """Code, data or libraries changed during the run."""

    exit_code = 8


#: exit code of a command that found different results
DIFFERENT = 6
#: exit codes of the commands; click itself uses 2 for errors of usage
EXIT_CODES = {
    0: "success",
    1: "a cell failed",
    2: "unknown or invalid notebook, parameter, run or option",
    3: "a kernel died",
    4: "time limit exceeded",
    5: "cannot write",
    DIFFERENT: "the results differ",
    7: "no scheduler answers, or a worker has different code, data or libraries",
    8: "code, data or libraries changed during a run",
    130: "interrupted (SIGINT)",
    143: "terminated (SIGTERM)",
}
