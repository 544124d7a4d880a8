"""`show` puts a figure into one output, with its alt text and other versions of it."""

import io
import re
import struct
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawings import X2, X3
from matplotlib.image import imread

from gmmlab import plots
from gmmlab.plots.show import DPI


@pytest.mark.parametrize("of", [lambda ax: ax, lambda ax: ax.figure], ids=["Axes", "Figure"])
def test_show_displays_a_png_with_its_alt_text_and_closes_the_figure(shown, of):
    ax = plots.data(X2)
    number = ax.figure.number
    assert plots.show(of(ax), alt="Twenty grey points.") is None
    (((bundle,), options),) = shown
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == "Twenty grey points."
    assert options == {"metadata": {"image/png": {"alt": "Twenty grey points."}}, "raw": True}
    height, width, _ = imread(io.BytesIO(bundle["image/png"])).shape
    assert min(height, width) > 300
    assert not plt.fignum_exists(number)


def test_show_accepts_axes_of_a_subfigure(shown):
    figure = plt.figure()
    ax = figure.subfigures(1, 2)[0].add_subplot()
    plots.show(plots.data(X2, ax=ax), alt="Points.")
    assert len(shown) == 1
    assert not plt.fignum_exists(figure.number)


def test_the_png_has_the_colours_of_the_figure(shown):
    figure, (left, right) = plt.subplots(1, 2)
    left.bar(range(10), np.ones(10), color=plots.COLOURS)
    plots.images([np.linspace(0, 1, 784)], ax=right)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, bbox_inches="tight")
    plots.show(figure, alt="Ten bars and a ramp.")
    (((bundle,), _),) = shown
    drawn.seek(0)
    expected, picture = imread(drawn), imread(io.BytesIO(bundle["image/png"]))
    error = np.abs(picture[..., :3] - expected[..., :3]).max(axis=2)
    assert np.mean(error < 0.05) > 0.99


def test_the_png_is_reproducible_and_contains_no_metadata(shown):
    for _ in range(2):
        plots.show(plots.data(X2), alt="Points.")
    first, second = (bundle["image/png"] for (bundle,), _ in shown)
    assert first == second
    chunks, position = set(), 8
    while position < len(first):
        length, kind = struct.unpack(">I4s", first[position : position + 8])
        chunks.add(kind)
        position += 12 + length
    assert not chunks & {b"tEXt", b"iTXt", b"tIME"}


def test_show_adds_a_reproducible_svg_if_the_environment_names_it(shown, monkeypatch):
    plots.show(plots.data(X2, np.arange(20) % 2), alt="Points.")
    monkeypatch.setenv("WORKBOOK_FIGURES", "svg")
    for epoch in ("0", "1000000000"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        plots.show(plots.data(X2, np.arange(20) % 2), alt="Points.")
    ((plain,), _), ((first,), options), ((second,), _) = shown
    assert first == second
    assert {**plain, "image/svg+xml": first["image/svg+xml"]} == first
    alt = {"alt": "Points."}
    assert options == {"metadata": {"image/png": alt, "image/svg+xml": alt}, "raw": True}
    picture = ElementTree.fromstring(first["image/svg+xml"])
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert "dc:date" not in first["image/svg+xml"]
    assert not re.search(r"\b(19|20)\d\d-\d\d-|Matplotlib v", first["image/svg+xml"])


def test_show_displays_only_the_png_if_the_environment_names_it(shown, monkeypatch):
    monkeypatch.setenv("WORKBOOK_FIGURES", "png")
    plots.show(plots.data(X2), alt="Points.")
    (((bundle,), _),) = shown
    assert set(bundle) == {"image/png", "text/plain"}


def test_show_rejects_unknown_formats(shown, monkeypatch):
    monkeypatch.setenv("WORKBOOK_FIGURES", "png pdf")
    with pytest.raises(ValueError, match=r"WORKBOOK_FIGURES must .* got 'png pdf'"):
        plots.show(plots.data(X2), alt="Points.")
    assert shown == []


def test_the_earlier_names_of_arguments_are_accepted(shown):
    figure, animation = plots.interactive.data(X3), animation_of_samples()
    for new, old in (
        ({"interactive": figure}, {"turning": figure}),
        (
            {"animation": animation},
            {"playing": animation},
        ),
    ):
        plots.show(plots.data(X2), alt="Points.", **new)
        plots.show(plots.data(X2), alt="Points.", **old)
        ((expected,), _), ((bundle,), _) = shown[-2:]
        assert bundle == expected
        assert len(bundle) == 3
        with pytest.raises(TypeError, match=r"is an earlier name of .*; give only one of them"):
            plots.show(plots.data(X2), alt="Points.", **new, **old)


def animation_of_samples():
    empty = '<svg viewBox="0 0 1 1"></svg>'
    return plots.animation.Animation(drawing=empty, colours=[], components=[], frames=[])


INVALID = {
    "figure": ({"figure": X2}, TypeError, "figure must be a Figure or Axes; got ndarray"),
    "empty alt": ({"alt": "  "}, ValueError, "alt must describe the figure"),
    "no alt": ({"alt": None}, ValueError, "alt must describe the figure"),
    "interactive": (
        {"interactive": {"data": []}},
        TypeError,
        "interactive must be a plotly Figure, from gmmlab.plots.interactive; got dict",
    ),
    "animation": (
        {"animation": "<p>"},
        TypeError,
        "animation must be an Animation, from gmmlab.plots.animation; got str",
    ),
    "both": (
        {"interactive": "figure", "animation": animation_of_samples()},
        ValueError,
        "give either interactive or animation, not both",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_raise(shown, case):
    changed, error, message = INVALID[case]
    arguments = {"figure": plots.data(X2), "alt": "Points."} | changed
    with pytest.raises(error, match=message):
        plots.show(arguments.pop("figure"), **arguments)
    assert shown == []
