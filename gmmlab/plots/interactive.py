"""Draw 3-D figures that the reader can rotate, with plotly.

The functions have the names of those in `gmmlab.plots` that draw three features. Each draws into
`figure`, or into a new figure, and returns it. ``plots.show(still, alt=…, interactive=figure)``
puts it into the notebook together with a static figure. Colours and ellipsoids are the same as in
`gmmlab.plots`. True labels are marker shapes, of which plotly has eight in three dimensions.

To keep notebooks small, coordinates are rounded to a ten-thousandth of their range or finer, and at
most `MAX_SAMPLES` samples are drawn, a fixed random subset; the figure then states their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from gmmlab._extras import extra
from gmmlab._validation import check_choice, check_number, check_numeric
from gmmlab.mixture import Mixture
from gmmlab.plots._style import (
    MAX_LEGEND_ENTRIES,
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

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: marker shapes of the first eight true labels
SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "cross",
    "x",
    "circle-open",
    "square-open",
    "diamond-open",
)
#: largest number of samples to draw
MAX_SAMPLES = 500
MOST_SAMPLES = MAX_SAMPLES  # earlier name

_LINES = {
    "true": {"dash": "solid", "width": 2, "opacity": 0.45},
    "fitted": {"dash": "dash", "width": 3, "opacity": 0.9},
}
_HEIGHT = 480  # pixels; the width is that of the page
_DIAGONAL = 1.95  # of the box, in plotly's units; the rotating box stays within the height
_EYE = 2.0  # distance of the eye, which has no effect without perspective


def symbol(k: int) -> str:
    """Return the marker shape of true label `k`; shapes repeat after eight."""
    return SYMBOLS[k % len(SYMBOLS)]


def data(
    X: Any,
    labels: Any = None,
    *,
    true: Any = None,
    features: Sequence[str] | None = None,
    legend: bool = True,
    figure: Figure | None = None,
) -> Figure:
    """Draw samples of three features.

    Parameters
    ----------
    X : array_like, shape (n_samples, 3)
        If there are more than `MAX_SAMPLES` samples, a fixed random subset is drawn.
    labels : array_like of int, shape (n_samples,), optional
        Predicted labels, shown as colours.
    true : array_like of int, shape (n_samples,), optional
        True labels, shown as marker shapes.
    features : sequence of str, optional
        Axis labels, with units.
    legend : bool, default True
        Whether to add a legend of colours and shapes if there are several of them. A click on an
        entry hides its samples.
    figure : plotly.graph_objects.Figure, optional
        Figure to draw into. By default, a new figure is made.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        If `X` does not have three features, or the labels do not match `X`.
    """
    X, names = _check_samples(X, features)
    pairs = list(groups(labels, true, len(X)))
    figure = _figure(figure, names)
    drawn = _drawn_samples(len(X), figure)
    several = [len({pair[i] for pair in pairs}) > 1 for i in (0, 1)]
    for k, t, mine in pairs:
        if not (mine & drawn).any():
            continue
        face = mpl.colors.to_hex(UNLABELLED if labels is None else colour(k))
        meaning = [
            f"{word} {number}"
            for word, number, counts in zip(("component", "class"), (k, t), several, strict=True)
            if counts
        ]
        figure.add_scatter3d(
            **_columns(X[mine & drawn], extent=X),
            mode="markers",
            marker={"color": face, "symbol": symbol(t), "size": 4} | _marker_edge(symbol(t), face),
            name=", ".join(meaning) or "samples",
            showlegend=bool(legend and meaning and len(pairs) <= MAX_LEGEND_ENTRIES),
        )
    return _fit_box(figure)


def soft_assignment(
    X: Any,
    responsibilities: Any,
    *,
    features: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw samples of three features, coloured by their responsibilities.

    Parameters
    ----------
    X : array_like, shape (n_samples, 3)
        If there are more than `MAX_SAMPLES` samples, a fixed random subset is drawn.
    responsibilities : array_like, shape (n_samples, n_components)
        Rows sum to 1. The colour of a sample is the average of the components' colours, weighted
        by its responsibilities.
    features : sequence of str, optional
        Axis labels, with units.
    figure : plotly.graph_objects.Figure, optional
        Figure to draw into. By default, a new figure is made.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        If the shapes do not match, or `X` does not have three features.
    """
    X, names = _check_samples(X, features)
    colours = blend(X, responsibilities)
    figure = _figure(figure, names)
    drawn = _drawn_samples(len(X), figure)
    figure.add_scatter3d(
        **_columns(X[drawn], extent=X),
        mode="markers",
        marker={
            "color": [mpl.colors.to_hex(each) for each in colours[drawn]],
            "size": 4,
            "line": {"color": "#666666", "width": 0.5},
        },
        name="samples",
        showlegend=False,
    )
    return _fit_box(figure)


