"""Tests of the bootstrap test: its size, its power, and the sequence of tests."""

import importlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from gmmlab import EEE, EII, VVV, DegenerateError, datasets, selection
from gmmlab.engine import as_samples
from gmmlab.selection.search_many import Found

# The face of the wing has a function of the same name.
module = importlib.import_module("gmmlab.selection.bootstrap_test")
Procedure, fit_both, likelihood_ratios = (
    module.Procedure,
    module.fit_both,
    module.likelihood_ratios,
)

FAST = {"starts": {"kmeans": 1}, "rounds": ((12, 1),), "tol": 1e-6}
QUICK = {"n_jobs": 1, "progress": False, "n_bootstrap": 19, **FAST}


def rng(seed=0):
    return np.random.default_rng(seed)


def bootstrap_test(X, k, **settings):
    settings = {"rng": rng(), "structure": EII, **QUICK, **settings}
    return selection.bootstrap_test(X, k, **settings)


@pytest.fixture(scope="module")
def two():
    """Samples of two clusters."""
    return datasets.random_mixture(60, 2, 1, separation=6, rng=rng(3)).X


@pytest.fixture(scope="module")
def sequence(two):
    """The tests of 1 against 2 and of 2 against 3 components on two clusters."""
    return selection.sequential_test(two, rng=rng(), structure=EII, **QUICK)


# ---- one test ----------------------------------------------------------------------------------


def test_one_component_is_rejected_for_two_clusters(sequence):
    found = sequence.tests[0]
    assert found.p_value == 1 / 20
    assert found.statistic > found.replicates.max()


def test_the_p_value_counts_the_statistic_of_the_data(sequence):
    found = sequence.tests[1]
    assert found.p_value == (1 + (found.replicates >= found.statistic).sum()) / 20
    assert 2 * (found.alternative.log_likelihood - found.null.log_likelihood) == pytest.approx(
        found.statistic
    )
    assert (found.replicates >= -1e-4).all()  # one component more never fits worse
    assert "2 against 3 components" in found.message


def test_a_tie_and_a_degenerate_replicate_count_against_a_rejection(sequence):
    found = sequence.tests[0]
    alike = np.array([found.statistic, found.statistic - 1, np.inf])
    assert replace(found, replicates=alike).p_value == (1 + 2) / (3 + 1)


def test_the_ratio_is_infinite_if_a_fit_is_degenerate(sequence):
    low, high = (
        [Found(fit, sound) for sound in (True, False, True)]
        for fit in (sequence.tests[0].null, sequence.tests[0].alternative)
    )
    ratios = module.likelihood_ratios(low, high[::-1][1:] + high[:1])
    np.testing.assert_array_equal(ratios, [np.inf, np.inf, sequence.tests[0].statistic])


def test_the_null_fit_of_a_replicate_is_no_worse_than_the_mixture_it_was_drawn_from():
    """A null fit that misses its optimum makes the statistic too large."""
    data = datasets.random_mixture(60, 5, 2, separation=4, condition=1, rng=rng(3))
    null = bootstrap_test(data.X, 5, n_bootstrap=1).null.mixture
    poor = {"starts": {"random": 1}, "rounds": ((1, 1),), "max_iter": 2}
    procedure = Procedure.of(5, as_samples(data.X), EII, poor)
    generators = rng().spawn(5)
    X = np.stack([null.sample(60, own)[0] for own in generators])
    nulls, alternatives = fit_both(X, null, generators, procedure)
    for one, found, more in zip(X, nulls, alternatives, strict=True):
        assert found.fit.log_likelihood >= null.log_prob(one).sum()
        assert more.fit.log_likelihood >= found.fit.log_likelihood - 1e-9


def test_replicates_are_tested_as_the_data_are(two):
    """The statistic of data that are one of the drawn samples is that of the replicate."""
    test = bootstrap_test(two, 1)
    procedure = Procedure.of(1, as_samples(two), EII, FAST)
    X = test.null.mixture.sample(60, rng(5))[0]
    alone = likelihood_ratios(*fit_both(X[None], test.null.mixture, [rng(6)], procedure))
    beside = likelihood_ratios(
        *fit_both(np.stack([two, X]), test.null.mixture, [rng(7), rng(6)], procedure)
    )
    assert beside[1] == pytest.approx(alone[0], abs=1e-6)


@pytest.mark.parametrize("settings", [{}, {"floor": 0.01}], ids=["raised", "floored"])
def test_data_without_a_sound_fit_raise(settings):
    with pytest.raises(DegenerateError):
        bootstrap_test([[0.0], [0.1], [9.0]], 2, structure=VVV, **settings)


