"""Sufficient statistics by matrix products: a Gaussian as an exponential family.

With φ(z) = (1, z, z zᵀ), all log πₖ N(x|μₖ, Σₖ) are one matrix product θ φ(z), and all statistics
are another, r φ(z)ᵀ (W6; Bishop 2006, section 2.4). A stack of fits to the same data has the same
two products with more rows. For few features, or for structures without correlations, this is
several times as fast as whitened residuals and gives the same statistics.

It subtracts large numbers if a component is narrow compared with its distance from the centre of
the data, so it is used only where `exact` shows that no digits are lost.
"""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any

import numpy as np

from gmmlab._numerics import LONGEST_BLOCK, blocks, normalise
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
# φ is computed once for all passes if it has at most this many entries (8 MiB), and if the samples
# fit one block.
_KEPT_FEATURES = 2**20
# With at least this many features, blocks of the data are used without a transposed copy: only
# short rows are worth copying into columns.
_WIDE = 32
# With more products of features than this, whitened residuals are faster.
_MOST_PRODUCTS = 400
# The largest terms that zᵀ Σ⁻¹ z may be summed from, for each feature. Log-densities are then off
# by at most 1e-10 for each feature in double precision and 1e-3 in single precision, and by far
# less on average.
_LARGEST = {np.dtype(np.float64): 1e5, np.dtype(np.float32): 1e3}
# A rough pass may have terms that are larger by this factor.
_ROUGH = 1e3
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
        """Return the products of coordinates z (…, d, b), (…, p, b), written to `out` if given."""
        return upper_products(z, out)

    @staticmethod
    def coefficients(moments: np.ndarray) -> np.ndarray:
        """Return the coefficients of zᵀ M z in the products, shape (…, k, p)."""
        d = moments.shape[-1]
        places, entries = _entry_of_pair(d)
        return moments.reshape(*moments.shape[:-2], d * d).take(places, axis=-1) * entries

    @staticmethod
    def moments(totals: np.ndarray, n_features: int) -> np.ndarray:
        """Return sums of the products, (…, k, p), as second moments."""
        moments = totals.take(_pair_of_entry(n_features), axis=-1)
        return moments.reshape(*totals.shape[:-1], n_features, n_features)

    @staticmethod
    def times(precisions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return Σₖ⁻¹ v for vectors (…, k, d)."""
        return (precisions @ vectors[..., None])[..., 0]


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
        """Return the squares of coordinates z (…, d, b), written to `out` if given."""
        return np.multiply(z, z, out=out)

    @staticmethod
    def coefficients(moments: np.ndarray) -> np.ndarray:
        """Return the coefficients of zᵀ M z in the squares, shape (…, k, d)."""
        return moments

    @staticmethod
    def moments(totals: np.ndarray, n_features: int) -> np.ndarray:
        """Return sums of the squares, (…, k, d), as second moments."""
        del n_features
        return totals

    @staticmethod
    def times(precisions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return Σₖ⁻¹ v for vectors (…, k, d)."""
        return precisions * vectors


@cache
def _pair_of_entry(d: int) -> np.ndarray:
    """Return for each entry of a symmetric matrix, row by row, the number of its product."""
    rows, columns, _ = upper_triangle(d)
    numbers = np.empty((d, d), dtype=np.intp)
    numbers[rows, columns] = numbers[columns, rows] = np.arange(len(rows))
    return numbers.ravel()


@cache
def _entry_of_pair(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each product the place of its entry in a flat matrix, and how often it counts."""
    rows, columns, entries = upper_triangle(d)
    return rows * d + columns, entries


@cache
def products_of(structure: type[Covariance]) -> type[Pairs] | type[Squares]:
    """Return the products of coordinates that the second moments of a structure are sums of."""
    return Squares if issubclass(structure, DiagonalCovariance) else Pairs


# ---- the form ------------------------------------------------------------------------------


class ExponentialFamilyForm:
    """The statistics of a chunk by matrix products with φ(z) = (1, z, z zᵀ), z = x − centre.

    Parameters
    ----------
    mixture : Mixture
        One mixture, or a stack.
    centre : ndarray, shape (d,), or (…, d) if each fit has data of its own
    """

    def __init__(self, mixture: Mixture, centre: np.ndarray) -> None:
        self.mixture = mixture
        self.products = products_of(type(mixture.covariance))
        self.centre = centre
        self.means = mixture.means - centre[..., None, :]
        self.natural = natural_parameters(mixture, centre)
        self.about = np.empty(self.means.shape)
        self.about[...] = centre[..., None, :]
        #: φ of all samples, shape (…, p, n), if it is kept
        self.features: np.ndarray | None = None
        #: entries of the largest array, for each fit and each sample of a block
        self.entries_of_a_fit = mixture.means.shape[-2]

    def select(self, fits: Any) -> ExponentialFamilyForm:
        """Return the form of some fits of a stack."""
        part = copy(self)
        part.mixture = self.mixture.select(fits)
        for name in ("means", "natural", "about"):
            setattr(part, name, getattr(self, name)[fits])
        if self.centre.ndim == 2:  # the fits have data of their own
            part.centre = self.centre[fits]
            part.features = None if self.features is None else self.features[fits]
        return part

    def exact(
        self, samples: Samples, extent: np.ndarray, *, rough: bool = False
    ) -> tuple[np.ndarray, bool]:
        """Return whether no digits are lost, and whether that holds by a wide margin for all fits.

        Parameters
        ----------
        samples : Samples
        extent : ndarray, shape (d,) or (…, d)
            The largest distance of a sample from the centre, for each feature.
        rough : bool, default False
            Whether half of the digits are enough.

        Returns
        -------
        exact : ndarray of bool, shape (…)
        surely : bool
            With a wide margin, no component has collapsed, and the second moments about the next
            means keep their digits.
        """
        d, bound = self.means.shape[-1], _LARGEST[samples.dtype] * (_ROUGH if rough else 1)
        quadratic = np.abs(self.natural[..., d + 1 :])
        distance = np.abs(self.means)
        if (distance <= extent[..., None, :]).all():
            # The sum of the terms of zᵀ Σₖ⁻¹ z in absolute value, for |zᵢ| = extent
            size = (quadratic @ self._reach(samples, extent))[..., 0]
        else:
            extent = np.maximum(extent[..., None, :], distance)
            size = (quadratic * self.products.of(extent[..., None])[..., 0]).sum(axis=-1)
        largest = 2 * size.max(axis=-1)
        exact = largest <= d * bound
        if not self._in_range(samples, extent, d * bound):
            limit = _RANGE[samples.dtype] / samples.largest_weight
            small = extent.max() ** 2 <= limit
            exact = exact & (quadratic.max(axis=(-2, -1)) <= limit / 2) & small
            return exact, bool((exact & (largest <= bound / 4)).all())
        return exact, bool(largest.max() <= bound / 4)

    def _reach(self, samples: Samples, extent: np.ndarray) -> np.ndarray:
        """Return the products of the largest distances from the centre, shape (…, p, 1)."""
        key = "reach", self.products, extent is samples.largest
        if key not in samples.features:
            samples.features[key] = self.products.of(extent[..., None])
        return samples.features[key]

    def _in_range(self, samples: Samples, extent: np.ndarray, bound: float) -> bool:
        """Return whether squares and precisions within a bound neither over- nor underflow."""
        key = "range", extent is samples.largest, bound
        if extent.ndim > 1 or key not in samples.features:
            limit = _RANGE[samples.dtype] / samples.largest_weight
            low, high = extent.min(), extent.max()
            samples.features[key] = bool(low * low * limit >= bound and high * high <= limit)
        return samples.features[key]

    def __call__(self, X: np.ndarray, weight: np.ndarray | None) -> SufficientStatistics:
        """Return the statistics of a chunk (b, d) or (…, b, d) with weights (b,) or (…, b)."""
        b, d = X.shape[-2:]
        *stack, k, p = self.natural.shape
        natural = self.natural.astype(X.dtype, copy=False)
        shared = X.ndim == 2
        if shared:  # one product for all fits
            natural = natural.reshape(-1, p)
        parts = [slice(0, p)] if d < _WIDE else [slice(0, 1), slice(1, d + 1), slice(d + 1, p)]
        totals, log_likelihood = None, 0.0
        for rows in blocks(b, max(p, self.natural.size // p), _BLOCK_PRODUCTS):
            features = self._features(X, rows)
            log_joint = natural[..., parts[0]] @ features[0]
            for part, feature in zip(parts[1:], features[1:], strict=True):
                log_joint += natural[..., part] @ feature
            r, log_prob = normalise(log_joint.reshape(*stack, k, -1))
            if weight is not None:
                r *= weight[..., None, rows]
                log_prob *= weight[..., rows]
            r = r.reshape(log_joint.shape)
            found = [r @ feature.swapaxes(-1, -2) for feature in features]
            found = found[0] if len(found) == 1 else np.concatenate(found, axis=-1)
            totals = found.astype(np.float64, copy=False) if totals is None else totals + found
            log_likelihood = log_likelihood + log_prob.sum(axis=-1, dtype=np.float64)
        totals = totals.reshape(self.natural.shape)
        return SufficientStatistics(
            totals[..., 0],
            totals[..., 1 : d + 1],
            self.products.moments(totals[..., d + 1 :], d),
            log_likelihood,
            np.einsum("...kp,...kp->...", totals, self.natural),
            self.about,
        )

    def _features(self, X: np.ndarray, rows: slice) -> list[np.ndarray]:
        """Return φ(z), (…, p, b), as one array, or in three parts if z is too wide to be copied."""
        if self.features is not None:
            whole = rows.stop - rows.start == self.features.shape[-1]
            return [self.features if whole else self.features[..., rows]]
        X = X[..., rows, :]
        if X.shape[-1] >= _WIDE:
            z = X.swapaxes(-1, -2)
            centre = self.centre.astype(X.dtype, copy=False)
            z = z - centre[..., :, None] if centre.any() else z
            return [np.ones((*z.shape[:-2], 1, z.shape[-1]), X.dtype), z, self.products.of(z)]
        return [features_of(X, self.centre, self.products)]


def exponential_family_form(
    samples: Samples, mixture: Mixture, *, rough: bool = False
) -> tuple[ExponentialFamilyForm | None, np.ndarray, bool]:
    """Return the form for a mixture, and for which fits of a stack it is exact.

    Returns
    -------
    form : ExponentialFamilyForm or None
        None if there are too many products.
    exact, surely
        As from `ExponentialFamilyForm.exact`.

    Notes
    -----
    With many features, the centre is the origin if the data are near enough to it: subtracting the
    centre of the data would take a copy.
    """
    d, products = mixture.n_features, products_of(type(mixture.covariance))
    if products.count(d) > max(_MOST_PRODUCTS, d):
        return None, np.zeros(mixture.means.shape[:-2], dtype=bool), False
    if d >= _WIDE:
        form = ExponentialFamilyForm(mixture, np.zeros(samples.centre.shape))
        exact, surely = form.exact(samples, samples.largest, rough=rough)
        if surely or exact.all():
            return form, exact, surely
    form = ExponentialFamilyForm(mixture, samples.centre)
    exact, surely = form.exact(samples, samples.extent, rough=rough)
    if surely or exact.any():
        form.features = _kept_features(samples, products)
    return form, exact, surely


def natural_parameters(mixture: Mixture, centre: np.ndarray) -> np.ndarray:
    """Return θ (…, k, p), for which log πₖ N(x|μₖ, Σₖ) = θₖ φ(x − centre).

    θₖ = (log πₖ − ½ (d log 2π + log|Σₖ| + mᵀ Σₖ⁻¹ m), Σₖ⁻¹ m, −½ Σₖ⁻¹) with m = μₖ − centre (W6).
    """
    products, precisions = products_of(type(mixture.covariance)), mixture.covariance.precisions
    means, d = mixture.means - centre[..., None, :], mixture.n_features
    natural = np.empty((*means.shape[:-1], 1 + d + products.count(d)))
    linear = natural[..., 1 : d + 1] = products.times(precisions, means)
    natural[..., d + 1 :] = products.coefficients(precisions) / -2
    natural[..., 0] = mixture.log_normaliser - (means * linear).sum(axis=-1) / 2
    return natural


def features_of(X: np.ndarray, centre: np.ndarray, products: Any) -> np.ndarray:
    """Return φ(x − centre), shape (…, p, b), for samples X (…, b, d)."""
    *stack, b, d = X.shape
    features = np.empty((*stack, 1 + d + products.count(d), b), dtype=X.dtype)
    features[..., 0, :] = 1
    z, centre = features[..., 1 : d + 1, :], centre.astype(X.dtype, copy=False)
    np.subtract(X.swapaxes(-1, -2), centre[..., :, None], out=z)
    products.of(z, out=features[..., d + 1 :, :])
    return features


def _kept_features(samples: Samples, products: Any) -> np.ndarray | None:
    """Return φ of all samples, computed once, or None if they do not fit one block."""
    d = samples.n_features
    entries = samples.X.size // d * (1 + d + products.count(d))
    small = samples.n_samples <= LONGEST_BLOCK and entries <= _KEPT_FEATURES
    if d >= _WIDE or not small or not isinstance(samples.X, np.ndarray):
        return None
    if products not in samples.features:
        samples.features[products] = features_of(samples.X, samples.centre, products)
    return samples.features[products]
