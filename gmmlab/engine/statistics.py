"""Sufficient statistics of one pass over the data, by whitened residuals: (E1 to E3) of `em`.

`ResidualForm` is the mathematics as it stands (W1): y = C⁻¹ (x − μ), ‖y‖², Σ r y yᵀ. It is exact
however narrow a component is and however far from the origin. Statistics of blocks add up (W4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gmmlab._numerics import blocks, normalise
from gmmlab.covariance import Covariance
from gmmlab.mixture import Mixture

# A second moment about another point may be this many times as large as the one about the mean.
_CANCELLATION = {np.dtype(np.float64): 1e5, np.dtype(np.float32): 1e3}


def per_component(values: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return values (k,) in a shape that multiplies moments (k, d, d) or (k, d)."""
    return values.reshape(-1, *[1] * (moments.ndim - 1))


@dataclass(frozen=True)
class SufficientStatistics:
    """Sufficient statistics of one pass: sums over the samples, weighted if these have weights."""

    counts: np.ndarray  # Σ r, (k,)
    first: np.ndarray  # Σ r (x − about), (k, d)
    second: np.ndarray  # Σ r (x − about)(x − about)ᵀ, (k, d, d), or its diagonal, (k, d)
    log_likelihood: float  # Σ log p(x)
    expected_log_joint: float  # Σ r log πₖ N(x|μₖ, Σₖ); NaN if `about` was given
    about: np.ndarray  # what the moments are taken about, (k, d)

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        return SufficientStatistics(
            self.counts + other.counts,
            self.first + other.first,
            self.second + other.second,
            self.log_likelihood + other.log_likelihood,
            self.expected_log_joint + other.expected_log_joint,
            self.about,
        )

    @cached_property
    def divisor(self) -> np.ndarray:
        """Nₖ, but never 0, so that the moments of an empty component are 0."""
        return np.maximum(self.counts, np.finfo(float).tiny)

    def means(self) -> np.ndarray:
        """Return the weighted means of the samples (M2), shape (k, d)."""
        return self.about + self.first / self.divisor[:, None]

    def moments(self, structure: type[Covariance], means: np.ndarray) -> np.ndarray:
        """Return the weighted second moments about `means` (M3), shape (k, d, d) or (k, d)."""
        delta = means - self.about
        # Σ r (x−a−δ)(x−a−δ)ᵀ / N = second − (m δᵀ + δ mᵀ) + δ δᵀ with m the first moment
        shifted = self.first / self.divisor[:, None] - delta / 2
        about = self.second / per_component(self.divisor, self.second)
        return about - 2 * structure.moments.product(shifted, delta)

    def is_exact_for(self, new: Mixture, dtype: np.dtype) -> bool:
        """Return whether the moments about the means of `new`, the next mixture, keep their digits.

        They are the moments about another point minus δ δᵀ, where δ is the distance of the new mean
        from that point. A rounding error in δ δᵀ is ‖C'⁻¹ δ‖² times as large relative to Σ'.
        """
        try:
            distance = new.covariance.whiten((new.means - self.about)[:, :, None])
            return bool((distance**2).sum(axis=1).max() <= _CANCELLATION[dtype])
        except np.linalg.LinAlgError:
            return False


class ResidualForm:
    """The statistics of a chunk, by whitened residuals."""

    def __init__(self, mixture: Mixture, about: np.ndarray | None = None) -> None:
        self.mixture = mixture
        self.about = about

    def __call__(
        self,
        X: np.ndarray,
        weight: np.ndarray | None,
        responsibilities: np.ndarray | None = None,
    ) -> SufficientStatistics:
        """Return the statistics of a chunk (b, d).

        `weight` (b,) are sample weights. `responsibilities` (b, k) replace those of the E-step.
        """
        mixture, covariance = self.mixture, self.mixture.covariance
        k, d = mixture.means.shape
        counts, first, second, log_likelihood = np.zeros(k), np.zeros((k, d)), 0.0, 0.0
        for rows in blocks(len(X), k * d):
            whitened = mixture.whiten(X[rows])
            if responsibilities is None:
                r, log_prob = normalise(mixture.log_joint_whitened(whitened))
            else:
                r = np.array(responsibilities[rows].T, dtype=np.float64, order="C")
                log_prob = np.zeros(len(X[rows]))
            if weight is not None:
                r *= weight[rows]
                log_prob *= weight[rows]
            if self.about is not None:
                whitened = mixture.whiten(X[rows], self.about)
            counts += r.sum(axis=1)
            first += (whitened @ r[:, :, None])[:, :, 0]
            second = second + covariance.moments.scatter(whitened, r)
            log_likelihood += float(log_prob.sum())
        second = covariance.colour_moments(second)
        return SufficientStatistics(
            counts,
            covariance.colour(first[:, :, None])[:, :, 0],
            second,
            log_likelihood,
            mixture.expected_log_joint(counts, second) if self.about is None else np.nan,
            mixture.means if self.about is None else self.about,
        )
