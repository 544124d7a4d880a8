"""What every test run shares, plain ``pytest --nbval notebooks`` included.

nbval holds the outputs of each cell against the committed ones, to the last digit. Recorded
results are held against them here instead, with a tolerance; figures that turn are left out, as
their still pictures are (tests/test_space.py holds them to what they draw).
"""

import shutil

import filelock
import hypothesis
import matplotlib
import pytest

from gmmlab.workbook.html.pdf import BROWSERS
from gmmlab.workbook.recording import MIME_TYPE, differences, recorded

#: what nbgrader makes of problem sets: nbval runs their sources, which have the solutions
collect_ignore_glob = [
    f"notebooks/assignments/{step}/*" for step in ("release", "submitted", "autograded", "feedback")
]
#: what nbval is not to compare: records, and figures that turn
NOT_COMPARED = (MIME_TYPE, "application/vnd.plotly.v1+json")

# Random cases repeat from run to run, so more of them find something once; and a loaded machine
# is no reason to fail.
hypothesis.settings.register_profile("gmmlab", derandomize=True, deadline=None, max_examples=40)
hypothesis.settings.load_profile("gmmlab")
matplotlib.use("agg")


def _is_notebook_cell(item: pytest.Item) -> bool:
    return hasattr(item, "cell") and hasattr(item.parent, "skip_compare")


def pytest_itemcollected(item: pytest.Item) -> None:
    if _is_notebook_cell(item) and MIME_TYPE not in item.parent.skip_compare:
        item.parent.skip_compare += NOT_COMPARED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> object:
    """Let the kernels of several workers start one after the other.

    nbval's talk over TCP, and two that start together can take each other's ports.
    """
    if not _is_notebook_cell(item):
        return (yield)
    folder = item.config.rootpath / ".pytest_cache"
    folder.mkdir(exist_ok=True)
    with filelock.FileLock(folder / "kernels.lock"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> object:
    result = yield
    if _is_notebook_cell(item) and item.test_outputs is not None:
        now, committed = (
            recorded({"cells": [{"outputs": outputs}]})
            for outputs in (item.test_outputs, item.cell.outputs)
        )
        if found := differences(now, committed):
            pytest.fail(f"recorded results differ from the committed ones: {found}")
    return result


@pytest.fixture(scope="module")
def chromium():
    """Yield a browser, for the tests that look at pages as a reader does."""
    playwright = pytest.importorskip("playwright.sync_api")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no browser to look with: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
