"""Laws of many fits at once: each is what `fit` alone gives, whatever else is in the stack."""

import itertools
import pickle
import re
import tracemalloc
from dataclasses import replace

import dask.array
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    BLOCKS,
    FOUR,
    STRUCTURES,
    covering,
    every_one_of_four,
    every_structure,
    some_structures,
)
from sklearn.mixture import GaussianMixture as SklearnMixture

from gmmlab import (
    DegenerateError,
    Diagonal,
    Full,
    Mixture,
    Spherical,
    Tied,
    datasets,
    diagnostics,
    engine,
    fit,
    fit_many,
    start,
)
from gmmlab.em import fit_stack
from gmmlab.engine import lockstep, passes, threads

FREE = [set(blocks) for size in (3, 2, 1, 0) for blocks in itertools.combinations(BLOCKS, size)]
# Alone and in a stack, sums have the same terms, but BLAS adds them in an order that depends on the
# shape of a product and on the place of a row in it. Each sum is off by a few ε of its terms, up to
# 10⁵ times as large as their sum where products of features are used. EM and its inner iterations
# amplify that while a fit leaves a saddle; a step of squared extrapolation divides by the
# difference of two steps, so it does so more.
PLAIN, ACCELERATED, SINGLE = 1e-10, 1e-8, 1e-3


# ---- problems and comparison -------------------------------------------------------------------


def clouds(rng, n, k, d):
    """Return samples from overlapping clusters, away from the origin."""
    return datasets.random_mixture(n, k, d, separation=rng.uniform(1, 3), rng=rng).X + 5


def starts_in(X, k, structure, count, seed=0):
    """Return random starts, which lead to fits of different lengths."""
    rngs = [np.random.default_rng([seed, number]) for number in range(count)]
    return [start.random_points(X, k, rng, structure=structure) for rng in rngs]


def alone(X, mixture, **settings):
    """Return the fit of one start, also one that degenerates."""
    try:
        return fit(X, mixture, **settings)
    except DegenerateError as error:
        return error.fit


def each_alone(X, starts, *, sample_weight=None, **settings):
    """Return the fits of all starts, one after the other, each with its own data and weights."""
    weighted = np.ndim(sample_weight) == 2
    return [
        alone(
            X[number] if np.ndim(X) == 3 else X,
            mixture,
            sample_weight=sample_weight[number] if weighted else sample_weight,
            **settings,
        )
        for number, mixture in enumerate(starts)
    ]


def words(message):
    """Return a message without the numbers that rounding may change."""
    return re.sub(r"\d+(\.\d+)?e[-+]\d+|nothing beyond rounding", "#", message)


def assert_close(one, other, tolerance):
    """Compare mixtures, in the units of their standard deviations."""
    assert type(one.covariance) is type(other.covariance)
    np.testing.assert_allclose(one.weights, other.weights, atol=tolerance)
    size = other.covariances.max()
    np.testing.assert_allclose(one.means, other.means, rtol=0, atol=tolerance * np.sqrt(size))
    np.testing.assert_allclose(
        one.covariance.values, other.covariance.values, rtol=0, atol=tolerance * size
    )


def assert_same_fit(one, other, tolerance=PLAIN):
    """Compare everything that a fit says with the same fit elsewhere."""
    assert one.status == other.status
    assert one.free == other.free
    # Where a gain is within rounding of the tolerance, rounding decides.
    assert abs(one.n_iter - other.n_iter) <= 1
    assert one.n_samples == pytest.approx(other.n_samples, rel=1e-12)
    size = abs(other.log_likelihood) + other.n_samples * one.mixture.n_features
    # A variance is known to ε of the largest: in a collapse, ever fewer digits of it are right.
    smallest = other.trace["smallest_eigenvalue"]
    lost = np.maximum(1, 1e-5 * smallest.max() / smallest)
    slack = tolerance * size * lost.max()
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=slack)
    if one.n_iter == other.n_iter:
        assert words(one.message) == words(other.message)
        assert_close(one.mixture, other.mixture, tolerance * lost.max())
        assert_same_trace(one.trace, other.trace, tolerance * lost, size)
        # From a gradient that is nearly 0, so it has fewer digits.
        assert one.remaining_gain == pytest.approx(
            other.remaining_gain, rel=max(1e-3, 10 * tolerance), abs=1e-10 * size, nan_ok=True
        )


def assert_same_trace(one, other, tolerance, size):
    """Compare the columns of two traces, each row with a tolerance of its own."""
    assert list(one) == list(other)
    for name in ("iteration", "event"):
        np.testing.assert_array_equal(one[name], other[name])
    sizes = dict.fromkeys(
        ("log_likelihood", "elbo_e_step", "elbo_m_step", "expected_log_joint", "entropy"), size
    ) | {"smallest_weight": 1, "smallest_eigenvalue": other["smallest_eigenvalue"].max()}
    assert {*sizes, "iteration", "event"} == {*one}
    for name, unit in sizes.items():
        np.testing.assert_array_equal(np.isnan(one[name]), np.isnan(other[name]))
        difference = np.nan_to_num(np.abs(one[name] - other[name]))
        np.testing.assert_array_less(difference, tolerance * unit + 1e-300, err_msg=name)


def bits(result):
    columns = (result.trace[name] for name in result.trace if name != "event")
    return result.mixture.to_json(), result.message, *(column.tobytes() for column in columns)


