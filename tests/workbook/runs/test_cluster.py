"""Runs on the workers of a Dask cluster: nothing is lost, nothing is repeated."""

import os
import time

import pytest
from workbooks import (
    CHECK,
    COUNT,
    PARAMETERS,
    RECORD,
    command,
    executions,
    folders,
    make,
    make_workbook,
)

from gmmlab.workbook.errors import CellFailed, Elsewhere
from gmmlab.workbook.runs import cluster
from gmmlab.workbook.runs.runner import Maker, Settings

distributed = pytest.importorskip("distributed", reason="dask.distributed is an extra")

#: says that it has begun, and waits until it may end where there is somebody to wait for
WAIT = """import os, time
open(f'../begun-{k}-{os.getpid()}', 'w').close()
while k > 2 and not os.path.exists('../go'): time.sleep(0.02)"""
pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's shutting down


@pytest.fixture
def two_workers(tmp_path, monkeypatch):
    """Two workers, each a process with one thread, that find the workbook where they are."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as found:
        yield found


def test_nothing_is_lost_and_nothing_repeated_where_a_worker_is_killed(tmp_path, two_workers):
    switch = "if k == 2: 1 / 0"
    workbook = make_workbook(tmp_path, quick=(PARAMETERS, CHECK, WAIT, switch, COUNT, RECORD))
    there = make(workbook, given={"k": 1}).run
    maker = Maker(workbook)
    tasks = [maker.task(workbook.notebook("quick"), {"k": k}) for k in range(1, 7)]
    outcomes = maker.make(tasks, Settings(scheduler=two_workers.scheduler_address, threads=1))
    found = [next(outcomes), next(outcomes)]  # the one that was there, and the one that fails
    worker = next(iter(two_workers.workers.values()))
    end = time.monotonic() + 30
    while len(list(tmp_path.glob("begun-[3-6]-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(worker.pid, 9)
    (tmp_path / "go").touch()
    found += outcomes
    assert not found[0].made
    assert found[0].run == there
    assert isinstance(found[1].failure, CellFailed)
    assert found[1].failure.cell == 4
    assert {outcome.task.id for outcome in found} == {task.id for task in tasks}
    assert [outcome.run.completed for outcome in found[2:]] == [True] * 4
    assert sorted(executions(workbook)) == ["1", "3", "4", "5", "6"] or (
        # what the lost worker had just done and not yet told is done again
        sorted(set(executions(workbook))) == ["1", "3", "4", "5", "6"]
    )
    assert len(list(tmp_path.glob("begun-2-*"))) == 1  # come back, and done no more
    failed = f"{tasks[1].id}-failed"
    assert folders(workbook) == sorted([failed, *(t.id for t in tasks if t is not tasks[1])])
    local = make(workbook, given={"k": 3}, force=True).run
    again = next(outcome.run for outcome in found if outcome.task.parameters["k"] == 3)
    assert local.results == again.results
    # a second time there is nothing to do but the one that failed
    settings = Settings(scheduler=two_workers.scheduler_address, threads=1)
    assert [outcome.made for outcome in maker.make(tasks, settings)] == [False] * 5 + [True]


def test_a_worker_with_other_code_is_refused(tmp_path, monkeypatch):
    workbook = make_workbook(tmp_path)
    monkeypatch.chdir(tmp_path)
    maker = Maker(workbook)
    task = maker.task(workbook.notebook("quick"), {})
    for name, value in {"package": "x", "data": {"a": "b"}, "libraries": {}}.items():
        wanted = vars(maker.surroundings) | {name: value}
        with pytest.raises(Elsewhere, match=f"a worker has another {name}; install there"):
            cluster.make_here(task, type(maker.surroundings)(**wanted), Settings())
    assert executions(workbook) == []


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nowhere", "x://y:1", ""])
def test_a_scheduler_that_does_not_answer_is_named(tmp_path, address):
    workbook = make_workbook(tmp_path)
    begun = time.monotonic()
    code, _, err = command(workbook, "sweep", "quick", "-g", "k", "1,2", "--scheduler", address)
    assert (code, executions(workbook)) == (7, [])
    assert f"no scheduler answers at {address}" in err
    assert time.monotonic() - begun < 20
