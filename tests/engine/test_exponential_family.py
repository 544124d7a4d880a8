"""Products of coordinates, which the exponential-family form adds up.

`test_statistics` compares the form with whitened residuals.
"""

import numpy as np
import pytest
from covariances import cases
from hypothesis import given
from hypothesis import strategies as st
from problems import in_moment_shape

from gmmlab import Mixture
from gmmlab.covariance import MatrixCovariance
from gmmlab.engine import Samples
from gmmlab.engine.exponential_family import ExponentialFamilyForm, Pairs, Squares, products_of


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


@given(cases(), st.sampled_from([0.5, 2.0]))
def test_exactness_is_a_bound_on_the_terms_of_every_quadratic_form_in_its_box(case, reach):
    """zᵀ |Σₖ⁻¹| z in the corner of the box around the data and the means: at most d × 10⁵.

    A stack is scaled to just below and just above the bound and the margin, one fit each.
    """
    covariance, k, d, rng = case
    structure = type(covariance)
    extent = rng.uniform(0.5, 3, size=d)
    samples = Samples(np.stack([-extent, extent]))
    means = reach * rng.uniform(-1, 1, size=(k, d)) * extent
    corner = np.maximum(extent, np.abs(means))
    dense = np.abs(np.linalg.inv(covariance.dense(k, d)))
    largest = np.einsum("ki,kij,kj->k", corner, dense, corner).max()
    z = corner[:, :, None] * rng.uniform(-1, 1, size=(k, d, 50))
    assert (covariance.whiten(z) ** 2).sum(axis=1).max() <= largest * (1 + 1e-9)

    wanted = np.array([0.99e5 * d, 1.01e5 * d, 0.99 * 1e5 / 4, 1.01 * 1e5 / 4])
    mixtures = [
        Mixture(np.full(k, 1 / k), means, structure(covariance.values * (largest / size)))
        for size in wanted
    ]
    form = ExponentialFamilyForm(Mixture.stacked(mixtures), samples.centre)
    exact, surely = form.exact(samples, samples.extent)
    np.testing.assert_array_equal(exact, wanted <= 1e5 * d)
    assert not surely
    for number, one in enumerate(mixtures):
        alone = ExponentialFamilyForm(one, samples.centre).exact(samples, samples.extent)
        assert alone == (exact[number], wanted[number] <= 1e5 / 4)
