"""Checks of the second problem set: right solutions pass in any style, and mistakes are named."""

import numpy as np
import pytest
from courses import check_answers, examples, failures, wrong_by_task

from gmmlab.course.checks import practice
from gmmlab.course.selfcheck.examples import judge

NAME = "ps2-mixtures-at-work"


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


def test_the_shown_check_accepts_valid_answers_and_the_hidden_one_right_answers():
    labels = {"mixture": [0, 0, 1, 1], "k-means": [0, 1, 0, 1]}
    check_answers(
        "winner",
        practice.method,
        lambda answer: practice.winner(answer, labels, [0, 0, 1, 1]),
        right=("mixture",),
        wrong=("k-means", "tie"),
        invalid=("Mixture", 3, ["tie"], np.ones(2)),
    )
