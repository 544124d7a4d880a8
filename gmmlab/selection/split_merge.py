"""Starts made from other fits: of another structure, or with one component more or less.

A structure is *tighter* than another if it is a special case of it: if each of its letters, for
volume, shape and orientation, is at most as general in the order I (identity), E (equal),
V (variable). Then every mixture of the tighter structure is also one of the looser (`relaxed`),
and every mixture of k components is also one of k + 1, with one component twice (`doubled`).
EM never lowers the log-likelihood from such a start, so the best fit of a looser structure or of
more components is never worse. The other starts have no such guarantee, but often lead to better
fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from gmmlab import start
from gmmlab.covariance import Covariance
from gmmlab.engine import Samples
from gmmlab.mixture import Mixture

# The values of a letter, from the tightest to the loosest.
_LETTERS = "IEV"
# Number of pairs of components that `merges` merges, the closest first.
_PAIRS = 6
# Expected number of samples that each half of a split component must have.
_FEWEST = 1.0


def is_tighter(tight: type[Covariance], loose: type[Covariance]) -> bool:
    """Return whether `tight` is a special case of `loose` and differs from it.

    Examples
    --------
    >>> from gmmlab import EEI, VEE, VEI
    >>> is_tighter(EEI, VEE), is_tighter(VEE, EEI), is_tighter(VEI, EEI)
    (True, False, False)
    """
    ranks = [[_LETTERS.index(letter) for letter in each.model] for each in (tight, loose)]
    return tight is not loose and all(a <= b for a, b in zip(*ranks, strict=True))


def relaxed(mixture: Mixture, structure: type[Covariance]) -> Mixture:
    """Return the same distribution as a mixture of a looser structure."""
    covariances = structure.moments.of_matrices(mixture.covariances)
    with np.errstate(all="ignore"):  # iterative estimators step back where a trial step overflows
        covariance = structure.estimate(mixture.weights, covariances)
    return Mixture(mixture.weights, mixture.means, covariance)


def recast(samples: Samples, mixture: Mixture, structure: type[Covariance]) -> Mixture:
    """Return the M-step of another structure from the responsibilities of a mixture."""
    return _from(samples, mixture.responsibilities(samples.X), structure)


def doubled(mixture: Mixture) -> Mixture:
    """Return the same distribution with the heaviest component twice, each with half its weight."""
    heaviest = mixture.weights.argmax()
    order = np.append(np.arange(mixture.n_components), heaviest)
    weights = mixture.weights[order]
    weights[[heaviest, -1]] /= 2
    return Mixture(weights, mixture.means[order], mixture.covariance.take(order))


def splits(samples: Samples, mixture: Mixture, rng: np.random.Generator) -> Iterator[Mixture]:
    """Yield starts with one component more: each component is split in three directions.

    The directions are that in which the samples of the component vary most relative to its
    covariance, that in which they vary most relative to the scale of all samples, and a random
    one.
    """
    X = samples.X
    r = mixture.responsibilities(X).T
    whitened = mixture.whiten(X)
    scale = X.std(axis=0)
    share = np.ones(len(X)) if samples.weight is None else samples.weight
    for k, mine in enumerate(r):
        scaled = ((X - mixture.means[k]) / np.where(scale > 0, scale, 1)).T
        ways = [
            _longest(whitened[k], mine * share) @ whitened[k],
            _longest(scaled, mine * share) @ scaled,
            rng.standard_normal(samples.n_features) @ whitened[k],
        ]
        for along in ways:
            above = mine * (along > 0)
            if min((above * share).sum(), ((mine - above) * share).sum()) < _FEWEST:
                continue
            halves = np.vstack([r[:k], above, r[k + 1 :], mine - above])
            yield _from(samples, halves.T, type(mixture.covariance))


def merges(samples: Samples, mixture: Mixture) -> Iterator[Mixture]:
    """Yield starts with one component less: close pairs are merged, the closest first."""
    means, covariances = mixture.means, mixture.covariances

    def distance(pair: tuple[int, int]) -> float:
        a, b = pair
        apart = means[a] - means[b]
        return float(apart @ np.linalg.solve(covariances[a] + covariances[b], apart))

    r = mixture.responsibilities(samples.X)
    for a, b in sorted(combinations(range(mixture.n_components), 2), key=distance)[:_PAIRS]:
        together = np.delete(r, b, axis=1)
        together[:, a] += r[:, b]
        yield _from(samples, together, type(mixture.covariance))


def _longest(residuals: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the direction in which residuals (d, n) vary most."""
    return np.linalg.eigh((residuals * weight) @ residuals.T)[1][:, -1]


def _from(samples: Samples, responsibilities: np.ndarray, structure: type[Covariance]) -> Mixture:
    return start.from_responsibilities(samples, responsibilities, structure=structure)
