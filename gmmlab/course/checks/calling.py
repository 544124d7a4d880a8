"""Call a student's function, and explain in words what is wrong with its result."""

from __future__ import annotations

import contextlib
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

#: names of mistakes that other modules refer to
ERROR = "an error"
ARGUMENTS = "wrong arguments"
NOT_DONE = "not done yet"
ENDLESS = "endless loop"
EXIT = "exits the notebook"


class Wrong(AssertionError):
    """A check has found a mistake.

    Parameters
    ----------
    mistake : str
        Name of the mistake, by which mistakes of a class are counted.
    message : str
        What is wrong with this solution, and where to look.

    Examples
    --------
    >>> print(Wrong("wrong shape", "The result should have shape (3,); yours has (1, 3)."))
    The result should have shape (3,); yours has (1, 3). [wrong shape]
    """

    def __init__(self, mistake: str, message: str) -> None:
        super().__init__(mistake, message)
        self.mistake = mistake
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} [{self.mistake}]"

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows: only the message, because a traceback does not help here."""
        return [f"Not yet right. {self}"]


def call(function: Any, *arguments: Any, name: str | None = None) -> Any:
    """Call a student's function with copies of arrays.

    Warnings are suppressed, and output to stderr is sent to stdout, because neither is a mistake.

    Parameters
    ----------
    function : callable
    *arguments
        Arrays are passed as copies.
    name : str, optional
        Name of the function in messages; by default its own name.

    Returns
    -------
    object
        What the function returns.

    Raises
    ------
    Wrong
        If the argument is not a function, or the function raises an exception, does not end, or
        changes an array that was passed to it.
    """
    name = name or getattr(function, "__name__", "this")
    if not callable(function):
        raise Wrong("not a function", f"{name} should be a function; yours is {function!r:.80}.")
    passed = [np.array(a) if isinstance(a, np.ndarray) else a for a in arguments]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), _stderr_to_stdout():
            warnings.simplefilter("ignore")
            result = function(*passed)
    except KeyboardInterrupt:
        raise Wrong(ENDLESS, f"{name} did not end within the time limit.") from None
    except (Exception, SystemExit) as error:
        raise _explain(error, name) from None
    for before, after in zip(arguments, passed, strict=True):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            raise Wrong(
                "input arrays overwritten",
                f"{name} changes an array that was passed to it (with `x[...] =`, `x +=` or "
                "similar). The caller still needs that array: make a new array, or copy it first.",
            )
    return result


def _explain(error: BaseException, name: str) -> Wrong:
    """Return the mistake for an exception that a student's function raised."""
    if isinstance(error, Wrong):
        return error
    if isinstance(error, NotImplementedError):
        return Wrong(NOT_DONE, f"{name} is not written yet.")
    if isinstance(error, SystemExit):
        return Wrong(EXIT, f"{name} exits the notebook with `sys.exit` or `exit`.")
    if isinstance(error, np.linalg.LinAlgError):
        return Wrong(
            "singular covariance",
            f"In {name}, a covariance is singular or not positive definite ({error}), "
            f"{_where(error)}.",
        )
    text = str(error)
    if "truth value of an array" in text:
        return Wrong(
            "an array as a condition",
            f"{name} uses an array as a condition, {_where(error)}. An array with several elements "
            "is neither true nor false: test its size, or use `is None`, `.any()` or `.all()`.",
        )
    if isinstance(error, TypeError) and "for &" in text:
        return Wrong(
            "& instead of and",
            f"{name} combines two conditions with `&`, {_where(error)}. `&` binds more tightly "
            "than `<`, so it is applied to the numbers. Write `and`.",
        )
    if isinstance(error, TypeError) and "positional argument" in text:
        return Wrong(ARGUMENTS, f"{name} should take the arguments given in the task: {text}.")
    message = f"{name} raises {type(error).__name__}: {text or 'no message'}, {_where(error)}."
    return Wrong(ERROR, message)


