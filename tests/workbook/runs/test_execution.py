"""Executing a notebook: how it can fail, and with which message; refreshing in place."""

import pickle

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from workbooks import CHECK, PARAMETERS, RECORD, all_gone, descendants, write_notebook

from gmmlab.workbook.errors import CellFailed, KernelDied, OutOfTime
from gmmlab.workbook.recording import recorded
from gmmlab.workbook.runs import execution
from gmmlab.workbook.runs.execution import Limits, execute, refresh
from gmmlab.workbook.runs.kernels import Kernels

PRINT = "print('printed before')"


@pytest.fixture(scope="module")
def kernels():
    with Kernels() as kernels:
        yield kernels


@pytest.fixture
def run(tmp_path, kernels):
    """Execute cells after the parameters, the check and a cell that prints."""

    def run(*cells, given=None, limits=None, tags=None, folder="work", **options):
        path = write_notebook(tmp_path / "n.ipynb", PARAMETERS, CHECK, PRINT, *cells, tags=tags)
        before = path.read_bytes()
        folder = tmp_path / folder
        folder.mkdir(exist_ok=True)
        try:
            return execute(
                nbformat.read(path, as_version=4),
                given or {},
                folder / "out.ipynb",
                folder=folder,
                kernels=kernels,
                limits=limits or Limits(cell=30),
                **options,
            )
        finally:
            assert path.read_bytes() == before

    return run


def test_printed_text_is_one_output_whatever_its_timing(run, tmp_path):
    run("import time", "print(1, flush=True); time.sleep(0.3); print(2)", RECORD)
    saved = nbformat.read(tmp_path / "work" / "out.ipynb", as_version=4)
    assert [output.text for output in saved.cells[4].outputs] == ["1\n2\n"]


@pytest.mark.parametrize(
    ("cell", "kind", "message"),
    [
        ("1 / 0", CellFailed, "ZeroDivisionError: division by zero"),
        ("raise KeyboardInterrupt", CellFailed, "KeyboardInterrupt"),
        ("import sys; sys.exit(0)", CellFailed, r"the cell called sys\.exit"),
        ("import sys; sys.exit(3)", CellFailed, "SystemExit: 3"),
        ("import os; os._exit(0)", KernelDied, "it ended with exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", KernelDied, "killed.*memory ran out"),
        ("import os; os.kill(os.getpid(), 15)", KernelDied, "terminated by SIGTERM"),
    ],
)
def test_a_notebook_that_stops_before_its_end_has_failed(run, tmp_path, cell, kind, message):
    with pytest.raises(kind, match=message) as caught:
        run(cell, RECORD)
    assert type(caught.value) is kind
    assert caught.value.cell == 3
    saved = nbformat.read(tmp_path / "work" / "out.ipynb", as_version=4)
    assert len(saved.cells) == 5  # papermill's own cells are removed
    assert saved.cells[2].outputs[0].text == "printed before\n"
    if kind is KernelDied:
        assert not recorded(saved)


def test_the_index_of_a_failure_is_that_of_the_cell_in_the_saved_notebook(run, tmp_path):
    with pytest.raises(CellFailed) as caught:
        run("1 / 0", given={"k": 4})
    saved = nbformat.read(tmp_path / "work" / "out.ipynb", as_version=4)
    assert saved.cells[caught.value.cell].source == "1 / 0"
    assert "ZeroDivisionError" in caught.value.details
    assert "\x1b" not in caught.value.details


def test_the_last_output_of_a_kernel_is_kept(run):
    with pytest.raises(KernelDied) as caught:
        run("import os; os.write(2, b'farewell\\n'); os._exit(1)")
    assert "farewell" in caught.value.details


@pytest.mark.parametrize(
    "exit_later",
    [
        # after the reply to this cell, or to the last cell
        "kernel.post_handler_hook = lambda: [time.sleep(0.2), os._exit(5)]",
        "kernel.shell_handlers['kernel_info_request'] = lambda *_: os._exit(5)",
    ],
)
def test_a_notebook_has_failed_if_the_kernel_dies_after_its_last_reply(run, exit_later):
    with pytest.raises(KernelDied, match="exit code 5"):
        run(RECORD, f"import os, time\nkernel = get_ipython().kernel\n{exit_later}")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(cell=3), r"the cell took longer than 3 s"),
        (Limits(cell=None, run=4), r"the run took longer than 4 s"),
    ],
)
def test_the_time_of_a_cell_and_of_a_run_is_limited(run, kernels, limits, message):
    with pytest.raises(OutOfTime, match=message) as caught:
        run("import time; time.sleep(60)", RECORD, limits=limits)
    assert caught.value.cell == 3
    assert all_gone(descendants(kernels._fork_server.pid))


