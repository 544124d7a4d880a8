"""The result of a fit: the mixture, the trace of every iteration, and why EM stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from gmmlab.engine import Ending, Options, Trace
from gmmlab.engine import Row as Row
from gmmlab.mixture import Mixture

# A remaining gain in mean log-likelihood below this is reported as negligible.
_NEGLIGIBLE = 1e-10

Status = Literal["converged", "max_iter", "degenerate", "not_increasing"]


@dataclass(frozen=True, eq=False)
class Fit:
    """The result of `fit`: the mixture, how EM got there and why it stopped."""

    mixture: Mixture
    #: "converged", "max_iter", "degenerate" or "not_increasing"
    status: Status
    #: what the status means and what to do about it
    message: str
    #: number of M-steps
    n_iter: int
    #: total log-likelihood at `mixture`
    log_likelihood: float
    trace: Trace
    #: number of samples, or the sum of their weights
    n_samples: float
    #: the blocks that EM estimated; the others are known and not counted as parameters
    free: frozenset[str]
    #: estimate of the total log-likelihood that further iterations would gain, in nats. Infinite
    #: where the log-likelihood is not curved like a maximum. NaN where a floor is active, or where
    #: the estimate is too costly; `diagnostics.remaining_gain` then computes it.
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
        """Akaike's criterion, 2 × parameters − 2 × log-likelihood; lower is better."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion, parameters × log n − 2 × log-likelihood; lower is better."""
        return float(self.n_parameters * np.log(self.n_samples) - 2 * self.log_likelihood)

    @property
    def entropy(self) -> float:
        """Entropy of the responsibilities, in nats; 0 if every assignment is certain."""
        values = self.trace["log_likelihood"]
        return float(self.trace["entropy"][np.flatnonzero(values == self.log_likelihood)[-1]])

    @property
    def icl(self) -> float:
        """Integrated completed likelihood, BIC + 2 × entropy; lower is better.

        It penalises overlapping components (Biernacki, Celeux and Govaert 2000; with the entropy
        of the responsibilities, McLachlan and Peel 2000, section 6.10.3).
        """
        return self.bic + 2 * self.entropy


class Elbo(NamedTuple):
    """The evidence lower bound and its two parts, totals over the samples in nats."""

    total: float
    expected_log_joint: float
    entropy: float


def fit_of(ending: Ending, trace: Trace, options: Options) -> Fit:
    """Return the result of a fit that has ended."""
    total = ending.total
    gain, left = ending.gain / total, ending.remaining_gain / total
    match ending.status:
        case "converged":
            message = converged_message(gain, options.tol, left, ending.event)
        case "max_iter":
            message = max_iter_message(ending.iteration, gain, options.max_iter, options.tol, left)
        case "not_increasing":
            message = not_increasing_message(ending.gain, ending.n_iter)
        case _:
            message = degenerate_message(ending.event, ending.n_iter, options.degenerate)
    return Fit(
        mixture=ending.mixture,
        status=ending.status,
        message=message,
        n_iter=ending.n_iter,
        log_likelihood=ending.log_likelihood,
        trace=trace,
        n_samples=total,
        free=options.free,
        remaining_gain=ending.remaining_gain,
    )


def check_fit(fit: Any) -> Fit:
    """Return `fit` if it is a `Fit`, for functions that take one as an argument."""
    if not isinstance(fit, Fit):
        raise TypeError(f"fit must be a Fit, as returned by gmmlab.fit; got {type(fit).__name__}")
    return fit


class DegenerateError(ValueError):
    """A component collapsed or became empty; `fit` is the result up to the step before."""

    def __init__(self, message: str, fit: Fit) -> None:
        super().__init__(message)
        self.fit = fit

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.fit)


# ---- messages ----------------------------------------------------------------------------


def converged_message(gain: float, tol: float, remaining: float, event: str) -> str:
    """Report that the gain per iteration fell to `tol`, and what this does not guarantee."""
    gained = f"{gain:.1e}" if gain > 0 else "nothing beyond rounding"
    message = (
        f"Converged: the last iteration gained {gained} in mean log-likelihood, within "
        f"tol={tol:g}. {_remaining(remaining)}"
    )
    if np.isinf(remaining):
        message += " Lower tol, or try another start."
    if event:
        message += f" At the last iteration, {event}; the likelihood depends on that."
    return message


def max_iter_message(
    iteration: int, gain: float, max_iter: int, tol: float, remaining: float
) -> str:
    """Report what the last iteration gained."""
    if max_iter == 0:
        return "Evaluated the start only (max_iter=0)."
    return (
        f"Out of iterations: iteration {iteration} still gained {gain:.1e} in mean "
        f"log-likelihood, above tol={tol:g}. {_remaining(remaining)} Raise max_iter, or "
        "continue from fit.mixture."
    )


def _remaining(gain: float) -> str:
    """Report the estimated gain in mean log-likelihood of further iterations."""
    if np.isnan(gain):
        return "The remaining gain was not estimated and may be larger; lower tol to check."
    if np.isinf(gain):
        return "The fit is not at a maximum; the remaining gain cannot be estimated here."
    if gain < _NEGLIGIBLE:
        return f"Further iterations would gain less than {_NEGLIGIBLE:g}."
    return f"Further iterations would gain up to about {gain:.0e}."


def not_increasing_message(gain: float, iteration: int) -> str:
    """Report a fall of the log-likelihood, its cause and the remedy."""
    return (
        f"The log-likelihood fell by {-gain:.1e} at iteration {iteration}, which is impossible in "
        "exact arithmetic: a covariance is too close to singular. The parameters before the fall "
        "are returned. Give a higher floor, or rescale or drop nearly dependent features."
    )


def degenerate_message(problem: str, iteration: int, policy: str) -> str:
    """Report which component degenerated, and the remedies."""
    tried = " and restart has no start left" if policy == "restart" else ""
    return (
        f"After iteration {iteration}, {problem}{tried}. Either the likelihood has no maximum "
        "there, or the component has no samples. Give a floor (or degenerate='floor'), fewer "
        "components, a simpler covariance structure, or another start."
    )
