"""Missing entries: the likelihood is that of what was observed (Little and Rubin 2020)."""

import contextlib
import itertools

import numpy as np
import pytest
import scipy.optimize
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from problems import STRUCTURES, covering, every_shape, matrix_or_diagonal, some_structures
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from gmmlab import (
    DegenerateError,
    Diagonal,
    Full,
    Mixture,
    datasets,
    fit,
    relative_floor,
    start,
)
from gmmlab.covariance import DiagonalCovariance, MatrixCovariance
from gmmlab.em import sufficient_statistics
from gmmlab.engine.missing import ObservedForm
from gmmlab.engine.samples import Samples
from gmmlab.engine.statistics import ResidualForm

NAN = np.nan


def problem(seed, k=2, d=3, n=60, structure=Full, share=0.3):
    """Return random data with holes, some rows of nothing else, and a start that saw it all."""
    rng = np.random.default_rng(seed)
    X = datasets.random_mixture(n, k, d, separation=rng.uniform(0.5, 4), rng=rng).X
    mixture = start.random_points(X, k, rng, structure=structure)
    holes = rng.random(X.shape) < share
    holes[: int(share * 10)] = True
    holes[-2:] = False
    return np.where(holes, NAN, X), mixture


problems = st.builds(
    problem,
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 3),
    d=st.integers(1, 4),
    structure=st.sampled_from(STRUCTURES),
    share=st.sampled_from([0.05, 0.3, 0.6]),
)


def log_prob(X, mixture):
    """log p of the observed part of every sample, by scipy; 0 where there is none."""
    found = np.zeros(len(X))
    patterns, which = np.unique(~np.isnan(X), axis=0, return_inverse=True)
    for number, seen in enumerate(patterns):
        mine = which.ravel() == number
        if seen.any():
            parameters = zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
            joint = [
                np.log(weight)
                + multivariate_normal(mean[seen], sigma[np.ix_(seen, seen)]).logpdf(
                    X[np.ix_(mine, seen)]
                )
                * np.ones(mine.sum())
                for weight, mean, sigma in parameters
            ]
            found[mine] = logsumexp(joint, axis=0)
    return found


