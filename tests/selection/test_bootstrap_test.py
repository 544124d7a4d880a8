"""Laws of the bootstrap test: its size, its power, and the sequence."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from gmmlab import EEE, EII, DegenerateError, datasets, selection
from gmmlab.selection import bootstrap_test as likelihood_ratio


def rng(seed=0):
    return np.random.default_rng(seed)


QUICK = {"n_jobs": 1, "progress": False, "n_bootstrap": 19, "starts": {"kmeans": 2}, "tol": 1e-6}


def drawn(X, k, **settings):
    return selection.bootstrap_test(X, k, **{"rng": rng(), "structure": EII, **QUICK, **settings})


@pytest.fixture(scope="module")
def two():
    return datasets.random_mixture(60, 2, 1, separation=6, rng=rng(3)).X


def test_one_component_is_rejected_on_two_clusters(two):
    found = drawn(two, 1)
    assert found.p_value == 1 / 20
    assert found.statistic > found.replicates.max()


def test_p_counts_the_data_among_the_samples(two):
    found = drawn(two, 2)
    assert found.p_value == (1 + (found.replicates >= found.statistic).sum()) / 20
    assert 2 * (found.alternative.log_likelihood - found.null.log_likelihood) == pytest.approx(
        found.statistic
    )
    assert (found.replicates >= -1e-4).all()  # one component more never fits worse
    assert "2 against 3 components" in found.message


def test_a_tie_and_a_degenerate_replicate_count_against_a_rejection(two, monkeypatch):
    found = drawn(two, 1, n_bootstrap=1)
    alike = np.array([found.statistic, found.statistic - 1, np.inf])
    assert replace(found, replicates=alike).p_value == (1 + 2) / (3 + 1)

    def degenerate(*_, **__):
        raise DegenerateError("collapsed", found.null)

    monkeypatch.setattr(likelihood_ratio, "_both", degenerate)
    assert likelihood_ratio._replicate(found.null, 60, rng(), {}) == np.inf


def test_the_null_of_a_replicate_is_no_less_likely_than_what_it_was_drawn_from(monkeypatch):
    """A null that misses its optimum leaves more to the alternative than there is."""
    both, nulls = likelihood_ratio._both, []

    def noted(samples, *given, **begin):
        fits = both(samples, *given, **begin)
        nulls.append((samples.X, fits[0]))
        return fits

    data = datasets.random_mixture(60, 5, 2, separation=4, condition=1, rng=rng(3))
    test = drawn(data.X, 5, n_bootstrap=1)
    monkeypatch.setattr(likelihood_ratio, "_both", noted)
    poor = {"structure": EII, "starts": {"random": 1}, "rounds": ((1, 1),), "max_iter": 2}
    for own in rng().spawn(5):
        likelihood_ratio._replicate(test.null, 60, own, poor)
    assert len(nulls) == 5
    for X, null in nulls:
        assert null.log_likelihood >= test.null.mixture.log_prob(X).sum()


def test_under_the_null_p_values_are_about_uniform():
    """Twenty data sets of one Gaussian: with 4 replicates p is uniform on 0.2, 0.4, …, 1."""
    quick = {"n_bootstrap": 4, "starts": {"kmeans": 1}}
    p = [
        drawn(rng(seed).normal(size=(25, 1)), 1, rng=rng(seed), **quick).p_value
        for seed in range(20)
    ]
    # A share between 0 and 0.2 taken off makes steps a continuum.
    assert kstest(np.array(p) - rng(1).uniform(0, 0.2, size=20), "uniform").pvalue > 0.01


def test_the_sequence_ends_at_the_first_number_that_is_not_rejected(two):
    found = selection.sequential_test(two, rng=rng(), structure=EII, **QUICK)
    assert found.n_components == 2
    assert len(found.tests) == len(found.p_values) == 2
    assert found.p_values[0] <= 0.05 < found.p_values[1]
    assert found.fit is found.tests[1].null
    assert "2 components are not rejected at 0.05" in found.message


def test_a_null_fits_no_worse_than_the_alternative_of_the_test_before():
    """Even where each search has one short start, by which alone it is up to 54 nats worse."""
    X = datasets.random_mixture(60, 5, 2, separation=4, condition=1, rng=rng(3)).X
    quick = {**QUICK, "n_bootstrap": 1, "starts": {"random_from_data": 1}, "rounds": ((2, 1),)}
    found = selection.sequential_test(
        X, rng=rng(1), structure=EII, alpha=0.9, max_components=5, **quick
    )
    assert len(found.tests) >= 4
    for before, after in itertools.pairwise(found.tests):
        assert after.null.log_likelihood >= before.alternative.log_likelihood - 1e-3


def test_where_all_are_rejected_it_says_so(two):
    found = selection.sequential_test(two, rng=rng(), structure=EII, max_components=1, **QUICK)
    assert found.rejected
    assert found.n_components == 2
    assert found.fit is found.tests[0].alternative
    assert "at least 2 components" in found.message


@pytest.mark.parametrize(("n_larger", "clear"), [(49, False), (199, True)])
def test_where_the_last_p_is_near_alpha_it_says_so(two, n_larger, clear):
    """Of 999 draws about 5 % ± 1.4 % are beyond a value that 5 % are beyond (two errors)."""
    test = drawn(two, 1, n_bootstrap=1)
    replicates = test.statistic + np.where(np.arange(999) < n_larger, 1, -1)
    found = selection.SequentialTest((replace(test, replicates=replicates),), 0.05)
    assert ("raise n_bootstrap" not in found.message) == clear


def test_the_bits_do_not_depend_on_the_number_of_jobs(two):
    one, other = (drawn(two, 1, n_jobs=n_jobs, n_bootstrap=4) for n_jobs in (1, 2))
    np.testing.assert_array_equal(one.replicates, other.replicates)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_components": 0}, ValueError, "n_components must be"),
        ({"n_components": 3}, ValueError, "n_components must be"),
        ({"n_bootstrap": 0}, ValueError, "n_bootstrap must be"),
        ({"rng": None}, TypeError, "rng must be"),
        ({"X": [[np.nan]]}, ValueError, "X contains NaN"),
        ({"X": [[0.0]]}, ValueError, "X must have at least 2 samples"),
        ({"sample_weight": [1, 1, 1]}, TypeError, "sample_weight is no argument"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
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
def test_bad_arguments_of_a_sequence_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        selection.sequential_test([[0.0], [1.0], [3.0]], rng=rng(), progress=False, **arguments)
