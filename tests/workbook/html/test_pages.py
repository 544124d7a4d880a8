"""Pages: laws of their HTML, and what a real browser makes of them with the network off."""

import base64
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from gmmlab.workbook.html import index, pdf, sweep, to_html, to_mathml
from gmmlab.workbook.recording import recorded

NOTEBOOKS = Path(__file__).parent.parent.parent.parent / "notebooks"
PLOTLY = "application/vnd.plotly.v1+json"
HOSTILE = "<script>alert('x')</script>\"'&"


def text(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source="1", *outputs):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs))


def shown(metadata=None, **data):
    """Return an output; mime types are written with _ for /."""
    data = {mime.replace("_", "/", 1): value for mime, value in data.items()}
    return nbformat.v4.new_output("display_data", data=data, metadata=metadata or {})


def pixels(kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (320, 200), "teal").save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def plotly(*, kind="scatter", still=True, **layout):
    values = {"x": [1, 2, 3], "y": [1, 4, 9]} | ({"z": [1, 2, 3]} if kind == "scatter3d" else {})
    data = {PLOTLY: {"data": [{"type": kind, **values}], "layout": layout}, "text/plain": "figure"}
    if still:
        data["image/png"] = pixels()
    return nbformat.v4.new_output(
        "display_data", data=data, metadata={"image/png": {"alt": "A parabola"}} if still else {}
    )


def run(**changes):
    return {
        "id": "3f2a9c0d17be",
        "notebook": "02-full-em",
        "parameters": {
            "n_samples": {"value": 500, "default": 500, "help": "how many", "allowed": "in [1, 9]"},
            "kind": {"value": "full", "default": "tied", "help": "the <structure>"},
        },
        "results": {
            "log_likelihood": -1472.2182249779785,
            "status": "converged",
            "weights": [0.5] * 12,
            "means": [[1.0, 2.0], [3.0, 4.0]],
            "accuracy": {f"case {i}": i / 7 for i in range(9)},
        },
        "provenance": {
            "command": "gmmlab run 02-full-em -p kind full",
            "started": "2026-11-22T07:15:25+00:00",
            "git": {"commit": "ab" * 20, "clean": False},
            "packages": {f"package-{i}": "1.0" for i in range(150)} | {"numpy": "2.1"},
            "numerical": ["numpy"],
            "seed": None,
        },
        "figures": ["figures/01.png"],
        **changes,
    }


def everything():
    """Return a notebook with an output of each kind."""
    table = pd.DataFrame(np.ones((3, 30))).to_html()
    return nbformat.v4.new_notebook(
        cells=[
            text("# A title with $x^2$\n\n**Question.** What is $\\pi$?"),
            text("## Formulas\n\n$$\\sum_k \\pi_k = 1$$\n\n" + "$$" + "x + " * 80 + "x$$"),
            text("## Tables\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- item\n\n> quoted, `code`"),
            code("x = 'a string'  # and a comment\nfor i in range(10):\n    print(i + 1.5, None)"),
            code("'wide ' + " * 60 + "''", nbformat.v4.new_output("stream", text="long " * 200)),
            code("1", nbformat.v4.new_output("stream", name="stderr", text="\x1b[31mred\x1b[0m")),
            code("1", nbformat.v4.new_output("error", traceback=["\x1b[1;31mTypeError\x1b[0m"])),
            text("## Pictures\n\n### Of three kinds"),
            code("1", shown({"image/png": {"alt": "A png"}}, image_png=pixels())),
            code("1", shown({"image/jpeg": {"alt": "A jpeg"}}, image_jpeg=pixels("JPEG"))),
            code(
                "1",
                shown(
                    {"image/svg+xml": {"alt": "An svg"}},
                    **{
                        "image_svg+xml": "<svg xmlns='http://www.w3.org/2000/svg' width='30' "
                        "height='20'><circle r='9'/></svg>"
                    },
                ),
            ),
            code("1", shown(text_html=table, text_plain="table")),
            code("1", shown(text_latex="$\\alpha$")),
        ]
    )


def soup(html):
    return BeautifulSoup(html, "html.parser")


def page_of(*cells, **options):
    return to_html(nbformat.v4.new_notebook(cells=list(cells)), title="A title", **options)


def grid(n_components=(2, 3, 4), structure=("full", "diag"), seed=range(4)):
    rows = [
        {"run": f"r{k}{s}{i}", "status": "completed", "n_components": k, "structure": s, "seed": i}
        for k in n_components
        for s in structure
        for i in seed
    ]
    for i, row in enumerate(rows):
        value = 10.0 * row["n_components"] + 0.1 * i
        row |= {"score": value, "n_iter": 40 - i, "fixed": 7, "message": "ab"[i % 2], "reason": ""}
    rows[1] |= {"status": "failed", "score": None, "n_iter": None, "reason": "it <broke>"}
    return pd.DataFrame(rows)


