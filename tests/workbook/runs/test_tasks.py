"""Tasks: their settings, and the command line that repeats them."""

import shlex

import pytest
from workbooks import CHECK, make_workbook

from gmmlab.workbook.runs import Runner, Settings, command
from gmmlab.workbook.values import from_text


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"jobs": 1.5}])
def test_jobs_and_threads_must_be_positive_integers(wrong):
    with pytest.raises(ValueError, match="must be a positive int"):
        Settings(**wrong)


def test_the_command_of_a_task_has_the_parameters_of_the_task(tmp_path):
    lines = (
        "s: str | None = None  # word\nx: float = 1.0  # number\n"
        "g: list[list[float]] = []  # grid\nw: list[str] = []  # words\nn: int = 0  # number"
    )
    workbook = make_workbook(tmp_path, one=(lines, CHECK, "record(s=s)"))
    runner = Runner(workbook)
    given = {"s": "none", "x": 5e-324, "g": [[1.0], [-2.5]], "w": ["a, b", "'", "$HOME"], "n": -5}
    task = runner.task(workbook.notebook("one"), given)
    words = shlex.split(command(task, workbook, None))[2:]
    contract = workbook.notebook("one").parameters
    pairs = list(zip(words[2::3], words[3::3], strict=True))
    parsed = {name: from_text(contract[name], text) for name, text in pairs}
    assert runner.task(workbook.notebook("one"), parsed).id == task.id
