"""Sufficient statistics of a pass over data with missing entries (NaN).

Missing entries are integrated out: the likelihood is that of the observed entries. Under each
component, the E-step replaces the missing entries of a sample by their conditional mean and adds
their conditional covariance to the second moments (Ghahramani and Jordan 1994; Little and Rubin
2020, section 11.2). For complete data this equals the plain pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add

import numpy as np

from gmmlab._numerics import blocks, normalise
from gmmlab.engine.statistics import ResidualForm, SufficientStatistics, per_component
from gmmlab.mixture import Mixture


def log_joint_observed(X: np.ndarray, mixture: Mixture) -> np.ndarray:
    """Return log πₖ p(observed part of xᵢ | component k), shape (n_samples, n_components)."""
    found = np.empty((len(X), mixture.n_components))
    for seen, mine in _patterns(X):
        features = np.flatnonzero(seen)
        if len(features):
            found[mine] = mixture.marginal(features).log_joint(X[np.ix_(mine, features)])
        else:
            found[mine] = np.log(mixture.weights)
    return found


def _patterns(X: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each pattern of observed features (a mask) and the rows that have it."""
    patterns, which, counts = np.unique(
        ~np.isnan(X), axis=0, return_inverse=True, return_counts=True
    )
    order = np.argsort(which.ravel(), kind="stable")
    yield from zip(patterns, np.split(order, np.cumsum(counts)[:-1]), strict=True)


class ObservedForm(ResidualForm):
    """The statistics of a chunk with missing entries, one pattern after the other."""

    def __call__(self, X: np.ndarray, weight: np.ndarray | None) -> SufficientStatistics:
        """Return the statistics of a chunk (b, d) or (…, b, d) with weights (b,) or (…, b)."""
        if X.ndim == 3:  # the fits have patterns of their own
            parts = []
            for number, own in enumerate(X):
                fit = slice(number, number + 1)
                about = None if self.about is None else self.about[fit]
                share = weight if weight is None or weight.ndim == 1 else weight[fit]
                parts.append(ObservedForm(self.mixture.select(fit), about)(own, share))
            return SufficientStatistics.joined(parts)
        found = []
        for seen, mine in _patterns(X):
            share = None if weight is None else weight[..., mine]
            if seen.all():
                found.append(ResidualForm(self.mixture, self.about)(X[mine], share))
            else:
                found += self._pattern(X[mine], share, np.flatnonzero(seen), np.flatnonzero(~seen))
        return reduce(add, found)

    def _pattern(
        self, X: np.ndarray, weight: np.ndarray | None, seen: np.ndarray, unseen: np.ndarray
    ) -> list[SufficientStatistics]:
        """Return the statistics of each block of samples with the same observed features."""
        mixture, covariance = self.mixture, self.mixture.covariance
        *stack, k, d = mixture.means.shape
        about = mixture.means if self.about is None else self.about
        if len(seen):
            coefficients, left = covariance.given(seen, unseen)
            observed = mixture.marginal(seen)
        else:  # nothing is observed, so the responsibilities are the weights
            coefficients, left, observed = np.zeros((1, d, 0)), covariance, None
        spread = covariance.moments.embedded(left.stack, unseen, d)
        found = []
        for rows in blocks(len(X), mixture.means.size):
            x = X[rows].T[seen].astype(np.float64)
            if observed is None:
                r = np.repeat(mixture.weights[..., None], x.shape[1], axis=-1)
                log_prob = np.zeros((*stack, x.shape[1]))
            else:
                r, log_prob = normalise(observed.log_joint_whitened(observed.whiten(x.T)))
            if weight is not None:
                r *= weight[..., None, rows]
                log_prob *= weight[..., rows]
            residuals = np.empty((*stack, k, d, x.shape[1]))
            residuals[..., seen, :] = x - mixture.means[..., seen, None]
            residuals[..., unseen, :] = coefficients @ residuals[..., seen, :]
            residuals += (mixture.means - about)[..., None]
            counts = r.sum(axis=-1)
            second = covariance.moments.scatter(residuals, r)
            second = second + per_component(counts, second) * spread
            expected = mixture.expected_log_joint(counts, second)
            found.append(
                SufficientStatistics(
                    counts,
                    (residuals @ r[..., None])[..., 0],
                    second,
                    log_prob.sum(axis=-1),
                    expected if self.about is None else np.full(expected.shape, np.nan),
                    np.broadcast_to(about, mixture.means.shape),
                )
            )
        return found
