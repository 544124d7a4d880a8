"""EM as a film: responsibilities, ellipses and the bound, step by step.

    path = []
    result = fit(X, begin, callback=lambda i, mixture, total: path.append(mixture))
    plots.show(player.stills(X, path), alt="…", playing=player.film(result, X, path))

Both go into one output. Where scripts run the reader steps, plays or drags through the iterations;
elsewhere (on paper, in a notebook that is not trusted yet, on a site that shows notebooks) there
are the stills.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gmmlab import plots
from gmmlab._validation import check_count, check_labels, check_samples
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.plots._film import Film, Scene
from gmmlab.plots._style import blend, colour, feature_names
from gmmlab.result import Fit, check_fit

#: of more samples than this, so many are drawn
MOST_SAMPLES = 300
#: of more iterations than this, so many are shown: each of the first half, then at equal distances
MOST_ITERATIONS = 80

_SIZE = (8.4, 3.7)  # inches
_SIGMAS = (1, 2)
_GREYS = ("0.3", "0.72")  # of an M-step, of an E-step


def film(
    result: Fit,
    X: Any,
    path: Sequence[Mixture],
    *,
    columns: Sequence[int] = (0, 1),
    features: Sequence[str] | None = None,
) -> Film:
    """Return a fit as a film, to be shown by ``plots.show(…, playing=…)``.

    Each iteration has two scenes. In the M-step the ellipses (1 and 2 σ, dashed) move to the
    samples that they have a share in, and the bound rises; in the E-step the samples take
    their new shares, as blended colours, and the bound rises to the log-likelihood.

    Parameters
    ----------
    result : Fit
    X : array_like, shape (n_samples, n_features)
        The samples, two features at least. Of more than `MOST_SAMPLES`, so many are drawn, the
        same ones each time.
    path : sequence of Mixture
        The mixture of every iteration, as a callback of `fit` collects them. Of more than
        `MOST_ITERATIONS`, so many are shown.
    columns : (int, int), default (0, 1)
        Which two features are drawn. Ellipses are those of the marginal distribution;
        responsibilities are those given all features.
    features : sequence of str, optional
        Axis labels of the two features, with units.

    Returns
    -------
    Film

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or `path` is not the path of `result`.

    Notes
    -----
    The film has the same bytes each time. The bound of a scene is the evidence lower bound of its
    responsibilities and parameters, a total in nats (Bishop 2006, section 9.4).

    Examples
    --------
    >>> from gmmlab import datasets, fit, start
    >>> X, path = datasets.old_faithful().X, []
    >>> begin = start.from_labels(X, X[:, 1] > 68)
    >>> result = fit(X, begin, callback=lambda i, mixture, total: path.append(mixture))
    >>> print(film(result, X, path).scenes[0].text)
    Start, first E-step: samples take shares in the components. Log-likelihood −1145.65.
    """
    X, path, columns = _check(X, path, columns)
    if len(check_fit(result).trace["iteration"]) != len(path):
        raise ValueError(
            "path must hold a mixture for each row of the trace of result "
            f"({len(result.trace['iteration'])}), as a callback of fit collects them; "
            f"got {len(path)}"
        )
    some, names = _chosen(X), feature_names(features, 2)
    shown = _shown(len(path))
    with mpl.rc_context({"figure.dpi": 72}):  # an SVG's units are points
        figure, (left, right) = plt.subplots(1, 2, figsize=_SIZE, layout="constrained")
    _draw_still_parts(left, right, result, X[some][:, columns], names, len(X))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    drawing = _svg(figure, _moving_parts(left, right, X[some][:, columns], path[0].n_components))
    scenes = list(_scenes(result, [path[i] for i in shown], shown, right))
    plt.close(figure)
    return Film(
        drawing=drawing,
        colours=[_colours(X[some], path[i]) for i in shown],
        components=[_matrices(left, path[i], columns) for i in shown],
        scenes=scenes,
    )


def stills(
    X: Any,
    path: Sequence[Mixture],
    *,
    iterations: Iterable[int] | None = None,
    columns: Sequence[int] = (0, 1),
    features: Sequence[str] | None = None,
) -> Figure:
    """Draw soft assignment and 2-σ ellipses at some iterations, side by side.

    Parameters
    ----------
    X, path, columns, features
        As in `film`.
    iterations : iterable of int, optional
        Which iterations; by default the start, 1 to 3, the last and some between, eight at the
        most.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or there is no such iteration.
    """
    X, path, columns = _check(X, path, columns)
    last = len(path) - 1
    if iterations is None:
        between = np.linspace(min(3, last), last, 5).round().astype(int)
        iterations = sorted({*range(min(4, last + 1)), *between.tolist()})
    iterations = [check_count(i, name="iterations", minimum=0, maximum=last) for i in iterations]
    if not iterations:
        raise ValueError("iterations must be one at least; got none")
    some, names = _chosen(X), feature_names(features, 2)
    rows = -(-len(iterations) // 4)
    figure, axes = plt.subplots(
        rows,
        min(4, len(iterations)),
        figsize=(8, 0.4 + 1.8 * rows),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, i in zip(axes.flat, iterations, strict=False):
        plots.soft_assignment(X[some][:, columns], path[i].responsibilities(X[some]), ax=ax)
        ax.set_autoscale_on(False)
        plots.ellipses(path[i].marginal(columns), sigmas=[2], ax=ax)
        ax.set(title=f"iteration {i}", xlabel="", ylabel="")
    for empty in range(len(iterations), axes.size):
        axes.flat[empty].set_axis_off()
        axes.flat[empty - 4].tick_params(labelbottom=True)
    figure.supxlabel(names[0])
    figure.supylabel(names[1])
    return figure


def _check(X: Any, path: Any, columns: Any) -> tuple[np.ndarray, list[Mixture], list[int]]:
    X = check_samples(X)
    path = [check_mixture(mixture, name="path") for mixture in path]
    if not path or {mixture.n_features for mixture in path} != {X.shape[1]}:
        raise ValueError(
            f"path must be mixtures of {X.shape[1]} features, as X has; got {len(path)} of "
            f"{sorted({mixture.n_features for mixture in path})}"
        )
    columns = check_labels(list(columns), name="columns").tolist()
    if len(columns) != 2 or len(set(columns)) < 2 or max(columns) >= X.shape[1]:
        raise ValueError(f"columns must be two features out of {X.shape[1]}; got {columns}")
    return X, path, columns


def _chosen(X: np.ndarray) -> np.ndarray:
    """Return which samples are drawn: at random, for they may be in an order."""
    return np.random.default_rng(0).permutation(len(X))[:MOST_SAMPLES]


def _shown(n: int) -> list[int]:
    """Return which of `n` iterations are shown."""
    if n <= MOST_ITERATIONS:
        return list(range(n))
    half = MOST_ITERATIONS // 2
    return [*range(half), *np.linspace(half, n - 1, half).round().astype(int).tolist()]


# ---- the drawing -------------------------------------------------------------------------


def _draw_still_parts(
    left: Axes, right: Axes, result: Fit, X: np.ndarray, names: list[str], n_samples: int
) -> None:
    """Draw what stays: the axes, and the whole bound. The samples set the limits."""
    samples = plots.soft_assignment(X, np.ones((len(X), 1)), features=names, ax=left)
    left.axis(left.axis())
    samples.collections[0].remove()
    few = f"{len(X)} of {n_samples} samples" if len(X) < n_samples else f"{n_samples} samples"
    left.set_title(f"{few}, ellipses at {' and '.join(map(str, _SIGMAS))} σ", fontsize="medium")
    _draw_bound(right, result)


def _draw_bound(ax: Axes, result: Fit) -> None:
    """Draw the whole bound, in greys: the colours are those of the components."""
    n = len(result.trace["iteration"])
    if n > MOST_ITERATIONS:
        plots.trace(result, ax=ax)
        for line, grey in zip(ax.lines, _GREYS, strict=True):
            line.set(color=grey, markersize=2)
        ax.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        return
    plots.staircase(result, iterations=max(n - 1, 1), ax=ax)
    for i, riser in enumerate(ax.lines[1:]):
        riser.set(color=_GREYS[i % 2], linewidth=min(6, 200 / n))
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 3, "frameon": False}
    ax.legend(fontsize="small", columnspacing=1, handlelength=1.2, **above)


def _svg(figure: Figure, moving: str) -> str:
    """Return the figure as SVG, with the moving parts on top."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "gmmlab"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace("</svg>", f"{moving}</svg>")
    # A page may have several: no styles that would hold for all of it, and no names of parts
    # (but of those that the drawing itself refers to, which are the same for the same content).
    svg = re.sub(r"(?s)<(metadata|style)\b.*?</\1>", "", svg)
    svg = re.sub(r'<g id="[\w.]+">', "<g>", svg)
    size = re.search(r'viewBox="[^"]*"', svg).group()
    start = f'<svg {size} stroke-linejoin="round" role="img">'
    return re.sub(r"<svg [^>]*>", start, svg, count=1)


