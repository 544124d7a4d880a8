"""How the package is laid out: what may import what, what an import costs, what a wheel holds."""

import ast
import graphlib
import importlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gmmlab
from gmmlab import _moved

ROOT = Path(__file__).parent.parent

# ---- imports -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imports():
    """Return the modules that each module imports, but for type hints."""
    graph = grimp.build_graph("gmmlab", exclude_type_checking_imports=True, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_imports_keep_the_contracts_of_pyproject(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    failed = lint_imports(no_cache=True)
    assert not failed, capsys.readouterr().out


def test_no_module_imports_itself_through_others(imports):
    """The contracts compare siblings only; here a wing's face counts as a module too."""
    graphlib.TopologicalSorter(imports).prepare()


def test_no_module_imports_a_private_name_of_another(imports):
    for path in (ROOT / "gmmlab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gmmlab"):
                names = [name.name for name in node.names if name.name.startswith("_")]
                private = [name for name in names if f"{node.module}.{name}" not in imports]
                assert not private, f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import gmmlab", "numpy"),
        ("from gmmlab import fit, Mixture, start, datasets", "sklearn"),
        ("from gmmlab import fit, Mixture, start, datasets", "matplotlib"),
        ("from gmmlab import record; import gmmlab.workbook", "scipy"),
        ("from gmmlab import GaussianMixture, plots, diagnostics, load_mnist", "keras"),
        ("from gmmlab import plots; from gmmlab.plots import interactive", "plotly"),
        ("import gmmlab.__main__", "nbgrader"),
        ("import gmmlab.__main__", "numpy"),
        ("from gmmlab.course.checks import em, practice", "nbgrader"),
    ],
)
def test_imports_are_light(statement, absent):
    code = f"{statement}; import sys; assert {absent!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- names -------------------------------------------------------------------------------------


def test_every_public_name_can_be_imported_and_is_documented():
    for name in gmmlab.__all__:
        assert getattr(gmmlab, name).__doc__, name


def test_the_docstring_lists_every_module_and_wing(imports):
    listed = set(re.findall(r"(?m)^    (\w+)  ", gmmlab.__doc__))
    public = {name.partition(".")[2] for name in imports}
    assert listed == {name for name in public if re.fullmatch(r"[a-z]\w*", name)}


OLD_NAMES = {
    "acceleration": ["Squarem"],
    "coordinates": ["Coordinates"],
    "cross_validation": ["Score", "cross_validated", "folds"],
    "degeneracy": [],
    "families": ["Covariance"],
    "grid": ["Cell"],
    "information": ["Information", "information", "remaining_gain"],
    "intervals": ["Parameters", "Uncertainty", "check_uncertainty", "uncertainty"],
    "likelihood_ratio": ["BootstrapTest", "SequentialTest", "bootstrap_test", "sequential_test"],
    "many_starts": ["Search", "search"],
    "merging": ["Merging", "merge"],
    "missing": [],
    "neighbours": ["merges", "splits"],
    "parsimonious": ["pooled"],
    "player": ["film", "stills"],
    "samples": ["Samples", "as_samples"],
    "scale": ["relative_floor"],
    "space": ["data", "ellipsoids", "look_along", "soft_assignment"],
    "sums": ["natural_parameters"],
}


def test_old_names_still_import():
    assert set(OLD_NAMES) == set(_moved.MODULES)
    for module, names in OLD_NAMES.items():
        found = importlib.import_module(f"gmmlab.{module}")
        assert [name for name in names if not hasattr(found, name)] == []
        assert getattr(gmmlab, module) is found


@pytest.mark.parametrize("module", ["search", "many_starts"])
def test_importing_its_module_leaves_search_the_function(module):
    code = f"import gmmlab.{module}; from gmmlab import search; assert search.__name__ == 'search'"
    subprocess.run([sys.executable, "-c", f"{code}; assert callable(search)"], check=True)


# ---- the wheel, without extras -----------------------------------------------------------------

#: refuses to import the packages of the extras, as if they were not installed
WITHOUT_EXTRAS = """
import sys

class Refuse:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {refused}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""

CORE = """
from pathlib import Path
import numpy as np
import gmmlab
from gmmlab import GaussianMixture, datasets, fit, plots, search, selection, start, uncertainty

assert Path(gmmlab.__file__).parent.parent.name == "site"  # not the checkout
X, rng = datasets.old_faithful().X, np.random.default_rng(0)
result = fit(X, start.kmeans(X, 2, rng), tol=1e-8)
assert abs(result.log_likelihood - -1130.26396) < 1e-4  # R, mclust 6.0
assert GaussianMixture(2, random_state=0).fit(X).converged_
assert search(X, 2, rng).best.mixture.n_components == 2
uncertainty(result, X).to_frame()
selection.compare(X, n_components=[1, 2], structures=["EII"], rng=rng).to_frame()
plots.trace(result).figure.savefig("trace.png")
"""

#: what cannot be done without an extra, and the error
LACKS = {
    "gmmlab.record(a=1)": r"IPython is not installed; run: pip install 'gmmlab\[workbook\]'",
    "gmmlab.workbook.run('02-full-em', {})": r"not installed; .*'gmmlab\[workbook\]'",
    "gmmlab.workbook.check_parameters()": r"IPython is not installed; .*'gmmlab\[workbook\]'",
    "plots.show(plots.data([[0.0, 1.0]]), alt='One')": r"IPython is not .*'gmmlab\[workbook\]'",
    "interactive.data([[0.0, 1.0, 2.0]])": r"plotly is not installed; .*'gmmlab\[workbook\]'",
    "gmmlab.load_mnist(source='keras')": r"keras is not installed; .*'gmmlab\[keras\]'",
    "gmmlab.load_mnist()": r"mnist\.npz is missing: .* load_mnist\(source='keras'\)",
}
EACH = """
import gmmlab
from gmmlab import plots
from gmmlab.plots import interactive

for code in {codes}:
    try:
        eval(code)
        print("no error")
    except (ImportError, FileNotFoundError) as error:
        print(error)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build the wheel and unpack it; return a function that runs code with it, without extras."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", folder], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("gmmlab-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        canonicalize_name(Requirement(spec).name)
        for extra in ("workbook", "keras", "course", "dask")
        for spec in project["optional-dependencies"][extra]
    }
    refused = {
        module
        for module, names in packages_distributions().items()
        if module != "gmmlab" and extras & set(map(canonicalize_name, names))
    }

    def run(code):
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_EXTRAS.format(refused=refused) + code],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder / "site"), "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
        )

    return run


def test_an_installed_package_has_the_core_and_old_faithful_without_extras(installed):
    ran = installed(CORE)
    assert ran.returncode == 0, ran.stderr


def test_an_installed_package_names_the_extra_that_it_lacks(installed):
    ran = installed(EACH.format(codes=list(LACKS)))
    errors = ran.stdout.splitlines()
    for (code, expected), error in zip(LACKS.items(), errors, strict=True):
        assert re.search(expected, error), code


def test_the_command_names_the_extra_that_it_lacks(installed):
    ran = installed("import gmmlab.__main__")
    assert ran.stderr == "gmmlab: click is not installed; run: pip install 'gmmlab[workbook]'\n"
    assert ran.returncode == 1