# ---- a stack against each of its members alone -------------------------------------------------


def with_holes(X, rng):
    return np.where(rng.random(X.shape) < 0.15, np.nan, X)


def shared(X, rng, count):
    del rng, count
    return X, None


def shared_weights(X, rng, count):
    del count
    return X, rng.exponential(size=len(X))


def own_weights(X, rng, count):
    return X, rng.multinomial(len(X), np.full(len(X), 1 / len(X)), size=count)


def own_data(X, rng, count):
    return X[rng.integers(len(X), size=(count, len(X)))], None


def own_data_and_weights(X, rng, count):
    return own_data(X, rng, count)[0], rng.exponential(size=(count, len(X)))


#: What the fits share, and the settings of all of them.
CASES = {
    "plain": (shared, {}),
    "weights": (shared_weights, {}),
    "weights per fit": (own_weights, {}),
    "data per fit": (own_data, {}),
    "data and weights per fit": (own_data_and_weights, {}),
    "data per fit, shared weights": (
        lambda X, rng, count: (own_data(X, rng, count)[0], rng.exponential(size=len(X))),
        {"accelerate": True},
    ),
    "missing entries": (shared, {"missing": "marginalise"}),
    "missing entries, weights per fit": (own_weights, {"missing": "marginalise"}),
    "missing entries, data per fit": (own_data, {"missing": "marginalise"}),
    "missing entries, data and weights per fit": (
        own_data_and_weights,
        {"missing": "marginalise", "degenerate": "floor"},
    ),
    "missing entries, acceleration": (
        shared_weights,
        {"missing": "marginalise", "accelerate": True},
    ),
    "a floor": (shared, {"floor": 1.5}),
    "a floor, data per fit": (own_data, {"floor": 1.5, "accelerate": True}),
    "floors from data per fit": (own_data, {"degenerate": "floor"}),
    "floors from weights per fit": (own_weights, {"degenerate": "floor", "accelerate": True}),
    "a ridge": (shared, {"ridge": 0.3}),
    "a ridge, weights per fit": (own_weights, {"ridge": 0.3, "extra_step": True}),
    "acceleration": (shared, {"accelerate": True}),
    "acceleration, weights per fit": (own_weights, {"accelerate": True}),
    "an extra step": (shared, {"extra_step": True}),
    "few iterations": (shared, {"max_iter": 4}),
    "single precision": (shared, {"dtype": np.float32}),
    # A component with few samples is flat, and its smallest variance loses more digits.
    "single precision, weights per fit": (own_weights, {"dtype": np.float32, "floor": 0.1}),
    "single precision, data per fit": (own_data, {"dtype": np.float32}),
}
SIZES = [(3, 2), (2, 3), (4, 1), (2, 2), (1, 3)]


@pytest.mark.parametrize("place", range(len(STRUCTURES)), ids=[s.__name__ for s in STRUCTURES])
@pytest.mark.parametrize("case", CASES)
def test_each_fit_of_a_stack_is_the_fit_alone(case, place):
    """Each structure with each case; free blocks and sizes cycle, so all pairs of them occur."""
    row = list(CASES).index(case)
    free, (k, d) = FREE[(row + place) % len(FREE)], SIZES[(2 * row + place) % len(SIZES)]
    make, settings = CASES[case]
    rng = np.random.default_rng([row, place])
    X = clouds(rng, 70, k, d)
    starts = starts_in(X, k, STRUCTURES[place], 3)
    if "missing" in settings:
        X = with_holes(X, rng)
    X, weight = make(X, rng, len(starts))
    settings = {"tol": 1e-4, "max_iter": 20, "free": free} | settings
    X = X.astype(settings.pop("dtype", float))
    tolerance = ACCELERATED if settings.get("accelerate") else PLAIN
    tolerance = SINGLE if X.dtype == np.float32 else tolerance
    many = fit_many(X, starts, sample_weight=weight, **settings)
    wanted = each_alone(X, starts, sample_weight=weight, **settings)
    for one, other in zip(many, wanted, strict=True):
        assert_same_fit(one, other, tolerance)


@given(
    seed=st.integers(0, 2**32 - 1),
    structure=st.sampled_from(STRUCTURES),
    k=st.integers(1, 4),
    d=st.integers(1, 4),
    n_fits=st.integers(1, 6),
    free=st.sampled_from(FREE),
    case=st.sampled_from(list(CASES)),
)
def test_random_stacks_are_their_members_alone(seed, structure, k, d, n_fits, free, case):
    """Few steps from random starts, some of which degenerate."""
    make, settings = CASES[case]
    rng = np.random.default_rng(seed)
    X = clouds(rng, 60, k, d)
    starts = starts_in(X, k, structure, n_fits, seed)
    X = with_holes(X, rng) if "missing" in settings else X
    X, weight = make(X, rng, n_fits)
    settings = settings | {"tol": 0, "max_iter": 6, "free": free}
    tolerance = SINGLE if settings.pop("dtype", None) else PLAIN
    X = X.astype(np.float32) if tolerance == SINGLE else X
    many = fit_many(X, starts, sample_weight=weight, **settings)
    wanted = each_alone(X, starts, sample_weight=weight, **settings)
    for one, other in zip(many, wanted, strict=True):
        assert_same_fit(one, other, tolerance)


