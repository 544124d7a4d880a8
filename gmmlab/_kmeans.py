"""k-means of many starts in lockstep: k-means++ seeds, and Lloyd's iterations.

All starts have the same data. With φ(x) = (1, x), one matrix product gives ‖c‖² − 2 c·x for all
centres of all starts, which orders centres as the distance ‖x − c‖² does, and another gives the
sizes and the sums of all clusters.

Shapes: R starts, k clusters, d features, b samples in a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gmmlab._numerics import blocks
from gmmlab.covariance import Diagonal
from gmmlab.engine import Samples, total_moment

# The defaults of scikit-learn: the largest number of iterations, and the squared shift of all
# centres, relative to the mean variance of the features, below which they have settled.
_MAX_ITER = 300
_TOL = 1e-4
# Samples whose squared distance is below this, in units of the extent of the data, are equal.
_SAME = 1e-24
# The number of features from which on rows are long.
_WIDE = 32
# φ of data with at most this many entries (32 MiB) is computed once and not in every iteration.
_KEPT = 2**22


class Points:
    """Samples in other units: about the centre of the data, as fractions of their extent."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.centre = samples.centre
        self.scale = float(samples.extent.max()) or 1.0
        #: φ of all samples, (n, d + 1), in a tuple, which is empty if that would be too large
        self.kept = (self._columns(samples.X).T,) if samples.X.size <= _KEPT else ()

    def at(self, chosen: np.ndarray) -> np.ndarray:
        """Return some samples, by their numbers (…,), shape (…, d)."""
        return self._columns(self.samples.X[chosen.ravel()])[1:].T.reshape(*chosen.shape, -1)

    def blocks(self, X: np.ndarray, *kept: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield slices of samples, and φ of each: a row of ones and a row for each feature.

        `kept` is φ of the samples, if it has been computed.
        """
        for rows in blocks(*X.shape):
            yield rows, kept[0][rows].T if kept else self._columns(X[rows])

    def _columns(self, X: np.ndarray) -> np.ndarray:
        b, d = X.shape
        # Long rows stay as they lie in memory; short ones are faster as columns.
        columns = np.empty((b, d + 1)).T if d >= _WIDE else np.empty((d + 1, b))
        columns[0] = 1
        np.subtract(X.T, self.centre[:, None], out=columns[1:])
        columns[1:] /= self.scale
        return columns

    def nearest(self, centres: np.ndarray, X: np.ndarray, *kept: np.ndarray) -> np.ndarray:
        """Return whether each centre (R, k, d) is the nearest to a sample, 0 or 1, (R, k, b)."""
        coefficients = _coefficients(centres)
        parts = [_nearest(coefficients, columns) for _, columns in self.blocks(X, *kept)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def sums(self, centres: np.ndarray) -> np.ndarray:
        """Return the sizes and the sums of the clusters of centres (R, k, d), (R, k, d + 1)."""
        coefficients = _coefficients(centres)
        _, p = coefficients.shape[-2:]

        def of(X: np.ndarray, weight: np.ndarray | None, *kept: np.ndarray) -> np.ndarray:
            totals = np.zeros((coefficients.size // p, p))
            for rows, columns in self.blocks(X, *kept):
                mine = _nearest(coefficients, columns)
                if weight is not None:
                    mine *= weight[rows]
                totals += mine.reshape(len(totals), -1) @ columns.T
            return totals

        return self.samples.fold(of, *self.kept).reshape(coefficients.shape)


# ---- k-means++ -----------------------------------------------------------------------------


def seeds(points: Points, n_clusters: int, rngs: Sequence[np.random.Generator]) -> np.ndarray:
    """Return the samples that k-means++ draws, by their numbers, shape (R, k).

    Each seed is the best of 2 + ⌊log k⌋ candidates, which are drawn with probabilities that are
    proportional to the squared distance from the nearest seed (Arthur and Vassilvitskii 2007).
    """
    samples, trials = points.samples, 2 + int(np.log(n_clusters))
    weight = samples.weight_or_one
    draws = np.array([rng.random(1 + (n_clusters - 1) * trials) for rng in rngs])
    chosen = np.empty((len(rngs), n_clusters), dtype=np.intp)
    everyone = np.arange(len(rngs))
    first = np.broadcast_to(weight, (len(rngs), samples.n_samples))
    chosen[:, 0] = _drawn(first, draws[:, :1])[:, 0]
    squared = _squared_distances(points, chosen[:, :1])[:, 0]
    for k in range(1, n_clusters):
        mass = squared * weight
        if not (total := mass.any(axis=-1)).all():  # the seeds are all samples there are
            mass = np.where(total[:, None], mass, weight)
        begin = 1 + (k - 1) * trials
        candidates = _drawn(mass, draws[:, begin : begin + trials])
        left = np.minimum(squared[:, None], _squared_distances(points, candidates))
        best = (left @ weight).argmin(axis=-1)
        chosen[:, k], squared = candidates[everyone, best], left[everyone, best]
    return chosen


def _drawn(mass: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return samples drawn by unnormalised probabilities (R, n) from uniform draws (R, t)."""
    sums = np.cumsum(mass, axis=-1)
    goals = draws * sums[:, -1:]
    return np.array(
        [row.searchsorted(goal, "right") for row, goal in zip(sums, goals, strict=True)]
    )


def _squared_distances(points: Points, chosen: np.ndarray) -> np.ndarray:
    """Return squared distances (R, t, n) of all samples from some samples (R, t)."""
    X = points.samples.X
    coefficients = _coefficients(points.at(chosen.ravel()))
    squared = np.empty((chosen.size, len(X)))
    for rows, columns in points.blocks(X, *points.kept):
        np.matmul(coefficients, columns, out=squared[:, rows])
        squared[:, rows] += np.einsum("db,db->b", columns[1:], columns[1:])
    np.maximum(squared, 0, out=squared)
    squared[np.arange(len(squared)), chosen.ravel()] = 0
    return squared.reshape(*chosen.shape, -1)


# ---- Lloyd's iterations --------------------------------------------------------------------


def lloyd(points: Points, centres: np.ndarray) -> np.ndarray:
    """Return the centres (R, k, d) that Lloyd's iterations lead to, in the units of the points.

    An iteration moves every centre to the mean of the samples that are nearest to it. A centre
    without samples moves to the sample that is farthest from its centre. The iterations of a start
    end when the centres have settled.
    """
    variances = total_moment(points.samples, Diagonal)
    enough = _TOL * variances.mean() / points.scale**2
    ended, going = np.array(centres), np.arange(len(centres))
    for _ in range(_MAX_ITER):
        totals = points.sums(centres)
        empty = totals[..., 0] == 0
        if empty.any():
            for fit in np.flatnonzero(empty.any(axis=-1)):
                _move_empty(points, centres[fit], totals[fit])
        with np.errstate(invalid="ignore"):
            new = totals[..., 1:] / totals[..., :1]
        if empty.any():
            new = np.where(totals[..., :1] > 0, new, centres)
        shift = new - centres
        settled = np.einsum("...kd,...kd->...", shift, shift) <= enough
        centres = new
        if settled.any():
            ended[going[settled]] = centres[settled]
            going, centres = going[~settled], centres[~settled]
            if not len(going):
                return ended
    ended[going] = centres
    return ended


def _move_empty(points: Points, centres: np.ndarray, totals: np.ndarray) -> None:
    """Give the clusters without samples those that are farthest from their centres.

    `totals` (k, d + 1) are the sizes and sums of the clusters; they are changed in place. Clusters
    stay empty if every other sample is on a centre.
    """
    empty = np.flatnonzero(totals[:, 0] == 0)
    X, weight = points.samples.X, points.samples.weight
    found = []  # (squared distance, sample, cluster)
    for rows, columns in points.blocks(X, *points.kept):
        labels = _nearest(_coefficients(centres), columns).argmax(axis=-2)
        squared = ((columns[1:] - centres[labels].T) ** 2).sum(axis=0)
        if weight is not None:
            squared[weight[rows] == 0] = 0
        farthest = np.argsort(-squared, kind="stable")[: len(empty)]
        found += zip(-squared[farthest], farthest + rows.start, labels[farthest], strict=True)
    for cluster, (squared, sample, label) in zip(empty, sorted(found), strict=False):
        if -squared > _SAME:
            counted = 1.0 if weight is None else weight[sample]
            column = counted * np.append(1, points.at(np.array(sample)))
            totals[label] -= column
            totals[cluster] = column


def _coefficients(centres: np.ndarray) -> np.ndarray:
    """Return the coefficients (…, k, d + 1) of ‖c‖² − 2 c·x in φ(x) = (1, x)."""
    coefficients = np.empty((*centres.shape[:-1], centres.shape[-1] + 1))
    np.einsum("...d,...d->...", centres, centres, out=coefficients[..., 0])
    np.multiply(centres, -2, out=coefficients[..., 1:])
    return coefficients


def _nearest(coefficients: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return whether each centre is the nearest to a sample, 0 or 1, shape (…, k, b).

    The first of equally distant centres is the nearest.
    """
    *stack, k, p = coefficients.shape
    distances = (coefficients.reshape(-1, p) @ columns).reshape(*stack, k, -1)
    nearest = distances == distances.min(axis=-2, keepdims=True)
    if np.count_nonzero(nearest) * k != nearest.size:
        nearest &= np.cumsum(nearest, axis=-2) == 1
    np.copyto(distances, nearest)
    return distances
