"""Structures with matrices: what is symmetric, what is positive definite, and lost digits."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
from covariances import seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import in_shape

from gmmlab import EEV, Full, Tied

#: one matrix for each component, one for all, and a curved structure
MATRICES = [Full, Tied, EEV]


@pytest.mark.parametrize("structure", MATRICES)
def test_matrices_must_be_square(structure):
    with pytest.raises(ValueError, match=f"{structure.__name__} values must be square"):
        structure(np.ones((*[2] * (len(structure.shape) - 1), 3)))


@pytest.mark.parametrize(("structure", "scale"), [(Full, 1e-12), (Tied, 1.0), (EEV, 1e12)])
def test_asymmetric_matrices_are_refused_in_any_unit(structure, scale):
    matrix = scale * np.array([[1.0, 0.3], [0.2, 1.0]])
    with pytest.raises(ValueError, match=f"{structure.__name__} values must be symmetric"):
        structure(in_shape(structure, matrix[None]))


def test_asymmetry_is_relative_to_the_variances_of_its_features():
    lopsided = np.array([[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(ValueError, match="Full values must be symmetric"):
        Full([lopsided, 1e10 * np.eye(2)])
    with pytest.raises(ValueError, match="Tied values must be symmetric"):
        Tied(scipy.linalg.block_diag(lopsided, 1e10))


def test_rounding_asymmetry_is_removed():
    values = Full([[[2.0, 0.5 + 1e-13], [0.5, 1.0]]]).values
    np.testing.assert_array_equal(values, values.swapaxes(1, 2))


@pytest.mark.parametrize("structure", MATRICES)
def test_errors_name_the_matrix_that_is_indefinite(structure):
    good, bad = np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]])
    values, number = (bad, 0) if structure is Tied else (np.stack([good, bad]), 1)
    with pytest.raises(ValueError, match=f"{structure.__name__} values.*matrix {number}.*-1"):
        structure(values)


@settings(max_examples=100)
@given(st.integers(2, 6), seeds, st.integers(-6, 6))
def test_matrices_of_less_than_full_rank_are_refused(d, seed, exponent):
    factor = 10.0**exponent * np.random.default_rng(seed).normal(size=(d, d - 1))
    with pytest.raises(ValueError, match="Full values must be positive definite"):
        Full([factor @ factor.T])


@pytest.mark.parametrize("structure", [Full, Tied])
def test_conditioning_on_nearly_equal_features_loses_no_more_digits_than_necessary(structure):
    """Bishop (2006), equation 2.82, against rational arithmetic."""
    gap = 2.0**-20  # of two features whose correlation is 1 − gap / 2
    matrix = np.array([[1.0, 1 - gap / 2, 0.5], [1 - gap / 2, 1.0, 0.5 + gap / 4], [0.5, 0.5, 1.0]])
    matrix[2] = matrix[:, 2]
    covariance = structure(matrix[None] if structure is Full else matrix)
    _, left = covariance.given(np.array([0, 1]), np.array([2]))
    a, b, c = (Fraction(matrix[i]) for i in ((0, 0), (0, 1), (1, 1)))
    u, v = Fraction(matrix[0, 2]), Fraction(matrix[1, 2])
    exact = 1 - (u * u * c - 2 * u * v * b + v * v * a) / (a * c - b * b)
    # The condition number times the rounding of one operation.
    np.testing.assert_allclose(left.values.ravel(), float(exact), rtol=4 / gap * 2.3e-16)
