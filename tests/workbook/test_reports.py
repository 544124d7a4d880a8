"""The workbook's own notebooks: the page of each opens, and one is reported and repeated."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from gmmlab.workbook.html import to_html
from gmmlab.workbook.notebooks import Workbook
from gmmlab.workbook.runs import Run

ROOT = Path(__file__).parent.parent.parent
NAMES = [path.stem for path in Workbook(ROOT).notebooks]


def gmmlab(workbook, *arguments):
    """Run the command on a workbook; return the JSON that it prints."""
    command = [sys.executable, "-m", "gmmlab", "-C", str(workbook), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_notebook_opens_with_the_network_off(name, tmp_path, chromium):
    """The page has the committed outputs; nbval checks that these are up to date."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    page = tmp_path / f"{name}.html"
    page.write_text(to_html(notebook, title=name), encoding="utf-8")
    check_opens_with_the_network_off(chromium, page)


def test_a_notebook_is_reported_and_gives_the_same_results_again(tmp_path, chromium):
    """The report uses one thread and the check two; the results are the same to the last bit."""
    name = "01-known-covariance"
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / f"{name}.ipynb").symlink_to(ROOT / "notebooks" / f"{name}.ipynb")
    (tmp_path / "data").symlink_to(ROOT / "data")
    gmmlab(tmp_path, "report")
    (run,) = map(Run, (tmp_path / "reports" / "runs" / name).iterdir())
    assert run.completed
    assert run.results
    assert set(run.parameters) == set(Workbook(ROOT).notebook(name).parameters)
    figures = [path.name.split(".") for path in (run.folder / "figures").iterdir()]
    numbers = {kind: {number for number, its in figures if its == kind} for kind in ("png", "svg")}
    assert numbers["png"] == numbers["svg"] != set()
    for page in (run.page, tmp_path / "reports" / "index.html"):
        check_opens_with_the_network_off(chromium, page)
    assert run.provenance["threads"]["OMP_NUM_THREADS"] == "1"
    assert gmmlab(tmp_path, "rerun", run.name, "--check", "--threads", "2")["same"] is True


def check_opens_with_the_network_off(chromium, file):
    """Check that no request fails or leaves the machine, and everything is drawn without errors."""
    context = chromium.new_context(offline=True)
    page = context.new_page()
    problems = []
    page.on("requestfailed", lambda request: problems.append(request.url[:200]))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.extend([line.text] if line.type == "error" else []))
    page.on("request", lambda request: problems.extend(remote(request.url)))
    page.goto(file.as_uri())
    images = page.eval_on_selector_all("img", "all => all.map(i => [i.alt, i.naturalWidth])")
    widths = page.eval_on_selector_all(
        "math", "all => all.map(m => m.getBoundingClientRect().width)"
    )
    text = page.inner_text("main")
    context.close()
    assert problems == []
    assert images or widths
    assert all(len(alt.split()) > 3 and width > 0 for alt, width in images)
    assert all(width > 0 for width in widths)
    assert "$$" not in text


def remote(url):
    return [] if url.startswith(("file:", "data:", "blob:")) else [url]
