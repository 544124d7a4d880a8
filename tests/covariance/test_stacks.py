"""Stacks of covariances: what is true of one fit is true of each of many, and none harms another.

A search takes the same steps for a fit in a stack as for the fit alone, so results differ by the
rounding of sums in another order. It is multiplied by the condition of a moment, below 1e4 here.
"""

import numpy as np
import pytest
from covariances import moments_of_clouds, stacks
from hypothesis import given, settings
from problems import every_structure, in_moment_shape, random_structure

from gmmlab import EVE, VVE

ROUNDING = 1e-9


def assert_same(found, wanted):
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    size = np.max(np.abs(wanted), where=np.isfinite(wanted), initial=0)
    np.testing.assert_allclose(found, wanted, rtol=ROUNDING, atol=ROUNDING * size)


def members(stack):
    return [stack.select(fit) for fit in range(len(stack.values))]


def problems_of(structure, counts, moments, rng):
    """Return current values, other values, counts, moments, floors and vectors of each fit."""
    n, k, d = moments.shape[:3]
    now, other = (
        structure.stacked([random_structure(structure, rng, k, d) for _ in range(n)])
        for _ in range(2)
    )
    moments = in_moment_shape(structure, moments)
    floors, vectors = rng.uniform(0.01, 1, size=(n, d)), rng.normal(size=(n, k, d, 7))
    return now, other, counts, moments, floors, vectors


def of(fits, problem):
    now, other, *arrays = problem
    return now.select(fits), other.select(fits), *(array[fits] for array in arrays)


def results(now, other, counts, moments, floor, vectors):
    """Yield everything that a structure computes."""
    k, d = vectors.shape[-3:-1]
    structure, chart = type(now), now.chart(d)
    yield "estimate", structure.estimate(counts, moments).values
    for least in (None, floor):
        yield from zip(
            ("update", "raised"), _values(*now.update(counts, moments, least)), strict=True
        )
    yield from zip(("clipped", "clips"), _values(*now.clipped(floor)), strict=True)
    yield "ridged", now.ridged(0.1).values
    yield "log_det", now.log_det(d)
    yield "trace", now.trace(moments)
    yield "precisions", now.precisions
    yield "stack", now.stack
    yield "dense", now.dense(k, d)
    yield "whiten", now.whiten(vectors)
    yield "colour", now.colour(vectors)
    yield "whiten_moments", now.whiten_moments(moments)
    yield "colour_moments", now.colour_moments(moments)
    yield "relative_to", now.relative_to(other)
    yield "conditioning", now.moments.conditioning(now.stack)
    yield "take", now.take(np.arange(k)[::-1]).values
    yield "marginal", now.marginal(np.array([d - 1])).values
    if d > 1:
        coefficients, left = now.given(np.arange(1), np.arange(1, d))
        shape = *counts.shape, d - 1, 1
        yield "coefficients", np.broadcast_to(coefficients, shape)
        yield "given", left.values
    yield "of", chart.of(other)
    yield "at", chart.at(0.3 * chart.of(other)).values
    if not structure.curved:
        yield (
            "tangents",
            np.broadcast_to(
                chart.tangents(), (*chart.of(other).shape, *moments.shape[counts.ndim :])
            ),
        )
        yield "scores", chart.scores(vectors[..., 0, :, :])


def _values(covariance, touched):
    return covariance.values, touched


def rows(results_of_stack):
    """Return each result as a list of those of the fits."""
    return [(name, list(value)) for name, value in results_of_stack]


@every_structure
@settings(max_examples=15)
@given(stacks())
def test_a_stack_equals_its_members_alone(structure, stack):
    problem = problems_of(structure, *stack)
    whole = rows(results(*problem))
    for fit in range(len(problem[2])):
        for (name, found), (_, wanted) in zip(whole, results(*of(fit, problem)), strict=True):
            try:
                assert_same(found[fit], wanted)
            except AssertionError as error:
                error.add_note(f"{structure.__name__}: {name}")
                raise


