"""JupyterLab in a browser: open a notebook, run all cells, and look at the outputs."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest

from gmmlab.workbook.recording import differences, recorded

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start JupyterLab on a copy of the notebooks; yield its folder and its URL."""
    home = tmp_path_factory.mktemp("lab")
    folder = home / "workbook"
    folder.mkdir()
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    sockets = tempfile.mkdtemp(prefix="lab-")  # the path of a socket has at most 107 bytes
    places = {f"JUPYTER_{kind}_DIR": str(home / kind) for kind in ("CONFIG", "DATA")}
    places |= {f"JUPYTERLAB_{kind}_DIR": str(home / kind) for kind in ("SETTINGS", "WORKSPACES")}
    places["JUPYTER_RUNTIME_DIR"] = sockets
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    port = free_port()
    command += [
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.ip=127.0.0.1",
    ]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    # Kernels that start at the same time can take each other's TCP ports.
    command += ["--KernelManager.transport=ipc"]
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
        server.wait(60)
        shutil.rmtree(sockets, ignore_errors=True)


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


def test_run_all_cells_gives_the_committed_results(lab, chromium):
    folder, url = lab
    file = folder / "notebooks" / "03-three-dimensions.ipynb"
    committed = nbformat.read(file, as_version=4)
    write_without_outputs(file, slice(None))

    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    requests = []
    page.on("request", lambda r: None if url in r.url or "data:" in r.url else requests.append(r))
    page.goto(f"{url}/lab/tree/notebooks/{file.name}?reset")
    run_all_cells(page)
    executed = saved_when_done(page, file)
    page.locator(".jp-RenderedImage img, .jp-RenderedPlotly").first.wait_for(timeout=30_000)
    page.close()

    errors = [o for c in executed.cells for o in c.get("outputs", ()) if o.output_type == "error"]
    assert errors == []
    assert differences(recorded(executed), recorded(committed)) == {}
    assert not [r.url for r in requests if not r.url.startswith(("blob:", "ws"))]


def test_an_animation_plays_after_its_notebook_was_run_and_is_an_image_before(lab, chromium):
    """JupyterLab does not trust a downloaded notebook, so it runs no script of its outputs."""
    folder, url = lab
    file = folder / "notebooks" / "02-full-em.ipynb"
    committed = nbformat.read(file, as_version=4)
    write_without_outputs(file, slice(-1, None))
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(f"{url}/lab/tree/notebooks/{file.name}?reset")
    still = page.locator("figure.gmmlab-animation > img, img[alt^='Soft assignment']")
    player = page.locator(".player")
    still.first.wait_for(state="attached", timeout=60_000)
    assert player.count() == page.get_by_role("button", name="Play").count() == 0

    run_all_cells(page)
    executed = saved_when_done(page, file)
    assert differences(recorded(executed), recorded(committed)) == {}
    player.wait_for(timeout=60_000)
    slider, words = player.get_by_role("slider", name="Step"), player.locator("p")
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    slider.press("End")
    last = int(slider.input_value())
    slider.press("ArrowLeft")  # JupyterLab has shortcuts for this key and the keys below
    slider.press("ArrowLeft")
    player.get_by_role("button", name="Next step").press("Enter")
    assert int(slider.input_value()) == last - 1
    assert "M-step" in words.inner_text()  # the last step but one
    player.get_by_role("button", name="Play").press("Space")
    page.wait_for_function(f"document.querySelector('.player input').value === '{last}'")
    assert not still.first.is_visible()
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    page.close()
    assert wrong == []


def write_without_outputs(file, cells):
    """Remove the outputs of some code cells; `saved_when_done` waits for those of the last."""
    notebook = nbformat.read(file, as_version=4)
    for cell in [cell for cell in notebook.cells if cell.cell_type == "code"][cells]:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, file)


def run_all_cells(page):
    """Run all cells once the kernel is idle; JupyterLab ignores the command before."""
    idle = page.locator("#jp-main-statusbar").get_by_text("Python 3 (ipykernel) | Idle")
    idle.wait_for(timeout=120_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def saved_when_done(page, file):
    """Save the notebook until its last cell has run; return it."""
    counts = []
    for _ in range(120):
        page.keyboard.press("Control+s")
        page.wait_for_timeout(1000)
        with suppress(ValueError):  # JupyterLab is writing the file
            notebook = nbformat.read(file, as_version=4)
            counts = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
            if counts[-1] and recorded(notebook):
                return notebook
    raise AssertionError(f"not done: {counts}")
