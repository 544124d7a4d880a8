"""Sufficient statistics by matrix products: a Gaussian as an exponential family.

With φ(z) = (1, z, z zᵀ), all log πₖ N(x|μₖ, Σₖ) are one matrix product θ φ(z), and all statistics
are another, r φ(z)ᵀ (W6; Bishop 2006, section 2.4). For few features, or for structures without
correlations, this is several times as fast as whitened residuals and gives the same statistics.

It subtracts large numbers if a component is narrow compared with its distance from the centre of
the data, so it is used only if `exponential_family_centre` shows that no digits are lost.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from gmmlab._numerics import blocks, normalise
from gmmlab.covariance import (
    Covariance,
    DiagonalCovariance,
    upper_products,
    upper_triangle,
)
from gmmlab.engine.samples import Samples
from gmmlab.engine.statistics import SufficientStatistics
from gmmlab.mixture import Mixture

# A block's products of features have at most this many entries (4 MiB).
_BLOCK_PRODUCTS = 2**19
# With at least this many features, blocks of the data are used without a transposed copy: only
# short rows are worth copying into columns.
_WIDE = 32
# With more products of features than this, whitened residuals are faster.
_MOST_PRODUCTS = 400
# The largest terms that zᵀ Σ⁻¹ z may be summed from, for each feature. Log-densities are then off
# by at most 1e-10 for each feature in double precision and 1e-3 in single precision, and by far
# less on average.
_LARGEST = {np.dtype(np.float64): 1e5, np.dtype(np.float32): 1e3}
# The largest squares, precisions and products of them with weights: 10²³ in single precision and
# 10²¹⁸ in double. Below this, and above its inverse, overflow and underflow do no harm.
_RANGE = {dtype: float(np.finfo(dtype).eps / np.finfo(dtype).tiny) ** 0.75 for dtype in _LARGEST}


# ---- products of coordinates ---------------------------------------------------------------


class Pairs:
    """The products zᵢ zⱼ with i ≤ j, which second moments with correlations are sums of."""

    @staticmethod
    def count(n_features: int) -> int:
        """Return the number of products."""
        return n_features * (n_features + 1) // 2

    @staticmethod
    def of(z: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return the products of coordinates z (d, b), shape (p, b), written to `out` if given."""
        return upper_products(z, out)

    @staticmethod
    def coefficients(moments: np.ndarray) -> np.ndarray:
        """Return the coefficients of zᵀ M z in the products, shape (k, p)."""
        d = moments.shape[-1]
        rows, columns, entries = upper_triangle(d)
        flat = moments.reshape(*moments.shape[:-2], d * d)
        return flat.take(rows * d + columns, axis=-1) * entries

    @staticmethod
    def moments(totals: np.ndarray, n_features: int) -> np.ndarray:
        """Return sums of the products, (k, p), as second moments."""
        moments = totals.take(_pair_of_entry(n_features), axis=-1)
        return moments.reshape(*totals.shape[:-1], n_features, n_features)

    @staticmethod
    def times(precisions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return Σₖ⁻¹ v for vectors (k, d)."""
        return (precisions @ vectors[..., None])[..., 0]

    @staticmethod
    def largest(precisions: np.ndarray, extent: np.ndarray) -> np.ndarray:
        """Return the sum of the terms of zᵀ Σₖ⁻¹ z in absolute value, for |zᵢ| = `extent`, (k,)."""
        return np.einsum("...ij,...i,...j->...", np.abs(precisions), extent, extent)


class Squares:
    """The squares zᵢ², which second moments without correlations are sums of.

    The methods are those of `Pairs`.
    """

    @staticmethod
    def count(n_features: int) -> int:
        """Return the number of squares."""
        return n_features

    @staticmethod
    def of(z: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return the squares of coordinates z (d, b), written to `out` if given."""
        return np.multiply(z, z, out=out)

    @staticmethod
    def coefficients(moments: np.ndarray) -> np.ndarray:
        """Return the coefficients of zᵀ M z in the squares, shape (k, d)."""
        return moments

    @staticmethod
    def moments(totals: np.ndarray, n_features: int) -> np.ndarray:
        """Return sums of the squares, (k, d), as second moments."""
        del n_features
        return totals

    @staticmethod
    def times(precisions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return Σₖ⁻¹ v for vectors (k, d)."""
        return precisions * vectors

    @staticmethod
    def largest(precisions: np.ndarray, extent: np.ndarray) -> np.ndarray:
        """Return zᵀ Σₖ⁻¹ z for |zᵢ| = `extent`, (k,)."""
        return (precisions * extent**2).sum(axis=-1)


@cache
def _pair_of_entry(d: int) -> np.ndarray:
    """Return for each entry of a symmetric matrix, row by row, the number of its product."""
    rows, columns, _ = upper_triangle(d)
    numbers = np.empty((d, d), dtype=np.intp)
    numbers[rows, columns] = numbers[columns, rows] = np.arange(len(rows))
    return numbers.ravel()


@cache
def products_of(structure: type[Covariance]) -> type[Pairs] | type[Squares]:
    """Return the products of coordinates that the second moments of a structure are sums of."""
    return Squares if issubclass(structure, DiagonalCovariance) else Pairs


# ---- the form ------------------------------------------------------------------------------


def exponential_family_centre(samples: Samples, mixture: Mixture) -> np.ndarray | None:
    """Return a point about which `ExponentialFamilyForm` is exact, or None.

    With many features, this is the origin if the data are near enough to it: subtracting the
    centre of the data would take a copy.
    """
    d = mixture.n_features
    if products_of(type(mixture.covariance)).count(d) > max(_MOST_PRODUCTS, d):
        return None
    if d >= _WIDE and _is_exact(samples, mixture, origin := np.zeros(d), samples.largest):
        return origin
    centre = samples.centre
    return centre if _is_exact(samples, mixture, centre, samples.extent) else None


def _is_exact(samples: Samples, mixture: Mixture, centre: np.ndarray, extent: np.ndarray) -> bool:
    """Return whether terms are small enough for samples within `extent` of a centre."""
    extent = np.maximum(extent, np.abs(mixture.means - centre))
    precisions = mixture.covariance.precisions
    size = float(products_of(type(mixture.covariance)).largest(precisions, extent).max())
    if not size <= samples.n_features * _LARGEST[samples.dtype]:
        return False
    limit = _RANGE[samples.dtype] / samples.largest_weight
    return extent.max() <= limit**0.5 and precisions.max() <= limit


class ExponentialFamilyForm:
    """The statistics of a chunk by matrix products with φ(z) = (1, z, z zᵀ), z = x − centre."""

    def __init__(self, mixture: Mixture, centre: np.ndarray) -> None:
        self.products = products_of(type(mixture.covariance))
        self.centre = centre
        self.about = np.repeat(centre[None], mixture.n_components, axis=0)
        self.natural = natural_parameters(mixture, centre)

    def __call__(self, X: np.ndarray, weight: np.ndarray | None) -> SufficientStatistics:
        """Return the statistics of a chunk (b, d) whose samples have these weights (b,)."""
        d = X.shape[1]
        k, p = self.natural.shape
        natural = self.natural.astype(X.dtype, copy=False)
        parts = [slice(0, p)] if d < _WIDE else [slice(0, 1), slice(1, d + 1), slice(d + 1, p)]
        totals = np.zeros((k, p))
        log_likelihood = 0.0
        for rows in blocks(len(X), max(p, k), _BLOCK_PRODUCTS):
            features = self._features(X[rows])
            log_joint = natural[:, parts[0]] @ features[0]
            for part, feature in zip(parts[1:], features[1:], strict=True):
                log_joint += natural[:, part] @ feature
            r, log_prob = normalise(log_joint)
            if weight is not None:
                r *= weight[rows]
                log_prob *= weight[rows]
            for part, feature in zip(parts, features, strict=True):
                totals[:, part] += r @ feature.T
            log_likelihood += float(log_prob.sum(dtype=np.float64))
        return SufficientStatistics(
            totals[:, 0],
            totals[:, 1 : d + 1],
            self.products.moments(totals[:, d + 1 :], d),
            log_likelihood,
            float(np.vdot(totals, self.natural)),
            self.about,
        )

    def _features(self, X: np.ndarray) -> list[np.ndarray]:
        """Return φ(z), (p, b), as one array, or in three parts if z is too wide to be copied."""
        b, d = X.shape
        centre = self.centre.astype(X.dtype, copy=False)
        if d >= _WIDE:
            z = X.T - centre[:, None] if centre.any() else X.T
            return [np.ones((1, b), dtype=X.dtype), z, self.products.of(z)]
        features = np.empty((self.natural.shape[1], b), dtype=X.dtype)
        features[0] = 1
        z = np.subtract(X.T, centre[:, None], out=features[1 : d + 1])
        self.products.of(z, out=features[d + 1 :])
        return [features]


def natural_parameters(mixture: Mixture, centre: np.ndarray) -> np.ndarray:
    """Return θ (k, p), for which log πₖ N(x|μₖ, Σₖ) = θₖ φ(x − centre).

    θₖ = (log πₖ − ½ (d log 2π + log|Σₖ| + mᵀ Σₖ⁻¹ m), Σₖ⁻¹ m, −½ Σₖ⁻¹) with m = μₖ − centre (W6).
    """
    products, precisions = products_of(type(mixture.covariance)), mixture.covariance.precisions
    means = mixture.means - centre
    k, d = means.shape
    natural = np.empty((k, 1 + d + products.count(d)))
    natural[:, 1 : d + 1] = products.times(precisions, means)
    natural[:, d + 1 :] = products.coefficients(precisions) / -2
    natural[:, 0] = mixture.log_normaliser - (means * natural[:, 1 : d + 1]).sum(axis=1) / 2
    return natural
