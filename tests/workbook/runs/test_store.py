"""The folder of runs: whole or not at all, and put in order after what was cut off."""

import json
import os
import socket

import psutil
import pytest

from gmmlab.workbook.errors import CannotWrite
from gmmlab.workbook.runs.store import Run, Store, write_json

ID = "0123456789abcdef"
NOBODY = 2**30  # the number of no process


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def keep(store, id_=ID, notebook="one", **results):
    with store.aside(notebook, id_) as aside:
        write_json(aside / "parameters.json", {"k": 3})
        write_json(aside / "results.json", results)
        return store.keep(aside, notebook, id_)


def keep_failed(store, id_=ID, notebook="one", reason="1 / 0"):
    with store.aside(notebook, id_) as aside:
        write_json(aside / "parameters.json", {"k": 3})
        return store.keep_failed(aside, notebook, id_, reason)


def names(store):
    return sorted(path.relative_to(store.folder).as_posix() for path in store.folder.glob("*/*"))


def cut_off(store, *, notebook=True, owner=None, name=f".making-{ID}-0a0b0c0d"):
    """Leave what a process leaves that is killed while it makes a run."""
    aside = store.folder / "one" / name
    aside.mkdir(parents=True)
    if notebook:
        (aside / "notebook.ipynb").write_text("{}")
        write_json(aside / "parameters.json", {"k": 3})
    if owner is not None:
        write_json(aside / "owner.json", owner)
    return aside


def owner(**changes):
    process = psutil.Process()
    said = {"host": socket.gethostname(), "pid": os.getpid(), "created": process.create_time()}
    return said | {"begun": "2026-01-01T00:00:00+00:00"} | changes


def test_a_run_is_kept_whole(store):
    run = keep(store, x=1)
    assert names(store) == [f"one/{ID}"]
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "parameters.json", "results.json"
    ]  # fmt: skip
    assert (run.id, run.notebook, run.completed) == (ID, "one", True)
    assert (run.parameters, run.results, run.failure) == ({"k": 3}, {"x": 1}, "")
    assert store.completed("one", ID) == run


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_what_was_not_kept_is_not_there(store, error):
    old = keep(store, x=1)

    def fail():
        with store.aside("one", ID) as aside:
            (aside / "results.json").write_text("{}")
            raise error(28, "No space left on device")

    with pytest.raises(CannotWrite if error is OSError else error, match="No space"):
        fail()
    assert names(store) == [f"one/{ID}"]
    assert old.results == {"x": 1}


def test_a_failed_run_is_marked_and_no_result(store):
    with store.aside("one", ID) as aside:
        write_json(aside / "parameters.json", {})
        write_json(aside / "results.json", {"x": 1})
        run = store.keep_failed(aside, "one", ID, "broken (cell 3)\n\ntraceback")
    assert names(store) == [f"one/{ID}-failed"]
    assert not run.completed
    assert (run.id, run.results, run.failure) == (ID, {}, "broken (cell 3)")
    assert not (run.folder / "results.json").exists()
    assert store.completed("one", ID) is None


def test_success_takes_the_place_of_failure_and_not_the_other_way_round(store):
    keep_failed(store)
    keep(store, x=1)
    assert names(store) == [f"one/{ID}"]
    keep_failed(store)
    assert names(store) == [f"one/{ID}", f"one/{ID}-failed"]
    assert store.completed("one", ID).results == {"x": 1}


def test_a_run_made_again_takes_the_place_of_the_old(store):
    keep(store, x=1)
    assert keep(store, x=2).results == {"x": 2}
    assert names(store) == [f"one/{ID}"]


def test_an_old_run_is_put_back_where_the_new_cannot_take_its_place(store, monkeypatch):
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


def test_whoever_comes_second_takes_the_run_of_the_first(store):
    with store.aside("one", ID) as aside:
        write_json(aside / "results.json", {"x": 1})
        rename = type(aside).rename
        other = Store(store.folder)

        def sooner(path, target):
            type(aside).rename = rename
            keep(other, x=2)
            return rename(path, target)

        type(aside).rename = sooner
        run = store.keep(aside, "one", ID)
    assert run.results == {"x": 2}
    assert names(store) == [f"one/{ID}"]


# ---- recovery ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made_by",
    [
        {"pid": 2**22 + 1},  # there is no such process
        {"created": 1.0},  # another one has its number now
    ],
)
def test_a_run_that_was_cut_off_becomes_a_failed_one(store, made_by):
    old = keep(store, x=1)
    cut_off(store, owner=owner(**made_by))
    (said,) = store.recover()
    assert f"the run one/{ID}, begun 2026-01-01T00:00:00+00:00, was cut off" in said
    assert f"kept as one/{ID}-failed" in said
    assert names(store) == [f"one/{ID}", f"one/{ID}-failed"]
    failed = store.find(f"{ID}-failed")
    assert "was cut off: its process was killed" in failed.failure
    assert not failed.completed
    assert old.results == {"x": 1}
    assert store.recover() == []


