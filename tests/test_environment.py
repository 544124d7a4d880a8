"""pyproject.toml, requirements.txt, environment.yml and the Makefile describe one environment."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
EXTRAS = PROJECT["optional-dependencies"]
PROBLEM_SETS = sorted((ROOT / "notebooks" / "assignments" / "source").glob("*/*.ipynb"))
PINS = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines()]


def ranges(specs):
    """Return names and version ranges, with those of the extras of gmmlab among them."""
    found = {}
    for requirement in map(Requirement, specs):
        if requirement.name == "gmmlab":
            found |= ranges(spec for extra in requirement.extras for spec in EXTRAS[extra])
        else:
            found[canonicalize_name(requirement.name)] = requirement.specifier
    return found


#: everything that `make` installs
RANGES = ranges(PROJECT["dependencies"] + EXTRAS["dev"])

#: what conda accepts: its documentation, "Creating an environment file manually"
SCHEMA = {
    "type": "object",
    "required": ["name", "channels", "dependencies"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[^/ :#]+$"},
        "channels": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "dependencies": {
            "type": "array",
            "items": {
                "oneOf": [
                    {"type": "string", "pattern": r"^[a-z0-9_.-]+((>=|==|<|<=|=)[0-9.*,<>=]+)?$"},
                    {
                        "type": "object",
                        "required": ["pip"],
                        "additionalProperties": False,
                        "properties": {"pip": {"type": "array", "items": {"type": "string"}}},
                    },
                ]
            },
        },
        "variables": {"type": "object"},
        "prefix": {"type": "string"},
    },
}


def test_environment_yml_is_what_conda_reads():
    jsonschema.validate(CONDA, SCHEMA)


def test_environment_yml_has_the_names_and_ranges_of_pyproject():
    """conda-forge has each package by its name on PyPI, or pip installs it."""
    *specs, by_pip = CONDA["dependencies"]
    *pip_specs, package = by_pip["pip"]
    assert package == "-e ."
    found = ranges(specs + pip_specs)
    assert str(found.pop("python")) == PROJECT["requires-python"]
    found.pop("pip")
    assert found == RANGES


def test_every_extra_is_installed_for_its_tests():
    """Except what only benchmarks need."""
    all_specs = ranges(spec for specs in EXTRAS.values() for spec in specs)
    assert set(all_specs) - set(RANGES) == {"gmmx", "joblib"}


def test_every_dependency_has_a_reason():
    text = (ROOT / "pyproject.toml").read_text()
    specs = [*PROJECT["dependencies"], *(spec for specs in EXTRAS.values() for spec in specs)]
    for spec in specs:
        assert re.search(rf'(?m)^  "{re.escape(spec)}", +# \w.* \w', text), spec


def test_pins_are_complete_and_within_the_ranges():
    assert set(RANGES) <= {canonicalize_name(pin.name) for pin in PINS}
    for pin in PINS:
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        if (name := canonicalize_name(pin.name)) in RANGES:
            assert RANGES[name].contains(specifier.version), pin


@pytest.mark.parametrize("hook", ["ruff", "nbstripout"])
def test_hooks_have_the_versions_of_the_environment(hook):
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (repository,) = [repo for repo in config["repos"] if hook in repo["repo"]]
    (pin,) = [str(pin.specifier) for pin in PINS if pin.name == hook]
    assert repository["rev"].lstrip("v") == pin.lstrip("=")


def test_nbstripout_keeps_what_nbval_compares():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (hook,) = [h for repo in config["repos"] for h in repo["hooks"] if h["id"] == "nbstripout"]
    assert {"--keep-output", "--keep-count"} <= set(hook["args"])
    notebooks = [*(ROOT / "notebooks").glob("*.ipynb"), *PROBLEM_SETS]
    command = [sys.executable, "-m", "nbstripout", *hook["args"], "--verify", *map(str, notebooks)]
    assert subprocess.run(command, capture_output=True, text=True).returncode == 0


def test_make_runs_and_explains_each_target():
    """A target that is not phony would not run where a file has its name, as `tests` might."""
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?m)^([a-z]+):", text)
    explained = re.findall(r"(?m)^([a-z]+):.*  ## \w", text)
    (phony,) = re.findall(r"(?m)^\.PHONY: (.*)$", text)
    assert targets == explained == phony.split()
