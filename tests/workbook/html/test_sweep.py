"""The page of a sweep and its charts."""

import numpy as np
import pandas as pd
import pytest
from pages import example_sweep, soup, sweep_table

from gmmlab.workbook.html import sweep_page


def test_the_page_of_a_sweep_has_all_runs_and_begins_with_the_failures():
    page = soup(example_sweep())
    rows = page.find("table", class_="sweep").tbody.find_all("tr")
    assert len(rows) == len(sweep_table())
    assert rows[0].a["href"] == f"runs/{rows[0].a.text}/report.html"
    headings = [heading.text for heading in page.find_all("h2")]
    assert headings == ["Runs that failed", "Recorded results", "All runs"]
    assert "it <broke>" in page.find(class_="failure").text
    given = [{"run": "z", "reason": "lost", "parameters": {"seed": 9}}]
    assert (
        "z (seed = 9): lost" in soup(sweep_page("S", sweep_table(), ["seed"], failures=given)).text
    )


def test_each_number_is_drawn_against_each_parameter():
    page = soup(example_sweep())
    figures = page.find(class_="charts").find_all("figure")
    assert [figure.figcaption.text.split(".")[0] for figure in figures] == [
        f"{number} against {name}"
        for number in ("score", "n_iter")
        for name in ("n_components", "structure")
    ]
    assert "Lowest median: 20.2 at 2 (structure: full)" in figures[0].img["alt"]
    assert all("medians over seeds" in figure.figcaption.text for figure in figures)
    items = [item.text for item in page.find_all("li")]
    assert "fixed: 7 in every run" in items
    assert any(item.startswith("message: a (12), b (11)") for item in items)


def test_a_sweep_over_seeds_shows_the_spread():
    page = soup(sweep_page("S", sweep_table((2,), ("full",), range(9)), ["seed"]))
    captions = [caption.text for caption in page.find_all("figcaption")]
    assert len(captions) == 4 - 2  # n_components and fixed are the same in every run
    assert captions[0].startswith("score over 8 seeds: median 20.45, half of the runs between")


def test_many_combinations_are_pooled_and_the_caption_says_so():
    page = soup(
        sweep_page("S", sweep_table((2, 3), "abcdefgh"), ["n_components", "structure", "seed"])
    )
    by_components, by_structure = (c.text for c in page.find_all("figcaption")[:2])
    assert "more than 6 combinations of structure, which are pooled" in by_components
    assert "pooled" not in by_structure


@pytest.mark.parametrize(
    "values",
    [
        [1e-4, 1e-2, 1.0], [True, False, True], ["a$b", "c_d", "<e>"], [None, 2, 3],
        [[1, 2], [3], []], [-1, 0, 1],
    ],
)  # fmt: skip
def test_any_kind_of_parameter_can_be_swept(values):
    table = pd.DataFrame({"run": list("abc"), "x": values, "y": [1.0, 2.5, np.nan]})
    page = soup(sweep_page("S", table, ["x"]))
    assert len(page.find_all("figure")) == 1
    assert "2 runs. Lowest value: 1 at" in page.img["alt"]


def test_the_number_of_charts_is_limited():
    table = sweep_table((2, 3), ("full",), (0,)).assign(
        **{f"more{i}": [i, i + 1] for i in range(40)}
    )
    table["status"] = "completed"
    page = soup(sweep_page("S", table, ["n_components"], parameters=["fixed"]))
    assert len(page.find_all("figure")) == 24
    assert "more charts are omitted" in page.text


def test_results_can_be_missing_and_names_can_occur_twice():
    bare = pd.DataFrame({"run": ["a"], "status": ["failed"], "k": [1]})
    assert "no reason was recorded" in soup(sweep_page("S", bare, ["k"])).text
    twice = pd.DataFrame([["a", 1, 1.5], ["b", 2, 2.5]], columns=["run", "k", "k"])
    assert len(soup(sweep_page("S", twice, ["k"])).find_all("figure")) == 1
    with pytest.raises(KeyError, match="must have the column k"):
        sweep_page("S", pd.DataFrame({"run": ["a"]}), ["k"])
