"""Calling a student's function, and saying in words what is wrong with it."""

from __future__ import annotations

import contextlib
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

#: what a mistake is called when an exception says no more than that something failed
ERROR = "an error"
ARGUMENTS = "wrong arguments"
NOT_DONE = "not done yet"
ENDLESS = "a loop without end"


class Wrong(AssertionError):
    """A check has found a mistake.

    Parameters
    ----------
    mistake : str
        Its name, by which mistakes are counted over a class.
    words : str
        What is wrong with this work, and where to look.

    Examples
    --------
    >>> print(Wrong("wrong shape", "The result should have shape (3,); yours has (1, 3)."))
    The result should have shape (3,); yours has (1, 3). [wrong shape]
    """

    def __init__(self, mistake: str, words: str) -> None:
        super().__init__(mistake, words)
        self.mistake = mistake
        self.words = words

    def __str__(self) -> str:
        return f"{self.words} [{self.mistake}]"

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows: the words, for the way to them says nothing to a student."""
        return [f"Not yet right. {self}"]


def call(function: Any, *arguments: Any, name: str | None = None) -> Any:
    """Call a student's function with copies of arrays.

    Warnings are left out, and what is written to stderr goes to stdout: neither is a mistake.

    Parameters
    ----------
    function : callable
    *arguments
        Arrays among them are handed over as copies.
    name : str, optional
        What to call the function in words; its own name by default.

    Returns
    -------
    object
        What it returns.

    Raises
    ------
    Wrong
        If it is no function, raises an exception, never ends, or writes into an array that it
        was given.
    """
    name = name or getattr(function, "__name__", "this")
    if not callable(function):
        raise Wrong("no function", f"{name} should be a function; yours is {function!r:.80}.")
    given = [np.array(a) if isinstance(a, np.ndarray) else a for a in arguments]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), _stderr_to_stdout():
            warnings.simplefilter("ignore")
            result = function(*given)
    except KeyboardInterrupt:
        raise Wrong(ENDLESS, f"{name} did not end in the time it has.") from None
    except (Exception, SystemExit) as error:
        raise _said(error, name) from None
    for before, after in zip(arguments, given, strict=True):
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True):
            raise Wrong(
                "the arrays given are overwritten",
                f"{name} changes an array that it was given (with `x[...] =`, `x +=` or the like). "
                "Whoever called it still needs that array: make a new one, or copy it first.",
            )
    return result


def _said(error: BaseException, name: str) -> Wrong:
    """Return what to say of an exception that a student's function raised."""
    if isinstance(error, Wrong):
        return error
    if isinstance(error, NotImplementedError):
        return Wrong(NOT_DONE, f"{name} is not written yet.")
    if isinstance(error, SystemExit):
        return Wrong("leaving the notebook", f"{name} leaves the notebook by `sys.exit` or `exit`.")
    if isinstance(error, np.linalg.LinAlgError):
        return Wrong(
            "singular covariance",
            f"In {name} a covariance is singular or not positive definite ({error}), "
            f"{_where(error)}.",
        )
    text = str(error)
    if "truth value of an array" in text:
        return Wrong(
            "an array as a condition",
            f"{name} asks whether an array is true, {_where(error)}. An array has no truth value: "
            "compare its size, or use `is None`, `.any()` or `.all()`.",
        )
    if isinstance(error, TypeError) and "for &" in text:
        return Wrong(
            "& for and",
            f"{name} combines two conditions by `&`, {_where(error)}. `&` binds more tightly than "
            "`<`, so it is applied to the numbers; write `and`.",
        )
    if isinstance(error, TypeError) and "positional argument" in text:
        return Wrong(ARGUMENTS, f"{name} should take the arguments of the task: {text}.")
    return Wrong(ERROR, f"{name} raises {type(error).__name__}: {text or 'no message'}, "
                        f"{_where(error)}.")  # fmt: skip


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


