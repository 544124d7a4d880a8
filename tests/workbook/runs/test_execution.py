"""One notebook executed: what can go wrong and what is said of it; refreshing in place."""

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from workbooks import CHECK, PARAMETERS, RECORD, all_gone, descendants, write_notebook

from gmmlab.workbook.errors import CellFailed, KernelDied, OutOfTime
from gmmlab.workbook.recording import recorded
from gmmlab.workbook.runs import execution
from gmmlab.workbook.runs.execution import Limits, execute, refresh
from gmmlab.workbook.runs.kernels import Kernels

SAID = "print('said before')"


@pytest.fixture(scope="module")
def kernels():
    with Kernels() as kernels:
        yield kernels


@pytest.fixture
def run(tmp_path, kernels):
    """Execute cells after the parameters, the check and one that says something."""

    def run(*cells, given=None, limits=None, tags=None, folder="work", **options):
        path = write_notebook(tmp_path / "n.ipynb", PARAMETERS, CHECK, SAID, *cells, tags=tags)
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


def test_what_a_cell_prints_is_one_output_however_slowly_it_comes(run, tmp_path):
    run("import time", "print(1, flush=True); time.sleep(0.3); print(2)", RECORD)
    saved = nbformat.read(tmp_path / "work" / "out.ipynb", as_version=4)
    assert [output.text for output in saved.cells[4].outputs] == ["1\n2\n"]


@pytest.mark.parametrize(
    ("cell", "kind", "message"),
    [
        ("1 / 0", CellFailed, "ZeroDivisionError: division by zero"),
        ("raise KeyboardInterrupt", CellFailed, "KeyboardInterrupt"),
        ("raise SystemExit", CellFailed, r"left the notebook by sys\.exit"),
        ("import sys; sys.exit(0)", CellFailed, r"left the notebook by sys\.exit"),
        ("import sys; sys.exit(3)", CellFailed, "SystemExit: 3"),
        ("import os; os._exit(0)", KernelDied, "it ended with exit code 0"),
        ("import os; os._exit(7)", KernelDied, "it ended with exit code 7"),
        ("import ctypes; ctypes.string_at(0)", KernelDied, "ended by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", KernelDied, "killed.*memory runs out"),
        ("import os; os.kill(os.getpid(), 15)", KernelDied, "ended by SIGTERM"),
        ("x = = 1", CellFailed, "SyntaxError"),
    ],
)
def test_a_notebook_that_ends_early_has_failed(run, tmp_path, cell, kind, message):
    with pytest.raises(kind, match=message) as caught:
        run(cell, RECORD)
    assert type(caught.value) is kind
    assert caught.value.cell == 3
    saved = nbformat.read(tmp_path / "work" / "out.ipynb", as_version=4)
    assert len(saved.cells) == 5  # none of papermill's own
    assert saved.cells[2].outputs[0].text == "said before\n"
    if kind is KernelDied:
        assert not recorded(saved)


def test_the_number_is_that_of_the_cell_in_the_saved_notebook(run, tmp_path):
    with pytest.raises(CellFailed) as caught:
        run("1 / 0", given={"k": 4})
    saved = nbformat.read(tmp_path / "work" / "out.ipynb", as_version=4)
    assert saved.cells[caught.value.cell].source == "1 / 0"
    assert "ZeroDivisionError" in caught.value.details
    assert "\x1b" not in caught.value.details


def test_what_the_kernel_said_last_is_kept(run):
    with pytest.raises(KernelDied) as caught:
        run("import os; os.write(2, b'farewell\\n'); os._exit(1)")
    assert "farewell" in caught.value.details


@pytest.mark.parametrize(
    "last_wish",
    [
        "kernel.post_handler_hook = lambda: [time.sleep(0.2), os._exit(5)]",  # this reply is sent
        "kernel.shell_handlers['kernel_info_request'] = lambda *_: os._exit(5)",  # so are all
    ],
)
def test_a_kernel_that_dies_after_its_last_reply_has_not_completed(run, last_wish):
    with pytest.raises(KernelDied, match="exit code 5"):
        run(RECORD, f"import os, time\nkernel = get_ipython().kernel\n{last_wish}")