def close(one, other, rtol=1e-9):
    size = np.abs(other.covariance.values).max()
    np.testing.assert_allclose(one.weights, other.weights, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(one.means, other.means, rtol=rtol, atol=rtol * np.sqrt(size))
    np.testing.assert_allclose(
        one.covariance.values, other.covariance.values, rtol=rtol, atol=rtol * size
    )


# ---- nothing missing is the plain fit --------------------------------------------------------


@given(problems)
def test_with_nothing_missing_it_is_the_plain_fit(case):
    X, mixture = case
    X = np.where(np.isnan(X), 0.5, X)
    ends = []
    for missing in ("raise", "marginalise"):
        try:
            ends.append(fit(X, mixture, max_iter=5, tol=0, missing=missing))
        except DegenerateError as error:
            ends.append(error.fit)
    assert ends[0].mixture == ends[1].mixture
    np.testing.assert_array_equal(ends[0].trace["log_likelihood"], ends[1].trace["log_likelihood"])


@given(problems, st.booleans())
def test_a_pass_over_complete_rows_is_the_plain_pass(case, weighted):
    X, mixture = case
    X = np.where(np.isnan(X), 0.5, X)
    weight = np.arange(1.0, len(X) + 1) if weighted else None
    one, other = ObservedForm(mixture)(X, weight), ResidualForm(mixture)(X, weight)
    for name in ("counts", "first", "second", "log_likelihood", "expected_log_joint"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@settings(max_examples=40)
@given(problems)
def test_rows_with_nothing_observed_change_no_parameter(case):
    """Little and Rubin (2020), section 11.2: they complete to the mixture itself."""
    X, mixture = case
    some = X[~np.isnan(X).all(axis=1)]
    more = np.concatenate([some, np.full((20, X.shape[1]), NAN)])
    try:
        one = fit(some, mixture, missing="marginalise", max_iter=100, tol=1e-6)
    except DegenerateError:
        assume(False)
    assume(one.converged)
    # The likelihood is the same function, so a stationary point stays one.
    value = fit(more, one.mixture, missing="marginalise", max_iter=0).log_likelihood
    assert value == pytest.approx(one.log_likelihood, rel=1e-12, abs=1e-9)
    next_one = fit(more, one.mixture, missing="marginalise", max_iter=1, tol=0)
    assert next_one.log_likelihood - value <= 1e-6 * len(more) + 1e-10 * abs(value)


# ---- stacks ----------------------------------------------------------------------------------


@given(
    problems,
    st.sampled_from([None, "shared", "own"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_the_sums_of_a_stack_are_those_of_its_members(case, weighted, own, about_given, seed):
    """Fits may have patterns of their own."""
    X, first = case
    rng = np.random.default_rng(seed)
    mixtures = [first.take(rng.permutation(first.n_components)) for _ in range(3)]
    mixtures = [
        Mixture(each.weights, each.means + rng.normal(size=each.means.shape), each.covariance)
        for each in mixtures
    ]
    data = np.stack([X[rng.permutation(len(X))] * scale for scale in (1, 2, 3)]) if own else X
    data = np.where(rng.random(data.shape) < 0.05, NAN, data)
    data[..., -1, :] = 0  # no feature is missing in all samples
    weight = {None: None, "shared": rng.exponential(size=len(X))}.get(
        weighted, rng.exponential(size=(3, len(X)))
    )
    stack, samples = Mixture.stacked(mixtures), Samples(data, weight, missing=True, n_fits=3)
    about = stack.means + rng.normal(size=stack.means.shape) if about_given else None
    found = samples.fold(ObservedForm(stack, about))
    for number, mixture in enumerate(mixtures):
        share = weight[number] if np.ndim(weight) == 2 else weight
        alone = Samples(data[number] if own else data, share, missing=True)
        wanted = alone.fold(ObservedForm(mixture, None if about is None else about[number]))
        for name in ("counts", "first", "second", "log_likelihood", "expected_log_joint", "about"):
            one, other = getattr(found, name)[number], getattr(wanted, name)
            size = np.abs(np.nan_to_num(other)).max(initial=1)
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-11 * size, err_msg=name)


# ---- the likelihood --------------------------------------------------------------------------


@given(problems, st.booleans())
def test_the_log_likelihood_is_that_of_the_observed_entries(case, weighted):
    X, mixture = case
    weight = np.linspace(0, 2, len(X)) if weighted else np.ones(len(X))
    seen = []
    with contextlib.suppress(DegenerateError):
        fit(
            X,
            mixture,
            max_iter=3,
            tol=0,
            missing="marginalise",
            sample_weight=weight if weighted else None,
            callback=lambda *args: seen.append(args[1:]),
        )
    for mixture, value in seen:
        try:
            wanted = weight * log_prob(X, mixture)
        except np.linalg.LinAlgError:  # scipy finds it singular: on its way to collapse
            break
        assert value == pytest.approx(wanted.sum(), abs=1e-8 * (np.abs(wanted).sum() + X.size))


@given(
    problems,
    st.sets(st.sampled_from(["weights", "means", "covariances"]), min_size=1),
    st.sampled_from([None, 0.05, 0.5]),
    st.booleans(),
)
def test_the_observed_log_likelihood_never_falls(case, free, floor, weighted):
    X, mixture = case
    weight = np.linspace(0, 2, len(X)) if weighted else None
    try:
        trace = fit(
            X,
            mixture,
            free=free,
            floor=floor,
            sample_weight=weight,
            max_iter=30,
            tol=1e-9,
            missing="marginalise",
        ).trace
    except DegenerateError as error:
        trace = error.fit.trace
    values = trace["log_likelihood"]
    # A component on its way to collapse whitens with an error of ε / conditioning.
    slack = 1e-10 * (np.abs(values).max() + X.size)
    assert (np.diff(values) >= -slack).all()


@given(problems)
def test_the_completed_moments_are_conditional_expectations(case):
    """Ghahramani and Jordan (1994): E z and E z zᵀ given what is seen, one sample at a time."""
    X, mixture = case
    k, d = mixture.means.shape
    counts, first, second = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    for x in X:
        seen = ~np.isnan(x)
        joint, z, left = np.log(mixture.weights), np.zeros((k, d)), mixture.covariances
        for j, (mean, sigma) in enumerate(zip(mixture.means, mixture.covariances, strict=True)):
            if seen.any():
                within = sigma[np.ix_(seen, seen)]
                joint[j] += multivariate_normal(mean[seen], within).logpdf(x[seen])
                gain = np.linalg.solve(within, sigma[seen]).T
                z[j] = gain @ (x[seen] - mean[seen])
                left[j] = sigma - gain @ sigma[seen]
        r = np.exp(joint - logsumexp(joint))
        counts += r
        first += r[:, None] * z
        second += r[:, None, None] * (z[:, :, None] * z[:, None, :] + left)
    if isinstance(mixture.covariance, DiagonalCovariance):
        second = np.diagonal(second, axis1=1, axis2=2)
    samples = Samples(X, missing=True)
    about = mixture.means + 0.5
    for found in (
        sufficient_statistics(samples, mixture),
        sufficient_statistics(samples, mixture, about=about),
    ):
        np.testing.assert_allclose(found.counts, counts, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(
            found.first + counts[:, None] * (found.about - mixture.means), first, atol=1e-7
        )
        moments = found.moments(type(mixture.covariance), mixture.means)
        axes = (slice(None), *[None] * (moments.ndim - 1))
        np.testing.assert_allclose(counts[axes] * moments, second, rtol=1e-7, atol=1e-6)


# ---- oracles ---------------------------------------------------------------------------------


@covering(seed=[0, 1], d=[2, 3])
def test_one_full_component_is_the_maximum_that_scipy_finds(seed, d):
    """By the Cholesky factor, of the observed-data likelihood; by a quasi-Newton method."""
    rng = np.random.default_rng(seed)
    X = rng.multivariate_normal(rng.normal(size=d), datasets.random_covariance(d, rng), size=80)
    X[rng.random(X.shape) < 0.25] = NAN
    X[0] = NAN
    lower = np.tril_indices(d)

    def mixture(parameters):
        factor = np.zeros((d, d))
        factor[lower] = parameters[d:]
        return Mixture([1.0], parameters[None, :d], Full([factor @ factor.T]))

    def loss(parameters):
        return -log_prob(X, mixture(parameters)).sum()

    scale = np.nanstd(X, axis=0)
    first = np.concatenate([np.nanmean(X, axis=0), np.diag(scale)[lower]])
    theirs = scipy.optimize.minimize(loss, first, method="BFGS", options={"gtol": 1e-4})
    best = mixture(theirs.x)
    ours = fit(X, mixture(first), missing="marginalise", tol=1e-13, max_iter=10_000)
    assert ours.log_likelihood == pytest.approx(-theirs.fun, abs=1e-6)
    np.testing.assert_allclose(ours.mixture.means, best.means, atol=1e-4 * scale.max())
    np.testing.assert_allclose(
        ours.mixture.covariances, best.covariances, atol=1e-4 * scale.max() ** 2
    )


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_one_diagonal_component_is_mean_and_variance_of_what_was_observed(seed, d):
    """Features are independent, so each one's own entries are all that speak about it."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, d)) * np.arange(1, d + 1) + 5
    X[rng.random(X.shape) < 0.4] = NAN
    X[:3] = np.arange(3)[:, None]
    mixture = Mixture([1.0], np.zeros((1, d)), Diagonal(np.ones((1, d))))
    end = fit(X, mixture, missing="marginalise", tol=1e-13, max_iter=10_000).mixture
    np.testing.assert_allclose(end.means[0], np.nanmean(X, axis=0), rtol=1e-5)
    np.testing.assert_allclose(end.covariance.values[0], np.nanvar(X, axis=0), rtol=1e-5)
    # and that is where EM stays
    exact = Mixture([1.0], np.nanmean(X, axis=0)[None], Diagonal(np.nanvar(X, axis=0)[None]))
    stays = fit(X, exact, missing="marginalise", tol=0, max_iter=1).mixture
    close(stays, exact, 1e-12)
    np.testing.assert_allclose(relative_floor(X, 1.0), np.nanvar(X, axis=0), rtol=1e-9)


def test_one_feature_is_the_fit_of_its_observed_entries():
    X, mixture = problem(0, d=1, k=2, n=200)
    one = fit(X, mixture, missing="marginalise", tol=1e-12, max_iter=5000)
    other = fit(X[~np.isnan(X[:, 0])], mixture, tol=1e-12, max_iter=5000)
    close(one.mixture, other.mixture, 1e-4)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-7)


def test_a_monotone_pattern_has_its_regression_for_a_closed_form():
    """Little and Rubin (2020), section 7.2: the second feature regressed on the first."""
    rng = np.random.default_rng(0)
    X = rng.multivariate_normal([1, -2], [[2, 1.2], [1.2, 1.5]], size=200)
    X[120:, 1] = NAN
    mixture = Mixture([1.0], [[0.0, 0.0]], Full([np.eye(2)]))
    end = fit(X, mixture, missing="marginalise", tol=1e-15, max_iter=10_000).mixture
    mean, variance = X[:, 0].mean(), X[:, 0].var()
    both = np.cov(X[:120].T, ddof=0)
    slope = both[0, 1] / both[0, 0]
    other = X[:120, 1].mean() + slope * (mean - X[:120, 0].mean())
    spread = both[1, 1] + slope**2 * (variance - both[0, 0])
    np.testing.assert_allclose(end.means[0], [mean, other], rtol=1e-6)
    wanted = [[variance, slope * variance], [slope * variance, spread]]
    np.testing.assert_allclose(end.covariances[0], wanted, rtol=1e-5)


@some_structures
def test_what_is_missing_at_random_biases_no_estimate(structure):
    """The second feature is missing where the first is high; its plain mean is far off."""
    rng = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    X = rng.multivariate_normal([0, 0], covariance, size=20_000)
    X[X[:, 0] > 0, 1] = NAN
    mixture = Mixture([1.0], [[0.0, 0.0]], structure.unit(1, 2))
    end = fit(X, mixture, missing="marginalise", tol=1e-10, max_iter=5000).mixture
    assert np.nanmean(X[:, 1]) < -0.5
    if issubclass(structure, MatrixCovariance):  # the others know of no correlation
        assert np.abs(end.means).max() < 0.05
        np.testing.assert_allclose(end.covariances[0], covariance, atol=0.05)


# ---- invariances -----------------------------------------------------------------------------


@given(problems)
def test_a_whole_weight_is_as_good_as_that_many_rows(case):
    X, mixture = case
    weight = np.arange(len(X)) % 3
    assume(not np.isnan(X[weight > 0]).all(axis=0).any())
    ends = []
    for data, share in ((X, weight), (np.repeat(X, weight, axis=0), None)):
        try:
            ends.append(
                fit(data, mixture, sample_weight=share, missing="marginalise", max_iter=4, tol=0)
            )
        except DegenerateError as error:
            ends.append(error.fit)
    one, other = ends
    assert one.status == other.status
    close(one.mixture, other.mixture, 1e-7)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-9, abs=1e-7)


@given(problems, st.randoms(use_true_random=False))
def test_the_order_of_features_and_samples_does_not_matter(case, random):
    X, mixture = case
    d = mixture.n_features
    order = np.array(random.sample(range(d), d))
    turned = mixture.marginal(order)
    ends = []
    for data, first in ((X, mixture), (X[::-1, order], turned)):
        try:
            ends.append(fit(data, first, missing="marginalise", max_iter=4, tol=0).mixture)
        except DegenerateError:
            assume(False)
    close(ends[1], ends[0].marginal(order), 1e-7)


@given(problems, st.floats(-1e3, 1e3), st.floats(-3, 3))
def test_shifting_and_scaling_the_data_shifts_and_scales_the_fit(case, shift, power):
    X, mixture = case
    scale = 10.0**power
    moved = Mixture(
        mixture.weights,
        scale * mixture.means + shift,
        type(mixture.covariance)(scale**2 * mixture.covariance.values),
    )
    try:
        ours = fit(X, mixture, missing="marginalise", max_iter=4, tol=0)
    except DegenerateError:
        return
    other = fit(scale * X + shift, moved, missing="marginalise", max_iter=4, tol=0)
    np.testing.assert_allclose(other.mixture.weights, ours.mixture.weights, atol=1e-6)
    # Shifted data have lost digits: 10³ against 10⁻³ of spread leaves ten of sixteen.
    size = np.abs(ours.mixture.covariance.values).max()
    np.testing.assert_allclose(
        other.mixture.covariance.values / scale**2,
        ours.mixture.covariance.values,
        atol=1e-6 * size,
    )
    change = np.isfinite(X).sum() * np.log(scale)
    assert other.log_likelihood + change == pytest.approx(
        ours.log_likelihood, abs=1e-6 * (abs(ours.log_likelihood) + X.size)
    )


@every_shape
def test_single_precision_with_missing_entries_is_double_to_its_own_digits(structure):
    X, mixture = problem(0, structure=structure)
    low = X.astype(np.float32)
    one, other = (
        fit(data, mixture, missing="marginalise", max_iter=5, tol=0)
        for data in (low, low.astype(np.float64))
    )
    close(one.mixture, other.mixture, 1e-5)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-6)


@every_shape
def test_every_pattern_at_once_and_more_rows_than_a_chunk(structure):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 3)) + 3 * (np.arange(20_000) % 2)[:, None]
    mixture = start.random_points(X, 2, rng, structure=structure)
    patterns = np.array(list(itertools.product([False, True], repeat=3)))
    X[patterns[rng.integers(8, size=len(X))]] = NAN
    result = fit(X, mixture, missing="marginalise", max_iter=0)
    some = rng.integers(len(X), size=300)
    subset = fit(X[some], mixture, missing="marginalise", max_iter=0)
    assert subset.log_likelihood == pytest.approx(log_prob(X[some], mixture).sum(), rel=1e-10)
    parts = [
        fit(X[begin : begin + 1000], mixture, missing="marginalise", max_iter=0).log_likelihood
        for begin in range(0, len(X), 1000)
    ]
    assert result.log_likelihood == pytest.approx(sum(parts), rel=1e-12)


# ---- errors ----------------------------------------------------------------------------------


def test_nan_is_an_error_that_says_what_to_do_unless_it_is_asked_for():
    X, mixture = problem(0)
    with pytest.raises(ValueError, match=r"X contains NaN.*missing='marginalise'"):
        fit(X, mixture)
    with pytest.raises(ValueError, match="X contains NaN"):
        fit(X, mixture, missing="raise")


@pytest.mark.parametrize("missing", ["drop", True])
def test_missing_is_one_of_two_words(missing):
    X, mixture = problem(0)
    with pytest.raises(ValueError, match="missing must be one of 'raise', 'marginalise'"):
        fit(X, mixture, missing=missing)


def test_a_feature_with_nothing_observed_is_refused_by_number():
    X, mixture = problem(0)
    X[:, 1] = NAN
    with pytest.raises(ValueError, match="only NaN in feature 1; drop"):
        fit(X, mixture, missing="marginalise")


@matrix_or_diagonal
def test_a_feature_with_one_value_observed_is_constant(structure):
    X, mixture = problem(0, structure=structure)
    X[:-1, 1] = NAN
    with pytest.raises(ValueError, match="X is constant in feature 1"):
        fit(X, mixture, missing="marginalise")
    assert fit(X, mixture, missing="marginalise", floor=0.1, max_iter=3).n_iter == 3


def test_infinity_is_not_a_missing_entry():
    X, mixture = problem(0)
    X[5, 0] = np.inf
    with pytest.raises(ValueError, match="X contains infinity"):
        fit(X, mixture, missing="marginalise")
