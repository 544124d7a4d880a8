"""Laws of the pictures: what is drawn is what was given, where it belongs."""

import io
import re
import struct
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawings import X2, X3, distances, tilted
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Ellipse

from gmmlab import (
    Diagonal,
    Full,
    Mixture,
    Spherical,
    Tied,
    datasets,
    fit,
    plots,
    selection,
    start,
    uncertainty,
)


@pytest.fixture(autouse=True)
def no_figure_left_open():
    yield
    plt.close("all")


@pytest.fixture
def flat():
    """Axes in the plane."""
    return plt.figure().add_subplot()


@pytest.fixture
def deep():
    """Axes in space."""
    return plt.figure().add_subplot(projection="3d")


def line_mixture():
    """A mixture of one feature."""
    return Mixture([0.7, 0.3], [[0.0], [4.0]], Spherical([1.0, 0.25]))


def small_fit(max_iter=5):
    X = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0.0], [3.0]], 30, axis=0)
    return fit(X, Mixture([0.5, 0.5], X[:2], Spherical([1.0, 1.0])), max_iter=max_iter, tol=0)


def unsure(method="information", level=0.9):
    """How sure a fit of two features is."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) + np.repeat([[0.0], [6.0]], 30, axis=0)
    found = fit(X, Mixture([0.5, 0.5], [[0.0, 0.0], [6.0, 6.0]], Full.unit(2, 2)), tol=1e-12)
    return uncertainty(found, X, method=method, level=level, rng=rng, n_bootstrap=30)


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


# ---- what holds for all ------------------------------------------------------------------

DRAWINGS = {
    "data": lambda ax: plots.data(X2, ax=ax),
    "soft_assignment": lambda ax: plots.soft_assignment(X2, np.full((20, 2), 0.5), ax=ax),
    "ellipses": lambda ax: plots.ellipses(tilted(), ax=ax),
    "density": lambda ax: plots.density(tilted(), X2, ax=ax),
    "density of one feature": lambda ax: plots.density(line_mixture(), X2[:, :1], ax=ax),
    "mean_regions": lambda ax: plots.mean_regions(unsure("weighted"), ax=ax),
    "bootstrap_distribution": lambda ax: plots.bootstrap_distribution(
        unsure("bootstrap"), "means", (0, 1), ax=ax
    ),
    "classification_uncertainty": lambda ax: plots.classification_uncertainty(tilted(), X2, ax=ax),
    "trace": lambda ax: plots.trace(small_fit(), ax=ax),
    "staircase": lambda ax: plots.staircase(small_fit(), ax=ax),
    "images": lambda ax: plots.images(np.ones((3, 4)), shape=(2, 2), ax=ax),
}
DRAWINGS_3D = {
    "data": lambda ax: plots.data(np.column_stack([X2, X2[:, 0]]), ax=ax),
    "soft_assignment": lambda ax: plots.soft_assignment(np.ones((4, 3)), np.ones((4, 1)), ax=ax),
    "ellipsoids": lambda ax: plots.ellipsoids(tilted(d=3), ax=ax),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_goes_into_the_axes_given_and_nowhere_else(flat, name):
    other = flat.figure.add_subplot()
    open_figures = plt.get_fignums()
    assert DRAWINGS[name](flat) is flat
    assert plt.get_fignums() == open_figures
    assert flat.has_data() or flat.patches
    assert not other.has_data()


@pytest.mark.parametrize("name", DRAWINGS_3D)
def test_a_drawing_in_space_goes_into_the_axes_given_and_nowhere_else(deep, name):
    open_figures = plt.get_fignums()
    assert DRAWINGS_3D[name](deep) is deep
    assert plt.get_fignums() == open_figures
    assert deep.collections


@pytest.mark.parametrize("name", DRAWINGS)
def test_without_axes_a_figure_of_its_own_is_made(flat, name):
    ax = DRAWINGS[name](None)
    assert ax.figure is not flat.figure
    assert ax.figure.axes == [ax]
    ax.figure.canvas.draw()  # without a warning


@pytest.mark.parametrize("name", DRAWINGS_3D)
def test_without_axes_three_features_make_axes_in_space(name):
    ax = DRAWINGS_3D[name](None)
    assert ax.name == "3d"
    ax.figure.canvas.draw()


def test_ten_colours_and_markers_are_different_and_then_repeat():
    assert len({to_rgb(plots.colour(k)) for k in range(10)}) == 10
    assert len({plots.marker(k) for k in range(10)}) == 10
    for k in range(10):
        assert plots.colour(k) == plots.colour(k + 10) == plots.colour(k + 20)
        assert plots.marker(k) == plots.marker(k + 10)


# ---- data --------------------------------------------------------------------------------


def drawn_samples(ax):
    """Every drawn point with its face colour and marker path, in any order."""
    return [
        (*map(float, point), to_rgb(collection.get_facecolor()[0]), collection.get_paths()[0])
        for collection in ax.collections
        for point in collection.get_offsets()
    ]


def shape_of(marker):
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform()).vertices


def test_predicted_labels_are_colours_and_true_labels_are_shapes(flat):
    rng = np.random.default_rng(0)
    labels, true = rng.integers(0, 3, size=(2, 20))
    plots.data(X2, labels, true=true, ax=flat)
    drawn = drawn_samples(flat)
    assert len(drawn) == 20
    by_place = {(x, y): (colour, path) for x, y, colour, path in drawn}
    for point, label, shape in zip(X2, labels, true, strict=True):
        colour, path = by_place[tuple(point)]
        assert colour == to_rgb(plots.colour(label))
        np.testing.assert_allclose(path.vertices, shape_of(plots.marker(shape)))


def test_samples_without_labels_are_grey_discs(flat):
    plots.data(X2, ax=flat)
    assert {colour for *_, colour, _ in drawn_samples(flat)} == {to_rgb("0.45")}
    assert flat.get_legend() is None


def test_samples_of_one_feature_are_spread_upwards_in_order(flat):
    X = np.array([[3.0], [1.0], [2.0]])
    plots.data(X, [0, 1, 0], ax=flat)
    assert sorted((x, y) for x, y, *_ in drawn_samples(flat)) == [(1, 1), (2, 2), (3, 0)]
    assert flat.get_ylabel() == "sample"


def test_samples_of_three_features_stand_where_they_are(deep):
    X = np.random.default_rng(0).normal(size=(10, 3))
    plots.data(X, np.arange(10) % 2, ax=deep)
    drawn = np.concatenate([np.transpose(c._offsets3d) for c in deep.collections])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(X, axis=0))
    names = deep.get_xlabel(), deep.get_ylabel(), deep.get_zlabel()
    assert names == ("x1", "x2", "x3")


@pytest.mark.parametrize(
    "draw", [plots.data, lambda X, **k: plots.soft_assignment(X, np.ones((20, 1)), **k)]
)
def test_axes_carry_the_names_of_the_features(draw):
    ax = draw(X2)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x1", "x2")
    ax = draw(X2, features=("eruption (min)", "waiting (min)"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("eruption (min)", "waiting (min)")


def test_the_legend_names_what_there_are_several_of():
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
    assert plots.data(X2, np.arange(20)).get_legend() is None  # too many to tell apart
    assert plots.data(X2, two, legend=False).get_legend() is None


def test_the_legend_shows_the_colour_and_shape_that_are_drawn():
    ax = plots.data(X2, np.arange(20) % 2 + 4, true=np.arange(20) % 2 + 1)
    handles = ax.get_legend().legend_handles
    assert [h.get_color() for h in handles[:2]] == [plots.colour(4), plots.colour(5)]
    assert [h.get_marker() for h in handles[2:]] == [plots.marker(1), plots.marker(2)]


# ---- soft assignment ---------------------------------------------------------------------


def test_a_sample_in_doubt_has_the_blend_of_its_components_colours(flat):
    r = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0, 0.5], [0.2, 0.3, 0.5]])
    plots.soft_assignment(X2[:4], r, ax=flat)
    colours = flat.collections[0].get_facecolor()[:, :3]
    palette = [to_rgb(plots.colour(k)) for k in range(3)]
    np.testing.assert_allclose(colours, r @ palette, atol=1e-12)
    np.testing.assert_allclose(flat.collections[0].get_offsets(), X2[:4])


# ---- ellipses and ellipsoids -------------------------------------------------------------


def outline(ellipse):
    """Points on a drawn ellipse, in data coordinates."""
    around = np.linspace(0, 2 * np.pi, 49)
    circle = np.column_stack([np.cos(around), np.sin(around)])
    return ellipse.get_patch_transform().transform(circle)


@pytest.mark.parametrize("seed", range(8))
def test_points_on_the_drawn_ellipses_are_as_many_sigma_away(flat, seed):
    mixture = tilted(k=3, seed=seed)
    plots.ellipses(mixture, ax=flat)
    ellipses = [patch for patch in flat.patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == 9
    for i, ellipse in enumerate(ellipses):
        k, sigma = divmod(i, 3)
        away = distances(outline(ellipse), mixture.means[k], mixture.covariances[k])
        np.testing.assert_allclose(away, sigma + 1, rtol=1e-9)


@pytest.mark.parametrize("structure", [Tied, Diagonal, Spherical])
def test_ellipses_of_every_structure_have_the_area_of_their_covariance(flat, structure):
    values = {Tied: [[2, 1], [1, 2]], Diagonal: [[1, 4], [9, 1]], Spherical: [1, 4]}
    mixture = Mixture([0.5, 0.5], [[0, 0], [5, 5]], structure(values[structure]))
    plots.ellipses(mixture, sigmas=[2], ax=flat)
    areas = [np.pi * ellipse.width * ellipse.height / 4 for ellipse in flat.patches]
    np.testing.assert_allclose(areas, 4 * np.pi * np.sqrt(np.linalg.det(mixture.covariances)))


def test_fitted_ellipses_are_dashed_in_colour_and_true_ones_solid_black(flat):
    mixture = tilted()
    plots.ellipses(mixture, sigmas=[1], ax=flat)
    plots.ellipses(
        means=mixture.means, covariances=mixture.covariances, sigmas=[1], kind="true", ax=flat
    )
    styles = [patch.get_linestyle() for patch in flat.patches]
    colours = [to_rgb(patch.get_edgecolor()) for patch in flat.patches]
    assert styles == ["--", "--", "-", "-"]
    assert colours == [to_rgb(c) for c in (plots.colour(0), plots.colour(1), "black", "black")]
    fitted, true = flat.patches[:2], flat.patches[2:]
    assert [p.angle for p in fitted] == [p.angle for p in true]
    assert not any(patch.get_fill() for patch in flat.patches)


def test_ellipses_take_the_colours_of_a_matching(flat):
    plots.ellipses(tilted(), order=[1, 0], sigmas=[1], ax=flat)
    colours = [to_rgb(patch.get_edgecolor()) for patch in flat.patches]
    assert colours == [to_rgb(plots.colour(1)), to_rgb(plots.colour(0))]


def test_every_mean_is_marked_and_all_of_it_is_in_view(flat):
    mixture = tilted(k=3)
    plots.ellipses(mixture, ax=flat)
    np.testing.assert_allclose([np.ravel(line.get_data()) for line in flat.lines], mixture.means)
    flat.figure.canvas.draw()
    (left, right), (low, high) = flat.get_xlim(), flat.get_ylim()
    spread = 3 * np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    inside = mixture.means - spread >= [left, low], mixture.means + spread <= [right, high]
    assert np.all(inside)


def test_a_singular_covariance_is_a_flat_ellipse_along_its_only_direction(flat):
    plots.ellipses(means=[[0, 0]], covariances=[[[1, 1], [1, 1]]], sigmas=[1], ax=flat)
    points = outline(flat.patches[0])
    np.testing.assert_allclose(points[:, 0], points[:, 1], atol=1e-7)
    np.testing.assert_allclose(np.abs(points).max(), 1)


@pytest.mark.parametrize("seed", range(4))
def test_points_on_the_drawn_ellipsoids_are_sigma_away(deep, seed):
    mixture = tilted(d=3, seed=seed)
    plots.ellipsoids(mixture, sigma=1.5, ax=deep)
    assert len(deep.collections) == 2
    for k, collection in enumerate(deep.collections):
        points = np.concatenate([np.asarray(line) for line in collection._segments3d])
        away = distances(points, mixture.means[k], mixture.covariances[k])
        np.testing.assert_allclose(away, 1.5, rtol=1e-9)
        np.testing.assert_allclose(  # all around: as far out one way as the other
            points.max(axis=0) + points.min(axis=0), 2 * mixture.means[k], atol=0.3
        )


def test_ellipsoids_leave_the_names_that_axes_have():
    names = ("length (mm)", "width (mm)", "mass (g)")
    ax = plots.ellipsoids(tilted(d=3), ax=plots.data(np.ones((1, 3)), features=names))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()) == names


def test_ellipsoids_have_the_styles_of_ellipses():
    mixture = tilted(d=3)
    fitted = plots.ellipsoids(mixture, order=[1, 0])
    true = plots.ellipsoids(means=mixture.means, covariances=mixture.covariances, kind="true")
    colours = [to_rgb(collection.get_edgecolor()[0]) for collection in fitted.collections]
    assert colours == [to_rgb(plots.colour(1)), to_rgb(plots.colour(0))]
    assert to_rgb(true.collections[0].get_edgecolor()[0]) == to_rgb("black")
    (_, dashes), (_, solid) = (
        fitted.collections[0].get_linestyle()[0],
        true.collections[0].get_linestyle()[0],
    )
    assert dashes is not None
    assert solid is None


# ---- densities ---------------------------------------------------------------------------


def curves(ax):
    """The x of the curves, the components' y and the mixture's y."""
    *components, total = ax.lines
    x = np.ravel(total.get_xdata())
    return x, [np.ravel(line.get_ydata()) for line in components], np.ravel(total.get_ydata())


def test_the_curve_is_the_density_and_integrates_to_one(flat):
    mixture = line_mixture()
    plots.density(mixture, ax=flat)
    x, components, total = curves(flat)
    np.testing.assert_allclose(total, np.exp(mixture.log_prob(x[:, None])), rtol=1e-12)
    np.testing.assert_allclose(np.sum(components, axis=0), total, rtol=1e-12)
    areas = [np.trapezoid(y, x) for y in (*components, total)]
    np.testing.assert_allclose(areas, [0.7, 0.3, 1], rtol=0.003)  # 3 σ hold 0.9973


@pytest.mark.parametrize("variance", [1e-3, 1e-6, 1e-9])
def test_a_narrow_component_is_not_missed_by_the_curve(flat, variance):
    plots.density(Mixture([0.5, 0.5], [[0.0], [4.0]], Spherical([1.0, variance])), ax=flat)
    x, components, total = curves(flat)
    areas = [np.trapezoid(y, x) for y in (*components, total)]
    np.testing.assert_allclose(areas, [0.5, 0.5, 1], rtol=0.01)


def test_components_are_dashed_in_their_colours_under_a_solid_curve(flat):
    plots.density(line_mixture(), ax=flat)
    styles = [(line.get_linestyle(), line.get_color()) for line in flat.lines]
    assert styles == [("--", plots.colour(0)), ("--", plots.colour(1)), ("-", "black")]
    assert texts(flat.get_legend()) == ["component 0", "component 1", "mixture"]
    assert (flat.get_xlabel(), flat.get_ylabel()) == ("x1", "density")
    single = plots.density(Mixture([1.0], [[0.0]], Spherical([1.0])), features=["mass (g)"])
    assert single.get_legend() is None
    assert single.get_xlabel() == "mass (g)"


def test_the_histogram_underneath_has_area_one_and_holds_every_sample(flat):
    X = np.random.default_rng(0).normal(size=(200, 1)) * 3 + 20  # away from the mixture
    plots.density(line_mixture(), X, ax=flat)
    area = sum(bar.get_width() * bar.get_height() for bar in flat.patches)
    assert area == pytest.approx(1)
    left = min(bar.get_x() for bar in flat.patches)
    right = max(bar.get_x() + bar.get_width() for bar in flat.patches)
    np.testing.assert_allclose((left, right), (X.min(), X.max()))
    x, _, _ = curves(flat)
    assert (x.min(), x.max()) == (-3, X.max())  # three σ, and the samples


def test_the_histogram_has_the_bins_of_freedman_and_diaconis(flat):
    X = np.random.default_rng(0).normal(size=(300, 1))
    plots.density(line_mixture(), X, ax=flat)
    assert len(flat.patches) == len(np.histogram_bin_edges(X, bins="fd")) - 1


def test_a_histogram_with_an_outlier_has_bars_one_can_see(flat):
    X = np.append(np.random.default_rng(0).normal(size=500), 300.0)[:, None]
    plots.density(line_mixture(), X, ax=flat)
    assert len(flat.patches) <= 500


def contours(ax):
    """The contour set, and the vertices of each of its levels."""
    (found,) = [c for c in ax.collections if isinstance(c, mpl.contour.ContourSet)]
    return found.levels, [path.vertices for path in found.get_paths()]


def test_contours_of_one_gaussian_are_half_one_two_and_three_sigma_away(flat):
    mixture = tilted(k=1)
    plots.density(mixture, ax=flat)
    levels, lines = contours(flat)
    peak = mixture.log_prob(mixture.means)[0]
    np.testing.assert_allclose(np.sqrt(2 * (peak - levels)), [3, 2, 1, 0.5], rtol=0.01)
    for q, vertices in zip([3, 2, 1, 0.5], lines, strict=True):
        away = distances(vertices, mixture.means[0], mixture.covariances[0])
        np.testing.assert_allclose(away, q, rtol=0.02)


def test_on_a_contour_the_density_is_that_of_its_level(flat):
    mixture = Mixture([0.4, 0.6], [[0, 0], [2, 1]], Full([np.eye(2), [[2, 1], [1, 2]]]))
    plots.density(mixture, X2, ax=flat)
    for level, vertices in zip(*contours(flat), strict=True):
        np.testing.assert_allclose(mixture.log_prob(vertices), level, atol=0.01)
    scattered = flat.collections[0].get_offsets()
    np.testing.assert_allclose(scattered, X2)


def test_contours_find_the_peak_of_a_narrow_component(flat):
    mixture = Mixture([0.5, 0.5], [[0.0, 0.0], [10.0, 10.0]], Spherical([1.0, 1e-4]))
    plots.density(mixture, ax=flat)
    peak = mixture.log_prob(mixture.means).max()
    levels, lines = contours(flat)
    np.testing.assert_allclose(np.sqrt(2 * (peak - levels)), [3, 2, 1, 0.5], rtol=0.01)
    for q, vertices in zip([3, 2, 1, 0.5], lines, strict=True):
        away = np.linalg.norm(vertices - [10, 10], axis=1) / 0.01
        np.testing.assert_allclose(away, q, rtol=0.1)


# ---- uncertainty -------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_region_of_a_mean_holds_its_share_of_a_normal_distribution(flat, level):
    found = unsure(level=level)
    plots.mean_regions(found, ax=flat)
    noise = np.random.default_rng(0).standard_normal((4000, 2))
    for patch, mean, covariance in zip(
        flat.patches, found.mixture.means, found.mean_covariances, strict=True
    ):
        draws = mean + noise @ np.linalg.cholesky(covariance).T
        inside = patch.get_patch_transform().inverted().transform(draws)
        assert (np.hypot(*inside.T) < 1).mean() == pytest.approx(level, abs=0.03)


def test_regions_are_of_the_components_asked_for_and_told_apart_by_method(flat):
    for method in ("information", "bootstrap", "weighted"):
        plots.mean_regions(unsure(method), components=[1], ax=flat)
    assert len({patch.get_linestyle() for patch in flat.patches}) == len(flat.patches) == 3
    assert {to_rgb(patch.get_edgecolor()) for patch in flat.patches} == {to_rgb(plots.colour(1))}
    names = ["90 %, information", "90 %, bootstrap", "90 %, weighted bootstrap"]
    assert texts(flat.get_legend()) == names
    plots.mean_regions(unsure(), components=[0], ax=flat)
    assert texts(flat.get_legend()) == names


def test_replicates_of_means_are_dots(flat):
    found = unsure("weighted")
    plots.mean_regions(found, components=[0], ax=flat)
    (dots,) = (line for line in flat.lines if line.get_marker() == ".")
    np.testing.assert_array_equal(dots.get_xydata(), found.replicates.means[:, 0])


def test_the_distribution_is_of_all_replicates_under_their_interval(flat):
    found = unsure("bootstrap")
    plots.bootstrap_distribution(found, "covariances", (1, 0, 1), name="s (m²)", ax=flat)
    assert sum(bar.get_height() for bar in flat.containers[0]) == len(found.replicates.means)
    (span,) = set(flat.patches) - set(flat.containers[0])
    low, high = span.get_x(), span.get_x() + span.get_width()
    assert low == pytest.approx(found.lower.covariances[1, 0, 1])
    assert high == pytest.approx(found.upper.covariances[1, 0, 1])
    assert flat.lines[0].get_xdata()[0] == found.mixture.covariances[1, 0, 1]
    assert flat.get_xlabel() == "s (m²)"
    assert plots.bootstrap_distribution(found, "weights", 1).get_xlabel() == "weights[1]"


def test_samples_are_the_larger_the_less_sure_they_are(flat):
    mixture = Mixture([0.3, 0.3, 0.4], [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]], Tied(np.eye(2)))
    plots.classification_uncertainty(mixture, X2, background=False, ax=flat)
    sizes = {
        tuple(point): size
        for collection in flat.collections
        for point, size in zip(collection.get_offsets(), collection.get_sizes(), strict=True)
    }
    areas = [sizes[tuple(point)] for point in X2]
    unsure = mixture.classification_uncertainty(X2)
    np.testing.assert_array_equal(np.argsort(areas), np.argsort(unsure))
    assert texts(flat.get_legend()) == ["0", "0.33", "0.67"]


def test_the_map_is_darkest_where_components_are_as_likely(flat):
    mixture = Mixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], Tied(np.eye(2)))
    plots.classification_uncertainty(mixture, ax=flat)
    (filled,) = flat.collections
    assert filled.levels[0] == 0
    assert filled.levels[-1] == pytest.approx(0.5)
    darkest = filled.get_paths()[-1].vertices
    assert abs(darkest[:, 0]).max() < 0.2
    assert np.ptp(darkest[:, 1]) > 5


def test_of_one_component_everything_is_sure():
    ax = plots.classification_uncertainty(tilted(k=1), X2)
    ax.figure.canvas.draw()
    assert ax.get_legend() is None
    (bar,) = ax.child_axes
    ticks = [tick.get_text() for tick in bar.get_yticklabels()]
    assert len(set(ticks)) == len(ticks) > 1


# ---- fits --------------------------------------------------------------------------------


def test_a_trace_shows_both_columns_against_the_iteration(flat):
    result = small_fit()
    plots.trace(result, ax=flat)
    likelihood, bound = flat.lines
    np.testing.assert_array_equal(likelihood.get_xdata(), np.arange(6))
    np.testing.assert_array_equal(likelihood.get_ydata(), result.trace["log_likelihood"])
    np.testing.assert_array_equal(bound.get_ydata(), result.trace["elbo_m_step"])
    assert (flat.get_xlabel(), flat.get_ylabel()) == ("iteration", "total (nats)")
    first, second = texts(flat.get_legend())
    assert first.startswith("log-likelihood")
    assert second.startswith("ELBO after the M-step")


@pytest.mark.parametrize(("wanted", "drawn"), [(3, 3), (5, 5), (99, 5)])
def test_each_stair_is_an_m_step_and_then_an_e_step(flat, wanted, drawn):
    result = small_fit()
    plots.staircase(result, iterations=wanted, ax=flat)
    values, bounds = result.trace["log_likelihood"], result.trace["elbo_m_step"]
    landing, *risers = flat.lines
    np.testing.assert_array_equal(landing.get_ydata(), values[: drawn + 1])
    assert len(risers) == 2 * drawn
    for step in range(1, drawn + 1):
        m_step, e_step = risers[2 * step - 2 : 2 * step]
        assert list(m_step.get_xdata()) == list(e_step.get_xdata()) == [step, step]
        assert list(m_step.get_ydata()) == [values[step - 1], bounds[step]]
        assert list(e_step.get_ydata()) == [bounds[step], values[step]]
        assert m_step.get_color() != e_step.get_color()
    assert texts(flat.get_legend()) == ["log-likelihood", "M-step", "E-step"]
    assert (flat.get_xlabel(), flat.get_ylabel()) == ("iteration", "total (nats)")


def test_a_fit_of_no_iterations_can_be_drawn():
    result = small_fit(max_iter=0)
    assert len(plots.trace(result).lines[0].get_xdata()) == 1
    assert len(plots.staircase(result).lines) == 1


# ---- images ------------------------------------------------------------------------------


@pytest.mark.parametrize("titles", [None, list("abcde")])
@pytest.mark.parametrize("columns", [1, 2, 3, 5, 99])
def test_images_stand_in_reading_order_without_overlap(flat, columns, titles):
    values = np.random.default_rng(0).normal(size=(5, 12))
    plots.images(values, shape=(3, 4), columns=columns, titles=titles, ax=flat)
    sheet = np.ma.filled(flat.images[0].get_array(), np.nan)
    places = []
    for value in values:
        ((top, left),) = np.argwhere(sheet == value[0])
        np.testing.assert_array_equal(sheet[top : top + 3, left : left + 4], value.reshape(3, 4))
        places.append((int(top), int(left)))
    assert places == sorted(places)
    assert np.isfinite(sheet).sum() == values.size  # the rest is background
    assert len({left for _, left in places}) == min(columns, 5)
    assert len({top for top, _ in places}) == -(-5 // columns)
    assert [text.get_text() for text in flat.texts] == (titles or [])
    for text, (top, left) in zip(flat.texts, places, strict=False):
        x, y = text.get_position()
        assert x == left + 2
        assert top - 9 < y < top


def test_high_values_are_dark_and_axes_are_off(flat):
    plots.images([[0.0, 1.0]], shape=(1, 2), ax=flat)
    image = flat.images[0]
    low, high = (sum(image.cmap(image.norm(value))[:3]) for value in (0.0, 1.0))
    assert high < low
    assert not flat.axison


# ---- show --------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [lambda ax: ax, lambda ax: ax.figure], ids=["Axes", "Figure"])
def test_show_emits_a_png_with_its_alt_text_and_closes_the_figure(shown, of):
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


def test_show_takes_axes_of_a_subfigure(shown):
    figure = plt.figure()
    ax = figure.subfigures(1, 2)[0].add_subplot()
    plots.show(plots.data(X2, ax=ax), alt="Points.")
    assert len(shown) == 1
    assert not plt.fignum_exists(figure.number)


def test_a_shown_picture_has_the_colours_that_were_drawn(shown):
    figure, (left, right) = plt.subplots(1, 2)
    left.bar(range(10), np.ones(10), color=plots.COLOURS)
    plots.images([np.linspace(0, 1, 784)], ax=right)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=plots._DPI, bbox_inches="tight")
    plots.show(figure, alt="Ten bars and a ramp.")
    (((bundle,), _),) = shown
    drawn.seek(0)
    expected, picture = imread(drawn), imread(io.BytesIO(bundle["image/png"]))
    error = np.abs(picture[..., :3] - expected[..., :3]).max(axis=2)
    assert np.mean(error < 0.05) > 0.99


def test_the_same_picture_has_the_same_bytes_and_names_no_software(shown):
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


@pytest.mark.parametrize("alt", ["", "  ", None, 3])
def test_show_asks_for_alt_text(shown, alt):
    with pytest.raises(ValueError, match="alt must say what the figure shows"):
        plots.show(plots.data(X2), alt=alt)
    assert shown == []


@pytest.mark.parametrize("figure", [None, "figure", X2])
def test_show_takes_a_figure(shown, figure):
    with pytest.raises(TypeError, match="figure must be a Figure or Axes"):
        plots.show(figure, alt="Points.")
    assert shown == []


@pytest.mark.parametrize("formats", ["svg", "png svg", "svg  png"])
def test_show_keeps_a_vector_file_where_the_environment_asks_for_it(shown, monkeypatch, formats):
    """The same bytes twice, at another time too, and the PNG as without it."""
    plots.show(plots.data(X2, np.arange(20) % 2), alt="Points.")
    monkeypatch.setenv("WORKBOOK_FIGURES", formats)
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


@pytest.mark.parametrize("formats", ["", "png"])
def test_show_keeps_the_png_alone_otherwise(shown, monkeypatch, formats):
    monkeypatch.setenv("WORKBOOK_FIGURES", formats)
    plots.show(plots.data(X2), alt="Points.")
    (((bundle,), _),) = shown
    assert set(bundle) == {"image/png", "text/plain"}


def test_show_refuses_formats_that_it_does_not_know(shown, monkeypatch):
    monkeypatch.setenv("WORKBOOK_FIGURES", "png pdf")
    with pytest.raises(ValueError, match=r"WORKBOOK_FIGURES must be .* got 'png pdf'"):
        plots.show(plots.data(X2), alt="Points.")
    assert shown == []


# ---- errors ------------------------------------------------------------------------------


def space():
    return plt.figure().add_subplot(projection="3d")


X4 = np.ones((5, 4))
WRONG = {
    "data: NaN": (lambda: plots.data([[np.nan]]), ValueError, "X contains NaN"),
    "data: 1-D": (lambda: plots.data([1.0, 2.0]), ValueError, "X must have two dimensions"),
    "data: empty": (lambda: plots.data(np.empty((0, 2))), ValueError, "X must have at least one"),
    "data: words": (lambda: plots.data([["a"]]), TypeError, "X must be an array"),
    "data: four features": (lambda: plots.data(X4), ValueError, "X must have one, two or three"),
    "data: labels": (lambda: plots.data(X2, [0, 1]), ValueError, "labels must have one entry"),
    "data: float labels": (lambda: plots.data(X2, X2[:, 0]), TypeError, "labels must be integers"),
    "data: true": (lambda: plots.data(X2, true=[0]), ValueError, "true must have one entry"),
    "data: features": (lambda: plots.data(X2, features=["a"]), ValueError, "features must be"),
    "data: flat axes": (
        lambda: plots.data(X3, ax=plt.figure().add_subplot()),
        ValueError,
        "ax must be",
    ),
    "soft: rows": (
        lambda: plots.soft_assignment(X2, np.ones((3, 2))),
        ValueError,
        "responsibilities must have a row for each of 20 samples; got 3",
    ),
    "soft: 1-D": (
        lambda: plots.soft_assignment(X2, np.ones(20)),
        ValueError,
        "responsibilities must have two dimensions",
    ),
    "soft: four features": (
        lambda: plots.soft_assignment(X4, np.ones((5, 1))),
        ValueError,
        "X must have one, two or three",
    ),
    "ellipses: nothing": (lambda: plots.ellipses(), ValueError, "give either mixture"),
    "ellipses: both": (
        lambda: plots.ellipses(tilted(), means=[[0, 0]]),
        ValueError,
        "give either mixture",
    ),
    "ellipses: means alone": (
        lambda: plots.ellipses(means=[[0, 0]]),
        TypeError,
        "covariances must be an array",
    ),
    "ellipses: covariances alone": (
        lambda: plots.ellipses(covariances=[np.eye(2)]),
        TypeError,
        "means must be an array",
    ),
    "ellipses: space": (lambda: plots.ellipses(tilted(d=3)), ValueError, "means must have 2"),
    "ellipses: shapes": (
        lambda: plots.ellipses(means=[[0, 0]], covariances=np.eye(2)),
        ValueError,
        "covariances must have shape",
    ),
    "ellipses: kind": (lambda: plots.ellipses(tilted(), kind="dashed"), ValueError, "kind must be"),
    "ellipses: order": (lambda: plots.ellipses(tilted(), order=[0]), ValueError, "order must be"),
    "ellipses: no mixture": (lambda: plots.ellipses("fit"), TypeError, "mixture must be"),
    "ellipsoids: plane": (lambda: plots.ellipsoids(tilted()), ValueError, "means must have 3"),
    "ellipsoids: kind": (
        lambda: plots.ellipsoids(tilted(d=3), kind=None),
        ValueError,
        "kind must be",
    ),
    "density: space": (lambda: plots.density(tilted(d=3)), ValueError, "mixture must have one or"),
    "density: X": (lambda: plots.density(tilted(), X3), ValueError, "X must have 2 features"),
    "density: inf": (lambda: plots.density(tilted(), [[0, np.inf]]), ValueError, "X contains inf"),
    "density: a fit": (lambda: plots.density(small_fit()), TypeError, "mixture must be"),
    "regions: no uncertainty": (
        lambda: plots.mean_regions(small_fit()),
        TypeError,
        "found must be an Uncertainty",
    ),
    "regions: components": (
        lambda: plots.mean_regions(unsure(), components=[2]),
        ValueError,
        r"components must be numbers in range\(0, 2\); got",
    ),
    "distribution: no replicates": (
        lambda: plots.bootstrap_distribution(unsure(), "means", (0, 0)),
        ValueError,
        "found must have replicates; its method is 'information'",
    ),
    "distribution: block": (
        lambda: plots.bootstrap_distribution(unsure("weighted"), "mean", (0, 0)),
        ValueError,
        "block must be one of",
    ),
    "distribution: index": (
        lambda: plots.bootstrap_distribution(unsure("weighted"), "means", (0, 2)),
        ValueError,
        r"index must be a place in means of shape \(2, 2\); got \(0, 2\)",
    ),
    "uncertainty: space": (
        lambda: plots.classification_uncertainty(tilted(d=3)),
        ValueError,
        "mixture must have two features",
    ),
    "uncertainty: nothing": (
        lambda: plots.classification_uncertainty(tilted(), background=False),
        ValueError,
        "X must be given where there is no background",
    ),
    "trace: no fit": (lambda: plots.trace(tilted()), TypeError, "fit must be"),
    "staircase: no fit": (lambda: plots.staircase(tilted()), TypeError, "fit must be"),
    "staircase: iterations": (
        lambda: plots.staircase(small_fit(), iterations=0),
        ValueError,
        "iterations must be at least 1",
    ),
    "axes in space": (lambda: plots.trace(small_fit(), ax=space()), ValueError, "ax must be 2-D"),
    "a figure for axes": (lambda: plots.data(X2, ax=plt.figure()), TypeError, "ax must be"),
    "images: shape": (lambda: plots.images(X4, shape=(3, 2)), ValueError, "values must have 3 × 2"),
    "images: NaN": (lambda: plots.images(X4 * np.nan), ValueError, "values contains NaN"),
    "images: 1-D": (lambda: plots.images(np.ones(784)), ValueError, "values must have two"),
    "images: titles": (
        lambda: plots.images(X4, shape=(2, 2), titles=["a"]),
        ValueError,
        "titles must be one for each of 5 images; got 1",
    ),
    "images: columns": (
        lambda: plots.images(X4, shape=(2, 2), columns=0),
        ValueError,
        "columns must be",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_drawn_is_refused_by_name(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


# ---- choosing ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def comparison():
    X = datasets.old_faithful().X
    settings = {"rng": np.random.default_rng(0), "n_jobs": 1, "progress": False}
    return selection.compare(X, [1, 2], ["EII", "VII", "EEE"], starts={"kmeans": 1}, **settings)


@pytest.mark.parametrize("name", ["bic", "aic", "icl"])
def test_a_criterion_has_a_line_for_each_structure_and_a_ring_for_the_choice(comparison, name):
    ax = plots.criterion(comparison, name)
    *lines, ring = ax.lines
    assert [line.get_label() for line in lines] == ["EII", "VII", "EEE"]
    values = comparison.to_frame().set_index("structure")[name]
    for line in lines:
        np.testing.assert_allclose(line.get_ydata(), values[line.get_label()])
    assert ring.get_ydata() == [values.min()]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(looks) == 3


def test_a_degenerate_cell_is_a_gap_and_a_cross(comparison):
    first, *others = comparison.cells
    lost = replace(comparison, cells=(replace(first, degenerate="so"), *others))
    ax = plots.criterion(lost)
    assert np.isnan(ax.lines[0].get_ydata()[0])
    (cross,) = (line for line in ax.lines if line.get_marker() == "x")
    assert len(cross.get_xdata()) == 1
    assert cross.get_color() == ax.lines[0].get_color()


def test_merging_is_drawn_as_entropies_and_as_a_tree(comparison):
    X = datasets.old_faithful().X
    mixture = start.kmeans(X, 5, np.random.default_rng(0))
    merging = selection.merge(mixture, X)
    ax = plots.merging_entropy(merging)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), merging.entropies)
    assert merging.bend < 5
    assert f"bend: {merging.bend} clusters" in {line.get_label() for line in ax.lines}
    tree = plots.merging_tree(merging)
    assert sorted(tick.get_text() for tick in tree.get_xticklabels()) == list("01234")


def test_the_likelihood_ratios_drawn_are_all_samples():
    X = np.random.default_rng(0).normal(size=(30, 1))
    test = selection.bootstrap_test(
        X,
        1,
        rng=np.random.default_rng(0),
        structure=Tied,
        n_bootstrap=9,
        n_jobs=1,
        progress=False,
    )
    ax = plots.bootstrap_test(test)
    assert sum(bar.get_height() for bar in ax.patches) == np.isfinite(test.replicates).sum()
    assert ax.lines[0].get_xdata()[0] == test.statistic


@pytest.mark.parametrize(
    "draw",
    [plots.criterion, plots.merging_entropy, plots.merging_tree, plots.bootstrap_test],
)
def test_pictures_of_choosing_refuse_other_things(draw):
    with pytest.raises(TypeError, match=r"must be a .*; got int"):
        draw(3)
