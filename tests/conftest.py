"""A browser, for the tests that look at pages as a reader does."""

import shutil

import pytest

from gmmlab.workbook.page.paper import BROWSERS


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no browser to look with: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
