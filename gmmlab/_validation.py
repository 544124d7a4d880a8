"""Checks of arguments that several modules share.

Every function returns the value in the form that the caller works with, or raises a ``TypeError``
or a ``ValueError`` that names the argument, the value received and what is allowed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

#: The blocks of parameters of a mixture, any of which may be free in a fit.
BLOCKS = ("weights", "means", "covariances")

# ---- arrays ------------------------------------------------------------------------------


def check_samples(X: Any, *, name: str = "X", n_features: int | None = None) -> np.ndarray:
    """Return `X` as a finite float64 array of shape (n_samples, n_features)."""
    X = check_numeric(X, name=name)
    check_matrix(X.shape, name=name)
    if n_features is not None and X.shape[1] != n_features:
        raise ValueError(f"{name} must have {n_features} features; got {X.shape[1]}")
    return X


def check_matrix(shape: tuple[int, ...], *, name: str = "X") -> None:
    """Check that a shape is (n_samples, n_features) with at least one of each."""
    if len(shape) != 2:
        hint = f" (for a single feature, use {name}.reshape(-1, 1))" if len(shape) == 1 else ""
        raise ValueError(
            f"{name} must have two dimensions (n_samples, n_features); got shape {shape}{hint}"
        )
    if np.isnan(shape).any():  # a Dask array whose chunk sizes have not been computed
        raise ValueError(
            f"{name} must have chunks of known sizes; call {name}.compute_chunk_sizes() first"
        )
    if 0 in shape:
        raise ValueError(f"{name} must have at least one sample and one feature; got shape {shape}")


def check_numeric(values: Any, *, name: str) -> np.ndarray:
    """Return `values` as a finite float64 array of any shape."""
    array = numeric(values, name=name)
    if not np.isfinite(array).all():
        what = "NaN" if np.isnan(array).any() else "infinity"
        raise ValueError(f"{name} contains {what}; every entry must be a finite number")
    return array


def numeric(values: Any, *, name: str, keep: tuple[type, ...] = ()) -> np.ndarray:
    """Return `values` as an array of real numbers, which may include NaN and infinity.

    The array is of type float64, unless its type is one of those in `keep`.
    """
    if is_dask(values):  # NumPy would load the whole array into memory without a warning
        raise TypeError(
            f"{name} must be in memory; got a Dask array. `fit`, `relative_floor` and "
            "`start.subsample` accept Dask arrays; pass other functions a subset, e.g. "
            "start.subsample(X, 10_000, rng)"
        )
    try:
        array = np.asarray(values)
    except ValueError as error:  # nested lists of different lengths
        raise ValueError(f"{name} must be an array of numbers; {error}") from None
    check_real(array.dtype, name=name)
    return array if array.dtype in keep else array.astype(np.float64, copy=False)


def check_real(dtype: np.dtype, *, name: str) -> None:
    """Check that a data type is boolean, integer or floating-point."""
    if dtype.kind not in "buif":
        raise TypeError(f"{name} must be an array of real numbers; got dtype {dtype}")


def is_dask(values: Any) -> bool:
    """Return whether `values` is a Dask array, without importing Dask."""
    dask_array = sys.modules.get("dask.array")
    return dask_array is not None and isinstance(values, dask_array.Array)


def check_weight(
    sample_weight: Any, n_samples: int, *, name: str = "sample_weight", dimensions: int = 1
) -> np.ndarray:
    """Return the weights of the samples: finite, non-negative and not all zero.

    With two `dimensions`, this holds for each row, which belongs to one fit of a stack.
    """
    array = check_numeric(sample_weight, name=name)
    if array.ndim != dimensions or array.shape[-1] != n_samples:
        shape = f"({n_samples},)" if dimensions == 1 else f"(n_fits, {n_samples})"
        raise ValueError(f"{name} must have one entry per sample, shape {shape}; got {array.shape}")
    if (array < 0).any() or not array.any(axis=-1).all():
        found = f"{array.min():g} as smallest entry"
        if dimensions == 2 and (zero := ~array.any(axis=-1)).any():
            found = f"only zeros for fit {listed(zero)}"
        raise ValueError(f"{name} must be non-negative and not all zero; got {found}")
    with np.errstate(over="ignore"):
        total = np.atleast_1d(array.sum(axis=-1))
    tiny, largest = np.finfo(float).tiny, np.finfo(float).max
    if (wrong := ~((tiny < total) & (total < np.inf))).any():
        raise ValueError(
            f"{name} must have a sum between {tiny:.1e} and {largest:.1e}; got {total[wrong][0]:g}"
        )
    return array


def check_labels(labels: Any, *, name: str = "labels", n_samples: int | None = None) -> np.ndarray:
    """Return `labels` as a non-empty 1-D array of integers."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a non-empty 1-D array; got shape {array.shape}")
    if array.dtype.kind not in "biu":
        raise TypeError(f"{name} must be integers; got dtype {array.dtype}")
    if n_samples is not None and len(array) != n_samples:
        raise ValueError(f"{name} must have one entry per sample ({n_samples}); got {len(array)}")
    return array.astype(np.intp)


