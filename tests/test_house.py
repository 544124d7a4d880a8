"""How the package is laid out: floors, and two halves that do not know each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gmmlab"
#: from the ground up; a module imports only from below it
FLOORS = (
    "_validation",
    "_threads",
    "families",
    "parsimonious",
    "covariance",
    "mixture",
    "datasets",
    "samples",
    "sums",
    "missing",
    "scale",
    "degeneracy",
    "result",
    "coordinates",
    "acceleration",
    "information",
    "em",
    "start",
    "diagnostics",
    "intervals",
    "many_starts",
    "neighbours",
    "grid",
    "cross_validation",
    "likelihood_ratio",
    "merging",
    "selection",
    "estimator",
    "_drawing",
    "_axes",
    "_plots_uncertainty",
    "_plots_choosing",
    "_film",
    "plots",
    "player",
    "space",
)


def imports(path):
    """Return the modules of the package that a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "gmmlab":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gmmlab."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("gmmlab.")}
    return found


def test_every_module_has_its_floor():
    entrances = {"__init__", "__main__"}
    assert {path.stem for path in PACKAGE.glob("*.py")} - entrances == set(FLOORS)


@pytest.mark.parametrize("module", FLOORS)
def test_a_module_imports_only_from_below(module):
    assert imports(PACKAGE / f"{module}.py") <= set(FLOORS[: FLOORS.index(module)])


def test_the_workbook_knows_nothing_of_mixtures():
    for path in (PACKAGE / "workbook").rglob("*.py"):
        assert imports(path) <= {"workbook"}, path


def test_a_course_knows_notebooks_and_its_checks_know_mixtures():
    for path in (PACKAGE / "course").rglob("*.py"):
        checks = "checks" in path.relative_to(PACKAGE).parts
        assert imports(path) <= ({"course", *FLOORS} if checks else {"course", "workbook"}), path


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import gmmlab", "numpy"),
        ("from gmmlab import fit, Mixture, start, datasets", "sklearn"),
        ("from gmmlab import fit, Mixture, start, datasets", "matplotlib"),
        ("from gmmlab import record; import gmmlab.workbook", "scipy"),
        ("from gmmlab import GaussianMixture, plots, diagnostics, load_mnist", "keras"),
        ("from gmmlab import plots, space", "plotly"),
        ("import gmmlab.__main__", "nbgrader"),
        ("import gmmlab.__main__", "numpy"),
        ("from gmmlab.course.checks import em, practice", "nbgrader"),
    ],
)
def test_imports_are_light(statement, absent):
    code = f"{statement}; import sys; assert {absent!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_can_be_imported_and_is_documented():
    import gmmlab

    for name in gmmlab.__all__:
        assert getattr(gmmlab, name).__doc__, name