def _moving_parts(left: Axes, right: Axes, X: np.ndarray, k: int) -> str:
    """Return what `film.js` moves; the styles are those of `plots`."""
    height = left.figure.bbox.height
    points = _place(left, X)
    circles = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in points)
    # The matrix of a component moves and stretches its lines; it is not to make them thicker.
    thin = 'vector-effect="non-scaling-stroke"'
    line = f'stroke-width="1.6" stroke-dasharray="5 2.5" {thin}'
    sigmas = "".join(f'<circle r="{sigma}" {line}/>' for sigma in _SIGMAS)
    dot = f'<path d="M0 0h.001" stroke-linecap="round" {thin}'
    mean = f'{dot} stroke-width="13" stroke="#fff"/>{dot} stroke-width="9"/>'
    groups = "".join(
        f'<g stroke="{mpl.colors.to_hex(colour(i))}">{sigmas}{mean}</g>' for i in range(k)
    )
    boxes = [ax.get_window_extent() for ax in (left, right)]
    (x, y, w, h), (rx, ry, rw, rh) = (
        (box.x0, height - box.y1, box.width, box.height) for box in boxes
    )
    return (
        f'<svg x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" '
        f'viewBox="{x:.1f} {y:.1f} {w:.1f} {h:.1f}">'
        f'<g class="samples" stroke="#666" stroke-width="0.2" fill-opacity="0.85">{circles}</g>'
        f'<g class="components" fill="none">{groups}</g></svg>'
        f'<rect class="future" x="{rx:.1f}" y="{ry + 1:.1f}" '
        f'width="{rw - 1:.1f}" height="{rh - 2:.1f}" '
        'fill="#fff" fill-opacity="0.7"/>'
        '<circle class="now" r="4.5" fill="#000"/>'
    )


