"""The trace of a fit: one row for each iteration, and the recorder that writes the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gmmlab.covariance import Covariance
from gmmlab.engine.degeneracy import RIDGE, describe
from gmmlab.engine.statistics import SufficientStatistics
from gmmlab.mixture import Mixture

if TYPE_CHECKING:
    from pandas import DataFrame

# Eigenvalues are computed for this many covariance entries at a time.
_BATCH_ENTRIES = 2**16


class Point(NamedTuple):
    """A mixture that a fit has reached, with the sufficient statistics there."""

    #: passes over the data before this one
    iteration: int
    mixture: Mixture
    statistics: SufficientStatistics
    #: ELBO after the M-step that led here, before the E-step; NaN if there was none
    elbo_m_step: float = np.nan
    #: gain in log-likelihood over the point before, if one EM step led here; otherwise infinite
    gain: float = np.inf
    #: what happened to components on the way here, or ""
    event: str = ""

    @property
    def log_likelihood(self) -> float:
        """Total log-likelihood."""
        return self.statistics.log_likelihood

    @property
    def entropy(self) -> float:
        """Entropy of the responsibilities (W5)."""
        return self.statistics.log_likelihood - self.statistics.expected_log_joint


class Row(NamedTuple):
    """One row of the trace, at the parameters after `iteration` M-steps.

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

    Examples
    --------
    >>> from gmmlab import datasets, fit, start
    >>> X = datasets.old_faithful().X
    >>> trace = fit(X, start.from_labels(X, X[:, 1] > 68)).trace
    >>> bool((trace["log_likelihood"][1:] >= trace["elbo_m_step"][1:]).all())
    True
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self._columns: dict[str, np.ndarray] = {}
        for name, values in zip(Row._fields, zip(*rows, strict=True), strict=True):
            column = np.array(values)
            column.setflags(write=False)
            self._columns[name] = column

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Trace({len(self['iteration'])} rows: {', '.join(self)})"

    def to_frame(self) -> DataFrame:
        """Return the trace as a pandas data frame, one row for each iteration."""
        from pandas import DataFrame

        return DataFrame(self._columns).set_index("iteration")


class Recorder:
    """Records the points of a fit and makes the trace of them.

    Parameters
    ----------
    ridge : float, default 0.0
        The ridge of the fit. Components that it holds up are reported as an event; 0 turns
        this off.
    """

    def __init__(self, ridge: float = 0.0) -> None:
        self.rows: list[Row] = []
        self._ridge = ridge
        # The eigenvalues of many small matrices take little longer than those of one, so they
        # are computed in batches.
        self._pending: list[Covariance] = []
        self._smallest: list[np.ndarray] = []

    def add(self, point: Point) -> None:
        """Record a point."""
        expected, entropy = point.statistics.expected_log_joint, point.entropy
        self.rows.append(
            Row(
                iteration=point.iteration,
                log_likelihood=point.log_likelihood,
                elbo_e_step=expected + entropy,
                elbo_m_step=point.elbo_m_step,
                expected_log_joint=expected,
                entropy=entropy,
                smallest_eigenvalue=np.nan,  # `trace` fills this in
                smallest_weight=float(point.mixture.weights.min()),
                event=point.event,
            )
        )
        covariance = point.mixture.covariance
        self._pending.append(covariance)
        if len(self._pending) * covariance.values.size > _BATCH_ENTRIES:
            self._compute_eigenvalues()

    def trace(self) -> Trace:
        """Return the trace so far."""
        self._compute_eigenvalues()
        smallest = np.concatenate(self._smallest)
        return Trace(map(self._completed, self.rows, smallest))

    def last_event(self) -> str:
        """Return the event of the last row."""
        self._compute_eigenvalues()
        return self._completed(self.rows[-1], self._smallest[-1][-1]).event

    def last_gain(self) -> float:
        """Return the log-likelihood of the last row minus that of the row before, or 0."""
        before, last = self.rows[-2:] if self.rows[1:] else 2 * self.rows
        return last.log_likelihood - before.log_likelihood

    def _completed(self, row: Row, eigenvalues: np.ndarray) -> Row:
        thin = eigenvalues < RIDGE * self._ridge
        event = describe(thin, "held up by the ridge") if row.iteration else ""
        return row._replace(
            smallest_eigenvalue=float(eigenvalues.min()),
            event="; ".join(filter(None, (row.event, event))),
        )

    def _compute_eigenvalues(self) -> None:
        if self._pending:
            stacks = np.concatenate([covariance.stack for covariance in self._pending])
            smallest = self._pending[0].moments.smallest(stacks)
            self._smallest.append(smallest.reshape(len(self._pending), -1))
            self._pending = []
