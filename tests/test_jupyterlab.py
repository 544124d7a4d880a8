"""JupyterLab, as a student uses it: a notebook is opened, all cells are run, outputs are there."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest

from gmmlab._film import Film
from gmmlab.workbook.recording import differences, recorded

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start JupyterLab on a copy of the notebooks; return its folder and its address."""
    home = tmp_path_factory.mktemp("lab")
    folder = home / "workbook"
    folder.mkdir()
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    kinds = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    places = {f"JUPYTER_{kind}": str(home / kind) for kind in kinds}
    places |= {f"JUPYTERLAB_{kind}_DIR": str(home / kind) for kind in ("SETTINGS", "WORKSPACES")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    port = free_port()
    command += [
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.ip=127.0.0.1",
    ]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=os.environ | places, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(server, url, home / "log")
        yield folder, url
    finally:
        server.terminate()
        server.wait(30)


def wait_for(server, url, log):
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(f"{url}/api", timeout=30):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize("name", ["03-three-dimensions"])
def test_run_all_cells(lab, chromium, name):
    """What the notebook records then is what the committed one has recorded."""
    folder, url = lab
    file = folder / "notebooks" / f"{name}.ipynb"
    committed = nbformat.read(file, as_version=4)
    empty = nbformat.from_dict(committed)
    for cell in empty.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(empty, file)

    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    elsewhere = []
    page.on("request", lambda r: None if url in r.url or "data:" in r.url else elsewhere.append(r))
    page.goto(f"{url}/lab/tree/notebooks/{name}.ipynb?reset")
    page.locator(".jp-Notebook").wait_for(timeout=60_000)
    page.locator(".jp-NotebookPanel-toolbar").get_by_text("Python 3").wait_for(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    executed = saved_when_done(page, file)
    page.locator(".jp-RenderedImage img, .jp-RenderedPlotly").first.wait_for(timeout=30_000)
    page.close()

    errors = [o for c in executed.cells for o in c.get("outputs", ()) if o.output_type == "error"]
    assert errors == []
    assert differences(recorded(executed), recorded(committed)) == {}
    assert not [r.url for r in elsewhere if not r.url.startswith(("blob:", "ws"))]


FILM = """from gmmlab import datasets, fit, player, plots, start

X, path = datasets.old_faithful().X, []
begin = start.from_labels(X, X[:, 1] > 68)
result = fit(X, begin, max_iter=3, callback=lambda i, mixture, total: path.append(mixture))
plots.show(player.stills(X, path), alt="Four stills of EM.", playing=player.film(result, X, path))
"""


def test_a_film_plays_once_its_notebook_is_run_and_until_then_there_are_stills(lab, chromium):
    """A notebook of somebody else is not trusted: JupyterLab runs no script of its outputs."""
    folder, url = lab
    file = folder / "notebooks" / "film.ipynb"
    html = Film("<svg></svg>", [], [], []).html(b"", "Four stills of EM.")
    output = nbformat.v4.new_output("display_data", {"text/html": html})
    cell = nbformat.v4.new_code_cell(FILM, outputs=[output])
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), file)
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{url}/lab/tree/notebooks/film.ipynb?reset")
    still, film = page.locator("figure.film > img, .jp-OutputArea img"), page.locator(".player")
    still.first.wait_for(state="attached", timeout=60_000)
    assert still.first.get_attribute("alt") == "Four stills of EM."
    assert film.count() == page.get_by_role("button", name="Play").count() == 0

    page.locator(".jp-NotebookPanel-toolbar").get_by_text("Python 3").wait_for(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    film.wait_for(timeout=60_000)
    slider = film.get_by_role("slider", name="Step")
    slider.press("End")
    slider.press("ArrowLeft")  # a key that JupyterLab has a use for, like the two below
    film.get_by_role("button", name="One step back").press("Enter")
    assert film.locator("p").inner_text().startswith("Iteration 2, E-step")
    film.get_by_role("button", name="Play").press("Space")
    page.wait_for_function("document.querySelector('.player input').value === '6'")
    assert not still.first.is_visible()
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 1
    page.close()
    assert wrong == []


def saved_when_done(page, file):
    """Save the notebook until the last of its cells has been run; return it."""
    for _ in range(60):
        page.keyboard.press("Control+s")
        page.wait_for_timeout(1000)
        notebook = nbformat.read(file, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if code[-1].execution_count and recorded(notebook):
            return notebook
    raise AssertionError(f"not done: {[cell.execution_count for cell in code]}")
