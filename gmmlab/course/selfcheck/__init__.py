"""Check a problem set by grading test submissions.

scene               a small class that hands in notebooks and is graded
examples            right and wrong submissions, described in tests/submissions
adversarial         submissions that try to disturb grading, the same for every problem set
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gmmlab.course.assignment import Assignment, Course
from gmmlab.course.selfcheck.adversarial import check_adversarial
from gmmlab.course.selfcheck.examples import check_right, check_wrong, examples_of
from gmmlab.course.selfcheck.scene import Finding, Scene

__all__ = ["Finding", "Scene", "check"]


def check(assignment: Assignment, *, every: int = 1, adversarial: bool = True) -> Iterator[Finding]:
    """Release a problem set, hand in test submissions and grade them, in a temporary folder.

    Parameters
    ----------
    assignment : Assignment
    every : int, default 1
        Use only every `every`-th of the wrong submissions.
    adversarial : bool, default True
        Whether to hand in adversarial submissions too.

    Yields
    ------
    Finding
        For each submission, whether it was graded as it should be.
    """
    examples = examples_of(assignment)
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        root = Path(folder) / "assignments"
        shutil.copytree(
            assignment.course.root / "source" / assignment.name, root / "source" / assignment.name
        )
        scene = Scene(Course(root).assignment(assignment.name))
        yield from check_right(scene, examples.right)
        yield from check_wrong(scene, examples.wrong[::every])
        if adversarial:
            yield from check_adversarial(scene)
