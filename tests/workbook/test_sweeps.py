"""Sweeps: every run of a grid is made once, and one table collects the results."""

import csv
import io
import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
from workbooks import (
    CHECK,
    COUNT,
    PARAMETERS,
    RECORD,
    all_gone,
    as_json,
    command,
    descendants,
    eventually,
    executions,
    folders,
    make_workbook,
    start_command,
)

from gmmlab.workbook import sweeps
from gmmlab.workbook.parameters import grid
from gmmlab.workbook.runs import Runner, Settings, Store
from gmmlab.workbook.sweeps import sweep

FAILS_AT_2 = "if k == 2: raise ValueError('not two')"


@pytest.fixture
def workbook(tmp_path):
    return make_workbook(tmp_path)


def table(workbook, name="k", notebook="quick"):
    """Return the table of the sweep that was started last."""
    folders = (workbook.reports / "sweeps" / notebook).glob(f"{name}-????????")
    return max(folders, key=lambda folder: folder.stat().st_mtime) / "sweep.csv"


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_combination_of_a_grid_is_run_once(workbook):
    found = sweep("quick", {"k": [2, 3], "name": ["a", "b"]}, workbook=workbook, jobs=2)
    assert isinstance(found, pd.DataFrame)
    assert list(found[["k", "name"]].itertuples(index=False, name=None)) == [
        (2, "a"), (2, "b"), (3, "a"), (3, "b")
    ]  # fmt: skip
    assert sorted(executions(workbook)) == ["2", "2", "3", "3"]
    assert list(found.columns) == [
        "run", "status", "k", "name", "recorded k", "squares", "recorded name", "reason"
    ]  # fmt: skip
    assert list(found["squares"]) == [[0, 1], [0, 1], [0, 1, 4], [0, 1, 4]]
    assert set(found["run"]) == set(folders(workbook))
    folder = table(workbook, "k-name").parent
    assert sorted(path.name for path in folder.iterdir()) == [
        "sweep.csv", "sweep.html", "sweep.json"
    ]  # fmt: skip


def test_a_list_of_sets_can_be_combined_with_fixed_parameters(workbook):
    found = sweep("quick", [{"k": 4}, {"k": 2}, {"k": 4}], fixed={"name": "b"}, workbook=workbook)
    assert list(found["k"]) == [4, 2]
    assert set(found["name"]) == {"b"}


