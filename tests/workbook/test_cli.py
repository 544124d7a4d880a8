"""The command: names, JSON, completion, exit codes, and what it does where streams are closed."""

import json
import os
import subprocess
import sys

import pytest
from workbooks import (
    CHECK,
    COUNT,
    PARAMETERS,
    RECORD,
    ROOT,
    as_json,
    command,
    executions,
    folders,
    make,
    make_workbook,
    start_command,
    write_notebook,
)

from gmmlab.workbook import cli
from gmmlab.workbook.errors import EXIT_CODES
from gmmlab.workbook.runs import runner as runs
from gmmlab.workbook.runs.store import write_json

CHOICE = f"{PARAMETERS}\nkind: str = 'b'  # which kind; one of a | b\nyes: bool = True  # or not"


@pytest.fixture
def workbook(tmp_path):
    return make_workbook(tmp_path, **{"01-one": (CHOICE, CHECK, COUNT, RECORD)})


@pytest.fixture
def no_kernels(monkeypatch):
    monkeypatch.setattr(runs, "Kernels", None)


# ---- each command ------------------------------------------------------------------------------


def test_list(workbook):
    code, found = as_json(workbook, "list")
    assert code == 0
    assert [(notebook["name"], list(notebook["parameters"])) for notebook in found] == [
        ("01-one", ["k", "name", "kind", "yes"])
    ]
    assert found[0]["parameters"]["k"] == {
        "type": "int", "default": 3, "help": "number of things", "rule": "in [1, 20]"
    }  # fmt: skip


def test_nothing_is_cut_off_in_a_pipe(tmp_path):
    words = " ".join(f"word{i}" for i in range(80))
    long = f"k: int = 3  # {words}\nname: str = '{words.replace(' ', '')}'  # long"
    workbook = make_workbook(tmp_path, long=(long, CHECK))
    code, out, _ = command(workbook, "list")
    assert code == 0
    assert set(words.split()) <= set(out.split())
    assert words.replace(" ", "") in out.replace(" ", "").replace("\n", "")
    assert "…" not in out


@pytest.mark.parametrize("name", ["01-one", "01-one.ipynb", "1", "notebooks/01-one.ipynb"])
def test_run(workbook, name):
    code, found = as_json(workbook, "run", name, "-p", "k", "4", "-p", "name", "-x=1")
    assert code == 0
    assert found["status"] == "completed"
    assert found["made"]
    assert found["parameters"] == {"k": 4, "name": "-x=1", "kind": "b", "yes": True}
    assert found["results"]["squares"] == [0, 1, 4, 9]
    assert folders(workbook) == [found["run"].removeprefix("01-one/")]
    code, out, _ = command(workbook, "run", name, "-p", "k", "4", "-p", "name", "-x=1")
    assert code == 0
    assert "there already" in out
    assert executions(workbook) == ["4"]


def test_parameters_from_a_file_and_p_goes_before(workbook):
    file = workbook.root / "p.yaml"
    file.write_text("k: 7\nname: 007\n")
    code, found = as_json(workbook, "run", "1", "-f", file, "-p", "k", "2")
    assert code == 0
    assert (found["parameters"]["k"], found["parameters"]["name"]) == (2, "007")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "02-two"], "no notebook '02-two'"),
        (["run", "01-onne"], "did you mean '01-one'"),
        (["run", "1", "-p", "kk", "4"], "did you mean 'k'"),
        (["run", "1", "-p", "k", "3.5"], "k must be int"),
        (["run", "1", "-p", "k", "21"], "in [1, 20]"),
        (["run", "1", "-p", "kind", "c"], "one of a | b"),
        (["run", "1", "-p", "k", "1", "-p", "k", "2"], "k is given twice"),
        (["run", "1", "-p", "k"], "requires 2 arguments"),
        (["run", "1", "--threads", "0"], "--threads"),
        (["run", "1", "--timeout", "nan"], "positive number"),
        (["run", "1", "--timeout", "0"], "--timeout"),
        (["rerun", "abc"], "no run is 'abc'"),
        (["report", "abc"], "no run is 'abc'"),
        (["list", "7"], "no notebook '7'"),
        (["refresh", "7"], "no notebook '7'"),
        (["rum", "1"], "rum"),
    ],
)
def test_what_cannot_be_understood_is_refused_before_a_kernel_starts(
    workbook, no_kernels, words, message
):
    code, out, err = command(workbook, *words)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert not workbook.reports.exists()


