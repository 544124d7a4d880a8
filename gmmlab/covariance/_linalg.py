"""Linear algebra of stacks in which single matrices may be singular or NaN.

The functions of `numpy.linalg` raise an error for the whole stack if they fail for one of its
matrices. These give NaN for that matrix, and raise nothing.

Shapes: stacks of matrices (…, d, d).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

# Larger triangular matrices are inverted in halves.
_MOST_ROWS = 12


@cache
def identity(d: int) -> np.ndarray:
    """Return the identity matrix, read-only."""
    one = np.eye(d)
    one.setflags(write=False)
    return one


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """Return lower triangular C with C Cᵀ = Σ; NaN where Σ is not positive definite."""
    return _each(np.linalg.cholesky, matrices)


def are_positive_definite(matrices: np.ndarray) -> np.ndarray:
    """Return which matrices are positive definite, shape (…); NaN may count as either."""
    try:  # costs less than eigenvalues
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return eigvalsh(matrices)[..., 0] > 0
    return np.ones(matrices.shape[:-2], dtype=bool)


def solve(matrices: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the solutions (…, d, m) of linear systems; NaN where a matrix is singular."""
    try:
        return np.linalg.solve(matrices, right)
    except np.linalg.LinAlgError:
        return _each(np.linalg.inv, matrices) @ right


def eigh(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues in ascending order and eigenvectors; NaN where Σ is not finite."""
    try:
        return np.linalg.eigh(matrices)
    except np.linalg.LinAlgError:
        finite, matrices = _finite(matrices)
        values, vectors = np.linalg.eigh(matrices)
        return np.where(finite[..., 0], values, np.nan), np.where(finite, vectors, np.nan)


def eigvalsh(matrices: np.ndarray) -> np.ndarray:
    """Return eigenvalues in ascending order; NaN where Σ is not finite."""
    try:
        return np.linalg.eigvalsh(matrices)
    except np.linalg.LinAlgError:
        finite, matrices = _finite(matrices)
        return np.where(finite[..., 0], np.linalg.eigvalsh(matrices), np.nan)


def _finite(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which matrices are finite, shape (…, 1, 1), and the stack with 0 for the others."""
    finite = np.isfinite(matrices).all(axis=(-1, -2), keepdims=True)
    return finite, np.where(finite, matrices, 0)


def inverse_of_lower(factors: np.ndarray) -> np.ndarray:
    """Return the inverses of lower triangular matrices, all at once."""
    d = factors.shape[-1]
    inverse = np.zeros(factors.shape)
    if d > _MOST_ROWS:  # (A 0; B C)⁻¹ = (A⁻¹ 0; −C⁻¹ B A⁻¹ C⁻¹)
        h = d // 2
        upper = inverse[..., :h, :h] = inverse_of_lower(factors[..., :h, :h])
        lower = inverse[..., h:, h:] = inverse_of_lower(factors[..., h:, h:])
        inverse[..., h:, :h] = -(lower @ factors[..., h:, :h] @ upper)
        return inverse
    reciprocals = 1 / factors.diagonal(axis1=-2, axis2=-1)
    inverse.reshape(*factors.shape[:-2], d * d)[..., :: d + 1] = reciprocals
    rows = factors * -reciprocals[..., None]
    for i in range(1, d):  # forward substitution
        np.matmul(rows[..., i : i + 1, :i], inverse[..., :i, :i], out=inverse[..., i : i + 1, :i])
    return inverse


def _each(function: Callable[[np.ndarray], np.ndarray], matrices: np.ndarray) -> np.ndarray:
    """Return the results for all matrices; NaN where the function raises a `LinAlgError`.

    A stack with a bad matrix is cut in half until that matrix is alone.
    """
    try:
        return function(matrices)
    except np.linalg.LinAlgError:
        flat = matrices.reshape(-1, *matrices.shape[-2:])
        if len(flat) == 1:
            return np.full(matrices.shape, np.nan)
        half = len(flat) // 2
        parts = [_each(function, flat[:half]), _each(function, flat[half:])]
        return np.concatenate(parts).reshape(matrices.shape)
