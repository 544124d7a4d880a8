"""Checks of problem sets: right solutions in many styles pass, mistakes are named.

Here functions are called directly; `gmmlab course check` hands the same submissions in, has them
graded by nbgrader, and sees that no other test fails.
"""

import contextlib
import io
from functools import cache
from pathlib import Path

import nbformat
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from gmmlab.course import checks
from gmmlab.course.assignment import grade_id, is_graded, is_solution
from gmmlab.course.checks import calling, em, practice, problems
from gmmlab.course.selfcheck import judged, read_made_up

ROOT = Path(__file__).parent.parent.parent
NAMES = ("ps1-em", "ps2-mixtures-at-work")
# Pictures and digits are for people: no test needs them.
FOR_PEOPLE = ("check_parameters()", "plots.show", "load_mnist", "restarts(run, 5", "(levels")


@cache
def source(name):
    path = ROOT / "notebooks" / "assignments" / "source" / name / f"{name}.ipynb"
    return nbformat.read(path, as_version=4)


@cache
def made_up(name):
    return read_made_up(ROOT / "tests" / "submissions" / f"{name}.yaml", source(name))


def execute(cell, space, text=None):
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text or cell.source, f"<{cell.id}>", "exec"), space)


@cache
def solved(name):
    """Return the variables of a notebook with its solutions."""
    space = {}
    for cell in source(name).cells:
        if cell.cell_type == "code" and not any(text in cell.source for text in FOR_PEOPLE):
            execute(cell, space)
    return space


def failures(name, sources, tests=None):
    """Return what some tests of a problem set say where some cells have other sources."""
    space, found = dict(solved(name)), {}
    for cell in source(name).cells:
        own = grade_id(cell) or cell.id
        if cell.cell_type == "code" and (own in sources or is_solution(cell)):
            execute(cell, space, sources.get(own))
        elif cell.cell_type == "code" and is_graded(cell) and (tests is None or own in tests):
            try:
                execute(cell, space)
            except checks.Wrong as error:
                found[own] = error.mistake, error.words
    return found


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):
        yield


RIGHT = [(name, way) for name in NAMES for way in made_up(name).right]
WRONG = [(name, each) for name in NAMES for each in made_up(name).wrong]


@pytest.mark.parametrize(("name", "way"), RIGHT)
def test_right_solutions_pass_in_whatever_style(name, way):
    assert failures(name, made_up(name).right[way]) == {}


@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=lambda value: getattr(value, "name", value))
def test_a_mistake_is_named(name, wrong):
    finding = judged(wrong, failures(name, wrong.sources, wrong.tests))
    assert finding.sound, finding.words


@pytest.mark.parametrize("name", NAMES)
def test_each_function_has_five_right_ways_and_some_wrong_one(name):
    """Beside the solution itself. A cell that is no function is an answer, of fewer ways."""
    functions = {
        grade_id(cell)
        for cell in source(name).cells
        if is_solution(cell) and cell.source.startswith("def ")
    }
    ways = made_up(name).right.values()
    counts = {cell: sum(cell in way for way in ways) for cell in functions}
    assert min(counts.values()) >= 5, counts
    assert functions <= {cell for wrong in made_up(name).wrong for cell in wrong.sources}


@pytest.mark.parametrize("name", NAMES)
def test_each_test_has_a_mistake_that_only_hidden_cases_or_all_find(name):
    """Every test of the sets fails for somebody: none is there in vain."""
    tests = {grade_id(c) for c in source(name).cells if is_graded(c) and c.cell_type == "code"}
    assert tests == {test for wrong in made_up(name).wrong for test in wrong.tests}


# ---- the right answers themselves --------------------------------------------------------------


def test_right_answers_agree_with_the_package():
    from gmmlab import Full, Mixture, e_step, elbo, m_step

    given = problems.problem(3, n=30, k=2, d=3)
    mixture = Mixture(*given.parameters[:2], Full(given.covariances))
    r, log_densities = e_step(given.X, mixture)
    mine, total = problems.e_step(given.X, *given.parameters)
    np.testing.assert_allclose(mine, r, atol=1e-12)
    assert total == pytest.approx(log_densities.sum(), rel=1e-12)
    new = m_step(given.X, r, mixture)
    weights, means, covariances = problems.m_step(given.X, r, *given.parameters)
    np.testing.assert_allclose(weights, new.weights, rtol=1e-12)
    np.testing.assert_allclose(means, new.means, rtol=1e-12)
    np.testing.assert_allclose(covariances, new.covariances, rtol=1e-9)
    parts = problems.bound(given.X, r, weights, means, covariances)
    bound = elbo(given.X, r, new)
    assert parts == pytest.approx((bound.expected_log_joint, bound.entropy), rel=1e-9)


