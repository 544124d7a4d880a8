"""What every test run shares, plain ``pytest --nbval notebooks`` included.

nbval holds the outputs of each cell against the committed ones, to the last digit. Recorded
results are held against them here instead, with a tolerance; figures that turn are left out, as
their still pictures are (tests/test_space.py holds them to what they draw).
"""

import hypothesis
import matplotlib
import pytest

from gmmlab.workbook.recording import MIME_TYPE, differences, recorded

#: what nbgrader makes of problem sets: nbval runs their sources, which have the solutions
collect_ignore_glob = [
    f"notebooks/assignments/{step}/*" for step in ("release", "submitted", "autograded", "feedback")
]
#: what nbval is not to compare: records, and figures that turn
NOT_COMPARED = (MIME_TYPE, "application/vnd.plotly.v1+json")

# Random cases repeat from run to run, and a loaded machine is no reason to fail.
hypothesis.settings.register_profile("gmmlab", derandomize=True, deadline=None)
hypothesis.settings.load_profile("gmmlab")
matplotlib.use("agg")


def _is_notebook_cell(item: pytest.Item) -> bool:
    return hasattr(item, "cell") and hasattr(item.parent, "skip_compare")


def pytest_itemcollected(item: pytest.Item) -> None:
    if _is_notebook_cell(item) and MIME_TYPE not in item.parent.skip_compare:
        item.parent.skip_compare += NOT_COMPARED


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
