"""Runs on the workers of a Dask cluster: no run is lost, and none is repeated."""

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

from gmmlab.workbook.errors import CellFailed, ClusterError
from gmmlab.workbook.runs import ClusterRunner, Runner, Settings, cluster

distributed = pytest.importorskip("distributed", reason="dask.distributed is an extra")

#: signals that the run has started; if k > 2, waits until the test lets it end
WAIT = """import os, time
open(f'../begun-{k}-{os.getpid()}', 'w').close()
while k > 2 and not os.path.exists('../go'): time.sleep(0.02)"""
pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of Dask while it shuts down


@pytest.fixture
def two_workers(tmp_path, monkeypatch):
    """Start two workers, each a process with one thread, in the folder of the workbook."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as found:
        yield found


def test_no_run_is_lost_or_repeated_if_a_worker_is_killed(tmp_path, two_workers):
    switch = "if k == 2: 1 / 0"
    workbook = make_workbook(tmp_path, quick=(PARAMETERS, CHECK, WAIT, switch, COUNT, RECORD))
    existing = make(workbook, given={"k": 1}).run
    runner = ClusterRunner(workbook, two_workers.scheduler_address)
    tasks = [runner.task(workbook.notebook("quick"), {"k": k}) for k in range(1, 7)]
    outcomes = runner.make(tasks, Settings(threads=1))
    found = [next(outcomes), next(outcomes)]  # the existing run, and the one that fails
    worker = next(iter(two_workers.workers.values()))
    end = time.monotonic() + 30
    while len(list(tmp_path.glob("begun-[3-6]-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(worker.pid, 9)
    (tmp_path / "go").touch()
    found += outcomes
    assert not found[0].made
    assert found[0].run == existing
    assert isinstance(found[1].failure, CellFailed)
    assert found[1].failure.cell == 4
    assert {outcome.task.id for outcome in found} == {task.id for task in tasks}
    assert [outcome.run.completed for outcome in found[2:]] == [True] * 4
    # Only a run that the killed worker had finished and not yet reported may occur twice.
    assert sorted(set(executions(workbook))) == ["1", "3", "4", "5", "6"]
    assert len(list(tmp_path.glob("begun-2-*"))) == 1  # it came back before, and is not repeated
    failed = f"{tasks[1].id}-failed"
    assert folders(workbook) == sorted([failed, *(t.id for t in tasks if t is not tasks[1])])
    local = make(workbook, given={"k": 3}, force=True).run
    remote = next(outcome.run for outcome in found if outcome.task.parameters["k"] == 3)
    assert local.results == remote.results
    # The second time, only the failed run is made.
    again = runner.make(tasks, Settings(threads=1))
    assert [outcome.made for outcome in again] == [False] * 5 + [True]


def test_a_worker_with_other_code_data_or_libraries_is_refused(tmp_path, monkeypatch):
    workbook = make_workbook(tmp_path)
    monkeypatch.chdir(tmp_path)
    runner = Runner(workbook)
    task = runner.task(workbook.notebook("quick"), {})
    for name, value in {"package": "x", "data": {"a": "b"}, "libraries": {}}.items():
        client = vars(runner.fingerprint) | {name: value}
        with pytest.raises(ClusterError, match=rf"\(different: {name}\); install"):
            cluster.make_here(task, type(runner.fingerprint)(**client), Settings())
    assert executions(workbook) == []


@pytest.mark.parametrize("address", ["127.0.0.1:9", "x://y:1", ""])
def test_a_scheduler_that_does_not_answer_is_named(tmp_path, address):
    workbook = make_workbook(tmp_path)
    start = time.monotonic()
    code, _, err = command(workbook, "sweep", "quick", "-g", "k", "1,2", "--scheduler", address)
    assert (code, executions(workbook)) == (7, [])
    assert f"no scheduler answers at {address}" in err
    assert time.monotonic() - start < 20
