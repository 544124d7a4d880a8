"""What every test run shares, plain ``pytest --nbval notebooks`` included.

nbval holds the outputs of each cell against the committed ones, to the last digit. Recorded
results are held against them here instead, with a tolerance.
"""

import hypothesis
import matplotlib
import pytest

from gmmlab.workbook.recording import MIME_TYPE, differences, recorded

# Random cases repeat from run to run, and a loaded machine is no reason to fail.
hypothesis.settings.register_profile("gmmlab", derandomize=True, deadline=None)
hypothesis.settings.load_profile("gmmlab")
matplotlib.use("agg")


def _is_notebook_cell(item: pytest.Item) -> bool:
    return hasattr(item, "cell") and hasattr(item.parent, "skip_compare")


def pytest_itemcollected(item: pytest.Item) -> None:
    if _is_notebook_cell(item) and MIME_TYPE not in item.parent.skip_compare:
        item.parent.skip_compare += (MIME_TYPE,)


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
