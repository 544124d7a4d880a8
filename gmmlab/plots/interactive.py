"""Pictures of space that the reader can turn, drawn by plotly.

What `plots` draws of three features, under the same names: each function draws into `figure`
(a new one if there is none) and returns it; ``plots.show(still, alt=…, turning=figure)`` puts
it into the notebook together with a still picture. Colours and ellipsoids are those of `plots`;
true labels are shapes, of which plotly has eight in space.

A notebook stays small: coordinates are rounded to a ten-thousandth of their extent or finer, and
of many samples `MOST_SAMPLES` are drawn, the same ones each time; the figure then says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from gmmlab._validation import check_choice, check_number, check_numeric
from gmmlab.mixture import Mixture
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

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

#: one shape for each of eight true labels
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
#: of more samples than this, so many are drawn
MOST_SAMPLES = 500

_LINES = {
    "true": {"dash": "solid", "width": 2, "opacity": 0.45},
    "fitted": {"dash": "dash", "width": 3, "opacity": 0.9},
}
_HEIGHT = 480  # pixels; the width is the page's
_DIAGONAL = 1.95  # of the box, in plotly's units: it stays within the height as it turns
_EYE = 2.0  # how far away the eye is; without perspective it does not matter


def symbol(k: int) -> str:
    """Return the shape of true label `k`; it repeats after eight."""
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
        Of more than `MOST_SAMPLES`, so many are drawn.
    labels : array_like of int, shape (n_samples,), optional
        Predicted labels: colours.
    true : array_like of int, shape (n_samples,), optional
        True labels: shapes.
    features : sequence of str, optional
        Axis labels, with units.
    legend : bool, default True
        Whether to say what colours and shapes mean, where there are several. A click on an entry
        hides its samples.
    figure : plotly.graph_objects.Figure, optional

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        If `X` has not three features, or labels do not go with it.
    """
    X, names = _check_space(X, features)
    pairs = list(groups(labels, true, len(X)))
    figure = _figure(figure, names)
    chosen = _chosen(len(X), figure)
    several = [len({pair[i] for pair in pairs}) > 1 for i in (0, 1)]
    for k, t, mine in pairs:
        if not (mine & chosen).any():
            continue
        face = mpl.colors.to_hex(UNLABELLED if labels is None else colour(k))
        meaning = [
            f"{word} {number}"
            for word, number, counts in zip(("component", "class"), (k, t), several, strict=True)
            if counts
        ]
        figure.add_scatter3d(
            **_columns(X[mine & chosen], extent=X),
            mode="markers",
            marker={"color": face, "symbol": symbol(t), "size": 4} | _edge(symbol(t), face),
            name=", ".join(meaning) or "samples",
            showlegend=bool(legend and meaning and len(pairs) <= MOST_ENTRIES),
        )
    return _frame(figure)


