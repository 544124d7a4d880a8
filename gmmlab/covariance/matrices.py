"""Covariances as matrices, whitened by their Cholesky factors."""

from __future__ import annotations

from functools import cached_property
from typing import Self

import numpy as np

from gmmlab.covariance._linalg import cholesky, eigh, inverse_of_lower, solve
from gmmlab.covariance.base import Covariance
from gmmlab.covariance.charts import MatrixChart
from gmmlab.covariance.moments import MatrixMoments

# Matrices are symmetric if |Σᵢⱼ − Σⱼᵢ| is at most this fraction of √(Σᵢᵢ Σⱼⱼ).
_SYMMETRY = 1e-8
# A correlation matrix is singular if its smallest eigenvalue is at most this, times d.
_SINGULAR = 4 * np.finfo(float).eps


class MatrixCovariance(Covariance):
    """Base class of the structures with correlations: Σₖ = Cₖ Cₖᵀ with Cholesky factors Cₖ."""

    shape = ("n_components", "n_features", "n_features")
    moments = MatrixMoments()
    chart_class = MatrixChart

    @classmethod
    def _checked(cls, values: np.ndarray) -> np.ndarray:
        d = values.shape[-1]
        if d != values.shape[-2]:
            raise ValueError(
                f"{cls.__name__} values must be square matrices; got shape {values.shape}"
            )
        transposed = values.swapaxes(-1, -2)
        variances = np.abs(np.diagonal(values, axis1=-2, axis2=-1))
        size = np.sqrt(variances[..., :, None] * variances[..., None, :])
        if (np.abs(values - transposed) > _SYMMETRY * size).any():
            raise ValueError(
                f"{cls.__name__} values must be symmetric matrices; got {values.tolist()}"
            )
        values = (values + transposed) / 2
        stack = values.reshape(-1, d, d)
        positive = (np.diagonal(stack, axis1=-2, axis2=-1) > 0).all(axis=-1)
        if positive.all():
            positive = cls.moments.conditioning(stack) > _SINGULAR * d
        if not positive.all():
            worst = int(np.flatnonzero(~positive)[0])
            smallest = cls.moments.smallest(stack)[worst]
            raise ValueError(
                f"{cls.__name__} values must be positive definite; matrix {worst} has "
                f"smallest eigenvalue {smallest:.3g}"
            )
        return values

    @cached_property
    def cholesky(self) -> np.ndarray:
        """Lower triangular C with Σ = C Cᵀ, in the shape of `stack`.

        It is NaN where Σ is not positive definite.
        """
        return cholesky(self.stack)

    @cached_property
    def whitening(self) -> np.ndarray:
        """C⁻¹, in the shape of `stack`."""
        return inverse_of_lower(self.cholesky)

    @cached_property
    def precisions(self) -> np.ndarray:
        return self.whitening.swapaxes(-1, -2) @ self.whitening

    def whiten(self, residuals: np.ndarray) -> np.ndarray:
        return self.whitening @ residuals

    def colour(self, y: np.ndarray) -> np.ndarray:
        return self.cholesky @ y

    def whiten_moments(self, moments: np.ndarray) -> np.ndarray:
        return self.whitening @ moments @ self.whitening.swapaxes(-1, -2)

    def colour_moments(self, moments: np.ndarray) -> np.ndarray:
        coloured = self.cholesky @ moments @ self.cholesky.swapaxes(-1, -2)
        return (coloured + coloured.swapaxes(-1, -2)) / 2

    def log_det(self, n_features: int) -> np.ndarray:
        return np.log(self.cholesky.diagonal(axis1=-2, axis2=-1)).sum(axis=-1) * 2

    def trace(self, moments: np.ndarray) -> np.ndarray:
        # tr(Σ⁻¹ M) = tr(W M Wᵀ) with W = C⁻¹
        return np.einsum("...ij,...ij->...", self.whitening @ moments, self.whitening)

    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        if self.moments.all_above(self.stack, floor):
            return self, self.untouched()
        eigenvalues, vectors = eigh(self.moments.in_units(self.stack, floor))
        touched = eigenvalues[..., 0] < 1
        raised = (vectors * np.maximum(eigenvalues, 1)[..., None, :]) @ vectors.swapaxes(-1, -2)
        raised = self.moments.in_units(raised, 1 / floor)
        values = np.where(touched[..., None, None], raised, self.stack)
        values = (values + values.swapaxes(-1, -2)) / 2
        return self.unchecked(values.reshape(self.values.shape)), touched

    def marginal(self, features: np.ndarray) -> Covariance:
        return self.unchecked(self.values[..., features[:, None], features])

    def given(self, known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, Covariance]:
        # With C the Cholesky factor, known features first: Σᵤₖ Σₖₖ⁻¹ = Cᵤₖ Cₖₖ⁻¹, and the
        # conditional covariance is Cᵤᵤ Cᵤᵤᵀ. Nothing is subtracted, so no digits cancel.
        n = len(known)
        factor = self.marginal(np.concatenate([known, unknown])).cholesky
        transposed = factor.swapaxes(-1, -2)
        coefficients = solve(transposed[..., :n, :n], transposed[..., :n, n:])
        left = factor[..., n:, n:] @ transposed[..., n:, n:]
        left = left.reshape(*self.values.shape[:-2], *left.shape[-2:])
        return coefficients.swapaxes(-1, -2), self.marginal(unknown).unchecked(left)
