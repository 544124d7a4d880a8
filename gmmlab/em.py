"""The EM algorithm for Gaussian mixtures (Dempster, Laird and Rubin 1977).

Read it from top to bottom: `sufficient_statistics` (the E-step, as one pass over the data),
`maximise` (the M-step), `fit` (the loop), and the same steps with explicit responsibilities
(`e_step`, `m_step`, `elbo`). Arrays may have leading axes: `fit_many` runs a stack of fits of the
same shape in lockstep, by the same formulas, and `fit` is a stack of one.

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
from typing import Any, Literal

import numpy as np

from gmmlab import engine, result
from gmmlab._numerics import normalise
from gmmlab._validation import BLOCKS, check_free, check_responsibilities, check_samples
from gmmlab.convergence import Squarem, can_estimate_remaining_gain, remaining_gain
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.result import DegenerateError, Elbo, Fit

# ---- E-step: one pass over the data ------------------------------------------------------


def sufficient_statistics(
    samples: engine.Samples, mixture: Mixture, *, about: np.ndarray | None = None
) -> engine.SufficientStatistics:
    """Compute the E-step and the sums that the M-step needs in one pass (E1 to E3).

    Parameters
    ----------
    samples : Samples
    mixture : Mixture
        One mixture, or a stack.
    about : ndarray, shape (…, n_components, n_features), optional
        The points that moments are taken about. By default, those that cost least.
    """
    return engine.Pass(samples, mixture, about).run()


sums = sufficient_statistics  # the old name


# ---- M-step ------------------------------------------------------------------------------


def maximise(
    statistics: engine.SufficientStatistics,
    mixture: Mixture,
    free: frozenset[str],
    floor: np.ndarray | None = None,
    ridge: float = 0.0,
    *,
    rough: bool = False,
) -> engine.Step:
    """Return the mixture that maximises Q over the free blocks (M1 to M4).

    An empty component keeps its mean and its covariance. A `rough` step takes few inner iterations.
    """
    weights, means, covariance = mixture.weights, mixture.means, mixture.covariance
    counts, floored = statistics.counts, None
    alone = engine.empty(counts) if engine.may_be_empty(counts) else None
    if "weights" in free:
        weights = statistics.divisor / statistics.divisor.sum(axis=-1, keepdims=True)
    if "means" in free and alone is None:
        means = statistics.means()
        moments = statistics.moments(type(covariance))
    else:
        if "means" in free:
            means = np.where(alone[..., None], means, statistics.means())
        moments = statistics.moments(type(covariance), means)
    if "covariances" in free:
        target = moments
        if alone is not None:
            target = np.where(engine.per_component(alone, moments), covariance.stack, moments)
        if ridge:
            target = target + covariance.moments.of_variances(np.full(means.shape, ridge))
        covariance, floored = covariance.update(counts, target, floor, rough=rough)
    new = Mixture.unchecked(weights, means, covariance)
    floored = None if floor is None else floored
    return engine.Step(new, counts, moments, floored, alone is not None)


def _refined(
    step: engine.Step,
    statistics: engine.SufficientStatistics,
    mixture: Mixture,
    free: frozenset[str],
    second_pass: Callable[[np.ndarray], engine.SufficientStatistics],
    dtype: np.dtype,
    floor: np.ndarray | None = None,
    ridge: float = 0.0,
) -> engine.Step:
    """Return an M-step, or where its moments have lost digits, that of a second pass."""
    if not free >= {"means", "covariances"}:
        return step
    exact = statistics.is_exact_for(step.mixture, dtype)
    if exact.all():
        return step
    alone = engine.empty(statistics.counts)[..., None]
    about = np.where(alone, mixture.means, statistics.means())
    again = maximise(second_pass(about), mixture, free, floor, ridge)
    if exact.ndim == 0:
        return again
    return step.replaced(worse := np.flatnonzero(~exact), again.select(worse))


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
    samples = engine.as_samples(X, sample_weight, missing=engine.marginalises(missing))
    options = engine.Options.checked(
        samples, [start], name="start", free=free, tol=tol, max_iter=max_iter, floor=floor,
        degenerate=degenerate, policies=("raise", "floor", "restart"), restart=restart,
        callback=callback, ridge=ridge,
        accelerate=accelerate, extra_step=extra_step,
    )  # fmt: skip
    [found] = fit_stack(options)
    if found.status == "degenerate":
        raise DegenerateError(found.message, found)
    return found


def fit_stack(options: engine.Options) -> list[Fit]:
    """Return the fits of a stack, for checked arguments."""
    # A collapsing component divides by 0 before it is detected.
    with engine.one_blas_thread(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        if not options.accelerate:
            return _iterate(em := _EM(options), em)
        em = _EM(replace(options, degenerate="raise"))
        fits = _iterate(em, Squarem(em))
        # An extrapolation may lead to where EM does not: repeat these fits without.
        again = [number for number, one in enumerate(fits) if one.status == "degenerate"]
        if again:
            em = _EM(options.select(again))
            for number, one in zip(again, _iterate(em, em), strict=True):
                fits[number] = one
        return fits


class _EM:
    """The EM map of a stack of fits: the M-step from a point, and the E-step at the next."""

    sharper = 1.0  # factor of the tolerance

    def __init__(self, options: engine.Options) -> None:
        self.options = options

    def select(self, fits: Any) -> _EM:
        """Return the map of some fits of the stack."""
        return _EM(self.options.select(fits))

    def evaluate(self, mixture: Mixture, iteration: np.ndarray) -> engine.Point:
        """Return the point at mixtures that no EM step led to: one pass over the data."""
        statistics = self.options.one_pass(mixture).run()
        return engine.Point.unled(iteration, mixture, statistics)

    def m_step(self, point: engine.Point) -> tuple[engine.Step, engine.Pass]:
        """Return the M-step from a point, and the pass over the data that follows it."""
        options, samples = self.options, self.options.samples
        known = point.statistics, point.mixture, options.free
        step = maximise(*known, options.floor, options.ridge, rough=options.rough)
        following = options.one_pass(step.mixture)
        if options.rough or following.surely:
            return step, following

        def second_pass(about: np.ndarray) -> engine.SufficientStatistics:
            return sufficient_statistics(samples, point.mixture, about=about)

        bounds = options.floor, options.ridge
        refined = _refined(step, *known, second_pass, samples.dtype, *bounds)
        return refined, following if refined is step else options.one_pass(refined.mixture)

    def advance(
        self, point: engine.Point, step: engine.Step, following: engine.Pass
    ) -> tuple[engine.Point, None]:
        """Return the point that an M-step from `point` leads to."""
        statistics = following.run()
        gain = statistics.log_likelihood - point.log_likelihood
        led = step.counts, step.moments, point.entropy
        return engine.Point(point.iteration + 1, step.mixture, statistics, gain, *led), None

    def remaining_gain(self, point: engine.Point) -> np.ndarray:
        """Estimate the gain that further iterations would bring, or NaN if that is too costly."""
        samples, free = self.options.samples, self.options.free
        cheap = can_estimate_remaining_gain(samples, point.mixture, free, point.iteration)
        if not np.any(cheap):
            return np.full(len(point.iteration), np.nan)
        step, _ = self.m_step(point)
        left = remaining_gain(samples, point.mixture, step.mixture, point.statistics.counts, free)
        if step.floored is not None:  # a maximum under a bound has a gradient
            cheap = cheap & ~step.floored.any(axis=-1)
        return np.where(cheap, left, np.nan)


def _iterate(em: _EM, moves: _EM | Squarem) -> list[Fit]:
    """Alternate E-step and M-step in lockstep until every fit has a reason to stop.

    `moves` goes from one point to the next: `em` itself, or its acceleration.
    """
    options = em.options
    stack = engine.Lockstep(options, moves.sharper)
    mixture, floored = options.raised(options.start)
    before = point = em.evaluate(mixture, np.zeros(len(stack.fits), dtype=int))
    stack.record(point, engine.describe_each(floored, "floored"))
    whole = em

    def drop_ended() -> None:
        nonlocal em, moves, before, point
        going = stack.drop_ended()
        em, moves, before, point = (each.select(going) for each in (em, moves, before, point))

    while True:
        for status, which in stack.reasons(point).items():
            stack.close(which, status, point, before)
        if stack.over:
            break
        if stack.few_left:
            drop_ended()
        step, following = em.m_step(point)
        events = engine.describe_each(step.floored, "floored")
        safe = following.surely and stack.determined and not step.may_be_empty
        if problems := {} if safe else stack.problems(point, step.mixture):
            if (fresh := options.next_restart()) is not None:  # there is only one fit
                before, point = point, em.evaluate(Mixture.stacked([fresh]), point.iteration + 1)
                stack.restart(point, f"restarted: {problems[0]}")
                continue
            if lost := stack.lost(problems, step.mixture):
                stack.close(np.array([*lost]), "degenerate", point, before, [*lost.values()])
                if stack.over:
                    break
                drop_ended()
                continue
            for position, problem in problems.items():
                events[position] = "; ".join(filter(None, (events.get(position), problem)))
        new, exhausted = moves.advance(point, step, following)
        if exhausted is not None:
            stack.close(exhausted, "max_iter", point, before)
        before, point = point, new
        stack.record(point, events)
    if options.remaining_gain and (finals := stack.finals(options.remaining_gain == "best")):
        fits, point = finals
        stack.note_remaining_gain(fits, whole.select(fits).remaining_gain(point))
    return [result.fit_of(ending, trace, options) for ending, trace in stack.ended()]


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

        def one_pass(about: np.ndarray | None = None) -> engine.SufficientStatistics:
            return samples.fold(engine.ResidualForm(mixture, about), responsibilities)

        known = one_pass(), mixture, free
        step, counts = _refined(maximise(*known), *known, one_pass, samples.dtype), known[0].counts
    if free and (wrong := engine.degenerate_components(step.mixture, counts, None)):
        raise ValueError(f"responsibilities must give every component some samples; {wrong}")
    new = step.mixture
    return Mixture(new.weights, new.means, type(new.covariance)(new.covariance.values))


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
    logs = np.log(np.where(responsibilities > 0, responsibilities, 1))  # 0 log 0 = 0
    entropy = -float((responsibilities * logs).sum())
    return Elbo(expected + entropy, expected, entropy)


def _checked(X: Any, responsibilities: Any, mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    check_mixture(mixture)
    X = check_samples(X, n_features=mixture.n_features)
    shape = (len(X), mixture.n_components)
    return X, check_responsibilities(responsibilities, shape=shape)
