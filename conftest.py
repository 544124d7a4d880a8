"""Configuration of every test run, including ``pytest --nbval notebooks``.

nbval compares the outputs of each cell with the committed ones, exactly. Recorded results are
compared here instead, with a tolerance. Interactive figures are not compared, and nor are images;
tests/plots/test_interactive.py tests what they draw.
"""

import shutil

import filelock
import hypothesis
import matplotlib
import pytest

from gmmlab.workbook.html.pdf import BROWSERS
from gmmlab.workbook.recording import MIME_TYPE, differences, recorded

#: files that nbgrader makes from problem sets; nbval runs the sources, which have the solutions
collect_ignore_glob = [
    f"notebooks/assignments/{step}/*" for step in ("release", "submitted", "autograded", "feedback")
]
#: what nbval does not compare: records and interactive figures
NOT_COMPARED = (MIME_TYPE, "application/vnd.plotly.v1+json")

# Random cases are the same in every run, so more of them would find a bug only once. A slow
# machine is no reason to fail.
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
    """Start the kernels of several workers one after the other.

    Kernels of nbval use TCP, and two that start at the same time can take each other's ports.
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
    """Yield a browser for the tests of pages."""
    playwright = pytest.importorskip("playwright.sync_api")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no browser is installed: looked for {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
