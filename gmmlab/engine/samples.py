"""The data of a fit: weighted rows, processed in chunks in a fixed order.

Chunk boundaries depend only on the shape of the data, and the sums of the chunks are added in
order. So the bits of a result do not depend on the number of threads.

`Samples` holds data in memory, `DaskSamples` a Dask array. The blocks of a Dask array fix the
order too, so neither the scheduler nor the number of workers changes a bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import add
from typing import Any, TypeVar

import numpy as np

from gmmlab._validation import (
    check_matrix,
    check_real,
    check_weight,
    is_dask,
    listed,
    numeric,
)
from gmmlab.engine.threads import one_blas_thread, parallel_map

Sum = TypeVar("Sum")

# The smallest chunk that is worth a thread, in entries and in rows.
_CHUNK_ENTRIES = 2**17
_CHUNK_ROWS = (256, 2**14)
# More chunks than this only cost memory, because each has its own sums.
_MOST_CHUNKS = 64
# Largest half range of a feature: sums of the squares of larger numbers overflow.
_LARGEST_EXTENT = 1e150
# One task adds the statistics of this many Dask blocks; few, because statistics can be large.
_FAN_IN = 8
# Rows shorter than this are transposed first, because reductions along short axes are slow.
_SHORT = 32
# Data of these types keep their type; all others become float64.
_TYPES = (np.float32, np.float64)


class Samples:
    """Validated data in memory or in a memory-mapped file.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Real numbers. float32 stays float32; every other type becomes float64.
    sample_weight : array_like, shape (n_samples,), optional
        Non-negative weights; 1 for every sample by default.
    missing : bool, default False
        Whether NaN marks a missing entry; otherwise it is an error.

    Raises
    ------
    TypeError, ValueError
        If the data are not a matrix of finite numbers, or the weights do not match them.
    """

    def __init__(self, X: Any, sample_weight: Any = None, *, missing: bool = False) -> None:
        self.X = self._read(X)
        self.n_samples, self.n_features = self.X.shape
        self.dtype: np.dtype = self.X.dtype
        #: results that `scale` computes once for all fits of a search
        self.cache: dict[tuple[str, type], Any] = {}
        self.weight = None
        #: number of samples, or the sum of their weights
        self.total: float = self.n_samples
        if sample_weight is not None:
            self.weight, self.total = self._weigh(sample_weight)
        self._check(missing)

    @staticmethod
    def _read(X: Any) -> np.ndarray:
        X = numeric(X, name="X", keep=_TYPES)
        check_matrix(X.shape)
        return X

    def _weigh(self, sample_weight: Any) -> tuple[np.ndarray, float]:
        """Return the weights and their sum."""
        weight = check_weight(sample_weight, self.n_samples)
        return weight, float(weight.sum())

    def _check(self, missing: bool) -> None:
        """Compute the range of every feature and reject infinite entries, in one pass."""
        found = self.fold(_Range.of)
        self.low, self.high = found.low.astype(np.float64), found.high.astype(np.float64)
        self.has_missing: bool = found.has_nan
        if np.isinf(self.low).any() or np.isinf(self.high).any():
            raise ValueError("X contains infinity; every entry must be a finite number")
        if found.has_nan and not missing:
            raise ValueError(
                "X contains NaN; every entry must be a finite number. If NaN marks missing "
                "entries, fit with missing='marginalise' and make the start from "
                "start.completed(X)"
            )
        if (unseen := np.isnan(self.spread[0])).any():
            raise ValueError(f"X contains only NaN in feature {listed(unseen)}; drop that feature")
        if (wide := self.extent > _LARGEST_EXTENT).any():
            raise ValueError(
                f"the range of each feature of X must be at most {2 * _LARGEST_EXTENT:g}, or its "
                f"squares overflow; feature {listed(wide)} exceeds it: rescale the feature"
            )

    @cached_property
    def spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest value of each feature over the samples of positive weight."""
        if self.weight is None or self.weight.all():
            return self.low, self.high
        found = self.fold(_Range.counted)
        return found.low.astype(np.float64), found.high.astype(np.float64)

    @cached_property
    def centre(self) -> np.ndarray:
        """Middle of the range of each feature, rounded to the type of the data."""
        middle = (self.low / 2 + self.high / 2).astype(self.dtype)
        return middle.astype(np.float64)

    @cached_property
    def extent(self) -> np.ndarray:
        """Half the range of each feature: the largest distance of a sample from `centre`."""
        return np.maximum(self.high - self.centre, self.centre - self.low)

    @cached_property
    def largest(self) -> np.ndarray:
        """Largest absolute value of each feature."""
        return np.maximum(np.abs(self.high), np.abs(self.low))

    @cached_property
    def largest_weight(self) -> float:
        """Factor by which the weights exceed 1 or fall below it, at least 1."""
        if self.weight is None:
            return 1.0
        largest = float(self.weight.max())
        return max(largest, 1 / largest)

    def fold(self, function: Callable[..., Sum], *aligned: np.ndarray) -> Sum:
        """Return the sum over all chunks of ``function(X, weight, *aligned)``.

        `weight` is None if there are no weights. `aligned` are further arrays with one row for
        each sample.
        """
        on_rows = partial(_on_rows, function, (self.X, self.weight, *aligned))
        return reduce(add, parallel_map(on_rows, self._chunks))

    @cached_property
    def _chunks(self) -> list[slice]:
        return _chunks(self.X.shape)


