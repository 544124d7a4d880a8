"""Sufficient statistics of one pass over the data, by whitened residuals: (E1 to E3) of `em`.

`ResidualForm` is the mathematics as it stands (W1): y = C⁻¹ (x − μ), ‖y‖², Σ r y yᵀ. It is exact
however narrow a component is and however far from the origin. Statistics of blocks add up (W4).

Arrays have leading axes for the fits of a stack: (…, k), (…, k, d), (…, k, d, d).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from gmmlab._numerics import blocks, normalise
from gmmlab.covariance import Covariance
from gmmlab.mixture import Mixture

# A second moment about another point may be this many times as large as the one about the mean.
CANCELLATION = {np.dtype(np.float64): 1e5, np.dtype(np.float32): 1e3}


def per_component(values: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return values (…, k) in a shape that multiplies moments (…, k, d, d) or (…, k, d)."""
    return values.reshape(*values.shape, *[1] * (moments.ndim - values.ndim))


@dataclass(frozen=True, eq=False)
class SufficientStatistics:
    """Sufficient statistics of one pass: sums over the samples, weighted if these have weights."""

    counts: np.ndarray  # Σ r, (…, k)
    first: np.ndarray  # Σ r (x − about), (…, k, d)
    second: np.ndarray  # Σ r (x − about)(x − about)ᵀ, (…, k, d, d), or its diagonal, (…, k, d)
    log_likelihood: np.ndarray  # Σ log p(x), (…)
    expected_log_joint: np.ndarray  # Σ r log πₖ N(x|μₖ, Σₖ), (…); NaN if `about` was given
    about: np.ndarray  # what the moments are taken about, (…, k, d)

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        return SufficientStatistics(
            self.counts + other.counts,
            self.first + other.first,
            self.second + other.second,
            self.log_likelihood + other.log_likelihood,
            self.expected_log_joint + other.expected_log_joint,
            self.about,
        )

    def select(self, fits: Any) -> SufficientStatistics:
        """Return the statistics of some fits of a stack."""
        return SufficientStatistics(*(getattr(self, each.name)[fits] for each in fields(self)))

    def replaced(self, fits: np.ndarray, by: SufficientStatistics) -> SufficientStatistics:
        """Return these statistics with those of some fits replaced by others."""
        arrays = [getattr(self, each.name).copy() for each in fields(self)]
        for array, each in zip(arrays, fields(self), strict=True):
            array[fits] = getattr(by, each.name)
        return SufficientStatistics(*arrays)

    @staticmethod
    def joined(
        parts: Sequence[SufficientStatistics], order: np.ndarray | None = None
    ) -> SufficientStatistics:
        """Return the statistics of several stacks as one, in another order if it is given."""
        arrays = []
        for each in fields(SufficientStatistics):
            array = np.concatenate([getattr(part, each.name) for part in parts])
            arrays.append(array if order is None else array[order])
        return SufficientStatistics(*arrays)

    @cached_property
    def divisor(self) -> np.ndarray:
        """Nₖ, but never 0, so that the moments of an empty component are 0."""
        return np.maximum(self.counts, np.finfo(float).tiny)

    @cached_property
    def mean_shift(self) -> np.ndarray:
        """The weighted means of the samples minus `about`, shape (…, k, d)."""
        return self.first / self.divisor[..., None]

    def means(self) -> np.ndarray:
        """Return the weighted means of the samples (M2), shape (…, k, d)."""
        return self.about + self.mean_shift

    def moments(self, structure: type[Covariance], means: np.ndarray | None = None) -> np.ndarray:
        """Return the weighted second moments about `means` (M3), shape (…, k, d, d) or (…, k, d).

        By default they are about the weighted means of the samples, which is cheaper.
        """
        about = self.second / per_component(self.divisor, self.second)
        if means is None:
            return about - structure.moments.product(self.mean_shift, self.mean_shift)
        delta = means - self.about
        # Σ r (x−a−δ)(x−a−δ)ᵀ / N = second − (m δᵀ + δ mᵀ) + δ δᵀ with m the first moment
        return about - 2 * structure.moments.product(self.mean_shift - delta / 2, delta)

    def is_exact_for(self, new: Mixture, dtype: np.dtype) -> np.ndarray:
        """Return whether the moments about the means of `new`, the next mixture, keep their digits.

        They are the moments about another point minus δ δᵀ, where δ is the distance of the new mean
        from that point. A rounding error in δ δᵀ is ‖C'⁻¹ δ‖² times as large relative to Σ'.
        The result has shape (…).
        """
        distance = new.covariance.whiten((new.means - self.about)[..., None])
        return ((distance**2).sum(axis=(-2, -1)) <= CANCELLATION[dtype]).all(axis=-1)


class ResidualForm:
    """The statistics of a chunk, by whitened residuals.

    Parameters
    ----------
    mixture : Mixture
        One mixture, or a stack.
    about : ndarray, shape (…, k, d), optional
        The points that moments are taken about; the means of the mixture by default.
    """

    def __init__(self, mixture: Mixture, about: np.ndarray | None = None) -> None:
        self.mixture = mixture
        self.about = about
        #: entries of the largest array, for each fit and each sample of a block
        self.entries_of_a_fit = mixture.means.shape[-1] * mixture.means.shape[-2]

    def select(self, fits: Any) -> ResidualForm:
        """Return the form of some fits of a stack."""
        about = None if self.about is None else self.about[fits]
        return type(self)(self.mixture.select(fits), about)

    def __call__(
        self,
        X: np.ndarray,
        weight: np.ndarray | None,
        responsibilities: np.ndarray | None = None,
    ) -> SufficientStatistics:
        """Return the statistics of a chunk.

        Parameters
        ----------
        X : ndarray, shape (b, d), or (…, b, d) if each fit has data of its own
        weight : ndarray, shape (b,) or (…, b), or None
            Sample weights.
        responsibilities : ndarray, shape (…, b, k), optional
            They replace those of the E-step.
        """
        mixture, covariance = self.mixture, self.mixture.covariance
        counts = first = second = log_likelihood = 0.0
        for rows in blocks(X.shape[-2], mixture.means.size):
            whitened = mixture.whiten(X[..., rows, :])
            if responsibilities is None:
                r, log_prob = normalise(mixture.log_joint_whitened(whitened))
            else:
                mine = responsibilities[..., rows, :].swapaxes(-1, -2)
                r = np.array(mine, dtype=np.float64, order="C")
                log_prob = np.zeros((*r.shape[:-2], r.shape[-1]))
            if weight is not None:
                r *= weight[..., None, rows]
                log_prob *= weight[..., rows]
            if self.about is not None:
                whitened = mixture.whiten(X[..., rows, :], self.about)
            counts = counts + r.sum(axis=-1)
            first = first + (whitened @ r[..., None])[..., 0]
            second = second + covariance.moments.scatter(whitened, r)
            log_likelihood = log_likelihood + log_prob.sum(axis=-1)
        second = covariance.colour_moments(second)
        about = mixture.means if self.about is None else self.about
        expected = np.full(np.shape(log_likelihood), np.nan)
        return SufficientStatistics(
            counts,
            covariance.colour(first[..., None])[..., 0],
            second,
            log_likelihood,
            mixture.expected_log_joint(counts, second) if self.about is None else expected,
            np.broadcast_to(about, first.shape),
        )
