"""Regions, distributions and maps show the uncertainty that was estimated."""

from dataclasses import replace

import numpy as np
import pytest
from drawings import X2, fit_uncertainty, small_fit, texts, tilted
from matplotlib.colors import to_rgb

from gmmlab import Mixture, Tied, plots


def test_the_region_of_a_mean_contains_its_level_of_a_normal_distribution(axes):
    level = 0.8
    found = fit_uncertainty(level=level)
    plots.mean_regions(found, ax=axes)
    noise = np.random.default_rng(0).standard_normal((4000, 2))
    for patch, mean, covariance in zip(
        axes.patches, found.mixture.means, found.mean_covariances, strict=True
    ):
        draws = mean + noise @ np.linalg.cholesky(covariance).T
        inside = patch.get_patch_transform().inverted().transform(draws)
        assert (np.hypot(*inside.T) < 1).mean() == pytest.approx(level, abs=0.03)


def test_regions_are_of_the_given_components_and_line_styles_distinguish_methods(axes):
    for method in ("information", "bootstrap", "weighted"):
        plots.mean_regions(fit_uncertainty(method), components=[1], ax=axes)
    assert len({patch.get_linestyle() for patch in axes.patches}) == len(axes.patches) == 3
    assert {to_rgb(patch.get_edgecolor()) for patch in axes.patches} == {to_rgb(plots.colour(1))}
    names = ["90 %, information", "90 %, bootstrap", "90 %, weighted bootstrap"]
    assert texts(axes.get_legend()) == names
    plots.mean_regions(fit_uncertainty(), components=[0], ax=axes)
    assert texts(axes.get_legend()) == names


def test_means_of_replicates_are_dots(axes):
    found = fit_uncertainty("weighted")
    plots.mean_regions(found, components=[0], ax=axes)
    (dots,) = (line for line in axes.lines if line.get_marker() == ".")
    np.testing.assert_array_equal(dots.get_xydata(), found.replicates.means[:, 0])


def test_a_distribution_shows_all_replicates_and_the_interval(axes):
    found = fit_uncertainty("bootstrap")
    plots.bootstrap_distribution(found, "covariances", (1, 0, 1), name="s (m²)", ax=axes)
    assert sum(bar.get_height() for bar in axes.containers[0]) == len(found.replicates.means)
    (span,) = set(axes.patches) - set(axes.containers[0])
    low, high = span.get_x(), span.get_x() + span.get_width()
    assert low == pytest.approx(found.lower.covariances[1, 0, 1])
    assert high == pytest.approx(found.upper.covariances[1, 0, 1])
    assert axes.lines[0].get_xdata()[0] == found.mixture.covariances[1, 0, 1]
    assert axes.get_xlabel() == "s (m²)"
    assert plots.bootstrap_distribution(found, "weights", 1).get_xlabel() == "weights[1]"


def test_uncertain_samples_are_larger(axes):
    mixture = Mixture([0.3, 0.3, 0.4], [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]], Tied(np.eye(2)))
    plots.classification_uncertainty(mixture, X2, background=False, ax=axes)
    sizes = {
        tuple(point): size
        for collection in axes.collections
        for point, size in zip(collection.get_offsets(), collection.get_sizes(), strict=True)
    }
    areas = [sizes[tuple(point)] for point in X2]
    uncertainty = mixture.classification_uncertainty(X2)
    np.testing.assert_array_equal(np.argsort(areas), np.argsort(uncertainty))
    assert texts(axes.get_legend()) == ["0", "0.33", "0.67"]


def test_the_map_is_darkest_where_components_are_equally_likely(axes):
    mixture = Mixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], Tied(np.eye(2)))
    plots.classification_uncertainty(mixture, ax=axes)
    (filled,) = axes.collections
    assert filled.levels[0] == 0
    assert filled.levels[-1] == pytest.approx(0.5)
    darkest = filled.get_paths()[-1].vertices
    assert abs(darkest[:, 0]).max() < 0.2
    assert np.ptp(darkest[:, 1]) > 5


def test_with_one_component_nothing_is_uncertain():
    ax = plots.classification_uncertainty(tilted(k=1), X2)
    ax.figure.canvas.draw()
    assert ax.get_legend() is None
    (bar,) = ax.child_axes
    ticks = [tick.get_text() for tick in bar.get_yticklabels()]
    assert len(set(ticks)) == len(ticks) > 1


INVALID = {
    "mean_regions: a fit": (
        lambda: plots.mean_regions(small_fit()),
        TypeError,
        "found must be an Uncertainty",
    ),
    "mean_regions: features": (
        lambda: plots.mean_regions(replace(fit_uncertainty(), mixture=tilted(d=3))),
        ValueError,
        "found must be of a mixture of two features; got 3 features",
    ),
    "mean_regions: components": (
        lambda: plots.mean_regions(fit_uncertainty(), components=[2]),
        ValueError,
        r"components must be integers from 0 to 1; got \[2\]",
    ),
    "bootstrap_distribution: no replicates": (
        lambda: plots.bootstrap_distribution(fit_uncertainty(), "means", (0, 0)),
        ValueError,
        "found must be the result of a bootstrap; got method 'information'",
    ),
    "bootstrap_distribution: block": (
        lambda: plots.bootstrap_distribution(fit_uncertainty("weighted"), "mean", (0, 0)),
        ValueError,
        "block must be one of",
    ),
    "bootstrap_distribution: index": (
        lambda: plots.bootstrap_distribution(fit_uncertainty("weighted"), "means", (0, 2)),
        ValueError,
        r"index must be an index into means of shape \(2, 2\); got \(0, 2\)",
    ),
    "classification_uncertainty: features": (
        lambda: plots.classification_uncertainty(tilted(d=3)),
        ValueError,
        "mixture must have two features",
    ),
    "classification_uncertainty: nothing": (
        lambda: plots.classification_uncertainty(tilted(), background=False),
        ValueError,
        "X must be given if background is False",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_raise(case):
    call, error, message = INVALID[case]
    with pytest.raises(error, match=message):
        call()
