"""Comparing two runs, and repeating a run."""

import dataclasses
import json

import pytest
from workbooks import (
    CHECK,
    PARAMETERS,
    RECORD,
    as_json,
    command,
    executions,
    folders,
    make,
    make_workbook,
    write_notebook,
)

from gmmlab.workbook.runs.comparison import check, compare, recorded_notebook, rerun
from gmmlab.workbook.runs.store import write_json

CHANCE = "import os\nrecord(draw=os.urandom(8).hex(), x=1.0 + 1e-9 * os.urandom(1)[0])"


def test_a_repeated_run_has_the_same_results(tmp_path):
    workbook = make_workbook(tmp_path)
    run = make(workbook, given={"k": 4}).run
    before = sorted(path.stat().st_mtime_ns for path in run.folder.iterdir())
    assert check(run, workbook=workbook, threads=1).same
    assert executions(workbook) == ["4", "4"]
    assert sorted(path.stat().st_mtime_ns for path in run.folder.iterdir()) == before
    assert folders(workbook) == [run.id]
    code, out, _ = command(workbook, "rerun", run.name, "--check")
    assert code == 0
    assert "the same results to the last bit" in out
    again = rerun(run, workbook=workbook)
    assert again.folder == run.folder  # the same id
    assert executions(workbook) == ["4"] * 4


def test_different_results_are_reported_by_name(tmp_path):
    workbook = make_workbook(tmp_path, chance=(PARAMETERS, CHECK, CHANCE))
    run = make(workbook, "chance").run
    code, found = as_json(workbook, "rerun", run.id, "--check", "--tolerance", "1e-6")
    assert code == 6
    assert not found["same"]
    assert list(found["results"]) == ["draw"]  # the number is within the tolerance
    assert found["results"]["draw"][0] == run.results["draw"]
    code, _, err = command(workbook, "rerun", run.id, "--check")
    assert code == 6
    assert "different results" in err


def test_a_run_is_repeated_with_its_own_notebook(tmp_path):
    workbook = make_workbook(tmp_path)
    run = make(workbook).run
    write_notebook(workbook.notebooks[0], PARAMETERS, CHECK, "record(k=0)")
    assert check(run, workbook=workbook).same
    again = rerun(run, workbook=workbook)
    assert again.results == run.results
    assert executions(workbook) == ["3"] * 3
    # Only the folder of the run still contains this notebook.
    assert again.provenance["command"] == f"gmmlab rerun {run.name}"
    workbook.notebooks[0].unlink()
    assert check(run, workbook=workbook).same


def test_a_run_with_a_modified_notebook_is_refused(tmp_path):
    workbook = make_workbook(tmp_path)
    run = make(workbook).run
    path = run.folder / "notebook.ipynb"
    path.write_text(path.read_text().replace("k=k", "k=9"))
    with pytest.raises(ValueError, match="has been modified since the run"):
        rerun(run, workbook=workbook)
    code, _, err = command(workbook, "rerun", run.name)
    assert (code, executions(workbook)) == (2, ["3"])
    assert "has been modified" in err
    (run.folder / "provenance.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match="has been modified"):
        check(run, workbook=workbook)


def test_a_failed_run_can_be_repeated_and_not_checked(tmp_path):
    switch = "import os\nif not os.path.exists('../mended'): 1 / 0"
    workbook = make_workbook(tmp_path, one=(PARAMETERS, CHECK, switch, RECORD))
    run = make(workbook, "one", {"k": 4}).run
    code, _, err = command(workbook, "rerun", run.name, "--check")
    assert code == 2
    assert "has no results to compare" in err
    code, _, err = command(workbook, "rerun", run.name)
    assert code == 1
    assert "ZeroDivisionError" in err
    (tmp_path / "mended").touch()
    assert rerun(run, workbook=workbook).results["k"] == 4
    assert folders(workbook) == [run.id]


def test_the_notebook_of_a_run_has_the_hash_of_the_original(tmp_path):
    workbook = make_workbook(tmp_path)
    own = workbook.notebook("quick")
    for given in ({}, {"k": 4}):
        found = recorded_notebook(make(workbook, given=given).run)
        assert dataclasses.replace(found, path=own.path).sha256 == own.sha256


def test_differences_are_listed_by_kind(tmp_path):
    workbook = make_workbook(tmp_path)
    one, other = make(workbook).run, make(workbook, given={"k": 4}).run
    assert not any(vars(compare(one, one)).values())
    found = compare(one, other)
    assert found.parameters == {"k": (3, 4)}
    assert set(found.results) == {"k", "squares"}
    assert found.environment == {}
    write_json(
        other.folder / "provenance.json",
        other.provenance | {"python": "2.7", "packages": {"numpy": "1"}},
    )
    found = compare(one, other).environment
    assert found["python"][1] == "2.7"
    assert found["packages.numpy"][1] == "1"
    assert found["packages.scipy"][1] is None


def test_the_exit_code_of_diff_shows_whether_there_are_differences(tmp_path):
    workbook = make_workbook(tmp_path)
    one, other = make(workbook).run, make(workbook, given={"k": 4}).run
    assert command(workbook, "diff", one.id, one.id)[0] == 0
    code, out, _ = command(workbook, "diff", one.id, other.id)
    assert code == 6
    assert "parameters" in out
    assert "environment: no difference" in out
    code, found = as_json(workbook, "diff", one.id[:8], other.name)
    assert (code, found["parameters"]) == (6, {"k": [3, 4]})
    code, _, err = command(workbook, "diff", one.id, "nope")
    assert code == 2
    assert "no run matches 'nope'" in err
