"""EM as a film: its scenes are those of the fit, and a reader can play it."""

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

from gmmlab import Full, Mixture, datasets, fit, plots, start
from gmmlab.plots import animation as player
from gmmlab.plots._film import Film
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


def film_of(**options):
    return player.film(*problem(**options))


def unit_of(ax_film):
    """Return the affine map from the data to the drawing, found from the circles of samples."""
    result, X, path = ax_film
    film = player.film(result, X, path)
    parsed = BeautifulSoup(film.drawing, "html.parser")
    circles = [[float(c["cx"]), float(c["cy"])] for c in parsed.select(".samples circle")]
    order = np.random.default_rng(0).permutation(len(X))[: player.MOST_SAMPLES]
    known = np.column_stack([X[order], np.ones(len(order))])
    solved, residual, *_ = np.linalg.lstsq(known, np.array(circles), rcond=None)
    assert residual.max() < 0.1**2 * len(X)  # coordinates are rounded to a tenth
    return film, solved


# ---- what it shows -----------------------------------------------------------------------


def test_each_iteration_is_an_m_step_and_then_an_e_step():
    """An M-step moves the components alone, an E-step the colours alone."""
    film = film_of()
    pairs = [(scene.colours, scene.components) for scene in film.scenes]
    assert pairs == [(0, 0)] + [pair for i in range(1, 7) for pair in ((i - 1, i), (i, i))]
    assert ["M-step" in scene.text for scene in film.scenes] == [False] + 6 * [True, False]


def test_the_dot_climbs_to_each_bound():
    """Its height is an affine map of the bound, which never falls; E-steps end on the trace."""
    result, X, path = problem()
    film = player.film(result, X, path)
    bounds = np.array([result.trace["elbo_m_step"], result.trace["log_likelihood"]]).T.ravel()[1:]
    heights = np.array([scene.y for scene in film.scenes])
    slope, offset = np.polyfit(bounds, heights, 1)
    assert slope < 0  # y grows downwards
    np.testing.assert_allclose(heights, slope * bounds + offset, atol=0.11)
    said = [float(re.search(r"−?[\d.]+\d", scene.text.split()[-1])[0].replace("−", "-"))
            for scene in film.scenes]  # fmt: skip
    np.testing.assert_allclose(said, bounds, atol=0.0051)


@pytest.mark.parametrize("d", [2, 3])
def test_each_ellipse_is_that_of_its_covariance(d):
    """A matrix M of the film takes the unit circle to {x : (x − μ)ᵀ Σ⁻¹ (x − μ) = 1}."""
    result, X, path = problem(d=d)
    film, to_drawing = unit_of((result, X[:, :2], [m.marginal([0, 1]) for m in path]))
    film = player.film(result, X, path) if d > 2 else film
    linear, shift = to_drawing[:2].T, to_drawing[2]
    for mixture, matrices in zip(path, film.components, strict=True):
        for k, (a, b, c, e, x, y) in enumerate(matrices):
            M = np.array([[a, c], [b, e]])
            covariance = linear @ mixture.covariances[k][:2, :2] @ linear.T
            np.testing.assert_allclose(M @ M.T, covariance, rtol=0.01, atol=0.5)
            centre = linear @ mixture.means[k][:2] + shift
            np.testing.assert_allclose([x, y], centre, atol=0.1)


def test_each_colour_is_the_blend_of_the_components_colours():
    """By responsibilities given all features, to half of a sixteenth of a shade."""
    result, X, path = problem(d=3)
    film = player.film(result, X, path)
    palette = np.array([plt.matplotlib.colors.to_rgb(plots.colour(k)) for k in range(2)])
    order = np.random.default_rng(0).permutation(len(X))
    for mixture, colours in zip(path, film.colours, strict=True):
        shades = np.array([int(digit, 16) for digit in colours]).reshape(-1, 3) / 15
        blended = mixture.responsibilities(X[order]) @ palette
        np.testing.assert_allclose(shades, blended, atol=0.5 / 15 + 1e-9)


def test_a_film_stays_small_and_says_what_it_leaves_out():
    result, X, path = problem(n_samples=2000, max_iter=200)
    film = player.film(result, X, path)
    assert len(film.colours) == player.MOST_ITERATIONS
    assert {len(colours) for colours in film.colours} == {3 * player.MOST_SAMPLES}
    assert f"iteration {result.n_iter}," in film.scenes[-1].text.lower()
    # half-way scenes only where the colours before are there too
    assert all(0 <= s.components - s.colours <= 1 for s in film.scenes)
    assert len(film.html(b"", ALT)) < 300_000
    assert f"{player.MOST_SAMPLES} of 2000 samples" in film.drawing