def test_files_that_are_no_notebooks_are_refused(workbook, no_kernels):
    (workbook.root / "notebooks" / "bad.ipynb").write_text("{")
    code, _, err = command(workbook, "run", "bad")
    assert code == 2
    assert "bad.ipynb is not a notebook" in err
    write_notebook(workbook.root / "notebooks" / "bare.ipynb", "1", tags={0: []})
    code, _, err = command(workbook, "run", "bare")
    assert code == 2
    assert "must have one cell tagged `parameters`" in err


@pytest.mark.parametrize(
    ("cell", "options", "code"),
    [
        ("1 / 0", [], 1),
        ("import os; os._exit(1)", [], 3),
        ("import time; time.sleep(60)", ["--cell-timeout", "0.3"], 4),
        ("import time; time.sleep(60)", ["--timeout", "0.3"], 4),
    ],
)
def test_failures_have_exit_codes(tmp_path, cell, options, code):
    workbook = make_workbook(tmp_path, bad=(PARAMETERS, CHECK, cell, RECORD))
    found, told = as_json(workbook, "run", "bad", *options)
    assert (found, told["exit_code"], told["status"]) == (code, code, "failed")
    assert told["results"] is None
    assert told["reason"]
    assert code in EXIT_CODES


def test_report(workbook):
    code, found = as_json(workbook, "report")
    assert code == 0
    index = (workbook.reports / "index.html").read_text()
    ((name, page),) = found["pages"].items()
    assert os.path.relpath(page, workbook.reports) in index
    run = make(workbook, "01-one").run
    assert run.name == name
    run.page.unlink()
    code, out, _ = command(workbook, "report", run.id)
    assert code == 0
    assert run.page.exists()
    assert run.name in out
    assert executions(workbook) == ["3"]


def test_a_report_with_a_failure_tells_of_it(tmp_path):
    workbook = make_workbook(
        tmp_path, bad=(PARAMETERS, CHECK, "1 / 0"), good=(PARAMETERS, CHECK, RECORD)
    )
    code, found = as_json(workbook, "report")
    assert code == 1
    assert len(found["pages"]) == 2
    assert "ZeroDivisionError" in found["failed"][0]["reason"]


def test_what_was_cut_off_before_is_told_first(workbook):
    aside = workbook.reports / "runs" / "01-one" / ".making-ab-cd"
    aside.mkdir(parents=True)
    write_json(aside / "owner.json", {"host": os.uname().nodename, "pid": 2**22 + 1, "created": 0,
        "begun": "2026-01-01"})  # fmt: skip
    code, out, err = command(workbook, "run", "1", "--json")
    assert code == 0
    assert "Note: the run 01-one/ab, begun 2026-01-01, was cut off" in err
    assert json.loads(out)["status"] == "completed"


def test_refresh(workbook):
    code, out, _ = command(workbook, "refresh", "1")
    assert (code, out) == (0, "01-one refreshed\n")
    assert json.loads(workbook.notebooks[0].read_text())["cells"][0]["execution_count"] == 1


@pytest.mark.parametrize("name", ["list", "run", "sweep", "report", "rerun", "diff", "refresh"])
def test_help_has_examples(workbook, name):
    code, out, _ = command(workbook, name, "--help")
    assert code == 0
    assert f"\n  gmmlab {name} " in out


