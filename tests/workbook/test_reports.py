"""Notebooks as a user meets them: the page of each opened, one reported and made again."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from gmmlab.workbook import html as pages
from gmmlab.workbook.notebooks import Workbook
from gmmlab.workbook.runs.store import Run

ROOT = Path(__file__).parent.parent.parent
NAMES = [path.stem for path in Workbook(ROOT).notebooks]


def gmmlab(workbook, *arguments):
    """Run the command on a workbook; return what it prints as JSON."""
    command = [sys.executable, "-m", "gmmlab", "-C", str(workbook), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_notebook_opens_with_the_network_off(name, tmp_path, chromium):
    """As committed: that its outputs are what it gives today is for nbval to say."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    page = tmp_path / f"{name}.html"
    page.write_text(pages.to_html(notebook, title=name), encoding="utf-8")
    opens_with_the_network_off(chromium, page)


def test_a_notebook_is_reported_and_its_results_come_out_again(tmp_path, chromium):
    """One thread for the report and two for the check: the same to the last bit (Provenance)."""
    name = "01-known-covariance"
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / f"{name}.ipynb").symlink_to(ROOT / "notebooks" / f"{name}.ipynb")
    (tmp_path / "data").symlink_to(ROOT / "data")
    gmmlab(tmp_path, "report")
    (run,) = map(Run, (tmp_path / "reports" / "runs" / name).iterdir())
    is_whole(run, Workbook(ROOT).notebook(name))
    for page in (run.page, tmp_path / "reports" / "index.html"):
        opens_with_the_network_off(chromium, page)
    assert run.provenance["threads"]["OMP_NUM_THREADS"] == "1"
    assert gmmlab(tmp_path, "rerun", run.name, "--check", "--threads", "2")["same"] is True


def is_whole(run, notebook):
    assert run.completed
    assert run.results
    assert set(run.parameters) == set(notebook.parameters)
    figures = [path.name.split(".") for path in (run.folder / "figures").iterdir()]
    numbers = {kind: {number for number, its in figures if its == kind} for kind in ("png", "svg")}
    assert numbers["png"] == numbers["svg"] != set()


def opens_with_the_network_off(chromium, file):
    """No request fails or leaves the machine, nothing is said on the console, all is drawn."""
    context = chromium.new_context(offline=True)
    page = context.new_page()
    wrong = []
    page.on("requestfailed", lambda request: wrong.append(request.url[:200]))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: wrong.extend(elsewhere(request.url)))
    page.goto(file.as_uri())
    images = page.eval_on_selector_all("img", "all => all.map(i => [i.alt, i.naturalWidth])")
    widths = page.eval_on_selector_all(
        "math", "all => all.map(m => m.getBoundingClientRect().width)"
    )
    text = page.inner_text("main")
    context.close()
    assert wrong == []
    assert images or widths
    assert all(len(alt.split()) > 3 and width > 0 for alt, width in images)
    assert all(width > 0 for width in widths)
    assert "$$" not in text


def elsewhere(url):
    return [] if url.startswith(("file:", "data:", "blob:")) else [url]
