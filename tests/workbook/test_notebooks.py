"""The workbook folder, and its notebooks as they are before a run."""

import json

import nbformat
import pytest
from workbooks import CHECK, PARAMETERS, RECORD, make_workbook, write_notebook

from gmmlab.workbook.notebooks import PACKAGE, Notebook, Workbook


def change(path, **changes):
    """Change the cells or the metadata of a notebook."""
    content = json.loads(path.read_text())
    for cell in content["cells"]:
        cell.update(changes)
    path.write_text(json.dumps(content))
    return Notebook.read(path)


@pytest.fixture
def workbook(tmp_path):
    cells = (PARAMETERS, CHECK, RECORD)
    return make_workbook(tmp_path, **{"01-one": cells, "02-two": cells, "2b": cells})


def test_a_workbook_is_found_from_a_folder_inside_it(workbook):
    inside = workbook.root / "notebooks" / "deep" / "er"
    inside.mkdir(parents=True)
    assert Workbook.find(inside) == workbook


def test_outside_a_workbook_the_one_of_the_package_is_found(tmp_path):
    assert Workbook.find(tmp_path) == Workbook(PACKAGE.parent)


def test_a_notebook_is_found_by_file_name_or_number(workbook, monkeypatch):
    path = workbook.root / "notebooks" / "01-one.ipynb"
    for name in (path, "01-one.ipynb", "notebooks/01-one.ipynb", "01-one", "1", "01"):
        assert workbook.notebook(name).path == path, name
    monkeypatch.chdir(workbook.root / "notebooks")
    assert workbook.notebook("01-one.ipynb").path == path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("01-onne", r"no notebook '01-onne': did you mean '01-one'.*known: 01-one"),
        ("2", "more than one notebook matches '2'"),
        ("²", "no notebook '²'"),  # str.isdigit is true, but int refuses it
        ("a\0b", "no notebook"),  # no file can have this name
    ],
)
def test_unknown_and_ambiguous_names_raise(workbook, name, message):
    with pytest.raises(ValueError, match=message):
        workbook.notebook(name)


def test_files_of_editors_are_not_notebooks(workbook):
    for name in (".~01-one.ipynb", ".ipynb_checkpoints", "notes.txt"):
        (workbook.root / "notebooks" / name).write_text("{}")
    assert [path.stem for path in workbook.notebooks] == ["01-one", "02-two", "2b"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": [{}]}', "[" * 10_000])
def test_a_file_that_is_not_a_notebook_raises(tmp_path, text):
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"x\.ipynb is not a notebook"):
        Notebook.read(path)


def test_a_file_that_cannot_be_read_raises(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        Notebook.read(tmp_path)


def test_a_notebook_is_the_same_after_a_run(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", PARAMETERS, RECORD)
    before = Notebook.read(path)
    output = nbformat.v4.new_output("stream", text="printed")
    assert change(path, outputs=[output], execution_count=7) == before
    node = nbformat.read(path, as_version=4)
    cell = nbformat.v4.new_code_cell("k = 4", metadata={"tags": ["injected-parameters"]})
    node.cells.insert(1, cell)
    node.metadata["papermill"] = {"input_path": "x"}
    nbformat.write(node, path)
    assert Notebook.read(path) == before


def test_the_hash_depends_on_sources_tags_and_cell_types(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", PARAMETERS, RECORD)
    first = Notebook.read(path).sha256
    assert change(path, source=["a line\n", "another"]).sha256 != first
    second = Notebook.read(path).sha256
    assert change(path, source="a line\nanother").sha256 == second
    assert change(path, metadata={"tags": ["other"]}).sha256 != second
    assert change(path, cell_type="markdown").sha256 != second


@pytest.mark.parametrize("tags", [{0: []}, {0: ["parameters"], 1: ["parameters"]}])
def test_a_notebook_without_exactly_one_parameters_cell_raises(tmp_path, tags):
    path = write_notebook(tmp_path / "n.ipynb", PARAMETERS, PARAMETERS, tags=tags)
    with pytest.raises(ValueError, match="n must have one cell tagged `parameters`; it has"):
        assert Notebook.read(path).parameters


@pytest.mark.parametrize("cell", ["k = 3", "k: int = "])
def test_a_malformed_parameters_cell_raises(tmp_path, cell):
    path = write_notebook(tmp_path / "n.ipynb", cell)
    with pytest.raises(ValueError, match="the parameters cell of n is invalid: "):
        assert Notebook.read(path).parameters


def test_title_and_question_come_from_the_first_cell(tmp_path):
    prose = "# A title\n\n**Question.** Does it\nwork?\n\nMore."
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose)])
    nbformat.write(node, tmp_path / "n.ipynb")
    notebook = Notebook.read(tmp_path / "n.ipynb")
    assert (notebook.title, notebook.question) == ("A title", "Does it work?")
    bare = Notebook.read(write_notebook(tmp_path / "bare.ipynb", PARAMETERS))
    assert (bare.title, bare.question) == ("bare", "")
