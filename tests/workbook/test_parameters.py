"""The parameters cell as a contract: reading it, and checking values against it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmmlab.workbook.parameters import check_values, grid, read_parameters

CELL = """
k: int = 3  # number of components; in [1, 20]
tol: float = 1e-6  # gain at which EM stops; > 0
n_noise: int = 0  # samples of noise; >= 0
kind: str = "kmeans"  # where EM begins; one of kmeans | random_points
title: str = "a = b; # c"  # heading, with characters that mislead parsers
seed: int | None = None  # seed of the draws; >= 0
digits: list[int] = [3, 8]  # which digits; in [0, 9]
grid: list[list[float]] = [[0.5, 1], [2.0]]  # nested numbers; > 0
verbose: bool = False  # whether to print
size: int = 1  # a number without a rule
"""
PARAMETERS = read_parameters(CELL)


def test_the_cell_is_read_without_running_it():
    assert list(PARAMETERS) == [
        "k", "tol", "n_noise", "kind", "title", "seed", "digits", "grid", "verbose", "size"
    ]  # fmt: skip
    assert PARAMETERS["title"].default == "a = b; # c"
    assert PARAMETERS["seed"].default is None
    assert PARAMETERS["seed"].annotation == "int | None"
    assert PARAMETERS["k"].help == "number of components"
    assert PARAMETERS["k"].allowed == "int, in [1, 20]"
    assert PARAMETERS["verbose"].rule is None


def test_allowed_values_pass():
    check_values(PARAMETERS, {name: p.default for name, p in PARAMETERS.items()})
    check_values(
        PARAMETERS,
        {
            "k": 20,
            "tol": 1,  # a whole number is a float too
            "kind": "random_points",
            "title": "007",
            "seed": 0,
            "digits": [],
            "grid": [[1, 2.5], []],
            "verbose": True,
        },
    )
    check_values(PARAMETERS, {"k": 1})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("k", 0, r"k must be int, in \[1, 20\] \(number of components\); got 0"),
        ("size", True, r"size must be int \(a number without a rule\); got True"),
        ("k", None, "k must be int.*got None"),
        ("tol", 0, "tol must be float, > 0"),
        ("tol", float("nan"), "tol must be float"),
        ("kind", "random", r"one of kmeans \| random_points"),
        ("title", "\ud83d", "title must be str"),
        ("seed", -1, r"seed must be int \| None, >= 0"),
        ("digits", [3, 10], r"in \[0, 9\]"),
        ("grid", [1.0], r"list\[list\[float\]\]"),
        ("verbose", 0, "verbose must be bool"),
    ],
)
def test_other_values_are_refused_and_the_message_says_what_is_allowed(name, value, message):
    with pytest.raises(ValueError, match=message):
        check_values(PARAMETERS, {name: value})


def test_all_problems_are_reported_at_once():
    problems = r"no parameter 'seeds': did you mean 'seed'.*k must be.*tol must be"
    with pytest.raises(ValueError, match=problems):
        check_values(PARAMETERS, {"seeds": 1, "k": 0, "tol": -1})


@given(st.integers(), st.integers(), st.integers())
def test_a_range_contains_exactly_the_numbers_between_its_ends(low, width, value):
    high = low + abs(width)
    parameter = read_parameters(f"x: int = {low}  # a number; in [{low}, {high}]")["x"]
    # Ranges are compared as floats, which do not distinguish all whole numbers beyond 2**53.
    inside = float(low) <= value <= float(high)
    assert (parameter.problem(value) is None) == inside


def test_a_line_that_a_formatter_has_wrapped_can_be_read():
    cell = 'kind: str = (\n    "a"  # a long help; one of a | b\n)'
    parameter = read_parameters(cell)["kind"]
    assert parameter.help == "a long help"
    assert parameter.problem("c") is not None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("x = 3  # plain", "name: type = literal"),
        ("x: int = 1 + n  # computed", "x must have a literal"),
        ("x: int = 3", "x must have a help text"),
        ("x: int = 3  # a; between 1 and 4", "rule after the semicolon"),
        ("x: dict = {}  # a mapping", "type of a parameter must be int, float"),
        ("x: int = 5  # a number; in [1, 4]", "the default is not allowed: x must be int"),
        ('x: str = "a"  # words; in [1, 4]', "the default is not allowed"),
    ],
)
def test_a_cell_with_another_format_is_refused(cell, message):
    with pytest.raises(ValueError, match=message):
        read_parameters(cell)


@pytest.mark.parametrize("values", [3, "12"])
def test_a_grid_needs_a_list_of_values(values):
    with pytest.raises(TypeError, match="k must be swept over a list of values; got"):
        grid({"k": values})