def cards():
    one = {
        "notebook": "01", "title": "First", "question": "Why?", "picture": None, "id": "a1",
        "results": {"score": 1.23456789, "names": ["x"]}, "href": "first.html",
        "status": "completed",
    }  # fmt: skip
    picture = f"data:image/png;base64,{pixels()}"
    return [
        one,
        {**one, "title": "Second", "picture": picture, "alt": "A square", "parameters": {"k": 3}},
        {**one, "title": "Third", "status": "failed", "reason": "it <broke>", "href": "third.html"},
    ]


def sweep_page():
    table = grid()
    links = {name: f"runs/{name}/report.html" for name in table["run"]}
    return sweep("A sweep", table, ["n_components", "structure", "seed"], links=links)


# ---- notebooks ---------------------------------------------------------------------------------


def test_a_page_fetches_nothing():
    page = page_of(text("text"), code())
    assert "<title>A title</title>" in page
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert "<script" not in page
    assert not re.findall(r"(?:@import|url\()\s*[\"']?https?:", page)


def test_a_page_is_little_more_than_its_notebook():
    assert len(page_of(text("text"), code())) < 20_000


def test_formulas_become_mathml():
    page = page_of(
        text(
            r"Inline $\pi_k < 1$."
            "\n\n$$\\sum_k \\pi_k = 1$$\n\n"
            r"\begin{align} a &= b \\ c &= d \end{align}"
            "\n\n"
            r"$$\begin{aligned} a &= b \\ c &= d \end{aligned}$$"
        )
    )
    assert page.count("<math") == 4
    assert page.count('display="block"') == 3
    assert page.count("<mtr>") == 4
    assert "$" not in re.sub(r"(?s)<style.*?</style>", "", page)


def test_a_formula_that_cannot_be_converted_is_shown_as_written():
    assert to_mathml(r"\left( x_ <b>") == r"<code>\left( x_ &lt;b&gt;</code>"


@pytest.mark.parametrize("mime", ["image_png", "image_jpeg", "image_svg+xml"])
def test_images_keep_their_alt_text(mime):
    alt = 'Two "clusters" & <more>'
    output = shown({mime.replace("_", "/"): {"alt": alt}}, **{mime: "iVBORw0KGgo="})
    image = soup(page_of(code("1", output))).img
    assert image["alt"] == alt
    assert image["src"].startswith(f"data:{mime.replace('_', '/')};base64,")
    assert soup(page_of(code("1", shown(**{mime: "x"})))).img["alt"]


def test_headings_are_in_order_and_the_contents_lead_to_them():
    cells = (text("# Top $x$\n\ntext"), text("## One & *two*"), text("### Deep"), text("## One"))
    page = soup(page_of(*cells, text("## One"), run=run()))
    levels = [int(heading.name[1]) for heading in page.find_all(re.compile("^h[1-6]$"))]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    targets = [link["href"][1:] for link in page.nav.find_all("a")]
    assert len(targets) == len(set(targets)) == 4
    assert all(page.find(id=target) for target in targets)
    assert page.h1.math
    assert page.html["lang"] == "en"
    assert len(page.find_all("main")) == 1


def test_the_head_of_a_page_says_what_was_run():
    page = soup(page_of(text("# T"), run=run()))
    head = page.find(class_="run")
    changed = head.find_all(class_="changed")
    assert [row.th.contents[0].strip() for row in changed] == ["kind"]
    assert "'full'" in changed[0].text
    assert "'tied'" in changed[0].text
    assert "the <structure>" in changed[0].text
    assert head.find(title="-1472.2182249779785").text == "-1472.22"
    assert head.find(class_="command").text == "gmmlab run 02-full-em -p kind full"
    assert "package-149 1.0" in head.text
    assert "not committed" in head.text
    assert head.find("a")["href"] == "figures/01.png"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"id": "x", "more": 1},
        {"parameters": {"a": 3, "b": {}}, "results": {}},
        {"parameters": None, "results": None, "provenance": None, "figures": None},
        {"results": {"deep": [[[[[[[[1]]]]]]]], "empty": [[], {}], "none": None, "nan": np.nan}},
        {"provenance": {"git": None, "packages": {"numerical": ["a"], "a": "1"}, "new": (1, 2)}},
        {"provenance": {"started": "yesterday", "command": ""}},
    ],
)
def test_what_is_missing_or_unknown_in_a_run_does_no_harm(given):
    assert soup(page_of(text("# T"), run=given)).h1.text == "T"


