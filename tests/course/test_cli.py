"""The commands `gmmlab course ...`."""

import shutil
import sys
from types import SimpleNamespace

import nbformat
import pytest
from courses import NAME, make_course
from workbooks import ROOT, command

from gmmlab.course.assignment import Course
from gmmlab.course.cells import grade_id
from gmmlab.course.selfcheck.scene import filled


def course_command(root, *arguments):
    from gmmlab import __main__  # noqa: F401  (adds the commands)

    return command(SimpleNamespace(root=root), "course", *arguments)


def test_release_hand_in_grade(tmp_path, gradebook):
    """The first problem set, with a right and a wrong submission."""
    real = Course.find(ROOT).assignment("ps1-em")
    course = Course(tmp_path / "notebooks" / "assignments")
    ours = course.root / "source" / "ps1-em" / "ps1-em.ipynb"
    ours.parent.mkdir(parents=True)
    ours.write_bytes(real.source.read_bytes())
    shutil.copy(gradebook, course.root)
    roster = tmp_path / "roster.csv"
    roster.write_text("id\nada\nÖmer\n")
    code, out, err = course_command(tmp_path, "release", "ps1-em", "--students", str(roster))
    assert (code, err) == (0, "")
    assert "2 personal copies" in out
    assignment = course.assignment("ps1-em")
    solutions = {grade_id(c): c.source for c in real.notebook.cells if "SOLUTION" in c.source}
    rows = "np.exp(log_joint - log_density)"
    wrong = solutions["e-step"].replace(rows, "np.exp(log_joint - logsumexp(log_joint, axis=0))")
    for student, changes in {"ada": {}, "Ömer": {"e-step": wrong}}.items():
        given = nbformat.read(assignment.path("release", student), as_version=4)
        path = assignment.path("submitted", student)
        path.parent.mkdir(parents=True)
        nbformat.write(filled(given, solutions | changes), path)
    code, out, err = course_command(tmp_path, "grade", "ps1-em")
    assert (code, err) == (0, "")
    assert "ada: 24 of 24, graded" in out
    assert "Ömer: 20 of 24, graded" in out
    assert "1  normalised over samples  (e-step)" in out
    page = assignment.path("feedback", "Ömer", ".html").read_text("utf-8")
    assert "yours sum to 1 over the samples of a component" in page
    assert "away=1e3" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("release", "ps1"), "there is no problem set 'ps1': did you mean"),
        (("release", "ps1-em", "--students", __file__), "must have a column `id`"),
    ],
)
def test_wrong_arguments_are_errors_of_usage(arguments, message):
    code, _, err = course_command(ROOT, *arguments)
    assert code == 2
    assert message in err


def test_without_nbgrader_the_command_says_what_to_install(monkeypatch, tmp_path):
    make_course(tmp_path)
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    code, _, err = course_command(tmp_path, "release", NAME)
    assert code == 1
    assert "pip install 'gmmlab[course]'" in err
