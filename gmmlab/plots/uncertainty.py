"""Draw how uncertain a fit is about its parameters, and about the component of a sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gmmlab._validation import BLOCKS, check_choice, check_labels, check_samples
from gmmlab.inference import Parameters, Uncertainty, check_uncertainty
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.plots._axes import axes_for, ellipse, grid_over, label_axes, n_bins
from gmmlab.plots._style import colour, feature_names

#: line style and name of each method of `uncertainty`
_METHODS = {
    "information": ("--", "information"),
    "bootstrap": ("-.", "bootstrap"),
    "weighted": (":", "weighted bootstrap"),
}


def mean_regions(
    found: Uncertainty,
    *,
    components: Iterable[int] | None = None,
    features: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the confidence region of each mean, an ellipse at the level of the intervals.

    Parameters
    ----------
    found : Uncertainty
        The uncertainty of a mixture of two features. Line styles distinguish methods drawn into the
        same Axes: dashed for the information, dash-dotted and dotted for the two bootstraps.
    components : iterable of int, optional
        The components to draw; all by default. Regions are small compared with the distances
        between means, so that a figure of one component shows more.
    features : sequence of str, optional
        Axis labels, with units.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes
        Dots are the means of bootstrap replicates.

    Raises
    ------
    TypeError, ValueError
        If `found` is not an `Uncertainty` of two features, or a component does not exist.

    Notes
    -----
    The region is joint for both features of a mean: {μ : (μ − μ̂)ᵀ Var(μ̂)⁻¹ (μ − μ̂) ≤ q}, where q is
    the quantile of χ² with two degrees of freedom. It therefore extends beyond the intervals, each
    of which is for a single number.
    """
    mixture = check_uncertainty(found).mixture
    if mixture.n_features != 2:
        raise ValueError(
            f"found must be of a mixture of two features; got {mixture.n_features} features"
        )
    every = range(mixture.n_components)
    if components is None:
        components = every
    else:
        components = check_labels(list(components), name="components").tolist()
    if not set(components) <= set(every):
        raise ValueError(
            f"components must be integers from 0 to {len(every) - 1}; got {components}"
        )
    ax = axes_for(ax, 2)
    radius = np.sqrt(-2 * np.log(1 - found.level))
    linestyle, name = _METHODS[found.method]
    for k in components:
        if found.replicates is not None:
            dots = found.replicates.means[:, k].T
            ax.plot(*dots, linestyle="", marker=".", markersize=3, color=colour(k), alpha=0.4)
        style = {"edgecolor": colour(k), "linestyle": linestyle, "zorder": 3}
        ax.add_patch(ellipse(mixture.means[k], found.mean_covariances[k], radius, **style))
        ax.plot(*mixture.means[k], marker="+", color="black", markersize=9, mew=1.5)
    label_axes(ax, feature_names(features, 2))
    share = f"{100 * found.level:g} %, {name}"
    _add_to_legend(ax, Line2D([], [], color="0.3", linestyle=linestyle, label=share))
    return ax


