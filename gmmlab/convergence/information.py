"""The observed information of a mixture, and the remaining gain that follows from it.

The information in the observed data is the information in the complete data, which include the
components, minus the information that is missing because the components are not observed
(Louis 1982),

    I_obs = I_com − Σᵢ Cov(s(xᵢ, z) | xᵢ),                                           (I3)

where s is the score of a complete sample (McLachlan and Krishnan 2008, section 4.2). In
`Coordinates`, I_com is nearly diagonal: Nₖ for the mean and covariance of component k, and
n (diag π − π πᵀ) for the weights.

Along each eigenvector of I_com⁻¹ I_obs, with eigenvalue ε, an EM step multiplies the distance to
the maximum by 1 − ε (I5; Dempster, Laird and Rubin 1977, section 3). So I_obs and the last step
give the remaining distance.

Arrays have leading axes for the fits of a stack.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmmlab._numerics import blocks, normalise
from gmmlab.convergence.coordinates import Coordinates
from gmmlab.covariance import cholesky, solve
from gmmlab.engine import Samples
from gmmlab.mixture import Mixture

# The log-likelihood is not quadratic; its higher terms can make the gain larger.
_SAFETY = 2.0
# A share of the information below this is rounding, so a maximum cannot be detected.
_FLAT = 1e-12
# An estimate of the remaining gain may always cost this many multiplications, and otherwise this
# fraction of what the fit cost.
_CHEAP, _FRACTION = 1e7, 0.1
# The scores of a block of samples, and the matrices of a slice of a stack, have at most this many
# numbers, so they stay in the cache.
_ENTRIES = 2**16
# A slice has so few fits that a block has this many samples; each fit has this many matrices.
_ROWS, _MATRICES = 128, 4


class Information(NamedTuple):
    """Matrices (…, p, p) over the free coordinates."""

    observed: np.ndarray
    complete: np.ndarray


class MissingInformation:
    """Σᵢ Cov(s(xᵢ, z) | xᵢ) over a chunk of samples, shape (…, p, p)."""

    def __init__(self, coordinates: Coordinates) -> None:
        self.coordinates = coordinates

    def __call__(self, X: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Return the matrix for a chunk (…, b, d) whose samples have these weights (…, b)."""
        mixture, places = self.coordinates.origin, self.coordinates.places
        second = outer = 0.0
        fits = mixture.weights.size // len(places)
        # A thread does not inherit the error state, and a degenerate fit is no reason to warn.
        with np.errstate(all="ignore"):
            for rows in blocks(X.shape[-2], fits * places.size, _ENTRIES):
                whitened = mixture.whiten(X[..., rows, :])
                r, _ = normalise(mixture.log_joint_whitened(whitened))
                share = r if weight is None else r * weight[..., None, rows]
                scores = self._scores(whitened)
                # BLAS needs half the multiplications for a matrix times its own transpose.
                scores *= np.sqrt(share)[..., None, :]
                second = second + scores @ scores.swapaxes(-1, -2)
                scores *= np.sqrt(r)[..., None, :]
                mean = self._mean(scores)
                outer = outer + mean @ mean.swapaxes(-1, -2)
            return self._joined(second) - outer

    def _scores(self, y: np.ndarray) -> np.ndarray:
        """Return the scores of samples from known components, (…, k, q, b), for y (…, k, d, b)."""
        free, parts = self.coordinates.free, []
        if "weights" in free:
            parts.append(np.ones((*y.shape[:-2], 1, y.shape[-1])))
        if "means" in free:
            parts.append(y)
        if "covariances" in free:
            parts.append(self.coordinates.origin.covariance.chart(y.shape[-2]).scores(y))
        return np.concatenate(parts, axis=-2)

    def _mean(self, weighted: np.ndarray) -> np.ndarray:
        """Return Σₖ of weighted scores (…, k, q, b) in coordinates, shape (…, p, b)."""
        places, size = self.coordinates.places, self.coordinates.size
        mean = np.empty((*weighted.shape[:-3], size + 1, weighted.shape[-1]))
        mean[..., places, :] = weighted
        if self.coordinates.shared:
            mine = self.coordinates.columns["covariances"]
            mean[..., places[0, mine], :] = weighted[..., mine, :].sum(axis=-3)
        return mean[..., :size, :]

    def _joined(self, second: np.ndarray) -> np.ndarray:
        """Return Σₖ of matrices (…, k, q, q) in coordinates, shape (…, p, p)."""
        places, size = self.coordinates.places, self.coordinates.size
        joined = np.zeros((*second.shape[:-3], size + 1, size + 1))
        joined[..., places[:, :, None], places[:, None, :]] = second
        if self.coordinates.shared:
            mine = self.coordinates.columns["covariances"]
            place = places[0, mine]
            joined[..., place[:, None], place] = second[..., mine, mine].sum(axis=-3)
        return joined[..., :size, :size]