@every_structure
def test_a_stack_of_one_has_the_bits_of_fit(structure):
    X = clouds(np.random.default_rng(0), 90, 3, 2)
    [mixture] = starts_in(X, 3, structure, 1)
    for settings in ({}, {"accelerate": True}, {"max_iter": 0}, {"degenerate": "floor"}):
        [one] = fit_many(X, [mixture], **settings)
        assert bits(one) == bits(fit(X, mixture, **settings))


def test_starts_of_any_structure_and_size_go_in_one_call():
    """In the order of the starts, each with its own weights."""
    rng = np.random.default_rng(0)
    X = clouds(rng, 90, 3, 2)
    starts = [
        start.random_points(X, k, rng, structure=structure)
        for k, structure in itertools.product((2, 1, 3), STRUCTURES)
    ]
    starts = [starts[place] for place in rng.permutation(len(starts))]
    weight = rng.multinomial(90, np.full(90, 1 / 90), size=len(starts))
    settings = {"max_iter": 15, "tol": 1e-5, "degenerate": "floor"}
    for data, share in ((X, None), (X, weight), (own_data(X, rng, len(starts))[0], weight)):
        many = fit_many(data, (each for each in starts), sample_weight=share, **settings)
        wanted = each_alone(data, starts, sample_weight=share, **settings)
        for one, other in zip(many, wanted, strict=True):
            assert_same_fit(one, other)


# ---- order, and the same fit twice -------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    structure=st.sampled_from(STRUCTURES),
    case=st.sampled_from(list(CASES)),
    order=st.permutations(range(5)),
)
def test_permuting_the_stack_permutes_the_answers(seed, structure, case, order):
    make, settings = CASES[case]
    rng = np.random.default_rng(seed)
    X = clouds(rng, 60, 3, 2)
    starts = starts_in(X, 3, structure, 5, seed)
    X = with_holes(X, rng) if "missing" in settings else X
    X, weight = make(X, rng, 5)
    settings = {"tol": 1e-5, "max_iter": 12} | settings
    single = settings.pop("dtype", None) is not None
    X = X.astype(np.float32) if single else X
    tolerance = SINGLE if single else ACCELERATED if settings.get("accelerate") else PLAIN
    many = fit_many(X, starts, sample_weight=weight, **settings)
    again = fit_many(
        X[order] if X.ndim == 3 else X,
        [starts[place] for place in order],
        sample_weight=weight[order] if np.ndim(weight) == 2 else weight,
        **settings,
    )
    for one, place in zip(again, order, strict=True):
        assert_same_fit(one, many[place], tolerance)


@every_structure
def test_the_same_call_gives_the_same_bits_and_the_same_fit_in_it_the_same_numbers(structure):
    """Not the same bits: the place of a row in a product decides in which order BLAS adds it."""
    X = clouds(np.random.default_rng(0), 90, 3, 2)
    one, other, third = starts_in(X, 3, structure, 3)
    starts = [one, other, one, third, one]
    many = fit_many(X, starts)
    assert [bits(each) for each in many] == [bits(each) for each in fit_many(X, starts)]
    assert_same_fit(many[2], many[0])
    assert_same_fit(many[4], many[0])


# ---- a degenerate fit harms no other -----------------------------------------------------------


def on_one_sample(X, good):
    """Return a start with a component that collapses onto a sample."""
    values = good.covariance.unit(good.n_components, good.n_features).values.copy()
    values[-1] *= 1e-4
    means = np.vstack([good.means[:-1], X[:1]])
    return Mixture(good.weights, means, type(good.covariance)(values))


def far_away(X, good):
    """Return a start with a component that no sample belongs to."""
    del X
    means = np.vstack([good.means[:-1], [[1e4, 1e4]]])
    return Mixture(good.weights, means, good.covariance)


@covering(
    structure=[Full, Diagonal, Spherical, *STRUCTURES],
    place=[0, 2, 3],
    degenerate=["raise", "floor"],
    accelerate=[False, True, False],
    bad=[on_one_sample, far_away],
)
def test_a_bad_start_harms_no_other(structure, place, degenerate, accelerate, bad):
    rng = np.random.default_rng(0)
    X = clouds(rng, 90, 3, 2)
    starts = starts_in(X, 3, structure, 4)
    if bad is on_one_sample and structure.model[0] == "E":  # all volumes are equal
        bad = far_away
    starts[place] = bad(X, starts[place])
    settings = {"degenerate": degenerate, "accelerate": accelerate, "max_iter": 60}
    many, wanted = fit_many(X, starts, **settings), each_alone(X, starts, **settings)
    assert many[place].status == "degenerate" or degenerate == "floor"
    for one, other in zip(many, wanted, strict=True):
        assert_same_fit(one, other, ACCELERATED if accelerate else PLAIN)


@every_structure
def test_two_bad_starts_of_different_kinds_harm_no_other(structure):
    """Some components collapse or empty at once, others after several steps."""
    X = clouds(np.random.default_rng(0), 60, 3, 2)
    X[:6] = X[0] + 1e-9 * np.arange(12).reshape(6, 2)  # a cluster to collapse onto
    starts = starts_in(X, 3, structure, 8)
    starts[1], starts[5] = far_away(X, starts[1]), far_away(X, starts[5])
    many, wanted = fit_many(X, starts, tol=1e-4), each_alone(X, starts, tol=1e-4)
    assert sum(each.status == "degenerate" for each in many) >= 2
    for one, other in zip(many, wanted, strict=True):
        assert_same_fit(one, other)