def test_the_time_of_a_run_is_limited_even_if_each_cell_is_quick(run):
    naps = ["import time; time.sleep(0.4)"] * 5
    with pytest.raises(OutOfTime, match="the run took longer than 1 s"):
        run(*naps, limits=Limits(cell=30, run=1))


@pytest.mark.parametrize("seconds", [0, float("nan")])
def test_a_time_limit_must_be_positive(seconds):
    with pytest.raises(ValueError, match="the time limit of a cell must be a positive number"):
        Limits(cell=seconds)


def test_the_tag_raises_exception_is_ignored(run):
    with pytest.raises(CellFailed, match="ZeroDivisionError"):
        run("1 / 0", RECORD, tags={3: ["raises-exception"]})


def test_cells_that_are_skipped_or_empty_do_not_fail(run):
    cells = ("1 / 0", "", "  \n", "# only a comment")
    assert recorded(run(*cells, RECORD, tags={3: ["skip-execution"]}))["k"] == 3


@pytest.mark.parametrize("folder", ["{k}", "ä }{ \N{SNOWMAN} %s'\"$HOME"])
def test_the_name_of_the_folder_can_contain_any_character(run, folder):
    executed = run("import os\nname = os.path.basename(os.getcwd())", RECORD, folder=folder)
    assert recorded(executed)["name"] == folder


def test_the_environment_is_passed_on_and_cells_are_counted(run):
    numbers = []
    executed = run(
        "import os\nname = os.environ['MORE']",
        RECORD,
        environment={"MORE": "a variable"},
        on_cell=numbers.append,
        given={"k": 4},
    )
    assert recorded(executed)["name"] == "a variable"
    assert numbers == [0, 1, 2, 3, 4, 5]  # including the cell that papermill inserts


def test_the_notebook_is_saved_while_it_runs(run, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "_SAVE_INTERVAL", 0.0)
    counts = []

    def look(number):
        path = tmp_path / "work" / "out.ipynb"
        if path.exists():
            cells = nbformat.read(path, as_version=4).cells
            counts.append(sum(cell.execution_count is not None for cell in cells))

    run("1", "2", "3", on_cell=look)
    assert counts == sorted(counts)
    assert max(counts) >= 4


def test_a_full_disk_is_not_a_failure_of_the_notebook(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(execution, "_save", full)
    with pytest.raises(OSError, match="No space left"):
        run(RECORD)


def test_a_notebook_with_a_cell_that_was_not_run_has_failed():
    cells = [nbformat.v4.new_code_cell("1", execution_count=1), nbformat.v4.new_code_cell("2")]
    with pytest.raises(CellFailed, match="was not run") as caught:
        execution._check_completed(nbformat.v4.new_notebook(cells=cells))
    assert caught.value.cell == 1


def test_failures_can_be_pickled():
    failure = OutOfTime("slow", cell=3, details="very")
    again = pickle.loads(pickle.dumps(failure))
    assert (type(again), again.reason, again.cell, again.details) == (OutOfTime, "slow", 3, "very")


# ---- in place ----------------------------------------------------------------------------------


def test_check_parameters_reports_a_missing_or_malformed_parameters_cell(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", "pass", CHECK)
    with pytest.raises(CellExecutionError, match="run the parameters cell first"):
        refresh(path)
    path = write_notebook(tmp_path / "n.ipynb", "k: int = 3", CHECK)
    with pytest.raises(CellExecutionError, match="k must have a help text in a comment"):
        refresh(path)


def test_refreshing_cleans_the_notebook_and_is_reproducible_to_the_byte(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", PARAMETERS, CHECK, RECORD)
    refresh(path)
    first = path.read_bytes()
    node = nbformat.reads(first.decode(), as_version=4)
    assert [cell.execution_count for cell in node.cells] == [1, 2, 3]
    assert node.cells[0].metadata["tags"] == ["parameters"]
    assert all(
        cell.metadata["source_sha256"] == execution.source_hash(cell.source) for cell in node.cells
    )
    assert set(node.metadata) == {"kernelspec", "language_info"}
    refresh(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("1 / 0", CellExecutionError, "ZeroDivisionError"),
        ("import warnings; warnings.warn('careful')", ValueError, "stderr.*careful"),
    ],
)
def test_a_notebook_that_fails_or_warns_is_not_modified(tmp_path, cell, error, message):
    path = write_notebook(tmp_path / "n.ipynb", PARAMETERS, cell)
    before = path.read_bytes()
    with pytest.raises(error, match=f"(?s){message}"):
        refresh(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