def test_help_tells_the_exit_codes(workbook):
    code, out, _ = command(workbook, "--help")
    assert code == 0
    for number in EXIT_CODES:
        assert f"{number} " in " ".join(out.split())


def test_the_folder_of_the_workbook_can_be_named(workbook, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    code, found = as_json(workbook, "run", "1")  # with -C
    assert code == 0
    assert list(elsewhere.iterdir()) == []
    assert found["folder"].startswith(str(workbook.root))
    monkeypatch.chdir(workbook.root / "notebooks")
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "01-one.ipynb"])
    assert ended.value.code == 0
    assert len(folders(workbook)) == 1


# ---- completion --------------------------------------------------------------------------------


@pytest.fixture
def complete(workbook, monkeypatch):
    """Complete the last of some words; return what is offered."""

    def complete(*words):
        from click.shell_completion import BashComplete

        monkeypatch.setenv("COMP_WORDS", " ".join(["gmmlab", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        monkeypatch.chdir(workbook.root)
        found = BashComplete(cli.gmmlab, {}, "gmmlab", "_GMMLAB_COMPLETE")
        return [item.value for item in found.get_completions(list(words[:-1]), words[-1])]

    return complete


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["r"], ["refresh", "report", "rerun", "run"]),
        (["run", ""], ["01-one"]),
        (["run", "01"], ["01-one"]),
        (["list", "0"], ["01-one"]),
        (["run", "01-one", "-p", ""], ["k", "name", "kind", "yes"]),
        (["run", "1", "-p", "k"], ["k", "kind"]),
        (["run", "1", "-p", "kind", ""], ["a", "b"]),
        (["run", "1", "-p", "kind", "a"], ["a"]),
        (["run", "1", "-p", "yes", ""], ["true", "false"]),
        (["run", "1", "-p", "k", ""], ["3"]),
        (["run", "1", "-p", "k", "3", "-p", "n"], ["name"]),
        (["sweep", "1", "-g", "k"], ["k", "kind"]),
        (["run", "-p", ""], []),
        (["run", "nope", "-p", ""], []),
    ],
)
def test_completion(complete, words, offered):
    assert complete(*words) == offered


def test_runs_are_completed(complete, workbook):
    write_json_in(workbook.reports / "runs" / "01-one" / "abcd", {})
    assert complete("diff", "01") == ["01-one/abcd"]


def write_json_in(folder, value):
    folder.mkdir(parents=True)
    write_json(folder / "parameters.json", value)


# ---- as a process ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["--help"], {}),
        ([], {"_GMMLAB_COMPLETE": "bash_complete", "COMP_WORDS": "gmmlab run 1 -p ",
              "COMP_CWORD": "4"}),
    ],
)  # fmt: skip
def test_the_command_is_quick_to_answer(workbook, words, variables):
    """Neither help nor completion imports what runs notebooks."""
    code = (
        "import sys\nfrom gmmlab.workbook.cli import main\n"
        f"sys.argv[1:] = {words}\n"
        "try:\n    main()\nexcept SystemExit as ended:\n"
        "    heavy = {'numpy', 'papermill', 'nbformat', 'pandas', 'rich', 'psutil', 'yaml'}\n"
        "    print('LOADED', sorted(heavy & set(sys.modules)), ended.code, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        cwd=workbook.root,
        capture_output=True,
        text=True,
    )
    assert "LOADED [] 0" in done.stderr, done.stderr
    if variables:
        assert done.stdout.split() == ["plain,k", "plain,name", "plain,kind", "plain,yes"]


def test_whoever_has_heard_enough_meets_no_traceback(workbook):
    with start_command(workbook, "list") as process:
        process.stdout.close()
        assert process.stderr.read() == ""


def test_closed_streams_do_no_harm(workbook):
    shell = f"exec '{sys.executable}' -m gmmlab run 1 <&- >&- 2>&-"
    done = subprocess.run(
        ["sh", "-c", shell], cwd=workbook.root, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0
    assert executions(workbook) == ["3"]
