"""Starts made from other fits: of another structure, or with one component more or less.

A structure is *tighter* than another if it is a special case of it: if each of its letters, for
volume, shape and orientation, is at most as general in the order I (identity), E (equal),
V (variable). Then every mixture of the tighter structure is also one of the looser (`relaxed`),
and every mixture of k components is also one of k + 1, with one component twice (`doubled`).
EM never lowers the log-likelihood from such a start, so the best fit of a looser structure or of
more components is never worse. The other starts have no such guarantee, but often lead to better
fits. They are responsibilities, from which an M-step of any structure makes a mixture.
"""

from __future__ import annotations

import numpy as np

from gmmlab.covariance import Covariance
from gmmlab.engine import Samples
from gmmlab.mixture import Mixture

# The values of a letter, from the tightest to the loosest.
_LETTERS = "IEV"
# Number of pairs of components that `merges` merges, the closest first.
_PAIRS = 15
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


def doubled(mixture: Mixture) -> Mixture:
    """Return the same distribution with the heaviest component twice, each with half its weight."""
    heaviest = mixture.weights.argmax()
    order = np.append(np.arange(mixture.n_components), heaviest)
    weights = mixture.weights[order]
    weights[[heaviest, -1]] /= 2
    return Mixture(weights, mixture.means[order], mixture.covariance.take(order))


def splits(samples: Samples, mixture: Mixture, rng: np.random.Generator) -> np.ndarray:
    """Return responsibilities with one component more: components split in three directions.

    The directions are that in which the samples of the component vary most relative to its
    covariance, that in which they vary most relative to the scale of all samples, and a random
    one. A split that leaves less than one sample in a half is left out.

    Returns
    -------
    ndarray, shape (n_splits, n_samples, n_components + 1)
    """
    X = samples.X
    r = np.ascontiguousarray(mixture.responsibilities(X).T)
    share = samples.weight_or_one
    whitened = mixture.whiten(X)
    scale = X.std(axis=0)
    scaled = (X - mixture.means[:, None]).swapaxes(-1, -2) / np.where(scale > 0, scale, 1)[:, None]
    residuals = np.stack([whitened, scaled], axis=1)  # (k, 2, d, n)
    weighted = residuals * (r * share)[:, None, None]
    longest = np.linalg.eigh(weighted @ residuals.swapaxes(-1, -2))[1][..., -1]
    drawn = rng.standard_normal((len(r), 1, samples.n_features))
    along = np.concatenate(
        [longest[..., None, :] @ residuals, (drawn @ whitened)[:, None]], axis=1
    )[:, :, 0]
    above = r[:, None] * (along > 0)  # (k, 3, n)
    below = r[:, None] - above
    counted = np.minimum(above @ share, below @ share) >= _FEWEST
    component, way = np.nonzero(counted)
    halves = np.empty((len(component), len(r) + 1, len(X)))
    halves[:, :-1] = r
    halves[np.arange(len(component)), component] = above[component, way]
    halves[:, -1] = below[component, way]
    return halves.swapaxes(-1, -2)


def merges(samples: Samples, mixture: Mixture) -> np.ndarray:
    """Return responsibilities with one component less: close pairs merged, the closest first.

    Returns
    -------
    ndarray, shape (n_merges, n_samples, n_components - 1)
    """
    means, covariances, k = mixture.means, mixture.covariances, mixture.n_components
    a, b = np.triu_indices(k, 1)
    apart = means[a] - means[b]
    towards = np.linalg.solve(covariances[a] + covariances[b], apart[..., None])[..., 0]
    closest = np.argsort((apart * towards).sum(axis=-1), kind="stable")[:_PAIRS]
    r = mixture.responsibilities(samples.X)
    together = np.repeat(r[None], len(closest), axis=0)
    for one, first, second in zip(together, a[closest], b[closest], strict=True):
        one[:, first] += one[:, second]
    others = np.arange(k) != b[closest, None]
    return together.swapaxes(-1, -2)[others].reshape(len(closest), k - 1, -1).swapaxes(-1, -2)
