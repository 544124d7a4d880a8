"""Ellipses, ellipsoids and densities are those of the mixture."""

import matplotlib as mpl
import numpy as np
import pytest
from drawings import X2, X3, distances, small_fit, texts, tilted, univariate_mixture
from matplotlib.colors import to_rgb
from matplotlib.patches import Ellipse

from gmmlab import Full, Mixture, Spherical, Tied, plots

# ---- ellipses ----------------------------------------------------------------------------


def outline(ellipse):
    """Return points on a drawn ellipse, in data coordinates."""
    around = np.linspace(0, 2 * np.pi, 49)
    circle = np.column_stack([np.cos(around), np.sin(around)])
    return ellipse.get_patch_transform().transform(circle)


def test_points_on_an_ellipse_have_its_mahalanobis_distance(axes):
    mixture = tilted(k=8)
    plots.ellipses(mixture, ax=axes)
    ellipses = [patch for patch in axes.patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == 24
    for i, ellipse in enumerate(ellipses):
        k, sigma = divmod(i, 3)
        away = distances(outline(ellipse), mixture.means[k], mixture.covariances[k])
        np.testing.assert_allclose(away, sigma + 1, rtol=1e-9)


def test_ellipses_of_a_tied_covariance_have_its_area(axes):
    mixture = Mixture([0.5, 0.5], [[0, 0], [5, 5]], Tied([[2, 1], [1, 2]]))
    plots.ellipses(mixture, sigmas=[2], ax=axes)
    areas = [np.pi * ellipse.width * ellipse.height / 4 for ellipse in axes.patches]
    np.testing.assert_allclose(areas, 4 * np.pi * np.sqrt(np.linalg.det(mixture.covariances)))


def test_fitted_ellipses_are_dashed_in_colour_and_true_ones_solid_black(axes):
    mixture = tilted()
    plots.ellipses(mixture, sigmas=[1], ax=axes)
    plots.ellipses(
        means=mixture.means, covariances=mixture.covariances, sigmas=[1], kind="true", ax=axes
    )
    styles = [patch.get_linestyle() for patch in axes.patches]
    colours = [to_rgb(patch.get_edgecolor()) for patch in axes.patches]
    assert styles == ["--", "--", "-", "-"]
    assert colours == [to_rgb(c) for c in (plots.colour(0), plots.colour(1), "black", "black")]
    means = [(line.get_marker(), to_rgb(line.get_color())) for line in axes.lines]
    assert means == list(zip("++xx", colours, strict=True))
    fitted, true = axes.patches[:2], axes.patches[2:]
    assert [p.angle for p in fitted] == [p.angle for p in true]
    assert not any(patch.get_fill() for patch in axes.patches)


def test_order_sets_the_colours_of_components(axes):
    plots.ellipses(tilted(), order=[1, 0], sigmas=[1], ax=axes)
    colours = [to_rgb(patch.get_edgecolor()) for patch in axes.patches]
    assert colours == [to_rgb(plots.colour(1)), to_rgb(plots.colour(0))]


def test_every_mean_is_marked_and_all_ellipses_are_in_view(axes):
    mixture = tilted(k=3)
    plots.ellipses(mixture, ax=axes)
    np.testing.assert_allclose([np.ravel(line.get_data()) for line in axes.lines], mixture.means)
    axes.figure.canvas.draw()
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    spread = 3 * np.sqrt(np.diagonal(mixture.covariances, axis1=1, axis2=2))
    inside = mixture.means - spread >= [left, low], mixture.means + spread <= [right, high]
    assert np.all(inside)


def test_a_singular_covariance_gives_a_flat_ellipse(axes):
    plots.ellipses(means=[[0, 0]], covariances=[[[1, 1], [1, 1]]], sigmas=[1], ax=axes)
    points = outline(axes.patches[0])
    np.testing.assert_allclose(points[:, 0], points[:, 1], atol=1e-7)
    np.testing.assert_allclose(np.abs(points).max(), 1)


# ---- ellipsoids --------------------------------------------------------------------------


def test_points_on_an_ellipsoid_have_its_mahalanobis_distance(axes_3d):
    mixture = tilted(d=3)
    plots.ellipsoids(mixture, sigma=1.5, ax=axes_3d)
    assert len(axes_3d.collections) == 2
    for k, collection in enumerate(axes_3d.collections):
        points = np.concatenate([np.asarray(line) for line in collection._segments3d])
        away = distances(points, mixture.means[k], mixture.covariances[k])
        np.testing.assert_allclose(away, 1.5, rtol=1e-9)
        np.testing.assert_allclose(  # on all sides of the mean
            points.max(axis=0) + points.min(axis=0), 2 * mixture.means[k], atol=0.3
        )


def test_ellipsoids_keep_existing_axis_labels():
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
    """Return the x of the curves, the components' y and the mixture's y."""
    *components, total = ax.lines
    x = np.ravel(total.get_xdata())
    return x, [np.ravel(line.get_ydata()) for line in components], np.ravel(total.get_ydata())


def test_the_curve_is_the_density_and_integrates_to_one(axes):
    mixture = univariate_mixture()
    plots.density(mixture, ax=axes)
    x, components, total = curves(axes)
    np.testing.assert_allclose(total, np.exp(mixture.log_prob(x[:, None])), rtol=1e-12)
    np.testing.assert_allclose(np.sum(components, axis=0), total, rtol=1e-12)
    areas = [np.trapezoid(y, x) for y in (*components, total)]
    np.testing.assert_allclose(areas, [0.7, 0.3, 1], rtol=0.003)  # 3 σ contain 0.9973


def test_the_curve_does_not_miss_a_narrow_component(axes):
    plots.density(Mixture([0.5, 0.5], [[0.0], [4.0]], Spherical([1.0, 1e-9])), ax=axes)
    x, components, total = curves(axes)
    areas = [np.trapezoid(y, x) for y in (*components, total)]
    np.testing.assert_allclose(areas, [0.5, 0.5, 1], rtol=0.01)


def test_components_are_dashed_in_colour_and_the_mixture_is_solid_black(axes):
    plots.density(univariate_mixture(), ax=axes)
    styles = [(line.get_linestyle(), line.get_color()) for line in axes.lines]
    assert styles == [("--", plots.colour(0)), ("--", plots.colour(1)), ("-", "black")]
    assert texts(axes.get_legend()) == ["component 0", "component 1", "mixture"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x1", "density")
    single = plots.density(Mixture([1.0], [[0.0]], Spherical([1.0])), features=["mass (g)"])
    assert single.get_legend() is None
    assert single.get_xlabel() == "mass (g)"


def test_the_histogram_has_area_one_and_contains_every_sample(axes):
    X = np.random.default_rng(0).normal(size=(200, 1)) * 3 + 20  # far from the mixture
    plots.density(univariate_mixture(), X, ax=axes)
    area = sum(bar.get_width() * bar.get_height() for bar in axes.patches)
    assert area == pytest.approx(1)
    left = min(bar.get_x() for bar in axes.patches)
    right = max(bar.get_x() + bar.get_width() for bar in axes.patches)
    np.testing.assert_allclose((left, right), (X.min(), X.max()))
    x, _, _ = curves(axes)
    assert (x.min(), x.max()) == (-3, X.max())  # 3 σ of the mixture, and the samples


def test_the_histogram_has_the_bins_of_freedman_and_diaconis(axes):
    X = np.random.default_rng(0).normal(size=(300, 1))
    plots.density(univariate_mixture(), X, ax=axes)
    assert len(axes.patches) == len(np.histogram_bin_edges(X, bins="fd")) - 1


def test_an_outlier_does_not_make_the_bars_of_the_histogram_invisible(axes):
    X = np.append(np.random.default_rng(0).normal(size=500), 300.0)[:, None]
    plots.density(univariate_mixture(), X, ax=axes)
    assert len(axes.patches) <= 500


def contours(ax):
    """Return the levels of the contours, and the vertices of each level."""
    (found,) = [c for c in ax.collections if isinstance(c, mpl.contour.ContourSet)]
    return found.levels, [path.vertices for path in found.get_paths()]


def test_contours_of_one_gaussian_are_at_half_one_two_and_three_sigma(axes):
    mixture = tilted(k=1)
    plots.density(mixture, ax=axes)
    levels, lines = contours(axes)
    peak = mixture.log_prob(mixture.means)[0]
    np.testing.assert_allclose(np.sqrt(2 * (peak - levels)), [3, 2, 1, 0.5], rtol=0.01)
    for q, vertices in zip([3, 2, 1, 0.5], lines, strict=True):
        away = distances(vertices, mixture.means[0], mixture.covariances[0])
        np.testing.assert_allclose(away, q, rtol=0.02)


def test_the_density_on_a_contour_is_its_level(axes):
    mixture = Mixture([0.4, 0.6], [[0, 0], [2, 1]], Full([np.eye(2), [[2, 1], [1, 2]]]))
    plots.density(mixture, X2, ax=axes)
    for level, vertices in zip(*contours(axes), strict=True):
        np.testing.assert_allclose(mixture.log_prob(vertices), level, atol=0.01)
    scattered = axes.collections[0].get_offsets()
    np.testing.assert_allclose(scattered, X2)


def test_contours_find_the_peak_of_a_narrow_component(axes):
    mixture = Mixture([0.5, 0.5], [[0.0, 0.0], [10.0, 10.0]], Spherical([1.0, 1e-4]))
    plots.density(mixture, ax=axes)
    peak = mixture.log_prob(mixture.means).max()
    levels, lines = contours(axes)
    np.testing.assert_allclose(np.sqrt(2 * (peak - levels)), [3, 2, 1, 0.5], rtol=0.01)
    for q, vertices in zip([3, 2, 1, 0.5], lines, strict=True):
        away = np.linalg.norm(vertices - [10, 10], axis=1) / 0.01
        np.testing.assert_allclose(away, q, rtol=0.1)


# ---- errors ------------------------------------------------------------------------------

INVALID = {
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
    "ellipses: features": (lambda: plots.ellipses(tilted(d=3)), ValueError, "means must have 2"),
    "ellipses: shapes": (
        lambda: plots.ellipses(means=[[0, 0]], covariances=np.eye(2)),
        ValueError,
        "covariances must have shape",
    ),
    "ellipses: kind": (lambda: plots.ellipses(tilted(), kind="dashed"), ValueError, "kind must be"),
    "ellipses: order": (
        lambda: plots.ellipses(tilted(), order=[0]),
        ValueError,
        "order must contain 2 numbers, one for each component; got 1",
    ),
    "ellipses: mixture": (lambda: plots.ellipses("fit"), TypeError, "mixture must be"),
    "ellipsoids: kind": (
        lambda: plots.ellipsoids(tilted(d=3), kind=None),
        ValueError,
        "kind must be",
    ),
    "density: features": (
        lambda: plots.density(tilted(d=3)),
        ValueError,
        "mixture must have one or two features to be drawn; got 3",
    ),
    "density: X": (lambda: plots.density(tilted(), X3), ValueError, "X must have 2 features"),
    "density: a fit": (lambda: plots.density(small_fit()), TypeError, "mixture must be"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_raise(case):
    call, error, message = INVALID[case]
    with pytest.raises(error, match=message):
        call()
