"""Right and wrong example submissions."""

import pytest
from courses import NAME, examples, source

from gmmlab.course.cells import grade_id, is_graded, is_solution
from gmmlab.course.checks import Wrong
from gmmlab.course.grades import Graded, Task
from gmmlab.course.selfcheck.examples import check_right, check_wrong, read_examples


@pytest.mark.parametrize("name", ["ps1-em", "ps2-mixtures-at-work"])
def test_examples_cover_every_function_and_every_test(name):
    """A function has five right ways beside the solution, and a wrong one; every test can fail."""
    functions = {
        grade_id(cell)
        for cell in source(name).cells
        if is_solution(cell) and cell.source.startswith("def ")
    }
    ways = examples(name).right.values()
    counts = {cell: sum(cell in way for way in ways) for cell in functions}
    assert min(counts.values()) >= 5, counts
    wrong = examples(name).wrong
    assert functions <= {cell for example in wrong for cell in example.sources}
    tests = {grade_id(c) for c in source(name).cells if is_graded(c) and c.cell_type == "code"}
    assert tests == {test for example in wrong for test in example.tests}


EXAMPLES = """
right:
  double: ["def double(x):\\n    return 3 * x"]
wrong:
  - {cell: triple, old: "x + x + x", new: "x + x", fails: test-triple, mistake: wrong sum}
  - {cell: double, old: "2 * x", new: "x", fails: test-triple, mistake: wrong value}
  - {cell: double, old: "2 * x", new: "x", fails: test-double, mistake: wrong value}
"""


class InProcess:
    """A stand-in for a scene that grades by running the cells in this process."""

    def __init__(self, solved):
        self.solved, self.submitted = solved, {}

    def hand_in(self, student, notebook):
        self.submitted[student] = notebook

    def graded(self, students):
        return {student: Graded(student, [*self.tasks(student)]) for student in students}

    def tasks(self, student):
        space = {}
        for cell in self.submitted[student].cells:
            if cell.cell_type == "code":
                try:
                    exec(cell.source, space)
                    wrong = Wrong("", "")
                except Wrong as error:
                    wrong = error
                if is_graded(cell):
                    points = 0 if wrong.mistake else 2
                    yield Task(grade_id(cell), points, 2, wrong.mistake, wrong.message)


def test_examples_that_are_not_graded_as_described_are_found(assignment, tmp_path):
    path = tmp_path / f"{NAME}.yaml"
    path.write_text(EXAMPLES)
    described = read_examples(path, assignment.notebook)
    scene = InProcess(assignment.notebook)
    findings = [*check_right(scene, described.right), *check_wrong(scene, described.wrong)]
    assert [finding.passed for finding in findings] == [True, False, False, False, True]
    messages = [finding.message for finding in findings]
    assert messages[0] == "full marks"
    assert messages[1].startswith("test-double: double is not right")
    assert messages[2].startswith("test-triple says: triple is not right")
    assert messages[3].startswith("should fail test-triple; fails {'test-double'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("right: {halve: [pass]}", "there is no cell halve"),
        ("wrong: [{cell: double, old: 3 * x, new: x, fails: a, mistake: b}]", "does not contain"),
        ("wrong: [{cell: double, old: 2 * x, new: x, fails: a, mistake: b}]", "is no test a"),
    ],
)
def test_examples_that_do_not_fit_the_problem_set_are_rejected(assignment, text, message):
    path = assignment.course.root / "examples.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_examples(path, assignment.notebook)
