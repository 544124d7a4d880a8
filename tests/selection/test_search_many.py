"""Tests of the searches of many data sets at once."""

import numpy as np
import pytest

from gmmlab import EII, VVV, Mixture, datasets, diagnostics, fit, start
from gmmlab.engine import Samples
from gmmlab.selection.search_many import search_many

ROUNDS = ((10, 3), (40, 1))


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(X, k, count, structure=VVV, seed=0):
    generators = rng(seed).spawn(count)
    return start.draw(Samples(X), k, ["random_from_data"] * count, generators, structure=structure)


@pytest.fixture(scope="module")
def several():
    """Four data sets of two clusters, with four to seven starts."""
    X = np.stack([datasets.random_mixture(80, 2, 2, separation=4, rng=rng(i)).X for i in range(4)])
    return X, [drawn(one, 3, 4 + i) for i, one in enumerate(X)]


def searched(X, starts, rounds=ROUNDS, weight=None, **settings):
    samples = Samples(X, weight, n_fits=len(starts))
    return search_many(samples, starts, {"tol": 1e-10, **settings}, rounds=rounds)


def values(found):
    return [one.fit.log_likelihood for one in found]


def test_each_data_set_is_searched_as_if_it_were_alone(several):
    X, starts = several
    together = searched(X, starts)
    alone = [searched(X[i : i + 1], starts[i : i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(values(together), values(alone), rtol=1e-9)
    backwards = searched(X[::-1], starts[::-1])
    np.testing.assert_allclose(values(backwards), values(together)[::-1], rtol=1e-9)
    assert all(one.sound and one.fit.converged for one in together)


def test_a_fit_from_one_start_is_that_of_em(several):
    X, starts = several
    single = [each.select([0]) for each in starts]
    for one, own, found in zip(X, single, searched(X, single), strict=True):
        alone = fit(one, own.select(0), tol=1e-10, accelerate=True, max_iter=10_000)
        assert found.fit.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-5)


def test_the_best_of_the_short_runs_goes_on(several):
    """With as many passes as it takes, the best is the best fit of all starts."""
    X, starts = several
    for one, own, found in zip(X, starts, searched(X, starts, ((5000, 1),)), strict=True):
        every = [fit(one, own.select(i), tol=1e-10, max_iter=5000) for i in range(len(own.weights))]
        sound = [
            each.log_likelihood for each in every if not diagnostics.degenerate(each.mixture, one)
        ]
        assert found.fit.log_likelihood == pytest.approx(max(sound), abs=1e-2)


def test_a_data_set_without_a_sound_fit_harms_no_other(several):
    X, starts = several
    wanted = values(searched(X, starts))
    X = np.concatenate([X, np.repeat([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]]], 20, 1)])
    *found, bad = searched(X, [*starts, drawn(X[-1], 3, 4)])
    np.testing.assert_allclose(values(found), wanted, rtol=1e-9)
    assert not bad.sound
    assert all(one.sound for one in found)


@pytest.mark.parametrize("rounds", [((2, 1),), ((2, 1), (3, 1)), ((1, 2), (2, 1))])
def test_the_next_best_fit_goes_on_while_all_are_degenerate(rounds):
    """The best short runs are on two samples that are close to each other."""
    X = np.concatenate([rng().normal(size=(60, 2)), [[3.0, 3.0], [3.0, 3.001]]])
    narrow = (np.diag([size, size]) for size in (1e-4, 2e-4))
    thin = [Mixture([0.97, 0.03], [[0, 0], [3, 3]], VVV([np.eye(2), each])) for each in narrow]
    starts = Mixture.concatenated([Mixture.stacked(thin), drawn(X, 2, 1)])
    [found] = searched(X[None], [starts], rounds)
    assert found.sound
    alone = fit(X, starts.select(2), tol=1e-10, accelerate=True)
    assert found.fit.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-5)


def test_integer_weights_count_copies(several):
    X, starts = several
    weight = rng().integers(1, 4, size=80)
    copies = np.repeat(X, weight, axis=1)
    weights = np.broadcast_to(weight, (4, 80))
    weighted = searched(X, starts, weight=weights)
    np.testing.assert_allclose(values(weighted), values(searched(copies, starts)), rtol=1e-9)


def test_the_result_does_not_depend_on_threads(several, monkeypatch):
    X, _ = several
    X = np.concatenate([X] * 20)  # enough for several slices of the stack
    starts = [drawn(one, 3, 10, EII, seed) for seed, one in enumerate(X)]
    many = searched(X, starts)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one = searched(X, starts)
    np.testing.assert_array_equal(values(many), values(one))
    for here, there in zip(many, one, strict=True):
        assert here.fit.mixture == there.fit.mixture
