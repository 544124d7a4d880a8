"""The pages in a real browser, with the network off."""

import re
from pathlib import Path

import nbformat
import pytest
from pages import (
    cards,
    code,
    everything,
    example_sweep,
    page_of,
    plotly,
    run,
    shown,
    sweep_table,
    text,
)

from gmmlab.workbook.html import index_page, to_html
from gmmlab.workbook.recording import recorded

NOTEBOOKS = Path(__file__).parent.parent.parent.parent / "notebooks"
#: the texts whose contrast with their background is below 4.5
POOR_CONTRAST = """() => {
  const rgba = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest("svg")) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([ratio.toFixed(2), element.className, text]);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    node = nbformat.read(NOTEBOOKS / "02-full-em.ipynb", as_version=4)
    figures = [plotly(title="Plain"), plotly(kind="scatter3d", width=900, height=400)]
    pages = {
        "everything": to_html(everything(), title="Everything", run=run()),
        "02-full-em": to_html(node, title="02-full-em", run=run(results=recorded(node))),
        "failed": to_html(everything(), title="Failed", run=run(), failure="ValueError: " * 40),
        "index": index_page(cards()),
        "sweep": example_sweep(),
        "plotly": page_of(text("# Figures"), code("1", *figures)),
    }
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    (folder / "first.html").write_text("<title>first</title>")
    return folder


@pytest.fixture
def visit(chromium, folder):
    """Return a function that opens a page with the network off, and check for errors."""
    problems, contexts = [], []

    def guard(route):
        if not route.request.url.startswith(("file:", "data:", "blob:")):
            problems.append(f"request for {route.request.url}")
            route.abort()
        else:
            route.continue_()

    def open_page(name, *, width=1000, before=None, **options):
        context = chromium.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        context.set_offline(True)
        context.route("**/*", guard)
        page = context.new_page()
        page.on("requestfailed", lambda request: problems.append(f"failed: {request.url[:100]}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", lambda m: m.type == "error" and problems.append(f"console: {m.text}"))
        if before:
            page.add_init_script(before)
        page.goto((folder / f"{name}.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.parametrize("name", ["everything", "02-full-em", "index", "sweep"])
def test_images_and_formulas_are_drawn_and_the_page_fits_a_phone(visit, name):
    page = visit(name, width=375)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.evaluate("document.querySelectorAll('[loading]').forEach(i => i.loading = 'eager')")
    page.wait_for_function("[...document.images].every(i => i.complete)")
    images = page.evaluate("[...document.images].map(i => [i.alt, i.naturalWidth])")
    assert all(alt and width for alt, width in images)
    sizes = page.evaluate(
        "[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect())"
        ".map(box => box.width * box.height)"
    )
    assert all(sizes)
    assert bool(sizes) == (name in {"everything", "02-full-em"})


@pytest.mark.parametrize("name", ["failed", "02-full-em", "index", "sweep"])
def test_text_has_enough_contrast_in_light_and_dark_mode(visit, name):
    page = visit(name)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
        assert brightness > 230 if scheme == "light" else brightness < 40
        assert page.evaluate(POOR_CONTRAST) == []
        assert page.evaluate(
            "[...document.querySelectorAll('figure img')].every("
            "i => getComputedStyle(i).backgroundColor === 'rgb(255, 255, 255)')"
        )


@pytest.mark.parametrize("name", ["failed", "sweep"])
def test_print_shows_folded_content_and_cuts_nothing_off(visit, name):
    page = visit(name, width=700)
    page.emulate_media(media="print")
    hidden = page.evaluate(
        "[...document.querySelectorAll('.run details *, .failure *')].filter("
        "e => !e.checkVisibility({contentVisibilityAuto: true})).length"
    )
    assert hidden == 0
    cut = page.evaluate(
        "[...document.querySelectorAll('pre, .failure *')].filter("
        "e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== 'visible')"
        ".length"
    )
    assert cut == 0
    assert not page.locator(".bar, .dt-search").and_(page.locator(":visible")).count()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_switch_hides_the_code_by_keyboard_and_without_scripts(visit, scripts):
    page = visit("everything", java_script_enabled=scripts)
    source, output = page.locator(".source").first, page.locator("pre.output").first
    assert source.is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert not source.is_visible()
    assert output.is_visible()
    page.get_by_label("Show code").check()
    assert source.is_visible()


def test_a_plotly_figure_replaces_its_still_image_on_the_screen(visit):
    page = visit("plotly", width=600)
    page.locator(".plot .main-svg").first.wait_for()
    plot = page.locator(".plot[role=img][aria-label='A parabola']").first
    assert plot.is_visible()
    still = page.locator("figure.plotly > img").first
    assert not still.is_visible()
    page.set_viewport_size({"width": 360, "height": 700})
    page.wait_for_function("document.querySelector('.plot .main-svg').clientWidth < 360")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(media="print")
    assert still.is_visible()
    assert not plot.is_visible()


def test_the_still_image_is_shown_without_scripts(visit):
    page = visit("plotly", java_script_enabled=False)
    assert all(still.is_visible() for still in page.locator("figure.plotly > img").all())
    assert page.locator(".plot").count() == 0


def test_the_still_image_remains_if_webgl_is_missing(visit):
    page = visit("plotly", before="HTMLCanvasElement.prototype.getContext = () => null")
    page.wait_for_function("document.querySelectorAll('figure.drawn').length < 2")
    assert page.locator("figure.plotly > img").last.is_visible()


def test_the_table_of_a_sweep_can_be_sorted_and_searched(visit):
    page = visit("sweep")
    page.get_by_label("Search").wait_for()
    scores = page.locator("table.sweep tbody tr td:nth-child(6)")
    for order in ("ascending", "descending"):
        page.get_by_role("columnheader", name="score").click()
        page.locator(f"th[aria-sort={order}]", has_text="score").wait_for()
    values = [float(value) for value in scores.all_inner_texts() if value != "–"]
    assert values == sorted(values, reverse=True)
    assert len(values) == len(sweep_table()) - 1
    page.get_by_label("Search").fill("failed")
    assert page.locator("table.sweep tbody tr").count() == 1


def test_the_table_of_a_sweep_is_complete_without_scripts(visit):
    page = visit("sweep", java_script_enabled=False)
    assert page.locator("table.sweep tbody tr").count() == len(sweep_table())


def test_a_card_links_to_its_page(visit):
    page = visit("index")
    page.locator(".card").first.click()
    page.wait_for_url("**/first.html")


def test_no_request_leaves_the_machine_whatever_the_notebook_contains(chromium, tmp_path):
    html = (
        "<img src='https://example.org/a.png'><script src='https://example.org/b.js'></script>"
        "<link rel=stylesheet href='https://example.org/c.css'>"
        "<iframe src='https://example.org/d'></iframe>"
        "<script>fetch('https://example.org/e').catch(() => 0)</script>"
    )
    (tmp_path / "p.html").write_text(page_of(text(html), code("1", shown(text_html=html))))
    requests = []
    with chromium.new_context() as context:
        context.route("http*://**/*", lambda route: (requests.append(1), route.abort()))
        page = context.new_page()
        page.goto((tmp_path / "p.html").as_uri())
        page.wait_for_timeout(200)
    assert requests == []
