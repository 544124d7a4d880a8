"""Coordinates of covariance structures, for second-order methods.

A chart describes the structures near a given one, its origin, by vectors of numbers: the origin
is 0, and every vector is a valid, positive definite structure. The scores of the coordinates are
the derivatives of the log-density; in linear structures they are uncorrelated and have variance
1 (I2).

Shapes: k components (1 if they share their covariance), d features, b samples, and q coordinates
of one component, as many as the structure has free parameters for one component.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gmmlab.covariance._linalg import eigh, identity, solve
from gmmlab.covariance.base import Chart, Covariance
from gmmlab.covariance.moments import upper_products, upper_triangle


class MatrixChart(Chart):
    """Coordinates of matrices: the upper triangle of A, entries off the diagonal times √2."""

    origin: Any  # a MatrixCovariance

    def scores(self, y: np.ndarray) -> np.ndarray:
        _, _, entries = upper_triangle(self.n_features)
        scores = upper_products(y)
        scores[..., entries == 1, :] -= 1
        scores[..., entries == 1, :] /= np.sqrt(2)
        return scores

    def of(self, new: Covariance) -> np.ndarray:
        rows, columns, entries = upper_triangle(self.n_features)
        eigenvalues, vectors = eigh(self.origin.whiten_moments(new.stack))
        with np.errstate(divide="ignore", invalid="ignore"):  # of singular covariances
            logs = np.log(eigenvalues)[..., None, :]
            logarithm = (vectors * logs) @ vectors.swapaxes(-1, -2)
        # √2 A = log C⁻¹ Σ' C⁻ᵀ; an entry off the diagonal stands for two
        return logarithm[..., rows, columns] * np.sqrt(entries / 2)

    def at(self, coordinates: np.ndarray) -> Covariance:
        eigenvalues, vectors = eigh(self._logarithm(coordinates))
        relative = (vectors * np.exp(eigenvalues)[..., None, :]) @ vectors.swapaxes(-1, -2)
        values = self.origin.colour_moments(relative)
        return self.origin.unchecked(values.reshape(self.origin.values.shape))

    def tangents(self) -> np.ndarray:
        rows, _, _ = upper_triangle(self.n_features)
        directions = self._logarithm(identity(len(rows)))
        cholesky = self.origin.cholesky[..., None, :, :]
        return cholesky @ directions @ cholesky.swapaxes(-1, -2)

    def _logarithm(self, coordinates: np.ndarray) -> np.ndarray:
        """Return √2 A, shape (…, d, d), for coordinates (…, q)."""
        d = self.n_features
        rows, columns, entries = upper_triangle(d)
        logarithm = np.empty((*coordinates.shape[:-1], d, d))
        logarithm[..., rows, columns] = coordinates * np.sqrt(2 / entries)
        logarithm[..., columns, rows] = logarithm[..., rows, columns]
        return logarithm


class _VarianceChart(Chart):
    """Base class of coordinates that are logarithms of variances."""

    def _logs(self, new: Covariance) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):  # of variances that are 0
            return np.log(new.stack * self.origin.precisions)


class DiagonalChart(_VarianceChart):
    """Coordinates of variances: logarithms of their ratios, divided by √2."""

    def scores(self, y: np.ndarray) -> np.ndarray:
        return (y * y - 1) / np.sqrt(2)

    def of(self, new: Covariance) -> np.ndarray:
        return self._logs(new) / np.sqrt(2)

    def at(self, coordinates: np.ndarray) -> Covariance:
        variances = self.origin.stack * np.exp(np.sqrt(2) * coordinates)
        return self.origin.unchecked(variances.reshape(self.origin.values.shape))

    def tangents(self) -> np.ndarray:
        return self.origin.stack[..., None, :] * (np.sqrt(2) * identity(self.n_features))


class RoundChart(_VarianceChart):
    """The one coordinate of a variance that is the same in every direction."""

    def scores(self, y: np.ndarray) -> np.ndarray:
        d = self.n_features
        return ((y * y).sum(axis=-2, keepdims=True) - d) / np.sqrt(2 * d)

    def of(self, new: Covariance) -> np.ndarray:
        return self._logs(new) * np.sqrt(self.n_features / 2)

    def at(self, coordinates: np.ndarray) -> Covariance:
        variances = self.origin.stack * np.exp(coordinates / np.sqrt(self.n_features / 2))
        return self.origin.unchecked(variances.reshape(self.origin.values.shape))

    def tangents(self) -> np.ndarray:
        return self.origin.stack[..., None, :] / np.sqrt(self.n_features / 2)


class OrientedChart(MatrixChart):
    """Coordinates of Σₖ = Dₖ Λₖ Dₖᵀ: logarithms of the variances Λ, and rotations of the axes D.

    A rotation R = Dᵀ D' is described by the skew matrix S of the Cayley transform,
    R = (I − S)⁻¹ (I + S) with S = −Sᵀ.
    """

    origin: Any  # a structure with a `decomposition`

    def of(self, new: Any) -> np.ndarray:
        (variances, axes), (new_variances, new_axes) = self.origin.decomposition, new.decomposition
        rotation = axes.swapaxes(-1, -2) @ new_axes
        # The sign of an axis is arbitrary. Choose the signs that make R a small rotation: each
        # axis points the same way as before, and the one that moves most makes det R = 1.
        diagonal = np.diagonal(rotation, axis1=-2, axis2=-1)
        signs = np.where(diagonal < 0, -1.0, 1.0)
        far = np.abs(diagonal).argmin(axis=-1)[..., None]
        with np.errstate(invalid="ignore"):  # of axes that are NaN
            reflected = np.linalg.det(rotation * signs[..., None, :]) < 0
        far_signs = np.take_along_axis(signs, far, axis=-1)
        far_signs = np.where(reflected[..., None], -far_signs, far_signs)
        np.put_along_axis(signs, far, far_signs, axis=-1)
        rotation *= signs[..., None, :]
        one = identity(self.n_features)
        skew = solve(rotation + one, rotation - one)
        angles = 2 * skew[..., *np.triu_indices(self.n_features, 1)]
        with np.errstate(divide="ignore", invalid="ignore"):  # of singular covariances
            logs = np.log(new_variances / variances) / np.sqrt(2)
        angles = np.broadcast_to(angles, (*logs.shape[:-1], angles.shape[-1]))
        return np.concatenate([logs, angles], axis=-1)

    def at(self, coordinates: np.ndarray) -> Covariance:
        variances, axes = self.origin.decomposition
        d, one = self.n_features, identity(self.n_features)
        rows, columns = np.triu_indices(d, 1)
        skew = np.zeros((*coordinates.shape[:-2], *axes.shape[-3:]))
        # Axes that all components share are those of the first one's coordinates.
        skew[..., rows, columns] = coordinates[..., : axes.shape[-3], d:] / 2
        skew -= skew.swapaxes(-1, -2)
        axes = axes @ solve(one - skew, one + skew)
        with np.errstate(invalid="ignore"):  # of singular covariances
            variances = variances * np.exp(np.sqrt(2) * coordinates[..., :d])
        return self.origin.composed(variances, axes)
