import shutil

import pytest
from courses import LIMITS, NAME, make_course

from gmmlab.course.grading import grade
from gmmlab.course.release import write_seeds
from gmmlab.course.roster import Student
from gmmlab.course.selfcheck.scene import Scene, filled

ROSTER = [Student("ada", "Ada", "Lovelace"), Student("bob"), Student("eve"), Student("mallory")]


@pytest.fixture
def assignment(tmp_path):
    """A small problem set that has not been released."""
    return make_course(tmp_path).assignment(NAME)


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    """A released problem set, shared by the tests; between tests, nothing is handed in."""
    pytest.importorskip("nbgrader")
    return Scene(make_course(tmp_path_factory.mktemp("scene")).assignment(NAME))


@pytest.fixture(scope="session")
def gradebook(scene):
    """A gradebook to copy into other courses, because nbgrader takes seconds to create one."""
    return scene.assignment.course.root / "gradebook.db"


@pytest.fixture(scope="session")
def graded_class(tmp_path_factory, gradebook):
    """The problem set and the grades of a class, shared by the tests.

    Ada is right, Bob has a mistake, Eve has handed nothing in, and Mallory writes HTML.
    """
    course = make_course(tmp_path_factory.mktemp("class"))
    shutil.copy(gradebook, course.root)
    scene = Scene(course.assignment(NAME))
    write_seeds(scene.assignment, ROSTER)
    scene.hand_in("ada", scene.solved)
    scene.hand_in("bob", filled(scene.solved, {"triple": "def triple(x):\n    return x + x - x"}))
    html = {"why": "<script>alert(1)</script> *yes* $x^2$"}
    scene.hand_in("mallory", filled(scene.solved, html))
    graded = {one.student: one for one in grade(scene.assignment, ROSTER, limits=LIMITS)}
    graded["mallory"].notes.append("<img src=x onerror=alert(2)>")
    return scene.assignment, graded
