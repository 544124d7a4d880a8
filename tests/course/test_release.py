"""The students' version of a problem set."""

import nbformat
import pytest
from courses import NAME, source, sources

from gmmlab.course.cells import is_parameters
from gmmlab.course.release import check_source, leaked, personal, release
from gmmlab.course.roster import Student, seed_in, seed_of
from gmmlab.course.tables import read_table


def test_a_release_contains_neither_solutions_nor_hidden_tests(scene):
    text = scene.assignment.path("release").read_text("utf-8")
    for secret in ("return 2 * x", "doubled", "wrong sum", "Because the sum", "BEGIN"):
        assert secret not in text
    for shown in ("YOUR CODE HERE", "YOUR ANSWER HERE", "compare(call(double, 2), 4"):
        assert shown in text


def test_leaked_solutions_and_hidden_tests_are_found():
    for name in ("ps1-em", "ps2-mixtures-at-work"):
        lines = set(leaked(source(name), nbformat.writes(source(name))))
        assert len(lines) > 40
        assert "BEGIN HIDDEN TESTS" in lines


def test_each_student_gets_personal_data(scene):
    assignment = scene.assignment
    assignment.seeds.unlink(missing_ok=True)
    students = [Student("ada"), Student("Zoë")]
    paths = release(assignment, students)[1:]
    seeds = [
        seed_in(cell.source)
        for path in paths
        for cell in nbformat.read(path, as_version=4).cells
        if is_parameters(cell)
    ]
    assert seeds == [seed_of(NAME, "ada"), seed_of(NAME, "Zoë")]
    assert [row["id"] for _, row in read_table(assignment.seeds)[1]] == ["ada", "Zoë"]
    with pytest.raises(ValueError, match="was released with a roster"):
        release(assignment)
    release(assignment, students[1:])
    assert [path.exists() for path in paths] == [False, True]
    assignment.seeds.unlink()  # as the error message suggests
    release(assignment)
    assert not paths[1].exists()
    with pytest.raises(ValueError, match="name of a problem set"):
        release(assignment, [Student("PS0")])


def test_personal_copies_differ_only_in_their_seed(scene):
    one, other = (personal(scene.given, seed) for seed in (3, 4))
    differing = [(a, b) for a, b in zip(sources(one), sources(other), strict=True) if a != b]
    assert differing == [
        ("seed: int = 3  # the seed of your data; >= 0",
         "seed: int = 4  # the seed of your data; >= 0")
    ]  # fmt: skip


def test_a_source_that_cannot_be_graded_is_rejected(assignment):
    assignment.notebook.cells.append(assignment.notebook.cells[-1])
    with pytest.raises(ValueError, match="two cells named why"):
        check_source(assignment)
    del assignment.notebook.cells[1]
    with pytest.raises(ValueError, match="one parameters cell"):
        check_source(assignment)
