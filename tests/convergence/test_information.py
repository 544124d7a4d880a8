"""Laws of the observed information, of EM's rate, and of what is still to be gained.

Louis (1982); Dempster, Laird and Rubin (1977), section 3; McLachlan and Krishnan (2008),
chapters 3 and 4.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import FOUR, LINEAR, covering, every_linear

from gmmlab import Diagonal, Full, Mixture, Spherical, Tied, convergence, datasets, fit, start
from gmmlab.convergence import Coordinates, can_estimate_remaining_gain, information
from gmmlab.diagnostics import remaining_gain
from gmmlab.em import maximise, sufficient_statistics
from gmmlab.engine.samples import Samples
from gmmlab.result import DegenerateError

ALL = frozenset({"weights", "means", "covariances"})
#: with matrices, with diagonals, and with one covariance for all
few_linear = pytest.mark.parametrize("structure", [Full, Diagonal, Tied], ids=lambda s: s.__name__)


def case(structure, free=ALL, weighted=False, separation=2.5, seed=0):
    """Return samples, and a mixture where EM stands still."""
    rng = np.random.default_rng(seed)
    data = datasets.random_mixture(150, 2, 2, separation=separation, rng=rng)
    weight = rng.exponential(size=150) if weighted else None
    mixture = start.from_labels(data.X, data.labels, structure=structure)
    settings = {"free": free, "sample_weight": weight, "tol": 0, "max_iter": 2000}
    mixture = fit(data.X, mixture, **settings, accelerate=True).mixture
    # Plain steps to where a step is no more than rounding.
    mixture = fit(data.X, mixture, **settings).mixture
    return Samples(data.X, weight), mixture


def log_likelihood(samples, mixture):
    weight = np.ones(samples.n_samples) if samples.weight is None else samples.weight
    return weight @ mixture.log_prob(samples.X)


def at(samples, mixture, free):
    """Return coordinates about a mixture, and its information."""
    coordinates = Coordinates(mixture, frozenset(free))
    return coordinates, information(
        samples, coordinates, sufficient_statistics(samples, mixture).counts
    )


# ---- what it is --------------------------------------------------------------------------------


@every_linear
@covering(
    free=[ALL, ALL - {"weights"}, ALL - {"means"}, {"means"}, {"covariances"}],
    weighted=[False, True],
)
def test_observed_information_is_minus_the_hessian_of_the_log_likelihood(structure, free, weighted):
    """(I3), by central differences of log-densities, h = 2 × 10⁻³.

    They are off by h²/12 times fourth derivatives: each sample's is some tens at most in these
    coordinates, so n × 10⁻⁴ in sum; rounding is ε |log L| / h², below n × 10⁻⁷.
    """
    samples, mixture = case(structure, free, weighted)
    coordinates, found = at(samples, mixture, free)
    size, h = coordinates.size, 2e-3
    steps = h * np.eye(size)

    def value(vector):
        return log_likelihood(samples, coordinates.mixture(vector))

    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(i + 1):
            corners = [
                sign * other * value(sign * steps[i] + other * steps[j])
                for sign in (1, -1)
                for other in (1, -1)
            ]
            hessian[i, j] = hessian[j, i] = sum(corners) / (4 * h**2)
    np.testing.assert_allclose(found.observed, -hessian, atol=1e-4 * samples.total)


@covering(
    structure=LINEAR, free=[ALL, ALL - {"weights"}, ALL - {"means"}, {"means"}, {"covariances"}]
)
def test_an_em_step_shrinks_distances_by_1_less_complete_into_observed(structure, free):
    """The map's Jacobian is I − I_com⁻¹ I_obs (I5; Dempster, Laird and Rubin 1977).

    Differences with h = 10⁻⁴ are off by h² times third derivatives.
    """
    samples, mixture = case(structure, free)
    coordinates, (observed, complete) = at(samples, mixture, free)

    def step(vector):
        moved = coordinates.mixture(vector)
        return coordinates.of(
            maximise(sufficient_statistics(samples, moved), moved, frozenset(free)).mixture
        )

    h = 1e-4
    columns = [(step(v) - step(-v)) / (2 * h) for v in h * np.eye(coordinates.size)]
    wanted = np.eye(coordinates.size) - np.linalg.solve(complete, observed)
    np.testing.assert_allclose(np.transpose(columns), wanted, atol=1e-5)


@every_linear
def test_em_converges_at_the_rate_that_the_information_says(structure):
    """Gains fall by (1 − ε)², for the smallest eigenvalue ε of I_com⁻¹ I_obs.

    The ratio is taken at gains of about 10⁻⁹ of the log-likelihood's size, 10⁶ times its
    rounding; what other directions still add is less than that leaves.
    """
    data = datasets.random_mixture(300, 2, 2, separation=2, rng=np.random.default_rng(3))
    mixture = start.from_labels(data.X, data.labels, structure=structure)
    result = fit(data.X, mixture, tol=1e-9, max_iter=50_000)
    gains = np.diff(result.trace["log_likelihood"])
    samples = Samples(data.X)
    _, (observed, complete) = at(samples, fit(data.X, result.mixture, tol=0).mixture, ALL)
    smallest = np.linalg.eigvals(np.linalg.solve(complete, observed)).real.min()
    assert 0 < smallest < 0.5
    assert gains[-1] / gains[-2] == pytest.approx((1 - smallest) ** 2, abs=2e-3)


@every_linear
def test_of_one_component_nothing_is_missing(structure):
    """Then EM is there in one step: N for every mean and covariance."""
    X = np.random.default_rng(0).normal(size=(80, 3)) @ np.diag([1, 2, 3])
    mixture = fit(X, Mixture([1.0], np.zeros((1, 3)), structure.unit(1, 3)), tol=0).mixture
    coordinates, found = at(Samples(X), mixture, ALL)
    np.testing.assert_allclose(found.observed, 80 * np.eye(coordinates.size), atol=1e-9)
    np.testing.assert_array_equal(found.complete, 80 * np.eye(coordinates.size))


@few_linear
def test_of_components_far_apart_nothing_is_missing(structure):
    samples, mixture = case(structure, separation=60)
    _, found = at(samples, mixture, ALL)
    np.testing.assert_allclose(found.observed, found.complete, atol=1e-8 * samples.total)


@few_linear
def test_complete_information_of_weights_is_that_of_the_multinomial_anywhere(structure):
    """n (diag π − π πᵀ), wherever the mixture is: positive definite, unlike with Nₖ for n π."""
    X = np.random.default_rng(0).normal(size=(100, 2))
    mixture = Mixture([0.9, 0.09, 0.01], [[5, 5], [0, 0], [0.1, 0]], structure.unit(3, 2))
    _, found = at(Samples(X), mixture, {"weights"})
    weights = mixture.weights[:2]
    wanted = 100 * (np.diag(weights) - np.outer(weights, weights))
    np.testing.assert_allclose(found.complete, wanted, rtol=1e-13)


@few_linear
@given(seed=st.integers(0, 2**32 - 1))
def test_weights_that_are_whole_numbers_are_copies(structure, seed):
    rng = np.random.default_rng(seed)
    X, copies = rng.normal(size=(60, 2)), rng.integers(0, 4, size=60)
    mixture = start.random_points(X, 3, rng, structure=structure)
    _, one = at(Samples(X, copies), mixture, ALL)
    _, other = at(Samples(np.repeat(X, copies, axis=0)), mixture, ALL)
    size = 1e-12 * copies.sum() * 10
    np.testing.assert_allclose(one.observed, other.observed, rtol=1e-10, atol=size)
    np.testing.assert_allclose(one.complete, other.complete, rtol=1e-10, atol=size)


def test_many_chunks_add_up_to_the_sum_over_samples():
    """More samples than a block or chunk holds; the halves' information adds up."""
    X = np.random.default_rng(0).normal(size=(40_000, 2))
    mixture = start.random_points(X, 3, np.random.default_rng(0))
    (_, whole), *halves = (at(Samples(part), mixture, ALL) for part in (X, X[:7], X[7:]))
    total = sum(half.observed for _, half in halves)
    np.testing.assert_allclose(whole.observed, total, atol=1e-10 * len(X))