def ellipsoids(
    mixture: Mixture | None = None,
    *,
    means: Any = None,
    covariances: Any = None,
    sigma: float = 2.0,
    kind: str = "fitted",
    order: Sequence[int] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw the σ-ellipsoid of every component as a wireframe, along its covariance's eigenvectors.

    Parameters
    ----------
    mixture : Mixture, optional
        A mixture of three features. Alternatively, give `means` and `covariances`.
    means : array_like, shape (n_components, 3), optional
    covariances : array_like, shape (n_components, 3, 3), optional
        Covariances may be singular; a singular covariance gives a flat ellipsoid.
    sigma : float, default 2
        Size in standard deviations, greater than 0.
    kind : {"fitted", "true"}, default "fitted"
        Fitted ellipsoids are dashed, in the component's colour. True ones are solid and black.
        The legend names the kind; a click on it hides all ellipsoids of the kind.
    order : sequence of int, optional
        The number of each component's colour; by default, the number of the component.
    figure : plotly.graph_objects.Figure, optional
        Figure to draw into. By default, a new figure is made.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        If the parameters are not of three features.
    """
    means, covariances = means_and_covariances(mixture, means, covariances, n_features=3)
    sigma = check_number(sigma, name="sigma", inclusive=False)
    style = _LINES[check_choice(kind, _LINES, name="kind")]
    lines = line_colours(kind, order, len(means))
    figure = _figure(figure, None)
    name = f"{kind}, {sigma:g} σ"
    for surface, line in zip(surfaces(means, covariances, sigma), lines, strict=True):
        figure.add_scatter3d(
            **_columns(_wires(surface)),
            mode="lines",
            line={"color": mpl.colors.to_hex(line), "dash": style["dash"], "width": style["width"]},
            opacity=style["opacity"],
            hoverinfo="skip",
            name=name,
            legendgroup=name,
            showlegend=name not in {trace.name for trace in figure.data},
        )
    return _fit_box(figure)


def look_along(figure: Figure, direction: Any) -> Figure:
    """Set the direction from which a figure is seen at first.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        The figure, which is modified.
    direction : array_like, shape (3,)
        The direction from the centre of the scene to the eye, in units of the data. Its length
        has no effect, but must not be 0.

    Returns
    -------
    plotly.graph_objects.Figure
        The same figure.

    Raises
    ------
    TypeError, ValueError
        If `figure` is not a plotly figure, or `direction` is not three numbers that are not all 0.
    """
    figure = _figure(figure, None)
    direction = check_numeric(direction, name="direction")
    if direction.shape != (3,) or not direction.any():
        raise ValueError(
            f"direction must be three numbers that are not all 0; got {direction.tolist()}"
        )
    eye = direction / np.abs(direction).max()  # so that squares neither underflow nor overflow
    eye *= _EYE / np.linalg.norm(eye)
    # z points up, or y if the view is along z.
    upright = np.hypot(*eye[:2]) > 1e-3 * abs(eye[2])
    figure.update_scenes(
        camera_eye=dict(zip("xyz", eye.round(4).tolist(), strict=True)),
        camera_up={"x": 0, "y": int(not upright), "z": int(upright)},
    )
    return figure


def _check_samples(X: Any, features: Sequence[str] | None) -> tuple[np.ndarray, list[str] | None]:
    """Return the checked samples, of three features, and the features' names if given."""
    X, names = check_drawable(X, features)
    if X.shape[1] != 3:
        raise ValueError(f"X must have three features to be drawn in 3-D; got {X.shape[1]}")
    return X, None if features is None else names


def _figure(figure: Figure | None, features: Sequence[str] | None) -> Figure:
    """Return `figure`, or a new and empty one, with axes labelled by `features` if given."""
    with extra("workbook"):
        from plotly.graph_objects import Figure

    if figure is None:
        axis = {"showspikes": False, "gridcolor": "#dddddd", "zeroline": False, "nticks": 5}
        figure = Figure(
            layout={
                "template": {},  # plotly's default would be most of a small figure
                "height": _HEIGHT,
                "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
                "legend": {"x": 0, "y": 1, "itemsizing": "constant"},
                "scene": {
                    "camera": {
                        "projection": {"type": "orthographic"},
                        "eye": dict.fromkeys("xyz", round(_EYE / 3**0.5, 4)),
                    },
                    "xaxis": axis,
                    "yaxis": axis,
                    "zaxis": axis,
                },
            }
        )
        features = feature_names(features, 3)
    elif not isinstance(figure, Figure):
        raise TypeError(f"figure must be a plotly Figure; got {type(figure).__name__}")
    if features is not None:
        titles = [f"{axis}axis_title_text" for axis in "xyz"]
        figure.update_scenes(dict(zip(titles, features, strict=True)))
    return figure


def _drawn_samples(n_samples: int, figure: Figure) -> np.ndarray:
    """Return a mask of the samples to draw; add a note to the figure if it leaves some out."""
    drawn = np.ones(n_samples, bool)
    if n_samples > MAX_SAMPLES:
        # The subset is random, because samples in a regular order would be misrepresented.
        drawn[np.random.default_rng(0).permutation(n_samples)[MAX_SAMPLES:]] = False
        figure.add_annotation(
            text=f"{MAX_SAMPLES} of {n_samples} samples",
            showarrow=False,
            x=0,
            y=0,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            yshift=16 * len(figure.layout.annotations),
        )
    return drawn


def _fit_box(figure: Figure) -> Figure:
    """Set the ranges of the axes to all that is drawn, with the same scale along all three.

    This is like plotly's ``aspectmode="data"``, but the box is larger, and does not change when
    something is hidden.
    """
    low, high = (
        np.array([[edge(trace[axis]) for axis in "xyz"] for trace in figure.data], float)
        for edge in (np.nanmin, np.nanmax)
    )
    low, high = low.min(axis=0), high.max(axis=0)
    extent = (high - low).max() or np.abs(high).max() or 1.0  # a single point has no extent
    margin = 0.03 * extent
    low, high = low - margin, high + margin
    sides = (high - low) / (high - low).max()
    sides *= _DIAGONAL / np.linalg.norm(sides)
    figure.update_scenes(
        aspectmode="manual",
        aspectratio=dict(zip("xyz", sides.tolist(), strict=True)),
        **{f"{a}axis_range": [low[i], high[i]] for i, a in enumerate("xyz")},
    )
    return figure


def _marker_edge(shape: str, face: str) -> dict[str, Any]:
    """Return a light marker edge, or an edge in the face colour for shapes that have no face."""
    thin = shape in ("cross", "x") or shape.endswith("open")
    return {"line": {"color": face if thin else "white", "width": 1 if thin else 0.5}}


def _wires(surface: np.ndarray) -> np.ndarray:
    """Return the lines of a wireframe as one array, shape (n_points, 3), with NaN between lines."""
    gap = np.full(3, np.nan)
    meridians = surface[:-1:2]  # every second one is enough
    parallels = surface[:, 1:-1].swapaxes(0, 1)
    return np.vstack([row for line in (*meridians, *parallels) for row in (line, gap)][:-1])


def _columns(points: np.ndarray, extent: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return x, y and z of points, rounded to 1/10,000 of the range of `extent` or finer.

    The default of `extent` is `points`. The arrays are in single precision, unless that would be
    coarser. plotly writes an array in base64 on a single line of the notebook, which takes a third
    of the size of decimal numbers.
    """
    extent = points if extent is None else extent
    size = np.nanmax(np.nanmax(extent, axis=0) - np.nanmin(extent, axis=0))
    size = size or np.nanmax(np.abs(extent)) or 1.0  # a single sample has no range
    unit = 10.0 ** max(np.floor(np.log10(size)) - 4, -300)
    rounded = np.round(points / unit) * unit
    with np.errstate(over="ignore", under="ignore"):
        single = rounded.astype(np.float32)
    if np.nanmax(np.abs(single - rounded)) < unit / 2:
        rounded = single
    return dict(zip("xyz", np.ascontiguousarray(rounded.T), strict=True))
