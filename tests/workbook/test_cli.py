"""The command: names, JSON, completion, exit codes and closed streams."""

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
from gmmlab.workbook.runs import runner
from gmmlab.workbook.runs.store import write_json

CHOICE = f"{PARAMETERS}\nkind: str = 'b'  # which kind; one of a | b\nyes: bool = True  # or not"


@pytest.fixture
def workbook(tmp_path):
    return make_workbook(tmp_path, **{"01-one": (CHOICE, CHECK, COUNT, RECORD)})


@pytest.fixture
def no_kernels(monkeypatch):
    monkeypatch.setattr(runner, "Kernels", None)


# ---- each command ------------------------------------------------------------------------------


def test_list_shows_the_notebooks_and_their_parameters(workbook):
    code, found = as_json(workbook, "list")
    assert code == 0
    assert [(notebook["name"], list(notebook["parameters"])) for notebook in found] == [
        ("01-one", ["k", "name", "kind", "yes"])
    ]
    assert found[0]["parameters"]["k"] == {
        "type": "int", "default": 3, "help": "number of things", "rule": "in [1, 20]"
    }  # fmt: skip


def test_list_does_not_truncate_its_output_in_a_pipe(tmp_path):
    words = " ".join(f"word{i}" for i in range(80))
    long = f"k: int = 3  # {words}\nname: str = '{words.replace(' ', '')}'  # long"
    workbook = make_workbook(tmp_path, long=(long, CHECK))
    code, out, _ = command(workbook, "list")
    assert code == 0
    assert set(words.split()) <= set(out.split())
    assert words.replace(" ", "") in out.replace(" ", "").replace("\n", "")
    assert "…" not in out


def test_run_makes_a_run_once_and_shows_it_the_second_time(workbook):
    code, found = as_json(workbook, "run", "1", "-p", "k", "4", "-p", "name", "-x=1")
    assert code == 0
    assert found["status"] == "completed"
    assert found["made"]
    assert found["parameters"] == {"k": 4, "name": "-x=1", "kind": "b", "yes": True}
    assert found["results"]["squares"] == [0, 1, 4, 9]
    assert folders(workbook) == [found["run"].removeprefix("01-one/")]
    code, out, _ = command(workbook, "run", "01-one.ipynb", "-p", "k", "4", "-p", "name", "-x=1")
    assert code == 0
    assert "exists already" in out
    assert executions(workbook) == ["4"]


def test_the_option_p_overrides_a_file_of_parameters(workbook):
    file = workbook.root / "p.yaml"
    file.write_text("k: 7\nname: 007\n")
    code, found = as_json(workbook, "run", "1", "-f", file, "-p", "k", "2")
    assert code == 0
    assert (found["parameters"]["k"], found["parameters"]["name"]) == (2, "007")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "01-onne"], "did you mean '01-one'"),
        (["run", "1", "-p", "k", "1", "-p", "k", "2"], "k is given twice"),
        (["run", "1", "--threads", "0"], "--threads"),
        (["run", "1", "--timeout", "nan"], "positive number"),
        (["rerun", "abc"], "no run matches 'abc'"),
        (["report", "abc"], "no run matches 'abc'"),
        (["refresh", "7"], "no notebook '7'"),
    ],
)
def test_wrong_arguments_are_refused_before_a_kernel_starts(workbook, no_kernels, words, message):
    code, out, err = command(workbook, *words)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert not workbook.reports.exists()


def test_a_file_that_is_not_a_notebook_with_parameters_is_refused(workbook, no_kernels):
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
def test_each_kind_of_failure_has_its_exit_code(tmp_path, cell, options, code):
    workbook = make_workbook(tmp_path, bad=(PARAMETERS, CHECK, cell, RECORD))
    exit_code, found = as_json(workbook, "run", "bad", *options)
    assert (exit_code, found["exit_code"], found["status"]) == (code, code, "failed")
    assert found["results"] is None
    assert found["reason"]
    assert code in EXIT_CODES


def test_report_writes_the_pages_and_the_index(workbook):
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


def test_report_lists_failed_runs(tmp_path):
    workbook = make_workbook(
        tmp_path, bad=(PARAMETERS, CHECK, "1 / 0"), good=(PARAMETERS, CHECK, RECORD)
    )
    code, found = as_json(workbook, "report")
    assert code == 1
    assert len(found["pages"]) == 2
    assert "ZeroDivisionError" in found["failed"][0]["reason"]


def test_a_run_that_was_interrupted_before_is_reported_first(workbook):
    aside = workbook.reports / "runs" / "01-one" / ".making-ab-cd"
    aside.mkdir(parents=True)
    write_json(aside / "owner.json", {"host": os.uname().nodename, "pid": 2**22 + 1, "created": 0,
        "begun": "2026-01-01"})  # fmt: skip
    code, out, err = command(workbook, "run", "1", "--json")
    assert code == 0
    assert "Note: the run 01-one/ab, started 2026-01-01, was interrupted" in err
    assert json.loads(out)["status"] == "completed"


def test_refresh_executes_a_notebook_in_place(workbook):
    code, out, _ = command(workbook, "refresh", "1")
    assert (code, out) == (0, "01-one refreshed\n")
    assert json.loads(workbook.notebooks[0].read_text())["cells"][0]["execution_count"] == 1


def test_the_help_of_each_command_has_an_example_and_the_main_help_the_exit_codes(workbook):
    for name in ("list", "run", "sweep", "report", "rerun", "diff", "refresh"):
        code, out, _ = command(workbook, name, "--help")
        assert code == 0
        assert f"\n  gmmlab {name} " in out
    code, out, _ = command(workbook, "--help")
    assert code == 0
    for number, meaning in EXIT_CODES.items():
        assert f"{number} {meaning}" in " ".join(out.split())


def test_the_folder_of_the_workbook_is_an_option_or_found_from_the_current_folder(
    workbook, tmp_path_factory, monkeypatch
):
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
    """Return the completions of the last of some words."""

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
        (["run", "01"], ["01-one"]),
        (["run", "01-one", "-p", ""], ["k", "name", "kind", "yes"]),
        (["run", "1", "-p", "kind", "a"], ["a"]),
        (["run", "1", "-p", "yes", ""], ["true", "false"]),
        (["run", "1", "-p", "k", "3", "-p", "n"], ["name"]),
        (["run", "-p", ""], []),
        (["run", "nope", "-p", ""], []),
    ],
)
def test_commands_notebooks_parameters_and_values_are_completed(complete, words, offered):
    assert complete(*words) == offered


def test_runs_are_completed(complete, workbook):
    folder = workbook.reports / "runs" / "01-one" / "abcd"
    folder.mkdir(parents=True)
    write_json(folder / "parameters.json", {})
    assert complete("diff", "01") == ["01-one/abcd"]


# ---- as a process ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["--help"], {}),
        ([], {"_GMMLAB_COMPLETE": "bash_complete", "COMP_WORDS": "gmmlab run 1 -p ",
              "COMP_CWORD": "4"}),
    ],
)  # fmt: skip
def test_help_and_completion_do_not_import_what_runs_notebooks(workbook, words, variables):
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


def test_a_closed_pipe_causes_no_traceback(workbook):
    with start_command(workbook, "list") as process:
        process.stdout.close()
        assert process.stderr.read() == ""


def test_the_command_works_with_closed_standard_streams(workbook):
    shell = f"exec '{sys.executable}' -m gmmlab run 1 <&- >&- 2>&-"
    done = subprocess.run(
        ["sh", "-c", shell], cwd=workbook.root, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0
    assert executions(workbook) == ["3"]