def check_responsibilities(responsibilities: Any, *, shape: tuple[int, int]) -> np.ndarray:
    """Return responsibilities of that shape, non-negative and with rows that sum to 1."""
    array = check_numeric(responsibilities, name="responsibilities")
    if array.shape != shape:
        raise ValueError(
            f"responsibilities must have shape (n_samples, n_components) = {shape}; "
            f"got {array.shape}"
        )
    if (array < 0).any() or (abs(array.sum(axis=1) - 1) > 1e-8).any():
        raise ValueError("responsibilities must be non-negative, and each row must sum to 1")
    return array


def check_floor(floor: Any, n_features: int, *, name: str = "floor") -> np.ndarray:
    """Return `floor`, one number or one per feature, as an array of shape (n_features,)."""
    array = check_numeric(floor, name=name)
    if array.shape not in ((), (n_features,)):
        raise ValueError(
            f"{name} must be one number, or one per feature ({n_features}); got shape {array.shape}"
        )
    if (array <= 0).any():
        raise ValueError(f"{name} must be above 0; got {floor!r}")
    return np.broadcast_to(array, (n_features,))


# ---- numbers and choices -----------------------------------------------------------------


def check_count(value: Any, *, name: str, minimum: int = 1, maximum: int | None = None) -> int:
    """Return `value` as an int in [minimum, maximum]."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer; got {value!r}")
    if value < minimum or (maximum is not None and value > maximum):
        limits = f"at least {minimum}" if maximum is None else f"in [{minimum}, {maximum}]"
        raise ValueError(f"{name} must be {limits}; got {value}")
    return int(value)


def check_number(value: Any, *, name: str, minimum: float = 0.0, inclusive: bool = True) -> float:
    """Return `value` as a finite float, at least `minimum` or (not `inclusive`) above it."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number; got {value!r}")
    if not np.isfinite(value) or value < minimum or (value == minimum and not inclusive):
        raise ValueError(
            f"{name} must be a finite number {'>=' if inclusive else '>'} {minimum}; got {value}"
        )
    return float(value)


def check_jobs(value: Any) -> int | None:
    """Return a number of jobs: None or an integer other than 0."""
    if value is not None and check_count(value, name="n_jobs", minimum=-sys.maxsize) == 0:
        raise ValueError("n_jobs must be None, or an integer other than 0; got 0")
    return value


def check_choice(value: Any, choices: Iterable[str], *, name: str) -> str:
    """Return `value` if it is one of `choices`."""
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")
    return value


def check_free(free: Any, *, name: str = "free") -> frozenset[str]:
    """Return `free` as a set of names of blocks."""
    if isinstance(free, str) or not isinstance(free, Iterable):
        raise TypeError(
            f"{name} must be a collection of block names, e.g. {{'means'}}; got {free!r}"
        )
    try:
        free = frozenset(free)
    except TypeError:  # an unhashable element, such as a list
        raise TypeError(f"{name} must contain names of blocks; got {free!r}") from None
    if unknown := sorted(map(repr, free - set(BLOCKS))):
        raise ValueError(
            f"{name} must contain only {', '.join(map(repr, BLOCKS))}; got {', '.join(unknown)}"
        )
    return free


def check_rng(rng: Any, *, name: str = "rng") -> np.random.Generator:
    """Return `rng` if it is a generator; gmmlab never draws from a global one."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name} must be a numpy.random.Generator, e.g. numpy.random.default_rng(0); "
            f"got {rng!r}"
        )
    return rng


# ---- helpers -----------------------------------------------------------------------------


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only float64 copy of `array`, for an immutable object to keep."""
    array = np.array(array, dtype=np.float64, order="C")
    array.setflags(write=False)
    return array


def listed(mask: np.ndarray) -> str:
    """Return the positions at which a mask is true, as text with at most eight of them."""
    numbers = np.flatnonzero(mask)
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return ", ".join(map(str, numbers[:8])) + more
