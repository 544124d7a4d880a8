"""Executing notebooks: reports, refreshing in place, checks in the kernel."""

import nbformat
import numpy as np
import papermill
import pytest
from nbclient.exceptions import CellExecutionError

from gmmlab.workbook import execution
from gmmlab.workbook.recording import differences, record, recorded

PARAMETERS = "k: int = 3  # number of things; in [1, 20]\nname: str = 'a=b'  # what they are"
CHECK = "from gmmlab.workbook import check_parameters, record\n\ncheck_parameters()"
RECORD = "record(k=k, squares=[i**2 for i in range(k)], name=name)"


def notebook(path, *cells):
    """Write a notebook whose first cell is the parameters cell."""
    nodes = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(cells)]
    nodes[0].metadata["tags"] = ["parameters"]
    node = nbformat.v4.new_notebook(cells=nodes)
    node.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python",
        "language": "python",
    }
    nbformat.write(node, path)
    return path


@pytest.fixture
def quick(tmp_path):
    return notebook(tmp_path / "quick.ipynb", PARAMETERS, CHECK, RECORD)


def test_a_report_holds_what_the_run_recorded(quick, tmp_path):
    before = quick.read_text()
    executed, page = execution.report(quick, tmp_path / "out", {"k": 4})
    assert recorded(nbformat.read(executed, as_version=4)) == {
        "k": 4, "squares": [0, 1, 4, 9], "name": "a=b"
    }  # fmt: skip
    assert "Recorded: k, squares, name" in page.read_text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "quick.html", "quick.ipynb"
    ]  # fmt: skip
    assert quick.read_text() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kk": 4}, "no parameter 'kk': did you mean 'k'"),
        ({"k": 21}, r"k must be int, in \[1, 20\] \(number of things\); got 21"),
        ({"k": 2.5, "name": 7}, "k must be int.*name must be str"),
    ],
)
def test_a_wrong_parameter_stops_the_run_and_leaves_nothing(quick, tmp_path, given, message):
    with pytest.raises(papermill.PapermillExecutionError, match=message) as caught:
        execution.report(quick, tmp_path / "out", given)
    assert caught.value.exec_count == 3  # parameters, injected parameters, check
    assert list((tmp_path / "out").iterdir()) == []


def test_parameters_must_have_been_run_before_they_are_checked(tmp_path):
    path = notebook(tmp_path / "n.ipynb", "pass", CHECK)
    with pytest.raises(CellExecutionError, match="run the parameters cell first"):
        execution.refresh(path)


def test_a_malformed_parameters_cell_says_what_is_wrong(tmp_path):
    path = notebook(tmp_path / "n.ipynb", "k: int = 3", CHECK)
    with pytest.raises(CellExecutionError, match="k must be explained in a comment"):
        execution.refresh(path)


def test_refreshing_is_clean_and_repeats_to_the_byte(quick):
    execution.refresh(quick)
    first = quick.read_bytes()
    node = nbformat.reads(first.decode(), as_version=4)
    assert [cell.execution_count for cell in node.cells] == [1, 2, 3]
    assert node.cells[0].metadata["tags"] == ["parameters"]
    assert all(
        cell.metadata["source_sha256"] == execution.source_hash(cell.source) for cell in node.cells
    )
    assert set(node.metadata) == {"kernelspec", "language_info"}
    execution.refresh(quick)
    assert quick.read_bytes() == first


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("1 / 0", CellExecutionError, "ZeroDivisionError"),
        ("import warnings; warnings.warn('careful')", ValueError, "stderr.*careful"),
    ],
)
def test_a_notebook_that_fails_or_warns_is_left_as_it_was(tmp_path, cell, error, message):
    path = notebook(tmp_path / "n.ipynb", PARAMETERS, cell)
    before = path.read_bytes()
    with pytest.raises(error, match=f"(?s){message}"):
        execution.refresh(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---- recording ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, [1.0, np.inf], {"a": float("nan")}])
def test_only_finite_numbers_can_be_recorded(value):
    with pytest.raises(ValueError, match="gain must be finite"):
        record(gain=value)


def test_what_json_cannot_hold_is_refused_by_name():
    with pytest.raises(TypeError, match="model must be something JSON can hold; got object"):
        record(model=object())
    with pytest.raises(ValueError, match="at least one"):
        record()


def test_differences_are_found_at_any_depth():
    one = {"a": 1.0, "b": [1, {"c": 2.0}], "d": "x"}
    assert differences(one, {"a": 1.0 + 1e-9, "b": [1, {"c": 2.0 - 1e-9}], "d": "x"}) == {}
    assert set(differences(one, {"a": 1.1, "b": [1, {"c": 2.1}], "e": 0})) == {"a", "b", "d", "e"}
    assert set(differences({"a": True, "b": 1}, {"a": 1, "b": 1.0})) == {"a"}
