"""The folder of runs: each is there whole or not at all, also after a process was killed."""

import json
import os
import socket

import psutil
import pytest

from gmmlab.workbook.errors import CannotWrite
from gmmlab.workbook.runs.store import Run, Store, write_json

ID = "0123456789abcdef"
NO_PROCESS = 2**30  # a process id that does not exist


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def keep(store, id_=ID, notebook="one", **results):
    with store.staging(notebook, id_) as staging:
        write_json(staging / "parameters.json", {"k": 3})
        write_json(staging / "results.json", results)
        return store.keep(staging, notebook, id_)


def keep_failed(store, id_=ID, notebook="one", reason="1 / 0"):
    with store.staging(notebook, id_) as staging:
        write_json(staging / "parameters.json", {"k": 3})
        return store.keep_failed(staging, notebook, id_, reason)


def names(store):
    return sorted(path.relative_to(store.folder).as_posix() for path in store.folder.glob("*/*"))


def interrupt(store, *, notebook=True, owner=None, name=f".making-{ID}-0a0b0c0d"):
    """Leave the files of a process that was killed while it made a run."""
    staging = store.folder / "one" / name
    staging.mkdir(parents=True)
    if notebook:
        (staging / "notebook.ipynb").write_text("{}")
        write_json(staging / "parameters.json", {"k": 3})
    if owner is not None:
        write_json(staging / "owner.json", owner)
    return staging


def owner(**changes):
    process = psutil.Process()
    own = {"host": socket.gethostname(), "pid": os.getpid(), "created": process.create_time()}
    return own | {"begun": "2026-01-01T00:00:00+00:00"} | changes


def test_a_run_is_kept_whole(store):
    run = keep(store, x=1)
    assert names(store) == [f"one/{ID}"]
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "parameters.json", "results.json"
    ]  # fmt: skip
    assert (run.id, run.notebook, run.completed) == (ID, "one", True)
    assert (run.parameters, run.results, run.failure) == ({"k": 3}, {"x": 1}, "")
    assert store.completed("one", ID) == run


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_run_that_was_not_kept_leaves_no_files(store, error):
    old = keep(store, x=1)

    def fail():
        with store.staging("one", ID) as staging:
            (staging / "results.json").write_text("{}")
            raise error(28, "No space left on device")

    with pytest.raises(CannotWrite if error is OSError else error, match="No space"):
        fail()
    assert names(store) == [f"one/{ID}"]
    assert old.results == {"x": 1}


def test_a_failed_run_is_marked_and_has_no_results(store):
    with store.staging("one", ID) as staging:
        write_json(staging / "parameters.json", {})
        write_json(staging / "results.json", {"x": 1})
        run = store.keep_failed(staging, "one", ID, "broken (cell 3)\n\ntraceback")
    assert names(store) == [f"one/{ID}-failed"]
    assert not run.completed
    assert (run.id, run.results, run.failure) == (ID, {}, "broken (cell 3)")
    assert not (run.folder / "results.json").exists()
    assert store.completed("one", ID) is None


def test_a_completed_run_replaces_a_failed_one_and_not_the_other_way_round(store):
    keep_failed(store)
    keep(store, x=1)
    assert names(store) == [f"one/{ID}"]
    keep_failed(store)
    assert names(store) == [f"one/{ID}", f"one/{ID}-failed"]
    assert store.completed("one", ID).results == {"x": 1}


def test_a_repeated_run_replaces_the_old_one(store):
    keep(store, x=1)
    assert keep(store, x=2).results == {"x": 2}
    assert names(store) == [f"one/{ID}"]


def test_the_old_run_is_restored_if_the_new_one_cannot_replace_it(store, monkeypatch):
    keep(store, x=1)
    rename = type(store.folder).rename

    def refuse(path, target):
        if path.name.startswith(".making"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(type(store.folder), "rename", refuse)
    with pytest.raises(CannotWrite, match="Input/output error"):
        keep(store, x=2)
    assert names(store) == [f"one/{ID}"]
    assert store.completed("one", ID).results == {"x": 1}


def test_the_second_of_two_processes_keeps_the_run_of_the_first(store):
    with store.staging("one", ID) as staging:
        write_json(staging / "results.json", {"x": 1})
        rename = type(staging).rename
        other = Store(store.folder)

        def sooner(path, target):
            type(staging).rename = rename
            keep(other, x=2)
            return rename(path, target)

        type(staging).rename = sooner
        run = store.keep(staging, "one", ID)
    assert run.results == {"x": 2}
    assert names(store) == [f"one/{ID}"]


# ---- recovery ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made_by",
    [
        {"pid": 2**22 + 1},  # this process does not exist
        {"created": 1.0},  # another process has this id now
    ],
)
def test_an_interrupted_run_becomes_a_failed_one(store, made_by):
    old = keep(store, x=1)
    interrupt(store, owner=owner(**made_by))
    (message,) = store.recover()
    assert f"the run one/{ID}, started 2026-01-01T00:00:00+00:00, was interrupted" in message
    assert f"kept as one/{ID}-failed" in message
    assert names(store) == [f"one/{ID}", f"one/{ID}-failed"]
    failed = store.find(f"{ID}-failed")
    assert "was interrupted: its process was killed" in failed.failure
    assert not failed.completed
    assert old.results == {"x": 1}
    assert store.recover() == []


