"""Products of coordinates, which the exponential-family form adds up.

`test_statistics` compares the form with whitened residuals.
"""

import numpy as np
import pytest
from covariances import cases
from hypothesis import given
from problems import in_moment_shape

from gmmlab.covariance import MatrixCovariance
from gmmlab.engine.exponential_family import Pairs, Squares, products_of


@given(cases())
def test_coefficients_times_products_are_the_quadratic_form(case):
    """zᵀ M z, for any symmetric M of the structure's form and for precisions."""
    covariance, k, d, rng = case
    structure, z = type(covariance), rng.normal(size=(d, 9))
    products = products_of(structure)
    of_z = products.of(z)
    assert of_z.shape == (products.count(d), 9)
    matrices = rng.normal(size=(k, d, d))
    matrices = in_moment_shape(structure, matrices + matrices.swapaxes(1, 2))
    with_correlations = issubclass(structure, MatrixCovariance)
    dense = matrices if with_correlations else matrices[:, :, None] * np.eye(d)
    expected = np.einsum("in,kij,jn->kn", z, dense, z)
    np.testing.assert_allclose(products.coefficients(matrices) @ of_z, expected, atol=1e-11)
    expected = (covariance.whiten(np.broadcast_to(z, (k, d, 9))) ** 2).sum(axis=1)
    precisions = np.broadcast_to(covariance.precisions, matrices.shape)
    actual = products.coefficients(precisions) @ of_z
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


@given(cases())
def test_sums_of_products_are_second_moments(case):
    covariance, k, d, rng = case
    structure = type(covariance)
    products = products_of(structure)
    z, r = rng.normal(size=(d, 9)), rng.uniform(size=(k, 9))
    expected = in_moment_shape(structure, np.einsum("kn,in,jn->kij", r, z, z))
    actual = products.moments(r @ products.of(z).T, d)
    np.testing.assert_allclose(actual, expected, atol=1e-13)


@pytest.mark.parametrize("products", [Pairs, Squares])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_keep_their_type_and_are_written_to_out(products, dtype):
    z = np.random.default_rng(0).normal(size=(3, 5)).astype(dtype)
    of_z = products.of(z)
    assert of_z.dtype == dtype
    for order in "CF":
        out = np.empty(of_z.shape, dtype=dtype, order=order)
        assert products.of(z, out=out) is out
        np.testing.assert_array_equal(out, of_z)


@given(cases())
def test_times_is_the_product_of_precisions_and_vectors(case):
    covariance, k, d, rng = case
    vectors = rng.normal(size=(k, d))
    expected = np.einsum("kij,kj->ki", np.linalg.inv(covariance.dense(k, d)), vectors)
    actual = products_of(type(covariance)).times(covariance.precisions, vectors)
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-9)


@given(cases())
def test_largest_bounds_the_terms_of_every_quadratic_form_in_its_box(case):
    covariance, k, d, rng = case
    extent = rng.uniform(0.1, 3, size=(k, d))
    dense = np.abs(np.linalg.inv(covariance.dense(k, d)))
    expected = np.einsum("ki,kij,kj->k", extent, dense, extent)
    largest = products_of(type(covariance)).largest(covariance.precisions, extent)
    np.testing.assert_allclose(largest, expected, rtol=1e-8)
    z = extent[:, :, None] * rng.uniform(-1, 1, size=(k, d, 50))
    assert ((covariance.whiten(z) ** 2).sum(axis=1) <= largest[:, None] * (1 + 1e-9)).all()
