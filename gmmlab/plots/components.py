"""Draw the components of a mixture: ellipses, ellipsoids and densities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from mpl_toolkits.mplot3d import Axes3D

from gmmlab._validation import check_choice, check_samples
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.plots._axes import axes_for, ellipse, grid_over, label_axes, n_bins
from gmmlab.plots._style import (
    colour,
    feature_names,
    line_colours,
    means_and_covariances,
    surfaces,
)

_LINE_STYLES = {"true": "-", "fitted": "--"}


def ellipses(
    mixture: Mixture | None = None,
    *,
    means: Any = None,
    covariances: Any = None,
    sigmas: Iterable[float] = (1, 2, 3),
    kind: str = "fitted",
    order: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the 1, 2 and 3-σ ellipses of every component, along its covariance's eigenvectors.

    Parameters
    ----------
    mixture : Mixture, optional
        A mixture of two features. Alternatively, give `means` and `covariances`.
    means : array_like, shape (n_components, 2), optional
    covariances : array_like, shape (n_components, 2, 2), optional
        Covariances may be singular.
    sigmas : iterable of float, default (1, 2, 3)
        Sizes in standard deviations.
    kind : {"fitted", "true"}, default "fitted"
        Fitted ellipses are dashed, in the component's colour. True ones are solid and black.
    order : sequence of int, optional
        The number of each component's colour; by default, the number of the component.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If the parameters are not of two features.
    """
    means, covariances = means_and_covariances(mixture, means, covariances, n_features=2)
    linestyle = _LINE_STYLES[check_choice(kind, _LINE_STYLES, name="kind")]
    ax = axes_for(ax, 2)
    lines = line_colours(kind, order, len(means))
    for mean, covariance, line in zip(means, covariances, lines, strict=True):
        for sigma in sigmas:
            ax.add_patch(ellipse(mean, covariance, sigma, edgecolor=line, linestyle=linestyle))
        ax.plot(*mean, marker="x" if kind == "true" else "+", color=line, markersize=9, mew=2)
    return ax


def ellipsoids(
    mixture: Mixture | None = None,
    *,
    means: Any = None,
    covariances: Any = None,
    sigma: float = 2.0,
    kind: str = "fitted",
    order: Sequence[int] | None = None,
    ax: Axes3D | None = None,
) -> Axes3D:
    """Draw the σ-ellipsoid of every component, along its covariance's eigenvectors.

    Parameters
    ----------
    mixture, means, covariances, kind, order
        As in `ellipses`, with three features. A singular covariance gives a flat ellipsoid.
    sigma : float, default 2
        Size in standard deviations.
    ax : Axes3D, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes3D

    Raises
    ------
    TypeError, ValueError
        If the parameters are not of three features.
    """
    means, covariances = means_and_covariances(mixture, means, covariances, n_features=3)
    linestyle = _LINE_STYLES[check_choice(kind, _LINE_STYLES, name="kind")]
    ax = axes_for(ax, 3)
    lines = line_colours(kind, order, len(means))
    for surface, line in zip(surfaces(means, covariances, sigma), lines, strict=True):
        ax.plot_wireframe(
            *np.moveaxis(surface, -1, 0), color=line, linestyle=linestyle, linewidth=0.6, alpha=0.45
        )
    if not ax.get_xlabel():  # keep labels that another function has set
        label_axes(ax, feature_names(None, 3))
    return ax


def density(
    mixture: Mixture,
    X: Any = None,
    *,
    features: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the density of a mixture of one or two features.

    Parameters
    ----------
    mixture : Mixture
        With one feature, a curve and its dashed components are drawn over a histogram of `X`. With
        two, contours are drawn where the density is exp(−q²/2) of its maximum, q = ½, 1, 2 and 3.
    X : array_like, shape (n_samples, n_features), optional
        Samples to draw in the background.
    features : sequence of str, optional
        Axis labels, with units.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If the mixture has more than two features, or `X` does not match it.
    """
    d = check_mixture(mixture).n_features
    if d > 2:
        raise ValueError(f"mixture must have one or two features to be drawn; got {d}")
    if X is not None:
        X = check_samples(X, n_features=d)
    ax = axes_for(ax, d)
    return (_density_1d if d == 1 else _density_2d)(mixture, X, features, ax)


def _density_1d(mixture: Mixture, X: Any, features: Any, ax: Axes) -> Axes:
    if X is not None:
        ax.hist(X.ravel(), bins=n_bins(X), density=True, color="0.85", edgecolor="white")
    grid = grid_over(mixture, X, 500)[0][:, None]
    joint = np.exp(mixture.log_joint(grid))
    for k in range(mixture.n_components):
        ax.plot(grid, joint[:, k], color=colour(k), linestyle="--", label=f"component {k}")
    ax.plot(grid, joint.sum(axis=1), color="black", label="mixture")
    label_axes(ax, feature_names(features, 1))
    ax.set_ylabel("density")
    if mixture.n_components > 1:
        ax.legend(fontsize="small")
    return ax


def _density_2d(mixture: Mixture, X: Any, features: Any, ax: Axes) -> Axes:
    if X is not None:
        ax.scatter(*X.T, s=8, color="0.6", alpha=0.6, linewidths=0)
    horizontal, vertical = grid_over(mixture, X, 150)
    grid = np.stack(np.meshgrid(horizontal, vertical), axis=-1)
    log_density = mixture.log_prob(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    levels = log_density.max() - np.array([3.0, 2.0, 1.0, 0.5]) ** 2 / 2
    ax.contour(horizontal, vertical, log_density, levels=levels, cmap="viridis", linestyles="--")
    label_axes(ax, feature_names(features, 2))
    return ax
