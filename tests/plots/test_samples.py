"""Samples are drawn where they are; colours and shapes show their labels."""

import numpy as np
import pytest
from drawings import X2, X4, texts
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle

from gmmlab import plots

# ---- data --------------------------------------------------------------------------------


def drawn_samples(ax):
    """Return every drawn point with its face colour and marker path."""
    return [
        (*map(float, point), to_rgb(collection.get_facecolor()[0]), collection.get_paths()[0])
        for collection in ax.collections
        for point in collection.get_offsets()
    ]


def vertices_of(marker):
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform()).vertices


def test_predicted_labels_are_colours_and_true_labels_are_shapes(axes):
    labels, true = np.random.default_rng(0).integers(0, 3, size=(2, 20))
    plots.data(X2, labels, true=true, ax=axes)
    drawn = drawn_samples(axes)
    assert len(drawn) == 20
    by_position = {(x, y): (colour, path) for x, y, colour, path in drawn}
    for point, label, shape in zip(X2, labels, true, strict=True):
        colour, path = by_position[tuple(point)]
        assert colour == to_rgb(plots.colour(label))
        np.testing.assert_allclose(path.vertices, vertices_of(plots.marker(shape)))


def test_samples_without_labels_are_grey(axes):
    plots.data(X2, ax=axes)
    assert {colour for *_, colour, _ in drawn_samples(axes)} == {to_rgb("0.45")}
    assert axes.get_legend() is None


def test_samples_of_one_feature_are_drawn_over_their_index(axes):
    X = np.array([[3.0], [1.0], [2.0]])
    plots.data(X, [0, 1, 0], ax=axes)
    assert sorted((x, y) for x, y, *_ in drawn_samples(axes)) == [(1, 1), (2, 2), (3, 0)]
    assert axes.get_ylabel() == "sample"


def test_samples_of_three_features_are_drawn_at_their_coordinates(axes_3d):
    X = np.random.default_rng(0).normal(size=(10, 3))
    plots.data(X, np.arange(10) % 2, ax=axes_3d)
    drawn = np.concatenate([np.transpose(c._offsets3d) for c in axes_3d.collections])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(X, axis=0))
    names = axes_3d.get_xlabel(), axes_3d.get_ylabel(), axes_3d.get_zlabel()
    assert names == ("x1", "x2", "x3")


@pytest.mark.parametrize(
    "draw", [plots.data, lambda X, **k: plots.soft_assignment(X, np.ones((20, 1)), **k)]
)
def test_axes_are_labelled_with_the_features(draw):
    ax = draw(X2)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x1", "x2")
    ax = draw(X2, features=("eruption (min)", "waiting (min)"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("eruption (min)", "waiting (min)")


def test_the_legend_names_labels_if_there_are_several():
    two, one = np.arange(20) % 2, np.zeros(20, int)
    cases = [
        (two, None, ["component 0", "component 1"]),
        (None, two + 3, ["class 3", "class 4"]),
        (two, two, ["component 0", "component 1", "class 0", "class 1"]),
        (one, two, ["class 0", "class 1"]),
    ]
    for labels, true, expected in cases:
        assert texts(plots.data(X2, labels, true=true).get_legend()) == expected
    assert plots.data(X2, one, true=one).get_legend() is None
    assert plots.data(X2, np.arange(20)).get_legend() is None  # too many to distinguish
    assert plots.data(X2, two, legend=False).get_legend() is None


def test_the_legend_shows_the_drawn_colours_and_shapes():
    ax = plots.data(X2, np.arange(20) % 2 + 4, true=np.arange(20) % 2 + 1)
    handles = ax.get_legend().legend_handles
    assert [h.get_color() for h in handles[:2]] == [plots.colour(4), plots.colour(5)]
    assert [h.get_marker() for h in handles[2:]] == [plots.marker(1), plots.marker(2)]


# ---- soft assignment ---------------------------------------------------------------------


def test_the_colour_of_a_sample_is_weighted_by_its_responsibilities(axes):
    r = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0, 0.5], [0.2, 0.3, 0.5]])
    plots.soft_assignment(X2[:4], r, ax=axes)
    colours = axes.collections[0].get_facecolor()[:, :3]
    palette = [to_rgb(plots.colour(k)) for k in range(3)]
    np.testing.assert_allclose(colours, r @ palette, atol=1e-12)
    np.testing.assert_allclose(axes.collections[0].get_offsets(), X2[:4])


# ---- images ------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "titles"), [(1, None), (2, list("abcde")), (99, None)])
def test_images_are_in_reading_order_and_do_not_overlap(axes, columns, titles):
    values = np.random.default_rng(0).normal(size=(5, 12))
    plots.images(values, shape=(3, 4), columns=columns, titles=titles, ax=axes)
    sheet = np.ma.filled(axes.images[0].get_array(), np.nan)
    corners = []
    for value in values:
        ((top, left),) = np.argwhere(sheet == value[0])
        np.testing.assert_array_equal(sheet[top : top + 3, left : left + 4], value.reshape(3, 4))
        corners.append((int(top), int(left)))
    assert corners == sorted(corners)
    assert np.isfinite(sheet).sum() == values.size  # the rest is background
    assert len({left for _, left in corners}) == min(columns, 5)
    assert len({top for top, _ in corners}) == -(-5 // columns)
    assert [text.get_text() for text in axes.texts] == (titles or [])
    for text, (top, left) in zip(axes.texts, corners, strict=False):
        x, y = text.get_position()
        assert x == left + 2
        assert max(top - 9, 0) < y < top


def test_high_values_are_dark_and_axes_are_hidden(axes):
    plots.images([[0.0, 1.0]], shape=(1, 2), ax=axes)
    image = axes.images[0]
    low, high = (sum(image.cmap(image.norm(value))[:3]) for value in (0.0, 1.0))
    assert high < low
    assert not axes.axison


# ---- errors ------------------------------------------------------------------------------

INVALID = {
    "data: NaN": (lambda: plots.data([[np.nan]]), ValueError, "X contains NaN"),
    "data: four features": (lambda: plots.data(X4), ValueError, "X must have one, two or three"),
    "data: labels": (lambda: plots.data(X2, [0, 1]), ValueError, "labels must have one entry"),
    "data: true": (lambda: plots.data(X2, true=[0]), ValueError, "true must have one entry"),
    "data: features": (
        lambda: plots.data(X2, features=["a"]),
        ValueError,
        "features must contain 2 names; got 1",
    ),
    "soft_assignment: rows": (
        lambda: plots.soft_assignment(X2, np.ones((3, 2))),
        ValueError,
        "responsibilities must have one row for each of 20 samples; got 3",
    ),
    "images: shape": (lambda: plots.images(X4, shape=(3, 2)), ValueError, "values must have 3 × 2"),
    "images: NaN": (lambda: plots.images(X4 * np.nan), ValueError, "values contains NaN"),
    "images: titles": (
        lambda: plots.images(X4, shape=(2, 2), titles=["a"]),
        ValueError,
        "titles must contain one title for each of 5 images; got 1",
    ),
    "images: columns": (
        lambda: plots.images(X4, shape=(2, 2), columns=0),
        ValueError,
        "columns must be",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_raise(case):
    call, error, message = INVALID[case]
    with pytest.raises(error, match=message):
        call()
