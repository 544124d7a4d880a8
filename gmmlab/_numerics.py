"""Arithmetic that several modules share: blocks of rows, softmax, squares of huge numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Below this, exp() gives subnormal numbers, which processors handle a hundred times more
# slowly; a responsibility of 1e-304 and one of 0 are the same to every sum they enter.
_LOG_TINY = {np.dtype(np.float64): -700.0, np.dtype(np.float32): -86.0}
# The square of a larger number overflows when a few of them are added.
_LARGEST = 1e150
# A block's whitened residuals (k, d, b) take about a megabyte: they stay in the cache.
_BLOCK_ENTRIES = 2**17


def blocks(n_samples: int, row_entries: int, entries: int = _BLOCK_ENTRIES) -> Iterator[slice]:
    """Yield slices of about equal length, of at most `entries` numbers if that is 32 rows."""
    longest = min(max(entries // row_entries, 32), 8192)
    count = -(-n_samples // longest)
    size = -(-n_samples // count)
    for begin in range(0, n_samples, size):
        yield slice(begin, min(begin + size, n_samples))


def normalise(log_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn log πₖ N(xᵢ|μₖ, Σₖ), shape (k, b), into responsibilities (E2) and log p(xᵢ).

    The logarithm of a sum of exponentials, taken about the largest term, neither over-
    nor underflows (E5; Murphy 2022, section 2.5.4). The responsibilities take the place of
    `log_joint` in memory.
    """
    top = log_joint.max(axis=0)
    log_joint -= top
    np.maximum(log_joint, _LOG_TINY[log_joint.dtype], out=log_joint)
    responsibilities = np.exp(log_joint, out=log_joint)
    total = responsibilities.sum(axis=0)
    responsibilities /= total
    top += np.log(total, out=total)
    return responsibilities, top


def huge_squares(whitened: np.ndarray) -> np.ndarray:
    """Return ‖y‖², beyond 1e300 a finite number that still grows with ‖y‖.

    So a sample that far away belongs to the component from which it is the fewest deviations.
    """
    size = np.nan_to_num(np.abs(whitened), nan=_LARGEST**2, posinf=_LARGEST**2)
    largest = size.max(axis=1)
    largest[largest == 0] = 1
    with np.errstate(over="ignore"):
        norm = largest * np.linalg.norm(size / largest[:, None, :], axis=1)
    norm = np.minimum(norm, np.finfo(float).max)
    beyond = np.log(np.maximum(norm / _LARGEST, 1))
    return np.minimum(norm, _LARGEST) ** 2 * (1 + 2 * beyond)