# ---- what is still to be gained ----------------------------------------------------------------


def drawn(number):
    """Return data, a start and what is free, as benchmarks/convergence.py does."""
    rng = np.random.default_rng(number)
    kind, structure = number % 4, FOUR[number // 4 % 4]
    if kind == 0:
        X = datasets.iris().X
    elif kind == 1:
        X = datasets.old_faithful().X
    elif kind == 2:
        k, d = rng.integers([2, 1], [4, 4])
        X = datasets.random_mixture(200, k, d, separation=rng.uniform(1, 4), rng=rng).X
    else:
        X = rng.standard_t(4, size=(200, rng.integers(1, 4)))
    free = ALL - {"covariances"} if number % 5 == 0 else ALL
    return X, start.kmeans(X, int(rng.integers(2, 4)), rng, structure=structure), free


def test_the_remaining_gain_covers_what_going_on_finds_and_is_not_much_more():
    """Of fits stopped at a gain of 10⁻⁸, against going on to one of 10⁻¹²."""
    covered, ratios = [], []
    for number in range(40):
        X, mixture, free = drawn(number)
        try:
            early = fit(X, mixture, free=free, tol=1e-8, max_iter=20_000)
            late = fit(X, early.mixture, free=free, tol=1e-12, max_iter=50_000)
        except DegenerateError:
            continue
        assert early.converged
        nothing = 1e-13 * len(X)  # log-likelihoods are summed to about this
        truth = max(late.log_likelihood - early.log_likelihood, nothing)
        estimate = max(early.remaining_gain, nothing)
        covered.append(estimate >= truth)
        ratios.append(estimate / truth)
    assert len(covered) >= 35
    assert np.mean(covered) >= 0.95
    assert np.median(ratios) <= 3


@every_linear
def test_it_is_the_newton_decrement_doubled_near_a_maximum(structure):
    """So it is twice the gain of (I6), but for the third order, a few percent here."""
    samples, mixture = case(structure)
    best = log_likelihood(samples, mixture)
    coordinates, _ = at(samples, mixture, ALL)
    vector = np.random.default_rng(0).normal(size=coordinates.size)
    off = coordinates.mixture(0.01 * vector / np.linalg.norm(vector))
    result = fit(samples.X, off, max_iter=0)
    gain = best - log_likelihood(samples, off)
    assert result.remaining_gain == pytest.approx(2 * gain, rel=0.1)


@few_linear
def test_nothing_remains_at_the_maximum(structure):
    """A step there is rounding, about 10⁻⁸ in each coordinate where log L no longer changes."""
    samples, mixture = case(structure)
    result = fit(samples.X, mixture, tol=0)
    assert 0 <= result.remaining_gain < 1e-9 * samples.total


@covering(structure=LINEAR, free=[ALL, {"means"}])
def test_on_a_saddle_it_is_infinite_and_the_message_says_so(structure, free):
    """Two components that coincide stay together; what curvature there is, is no maximum."""
    X = datasets.old_faithful().X
    one = fit(X, Mixture([1.0], X.mean(axis=0)[None], structure.unit(1, 2)), tol=0).mixture
    twice = Mixture([0.5, 0.5], np.repeat(one.means, 2, axis=0), one.covariance.take([0, 0]))
    result = fit(X, twice, free=free)
    assert result.converged
    assert result.remaining_gain == np.inf
    assert remaining_gain(result, X) == np.inf
    assert "cannot be estimated here" in result.message


def test_coinciding_components_are_no_saddle_where_the_data_are_one_cluster_by_what_is_free():
    """With free weights alone the likelihood is concave (Lindsay 1983), and here flat."""
    X = np.random.default_rng(0).normal(size=(50, 1))
    twice = Mixture([0.5, 0.5], [[0.0], [0.5]], Spherical([1.0, 1.0]))
    result = fit(X, twice, free={"weights"}, tol=1e-6, max_iter=5000)
    better = fit(X, result.mixture, free={"weights"}, tol=1e-13, max_iter=50_000)
    assert better.log_likelihood - result.log_likelihood <= result.remaining_gain < np.inf


@few_linear
def test_the_diagnostic_is_what_the_fit_says(structure):
    X = datasets.old_faithful().X
    mixture = start.kmeans(X, 3, np.random.default_rng(0), structure=structure)
    weight = np.random.default_rng(0).exponential(size=len(X))
    for settings in ({}, {"sample_weight": weight}):
        for accelerate in (False, True):
            result = fit(X, mixture, tol=1e-5, accelerate=accelerate, **settings)
            assert remaining_gain(result, X, **settings) == pytest.approx(
                result.remaining_gain, rel=1e-6
            )


@few_linear
def test_copies_of_samples_are_weights(structure):
    X = datasets.iris().X
    copies = np.random.default_rng(0).integers(0, 4, size=len(X))
    mixture = start.kmeans(X, 2, np.random.default_rng(0), structure=structure)
    one = fit(X, mixture, sample_weight=copies, tol=1e-5)
    other = fit(np.repeat(X, copies, axis=0), mixture, tol=1e-5)
    assert one.remaining_gain == pytest.approx(other.remaining_gain, rel=1e-6)


def test_a_fit_that_is_out_of_iterations_says_what_remains_at_its_last_parameters():
    """Also where its last pass was an extrapolation that was refused."""
    X = datasets.old_faithful().X
    mixture = start.random_points(X, 4, np.random.default_rng(0), structure=Tied)
    whole = fit(X, mixture, accelerate=True, tol=1e-10, max_iter=2000)
    refused = np.setdiff1d(np.arange(whole.n_iter), whole.trace["iteration"])
    assert len(refused) >= 3
    for last in refused:
        result = fit(X, mixture, accelerate=True, tol=1e-10, max_iter=int(last))
        assert result.n_iter == last > result.trace["iteration"][-1]
        assert result.remaining_gain == pytest.approx(remaining_gain(result, X), rel=1e-9)


def test_messages_say_how_much_remains():
    X = datasets.old_faithful().X
    mixture = start.from_labels(X, X[:, 1] > 68)
    for settings in ({"tol": 1e-3}, {"tol": 0, "max_iter": 3}):
        result = fit(X, mixture, **settings)
        words = f"Further iterations would gain up to about {result.remaining_gain / len(X):.0e}"
        assert words in result.message


def test_it_is_left_out_where_it_would_cost_more_than_the_fit():
    """p² n multiplications, for p = 2 · 40 · 41 / 2 + 81 parameters."""
    X = np.random.default_rng(0).normal(size=(500, 40))
    mixture = start.random_points(X, 2, np.random.default_rng(0))
    result = fit(X, mixture, tol=1.0)
    assert np.isnan(result.remaining_gain)
    assert "was not estimated" in result.message
    assert "nan" not in result.message


def test_it_is_left_out_where_entries_are_missing():
    rng = np.random.default_rng(0)
    X = datasets.old_faithful().X
    X = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    mixture = start.from_labels(np.nan_to_num(X), np.nan_to_num(X[:, 0]) > 3)
    result = fit(X, mixture, missing="marginalise")
    assert np.isnan(result.remaining_gain)
    with pytest.raises(ValueError, match="X contains NaN"):
        remaining_gain(result, X)


@covering(structure=[Full, Spherical], free=[(), ("weights",)])
def test_where_there_is_no_parameter_nothing_remains(structure, free):
    """With one component, the only weight is no parameter either."""
    X = datasets.old_faithful().X
    result = fit(X, Mixture([1.0], [[3.0, 70.0]], structure.unit(1, 2)), free=free)
    assert result.n_parameters == 0
    assert remaining_gain(result, X) == 0


@covering(
    width=[1e-6, 1e-60, 1e-308, 1e-6, 1e-60, 1e-308],
    structure=[Full, Diagonal, Spherical],
    place=[0.0, 0.1],
)
def test_before_a_component_collapses_no_end_to_its_gain_is_in_sight(structure, place, width):
    """Its next variance is 0, or by rounding below, or 0 but for samples far away: no warning."""
    X = np.random.default_rng(0).standard_normal((60, 2)) + 3
    X[:20] = place
    values = structure.unit(2, 2).values.copy()
    values[0] *= width
    result = fit(X, Mixture([0.4, 0.6], [[place] * 2, [3, 3]], structure(values)), max_iter=0)
    assert result.remaining_gain > 1e6
    assert remaining_gain(result, X) > 1e6


def test_what_is_no_fit_or_no_data_for_it_is_refused():
    X = datasets.old_faithful().X
    result = fit(X, start.from_labels(X, X[:, 1] > 68))
    with pytest.raises(TypeError, match="fit must be a Fit"):
        remaining_gain(result.mixture, X)
    with pytest.raises(ValueError, match="X must have 2 features"):
        remaining_gain(result, X[:, :1])
    with pytest.raises(ValueError, match="sample_weight must have one entry per sample"):
        remaining_gain(result, X, sample_weight=[1.0])


# ---- stacks ------------------------------------------------------------------------------------


def alone(X, weight, mixture, free):
    """Return what `remaining_gain` needs for one fit, and its answer."""
    samples = Samples(X, weight)
    statistics = sufficient_statistics(samples, mixture)
    new = maximise(statistics, mixture, frozenset(free)).mixture
    counts = statistics.counts
    gain = convergence.remaining_gain(samples, mixture, new, counts, frozenset(free))
    return new, counts, gain


def stack(structure, free, weighted=False, own_data=False, count=4, seed=0):
    """Return samples for a stack, and mixtures, next mixtures, counts and gains of its members."""
    rng = np.random.default_rng(seed)
    data = datasets.random_mixture(120, 3, 2, separation=3, rng=rng)
    X = data.X + 0.1 * rng.normal(size=(count, *data.X.shape)) if own_data else data.X
    weight = rng.exponential(size=(count, len(data.X))) if weighted else None
    mixtures, others = [], []
    for i in range(count):
        here = X[i] if own_data else X
        share = None if weight is None else weight[i]
        labels = np.where(rng.random(120) < 0.1, rng.integers(0, 3, 120), data.labels)
        begin = start.from_labels(here, labels, structure=structure)
        settings = {"free": free, "sample_weight": share, "tol": 1e-6}
        mixtures.append(fit(here, begin, **settings).mixture)
        others.append(alone(here, share, mixtures[-1], free))
    news, counts, gains = zip(*others, strict=True)
    return Samples(X, weight, n_fits=count), mixtures, list(news), np.stack(counts), np.array(gains)


def gains_of(samples, mixtures, news, counts, free):
    return convergence.remaining_gain(
        samples, Mixture.stacked(mixtures), Mixture.stacked(news), counts, frozenset(free)
    )


@every_linear
@covering(
    free=[ALL, ALL - {"weights"}, ALL - {"means"}, {"means"}, {"covariances"}, {"weights"}],
    weighted=[False, True],
    own_data=[False, False, True],
)
def test_a_stack_has_the_information_and_gains_of_its_members_alone(
    structure, free, weighted, own_data
):
    """Gains are sums of squares divided by shares of the information, of 10⁻³ and more here."""
    samples, mixtures, news, counts, wanted = stack(structure, free, weighted, own_data)
    assert np.isfinite(wanted).any()
    np.testing.assert_allclose(gains_of(samples, mixtures, news, counts, free), wanted, rtol=1e-6)
    coordinates = Coordinates(Mixture.stacked(mixtures), frozenset(free))
    found = information(samples, coordinates, counts)
    for i, mixture in enumerate(mixtures):
        X = samples.X[i] if own_data else samples.X
        one = Samples(X, samples.weight[i] if weighted else None)
        _, (observed, complete) = at(one, mixture, free)
        size = 1e-11 * one.total
        np.testing.assert_allclose(found.observed[i], observed, atol=size)
        np.testing.assert_allclose(found.complete[i], complete, atol=size)


@few_linear
def test_a_long_stack_goes_in_slices_and_in_any_order(structure):
    """A slice holds a few dozen fits of this size."""
    samples, *parts, wanted = stack(structure, ALL, weighted=True)
    order = np.random.default_rng(0).integers(0, 4, size=200)
    longer = Samples(samples.X, samples.weight[order], n_fits=200)
    mixtures, news = ([part[i] for i in order] for part in parts[:2])
    found = gains_of(longer, mixtures, news, parts[2][order], ALL)
    np.testing.assert_allclose(found, wanted[order], rtol=1e-6)


@few_linear
@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("what", ["weights", "means", "covariances", "counts"])
def test_a_degenerate_fit_has_an_infinite_gain_and_harms_no_other(structure, factor, what):
    samples, mixtures, news, counts, wanted = stack(structure, ALL)
    weights, means, covariance = mixtures[1].weights, mixtures[1].means, mixtures[1].covariance
    if what == "counts":
        counts[1, 0] *= factor
    elif what == "covariances":
        values = covariance.values.copy()
        values[0] *= factor
        covariance = covariance.unchecked(values)
    elif what == "weights":
        weights = weights * [factor, 1, 1]
    else:
        means = means * [[np.nan if factor == 0 else factor], [1], [1]]
    mixtures[1] = Mixture.unchecked(weights, means, covariance)
    found = gains_of(samples, mixtures, news, counts, ALL)
    np.testing.assert_allclose(np.delete(found, 1), np.delete(wanted, 1), rtol=1e-6)
    # A mean that is elsewhere is a proper mixture that is not near a maximum.
    assert found[1] == np.inf or (what == "means" and found[1] > 0)


@covering(free=[(), ("weights",)])
def test_in_a_stack_without_free_parameters_nothing_remains(free):
    X = datasets.old_faithful().X
    mixture = Mixture([1.0], [[3.0, 70.0]], Full.unit(1, 2))
    counts = np.full((3, 1), float(len(X)))
    found = gains_of(Samples(X), [mixture] * 3, [mixture] * 3, counts, free)
    np.testing.assert_array_equal(found, np.zeros(3))


def test_what_an_estimate_may_cost_depends_on_the_iterations_of_each_fit():
    X = np.random.default_rng(0).normal(size=(500, 40))
    mixture = start.random_points(X, 2, np.random.default_rng(0))
    samples, n_iter = Samples(X), np.array([1, 10, 100_000])
    found = can_estimate_remaining_gain(samples, mixture, ALL, n_iter)
    assert found.tolist() == [False, False, True]
    assert [can_estimate_remaining_gain(samples, mixture, ALL, n) for n in n_iter] == found.tolist()
    assert not can_estimate_remaining_gain(samples, mixture, frozenset(), n_iter).any()
