"""The environment is one: pyproject.toml, its pins, environment.yml and the Makefile agree."""

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
RANGES = {
    canonicalize_name(requirement.name): requirement.specifier
    for requirement in map(
        Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    )
}
PROBLEM_SETS = sorted((ROOT / "notebooks" / "assignments" / "source").glob("*/*.ipynb"))
PINS = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if not line.startswith("#")
]

# What conda accepts (conda's documentation, "Creating an environment file manually").
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


def conda_ranges():
    """Names and ranges of all packages; conda-forge has each by its name on PyPI, or pip does."""
    specs = [spec for spec in CONDA["dependencies"] if isinstance(spec, str)]
    specs += [spec for spec in CONDA["dependencies"][-1]["pip"] if spec != "-e ."]
    ranges = map(Requirement, specs)
    return {canonicalize_name(spec.name): spec.specifier for spec in ranges}


def test_environment_yml_is_what_conda_reads():
    jsonschema.validate(CONDA, SCHEMA)
    assert CONDA["channels"] == ["conda-forge"]
    assert CONDA["dependencies"][-1]["pip"][-1] == "-e ."


def test_environment_yml_has_the_names_and_ranges_of_pyproject():
    ranges = conda_ranges()
    assert str(ranges.pop("python")) == PROJECT["requires-python"]
    ranges.pop("pip")
    assert ranges == RANGES


def test_what_is_optional_is_there_for_its_tests():
    extras = PROJECT["optional-dependencies"]
    extras.pop("bench")  # peers that are measured by hand
    assert set(extras.pop("dev")) >= {spec for specs in extras.values() for spec in specs}


def test_every_dependency_says_what_it_is_for():
    text = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(r"(?ms)^(?:dependencies|dev) = \[\n(.*?)^\]", text)
    lines = [line for block in lists for line in block.splitlines()]
    assert len(lines) == len(RANGES)
    assert all(re.search(r'",? +# \w', line) for line in lines)


def test_pins_are_plain_and_within_the_ranges():
    text = (ROOT / "requirements.txt").read_text()
    assert "://" not in text
    assert "--" not in text
    pinned = {canonicalize_name(pin.name) for pin in PINS}
    assert set(RANGES) <= pinned
    for pin in PINS:
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        if (name := canonicalize_name(pin.name)) in RANGES:
            assert RANGES[name].contains(specifier.version), pin


@pytest.mark.parametrize("hook", ["ruff", "nbstripout"])
def test_hooks_are_pinned_as_the_environment_is(hook):
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


def test_make_has_few_targets_and_each_is_explained():
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?m)^([a-z]+):", text)
    explained = re.findall(r"(?m)^([a-z]+):.*  ## \w", text)
    (phony,) = re.findall(r"(?m)^\.PHONY: (.*)$", text)
    assert targets == explained == phony.split()
    assert len(targets) <= 8