def test_whatever_a_run_holds_is_escaped():
    given = run(
        id=HOSTILE,
        parameters={HOSTILE: {"value": HOSTILE, "default": [HOSTILE], "help": HOSTILE}},
        results={HOSTILE: {HOSTILE: [HOSTILE, [HOSTILE]]}},
        provenance={HOSTILE: HOSTILE, "command": HOSTILE, "packages": {HOSTILE: HOSTILE}},
        figures=[HOSTILE],
    )
    output = shown({"image/png": {"alt": HOSTILE, "width": HOSTILE}}, image_png="x")
    plain = shown(text_plain=HOSTILE)
    pages = [
        page_of(code(HOSTILE, output, plain), run=given, failure=HOSTILE),
        index([{**card, "title": HOSTILE, "href": HOSTILE, "alt": HOSTILE} for card in cards()]),
    ]
    for page in pages:
        assert not soup(page).find("script")
        assert HOSTILE in soup(page).text


def test_a_failure_comes_before_anything_else():
    page = soup(page_of(text("# T"), run=run(), failure="\x1b[31mValueError\x1b[0m: <no>"))
    assert page.main.find(recursive=False)["class"] == ["failure"]
    assert page.find(class_="failure").pre.text == "ValueError: <no>"
    assert page.title.text.startswith("Failed")
    assert "not a result" in page.find(class_="run").text


def test_plotly_is_embedded_once_and_only_where_needed():
    for n in (0, 1, 3):
        page = page_of(code("1", *[plotly(title=HOSTILE) for _ in range(n)]))
        assert page.count("plotly.js v") == min(n, 1)
        parsed = soup(page)
        assert len(parsed.find_all("figure", class_="plotly")) == n
        for figure in parsed.find_all("figure", class_="plotly"):
            assert figure.img["alt"] == "A parabola"
            assert json.loads(figure.script.string)["layout"] == {"title": HOSTILE}


def test_pages_are_the_same_whatever_number_of_threads_makes_them():
    notebook = everything()
    alone = to_html(notebook, title="T", run=run())
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: to_html(notebook, title="T", run=run()), range(16)))
    assert set(pages) == {alone}


def test_making_a_page_leaves_the_notebook_alone():
    notebook = everything()
    before = nbformat.writes(notebook)
    to_html(notebook, title="T")
    assert nbformat.writes(notebook) == before


# ---- index -------------------------------------------------------------------------------------


def test_the_index_has_a_card_for_every_run():
    page = soup(index(cards()))
    first, second, third = page.find_all(class_="card")
    assert first.a["href"] == "first.html"
    assert [(e.dt.text, e.dd.text) for e in first.dl.find_all("div")] == [("score", "1.23457")]
    assert first.dd["title"] == "1.23456789"
    assert second.img["alt"] == "A square"
    assert "k = 3" in second.text
    assert "failed" in third["class"]
    assert "it <broke>" in third.text
    assert third.dl is None
    assert soup(index([{"title": "Bare"}])).h2.text == "Bare"


# ---- sweeps ------------------------------------------------------------------------------------


def test_a_sweep_shows_every_run_and_its_failures_first():
    page = soup(sweep_page())
    rows = page.find("table", class_="sweep").tbody.find_all("tr")
    assert len(rows) == len(grid())
    assert rows[0].a["href"] == f"runs/{rows[0].a.text}/report.html"
    headings = [heading.text for heading in page.find_all("h2")]
    assert headings == ["Runs that failed", "What was recorded", "All runs"]
    assert "it <broke>" in page.find(class_="failure").text
    given = [{"run": "z", "reason": "lost", "parameters": {"seed": 9}}]
    assert "z (seed = 9): lost" in soup(sweep("S", grid(), ["seed"], failures=given)).text


def test_a_sweep_draws_each_number_against_each_parameter():
    page = soup(sweep_page())
    figures = page.find(class_="panels").find_all("figure")
    assert [figure.figcaption.text.split(".")[0] for figure in figures] == [
        f"{number} against {name}"
        for number in ("score", "n_iter")
        for name in ("n_components", "structure")
    ]
    assert "Lowest median: 20.2 at 2 (structure: full)" in figures[0].img["alt"]
    assert all("medians over seeds" in figure.figcaption.text for figure in figures)
    words = [item.text for item in page.find_all("li")]
    assert "fixed: 7 in every run" in words
    assert any(item.startswith("message: a (12), b (11)") for item in words)