@pytest.mark.parametrize(("structure", "max_iter"), [(Full, 18), (Diagonal, 23), (Diagonal, 24)])
def test_fits_may_degenerate_and_run_out_in_the_same_iteration(structure, max_iter):
    """By a rejected extrapolation, so that neither has the point of this iteration."""
    X = clouds(np.random.default_rng(5), 24, 3, 2)
    starts = starts_in(X, 3, structure, 24, 5)
    settings = {"accelerate": True, "max_iter": max_iter, "tol": 1e-9}
    many, wanted = fit_many(X, starts, **settings), each_alone(X, starts, **settings)
    assert {one.status for one in many} >= {"degenerate", "max_iter"}
    for one, other in zip(many, wanted, strict=True):
        assert_same_fit(one, other, ACCELERATED)


SINGULAR = {
    "constant": lambda X: np.column_stack([X[:, 0], np.full(len(X), 7.0)]),
    "collinear": lambda X: X[:, [0, 0]],
    "one point": lambda X: np.broadcast_to(X[:1], X.shape),
    "huge": lambda X: X * 1e120,
}


@covering(structure=STRUCTURES, kind=list(SINGULAR), place=[0, 1, 2])
def test_singular_data_of_one_fit_harm_no_other(structure, kind, place):
    """Alone, a start for such data is refused; in a stack, the fit is degenerate."""
    rng = np.random.default_rng(0)
    X = clouds(rng, 60, 2, 2)
    starts, data = starts_in(X, 2, structure, 3), own_data(X, rng, 3)[0]
    good = [number for number in range(3) if number != place]
    wanted = each_alone(data[good], [starts[number] for number in good], max_iter=30)
    data[place] = SINGULAR[kind](X)
    many = fit_many(data, starts, max_iter=30)
    for number, other in zip(good, wanted, strict=True):
        assert_same_fit(many[number], other)
    with_correlations = structure.model[2] != "I"
    if kind == "constant" or kind == "one point" or (kind == "collinear" and with_correlations):
        assert many[place].status == "degenerate"
        assert many[place].mixture == starts[place]
        with pytest.raises(ValueError, match=r"X (is constant|must span)"):
            fit(data[place], starts[place])
    settings = {"max_iter": 30, "degenerate": "floor"}
    floored, wanted = fit_many(data, starts, **settings), each_alone(data, starts, **settings)
    for one, other in zip(floored, wanted, strict=True):
        assert_same_fit(one, other)


@every_structure
def test_weights_that_leave_one_fit_too_few_samples_harm_no_other(structure):
    """One sample is a constant, and two are collinear."""
    rng = np.random.default_rng(0)
    X = clouds(rng, 60, 2, 2)
    starts, weight = starts_in(X, 2, structure, 4), rng.exponential(size=(4, 60))
    wanted = each_alone(X, starts, sample_weight=weight, max_iter=30)
    weight[0], weight[2] = np.arange(60) == 3, np.arange(60) < 2
    many = fit_many(X, starts, sample_weight=weight, max_iter=30)
    assert many[0].status == many[2].status == "degenerate"
    for number in (1, 3):
        assert_same_fit(many[number], wanted[number])


@every_one_of_four
def test_data_that_are_constant_for_all_fits_make_all_of_them_degenerate(structure):
    """Also where no weight is 0, so that the fits could share the ranges of the features."""
    X = clouds(np.random.default_rng(0), 60, 2, 2) * [1, 0]
    weight = np.random.default_rng(0).exponential(size=(3, 60))
    mixtures = [start.from_labels(X, np.arange(60) % 2, structure=structure)] * 3
    many = fit_many(X, mixtures, sample_weight=weight)
    assert [each.status for each in many] == ["degenerate"] * 3
    with pytest.raises(ValueError, match="X is constant in feature 1"):
        fit_many(X, mixtures)


# ---- weights -----------------------------------------------------------------------------------


@covering(structure=STRUCTURES, degenerate=["raise", "floor"])
def test_integer_weights_of_each_fit_are_repeated_rows(structure, degenerate):
    """Replicates of a bootstrap, by weights and by rows."""
    rng = np.random.default_rng(0)
    X = clouds(rng, 90, 2, 2)
    starts = starts_in(X, 2, structure, 4)
    weight = rng.multinomial(90, np.full(90, 1 / 90), size=4)
    settings = {"max_iter": 20, "tol": 1e-5, "degenerate": degenerate}
    many = fit_many(X, starts, sample_weight=weight, **settings)
    for one, mixture, row in zip(many, starts, weight, strict=True):
        assert_same_fit(one, alone(np.repeat(X, row, axis=0), mixture, **settings))


@covering(structure=STRUCTURES, degenerate=["raise", "floor"])
def test_folds_by_weights_of_0_and_1_are_folds_by_rows(structure, degenerate):
    rng = np.random.default_rng(0)
    X = clouds(rng, 90, 2, 3)
    X[np.arange(90) % 4 == 1] += 50  # the folds differ in their range
    starts, folds = starts_in(X, 2, structure, 4), np.arange(90) % 4
    kept = folds != np.arange(4)[:, None]
    settings = {"max_iter": 20, "tol": 1e-5, "degenerate": degenerate}
    many = fit_many(X, starts, sample_weight=kept, **settings)
    for one, mixture, mine in zip(many, starts, kept, strict=True):
        assert_same_fit(one, alone(X[mine], mixture, **settings))


