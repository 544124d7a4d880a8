"""Put a figure into a notebook with its alt text, as PNG and, if wanted, as SVG.

A figure can be accompanied by an interactive or animated version, for readers whose browser runs
scripts.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from gmmlab._extras import extra
from gmmlab.plots._animation_html import Animation

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

#: MIME type of an interactive figure
PLOTLY_MIME_TYPE = "application/vnd.plotly.v1+json"
#: resolution of a PNG, in dots per inch
DPI = 110

# Nothing in the figure leads to another host: neither the logo, which is a link, nor a button that
# uploads the figure. The wheel does not zoom, because it would catch readers who scroll the page.
_PLOTLY_CONFIG = {
    "displaylogo": False,
    "plotlyServerURL": "",
    "scrollZoom": False,
    "showSendToCloud": False,
}


def show(
    figure: Figure | Axes,
    *,
    alt: str,
    interactive: PlotlyFigure | None = None,
    animation: Animation | None = None,
    turning: PlotlyFigure | None = None,
    playing: Animation | None = None,
) -> None:
    """Put a figure into the notebook with its alt text, and close it.

    Parameters
    ----------
    figure : Figure or Axes
        The figure to show.
    alt : str
        A description of the figure for readers who cannot see it, in one or two sentences.
    interactive : plotly.graph_objects.Figure, optional
        The same content as a figure from `gmmlab.plots.interactive`. The output contains both:
        where scripts run, the reader sees the interactive figure, and elsewhere `figure`.
    animation : Animation, optional
        An animation from `gmmlab.plots.animation`. The output contains both: where scripts run,
        the reader sees the animation, and elsewhere `figure`.
    turning, playing
        Earlier names of `interactive` and `animation`.

    Raises
    ------
    TypeError
        If `figure`, `interactive` or `animation` has the wrong type, or an argument is given under
        both of its names.
    ValueError
        If both `interactive` and `animation` are given, `alt` is empty, or WORKBOOK_FIGURES names
        an unknown format.

    Notes
    -----
    The environment variable WORKBOOK_FIGURES sets the formats of the output, such as ``"png svg"``.
    The PNG is always included; ``svg`` adds a vector file. The same figure gives the same bytes
    each time.
    """
    with extra("workbook"):
        from IPython.display import display

    interactive = _renamed(interactive=interactive, turning=turning)
    animation = _renamed(animation=animation, playing=playing)
    if isinstance(figure, Axes):
        figure = figure.get_figure(root=True)
    if not isinstance(figure, Figure):
        raise TypeError(f"figure must be a Figure or Axes; got {type(figure).__name__}")
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must describe the figure in words; got {alt!r}")
    if not isinstance(animation, Animation | None):
        kind = type(animation).__name__
        raise TypeError(f"animation must be an Animation, from gmmlab.plots.animation; got {kind}")
    if animation is not None and interactive is not None:
        raise ValueError("give either interactive or animation, not both")
    bundle: dict[str, Any] = {}
    if interactive is not None:
        bundle[PLOTLY_MIME_TYPE] = _plotly_json(interactive)
    bundle["image/png"] = _png(figure)
    if animation is not None:
        bundle["text/html"] = animation.html(bundle["image/png"], alt)
    if "svg" in _formats():
        bundle["image/svg+xml"] = svg(figure, bbox_inches="tight")
    plt.close(figure)
    metadata = {kind: {"alt": alt} for kind in bundle if kind.startswith("image/")}
    display(bundle | {"text/plain": alt}, metadata=metadata, raw=True)


def svg(figure: Figure, **options: Any) -> str:
    """Return a figure as SVG; the same figure gives the same text each time.

    Parameters
    ----------
    figure : Figure
    **options
        Passed to `Figure.savefig`.

    Returns
    -------
    str
    """
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "gmmlab"}):  # without it, ids are random
        metadata = {"Date": None, "Creator": None}
        figure.savefig(text, format="svg", metadata=metadata, **options)
    return text.getvalue()


def _renamed(**names: Any) -> Any:
    """Return an argument that can be given under either of two names, the first of them new."""
    given = [value for value in names.values() if value is not None]
    if len(given) > 1:
        new, old = names
        raise TypeError(f"{old} is an earlier name of {new}; give only one of them")
    return given[0] if given else None


def _png(figure: Figure) -> bytes:
    full, png = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=DPI, bbox_inches="tight")
    # 256 colours are enough for a plot, and reduce the file to a third of its size.
    image = Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(png, format="png", optimize=True)
    return png.getvalue()


def _formats() -> set[str]:
    """Return the formats that the environment variable names."""
    value = os.environ.get("WORKBOOK_FIGURES", "")
    formats = set(value.split())
    if formats - {"png", "svg"}:
        raise ValueError(f"WORKBOOK_FIGURES must contain only the words png and svg; got {value!r}")
    return formats


def _plotly_json(figure: PlotlyFigure) -> dict[str, Any]:
    """Return a plotly figure as the JSON of its MIME type."""
    with extra("workbook"):
        from plotly.graph_objects import Figure as PlotlyFigure

    if not isinstance(figure, PlotlyFigure):
        kind = type(figure).__name__
        raise TypeError(
            f"interactive must be a plotly Figure, from gmmlab.plots.interactive; got {kind}"
        )
    return {**figure.to_plotly_json(), "config": _PLOTLY_CONFIG}
