"""Making runs: what is left of them, what they depend on, and how they fail."""

import contextlib
import dataclasses
import json
import os
import resource
import shlex
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
    write_notebook,
)

from gmmlab.workbook.errors import CannotWrite, CellFailed, Changed, KernelDied
from gmmlab.workbook.notebooks import Workbook
from gmmlab.workbook.runs import provenance
from gmmlab.workbook.runs import runner as runs
from gmmlab.workbook.runs.execution import Limits
from gmmlab.workbook.runs.kernels import Kernels
from gmmlab.workbook.runs.runner import Maker, Settings, run
from gmmlab.workbook.runs.store import Run, Store

FILES = ["figures", "notebook.ipynb", "parameters.json", "provenance.json", "report.html"]
FIGURE = (
    f"from IPython.display import display\ndisplay({{'image/png': '{PIXEL}', "
    "'image/svg+xml': '<svg/>'}, raw=True)"
)
#: says that it has come to this cell, and stays there
STAY = "open('../there', 'w').close(); import time; time.sleep(60)"


@pytest.fixture
def workbook(tmp_path):
    return make_workbook(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a workbook with a run in it, to be copied."""
    workbook = make_workbook(tmp_path_factory.mktemp("made"))
    make(workbook)
    return workbook.root


def files(run):
    return sorted(path.name for path in run.folder.iterdir())


# ---- a run -------------------------------------------------------------------------------------


def test_a_run_leaves_what_it_should(tmp_path):
    workbook = make_workbook(tmp_path, one=(PARAMETERS, CHECK, FIGURE, RECORD))
    before = (tmp_path / "notebooks" / "one.ipynb").read_bytes()
    run = runs.run("one", {"k": 4}, workbook=workbook, threads=1)
    assert files(run) == sorted([*FILES, "results.json"])
    assert folders(workbook) == [run.id]
    assert run.parameters == {"k": 4, "name": "a=b"}
    assert run.results == {"k": 4, "squares": [0, 1, 4, 9], "name": "a=b"}
    assert sorted(path.name for path in (run.folder / "figures").iterdir()) == [
        "01.png", "01.svg"
    ]  # fmt: skip
    notebook = (run.folder / "notebook.ipynb").read_text()
    assert "image/svg+xml" not in json.loads(notebook)["cells"][3]["outputs"][0]["data"]
    assert str(tmp_path) not in notebook
    assert f"run <code>{run.id}</code>" in run.page.read_text()
    assert (tmp_path / "notebooks" / "one.ipynb").read_bytes() == before


def test_provenance_says_where_results_come_from(tmp_path):
    workbook = make_workbook(
        tmp_path, one=(f"{PARAMETERS}\nseed: int = 5  # seed of the draws", CHECK, RECORD)
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "some.csv").write_text("1,2\n")
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@x", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True)
    run = runs.run("one", {"name": "it's"}, workbook=workbook, threads=1)
    found = run.provenance
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert found["git"] == {"commit": head.strip(), "clean": True}
    assert found["notebook"]["path"] == "notebooks/one.ipynb"
    assert found["notebook"]["sha256"] == workbook.notebook("one").sha256
    assert len(found["package"]["sha256"]) == 64
    assert found["package"]["name"] == "gmmlab"
    assert list(found["data"]) == ["some.csv"]
    assert {"numpy", "scipy", "scikit-learn"} <= set(found["numerical"]) <= set(found["packages"])
    assert {"python", "implementation", "platform", "machine", "blas"} <= set(found)
    assert found["threads"]["OMP_NUM_THREADS"] == "1"
    assert found["seed"] == 5
    assert found["status"] == "completed"
    assert found["started"] <= found["ended"]
    assert found["seconds"] > 0
    words = ["gmmlab", "run", "notebooks/one.ipynb", "-p", "name", "it's", "--threads", "1"]
    assert shlex.split(found["command"]) == words
    (tmp_path / "data" / "some.csv").write_text("1,3\n")
    assert not runs.run("one", workbook=workbook).provenance["git"]["clean"]


def test_the_command_makes_the_same_run(tmp_path):
    lines = (
        "s: str | None = None  # word\nx: float = 1.0  # number\n"
        "g: list[list[float]] = []  # grid\nw: list[str] = []  # words\nn: int = 0  # number"
    )
    workbook = make_workbook(tmp_path, one=(lines, CHECK, "record(s=s)"))
    maker = Maker(workbook)
    given = {"s": "none", "x": 5e-324, "g": [[1.0], [-2.5]], "w": ["a, b", "'", "$HOME"], "n": -5}
    task = maker.task(workbook.notebook("one"), given)
    words = shlex.split(runs.command(task, workbook, None))[2:]
    parameters = workbook.notebook("one").parameters
    from gmmlab.workbook.values import from_text

    pairs = list(zip(words[2::3], words[3::3], strict=True))
    again = {name: from_text(parameters[name], text) for name, text in pairs}
    assert maker.task(workbook.notebook("one"), again).id == task.id


def test_a_run_that_is_there_is_shown_and_not_repeated(workbook):
    first, second = make(workbook), make(workbook)
    assert (first.made, second.made) == (True, False)
    assert second.run == first.run
    assert executions(workbook) == ["3"]
    assert make(workbook, force=True).made
    assert executions(workbook) == ["3", "3"]
    assert folders(workbook) == [first.run.id]


def test_the_same_run_twice_in_a_list_is_made_once(workbook):
    maker = Maker(workbook)
    notebook = workbook.notebook("quick")
    tasks = [maker.task(notebook, given) for given in ({}, {"k": 3}, {"name": "a=b"})]
    assert len(list(maker.make(tasks, Settings()))) == 1
    assert executions(workbook) == ["3"]


@pytest.mark.parametrize("given", [{"kk": 1}, {"k": 21}, {"k": "3"}, {"name": None}])
def test_a_wrong_parameter_is_refused_before_anything_is_started(workbook, given, monkeypatch):
    monkeypatch.setattr(runs, "Kernels", None)
    with pytest.raises(ValueError, match=r"no parameter 'kk'|must be"):
        runs.run("quick", given, workbook=workbook)
    assert folders(workbook) == []


@pytest.mark.parametrize("wrong", [{"jobs": 0}, {"threads": 0}, {"jobs": 1.5}])
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match="must be a positive int"):
        Settings(**wrong)


# ---- the id ------------------------------------------------------------------------------------


def an_id(workbook, given=None, **surroundings):
    maker = Maker(workbook)
    maker.surroundings = dataclasses.replace(maker.surroundings, **surroundings)
    return maker.task(workbook.notebook("quick"), given or {}).id


def test_the_id_depends_on_what_results_depend_on(workbook):
    ids = [an_id(workbook)]
    ids.append(an_id(workbook, {"k": 4}))
    ids.append(an_id(workbook, {"name": "3"}))
    ids.append(an_id(workbook, package="another"))
    ids.append(an_id(workbook, libraries={"python": "3.11", "numpy": "0.1"}))
    workbook.data.mkdir()
    (workbook.data / "a").write_text("1")
    ids.append(an_id(workbook))
    (workbook.data / "a").write_text("2")
    ids.append(an_id(workbook))
    write_notebook(workbook.notebooks[0], PARAMETERS, CHECK, COUNT, RECORD + "  # changed")
    ids.append(an_id(workbook))
    assert len(set(ids)) == len(ids)


def test_the_id_does_not_depend_on_anything_else(workbook):
    first = an_id(workbook)
    assert an_id(workbook, {"name": "a=b", "k": 3}) == first
    assert an_id(workbook, {"k": 3, "name": "a=b"}) == first
    content = json.loads(workbook.notebooks[0].read_text())
    for number, cell in enumerate(content["cells"]):
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
        cell["execution_count"] = number
        cell["metadata"]["collapsed"] = True
    workbook.notebooks[0].write_text(json.dumps(content))
    assert an_id(workbook) == first
    assert make(workbook, threads=1).task.id == make(workbook, threads=2).task.id == first


def test_the_package_is_hashed_by_its_content(tmp_path, workbook, monkeypatch):
    package = tmp_path / "package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "a.py").write_text("1")
    monkeypatch.setattr(provenance, "PACKAGE", package)

    def now():
        return provenance.Surroundings.of(workbook).package

    first = now()
    (package / "__pycache__" / "a.pyc.1234").write_text("2")
    (package / "a.py").touch()
    assert now() == first
    (package / "a.py").write_text("2")
    second = now()
    (package / "a.py").rename(package / "b.py")
    assert len({first, second, now()}) == 3


# ---- failures ----------------------------------------------------------------------------------


def test_a_failed_run_is_marked_and_never_a_result(tmp_path):
    switch = "import os\nif os.path.exists('../broken'): 1 / 0"
    workbook = make_workbook(tmp_path, one=(PARAMETERS, CHECK, FIGURE, switch, RECORD))
    (tmp_path / "broken").touch()
    failed = make(workbook, "one")
    assert isinstance(failed.failure, CellFailed)
    assert files(failed.run) == sorted([*FILES, "FAILED.txt"])
    assert folders(workbook) == [f"{failed.task.id}-failed"]
    said = (failed.run.folder / "FAILED.txt").read_text()
    assert said.startswith("ZeroDivisionError: division by zero (In [4])\n")
    assert "Traceback" in said
    page = failed.run.page.read_text()
    assert "ZeroDivisionError" in page
    assert f"run <code>{failed.run.id}</code>" in page
    assert failed.run.provenance["status"] == "failed"
    assert (failed.run.folder / "figures" / "01.png").exists()
    with pytest.raises(CellFailed, match="ZeroDivisionError"):
        runs.run("one", workbook=workbook)
    (tmp_path / "broken").unlink()
    assert make(workbook, "one").run.completed
    assert folders(workbook) == [failed.task.id]


def test_a_run_that_fails_when_it_is_forced_leaves_the_one_before(tmp_path):
    switch = "import os\nif os.path.exists('../broken'): os._exit(1)"
    workbook = make_workbook(tmp_path, one=(PARAMETERS, CHECK, switch, RECORD))
    run = make(workbook, "one").run
    before = {path: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    (tmp_path / "broken").touch()
    assert isinstance(make(workbook, "one", force=True).failure, KernelDied)
    assert {path: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


def test_what_cannot_be_kept_fails_that_run_alone(tmp_path):
    workbook = make_workbook(tmp_path, bad=(PARAMETERS, "display({'image/png': 'no'}, raw=True)"))
    outcome = make(workbook, "bad")
    assert isinstance(outcome.failure, CellFailed)
    assert "cannot be kept" in outcome.failure.reason
    assert folders(workbook) == [f"{outcome.task.id}-failed"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize(
    "step",
    [
        "write_json",
        "execute",
        "recorded",
        "Maker._write_figures",
        "_write_notebook",
        "write_page",
        "Store.keep",
    ],
)
def test_a_run_is_there_whole_or_not_at_all(made, tmp_path, monkeypatch, step, error):
    """Whatever breaks off the making of a run, and wherever."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    workbook = Workbook(tmp_path)
    (old,) = map(Run, (workbook.reports / "runs" / "quick").iterdir())
    before = {path: path.stat().st_mtime_ns for path in old.folder.rglob("*")}

    def stop(*_, **__):
        raise error(28, "No space left on device")

    owner, _, name = step.rpartition(".")
    monkeypatch.setattr({"Maker": Maker, "Store": Store, "": runs}[owner], name, stop)
    if step != "execute":
        monkeypatch.setattr(runs, "execute", _done_before(old))
    maker = Maker(workbook)
    task = maker.task(workbook.notebook("quick"), {})
    expected = CannotWrite if error is OSError else error
    with pytest.raises(expected, match="No space left"):
        maker.make_one(task, _NoKernels(), Settings())
    assert folders(workbook) == [old.id]
    assert {path: path.stat().st_mtime_ns for path in old.folder.rglob("*")} == before


class _NoKernels:
    closed = False


def _done_before(run):
    """Return an `execute` that needs no kernel: it hands out a notebook that was executed."""

    def execute(source, parameters, to, **_):
        to.write_bytes((run.folder / "notebook.ipynb").read_bytes())
        return nbformat.read(to, as_version=4)

    return execute


# ---- disks -------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_disk(folder):
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    big = "print('x' * 100_000)"
    workbook = make_workbook(tmp_path, big=(PARAMETERS, CHECK, COUNT, big, RECORD))
    with full_disk(workbook.reports):
        outcome = make(workbook, "big")
        assert isinstance(outcome.failure, CannotWrite)
        assert "No space left on device" in outcome.failure.reason
        assert folders(workbook) == []
        code, _, err = command(workbook, "sweep", "big", "-g", "k", "1,2", "--jobs", "2")
        assert code == 5
        assert "No space left on device" in err
        # the other run may have found room for its failure
        assert [name for name in folders(workbook) if not name.endswith("-failed")] == []


def test_a_limit_of_the_size_of_files_is_said_too(tmp_path):
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


def test_a_file_in_the_place_of_the_folder_is_said_before_a_kernel_is_started(workbook):
    workbook.reports.write_text("in the way")
    code, _, err = command(workbook, "run", "quick")
    assert (code, executions(workbook)) == (5, [])
    assert "cannot write to" in err
    assert "Not a directory" in err
    assert workbook.reports.read_text() == "in the way"


def test_a_folder_that_cannot_be_written_to_is_said(workbook):
    run = make(workbook).run
    where = str(workbook.reports)
    if os.getuid() == 0:
        done = subprocess.run(["mount", "--bind", "-o", "ro", where, where], capture_output=True)
        if done.returncode:
            pytest.skip(f"nothing can be mounted: {done.stderr.decode().strip()}")
        undo = ["umount", "-l", where]
    else:
        subprocess.run(["chmod", "-R", "a-w", where], check=True)
        undo = ["chmod", "-R", "u+w", where]
    try:
        outcome = make(workbook, given={"k": 4})
        assert isinstance(outcome.failure, CannotWrite)
        with pytest.raises(CannotWrite, match="cannot write to"):
            runs.run("quick", {"k": 4}, workbook=workbook)
        assert make(workbook).run == run  # what is there can be shown all the same
    finally:
        subprocess.run(undo, check=True)
    assert executions(workbook) == ["3"]
    assert folders(workbook) == [run.id]


# ---- at once -----------------------------------------------------------------------------------


def test_two_processes_may_make_the_same_run_at_once(tmp_path):
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


# ---- signals -----------------------------------------------------------------------------------

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
def test_a_signal_ends_all_and_leaves_nothing(tmp_path, number, code, moment):
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
    # 128 + the number is what a shell makes of a process that a signal has ended
    assert process.returncode in (code, 128 - code), err
    assert all_gone(processes)
    assert eventually(lambda: not any(map(os.path.exists, sockets)), seconds=5)
    if number == signal.SIGKILL:
        leftovers = [name for name in folders(workbook) if name.startswith(".making-")]
        said = Maker(workbook).store.recover()
        assert ["was cut off: its process was killed" in line for line in said] == [
            True for _ in leftovers
        ]
        assert leftovers or moment != "in a cell"
    assert not [name for name in folders(workbook) if name.startswith(".")]
    assert earlier.results["k"] == 3
    assert [name for name in folders(workbook) if not name.endswith("-failed")] == [earlier.id]


def test_a_run_that_was_cut_off_is_kept_as_failed_and_made_again(tmp_path):
    switch = f"import os\nif not os.path.exists('../there'):\n    {STAY}"
    workbook = make_workbook(tmp_path, slow=(PARAMETERS, CHECK, COUNT, switch, RECORD))
    process = start_command(workbook, "run", "slow")
    assert eventually((tmp_path / "there").exists)
    process.kill()
    process.communicate()
    (left,) = folders(workbook)
    assert left.startswith(".making-")
    maker = Maker(workbook)
    (said,) = maker.store.recover()
    assert "was cut off" in said
    (run,) = maker.store.runs()
    assert not run.completed
    assert "was cut off" in run.failure
    assert run.parameters == {"k": 3, "name": "a=b"}
    assert run.provenance["status"] == "cut off"
    again = make(workbook, "slow")
    assert again.run.completed
    assert folders(workbook) == [again.run.id]
    assert executions(workbook) == ["3", "3"]


def test_whoever_stops_listening_ends_the_kernels(tmp_path):
    stay = f"if k > 1:\n    {STAY}"
    workbook = make_workbook(tmp_path, slow=(PARAMETERS, CHECK, stay, RECORD))
    maker = Maker(workbook)
    tasks = [maker.task(workbook.notebook("slow"), {"k": k}) for k in (1, 2, 3)]
    others = descendants(os.getpid())  # left by tests of something else
    outcomes = maker.make(tasks, Settings(jobs=2))
    first = next(outcomes)
    assert eventually((tmp_path / "there").exists)
    processes = set(descendants(os.getpid())).difference(others)
    outcomes.close()
    assert all_gone(process for process in processes if process.is_running())
    assert folders(workbook) == [first.run.id]


def test_a_keeper_that_is_killed_fails_the_run_and_not_the_next(tmp_path):
    stay_once = f"import os\nif not os.path.exists('../there'):\n    {STAY}"
    workbook = make_workbook(tmp_path, slow=(PARAMETERS, CHECK, stay_once, RECORD))
    maker = Maker(workbook)
    task = maker.task(workbook.notebook("slow"), {})
    with Kernels() as kernels, ThreadPoolExecutor(1) as executor:
        future = executor.submit(maker.make_one, task, kernels, Settings(limits=Limits(cell=30)))
        assert eventually((tmp_path / "there").exists)
        kernels._keeper.kill()
        outcome = future.result()
        assert isinstance(outcome.failure, KernelDied)
        assert maker.make_one(task, kernels, Settings()).failure is None


def test_data_that_change_while_a_run_is_made_fail_it(tmp_path):
    """Else the run would stand under an id that says other data."""
    change = "open('../data/d.txt', 'w').write('two')"
    workbook = make_workbook(tmp_path, quick=(PARAMETERS, CHECK, change, RECORD))
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "d.txt").write_text("one")
    with pytest.raises(Changed, match="were changed while it was made"):
        run("quick", workbook=workbook)
    assert [each.completed for each in Store(workbook.reports / "runs").runs()] == [False]
