"""Interactive figures show the same as static ones, and are small."""

import json
import subprocess
import sys
from base64 import b64decode

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawings import X2, X3, distances, tilted
from matplotlib.colors import to_hex, to_rgb

from gmmlab import plots
from gmmlab.plots import interactive


def samples(n=30, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3)) * [1, 2, 3] + [0, 5, -5]


def as_json(figure):
    """Return the figure as a notebook stores it."""
    return json.loads(json.dumps(figure.to_plotly_json()))


def array(values):
    """Return an array of the JSON, decoded as plotly does."""
    return np.frombuffer(b64decode(values["bdata"]), values["dtype"])


def points(trace):
    return np.column_stack([array(trace[axis]) for axis in "xyz"])


def nearest(X, drawn):
    """Return the index of the sample of each drawn point, and the largest error."""
    away = np.abs(X - drawn[:, None]).max(axis=2)
    return away.argmin(axis=1), away.min(axis=1).max()


# ---- samples -----------------------------------------------------------------------------


def test_predicted_labels_are_colours_and_true_labels_are_shapes():
    X = samples()
    labels, true = np.random.default_rng(1).integers(0, 3, size=(2, 30))
    seen = []
    for trace in as_json(interactive.data(X, labels, true=true))["data"]:
        numbers, error = nearest(X, points(trace))
        assert error < 1e-3
        for i in numbers:
            assert trace["marker"]["color"] == to_hex(plots.colour(labels[i]))
            assert trace["marker"]["symbol"] == interactive.symbol(true[i])
            assert trace["name"] == f"component {labels[i]}, class {true[i]}"
        seen += numbers.tolist()
    assert sorted(seen) == list(range(30))  # each once


def test_eight_shapes_differ_and_then_repeat():
    assert len({interactive.symbol(t) for t in range(8)}) == 8
    assert all(interactive.symbol(t) == interactive.symbol(t + 8) for t in range(8))


def test_samples_without_labels_are_grey_and_not_in_the_legend():
    (trace,) = as_json(interactive.data(samples()))["data"]
    assert to_rgb(trace["marker"]["color"]) == pytest.approx(to_rgb("0.45"), abs=1 / 255)
    assert trace["marker"]["symbol"] == "circle"
    assert trace["showlegend"] is False


def test_the_legend_names_labels_if_there_are_several():
    X, two, one = samples(), np.arange(30) % 2, np.zeros(30, int)
    cases = [
        (two, None, {"component 0", "component 1"}),
        (None, two + 3, {"class 3", "class 4"}),
        (one, two, {"class 0", "class 1"}),
        (two, two, {"component 0, class 0", "component 1, class 1"}),
        (one, one, set()),
        (np.arange(30), None, set()),  # too many to distinguish
    ]
    for labels, true, expected in cases:
        traces = interactive.data(X, labels, true=true).data
        assert {trace.name for trace in traces if trace.showlegend} == expected
    assert not any(trace.showlegend for trace in interactive.data(X, two, legend=False).data)


def test_the_colour_of_a_sample_is_weighted_by_its_responsibilities():
    X = samples()
    r = np.random.default_rng(2).dirichlet([0.5, 0.5, 0.5], size=30)
    (trace,) = as_json(interactive.soft_assignment(X, r))["data"]
    numbers, error = nearest(X, points(trace))
    assert error < 1e-3
    assert numbers.tolist() == list(range(30))
    expected = r @ [to_rgb(plots.colour(k)) for k in range(3)]
    drawn = [to_rgb(colour) for colour in trace["marker"]["color"]]
    np.testing.assert_allclose(drawn, expected, atol=0.5 / 255 + 1e-9)


@pytest.mark.parametrize("n", [interactive.MAX_SAMPLES, interactive.MAX_SAMPLES + 1, 20_000])
def test_a_fixed_subset_of_many_samples_is_drawn_and_the_figure_states_its_size(n):
    X = samples(n)
    labels = np.arange(n) % 2  # every second sample alone would have one label
    hard, soft = interactive.data(X, labels), interactive.soft_assignment(X, np.eye(2)[labels])
    sizes = [len(trace.x) for trace in hard.data]
    assert sum(sizes) == len(soft.data[0].x) == interactive.MAX_SAMPLES
    assert min(sizes) > 0.4 * interactive.MAX_SAMPLES
    drawn = np.vstack([points(trace) for trace in as_json(hard)["data"]])
    assert {tuple(p) for p in drawn} == {tuple(p) for p in points(as_json(soft)["data"][0])}
    notes = [note.text for note in hard.layout.annotations]
    assert notes == (
        [] if n == interactive.MAX_SAMPLES else [f"{interactive.MAX_SAMPLES} of {n} samples"]
    )
    assert as_json(interactive.data(X, labels)) == as_json(hard)


