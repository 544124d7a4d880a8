"""Points and steps of a stack of fits, and their traces: one row for each iteration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gmmlab.covariance import Covariance
from gmmlab.engine.degeneracy import RIDGE, describe
from gmmlab.engine.statistics import SufficientStatistics, per_component
from gmmlab.mixture import Mixture

if TYPE_CHECKING:
    from pandas import DataFrame

# The recorder keeps this many entries of covariances and moments (32 MiB). What depends on them is
# computed when there are more, or when it is read.
_PENDING_ENTRIES = 2**22
# A covariance is kept with its factor, the inverse of that and the precision, beside the moments.
_COPIES = 5
_HELD_UP = "held up by the ridge"


class Point(NamedTuple):
    """The mixtures that a stack of fits has reached, with the sufficient statistics there."""

    #: passes over the data before this one, shape (R,)
    iteration: np.ndarray
    mixture: Mixture
    statistics: SufficientStatistics
    #: gain in log-likelihood over the point before, if one EM step led here; otherwise infinite
    gain: np.ndarray
    #: if an EM step led here, the counts, the second moments about the new means, and the entropy
    #: at the point before, from which the trace computes the ELBO after the M-step; otherwise NaN
    counts_before: np.ndarray
    moments_before: np.ndarray
    entropy_before: np.ndarray

    @classmethod
    def unled(
        cls, iteration: np.ndarray, mixture: Mixture, statistics: SufficientStatistics
    ) -> Point:
        """Return a point that no EM step led to."""
        gain = np.full(len(iteration), np.inf)
        led = (np.full(each.shape, np.nan) for each in (statistics.counts, statistics.second, gain))
        return cls(iteration, mixture, statistics, gain, *led)

    @property
    def log_likelihood(self) -> np.ndarray:
        """Total log-likelihoods, shape (R,)."""
        return self.statistics.log_likelihood

    @property
    def entropy(self) -> np.ndarray:
        """Entropies of the responsibilities (W5), shape (R,)."""
        return self.statistics.log_likelihood - self.statistics.expected_log_joint

    @staticmethod
    def concatenated(points: Sequence[Point]) -> Point:
        """Return the points of several stacks as one stack."""
        iteration, mixture, statistics, *others = zip(*points, strict=True)
        statistics = SufficientStatistics.joined(statistics)
        others = map(np.concatenate, others)
        return Point(np.concatenate(iteration), Mixture.concatenated(mixture), statistics, *others)

    def single(self) -> tuple[int, Mixture, float]:
        """Return iteration, mixture and log-likelihood of the only fit in the stack."""
        mixture = self.mixture.select(0)
        return int(self.iteration[0]), mixture, float(self.log_likelihood[0])

    def select(self, fits: Any) -> Point:
        """Return the point of some fits of the stack."""
        iteration, mixture, statistics, *others = self
        others = (each[fits] for each in others)
        return Point(iteration[fits], mixture.select(fits), statistics.select(fits), *others)


class Step(NamedTuple):
    """The result of an M-step."""

    mixture: Mixture
    #: Nₖ, and the second moments about the new means (M3), from which the mixture is estimated
    counts: np.ndarray
    moments: np.ndarray
    #: whether the floor raised each covariance, shape (…, k) or (…, 1); None without a floor
    floored: np.ndarray | None
    #: whether any component may be empty
    may_be_empty: bool

    def select(self, fits: Any) -> Step:
        """Return the step of some fits of a stack."""
        floored = None if self.floored is None else self.floored[fits]
        known = self.mixture.select(fits), self.counts[fits], self.moments[fits]
        return Step(*known, floored, self.may_be_empty)

    def replaced(self, fits: np.ndarray, by: Step) -> Step:
        """Return this step with that of some fits of the stack replaced."""
        moments, floored = self.moments.copy(), self.floored
        moments[fits] = by.moments
        if floored is not None:
            floored = floored.copy()
            floored[fits] = by.floored
        mixture = self.mixture.replaced(fits, by.mixture)
        return Step(mixture, self.counts, moments, floored, self.may_be_empty)

    @property
    def expected_log_joint(self) -> np.ndarray:
        """Q', the expected complete log-likelihood of `mixture` (M5), shape (…)."""
        second = per_component(self.counts, self.moments) * self.moments
        return self.mixture.expected_log_joint(self.counts, second)


class Row(NamedTuple):
    """One row of a trace, at the parameters after `iteration` M-steps.

    The log-likelihood, the ELBO, the expected log-joint and the entropy are totals over the
    samples.
    """

    iteration: int
    log_likelihood: float
    #: after this E-step; equal to the log-likelihood, because the bound is tight there
    elbo_e_step: float
    #: after the M-step that led here, before the E-step; NaN if there was none
    elbo_m_step: float
    #: the two parts of the ELBO after this E-step: E[log p(X, Z)] under r, and the entropy of r
    expected_log_joint: float
    entropy: float
    #: over all components, in squared data units
    smallest_eigenvalue: float
    smallest_weight: float
    #: what happened to components on the way here, or ""
    event: str


