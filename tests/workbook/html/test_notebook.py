"""The page of a notebook."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import nbformat
import numpy as np
import pytest
from pages import HOSTILE, cards, code, everything, page_of, plotly, run, shown, soup, text

from gmmlab.workbook.html import index_page, to_html


def test_a_page_refers_to_no_other_file():
    page = page_of(text("text"), code())
    assert "<title>A title</title>" in page
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert "<script" not in page
    assert not re.findall(r"(?:@import|url\()\s*[\"']?https?:", page)
    assert len(page) < 20_000


@pytest.mark.parametrize("mime", ["image_png", "image_svg+xml"])
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


def test_the_head_of_a_page_shows_parameters_results_and_provenance():
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
    assert "with uncommitted changes" in head.text
    assert head.find("a")["href"] == "figures/01.png"


@pytest.mark.parametrize(
    "given",
    [
        {"id": "x", "more": 1, "parameters": {"a": 3, "b": {}}, "results": {}},
        {"parameters": None, "results": None, "provenance": None, "figures": None},
        {"results": {"deep": [[[[[[[[1]]]]]]]], "empty": [[], {}], "none": None, "nan": np.nan}},
        {
            "provenance": {
                "git": None,
                "packages": {"numerical": ["a"], "a": "1"},
                "new": (1, 2),
                "started": "yesterday",
                "command": "",
            }
        },
    ],
)
def test_entries_of_a_run_can_be_missing_or_unknown(given):
    assert soup(page_of(text("# T"), run=given)).h1.text == "T"


def test_all_texts_of_a_run_are_escaped():
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
        index_page(
            [{**card, "title": HOSTILE, "href": HOSTILE, "alt": HOSTILE} for card in cards()]
        ),
    ]
    for page in pages:
        assert not soup(page).find("script")
        assert HOSTILE in soup(page).text


def test_the_page_of_a_failed_run_begins_with_the_failure():
    page = soup(page_of(text("# T"), run=run(), failure="\x1b[31mValueError\x1b[0m: <no>"))
    assert page.main.find(recursive=False)["class"] == ["failure"]
    assert page.find(class_="failure").pre.text == "ValueError: <no>"
    assert page.title.text.startswith("Failed")
    assert "not results" in page.find(class_="run").text


def test_plotly_is_embedded_once_and_only_if_needed():
    for n in (0, 1, 3):
        page = page_of(code("1", *[plotly(title=HOSTILE) for _ in range(n)]))
        assert page.count("plotly.js v") == min(n, 1)
        parsed = soup(page)
        assert len(parsed.find_all("figure", class_="plotly")) == n
        for figure in parsed.find_all("figure", class_="plotly"):
            assert figure.img["alt"] == "A parabola"
            assert json.loads(figure.script.string)["layout"] == {"title": HOSTILE}


def test_pages_made_in_several_threads_are_the_same():
    notebook = everything()
    alone = to_html(notebook, title="T", run=run())
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: to_html(notebook, title="T", run=run()), range(16)))
    assert set(pages) == {alone}


def test_making_a_page_does_not_modify_the_notebook():
    notebook = everything()
    before = nbformat.writes(notebook)
    to_html(notebook, title="T")
    assert nbformat.writes(notebook) == before