def test_two_traces_rise_and_two_fall():
    falls = [(np.diff(t) < 0).any() for t in problems.traces(np.random.default_rng(5))]
    assert falls == [False, False, True, True]


# ---- calling -----------------------------------------------------------------------------------


def raises(error):
    def function(x):
        raise error

    return function


def overwrites(x):
    x += 1
    return x


@pytest.mark.parametrize(
    ("function", "mistake"),
    [
        (3, "no function"),
        (raises(NotImplementedError()), calling.NOT_DONE),
        (raises(SystemExit(0)), "leaving the notebook"),
        (raises(KeyboardInterrupt()), calling.ENDLESS),
        (raises(np.linalg.LinAlgError("Singular matrix")), "singular covariance"),
        (raises(ZeroDivisionError("by 0")), calling.ERROR),
        (lambda x: 1 if x else 2, "an array as a condition"),
        (lambda x: 1 & 2.0, "& for and"),
        (lambda: 1, calling.ARGUMENTS),
        (overwrites, "the arrays given are overwritten"),
    ],
)
def test_what_a_function_does_wrong_is_said_in_words(function, mistake):
    with pytest.raises(checks.Wrong) as caught:
        calling.call(function, np.arange(3.0))
    assert caught.value.mistake == mistake
    assert len(caught.value.words.split()) > 3


def test_warnings_and_stderr_are_no_mistakes(capsys):
    def loud(x):
        import sys
        import warnings

        warnings.warn("careful", stacklevel=1)
        print("said", file=sys.stderr)
        return np.log(x)

    assert calling.call(loud, np.zeros(2))[0] == -np.inf
    assert capsys.readouterr() == ("said\n", "")


def test_a_mistake_in_an_earlier_task_is_not_counted_again():
    space = dict(solved("ps1-em"))
    space["e_step"] = lambda X, *parameters: (np.ones((len(X), 3)), 0.0)
    for cell in source("ps1-em").cells:
        if grade_id(cell) == "fit":
            execute(cell, space)
    broken = space["e_step"]
    em.fit(space["fit"], problems.problem(5))
    assert space["e_step"] is broken


@pytest.mark.parametrize("module", [em, practice, problems])
def test_checks_are_not_replaced_by_others(module):
    with pytest.raises(AttributeError, match="not yours to change"):
        module.problem = None


TRACES = {"A": [1, 2], "B": [2, 1], "C": [1, 1]}
LABELS = {"mixture": [0, 0, 1, 1], "k-means": [0, 1, 0, 1]}
ANSWERS = {
    "not_em": (lambda a: em.names(a, TRACES), lambda a: em.not_em(a, TRACES)),
    "stops_at": (
        lambda a: em.iteration(a, [0, 1, 1]),
        lambda a: em.stopping_iteration(a, [0, 1, 1], 0.5),
    ),
    "winner": (practice.method, lambda a: practice.winner(a, LABELS, [0, 0, 1, 1])),
}


@pytest.mark.parametrize(
    ("name", "right", "wrong", "none"),
    [
        ("not_em", ("B", ["B"], {"B"}, np.array(["B"])), ("A", "AB", ""), ("AX", 3, ["A", ["B"]])),
        ("stops_at", (2, 2.0, np.int64(2), [2]), (1, 0), (3, -1, 1.5, np.nan, "2", [[1], [1, 2]])),
        ("winner", ("mixture",), ("k-means", "tie"), ("Mixture", 3, ["tie"], np.ones(2))),
    ],
)
def test_an_answer_is_refused_in_words_that_say_where_it_goes(name, right, wrong, none):
    """The shown check takes any answer of the right kind; the hidden one only the right one."""
    shown, hidden = ANSWERS[name]
    for answer in right:
        assert shown(answer) is None
        assert hidden(answer) is None
    for answer in wrong:
        assert shown(answer) is None
        with pytest.raises(checks.Wrong):
            hidden(answer)
    for check in (shown, hidden):
        for answer in none:
            with pytest.raises(checks.Wrong, match=f"{name}`? should be"):
                check(answer)
        with pytest.raises(checks.Wrong, match=f"`{name}` is None") as caught:
            check(None)
        assert caught.value.mistake == calling.NOT_DONE


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (np.ones((3, 1)), "broadcasts by luck"),
        (np.ones(4), r"\(3,\)"),
        ("abc", "array of numbers"),
        ([[1], [1, 2]], "array of numbers"),
        (np.ones(3, np.float32), "seven digits"),
    ],
)
def test_arrays_of_other_kinds_are_refused(value, word):
    with pytest.raises(checks.Wrong, match=word):
        calling.array(value, (3,), "weights")
