"""The charts of a sweep: each recorded number against each swept parameter."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gmmlab.workbook.html.layout import brief, is_number

#: the parameter whose values are replicates: charts show the spread over them
REPLICATE = "seed"
#: largest number of combinations of other parameters with their own colour; more are pooled
COMBINATIONS = 6
#: number of points in a chart above which they are drawn as pixels
POINTS = 500
_COLOURS = matplotlib.color_sequences["petroff10"]
_MARKERS = "osD^vP"
# Matplotlib is not thread-safe.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Chart:
    """A chart as a data URI, with its alt text and its caption."""

    picture: str
    alt: str
    caption: str


def draw_charts(
    table: pd.DataFrame, swept: Sequence[str], numbers: Sequence[str]
) -> Iterator[Chart]:
    """Draw each number against each swept parameter, with the spread over seeds.

    Parameters
    ----------
    table : DataFrame
        One row for each completed run.
    swept : sequence of str
        The parameters that vary.
    numbers : sequence of str
        The columns to draw; missing values are omitted.

    Yields
    ------
    Chart
        One for each number and parameter or, if only the seed is swept, one for each number.
    """
    across = [name for name in swept if name != REPLICATE]
    orders = {name: list(dict.fromkeys(table[name].map(value_label))) for name in across}
    for number in numbers:
        runs = table[[is_number(value) for value in table[number]]]
        if runs.empty:
            continue
        for name in across or [None]:
            with _ONE_AT_A_TIME:
                if name is None:
                    chart = _draw_spread(runs, number)
                else:
                    chart = _draw_against(runs, number, name, orders, REPLICATE in swept)
            yield chart


def _draw_against(
    runs: pd.DataFrame, number: str, name: str, orders: dict[str, list[str]], seeds: bool
) -> Chart:
    """Draw a number against a parameter, with a line for each combination of the others."""
    axis = _Axis(runs[name], orders[name])
    others = [other for other in orders if other != name]
    groups = _group(runs, {other: orders[other] for other in others})
    pooled = len(groups) > COMBINATIONS
    if pooled:
        groups = {"": np.full(len(runs), True)}
    figure, axes = _figure(number, name)
    y = runs[number].to_numpy(float)
    medians = []
    for i, (group, members) in enumerate(groups.items()):
        shift = axis.gap * min(0.1, 0.4 / len(groups)) * (i - (len(groups) - 1) / 2)
        style = {"color": _COLOURS[i], "marker": _MARKERS[i]}
        label = _escape(group)
        axes.plot(
            axis.positions[members] + shift, y[members], linestyle="none", markersize=3.5,
            alpha=0.4, markeredgewidth=0, rasterized=len(runs) > POINTS, **style,
        )  # fmt: skip
        at, low, middle, high = _quartiles(axis.positions[members], y[members])
        medians += [(value, axis.name(x), group) for x, value in zip(at, middle, strict=True)]
        line = "-" if axis.ordered else "none"
        if len(y[members]) > len(at):
            axes.errorbar(
                at + shift, middle, [middle - low, high - middle], linestyle=line, linewidth=1.5,
                elinewidth=1, capsize=2.5, markersize=5.5, label=label, **style,
            )  # fmt: skip
        else:
            axes.plot(at + shift, middle, linestyle=line, linewidth=1.5, label=label, **style)
    axis.draw(axes)
    if len(groups) > 1:
        title = _escape(", ".join(others))
        figure.legend(
            loc="outside right upper", title=title, fontsize=7.5, title_fontsize=7.5, frameon=False
        )
    extremes = _describe_extremes(medians, others, "median" if seeds or pooled else "value")
    alt = f"{number} against {name}, {len(runs)} runs. {extremes}"
    caption = _caption(number, name, others, len(groups), pooled, seeds)
    return Chart(_data_uri(figure), alt, f"{caption} {extremes}")


def _draw_spread(runs: pd.DataFrame, number: str) -> Chart:
    """Draw the values of a number over the seeds, with their median and quartiles."""
    y = runs[number].to_numpy(float)
    figure, axes = _figure("", number)
    figure.set_figheight(1.9)
    axes.boxplot(
        y, orientation="horizontal", positions=[0], widths=0.5, showfliers=False,
        medianprops={"color": _COLOURS[1], "linewidth": 2},
    )  # fmt: skip
    # Separate close values vertically by rank and not at random, so that charts are reproducible.
    height = 0.18 * np.sin(2.4 * np.argsort(np.argsort(y)))
    axes.plot(
        y, height, "o", color=_COLOURS[0], alpha=0.5, markersize=4, markeredgewidth=0,
        rasterized=len(y) > POINTS,
    )  # fmt: skip
    axes.set(ylim=(-0.5, 0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    least, low, middle, high, most = map(brief, np.quantile(y, (0, 0.25, 0.5, 0.75, 1)).tolist())
    summary = (
        f"{number} over {len(y)} seeds: median {middle}, half of the runs between {low} "
        f"and {high}, all between {least} and {most}."
    )
    return Chart(
        _data_uri(figure),
        summary,
        f"{summary} Each point is a run; the box contains the middle half.",
    )


class _Axis:
    """The positions of the values of a parameter: numbers by size, other values side by side."""

    def __init__(self, values: pd.Series, order: list[str]) -> None:
        self.ordered = all(is_number(value) for value in values)
        if self.ordered:
            self.positions = values.to_numpy(float)
            self.ticks = np.unique(self.positions)
            self.labels = [f"{tick:g}" for tick in self.ticks]
        else:
            names = values.map(value_label)
            self.labels = [name for name in order if name in set(names)]
            self.positions = names.map(self.labels.index).to_numpy(float)
            self.ticks = np.arange(len(self.labels), dtype=float)
        # A wide range, such as 0.001, 0.01, 0.1, is evenly spaced on a logarithmic axis.
        least, most = self.ticks[0], self.ticks[-1]
        self.logarithmic = self.ordered and 0 < 100 * least <= most
        steps = np.diff(self.ticks)
        self.gap = float(steps.min()) if len(steps) and not self.logarithmic else 0.0

    def name(self, position: float) -> str:
        return self.labels[int(np.argmin(np.abs(self.ticks - position)))]

    def draw(self, axes: Axes) -> None:
        if self.logarithmic:
            axes.set_xscale("log")
        elif len(self.ticks) <= 8 or not self.ordered:
            # Rotate long labels, so that they do not overlap.
            rotated = max(map(len, self.labels)) * len(self.labels) > 40
            axes.set_xticks(
                self.ticks, [_escape(text) for text in self.labels],
                rotation=30 if rotated else 0, ha="right" if rotated else "center",
            )  # fmt: skip
        if not self.ordered:
            axes.set_xlim(-0.5, len(self.ticks) - 0.5)


def value_label(value: Any) -> str:
    """Return the label of a parameter value in a chart; whole numbers have no decimal point."""
    if isinstance(value, float):
        return "None" if np.isnan(value) else f"{value:g}"
    return str(value)


def _group(runs: pd.DataFrame, orders: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """Return a mask of the runs for each combination of values of these parameters."""
    if not orders:
        return {"": np.full(len(runs), True)}
    names = [runs[name].map(value_label).to_numpy() for name in orders]
    groups = {}
    for values in product(*orders.values()):
        members = np.all([own == value for own, value in zip(names, values, strict=True)], axis=0)
        if members.any():
            groups[", ".join(values)] = members
    return groups


def _quartiles(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    at = np.unique(x)
    return at, *np.array([np.quantile(y[x == one], (0.25, 0.5, 0.75)) for one in at]).T


def _describe_extremes(medians: list[tuple[float, str, str]], others: list[str], what: str) -> str:
    def place(entry: tuple[float, str, str]) -> str:
        value, x, group = entry
        where = f" ({', '.join(others)}: {group})" if group else ""
        return f"{brief(float(value))} at {x}{where}"

    return f"Lowest {what}: {place(min(medians))}; highest: {place(max(medians))}."


def _caption(
    number: str, name: str, others: list[str], lines: int, pooled: bool, seeds: bool
) -> str:
    caption = f"{number} against {name}. "
    if seeds or pooled:
        over = " and ".join((["seeds"] if seeds else []) + (others if pooled else []))
        caption += (
            f"Each small point is a run; the large points are medians over {over}, and the "
            "whiskers show the middle half"
        )
    else:
        caption += "Each point is a run"
    if lines > 1:
        caption += f". Each value of {' and '.join(others)} has its own colour and marker"
    if pooled:
        caption += (
            f". There are more than {COMBINATIONS} combinations of {' and '.join(others)}, which "
            "are pooled"
        )
    return f"{caption}."


def _figure(y: str, x: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.4, 3.4), layout="constrained", facecolor="white")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    axes.set_xlabel(_escape(x), fontsize=9)
    axes.set_ylabel(_escape(y), fontsize=9)
    return figure, axes


def _escape(text: str) -> str:
    """Escape dollar signs, which would start a formula in Matplotlib."""
    return text.replace("$", r"\$")


def _data_uri(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", dpi=150, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
