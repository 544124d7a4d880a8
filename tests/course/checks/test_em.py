"""Checks of the first problem set: right solutions pass in any style, and mistakes are named.

Here the checks call functions directly. `gmmlab course check` hands in the same examples, grades
them with nbgrader, and checks that no other test fails.
"""

import numpy as np
import pytest
from courses import check_answers, examples, failures, solved, source, wrong_by_task

from gmmlab.course.cells import grade_id
from gmmlab.course.checks import em, problems
from gmmlab.course.selfcheck.examples import judge

NAME = "ps1-em"


@pytest.mark.parametrize("way", examples(NAME).right)
def test_right_solutions_pass_in_any_style(way):
    assert failures(NAME, examples(NAME).right[way]) == {}


@pytest.mark.parametrize("task", wrong_by_task(NAME))
def test_each_mistake_in_a_task_is_named(task):
    findings = [
        judge(wrong, failures(NAME, wrong.sources, wrong.tests))
        for wrong in wrong_by_task(NAME)[task]
    ]
    assert [finding for finding in findings if not finding.passed] == []


def test_a_mistake_in_an_earlier_task_is_not_counted_again():
    space = dict(solved(NAME))
    broken = space["e_step"] = lambda X, *parameters: (np.ones((len(X), 3)), 0.0)
    (fit,) = (cell.source for cell in source(NAME).cells if grade_id(cell) == "fit")
    exec(fit, space)
    em.fit(space["fit"], problems.problem(5))
    assert space["e_step"] is broken


TRACES = {"A": [1, 2], "B": [2, 1], "C": [1, 1]}


@pytest.mark.parametrize(
    ("name", "shown", "hidden", "right", "wrong", "invalid"),
    [
        (
            "not_em",
            lambda answer: em.names(answer, TRACES),
            lambda answer: em.not_em(answer, TRACES),
            ("B", ["B"], {"B"}, np.array(["B"])),
            ("A", "AB", ""),
            ("AX", 3, ["A", ["B"]]),
        ),
        (
            "stops_at",
            lambda answer: em.iteration(answer, [0, 1, 1]),
            lambda answer: em.stopping_iteration(answer, [0, 1, 1], 0.5),
            (2, 2.0, np.int64(2), [2]),
            (1, 0),
            (3, -1, 1.5, np.nan, "2", [[1], [1, 2]]),
        ),
    ],
)
def test_the_shown_check_accepts_valid_answers_and_the_hidden_one_right_answers(
    name, shown, hidden, right, wrong, invalid
):
    check_answers(name, shown, hidden, right, wrong, invalid)
