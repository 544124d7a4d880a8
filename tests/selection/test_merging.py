"""Tests of merging components by entropy."""

from itertools import combinations

import numpy as np
import pytest
from scipy.cluster.hierarchy import is_valid_linkage
from scipy.special import entr

from gmmlab import Full, Mixture, Spherical, datasets, diagnostics, fit, merge, start


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def cross():
    """Two clusters: a cross of two long Gaussians, and a distant round one."""
    long = [[[9.0, 0.0], [0.0, 0.1]], [[0.1, 0.0], [0.0, 9.0]], [[0.5, 0.0], [0.0, 0.5]]]
    mixture = Mixture([0.4, 0.3, 0.3], [[0, 0], [0, 0], [15, 15]], Full(long))
    X, labels = mixture.sample(300, rng())
    return fit(X, mixture).mixture, X, labels


def test_overlapping_components_are_merged_first(cross):
    mixture, X, labels = cross
    merging = merge(mixture, X)
    assert merging.partition(3) == ((0,), (1,), (2,))
    assert merging.partition(2) == ((0, 1), (2,))
    assert merging.partition(1) == ((0, 1, 2),)
    assert merging.bend == 2
    assert diagnostics.accuracy(labels == 2, merging.labels()) == 1
    np.testing.assert_array_equal(merging.labels(), merging.labels(2))


@pytest.mark.parametrize("seed", range(3))
def test_each_merge_lowers_the_entropy_most(seed):
    X = datasets.random_mixture(100, 3, 2, separation=2, rng=rng(seed)).X
    merging = merge(start.kmeans(X, 5, rng(seed)), X)
    for k in range(5, 1, -1):
        before = merging.cluster_responsibilities(k)
        assert merging.entropies[k - 1] == pytest.approx(entr(before).sum(), abs=1e-9)
        least = min(
            entr(
                np.column_stack([np.delete(before, [a, b], axis=1), before[:, [a, b]].sum(1)])
            ).sum()
            for a, b in combinations(range(k), 2)
        )
        assert merging.entropies[k - 2] == pytest.approx(least, abs=1e-9)
    assert (np.diff(merging.entropies) >= -1e-9).all()
    assert (merging.entropies >= 0).all()
    assert merging.entropies[0] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(merging.merged[0], len(X))


def test_two_lines_bend_where_they_meet():
    X = rng().normal(size=(10, 1))
    merging = merge(Mixture(np.full(6, 1 / 6), np.arange(6.0)[:, None], Spherical(np.ones(6))), X)
    object.__setattr__(merging, "entropies", np.array([0.0, 1, 2, 12, 22, 32]))
    assert merging.bend == 3
    np.testing.assert_allclose(merging.broken_line, merging.entropies, atol=1e-9)


@pytest.mark.parametrize("k", [1, 2])
def test_up_to_two_components_are_not_merged_by_default(k):
    X = rng().normal(size=(20, 1))
    merging = merge(
        Mixture(np.full(k, 1 / k), np.arange(float(k))[:, None], Spherical(np.ones(k))), X
    )
    assert merging.bend == k
    assert len(np.unique(merging.labels())) <= k


def test_separated_components_are_not_merged_by_default():
    """Four clusters of unit variance at a distance of 20 have almost no entropy."""
    data = datasets.random_mixture(80, 4, 2, separation=20, condition=1, rng=rng())
    merging = merge(start.from_labels(data.X, data.labels), data.X)
    assert merging.bend == 4


def test_the_linkage_is_valid_for_scipy(cross):
    merging = merge(*cross[:2])
    linkage = merging.linkage()
    assert is_valid_linkage(linkage)
    assert linkage[-1, 3] == 3
    assert set(linkage[0, :2]) == {0, 1}
    np.testing.assert_allclose(linkage[:, 2], (merging.entropies[-1] - merging.entropies)[-2::-1])


@pytest.mark.parametrize("n_clusters", [0, 4])
def test_an_impossible_number_of_clusters_raises(cross, n_clusters):
    with pytest.raises(ValueError, match=r"n_clusters must be in \[1, 3\]"):
        merge(*cross[:2]).labels(n_clusters)


def test_errors_name_the_argument(cross):
    with pytest.raises(TypeError, match="mixture must be a Mixture"):
        merge(None, cross[1])
    with pytest.raises(ValueError, match="X must have 2 features"):
        merge(cross[0], [[1.0]])