def test_a_film_has_the_same_bytes_each_time():
    first, second = (film_of().html(b"still", ALT) for _ in range(2))
    assert first == second


def test_making_a_film_leaves_no_figure_open_and_no_name_that_nothing_refers_to():
    before = plt.get_fignums()
    drawing = film_of().drawing
    assert plt.get_fignums() == before
    names = re.findall(r' id="([^"]+)"', drawing)
    assert names
    assert all(f"#{name}" in drawing for name in names)


def test_a_fit_of_no_iterations_has_one_scene():
    film = film_of(max_iter=0)
    assert [scene.text.split(",")[0] for scene in film.scenes] == ["Start"]


def test_other_paths_of_em_can_be_played():
    """With the bound of a step unknown, there is no scene half-way."""
    rng = np.random.default_rng(0)
    X, path = datasets.four_blobs(300, rng=rng).X, []
    begin = start.random_responsibilities(X, 4, rng)
    result = fit(
        X, begin, accelerate=True, tol=1e-9, callback=lambda i, mixture, total: path.append(mixture)
    )
    unknown = int(np.isnan(result.trace["elbo_m_step"][1:]).sum())
    assert unknown > 0
    film = player.film(result, X, path)
    assert len(film.scenes) == 2 * len(path) - 1 - unknown
    assert "nan" not in json.dumps(film.scenes).lower()


# ---- stills ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "titles"),
    [
        ({"max_iter": 6}, [0, 1, 2, 3, 4, 5, 6]),
        ({"max_iter": 40}, [0, 1, 2, 3, 12, 22, 31, 40]),
        ({"max_iter": 0}, [0]),
    ],
)
def test_stills_are_the_start_the_end_and_some_between(options, titles):
    _, X, path = problem(**options)
    figure = player.stills(X, path)
    shown = [ax.get_title() for ax in figure.axes if ax.axison]
    plt.close(figure)
    assert shown == [f"iteration {i}" for i in titles if i < len(path)]


def test_stills_of_iterations_asked_for():
    _, X, path = problem(d=3)
    figure = player.stills(X, path, iterations=[0, 5], columns=(2, 0), features=("a", "b"))
    first = figure.axes[0]
    plt.close(figure)
    assert len(figure.axes) == 2
    drawn = np.array(first.collections[0].get_offsets())
    assert {tuple(row) for row in drawn} == {tuple(row) for row in X[:, [2, 0]]}


# ---- errors ------------------------------------------------------------------------------

