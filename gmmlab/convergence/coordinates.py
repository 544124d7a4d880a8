"""Unconstrained coordinates of mixtures about one of them, the origin.

With y = C⁻¹ (x − μ), a mean moves by C a and a covariance moves to C exp(√2 A) Cᵀ (I1); weights
have the coordinates log πₖ / π_K. Every vector is a mixture, and 0 is the origin. The scores of a
sample from component k are y for its mean and the second Hermite polynomials of y for its
covariance (I2). They are uncorrelated and have variance 1, so a step of length 1 changes the
likelihood of a sample by about the same amount in every direction.

Arrays have leading axes for the mixtures of a stack: each has an origin of its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gmmlab._validation import BLOCKS
from gmmlab.mixture import Mixture

# Weights are positive, also where they would underflow.
_TINY = np.finfo(float).tiny


class Coordinates:
    """Coordinates about `origin` of the free blocks.

    They are in the order weights, means, covariances, and within a block component by component.

    Parameters
    ----------
    origin : Mixture
        One mixture, or a stack.
    free : frozenset of str
        The blocks that have coordinates.

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
    shared : bool
        Whether covariances are free and all components have the same one.
    """

    def __init__(self, origin: Mixture, free: frozenset[str]) -> None:
        self.origin = origin
        self.free = free
        k, d = origin.means.shape[-2:]
        self._lead = origin.means.shape[:-2]
        self._rows = origin.covariance.stack.shape[len(self._lead)]
        q = origin.covariance.n_parameters(1, d)
        layout = _layout(k, d, self._rows, q, free)
        self.size, self.places, self.columns, self.shared, self._owners, self._parts = layout

    def of(self, mixture: Mixture) -> np.ndarray:
        """Return the coordinates of a mixture, shape (…, p); it may have more leading axes."""
        parts, origin, lead = [], self.origin, mixture.means.shape[:-2]
        if "weights" in self.free:
            logs = np.log(mixture.weights / origin.weights)
            parts.append(logs[..., :-1] - logs[..., -1:])
        if "means" in self.free:
            moved = (mixture.means - origin.means)[..., None]
            parts.append(origin.covariance.whiten(moved).reshape(*lead, -1))
        if "covariances" in self.free:
            found = origin.covariance.chart(origin.n_features).of(mixture.covariance)
            parts.append(found.reshape(*lead, -1))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def mixture(self, coordinates: np.ndarray) -> Mixture:
        """Return the mixture with these coordinates (…, p)."""
        origin, lead = self.origin, self._lead
        k, d = origin.means.shape[-2:]
        weights, means, covariance = origin.weights, origin.means, origin.covariance
        if "weights" in self.free:
            logs = np.zeros(weights.shape)
            logs[..., :-1] = coordinates[..., self._parts["weights"]]
            logs -= logs.max(axis=-1, keepdims=True)
            weights = weights * np.exp(logs)
            weights /= weights.sum(axis=-1, keepdims=True)
            np.maximum(weights, _TINY, out=weights)
        if "means" in self.free:
            moved = coordinates[..., self._parts["means"]].reshape(*lead, k, d, 1)
            means = means + origin.covariance.colour(moved)[..., 0]
        if "covariances" in self.free:
            mine = coordinates[..., self._parts["covariances"]].reshape(*lead, self._rows, -1)
            covariance = covariance.chart(d).at(mine)
        return Mixture.unchecked(weights, means, covariance)

    def per_coordinate(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of values (…, k) over the components of each coordinate, shape (…, p)."""
        if self.shared:
            values = np.concatenate([values, values.sum(axis=-1, keepdims=True)], axis=-1)
        return values[..., self._owners]


class _Layout(NamedTuple):
    """Where the coordinates are; see `Coordinates`."""

    size: int
    places: np.ndarray
    columns: dict[str, slice]
    shared: bool
    owners: np.ndarray  # the component of each coordinate, k for what all components share, (p,)
    parts: dict[str, slice]  # the coordinates of each free block


@lru_cache(maxsize=64)
def _layout(k: int, d: int, rows: int, q: int, free: frozenset[str]) -> _Layout:
    """Return the layout for k components, d features and `rows` covariances of q coordinates."""
    shapes = {"weights": (k - 1, 1), "means": (k, d), "covariances": (rows, q)}
    shared = "covariances" in free and rows < k
    size, width = 0, 0
    places, owners, parts, columns = [], [], {}, {}
    for block in (block for block in BLOCKS if block in free):
        count, each = shapes[block]
        mine = size + np.arange(count * each).reshape(count, each)
        if block == "weights":
            mine = np.append(mine, [[-1]], axis=0)  # past the end of all blocks
        places.append(np.broadcast_to(mine, (k, each)))
        of_all = block == "covariances" and shared
        owners.append(np.repeat([k] if of_all else np.arange(count), each))
        parts[block] = slice(size, size + count * each)
        columns[block] = slice(width, width + each)
        size, width = parts[block].stop, columns[block].stop
    joined = np.hstack(places)
    joined[joined < 0] = size
    joined.setflags(write=False)
    return _Layout(size, joined, columns, shared, np.concatenate(owners), parts)
