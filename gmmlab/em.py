"""The EM algorithm for Gaussian mixtures (Dempster, Laird and Rubin 1977).

Read it from top to bottom: `sufficient_statistics` (the E-step, as one pass over the data),
`maximise` (the M-step), `fit` (the loop), and the same steps with explicit responsibilities
(`e_step`, `m_step`, `elbo`).

Equation numbers such as (E1) are those of notebook 00, which derives and checks the equations.

With Σₖ = Cₖ Cₖᵀ and whitened residuals yₖ = Cₖ⁻¹ (x − μₖ), one pass gives

    log πₖ N(x|μₖ, Σₖ) = log πₖ − ½ (d log 2π + log|Σₖ| + ‖yₖ‖²)                    (E1)
    rₖ = softmax of that over k                                                    (E2)
    Nₖ = Σ rₖ,   mₖ = Σ rₖ (x − aₖ) / Nₖ,   Vₖ = Σ rₖ (x − aₖ)(x − aₖ)ᵀ / Nₖ         (E3)

about a point aₖ near the mean. The next parameters are

    πₖ' = Nₖ / n                                                                   (M1)
    μₖ' = aₖ + mₖ                                                                  (M2)
    Mₖ  = Vₖ − mₖ δₖᵀ − δₖ mₖᵀ + δₖ δₖᵀ   with δₖ = μₖ' − aₖ                         (M3)
    Σ'  = the structure's estimate from Nₖ and Mₖ                                   (M4)
    Q'  = Σₖ Nₖ [log πₖ' − ½ (d log 2π + log|Σₖ'| + tr Σₖ'⁻¹ Mₖ)]                    (M5)

and a block that is not free keeps its value (K1, K2). These are equations 9.23 to 9.28 and 9.40
of Bishop (2006). Moments are taken about aₖ and never about the origin, so shifting or scaling
the data shifts and scales the answer (W3). The entropy of r is the log-likelihood minus Q (W5), so
the evidence lower bound (ELBO) costs nothing extra. With sample weights every sum is weighted,
and n is the sum of the weights.

The log-likelihood, Q, the entropy and the ELBO are totals over the samples, in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import entr

from gmmlab import engine, result
from gmmlab._numerics import normalise
from gmmlab._validation import BLOCKS, check_free, check_responsibilities, check_samples
from gmmlab.convergence import Squarem, can_estimate_remaining_gain, remaining_gain
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.result import DegenerateError, Fit, Status

# The last step of an accelerated fit gains at most this fraction of the tolerance.
_ACCELERATED_TOL = 0.1


# ---- E-step: one pass over the data ------------------------------------------------------


def sufficient_statistics(
    samples: engine.Samples, mixture: Mixture, *, about: np.ndarray | None = None
) -> engine.SufficientStatistics:
    """Compute the E-step and the sums that the M-step needs in one pass (E1 to E3).

    Parameters
    ----------
    samples : Samples
    mixture : Mixture
    about : ndarray, shape (n_components, n_features), optional
        The points that moments are taken about. By default, those that cost least.
    """
    if samples.has_missing:
        return samples.fold(engine.ObservedForm(mixture, about))
    centre = engine.exponential_family_centre(samples, mixture) if about is None else None
    if centre is not None:
        return samples.fold(engine.ExponentialFamilyForm(mixture, centre))
    return samples.fold(engine.ResidualForm(mixture, about))


sums = sufficient_statistics  # the old name


# ---- M-step ------------------------------------------------------------------------------


class Step(NamedTuple):
    """The result of an M-step."""

    mixture: Mixture
    #: Q', the expected complete log-likelihood of `mixture` (M5)
    expected_log_joint: float
    #: whether the floor raised each component's covariance
    floored: np.ndarray


def maximise(
    statistics: engine.SufficientStatistics,
    mixture: Mixture,
    free: frozenset[str],
    floor: np.ndarray | None = None,
    ridge: float = 0.0,
) -> Step:
    """Return the mixture that maximises Q over the free blocks (M1 to M5).

    An engine.empty component keeps its mean and its covariance.
    """
    alone = engine.empty(statistics.counts)
    any_alone = alone.any()
    weights, means, covariance = mixture.weights, mixture.means, mixture.covariance
    floored = np.zeros(mixture.n_components, dtype=bool)
    if "weights" in free:
        weights = statistics.divisor / statistics.divisor.sum()
    if "means" in free:
        found = statistics.means()
        means = np.where(alone[:, None], means, found) if any_alone else found
    moments = statistics.moments(type(covariance), means)
    if "covariances" in free:
        target = moments
        if any_alone:
            target = np.where(engine.per_component(alone, moments), covariance.stack, moments)
        if ridge:
            target = target + covariance.moments.of_variances(np.full(means.shape, ridge))
        covariance, floored = covariance.update(statistics.counts, target, floor)
    new = Mixture.unchecked(weights, means, covariance)
    return Step(new, _expected_log_joint(new, statistics.counts, moments), floored)


def _expected_log_joint(new: Mixture, counts: np.ndarray, moments: np.ndarray) -> float:
    try:
        return new.expected_log_joint(counts, engine.per_component(counts, moments) * moments)
    except np.linalg.LinAlgError:  # a covariance is singular
        return np.nan


def _accurate_maximise(
    statistics: engine.SufficientStatistics,
    mixture: Mixture,
    free: frozenset[str],
    second_pass: Callable[[np.ndarray], engine.SufficientStatistics],
    *,
    floor: np.ndarray | None = None,
    ridge: float = 0.0,
    dtype: np.dtype,
) -> Step:
    """Return `maximise`, after a second pass about the new means if the first loses digits."""
    step = maximise(statistics, mixture, free, floor, ridge)
    if not free >= {"means", "covariances"} or statistics.is_exact_for(step.mixture, dtype):
        return step
    about = np.where(engine.empty(statistics.counts)[:, None], mixture.means, statistics.means())
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
    """Fit a Gaussian mixture by EM from a given start.

    Parameters
    ----------
    X : array_like or dask.array.Array, shape (n_samples, n_features)
        Samples, in data units. A memory-mapped array is read block by block. The blocks of a
        Dask array are processed where they are, by the active scheduler. float32 data are
        processed in float32 where this costs no more digits than the data have.
    start : Mixture
        Initial mixture. It gives the covariance structure to fit, and the values of the blocks
        that are not free.
    free : collection of {"weights", "means", "covariances"}, default all
        Blocks that EM estimates. The other blocks are returned unchanged, bit for bit.
    tol : float, default 1e-6
        EM stops when an iteration gains at most this in *mean* log-likelihood (per sample).
    max_iter : int, default 1000
        Maximal number of M-steps; 0 evaluates the start.
    floor : float or array_like of shape (n_features,), optional
        Lower bound Σₖ ⪰ diag(floor) of the covariances, in squared data units, for example from
        `relative_floor`. The M-step is the optimum under that bound, so the log-likelihood still
        never falls. A start below the floor is raised to it.
    degenerate : {"raise", "floor", "restart"}, default "raise"
        What to do when a component collapses (its smallest variance falls below 10⁻¹² of the
        data's) or empties (it has fewer than 10⁻⁶ expected samples).
        "raise" raises `DegenerateError`. "floor" sets `floor=relative_floor(X)` unless a floor
        or a ridge is given, and lets an empty component keep its mean and covariance. "restart"
        continues from the next mixture of `restart`.
    restart : iterable of Mixture, optional
        Starts for degenerate="restart"; they are used one after the other.
    callback : callable, optional
        Called as ``callback(iteration, mixture, log_likelihood)`` after each E-step, from
        iteration 0, the start. An accelerated fit that degenerates is repeated without
        acceleration, from iteration 0 again.
    ridge : float, default 0.0
        Value added to every variance after each M-step, in squared data units: scikit-learn's
        `reg_covar`. This is not an EM step, so the log-likelihood may fall slightly.
    sample_weight : array_like or dask.array.Array, shape (n_samples,), optional
        Non-negative weights of the samples, 1 by default. An integer weight is equivalent to
        that many copies of the sample.
    missing : {"raise", "marginalise"}, default "raise"
        How to treat NaN entries: as an error, or as missing entries to integrate out. The latter
        is valid if entries are missing at random (Little and Rubin 2020, section 1.3).
    accelerate : bool, default False
        Whether to extrapolate where EM is slow (see `gmmlab.convergence.squarem`). The
        log-likelihood still never falls. An iteration is then a pass over the data; a rejected
        extrapolation counts as one, but is not in the trace.
    extra_step : bool, default False
        Whether to take one more step once the gain is within `tol`, as scikit-learn does.

    Returns
    -------
    Fit
        The mixture, status, message, number of iterations, log-likelihood, trace, and an
        estimate of the remaining gain in log-likelihood.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range, or if the data do not determine
        the covariances (for example, a constant feature without a floor).
    DegenerateError
        If a component degenerates and `degenerate` offers no way to continue.

    Notes
    -----
    The E-step and the M-step alternate (Bishop 2006, section 9.2.2; Dempster, Laird and Rubin
    1977). Neither lowers the log-likelihood (A1; section 9.4).

    Examples
    --------
    >>> from gmmlab import datasets, fit, start
    >>> X = datasets.old_faithful().X  # eruption and waiting time, minutes
    >>> result = fit(X, start.from_labels(X, X[:, 1] > 68), tol=1e-10)
    >>> result.status, round(result.log_likelihood, 4)
    ('converged', -1130.264)
    """
    options = engine.Options.checked(
        X, start, free=free, tol=tol, max_iter=max_iter, floor=floor, degenerate=degenerate,
        restart=restart, callback=callback, ridge=ridge, sample_weight=sample_weight,
        missing=missing, accelerate=accelerate, extra_step=extra_step,
    )  # fmt: skip
    # A collapsing component divides by 0 before it is detected.
    with engine.one_blas_thread(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        em = _EM(options)
        if accelerate:
            try:
                return _iterate(em, Squarem(em, options), replace(options, degenerate="raise"))
            except DegenerateError:
                pass  # an extrapolation may lead to where EM does not: repeat without
        return _iterate(em, em, options)


class _EM:
    """The EM map of one fit: the M-step from a point, and the E-step at the next."""

    def __init__(self, options: engine.Options) -> None:
        self.options = options
        structure = type(options.start.covariance)
        #: the covariance of the data, if components may collapse
        self.reference = None
        if options.may_collapse:
            self.reference = engine.own_covariance(options.samples, structure)

    def evaluate(self, mixture: Mixture, iteration: int, **known: Any) -> engine.Point:
        """Return the point at a mixture: one pass over the data."""
        statistics = sufficient_statistics(self.options.samples, mixture)
        return engine.Point(iteration, mixture, statistics, **known)

    def m_step(self, point: engine.Point) -> Step:
        """Return the M-step from a point."""
        options = self.options
        return _accurate_maximise(
            point.statistics,
            point.mixture,
            options.free,
            lambda about: sufficient_statistics(options.samples, point.mixture, about=about),
            floor=options.floor,
            ridge=options.ridge,
            dtype=options.samples.dtype,
        )

    def advance(
        self, point: engine.Point, step: Step, event: str, iteration: int | None = None
    ) -> engine.Point | None:
        """Return the point that an M-step from `point` leads to."""
        iteration = point.iteration + 1 if iteration is None else iteration
        statistics = sufficient_statistics(self.options.samples, step.mixture)
        elbo_m_step = step.expected_log_joint + point.entropy
        gain = statistics.log_likelihood - point.log_likelihood
        return engine.Point(iteration, step.mixture, statistics, elbo_m_step, gain, event)

    def problem(self, point: engine.Point, step: Step) -> str:
        """Describe what is degenerate after an M-step from a point; "" if nothing is."""
        counts, mixture, found = point.statistics.counts, step.mixture, ""
        if self.options.free:
            found = engine.degenerate_components(mixture, counts, self.reference)
        if not found and not engine.can_be_evaluated(mixture):
            found = "a covariance is singular to working precision"
        return found

    def rounding(self, point: engine.Point) -> float:
        """Return a bound on the rounding error of a log-likelihood."""
        samples, log_likelihood = self.options.samples, point.log_likelihood
        return engine.log_likelihood_rounding(samples, point.mixture, log_likelihood)

    def remaining_gain(self, point: engine.Point, n_iter: int) -> float:
        """Estimate the gain that further iterations would bring, or NaN if that is too costly."""
        samples, mixture, free = self.options.samples, point.mixture, self.options.free
        if not can_estimate_remaining_gain(samples, mixture, free, n_iter):
            return np.nan
        step = self.m_step(point)
        if step.floored.any():  # a maximum under a bound has a gradient
            return np.nan
        return remaining_gain(samples, mixture, step.mixture, point.statistics.counts, free)


def _iterate(em: _EM, iteration_map: _EM | Squarem, options: engine.Options) -> Fit:
    """Alternate E-step and M-step until a reason to stop occurs.

    `iteration_map` moves from one point to the next: `em` itself, or its acceleration.
    """
    total = options.samples.total
    # The next step of an accelerated fit may be longer than the last, so it has a sharper limit.
    enough = options.tol * total * (1 if iteration_map is em else _ACCELERATED_TOL)
    # If the data are as thin as the ridge, no component is held up by the ridge.
    wide = (options.samples.extent**2 > 2 * options.ridge).all()
    record = engine.Recorder(options.ridge if wide else 0.0)

    def stop(
        status: Status, message: str, at: engine.Point, n_iter: int, remaining: float = np.nan
    ) -> Fit:
        return Fit(
            mixture=at.mixture,
            status=status,
            message=message,
            n_iter=n_iter,
            log_likelihood=at.log_likelihood,
            trace=record.trace(),
            n_samples=total,
            free=options.free,
            remaining_gain=remaining,
        )

    mixture, event = options.raised(options.start)
    before, point = None, em.evaluate(mixture, 0, event=event)
    stop_at = np.inf  # the iteration from which on the fit counts as converged
    while True:
        record.add(point)
        if options.callback is not None:
            options.callback(point.iteration, point.mixture, point.log_likelihood)

        gain, n_iter = point.gain, point.iteration
        if before is not None and gain < np.inf:
            if gain < 0 and options.ridge == 0 and -gain > em.rounding(point):
                message = result.not_increasing_message(gain, n_iter)
                return stop("not_increasing", message, before, n_iter)
            if (abs(gain) if options.ridge else gain) <= enough:
                stop_at = min(stop_at, n_iter + options.extra_step, options.max_iter)
            if n_iter >= stop_at:
                left = em.remaining_gain(point, n_iter)
                gains = gain / total, options.tol, left / total
                message = result.converged_message(*gains, record.last_event())
                return stop("converged", message, point, n_iter, left)
        if n_iter == options.max_iter:
            break

        step = em.m_step(point)
        event = engine.describe(step.floored, "floored")
        if problem := em.problem(point, step):
            fresh = options.next_restart()
            if fresh is not None:
                event = f"restarted: {problem}"
                before, point = None, em.evaluate(fresh, n_iter + 1, event=event)
                stop_at = np.inf
                continue
            if options.degenerate != "floor" or not engine.can_be_evaluated(step.mixture):
                message = result.degenerate_message(problem, n_iter, options.degenerate)
                raise DegenerateError(message, stop("degenerate", message, point, n_iter))
            event = "; ".join(filter(None, (event, problem)))
        new = iteration_map.advance(point, step, event)
        if new is None:
            break
        before, point = point, new

    left = em.remaining_gain(point, options.max_iter)
    last = record.rows[-1].iteration, record.last_gain() / total
    message = result.max_iter_message(*last, options.max_iter, options.tol, left / total)
    return stop("max_iter", message, point, options.max_iter, left)


# ---- step by step, with explicit responsibilities ----------------------------------------


def e_step(X: Any, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Compute the responsibilities and log-densities of samples (E1, E2).

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
        Non-negative; each row sums to 1.
    mixture : Mixture
        Gives the covariance structure and the blocks that are not free.
    free : collection of {"weights", "means", "covariances"}, default all
        Blocks to estimate. The others are returned unchanged.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong shape, or a component has too few samples for a positive
        definite covariance.

    Notes
    -----
    Bishop (2006), equations 9.24 to 9.26. The Lagrange multiplier of the weights is −n (G3;
    equation 9.22).

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical, m_step
    >>> mixture = Mixture([0.5, 0.5], [[0.0], [2.0]], Spherical([1.0, 1.0]))
    >>> new = m_step([[0.0], [1.0], [4.0], [6.0]], [[1, 0], [1, 0], [0, 1], [0, 1]], mixture)
    >>> new.means.ravel(), new.covariance.values
    (array([0.5, 5. ]), array([0.25, 1.  ]))
    """
    X, responsibilities = _checked(X, responsibilities, mixture)
    free = check_free(free)
    with engine.one_blas_thread(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        samples = engine.Samples(X)
        statistics = samples.fold(engine.ResidualForm(mixture), responsibilities)
        step = _accurate_maximise(
            statistics,
            mixture,
            free,
            lambda about: samples.fold(engine.ResidualForm(mixture, about), responsibilities),
            dtype=samples.dtype,
        )
    if free and (wrong := engine.degenerate_components(step.mixture, statistics.counts, None)):
        raise ValueError(f"responsibilities must give every component some samples; {wrong}")
    new = step.mixture
    return Mixture(new.weights, new.means, type(new.covariance)(new.covariance.values))


class Elbo(NamedTuple):
    """The evidence lower bound and its two parts, totals over the samples in nats."""

    total: float
    expected_log_joint: float
    entropy: float


def elbo(X: Any, responsibilities: Any, mixture: Mixture) -> Elbo:
    """Compute the evidence lower bound of given responsibilities and parameters.

    ELBO(r, θ) = Σᵢₖ rᵢₖ log πₖ N(xᵢ|μₖ, Σₖ) − Σᵢₖ rᵢₖ log rᵢₖ, with 0 log 0 = 0 (B3). It equals the
    log-likelihood minus Σᵢ KL(rᵢ ‖ p(component|xᵢ)) (B2, B5; Bishop 2006, equations 9.70 to 9.72).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    responsibilities : array_like, shape (n_samples, n_components)
        Non-negative; each row sums to 1. They need not be those of `mixture`.
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
    X, responsibilities = _checked(X, responsibilities, mixture)
    expected = float((responsibilities * mixture.log_joint(X)).sum())
    entropy = float(entr(responsibilities).sum())
    return Elbo(expected + entropy, expected, entropy)


def _checked(X: Any, responsibilities: Any, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    check_mixture(mixture)
    X = check_samples(X, n_features=mixture.n_features)
    shape = (len(X), mixture.n_components)
    return X, check_responsibilities(responsibilities, shape=shape)
