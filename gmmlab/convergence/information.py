"""The observed information of a mixture, and the remaining gain that follows from it.

The information in the observed data is the information in the complete data, which include the
components, minus the information that is missing because the components are not observed
(Louis 1982),

    I_obs = I_com − Σᵢ Cov(s(xᵢ, z) | xᵢ),                                           (I3)

where s is the score of a complete sample (McLachlan and Krishnan 2008, section 4.2). In
`Coordinates`, I_com is nearly diagonal: Nₖ for the mean and covariance of component k, and
n (diag π − π πᵀ) for the weights.

Along each eigenvector of I_com⁻¹ I_obs, with eigenvalue ε, an EM step multiplies the distance to
the maximum by 1 − ε (I5; Dempster, Laird and Rubin 1977, section 3). So ε and the length of the
last step give the remaining distance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmmlab._numerics import blocks, normalise
from gmmlab.convergence.coordinates import Coordinates
from gmmlab.engine import Samples
from gmmlab.mixture import Mixture

# The log-likelihood is not quadratic; its higher terms can make the gain larger.
_SAFETY = 2.0
# A share of the information below this is rounding, so a maximum cannot be detected.
_FLAT = 1e-12
# An estimate of the remaining gain may always cost this many multiplications, and otherwise this
# fraction of what the fit cost.
_CHEAP, _FRACTION = 1e7, 0.1


class Information(NamedTuple):
    """Matrices (p, p) over the free coordinates."""

    observed: np.ndarray
    complete: np.ndarray


class MissingInformation:
    """Σᵢ Cov(s(xᵢ, z) | xᵢ) over a chunk of samples; the last row and column are to be dropped."""

    def __init__(self, coordinates: Coordinates) -> None:
        self.coordinates = coordinates

    def __call__(self, X: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Return the matrix for a chunk (b, d) whose samples have these weights (b,)."""
        mixture, places = self.coordinates.origin, self.coordinates.places
        size = self.coordinates.size + 1
        missing = np.zeros((size, size))
        for rows in blocks(len(X), places.size + mixture.means.size):
            whitened = mixture.whiten(X[rows])
            r, _ = normalise(mixture.log_joint_whitened(whitened))
            share = 1.0 if weight is None else weight[rows]
            mean = np.zeros((size, r.shape[1]))  # E[s | x]
            for component, mine in enumerate(places):
                scores = self._scores(whitened[component])
                weighted = r[component] * scores
                missing[np.ix_(mine, mine)] += (weighted * share) @ scores.T
                mean[mine] += weighted
            missing -= (mean * share) @ mean.T
        return missing

    def _scores(self, y: np.ndarray) -> np.ndarray:
        """Return the scores of samples from a known component, (q, b), for y (d, b)."""
        free, parts = self.coordinates.free, []
        if "weights" in free:
            parts.append(np.ones((1, y.shape[1])))
        if "means" in free:
            parts.append(y)
        if "covariances" in free:
            parts.append(self.coordinates.origin.covariance.chart(len(y)).scores(y))
        return np.vstack(parts)


def information(samples: Samples, coordinates: Coordinates, counts: np.ndarray) -> Information:
    """Return observed and complete information at the origin of the coordinates.

    Parameters
    ----------
    samples : Samples
        Complete data.
    coordinates : Coordinates
        About a mixture near a maximum. Elsewhere the curvature of the log-likelihood has further
        terms, which vanish with its gradient.
    counts : ndarray, shape (n_components,)
        Nₖ, from `sufficient_statistics`.
    """
    size, places = coordinates.size, coordinates.places
    diagonal = np.zeros(size + 1)
    np.add.at(diagonal, places, counts[:, None])
    complete = np.diag(diagonal[:size])
    if "weights" in coordinates.free:
        weights = coordinates.origin.weights[:-1]
        of_weights = np.diag(weights) - np.outer(weights, weights)
        complete[: len(weights), : len(weights)] = samples.total * of_weights
    missing = samples.fold(MissingInformation(coordinates))[:size, :size]
    return Information(complete - missing, complete)


def can_estimate_remaining_gain(
    samples: Samples, mixture: Mixture, free: frozenset[str], n_iter: int
) -> bool:
    """Return whether `remaining_gain` is defined and cheap compared with a fit of `n_iter` steps.

    It is not defined for curved structures and for missing entries.
    """
    if samples.has_missing or ("covariances" in free and mixture.covariance.curved):
        return False
    k, d = mixture.means.shape
    cost = samples.n_samples * mixture.n_parameters(free) ** 2
    fit_cost = samples.n_samples * n_iter * k * (d + 3) ** 2
    return 0 < cost <= max(_CHEAP, _FRACTION * fit_cost)


def remaining_gain(
    samples: Samples, mixture: Mixture, new: Mixture, counts: np.ndarray, free: frozenset[str]
) -> float:
    """Estimate how much log-likelihood EM would still gain from `mixture` on.

    Parameters
    ----------
    samples : Samples
    mixture : Mixture
        The current mixture.
    new : Mixture
        The mixture after one more EM step.
    counts : ndarray, shape (n_components,)
        Nₖ at `mixture`.
    free : frozenset of str
        The blocks that EM estimates.

    Returns
    -------
    float
        A total over the samples, in nats. It is infinite where the log-likelihood is not curved
        like a maximum: far from a maximum, on a plateau, or where a component collapses.

    Notes
    -----
    To second order the gain is the Newton decrement ½ gᵀ I_obs⁻¹ g (I6). The gradient g = I_com Δ
    follows from the EM step Δ (I4; Lange 1995). In eigenvectors of I_com⁻¹ I_obs the decrement is
    ½ Σ γ² / ε. The estimate is twice that.
    """
    if mixture.n_parameters(free) == 0:
        return 0.0
    coordinates = Coordinates(mixture, free)
    try:
        step = coordinates.of(new)
        observed, complete = information(samples, coordinates, counts)
        factor = np.linalg.cholesky(complete)
        relative = np.linalg.solve(factor, np.linalg.solve(factor, observed).T)
        if not (np.isfinite(relative).all() and np.isfinite(step).all()):
            return np.inf
        epsilon, vectors = np.linalg.eigh((relative + relative.T) / 2)
    except np.linalg.LinAlgError:  # an empty or collapsed component
        return np.inf
    if not epsilon[0] > _FLAT:
        return np.inf
    gradient = vectors.T @ (factor.T @ step)
    return float(_SAFETY * (gradient**2 / epsilon).sum() / 2)
