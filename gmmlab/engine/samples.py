"""The data of a fit, or of a stack of fits: weighted rows, processed in chunks in a fixed order.

Chunk boundaries depend only on the shape of the data, and the sums of the chunks are added in
order. So the bits of a result do not depend on the number of threads.

The fits of a stack have the same data, the same data with weights of their own, or data of their
own. Axes of samples and features are counted from the end.

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
        Real numbers. float32 stays float32; every other type becomes float64. With `n_fits`, the
        shape may be (n_fits, n_samples, n_features).
    sample_weight : array_like, shape (n_samples,), optional
        Non-negative weights; 1 for every sample by default. With `n_fits`, the shape may be
        (n_fits, n_samples).
    missing : bool, default False
        Whether NaN marks a missing entry; otherwise it is an error.
    n_fits : int, optional
        The number of fits, which may have data or weights of their own.

    Raises
    ------
    TypeError, ValueError
        If the data are not a matrix of finite numbers, or the weights do not match them.
    """

    def __init__(
        self,
        X: Any,
        sample_weight: Any = None,
        *,
        missing: bool = False,
        n_fits: int | None = None,
    ) -> None:
        self.X = self._read(X, n_fits)
        self.n_samples, self.n_features = self.X.shape[-2:]
        self.dtype: np.dtype = self.X.dtype
        #: results that `scale` computes once for all fits of a search
        self.cache: dict[tuple[str, type], Any] = {}
        #: what the exponential-family form computes once for all passes
        self.features: dict[Any, Any] = {}
        self.weight = None
        #: number of samples, or the sum of their weights; shape (n_fits,) if fits have weights of
        #: their own
        self.total: Any = self.n_samples
        if sample_weight is not None:
            self.weight, self.total = self._weigh(sample_weight, n_fits)
        self._check(missing)

    @staticmethod
    def _read(X: Any, n_fits: int | None) -> Any:
        X = numeric(X, name="X", keep=_TYPES)
        if n_fits is not None and X.ndim == 3:
            check_stack("X", X.shape, n_fits)
            check_matrix(X.shape[1:])
        elif n_fits is not None and X.ndim > 3:
            raise ValueError(
                "X must have the shape (n_samples, n_features), or (n_fits, n_samples, n_features) "
                f"if each fit has data of its own; got {X.shape}"
            )
        else:
            check_matrix(X.shape)
        return X

    def _weigh(self, sample_weight: Any, n_fits: int | None) -> tuple[Any, Any]:
        """Return the weights and their sum."""
        if n_fits is not None and np.ndim(sample_weight) == 2:
            check_stack("sample_weight", np.shape(sample_weight), n_fits)
            weight = check_weight(sample_weight, self.n_samples, dimensions=2)
            return weight, weight.sum(axis=-1)
        weight = check_weight(sample_weight, self.n_samples)
        return weight, float(weight.sum())

    @property
    def stack(self) -> tuple[int, ...]:
        """(n_fits,) if fits have data or weights of their own, otherwise ()."""
        return np.shape(self.total) or self.X.shape[:-2]

    @property
    def weight_or_one(self) -> np.ndarray:
        """The weights of samples in memory; 1 for every sample by default."""
        return np.ones(self.n_samples) if self.weight is None else self.weight

    def select(self, fits: Any) -> Samples:
        """Return the samples of some fits of a stack: `self` if all have the same.

        `fits` is a slice, an array of indices or a mask.
        """
        if not self.stack:
            return self
        part = object.__new__(type(self))
        part.__dict__ |= self.__dict__
        part.cache, part.features = {}, dict(self.features)
        for name in ("weight", "total"):
            if np.ndim(self.total) == 1:
                setattr(part, name, getattr(self, name)[fits])
        if self.X.ndim == 3:
            part.X, part.low, part.high = self.X[fits], self.low[fits], self.high[fits]
            part.features = {
                key: value[fits] for key, value in self.features.items() if np.ndim(value)
            }
        for name in ("spread", "centre", "extent", "largest"):
            part.__dict__.pop(name, None)
        return part

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
        if (unseen := _some(np.isnan(self.spread[0]))).any():
            raise ValueError(f"X contains only NaN in feature {listed(unseen)}; drop that feature")
        if (wide := _some(self.extent > _LARGEST_EXTENT)).any():
            raise ValueError(
                f"the range of each feature of X must be at most {2 * _LARGEST_EXTENT:g}, or its "
                f"squares overflow; feature {listed(wide)} exceeds it: rescale the feature"
            )

    @cached_property
    def spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest value of each feature over the samples of positive weight."""
        if self.weight is None or self.weight.all():
            shape = *self.stack, self.n_features
            return np.broadcast_to(self.low, shape), np.broadcast_to(self.high, shape)
        if self.stack:
            (n_fits,), shape = self.stack, self.X.shape[-2:]
            weights = np.broadcast_to(self.weight, (n_fits, self.n_samples))
            data = np.broadcast_to(self.X, (n_fits, *shape))
            found = [_Range.counted(*each) for each in zip(data, weights, strict=True)]
            low, high = (np.stack([getattr(one, end) for one in found]) for end in ("low", "high"))
            return low.astype(np.float64), high.astype(np.float64)
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

        `weight` is None if there are no weights. `aligned` are further arrays (…, n, m) with one
        row for each sample.
        """
        if len(self._chunks) == 1:
            return function(self.X, self.weight, *aligned)
        on_rows = partial(_on_rows, function, self.X, self.weight, aligned)
        return reduce(add, parallel_map(on_rows, self._chunks))

    @cached_property
    def _chunks(self) -> list[slice]:
        return _chunks(self.X.shape[-2:])


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
    def _read(X: Any, n_fits: int | None) -> Any:
        del n_fits  # all fits have the same data
        check_real(X.dtype, name="X")
        check_matrix(X.shape)
        if X.numblocks[1] > 1:  # make blocks of whole rows, no larger than before
            size = int(np.prod(X.chunksize)) * X.dtype.itemsize
            X = X.rechunk({0: "auto", 1: -1}, block_size_limit=size)
        rows = tuple(size for size in X.chunks[0] if size)
        return X.rechunk((rows, X.shape[1])).astype(
            X.dtype if X.dtype in _TYPES else np.float64, copy=False
        )

    def _weigh(self, sample_weight: Any, n_fits: int | None) -> tuple[Any, Any]:
        import dask
        import dask.array

        rows = self.X.chunks[:1]
        if not is_dask(sample_weight):
            if n_fits is not None and np.ndim(sample_weight) == 2:
                raise ValueError(
                    "sample_weight must have the shape (n_samples,) if X is a Dask array: weights "
                    f"for each fit need data in memory; got shape {np.shape(sample_weight)}"
                )
            weight, total = super()._weigh(sample_weight, None)
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
    X: Any,
    sample_weight: Any = None,
    *,
    missing: bool = False,
    in_memory: bool = False,
    n_fits: int | None = None,
) -> Samples:
    """Return `X` as `Samples`; parameters and errors are those of the class.

    With `in_memory`, Dask arrays are rejected: the caller needs the rows, not only sums over them.
    """
    if isinstance(X, Samples):
        if sample_weight is not None:
            raise ValueError("sample_weight must be None, because the samples have weights already")
        return X
    kind = DaskSamples if is_dask(X) and not in_memory else Samples
    return kind(X, sample_weight, missing=missing, n_fits=n_fits)


