"""How second moments are stored and measured: as matrices, or as variances only.

A structure keeps the form of its moments in `Covariance.moments`: `MatrixMoments` for moments of
shape (k, d, d), `DiagonalMoments` for their diagonals, (k, d). The two have the same methods, so
that the code that adds up moments does not depend on the form.

Shapes: k components, d features, b samples. All axes are counted from the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import ClassVar

import numpy as np

from gmmlab.covariance._linalg import eigvalsh, identity


class Moments(ABC):
    """Operations on second moments of one form."""

    #: the number of axes of the second moment of one component
    ndim: ClassVar[int]

    @abstractmethod
    def scatter(self, y: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        """Return Σᵢ rᵢₖ yᵢₖ yᵢₖᵀ for vectors y (k, d, b) and responsibilities r (k, b)."""

    @abstractmethod
    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return ½ (a bᵀ + b aᵀ) for vectors (k, d)."""

    @abstractmethod
    def smallest(self, moments: np.ndarray) -> np.ndarray:
        """Return the smallest eigenvalue of each second moment, shape (k,)."""

    @abstractmethod
    def conditioning(self, moments: np.ndarray) -> np.ndarray:
        """Return the smallest eigenvalue of each correlation matrix, shape (k,)."""

    @abstractmethod
    def all_above(self, moments: np.ndarray, floor: np.ndarray) -> bool:
        """Return whether all moments are above the floor (…, d): M − diag(floor) is positive.

        It costs less than the eigenvalues, and is True if a moment is NaN.
        """

    @abstractmethod
    def in_units(self, moments: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Return the second moments of features divided by the square roots of `units` (…, d)."""

    @abstractmethod
    def of_variances(self, variances: np.ndarray) -> np.ndarray:
        """Return the second moments of uncorrelated features with these variances (k, d)."""

    @abstractmethod
    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        """Return symmetric matrices (k, d, d) in this form."""

    @abstractmethod
    def dense(self, stack: np.ndarray, n_components: int, n_features: int) -> np.ndarray:
        """Return a structure's `stack` as a new array of matrices, shape (k, d, d)."""

    @abstractmethod
    def embedded(self, moments: np.ndarray, features: np.ndarray, n_features: int) -> np.ndarray:
        """Return second moments of some features as moments of all features, 0 elsewhere."""

    @abstractmethod
    def identity(self, n_features: int) -> np.ndarray:
        """Return the identity, in a shape that broadcasts against the values of a structure."""


class MatrixMoments(Moments):
    """Second moments as matrices, shape (k, d, d)."""

    ndim = 2

    def scatter(self, y: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        # BLAS needs half the multiplications for the product of a matrix and its own transpose.
        weighted = y * np.sqrt(responsibilities)[..., None, :]
        return weighted @ weighted.swapaxes(-1, -2)

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        outer = a[..., :, None] * b[..., None, :]
        return outer if a is b else (outer + outer.swapaxes(-1, -2)) / 2

    def smallest(self, moments: np.ndarray) -> np.ndarray:
        return eigvalsh(moments)[..., 0]

    def conditioning(self, moments: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):  # of singular matrices
            deviations = np.sqrt(moments.diagonal(axis1=-2, axis2=-1))
            moments = moments / (deviations[..., :, None] * deviations[..., None, :])
        return self.smallest(moments)

    def all_above(self, moments: np.ndarray, floor: np.ndarray) -> bool:
        try:
            np.linalg.cholesky(moments - self.of_variances(floor[..., None, :]))
        except np.linalg.LinAlgError:
            return False
        return True

    def in_units(self, moments: np.ndarray, units: np.ndarray) -> np.ndarray:
        roots = np.sqrt(units)[..., None, :]
        return moments / (roots[..., :, None] * roots[..., None, :])

    def of_variances(self, variances: np.ndarray) -> np.ndarray:
        return variances[..., :, None] * identity(variances.shape[-1])

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        return matrices

    def dense(self, stack: np.ndarray, n_components: int, n_features: int) -> np.ndarray:
        shape = *stack.shape[:-3], n_components, n_features, n_features
        return np.broadcast_to(stack, shape).copy()

    def embedded(self, moments: np.ndarray, features: np.ndarray, n_features: int) -> np.ndarray:
        embedded = np.zeros((*moments.shape[:-2], n_features, n_features))
        embedded[..., features[:, None], features] = moments
        return embedded

    def identity(self, n_features: int) -> np.ndarray:
        return identity(n_features)


class DiagonalMoments(Moments):
    """Second moments as variances only, shape (k, d)."""

    ndim = 1

    def scatter(self, y: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        return ((y * y) @ responsibilities[..., None])[..., 0]

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a * b

    def smallest(self, moments: np.ndarray) -> np.ndarray:
        return moments.min(axis=-1)

    def conditioning(self, moments: np.ndarray) -> np.ndarray:
        return np.ones(moments.shape[:-1])

    def all_above(self, moments: np.ndarray, floor: np.ndarray) -> bool:
        return not (moments < floor[..., None, :]).any()

    def in_units(self, moments: np.ndarray, units: np.ndarray) -> np.ndarray:
        return moments / units[..., None, :]

    def of_variances(self, variances: np.ndarray) -> np.ndarray:
        return variances

    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        return np.diagonal(matrices, axis1=-2, axis2=-1)

    def dense(self, stack: np.ndarray, n_components: int, n_features: int) -> np.ndarray:
        variances = np.broadcast_to(stack, (*stack.shape[:-2], n_components, n_features))
        return variances[..., :, None] * identity(n_features)

    def embedded(self, moments: np.ndarray, features: np.ndarray, n_features: int) -> np.ndarray:
        embedded = np.zeros((*moments.shape[:-1], n_features))
        embedded[..., features] = moments
        return embedded

    def identity(self, n_features: int) -> np.ndarray:
        del n_features  # one number broadcasts against variances of any shape
        return np.ones(())


@cache
def upper_triangle(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows and columns of the upper triangle of a matrix, row by row.

    The third array counts how many entries of a symmetric matrix each of them stands for: 1 on
    the diagonal and 2 off it.
    """
    rows, columns = np.triu_indices(d)
    return rows, columns, np.where(rows == columns, 1.0, 2.0)


def upper_products(z: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the upper triangle of z zᵀ, shape (d (d + 1) / 2, b), for vectors z (d, b).

    The rows are in the order of `upper_triangle`. They are written to `out` if it is given.
    """
    d, b = z.shape[-2:]
    if out is None:
        out = np.empty((*z.shape[:-2], d * (d + 1) // 2, b), dtype=z.dtype)
    begin = 0
    for i in range(d):  # much faster than indexing with the rows and columns
        end = begin + d - i
        np.multiply(z[..., i : i + 1, :], z[..., i:, :], out=out[..., begin:end, :])
        begin = end
    return out
