"""Pictures of data, mixtures and fits.

Each function draws into `ax` (a new figure if there is none) and returns the Axes; `show`
puts a figure into the notebook together with its alt text. Fitted things are dashed,
true things solid; predicted labels are colours, true labels are marker shapes. What is drawn
of an uncertainty is in `gmmlab.plots.uncertainty`, of a choice in `gmmlab.plots.selection`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d import Axes3D
from PIL import Image

from gmmlab._validation import check_choice, check_count, check_samples
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.plots._axes import MARKERS as MARKERS
from gmmlab.plots._axes import axes_for, ellipse, grid_over, marker, n_bins, name_axes
from gmmlab.plots._film import Film
from gmmlab.plots._style import COLOURS as COLOURS
from gmmlab.plots._style import (
    MOST_ENTRIES,
    UNLABELLED,
    blend,
    check_drawable,
    colour,
    feature_names,
    groups,
    line_colours,
    means_and_covariances,
    surfaces,
)
from gmmlab.plots.selection import bootstrap_test as bootstrap_test
from gmmlab.plots.selection import criterion as criterion
from gmmlab.plots.selection import merging_entropy as merging_entropy
from gmmlab.plots.selection import merging_tree as merging_tree
from gmmlab.plots.uncertainty import bootstrap_distribution as bootstrap_distribution
from gmmlab.plots.uncertainty import classification_uncertainty as classification_uncertainty
from gmmlab.plots.uncertainty import mean_regions as mean_regions
from gmmlab.result import Fit, check_fit

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as TurningFigure

#: the mime type of a figure that turns
TURNING_MIME_TYPE = "application/vnd.plotly.v1+json"

#: Nothing leads to another host: no logo, which is a link, and no button that sends the figure
#: away. No zoom by the wheel: it would catch a reader who scrolls down the page.
_TURNING_CONFIG = {
    "displaylogo": False,
    "plotlyServerURL": "",
    "scrollZoom": False,
    "showSendToCloud": False,
}
_STYLES = {"true": "-", "fitted": "--"}
_DPI = 110


def show(
    figure: Figure | Axes,
    *,
    alt: str,
    turning: TurningFigure | None = None,
    playing: Film | None = None,
) -> None:
    """Put a figure into the notebook with its alt text, and close it.

    Parameters
    ----------
    figure : Figure or Axes
        What to show.
    alt : str
        What the figure shows, for those who cannot see it: one or two sentences.
    turning : plotly.graph_objects.Figure, optional
        The same scene as a figure that turns, from `space`. Both go into one output: where
        scripts run the reader can turn the scene, elsewhere there is `figure` as a still.
    playing : Film, optional
        What `figure` shows stills of, from `player`: where scripts run the reader can play it.

    Raises
    ------
    TypeError, ValueError
        If `figure`, `turning` or `playing` is something else, both of the latter are given, `alt`
        is empty, or WORKBOOK_FIGURES names another format.

    Notes
    -----
    The environment variable WORKBOOK_FIGURES says in which formats the still is kept: ``png``,
    which is always there, and ``svg`` to have it as a vector file too, as in ``"png svg"``. It
    is for whoever runs the notebook; without it there is the PNG alone. Both are the same
    bytes each time.
    """
    from IPython.display import display

    if isinstance(figure, Axes):
        figure = figure.get_figure(root=True)
    if not isinstance(figure, Figure):
        raise TypeError(f"figure must be a Figure or Axes; got {type(figure).__name__}")
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must say what the figure shows; got {alt!r}")
    if not isinstance(playing, Film | None):
        kind = type(playing).__name__
        raise TypeError(f"playing must be a Film, from gmmlab.plots.animation; got {kind}")
    if playing is not None and turning is not None:
        raise ValueError("give turning or playing: a figure can have one of them")
    bundle: dict[str, Any] = {} if turning is None else {TURNING_MIME_TYPE: _turning(turning)}
    bundle["image/png"] = _png(figure)
    if playing is not None:
        bundle["text/html"] = playing.html(bundle["image/png"], alt)
    if "svg" in _formats():
        bundle["image/svg+xml"] = _svg(figure)
    plt.close(figure)
    metadata = {kind: {"alt": alt} for kind in bundle if kind.startswith("image/")}
    display(bundle | {"text/plain": alt}, metadata=metadata, raw=True)


def _png(figure: Figure) -> bytes:
    full, png = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=_DPI, bbox_inches="tight")
    # A plot needs no more than 256 colours, and takes a third of the room with them.
    image = Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(png, format="png", optimize=True)
    return png.getvalue()


def _svg(figure: Figure) -> str:
    svg = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "gmmlab"}):  # or the ids in it are other ones each time
        nobody = {"Date": None, "Creator": None}
        figure.savefig(svg, format="svg", bbox_inches="tight", metadata=nobody)
    return svg.getvalue()


def _formats() -> set[str]:
    """Return the formats that the environment asks for."""
    asked = os.environ.get("WORKBOOK_FIGURES", "")
    formats = set(asked.split())
    if formats - {"png", "svg"}:
        raise ValueError(f"WORKBOOK_FIGURES must be words out of png and svg; got {asked!r}")
    return formats


def _turning(figure: TurningFigure) -> dict[str, Any]:
    """Return a plotly figure as the JSON of its mime type."""
    from plotly.graph_objects import Figure as TurningFigure

    if not isinstance(figure, TurningFigure):
        kind = type(figure).__name__
        raise TypeError(
            f"turning must be a plotly Figure, from gmmlab.plots.interactive; got {kind}"
        )
    return {**figure.to_plotly_json(), "config": _TURNING_CONFIG}


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
        With one feature, samples are spread upwards in order so that they can be told apart;
        with three, the Axes must be (or will be) 3-D.
    labels : array_like of int, shape (n_samples,), optional
        Predicted labels: colours.
    true : array_like of int, shape (n_samples,), optional
        True labels: marker shapes.
    features : sequence of str, optional
        Axis labels, with units.
    legend : bool, default True
        Whether to say what colours and shapes mean, where there are several.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If `X` has more than three features, or labels do not go with it.
    """
    X, names = check_drawable(X, features)
    n, d = X.shape
    ax = axes_for(ax, d)
    columns = [*X.T, np.arange(n)] if d == 1 else list(X.T)
    style = {"s": 18, "alpha": 0.7, "linewidths": 0.3, "edgecolors": "white"}
    for k, t, mine in groups(labels, true, n):
        face = UNLABELLED if labels is None else colour(k)
        ax.scatter(*(c[mine] for c in columns), color=face, marker=marker(t), **style)
    name_axes(ax, names)
    if d == 1:
        ax.set_ylabel("sample")
    if legend:
        _label_legend(ax, labels, true)
    return ax


