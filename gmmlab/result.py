"""What a fit tells: the trace of every iteration, the answer and why it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from gmmlab.covariance import Covariance
from gmmlab.engine.degeneracy import held
from gmmlab.engine.statistics import SufficientStatistics
from gmmlab.mixture import Mixture

if TYPE_CHECKING:
    from pandas import DataFrame

# Numbers in the covariances whose eigenvalues may wait.
_WAITING = 2**16
# A gain in mean log-likelihood that is not worth a number.
_NOTHING = 1e-10

Status = Literal["converged", "max_iter", "degenerate", "not_increasing"]


class Row(NamedTuple):
    """One line of the trace, at the parameters that `iteration` M-steps led to.

    log-likelihood, ELBO, expected log-joint and entropy are totals over the samples.
    """

    iteration: int
    log_likelihood: float
    #: after this E-step: the same number, for the bound is tight there
    elbo_e_step: float
    #: after the M-step that led here, before the E-step; NaN where there was none
    elbo_m_step: float
    #: the bound's two parts after this E-step: E[log p(X, Z)] under r, and the entropy of r
    expected_log_joint: float
    entropy: float
    #: over all components, in squared data units
    smallest_eigenvalue: float
    smallest_weight: float
    #: what happened to a component on the way here, or ""
    event: str


class Trace(Mapping[str, np.ndarray]):
    """The iterations of a fit as named columns; see `Row` for what they hold.

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
        """Return the trace as a pandas data frame, one row an iteration."""
        from pandas import DataFrame

        return DataFrame(self._columns).set_index("iteration")


class Recorder:
    """Writes the rows of a trace, as EM goes.

    Parameters
    ----------
    ridge : float
        A variance of which half or more is this is reported as held up by it; 0 for none.
    """

    def __init__(self, ridge: float = 0.0) -> None:
        self.rows: list[Row] = []
        self._ridge = ridge
        # Eigenvalues of many small matrices are found in the time of a few: they wait.
        self._waiting: list[Covariance] = []
        self._smallest: list[np.ndarray] = []

    def add(
        self,
        iteration: int,
        found: SufficientStatistics,
        mixture: Mixture,
        bound: float,
        event: str,
    ) -> Row:
        """Add a row, and return it without its smallest eigenvalue."""
        entropy = found.log_likelihood - found.expected_log_joint
        row = Row(
            iteration=iteration,
            log_likelihood=found.log_likelihood,
            elbo_e_step=found.expected_log_joint + entropy,
            elbo_m_step=bound,
            expected_log_joint=found.expected_log_joint,
            entropy=entropy,
            smallest_eigenvalue=np.nan,
            smallest_weight=float(mixture.weights.min()),
            event=event,
        )
        self.rows.append(row)
        self._waiting.append(mixture.covariance)
        if len(self._waiting) * mixture.covariance.values.size > _WAITING:
            self._find_eigenvalues()
        return row

    def trace(self) -> Trace:
        """Return the rows so far as a trace."""
        self._find_eigenvalues()
        smallest = np.concatenate(self._smallest)
        return Trace(map(self._completed, self.rows, smallest))

    def event(self) -> str:
        """Return what the last row says of components."""
        self._find_eigenvalues()
        return self._completed(self.rows[-1], self._smallest[-1][-1]).event

    def _completed(self, row: Row, eigenvalues: np.ndarray) -> Row:
        thin = held(eigenvalues < 2 * self._ridge, "held up by the ridge") if row.iteration else ""
        return row._replace(
            smallest_eigenvalue=float(eigenvalues.min()),
            event="; ".join(filter(None, (row.event, thin))),
        )

    def _find_eigenvalues(self) -> None:
        if self._waiting:
            stacks = np.concatenate([covariance.stack for covariance in self._waiting])
            smallest = self._waiting[0].smallest(stacks)
            self._smallest.append(smallest.reshape(len(self._waiting), -1))
            self._waiting = []