def test_a_sweep_of_seeds_alone_shows_the_spread():
    page = soup(sweep("S", grid((2,), ("full",), range(9)), ["seed"]))
    captions = [caption.text for caption in page.find_all("figcaption")]
    assert len(captions) == 4 - 2  # n_components and fixed are the same in every run
    assert captions[0].startswith("score over 8 seeds: median 20.45, half of the runs between")


def test_many_combinations_are_pooled_and_the_page_says_so():
    page = soup(sweep("S", grid((2, 3), "abcdefgh"), ["n_components", "structure", "seed"]))
    by_components, by_structure = (c.text for c in page.find_all("figcaption")[:2])
    assert "More than 6 combinations of structure: pooled" in by_components
    assert "pooled" not in by_structure


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3], [1e-4, 1e-2, 1.0], [True, False, True], ["a$b", "c_d", "<e>"], [None, 2, 3],
        [[1, 2], [3], []], [0.5, None, 0.5], [-1, 0, 1],
    ],
)  # fmt: skip
def test_any_kind_of_parameter_can_be_swept(values):
    table = pd.DataFrame({"run": list("abc"), "x": values, "y": [1.0, 2.5, np.nan]})
    page = soup(sweep("S", table, ["x"]))
    assert len(page.find_all("figure")) == 1
    assert "2 runs. Lowest value: 1 at" in page.img["alt"]


def test_a_sweep_bounds_its_pictures():
    table = grid((2, 3), ("full",), (0,)).assign(**{f"more{i}": [i, i + 1] for i in range(40)})
    table["status"] = "completed"
    page = soup(sweep("S", table, ["n_components"], parameters=["fixed"]))
    assert len(page.find_all("figure")) == 24
    assert "more pictures are left out" in page.text


def test_nothing_recorded_and_names_used_twice_do_no_harm():
    bare = pd.DataFrame({"run": ["a"], "status": ["failed"], "k": [1]})
    assert "no reason was kept" in soup(sweep("S", bare, ["k"])).text
    twice = pd.DataFrame([["a", 1, 1.5], ["b", 2, 2.5]], columns=["run", "k", "k"])
    assert len(soup(sweep("S", twice, ["k"])).find_all("figure")) == 1
    with pytest.raises(KeyError, match="no column k"):
        sweep("S", pd.DataFrame({"run": ["a"]}), ["k"])


# ---- paper -------------------------------------------------------------------------------------


@pytest.fixture
def fake_browser(tmp_path, monkeypatch):
    """Put a script in the place of the browser."""

    def put(script):
        path = tmp_path / "bin" / "chromium"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr("shutil.which", {"chromium": str(path)}.get)

    (tmp_path / "page.html").write_text("<p>page")
    return put


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo broken >&2; exit 3", "ended with 3: broken"),
        ("echo done", "printed nothing: done"),
        ("exec sleep 60", "did not print within 0.5 s"),
    ],
)
def test_a_browser_that_fails_leaves_what_was_there(fake_browser, tmp_path, script, message):
    fake_browser(script)
    target = tmp_path / "out" / "page.pdf"
    target.parent.mkdir()
    target.write_text("before")
    with pytest.raises(RuntimeError, match=message):
        pdf(tmp_path / "page.html", target, timeout=0.5 if "sleep" in script else 20)
    assert [path.name for path in target.parent.iterdir()] == ["page.pdf"]
    assert target.read_text() == "before"


def test_without_a_browser_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    (tmp_path / "page.html").write_text("<p>page")
    with pytest.raises(FileNotFoundError, match="apt install chromium"):
        pdf(tmp_path / "page.html", tmp_path / "page.pdf")
    with pytest.raises(FileNotFoundError, match="there is no page"):
        pdf(tmp_path / "none.html", tmp_path / "page.pdf")


# ---- in a browser ------------------------------------------------------------------------------

#: contrast of each text with what is behind it, where it is below 4.5
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
    """Write a page of every kind."""
    folder = tmp_path_factory.mktemp("pages")
    node = nbformat.read(NOTEBOOKS / "02-full-em.ipynb", as_version=4)
    three = [plotly(title="Plain"), plotly(kind="scatter3d", width=900, height=400)]
    pages = {
        "everything": to_html(everything(), title="Everything", run=run()),
        "02-full-em": to_html(node, title="02-full-em", run=run(results=recorded(node))),
        "failed": to_html(everything(), title="Failed", run=run(), failure="ValueError: " * 40),
        "index": index(cards()),
        "sweep": sweep_page(),
        "plotly": page_of(text("# Space"), code("1", *three)),
    }
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    (folder / "first.html").write_text("<title>first</title>")
    return folder


