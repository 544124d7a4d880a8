"""Second moments as matrices or variances: how they are added up and measured."""

import numpy as np
import pytest
from covariances import cases, seeds
from hypothesis import given
from problems import in_moment_shape, matrix_or_diagonal

from gmmlab import Full
from gmmlab.covariance import MatrixCovariance


@given(cases())
def test_scatter_is_the_weighted_sum_of_outer_products(case):
    covariance, k, d, rng = case
    y, r = rng.normal(size=(k, d, 9)), rng.uniform(size=(k, 9))
    expected = np.einsum("kb,kib,kjb->kij", r, y, y)
    actual = covariance.moments.scatter(y, r)
    np.testing.assert_allclose(actual, in_moment_shape(type(covariance), expected), atol=1e-12)


@given(cases())
def test_product_is_the_symmetric_outer_product(case):
    covariance, k, d, rng = case
    a, b = rng.normal(size=(2, k, d))
    outer = a[:, :, None] * b[:, None, :]
    expected = in_moment_shape(type(covariance), (outer + outer.swapaxes(1, 2)) / 2)
    np.testing.assert_allclose(covariance.moments.product(a, b), expected, atol=1e-14)


@given(cases())
def test_smallest_is_the_smallest_eigenvalue_of_the_dense_matrices(case):
    covariance, k, d, _ = case
    expected = np.linalg.eigvalsh(covariance.dense(k, d)).min(axis=1)
    actual = np.broadcast_to(covariance.moments.smallest(covariance.stack), k)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


@given(cases())
def test_conditioning_is_of_the_correlations_in_any_units(case):
    covariance, k, d, rng = case
    dense = covariance.dense(k, d)
    deviations = np.sqrt(np.diagonal(dense, axis1=1, axis2=2))
    correlations = dense / (deviations[:, :, None] * deviations[:, None, :])
    expected = np.linalg.eigvalsh(correlations).min(axis=1)
    actual = covariance.moments.conditioning(covariance.stack)
    np.testing.assert_allclose(np.broadcast_to(actual, k), expected, atol=1e-10)
    units = 10 ** rng.uniform(-6, 6, size=d)
    rescaled = Full.moments.conditioning(dense * units[:, None] * units)
    np.testing.assert_allclose(rescaled, expected, atol=1e-9)


@given(cases())
def test_in_units_divides_features_by_the_square_roots_of_the_units(case):
    covariance, k, d, rng = case
    units = rng.uniform(0.1, 9, size=d)
    roots = np.sqrt(units)
    expected = in_moment_shape(type(covariance), covariance.dense(k, d) / (roots[:, None] * roots))
    moments = in_moment_shape(type(covariance), covariance.dense(k, d))
    np.testing.assert_allclose(covariance.moments.in_units(moments, units), expected, rtol=1e-14)


@matrix_or_diagonal
def test_variances_of_uncorrelated_features_are_a_diagonal(structure):
    variances = np.array([[1.0, 2.0], [3.0, 4.0]])
    expected = in_moment_shape(structure, variances[:, :, None] * np.eye(2))
    np.testing.assert_array_equal(structure.moments.of_variances(variances), expected)


@given(cases())
def test_dense_moments_and_moments_of_matrices_are_inverse(case):
    covariance, k, d, _ = case
    dense = covariance.moments.dense(covariance.stack, k, d)
    assert dense.shape == (k, d, d)
    if not isinstance(covariance, MatrixCovariance):
        np.testing.assert_array_equal(dense, dense * np.eye(d))
    moments = covariance.moments.of_matrices(dense)
    np.testing.assert_array_equal(moments, np.broadcast_to(covariance.stack, moments.shape))


@given(cases(), seeds)
def test_embedded_moments_are_zero_except_for_their_features(case, seed):
    covariance, k, d, _ = case
    structure = type(covariance)
    some = np.random.default_rng(seed).permutation(d)[: max(1, d // 2)]
    part = covariance.marginal(some)
    embedded = structure.moments.embedded(part.stack, some, d)
    expected = np.zeros((k, d, d))
    expected[:, some[:, None], some] = part.dense(k, len(some))
    expected = in_moment_shape(structure, expected)
    np.testing.assert_array_equal(np.broadcast_to(embedded, expected.shape), expected)


@pytest.mark.parametrize("leading", [(), (2,), (3, 2)])
@matrix_or_diagonal
def test_leading_axes_are_those_of_many_problems(structure, leading):
    """Moments of stacks are the stacks of moments, bit for bit."""
    rng, moments = np.random.default_rng(0), structure.moments
    y, r = rng.normal(size=(*leading, 2, 3, 9)), rng.uniform(size=(*leading, 2, 9))
    stacked = moments.scatter(y, r)
    for index in np.ndindex(leading):
        np.testing.assert_array_equal(stacked[index], moments.scatter(y[index], r[index]))
        for measure in (moments.smallest, moments.conditioning):
            np.testing.assert_array_equal(measure(stacked)[index], measure(stacked[index]))
