"""Pages for students, the table of grades, and the summary of the class."""

from gmmlab.course import feedback
from gmmlab.course.grades import Graded, Task
from gmmlab.course.roster import Student
from gmmlab.course.tables import read_table


def test_the_page_of_a_student_names_the_mistake_and_hides_hidden_tests(graded_class):
    assignment, graded = graded_class
    bob = graded["bob"]
    page = feedback.write_page(assignment, bob).read_text("utf-8")
    assert "2 of 6 points" in page
    assert bob.tasks[1].message.split(":")[0] in page
    assert "<math" in page
    assert "tripled" not in page.replace("tripled is not right", "")
    assert "Traceback" not in page
    assert "default-src 'self' file: data: blob:" in page


def test_the_grades_and_the_summary_name_the_mistakes_of_the_class(graded_class):
    assignment, graded = graded_class
    bob = graded["bob"]
    path = feedback.write_grades(assignment, [bob], {"bob": Student("bob", "Bob", "B, C")})
    ((_, row),) = read_table(path)[1]
    assert (row["last_name"], row["points"], row["mistakes"]) == ("B, C", "2", "wrong value")
    assert "wrong value" in feedback.write_summary(assignment, [bob]).read_text("utf-8")
    found = feedback.mistakes(list(graded.values()))
    assert [row[:3] for row in found] == [("test-triple", "wrong value", 1)]
    undone = Graded("zoe", [Task("test-triple", 0, 2, feedback.NOT_DONE)])
    assert feedback.mistakes([undone]) == []


def test_html_in_a_submission_is_shown_as_text(graded_class):
    assignment, graded = graded_class
    mallory = graded["mallory"]
    page = feedback.write_page(assignment, mallory).read_text("utf-8")
    page += feedback.write_summary(assignment, [mallory]).read_text("utf-8")
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