@pytest.fixture
def visit(chromium, folder):
    """Open a page with the network off; at the end nothing may have gone wrong."""
    wrong, contexts = [], []

    def guard(route):
        if not route.request.url.startswith(("file:", "data:", "blob:")):
            wrong.append(f"asked for {route.request.url}")
            route.abort()
        else:
            route.continue_()

    def open_page(name, *, width=1000, before=None, **options):
        context = chromium.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        context.set_offline(True)
        context.route("**/*", guard)
        page = context.new_page()
        page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url[:100]}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda m: m.type == "error" and wrong.append(f"console: {m.text}"))
        if before:
            page.add_init_script(before)
        page.goto((folder / f"{name}.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


PAGES = ("everything", "02-full-em", "failed", "index", "sweep")


@pytest.mark.parametrize("name", PAGES)
def test_everything_is_there_and_nothing_is_wider_than_a_phone(visit, name):
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
    assert bool(sizes) == (name in {"everything", "02-full-em", "failed"})


@pytest.mark.parametrize("name", PAGES)
def test_text_can_be_read_in_the_light_and_in_the_dark(visit, name):
    page = visit(name)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
        assert brightness > 230 if scheme == "light" else brightness < 40
        assert page.evaluate(POOR_CONTRAST) == []
        assert page.evaluate(
            "[...document.querySelectorAll('figure img')].every("
            "i => getComputedStyle(i).backgroundColor === 'rgb(255, 255, 255)')"
        )


@pytest.mark.parametrize("name", ["everything", "failed", "sweep"])
def test_paper_shows_what_is_folded_and_cuts_nothing_off(visit, name):
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
def test_one_switch_folds_the_code_without_scripts_and_by_keyboard(visit, scripts):
    page = visit("everything", java_script_enabled=scripts)
    source, output = page.locator(".source").first, page.locator("pre.output").first
    assert source.is_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert not source.is_visible()
    assert output.is_visible()
    page.get_by_label("Show code").check()
    assert source.is_visible()


def test_a_plotly_figure_takes_the_place_of_its_still_picture_on_the_screen(visit):
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


def test_the_still_picture_shows_without_scripts(visit):
    page = visit("plotly", java_script_enabled=False)
    assert all(still.is_visible() for still in page.locator("figure.plotly > img").all())
    assert page.locator(".plot").count() == 0


def test_the_still_picture_stays_where_space_cannot_be_drawn(visit):
    page = visit("plotly", before="HTMLCanvasElement.prototype.getContext = () => null")
    page.wait_for_function("document.querySelectorAll('figure.drawn').length < 2")
    assert page.locator("figure.plotly > img").last.is_visible()


def test_a_click_sorts_the_table_of_a_sweep_and_a_word_searches_it(visit):
    page = visit("sweep")
    page.get_by_label("Search").wait_for()
    scores = page.locator("table.sweep tbody tr td:nth-child(6)")
    for order in ("ascending", "descending"):
        page.get_by_role("columnheader", name="score").click()
        page.locator(f"th[aria-sort={order}]", has_text="score").wait_for()
    values = [float(value) for value in scores.all_inner_texts() if value != "–"]
    assert values == sorted(values, reverse=True)
    assert len(values) == len(grid()) - 1
    page.get_by_label("Search").fill("failed")
    assert page.locator("table.sweep tbody tr").count() == 1


def test_the_table_of_a_sweep_is_whole_without_scripts(visit):
    page = visit("sweep", java_script_enabled=False)
    assert page.locator("table.sweep tbody tr").count() == len(grid())


def test_cards_lead_to_their_pages(visit):
    page = visit("index")
    page.locator(".card").first.click()
    page.wait_for_url("**/first.html")


def test_no_request_leaves_the_machine_whatever_a_notebook_holds(chromium, tmp_path):
    html = (
        "<img src='https://example.org/a.png'><script src='https://example.org/b.js'></script>"
        "<link rel=stylesheet href='https://example.org/c.css'>"
        "<iframe src='https://example.org/d'></iframe>"
        "<script>fetch('https://example.org/e').catch(() => 0)</script>"
    )
    (tmp_path / "p.html").write_text(page_of(text(html), code("1", shown(text_html=html))))
    asked = []
    with chromium.new_context() as context:
        context.route("http*://**/*", lambda route: (asked.append(1), route.abort()))
        page = context.new_page()
        page.goto((tmp_path / "p.html").as_uri())
        page.wait_for_timeout(200)
    assert asked == []


def test_a_page_is_printed(folder, tmp_path):
    pdf(folder / "everything.html", tmp_path / "out" / "page.pdf")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.pdf"]
    printed = (tmp_path / "out" / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert printed.rstrip().endswith(b"%%EOF")
