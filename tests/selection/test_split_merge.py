"""Tests of the order of structures, and of starts made from other fits."""

import numpy as np
import pytest
from problems import STRUCTURES

from gmmlab import EEE, EEI, EII, EVE, VEI, VVV, Mixture, Spherical, datasets, fit, start
from gmmlab.engine import as_samples
from gmmlab.selection import is_tighter
from gmmlab.selection.split_merge import doubled, merges, relaxed, splits


def rng(seed=0):
    return np.random.default_rng(seed)


def mixtures(samples, responsibilities, structure=VVV):
    """Return the M-step on each of some responsibilities."""
    assert (responsibilities >= 0).all()
    np.testing.assert_allclose(responsibilities.sum(axis=-1), 1, rtol=1e-12)
    stack = start.stack_of_responsibilities(samples, responsibilities, structure)
    return [stack.select(number) for number in range(len(responsibilities))]


def test_tighter_is_a_partial_order_with_a_least_and_a_greatest_structure():
    for a in STRUCTURES:
        assert not is_tighter(a, a)
        assert a is EII or is_tighter(EII, a)
        assert a is VVV or is_tighter(a, VVV)
        for b in STRUCTURES:
            assert not (is_tighter(a, b) and is_tighter(b, a))
            if is_tighter(a, b):
                assert a.n_parameters(3, 4) < b.n_parameters(3, 4)
    assert not is_tighter(VEI, EEE)
    assert is_tighter(EEI, EVE)


@pytest.mark.parametrize("tight", STRUCTURES, ids=lambda structure: structure.__name__)
def test_relaxed_and_doubled_mixtures_are_the_same_distribution(tight):
    X = datasets.iris().X
    mixture = fit(X, start.kmeans(X, 3, rng(), structure=tight), tol=1e-4).mixture
    expected = mixture.log_prob(X)
    for loose in STRUCTURES:
        if is_tighter(tight, loose):
            np.testing.assert_allclose(relaxed(mixture, loose).log_prob(X), expected, atol=1e-6)
    twice = doubled(mixture)
    assert twice.n_components == 4
    np.testing.assert_allclose(twice.log_prob(X), expected, atol=1e-9)


def test_splits_of_a_component_separate_the_clusters_that_it_covers():
    """Of two components each covers two clusters, one above the other."""
    corners = [[0.0, 0.0], [0.0, 6.0], [40.0, 0.0], [40.0, 6.0]]
    truth = Mixture(np.full(4, 0.25), corners, Spherical(np.ones(4)))
    X, labels = truth.sample(400, rng())
    begin = start.from_labels(X, labels // 2, structure=Spherical)
    found = mixtures(as_samples(X), splits(as_samples(X), begin, rng()), Spherical)
    assert len(found) == 6  # two components in three directions
    for component in (0, 3):
        across = found[component]  # in the direction in which its samples vary most
        np.testing.assert_allclose(np.sort(across.means[:, 1]), [0, 3, 6], atol=0.5)


def test_a_component_is_not_split_if_a_half_has_no_sample():
    X = np.array([[0.0], [1.0], [50.0]])
    mixture = start.from_labels(X, [0, 0, 1], structure=EII)
    found = mixtures(as_samples(X), splits(as_samples(X), mixture, rng()), EII)
    assert found
    for one in found:
        np.testing.assert_allclose(np.sort(one.means[:, 0]), [0, 1, 50], atol=1e-6)


def test_the_closest_components_are_merged_first():
    X = np.concatenate([rng().normal(centre, 1, size=30) for centre in (0, 50, 6)])[:, None]
    mixture = start.from_labels(X, np.repeat([0, 1, 2], 30))
    found = mixtures(as_samples(X), merges(as_samples(X), mixture))
    assert [len(one.weights) for one in found] == [2, 2, 2]
    np.testing.assert_allclose(np.sort(found[0].means[:, 0]), [3, 50], atol=0.5)