def _label_legend(ax: Axes, labels: Any, true: Any) -> None:
    """Say what colours and shapes mean, where both are in use or there are several of one."""
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
    if handles and len(handles) <= MOST_ENTRIES:
        # the box of a 3-D figure leaves its corners free
        place = "upper left" if isinstance(ax, Axes3D) else "best"
        ax.legend(handles=handles, fontsize="small", loc=place)


def soft_assignment(
    X: Any, responsibilities: Any, *, features: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw samples of one to three features in the blend of their components' colours.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    responsibilities : array_like, shape (n_samples, n_components)
        Rows sum to 1; they weigh the colours, so a sample in doubt has a colour in between.
    features : sequence of str, optional
        Axis labels, with units.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If the shapes do not go together, or `X` has more than three features.
    """
    X, names = check_drawable(X, features)
    blended = blend(X, responsibilities)
    ax = axes_for(ax, X.shape[1])
    columns = [*X.T, np.arange(len(X))] if X.shape[1] == 1 else list(X.T)
    ax.scatter(*columns, c=blended, s=18, alpha=0.8, linewidths=0.2, edgecolors="0.4")
    name_axes(ax, names)
    return ax


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
    """Draw the 1, 2 and 3-σ ellipses of every component, turned as its covariance is.

    Parameters
    ----------
    mixture : Mixture, optional
        Of two features. Instead of it, `means` and `covariances` as plain arrays.
    means : array_like, shape (n_components, 2), optional
    covariances : array_like, shape (n_components, 2, 2), optional
        May be singular.
    sigmas : iterable of float, default (1, 2, 3)
        Sizes in standard deviations.
    kind : {"fitted", "true"}, default "fitted"
        Dashed in the component's colour, or solid black.
    order : sequence of int, optional
        Which colour each component takes; its own number by default.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If the parameters are not of two features.
    """
    means, covariances = means_and_covariances(mixture, means, covariances, n_features=2)
    linestyle = _STYLES[check_choice(kind, _STYLES, name="kind")]
    ax = axes_for(ax, 2)
    lines = line_colours(kind, order, len(means))
    for mean, covariance, line in zip(means, covariances, lines, strict=True):
        for sigma in sigmas:
            ax.add_patch(ellipse(mean, covariance, sigma, edgecolor=line, linestyle=linestyle))
        ax.plot(*mean, marker="x" if kind == "true" else "+", color=line, markersize=9, mew=2)
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
        With one feature: a curve, its components dashed, over a histogram of `X`. With two:
        contours where the density is exp(−q²/2) of its maximum, q = ½, 1, 2 and 3.
    X : array_like, shape (n_samples, n_features), optional
        Samples to draw underneath.
    features : sequence of str, optional
        Axis labels, with units.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If the mixture has more than two features or `X` does not go with it.
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
    name_axes(ax, feature_names(features, 1))
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
    name_axes(ax, feature_names(features, 2))
    return ax


def trace(fit: Fit, *, ax: Axes | None = None) -> Axes:
    """Draw the log-likelihood at each iteration's parameters, and the ELBO before the E-step.

    The distance between the two is what the E-step gains: the Kullback-Leibler divergence of
    the old responsibilities from the new.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional

    Returns
    -------
    Axes
        Totals over the samples, in nats.
    """
    iterations = check_fit(fit).trace["iteration"]
    ax = axes_for(ax, 2)
    ax.plot(
        iterations,
        fit.trace["log_likelihood"],
        color=colour(0),
        marker="o",
        markersize=3,
        label="log-likelihood (ELBO after the E-step)",
    )
    ax.plot(
        iterations,
        fit.trace["elbo_m_step"],
        color=colour(1),
        marker="v",
        markersize=4,
        linestyle="",
        label="ELBO after the M-step, before the E-step",
    )
    ax.set_xlabel("iteration")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("total (nats)")
    ax.legend(fontsize="small", loc="lower right")
    return ax


def staircase(fit: Fit, *, iterations: int = 6, ax: Axes | None = None) -> Axes:
    """Draw how the M-step raises the ELBO and the E-step lifts it to the log-likelihood.

    Parameters
    ----------
    fit : Fit
    iterations : int, default 6
        How many of the first iterations to draw.
    ax : Axes, optional

    Returns
    -------
    Axes
        Totals over the samples, in nats; one riser of each colour an iteration.
    """
    check_fit(fit)
    iterations = check_count(iterations, name="iterations")
    ax = axes_for(ax, 2)
    log_likelihood, after_m = fit.trace["log_likelihood"], fit.trace["elbo_m_step"]
    last = min(iterations, len(log_likelihood) - 1)
    ax.step(
        np.arange(last + 1),
        log_likelihood[: last + 1],
        where="post",
        color="black",
        linewidth=1,
        label="log-likelihood",
    )
    for step in range(1, last + 1):
        begin, middle, end = log_likelihood[step - 1], after_m[step], log_likelihood[step]
        for low, high, line, label in (
            (begin, middle, colour(1), "M-step"),
            (middle, end, colour(0), "E-step"),
        ):
            ax.plot(
                [step, step],
                [low, high],
                color=line,
                linewidth=6,
                solid_capstyle="butt",
                label=label if step == 1 else None,
            )
    ax.set_xlabel("iteration")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("total (nats)")
    ax.legend(fontsize="small", loc="upper left")  # a staircase leaves it free
    return ax


def images(
    values: Any,
    *,
    shape: tuple[int, int] = (28, 28),
    titles: Sequence[str] | None = None,
    columns: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Draw rows of an array as grey images side by side: dark is high.

    Parameters
    ----------
    values : array_like, shape (n_images, height * width)
    shape : (int, int), default (28, 28)
        Height and width in pixels.
    titles : sequence of str, optional
        One for each image.
    columns : int, default 10
        Images in a row.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        If the rows are not images of that shape, or the titles not one for each.
    """
    values = check_samples(values, name="values")
    height, width = shape
    if values.shape[1] != height * width:
        raise ValueError(f"values must have {height} × {width} columns; got {values.shape[1]}")
    if titles is not None and len(titles) != len(values):
        raise ValueError(f"titles must be one for each of {len(values)} images; got {len(titles)}")
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
    """Draw the σ-ellipsoid of every component of three features, turned as its covariance is.

    Parameters
    ----------
    mixture, means, covariances, kind, order
        As in `ellipses`, of three features; a flat covariance gives a flat ellipsoid.
    sigma : float, default 2
        Size in standard deviations.
    ax : Axes3D, optional

    Returns
    -------
    Axes3D

    Raises
    ------
    TypeError, ValueError
        If the parameters are not of three features.
    """
    means, covariances = means_and_covariances(mixture, means, covariances, n_features=3)
    linestyle = _STYLES[check_choice(kind, _STYLES, name="kind")]
    ax = axes_for(ax, 3)
    lines = line_colours(kind, order, len(means))
    for surface, line in zip(surfaces(means, covariances, sigma), lines, strict=True):
        ax.plot_wireframe(
            *np.moveaxis(surface, -1, 0), color=line, linestyle=linestyle, linewidth=0.6, alpha=0.45
        )
    if not ax.get_xlabel():  # what drew the samples may have said more
        name_axes(ax, feature_names(None, 3))
    return ax
