"""Tests of cross-validation."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from gmmlab import EII, VVV, Mixture, datasets, fit, search, start
from gmmlab.engine import as_samples
from gmmlab.selection import cross_validation
from gmmlab.selection.cross_validation import cross_validated, folds


def rng(seed=0):
    return np.random.default_rng(seed)


def scored(X, structure, k, fold, **settings):
    mixture = start.kmeans(X, k, rng(), structure=structure)
    return cross_validated(as_samples(X, **settings), structure, mixture, fold, rng(), {})


def test_folds_are_random_and_differ_in_size_by_at_most_one():
    fold = folds(23, 5, rng())
    assert sorted(np.bincount(fold)) == [4, 4, 5, 5, 5]
    assert (fold != folds(23, 5, rng(1))).any()


def test_one_component_is_scored_by_the_mean_and_covariance_of_the_other_folds():
    X = datasets.old_faithful().X[:60]
    fold = folds(60, 4, rng())
    score = scored(X, VVV, 1, fold)
    for number, value in enumerate(score.values):
        inside, outside = X[fold != number], X[fold == number]
        normal = multivariate_normal(inside.mean(axis=0), np.cov(inside.T, bias=True))
        assert value == pytest.approx(normal.logpdf(outside).mean(), abs=1e-6)
    assert len(score.values) == 4
    assert score.mean == pytest.approx(score.values.mean())
    assert score.standard_error == pytest.approx(score.values.std(ddof=1) / 2)


def test_the_difference_of_two_scores_is_taken_fold_by_fold():
    X = datasets.random_mixture(40, 2, 2, separation=6, rng=rng()).X
    fold = folds(40, 4, rng())
    one, two = scored(X, EII, 1, fold), scored(X, EII, 2, fold)
    np.testing.assert_array_equal(two.less(one).values, two.values - one.values)
    assert two.mean > one.mean


def test_held_out_samples_count_by_their_weight():
    X = datasets.old_faithful().X[:40]
    weight = rng().integers(1, 4, size=40)
    fold = folds(40, 2, rng())
    weighted = scored(X, VVV, 1, fold, sample_weight=weight)
    copied = scored(np.repeat(X, weight, axis=0), VVV, 1, np.repeat(fold, weight))
    np.testing.assert_allclose(weighted.values, copied.values, atol=1e-6)


@pytest.mark.parametrize("structure", [VVV, EII])
def test_folds_are_searched_as_if_their_rows_were_the_data(structure):
    """Weights of 0 leave rows out."""
    X = datasets.old_faithful().X[:120]
    fold = folds(120, 5, rng())
    mixture = start.kmeans(X, 2, rng(), structure=structure)
    how = {"starts": {}, "rounds": ((40, 1),), "tol": 1e-10}
    score = cross_validated(as_samples(X), structure, mixture, fold, rng(), how)
    for number, value in enumerate(score.values):
        inside, outside = X[fold != number], X[fold == number]
        alone = search(inside, 2, rng(), structure=structure, begin=[mixture], **how).best
        assert value == pytest.approx(alone.mixture.log_prob(outside).mean(), abs=1e-6)


def test_the_scores_do_not_depend_on_batches_of_folds(monkeypatch):
    X = datasets.old_faithful().X[:120]
    fold = folds(120, 5, rng())
    together = scored(X, VVV, 2, fold)
    monkeypatch.setattr(cross_validation, "_ENTRIES", 2 * 120 * 6)
    np.testing.assert_allclose(scored(X, VVV, 2, fold).values, together.values, atol=1e-6)


def test_the_best_start_of_each_fold_counts():
    """The fit to all samples is not the best start if another one leads higher."""
    X = datasets.random_mixture(60, 2, 2, separation=8, rng=rng()).X
    poor = Mixture([0.5, 0.5], [X[0], X[0]], EII(10.0))
    fold = folds(60, 3, rng())
    few, more = (
        cross_validated(as_samples(X), EII, poor, fold, rng(), {"starts": starts})
        for starts in ({}, {"kmeans": 1})
    )
    assert (more.values > few.values + 0.1).all()


@pytest.mark.parametrize("settings", [{}, {"floor": 0.01}], ids=["raised", "floored"])
def test_a_fold_without_a_sound_fit_has_no_value(settings):
    """Without either fold there are too few samples for two components of two samples each."""
    X = np.array([[0.0], [0.1], [9.0], [9.1]])
    fold = np.array([0, 0, 1, 1])
    mixture = fit(X, start.from_labels(X, fold), floor=0.01).mixture
    score = cross_validated(as_samples(X), VVV, mixture, fold, rng(), settings)
    assert np.isnan(score.values).all()