# ---- ellipsoids --------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "sigma"), [(0, 2), (1, 0.5)])
def test_points_on_an_ellipsoid_have_its_mahalanobis_distance(seed, sigma):
    mixture = tilted(d=3, k=3, seed=seed)
    traces = as_json(interactive.ellipsoids(mixture, sigma=sigma))["data"]
    assert len(traces) == 3
    for k, trace in enumerate(traces):
        drawn = points(trace)
        drawn = drawn[~np.isnan(drawn).any(axis=1)]
        scale = np.sqrt(np.linalg.eigvalsh(mixture.covariances[k])[0])
        away = distances(drawn, mixture.means[k], mixture.covariances[k])
        rounding = 1e-4 * np.ptp(drawn, axis=0).max() / scale
        np.testing.assert_allclose(away, sigma, atol=rounding)
        middle = (drawn.max(axis=0) + drawn.min(axis=0)) / 2  # on all sides of the mean
        size = sigma * np.sqrt(np.diag(mixture.covariances[k]))
        assert np.all(np.abs(middle - mixture.means[k]) < 0.1 * size)


def test_every_line_is_one_of_the_static_figure():
    mixture = tilted(d=3)
    lines = plots.ellipsoids(mixture).collections
    for trace, collection in zip(
        as_json(interactive.ellipsoids(mixture))["data"], lines, strict=True
    ):
        drawn = points(trace)
        wires = np.split(drawn, np.flatnonzero(np.isnan(drawn[:, 0])))
        wires = [wire[~np.isnan(wire[:, 0])] for wire in wires]
        expected = [np.asarray(line) for line in collection._segments3d]
        for wire in wires:
            assert any(
                len(line) == len(wire) and np.allclose(line, wire, atol=2e-3) for line in expected
            )
        assert {len(wire) for wire in wires} == {9, 17}


def test_rotating_the_mixture_rotates_the_ellipsoid():
    """The signs of eigenvectors are arbitrary, so compare the ends of the axes and distances."""
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    covariance = np.diag([1.0, 4.0, 9.0])
    (plain,) = as_json(interactive.ellipsoids(means=[[1, 2, 3]], covariances=[covariance]))["data"]
    (rotated,) = as_json(
        interactive.ellipsoids(
            means=[rotation @ [1, 2, 3]], covariances=[rotation @ covariance @ rotation.T]
        )
    )["data"]
    plain, rotated = points(plain) @ rotation.T, points(rotated)
    plain, rotated = (p[~np.isnan(p[:, 0])] for p in (plain, rotated))
    centre = rotation @ [1, 2, 3]
    ends = plain[np.argsort(np.linalg.norm(plain - centre, axis=1))[-1]]
    assert np.linalg.norm(rotated - ends, axis=1).min() < 1e-2
    sizes = [np.sort(np.linalg.norm(p - centre, axis=1)) for p in (plain, rotated)]
    np.testing.assert_allclose(*sizes, atol=1e-2)


def test_a_singular_covariance_is_a_flat_ellipsoid():
    (trace,) = as_json(interactive.ellipsoids(means=[[0, 0, 7]], covariances=[np.diag([1, 4, 0])]))[
        "data"
    ]
    drawn = points(trace)
    np.testing.assert_allclose(drawn[~np.isnan(drawn[:, 2]), 2], 7)


def test_fitted_ellipsoids_are_dashed_in_colour_and_true_ones_solid_black():
    mixture = tilted(d=3)
    plain = {"means": mixture.means, "covariances": mixture.covariances}
    figure = interactive.ellipsoids(mixture, order=[4, 1])
    assert interactive.ellipsoids(**plain, kind="true", figure=figure) is figure
    styles = [(to_rgb(trace.line.color), trace.line.dash) for trace in figure.data]
    colours = [to_rgb(to_hex(plots.colour(k))) for k in (4, 1)]
    assert styles == [(colours[0], "dash"), (colours[1], "dash")] + 2 * [(to_rgb("black"), "solid")]
    names = [trace.name for trace in figure.data if trace.showlegend]
    assert names == ["fitted, 2 σ", "true, 2 σ"]
    assert all(trace.legendgroup == trace.name for trace in figure.data)
    assert not any(trace.connectgaps for trace in figure.data)  # lines are not joined


# ---- the scene ---------------------------------------------------------------------------


def test_the_axes_have_the_same_scale_and_contain_all_that_is_drawn():
    mixture = tilted(d=3, k=3)
    figure = interactive.data(samples(), features=["a (mm)", "b (g)", "c (s)"])
    interactive.ellipsoids(mixture, figure=figure)
    scene = as_json(figure)["layout"]["scene"]
    assert scene["aspectmode"] == "manual"
    assert scene["camera"]["projection"] == {"type": "orthographic"}
    ranges = np.array([scene[f"{axis}axis"]["range"] for axis in "xyz"])
    scale = [scene["aspectratio"][axis] for axis in "xyz"] / np.ptp(ranges, axis=1)
    np.testing.assert_allclose(scale, scale[0])
    drawn = np.vstack([points(trace) for trace in as_json(figure)["data"]])
    assert np.all(np.nanmin(drawn, axis=0) > ranges[:, 0])
    assert np.all(np.nanmax(drawn, axis=0) < ranges[:, 1])
    titles = [scene[f"{axis}axis"]["title"]["text"] for axis in "xyz"]
    assert titles == ["a (mm)", "b (g)", "c (s)"]