@some_structures
def test_the_scale_of_the_weights_of_each_fit_does_not_matter(structure):
    """`tol` is a gain per sample, of each fit's own sum of weights."""
    rng = np.random.default_rng(0)
    X, weight = clouds(rng, 90, 2, 2), rng.exponential(size=90)
    [mixture] = starts_in(X, 2, structure, 1)
    scales = np.array([1.0, 1e-3, 1e6, 1e30])
    many = fit_many(X, [mixture] * 4, sample_weight=scales[:, None] * weight)
    for one, scale in zip(many, scales, strict=True):
        assert one.status == many[0].status
        assert one.n_iter == many[0].n_iter
        assert_close(one.mixture, many[0].mixture, PLAIN)
        assert one.log_likelihood == pytest.approx(scale * many[0].log_likelihood, rel=1e-9)


# ---- every form of a pass ----------------------------------------------------------------------


@covering(structure=STRUCTURES, case=["plain", "weights per fit", "data per fit"])
def test_fits_that_need_whitened_residuals_may_stand_beside_others(structure, case):
    """Narrow components, and means so far away that the first step loses its digits."""
    rng = np.random.default_rng(0)
    X = clouds(rng, 90, 2, 2)
    starts = starts_in(X, 2, structure, 5)
    narrow = structure(1e-7 * starts[1].covariance.values)
    starts[1] = Mixture(starts[1].weights, starts[1].means, narrow)
    far = np.array([[-1e5, 0.0], [-1e5, 1.0]])
    wide = structure(1e7 * starts[3].covariance.unit(2, 2).values)
    starts[3] = Mixture(starts[3].weights, far, wide)
    X, weight = CASES[case][0](X, rng, 5)
    settings = {"max_iter": 8, "tol": 0, "degenerate": "floor"}
    many = fit_many(X, starts, sample_weight=weight, **settings)
    wanted = each_alone(X, starts, sample_weight=weight, **settings)
    for one, other in zip(many, wanted, strict=True):
        assert_same_fit(one, other, 1e-8)  # 10⁵ deviations away: squares lose ten digits