def bootstrap_distribution(
    found: Uncertainty,
    block: str,
    index: Sequence[int] | int,
    *,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the distribution of a parameter over bootstrap replicates, with its interval.

    Parameters
    ----------
    found : Uncertainty
        The uncertainty of a fit, by one of the two bootstraps.
    block : {"weights", "means", "covariances"}
    index : int or sequence of int
        Index into the block: a component for a weight, a component and a feature for a mean, and an
        index into the structure's `values` for a covariance.
    name : str, optional
        Axis label, with its unit.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If `found` has no replicates, or `index` is not an index into the block.
    """
    if check_uncertainty(found).replicates is None:
        raise ValueError(f"found must be the result of a bootstrap; got method {found.method!r}")
    number = BLOCKS.index(check_choice(block, BLOCKS, name="block"))
    index = tuple(np.atleast_1d(index).tolist())
    shape = found.lower[number].shape
    if len(index) != len(shape) or not all(
        isinstance(i, int) and 0 <= i < size for i, size in zip(index, shape, strict=True)
    ):
        raise ValueError(f"index must be an index into {block} of shape {shape}; got {index}")
    values = found.replicates[number][(slice(None), *index)]
    estimate = Parameters.of(found.mixture)[number][index]
    low, high = found.lower[number][index], found.upper[number][index]
    ax = axes_for(ax, 2)
    share = f"{100 * found.level:g} % interval"
    ax.axvspan(low, high, color=colour(0), alpha=0.25, linewidth=0, zorder=0, label=share)
    ax.hist(values, bins=n_bins(values), color="0.7", edgecolor="white")
    ax.axvline(estimate, color="black", linestyle="--", label="estimate")
    ax.set_xlabel(name or f"{block}[{', '.join(map(str, index))}]")
    ax.set_ylabel("replicates")
    ax.legend(fontsize="small")
    return ax


def classification_uncertainty(
    mixture: Mixture,
    X: Any = None,
    *,
    background: bool = True,
    features: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the probability that a sample does not belong to the component it is assigned to.

    Parameters
    ----------
    mixture : Mixture
        A mixture of two features.
    X : array_like, shape (n_samples, 2), optional
        Samples, in the colour of the assigned component. Uncertain samples are larger.
    background : bool, default True
        Whether to draw 1 − maxₖ p(component k | x) over the plane. Uncertain regions are darker, up
        to 1 − 1/n_components.
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
        If the mixture is not of two features, `X` does not match it, or `X` is not given and
        `background` is False.
    """
    d = check_mixture(mixture).n_features
    if d != 2:
        raise ValueError(f"mixture must have two features to be drawn; got {d}")
    if X is None and not background:
        raise ValueError("X must be given if background is False; got None")
    X = None if X is None else check_samples(X, n_features=2)
    ax = axes_for(ax, 2)
    k = mixture.n_components
    most = 1 - 1 / k if k > 1 else 1.0  # with one component, the uncertainty is 0 everywhere
    if background:
        _uncertainty_map(mixture, X, most, ax)
    if X is not None:
        unsure, labels = mixture.classification_uncertainty(X), mixture.predict(X)
        style = {"alpha": 0.8, "linewidths": 0.3, "edgecolors": "white"}
        for k in np.unique(labels):
            mine = labels == k
            ax.scatter(*X[mine].T, s=_size(unsure[mine] / most), color=colour(k), **style)
        for share in (0.0, 0.5, 1.0) if mixture.n_components > 1 else ():
            size = np.sqrt(_size(share))
            disc = {"marker": "o", "markersize": size, "color": "0.45", "markeredgecolor": "white"}
            _add_to_legend(ax, Line2D([], [], linestyle="", label=f"{share * most:.2g}", **disc))
        if legend := ax.get_legend():
            legend.set_title("uncertainty", {"size": "small"})
    label_axes(ax, feature_names(features, 2))
    return ax


def _size(share: Any) -> Any:
    """Return the area of a marker for an uncertainty, given as a fraction of the largest."""
    return 10 + 90 * share


def _uncertainty_map(mixture: Mixture, X: np.ndarray | None, most: float, ax: Axes) -> None:
    horizontal, vertical = grid_over(mixture, X, 300)
    grid = np.stack(np.meshgrid(horizontal, vertical), axis=-1)
    unsure = mixture.classification_uncertainty(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    levels = np.linspace(0, most * (1 + 1e-9), 11)  # include values that rounding puts above
    # The darkest grey is not black, so that samples remain visible.
    filled = ax.contourf(
        horizontal, vertical, unsure, levels=levels, cmap="Greys", vmin=0, vmax=1.4 * most
    )
    # The colour bar is inset, so that the figure keeps a single Axes.
    bar = ax.figure.colorbar(
        filled,
        cax=ax.inset_axes([1.02, 0.0, 0.03, 1.0]),
        ticks=np.linspace(0, most, 6),
        format="%.2f",
    )
    bar.set_label("classification uncertainty")


def _add_to_legend(ax: Axes, *handles: Line2D) -> None:
    """Add lines to the legend, or make a legend; skip labels that it already has."""
    legend = ax.get_legend()
    known = [] if legend is None else list(legend.legend_handles)
    names = {line.get_label() for line in known}
    ax.legend(
        handles=known + [line for line in handles if line.get_label() not in names],
        fontsize="small",
    )
