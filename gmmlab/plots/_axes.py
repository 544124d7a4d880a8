"""What the functions that draw with matplotlib share: Axes, markers, ellipses and grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from mpl_toolkits.mplot3d import Axes3D

from gmmlab.mixture import Mixture

#: marker shapes of the first ten true labels
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def marker(k: int) -> str:
    """Return the marker of true label `k`; markers repeat after ten."""
    return MARKERS[k % len(MARKERS)]


def axes_for(ax: Axes | None, n_features: int) -> Axes:
    """Return `ax`, or the Axes of a new figure; they are 3-D for three features."""
    if ax is not None:
        if not isinstance(ax, Axes):
            raise TypeError(f"ax must be matplotlib Axes; got {type(ax).__name__}")
        if isinstance(ax, Axes3D) != (n_features == 3):
            kind = "3-D (projection='3d')" if n_features == 3 else "2-D"
            raise ValueError(f"ax must be {kind} Axes; got {type(ax).__name__}")
        return ax
    projection = {"projection": "3d"} if n_features == 3 else {}
    _, ax = plt.subplots(figsize=(5.5, 4.2), layout="constrained", subplot_kw=projection)
    return ax


def label_axes(ax: Axes, features: Sequence[str]) -> None:
    """Label the axes with the names of one, two or three features."""
    ax.set_xlabel(features[0])
    if len(features) > 1:
        ax.set_ylabel(features[1])
    if len(features) > 2:
        ax.set_zlabel(features[2])


def ellipse(mean: np.ndarray, covariance: np.ndarray, sigma: float, **style: Any) -> Ellipse:
    """Return the σ-ellipse of a 2 × 2 covariance, which may be singular."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    width, height = 2 * sigma * np.sqrt(np.maximum(eigenvalues, 0))
    angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
    return Ellipse(mean, width, height, angle=angle, fill=False, linewidth=1.4, **style)


def grid_over(mixture: Mixture, X: np.ndarray | None, n: int) -> list[np.ndarray]:
    """Return grid points along each feature, over the samples and 3 σ of each component.

    `n` of the points are evenly spaced. The others are dense around each mean, so that the grid
    does not miss a component that is narrower than the spacing.
    """
    deviations = np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    near = mixture.means + np.linspace(-6, 6, 61)[:, None, None] * deviations
    ends = np.vstack([mixture.means - 3 * deviations, mixture.means + 3 * deviations])
    ends = ends if X is None else np.vstack([ends, X])
    columns = []
    for low, high, points in zip(ends.min(axis=0), ends.max(axis=0), near.T, strict=True):
        inside = points[(points > low) & (points < high)]
        columns.append(np.union1d(np.linspace(low, high, n), inside))
    return columns


def n_bins(X: np.ndarray) -> int:
    """Return the number of bins by the rule of Freedman and Diaconis (1981), 100 at most."""
    width = 2 * np.subtract(*np.percentile(X, [75, 25])) / np.cbrt(len(X))
    return int(np.clip(np.ceil(np.ptp(X) / width), 1, 100)) if width > 0 else 10
