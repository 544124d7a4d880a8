"""The parameters cell as a contract: reading it, and holding values against it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmmlab.workbook.parameters import check_values, read_parameters

CELL = """
k: int = 3  # number of components; in [1, 20]
tol: float = 1e-6  # gain at which EM stops; > 0
n_noise: int = 0  # samples of noise; >= 0
kind: str = "kmeans"  # where EM begins; one of kmeans | random_points
title: str = "a = b; # c"  # heading, with signs that mislead parsers
seed: int | None = None  # seed of the draws; >= 0
digits: list[int] = [3, 8]  # which digits; in [0, 9]
grid: list[list[float]] = [[0.5, 1], [2.0]]  # nested numbers; > 0
verbose: bool = False  # whether to talk
"""
PARAMETERS = read_parameters(CELL)


def test_the_cell_is_read_without_being_run():
    assert list(PARAMETERS) == [
        "k", "tol", "n_noise", "kind", "title", "seed", "digits", "grid", "verbose"
    ]  # fmt: skip
    assert PARAMETERS["title"].default == "a = b; # c"
    assert PARAMETERS["seed"].default is None
    assert PARAMETERS["seed"].annotation == "int | None"
    assert PARAMETERS["k"].help == "number of components"
    assert PARAMETERS["k"].allowed == "int, in [1, 20]"
    assert PARAMETERS["verbose"].rule is None


def test_the_defaults_keep_their_own_contract():
    check_values(PARAMETERS, {name: p.default for name, p in PARAMETERS.items()})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k", 1),
        ("k", 20),
        ("tol", 1),  # a whole number is a number
        ("kind", "random_points"),
        ("seed", None),
        ("seed", 0),
        ("digits", []),
        ("grid", [[1, 2.5], []]),
        ("title", "007"),
        ("verbose", True),
    ],
)
def test_allowed_values_pass(name, value):
    check_values(PARAMETERS, {name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("k", 0, r"k must be int, in \[1, 20\] \(number of components\); got 0"),
        ("k", 21, r"in \[1, 20\]"),
        ("k", 3.5, "k must be int.*got 3.5"),
        ("k", True, "k must be int.*got True"),
        ("k", "3", "k must be int.*got '3'"),
        ("k", None, "k must be int.*got None"),
        ("tol", 0, "tol must be float, > 0"),
        ("tol", "small", "tol must be float"),
        ("tol", float("nan"), "tol must be float"),
        ("n_noise", -1, ">= 0"),
        ("kind", "random", r"one of kmeans \| random_points"),
        ("title", 7, "title must be str"),
        ("seed", -1, r"seed must be int \| None, >= 0"),
        ("seed", "x", r"seed must be int \| None"),
        ("digits", [3, 10], r"in \[0, 9\]"),
        ("digits", 3, r"digits must be list\[int\]"),
        ("digits", [3.5], r"digits must be list\[int\]"),
        ("grid", [1.0], r"list\[list\[float\]\]"),
        ("grid", [[0.0]], "> 0"),
        ("verbose", "false", "verbose must be bool"),
        ("verbose", 0, "verbose must be bool"),
    ],
)
def test_other_values_are_refused_with_what_is_allowed(name, value, message):
    with pytest.raises(ValueError, match=message):
        check_values(PARAMETERS, {name: value})


def test_an_unknown_name_is_refused_with_the_nearest_known_one():
    with pytest.raises(ValueError, match="no parameter 'seeds': did you mean 'seed'"):
        check_values(PARAMETERS, {"seeds": 3})


def test_all_problems_are_named_at_once():
    with pytest.raises(ValueError, match=r"no parameter 'zzz'.*k must be.*tol must be"):
        check_values(PARAMETERS, {"zzz": 1, "k": 0, "tol": -1})


@given(st.integers(), st.integers(), st.integers())
def test_a_range_holds_exactly_the_numbers_in_it(low, width, value):
    high = low + abs(width)
    parameter = read_parameters(f"x: int = {low}  # a number; in [{low}, {high}]")["x"]
    # ranges are compared as floats; whole numbers beyond 2**53 are not told apart
    inside = float(low) <= value <= float(high)
    assert (parameter.problem(value) is None) == inside


def test_a_line_that_a_formatter_has_wrapped_is_read_too():
    cell = 'kind: str = (\n    "a"  # a long help; one of a | b\n)'
    parameter = read_parameters(cell)["kind"]
    assert parameter.help == "a long help"
    assert parameter.problem("c") is not None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("x = 3  # plain", "name: type = literal"),
        ("x: int  # no default", "name: type = literal"),
        ("import os", "name: type = literal"),
        ("x: int = 1 + n  # computed", "x must have a literal"),
        ("x: int = 3", "x must be explained"),
        ("x: int = 3  # a; between 1 and 4", "rule after the semicolon"),
        ("x: dict = {}  # a mapping", "type must be int, float"),
        ("x: int = 5  # a number; in [1, 4]", "breaks its own contract"),
        ('x: int = "a"  # a number', "breaks its own contract"),
    ],
)
def test_a_cell_that_is_no_contract_is_refused(cell, message):
    with pytest.raises(ValueError, match=message):
        read_parameters(cell)
