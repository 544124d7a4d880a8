"""Animate a fit: responsibilities, ellipses and the ELBO, step by step.

    path = []
    result = fit(X, begin, callback=lambda i, mixture, total: path.append(mixture))
    plots.show(
        animation.stills(X, path), alt="…", animation=animation.animate(result, X, path)
    )

The output contains both. Where scripts run, the reader can step, play or drag through the
iterations. Elsewhere (on paper, in a notebook that is not trusted, on a site that renders
notebooks), the reader sees the stills.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gmmlab._validation import check_count, check_labels, check_samples
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.plots._animation_html import Animation, Frame
from gmmlab.plots._style import blend, colour, feature_names
from gmmlab.plots.components import ellipses
from gmmlab.plots.progress import staircase, trace
from gmmlab.plots.samples import soft_assignment
from gmmlab.plots.show import svg
from gmmlab.result import Fit, check_fit

#: largest number of samples to draw
MAX_SAMPLES = 300
#: largest number of iterations to show: the first half of them, then some at equal distances
MAX_ITERATIONS = 80

_SIZE = (8.4, 3.7)  # inches
_SIGMAS = (1, 2)
_GREYS = ("0.3", "0.72")  # of the M-step and of the E-step


def animate(
    result: Fit,
    X: Any,
    path: Sequence[Mixture],
    *,
    columns: Sequence[int] = (0, 1),
    features: Sequence[str] | None = None,
) -> Animation:
    """Return an animation of a fit, to be shown by ``plots.show(…, animation=…)``.

    Each iteration has two frames. In the M-step, the ellipses (1 and 2 σ, dashed) move and the ELBO
    rises. In the E-step, the responsibilities change, shown as blended colours, and the ELBO
    rises to the log-likelihood.

    Parameters
    ----------
    result : Fit
    X : array_like, shape (n_samples, n_features)
        Samples of at least two features. If there are more than `MAX_SAMPLES`, a fixed random
        subset is drawn.
    path : sequence of Mixture
        The mixture of every iteration, as collected by a callback of `fit`. If there are more than
        `MAX_ITERATIONS`, some are left out.
    columns : (int, int), default (0, 1)
        The two features to draw. The ellipses are of the marginal distribution of these features;
        the responsibilities are given all features.
    features : sequence of str, optional
        Axis labels of the two features, with units.

    Returns
    -------
    Animation

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape, or `path` is not the path of `result`.

    Notes
    -----
    The same arguments give the same bytes each time. The ELBO of a frame is that of its
    responsibilities and parameters, a total in nats (Bishop 2006, section 9.4).

    Examples
    --------
    >>> from gmmlab import datasets, fit, start
    >>> X, path = datasets.old_faithful().X, []
    >>> begin = start.from_labels(X, X[:, 1] > 68)
    >>> result = fit(X, begin, callback=lambda i, mixture, total: path.append(mixture))
    >>> print(animate(result, X, path).frames[0].text)
    Start, E-step: the responsibilities (colours) are computed. Log-likelihood −1145.65.
    """
    X, path, columns = _check(X, path, columns)
    if len(check_fit(result).trace["iteration"]) != len(path):
        raise ValueError(
            "path must contain one mixture for each row of the trace of result "
            f"({len(result.trace['iteration'])}), as collected by a callback of fit; "
            f"got {len(path)}"
        )
    drawn, names = _drawn_samples(X), feature_names(features, 2)
    shown = _shown_iterations(len(path))
    with mpl.rc_context({"figure.dpi": 72}):  # the units of an SVG are points
        figure, (left, right) = plt.subplots(1, 2, figsize=_SIZE, layout="constrained")
    _draw_background(left, right, result, X[drawn][:, columns], names, len(X))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    moving = _moving_parts(left, right, X[drawn][:, columns], path[0].n_components)
    drawing = _drawing(figure, moving)
    frames = list(_frames(result, [path[i] for i in shown], shown, right))
    plt.close(figure)
    return Animation(
        drawing=drawing,
        colours=[_colours(X[drawn], path[i]) for i in shown],
        components=[_matrices(left, path[i], columns) for i in shown],
        frames=frames,
    )


def stills(
    X: Any,
    path: Sequence[Mixture],
    *,
    iterations: Iterable[int] | None = None,
    columns: Sequence[int] = (0, 1),
    features: Sequence[str] | None = None,
) -> Figure:
    """Draw the soft assignment and the 2-σ ellipses of some iterations side by side.

    Parameters
    ----------
    X, path, columns, features
        As in `animate`.
    iterations : iterable of int, optional
        The iterations to draw. By default, at most eight: iterations 0 to 3, the last one and some
        in between.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape, or an iteration does not exist.
    """
    X, path, columns = _check(X, path, columns)
    last = len(path) - 1
    if iterations is None:
        between = np.linspace(min(3, last), last, 5).round().astype(int)
        iterations = sorted({*range(min(4, last + 1)), *between.tolist()})
    iterations = [check_count(i, name="iterations", minimum=0, maximum=last) for i in iterations]
    if not iterations:
        raise ValueError("iterations must contain at least one iteration; got none")
    drawn, names = _drawn_samples(X), feature_names(features, 2)
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
        soft_assignment(X[drawn][:, columns], path[i].responsibilities(X[drawn]), ax=ax)
        ax.set_autoscale_on(False)
        ellipses(path[i].marginal(columns), sigmas=[2], ax=ax)
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
    if {mixture.n_features for mixture in path} != {X.shape[1]}:
        raise ValueError(
            f"path must contain mixtures of {X.shape[1]} features, like X; got {len(path)} "
            f"mixtures of {sorted({mixture.n_features for mixture in path})} features"
        )
    columns = check_labels(list(columns), name="columns").tolist()
    if len(columns) != 2 or len(set(columns)) < 2 or max(columns) >= X.shape[1]:
        raise ValueError(f"columns must be two different numbers below {X.shape[1]}; got {columns}")
    return X, path, columns


def _drawn_samples(X: np.ndarray) -> np.ndarray:
    """Return the indices of the samples to draw: a random subset, because `X` may be ordered."""
    return np.random.default_rng(0).permutation(len(X))[:MAX_SAMPLES]


def _shown_iterations(n: int) -> list[int]:
    """Return which of `n` iterations are shown."""
    if n <= MAX_ITERATIONS:
        return list(range(n))
    half = MAX_ITERATIONS // 2
    return [*range(half), *np.linspace(half, n - 1, half).round().astype(int).tolist()]


# ---- the drawing -------------------------------------------------------------------------


def _draw_background(
    left: Axes, right: Axes, result: Fit, X: np.ndarray, names: list[str], n_samples: int
) -> None:
    """Draw what does not move: the axes, with limits that fit the samples, and the whole ELBO."""
    samples = soft_assignment(X, np.ones((len(X), 1)), features=names, ax=left)
    left.axis(left.axis())
    samples.collections[0].remove()
    number = f"{len(X)} of {n_samples} samples" if len(X) < n_samples else f"{n_samples} samples"
    left.set_title(f"{number}, ellipses at {' and '.join(map(str, _SIGMAS))} σ", fontsize="medium")
    _draw_elbo(right, result)


def _draw_elbo(ax: Axes, result: Fit) -> None:
    """Draw the whole ELBO, in grey, because colours stand for components."""
    n = len(result.trace["iteration"])
    if n > MAX_ITERATIONS:
        trace(result, ax=ax)
        for line, grey in zip(ax.lines, _GREYS, strict=True):
            line.set(color=grey, markersize=2)
        ax.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        return
    staircase(result, iterations=max(n - 1, 1), ax=ax)
    for i, riser in enumerate(ax.lines[1:]):
        riser.set(color=_GREYS[i % 2], linewidth=min(6, 200 / n))
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 3, "frameon": False}
    ax.legend(fontsize="small", columnspacing=1, handlelength=1.2, **above)


def _drawing(figure: Figure, moving: str) -> str:
    """Return the figure as SVG, with the moving parts on top."""
    text = svg(figure)
    text = text[text.index("<svg") :].replace("</svg>", f"{moving}</svg>")
    # A page can contain several animations. Remove the style, which would apply to the whole page,
    # and the ids of groups. Other ids are references within the drawing; they depend on the content
    # only, so that equal ids have equal content.
    text = re.sub(r"(?s)<(metadata|style)\b.*?</\1>", "", text)
    text = re.sub(r'<g id="[\w.]+">', "<g>", text)
    size = re.search(r'viewBox="[^"]*"', text).group()
    start = f'<svg {size} stroke-linejoin="round" role="img">'
    return re.sub(r"<svg [^>]*>", start, text, count=1)


def _moving_parts(left: Axes, right: Axes, X: np.ndarray, k: int) -> str:
    """Return the SVG of what `animation.js` moves, in the styles of the other figures."""
    height = left.figure.bbox.height
    points = _place(left, X)
    circles = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in points)
    # The matrix of a component transforms its lines, but must not change their width.
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
    """Return points of the Axes in units of the drawing, where y increases downwards."""
    x, y = ax.transData.transform(points).T
    return np.column_stack([x, ax.figure.bbox.height - y])


def _matrices(ax: Axes, mixture: Mixture, columns: list[int]) -> list[list[float]]:
    """Return the matrix (a, b, c, d, e, f) from the unit circle to each component's ellipse.

    The linear part is the symmetric square root of the covariance, which changes continuously with
    the covariance.
    """
    marginal = mixture.marginal(columns)
    eigenvalues, vectors = np.linalg.eigh(marginal.covariances)
    roots = vectors * np.sqrt(np.maximum(eigenvalues, 0))[:, None] @ vectors.swapaxes(1, 2)
    origin, *units = _place(ax, [[0, 0], [1, 0], [0, 1]])
    scale = np.column_stack([unit - origin for unit in units])
    linear = (scale @ roots).swapaxes(1, 2).reshape(-1, 4)
    return np.hstack([linear, _place(ax, marginal.means)]).round(2).tolist()


def _colours(X: np.ndarray, mixture: Mixture) -> str:
    """Return the blended colours, with sixteen levels of red, green and blue."""
    shades = (blend(X, mixture.responsibilities(X)) * 15).round().astype(int)
    return "".join(f"{shade:x}" for shade in shades.ravel())


# ---- the frames --------------------------------------------------------------------------


def _frames(result: Fit, path: list[Mixture], shown: list[int], right: Axes) -> Iterator[Frame]:
    """Yield the frames of the shown iterations.

    An iteration has a frame for the M-step only if the iteration before is shown too, and the ELBO
    after the M-step is known.
    """
    elbo, log_likelihood = (result.trace[name] for name in ("elbo_m_step", "log_likelihood"))
    numbers = result.trace["iteration"]
    for place, i in enumerate(shown):
        number, weights = numbers[i], ", ".join(f"{w:.2f}" for w in path[place].weights)
        if place and shown[place - 1] == i - 1 and np.isfinite(elbo[i]):
            yield Frame(
                place - 1,
                place,
                *_dot(right, number, elbo[i]),
                f"Iteration {number}, M-step: the parameters (ellipses) are updated; "
                f"weights {weights}. ELBO {_nats(elbo[i])}.",
            )
        step, verb = (f"Iteration {number}", "updated") if place else ("Start", "computed")
        yield Frame(
            place,
            place,
            *_dot(right, number, log_likelihood[i]),
            f"{step}, E-step: the responsibilities (colours) are {verb}. "
            f"Log-likelihood {_nats(log_likelihood[i])}.",
        )


def _dot(ax: Axes, x: float, y: float) -> list[float]:
    return _place(ax, [[x, y]])[0].round(1).tolist()


def _nats(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


# Earlier names
film = animate
MOST_SAMPLES = MAX_SAMPLES
MOST_ITERATIONS = MAX_ITERATIONS
