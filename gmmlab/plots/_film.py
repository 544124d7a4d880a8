"""A film: one drawing whose samples, components and bound change from scene to scene.

It is HTML with a small script, and needs nothing else: no library, no network, no running kernel.
What a scene changes is a few numbers, so a film of a hundred scenes takes less room than a
handful of pictures. Where scripts do not run, all of it is gone but a still picture.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

_HERE = Path(__file__).parent
#: milliseconds between scenes, at most and at least, and what a whole film should take
_SLOWEST, _FASTEST, _WHOLE = 700, 60, 20_000


class Scene(NamedTuple):
    """What one scene shows."""

    #: which of the film's colours
    colours: int
    #: which of the film's components
    components: int
    #: where the dot is, in the drawing's units
    x: float
    y: float
    #: what the scene is, in words
    text: str


@dataclass(frozen=True, eq=False)
class Film:
    """What a film is made of; `gmmlab.plots.animation.film` makes one of a fit."""

    #: SVG, with a circle for each sample in `.samples`, a group for each component in
    #: `.components`, what is yet to come as the rectangle `.future`, and the dot `.now`
    drawing: str
    #: three hexadecimal digits for each sample: red, green, blue
    colours: list[str]
    #: for each component the six numbers of the matrix that takes the unit circle to its ellipse
    components: list[list[list[float]]]
    scenes: list[Scene]

    def html(self, still: bytes, alt: str) -> str:
        """Return the film as HTML, around a PNG that is shown where scripts do not run."""
        pause = min(max(_WHOLE // max(len(self.scenes), 1), _FASTEST), _SLOWEST)
        content = asdict(self) | {"pause": pause}
        picture = base64.b64encode(still).decode()
        return (
            '<figure class="film">\n'
            f"<style>{_source('film.css')}</style>\n"
            f'<img src="data:image/png;base64,{picture}" alt="{html.escape(alt)}">\n'
            f'<script type="application/json">{_json(content)}</script>\n'
            f"<script>{_source('film.js')}</script>\n"
            "</figure>"
        )


def _json(content: Any) -> str:
    """Return JSON that may stand in HTML: it cannot end its script."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")


@cache
def _source(name: str) -> str:
    return (_HERE / name).read_text("utf-8")
