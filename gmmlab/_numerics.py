"""Arithmetic that several modules share: blocks of rows, softmax, squares of huge numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# Below this, exp() gives subnormal numbers, which processors handle a hundred times more slowly.
# Clipping is harmless: a responsibility of 1e-304 changes no sum.
_LOG_TINY = {np.dtype(np.float64): -700.0, np.dtype(np.float32): -86.0}
# A sum of a few squares of larger numbers overflows.
_LARGEST = 1e150
# The whitened residuals of a block (k, d, b) take about a megabyte, so they stay in the cache.
_BLOCK_ENTRIES = 2**17
#: the longest block of samples
LONGEST_BLOCK = 8192


def blocks(n_samples: int, row_entries: int, entries: int = _BLOCK_ENTRIES) -> Iterator[slice]:
    """Yield slices of about equal length, with at most `entries` numbers or 32 rows each."""
    longest = min(max(entries // row_entries, 32), LONGEST_BLOCK)
    count = -(-n_samples // longest)
    size = -(-n_samples // count)
    for begin in range(0, n_samples, size):
        yield slice(begin, min(begin + size, n_samples))


def normalise(log_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn log πₖ N(xᵢ|μₖ, Σₖ), shape (…, k, b), into responsibilities (E2) and log p(xᵢ), (…, b).

    The logarithm of the sum of exponentials is taken relative to the largest term, so it neither
    overflows nor underflows (E5; Murphy 2022, section 2.5.4). `log_joint` is overwritten by the
    responsibilities.
    """
    top = log_joint.max(axis=-2, keepdims=True)
    log_joint -= top
    np.maximum(log_joint, _LOG_TINY[log_joint.dtype], out=log_joint)
    responsibilities = np.exp(log_joint, out=log_joint)
    total = responsibilities.sum(axis=-2, keepdims=True)
    responsibilities /= total
    top += np.log(total, out=total)
    return responsibilities, top[..., 0, :]


def huge_squares(whitened: np.ndarray) -> np.ndarray:
    """Return ‖y‖² for y (…, d, b), or beyond 1e300 a finite number that increases with ‖y‖.

    So a sample that far away belongs to the component that is nearest in standard deviations.
    """
    size = np.nan_to_num(np.abs(whitened), nan=_LARGEST**2, posinf=_LARGEST**2)
    largest = size.max(axis=-2)
    largest[largest == 0] = 1
    with np.errstate(over="ignore"):
        norm = largest * np.linalg.norm(size / largest[..., None, :], axis=-2)
    norm = np.minimum(norm, np.finfo(float).max)
    beyond = np.log(np.maximum(norm / _LARGEST, 1))
    return np.minimum(norm, _LARGEST) ** 2 * (1 + 2 * beyond)
