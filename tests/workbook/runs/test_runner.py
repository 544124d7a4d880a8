"""Making runs: the files that they leave, and how they fail."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from workbooks import (
    CHECK,
    COUNT,
    PARAMETERS,
    PIXEL,
    RECORD,
    all_gone,
    command,
    descendants,
    eventually,
    executions,
    folders,
    make,
    make_workbook,
    sockets_of,
    start_command,
)

from gmmlab.workbook.errors import CannotWrite, CellFailed, InputsChanged, KernelDied
from gmmlab.workbook.notebooks import Workbook
from gmmlab.workbook.runs import Kernels, Limits, Run, Runner, Settings, Store, run, runner

FILES = ["figures", "notebook.ipynb", "parameters.json", "provenance.json", "report.html"]
FIGURE = (
    f"from IPython.display import display\ndisplay({{'image/png': '{PIXEL}', "
    "'image/svg+xml': '<svg/>'}, raw=True)"
)
#: signals that this cell was reached, and stays there
STAY = "open('../there', 'w').close(); import time; time.sleep(60)"


@pytest.fixture
def workbook(tmp_path):
    return make_workbook(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a workbook with one run, to be copied."""
    workbook = make_workbook(tmp_path_factory.mktemp("made"))
    make(workbook)
    return workbook.root


def files(run):
    return sorted(path.name for path in run.folder.iterdir())


# ---- a run -------------------------------------------------------------------------------------


def test_a_completed_run_has_all_its_files(tmp_path):
    workbook = make_workbook(tmp_path, one=(PARAMETERS, CHECK, FIGURE, RECORD))
    before = (tmp_path / "notebooks" / "one.ipynb").read_bytes()
    made = run("one", {"k": 4}, workbook=workbook, threads=1)
    assert files(made) == sorted([*FILES, "results.json"])
    assert folders(workbook) == [made.id]
    assert made.parameters == {"k": 4, "name": "a=b"}
    assert made.results == {"k": 4, "squares": [0, 1, 4, 9], "name": "a=b"}
    assert sorted(path.name for path in (made.folder / "figures").iterdir()) == [
        "01.png", "01.svg"
    ]  # fmt: skip
    notebook = (made.folder / "notebook.ipynb").read_text()
    assert "image/svg+xml" not in json.loads(notebook)["cells"][3]["outputs"][0]["data"]
    assert str(tmp_path) not in notebook
    assert f"run <code>{made.id}</code>" in made.page.read_text()
    assert (tmp_path / "notebooks" / "one.ipynb").read_bytes() == before


def test_an_existing_run_is_not_repeated_unless_forced(workbook):
    first, second = make(workbook), make(workbook)
    assert (first.made, second.made) == (True, False)
    assert second.run == first.run
    assert executions(workbook) == ["3"]
    assert make(workbook, force=True).made
    assert executions(workbook) == ["3", "3"]
    assert folders(workbook) == [first.run.id]


def test_a_task_that_occurs_twice_is_made_once(workbook):
    runner = Runner(workbook)
    notebook = workbook.notebook("quick")
    tasks = [runner.task(notebook, given) for given in ({}, {"k": 3}, {"name": "a=b"})]
    assert len(list(runner.make(tasks, Settings()))) == 1
    assert executions(workbook) == ["3"]


def test_a_wrong_parameter_is_refused_before_a_kernel_starts(workbook, monkeypatch):
    monkeypatch.setattr(runner, "Kernels", None)
    with pytest.raises(ValueError, match=r"no parameter 'kk'.*k must be"):
        run("quick", {"kk": 1, "k": "3"}, workbook=workbook)
    assert folders(workbook) == []


# ---- failures ----------------------------------------------------------------------------------


