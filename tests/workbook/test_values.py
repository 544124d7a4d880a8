"""Values as people write them, on the command line and in YAML, and as they reach a notebook."""

import json

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from papermill.parameterize import parameterize_notebook
from workbooks import CHECK, make, make_workbook

from gmmlab.workbook.parameters import read_parameters
from gmmlab.workbook.values import from_text, many_from_text, read_grid, read_values, to_text

TEXTS = st.text(st.characters(codec="utf-8"))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
KINDS = {
    "int": ("0", st.integers()),
    "float": ("0.0", FLOATS),
    "bool": ("False", st.booleans()),
    "str": ("''", TEXTS),
    "int | None": ("0", st.none() | st.integers()),
    "float | None": ("None", st.none() | FLOATS),
    "str | None": ("None", st.none() | TEXTS | st.sampled_from(["none", "", "~", "'none'", '"'])),
    "list[int]": ("[]", st.lists(st.integers())),
    "list[list[float]]": ("[]", st.lists(st.lists(FLOATS))),
    "list[str]": ("[]", st.lists(TEXTS)),
    "list[int] | None": ("None", st.none() | st.lists(st.integers())),
}


def parameter(kind, default=None, rule=""):
    line = f"x: {kind} = {KINDS[kind][0] if default is None else default}  # a thing{rule}"
    return read_parameters(line)["x"]


def same(one, other):
    """Return whether two values are equal and of the same types at every depth."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


# ---- the command line --------------------------------------------------------------------------


@settings(max_examples=400)
@given(st.sampled_from(list(KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), KINDS[kind][1])))
def test_parsing_inverts_writing(case):
    kind, value = case
    declared = parameter(kind)
    assert same(from_text(declared, to_text(declared, value)), value)


@pytest.mark.parametrize(
    ("kind", "values"),
    {
        "int": {"007": 7, "-5": -5, "1" + "0" * 30: 10**30},
        "float": {"1e-6": 1e-6, "7": 7.0},
        "bool": {"false": False, "No": False, "on": True},
        "str": {"007": "007", "none": "none", "a=b": "a=b", " [1, 2] ": " [1, 2] "},
        "int | None": {"none": None, "Null": None, "7": 7},
        "str | None": {"none": None, '"none"': "none", "it's": "it's", "'tis": "'tis"},
        "list[int]": {"1,2": [1, 2], "[1, 2]": [1, 2], "[007, 1]": [7, 1], "": []},
        "list[str]": {
            "a, b": ["a", "b"], '["a, b", "c"]': ["a, b", "c"], "[a, b]": ["a", "b"]
        },
        "list[list[float]]": {
            "[[1, 2.5], []]": [[1.0, 2.5], []], "[1, 2.5], []": [[1.0, 2.5], []]
        },
    }.items(),
)  # fmt: skip
def test_the_type_of_the_parameter_decides_how_a_text_is_read(kind, values):
    found = {text: from_text(parameter(kind), text) for text in values}
    assert same(found, values)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "1e3"),
        ("int", "9" * 5000),
        ("float", "nan"),
        ("float", "1e400"),
        ("bool", "1"),
        ("list[int]", "[1, 2"),
        ("list[int]", "[{[]}]"),
        ("list[int]", "[" * 5000),
        ("list[int]", "[1],[2]"),
        ("list[list[float]]", "[[1], 2]"),
        ("list[list[float]]", "[[1" + "0" * 400 + "]]"),
        ("list[str]", "[1, 2]"),
    ],
)
def test_a_text_that_does_not_fit_the_type_is_refused(kind, text):
    with pytest.raises(ValueError, match=r"x must be .* \(a thing\); got") as caught:
        from_text(parameter(kind), text)
    assert kind in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "default", "rule", "good", "bad"),
    [
        ("int", "1", "; in [1, 20]", "20", "21"),
        ("float", "1.0", "; > 0", "0.1", "0"),
        ("str", "'a'", "; one of a | b", "b", "c"),
        ("float", "1e-6", "; one of 1e-6 | 1e-9", "1e-9", "1e-8"),
        ("list[int]", "[1]", "; in [0, 9]", "[0, 9]", "[0, 10]"),
    ],
)
def test_rules_are_checked(kind, default, rule, good, bad):
    declared = parameter(kind, default, rule)
    from_text(declared, good)
    with pytest.raises(ValueError, match=r"x must be"):
        from_text(declared, bad)


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        ("int", "0:3,10", [0, 1, 2, 10]),
        ("int", "10:0:-5", [10, 5]),
        ("int | None", "none,0:2", [None, 0, 1]),
        ("str", "a,0:2", ["a", "0:2"]),
        ("list[list[float]]", "[[1,2],[3]],[[4]]", [[[1.0, 2.0], [3.0]], [[4.0]]]),
    ],
)
def test_a_text_can_list_values(kind, text, values):
    assert same(many_from_text(parameter(kind), text), values)


@pytest.mark.parametrize("text", ["1,", "3:3", "0:3:0", "1:x"])
def test_a_list_that_is_empty_or_contains_a_wrong_value_is_refused(text):
    with pytest.raises(ValueError, match="x"):
        many_from_text(parameter("int"), text)


# ---- YAML --------------------------------------------------------------------------------------

CONTRACT = read_parameters(
    """