def either(function: Any, check: Callable[[], None], reference: Mapping[str, Any]) -> None:
    """Run a check with right earlier functions or, if that fails, with the student's own.

    So a mistake in an earlier task is not counted again in a later one, and whoever likes can have
    earlier functions of other arguments than the task says.

    Parameters
    ----------
    function : function
        The student's, whose globals are those of the notebook.
    check : callable
        Takes nothing, raises `Wrong`.
    reference : mapping of str to callable
        Right functions by the names of the tasks.
    """
    own = getattr(function, "__globals__", {})
    used = {name: own[name] for name in reference if name in own}
    own.update({name: reference[name] for name in used})
    try:
        check()
        return
    except Wrong as error:
        first = error
    finally:
        own.update(used)
    if not used or first.mistake in (NOT_DONE, ENDLESS):
        raise first
    try:
        check()
    except Wrong as second:
        # With functions of other arguments than theirs the student's may just not work.
        raise (second if first.mistake in (ERROR, ARGUMENTS) else first) from None


def sealed(module: str) -> None:
    """Keep the functions of a module from being replaced by others, by accident or not."""
    sys.modules[module].__class__ = _Sealed


class _Sealed(types.ModuleType):
    def __setattr__(self, name: str, value: Any = None) -> None:
        if name.startswith("__"):
            return super().__setattr__(name, value)
        raise AttributeError(f"{self.__name__} is not yours to change: {name} stays as it is")

    __delattr__ = __setattr__  # type: ignore[assignment]


def parts(result: Any, names: tuple[str, ...], function: str) -> list[Any]:
    """Return the parts of what a function returned.

    Raises
    ------
    Wrong
        If they are not as many as there should be.
    """
    wanted = ", ".join(names)
    if result is None:
        raise Wrong("nothing returned", f"{function} returns nothing; it should return {wanted}.")
    if not isinstance(result, tuple | list) or len(result) != len(names):
        found = f"{len(result)} things" if isinstance(result, tuple | list) else "one thing"
        raise Wrong(
            "wrong results", f"{function} should return {wanted}, in this order; yours is {found}."
        )
    return list(result)


def array(value: Any, shape: tuple[int, ...], name: str, *, why: str = "") -> np.ndarray:
    """Return a part of a result as an array of float64.

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
        raise Wrong(
            "wrong shape",
            f"{name} should have shape {shape}{why}; yours has {found.shape}."
            + (" A column broadcasts by luck, until k happens to be n."
               if found.shape == (*shape, 1) else ""),
        )  # fmt: skip
    if found.dtype in (np.float32, np.float16):
        raise Wrong(
            "single precision",
            f"{name} comes in {found.dtype}: seven digits, of which the sums of EM lose some. The "
            "data are float64; let everything be.",
        )
    return found.astype(float)


def number(value: Any, name: str) -> float:
    """Return a part of a result as a number.

    Raises
    ------
    Wrong
        If it is none.
    """
    try:
        found = np.asarray(value)
    except ValueError:  # lists of several lengths
        found = np.asarray(None)
    if found.size != 1 or found.dtype.kind not in "buif":
        raise Wrong(
            "wrong shape",
            f"{name} should be one number"
            + (f"; yours has shape {found.shape}: the sum over the samples is missing, say."
               if found.size > 1 else f"; yours is {value!r:.80}."),
        )  # fmt: skip
    return float(found.reshape(()))


def answered(answer: Any, name: str) -> None:
    """Check that there is an answer: a variable that is no more its starting value, None.

    Raises
    ------
    Wrong
        If there is none yet.

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
    """Whether numbers agree to `tolerance`, relative to the largest of the right ones (or 1)."""
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
    """Hold a result against the right one and, if it is another, against known mistakes.

    Parameters
    ----------
    found, right : array or float
    known : mapping of (mistake, words) to array or float
        What each known mistake would have given.
    name : str
        What to call the result.

    Raises
    ------
    Wrong
        If it is not right: with the words of the mistake that gives just this, or with the
        place where the difference is largest.
    """
    if close(found, right):
        return
    for (mistake, words), would_be in known.items():
        if close(found, would_be):
            raise Wrong(mistake, words)
    found, right = np.asarray(found, float), np.asarray(right, float)
    if not np.isfinite(found).all():
        raise Wrong(
            "not finite", f"{name} holds {_first_odd(found)} where the right value is finite."
        )
    at = np.unravel_index(int(np.argmax(np.abs(found - right))), right.shape)
    where = f" at {list(map(int, at))}" if at else ""
    raise Wrong(
        "wrong value",
        f"{name} is not right: the difference is largest{where}, where yours is {found[at]:.6g} "
        f"and the right value {right[at]:.6g}.",
    )


def _first_odd(values: np.ndarray) -> str:
    return str(values[~np.isfinite(values)].ravel()[0])