def test_a_failed_run_is_marked_and_has_no_results(tmp_path):
    switch = "import os\nif os.path.exists('../broken'): 1 / 0"
    workbook = make_workbook(tmp_path, one=(PARAMETERS, CHECK, FIGURE, switch, RECORD))
    (tmp_path / "broken").touch()
    failed = make(workbook, "one")
    assert isinstance(failed.failure, CellFailed)
    assert files(failed.run) == sorted([*FILES, "FAILED.txt"])
    assert folders(workbook) == [f"{failed.task.id}-failed"]
    reason = (failed.run.folder / "FAILED.txt").read_text()
    assert reason.startswith("ZeroDivisionError: division by zero (In [4])\n")
    assert "Traceback" in reason
    page = failed.run.page.read_text()
    assert "ZeroDivisionError" in page
    assert f"run <code>{failed.run.id}</code>" in page
    assert failed.run.provenance["status"] == "failed"
    assert (failed.run.folder / "figures" / "01.png").exists()
    with pytest.raises(CellFailed, match="ZeroDivisionError"):
        run("one", workbook=workbook)
    (tmp_path / "broken").unlink()
    assert make(workbook, "one").run.completed
    assert folders(workbook) == [failed.task.id]


def test_a_forced_run_that_fails_does_not_touch_the_completed_one(tmp_path):
    switch = "import os\nif os.path.exists('../broken'): os._exit(1)"
    workbook = make_workbook(tmp_path, one=(PARAMETERS, CHECK, switch, RECORD))
    made = make(workbook, "one").run
    before = {path: path.stat().st_mtime_ns for path in made.folder.iterdir()}
    (tmp_path / "broken").touch()
    assert isinstance(make(workbook, "one", force=True).failure, KernelDied)
    assert {path: path.stat().st_mtime_ns for path in made.folder.iterdir()} == before


def test_results_that_cannot_be_saved_fail_the_run(tmp_path):
    workbook = make_workbook(tmp_path, bad=(PARAMETERS, "display({'image/png': 'no'}, raw=True)"))
    outcome = make(workbook, "bad")
    assert isinstance(outcome.failure, CellFailed)
    assert "cannot be saved" in outcome.failure.reason
    assert folders(workbook) == [f"{outcome.task.id}-failed"]


