"""Parameter values as people write them, on a command line or in a YAML file.

The type of the parameter decides how a text is read: ``007`` is the number 7 for an int and a
string of three characters for a str.
"""

from __future__ import annotations

import ast
import re
import types
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml

from gmmlab.workbook.parameters import Parameter, grid, is_a, unknown

_WORDS = {
    bool: {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False},
    type(None): {"none": None, "null": None, "~": None, "": None},
}
_RANGE = re.compile(r"([-+]?\d+):([-+]?\d+)(?::([-+]?\d+))?")


def from_text(parameter: Parameter, text: str) -> Any:
    """Parse the value of a parameter.

    Parameters
    ----------
    parameter : Parameter
    text : str
        For example ``7``, ``1e-6``, ``true``, ``none``, ``kmeans``, ``[1, 2]`` or ``1,2``. The
        value of a str is the text itself.

    Returns
    -------
    object
        Exactly that value; nothing is rounded or truncated. For the type ``str | None``,
        ``none`` is None and ``"none"`` is the string.

    Raises
    ------
    ValueError
        If the text is not a value that the parameter allows.

    Examples
    --------
    >>> from gmmlab.workbook.parameters import read_parameters
    >>> k = read_parameters("k: int | None = 3  # components; in [1, 20]")["k"]
    >>> from_text(k, "7"), from_text(k, "none")
    (7, None)
    >>> from_text(k, "3.5")
    Traceback (most recent call last):
        ...
    ValueError: k must be int | None, in [1, 20] (components); got '3.5'
    """
    try:
        value = _of_type(text, parameter.type)
    except ValueError:
        raise ValueError(parameter.error_message(text)) from None
    if problem := parameter.problem(value):
        raise ValueError(problem)
    return value


def to_text(parameter: Parameter, value: Any) -> str:
    """Return the text that `from_text` parses to the value.

    Examples
    --------
    >>> from gmmlab.workbook.parameters import read_parameters
    >>> name = read_parameters("name: str | None = None  # a name")["name"]
    >>> to_text(name, None), to_text(name, "a=b"), to_text(name, "none")
    ('none', 'a=b', "'none'")
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and _of_type(value, parameter.type) != value:
        return repr(value)
    return str(value)


def many_from_text(parameter: Parameter, text: str) -> list[Any]:
    """Parse a list of values: ``2,3,4``, or a range ``0:20`` or ``0:20:5`` of an int.

    As in Python, a range does not include its end. Commas also separate values that are lists
    themselves: ``[1,2],[3]``.

    Raises
    ------
    ValueError
        If the text contains no value, or one that the parameter does not allow.

    Examples
    --------
    >>> from gmmlab.workbook.parameters import read_parameters
    >>> many_from_text(read_parameters("seed: int = 0  # seed")["seed"], "0:3,10")
    [0, 1, 2, 10]
    """
    values: list[Any] = []
    for part in _parts(text):
        if not part:
            raise ValueError(f"{parameter.name}: {text!r} contains an empty value")
        match = _RANGE.fullmatch(part) if is_a(0, parameter.type) else None
        if match:
            bounds = [int(bound) for bound in match.groups() if bound is not None]
            texts = [str(number) for number in _range(parameter, part, bounds)]
        else:
            texts = [part]
        values += [from_text(parameter, each) for each in texts]
    return values


def _parts(text: str) -> list[str]:
    """Split a text at its commas, except at those within brackets."""
    parts, depth = [""], 0
    for character in text:
        depth = max(depth + (character == "[") - (character == "]"), 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _range(parameter: Parameter, text: str, bounds: list[int]) -> range:
    numbers = range(*bounds) if bounds[2:] != [0] else range(0)
    if not numbers:
        raise ValueError(f"{parameter.name}: the range {text} is empty")
    return numbers


def read_values(path: Path, contract: Mapping[str, Parameter]) -> dict[str, Any]:
    """Read parameters from a YAML file with a mapping of names to values.

    Raises
    ------
    ValueError
        If the file has another format, or a name or value is not allowed.
    """
    node = _compose(path)
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{path} must contain a mapping of parameter names to values")
    return {name: _value(parameter, node) for name, parameter, node in _entries(node, contract)}


def read_grid(path: Path, contract: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Read sets of parameters from a YAML file.

    The file contains either a mapping of names to values or lists of values, which stands for
    every combination of them, or a list of mappings, each of which is one set.

    Raises
    ------
    ValueError
        If the file has another format, or a name or value is not allowed.
    """
    node = _compose(path)
    if isinstance(node, yaml.MappingNode):
        entries = _entries(node, contract)
        return grid({name: _values(parameter, node) for name, parameter, node in entries})
    if not isinstance(node, yaml.SequenceNode) or not all(
        isinstance(each, yaml.MappingNode) for each in node.value
    ):
        raise ValueError(
            f"{path} must contain a mapping of parameter names to values, or a list of mappings"
        )
    return [
        {name: _value(parameter, node) for name, parameter, node in _entries(each, contract)}
        for each in node.value
    ]


