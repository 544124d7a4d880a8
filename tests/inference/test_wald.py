"""Tests of standard errors from the observed information, and of Wald intervals.

Louis (1982); McLachlan and Peel (2000), section 2.15.
"""

import itertools

import numpy as np
import pytest
from inference_helpers import assert_close, estimate, fitted, some_linear
from problems import BLOCKS, CURVED, random_structure

from gmmlab import EEI, EII, VEV, Diagonal, Full, Mixture, Spherical, Tied, datasets, fit, start

# ---- known formulas ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "d"),
    [(Full, 1), (Full, 3), (Tied, 2), (Diagonal, 3), (EEI, 2), (Spherical, 3), (EII, 2)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_one_component_has_the_standard_errors_of_a_normal_sample(structure, d):
    """Σ/n for the mean; (Σᵢᵢ Σⱼⱼ + Σᵢⱼ²)/n for the covariance (Wishart), 2 σ⁴/(n d) for σ²."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, d)) @ rng.normal(size=(d, d))
    found = fit(X, Mixture([1.0], np.zeros((1, d)), structure.unit(1, d)), tol=0)
    one = estimate(found, X)
    sigma = found.mixture.covariances[0]
    np.testing.assert_allclose(one.mean_covariances[0], sigma / 80, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(one.standard_errors.means[0], np.sqrt(np.diag(sigma) / 80))
    variances = np.diag(sigma)
    expected = {
        "VVV": (np.outer(variances, variances) + sigma**2) / 80,
        "VVI": 2 * variances**2 / 80,
        "VII": 2 * variances[0] ** 2 / (80 * d),
    }
    model = {"EEE": "VVV", "EEI": "VVI", "EII": "VII"}.get(structure.model, structure.model)
    np.testing.assert_allclose(
        one.standard_errors.covariances.ravel() ** 2, expected[model].ravel(), rtol=1e-10
    )
    assert one.standard_errors.weights == 0
    assert one.lower.weights == one.upper.weights == 1


def test_distant_components_have_the_standard_errors_of_known_labels():
    """Binomial for the weights, Σₖ/Nₖ for the means, Wishart for the covariances."""
    X, found = fitted(separation=60, k=3)
    mixture, one = found.mixture, estimate(found, X)
    counts = 300 * mixture.weights
    expected = np.sqrt(mixture.weights * (1 - mixture.weights) / 300)
    np.testing.assert_allclose(one.standard_errors.weights, expected)
    of_means = mixture.covariances / counts[:, None, None]
    np.testing.assert_allclose(one.mean_covariances, of_means)
    sigma = mixture.covariances
    variances = np.diagonal(sigma, axis1=1, axis2=2)
    wishart = (variances[:, :, None] * variances[:, None, :] + sigma**2) / counts[:, None, None]
    np.testing.assert_allclose(one.standard_errors.covariances**2, wishart)


@pytest.mark.parametrize(
    ("structure", "free"),
    [
        *((structure, BLOCKS) for structure in (Full, Tied, Diagonal, EEI, Spherical, EII)),
        (Full, ("covariances",)),
        (Tied, ("means", "covariances")),
        (Diagonal, ("weights", "means")),
        (EEI, ("weights", "covariances")),
        (Spherical, ("means",)),
        (EII, ("weights",)),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "-".join(value),
)
def test_standard_errors_match_a_numerical_hessian(structure, free):
    """The Hessian is that of log L in π₁, …, πₖ₋₁, μ and the free entries of Σ.

    Steps of the central differences are 1/50 of a standard error. In those units the second
    derivatives of log L are about 1, so the differences are off by about 10⁻⁴ and rounding, ε
    |log L|, by 10⁻⁹ over the step squared.
    """
    X, found = fitted(structure, separation=2.5, free=set(free))
    mixture, one = found.mixture, estimate(found, X)
    free_entries = np.ones(mixture.covariance.values.shape, dtype=bool)
    if mixture.covariance.shape.count("n_features") == 2:
        free_entries = np.broadcast_to(np.triu(np.ones((2, 2), dtype=bool)), free_entries.shape)
    picked = (
        (slice(0, 1) if "weights" in free else slice(0, 0)),
        np.full(mixture.means.shape, "means" in free),
        free_entries & ("covariances" in free),
    )
    own = (mixture.weights, mixture.means, mixture.covariance.values)
    steps = np.concatenate(
        [
            errors[mine].ravel() / 50
            for errors, mine in zip(one.standard_errors, picked, strict=True)
        ]
    )
    sizes = np.cumsum([block[mine].size for block, mine in zip(own, picked, strict=True)])[:-1]

    def log_likelihood(vector):
        weights, means, values = (block.copy() for block in own)
        moves = np.split(vector, sizes)
        weights[picked[0]] += moves[0]
        weights[-1] = 1 - weights[:-1].sum()
        means[picked[1]] += moves[1]
        values[picked[2]] += moves[2]
        if mixture.covariance.shape.count("n_features") == 2:
            values[..., 1, 0] = values[..., 0, 1]
        return Mixture(weights, means, structure(values)).log_prob(X).sum()

    hessian = np.empty((len(steps), len(steps)))
    moves = np.diag(steps)
    for i, j in itertools.product(range(len(steps)), repeat=2):
        corners = [
            first * second * log_likelihood(first * moves[i] + second * moves[j])
            for first in (1, -1)
            for second in (1, -1)
        ]
        hessian[i, j] = sum(corners) / 4
    # In units of the steps, as the differences are
    expected = steps * np.sqrt(np.diag(np.linalg.inv(-hessian)))
    np.testing.assert_allclose(50 * steps, expected, rtol=2e-3)


# ---- invariance --------------------------------------------------------------------------------


@some_linear
def test_shifting_scaling_and_rotating_the_data_does_the_same_to_the_covariances_of_means(
    structure,
):
    X, found = fitted(structure)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    turn = turn if structure is not Diagonal else np.eye(2)
    moved = 7 * X @ turn.T + [100, -50]
    mixture = start.from_labels(moved, found.mixture.predict(X), structure=structure)
    again = estimate(fit(moved, mixture, tol=1e-13, max_iter=20_000), moved)
    one = estimate(found, X)
    expected = 49 * turn @ one.mean_covariances @ turn.T
    np.testing.assert_allclose(again.mean_covariances, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        again.standard_errors.weights, one.standard_errors.weights, rtol=1e-5
    )


@some_linear
def test_permuting_components_permutes_the_result(structure):
    X, found = fitted(structure, k=3)
    order = [2, 0, 1]
    again = estimate(fit(X, found.mixture.take(order), max_iter=0), X)
    one = estimate(found, X)
    for name in ("standard_errors", "lower", "upper"):
        here, there = getattr(again, name), getattr(one, name)
        np.testing.assert_allclose(here.weights, there.weights[order], rtol=1e-8)
        np.testing.assert_allclose(here.means, there.means[order], rtol=1e-8)
        values = there.covariances
        values = values[order] if "n_components" in structure.shape else values
        np.testing.assert_allclose(here.covariances, values, rtol=1e-8)
    np.testing.assert_allclose(again.mean_covariances, one.mean_covariances[order], rtol=1e-8)


@some_linear
def test_m_copies_of_the_data_or_weights_of_m_divide_variances_by_m(structure):
    X, found = fitted(structure)
    one = estimate(found, X)
    halved = [errors / 2 for errors in one.standard_errors]
    four = np.repeat(X, 4, axis=0)
    copied = estimate(fit(four, found.mixture, max_iter=0), four)
    weight = np.full(len(X), 4.0)
    weighted = estimate(
        fit(X, found.mixture, max_iter=0, sample_weight=weight), X, sample_weight=weight
    )
    for other in (copied, weighted):
        assert_close(other.standard_errors, halved, rtol=1e-8)
        np.testing.assert_allclose(other.mean_covariances, one.mean_covariances / 4, rtol=1e-8)


def test_two_weights_that_sum_to_1_have_equal_standard_errors():
    X, found = fitted(separation=1.5)
    errors = estimate(found, X).standard_errors.weights
    assert errors[0] == pytest.approx(errors[1], rel=1e-12)


# ---- intervals ---------------------------------------------------------------------------------


def test_standard_errors_grow_as_components_overlap():
    """Relative to known labels; in one dimension, with equal weights."""
    ratios = []
    for separation in (6, 4, 3, 2.5):
        X = np.random.default_rng(0).normal(size=(4000, 1))
        X[::2] += separation
        begin = Mixture([0.5, 0.5], [[0.0], [separation]], Spherical([1.0, 1.0]))
        found = fit(X, begin, tol=1e-13, max_iter=20_000)
        ratios.append(estimate(found, X).standard_errors.weights[0] / np.sqrt(0.25 / 4000))
    assert ratios == sorted(ratios)
    assert ratios[0] < 1.05
    assert ratios[-1] > 1.5


def test_intervals_widen_with_their_level():
    X, found = fitted()
    widths = []
    for level in (0.5, 0.9, 0.99):
        one = estimate(found, X, level=level)
        ends = zip(one.lower, one.upper, strict=True)
        widths.append(np.concatenate([(high - low).ravel() for low, high in ends]))
    assert (np.diff(widths, axis=0) > 0).all()


@some_linear
def test_the_ends_of_wide_intervals_are_valid_weights_and_variances(structure):
    X, found = fitted(structure, n=60, separation=2.0)
    one = estimate(found, X, level=1 - 1e-12)
    for ends in (one.lower, one.upper):
        assert ((ends.weights > 0) & (ends.weights < 1)).all()
        variances = ends.covariances
        if structure.shape.count("n_features") == 2:
            variances = np.diagonal(variances, axis1=-2, axis2=-1)
        assert (variances > 0).all()


@pytest.mark.parametrize("structure", [Full, Tied])
def test_intervals_have_their_nominal_coverage(structure):
    """Over 200 samples of separated clusters; benchmarks/coverage.py takes 500 and all methods.

    A block has one, four, and three or six different parameters. The coverage over 200 times as
    many intervals has a standard error of 0.015 for weights, and of less than 0.01 for the others.
    """
    rng = np.random.default_rng(1)
    covariance = {
        Full: Full([[[1.0, 0.5], [0.5, 2.0]], [[1.5, -0.4], [-0.4, 1.0]]]),
        Tied: Tied([[1.0, 0.5], [0.5, 2.0]]),
    }[structure]
    truth = Mixture([0.4, 0.6], [[0.0, 0.0], [6.0, 5.0]], covariance)
    covered = {block: [] for block in BLOCKS}
    for _ in range(200):
        X, _ = truth.sample(300, rng)
        one = estimate(fit(X, truth, tol=1e-10), X)
        own = (truth.weights, truth.means, truth.covariance.values)
        for block, low, true, high in zip(BLOCKS, one.lower, own, one.upper, strict=True):
            covered[block].append(((low <= true) & (true <= high)).ravel())
    for block in BLOCKS:
        assert 0.92 <= np.mean(covered[block]) <= 0.98, block


# ---- where the information is not available ----------------------------------------------------


def test_free_covariances_of_curved_structures_raise():
    X, found = fitted(n=60)
    for structure in CURVED:
        covariance = random_structure(structure, np.random.default_rng(0), 2, 2)
        mixture = Mixture([0.5, 0.5], found.mixture.means, covariance)
        with pytest.raises(ValueError, match=f"got {structure.name}. Use method='bootstrap'"):
            estimate(fit(X, mixture, max_iter=0), X)


def test_known_covariances_may_be_of_a_curved_structure():
    X, found = fitted()
    covariance = random_structure(VEV, np.random.default_rng(0), 2, 2)
    mixture = Mixture([0.5, 0.5], found.mixture.means, covariance)
    known = fit(X, mixture, free={"weights", "means"}, tol=1e-14, max_iter=20_000)
    assert (estimate(known, X).standard_errors.means > 0).all()


def test_a_saddle_point_raises():
    X = datasets.old_faithful().X
    one = fit(X, Mixture([1.0], X.mean(axis=0)[None], Full.unit(1, 2)), tol=0).mixture
    twice = Mixture([0.5, 0.5], np.repeat(one.means, 2, axis=0), one.covariance.take([0, 0]))
    with pytest.raises(ValueError, match="is not curved like a maximum there"):
        estimate(fit(X, twice), X)
