"""The folder of a course, its problem sets, and nbgrader's view of them.

    source/<problem set>/<problem set>.ipynb        the instructor's notebook, with solutions
    release/<problem set>/                          the students' version
    release/<student>/<problem set>/                the same with the student's own data
    submitted/<student>/<problem set>/              submissions
    autograded/<student>/<problem set>/             submissions as they were run for grading
    feedback/<student>/<problem set>/               the page for the student
    grades/<problem set>/                           grades.csv, summary.html, written.csv
    gradebook.db                                    nbgrader's database

These are nbgrader's folders, so nbgrader's own commands work here too.
"""

from __future__ import annotations

import logging
import os
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

_INSTALL = "problem sets need nbgrader: pip install 'gmmlab[course]' (in a clone: '.[course]')"


class NotInstalled(RuntimeError):
    """nbgrader, the optional extra `course`, is not installed."""


class NbgraderError(RuntimeError):
    """nbgrader failed; the message is taken from its log."""


@dataclass(frozen=True)
class Course:
    """A course.

    Parameters
    ----------
    root : Path
        The folder that contains `source`.
    """

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Course:
        """Return the course of the workbook that contains a folder.

        Parameters
        ----------
        start : Path, optional
            The working directory by default.

        Raises
        ------
        ValueError
            If the workbook has no course.
        """
        root = Workbook.find(start).root / "notebooks" / "assignments"
        if not (root / "source").is_dir():
            raise ValueError(f"there is no course here: {root} has no folder `source`")
        return cls(root)

    def students(self) -> list[Student]:
        """Return the students in the gradebook."""
        with self.gradebook() as gradebook:
            return [
                Student(s.id, s.first_name or "", s.last_name or "", s.email or "")
                for s in gradebook.students
            ]

    @property
    def assignments(self) -> list[str]:
        """Names of the problem sets."""
        return sorted(
            folder.name for folder in (self.root / "source").glob("[!.]*") if folder.is_dir()
        )

    def assignment(self, name: str) -> Assignment:
        """Return a problem set.

        Raises
        ------
        ValueError
            If no problem set has this name.
        """
        if name not in self.assignments:
            raise ValueError(f"there is no problem set {name!r}{nearest(name, self.assignments)}")
        return Assignment(self, name)

    def directory(self, assignment: str, **options: str) -> CourseDirectory:
        """Return nbgrader's object for the folder of the course."""
        _require_nbgrader()
        from nbgrader.coursedir import CourseDirectory

        return CourseDirectory(root=str(self.root.resolve()), assignment_id=assignment, **options)

    @contextmanager
    def gradebook(self) -> Iterator[Gradebook]:
        """Open nbgrader's database."""
        _require_nbgrader()
        from nbgrader.api import Gradebook

        with _without_warnings(), Gradebook(self.directory("").db_url) as gradebook:
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
        """Path of the notebook with solutions."""
        return self.path("source")

    def path(self, step: str, student: str = ".", suffix: str = ".ipynb") -> Path:
        """Return the path of the notebook in one of nbgrader's folders."""
        return self.course.root / step / student / self.name / f"{self.name}{suffix}"

    @property
    def grades(self) -> Path:
        """The folder of the grades and the summary."""
        return self.course.root / "grades" / self.name

    @property
    def seeds(self) -> Path:
        """Path of the table of seeds, which exists after a release with a roster."""
        return self.course.root / "release" / f"{self.name}.csv"

    @cached_property
    def notebook(self) -> nbformat.NotebookNode:
        """The notebook with solutions.

        Raises
        ------
        ValueError
            If the folder of the problem set contains no notebook of the same name.
        """
        if not self.source.is_file():
            raise ValueError(f"{self.name} must have its notebook at {self.source}")
        return nbformat.read(self.source, as_version=4)

    def convert(self, converter: type, directory: CourseDirectory, **options: Any) -> None:
        """Run one of nbgrader's converters.

        Raises
        ------
        NbgraderError
            If it fails.
        """
        from nbgrader.converters.base import NbGraderException

        log = _Log()
        logger = logging.Logger("nbgrader")
        logger.addHandler(log)
        try:
            instance = converter(coursedir=directory, **options)
            instance.log = logger
            with _without_warnings():
                instance.start()
        except (NbGraderException, SystemExit) as error:
            reason = log.reason or str(error)
            if "Cannot add or remove cells" in reason:
                reason = (
                    f"cells of {self.name} were added or removed since it was last graded. Remove "
                    f"{self.course.root / 'gradebook.db'} and grade again: the gradebook will be "
                    "created anew. Points for written answers are kept in written.csv"
                )
            raise NbgraderError(reason) from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Suppress the warnings of nbgrader and its libraries about each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Log(logging.Handler):
    """Collects nbgrader's error messages."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    @property
    def reason(self) -> str:
        """The last line of the first traceback or, without a traceback, the first message."""
        for text in self.messages:
            if "Traceback" in text:
                return text.strip().splitlines()[-1]
        return self.messages[0] if self.messages else ""


def _require_nbgrader() -> None:
    try:
        import nbgrader  # noqa: F401
    except ImportError:
        raise NotInstalled(_INSTALL) from None
    # nbgrader calls `alembic`. It is installed beside this Python, but it is not on the path if
    # the environment has not been activated.
    scripts = str(Path(sys.executable).parent)
    if scripts not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([scripts, os.environ.get("PATH", "")])