k: int = 3  # number; in [1, 20]
tol: float = 1e-6  # tolerance; > 0
verbose: bool = False  # whether to print
name: str = "a"  # a name
alias: str | None = None  # another name
seed: int | None = None  # seed
digits: list[int] = [1]  # digits; in [0, 9]
grid: list[list[float]] = []  # nested
words: list[str] = []  # some words
"""
)


@pytest.fixture
def yaml_file(tmp_path):
    def write(text):
        path = tmp_path / "values.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "values"),
    [
        # YAML 1.1 reads 1e-6 as a string, 007 as a number and no as a boolean.
        (
            "k: 007\ntol: 1e-6\nname: 007\nverbose: yes\nalias: none\nseed: null",
            {"k": 7, "tol": 1e-6, "name": "007", "verbose": True, "alias": None, "seed": None},
        ),
        (
            "tol: 1\nname: no\nalias: 'none'\nseed:",
            {"tol": 1.0, "name": "no", "alias": "none", "seed": None},
        ),
        ("name: null\nalias: 'two\n\n  lines'", {"name": "null", "alias": "two\nlines"}),
        (
            "digits: 1,2\ngrid: [[1, 2.5], []]\nwords: ['a', b, 007, no, 1]",
            {
                "digits": [1, 2],
                "grid": [[1.0, 2.5], []],
                "words": ["a", "b", "007", "no", "1"],
            },
        ),
        (
            'name: 2026-01-01\nwords:\n- one, two\n- "it\'s"',
            {"name": "2026-01-01", "words": ["one, two", "it's"]},
        ),
        ("{}", {}),
    ],
)
def test_the_type_of_the_parameter_decides_how_yaml_is_read(yaml_file, text, values):
    assert same(read_values(yaml_file(text), CONTRACT), values)


@given(st.fixed_dictionaries({"name": TEXTS, "words": st.lists(TEXTS), "digits": st.lists(
    st.integers(0, 9)), "seed": st.none() | st.integers(), "verbose": st.booleans()}))  # fmt: skip
def test_a_json_file_is_read_as_yaml(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "values.json"
    path.write_text(json.dumps(values))
    assert same(read_values(path, CONTRACT), values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k: 3.5", r"k must be int, in \[1, 20\] \(number\); got '3.5'"),
        ("kk: 3", "no parameter 'kk': did you mean 'k'"),
        ("k: 3\nk: 4", "k is given twice"),
        ("digits: [1, 3.5]", r"digits must be list\[int\]"),
        ("? [k]\n: 3", "no parameter"),
        ("words: &a [*a]", "words must be"),
        ("", "must contain a mapping"),
        ("k: [", "is not a YAML file"),
        ("k: 1\n---\nk: 2", "is not a YAML file"),
    ],
)
def test_a_file_that_does_not_fit_the_contract_is_refused(yaml_file, text, message):
    with pytest.raises(ValueError, match=message):
        read_values(yaml_file(text), CONTRACT)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ValueError, match="is not a YAML file"):
        read_values(tmp_path / "a.yaml", CONTRACT)


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("k: [2, 3]\nseed: 0:2", [{"k": k, "seed": s} for k in (2, 3) for s in (0, 1)]),
        ("digits: [[1, 2], [3]]", [{"digits": [1, 2]}, {"digits": [3]}]),
        ("name: 'a,b'", [{"name": "a,b"}]),
        ("- {k: 2, name: 007}\n- {k: 3}", [{"k": 2, "name": "007"}, {"k": 3}]),
    ],
)
def test_a_file_can_contain_a_grid_or_a_list_of_sets(yaml_file, text, sets):
    assert same(read_grid(yaml_file(text), CONTRACT), sets)


@pytest.mark.parametrize("text", ["- 3", "k: []\nk: [1]", "- {kk: 1}"])
def test_a_file_without_sets_is_refused(yaml_file, text):
    with pytest.raises(ValueError, match=r"must contain|\bkk?\b"):
        read_grid(yaml_file(text), CONTRACT)


# ---- in the notebook ---------------------------------------------------------------------------

NASTY = {
    "x": 5e-324,
    "n": -(2**70),
    "text": "a=b; # {c}\n\t\"'\\ ünï\u2028\U0001f600 \\n %s {{}}",
    "words": ["", "'", "\\", "None", "7"],
    "grid": [[0.1, -0.0], []],
    "none": None,
    "yes": True,
}


def injected(values):
    """Return the variables that the cell inserted by papermill assigns."""
    cell = nbformat.v4.new_code_cell("x = 0", metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata.update(kernelspec={"name": "python3"}, papermill={})
    notebook.metadata.kernelspec.language = "python"
    made = parameterize_notebook(notebook, values)
    namespace = {}
    exec(made.cells[1].source, namespace)
    return {name: namespace[name] for name in values}


@given(
    st.fixed_dictionaries({"x": FLOATS, "n": st.integers(), "text": TEXTS, "words": st.lists(TEXTS),
        "grid": st.lists(st.lists(FLOATS)), "none": st.none(), "yes": st.booleans()})
)  # fmt: skip
def test_papermill_inserts_values_without_changing_them(values):
    assert same(injected(values), values)


def test_values_that_are_hard_to_write_reach_a_kernel_unchanged(tmp_path):
    lines = [
        "x: float = 1.0  # a number",
        "n: int = 1  # another",
        "text: str = 'a'  # words",
        "words: list[str] = []  # more",
        "grid: list[list[float]] = []  # nested",
        "none: int | None = 3  # or not",
        "yes: bool = False  # whether",
    ]
    names = "x=x, n=str(n), text=text, words=words, grid=grid, none=none, yes=yes"
    workbook = make_workbook(tmp_path, nasty=("\n".join(lines), CHECK, f"record({names})"))
    outcome = make(workbook, "nasty", NASTY)
    assert outcome.failure is None
    assert same(outcome.run.results, NASTY | {"n": str(NASTY["n"])})
    assert same(outcome.run.parameters, NASTY)
