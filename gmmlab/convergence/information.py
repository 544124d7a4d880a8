"""The observed information of a mixture: how sharply the data hold its parameters.

Louis (1982): the information in the observed data is that in the complete data, had the
components been seen too, less what is missing by not seeing them,

    I_obs = I_com − Σᵢ Cov(s(xᵢ, z) | xᵢ),                                           (I3)

with s the score of a complete sample (McLachlan and Krishnan 2008, section 4.2). In `Coordinates`
I_com is nearly diagonal: Nₖ for the mean and covariance of component k, and
n (diag π − π πᵀ) for the weights.

EM loses the share 1 − ε of the distance to the maximum in every step, for each eigenvalue ε
of I_com⁻¹ I_obs (I5; Dempster, Laird and Rubin 1977, section 3): what ε is says how far it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gmmlab._numerics import blocks, normalise
from gmmlab.convergence.coordinates import Coordinates
from gmmlab.engine import Samples
from gmmlab.mixture import Mixture

# The log-likelihood is not quadratic: its higher terms can make the way longer.
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
    """Σᵢ Cov(s(xᵢ, z) | xᵢ) over a chunk of samples, with a last row and column to drop."""

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
        """Return the scores of samples known to be of a component, (q, b), for y (d, b)."""
        free, parts = self.coordinates.free, []
        if "weights" in free:
            parts.append(np.ones((1, y.shape[1])))
        if "means" in free:
            parts.append(y)
        if "covariances" in free:
            parts.append(self.coordinates.origin.covariance.scores(y))
        return np.vstack(parts)


def information(samples: Samples, coordinates: Coordinates, counts: np.ndarray) -> Information:
    """Return observed and complete information at the origin of the coordinates.

    Parameters
    ----------
    samples : Samples
        With every entry observed.
    coordinates : Coordinates
        About a mixture near a maximum: elsewhere the curvature of the log-likelihood also has
        terms that vanish with its gradient.
    counts : ndarray, shape (n_components,)
        Nₖ, as `sums` finds them.
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
    """Estimate what EM would still gain in log-likelihood from `mixture` on.

    Parameters
    ----------
    samples : Samples
    mixture : Mixture
        Where EM is.
    new : Mixture
        Where its next step leads.
    counts : ndarray, shape (n_components,)
        Nₖ at `mixture`.
    free : frozenset of str
        The blocks that EM moves.

    Returns
    -------
    float
        A total over the samples, in nats; infinite where the log-likelihood is not curved like
        a maximum, as before EM comes near one and on plateaus, or where a component collapses.

    Notes
    -----
    To second order it is the Newton decrement ½ gᵀ I_obs⁻¹ g (I6), with the gradient g = I_com Δ
    from EM's own step Δ (I4; Lange 1995): in eigenvectors of I_com⁻¹ I_obs, ½ Σ γ² / ε. What is
    returned is twice that.
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
    except np.linalg.LinAlgError:  # a component that nothing belongs to, or one without width
        return np.inf
    if not epsilon[0] > _FLAT:
        return np.inf
    gradient = vectors.T @ (factor.T @ step)
    return float(_SAFETY * (gradient**2 / epsilon).sum() / 2)