@every_structure
@settings(max_examples=15)
@given(stacks())
def test_permuting_or_repeating_the_fits_permutes_or_repeats_the_answers(structure, stack):
    problem = problems_of(structure, *stack)
    n = len(problem[2])
    order = np.append(stack[2].permutation(n), 0)
    pairs = zip(results(*of(order, problem)), results(*problem), strict=True)
    for (_, found), (_, wanted) in pairs:
        assert_same(found, wanted[order])


@every_structure
@pytest.mark.parametrize("leading", [(2, 3), (1, 1, 6)])
def test_any_number_of_leading_axes(structure, leading):
    rng = np.random.default_rng(0)
    clouds = [moments_of_clouds(rng, 3, 2) for _ in range(6)]
    problem = problems_of(structure, *map(np.stack, zip(*clouds, strict=True)), rng)
    whole = results(*problem)
    now, other, *arrays = problem
    reshaped = [
        structure.unchecked(each.values.reshape(*leading, *each.values.shape[1:]))
        for each in (now, other)
    ]
    arrays = [array.reshape(*leading, *array.shape[1:]) for array in arrays]
    for (_, found), (_, wanted) in zip(results(*reshaped, *arrays), whole, strict=True):
        assert_same(found, wanted.reshape(*leading, *wanted.shape[1:]))


@every_structure
@pytest.mark.parametrize("bad", [0.0, np.nan])
def test_a_singular_or_undefined_member_harms_no_other(structure, bad):
    """Its moments or its current values are bad; there is no error and no warning."""
    rng = np.random.default_rng(0)
    clouds = [moments_of_clouds(rng, 3, 3) for _ in range(5)]
    problem = problems_of(structure, *map(np.stack, zip(*clouds, strict=True)), rng)
    good = np.arange(5) != 2
    wanted = list(results(*problem))
    now, other, counts, moments, floor, vectors = problem
    moments = moments.copy()
    moments[2] = bad
    worse = structure.stacked([structure.unchecked(np.full_like(now.values[2], bad))])
    broken, broken_other = (each.replaced(slice(2, 3), worse) for each in (now, other))
    for changed in (
        (now, other, counts, moments, floor, vectors),
        (broken, other, counts, moments, floor, vectors),
        (now, broken_other, counts, moments, floor, vectors),
    ):
        for (_, found), (_, expected) in zip(results(*changed), wanted, strict=True):
            assert_same(found[good], expected[good])
    assert not np.isfinite(broken.log_det(3)[2]).any()
    assert not np.isfinite(broken.chart(3).of(other)[2]).all()


# ---- members of stacks -------------------------------------------------------------------------


@every_structure
def test_stacks_are_joined_selected_and_chosen_from(structure):
    rng = np.random.default_rng(0)
    first, other = ([random_structure(structure, rng, 3, 2) for _ in range(4)] for _ in range(2))
    stack, another = structure.stacked(first), structure.stacked(other)
    assert members(stack) == first
    for fits in (slice(1, 3), np.array([2, 0]), np.array([True, False, False, True])):
        assert members(stack.select(fits)) == list(np.array(first, dtype=object)[fits])
    mask = np.array([True, False, False, True])
    replaced = stack.replaced(~mask, another.select(~mask))
    assert members(replaced) == [first[0], other[1], other[2], first[3]]
    assert not replaced.values.flags.writeable


@pytest.mark.parametrize("structure", [EVE, VVE])
def test_axes_that_have_been_searched_go_along(structure):
    """Only if all that is joined has them."""
    rng = np.random.default_rng(0)
    clouds = [moments_of_clouds(rng, 3, 2) for _ in range(4)]
    fits = [structure.estimate(*each) for each in clouds]
    stack = structure.stacked(fits)
    again = stack.select(np.array([3, 0])).replaced(np.array([1]), stack.select(slice(1, 2)))
    for each, fit in ((again.select(0), fits[3]), (again.select(1), fits[1])):
        for found, wanted in zip(each.__dict__["decomposition"], fit.decomposition, strict=True):
            np.testing.assert_array_equal(found, wanted)
    plain = structure.unchecked(fits[0].values)
    assert "decomposition" not in structure.stacked([plain, fits[1]]).__dict__
