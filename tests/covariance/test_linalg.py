"""Linear algebra of stacks: a bad matrix harms no other, and inverses of triangular matrices."""

import numpy as np
import pytest
import scipy.linalg

from gmmlab.covariance import _linalg


def positive_definite(n, d):
    a = np.random.default_rng(0).normal(size=(n, d, 2 * d))
    return a @ a.swapaxes(1, 2)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_bad_matrix_is_nan_and_harms_no_other(bad, place):
    good = positive_definite(7, 3)
    matrices = good.copy()
    matrices[place] = bad
    right = np.ones((3, 1))
    others = np.arange(7) != place
    for function in (_linalg.cholesky, lambda m: _linalg.solve(m, right)):
        found = function(matrices.reshape(7, 1, 3, 3))[:, 0]
        assert np.isnan(found[place]).any()
        np.testing.assert_allclose(found[others], function(good)[others], rtol=1e-12)
    if np.isnan(bad):
        assert np.isnan(_linalg.eigh(matrices)[1][place]).any()
    for function in (_linalg.eigvalsh, lambda m: _linalg.eigh(m)[1]):
        np.testing.assert_array_equal(function(matrices)[others], function(good)[others])


def test_all_matrices_of_a_stack_may_be_bad():
    assert np.isnan(_linalg.cholesky(-positive_definite(3, 2))).all()
    assert np.isnan(_linalg.cholesky(np.zeros((2, 2)))).all()
    assert np.isnan(_linalg.solve(np.zeros((2, 2, 2)), np.ones((2, 1)))).all()


@pytest.mark.parametrize("d", [1, 2, 5, 12, 13, 30])
def test_inverses_of_lower_triangular_matrices_for_few_and_for_many(d):
    """Against LAPACK's solution, in units far from one."""
    units = 10.0 ** np.random.default_rng(1).uniform(-8, 8, size=d)
    factors = np.linalg.cholesky(positive_definite(3 * d, d)) * units[:, None]
    expected = [scipy.linalg.solve_triangular(c, np.eye(d), lower=True) for c in factors]
    for n in (1, 2 * d, 2 * d + 1, 3 * d):
        found = _linalg.inverse_of_lower(factors[:n])
        np.testing.assert_allclose(found * units, expected[:n] * units, rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(found, np.tril(found))
