"""Weighted samples: a weight of n is equivalent to n equal samples."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from problems import STRUCTURES, matrix_or_diagonal, some_structures

from gmmlab import (
    VVE,
    DegenerateError,
    Diagonal,
    Full,
    Mixture,
    Tied,
    datasets,
    fit,
    relative_floor,
    start,
)
from gmmlab.engine import Samples, own_covariance, total_moment


def problem(seed, k=3, d=2, n=80, structure=Full):
    """Return random data with clusters, integer weights up to 4, and a random start."""
    rng = np.random.default_rng(seed)
    X = datasets.random_mixture(n, k, d, separation=rng.uniform(0.5, 5), rng=rng).X
    weight = rng.integers(0, 5, size=n)
    weight[:k] = 1
    return X, weight, start.random_points(X, k, rng, structure=structure)


problems = st.builds(
    problem,
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 4),
    d=st.integers(1, 4),
    structure=st.sampled_from(STRUCTURES),
)


def attempt(X, mixture, **settings):
    """Return a fit of few iterations, or None if it degenerates."""
    try:
        return fit(X, mixture, tol=0, max_iter=5, **settings)
    except DegenerateError:
        return None


def close(one, other, rtol=1e-9):
    """Assert that two mixtures are equal up to rounding."""
    size = np.abs(other.covariance.values).max()
    np.testing.assert_allclose(one.weights, other.weights, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(one.means, other.means, rtol=rtol, atol=rtol * np.sqrt(size))
    np.testing.assert_allclose(
        one.covariance.values, other.covariance.values, rtol=rtol, atol=rtol * size
    )


# ---- integer weights are equivalent to repeated samples ----------------------------------------


@given(problems, st.sampled_from([None, 0.05]))
def test_integer_weights_are_equivalent_to_repeated_samples(case, floor):
    X, weight, mixture = case
    rows = np.repeat(X, weight, axis=0)
    weighted = attempt(X, mixture, sample_weight=weight, floor=floor)
    repeated = attempt(rows, mixture, floor=floor)
    assume(weighted is not None)
    assert repeated is not None
    close(weighted.mixture, repeated.mixture)
    assert weighted.n_samples == len(rows)
    assert weighted.status == repeated.status
    slack = 1e-10 * (abs(repeated.log_likelihood) + rows.size)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=slack)
    assert weighted.mean_log_likelihood == pytest.approx(
        repeated.mean_log_likelihood, abs=slack / len(rows)
    )
    assert weighted.bic == pytest.approx(repeated.bic, abs=2 * slack)
    assert weighted.aic == pytest.approx(repeated.aic, abs=2 * slack)
    rows_in_both = 1 + min(weighted.n_iter, repeated.n_iter)  # at the maximum, rounding decides
    for name in ("elbo_m_step", "expected_log_joint", "entropy"):
        one, other = (each.trace[name][:rows_in_both] for each in (weighted, repeated))
        np.testing.assert_allclose(one, other, atol=2 * slack)


def test_integer_weights_and_repeated_samples_converge_at_the_same_iteration():
    X, weight, mixture = problem(0)
    weighted = fit(X, mixture, sample_weight=weight)
    repeated = fit(np.repeat(X, weight, axis=0), mixture)
    assert weighted.converged
    assert weighted.n_iter == repeated.n_iter
    close(weighted.mixture, repeated.mixture)


@some_structures
def test_in_starts_from_labels_integer_weights_are_repeated_samples(structure):
    X, weight, _ = problem(1, d=3)
    labels = np.arange(len(X)) % 3
    weighted = start.from_labels(X, labels, structure=structure, sample_weight=weight)
    rows, names = np.repeat(X, weight, axis=0), np.repeat(labels, weight)
    close(weighted, start.from_labels(rows, names, structure=structure), 1e-11)


@some_structures
def test_in_starts_from_responsibilities_integer_weights_are_repeated_samples(structure):
    X, weight, _ = problem(1, d=3)
    r = np.random.default_rng(0).dirichlet(np.ones(3), size=len(X))
    weighted = start.from_responsibilities(X, r, structure=structure, sample_weight=weight)
    rows, shares = np.repeat(X, weight, axis=0), np.repeat(r, weight, axis=0)
    close(weighted, start.from_responsibilities(rows, shares, structure=structure), 1e-11)


@some_structures
def test_a_thin_component_is_widened_by_one_sample_whatever_the_weights(structure):
    """All samples of a class are equal, so its covariance comes only from the widening."""
    X, weight, labels = np.array([[0.0], [9.0]]), np.array([3, 2]), [0, 1]
    weighted = start.from_labels(X, labels, structure=structure, sample_weight=weight)
    rows, names = np.repeat(X, weight, axis=0), np.repeat(labels, weight)
    close(weighted, start.from_labels(rows, names, structure=structure), 1e-12)


@some_structures
def test_the_scale_of_weighted_samples_is_that_of_repeated_samples(structure):
    X, weight, _ = problem(2, d=3)
    one, other = Samples(X, weight), Samples(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(
        total_moment(one, structure), total_moment(other, structure), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(relative_floor(one), relative_floor(other), rtol=1e-12)


@pytest.mark.parametrize(
    ("draw", "structure"),
    [
        (start.kmeans, Full),
        (start.kmeans_plus_plus, Tied),
        (start.random_points, Diagonal),
        (start.random_responsibilities, VVE),
        (start.hierarchical, Full),
    ],
)
def test_a_cluster_of_weight_0_attracts_no_component_of_a_start(draw, structure):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(30, 2)) + centre for centre in (0, 20, 1000)])
    weight = np.repeat([1.0, 2.0, 0.0], 30)
    mixture = draw(X, 2, np.random.default_rng(0), structure=structure, sample_weight=weight)
    assert mixture.means.max() < 100
    assert mixture.covariances.max() < 500
    again = draw(X, 2, np.random.default_rng(0), structure=structure, sample_weight=weight)
    assert again == mixture


# ---- a weight of 0 is equivalent to no sample --------------------------------------------------


@given(problems, st.integers(0, 2**32 - 1))
def test_a_weight_of_0_is_equivalent_to_no_sample(case, seed):
    X, _, mixture = case
    rng = np.random.default_rng(seed)
    weight = rng.exponential(size=len(X)) * (rng.random(len(X)) < 0.7)
    assume((weight > 0).sum() >= mixture.n_components)
    X = np.where(weight[:, None] > 0, X, 1e3 * rng.standard_cauchy(size=X.shape))
    counts = weight > 0
    weighted = attempt(X, mixture, sample_weight=weight)
    without = attempt(X[counts], mixture, sample_weight=weight[counts])
    assume(without is not None)
    assert weighted is not None
    close(weighted.mixture, without.mixture, 1e-8)
    assert weighted.n_samples == pytest.approx(without.n_samples)
    assert weighted.log_likelihood == pytest.approx(without.log_likelihood, rel=1e-9, abs=1e-7)


@pytest.fixture
def constant_if_counted():
    """Return samples, and weights without which the second feature is not constant."""
    X, weight = problem(0)[0].copy(), np.ones(80)
    X[1:, 1] = 7
    weight[0] = 0
    return X, weight


@matrix_or_diagonal
def test_a_feature_that_only_samples_of_weight_0_change_is_constant(structure, constant_if_counted):
    X, weight = constant_if_counted
    with pytest.raises(ValueError, match="X is constant in feature 1"):
        fit(X, start.random_points(X, 3, np.random.default_rng(0)), sample_weight=weight)
    with pytest.raises(ValueError, match="X is constant in feature 1"):
        own_covariance(Samples(X, weight), structure)


@some_structures
def test_with_a_floor_samples_of_weight_0_have_no_influence(structure, constant_if_counted):
    X, weight = constant_if_counted
    mixture = problem(0, structure=structure)[2]
    one = fit(X, mixture, sample_weight=weight, max_iter=3, floor=0.1)
    other = fit(X[1:], mixture, max_iter=3, floor=0.1)
    close(one.mixture, other.mixture)


def test_the_error_for_a_class_of_weight_0_names_the_component():
    with pytest.raises(ValueError, match=r"sample_weight must not be 0 .* component 1"):
        start.from_labels([[0.0], [1.0], [9.0]], [0, 0, 1], sample_weight=[1, 1, 0])


# ---- the scale of the weights ------------------------------------------------------------------


@given(problems, st.floats(-280, 280))
def test_the_parameters_do_not_depend_on_the_scale_of_the_weights(case, power):
    X, weight, mixture = case
    factor = 10.0**power
    ours = attempt(X, mixture, sample_weight=weight)
    assume(ours is not None and ours.trace["smallest_weight"].min() > 1e-5)
    scaled = attempt(X, mixture, sample_weight=factor * weight)
    close(scaled.mixture, ours.mixture)
    assert scaled.n_samples == pytest.approx(factor * ours.n_samples, rel=1e-12)
    size = abs(ours.log_likelihood) + X.size
    assert scaled.log_likelihood / factor == pytest.approx(ours.log_likelihood, abs=1e-9 * size)


@pytest.mark.parametrize(
    ("structure", "factor"),
    [(Full, 1e-200), (Full, 1e200), (Tied, 1e-50), (Diagonal, 1e9), (VVE, 1e-9), (VVE, 1e50)],
)
def test_a_converged_fit_does_not_depend_on_the_scale_of_the_weights(structure, factor):
    """`tol` is a gain per sample, and a component is empty relative to the sum of the weights."""
    X, weight, _ = problem(0, structure=structure)
    labels = np.arange(len(X)) % 3
    ends = [
        fit(data, start.from_labels(X, labels, structure=structure), sample_weight=share)
        for data in (X, X.astype(np.float32))
        for share in (weight, factor * weight)
    ]
    # In single precision a slow fit with common axes stops an iteration sooner or later.
    single = 1e-2 if structure.curved else 1e-3
    for one, other, rtol in ((*ends[:2], 1e-9), (*ends[2:], single)):
        assert one.status == other.status == "converged"
        close(one.mixture, other.mixture, rtol)


def test_weights_of_one_change_nothing():
    X, _, mixture = problem(0)
    close(fit(X, mixture, sample_weight=np.ones(len(X))).mixture, fit(X, mixture).mixture, 1e-12)


@pytest.mark.parametrize("kind", [list, np.float32, bool])
def test_weights_may_have_any_numeric_type(kind):
    X, weight, mixture = problem(0)
    weight = weight > 0
    weight = weight.tolist() if kind is list else weight.astype(kind)
    one = fit(X, mixture, sample_weight=weight, max_iter=4)
    other = fit(X, mixture, sample_weight=np.array(weight, dtype=float), max_iter=4)
    assert one.mixture == other.mixture


# ---- the log-likelihood ------------------------------------------------------------------------


@given(
    problems,
    st.integers(0, 2**32 - 1),
    st.sampled_from([None, 0.05]),
    st.sets(st.sampled_from(["weights", "means", "covariances"]), min_size=1),
)
def test_the_weighted_log_likelihood_never_decreases(case, seed, floor, free):
    """Bishop (2006), section 9.4."""
    X, _, mixture = case
    weight = 10.0 ** np.random.default_rng(seed).uniform(-3, 3, size=len(X))
    try:
        trace = fit(
            X, mixture, sample_weight=weight, free=free, floor=floor, max_iter=40, tol=1e-9
        ).trace
    except DegenerateError as error:
        trace = error.fit.trace
    values, after_m = trace["log_likelihood"], trace["elbo_m_step"]
    slack = 1e-11 * (np.abs(values).max() + weight.sum() * X.shape[1])
    assert (np.diff(values) >= -slack).all()
    assert (after_m[1:] >= values[:-1] - slack).all()
    assert (after_m[1:] <= values[1:] + slack).all()


@given(problems, st.integers(0, 2**32 - 1))
def test_the_log_likelihood_is_the_weighted_sum_of_log_densities(case, seed):
    X, _, mixture = case
    weight = np.random.default_rng(seed).exponential(size=len(X))
    result = fit(X, mixture, sample_weight=weight, max_iter=0)
    direct = weight @ mixture.log_prob(X)
    size = weight @ np.abs(mixture.log_prob(X))
    assert result.log_likelihood == pytest.approx(direct, abs=1e-9 * size)


# ---- oracles -----------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_one_component_is_the_weighted_mean_and_covariance(seed, d):
    rng = np.random.default_rng(seed)
    X, weight = rng.standard_normal((50, d)) + 7, rng.exponential(size=50)
    mixture = Mixture([1.0], np.zeros((1, d)), Full(np.eye(d)[None]))
    end = fit(X, mixture, sample_weight=weight, max_iter=1, tol=0).mixture
    covariance = np.cov(X.T, aweights=weight, ddof=0).reshape(d, d)
    np.testing.assert_allclose(end.means[0], np.average(X, axis=0, weights=weight), rtol=1e-12)
    np.testing.assert_allclose(end.covariances[0], covariance, rtol=1e-9, atol=1e-11)


@matrix_or_diagonal
def test_importance_weights_recover_the_target_distribution(structure):
    """Samples of N(0, 4) with weights N(0, 1) / N(0, 4) have mean 0 and variance 1."""
    rng = np.random.default_rng(0)
    X = 2 * rng.normal(size=(200_000, 1))
    weight = np.exp(-(X**2) / 2 + X**2 / 8).ravel()
    mixture = Mixture([1.0], [[0.5]], structure.unit(1, 1))
    end = fit(X, mixture, sample_weight=weight).mixture
    effective = weight.sum() ** 2 / (weight**2).sum()
    assert abs(end.means[0, 0]) < 5 / np.sqrt(effective)
    assert abs(end.covariances[0, 0, 0] - 1) < 5 * np.sqrt(2 / effective)