def information(samples: Samples, coordinates: Coordinates, counts: np.ndarray) -> Information:
    """Return observed and complete information at the origin of the coordinates.

    Parameters
    ----------
    samples : Samples
        Complete data.
    coordinates : Coordinates
        About a mixture near a maximum, or a stack. Elsewhere the curvature of the log-likelihood
        has further terms, which vanish with its gradient.
    counts : ndarray, shape (…, n_components)
        Nₖ, from `sufficient_statistics`.
    """
    diagonal = coordinates.per_coordinate(counts)
    complete = diagonal[..., None] * np.eye(coordinates.size)
    if "weights" in coordinates.free:
        weights = coordinates.origin.weights[..., :-1]
        last = weights.shape[-1]
        # n (diag π − π πᵀ)
        of_weights = weights[..., None] * (np.eye(last) - weights[..., None, :])
        complete[..., :last, :last] = np.asarray(samples.total)[..., None, None] * of_weights
    missing = samples.fold(MissingInformation(coordinates))
    return Information(complete - missing, complete)


def can_estimate_remaining_gain(
    samples: Samples, mixture: Mixture, free: frozenset[str], n_iter: int | np.ndarray
) -> bool | np.ndarray:
    """Return whether `remaining_gain` is defined and cheap compared with a fit of `n_iter` steps.

    It is not defined for curved structures and for missing entries. The result has the shape of
    `n_iter`.
    """
    n_parameters = mixture.n_parameters(free)
    curved = "covariances" in free and mixture.covariance.curved
    defined = n_parameters > 0 and not curved and not samples.has_missing
    k, d = mixture.means.shape[-2:]
    cost = samples.n_samples * n_parameters**2
    fit_cost = samples.n_samples * n_iter * k * (d + 3) ** 2
    return defined & (cost <= np.maximum(_CHEAP, _FRACTION * fit_cost))


def remaining_gain(
    samples: Samples, mixture: Mixture, new: Mixture, counts: np.ndarray, free: frozenset[str]
) -> float | np.ndarray:
    """Estimate how much log-likelihood EM would still gain from `mixture` on.

    Parameters
    ----------
    samples : Samples
    mixture : Mixture
        The current mixture, or a stack.
    new : Mixture
        The mixture after one more EM step.
    counts : ndarray, shape (…, n_components)
        Nₖ at `mixture`.
    free : frozenset of str
        The blocks that EM estimates.

    Returns
    -------
    float, or ndarray of shape (n_fits,) for a stack
        A total over the samples, in nats. It is infinite where the log-likelihood is not curved
        like a maximum: far from a maximum, on a plateau, or where a component collapses.

    Notes
    -----
    To second order the gain is the Newton decrement ½ gᵀ I_obs⁻¹ g (I6). The gradient g = I_com Δ
    follows from the EM step Δ (I4; Lange 1995). The estimate is twice that. It is infinite unless
    every eigenvalue of I_com⁻¹ I_obs is above 10⁻¹².
    """
    lead = mixture.weights.shape[:-1]
    size = mixture.n_parameters(free)
    if not lead:
        return float(_gain(samples, mixture, new, counts, free)) if size else 0.0
    gains = np.zeros(lead)
    if size:
        k, d = mixture.means.shape[-2:]
        of_scores = _ROWS * k * (1 + d + mixture.covariance.n_parameters(1, d))
        of_matrices = _MATRICES * size**2
        step = max(_ENTRIES // max(of_scores, of_matrices), 1)
        for begin in range(0, len(gains), step):
            fits = slice(begin, begin + step)
            gains[fits] = _gain(
                samples.select(fits), mixture.select(fits), new.select(fits), counts[fits], free
            )
    return gains


def _gain(
    samples: Samples, mixture: Mixture, new: Mixture, counts: np.ndarray, free: frozenset[str]
) -> np.ndarray:
    """Return `remaining_gain` where there are free parameters."""
    # A collapsed component leads to divisions by 0; the estimate is then infinite.
    with np.errstate(all="ignore"):
        coordinates = Coordinates(mixture, free)
        step = coordinates.of(new)
        observed, complete = information(samples, coordinates, counts)
        gradient = complete @ step[..., None]
        # The factor L is NaN unless every eigenvalue is large enough; ‖L⁻¹ g‖² = gᵀ I_obs⁻¹ g.
        factor = cholesky(observed - _FLAT * complete)
        scaled = solve(factor, gradient)[..., 0]
        gain = _SAFETY / 2 * (scaled * scaled).sum(axis=-1)
        return np.where(np.isfinite(gain), gain, np.inf)