WRONG = {
    "no fit": (lambda r, X, p: player.film(X, X, p), TypeError, "result must be|fit must be"),
    "a path too short": (
        lambda r, X, p: player.film(r, X, p[1:]), ValueError, r"for each row of the trace .*\(7\)",
    ),
    "no path": (lambda r, X, p: player.film(r, X, []), ValueError, "path must be mixtures of 2"),
    "no mixtures": (lambda r, X, p: player.film(r, X, [1]), TypeError, "path must be"),
    "other features": (lambda r, X, p: player.film(r, X[:, :1], p), ValueError, "path must be mix"),
    "columns": (
        lambda r, X, p: player.film(r, X, p, columns=(0, 2)), ValueError, "columns must be two",
    ),
    "one column": (
        lambda r, X, p: player.stills(X, p, columns=(1, 1)), ValueError, "columns must be two",
    ),
    "iterations": (
        lambda r, X, p: player.stills(X, p, iterations=[7]), ValueError, "iterations must be",
    ),
    "none": (
        lambda r, X, p: player.stills(X, p, iterations=[]), ValueError, "iterations must be",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_shown_is_refused(name):
    call, error, message = WRONG[name]
    before = plt.get_fignums()
    with pytest.raises(error, match=message):
        call(*problem())
    assert plt.get_fignums() == before


@pytest.mark.parametrize("playing", ["film", Film, b"<p>"])
def test_show_plays_films_only(shown, playing):
    with pytest.raises(TypeError, match="playing must be a Film, from"):
        plots.show(plt.figure(), alt=ALT, playing=playing)
    assert shown == []


# ---- in a notebook, and on a page --------------------------------------------------------


def test_show_puts_the_film_and_its_stills_into_one_output(shown):
    result, X, path = problem()
    plots.show(player.stills(X, path), alt='1 < 2 "clouds"', playing=player.film(result, X, path))
    (((bundle,), options),) = shown
    assert list(bundle) == ["image/png", "text/html", "text/plain"]
    assert options["metadata"] == {"image/png": {"alt": '1 < 2 "clouds"'}}
    parsed = BeautifulSoup(bundle["text/html"], "html.parser")
    assert parsed.img["alt"] == '1 < 2 "clouds"'
    assert base64.b64decode(parsed.img["src"].split(",")[1]) == bundle["image/png"]
    assert json.loads(parsed.script.string)["scenes"]


def page_with_films(n=2):
    file = io.BytesIO()
    Image.new("RGB", (40, 20), "teal").save(file, "PNG")
    html = film_of().html(file.getvalue(), ALT)
    output = nbformat.v4.new_output("display_data", data={"text/html": html})
    cell = nbformat.v4.new_code_cell("1", outputs=[output] * n)
    return to_html(nbformat.v4.new_notebook(cells=[cell]), title="Films")


@pytest.fixture
def visit(chromium, tmp_path):
    """Open a page with two films and no network; nothing may go wrong."""
    (tmp_path / "films.html").write_text(page_with_films(), "utf-8")
    wrong, contexts = [], []

    def open_page(**options):
        context = chromium.new_context(viewport={"width": 420, "height": 700}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or wrong.append(r.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.goto((tmp_path / "films.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def state(film):
    """Return what a reader sees of a film."""
    return film.evaluate(
        """f => ({
          words: f.querySelector("p").textContent,
          colours: [...f.querySelectorAll(".samples circle")].map(c => c.getAttribute("fill")),
          places: [...f.querySelectorAll(".components g")].map(g => g.getAttribute("transform")),
          height: f.querySelector(".now").getAttribute("cy"),
          slider: f.querySelector("input").value,
        })"""
    )


def test_a_reader_steps_plays_and_drags(visit):
    page = visit()
    film, other = page.locator("figure.film").all()
    untouched, begin = state(other), state(film)
    assert begin["words"].startswith("Start")

    page.get_by_role("button", name="One step on").first.click()
    m_step = state(film)
    assert (m_step["colours"], m_step["slider"]) == (begin["colours"], "1")
    assert m_step["places"] != begin["places"]
    page.get_by_role("button", name="One step on").first.press("Enter")
    e_step = state(film)
    assert e_step["places"] == m_step["places"]
    assert e_step["colours"] != m_step["colours"]
    assert float(e_step["height"]) <= float(m_step["height"]) <= float(begin["height"])
    page.get_by_role("button", name="One step back").first.press("Space")
    assert state(film) == m_step

    slider = page.get_by_role("slider", name="Step").first
    slider.press("End")
    end = state(film)
    assert end["words"].startswith("Iteration 6, E-step")
    assert slider.get_attribute("aria-valuetext") == end["words"]
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"], box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert state(film) == begin

    page.get_by_role("button", name="Play").first.click()
    page.get_by_role("button", name="Pause").click()
    slider.press("End")
    slider.press("ArrowLeft")
    page.get_by_role("button", name="Play").first.click()  # to the end, and there it stops
    page.wait_for_function("document.querySelector('figure.film input').value === '12'")
    page.get_by_role("button", name="Play").first.wait_for()
    assert state(film) == end
    assert state(other) == untouched


def test_a_film_fits_a_phone_and_paper_has_the_stills(visit):
    page = visit()
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
    still, playing = page.locator("figure.film > img").first, page.locator(".player").first
    drawing = page.get_by_role("img", name=ALT).locator("visible=true").first
    assert drawing.bounding_box()["width"] > 300
    assert not still.is_visible()
    page.emulate_media(media="print")
    assert still.is_visible()
    assert not playing.is_visible()


def test_without_scripts_there_are_the_stills(visit):
    page = visit(java_script_enabled=False)
    assert [still.is_visible() for still in page.locator("figure.film > img").all()] == [True, True]
    assert page.locator("button, input[type=range]").count() == 0


def test_the_page_of_a_notebook_with_a_film_stays_small():
    path = Path(__file__).parent.parent.parent / "notebooks" / "02-full-em.ipynb"
    page = to_html(nbformat.read(path, as_version=4), title="02")
    assert page.count('<figure class="film">') == 1
    assert len(page) < 1_500_000


def test_a_film_ends_no_script_whatever_its_words():
    """Text that looks like the end of a script stays inside it."""
    mixture = Mixture([1.0], [[0.0, 0.0]], Full([np.eye(2)]))
    path = []
    X = np.random.default_rng(0).normal(size=(20, 2))
    result = fit(X, mixture, max_iter=1, callback=lambda i, m, total: path.append(m))
    film = player.film(result, X, path, features=("</script><b>x", "y"))
    parsed = BeautifulSoup(film.html(b"", "</script><b>y"), "html.parser")
    assert len(parsed.find_all("script")) == 2
    assert parsed.b is None
