"""Unconstrained coordinates of mixtures about one of them, the origin.

With y = C⁻¹ (x − μ), a mean moves by C a and a covariance moves to C exp(√2 A) Cᵀ (I1); weights
have the coordinates log πₖ / π_K. Every vector is a mixture, and 0 is the origin. The scores of a
sample from component k are y for its mean and the second Hermite polynomials of y for its
covariance (I2). They are uncorrelated and have variance 1, so a step of length 1 changes the
likelihood of a sample by about the same amount in every direction.
"""

from __future__ import annotations

import numpy as np

from gmmlab.mixture import Mixture


class Coordinates:
    """Coordinates about `origin` of the free blocks.

    Attributes
    ----------
    size : int
        Number of coordinates p: the number of free parameters, or more for `curved` covariances.
    places : ndarray of int, shape (n_components, q)
        Positions of the coordinates of each component: its weight, its mean and its covariance.
        The last weight follows from the others; its position is past the end. A shared
        covariance has the same positions for all components.
    columns : dict of str to slice
        The columns of `places` that belong to each free block.
    """

    def __init__(self, origin: Mixture, free: frozenset[str]) -> None:
        self.origin = origin
        self.free = free
        k, d = origin.means.shape
        parts: dict[str, np.ndarray] = {}
        begin = 0
        if "weights" in free:
            parts["weights"] = np.append(np.arange(k - 1), -1)[:, None]
            begin = k - 1
        if "means" in free:
            parts["means"] = begin + np.arange(k * d).reshape(k, d)
            begin += k * d
        if "covariances" in free:
            rows, q = len(origin.covariance.stack), origin.covariance.n_parameters(1, d)
            places = begin + np.arange(rows * q).reshape(rows, q)
            parts["covariances"] = np.broadcast_to(places, (k, q))
            begin += rows * q
        self.size = begin
        self.places = np.hstack(list(parts.values()))
        self.places[self.places < 0] = self.size
        ends = np.cumsum([part.shape[1] for part in parts.values()])
        self.columns = {
            block: slice(end - part.shape[1], end)
            for (block, part), end in zip(parts.items(), ends, strict=True)
        }

    def of(self, mixture: Mixture) -> np.ndarray:
        """Return the coordinates of a mixture, shape (p,)."""
        parts, origin = [], self.origin
        k, d = origin.means.shape
        if "weights" in self.free:
            logs = np.log(mixture.weights) - np.log(origin.weights)
            parts.append((logs - logs[-1])[:, None])
        if "means" in self.free:
            moved = (mixture.means - origin.means)[:, :, None]
            parts.append(origin.covariance.whiten(moved)[:, :, 0])
        if "covariances" in self.free:
            found = origin.covariance.chart(d).of(mixture.covariance)
            parts.append(np.broadcast_to(found, (k, found.shape[1])))
        coordinates = np.empty(self.size + 1)
        coordinates[self.places] = np.hstack(parts)
        return coordinates[: self.size]

    def mixture(self, coordinates: np.ndarray) -> Mixture:
        """Return the mixture with these coordinates."""
        origin = self.origin
        d = origin.n_features
        weights, means, covariance = origin.weights, origin.means, origin.covariance
        parts = np.append(coordinates, 0.0)[self.places]
        if "weights" in self.free:
            logs = np.log(weights) + parts[:, 0]
            weights = np.exp(logs - logs.max())
            weights = np.maximum(weights / weights.sum(), np.finfo(float).tiny)
            parts = parts[:, 1:]
        if "means" in self.free:
            means = means + covariance.colour(parts[:, :d, None])[:, :, 0]
            parts = parts[:, d:]
        if "covariances" in self.free:
            covariance = covariance.chart(d).at(parts[: len(covariance.stack)])
        return Mixture.unchecked(weights, means, covariance)