class DaskSamples(Samples):
    """Validated data in the blocks of a Dask array, which stay where they are.

    Parameters
    ----------
    X : dask.array.Array, shape (n_samples, n_features)
        Real numbers. float32 stays float32; every other type becomes float64.
    sample_weight : array_like or dask.array.Array, shape (n_samples,), optional
        Non-negative weights; 1 for every sample by default.
    missing : bool, default False
        Whether NaN marks a missing entry; otherwise it is an error.

    Raises
    ------
    TypeError, ValueError
        As for `Samples`, and if the sizes of the chunks are unknown.
    """

    @staticmethod
    def _read(X: Any) -> Any:
        check_real(X.dtype, name="X")
        check_matrix(X.shape)
        if X.numblocks[1] > 1:  # make blocks of whole rows, no larger than before
            size = int(np.prod(X.chunksize)) * X.dtype.itemsize
            X = X.rechunk({0: "auto", 1: -1}, block_size_limit=size)
        rows = tuple(size for size in X.chunks[0] if size)
        return X.rechunk((rows, X.shape[1])).astype(
            X.dtype if X.dtype in _TYPES else np.float64, copy=False
        )

    def _weigh(self, sample_weight: Any) -> tuple[Any, float]:
        import dask
        import dask.array

        rows = self.X.chunks[:1]
        if not is_dask(sample_weight):
            weight, total = super()._weigh(sample_weight)
            return dask.array.from_array(weight, chunks=rows), total
        check_real(sample_weight.dtype, name="sample_weight")
        if sample_weight.shape != (self.n_samples,):
            raise ValueError(
                f"sample_weight must have one entry per sample, shape ({self.n_samples},); "
                f"got {sample_weight.shape}"
            )
        weight = sample_weight.astype(np.float64).rechunk(rows)
        *ends, total = dask.compute(weight.min(), weight.max(), weight.sum())
        check_weight(ends, 2)
        return weight, float(total)

    def fold(self, function: Callable[..., Sum]) -> Sum:
        """Return the sum over all blocks of ``function(X, weight)``.

        Each block is one task, and a tree of tasks adds the results, so only sums are sent. All
        tasks are pure, so Dask can repeat those that are lost with a worker.
        """
        import dask
        import dask.array

        sums = dask.array.blockwise(
            _block_sum,
            "ij",
            self.X,
            "ij",
            self.weight,
            None if self.weight is None else "i",
            # The function is a task of its own, so its parameters are not sent for every block.
            function=dask.delayed(function, traverse=False),
            adjust_chunks={"i": 1, "j": 1},
            dtype=object,
            meta=np.empty((0, 0), dtype=object),
        )
        with one_blas_thread():  # also here, because only the main thread can set the limit
            return sums.sum(split_every=_FAN_IN).compute()


def as_samples(
    X: Any, sample_weight: Any = None, *, missing: bool = False, in_memory: bool = False
) -> Samples:
    """Return `X` as `Samples`; parameters and errors are those of the class.

    With `in_memory`, Dask arrays are rejected: the caller needs the rows, not only sums over them.
    """
    if isinstance(X, Samples):
        if sample_weight is not None:
            raise ValueError("sample_weight must be None, because the samples have weights already")
        return X
    kind = DaskSamples if is_dask(X) and not in_memory else Samples
    return kind(X, sample_weight, missing=missing)


def _chunks(shape: tuple[int, int]) -> list[slice]:
    """Return the slices that cut the rows of an array into chunks."""
    n_samples, n_features = shape
    least = int(np.clip(_CHUNK_ENTRIES // n_features, *_CHUNK_ROWS))
    size = max(least, -(-n_samples // _MOST_CHUNKS))
    return [slice(begin, min(begin + size, n_samples)) for begin in range(0, n_samples, size)]


def _on_rows(
    function: Callable[..., Sum], arrays: tuple[np.ndarray | None, ...], rows: slice
) -> Sum:
    return function(*(None if array is None else array[rows] for array in arrays))


def _block_sum(
    X: np.ndarray, weight: np.ndarray | None, function: Callable[..., Sum]
) -> np.ndarray:
    """Return the sum over the chunks of a block as an array with a single entry."""
    with one_blas_thread():
        total = reduce(add, (_on_rows(function, (X, weight), rows) for rows in _chunks(X.shape)))
    entry = np.empty((1, 1), dtype=object)
    entry[0, 0] = total
    return entry


@dataclass(frozen=True)
class _Range:
    """Smallest and largest value of each feature, and whether any entry is NaN."""

    low: np.ndarray
    high: np.ndarray
    has_nan: bool

    @classmethod
    def of(cls, X: np.ndarray, weight: np.ndarray | None) -> _Range:
        del weight
        features = np.ascontiguousarray(X.T) if X.shape[1] < _SHORT else X.T
        low, high = features.min(axis=1), features.max(axis=1)
        if not np.isnan(low).any():
            return cls(low, high, has_nan=False)
        low, high = np.fmin.reduce(features, axis=1), np.fmax.reduce(features, axis=1)
        return cls(low, high, has_nan=True)

    @classmethod
    def counted(cls, X: np.ndarray, weight: np.ndarray) -> _Range:
        """Return the range over the samples of positive weight, NaN if there are none."""
        features = np.ascontiguousarray(X[weight > 0].T)
        low = np.fmin.reduce(features, axis=1, initial=np.nan)
        return cls(low, np.fmax.reduce(features, axis=1, initial=np.nan), np.isnan(low).any())

    def __add__(self, other: _Range) -> _Range:
        return _Range(
            np.fmin(self.low, other.low),
            np.fmax(self.high, other.high),
            self.has_nan or other.has_nan,
        )
