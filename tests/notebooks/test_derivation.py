"""The equations of the derivation notebook are numbered, checked, and cited by the code."""

import ast
import contextlib
import re
import tokenize
import warnings
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent.parent
CELLS = nbformat.read(ROOT / "notebooks" / "00-derivation.ipynb", as_version=4).cells
#: functions of the notebook that check an equation; its number is their first argument
CHECKS = {"verdict", "equal", "at_least", "zero"}
NUMBER = r"[A-Z]\d{1,2}"
#: as in "(M2)", "(E1 to E3)" or "(B5, B6)"
CITED = re.compile(rf"\(({NUMBER}(?:(?:, | and | to ){NUMBER})*)\)")
SOURCES = sorted([*(ROOT / "gmmlab").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])


def numbers():
    """Return the number and the cell of each numbered equation, in the order of the notebook."""
    return [
        (number, position)
        for position, cell in enumerate(CELLS)
        if cell.cell_type == "markdown"
        for number in re.findall(r"\\tag\{(.+?)\}", cell.source)
    ]


def checked(source):
    """Return the numbers of the equations that a cell checks."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in CHECKS
        if isinstance(call.args[0], ast.Constant)
    }


def cited(text):
    """Return the equation numbers that a text cites, including those inside a range."""
    found = []
    for group in CITED.findall(text):
        for first, last in re.findall(rf"({NUMBER})(?: to ({NUMBER}))?", group):
            ends = int(first[1:]), int((last or first)[1:])
            found += [f"{first[0]}{i}" for i in range(ends[0], ends[1] + 1)]
    return found


def test_equation_numbers_are_unique_and_in_order():
    names = [number for number, _ in numbers()]
    assert len(set(names)) == len(names) > 50
    for letter in {name[0] for name in names}:
        own = [int(name[1:]) for name in names if name[0] == letter]
        assert own == list(range(1, len(own) + 1)), letter


def test_every_displayed_equation_has_a_number():
    for cell in CELLS:
        if cell.cell_type == "markdown":
            for formula in re.findall(r"(?s)\$\$(.+?)\$\$", cell.source):
                assert len(re.findall(r"\\tag\{", formula)) == 1, formula


def test_every_equation_is_checked_in_one_of_the_next_two_cells():
    for number, position in numbers():
        code = [cell.source for cell in CELLS[position:] if cell.cell_type == "code"]
        assert any(number in checked(source) for source in code[:2]), number
    everything = set().union(*[checked(c.source) for c in CELLS if c.cell_type == "code"])
    assert everything == {number for number, _ in numbers()}


def prose(path):
    """Return the comments and strings of a module."""
    with tokenize.open(path) as file:
        tokens = list(tokenize.generate_tokens(file.readline))
    return "\n".join(t.string for t in tokens if t.type in (tokenize.COMMENT, tokenize.STRING))


def test_every_cited_equation_exists():
    known = {number for number, _ in numbers()}
    assert [path.name for path in SOURCES if not set(cited(prose(path))) <= known] == []
    text = "".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
    assert set(cited(text)) <= known


@pytest.mark.parametrize("folder", ["gmmlab", "tests"])
def test_the_algorithm_and_its_tests_cite_equations(folder):
    patterns = ["*mixture.py", "*em.py", "*diagnostics.py", "covariance/*.py"]
    patterns += ["engine/*statistics.py", "convergence/*coordinates.py"]
    patterns += ["convergence/*information.py"]
    for pattern in patterns:
        paths = (ROOT / folder).glob(pattern)
        assert any(cited(prose(path)) for path in paths), pattern


# ---- checks that can fail ----------------------------------------------------------------------

OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult}
NAMES = {"r": "q", "theta": "new", "new": "theta", "means": "centred", "covariances": "own"}


def change(node):
    """Change an operator, a name or an integer; return whether the node is one of these."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        node.op = OPERATORS[type(node.op)]()
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
        node.id = NAMES[node.id]
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        node.value += 1
    else:
        return False
    return True


def mutants(source):
    """Yield copies of the code of a cell, each with one change."""
    for position in range(sum(1 for _ in ast.walk(ast.parse(source)))):
        tree = ast.parse(source)
        if change(list(ast.walk(tree))[position]):
            yield compile(tree, "mutant", "exec")


def verdicts(code, names):
    """Run a cell with a copy of the notebook's names; return the checks up to its first error."""
    checks = names["checks"]
    kept = dict(checks)
    checks.clear()
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        exec(code, dict(names))
    found = dict(checks)
    checks.clear()
    checks.update(kept)
    return found


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_components": 1, "n_features": 1, "n_samples": 51},
        {"n_components": 6, "n_features": 3, "n_samples": 50, "separation": 0.1},
        {"n_components": 5, "n_samples": 2000, "separation": 8.0, "seed": 0},
    ],
)
def test_every_equation_holds_at_other_parameters(parameters):
    names = {}
    first, _, *rest = [cell.source for cell in CELLS if cell.cell_type == "code"]
    exec(first, names)
    names |= parameters
    for source in rest:
        exec(source, names)
    assert names["failed"] == []
    assert (names["n"], names["k"]) == (parameters["n_samples"], parameters["n_components"])


def test_every_check_passes_and_fails_for_a_mutant_of_its_cell():
    names, unfailed = {}, set()
    for cell in CELLS:
        if cell.cell_type != "code" or "check_parameters()" in cell.source:
            continue
        mine = checked(cell.source) & {number for number, _ in numbers()}
        before = dict(names)
        exec(cell.source, names)
        unfailed |= mine
        for mutant in mutants(cell.source) if mine else ():
            if not mine & unfailed:
                break
            unfailed -= {n for n, holds in verdicts(mutant, before).items() if not holds}
    assert names["failed"] == []
    assert unfailed == set()