@covering(structure=FOUR, d=[28, 40])
def test_wide_data_are_fitted_in_a_stack_too(structure, d):
    """From 28 features on, products of correlated features are too many; from 32, not copied."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, d)) + 2 * (np.arange(120) % 2)[:, None]
    labels = [(np.arange(120) + (rng.random(120) < 0.2)) % 2 for _ in range(3)]
    starts = [start.from_labels(X, each, structure=structure) for each in labels]
    for data, weight in ((X, None), own_weights(X, rng, 3), own_data(X, rng, 3)):
        settings = {"max_iter": 3, "tol": 0, "floor": 0.1}
        many = fit_many(data, starts, sample_weight=weight, **settings)
        wanted = each_alone(data, starts, sample_weight=weight, **settings)
        for one, other in zip(many, wanted, strict=True):
            assert_same_fit(one, other)


@covering(case=["plain", "weights per fit", "data per fit"], structure=[Full, Diagonal, Tied])
def test_more_samples_than_a_chunk_holds_are_added_up_for_each_fit(case, structure):
    rng = np.random.default_rng(0)
    X = clouds(rng, 40_000, 2, 2)
    starts = starts_in(X, 2, structure, 3)
    X, weight = CASES[case][0](X, rng, 3)
    many = fit_many(X, starts, sample_weight=weight, max_iter=3, tol=0)
    wanted = each_alone(X, starts, sample_weight=weight, max_iter=3, tol=0)
    for one, other in zip(many, wanted, strict=True):
        assert_same_fit(one, other)


def test_dask_arrays_are_fitted_in_a_stack():
    X = clouds(np.random.default_rng(0), 200, 2, 2)
    starts, blocks = starts_in(X, 2, Full, 3), dask.array.from_array(X, chunks=(70, 2))
    for weight in (None, np.random.default_rng(0).exponential(size=200)):
        many = fit_many(blocks, starts, sample_weight=weight, max_iter=5, tol=0)
        for one, other in zip(
            many, each_alone(X, starts, sample_weight=weight, max_iter=5, tol=0), strict=True
        ):
            assert_same_fit(one, other)


# ---- short runs that the next ones start from ---------------------------------------------------


def options(X, starts, weight=None, **settings):
    """Return the options of a stack, as `fit_many` makes them."""
    samples = engine.Samples(X, weight, n_fits=len(starts))
    known = {
        "free": BLOCKS, "tol": 1e-6, "max_iter": 20, "floor": None, "degenerate": "raise",
        "ridge": 0.0, "accelerate": False, "extra_step": False,
    }  # fmt: skip
    return engine.Options.checked(samples, starts, name="starts", **(known | settings))


@every_structure
def test_a_fit_without_the_remaining_gain_is_the_same_otherwise(structure):
    X = clouds(np.random.default_rng(0), 70, 2, 2)
    whole = options(X, starts_in(X, 2, structure, 4))
    short = fit_stack(replace(whole, remaining_gain=False))
    for one, other in zip(short, fit_stack(whole), strict=True):
        assert np.isnan(one.remaining_gain)
        assert bits(one)[0] == bits(other)[0]
        assert bits(one)[2:] == bits(other)[2:]


def test_a_trace_ends_with_its_fit_although_the_stack_goes_on():
    """Fits that have ended stay in a large stack until there are some."""
    rng = np.random.default_rng(0)
    fits = fit_many(GOOD, [start.random_points(GOOD, 3, rng) for _ in range(24)], tol=1e-5)
    assert len({one.n_iter for one in fits}) > 8
    for one in fits:
        np.testing.assert_array_equal(one.trace["iteration"], np.arange(one.n_iter + 1))
        assert one.trace["log_likelihood"][-1] == one.log_likelihood


def test_a_short_run_is_no_longer_and_no_finer_than_the_whole_run():
    whole = options(GOOD, starts_in(GOOD, 2, Full, 2), tol=1e-4, max_iter=10)
    for most, tol, expected in ((5, 1e-6, (5, 1e-4)), (20, 1e-2, (10, 1e-2))):
        short = whole.short(most, tol)
        assert (short.max_iter, short.tol) == expected
        assert short.rough
        assert not short.remaining_gain


def test_a_cut_keeps_the_fits_that_are_best_at_that_moment():
    """The others stop where they are, and those that go on do not change."""
    rng = np.random.default_rng(0)
    starts = [start.random_points(GOOD, 3, rng) for _ in range(6)]
    whole = options(GOOD, starts, tol=0, accelerate=False)
    early, late = (fit_stack(replace(whole, max_iter=passes)) for passes in (3, 9))
    cut = fit_stack(replace(whole, max_iter=9, cuts={3: 2}))
    kept = np.argsort([one.log_likelihood for one in early])[-2:]
    for number, found in enumerate(cut):
        wanted = (late if number in kept else early)[number]
        assert len(found.trace["iteration"]) == wanted.trace["iteration"][-1] + 1
        assert found.log_likelihood == pytest.approx(wanted.log_likelihood, rel=1e-12)


@every_structure
def test_a_rough_fit_is_right_to_half_of_the_digits(structure):
    """Inner iterations are cut short, but no step lowers the log-likelihood by more than that."""
    X = clouds(np.random.default_rng(0), 70, 2, 2)
    starts, weight = starts_in(X, 2, structure, 6), own_weights(X, np.random.default_rng(1), 6)[1]
    whole = options(X, starts, weight, max_iter=10, tol=0)
    rough = fit_stack(replace(whole, rough=True))
    for one, other, mine in zip(rough, fit_stack(whole), weight, strict=True):
        values = one.trace["log_likelihood"]
        assert one.status in ("max_iter", "degenerate", "converged")
        assert np.diff(values).min(initial=0) >= -1e-7 * abs(values).max()
        assert one.log_likelihood == pytest.approx(mine @ one.mixture.log_prob(X), rel=1e-7)
        if not structure.curved:
            assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-7)
            assert_close(one.mixture, other.mixture, 1e-6)


# ---- slices and threads ------------------------------------------------------------------------


@pytest.fixture
def slices(monkeypatch):
    """Return a list that the number of slices of each pass is added to."""
    counts = []

    def parallel_map(function, items):
        counts.append(len(items))
        return threads.parallel_map(function, items)

    monkeypatch.setattr(passes, "parallel_map", parallel_map)
    return counts


def large(case, structure=Full):
    """Return a stack that is cut into several slices, with fits of either form."""
    make, settings = CASES[case]
    rng = np.random.default_rng(0)
    X = clouds(rng, 400, 2, 2)
    starts = starts_in(X, 2, structure, 200)
    for number in (20, 190):
        narrow = structure(1e-7 * starts[number].covariance.values)
        starts[number] = Mixture(starts[number].weights, starts[number].means, narrow)
    X = with_holes(X, rng) if "missing" in settings else X
    X, weight = make(X, rng, 200)
    settings = settings | {"sample_weight": weight, "max_iter": 4, "tol": 0, "floor": 0.01}
    return X.astype(settings.pop("dtype", float)), starts, settings


several = covering(
    case=["plain", "weights per fit", "data per fit", "missing entries, weights per fit"],
    structure=[Full, Diagonal, Tied],
)


@several
def test_fits_of_a_stack_that_is_cut_into_slices_are_fits_alone(case, structure, slices):
    X, starts, settings = large(case, structure)
    many = fit_many(X, starts, **settings)
    assert max(slices) >= 3
    weight, places = settings.pop("sample_weight"), [0, 20, 99, 100, 190, 199]
    wanted = each_alone(
        X[places] if X.ndim == 3 else X,
        [starts[place] for place in places],
        sample_weight=weight[places] if np.ndim(weight) == 2 else weight,
        **settings,
    )
    for place, other in zip(places, wanted, strict=True):
        assert_same_fit(many[place], other)


@several
def test_the_bits_of_a_stack_do_not_depend_on_the_number_of_threads(
    case, structure, slices, monkeypatch
):
    X, starts, settings = large(case, structure)
    ends = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "n_threads", lambda count=count: count)
        ends.append([bits(each) for each in fit_many(X, starts, **settings)])
    assert max(slices) >= 3
    assert ends[0] == ends[1] == ends[2]


@covering(structure=STRUCTURES, case=list(CASES)[::3])
def test_slices_of_any_size_give_the_same_numbers(structure, case, monkeypatch):
    make, settings = CASES[case]
    rng = np.random.default_rng(0)
    X = clouds(rng, 60, 3, 2)
    starts = starts_in(X, 3, structure, 7)
    X = with_holes(X, rng) if "missing" in settings else X
    X, weight = make(X, rng, 7)
    settings = settings | {"max_iter": 6, "tol": 0}
    single = settings.pop("dtype", None) is not None
    X = X.astype(np.float32) if single else X
    whole = fit_many(X, starts, sample_weight=weight, **settings)
    for entries in (1, 1000):  # one fit, a few fits
        monkeypatch.setattr(passes, "_SLICE_ENTRIES", entries)
        cut = fit_many(X, starts, sample_weight=weight, **settings)
        for one, other in zip(cut, whole, strict=True):
            assert_same_fit(one, other, SINGLE if single else PLAIN)


def test_the_memory_of_a_pass_does_not_grow_with_the_stack():
    """Responsibilities of all fits at once would take 38 MB."""
    X = clouds(np.random.default_rng(0), 4000, 3, 2)
    starts = starts_in(X, 3, Full, 1) * 400
    fit_many(X, starts[:2], max_iter=1)  # what is loaded and cached only once
    tracemalloc.start()
    try:
        fit_many(X, starts, max_iter=2, tol=0)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


# ---- the result --------------------------------------------------------------------------------


def test_a_fit_of_a_stack_is_pickled_without_the_others():
    X = clouds(np.random.default_rng(0), 90, 3, 2)
    starts = starts_in(X, 3, Full, 50)
    one = fit_many(X, starts)[7]
    text = pickle.dumps(one)
    assert bits(pickle.loads(text)) == bits(one)
    assert len(text) < 1.5 * len(pickle.dumps(fit(X, starts[7])))


def test_the_results_of_a_stack_are_read_only_and_independent():
    X = clouds(np.random.default_rng(0), 90, 2, 2)
    many = fit_many(X, starts_in(X, 2, Full, 3))
    for one in many:
        for array in (one.mixture.weights, one.mixture.means, one.mixture.covariance.values):
            assert not array.flags.writeable
        assert not one.trace["log_likelihood"].flags.writeable
        again = Mixture(  # with all checks
            one.mixture.weights, one.mixture.means, Full(one.mixture.covariance.values)
        )
        assert again == one.mixture
        assert one.log_likelihood == pytest.approx(again.log_prob(X).sum(), rel=1e-12)


def test_an_empty_list_of_starts_gives_an_empty_list_of_fits():
    """As of every function that maps a list: callers filter their starts."""
    X = clouds(np.random.default_rng(0), 20, 2, 2)
    assert fit_many(X, []) == []
    assert fit_many(X, iter(()), sample_weight=np.ones((0, 20))) == []
    with pytest.raises(TypeError, match="X must be an array of real numbers"):
        fit_many("data", [])


# ---- oracles -----------------------------------------------------------------------------------


@every_one_of_four
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_many_steps_from_the_same_starts_are_those_of_scikit_learn(structure):
    X = datasets.iris().X
    names = {Full: "full", Tied: "tied", Diagonal: "diag", Spherical: "spherical"}
    starts = [
        start.from_labels(X, np.random.default_rng(seed).integers(3, size=150), structure=structure)
        for seed in range(5)
    ]
    many = fit_many(X, starts, tol=0, max_iter=30)
    for ours, mixture in zip(many, starts, strict=True):
        values = mixture.covariance.values
        diagonal = structure in (Diagonal, Spherical)
        theirs = SklearnMixture(
            3,
            covariance_type=names[structure],
            tol=0,
            reg_covar=0,
            max_iter=30,
            weights_init=mixture.weights,
            means_init=mixture.means,
            precisions_init=1 / values if diagonal else np.linalg.inv(values),
            init_params="random_from_data",
        ).fit(X)
        np.testing.assert_allclose(ours.mixture.weights, theirs.weights_, rtol=1e-8)
        np.testing.assert_allclose(ours.mixture.means, theirs.means_, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(
            ours.mixture.covariance.values, theirs.covariances_, rtol=1e-7, atol=1e-8
        )
        assert ours.mean_log_likelihood == pytest.approx(theirs.score(X), rel=1e-10)


def test_one_component_in_each_fit_is_the_mean_and_covariance_of_its_replicate():
    rng = np.random.default_rng(0)
    X = clouds(rng, 90, 2, 3)
    weight = rng.multinomial(90, np.full(90, 1 / 90), size=30)
    unit = Mixture([1.0], X.mean(axis=0)[None], Full(np.eye(3)[None]))
    for one, row in zip(fit_many(X, [unit] * 30, sample_weight=weight), weight, strict=True):
        rows = np.repeat(X, row, axis=0)
        np.testing.assert_allclose(one.mixture.means[0], rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(
            one.mixture.covariances[0], np.cov(rows.T, ddof=0), rtol=1e-9, atol=1e-10
        )
        assert one.converged


@covering(structure=STRUCTURES, accelerate=[False, True])
def test_a_fit_that_falls_returns_the_parameters_before_the_fall(
    structure, accelerate, monkeypatch
):
    """If no fall is rounding, fits that go on at their maximum end so, each at its own time."""
    monkeypatch.setattr(lockstep, "log_likelihood_rounding", lambda *known: 0 * known[2])
    X = clouds(np.random.default_rng(0), 90, 2, 2)
    starts = starts_in(X, 2, structure, 6)
    many = fit_many(X, starts, tol=0, max_iter=400, accelerate=accelerate)
    fallen = [each for each in many if each.status == "not_increasing"]
    assert len(fallen) >= 1
    for one in fallen:
        values = one.trace["log_likelihood"]
        assert one.log_likelihood == values[-2] > values[-1]
        assert (np.diff(values[:-1]) >= 0).all()
        assert one.n_iter == one.trace["iteration"][-1]
        assert f"fell by {values[-2] - values[-1]:.1e} at iteration {one.n_iter}," in one.message
        assert one.mixture.weights.min() == one.trace["smallest_weight"][-2]
        assert one.mixture.log_prob(X).sum() == pytest.approx(values[-2], rel=1e-12)


def test_each_message_names_the_components_that_the_ridge_holds_up_in_its_fit():
    """The fits converge together, but their components have other numbers."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(40, 2)), 9 + 1e-3 * rng.normal(size=(40, 2))])
    one = start.from_labels(X, np.arange(80) // 40)
    starts = [one, one.take([1, 0]), one]
    many = fit_many(X, starts, ridge=0.1)
    for each, held in zip(many, (1, 0, 1), strict=True):
        assert each.n_iter == many[0].n_iter
        assert f"held up by the ridge: component {held};" in each.message
        assert each.trace["event"][-1] == f"held up by the ridge: component {held}"


@every_structure
def test_no_log_likelihood_of_a_stack_ever_falls(structure):
    rng = np.random.default_rng(0)
    X = clouds(rng, 90, 3, 2)
    starts, weight = starts_in(X, 3, structure, 12), own_weights(X, rng, 12)[1]
    settings = {"sample_weight": weight, "tol": 1e-8, "max_iter": 60}
    for accelerate in (False, True):
        for one in fit_many(X, starts, accelerate=accelerate, **settings):
            assert not diagnostics.falls(one)
            assert one.status != "not_increasing"


# ---- errors ------------------------------------------------------------------------------------

GOOD = clouds(np.random.default_rng(0), 60, 2, 2)
STARTS = starts_in(GOOD, 2, Full, 3)
OTHER = start.random_points(GOOD[:, :1], 2, np.random.default_rng(0))
SPOILT = np.where(np.arange(360).reshape(3, 60, 2) == 200, np.nan, np.stack([GOOD] * 3))
NEGATIVE = np.where(np.arange(180).reshape(3, 60) == 70, -1.0, 1.0)
NOTHING = np.repeat([[1.0], [0.0], [1.0]], 60, axis=1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"starts": STARTS[0]}, TypeError, "starts must be an iterable of Mixture; got Mixture"),
        ({"starts": None}, TypeError, "starts must be an iterable of Mixture; got NoneType"),
        ({"starts": [STARTS[0], GOOD]}, TypeError, "starts must .*Mixture.*; got ndarray"),
        ({"starts": [*STARTS, OTHER]}, ValueError, r"starts must have as many features as X \(2\)"),
        ({"X": GOOD[:1]}, ValueError, "X must have at least as many samples as starts"),
        ({"X": np.stack([GOOD] * 4)}, ValueError, r"X must have one .*3 starts.*\(4, 60, 2\)"),
        ({"X": np.stack([[GOOD]] * 3)}, ValueError, r"X must have .*\(3, 1, 60, 2\)"),
        ({"X": SPOILT}, ValueError, "X contains NaN"),
        ({"sample_weight": np.ones((4, 60))}, ValueError, r"sample_weight .*3 starts.*\(4, 60\)"),
        ({"sample_weight": np.ones((3, 59))}, ValueError, r"sample_weight must .*\(3, 59\)"),
        ({"sample_weight": NEGATIVE}, ValueError, "sample_weight must be non-negative.*-1"),
        ({"sample_weight": NOTHING}, ValueError, "sample_weight must be .*not all zero"),
        ({"degenerate": "restart"}, ValueError, "degenerate must be .*'raise'.*'floor'.*'restart'"),
        ({"degenerate": "ignore"}, ValueError, "degenerate must be .*'raise'.*'floor'.*'ignore'"),
        ({"floor": [1.0, 2.0, 3.0]}, ValueError, "floor must be one number, or one per feature"),
        ({"tol": -1}, ValueError, "tol must be a finite number >= 0.*-1"),
        ({"max_iter": 2.5}, TypeError, "max_iter must be an integer; got 2.5"),
        ({"free": "means"}, TypeError, "free must be a collection"),
        ({"ridge": -1.0}, ValueError, "ridge must be a finite number >= 0.*-1"),
        ({"accelerate": "yes"}, TypeError, "accelerate must be True or False; got 'yes'"),
        ({"extra_step": "yes"}, TypeError, "extra_step must be True or False; got 'yes'"),
        ({"missing": "drop"}, ValueError, "missing must be one of.*'drop'"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        fit_many(**({"X": GOOD, "starts": STARTS} | arguments))


def test_weights_of_each_fit_need_data_in_memory():
    blocks = dask.array.from_array(GOOD, chunks=(20, 2))
    with pytest.raises(ValueError, match=r"sample_weight must .*\(3, 60\)"):
        fit_many(blocks, STARTS, sample_weight=np.ones((3, 60)))