def test_of_a_run_that_had_not_begun_nothing_is_kept(store):
    cut_off(store, notebook=False, owner=owner(pid=2**22 + 1))
    (said,) = store.recover()
    assert "There is nothing of it to keep" in said
    assert names(store) == []


@pytest.mark.parametrize("made_by", [{}, {"host": "another", "pid": 2**22 + 1}])
def test_a_run_that_is_being_made_is_left_alone(store, made_by):
    aside = cut_off(store, owner=owner(**made_by))
    assert store.recover() == []
    assert aside.exists()


def test_a_run_whose_owner_is_not_known_is_given_a_moment(store):
    aside = cut_off(store)
    (aside / "owner.json").write_text('{"ho')  # half written
    assert store.recover() == []
    os.utime(aside, (0, 0))
    assert len(store.recover()) == 1


def test_a_run_that_was_being_replaced_is_put_back(store):
    run = keep(store, x=1)
    run.folder.rename(run.folder.with_name(f".replaced-{ID}-{NOBODY}-0a0b0c0d"))
    (said,) = store.recover()
    assert said == f"the run one/{ID}, while being replaced, is back"
    assert store.completed("one", ID).results == {"x": 1}


def test_a_run_that_is_just_being_replaced_is_left_alone(store):
    run = keep(store, x=1)
    run.folder.rename(run.folder.with_name(f".replaced-{ID}-{os.getpid()}-0a0b0c0d"))
    assert store.recover() == []
    assert store.runs() == []


def test_what_was_replaced_is_removed(store):
    run = keep(store, x=2)
    old = run.folder.with_name(f".replaced-{ID}-{NOBODY}-0a0b0c0d")
    old.mkdir()
    write_json(old / "results.json", {"x": 1})
    assert store.recover() == []
    assert names(store) == [f"one/{ID}"]
    assert run.results == {"x": 2}


@pytest.mark.parametrize("name", [".making-of", ".replaced-them", ".making-", ".DS_Store"])
def test_what_others_have_put_there_is_left_alone(store, name):
    cut_off(store, name=name)
    assert store.recover() == []
    assert names(store) == [f"one/{name}"]
    assert store.runs() == []


def test_a_run_may_be_done_while_another_process_looks(store, monkeypatch):
    cut_off(store, owner=owner())
    glob = type(store.folder).glob

    def late(folder, pattern):
        found = list(glob(folder, pattern))
        for path in found:
            path.rename(path.with_name(ID))
        return found

    monkeypatch.setattr(type(store.folder), "glob", late)
    assert store.recover() == []


def test_where_nothing_can_be_written_recovery_says_so(store, monkeypatch):
    cut_off(store, owner=owner(pid=2**22 + 1))

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(type(store.folder), "rename", refuse)
    with pytest.raises(CannotWrite, match="Read-only file system"):
        store.recover()


# ---- names -------------------------------------------------------------------------------------


def test_runs_are_found_by_name(store, monkeypatch):
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


def test_a_run_that_completed_goes_before_the_one_that_failed(store):
    run = keep(store)
    failed = keep_failed(store)
    assert store.find(ID) == run
    assert store.find(f"{ID}-failed") == failed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("01", "more than one run is '01'"),
        ("ff", "no run is 'ff'"),
        ("two/0123", "no run is"),
        ("one/0123456789abcdeg", f"did you mean 'one/{ID}'"),
        ("", "no run is ''"),
        ("/", "no run is"),
        ("a\0b", "no run is"),
    ],
)
def test_other_names_are_refused(store, name, message):
    keep(store), keep(store, "0199456789abcdef")
    with pytest.raises(ValueError, match=message):
        store.find(name)


def test_json_is_the_same_bytes_for_the_same_value(tmp_path):
    write_json(tmp_path / "a.json", {"x": 0.1, "ü": [1, None]})
    assert (tmp_path / "a.json").read_text() == (
        '{\n  "x": 0.1,\n  "ü": [\n    1,\n    null\n  ]\n}\n'
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text())["x"] == 0.1


def test_a_run_whose_files_are_gone_has_nothing_to_say(tmp_path):
    run = Run(tmp_path / "one" / f"{ID}-failed")
    assert (run.parameters, run.provenance, run.failure) == ({}, {}, "unknown")
