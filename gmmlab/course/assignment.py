"""The folder of a course, and how nbgrader sees it.

    source/<problem set>/<problem set>.ipynb        the truth: with solutions and hidden tests
    release/<problem set>/                          without them, for everybody
    release/<student>/<problem set>/                the same with data of the student's own
    submitted/<student>/<problem set>/              what was handed in
    autograded/<student>/<problem set>/             the same, as it was run for grading
    feedback/<student>/<problem set>/               the page to hand back
    grades/<problem set>/                           grades.csv, summary.html, written.csv
    gradebook.db                                    nbgrader's own account of all this

These are nbgrader's folders, so its own commands work here too.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from gmmlab.course.roster import Student
from gmmlab.workbook.notebooks import Workbook
from gmmlab.workbook.parameters import nearest

if TYPE_CHECKING:
    from nbgrader.api import Gradebook
    from nbgrader.coursedir import CourseDirectory

#: what to do where nbgrader is missing
INSTALL = "problem sets need nbgrader: pip install 'gmmlab[course]' (in a clone: '.[course]')"


# What nbgrader takes out of a release, with its marks.
_LEFT_OUT = re.compile(
    r"^[ \t]*### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)^[ \t]*### END (?:SOLUTION|HIDDEN TESTS)\n?",
    re.DOTALL | re.MULTILINE,
)
# A line of fewer characters than this, "return x" say, gives nothing away.
_TELLING = 12


class NotInstalled(RuntimeError):
    """The extra `course` is not installed."""


class CannotGrade(RuntimeError):
    """Something nbgrader could not do; the message is the end of its log."""


@dataclass(frozen=True)
class Course:
    """A course.

    Parameters
    ----------
    root : Path
        The folder that holds `source`.
    """

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Course:
        """Return the course of the workbook that a folder is in.

        Raises
        ------
        ValueError
            If there is none.
        """
        root = Workbook.find(start).root / "notebooks" / "assignments"
        if not (root / "source").is_dir():
            raise ValueError(f"there is no course here: {root} holds no folder `source`")
        return cls(root)

    def students(self) -> list[Student]:
        """Return the students that the gradebook knows."""
        with self.gradebook() as gradebook:
            return [
                Student(s.id, s.first_name or "", s.last_name or "", s.email or "")
                for s in gradebook.students
            ]

    @property
    def assignments(self) -> list[str]:
        """The names of the problem sets."""
        return sorted(
            folder.name for folder in (self.root / "source").glob("[!.]*") if folder.is_dir()
        )

    def assignment(self, name: str) -> Assignment:
        """Return a problem set.

        Raises
        ------
        ValueError
            If there is none of this name.
        """
        if name not in self.assignments:
            raise ValueError(f"there is no problem set {name!r}{nearest(name, self.assignments)}")
        return Assignment(self, name)

    def directory(self, assignment: str, **options: str) -> CourseDirectory:
        """Return what nbgrader calls a course directory."""
        _require_nbgrader()
        from nbgrader.coursedir import CourseDirectory

        return CourseDirectory(root=str(self.root.resolve()), assignment_id=assignment, **options)

    @contextmanager
    def gradebook(self) -> Iterator[Gradebook]:
        """Open nbgrader's database."""
        _require_nbgrader()
        from nbgrader.api import Gradebook

        with _quiet(), Gradebook(self.directory("").db_url) as gradebook:
            yield gradebook


@dataclass(frozen=True)
class Assignment:
    """A problem set.

    Parameters
    ----------
    course : Course
    name : str
    """

    course: Course
    name: str

    @property
    def source(self) -> Path:
        """The notebook with solutions."""
        return self.path("source")

    def path(self, step: str, student: str = ".", suffix: str = ".ipynb") -> Path:
        """Return where its notebook is at one of nbgrader's steps."""
        return self.course.root / step / student / self.name / f"{self.name}{suffix}"

    @property
    def grades(self) -> Path:
        """Where grades and the summary are put."""
        return self.course.root / "grades" / self.name

    @property
    def seeds(self) -> Path:
        """The table of students and seeds, which is there once personal copies are released."""
        return self.course.root / "release" / f"{self.name}.csv"

    @cached_property
    def notebook(self) -> nbformat.NotebookNode:
        """The notebook with solutions.

        Raises
        ------
        ValueError
            If there is none of the name of the problem set.
        """
        if not self.source.is_file():
            raise ValueError(f"{self.name} must have its notebook at {self.source}")
        return nbformat.read(self.source, as_version=4)

    def convert(self, converter: type, directory: CourseDirectory, **options: Any) -> None:
        """Have one of nbgrader's converters do its work.

        Raises
        ------
        CannotGrade
            If it fails.
        """
        from nbgrader.converters.base import NbGraderException

        log = _Log()
        logger = logging.Logger("nbgrader")
        logger.addHandler(log)
        try:
            made = converter(coursedir=directory, **options)
            made.log = logger
            with _quiet():
                made.start()
        except (NbGraderException, SystemExit) as error:
            reason = log.reason or str(error)
            if "Cannot add or remove cells" in reason:
                reason = (
                    f"{self.name} has other cells than when it was graded last. Remove "
                    f"{self.course.root / 'gradebook.db'} and grade again: the gradebook is made "
                    "anew, and points for written answers are kept in written.csv"
                )
            raise CannotGrade(reason) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out warnings: those here are of nbgrader and its libraries, about each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Log(logging.Handler):
    """Keeps what nbgrader says went wrong."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    @property
    def reason(self) -> str:
        """The last line of the first traceback, or else the first message."""
        for text in self.said:
            if "Traceback" in text:
                return text.strip().splitlines()[-1]
        return self.said[0] if self.said else ""


def _require_nbgrader() -> None:
    try:
        import nbgrader  # noqa: F401
    except ImportError:
        raise NotInstalled(INSTALL) from None
    # It calls `alembic`, which is beside this Python but, in an environment that is not
    # activated, not on the path.
    scripts = str(Path(sys.executable).parent)
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", "")])


# ---- cells -------------------------------------------------------------------------------------


def grade_id(cell: nbformat.NotebookNode) -> str | None:
    """Return by what name nbgrader knows a cell, if it does."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_solution(cell: nbformat.NotebookNode) -> bool:
    """Whether students write into a cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def is_graded(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell brings points."""
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def is_parameters(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell is the parameters cell."""
    return "parameters" in cell.metadata.get("tags", ())


def in_the_open(cell: nbformat.NotebookNode) -> str:
    """Return a cell's source without what a release leaves out: solutions and hidden tests."""
    return _LEFT_OUT.sub("", cell.source)


def left_out(cell: nbformat.NotebookNode) -> list[str]:
    """Return the lines of a cell that a release leaves out, but for those too short to tell."""
    lines = (line.strip() for line in "".join(_LEFT_OUT.findall(cell.source)).splitlines())
    return [line for line in lines if len(line) >= _TELLING]
