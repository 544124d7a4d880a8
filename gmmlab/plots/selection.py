"""Pictures of the choice of a mixture: criteria, the likelihood-ratio test, merging.

They are `plots.criterion`, `plots.bootstrap_test`, `plots.merging_entropy` and
`plots.merging_tree`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from gmmlab._validation import check_choice
from gmmlab.covariance import FOURTEEN
from gmmlab.plots._axes import axes_for, marker, n_bins
from gmmlab.plots._style import colour
from gmmlab.selection.bootstrap_test import BootstrapTest
from gmmlab.selection.comparison import CRITERIA, Comparison
from gmmlab.selection.grid import Cell
from gmmlab.selection.merging import Merging


def criterion(comparison: Comparison, name: str = "bic", *, ax: Axes | None = None) -> Axes:
    """Draw a criterion of every structure over the number of components.

    Colours and markers say what shape and orientation share; volumes are equal along solid lines,
    and each component's own along dotted ones. The choice has a ring, and a degenerate cell a cross
    at the lower edge, in its structure's colour.

    Parameters
    ----------
    comparison : Comparison
        What `selection.compare` found.
    name : {"bic", "aic", "icl", "cv"}, default "bic"
        One of the criteria that were asked for.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If `comparison` is none, or was not asked for that criterion.
    """
    _check_kind(comparison, Comparison, "comparison")
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
        lost = np.array([bool(cell.degenerate) for cell in cells])
        if lost.any():
            aside = (place - (len(by_structure) - 1) / 2) * 0.5 / len(by_structure)
            ax.plot(
                numbers[lost] + aside,
                np.full(lost.sum(), 0.02),
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
    """Draw the entropy left at each number of clusters, and the broken line whose bend says stop.

    Parameters
    ----------
    merging : Merging
        What `selection.merge` found.
    ax : Axes, optional

    Returns
    -------
    Axes
        Total entropy of the responsibilities, in nats.

    Raises
    ------
    TypeError
        If `merging` is none.
    """
    _check_kind(merging, Merging, "merging")
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
    """Draw which components are merged in which order, and how much entropy that takes away.

    Parameters
    ----------
    merging : Merging
        What `selection.merge` found, of two components or more.
    ax : Axes, optional

    Returns
    -------
    Axes
        Each joint is as high as the entropy that is gone once it is made, in nats.

    Raises
    ------
    TypeError, ValueError
        If `merging` is none, or of one component.
    """
    from scipy.cluster.hierarchy import dendrogram

    _check_kind(merging, Merging, "merging")
    if merging.n_components < 2:
        raise ValueError("merging must be of at least two components; got 1")
    ax = axes_for(ax, 2)
    dendrogram(
        merging.linkage(),
        ax=ax,
        color_threshold=0,
        above_threshold_color=colour(0),
        labels=[f"{k}" for k in range(merging.n_components)],
    )
    if merging.bend < merging.n_components:
        gone = merging.entropies[-1] - merging.entropies
        between = (gone[merging.bend - 1] + gone[merging.bend - 2]) / 2
        ax.axhline(between, color=colour(1), linestyle="--", label=f"{merging.bend} clusters")
        ax.set_ylim(top=1.2 * gone.max())  # room for the legend
        ax.legend(fontsize="small", loc="upper right")
    ax.set_xlabel("component")
    ax.set_ylabel("entropy gone by merging (nats)")
    return ax


def bootstrap_test(test: BootstrapTest, *, ax: Axes | None = None) -> Axes:
    """Draw the likelihood ratio of the samples drawn under the null hypothesis, and the data's own.

    Parameters
    ----------
    test : BootstrapTest
        What `selection.bootstrap_test` found.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError
        If `test` is none.
    """
    _check_kind(test, BootstrapTest, "test")
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


def _check_kind(value: Any, kind: type, name: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}; got {type(value).__name__}")
