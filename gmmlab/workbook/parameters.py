"""The parameters cell as a contract: types, defaults, help and ranges, read without running it.

The cell tagged ``parameters`` contains one line for each parameter and nothing else::

    n_components: int = 3  # number of components; in [1, 20]
    tol: float = 1e-6  # gain in mean log-likelihood at which EM stops; > 0
    start: str = "kmeans"  # where EM begins; one of kmeans | random_points
    seed: int | None = None  # seed of the draws

The comment may end with a rule after a semicolon: ``in [a, b]``, ``> a``, ``>= a`` or
``one of a | b``. The rule of a list applies to its entries; None satisfies every rule.

The next cell calls `check_parameters`, which checks the values against this contract. A run
therefore stops there with a clear message when a value is not allowed, and when a name is
misspelt, which papermill itself only warns about.
"""

from __future__ import annotations

import ast
import difflib
import io
import itertools
import linecache
import math
import re
import tokenize
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from gmmlab._extras import extra

_BUILT_IN = {"int": int, "float": float, "bool": bool, "str": str}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RULES = (
    ("in", re.compile(rf"in \[({_NUMBER}), ({_NUMBER})\]")),
    (">=", re.compile(rf">= ({_NUMBER})")),
    (">", re.compile(rf"> ({_NUMBER})")),
    ("one of", re.compile(r"one of (\S+(?: \| \S+)*)")),
)
# papermill writes this line above the values that it inserts into a notebook
_INJECTED = "# Parameters"


@dataclass(frozen=True)
class Rule:
    """A restriction on the value of a parameter, beyond its type."""

    text: str
    kind: str
    arguments: tuple[str, ...]

    def allows(self, value: Any) -> bool:
        """Return whether the rule allows the value or, for a list, every entry."""
        if isinstance(value, list):
            return all(self.allows(entry) for entry in value)
        if value is None:
            return True
        if self.kind == "one of":
            return str(value) in self.arguments or any(
                _is_number(value) and re.fullmatch(_NUMBER, choice) and float(choice) == value
                for choice in self.arguments
            )
        if not _is_number(value):
            return False
        low = float(self.arguments[0])
        if self.kind == "in":
            return low <= value <= float(self.arguments[1])
        return value > low if self.kind == ">" else value >= low


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell."""

    name: str
    annotation: str
    type: Any
    default: Any
    help: str
    rule: Rule | None

    @property
    def allowed(self) -> str:
        """The type and the rule, in words."""
        return self.annotation if self.rule is None else f"{self.annotation}, {self.rule.text}"

    def problem(self, value: Any) -> str | None:
        """Return an error message if the value is not allowed, else None."""
        if (
            is_a(value, self.type)
            and _is_storable(value)
            and (self.rule is None or self.rule.allows(value))
        ):
            return None
        return self.error_message(value)

    def error_message(self, value: Any) -> str:
        """Return the error message for a value that is not allowed."""
        return f"{self.name} must be {self.allowed} ({self.help}); got {value!r}"


def read_parameters(source: str) -> dict[str, Parameter]:
    """Read the source of a parameters cell.

    Parameters
    ----------
    source : str
        Lines in the format that the module's docstring describes.

    Returns
    -------
    dict of str to Parameter
        The parameters by name, in the order of the cell.

    Raises
    ------
    ValueError
        If a line has another format. The message quotes the line.

    Examples
    --------
    >>> parameter = read_parameters("k: int = 3  # number of components; in [1, 20]")["k"]
    >>> parameter.default, parameter.help, parameter.allowed
    (3, 'number of components', 'int, in [1, 20]')
    """
    statements = _statements(source)
    comments = _comments(source)
    found = {}
    for node in statements:
        line = ast.get_source_segment(source, node) or ""
        if not (
            isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
        ):
            raise ValueError(f"a parameter must be `name: type = literal  # help`; got `{line}`")
        name = node.target.id
        # A formatter may have wrapped a long line in brackets, with the comment inside.
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        comment = " ".join(comments[n] for n in lines if n in comments)
        try:
            default = ast.literal_eval(node.value)
        except ValueError:
            raise ValueError(f"{name} must have a literal as its default; got `{line}`") from None
        help_, rule = _help_and_rule(comment)
        if not help_:
            raise ValueError(f"{name} must have a help text in a comment on its line; got `{line}`")
        annotation = ast.unparse(node.annotation)
        found[name] = Parameter(name, annotation, _type(node.annotation), default, help_, rule)
        if problem := found[name].problem(default):
            raise ValueError(f"the default is not allowed: {problem}")
    return found


def check_values(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Check values against the contract.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        The contract.
    values : mapping of str to value
        The values to check, by name.

    Raises
    ------
    ValueError
        If a name is unknown, or a value has the wrong type or is out of range. The message lists
        all problems, with the nearest known name for each unknown one.

    Examples
    --------
    >>> check_values(read_parameters("k: int = 3  # components; > 0"), {"kk": 3})
    Traceback (most recent call last):
        ...
    ValueError: there is no parameter 'kk': did you mean 'k'? (known: k)
    """
    problems = [unknown(name, parameters) for name in values if name not in parameters]
    problems += [
        problem
        for name, value in values.items()
        if name in parameters and (problem := parameters[name].problem(value))
    ]
    if problems:
        raise ValueError("; ".join(problems))


