"""Grading the submissions of a small problem set."""

import pytest
from courses import LIMITS, NAME
from nbformat.v4 import new_code_cell, new_notebook, new_output

from gmmlab.course.checks.calling import ENDLESS, NOT_DONE
from gmmlab.course.grading import Grader, find_mistake, grade, misplaced
from gmmlab.course.roster import Student
from gmmlab.course.written_marks import marks_path, write_marks


def test_a_class_is_graded(graded_class):
    graded = graded_class[1]
    assert [task.points for task in graded["ada"].tasks] == [2, 2, None]
    assert [task.points for task in graded["bob"].tasks] == [2, 0, None]
    assert graded["bob"].tasks[1].mistake == "wrong value"
    statuses = {name: one.status for name, one in graded.items()}
    assert statuses == dict.fromkeys(graded, "to be marked") | {"eve": "not handed in"}
    assert graded["ada"].notes == []


def test_points_for_a_written_answer_count_when_it_is_graded_again(graded_class):
    assignment, graded = graded_class
    table = marks_path(assignment)
    table.parent.mkdir(parents=True, exist_ok=True)
    write_marks(assignment, graded.values())
    assert "Because the sum is over $k$." in table.read_text("utf-8")
    table.write_text(table.read_text("utf-8").replace("ada,why,,2,,", "ada,why,1.5,2,good,"))
    ada, bob = grade(assignment, only=["ada", "bob"], limits=LIMITS)
    assert (ada.points, ada.status, ada.tasks[2].message) == (5.5, "graded", "good")
    assert bob.tasks == graded["bob"].tasks
    assert not any("has changed" in note for note in ada.notes)
    write_marks(assignment, [ada, bob])
    text = table.read_text("utf-8")
    assert "ada,why,1.5,2,good," in text
    assert "mallory,why,,2,," in text
    with assignment.course.gradebook() as gradebook:
        assert gradebook.find_submission(NAME, "ada").score == 5.5


def test_a_roster_that_is_given_only_when_grading_does_not_change_the_data(scene):
    scene.assignment.seeds.unlink(missing_ok=True)
    with Grader(scene.assignment, [Student("ada"), Student("bob")], LIMITS) as grader:
        assert grader.seed_for("ada") == 1
        assert grader.students() == ["ada", "bob"]
        with pytest.raises(ValueError, match="'eve' is not on the roster"):
            grader.students(["eve"])


def test_misplaced_notebooks_are_found(assignment):
    submitted = assignment.course.root / "submitted"
    right = submitted / "ada" / NAME / "any name.ipynb"
    wrong = submitted / "ada" / f"{NAME}.ipynb"
    for path in (right, wrong):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert misplaced(assignment) == [wrong]


def error(name, message):
    return [new_output("error", ename=name, evalue=message, traceback=[])]


@pytest.mark.parametrize(
    ("above", "test", "mistake", "message"),
    [
        ([], [], "", ""),
        ([], error("Wrong", "Add. [wrong sum]"), "wrong sum", "Add."),
        ([], error("NameError", "name 'f' is not defined"), "not defined", "misspelt"),
        (error("NotImplementedError", ""), error("NameError", "f"), NOT_DONE, "not done yet"),
        (error("TypeError", "no"), error("Wrong", f"x [{NOT_DONE}]"), "an error", "TypeError: no"),
        ([], error("TimeOut", "it did not end"), ENDLESS, "stopped: it did not end"),
        ([], error("KernelDied", ""), "the kernel died", "Python stopped"),
        ([], error("NotRun", ""), "not run", "time limit"),
        ([], error("ValueError", "bad"), "an error", "ValueError: bad"),
    ],
)
def test_the_mistake_is_read_from_the_outputs_of_a_test(above, test, mistake, message):
    solution = new_code_cell("f", outputs=above, metadata={"nbgrader": {"solution": True}})
    cell = new_code_cell("check(f)", outputs=test)
    found, text = find_mistake(cell, new_notebook(cells=[solution, cell]))
    assert found == mistake
    assert message in text