def _place(ax: Axes, points: Any) -> np.ndarray:
    """Return points of the Axes in the drawing's units, whose y grows downwards."""
    x, y = ax.transData.transform(points).T
    return np.column_stack([x, ax.figure.bbox.height - y])


def _matrices(ax: Axes, mixture: Mixture, columns: list[int]) -> list[list[float]]:
    """Return for each component the matrix (a b c d e f) from the unit circle to its ellipse.

    By the symmetric root of the covariance, which changes little when the covariance does.
    """
    part = mixture.marginal(columns)
    eigenvalues, vectors = np.linalg.eigh(part.covariances)
    roots = vectors * np.sqrt(np.maximum(eigenvalues, 0))[:, None] @ vectors.swapaxes(1, 2)
    origin, *units = _place(ax, [[0, 0], [1, 0], [0, 1]])
    scale = np.column_stack([unit - origin for unit in units])
    linear = (scale @ roots).swapaxes(1, 2).reshape(-1, 4)
    return np.hstack([linear, _place(ax, part.means)]).round(2).tolist()


def _colours(X: np.ndarray, mixture: Mixture) -> str:
    """Return the blended colours, with sixteen shades of red, green and blue."""
    shades = (blend(X, mixture.responsibilities(X)) * 15).round().astype(int)
    return "".join(f"{shade:x}" for shade in shades.ravel())


# ---- the scenes --------------------------------------------------------------------------


def _scenes(result: Fit, path: list[Mixture], shown: list[int], right: Axes) -> Iterable[Scene]:
    """Yield the scenes: two an iteration, or one where the iteration before is not shown."""
    bounds, totals = (result.trace[name] for name in ("elbo_m_step", "log_likelihood"))
    numbers = result.trace["iteration"]
    for place, i in enumerate(shown):
        number, weights = numbers[i], ", ".join(f"{w:.2f}" for w in path[place].weights)
        if place and shown[place - 1] == i - 1 and np.isfinite(bounds[i]):
            yield Scene(
                place - 1,
                place,
                *_dot(right, number, bounds[i]),
                f"Iteration {number}, M-step: components move to their samples; weights {weights}. "
                f"Bound {_nats(bounds[i])}.",
            )
        step = f"Iteration {number}, E-step" if place else "Start, first E-step"
        yield Scene(
            place,
            place,
            *_dot(right, number, totals[i]),
            f"{step}: samples take shares in the components. Log-likelihood {_nats(totals[i])}.",
        )


def _dot(ax: Axes, x: float, y: float) -> list[float]:
    return _place(ax, [[x, y]])[0].round(1).tolist()


def _nats(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