def test_p_values_are_about_uniform_under_the_null_hypothesis():
    """Twenty data sets of one Gaussian; with 4 replicates p is uniform on 0.2, 0.4, …, 1."""
    quick = {"n_bootstrap": 4, "starts": {"random_from_data": 1}, "tol": 1e-4}
    p = [
        bootstrap_test(rng(seed).normal(size=(25, 1)), 1, rng=rng(seed), **quick).p_value
        for seed in range(20)
    ]
    # Subtracting a uniform number between 0 and 0.2 makes the distribution continuous.
    assert kstest(np.array(p) - rng(1).uniform(0, 0.2, size=20), "uniform").pvalue > 0.01


def test_the_result_does_not_depend_on_threads_jobs_and_batches(monkeypatch):
    X = datasets.old_faithful().X
    settings = {"structure": VVV, "n_bootstrap": 30}
    one = bootstrap_test(X, 1, n_jobs=2, **settings)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    other = bootstrap_test(X, 1, **settings)
    np.testing.assert_array_equal(one.replicates, other.replicates)
    assert one.statistic == other.statistic
    monkeypatch.setattr(module, "_ENTRIES", 7 * 5 * 272 * 8)  # batches of seven replicates
    batches = bootstrap_test(X, 1, **settings)
    np.testing.assert_allclose(batches.replicates, one.replicates, atol=1e-3)


# ---- a sequence of tests -----------------------------------------------------------------------


def test_the_sequence_ends_at_the_first_number_that_is_not_rejected(sequence):
    assert sequence.n_components == 2
    assert len(sequence.tests) == len(sequence.p_values) == 2
    assert sequence.p_values[0] <= 0.05 < sequence.p_values[1]
    assert not sequence.rejected
    assert sequence.fit is sequence.tests[1].null
    assert "2 components are not rejected at 0.05" in sequence.message


def test_a_null_fit_is_no_worse_than_the_alternative_of_the_test_before():
    """Each search has one short start; without the fit before, it is up to 54 nats worse."""
    X = datasets.random_mixture(60, 5, 2, separation=4, condition=1, rng=rng(3)).X
    quick = {**QUICK, "n_bootstrap": 1, "starts": {"random_from_data": 1}, "rounds": ((2, 1),)}
    found = selection.sequential_test(
        X, rng=rng(1), structure=EII, alpha=0.9, max_components=5, **quick
    )
    assert len(found.tests) >= 4
    for before, after in itertools.pairwise(found.tests):
        assert after.null.log_likelihood >= before.alternative.log_likelihood - 1e-3


def test_a_sequence_without_acceptance_ends_at_max_components(two):
    quick = {**QUICK, "n_bootstrap": 1}
    found = selection.sequential_test(
        two, rng=rng(), structure=EII, alpha=0.5, max_components=1, **quick
    )
    assert found.rejected
    assert found.n_components == 2
    assert found.fit is found.tests[0].alternative
    assert "at least 2 components" in found.message


@pytest.mark.parametrize(("n_larger", "clear"), [(49, False), (199, True)])
def test_the_message_advises_more_replicates_if_the_last_p_is_close_to_alpha(
    sequence, n_larger, clear
):
    """The fraction of 999 replicates above the 95 % quantile is 5 % ± 1.4 % (two errors)."""
    test = sequence.tests[0]
    replicates = test.statistic + np.where(np.arange(999) < n_larger, 1, -1)
    found = selection.SequentialTest((replace(test, replicates=replicates),), 0.05)
    assert ("raise n_bootstrap" not in found.message) == clear


# ---- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_components": 0}, ValueError, "n_components must be"),
        ({"n_components": 3}, ValueError, "n_components must be"),
        ({"n_bootstrap": 0}, ValueError, "n_bootstrap must be"),
        ({"rng": None}, TypeError, "rng must be"),
        ({"X": [[np.nan]]}, ValueError, "X contains NaN"),
        ({"X": [[0.0]]}, ValueError, "X must have at least 2 samples"),
        ({"sample_weight": [1, 1, 1]}, TypeError, "sample_weight is not supported"),
    ],
    ids=str,
)
def test_errors_of_a_test_name_the_argument(arguments, error, message):
    arguments = {"X": [[0.0], [1.0], [3.0]], "n_components": 1, "rng": rng(), **arguments}
    with pytest.raises(error, match=message):
        selection.bootstrap_test(**arguments, structure=EEE, progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.0}, "alpha must be in"),
        ({"alpha": 0.01, "n_bootstrap": 50}, "n_bootstrap must be at least 1 / alpha − 1 = 99"),
        ({"max_components": 0}, "max_components must be"),
    ],
    ids=str,
)
def test_errors_of_a_sequence_name_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        selection.sequential_test([[0.0], [1.0], [3.0]], rng=rng(), progress=False, **arguments)
