"""Starts from other fits: of a tighter or a looser structure, of a component more or less.

One structure is *tighter* than another where it is a special case of it, letter by letter of
volume, shape and orientation: none (I), Equal, Variable. A mixture of a tighter structure is one
of the looser too (`relaxed`), and one of k components is one of k + 1, with one of them twice
(`doubled`): EM that begins there never ends lower, so the best of a looser structure or of more
components is never worse. The other starts here promise nothing and often lead higher.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from gmmlab import start
from gmmlab.covariance import Covariance
from gmmlab.covariance.base import MatrixCovariance
from gmmlab.engine.samples import Samples
from gmmlab.mixture import Mixture

# From the tightest to the loosest of each letter.
_LETTERS = "IEV"
# How many pairs of components, the nearest, are merged.
_PAIRS = 6
# A half of a component with fewer samples than this is none.
_FEWEST = 1.0


def is_tighter(tight: type[Covariance], loose: type[Covariance]) -> bool:
    """Return whether `tight` is a special case of `loose`, and not the same.

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
    covariances = mixture.covariances
    if not issubclass(structure, MatrixCovariance):
        covariances = np.diagonal(covariances, axis1=1, axis2=2)
    with np.errstate(all="ignore"):  # where a search for what is shared goes too far, it turns back
        covariance = structure.estimate(mixture.weights, covariances)
    return Mixture(mixture.weights, mixture.means, covariance)


def recast(samples: Samples, mixture: Mixture, structure: type[Covariance]) -> Mixture:
    """Return what an M-step under another structure makes of a mixture's responsibilities."""
    return _from(samples, mixture.responsibilities(samples.X), structure)


def doubled(mixture: Mixture) -> Mixture:
    """Return the same distribution with its heaviest component twice, at half its weight."""
    heaviest = mixture.weights.argmax()
    order = np.append(np.arange(mixture.n_components), heaviest)
    weights = mixture.weights[order]
    weights[[heaviest, -1]] /= 2
    return Mixture(weights, mixture.means[order], mixture.covariance.take(order))


def splits(samples: Samples, mixture: Mixture, rng: np.random.Generator) -> Iterator[Mixture]:
    """Yield starts with one component more: each component cut in two, in several directions.

    Across the direction in which its samples vary most against what its covariance says, that in
    which they vary most against the whole data, and a random one.
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
    """Yield starts with one component less: near ones as one, nearest first."""
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
