"""The EM algorithm for Gaussian mixtures (Dempster, Laird and Rubin 1977).

Read from top to bottom: one pass over the data (`sums`), the parameters it leads to
(`maximise`), the loop (`fit`), and the same steps with the responsibilities laid open
(`e_step`, `m_step`, `elbo`).

The numbers of equations are those of notebook 00, which derives and checks them.

With Σₖ = Cₖ Cₖᵀ and whitened residuals yₖ = Cₖ⁻¹ (x − μₖ), a pass gives

    log πₖ N(x|μₖ, Σₖ) = log πₖ − ½ (d log 2π + log|Σₖ| + ‖yₖ‖²)                    (E1)
    rₖ = softmax of that over k                                                    (E2)
    Nₖ = Σ rₖ,   mₖ = Σ rₖ (x − aₖ) / Nₖ,   Vₖ = Σ rₖ (x − aₖ)(x − aₖ)ᵀ / Nₖ         (E3)

about a point aₖ near the mean, and the next parameters are

    πₖ' = Nₖ / n                                                                   (M1)
    μₖ' = aₖ + mₖ                                                                  (M2)
    Mₖ  = Vₖ − mₖ δₖᵀ − δₖ mₖᵀ + δₖ δₖᵀ   with δₖ = μₖ' − aₖ                         (M3)
    Σ'  = the structure's estimate from Nₖ and Mₖ                                   (M4)
    Q'  = Σₖ Nₖ [log πₖ' − ½ (d log 2π + log|Σₖ'| + tr Σₖ'⁻¹ Mₖ)]                    (M5)

where a block that is not free keeps its value (K1, K2). These are Bishop (2006), equations 9.23 to
9.28 and 9.40. Moments are taken about aₖ and never about the origin, so shifting or scaling
the data shifts and scales the answer (W3). And the entropy of r is the log-likelihood minus Q
(W5), so the evidence lower bound costs nothing. With weighted samples every sum is a weighted one,
and n is the sum of the weights.

log-likelihood, Q, entropy and ELBO are totals over the samples, in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import entr

from gmmlab._numerics import normalise
from gmmlab._validation import (
    BLOCKS,
    check_choice,
    check_count,
    check_floor,
    check_free,
    check_number,
    check_numeric,
    check_samples,
)
from gmmlab.convergence.information import remaining_gain
from gmmlab.convergence.squarem import Squarem
from gmmlab.covariance import Covariance
from gmmlab.engine.degeneracy import empty, held, trouble
from gmmlab.engine.exponential_family import ExponentialFamilyForm, exponential_family_centre
from gmmlab.engine.missing import ObservedForm
from gmmlab.engine.samples import Samples, as_samples
from gmmlab.engine.scale import own_covariance, relative_floor
from gmmlab.engine.statistics import ResidualForm, SufficientStatistics, per_component
from gmmlab.engine.threads import one_blas_thread
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.result import (
    DegenerateError,
    Fit,
    Recorder,
    Row,
    Status,
    converged_message,
    degenerate_message,
    max_iter_message,
    not_increasing_message,
)

# A second moment about another point may be this much larger than the one about the mean;
# past it, a second pass takes the moments about the new mean.
_CANCELLATION = {np.dtype(np.float64): 1e5, np.dtype(np.float32): 1e3}
# Mean gain per step from which on EM counts as slow, and may be accelerated; and how much less
# than the tolerance the last step of an accelerated fit gains.
_SLOW, _SHARPER = 1e-3, 0.1
# Multiplications that are worth an estimate of the remaining gain whatever the fit took.
_CHEAP = 1e7
# Two log-likelihoods that differ by this share of their size differ by rounding.
_ROUNDING = {np.dtype(np.float64): 1e-11, np.dtype(np.float32): 1e-4}


# ---- one pass over the data --------------------------------------------------------------


def sums(
    samples: Samples, mixture: Mixture, *, about: np.ndarray | None = None
) -> SufficientStatistics:
    """Pass over the data once: E-step, and the sums that the M-step needs (E1 to E3).

    Parameters
    ----------
    samples : Samples
    mixture : Mixture
    about : ndarray, shape (n_components, n_features), optional
        What moments are taken about; by default what costs least.
    """
    if samples.has_missing:
        return samples.fold(ObservedForm(mixture, about))
    centre = exponential_family_centre(samples, mixture) if about is None else None
    if centre is not None:
        return samples.fold(ExponentialFamilyForm(mixture, centre))
    return samples.fold(ResidualForm(mixture, about))


# ---- what the sums say -------------------------------------------------------------------


class Step(NamedTuple):
    """What an M-step leads to."""

    mixture: Mixture
    #: Q', the expected complete log-likelihood of `mixture` (M5)
    expected_log_joint: float
    #: which components' covariances the floor has raised
    floored: np.ndarray


def maximise(
    sums: SufficientStatistics,
    mixture: Mixture,
    free: frozenset[str],
    floor: np.ndarray | None = None,
    ridge: float = 0.0,
) -> Step:
    """Return the mixture that maximises Q over the free blocks (M1 to M5).

    A component that is empty keeps its mean and covariance: no sample speaks about them.
    """
    alone = empty(sums.counts)
    kept = alone.any()
    weights, means, covariance = mixture.weights, mixture.means, mixture.covariance
    floored = np.zeros(mixture.n_components, dtype=bool)
    if "weights" in free:
        weights = sums.divisor / sums.divisor.sum()
    if "means" in free:
        means = np.where(alone[:, None], means, sums.means()) if kept else sums.means()
    moments = sums.moments(type(covariance), means)
    if "covariances" in free:
        said = moments
        if kept:
            before = covariance.moments(*means.shape)
            said = np.where(per_component(alone, moments), before, moments)
        said = said + covariance.of_variances(np.full(means.shape, ridge)) if ridge else said
        covariance, floored = covariance.update(sums.counts, said, floor)
    new = Mixture.unchecked(weights, means, covariance)
    return Step(new, _expected_log_joint(new, sums.counts, moments), floored)


def _expected_log_joint(new: Mixture, counts: np.ndarray, moments: np.ndarray) -> float:
    try:
        return new.expected_log_joint(counts, per_component(counts, moments) * moments)
    except np.linalg.LinAlgError:  # a covariance has collapsed to singular
        return np.nan


def _accurate_step(
    found: SufficientStatistics,
    mixture: Mixture,
    free: frozenset[str],
    second_pass: Callable[[np.ndarray], SufficientStatistics],
    *,
    floor: np.ndarray | None = None,
    ridge: float = 0.0,
    limit: float = _CANCELLATION[np.dtype(np.float64)],
) -> Step:
    """`maximise`, after a second pass about the new means where the first has lost digits.

    Σ' is the second moment about another point less δ δᵀ, with δ the new mean's distance from
    it: an error of rounding in δ δᵀ is ‖C'⁻¹ δ‖² times as large against Σ'.
    """
    step = maximise(found, mixture, free, floor, ridge)
    if not free >= {"means", "covariances"}:
        return step
    new = step.mixture
    try:
        distance = new.covariance.whiten((new.means - found.about)[:, :, None])
        exact = (distance**2).sum(axis=1).max() <= limit
    except np.linalg.LinAlgError:
        exact = False
    if exact:
        return step
    about = np.where(empty(found.counts)[:, None], mixture.means, found.means())
    return maximise(second_pass(about), mixture, free, floor, ridge)


# ---- the loop ----------------------------------------------------------------------------


def fit(
    X: Any,
    start: Mixture,
    *,
    free: Iterable[str] = BLOCKS,
    tol: float = 1e-6,
    max_iter: int = 1000,
    floor: float | np.ndarray | None = None,
    degenerate: Literal["raise", "floor", "restart"] = "raise",
    restart: Iterable[Mixture] | None = None,
    callback: Callable[[int, Mixture, float], object] | None = None,
    ridge: float = 0.0,
    sample_weight: Any = None,
    missing: Literal["raise", "marginalise"] = "raise",
    accelerate: bool = False,
    extra_step: bool = False,
) -> Fit:
    """Fit a Gaussian mixture by EM, from a given start.

    Parameters
    ----------
    X : array_like or dask.array.Array, shape (n_samples, n_features)
        Samples, in data units. A memory-mapped array is read block by block; a Dask array is
        worked on where its blocks are, by the scheduler that is active. float32 is worked on in
        float32 where that costs no more digits than the data have.
    start : Mixture
        Where EM begins. Its covariance structure is the one that is fitted, and its blocks
        that are not free are taken as known.
    free : collection of {"weights", "means", "covariances"}, default all
        What EM may move. The other blocks come back bit for bit.
    tol : float, default 1e-6
        Stop when an iteration gains no more than this in *mean* log-likelihood (per sample).
    max_iter : int, default 1000
        At most this many M-steps; 0 evaluates the start.
    floor : float or array_like of shape (n_features,), optional
        Lower bound of the covariances' eigenvalues, in squared data units; one number for
        each feature bounds Σₖ ⪰ diag(floor). The M-step is then the optimum under that bound,
        so the log-likelihood still never falls. `relative_floor` gives one that goes with the
        data's own scale. A start below the floor is raised to it.
    degenerate : {"raise", "floor", "restart"}, default "raise"
        What to do when a component collapses (its smallest variance falls under 10⁻¹² of the
        data's own) or empties (fewer than 10⁻⁶ samples are expected from it).
        "raise" raises `DegenerateError`. "floor" sets `floor=relative_floor(X)` unless a floor
        or ridge is given, and an empty component keeps its mean and covariance. "restart"
        goes on from the next mixture of `restart`.
    restart : iterable of Mixture, optional
        Starts for degenerate="restart", taken one by one as they are needed.
    callback : callable, optional
        Called as ``callback(iteration, mixture, log_likelihood)`` after each E-step, the
        first with the start as iteration 0 (and again from 0 if an accelerated fit
        degenerates, for it is then done without).
    ridge : float, default 0.0
        Added to every variance after each M-step, in squared data units: scikit-learn's
        `reg_covar`. It is not an EM step, so the log-likelihood may fall a little.
    sample_weight : array_like or dask.array.Array, shape (n_samples,), optional
        How often each sample counts; not negative, 1 by default. A whole number is as good as
        that many copies of the sample.
    missing : {"raise", "marginalise"}, default "raise"
        What NaN entries are: an error, or entries that were not observed. Those are integrated
        out, which is right if what is missing does not depend on its own value (missing at
        random; Little and Rubin 2020, section 1.3).
    accelerate : bool, default False
        Whether to extrapolate where EM has become slow (squared extrapolation; see
        `gmmlab.convergence.squarem`). The log-likelihood still never falls. An iteration then is a
        pass over the data, also one whose extrapolation was worse and is not in the trace.
    extra_step : bool, default False
        Whether to take one more step once the gain is within `tol`, as scikit-learn does.

    Returns
    -------
    Fit
        The mixture, status, message, number of iterations, log-likelihood, trace, and an
        estimate of the log-likelihood that is still to be had.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range, or the data cannot carry
        the covariances asked for (a constant feature and no floor, say).
    DegenerateError
        If a component degenerates and the policy has no way on.

    Notes
    -----
    E-step and M-step alternate (Bishop 2006, section 9.2.2; Dempster, Laird and Rubin 1977).
    Each raises the log-likelihood or leaves it (A1; section 9.4).

    Examples
    --------
    >>> from gmmlab import datasets, fit, start
    >>> X = datasets.old_faithful().X  # eruption and waiting time, minutes
    >>> result = fit(X, start.from_labels(X, X[:, 1] > 68), tol=1e-10)
    >>> result.status, round(result.log_likelihood, 4)
    ('converged', -1130.264)
    """
    check_choice(missing, ("raise", "marginalise"), name="missing")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable or None; got {callback!r}")
    if not isinstance(accelerate, bool | np.bool_):
        raise TypeError(f"accelerate must be True or False; got {accelerate!r}")
    samples = as_samples(X, sample_weight, missing=missing == "marginalise")
    if check_mixture(start, name="start").n_features != samples.n_features:
        raise ValueError(
            f"start must have as many features as X ({samples.n_features}); got {start.n_features}"
        )
    if samples.n_samples < start.n_components:
        raise ValueError(
            "X must have at least as many samples as start has components "
            f"({start.n_components}); got {samples.n_samples}"
        )
    free = check_free(free)
    tol = check_number(tol, name="tol")
    max_iter = check_count(max_iter, name="max_iter", minimum=0)
    ridge = check_number(ridge, name="ridge")
    check_choice(degenerate, ("raise", "floor", "restart"), name="degenerate")
    restarts = _check_restart(restart, degenerate)
    if floor is not None:
        floor = check_floor(floor, samples.n_features)
    elif degenerate == "floor" and ridge == 0:
        floor = relative_floor(samples)

    # A component that collapses divides by 0 before it is found out.
    with one_blas_thread(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        may_collapse = "covariances" in free and floor is None and ridge == 0
        problem = _Problem(
            samples=samples,
            start=start,
            free=free,
            tol=tol,
            max_iter=max_iter,
            floor=floor,
            ridge=ridge,
            own=own_covariance(samples, type(start.covariance)) if may_collapse else None,
            callback=callback,
            extra_step=extra_step,
        )
        if accelerate:
            try:
                return _iterate(problem, Squarem(free), "raise", iter(()))
            except DegenerateError:
                pass  # an extrapolation may lead to where EM does not: begin again without
        return _iterate(problem, None, degenerate, restarts)


@dataclass(frozen=True)
class _Problem:
    """The arguments of a fit, checked."""

    samples: Samples
    start: Mixture
    free: frozenset[str]
    tol: float
    max_iter: int
    floor: np.ndarray | None
    ridge: float
    own: Covariance | None
    callback: Callable[[int, Mixture, float], object] | None
    extra_step: bool

    def step(self, found: SufficientStatistics, mixture: Mixture) -> Step:
        """Return the M-step."""
        return _accurate_step(
            found,
            mixture,
            self.free,
            lambda about: sums(self.samples, mixture, about=about),
            floor=self.floor,
            ridge=self.ridge,
            limit=_CANCELLATION[self.samples.dtype],
        )

    def extrapolated(self, squarem: Squarem, mixture: Mixture, new: Mixture) -> Mixture | None:
        """Return where many steps like that from `mixture` to `new` would lead, if anywhere."""
        try:
            farther = squarem.propose(mixture, new)
            if farther is None:
                return None
            farther, _ = self.raised(farther)
            return farther if _sound(farther) else None
        except np.linalg.LinAlgError:
            return None

    def raised(self, mixture: Mixture) -> tuple[Mixture, str]:
        """Return the mixture with its covariances raised to the floor, and say which were."""
        if "covariances" not in self.free or self.floor is None:
            return mixture, ""
        covariance, floored = mixture.covariance.clipped(self.floor)
        raised = Mixture.unchecked(mixture.weights, mixture.means, covariance)
        return raised, held(floored, "floored")


def _iterate(
    problem: _Problem, squarem: Squarem | None, degenerate: str, restarts: Iterator[Mixture]
) -> Fit:
    """Alternate E-step and M-step until there is a reason to stop."""
    samples, total = problem.samples, problem.samples.total
    # A step that stops an accelerated fit is followed by none that would be longer.
    enough = problem.tol * total * (_SHARPER if squarem else 1)
    # Where the data themselves are as thin as the ridge, no component is held up by it.
    wide = (samples.extent**2 > 2 * problem.ridge).all()
    record = Recorder(problem.ridge if wide else 0.0)
    candidate, event = problem.raised(problem.start)
    bound = np.nan  # the ELBO of the candidate, after the M-step that led to it
    mixture = row = None  # the candidate before, once it is accepted, and its row
    last = False  # whether one extra step is being taken
    begun, instead = True, None  # the EM step that could be taken in place of an extrapolation

    def stop(status: Status, message: str, at: Mixture, row: Row, gain: float = np.nan) -> Fit:
        return Fit(
            mixture=at,
            status=status,
            message=message,
            n_iter=iteration,
            log_likelihood=row.log_likelihood,
            trace=record.trace(),
            n_samples=total,
            free=problem.free,
            remaining_gain=gain,
        )

    for iteration in range(problem.max_iter + 1):
        pass_ = sums(samples, candidate)
        if instead and not pass_.log_likelihood >= row.log_likelihood:
            squarem.reject()
            (candidate, bound), instead = instead, None
            continue
        found, before, mixture = pass_, (mixture, row), candidate
        row = record.add(iteration, found, mixture, bound, event)
        if problem.callback is not None:
            problem.callback(iteration, mixture, found.log_likelihood)

        gain = np.inf
        if not (begun or instead):
            gain = row.log_likelihood - before[1].log_likelihood
            fell = problem.ridge == 0 and gain < 0
            if fell and -gain > _rounding(samples, mixture, found.log_likelihood):
                return stop("not_increasing", not_increasing_message(gain, iteration), *before)
            within = (abs(gain) if problem.ridge else gain) <= enough
            if last or (within and not (problem.extra_step and iteration < problem.max_iter)):
                left = _remaining_gain(problem, found, mixture, iteration)
                message = converged_message(gain / total, problem.tol, left / total, record.event())
                return stop("converged", message, mixture, row, left)
            last = within
        if iteration == problem.max_iter:
            break

        step = problem.step(found, mixture)
        event = held(step.floored, "floored")
        wrong = trouble(step.mixture, found.counts, problem.own) if problem.free else ""
        if hopeless := not _sound(step.mixture):
            wrong = wrong or "a covariance is singular to working precision"
        if wrong:
            if degenerate == "restart" and (fresh := next(restarts, None)) is not None:
                _check_like(fresh, problem.start)
                candidate, bound, begun = fresh, np.nan, True
                event = f"restarted: {wrong}"
                continue
            if degenerate != "floor" or hopeless:
                message = degenerate_message(wrong, iteration, degenerate)
                raise DegenerateError(message, stop("degenerate", message, mixture, row))
            event = "; ".join(filter(None, (event, wrong)))
        begun, instead = False, None
        candidate, bound = step.mixture, step.expected_log_joint + row.entropy
        if squarem and gain <= _SLOW * total:
            farther = problem.extrapolated(squarem, mixture, candidate)
            if farther is not None:
                instead = candidate, bound
                candidate, bound = farther, np.nan

    left = _remaining_gain(problem, found, mixture, iteration)
    message = max_iter_message(record.rows, problem.max_iter, problem.tol, total, left / total)
    return stop("max_iter", message, mixture, row, left)


def _sound(mixture: Mixture) -> bool:
    """Return whether a mixture can be evaluated."""
    try:
        return bool(np.isfinite(mixture.log_normaliser).all())
    except np.linalg.LinAlgError:
        return False


def _remaining_gain(
    problem: _Problem, found: SufficientStatistics, mixture: Mixture, n_iter: int
) -> float:
    """Estimate what is still to be had, where that is cheap against the fit; or NaN."""
    if "covariances" in problem.free and mixture.covariance.curved:
        return np.nan
    samples, (k, d) = problem.samples, mixture.means.shape
    p = mixture.n_parameters(problem.free)
    fit_work = samples.n_samples * n_iter * k * (d + 3) ** 2
    if samples.has_missing or not 0 < samples.n_samples * p**2 <= max(_CHEAP, 0.1 * fit_work):
        return np.nan
    step = problem.step(found, mixture)
    if step.floored.any():  # a maximum under a bound has a gradient
        return np.nan
    return remaining_gain(samples, mixture, step.mixture, found.counts, problem.free)


def _rounding(samples: Samples, mixture: Mixture, log_likelihood: float) -> float:
    """Return by how much the log-likelihood may be off by rounding.

    That is its share of the sum, and the error of ‖y‖² in a nearly singular covariance.
    """
    conditioning = max(mixture.covariance.conditioning().min(), np.finfo(float).eps)
    whitening = 8 * np.finfo(float).eps * samples.total / conditioning
    size = abs(log_likelihood) + samples.total * samples.n_features
    return _ROUNDING[samples.dtype] * size + whitening


# ---- checks of fit's own arguments -------------------------------------------------------


def _check_like(mixture: Mixture, start: Mixture) -> None:
    if check_mixture(mixture, name="restart").means.shape != start.means.shape or (
        type(mixture.covariance) is not type(start.covariance)
    ):
        raise ValueError("restart must hold mixtures of the same shape and structure as start")


def _check_restart(restart: Any, degenerate: str) -> Iterator[Mixture]:
    if (restart is not None) != (degenerate == "restart"):
        raise ValueError(
            "restart must hold the starts to go on from when degenerate='restart', and only "
            f"then; got restart={restart!r} with degenerate={degenerate!r}"
        )
    try:
        return iter(restart or ())
    except TypeError:
        raise TypeError(f"restart must be an iterable of Mixture; got {restart!r}") from None


# ---- step by step, with the responsibilities laid open -----------------------------------


def e_step(X: Any, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Return the responsibilities and log-densities of samples (E1, E2).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    mixture : Mixture

    Returns
    -------
    responsibilities : ndarray, shape (n_samples, n_components)
        p(component | sample); each row sums to 1.
    log_densities : ndarray, shape (n_samples,)
        log p(sample); their sum is the log-likelihood.

    Raises
    ------
    TypeError, ValueError
        If `X` is not a finite numeric array of that shape.

    Notes
    -----
    Bayes' rule (Bishop 2006, equation 9.23), in logarithms (E5).

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical, e_step
    >>> mixture = Mixture([0.5, 0.5], [[0.0], [2.0]], Spherical([1.0, 1.0]))
    >>> e_step([[1.0], [2.0]], mixture)[0].round(3)
    array([[0.5  , 0.5  ],
           [0.119, 0.881]])
    """
    check_mixture(mixture)
    responsibilities, log_densities = normalise(mixture.log_joint(X).T)
    return responsibilities.T, log_densities


def m_step(
    X: Any, responsibilities: Any, mixture: Mixture, *, free: Iterable[str] = BLOCKS
) -> Mixture:
    """Return the mixture that maximises Q for given responsibilities (M1 to M4).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    responsibilities : array_like, shape (n_samples, n_components)
        Not negative; each row sums to 1.
    mixture : Mixture
        Gives the covariance structure and the blocks that are not free.
    free : collection of {"weights", "means", "covariances"}, default all
        What may move; the rest comes back bit for bit.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong shape, or a component gets too few samples for its
        covariance to be positive definite.

    Notes
    -----
    Bishop (2006), equations 9.24 to 9.26; the weights carry a Lagrange multiplier that comes
    out as −n (G3; equation 9.22).

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical, m_step
    >>> mixture = Mixture([0.5, 0.5], [[0.0], [2.0]], Spherical([1.0, 1.0]))
    >>> new = m_step([[0.0], [1.0], [4.0], [6.0]], [[1, 0], [1, 0], [0, 1], [0, 1]], mixture)
    >>> new.means.ravel(), new.covariance.values
    (array([0.5, 5. ]), array([0.25, 1.  ]))
    """
    X, responsibilities = _check_responsibilities(X, responsibilities, mixture)
    free = check_free(free)
    with one_blas_thread(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        samples = Samples(X)
        step = _accurate_step(
            found := samples.fold(ResidualForm(mixture), responsibilities),
            mixture,
            free,
            lambda about: samples.fold(ResidualForm(mixture, about), responsibilities),
        )
    if free and (wrong := trouble(step.mixture, found.counts, None)):
        raise ValueError(f"responsibilities leave nothing to estimate from: {wrong}")
    new = step.mixture
    return Mixture(new.weights, new.means, type(new.covariance)(new.covariance.values))


class Elbo(NamedTuple):
    """The evidence lower bound and its two parts, totals over the samples in nats."""

    total: float
    expected_log_joint: float
    entropy: float


def elbo(X: Any, responsibilities: Any, mixture: Mixture) -> Elbo:
    """Return the evidence lower bound of given responsibilities and parameters.

    ELBO(r, θ) = Σᵢₖ rᵢₖ log πₖ N(xᵢ|μₖ, Σₖ) − Σᵢₖ rᵢₖ log rᵢₖ, with 0 log 0 = 0 (B3). It is the
    log-likelihood less Σᵢ KL(rᵢ ‖ p(component|xᵢ)) (B2, B5; Bishop 2006, equations 9.70 to 9.72).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    responsibilities : array_like, shape (n_samples, n_components)
        Not negative; each row sums to 1. They need not be those of `mixture`.
    mixture : Mixture

    Returns
    -------
    Elbo
        `total`, `expected_log_joint` (the expected complete log-likelihood) and `entropy`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong shape or a row does not sum to 1.

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical, e_step, elbo
    >>> mixture = Mixture([0.5, 0.5], [[0.0], [2.0]], Spherical([1.0, 1.0]))
    >>> responsibilities, log_densities = e_step([[1.0], [2.0]], mixture)
    >>> bound = elbo([[1.0], [2.0]], responsibilities, mixture)
    >>> abs(bound.total - log_densities.sum()) < 1e-12
    np.True_
    """
    X, responsibilities = _check_responsibilities(X, responsibilities, mixture)
    expected = float((responsibilities * mixture.log_joint(X)).sum())
    entropy = float(entr(responsibilities).sum())
    return Elbo(expected + entropy, expected, entropy)


def _check_responsibilities(
    X: Any, responsibilities: Any, mixture: Mixture
) -> tuple[np.ndarray, np.ndarray]:
    check_mixture(mixture)
    X = check_samples(X, n_features=mixture.n_features)
    responsibilities = check_numeric(responsibilities, name="responsibilities")
    shape = (len(X), mixture.n_components)
    if responsibilities.shape != shape:
        raise ValueError(
            "responsibilities must have shape (n_samples, n_components) = "
            f"{shape}; got {responsibilities.shape}"
        )
    if (responsibilities < 0).any() or (abs(responsibilities.sum(axis=1) - 1) > 1e-8).any():
        raise ValueError("responsibilities must not be negative, and each row must sum to 1")
    return X, responsibilities
