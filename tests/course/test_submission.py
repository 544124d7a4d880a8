"""A submitted notebook, merged into the released one."""

import pytest
from courses import cell, parameters_cell, sources
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from gmmlab.course.submission import copy_other_files, merge


def test_work_is_merged_into_the_released_notebook():
    released = new_notebook(cells=[
        new_markdown_cell("text", id="text"),
        cell("code", "YOUR CODE", "task", solution=True),
        cell("code", "test", "test", grade=True, locked=True, points=1),
        new_code_cell("k = 1", id="free"),
    ])  # fmt: skip
    work = new_notebook(cells=[
        new_markdown_cell("changed", id="text"),
        new_code_cell("own = 1"),
        cell("code", "mine", "task", solution=True, points=99),
        new_code_cell("k = 2", id="free"),
        cell("code", "pass", "test", grade=True, locked=True, points=99),
        cell("code", "stray", "unknown", grade=True, locked=True, points=9),
    ])  # fmt: skip
    merged = merge(released, work)
    assert sources(merged.notebook) == ["text", "own = 1", "mine", "test", "stray", "k = 2"]
    assert merged.notebook.cells[3].metadata.nbgrader["points"] == 1
    assert "nbgrader" not in merged.notebook.cells[4].metadata
    assert merged.notes == ["The test `test` had been changed; it was restored."]
    empty = merge(released, new_notebook())
    assert sources(empty.notebook) == sources(released)
    assert len(empty.notes) == 2


@pytest.mark.parametrize(
    ("source", "seed", "note"),
    [
        ("seed: int = 7  # the seed; >= 0", 7, None),
        ("seed: int = 7", None, "had no seed any more"),
        ("seed = 7", None, "had no seed any more"),
        (None, None, "had been deleted"),
    ],
)
def test_the_seed_is_read_and_a_missing_one_is_noted(source, seed, note):
    released = new_notebook(cells=[parameters_cell()])
    cells = [] if source is None else [new_code_cell(source, id="parameters")]
    merged = merge(released, new_notebook(cells=cells))
    assert merged.seed == seed
    assert [note in text for text in merged.notes] == ([] if note is None else [True])
    assert sources(merged.notebook) == sources(released)


def test_other_files_are_copied_but_links_hidden_files_and_notebooks_are_not(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "helper.py").write_text("x = 1")
    (tmp_path / "in" / "other.ipynb").write_text("{}")
    (tmp_path / "in" / ".hidden").write_text("x")
    (tmp_path / "in" / "link.py").symlink_to(tmp_path / "in" / "deep" / "helper.py")
    copy_other_files(tmp_path / "in", tmp_path / "out")
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert files == [tmp_path / "out" / "deep" / "helper.py"]