def test_a_run_that_was_interrupted_before_it_started_is_removed(store):
    interrupt(store, notebook=False, owner=owner(pid=2**22 + 1))
    (message,) = store.recover()
    assert "It left no files to keep" in message
    assert names(store) == []


@pytest.mark.parametrize("made_by", [{}, {"host": "another", "pid": 2**22 + 1}])
def test_a_run_in_progress_is_not_touched(store, made_by):
    staging = interrupt(store, owner=owner(**made_by))
    assert store.recover() == []
    assert staging.exists()


def test_a_new_folder_without_an_owner_is_not_touched_for_some_seconds(store):
    staging = interrupt(store)
    (staging / "owner.json").write_text('{"ho')  # incomplete
    assert store.recover() == []
    os.utime(staging, (0, 0))
    assert len(store.recover()) == 1


def test_a_run_is_restored_if_the_process_that_replaced_it_was_killed(store):
    run = keep(store, x=1)
    run.folder.rename(run.folder.with_name(f".replaced-{ID}-{NO_PROCESS}-0a0b0c0d"))
    (message,) = store.recover()
    assert f"the run one/{ID} was restored" in message
    assert store.completed("one", ID).results == {"x": 1}


def test_a_run_that_a_live_process_replaces_is_not_touched(store):
    run = keep(store, x=1)
    run.folder.rename(run.folder.with_name(f".replaced-{ID}-{os.getpid()}-0a0b0c0d"))
    assert store.recover() == []
    assert store.runs() == []


def test_a_run_that_was_replaced_is_removed(store):
    run = keep(store, x=2)
    old = run.folder.with_name(f".replaced-{ID}-{NO_PROCESS}-0a0b0c0d")
    old.mkdir()
    write_json(old / "results.json", {"x": 1})
    assert store.recover() == []
    assert names(store) == [f"one/{ID}"]
    assert run.results == {"x": 2}


@pytest.mark.parametrize("name", [".making-of", ".replaced-them"])
def test_other_files_are_not_touched(store, name):
    interrupt(store, name=name)
    assert store.recover() == []
    assert names(store) == [f"one/{name}"]
    assert store.runs() == []


def test_a_run_can_be_finished_while_another_process_recovers(store, monkeypatch):
    interrupt(store, owner=owner())
    glob = type(store.folder).glob

    def late(folder, pattern):
        found = list(glob(folder, pattern))
        for path in found:
            path.rename(path.with_name(ID))
        return found

    monkeypatch.setattr(type(store.folder), "glob", late)
    assert store.recover() == []


def test_recovery_reports_that_it_cannot_write(store, monkeypatch):
    interrupt(store, owner=owner(pid=2**22 + 1))

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(type(store.folder), "rename", refuse)
    with pytest.raises(CannotWrite, match="Read-only file system"):
        store.recover()


# ---- names -------------------------------------------------------------------------------------


def test_a_run_is_found_by_its_folder_or_the_start_of_its_id(store, monkeypatch):
    one, two = keep(store), keep(store, "0199456789abcdef")
    other, failed = keep(store, "aa23456789abcdef", "two"), keep_failed(store, "bb", "two")
    for name in (ID, "012", "one/012", f"one/{ID}", f"one/{ID}/", str(one.folder)):
        assert store.find(name) == one, name
    assert store.find("019") == two
    assert store.find("two/a") == other
    assert store.find("bb") == store.find("bb-failed") == store.find("two/bb-failed") == failed
    monkeypatch.chdir(one.folder)
    assert store.find(".") == one
    assert store.runs() == [one, two, other, failed]


def test_the_completed_run_is_found_before_the_failed_one(store):
    run = keep(store)
    failed = keep_failed(store)
    assert store.find(ID) == run
    assert store.find(f"{ID}-failed") == failed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("01", "more than one run matches '01'"),
        ("two/0123", "no run matches"),
        ("one/0123456789abcdeg", f"did you mean 'one/{ID}'"),
        ("", "no run matches ''"),
        ("a\0b", "no run matches"),
    ],
)
def test_a_name_without_exactly_one_run_is_refused(store, name, message):
    keep(store), keep(store, "0199456789abcdef")
    with pytest.raises(ValueError, match=message):
        store.find(name)


def test_equal_values_give_the_same_bytes_of_json(tmp_path):
    write_json(tmp_path / "a.json", {"x": 0.1, "ü": [1, None]})
    assert (tmp_path / "a.json").read_text() == (
        '{\n  "x": 0.1,\n  "ü": [\n    1,\n    null\n  ]\n}\n'
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text())["x"] == 0.1


def test_a_run_without_files_has_empty_properties(tmp_path):
    run = Run(tmp_path / "one" / f"{ID}-failed")
    assert (run.parameters, run.provenance, run.failure) == ({}, {}, "unknown")