def test_axes_without_features_are_numbered():
    for figure in (interactive.data(samples()), interactive.ellipsoids(tilted(d=3))):
        titles = [figure.layout.scene[f"{axis}axis"].title.text for axis in "xyz"]
        assert titles == ["x1", "x2", "x3"]


@pytest.mark.parametrize("direction", [[1, 2, 3], [0, 0, -2], [1e-200, 0, 0], [3e200, 0, 1e200]])
def test_the_eye_is_in_the_given_direction(direction):
    figure = interactive.data(samples())
    assert interactive.look_along(figure, direction) is figure
    camera = figure.layout.scene.camera
    eye = np.array([camera.eye.x, camera.eye.y, camera.eye.z])
    unit = np.array(direction) / np.abs(direction).max()
    np.testing.assert_allclose(eye / np.linalg.norm(eye), unit / np.linalg.norm(unit), atol=1e-3)
    up = [camera.up.x, camera.up.y, camera.up.z]
    assert np.linalg.norm(np.cross(eye, up)) > 0.1  # the direction up is defined
    assert camera.projection.type == "orthographic"


@pytest.mark.parametrize(
    ("scale", "offset"), [(1e-200, 0.0), (1e-6, 1e3), (1.0, 1e9), (1e6, 0.0), (1e200, 1e3)]
)
def test_coordinates_are_rounded_to_a_ten_thousandth_of_their_range(scale, offset):
    X = scale * (samples() + offset)
    (trace,) = as_json(interactive.data(X))["data"]
    extent = np.ptp(X, axis=0).max()
    error = np.abs(points(trace) - X).max()
    assert error <= 1e-4 * extent


def test_a_single_sample_at_the_origin_can_be_drawn():
    figure = interactive.data(np.zeros((1, 3)))
    assert np.all(np.isfinite([figure.layout.scene.aspectratio[axis] for axis in "xyz"]))


# ---- in the notebook ---------------------------------------------------------------------


def full_scene(n=300, k=3):
    X = samples(n)
    mixture = tilted(d=3, k=k)
    figure = interactive.soft_assignment(X, mixture.responsibilities(X))
    interactive.ellipsoids(
        means=mixture.means, covariances=mixture.covariances, kind="true", figure=figure
    )
    return interactive.ellipsoids(mixture, figure=figure)


def test_a_figure_is_small_and_has_no_template():
    figure = as_json(full_scene())
    assert len(json.dumps(figure, indent=1)) < 60_000
    assert len(json.dumps(figure["layout"])) < 2_000
    assert len(json.dumps(as_json(full_scene(20_000)), indent=1)) < 60_000


def test_the_same_figure_has_the_same_bytes_in_another_process():
    code = "import test_interactive as t, json; print(json.dumps(t.as_json(t.full_scene())))"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = ['tests', 'tests/plots']; {code}"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == json.dumps(as_json(full_scene())) + "\n"


def test_show_displays_the_interactive_and_the_static_figure_in_one_output(shown):
    figure = interactive.data(X3)
    plots.show(plots.data(X3), alt="Five points.", interactive=figure)
    (((bundle,), options),) = shown
    assert list(bundle) == [plots.PLOTLY_MIME_TYPE, "image/png", "text/plain"]
    assert options == {"metadata": {"image/png": {"alt": "Five points."}}, "raw": True}
    content = json.loads(json.dumps(bundle["application/vnd.plotly.v1+json"]))
    config = content.pop("config")
    assert content == as_json(figure)
    assert set(content) == {"data", "layout"}
    assert "http" not in json.dumps([content, config])
    for switch in ("displaylogo", "showSendToCloud"):  # they lead to another host
        assert config[switch] is False
    assert config["plotlyServerURL"] == ""


# ---- errors ------------------------------------------------------------------------------

INVALID = {
    "data: two features": (
        lambda: interactive.data(X2),
        ValueError,
        "X must have three features .* got 2",
    ),
    "data: figure": (
        lambda: interactive.data(X3, figure=plt.figure()),
        TypeError,
        "figure must be a plotly Figure; got Figure",
    ),
    "ellipsoids: kind": (
        lambda: interactive.ellipsoids(tilted(d=3), kind="dashed"),
        ValueError,
        "kind must be one of 'true', 'fitted'; got 'dashed'",
    ),
    "ellipsoids: sigma": (
        lambda: interactive.ellipsoids(tilted(d=3), sigma=0),
        ValueError,
        "sigma must be",
    ),
    "look_along: zero": (
        lambda: interactive.look_along(interactive.data(X3), [0, 0, 0]),
        ValueError,
        "direction must be three numbers that are not all 0; got",
    ),
    "look_along: two numbers": (
        lambda: interactive.look_along(interactive.data(X3), [1, 0]),
        ValueError,
        "direction must be three numbers",
    ),
    "look_along: figure": (
        lambda: interactive.look_along(plt.figure(), [1, 0, 0]),
        TypeError,
        "figure must be a plotly Figure",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_raise(case):
    call, error, message = INVALID[case]
    with pytest.raises(error, match=message):
        call()
