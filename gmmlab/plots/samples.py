"""Draw samples: with labels, with responsibilities, or as images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from mpl_toolkits.mplot3d import Axes3D

from gmmlab._validation import check_count, check_samples
from gmmlab.plots._axes import axes_for, label_axes, marker
from gmmlab.plots._style import (
    MAX_LEGEND_ENTRIES,
    UNLABELLED,
    blend,
    check_drawable,
    colour,
    groups,
)


def data(
    X: Any,
    labels: Any = None,
    *,
    true: Any = None,
    features: Sequence[str] | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw samples of one, two or three features.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        With one feature, the vertical axis is the index of the sample, so that samples do not
        overlap. With three features, the Axes are 3-D.
    labels : array_like of int, shape (n_samples,), optional
        Predicted labels, shown as colours.
    true : array_like of int, shape (n_samples,), optional
        True labels, shown as marker shapes.
    features : sequence of str, optional
        Axis labels, with units.
    legend : bool, default True
        Whether to add a legend of colours and shapes if there are several of them.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If `X` has more than three features, or the labels do not match `X`.
    """
    X, names = check_drawable(X, features)
    n, d = X.shape
    ax = axes_for(ax, d)
    columns = [*X.T, np.arange(n)] if d == 1 else list(X.T)
    style = {"s": 18, "alpha": 0.7, "linewidths": 0.3, "edgecolors": "white"}
    for k, t, mine in groups(labels, true, n):
        face = UNLABELLED if labels is None else colour(k)
        ax.scatter(*(c[mine] for c in columns), color=face, marker=marker(t), **style)
    label_axes(ax, names)
    if d == 1:
        ax.set_ylabel("sample")
    if legend:
        _add_legend(ax, labels, true)
    return ax


def _add_legend(ax: Axes, labels: Any, true: Any) -> None:
    """Add a legend of the colours and of the shapes, each if there are several."""
    handles = []
    kinds = (("component", labels, colour, None), ("class", true, None, marker))
    for name, values, colours, markers in kinds:
        found = [] if values is None else np.unique(np.asarray(values))
        if len(found) > 1:
            handles += [
                Line2D(
                    [],
                    [],
                    linestyle="",
                    marker=markers(k) if markers else "o",
                    color=colours(k) if colours else UNLABELLED,
                    label=f"{name} {k}",
                )
                for k in found
            ]
    if handles and len(handles) <= MAX_LEGEND_ENTRIES:
        # In a 3-D figure, the corners are outside the box.
        place = "upper left" if isinstance(ax, Axes3D) else "best"
        ax.legend(handles=handles, fontsize="small", loc=place)


def soft_assignment(
    X: Any, responsibilities: Any, *, features: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw samples of one to three features, coloured by their responsibilities.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    responsibilities : array_like, shape (n_samples, n_components)
        Rows sum to 1. The colour of a sample is the average of the components' colours, weighted
        by its responsibilities.
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
        If the shapes do not match, or `X` has more than three features.
    """
    X, names = check_drawable(X, features)
    blended = blend(X, responsibilities)
    ax = axes_for(ax, X.shape[1])
    columns = [*X.T, np.arange(len(X))] if X.shape[1] == 1 else list(X.T)
    ax.scatter(*columns, c=blended, s=18, alpha=0.8, linewidths=0.2, edgecolors="0.4")
    label_axes(ax, names)
    return ax


def images(
    values: Any,
    *,
    shape: tuple[int, int] = (28, 28),
    titles: Sequence[str] | None = None,
    columns: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Draw the rows of an array as grey-scale images; high values are dark.

    Parameters
    ----------
    values : array_like, shape (n_images, height * width)
    shape : (int, int), default (28, 28)
        Height and width in pixels.
    titles : sequence of str, optional
        One title for each image.
    columns : int, default 10
        Number of images in a row.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If the rows are not images of that shape, or the number of titles is not the number of
        images.
    """
    values = check_samples(values, name="values")
    height, width = shape
    if values.shape[1] != height * width:
        raise ValueError(f"values must have {height} × {width} columns; got {values.shape[1]}")
    if titles is not None and len(titles) != len(values):
        raise ValueError(
            f"titles must contain one title for each of {len(values)} images; got {len(titles)}"
        )
    columns = min(check_count(columns, name="columns"), len(values))
    rows = -(-len(values) // columns)
    gap = 2 if titles is None else 9  # pixels between rows, with room for a title
    if ax is None:
        _, ax = plt.subplots(figsize=(0.9 * columns, 0.9 * rows * (height + gap) / height))
    sheet = np.full((rows * (height + gap), columns * (width + 2)), np.nan)
    for i, image in enumerate(values):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + 2)
        sheet[top : top + height, left : left + width] = image.reshape(shape)
        if titles is not None:
            ax.text(left + width / 2, top - 1.5, titles[i], ha="center", fontsize="x-small")
    ax.imshow(sheet, cmap="gray_r", interpolation="nearest")
    ax.set_axis_off()
    return ax
