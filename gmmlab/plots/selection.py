"""Draw the choice of a mixture: criteria, the bootstrap test and merging."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from gmmlab._validation import check_choice
from gmmlab.covariance import FOURTEEN
from gmmlab.plots._axes import axes_for, marker, n_bins
from gmmlab.plots._style import colour
from gmmlab.selection import CRITERIA, BootstrapTest, Cell, Comparison, Merging


def criterion(comparison: Comparison, name: str = "bic", *, ax: Axes | None = None) -> Axes:
    """Draw a criterion of every structure over the number of components.

    Colours and markers stand for the second and third letter of the structure's name: shape and
    orientation. Lines are solid if volumes are equal and dotted if they vary. A ring marks the best
    cell. A degenerate cell is a cross at the lower edge, in the colour of its structure.

    Parameters
    ----------
    comparison : Comparison
        The result of `selection.compare`.
    name : {"bic", "aic", "icl", "cv"}, default "bic"
        One of the comparison's criteria.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If `comparison` is not a `Comparison`, or does not have the criterion.
    """
    _check_type(comparison, Comparison, "comparison")
    check_choice(name, comparison.criteria, name="name")
    ax = axes_for(ax, 2)
    groups = list(dict.fromkeys(structure.model[1:] for structure in FOURTEEN))
    by_structure: dict[str, list[Cell]] = {}
    for cell in comparison.cells:
        by_structure.setdefault(cell.structure.model, []).append(cell)
    for place, (model, cells) in enumerate(by_structure.items()):
        group = groups.index(model[1:])
        numbers = np.array([cell.n_components for cell in cells])
        values = np.array([comparison.value(cell, name) for cell in cells])
        ax.plot(
            numbers,
            values,
            color=colour(group),
            marker=marker(group),
            markersize=5,
            linewidth=1.2,
            linestyle="-" if model[0] == "E" else ":",
            markerfacecolor=colour(group) if model[0] == "E" else "white",
            label=model,
        )
        degenerate = np.array([bool(cell.degenerate) for cell in cells])
        if degenerate.any():
            aside = (place - (len(by_structure) - 1) / 2) * 0.5 / len(by_structure)
            ax.plot(
                numbers[degenerate] + aside,
                np.full(degenerate.sum(), 0.02),
                color=colour(group),
                marker="x",
                linestyle="",
                transform=ax.get_xaxis_transform(),
            )
    if comparison.ranked(name):
        best = comparison.best_cell(name)
        ax.plot(
            best.n_components,
            comparison.value(best, name),
            marker="o",
            markersize=14,
            markerfacecolor="none",
            markeredgecolor="black",
            linestyle="",
            label=f"chosen: {best.structure.model}, {best.n_components}",
        )
    better = "lower" if CRITERIA[name] else "higher"
    labels = {"cv": "held-out mean log-likelihood (nats)"}
    ax.set_ylabel(f"{labels.get(name, name.upper())}, {better} is better")
    ax.set_xlabel("number of components")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return ax


def merging_entropy(merging: Merging, *, ax: Axes | None = None) -> Axes:
    """Draw the entropy at each number of clusters, and two lines that meet at the suggested number.

    Parameters
    ----------
    merging : Merging
        The result of `selection.merge`.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes
        The vertical axis shows the total entropy of the responsibilities, in nats.

    Raises
    ------
    TypeError
        If `merging` is not a `Merging`.
    """
    _check_type(merging, Merging, "merging")
    ax = axes_for(ax, 2)
    numbers = np.arange(1, merging.n_components + 1)
    ax.plot(numbers, merging.entropies, color=colour(0), marker="o", linestyle="", label="entropy")
    if merging.bend < merging.n_components:
        line, bend = merging.broken_line, merging.bend
        ax.plot(numbers, line, color=colour(1), linestyle="--", label="two lines that meet")
        ax.plot(
            bend,
            line[bend - 1],
            marker="o",
            markersize=14,
            markerfacecolor="none",
            markeredgecolor="black",
            linestyle="",
            label=f"bend: {bend} clusters",
        )
    ax.set_xlabel("number of clusters")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("entropy (nats)")
    ax.legend(fontsize="small")
    return ax


def merging_tree(merging: Merging, *, ax: Axes | None = None) -> Axes:
    """Draw the tree of merged components, with the entropy that merging removes as height.

    Parameters
    ----------
    merging : Merging
        The result of `selection.merge`, of at least two components.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes
        The height of each joint is the entropy removed by this and all earlier merges, in nats.

    Raises
    ------
    TypeError, ValueError
        If `merging` is not a `Merging`, or has only one component.
    """
    from scipy.cluster.hierarchy import dendrogram

    _check_type(merging, Merging, "merging")
    if merging.n_components < 2:
        raise ValueError("merging must have at least two components; got 1")
    ax = axes_for(ax, 2)
    dendrogram(
        merging.linkage(),
        ax=ax,
        color_threshold=0,
        above_threshold_color=colour(0),
        labels=[f"{k}" for k in range(merging.n_components)],
    )
    if merging.bend < merging.n_components:
        removed = merging.entropies[-1] - merging.entropies
        between = (removed[merging.bend - 1] + removed[merging.bend - 2]) / 2
        ax.axhline(between, color=colour(1), linestyle="--", label=f"{merging.bend} clusters")
        ax.set_ylim(top=1.2 * removed.max())  # room for the legend
        ax.legend(fontsize="small", loc="upper right")
    ax.set_xlabel("component")
    ax.set_ylabel("entropy gone by merging (nats)")
    return ax


def bootstrap_test(test: BootstrapTest, *, ax: Axes | None = None) -> Axes:
    """Draw the likelihood ratios of the bootstrap samples, and the one of the data.

    Parameters
    ----------
    test : BootstrapTest
        The result of `selection.bootstrap_test`.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        If `test` is not a `BootstrapTest`.
    """
    _check_type(test, BootstrapTest, "test")
    ax = axes_for(ax, 2)
    k, finite = test.n_components, test.replicates[np.isfinite(test.replicates)]
    bins = max(10, n_bins(finite)) if len(finite) else 1
    ax.hist(finite, bins=bins, color=colour(0), alpha=0.7, label=f"drawn under {k}")
    ax.axvline(
        test.statistic, color=colour(1), linestyle="--", label=f"the data: p = {test.p_value:.3g}"
    )
    ax.set_xlabel(f"2 × log-likelihood ratio of {k + 1} against {k} (nats)")
    ax.set_ylabel("samples drawn")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize="small")
    return ax


def _check_type(value: Any, expected: type, name: str) -> None:
    if not isinstance(value, expected):
        raise TypeError(f"{name} must be a {expected.__name__}; got {type(value).__name__}")
