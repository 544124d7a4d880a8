"""The data as EM sees them: weighted rows, passed over in chunks, in a fixed order.

Chunk boundaries depend on the shape of the data alone and sums are added in the order of the
chunks, so that the bits of an answer do not depend on how many threads worked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from operator import add
from typing import Any, TypeVar

import numpy as np

from gmmlab._threads import parallel_map
from gmmlab._validation import check_weight, listed, numeric

Sum = TypeVar("Sum")

# Enough work for a thread to be worth its start, in entries and in rows.
_CHUNK_ENTRIES = 2**17
_CHUNK_ROWS = (256, 2**14)
# More chunks than this only cost memory: each has sums of its own.
_MOST_CHUNKS = 64
# Half the range of a feature; the squares of larger numbers overflow when they are added.
_LARGEST_EXTENT = 1e150


class Samples:
    """Valid data in memory, or in a file that is mapped into it.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Real numbers; float32 stays float32, everything else becomes float64.
    sample_weight : array_like, shape (n_samples,), optional
        Not negative; 1 for every sample by default.
    missing : bool, default False
        Whether NaN stands for an entry that was not observed; otherwise it is an error.

    Raises
    ------
    TypeError, ValueError
        If the data are not a matrix of finite numbers, or the weights do not go with them.
    """

    def __init__(self, X: Any, sample_weight: Any = None, *, missing: bool = False) -> None:
        self.X = self._read(X)
        self.n_samples, self.n_features = self.X.shape
        self.dtype: np.dtype = self.X.dtype
        self.weight = None
        #: number of samples, or the sum of their weights
        self.total: float = self.n_samples
        if sample_weight is not None:
            self.weight = check_weight(sample_weight, self.n_samples)
            self.total = float(self.weight.sum())
        self._check(missing)

    @staticmethod
    def _read(X: Any) -> np.ndarray:
        X = numeric(X, name="X", keep=(np.float32, np.float64))
        if X.ndim != 2:
            hint = " (one feature? use X.reshape(-1, 1))" if X.ndim == 1 else ""
            raise ValueError(
                f"X must have two dimensions (n_samples, n_features); got shape {X.shape}{hint}"
            )
        if 0 in X.shape:
            raise ValueError(
                f"X must have at least one sample and one feature; got shape {X.shape}"
            )
        return X

    def _check(self, missing: bool) -> None:
        """Find the range of every feature, and refuse what is not finite, in one pass."""
        found = self.fold(_Range.of)
        self.low, self.high = found.low.astype(np.float64), found.high.astype(np.float64)
        self.has_missing: bool = found.has_nan
        if np.isinf(self.low).any() or np.isinf(self.high).any():
            raise ValueError("X contains infinity; every entry must be a finite number")
        if found.has_nan and not missing:
            raise ValueError(
                "X contains NaN; every entry must be a finite number. Where NaN stands for what "
                "was not observed, give missing='marginalise'"
            )
        if (unseen := np.isnan(self.spread[0])).any():
            raise ValueError(
                f"X contains NaN and nothing else in feature {listed(unseen)}; drop it"
            )
        if (wide := self.extent > _LARGEST_EXTENT).any():
            raise ValueError(
                f"X must span at most {2 * _LARGEST_EXTENT:g} in every feature, or its squares "
                f"overflow; feature {listed(wide)} spans more: rescale it"
            )

    @cached_property
    def spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest value of each feature in the samples of weight above 0."""
        if self.weight is None or self.weight.all():
            return self.low, self.high
        found = self.fold(_Range.counted)
        return found.low.astype(np.float64), found.high.astype(np.float64)

    @cached_property
    def centre(self) -> np.ndarray:
        """The middle of each feature's range, representable in the data's own type."""
        middle = (self.low / 2 + self.high / 2).astype(self.dtype)
        return middle.astype(np.float64)

    @cached_property
    def extent(self) -> np.ndarray:
        """Half of each feature's range: no sample is farther than this from `centre`."""
        return np.maximum(self.high - self.centre, self.centre - self.low)

    def fold(self, function: Callable[..., Sum], *aligned: np.ndarray) -> Sum:
        """Return the sum over all chunks of ``function(X, weight, *aligned)``.

        `weight` is None where every sample counts as one; `aligned` are further arrays with a
        row for each sample.
        """
        return reduce(add, parallel_map(partial(self._chunk, function, aligned), self._chunks))

    @cached_property
    def _chunks(self) -> list[slice]:
        least = int(np.clip(_CHUNK_ENTRIES // self.n_features, *_CHUNK_ROWS))
        size = max(least, -(-self.n_samples // _MOST_CHUNKS))
        begins = range(0, self.n_samples, size)
        return [slice(begin, min(begin + size, self.n_samples)) for begin in begins]

    def _chunk(
        self, function: Callable[..., Sum], aligned: tuple[np.ndarray, ...], rows: slice
    ) -> Sum:
        weight = None if self.weight is None else self.weight[rows]
        return function(self.X[rows], weight, *(array[rows] for array in aligned))


def as_samples(X: Any, sample_weight: Any = None, *, missing: bool = False) -> Samples:
    """Return `X` as `Samples`; parameters and errors are theirs."""
    return X if isinstance(X, Samples) else Samples(X, sample_weight, missing=missing)


@dataclass(frozen=True)
class _Range:
    """Smallest and largest value of each feature, and whether there is a NaN."""

    low: np.ndarray
    high: np.ndarray
    has_nan: bool

    @classmethod
    def of(cls, X: np.ndarray, weight: np.ndarray | None) -> _Range:
        del weight
        features = np.ascontiguousarray(X.T)  # reductions along a short axis are slow
        low, high = features.min(axis=1), features.max(axis=1)
        if not np.isnan(low).any():
            return cls(low, high, has_nan=False)
        low, high = np.fmin.reduce(features, axis=1), np.fmax.reduce(features, axis=1)
        return cls(low, high, has_nan=True)

    @classmethod
    def counted(cls, X: np.ndarray, weight: np.ndarray) -> _Range:
        """Return the range of the samples of weight above 0, NaN where there are none."""
        features = np.ascontiguousarray(X[weight > 0].T)
        low = np.fmin.reduce(features, axis=1, initial=np.nan)
        return cls(low, np.fmax.reduce(features, axis=1, initial=np.nan), np.isnan(low).any())

    def __add__(self, other: _Range) -> _Range:
        return _Range(
            np.fmin(self.low, other.low),
            np.fmax(self.high, other.high),
            self.has_nan or other.has_nan,
        )
