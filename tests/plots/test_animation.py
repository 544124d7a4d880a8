"""The frames of an animation are those of the fit, and a reader can play it."""

import base64
import io
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from gmmlab import datasets, fit, plots, start
from gmmlab.plots import animation
from gmmlab.workbook.html import to_html

ALT = "Two clouds and their ellipses."


def problem(n_samples=60, d=2, **options):
    """Return a fit, its samples and its path."""
    rng = np.random.default_rng(3)
    X = np.vstack([rng.normal(size=(n_samples // 2, d)), rng.normal(2, 1, (n_samples // 2, d))])
    path = []
    settings = {"max_iter": 6, "tol": 0.0} | options
    begin = start.random_points(X, 2, rng)
    result = fit(X, begin, callback=lambda i, mixture, total: path.append(mixture), **settings)
    return result, X, path


def animated(**options):
    return animation.animate(*problem(**options))


def map_to_drawing(moving, X):
    """Return the affine map from two features to the drawing, found from the samples' circles."""
    parsed = BeautifulSoup(moving.drawing, "html.parser")
    circles = [[float(c["cx"]), float(c["cy"])] for c in parsed.select(".samples circle")]
    order = np.random.default_rng(0).permutation(len(X))[: animation.MAX_SAMPLES]
    known = np.column_stack([X[order], np.ones(len(order))])
    solved, residual, *_ = np.linalg.lstsq(known, np.array(circles), rcond=None)
    assert residual.max() < 0.1**2 * len(X)  # coordinates are rounded to a tenth
    return solved


# ---- the frames --------------------------------------------------------------------------


def test_each_iteration_is_an_m_step_and_then_an_e_step():
    """An M-step changes only the components, and an E-step only the colours."""
    frames = animated().frames
    pairs = [(frame.colours, frame.components) for frame in frames]
    assert pairs == [(0, 0)] + [pair for i in range(1, 7) for pair in ((i - 1, i), (i, i))]
    assert ["M-step" in frame.text for frame in frames] == [False] + 6 * [True, False]


def test_the_dot_is_at_the_elbo_of_each_frame():
    """The height of the dot is an affine function of the ELBO, which the text states."""
    result, X, path = problem()
    frames = animation.animate(result, X, path).frames
    elbos = np.array([result.trace["elbo_m_step"], result.trace["log_likelihood"]]).T.ravel()[1:]
    heights = np.array([frame.y for frame in frames])
    slope, offset = np.polyfit(elbos, heights, 1)
    assert slope < 0  # y increases downwards
    np.testing.assert_allclose(heights, slope * elbos + offset, atol=0.11)
    last_words = [frame.text.split()[-1].rstrip(".").replace("−", "-") for frame in frames]
    np.testing.assert_allclose([float(word) for word in last_words], elbos, atol=0.0051)


@pytest.mark.parametrize("d", [2, 3])
def test_each_ellipse_is_that_of_its_covariance(d):
    """A matrix M maps the unit circle to {x : (x − μ)ᵀ Σ⁻¹ (x − μ) = 1}."""
    result, X, path = problem(d=d)
    moving = animation.animate(result, X, path)
    to_drawing = map_to_drawing(moving, X[:, :2])
    linear, shift = to_drawing[:2].T, to_drawing[2]
    for mixture, matrices in zip(path, moving.components, strict=True):
        for k, (a, b, c, e, x, y) in enumerate(matrices):
            M = np.array([[a, c], [b, e]])
            covariance = linear @ mixture.covariances[k][:2, :2] @ linear.T
            np.testing.assert_allclose(M @ M.T, covariance, rtol=0.01, atol=0.5)
            centre = linear @ mixture.means[k][:2] + shift
            np.testing.assert_allclose([x, y], centre, atol=0.1)


def test_colours_are_weighted_by_responsibilities_given_all_features():
    """Colours have sixteen levels."""
    result, X, path = problem(d=3)
    moving = animation.animate(result, X, path)
    palette = np.array([plt.matplotlib.colors.to_rgb(plots.colour(k)) for k in range(2)])
    order = np.random.default_rng(0).permutation(len(X))
    for mixture, colours in zip(path, moving.colours, strict=True):
        shades = np.array([int(digit, 16) for digit in colours]).reshape(-1, 3) / 15
        blended = mixture.responsibilities(X[order]) @ palette
        np.testing.assert_allclose(shades, blended, atol=0.5 / 15 + 1e-9)


def test_an_animation_of_many_samples_and_iterations_is_small_and_states_the_number_of_samples():
    result, X, path = problem(n_samples=2000, max_iter=200)
    moving = animation.animate(result, X, path)
    assert len(moving.colours) == animation.MAX_ITERATIONS
    assert {len(colours) for colours in moving.colours} == {3 * animation.MAX_SAMPLES}
    assert f"iteration {result.n_iter}," in moving.frames[-1].text.lower()
    numbers = [0 if "Start" in f.text else int(f.text.split()[1][:-1]) for f in moving.frames]
    for frame, before, number in zip(moving.frames[1:], numbers, numbers[1:], strict=False):
        # an M-step is shown only after the iteration before it
        assert "E-step" in frame.text or number == before + 1
    assert len(moving.html(b"", ALT)) < 300_000
    assert f"{animation.MAX_SAMPLES} of 2000 samples" in moving.drawing


def test_an_animation_has_the_same_bytes_each_time():
    first, second = (animated().html(b"still", ALT) for _ in range(2))
    assert first == second


def test_animating_closes_its_figure_and_keeps_only_ids_that_are_referenced():
    before = plt.get_fignums()
    drawing = animated().drawing
    assert plt.get_fignums() == before
    ids = re.findall(r' id="([^"]+)"', drawing)
    assert ids
    assert all(f"#{each}" in drawing for each in ids)


def test_a_fit_without_iterations_has_one_frame_and_one_still():
    result, X, path = problem(max_iter=0)
    moving = animation.animate(result, X, path)
    assert [frame.text.split(",")[0] for frame in moving.frames] == ["Start"]
    assert still_titles(animation.stills(X, path)) == ["iteration 0"]


def test_an_iteration_of_unknown_elbo_has_no_m_step():
    """An accelerated iteration is not an M-step."""
    rng = np.random.default_rng(0)
    X, path = datasets.four_blobs(300, rng=rng).X, []
    begin = start.random_responsibilities(X, 4, rng)
    result = fit(
        X, begin, accelerate=True, tol=1e-9, callback=lambda i, mixture, total: path.append(mixture)
    )
    unknown = int(np.isnan(result.trace["elbo_m_step"][1:]).sum())
    assert unknown > 0
    frames = animation.animate(result, X, path).frames
    assert len(frames) == 2 * len(path) - 1 - unknown
    assert "nan" not in json.dumps(frames).lower()


# ---- stills ------------------------------------------------------------------------------


def still_titles(figure):
    plt.close(figure)
    return [ax.get_title() for ax in figure.axes if ax.axison]


@pytest.mark.parametrize(
    ("max_iter", "iterations"),
    [(6, [0, 1, 2, 3, 4, 5, 6]), (40, [0, 1, 2, 3, 12, 22, 31, 40])],
)
def test_stills_are_of_the_first_iterations_the_last_and_some_between(max_iter, iterations):
    _, X, path = problem(max_iter=max_iter)
    titles = still_titles(animation.stills(X, path))
    assert titles == [f"iteration {i}" for i in iterations if i < len(path)]


def test_stills_are_of_the_given_iterations_and_columns():
    _, X, path = problem(d=3)
    figure = animation.stills(X, path, iterations=[0, 5], columns=(2, 0), features=("a", "b"))
    assert still_titles(figure) == ["iteration 0", "iteration 5"]
    assert len(figure.axes) == 2
    drawn = np.array(figure.axes[0].collections[0].get_offsets())
    assert {tuple(row) for row in drawn} == {tuple(row) for row in X[:, [2, 0]]}
    for ax, i in zip(figure.axes, (0, 5), strict=True):
        centres = [ellipse.center for ellipse in ax.patches]
        np.testing.assert_allclose(centres, path[i].means[:, [2, 0]])


# ---- errors ------------------------------------------------------------------------------

INVALID = {
    "result": (lambda r, X, p: animation.animate(X, X, p), TypeError, "result must be|fit must be"),
    "short path": (
        lambda r, X, p: animation.animate(r, X, p[1:]),
        ValueError,
        r"one mixture for each row of the trace of result \(7\), .* got 6",
    ),
    "empty path": (
        lambda r, X, p: animation.animate(r, X, []),
        ValueError,
        "path must contain mixtures of 2 features",
    ),
    "no mixtures": (lambda r, X, p: animation.animate(r, X, [1]), TypeError, "path must be"),
    "other features": (
        lambda r, X, p: animation.animate(r, X[:, :1], p),
        ValueError,
        "path must contain mixtures of 1 features",
    ),
    "columns": (
        lambda r, X, p: animation.animate(r, X, p, columns=(0, 2)),
        ValueError,
        "columns must be two",
    ),
    "equal columns": (
        lambda r, X, p: animation.stills(X, p, columns=(1, 1)),
        ValueError,
        "columns must be two",
    ),
    "iterations": (
        lambda r, X, p: animation.stills(X, p, iterations=[7]),
        ValueError,
        "iterations must be",
    ),
    "no iterations": (
        lambda r, X, p: animation.stills(X, p, iterations=[]),
        ValueError,
        "iterations must contain at least one",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_raise_and_leave_no_figure_open(case):
    call, error, message = INVALID[case]
    before = plt.get_fignums()
    with pytest.raises(error, match=message):
        call(*problem())
    assert plt.get_fignums() == before


# ---- in a notebook and on a page ---------------------------------------------------------


def test_show_displays_the_animation_and_its_stills_in_one_output(shown):
    result, X, path = problem()
    moving = animation.animate(result, X, path)
    plots.show(animation.stills(X, path), alt='1 < 2 "clouds"', animation=moving)
    (((bundle,), options),) = shown
    assert list(bundle) == ["image/png", "text/html", "text/plain"]
    assert options["metadata"] == {"image/png": {"alt": '1 < 2 "clouds"'}}
    parsed = BeautifulSoup(bundle["text/html"], "html.parser")
    assert parsed.img["alt"] == '1 < 2 "clouds"'
    assert base64.b64decode(parsed.img["src"].split(",")[1]) == bundle["image/png"]
    assert json.loads(parsed.script.string)["frames"]


def page_with_animations(n=2):
    file = io.BytesIO()
    Image.new("RGB", (40, 20), "teal").save(file, "PNG")
    html = animated().html(file.getvalue(), ALT)
    output = nbformat.v4.new_output("display_data", data={"text/html": html})
    cell = nbformat.v4.new_code_cell("1", outputs=[output] * n)
    return to_html(nbformat.v4.new_notebook(cells=[cell]), title="Animations")


@pytest.fixture
def visit(chromium, tmp_path):
    """Open a page with two animations; it must make no request and log nothing."""
    (tmp_path / "page.html").write_text(page_with_animations(), "utf-8")
    problems, contexts = [], []

    def open_page(**options):
        context = chromium.new_context(viewport={"width": 420, "height": 700}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or problems.append(r.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.goto((tmp_path / "page.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def state(figure):
    """Return what a reader sees of an animation."""
    return figure.evaluate(
        """f => ({
          text: f.querySelector("p").textContent,
          colours: [...f.querySelectorAll(".samples circle")].map(c => c.getAttribute("fill")),
          places: [...f.querySelectorAll(".components g")].map(g => g.getAttribute("transform")),
          height: f.querySelector(".now").getAttribute("cy"),
          slider: f.querySelector("input").value,
        })"""
    )


def test_a_reader_can_step_play_and_drag(visit):
    page = visit()
    figure, other = page.locator("figure.gmmlab-animation").all()
    untouched, begin = state(other), state(figure)
    assert begin["text"].startswith("Start")

    page.get_by_role("button", name="Next step").first.click()
    m_step = state(figure)
    assert (m_step["colours"], m_step["slider"]) == (begin["colours"], "1")
    assert m_step["places"] != begin["places"]
    page.get_by_role("button", name="Next step").first.press("Enter")
    e_step = state(figure)
    assert e_step["places"] == m_step["places"]
    assert e_step["colours"] != m_step["colours"]
    assert float(e_step["height"]) <= float(m_step["height"]) <= float(begin["height"])
    page.get_by_role("button", name="Previous step").first.press("Space")
    assert state(figure) == m_step

    slider = page.get_by_role("slider", name="Step").first
    slider.press("End")
    end = state(figure)
    assert end["text"].startswith("Iteration 6, E-step")
    assert slider.get_attribute("aria-valuetext") == end["text"]
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"], box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert state(figure) == begin

    page.get_by_role("button", name="Play").first.click()
    page.get_by_role("button", name="Pause").click()
    slider.press("End")
    slider.press("ArrowLeft")
    page.get_by_role("button", name="Play").first.click()  # it stops at the end
    page.wait_for_function("document.querySelector('.gmmlab-animation input').value === '12'")
    figure.get_by_role("button", name="Play").wait_for()
    assert state(figure) == end
    assert state(other) == untouched


def test_an_animation_fits_on_a_phone(visit):
    page = visit()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    drawing = page.get_by_role("img", name=ALT).locator("visible=true").first
    assert 300 < drawing.bounding_box()["width"] <= 420


def test_readers_see_the_stills_in_print_and_without_scripts(visit):
    page = visit()
    still, player = page.locator("figure > img").first, page.locator(".player").first
    assert not still.is_visible()
    assert player.is_visible()
    page.emulate_media(media="print")
    assert still.is_visible()
    assert not player.is_visible()
    page = visit(java_script_enabled=False)
    assert [still.is_visible() for still in page.locator("figure > img").all()] == [True, True]
    assert page.locator("button, input[type=range]").count() == 0


def test_the_page_of_a_notebook_with_an_animation_is_small():
    path = Path(__file__).parent.parent.parent / "notebooks" / "02-full-em.ipynb"
    page = to_html(nbformat.read(path, as_version=4), title="02")
    assert page.count('<script type="application/json">{"drawing"') == 1
    assert len(page) < 1_500_000


def test_text_cannot_close_the_script_of_an_animation():
    frame = animation.Frame(0, 0, 0.0, 0.0, "</script><b>x")
    moving = animation.Animation("<svg></svg>", colours=[""], components=[[]], frames=[frame])
    parsed = BeautifulSoup(moving.html(b"", "</script><b>y"), "html.parser")
    assert len(parsed.find_all("script")) == 2
    assert parsed.b is None
    assert json.loads(parsed.script.string)["frames"][0][-1] == frame.text