def _where(error: BaseException) -> str:
    """Return the line of the student's notebook in which an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_cell(frame.filename)]
    frame = (own or frames)[-1]
    return f"in the line `{frame.line}`" if frame.line else f"in line {frame.lineno}"


def _is_cell(filename: str) -> bool:
    return "ipykernel" in filename or filename.startswith("<")


@contextlib.contextmanager
def _stderr_to_stdout() -> Iterator[None]:
    with contextlib.redirect_stderr(sys.stdout):
        yield


def check_with_reference(
    function: Any, check: Callable[[], None], reference: Mapping[str, Any]
) -> None:
    """Run a check with reference versions of earlier functions, then with the student's own.

    With the reference versions, a mistake in an earlier task is not counted again in a later one.
    If the check fails with them, it is run again with the student's own functions, which may take
    other arguments than the task says.

    Parameters
    ----------
    function : function
        The student's function; its globals are those of the notebook.
    check : callable
        Takes no arguments and raises `Wrong`.
    reference : mapping of str to callable
        Reference versions of earlier functions by name.
    """
    notebook = getattr(function, "__globals__", {})
    own = {name: notebook[name] for name in reference if name in notebook}
    notebook.update({name: reference[name] for name in own})
    try:
        check()
        return
    except Wrong as error:
        first = error
    finally:
        notebook.update(own)
    if not own or first.mistake in (NOT_DONE, ENDLESS):
        raise first
    try:
        check()
    except Wrong as second:
        # An exception in the first run may only mean that the reference versions take other
        # arguments than the student's own functions.
        raise (second if first.mistake in (ERROR, ARGUMENTS) else first) from None


def seal(module: str) -> None:
    """Prevent the functions of a module from being replaced, by accident or on purpose."""
    sys.modules[module].__class__ = _SealedModule


class _SealedModule(types.ModuleType):
    def __setattr__(self, name: str, value: Any = None) -> None:
        if name.startswith("__"):
            return super().__setattr__(name, value)
        raise AttributeError(f"{self.__name__}.{name} cannot be changed: the module is read-only")

    __delattr__ = __setattr__  # type: ignore[assignment]


def parts(result: Any, names: tuple[str, ...], function: str) -> list[Any]:
    """Return the parts of what a function returned.

    Parameters
    ----------
    result : object
    names : tuple of str
        Names of the parts in messages.
    function : str
        Name of the function in messages.

    Raises
    ------
    Wrong
        If the number of parts is wrong.
    """
    wanted = ", ".join(names)
    if result is None:
        raise Wrong("nothing returned", f"{function} returns nothing; it should return {wanted}.")
    if not isinstance(result, tuple | list) or len(result) != len(names):
        found = f"{len(result)} values" if isinstance(result, tuple | list) else "one value"
        raise Wrong(
            "wrong number of results",
            f"{function} should return {wanted}, in this order; yours returns {found}.",
        )
    return list(result)


def array(value: Any, shape: tuple[int, ...], name: str, *, why: str = "") -> np.ndarray:
    """Return a part of a result as an array of float64.

    Parameters
    ----------
    value : object
    shape : tuple of int
        The shape that it should have.
    name : str
        Name of the part in messages.
    why : str, optional
        Explanation of the shape.

    Raises
    ------
    Wrong
        If it is not numeric, has another shape, or is in single precision.
    """
    try:
        found = np.asarray(value)
        if found.dtype.kind not in "buif":
            raise TypeError
    except (TypeError, ValueError):
        raise Wrong(
            "not an array", f"{name} should be an array of numbers; yours is {value!r:.80}."
        ) from None
    if found.shape != shape:
        column = (
            " A column can broadcast without an error and give wrong results."
            if found.shape == (*shape, 1)
            else ""
        )
        raise Wrong(
            "wrong shape",
            f"{name} should have shape {shape}{why}; yours has {found.shape}.{column}",
        )
    if found.dtype in (np.float32, np.float16):
        raise Wrong(
            "single precision",
            f"{name} should be float64, as the data are; yours is {found.dtype}. It has at most "
            "seven digits, and the sums of EM lose some of them.",
        )
    return found.astype(float)


def number(value: Any, name: str) -> float:
    """Return a part of a result as a number.

    Raises
    ------
    Wrong
        If it is not one number.
    """
    try:
        found = np.asarray(value)
    except ValueError:  # lists of different lengths
        found = np.asarray(None)
    if found.size != 1 or found.dtype.kind not in "buif":
        yours = (
            f"yours has shape {found.shape}. Is a sum over the samples missing?"
            if found.size > 1
            else f"yours is {value!r:.80}."
        )
        raise Wrong("wrong shape", f"{name} should be one number; {yours}")
    return float(found.reshape(()))


def answered(answer: Any, name: str) -> None:
    """Check that a variable for an answer no longer has its initial value None.

    Raises
    ------
    Wrong
        If it is None.

    Examples
    --------
    >>> answered(None, "winner")
    Traceback (most recent call last):
    ...
    gmmlab.course.checks.calling.Wrong: This task is not done yet: `winner` is None. [not done yet]
    """
    if answer is None:
        raise Wrong(NOT_DONE, f"This task is not done yet: `{name}` is None.")


def close(found: Any, right: Any, *, tolerance: float = 1e-6) -> bool:
    """Return whether numbers agree to `tolerance`, relative to the largest right one (or 1)."""
    found, right = np.asarray(found, float), np.asarray(right, float)
    if found.shape != right.shape:
        return False
    finite = right[np.isfinite(right)]
    scale = max(1.0, float(np.abs(finite).max())) if finite.size else 1.0
    return bool(np.allclose(found, right, rtol=tolerance, atol=tolerance * scale * 1e-2))


def compare(
    found: np.ndarray | float,
    right: np.ndarray | float,
    known: Mapping[tuple[str, str], Any],
    name: str,
) -> None:
    """Compare a result with the right one and, if it differs, with known mistakes.

    Parameters
    ----------
    found, right : array or float
    known : mapping of (mistake, message) to array or float
        The result of each known mistake.
    name : str
        Name of the result in messages.

    Raises
    ------
    Wrong
        If the result is not right. The message is that of the known mistake with the same result
        or, if there is none, tells where the difference is largest.
    """
    if close(found, right):
        return
    for (mistake, message), would_be in known.items():
        if close(found, would_be):
            raise Wrong(mistake, message)
    found, right = np.asarray(found, float), np.asarray(right, float)
    if not np.isfinite(found).all():
        first = found[~np.isfinite(found)].ravel()[0]
        raise Wrong("not finite", f"{name} contains {first} where the right value is finite.")
    at = np.unravel_index(int(np.argmax(np.abs(found - right))), right.shape)
    where = f" at {list(map(int, at))}" if at else ""
    raise Wrong(
        "wrong value",
        f"{name} is not right: the difference is largest{where}, where yours is {found[at]:.6g} "
        f"and the right value is {right[at]:.6g}.",
    )
