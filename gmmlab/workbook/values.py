"""Values of parameters as people write them: on a command line, or in a YAML file.

What a text means is for the contract to say: ``007`` is a 7 where an int is asked for, and
three characters where a str is.
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

from gmmlab.workbook.parameters import Parameter, is_a, unknown

_WORDS = {
    bool: {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False},
    type(None): {"none": None, "null": None, "~": None, "": None},
}
_RANGE = re.compile(r"([-+]?\d+):([-+]?\d+)(?::([-+]?\d+))?")


def from_text(parameter: Parameter, text: str) -> Any:
    """Return the value of a parameter that a text means.

    Parameters
    ----------
    parameter : Parameter
    text : str
        ``7``, ``1e-6``, ``true``, ``none``, ``kmeans``, ``[1, 2]`` or ``1,2``. For a str, the
        text itself, whatever it looks like.

    Returns
    -------
    object
        Exactly that value; nothing is rounded, cut off or taken for something near. Where there
        may be a str or None, ``none`` is None and ``"none"`` the str.

    Raises
    ------
    ValueError
        If it means no value that the parameter may have.

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
        raise ValueError(parameter.complaint(text)) from None
    if problem := parameter.problem(value):
        raise ValueError(problem)
    return value


def to_text(parameter: Parameter, value: Any) -> str:
    """Return the text by which a value is written, and from which `from_text` makes it again.

    Examples
    --------
    >>> from gmmlab.workbook.parameters import read_parameters
    >>> name = read_parameters("name: str | None = None  # what it is called")["name"]
    >>> to_text(name, None), to_text(name, "a=b"), to_text(name, "none")
    ('none', 'a=b', "'none'")
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and _of_type(value, parameter.type) != value:
        return repr(value)
    return str(value)


def many_from_text(parameter: Parameter, text: str) -> list[Any]:
    """Return the values that a text lists: ``2,3,4``; ``0:20`` or ``0:20:5`` for an int.

    As in Python, the end of a range is not in it. Lists are separated by commas too:
    ``[1,2],[3]``.

    Raises
    ------
    ValueError
        If one of them is no value that the parameter may have, or there is none.

    Examples
    --------
    >>> from gmmlab.workbook.parameters import read_parameters
    >>> many_from_text(read_parameters("seed: int = 0  # seed")["seed"], "0:3,10")
    [0, 1, 2, 10]
    """
    values: list[Any] = []
    for part in _parts(text):
        if not part:
            raise ValueError(f"{parameter.name}: there is an empty value in {text!r}")
        match = _RANGE.fullmatch(part) if is_a(0, parameter.type) else None
        if match:
            bounds = [int(bound) for bound in match.groups() if bound is not None]
            texts = [str(number) for number in _range(parameter, part, bounds)]
        else:
            texts = [part]
        values += [from_text(parameter, each) for each in texts]
    return values


def _parts(text: str) -> list[str]:
    """Return what stands between the commas of a text; those within brackets are not meant."""
    parts, depth = [""], 0
    for sign in text:
        depth = max(depth + (sign == "[") - (sign == "]"), 0)
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def _range(parameter: Parameter, text: str, bounds: list[int]) -> range:
    numbers = range(*bounds) if bounds[2:] != [0] else range(0)
    if not numbers:
        raise ValueError(f"{parameter.name}: the range {text} has nothing in it")
    return numbers


def read_values(path: Path, contract: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the parameters in a YAML file: a mapping of names to values.

    Raises
    ------
    ValueError
        If the file is something else, or a name or value is not in the contract.
    """
    node = _compose(path)
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{path} must map names of parameters to values")
    return {name: _value(parameter, node) for name, parameter, node in _entries(node, contract)}


def read_grid(path: Path, contract: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Return the sets of parameters in a YAML file.

    It holds a mapping of names to values, or lists of values, of which every combination is
    meant; or a list of mappings, which are the sets themselves.

    Raises
    ------
    ValueError
        If the file is something else, or a name or value is not in the contract.
    """
    from gmmlab.workbook.sweeps import grid

    node = _compose(path)
    if isinstance(node, yaml.MappingNode):
        entries = _entries(node, contract)
        return grid({name: _values(parameter, node) for name, parameter, node in entries})
    if not isinstance(node, yaml.SequenceNode) or not all(
        isinstance(each, yaml.MappingNode) for each in node.value
    ):
        raise ValueError(f"{path} must hold a mapping of names to values, or a list of mappings")
    return [
        {name: _value(parameter, node) for name, parameter, node in _entries(each, contract)}
        for each in node.value
    ]


def _compose(path: Path) -> yaml.Node | None:
    # The nodes, not what YAML takes them for: it would make a 7 of 007 and a False of no.
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from None


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
    """Return the value of a parameter that a node of YAML means."""
    try:
        value = _of_node(node, parameter.type)
    except (ValueError, RecursionError):
        text = node.value if isinstance(node, yaml.ScalarNode) else yaml.serialize(node).strip()
        raise ValueError(parameter.complaint(text)) from None
    if problem := parameter.problem(value):
        raise ValueError(problem)
    return value


def _values(parameter: Parameter, node: yaml.Node) -> list[Any]:
    """Return the values of a parameter that a node of YAML lists."""
    if isinstance(node, yaml.SequenceNode):
        return [_value(parameter, each) for each in node.value]
    if isinstance(node, yaml.ScalarNode) and node.style is None:
        return many_from_text(parameter, node.value)
    return [_value(parameter, node)]


def _of_node(node: yaml.Node, type_: Any) -> Any:
    """Return the value of a type that a node of YAML means."""
    if isinstance(node, yaml.SequenceNode):
        for option in get_args(type_) if _is_union(type_) else [type_]:
            if get_origin(option) is list:
                return [_of_node(each, get_args(option)[0]) for each in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(node)
    text = _whole(node.value)
    quoted = node.style is not None
    return text if quoted and is_a(text, type_) else _of_type(text, type_)


def _whole(text: str) -> str:
    """Return a text with one sign where JSON, which YAML does not know that of, writes two."""
    with suppress(UnicodeDecodeError):
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    return text


def _is_union(type_: Any) -> bool:
    return get_origin(type_) in (Union, types.UnionType)


def _of_type(text: str, type_: Any) -> Any:
    """Return the value of a type that a text means."""
    if _is_union(type_):
        if is_a(None, type_) and is_a(text, type_) and text[:1] in ("'", '"'):
            with suppress(*_NOT_LITERAL):  # a str that may look like None
                return str(_literal(text))
        # None first, for a text may always be a str
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
    """Return the list that ``[1, 2]``, ``1, 2`` or ``["a", "b"]`` means."""
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
    return _list(text[1:-1].strip(), entry)  # words without quotes


# what may come of a text that only looks like Python
_NOT_LITERAL = (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError)


def _literal(text: str) -> Any:
    with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # of backslashes
        return ast.literal_eval(text)


def as_declared(parameter: Parameter, value: Any) -> Any:
    """Return a value as its parameter declares it, where it is that value already.

    NumPy's numbers and arrays become Python's numbers and lists, and a whole number for a
    float becomes a float, so that one value is always the same run.
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