@pytest.mark.parametrize(
    ("limits", "message", "cell"),
    [
        (Limits(cell=3), r"the cell took longer than 3 s", 3),
        (Limits(cell=30, run=4), r"the run took longer than 4 s", 3),
        (Limits(cell=None, run=4), r"the run took longer than 4 s", 3),
    ],
)
def test_time_is_limited(run, kernels, limits, message, cell):
    with pytest.raises(OutOfTime, match=message) as caught:
        run("import time; time.sleep(60)", RECORD, limits=limits)
    assert caught.value.cell == cell
    assert all_gone(descendants(kernels._keeper.pid))


def test_a_run_is_limited_though_each_cell_is_quick(run):
    naps = ["import time; time.sleep(0.4)"] * 5
    with pytest.raises(OutOfTime, match="the run took longer than 1 s"):
        run(*naps, limits=Limits(cell=30, run=1))


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_limit_is_positive(seconds):
    with pytest.raises(ValueError, match="the limit of a cell must be a positive number"):
        Limits(cell=seconds)


def test_a_cell_that_may_raise_fails_here_as_with_papermill(run):
    with pytest.raises(CellFailed, match="ZeroDivisionError"):
        run("1 / 0", RECORD, tags={3: ["raises-exception"]})


def test_a_cell_that_is_to_be_skipped_is_skipped(run):
    executed = run("1 / 0", RECORD, tags={3: ["skip-execution"]})
    assert recorded(executed)["k"] == 3


def test_cells_without_code_are_no_failure(run):
    assert recorded(run("", "  \n", "# nothing but words", RECORD))["k"] == 3


@pytest.mark.parametrize("folder", ["{k}", "a b {", "ä }{ \N{SNOWMAN}", "%s'\"$HOME"])
def test_any_folder_will_do(run, folder):
    executed = run("import os\nname = os.path.basename(os.getcwd())", RECORD, folder=folder)
    assert recorded(executed)["name"] == folder


def test_kernels_get_more_variables_and_cells_are_counted(run):
    numbers = []
    executed = run(
        "import os\nname = os.environ['MORE']",
        RECORD,
        environment={"MORE": "of it"},
        on_cell=numbers.append,
        given={"k": 4},
    )
    assert recorded(executed)["name"] == "of it"
    assert numbers == [0, 1, 2, 3, 4, 5]  # papermill's own is one of them


def test_the_notebook_is_saved_while_it_runs(run, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "_SAVED_EVERY", 0.0)
    counts = []

    def look(number):
        path = tmp_path / "work" / "out.ipynb"
        if path.exists():
            cells = nbformat.read(path, as_version=4).cells
            counts.append(sum(cell.execution_count is not None for cell in cells))

    run("1", "2", "3", on_cell=look)
    assert counts == sorted(counts)
    assert max(counts) >= 4


def test_a_disk_that_cannot_be_written_to_is_no_failure_of_the_notebook(run, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(execution, "_save", full)
    with pytest.raises(OSError, match="No space left"):
        run(RECORD)


def test_a_cell_that_was_not_run_has_not_completed():
    cells = [nbformat.v4.new_code_cell("1", execution_count=1), nbformat.v4.new_code_cell("2")]
    with pytest.raises(CellFailed, match="was not run") as caught:
        execution._check_completed(nbformat.v4.new_notebook(cells=cells))
    assert caught.value.cell == 1


def test_failures_travel():
    import pickle

    failure = OutOfTime("slow", cell=3, details="very")
    again = pickle.loads(pickle.dumps(failure))
    assert (type(again), again.reason, again.cell, again.details) == (OutOfTime, "slow", 3, "very")


# ---- in place ----------------------------------------------------------------------------------


def test_parameters_must_have_been_run_before_they_are_checked(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", "pass", CHECK)
    with pytest.raises(CellExecutionError, match="run the parameters cell first"):
        refresh(path)


def test_a_malformed_parameters_cell_says_what_is_wrong(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", "k: int = 3", CHECK)
    with pytest.raises(CellExecutionError, match="k must be explained in a comment"):
        refresh(path)


def test_refreshing_is_clean_and_repeats_to_the_byte(tmp_path):
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
def test_a_notebook_that_fails_or_warns_is_left_as_it_was(tmp_path, cell, error, message):
    path = write_notebook(tmp_path / "n.ipynb", PARAMETERS, cell)
    before = path.read_bytes()
    with pytest.raises(error, match=f"(?s){message}"):
        refresh(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