def soft_assignment(
    X: Any,
    responsibilities: Any,
    *,
    features: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw samples of three features in the blend of their components' colours.

    Parameters
    ----------
    X : array_like, shape (n_samples, 3)
        Of more than `MOST_SAMPLES`, so many are drawn.
    responsibilities : array_like, shape (n_samples, n_components)
        Rows sum to 1; they weigh the colours, so a sample in doubt has a colour in between.
    features : sequence of str, optional
        Axis labels, with units.
    figure : plotly.graph_objects.Figure, optional

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        If the shapes do not go together, or `X` has not three features.
    """
    X, names = _check_space(X, features)
    colours = blend(X, responsibilities)
    figure = _figure(figure, names)
    chosen = _chosen(len(X), figure)
    figure.add_scatter3d(
        **_columns(X[chosen], extent=X),
        mode="markers",
        marker={
            "color": [mpl.colors.to_hex(each) for each in colours[chosen]],
            "size": 4,
            "line": {"color": "#666666", "width": 0.5},
        },
        name="samples",
        showlegend=False,
    )
    return _frame(figure)


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
    """Draw the σ-ellipsoid of every component as a wireframe, turned as its covariance is.

    Parameters
    ----------
    mixture : Mixture, optional
        Of three features. Instead of it, `means` and `covariances` as plain arrays.
    means : array_like, shape (n_components, 3), optional
    covariances : array_like, shape (n_components, 3, 3), optional
        May be singular: a flat covariance gives a flat ellipsoid.
    sigma : float, default 2
        Size in standard deviations; positive.
    kind : {"fitted", "true"}, default "fitted"
        Dashed in the component's colour, or solid black. The legend says which; a click on
        it hides them all.
    order : sequence of int, optional
        Which colour each component takes; its own number by default.
    figure : plotly.graph_objects.Figure, optional

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
    return _frame(figure)


def look_along(figure: Figure, direction: Any) -> Figure:
    """Turn a figure so that it is first seen along a direction.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        It is changed.
    direction : array_like, shape (3,)
        From the middle of the scene to the eye, in data units; any length but 0.

    Returns
    -------
    plotly.graph_objects.Figure
        The same figure.

    Raises
    ------
    TypeError, ValueError
        If the direction is none.
    """
    figure = _figure(figure, None)
    direction = check_numeric(direction, name="direction")
    if direction.shape != (3,) or not direction.any():
        raise ValueError(f"direction must be three numbers, not all 0; got {direction.tolist()}")
    eye = direction / np.abs(direction).max()  # whose square neither vanishes nor overflows
    eye *= _EYE / np.linalg.norm(eye)
    # Up is z; to an eye that looks along z, up is y.
    upright = np.hypot(*eye[:2]) > 1e-3 * abs(eye[2])
    figure.update_scenes(
        camera_eye=dict(zip("xyz", eye.round(4).tolist(), strict=True)),
        camera_up={"x": 0, "y": int(not upright), "z": int(upright)},
    )
    return figure


def _check_space(X: Any, features: Sequence[str] | None) -> tuple[np.ndarray, list[str] | None]:
    """Return samples of three features, and the features' names if there are any."""
    X, names = check_drawable(X, features)
    if X.shape[1] != 3:
        raise ValueError(f"X must have three features to be drawn in space; got {X.shape[1]}")
    return X, None if features is None else names


def _figure(figure: Figure | None, features: Sequence[str] | None) -> Figure:
    """Return `figure`, or a new one of an empty space; its axes carry the names of `features`."""
    from plotly.graph_objects import Figure

    if figure is None:
        axis = {"showspikes": False, "gridcolor": "#dddddd", "zeroline": False, "nticks": 5}
        figure = Figure(
            layout={
                "template": {},  # plotly's own would be most of a small figure
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


def _chosen(n_samples: int, figure: Figure) -> np.ndarray:
    """Return which samples are drawn; if not all, the figure says how many."""
    chosen = np.ones(n_samples, bool)
    if n_samples > MOST_SAMPLES:
        # at random, or samples in a regular order would come out of proportion
        chosen[np.random.default_rng(0).permutation(n_samples)[MOST_SAMPLES:]] = False
        figure.add_annotation(
            text=f"{MOST_SAMPLES} of {n_samples} samples",
            showarrow=False,
            x=0,
            y=0,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="bottom",
            yshift=16 * len(figure.layout.annotations),
        )
    return chosen


def _frame(figure: Figure) -> Figure:
    """Put a box around all that is drawn, to one scale along the three axes.

    As plotly's ``aspectmode="data"`` does, but larger, and the box stays when something is
    hidden.
    """
    low, high = (
        np.array([[edge(trace[axis]) for axis in "xyz"] for trace in figure.data], float)
        for edge in (np.nanmin, np.nanmax)
    )
    low, high = low.min(axis=0), high.max(axis=0)
    margin = 0.03 * ((high - low).max() or np.abs(high).max() or 1.0)  # or a point has no box
    low, high = low - margin, high + margin
    sides = (high - low) / (high - low).max()
    sides *= _DIAGONAL / np.linalg.norm(sides)
    figure.update_scenes(
        aspectmode="manual",
        aspectratio=dict(zip("xyz", sides.tolist(), strict=True)),
        **{f"{a}axis_range": [low[i], high[i]] for i, a in enumerate("xyz")},
    )
    return figure


def _edge(shape: str, face: str) -> dict[str, Any]:
    """Return a light edge, where a shape has room for one."""
    thin = shape in ("cross", "x") or shape.endswith("open")
    return {"line": {"color": face if thin else "white", "width": 1 if thin else 0.5}}


def _wires(surface: np.ndarray) -> np.ndarray:
    """Return the lines of a wireframe as one, shape (n_points, 3), with NaN between them."""
    gap = np.full(3, np.nan)
    meridians = surface[:-1:2]  # half of them are enough for the eye
    parallels = surface[:, 1:-1].swapaxes(0, 1)
    return np.vstack([row for line in (*meridians, *parallels) for row in (line, gap)][:-1])


def _columns(points: np.ndarray, extent: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return x, y and z, rounded to 1/10,000 of the extent (of the points, if not given) or finer.

    In single precision, unless that would be coarser. plotly writes an array in base64, on one
    line: a third of the room of decimal numbers, each of which has a line in a notebook.
    """
    extent = points if extent is None else extent
    size = np.nanmax(np.nanmax(extent, axis=0) - np.nanmin(extent, axis=0))
    size = size or np.nanmax(np.abs(extent)) or 1.0  # a single sample has no extent
    unit = 10.0 ** max(np.floor(np.log10(size)) - 4, -300)
    rounded = np.round(points / unit) * unit
    with np.errstate(over="ignore", under="ignore"):
        single = rounded.astype(np.float32)
    if np.nanmax(np.abs(single - rounded)) < unit / 2:
        rounded = single
    return dict(zip("xyz", np.ascontiguousarray(rounded.T), strict=True))