def _compose(path: Path) -> yaml.Node | None:
    # Keep the nodes as text: YAML would read 007 as 7 and no as False, whatever the type.
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not a YAML file: {error}") from None


def _entries(
    node: yaml.MappingNode, contract: Mapping[str, Parameter]
) -> Iterator[tuple[str, Parameter, yaml.Node]]:
    seen = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value not in contract:
            raise ValueError(unknown(str(key.value), contract))
        if key.value in seen:
            raise ValueError(f"{key.value} is given twice")
        seen.add(key.value)
        yield key.value, contract[key.value], value


def _value(parameter: Parameter, node: yaml.Node) -> Any:
    """Return the value of a parameter in a YAML node."""
    try:
        value = _of_node(node, parameter.type)
    except (ValueError, RecursionError):
        text = node.value if isinstance(node, yaml.ScalarNode) else yaml.serialize(node).strip()
        raise ValueError(parameter.error_message(text)) from None
    if problem := parameter.problem(value):
        raise ValueError(problem)
    return value


def _values(parameter: Parameter, node: yaml.Node) -> list[Any]:
    """Return the values of a parameter in a YAML node: a list, or a text such as ``2,3``."""
    if isinstance(node, yaml.SequenceNode):
        return [_value(parameter, each) for each in node.value]
    if isinstance(node, yaml.ScalarNode) and node.style is None:
        return many_from_text(parameter, node.value)
    return [_value(parameter, node)]


def _of_node(node: yaml.Node, type_: Any) -> Any:
    """Return the value of a type in a YAML node."""
    if isinstance(node, yaml.SequenceNode):
        for option in get_args(type_) if _is_union(type_) else [type_]:
            if get_origin(option) is list:
                return [_of_node(each, get_args(option)[0]) for each in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(node)
    text = _join_surrogates(node.value)
    quoted = node.style is not None
    return text if quoted and is_a(text, type_) else _of_type(text, type_)


def _join_surrogates(text: str) -> str:
    r"""Replace each surrogate pair by its character: JSON escapes it as \ud83d\ude00, say."""
    with suppress(UnicodeDecodeError):
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    return text


def _is_union(type_: Any) -> bool:
    return get_origin(type_) in (Union, types.UnionType)


def _of_type(text: str, type_: Any) -> Any:
    """Parse a value of a type."""
    if _is_union(type_):
        if is_a(None, type_) and is_a(text, type_) and text[:1] in ("'", '"'):
            with suppress(*_NOT_LITERAL):  # a quoted str, which may look like None
                return str(_literal(text))
        # Try None first, because any text is a str.
        for option in sorted(get_args(type_), key=[type(None)].__contains__, reverse=True):
            with suppress(ValueError):
                return _of_type(text, option)
        raise ValueError(text)
    if get_origin(type_) is list:
        return _list(text.strip(), get_args(type_)[0])
    if type_ in _WORDS:
        try:
            return _WORDS[type_][text.strip().lower()]
        except KeyError:
            raise ValueError(text) from None
    return type_(text)


def _list(text: str, entry: Any) -> list[Any]:
    """Parse a list: ``[1, 2]``, ``1, 2`` or ``["a", "b"]``."""
    if not text:
        return []
    if not text.startswith("["):
        parts = [part.strip() for part in text.split(",")]
        if not all(parts):
            raise ValueError(text)
        return [_of_type(part, entry) for part in parts]
    with suppress(*_NOT_LITERAL):
        return [_as(value, entry) for value in _literal(text)]
    if not text.endswith("]"):
        raise ValueError(text)
    return _list(text[1:-1].strip(), entry)  # strings without quotes


# the exceptions of `ast.literal_eval` for a text that is not a Python literal
_NOT_LITERAL = (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError)


def _literal(text: str) -> Any:
    with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # about backslashes
        return ast.literal_eval(text)


def as_declared(parameter: Parameter, value: Any) -> Any:
    """Convert a value to the declared type of its parameter, where that does not change it.

    NumPy numbers and arrays become Python numbers and lists, and a whole number becomes a float
    where the type is float. Equal values therefore always give the same run.
    """
    return _as(value, parameter.type)


def _as(value: Any, type_: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    if _is_union(type_):
        if any(option is not float and is_a(value, option) for option in get_args(type_)):
            return value
        fitting = (option for option in get_args(type_) if is_a(_as(value, option), option))
        return _as(value, next(fitting, None))
    if get_origin(type_) is list and isinstance(value, list):
        return [_as(each, get_args(type_)[0]) for each in value]
    return float(value) if type_ is float and is_a(value, float) else value