def grid(values: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return every combination of values; the last parameter varies fastest.

    Raises
    ------
    TypeError
        If the values of a parameter are a string, a mapping or not iterable.

    Examples
    --------
    >>> grid({"k": [2, 3], "seed": range(2)})
    [{'k': 2, 'seed': 0}, {'k': 2, 'seed': 1}, {'k': 3, 'seed': 0}, {'k': 3, 'seed': 1}]
    """
    for name, each in values.items():
        if isinstance(each, str | Mapping) or not isinstance(each, Iterable):
            raise TypeError(f"{name} must be swept over a list of values; got {each!r}")
    names = list(values)
    return [
        dict(zip(names, combination, strict=True))
        for combination in itertools.product(*map(list, values.values()))
    ]


def check_parameters() -> None:
    """Check the parameters of the notebook that calls this function, in its second cell.

    Raises
    ------
    RuntimeError
        If the parameters cell has not been run in this kernel.
    ValueError
        If a value is not allowed, if papermill inserted a name that the parameters cell does not
        define, or if the parameters cell itself has the wrong format.
    """
    with extra("workbook"):
        from IPython import get_ipython

    shell = get_ipython()
    cells = [] if shell is None else list(_executed_cells())
    # The reader may have edited the cell and run it again: take its latest version.
    cell = next((cell for cell in reversed(cells) if _is_parameters_cell(cell)), None)
    if cell is None:
        raise RuntimeError("run the parameters cell first, at the top of the notebook")
    contract = read_parameters(cell)
    injected = {name for cell in cells for name in _injected_names(cell)}
    values = {name: shell.user_ns.get(name) for name in [*contract, *sorted(injected)]}
    check_values(contract, values)


def _executed_cells() -> Iterable[str]:
    """Yield the sources of the cells that this kernel has run, in order.

    IPython keeps them in `linecache` for its tracebacks, as entries without a modification time.
    (Its history is not complete: nbval runs cells without storing them there.)
    """
    for entry in list(linecache.cache.values()):
        if len(entry) == 4 and entry[1] is None:
            yield "".join(entry[2])


def _is_parameters_cell(cell: str) -> bool:
    try:
        statements = _statements(cell)
    except SyntaxError:  # for example a magic command
        return False
    return bool(statements) and all(isinstance(node, ast.AnnAssign) for node in statements)


def _injected_names(cell: str) -> list[str]:
    if cell.splitlines()[:1] != [_INJECTED]:
        return []
    return [node.targets[0].id for node in _statements(cell) if isinstance(node, ast.Assign)]


def nearest(name: str, known: Iterable[str], *, shown: int = 20) -> str:
    """Return the end of a message about an unknown name: the nearest known name, and a list."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}?" if near else ""
    more = f" and {len(known) - shown} more" if len(known) > shown else ""
    return f"{hint} (known: {', '.join(known[:shown]) or 'none'}{more})"


def unknown(name: str, parameters: Mapping[str, Parameter]) -> str:
    """Return the error message for a parameter that does not exist."""
    return f"there is no parameter {name!r}{nearest(name, parameters)}"


def _statements(source: str) -> list[ast.stmt]:
    return ast.parse(source).body


def _comments(source: str) -> dict[int, str]:
    """Return the comment at the end of each line, without its #."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").rstrip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _help_and_rule(comment: str) -> tuple[str, Rule | None]:
    text, semicolon, tail = comment.rpartition(";")
    if not semicolon:
        return comment, None
    tail = tail.strip()
    for kind, pattern in _RULES:
        if match := pattern.fullmatch(tail):
            arguments = match.groups()
            if kind == "one of":
                arguments = tuple(arguments[0].split(" | "))
            return text.strip(), Rule(tail, kind, arguments)
    raise ValueError(
        "the rule after the semicolon must be `in [a, b]`, `> a`, `>= a` or `one of a | b`; "
        f"got `{tail}`"
    )


def _type(node: ast.expr) -> Any:
    """Return the type that an annotation names."""
    match node:
        case ast.Name(id=name) if name in _BUILT_IN:
            return _BUILT_IN[name]
        case ast.Constant(value=None):
            return None
        case ast.Subscript(value=ast.Name(id="list"), slice=entry):
            return list[_type(entry)]  # type: ignore[misc]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_type(left), _type(right)]  # noqa: UP007  (None | None has no `|`)
    raise ValueError(
        "the type of a parameter must be int, float, bool, str, a list of one of these, or one of "
        f"these or None; got `{ast.unparse(node)}`"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_storable(value: Any) -> bool:
    """Return whether JSON and UTF-8 can represent a value: no infinities, no lone surrogates."""
    if isinstance(value, list):
        return all(map(_is_storable, value))
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    return not isinstance(value, float) or math.isfinite(value)


def is_a(value: Any, type_: Any) -> bool:
    """Return whether a value has a type; True is not an int, and 1 is a float."""
    if get_origin(type_) in (Union, types.UnionType):
        return any(is_a(value, option) for option in get_args(type_))
    if get_origin(type_) is list:
        return isinstance(value, list) and all(is_a(v, get_args(type_)[0]) for v in value)
    if type_ in (None, type(None)):
        return value is None
    if type_ is float:
        return _is_number(value)
    if type_ is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, type_)
