"""Merge components into clusters that are not Gaussian.

A cluster that is not Gaussian takes several components to fit. The entropy of the responsibilities
shows which components belong together: merging two components that share samples lowers it most
(Baudry, Raftery, Celeux, Lo and Gottardo 2010). The density stays the same; only the assignment of
components to clusters changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import entr

from gmmlab._validation import check_count
from gmmlab.mixture import Mixture, check_mixture

# Mean entropy per sample, in nats, below which every component is a cluster.
_CLEAR = 1e-3

Partition = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Merging:
    """The partitions of k components into k, k − 1, …, 1 clusters."""

    #: the components of each cluster; the partition into k clusters has the index k − 1
    partitions: tuple[Partition, ...]
    #: total entropy of the clusters' responsibilities in nats, for 1, 2, …, k clusters, shape (k,)
    entropies: np.ndarray
    #: expected number of samples in the two clusters whose merge leads to 1, 2, …, k − 1 clusters,
    #: shape (k − 1,)
    merged: np.ndarray
    #: responsibilities of the components, shape (n_samples, k)
    responsibilities: np.ndarray

    @property
    def n_components(self) -> int:
        """Number of components k."""
        return len(self.partitions)

    def partition(self, n_clusters: int) -> Partition:
        """Return the components of each cluster, for a number of clusters.

        Raises
        ------
        TypeError, ValueError
            If `n_clusters` is not an integer in [1, k].
        """
        check_count(n_clusters, name="n_clusters", maximum=self.n_components)
        return self.partitions[n_clusters - 1]

    def cluster_responsibilities(self, n_clusters: int) -> np.ndarray:
        """Return p(cluster | sample), shape (n_samples, n_clusters).

        Raises the errors of `partition`.
        """
        parts = self.partition(n_clusters)
        return np.stack([self.responsibilities[:, part].sum(axis=1) for part in parts], axis=1)

    def labels(self, n_clusters: int | None = None) -> np.ndarray:
        """Return the most probable cluster of each sample, shape (n_samples,).

        The default number of clusters is `bend`. Raises the errors of `partition`.
        """
        n_clusters = self.bend if n_clusters is None else n_clusters
        return self.cluster_responsibilities(n_clusters).argmax(axis=1)

    @property
    def bend(self) -> int:
        """Number of clusters at the bend of the entropy; further merges lower it less.

        Two lines that meet at this number, one on each side, fit the entropies best in the sense of
        least squares (Baudry et al. 2010, section 3). The bend is k if k < 3, or if the entropy of
        the components is below 0.001 nats per sample.
        """
        k = self.n_components
        if k < 3 or self.entropies[-1] < _CLEAR * len(self.responsibilities):
            return k
        misfits = [((self.entropies - _broken(self.entropies, b)) ** 2).sum() for b in range(2, k)]
        return 2 + int(np.argmin(misfits))

    @property
    def broken_line(self) -> np.ndarray:
        """The two lines that meet at `bend`, evaluated at 1, 2, …, k clusters; shape (k,)."""
        return _broken(self.entropies, self.bend)

    def linkage(self) -> np.ndarray:
        """Return the merges as a linkage matrix of `scipy.cluster.hierarchy`, shape (k − 1, 4).

        The distance of a merge is the total decrease of the entropy up to and including it.
        """
        k = self.n_components
        names = {(component,): component for component in range(k)}
        rows = []
        for step, n_clusters in enumerate(range(k - 1, 0, -1)):
            before, after = self.partitions[n_clusters], self.partitions[n_clusters - 1]
            (new,) = set(after) - set(before)
            a, b = (names[old] for old in before if old not in after)
            gone = self.entropies[-1] - self.entropies[n_clusters - 1]
            rows.append([a, b, max(gone, 0.0), len(new)])
            names[new] = k + step
        return np.array(rows, dtype=float)


def merge(mixture: Mixture, X: Any) -> Merging:
    """Merge components into clusters by the entropy criterion.

    Parameters
    ----------
    mixture : Mixture
        A fitted mixture, usually the best by BIC.
    X : array_like, shape (n_samples, n_features)
        The samples of the fit.

    Returns
    -------
    Merging
        The partitions into k, k − 1, …, 1 clusters, with entropies, labels and the bend.

    Raises
    ------
    TypeError, ValueError
        If `mixture` is not a `Mixture`, or `X` does not have its number of features.

    Notes
    -----
    Each step merges the two clusters a and b with the largest

        Σᵢ (rᵢₐ + rᵢ_b) log(rᵢₐ + rᵢ_b) − rᵢₐ log rᵢₐ − rᵢ_b log rᵢ_b ≥ 0,

    which is the decrease of the entropy (Baudry et al. 2010, equation 7).

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical, merge
    >>> mixture = Mixture([0.4, 0.3, 0.3], [[0.0], [1.0], [9.0]], Spherical([1.0, 1.0, 1.0]))
    >>> merge(mixture, [[0.0], [0.6], [1.0], [9.0]]).partition(2)
    ((0, 1), (2,))
    """
    r = check_mixture(mixture).responsibilities(X)
    parts: list[tuple[int, ...]] = [(k,) for k in range(mixture.n_components)]
    columns = list(r.T)
    partitions, entropies, merged = [tuple(parts)], [_entropy(columns)], []
    while len(parts) > 1:
        pairs = list(combinations(range(len(parts)), 2))
        falls = [
            _entropy([columns[a], columns[b]]) - _entropy([columns[a] + columns[b]])
            for a, b in pairs
        ]
        a, b = pairs[int(np.argmax(falls))]
        merged.append(columns[a].sum() + columns[b].sum())
        parts[a], columns[a] = tuple(sorted(parts[a] + parts[b])), columns[a] + columns[b]
        del parts[b], columns[b]
        partitions.append(tuple(parts))
        entropies.append(_entropy(columns))
    arrays = [np.array(values[::-1]) for values in (entropies, merged)]
    for array in (*arrays, r):
        array.setflags(write=False)
    return Merging(tuple(partitions[::-1]), *arrays, r)


def _entropy(columns: list[np.ndarray]) -> float:
    # Rounding can make a sum of responsibilities exceed 1; its entropy would be negative.
    return float(sum(entr(np.minimum(column, 1)).sum() for column in columns))


def _broken(values: np.ndarray, bend: int) -> np.ndarray:
    """Return the least-squares fit of two lines that meet at `bend`, to values at 1, 2, …, k."""
    steps = np.arange(1, len(values) + 1) - bend
    basis = np.column_stack([np.ones(len(steps)), np.minimum(steps, 0), np.maximum(steps, 0)])
    return basis @ np.linalg.lstsq(basis, values, rcond=None)[0]
