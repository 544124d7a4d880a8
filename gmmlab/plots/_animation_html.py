"""The HTML of an animation: an SVG drawing that a small script changes from frame to frame.

The HTML works without a library, a network or a running kernel. A frame consists of a few numbers,
so an animation of a hundred frames is smaller than a handful of images. Where scripts do not run,
the reader sees a still image.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

_FOLDER = Path(__file__).parent
# Milliseconds between frames: a whole animation takes about `_TOTAL`, within the other two limits.
_LONGEST, _SHORTEST, _TOTAL = 700, 60, 20_000


class Frame(NamedTuple):
    """What one frame shows."""

    #: index into `Animation.colours`
    colours: int
    #: index into `Animation.components`
    components: int
    #: position of the dot, in units of the drawing
    x: float
    y: float
    #: description of the frame
    text: str


@dataclass(frozen=True, eq=False)
class Animation:
    """An animation, as `gmmlab.plots.animation.animate` returns it."""

    #: SVG with a circle for each sample in `.samples`, a group for each component in
    #: `.components`, the rectangle `.future` over later iterations, and the dot `.now`
    drawing: str
    #: each string holds three hexadecimal digits (red, green, blue) for each sample
    colours: list[str]
    #: each item holds, for each component, the six numbers of the matrix that maps the unit circle
    #: to the component's ellipse
    components: list[list[list[float]]]
    frames: list[Frame]

    def html(self, still: bytes, alt: str) -> str:
        """Return the animation as HTML.

        Parameters
        ----------
        still : bytes
            A PNG, shown where scripts do not run.
        alt : str
            The description of the animation and of `still`.

        Returns
        -------
        str
        """
        pause = min(max(_TOTAL // max(len(self.frames), 1), _SHORTEST), _LONGEST)
        content = asdict(self) | {"pause": pause}
        image = base64.b64encode(still).decode()
        return (
            '<figure class="gmmlab-animation">\n'
            f"<style>{_source('animation.css')}</style>\n"
            f'<img src="data:image/png;base64,{image}" alt="{html.escape(alt)}">\n'
            f'<script type="application/json">{_json(content)}</script>\n'
            f"<script>{_source('animation.js')}</script>\n"
            "</figure>"
        )


def _json(content: Any) -> str:
    """Return JSON that can be embedded in HTML: it cannot close the script element."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")


@cache
def _source(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")