@pytest.mark.parametrize(
    ("values", "fixed", "message"),
    [
        ({"k": [1, 21]}, {}, "k must be int"),
        ({"kk": [1]}, {}, "did you mean 'k'"),
        ({"k": []}, {}, "at least one set"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_starts(workbook, values, fixed, message):
    with pytest.raises(ValueError, match=message):
        sweep("quick", values, fixed=fixed, workbook=workbook)
    assert not workbook.reports.exists()


def test_a_larger_sweep_only_makes_the_missing_runs(workbook):
    sweep("quick", {"k": [2, 3]}, workbook=workbook, jobs=1)
    found = sweep("quick", {"k": [1, 2, 3]}, workbook=workbook, jobs=1)
    assert executions(workbook) == ["2", "3", "1"]
    assert list(found["k"]) == [1, 2, 3]
    assert [row["k"] for row in rows(table(workbook))] == ["1", "2", "3"]


def test_the_table_does_not_depend_on_the_number_of_jobs(tmp_path):
    tables = []
    for jobs in (1, 2):
        workbook = make_workbook(tmp_path / str(jobs))
        sweep("quick", {"k": range(1, 5), "name": ['"', "ü,\n"]}, workbook=workbook, jobs=jobs)
        tables.append(table(workbook, "k-name").read_bytes())
    assert tables[0] == tables[1]


def test_a_failed_run_does_not_stop_the_others(tmp_path):
    workbook = make_workbook(tmp_path, quick=(PARAMETERS, CHECK, COUNT, FAILS_AT_2, RECORD))
    code, out, err = command(workbook, "sweep", "quick", "-g", "k", "1:4", "--jobs", "1")
    assert code == 1
    assert executions(workbook) == ["1", "2", "3"]
    assert "3 runs: 3 new" in out
    assert "1 failed:" in err
    assert "k=2: quick/" in err
    assert "ValueError: not two" in err
    found = rows(table(workbook))
    assert [row["status"] for row in found] == ["completed", "failed", "completed"]
    assert [row["reason"] for row in found] == ["", "ValueError: not two", ""]
    assert [row["recorded k"] for row in found] == ["1", "", "3"]
    assert found[1]["run"].endswith("-failed")
    # Only the failed run is repeated.
    code, found = as_json(workbook, "sweep", "quick", "-g", "k", "1:4")
    assert (code, executions(workbook)) == (1, ["1", "2", "3", "2"])
    assert [run["exit_code"] for run in found["runs"]] == [0, 1, 0]


def test_the_table_grows_and_can_be_read_at_any_time(workbook):
    runner = Runner(workbook)
    notebook = workbook.notebook("quick")
    tasks = sweeps.plan(runner, notebook, grid({"k": range(1, 4), "name": ["x\ny", ","]}), {})
    seen = []

    def look(outcome):
        seen.append(rows(table(workbook, "k-name")))
        assert len(seen[-1]) == len(seen)
        assert seen[-1][-1]["k"] == str(outcome.task.parameters["k"])

    sweeps.make(runner, notebook, tasks, {}, Settings(jobs=2), look)
    assert len(seen) == 6


def test_a_table_that_grows_row_by_row_equals_one_written_at_once(tmp_path):
    """Rows of failed runs have fewer columns; they may come first or last."""
    one = {"run": "a", "status": "failed", "k": 1, "reason": "x\ny"}
    other = {"run": "b", "status": "completed", "k": 2, "reason": "", "x": [1.0], "y": 0.1}
    for order in ([one, other], [other, one], [other, other | {"z": None}, one]):
        growing = sweeps._Table(tmp_path / "t.csv")
        for number, row in enumerate(order, start=1):
            growing.add(row)
            assert len(rows(tmp_path / "t.csv")) == number
        sweeps.write_csv(tmp_path / "whole.csv", order)
        assert rows(tmp_path / "t.csv") == rows(tmp_path / "whole.csv")
        assert rows(tmp_path / "t.csv")[0].keys() >= one.keys()


def test_the_table_contains_all_digits_of_numbers(tmp_path):
    values = [0.1, 1 / 3, 5e-324, 1e300, 12345678901234567890, 1.0]
    sweeps.write_csv(tmp_path / "t.csv", [{"run": "a", "reason": "", "x": x} for x in values])
    assert [json.loads(row["x"]) for row in rows(tmp_path / "t.csv")] == values


def test_parameters_and_results_with_names_of_other_columns_are_renamed(tmp_path):
    lines = "\n".join(f"{name}: int = 1  # a number" for name in ("run", "status", "reason", "k"))
    results = "record(status='s', run='r', k=5, reason='why', nested={'a': {'b': 1}, 'c': 2})"
    workbook = make_workbook(tmp_path, odd=(lines, CHECK, results))
    found = sweep("odd", {"status": [1, 2]}, workbook=workbook)
    assert set(found["status"]) == {"completed"}
    assert list(found["parameter status"]) == [1, 2]
    assert list(found["reason"]) == ["", ""]
    assert list(found["recorded status"]) == ["s", "s"]
    assert list(found["k"]) == [1, 1]
    assert list(found["recorded k"]) == [5, 5]
    assert list(found["nested.a.b"]) == [1, 1]
    assert sorted(found["run"]) == folders(workbook)
    assert len(set(found.columns)) == len(found.columns)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_sweep_can_be_resumed(tmp_path, number):
    wait = "import os, time\nwhile k > 2 and not os.path.exists('../go'): time.sleep(0.02)"
    workbook = make_workbook(tmp_path, quick=(PARAMETERS, CHECK, wait, COUNT, RECORD))
    words = ("sweep", "quick", "-g", "k", "1:5", "--jobs", "1")
    process = start_command(workbook, *words)
    assert eventually(lambda: list(workbook.reports.glob("sweeps/quick/*/sweep.csv")))
    path = table(workbook)
    assert eventually(lambda: len(rows(path)) == 2)
    processes = descendants(process.pid)
    os.kill(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert all_gone(processes)
    assert len(rows(path)) == 2
    (tmp_path / "go").touch()
    code, out, err = command(workbook, *words)
    assert code == 0
    assert "4 runs: 2 new, 2 existing" in out
    assert executions(workbook) == ["1", "2", "3", "4"]
    assert ("was interrupted" in err) == (number == signal.SIGKILL)
    assert [row["k"] for row in rows(path)] == ["1", "2", "3", "4"]
    assert len(folders(workbook)) == 4


def test_the_command_reads_sets_from_options_and_files(workbook):
    file = workbook.root / "grid.yaml"
    file.write_text("- {k: 1, name: 007}\n- {k: 2, name: no}\n")
    code, found = as_json(workbook, "sweep", "quick", "-f", file)
    assert code == 0
    assert [run["parameters"] for run in found["runs"]] == [
        {"k": 1, "name": "007"}, {"k": 2, "name": "no"}
    ]  # fmt: skip
    assert found["swept"] == ["k", "name"]
    code, found = as_json(workbook, "sweep", "quick", "-g", "k", "1,2", "-p", "name", "007")
    assert [run["made"] for run in found["runs"]] == [False, True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs values"),
        (["-g", "k", "3:3"], "is empty"),
        (["-g", "kk", "1"], "did you mean 'k'"),
        (["-g", "k", "1", "-g", "k", "2"], "k is given twice"),
        (["-g", "k", "1", "-f", "k.yaml"], "swept by both"),
        (["-g", "k", "1", "-p", "k", "2"], "either swept or fixed"),
        (["-g", "k", "1", "--jobs", "0"], "--jobs"),
        (["-g", "k", "1", "--jobs", "2", "--scheduler", "tcp://x:1"], "only one of them"),
    ],
)
def test_wrong_options_are_refused_before_anything_starts(workbook, monkeypatch, words, message):
    (workbook.root / "k.yaml").write_text("k: 2")
    monkeypatch.chdir(workbook.root)
    code, _, err = command(workbook, "sweep", "quick", *words)
    assert code == 2
    assert message in " ".join(err.split())
    assert not workbook.reports.exists()


def test_a_folder_that_cannot_be_created_is_reported_before_a_run_starts(workbook):
    workbook.reports.mkdir()
    (workbook.reports / "sweeps").touch()
    code, _, err = command(workbook, "sweep", "quick", "-g", "k", "1,2")
    assert (code, executions(workbook)) == (5, [])
    assert "cannot write to" in err


def test_the_page_links_to_the_runs(workbook):
    sweep("quick", {"k": [1, 2]}, workbook=workbook)
    page = table(workbook).with_name("sweep.html").read_text()
    for run in Store(workbook.reports / "runs").runs():
        assert f"../../../runs/quick/{run.id}/report.html" in page
    assert io.StringIO(page).readline().lower().startswith("<!doctype html>")


def test_lists_can_be_swept_and_are_shown_on_the_page(tmp_path):
    digits = "digits: list[int] = [1]  # some digits"
    workbook = make_workbook(tmp_path, quick=(digits, CHECK, "record(total=sum(digits))"))
    found = sweep("quick", {"digits": [[1, 2], [3, 4]]}, workbook=workbook, jobs=1)
    assert list(found["total"]) == [3, 7]
    page = table(workbook, "digits").with_name("sweep.html").read_text()
    assert "[1, 2]" in page
    assert "[3, 4]" in page


def test_sweeps_over_other_values_have_their_own_tables(workbook):
    sweep("quick", {"k": [1, 2]}, workbook=workbook, jobs=1)
    first = table(workbook)
    before = first.read_bytes()
    sweep("quick", {"k": [1, 2, 3]}, workbook=workbook, jobs=1)
    sweep("quick", {"k": [1, 2]}, fixed={"name": "other"}, workbook=workbook, jobs=1)
    assert first.read_bytes() == before
    assert len(list(first.parent.parent.iterdir())) == 3


def test_numpy_values_give_the_same_runs_as_python_values(workbook):
    one = sweep("quick", {"k": np.arange(1, 3)}, workbook=workbook, jobs=1)
    other = sweep("quick", {"k": [1, 2]}, workbook=workbook, jobs=1)
    assert list(one["run"]) == list(other["run"])
    assert sorted(executions(workbook)) == ["1", "2"]
