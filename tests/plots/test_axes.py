"""Every function draws into the given Axes, or into a new figure; markers and colours differ."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawings import X2, X3, fit_uncertainty, small_fit, tilted
from matplotlib.colors import to_rgb

from gmmlab import plots

FUNCTIONS = {
    "data": lambda ax: plots.data(X2, ax=ax),
    "soft_assignment": lambda ax: plots.soft_assignment(X2, np.full((20, 2), 0.5), ax=ax),
    "ellipses": lambda ax: plots.ellipses(tilted(), ax=ax),
    "density": lambda ax: plots.density(tilted(), X2, ax=ax),
    "mean_regions": lambda ax: plots.mean_regions(fit_uncertainty("weighted"), ax=ax),
    "bootstrap_distribution": lambda ax: plots.bootstrap_distribution(
        fit_uncertainty("bootstrap"), "means", (0, 1), ax=ax
    ),
    "classification_uncertainty": lambda ax: plots.classification_uncertainty(tilted(), X2, ax=ax),
    "trace": lambda ax: plots.trace(small_fit(), ax=ax),
    "staircase": lambda ax: plots.staircase(small_fit(), ax=ax),
    "images": lambda ax: plots.images(np.ones((3, 4)), shape=(2, 2), ax=ax),
}
FUNCTIONS_3D = {
    "data": lambda ax: plots.data(np.column_stack([X2, X2[:, 0]]), ax=ax),
    "soft_assignment": lambda ax: plots.soft_assignment(np.ones((4, 3)), np.ones((4, 1)), ax=ax),
    "ellipsoids": lambda ax: plots.ellipsoids(tilted(d=3), ax=ax),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_draw_into_the_given_axes_or_a_new_figure(axes, name):
    other = axes.figure.add_subplot()
    open_figures = plt.get_fignums()
    assert FUNCTIONS[name](axes) is axes
    assert plt.get_fignums() == open_figures
    assert axes.has_data() or axes.patches
    assert not other.has_data()

    new = FUNCTIONS[name](None)
    assert new.figure is not axes.figure
    assert new.figure.axes == [new]
    new.figure.canvas.draw()  # without a warning


@pytest.mark.parametrize("name", FUNCTIONS_3D)
def test_functions_draw_three_features_into_the_given_axes_or_a_new_figure(axes_3d, name):
    open_figures = plt.get_fignums()
    assert FUNCTIONS_3D[name](axes_3d) is axes_3d
    assert plt.get_fignums() == open_figures
    assert axes_3d.collections

    new = FUNCTIONS_3D[name](None)
    assert new.name == "3d"
    new.figure.canvas.draw()


def test_the_kind_of_axes_must_match_the_number_of_features(axes, axes_3d):
    with pytest.raises(ValueError, match=r"ax must be 3-D \(projection='3d'\) Axes; got Axes"):
        plots.data(X3, ax=axes)
    with pytest.raises(ValueError, match="ax must be 2-D Axes; got Axes3D"):
        plots.trace(small_fit(), ax=axes_3d)
    with pytest.raises(TypeError, match="ax must be matplotlib Axes; got Figure"):
        plots.data(X2, ax=axes.figure)


def test_ten_colours_and_markers_differ_and_then_repeat():
    assert len({to_rgb(plots.colour(k)) for k in range(10)}) == 10
    assert len({plots.marker(k) for k in range(10)}) == 10
    for k in range(10):
        assert plots.colour(k) == plots.colour(k + 10) == plots.colour(k + 20)
        assert plots.marker(k) == plots.marker(k + 10)