def _some(mask: np.ndarray) -> np.ndarray:
    """Return for which features a mask (…, d) is true in some fit."""
    return np.atleast_2d(mask).any(axis=0)


def check_stack(name: str, shape: tuple[int, ...], n_fits: int) -> None:
    """Check that an array with data of their own for several fits has one part for each."""
    if shape[0] != n_fits:
        raise ValueError(
            f"{name} must have one part for each of the {n_fits} starts in its first dimension; "
            f"got shape {shape}"
        )


def _chunks(shape: tuple[int, int]) -> list[slice]:
    """Return the slices that cut the rows of an array into chunks."""
    n_samples, n_features = shape
    least = int(np.clip(_CHUNK_ENTRIES // n_features, *_CHUNK_ROWS))
    size = max(least, -(-n_samples // _MOST_CHUNKS))
    return [slice(begin, min(begin + size, n_samples)) for begin in range(0, n_samples, size)]


def _on_rows(
    function: Callable[..., Sum],
    X: np.ndarray,
    weight: np.ndarray | None,
    aligned: tuple[np.ndarray, ...],
    rows: slice,
) -> Sum:
    share = None if weight is None else weight[..., rows]
    return function(X[..., rows, :], share, *(array[..., rows, :] for array in aligned))


def _block_sum(
    X: np.ndarray, weight: np.ndarray | None, function: Callable[..., Sum]
) -> np.ndarray:
    """Return the sum over the chunks of a block as an array with a single entry."""
    with one_blas_thread():
        total = reduce(add, (_on_rows(function, X, weight, (), rows) for rows in _chunks(X.shape)))
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
        features = X.swapaxes(-1, -2)
        features = np.ascontiguousarray(features) if X.shape[-1] < _SHORT else features
        low, high = features.min(axis=-1), features.max(axis=-1)
        if not np.isnan(low).any():
            return cls(low, high, has_nan=False)
        low, high = np.fmin.reduce(features, axis=-1), np.fmax.reduce(features, axis=-1)
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