class Trace(Mapping[str, np.ndarray]):
    """The iterations of a fit as named columns; `Row` describes them.

    Parameters
    ----------
    columns : mapping of str to ndarray
        A value for each iteration, for each field of `Row`.

    Examples
    --------
    >>> from gmmlab import datasets, fit, start
    >>> X = datasets.old_faithful().X
    >>> trace = fit(X, start.from_labels(X, X[:, 1] > 68)).trace
    >>> bool((trace["log_likelihood"][1:] >= trace["elbo_m_step"][1:]).all())
    True
    """

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        self._source = columns
        self._columns: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._columns:
            column = self._source[name]
            column.setflags(write=False)
            self._columns[name] = column
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(Row._fields)

    def __len__(self) -> int:
        return len(Row._fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return Trace, (dict(self),)

    def __repr__(self) -> str:
        return f"Trace({len(self['iteration'])} rows: {', '.join(self)})"

    def to_frame(self) -> DataFrame:
        """Return the trace as a pandas data frame, one row for each iteration."""
        from pandas import DataFrame

        return DataFrame(dict(self)).set_index("iteration")


class Recorder:
    """Records the points of a stack of fits and makes a trace for each fit.

    It keeps references and computes nothing while the fits run.

    Parameters
    ----------
    ridges : ndarray, shape (n_fits,)
        The ridge of each fit. Components that it holds up are reported as an event; 0 turns this
        off.
    """

    def __init__(self, ridges: np.ndarray) -> None:
        self._ridges = ridges
        self._fits: list[np.ndarray] = []
        self._points: list[tuple[np.ndarray, ...]] = []
        self._events: dict[int, str] = {}
        self._pending: list[tuple[Any, ...]] = []
        self._smallest: list[np.ndarray] = []
        self._elbo_m_step: list[np.ndarray] = []
        self._rows = 0
        self._pending_entries = 0

    def add(self, fits: np.ndarray, point: Point, events: Mapping[int, str]) -> None:
        """Record a point of some fits, by their numbers, and events by positions among them."""
        statistics = point.statistics
        self._fits.append(fits)
        self._points.append(
            (
                point.iteration,
                statistics.log_likelihood,
                statistics.expected_log_joint,
                point.mixture.weights,
            )
        )
        for position, text in events.items():
            self._events[self._rows + position] = text
        self._rows += len(fits)
        led = point.counts_before, point.moments_before, point.entropy_before
        self._pending.append((point.mixture, *led))
        self._pending_entries += _COPIES * point.moments_before.size
        if self._pending_entries > _PENDING_ENTRIES:
            self._compute()

    def traces(self, n_rows: np.ndarray) -> list[Trace]:
        """Return the trace of each fit: its first rows, of which there are `n_rows` (n_fits,)."""
        fits = np.concatenate(self._fits)
        order = np.argsort(fits, kind="stable")
        ends = np.cumsum(np.bincount(fits, minlength=len(n_rows)))
        parts = zip(np.split(order, ends[:-1]), n_rows, strict=True)
        return [Trace(_Rows(self, rows[:count])) for rows, count in parts]

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """The columns of all rows that need no covariances."""
        columns = map(np.concatenate, zip(*self._points, strict=True))
        iteration, log_likelihood, expected, weights = columns
        entropy = log_likelihood - expected
        return {
            "fit": np.concatenate(self._fits),
            "iteration": iteration,
            "log_likelihood": log_likelihood,
            "elbo_e_step": expected + entropy,
            "expected_log_joint": expected,
            "entropy": entropy,
            "smallest_weight": weights.min(axis=-1),
        }

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """The smallest eigenvalue of each covariance in each row, shape (rows, k or 1)."""
        self._compute()
        return np.concatenate(self._smallest)

    @cached_property
    def elbo_m_step(self) -> np.ndarray:
        """The ELBO after the M-step that led to each row, shape (rows,)."""
        self._compute()
        return np.concatenate(self._elbo_m_step)

    def event(self, row: int) -> str:
        """Return the event of a row."""
        found, held = self._events.get(row, ""), ""
        if self._ridges.any() and self.columns["iteration"][row]:
            ridge = self._ridges[self.columns["fit"][row]]
            held = describe(self.eigenvalues[row] < RIDGE * ridge, _HELD_UP)
        return "; ".join(filter(None, (found, held)))

    def held_up(self, fits: np.ndarray, covariance: Covariance) -> list[str]:
        """Return for each covariance of some fits which components the ridge holds up, or ""."""
        smallest = covariance.moments.smallest(covariance.stack)
        thin = smallest < RIDGE * self._ridges[fits, None]
        return [describe(mask, _HELD_UP) for mask in thin]

    def _compute(self) -> None:
        """Compute what depends on covariances for the rows that are pending, all at once."""
        if not self._pending:
            return
        mixtures, *led = zip(*self._pending, strict=True)
        mixture = Mixture.concatenated(mixtures)
        counts, moments, entropy = map(np.concatenate, led)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # of singular ones
            covariance = mixture.covariance
            self._smallest.append(covariance.moments.smallest(covariance.stack))
            step = Step(mixture, counts, moments, None, may_be_empty=True)
            self._elbo_m_step.append(step.expected_log_joint + entropy)
        self._pending, self._pending_entries = [], 0


class _Rows(Mapping[str, np.ndarray]):
    """Some rows of a recorder, as columns that are computed when they are read."""

    def __init__(self, recorder: Recorder, rows: np.ndarray) -> None:
        self._recorder = recorder
        self._which = rows

    def __getitem__(self, name: str) -> np.ndarray:
        recorder, rows = self._recorder, self._which
        if name == "event":
            return np.array([recorder.event(row) for row in rows], dtype=str)
        if name == "smallest_eigenvalue":
            return recorder.eigenvalues[rows].min(axis=-1)
        if name == "elbo_m_step":
            return recorder.elbo_m_step[rows]
        return recorder.columns[name][rows]

    def __iter__(self) -> Iterator[str]:
        return iter(Row._fields)

    def __len__(self) -> int:
        return len(Row._fields)
