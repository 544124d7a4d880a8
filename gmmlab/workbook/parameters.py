"""The parameters cell as a contract: types, defaults, help and ranges, read without running.

The cell tagged ``parameters`` holds one line a parameter and nothing else::

    n_components: int = 3  # number of components; in [1, 20]
    tol: float = 1e-6  # gain in mean log-likelihood at which EM stops; > 0
    start: str = "kmeans"  # where EM begins; one of kmeans | random_points
    seed: int | None = None  # seed of the draws

After the last semicolon of the comment may stand a rule: ``in [a, b]``, ``> a``, ``>= a`` or
``one of a | b``. A rule of a list is one of its entries, and None needs to keep no rule.

`check_parameters`, in the cell after, holds the values against that. So a run with papermill
or by hand stops there, at once and in words, when a value is wrong; and when a name is
misspelt, which papermill itself only warns about.
"""

from __future__ import annotations

import ast
import difflib
import io
import linecache
import math
import re
import tokenize
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

_BUILT_IN = {"int": int, "float": float, "bool": bool, "str": str}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RULES = (
    ("in", re.compile(rf"in \[({_NUMBER}), ({_NUMBER})\]")),
    (">=", re.compile(rf">= ({_NUMBER})")),
    (">", re.compile(rf"> ({_NUMBER})")),
    ("one of", re.compile(r"one of (\S+(?: \| \S+)*)")),
)
# papermill writes this above the values it puts into a notebook
_INJECTED = "# Parameters"


@dataclass(frozen=True)
class Rule:
    """What a value may be, beyond its type."""

    text: str
    kind: str
    arguments: tuple[str, ...]

    def allows(self, value: Any) -> bool:
        """Return whether the value, and every entry of a list, keeps the rule."""
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
        """What the parameter may be, in words."""
        return self.annotation if self.rule is None else f"{self.annotation}, {self.rule.text}"

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with a value, or None."""
        if (
            is_a(value, self.type)
            and _can_be_written(value)
            and (self.rule is None or self.rule.allows(value))
        ):
            return None
        return self.complaint(value)

    def complaint(self, value: Any) -> str:
        """Return what to say of a value that the parameter may not have."""
        return f"{self.name} must be {self.allowed} ({self.help}); got {value!r}"


def read_parameters(source: str) -> dict[str, Parameter]:
    """Read the source of a parameters cell.

    Parameters
    ----------
    source : str
        Lines as the module's docstring shows them.

    Returns
    -------
    dict of str to Parameter
        In the order of the cell.

    Raises
    ------
    ValueError
        If the cell holds anything else: the message quotes the line.

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
        # A formatter may have put a long line in brackets, with its comment inside.
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        comment = " ".join(comments[n] for n in lines if n in comments)
        try:
            default = ast.literal_eval(node.value)
        except ValueError:
            raise ValueError(f"{name} must have a literal as its default; got `{line}`") from None
        help_, rule = _help_and_rule(comment)
        if not help_:
            raise ValueError(f"{name} must be explained in a comment on its line; got `{line}`")
        annotation = ast.unparse(node.annotation)
        found[name] = Parameter(name, annotation, _type(node.annotation), default, help_, rule)
        if problem := found[name].problem(default):
            raise ValueError(f"the default breaks its own contract: {problem}")
    return found


def check_values(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Hold values against the contract.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        The contract.
    values : mapping of str to value
        What is given.

    Raises
    ------
    ValueError
        If a name is unknown (the nearest known one is named), or a value of the wrong type or
        outside its range; all problems at once.

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


def check_parameters() -> None:
    """Check the parameters of the notebook this is called in: its second cell.

    Raises
    ------
    RuntimeError
        If the parameters cell has not been run in this kernel.
    ValueError
        If a value breaks the contract, papermill was given a name that is not in it, or the
        parameters cell itself is not a contract.
    """
    from IPython import get_ipython

    shell = get_ipython()
    cells = [] if shell is None else list(_executed_cells())
    # The last one that was run: the reader may have changed the cell and run it again.
    cell = next((cell for cell in reversed(cells) if _looks_like_a_contract(cell)), None)
    if cell is None:
        raise RuntimeError("run the parameters cell first, at the top of the notebook")
    contract = read_parameters(cell)
    injected = {name for cell in cells for name in _injected_names(cell)}
    values = {name: shell.user_ns.get(name) for name in [*contract, *sorted(injected)]}
    check_values(contract, values)


def _executed_cells() -> Iterable[str]:
    """Yield the source of the cells this kernel has run, in order.

    IPython keeps them for its tracebacks: entries without a modification time. (Its history
    would not do: nbval runs cells without it.)
    """
    for entry in list(linecache.cache.values()):
        if len(entry) == 4 and entry[1] is None:
            yield "".join(entry[2])


def _looks_like_a_contract(cell: str) -> bool:
    try:
        statements = _statements(cell)
    except SyntaxError:  # a magic, say
        return False
    return bool(statements) and all(isinstance(node, ast.AnnAssign) for node in statements)


def _injected_names(cell: str) -> list[str]:
    if cell.splitlines()[:1] != [_INJECTED]:
        return []
    return [node.targets[0].id for node in _statements(cell) if isinstance(node, ast.Assign)]


def nearest(name: str, known: Iterable[str], *, shown: int = 20) -> str:
    """Return what to say after a name that is not known: the nearest one, and what there is."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}?" if near else ""
    more = f" and {len(known) - shown} more" if len(known) > shown else ""
    return f"{hint} (known: {', '.join(known[:shown]) or 'none'}{more})"


def unknown(name: str, parameters: Mapping[str, Parameter]) -> str:
    """Return what to say of a parameter that there is not."""
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
    """Return the type an annotation names: built-in types, lists of them and `X | None`."""
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
        "a parameter's type must be int, float, bool, str, a list of one of them, or one of these "
        f"and None; got `{ast.unparse(node)}`"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _can_be_written(value: Any) -> bool:
    """Return whether JSON and UTF-8 have such a value: finite numbers, whole characters."""
    if isinstance(value, list):
        return all(map(_can_be_written, value))
    if isinstance(value, str):
        return not any("\ud800" <= sign <= "\udfff" for sign in value)
    return not isinstance(value, float) or math.isfinite(value)


def is_a(value: Any, type_: Any) -> bool:
    """Return whether a value is of a type, as a person sees it: True is no int, 1 is a float."""
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
