"""Every notebook at its defaults: reported, made again, and opened in a browser.

The runs are made once, into a workbook whose notebooks and data are the real ones.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gmmlab.workbook.notebooks import Workbook
from gmmlab.workbook.store import Run

ROOT = Path(__file__).parent.parent
NAMES = [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
# one worker makes the runs, and has them for all these tests
pytestmark = pytest.mark.xdist_group("reports")


def gmmlab(workbook, *arguments):
    command = [sys.executable, "-m", "gmmlab", "-C", str(workbook), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    root = tmp_path_factory.mktemp("a workbook")
    for name in ("notebooks", "data"):
        (root / name).symlink_to(ROOT / name)
    reported = gmmlab(root, "report", "--jobs", 2, "--json")
    assert reported.returncode == 0, reported.stderr
    return root


@pytest.fixture(scope="module")
def runs(workbook):
    folders = (workbook / "reports" / "runs").glob("*/*")
    return {run.notebook: run for run in map(Run, folders)}


def test_the_index_has_a_card_for_every_notebook(workbook, runs):
    assert sorted(runs) == NAMES
    index = (workbook / "reports" / "index.html").read_text()
    for run in runs.values():
        assert str(run.page.relative_to(workbook / "reports")) in index


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_whole(runs, name):
    run = runs[name]
    assert run.completed
    assert run.results
    assert set(run.parameters) == set(Workbook(ROOT).notebook(name).parameters)
    figures = sorted(path.name for path in (run.folder / "figures").iterdir())
    assert figures
    assert {path.split(".")[0] for path in figures if path.endswith(".png")} == {
        path.split(".")[0] for path in figures if path.endswith(".svg")
    }


@pytest.mark.parametrize("name", NAMES)
def test_made_again_on_two_threads_the_results_are_the_same_to_the_last_bit(workbook, runs, name):
    """The report used one thread; see Provenance."""
    run = runs[name]
    assert run.provenance["threads"]["OMP_NUM_THREADS"] == "1"
    checked = gmmlab(workbook, "rerun", run.name, "--check", "--threads", 2, "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["same"] is True


# ---- in a browser ------------------------------------------------------------------------------


def problems_of(chromium, page_file):
    """Open a page with the network off; return what goes wrong, and what is on it."""
    context = chromium.new_context(offline=True)
    page = context.new_page()
    problems = []
    page.on("requestfailed", lambda request: problems.append(request.url[:200]))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            problems.append(request.url)
            if not request.url.startswith(("file:", "data:", "blob:"))
            else None
        ),
    )
    page.goto(page_file.as_uri())
    page.wait_for_load_state("load")
    images = page.eval_on_selector_all("img", "all => all.map(i => [i.alt, i.naturalWidth])")
    formulas = page.eval_on_selector_all(
        "math", "all => all.map(m => m.getBoundingClientRect().width)"
    )
    context.close()
    return problems, images, formulas


@pytest.mark.parametrize("name", NAMES)
def test_a_report_opens_with_the_network_off(chromium, runs, name):
    problems, images, formulas = problems_of(chromium, runs[name].page)
    assert problems == []
    assert images
    assert all(len(alt.split()) > 3 and width > 0 for alt, width in images)
    if "$" in (ROOT / "notebooks" / f"{name}.ipynb").read_text():
        assert formulas
        assert sum(width > 0 for width in formulas) == len(formulas)


def test_the_index_opens_with_the_network_off(chromium, workbook, runs):
    problems, images, _ = problems_of(chromium, workbook / "reports" / "index.html")
    assert problems == []
    assert len(images) == len(runs)
    assert all(alt and width > 0 for alt, width in images)