@dataclass(frozen=True, eq=False)
class Fit:
    """What `fit` returns: the mixture, how it got there and why it stopped."""

    mixture: Mixture
    #: one of "converged", "max_iter", "degenerate", "not_increasing"
    status: Status
    #: what the status means and what to do about it
    message: str
    #: number of M-steps done
    n_iter: int
    #: total log-likelihood at `mixture`
    log_likelihood: float
    trace: Trace
    #: number of samples, or the sum of their weights
    n_samples: float
    #: the blocks that EM could move; the others are known and not counted
    free: frozenset[str]
    #: estimate of the total log-likelihood still to be had by going on, in nats: infinite where
    #: the log-likelihood is not curved like a maximum; NaN where a floor is at work, or where it
    #: would have cost more than it is worth, and `diagnostics.remaining_gain` gives it
    remaining_gain: float = np.nan

    @property
    def converged(self) -> bool:
        """Whether the gain per iteration fell to the tolerance."""
        return self.status == "converged"

    @property
    def mean_log_likelihood(self) -> float:
        """Log-likelihood per sample."""
        return self.log_likelihood / self.n_samples

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return self.mixture.n_parameters(self.free)

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 × parameters − 2 × log-likelihood: lower is better."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, parameters × log n − 2 × log-likelihood: lower is better."""
        return float(self.n_parameters * np.log(self.n_samples) - 2 * self.log_likelihood)

    @property
    def entropy(self) -> float:
        """Entropy of the responsibilities, in nats: 0 where no sample is in doubt."""
        values = self.trace["log_likelihood"]
        return float(self.trace["entropy"][np.flatnonzero(values == self.log_likelihood)[-1]])

    @property
    def icl(self) -> float:
        """Integrated completed likelihood, BIC + 2 × entropy: lower is better.

        Components that overlap count against a mixture (Biernacki, Celeux and Govaert 2000; with
        the entropy in the place of that of the likeliest components, McLachlan and Peel 2000,
        section 6.10.3).
        """
        return self.bic + 2 * self.entropy


def check_fit(fit: Any) -> Fit:
    """Return `fit` if it is one, for the functions that take it as an argument."""
    if not isinstance(fit, Fit):
        raise TypeError(f"fit must be a Fit, as gmmlab.fit returns it; got {type(fit).__name__}")
    return fit


class DegenerateError(ValueError):
    """A component collapsed or emptied; `fit` holds everything up to the step before."""

    def __init__(self, message: str, fit: Fit) -> None:
        super().__init__(message)
        self.fit = fit

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.fit)


# ---- what a status means, in words -------------------------------------------------------


def converged_message(gain: float, tol: float, remaining: float, event: str) -> str:
    """Say that the gain per iteration fell to `tol`, and what that does not promise."""
    gained = f"{gain:.1e}" if gain > 0 else "nothing that rounding does not hide"
    message = (
        f"Converged: the last iteration gained {gained} in mean log-likelihood, within "
        f"tol={tol:g}. {_still(remaining)}"
    )
    if np.isinf(remaining):
        message += " Lower tol, or try another start."
    if event:
        message += f" At the end, {event}; the likelihood depends on that."
    return message


def max_iter_message(
    rows: list[Row], max_iter: int, tol: float, n_samples: float, remaining: float
) -> str:
    """Say what the last iteration still gained."""
    if max_iter == 0:
        return "Evaluated the start only (max_iter=0)."
    gain = (rows[-1].log_likelihood - rows[-2].log_likelihood) / n_samples if rows[1:] else 0.0
    return (
        f"Out of iterations: iteration {rows[-1].iteration} still gained {gain:.1e} in mean "
        f"log-likelihood, above tol={tol:g}. {_still(remaining)} Raise max_iter, or go "
        "on from fit.mixture."
    )


def _still(remaining: float) -> str:
    """Say what going on would gain, as far as that was estimated."""
    if np.isnan(remaining):
        return "What is still to be had may be larger; lower tol to see."
    if np.isinf(remaining):
        return "But it is not at a maximum: what is still to be had cannot be told."
    if remaining < _NOTHING:
        return f"Going on would gain less than {_NOTHING:g} more."
    return f"Going on would gain up to about {remaining:.0e} more."


def not_increasing_message(gain: float, iteration: int) -> str:
    """Say why a log-likelihood can fall, and what to do."""
    return (
        f"The log-likelihood fell by {-gain:.1e} at iteration {iteration}, which EM cannot do: a "
        "covariance is too close to singular for the arithmetic. The parameters before the "
        "fall are returned. Give a higher floor=…, or rescale or drop nearly dependent features."
    )


def degenerate_message(trouble: str, iteration: int, policy: str) -> str:
    """Say what happened to which component, and the ways out."""
    tried = " and no start is left in restart" if policy == "restart" else ""
    return (
        f"After iteration {iteration}, {trouble}{tried}. The likelihood has no maximum there, or "
        "no sample speaks about the component. Give floor=… (or degenerate='floor'), fewer "
        "components, a simpler covariance structure, or another start."
    )