def test_a_run_fails_if_the_data_change_during_it(tmp_path):
    """Otherwise its id would stand for other data."""
    change = "open('../data/d.txt', 'w').write('two')"
    workbook = make_workbook(tmp_path, quick=(PARAMETERS, CHECK, change, RECORD))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "d.txt").write_text("one")
    with pytest.raises(InputsChanged, match="changed during the run"):
        run("quick", workbook=workbook)
    assert [each.completed for each in Store(workbook.reports / "runs").runs()] == [False]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("write_json", OSError),
        ("execute", KeyboardInterrupt),
        ("recorded", KeyboardInterrupt),
        ("Runner._write_figures", OSError),
        ("_write_notebook", KeyboardInterrupt),
        ("write_page", OSError),
        ("Store.keep", KeyboardInterrupt),
        ("Store.keep", OSError),
    ],
)
def test_a_run_is_kept_whole_or_not_at_all(made, tmp_path, monkeypatch, step, error):
    """Wherever the making of a run stops, the existing run is not touched."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    workbook = Workbook(tmp_path)
    (old,) = map(Run, (workbook.reports / "runs" / "quick").iterdir())
    before = {path: path.stat().st_mtime_ns for path in old.folder.rglob("*")}

    def stop(*_, **__):
        raise error(28, "No space left on device")

    owner, _, name = step.rpartition(".")
    monkeypatch.setattr({"Runner": Runner, "Store": Store, "": runner}[owner], name, stop)
    if step != "execute":
        monkeypatch.setattr(runner, "execute", copy_notebook_of(old))
    this = Runner(workbook)
    task = this.task(workbook.notebook("quick"), {})
    expected = CannotWrite if error is OSError else error
    with pytest.raises(expected, match="No space left"):
        this.make_one(task, NoKernels(), Settings())
    assert folders(workbook) == [old.id]
    assert {path: path.stat().st_mtime_ns for path in old.folder.rglob("*")} == before


class NoKernels:
    closed = False


def copy_notebook_of(run):
    """Return an `execute` without a kernel, which returns the notebook of an existing run."""

    def execute(source, parameters, to, **_):
        to.write_bytes((run.folder / "notebook.ipynb").read_bytes())
        return nbformat.read(to, as_version=4)

    return execute


# ---- disks -------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder):
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_reported_and_leaves_no_run(tmp_path):
    big = "print('x' * 100_000)"
    workbook = make_workbook(tmp_path, big=(PARAMETERS, CHECK, COUNT, big, RECORD))
    with small_disk(workbook.reports):
        outcome = make(workbook, "big")
        assert isinstance(outcome.failure, CannotWrite)
        assert "No space left on device" in outcome.failure.reason
        assert folders(workbook) == []
        code, _, err = command(workbook, "sweep", "big", "-g", "k", "1,2", "--jobs", "2")
        assert code == 5
        assert "No space left on device" in err
        # The second run may have found space for its failure.
        assert [name for name in folders(workbook) if not name.endswith("-failed")] == []


def test_a_limit_of_the_file_size_is_reported(tmp_path):
    workbook = make_workbook(tmp_path, big=(PARAMETERS, CHECK, "print('x' * 100_000)", RECORD))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        outcome = make(workbook, "big")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(outcome.failure, CannotWrite)
    assert "File too large" in outcome.failure.reason
    assert folders(workbook) == []


def test_a_file_with_the_name_of_the_folder_is_reported_before_a_kernel_starts(workbook):
    workbook.reports.write_text("not a folder")
    code, _, err = command(workbook, "run", "quick")
    assert (code, executions(workbook)) == (5, [])
    assert "cannot write to" in err
    assert "Not a directory" in err
    assert workbook.reports.read_text() == "not a folder"


def test_a_read_only_folder_is_reported_and_its_runs_can_be_shown(workbook):
    made = make(workbook).run
    where = str(workbook.reports)
    if os.getuid() == 0:
        done = subprocess.run(["mount", "--bind", "-o", "ro", where, where], capture_output=True)
        if done.returncode:
            pytest.skip(f"cannot mount a folder: {done.stderr.decode().strip()}")
        undo = ["umount", "-l", where]
    else:
        subprocess.run(["chmod", "-R", "a-w", where], check=True)
        undo = ["chmod", "-R", "u+w", where]
    try:
        outcome = make(workbook, given={"k": 4})
        assert isinstance(outcome.failure, CannotWrite)
        with pytest.raises(CannotWrite, match="cannot write to"):
            run("quick", {"k": 4}, workbook=workbook)
        assert make(workbook).run == made
    finally:
        subprocess.run(undo, check=True)
    assert executions(workbook) == ["3"]
    assert folders(workbook) == [made.id]


# ---- several processes -------------------------------------------------------------------------


def test_two_processes_can_make_the_same_run_at_once(tmp_path):
    together = (
        "import os, time\nopen(f'../here-{os.getpid()}', 'w').close()\n"
        "import glob\nwhile len(glob.glob('../here-*')) < 2: time.sleep(0.02)"
    )
    workbook = make_workbook(tmp_path, one=(PARAMETERS, CHECK, together, RECORD))
    process = start_command(workbook, "run", "one", "--json")
    here = make(workbook, "one").run
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["run"] == here.name
    assert folders(workbook) == [here.id]


MOMENTS = {
    "while Python starts": lambda process, workbook: True,
    "while the kernel starts": lambda process, workbook: bool(descendants(process.pid)),
    "in a cell": lambda process, workbook: (workbook.root / "there").exists(),
}


@pytest.mark.parametrize(
    ("number", "code", "moment"),
    [
        (signal.SIGINT, 130, "while the kernel starts"),
        (signal.SIGINT, 130, "in a cell"),
        (signal.SIGTERM, 143, "while Python starts"),
        (signal.SIGTERM, 143, "in a cell"),
        (signal.SIGKILL, 137, "while the kernel starts"),
        (signal.SIGKILL, 137, "in a cell"),
    ],
)
def test_a_signal_ends_all_processes_and_keeps_no_run(tmp_path, number, code, moment):
    workbook = make_workbook(tmp_path, slow=(PARAMETERS, CHECK, STAY, RECORD))
    earlier = make(make_workbook(tmp_path)).run
    process = start_command(workbook, "run", "slow", "--threads", "1")
    try:
        assert eventually(lambda: MOMENTS[moment](process, workbook))
        processes = descendants(process.pid)
        sockets = sockets_of(processes)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    # Python reports -number for a process that a signal has ended; a shell reports 128 + number.
    assert process.returncode in (code, 128 - code), err
    assert all_gone(processes)
    assert eventually(lambda: not any(map(os.path.exists, sockets)), seconds=5)
    if number == signal.SIGKILL:
        leftovers = [name for name in folders(workbook) if name.startswith(".making-")]
        for folder in workbook.reports.glob("*/.making-*"):
            if not (folder / "owner.json").exists():  # killed before it wrote it: kept for 10 s
                os.utime(folder, (0, 0))
        messages = Runner(workbook).store.recover()
        assert len(messages) == len(leftovers)
        assert all("was interrupted: its process was killed" in text for text in messages)
        assert leftovers or moment != "in a cell"
    assert not [name for name in folders(workbook) if name.startswith(".")]
    assert earlier.results["k"] == 3
    assert [name for name in folders(workbook) if not name.endswith("-failed")] == [earlier.id]


def test_an_interrupted_run_is_kept_as_failed_and_can_be_repeated(tmp_path):
    switch = f"import os\nif not os.path.exists('../there'):\n    {STAY}"
    workbook = make_workbook(tmp_path, slow=(PARAMETERS, CHECK, COUNT, switch, RECORD))
    process = start_command(workbook, "run", "slow")
    assert eventually((tmp_path / "there").exists)
    process.kill()
    process.communicate()
    (left,) = folders(workbook)
    assert left.startswith(".making-")
    store = Runner(workbook).store
    (message,) = store.recover()
    assert "was interrupted" in message
    (interrupted,) = store.runs()
    assert not interrupted.completed
    assert "was interrupted" in interrupted.failure
    assert interrupted.parameters == {"k": 3, "name": "a=b"}
    assert interrupted.provenance["status"] == "interrupted"
    again = make(workbook, "slow")
    assert again.run.completed
    assert folders(workbook) == [again.run.id]
    assert executions(workbook) == ["3", "3"]


def test_closing_the_iterator_of_outcomes_kills_the_kernels(tmp_path):
    stay = f"if k > 1:\n    {STAY}"
    workbook = make_workbook(tmp_path, slow=(PARAMETERS, CHECK, stay, RECORD))
    runner = Runner(workbook)
    tasks = [runner.task(workbook.notebook("slow"), {"k": k}) for k in (1, 2, 3)]
    others = descendants(os.getpid())  # processes of other tests
    outcomes = runner.make(tasks, Settings(jobs=2))
    first = next(outcomes)
    assert eventually((tmp_path / "there").exists)
    processes = set(descendants(os.getpid())).difference(others)
    outcomes.close()
    assert all_gone(process for process in processes if process.is_running())
    assert folders(workbook) == [first.run.id]


def test_a_killed_fork_server_fails_the_run_and_not_the_next_one(tmp_path):
    stay_once = f"import os\nif not os.path.exists('../there'):\n    {STAY}"
    workbook = make_workbook(tmp_path, slow=(PARAMETERS, CHECK, stay_once, RECORD))
    runner = Runner(workbook)
    task = runner.task(workbook.notebook("slow"), {})
    with Kernels() as kernels, ThreadPoolExecutor(1) as executor:
        future = executor.submit(runner.make_one, task, kernels, Settings(limits=Limits(cell=30)))
        assert eventually((tmp_path / "there").exists)
        kernels._fork_server.kill()
        outcome = future.result()
        assert isinstance(outcome.failure, KernelDied)
        assert runner.make_one(task, kernels, Settings()).failure is None
