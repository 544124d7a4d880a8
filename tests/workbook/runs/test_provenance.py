"""Provenance: what a run records, and what its id depends on."""

import dataclasses
import json
import shlex
import subprocess

import pytest
from workbooks import CHECK, COUNT, PARAMETERS, RECORD, make, make_workbook, write_notebook

from gmmlab.workbook.runs import Runner, provenance, run


@pytest.fixture
def workbook(tmp_path):
    return make_workbook(tmp_path)


def test_a_run_records_its_command_inputs_and_environment(tmp_path):
    workbook = make_workbook(
        tmp_path, one=(f"{PARAMETERS}\nseed: int = 5  # seed of the draws", CHECK, RECORD)
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "some.csv").write_text("1,2\n")
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@x", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True)
    found = run("one", {"name": "it's"}, workbook=workbook, threads=1).provenance
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
    assert not run("one", workbook=workbook).provenance["git"]["clean"]


def id_of(workbook, given=None, **fingerprint):
    runner = Runner(workbook)
    runner.fingerprint = dataclasses.replace(runner.fingerprint, **fingerprint)
    return runner.task(workbook.notebook("quick"), given or {}).id


def test_the_id_depends_on_everything_that_results_depend_on(workbook):
    ids = [
        id_of(workbook),
        id_of(workbook, {"k": 4}),
        id_of(workbook, {"name": "3"}),
        id_of(workbook, package="another"),
        id_of(workbook, libraries={"python": "3.11", "numpy": "0.1"}),
    ]
    workbook.data.mkdir()
    (workbook.data / "a").write_text("1")
    ids.append(id_of(workbook))
    (workbook.data / "a").write_text("2")
    ids.append(id_of(workbook))
    write_notebook(workbook.notebooks[0], PARAMETERS, CHECK, COUNT, RECORD + "  # changed")
    ids.append(id_of(workbook))
    assert len(set(ids)) == len(ids)


def test_the_id_does_not_depend_on_anything_else(workbook):
    first = id_of(workbook)
    assert id_of(workbook, {"name": "a=b", "k": 3}) == first
    assert id_of(workbook, {"k": 3, "name": "a=b"}) == first
    content = json.loads(workbook.notebooks[0].read_text())
    for number, cell in enumerate(content["cells"]):
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
        cell["execution_count"] = number
        cell["metadata"]["collapsed"] = True
    workbook.notebooks[0].write_text(json.dumps(content))
    assert id_of(workbook) == first
    assert make(workbook, threads=1).task.id == make(workbook, threads=2).task.id == first


def test_the_package_is_hashed_by_its_content(tmp_path, workbook, monkeypatch):
    package = tmp_path / "package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "a.py").write_text("1")
    monkeypatch.setattr(provenance, "PACKAGE", package)

    def now():
        return provenance.Fingerprint.of(workbook).package

    first = now()
    (package / "__pycache__" / "a.pyc.1234").write_text("2")
    (package / "a.py").touch()
    assert now() == first
    (package / "a.py").write_text("2")
    second = now()
    (package / "a.py").rename(package / "b.py")
    assert len({first, second, now()}) == 3
