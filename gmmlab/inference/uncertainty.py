"""How sure a fit is of its parameters: standard errors and confidence intervals.

Three ways (McLachlan and Peel 2000, sections 2.15 and 2.16). The observed information (I3) takes
one pass over the data and holds for large samples; the two bootstraps fit many data sets like these
and ask how much the fits differ. Both are EM with random weights for the samples:

    nonparametric        how often each of n draws with replacement is a sample: multinomial
    weighted likelihood  Exponential(1) for each sample, which leaves none of them out

(Efron and Tibshirani 1993; Newton and Raftery 1994.) Component numbers are arbitrary, so each
replicate's components are matched to those of the fit before anything is compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, logit, ndtri

from gmmlab import diagnostics
from gmmlab._validation import (
    BLOCKS,
    check_choice,
    check_count,
    check_jobs,
    check_number,
    check_rng,
)
from gmmlab.convergence.coordinates import Coordinates
from gmmlab.convergence.information import information
from gmmlab.em import fit as fit_by_em
from gmmlab.em import sufficient_statistics
from gmmlab.engine.samples import Samples, as_samples
from gmmlab.engine.threads import one_blas_thread
from gmmlab.mixture import Mixture
from gmmlab.result import Fit, check_fit

if TYPE_CHECKING:
    from pandas import DataFrame

# A fit may be this far from the maximum, in standard errors, for them to be told there.
_NEAR = 0.1
# A bootstrap with a smaller share of sound replicates warns.
_ENOUGH = 0.5
# A sum of weights this near a whole number is one, up to rounding.
_WHOLE = 1e-9


# ---- what is told --------------------------------------------------------------------------


class Parameters(NamedTuple):
    """One number for each number of a mixture; replicates have a first axis more."""

    #: shape (n_components,)
    weights: np.ndarray
    #: shape (n_components, n_features)
    means: np.ndarray
    #: in the shape of the structure's `values`, such as (n_features, n_features) for Tied
    covariances: np.ndarray

    @classmethod
    def of(cls, mixture: Mixture) -> Parameters:
        """Return the numbers of a mixture."""
        return cls(mixture.weights, mixture.means, mixture.covariance.values)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What `uncertainty` returns. A block that was not free is known: its errors are 0."""

    #: the estimate that all this is about
    mixture: Mixture
    #: "information", "bootstrap" or "weighted"
    method: str
    #: what share of such intervals is to hold the truth
    level: float
    #: standard deviations of the estimates, in the units of each; 0 for what is known
    standard_errors: Parameters
    #: lower and upper ends of the intervals, one for each parameter on its own
    lower: Parameters
    upper: Parameters
    #: covariance matrix of each estimated mean, shape (n_components, n_features, n_features)
    mean_covariances: np.ndarray
    #: the fits of a bootstrap that are not degenerate, in the fit's order; shapes (n, …)
    replicates: Parameters | None = None
    #: number of replicates that degenerated, which are not in `replicates`
    n_degenerate: int = 0
    #: number of `replicates` that ended before they converged
    n_unconverged: int = 0

    @property
    def message(self) -> str:
        """What the intervals are and what speaks against them, in words."""
        share = f"{100 * self.level:g} %"
        if self.replicates is None:
            return (
                f"{share} Wald intervals by the observed information; for weights on the logit "
                "scale, for variances on that of their logarithm."
            )
        n = len(self.replicates.weights)
        kind = {"bootstrap": "nonparametric", "weighted": "weighted-likelihood"}[self.method]
        words = f"{share} percentile intervals from {n} replicates of the {kind} bootstrap."
        if self.n_degenerate:
            words += (
                f" {self.n_degenerate} of {n + self.n_degenerate} degenerated and are not in "
                "them: where such fits are likely, the intervals are too narrow."
            )
        if self.n_unconverged:
            words += f" {self.n_unconverged} did not converge; raise max_iter."
        return words

    def to_frame(self) -> DataFrame:
        """Return a pandas data frame with one row for each parameter.

        `component`, `feature` and `other_feature` (of a covariance matrix, its upper triangle)
        say which it is, and are missing where the parameter is of all of them.
        """
        from pandas import DataFrame

        dimensions = {
            "weights": ("n_components",),
            "means": ("n_components", "n_features"),
            "covariances": self.mixture.covariance.shape,
        }
        of_matrix = ("feature", "other_feature")
        estimates, rows = Parameters.of(self.mixture), []
        for number, (block, names) in enumerate(dimensions.items()):
            places = ["component"] * ("n_components" in names)
            places += of_matrix[: names.count("n_features")]
            for index in np.ndindex(estimates[number].shape):
                place = dict(zip(places, map(int, index), strict=True))
                if place.get("other_feature", np.inf) < place.get("feature", 0):
                    continue
                rows.append(
                    {
                        "block": block,
                        **dict.fromkeys(("component", *of_matrix)),
                        **place,
                        "estimate": estimates[number][index],
                        "standard_error": self.standard_errors[number][index],
                        "lower": self.lower[number][index],
                        "upper": self.upper[number][index],
                    }
                )
        whole = dict.fromkeys(("component", *of_matrix), "Int64")
        return DataFrame(rows).astype(whole)


def check_uncertainty(found: Any) -> Uncertainty:
    """Return `found` if it is what `uncertainty` returns, for those who take it as an argument."""
    if not isinstance(found, Uncertainty):
        raise TypeError(
            f"found must be an Uncertainty, as gmmlab.uncertainty returns it; "
            f"got {type(found).__name__}"
        )
    return found


def uncertainty(
    fit: Fit,
    X: Any,
    *,
    method: Literal["information", "bootstrap", "weighted"] = "information",
    level: float = 0.95,
    sample_weight: Any = None,
    rng: np.random.Generator | None = None,
    n_bootstrap: int = 999,
    n_jobs: int | None = None,
    **settings: Any,
) -> Uncertainty:
    """Return standard errors and intervals for weights, means and covariances.

    Parameters
    ----------
    fit : Fit
        What `gmmlab.fit` returned, at a maximum of the likelihood; its blocks that are not free
        are known.
    X : array_like, shape (n_samples, n_features)
        The samples that it was fitted to.
    method : {"information", "bootstrap", "weighted"}, default "information"
        The observed information, or the nonparametric or the weighted-likelihood bootstrap.
    level : float, default 0.95
        What share of the intervals is to hold the truth, in (0, 1).
    sample_weight : array_like, shape (n_samples,), optional
        The weights it was fitted with: how often each sample was seen. For "bootstrap" their sum
        must be a whole number, for it says how often to draw.
    rng : numpy.random.Generator, optional
        Source of the draws; both bootstraps need it. Each replicate has a child of its own, so
        the result does not depend on `n_jobs`.
    n_bootstrap : int, default 999
        Number of replicates, at least 2.
    n_jobs : int, optional
        How many replicates are fitted at a time, as joblib counts: -1 for all cores, by
        default one unless a ``joblib.parallel_config`` says otherwise.
    **settings
        As in `fit`, for the replicates: the `floor` of the fit, say. Unless told otherwise
        ``tol=1e-8, max_iter=10_000, accelerate=True``. They begin at the fit.

    Returns
    -------
    Uncertainty

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range. If the fit is no maximum, or more
        than a tenth of a standard error away from it. With "information", if covariances are free
        and components share a part of them (VEI, EVI, VEE, EVE, VVE, EEV, VEV and EVV), or
        entries are missing; the bootstraps take both. If fewer than two replicates are sound.

    Warns
    -----
    RuntimeWarning
        If more than half of a bootstrap's replicates degenerate: what is left is a selection.

    Notes
    -----
    *Information.* I_obs comes from analytic scores (Louis 1982; see `gmmlab.convergence`) in
    coordinates without constraints, k − 1 of them for the weights, and the free entries of the
    covariances. Its inverse is taken to the parameters by their derivatives, the delta method:
    with η = log πₖ/π_K, C Cᵀ = Σ and Σ = C exp(√2 A) Cᵀ,

        Var π = (diag π − π πᵀ) Var η (diag π − π πᵀ),   Var μₖ = Cₖ Var a Cₖᵀ,

    and Var Σ from ∂Σ/∂A. Intervals are Wald's: the estimate ± z standard errors, for a weight on
    the scale of log π/(1 − π) and for a variance on that of its logarithm. There they are nearer
    to normal, and the ends are weights and variances again. Covariances of two features have
    either sign and are left on their own scale.

    It takes the model for right, as the bootstraps do not.

    *Bootstraps.* Standard errors are standard deviations over the replicates; intervals are
    between percentiles. Each replicate is put in the fit's order by
    `diagnostics.match_mixtures`, never by sorting a coordinate. Replicates with a degenerate
    component are counted, and left out.

    Nominal 95 % intervals over 500 samples of 1000 from three separated clusters, with 199
    replicates each (``benchmarks/coverage.py``), held the truth in so many cases:

    ===========  =======  ======  =========  ===========
    method       weights  means   variances  covariances
    ===========  =======  ======  =========  ===========
    information  95.3 %   94.4 %  95.2 %     95.8 %
    bootstrap    94.2 %   93.6 %  93.6 %     94.7 %
    weighted     93.8 %   93.4 %  93.7 %     94.8 %
    ===========  =======  ======  =========  ===========

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import datasets, fit, start
    >>> X = datasets.old_faithful().X
    >>> result = fit(X, start.from_labels(X, X[:, 1] > 68), tol=1e-10)
    >>> uncertainty(result, X).standard_errors.means.round(3)
    array([[0.027, 0.592],
           [0.031, 0.456]])
    >>> rng = np.random.default_rng(0)
    >>> found = uncertainty(result, X, method="weighted", rng=rng, n_bootstrap=100)
    >>> found.standard_errors.weights.round(2)
    array([0.03, 0.03])
    """
    if check_fit(fit).status in ("degenerate", "not_increasing"):
        raise ValueError(f"fit must be a sound one; this one is {fit.status!r}: {fit.message}")
    check_choice(method, ("information", *_DRAWS), name="method")
    level = check_number(level, name="level", inclusive=False)
    if not level < 1:
        raise ValueError(f"level must be in (0, 1); got {level}")
    if method == "information" and settings:
        raise TypeError(f"settings are for the bootstraps; got {', '.join(map(repr, settings))}")
    if "free" in settings:
        raise TypeError("settings must not hold free: what is free in fit is free in replicates")
    if method == "information":
        return _by_information(fit, as_samples(X, sample_weight), level)
    rng = check_rng(rng)
    n_bootstrap = check_count(n_bootstrap, name="n_bootstrap", minimum=2)
    n_jobs = check_jobs(n_jobs)
    samples = as_samples(
        X, sample_weight, missing=settings.get("missing") == "marginalise", in_memory=True
    )
    return _by_bootstrap(fit, samples, method, level, rng, n_bootstrap, n_jobs, settings)


# ---- the observed information --------------------------------------------------------------


def _by_information(fit: Fit, samples: Samples, level: float) -> Uncertainty:
    mixture = fit.mixture
    if "covariances" in fit.free and mixture.covariance.curved:
        raise ValueError(
            "fit must have covariances that are known, or of which components share all or "
            f"nothing, for method='information'; got {mixture.covariance.name}: take "
            "method='bootstrap' or 'weighted'"
        )
    errors, mean_covariances = _known(mixture)
    if fit.n_parameters:
        _check_maximum(np.sqrt(diagnostics.remaining_gain(fit, samples)))
        errors, mean_covariances = _delta(Coordinates(mixture, fit.free), samples)
    lower, upper = _wald(Parameters.of(mixture), errors, level, _variances(mixture))
    return Uncertainty(
        mixture=mixture,
        method="information",
        level=level,
        standard_errors=errors,
        lower=lower,
        upper=upper,
        mean_covariances=mean_covariances,
    )


def _known(mixture: Mixture) -> tuple[Parameters, np.ndarray]:
    """Return the standard errors of what is known, and the covariances of its means."""
    errors = Parameters(*map(np.zeros_like, Parameters.of(mixture)))
    return errors, np.zeros((*mixture.means.shape, mixture.n_features))


def _delta(coordinates: Coordinates, samples: Samples) -> tuple[Parameters, np.ndarray]:
    """Take I_obs⁻¹ from the coordinates to standard errors, and covariances of the means."""
    mixture, places, size = coordinates.origin, coordinates.places, coordinates.size
    covariance, d = mixture.covariance, mixture.n_features
    with one_blas_thread():
        observed = information(
            samples, coordinates, sufficient_statistics(samples, mixture).counts
        ).observed
        inverse = np.zeros((size + 1, size + 1))  # the last weight's coordinate stands still
        inverse[:size, :size] = cho_solve(cho_factor(observed), np.eye(size))
    errors, of_means = _known(mixture)

    def among(places: np.ndarray) -> np.ndarray:
        return inverse[places[..., :, None], places[..., None, :]]

    for block, columns in coordinates.columns.items():
        mine = places[:, columns]
        if block == "weights":
            slope = np.diag(mixture.weights) - np.outer(mixture.weights, mixture.weights)
            variances = np.diagonal(slope @ among(mine[:, 0]) @ slope)
        elif block == "means":
            of_means = covariance.colour(covariance.colour(among(mine)).swapaxes(1, 2))
            variances = np.diagonal(of_means, axis1=1, axis2=2)
        else:
            slopes = covariance.tangents(d)
            slopes = slopes.reshape(*slopes.shape[:2], -1)
            variances = np.einsum(
                "kqa,kqr,kra->ka", slopes, among(mine[: len(slopes)]), slopes, optimize=True
            ).reshape(covariance.values.shape)
        # What is 0 in exact arithmetic, as with one component, may be below it by rounding.
        errors = errors._replace(**{block: np.sqrt(np.maximum(variances, 0))})
    return errors, of_means


def _check_maximum(distance: float) -> None:
    """Refuse a fit that is this many standard errors away from a maximum of the likelihood."""
    if not distance <= _NEAR:
        where = (
            f"{distance:.2g} standard errors away" if distance < np.inf else "not curved as there"
        )
        raise ValueError(
            "fit must be at a maximum of the likelihood, within a tenth of a standard error, and "
            f"it is {where}. Go on from fit.mixture with a lower tol, or with fewer components; "
            "and give X, sample_weight and the floor as they were in fit"
        )


def _variances(mixture: Mixture) -> np.ndarray:
    """Return which of a structure's values are variances, not covariances of two features."""
    values = mixture.covariance.values
    if mixture.covariance.shape.count("n_features") < 2:
        return np.ones(values.shape, dtype=bool)
    return np.broadcast_to(np.eye(mixture.n_features, dtype=bool), values.shape)


def _wald(
    estimates: Parameters, errors: Parameters, level: float, variances: np.ndarray
) -> tuple[Parameters, Parameters]:
    """Return the ends of Wald's intervals, on the scales that the notes of `uncertainty` name."""
    z = ndtri((1 + level) / 2)
    ends = []
    weights, values = estimates.weights, estimates.covariances
    # One component has all the weight, and that is known; its logit is infinite.
    slope = np.maximum(weights * (1 - weights), np.finfo(float).tiny)
    for sign in (-z, z):
        with np.errstate(over="ignore"):  # a variance about which nothing is known
            scaled = values * np.exp(sign * errors.covariances / np.where(variances, values, 1))
        ends.append(
            Parameters(
                expit(logit(weights) + sign * errors.weights / slope),
                estimates.means + sign * errors.means,
                np.where(variances, scaled, values + sign * errors.covariances),
            )
        )
    return ends[0], ends[1]


# ---- the bootstraps ------------------------------------------------------------------------


def _copies(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how often each sample is among as many drawn with replacement."""
    total = weight.sum()
    return rng.multinomial(round(total), weight / total).astype(float)


def _exponential(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw an Exponential(1) weight for each sample; w copies of one add up to a Gamma(w)."""
    return rng.standard_gamma(weight)


_DRAWS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "bootstrap": _copies,
    "weighted": _exponential,
}


def _by_bootstrap(
    fit: Fit,
    samples: Samples,
    method: str,
    level: float,
    rng: np.random.Generator,
    n_bootstrap: int,
    n_jobs: int | None,
    settings: dict[str, Any],
) -> Uncertainty:
    weight = np.ones(samples.n_samples) if samples.weight is None else samples.weight
    if method == "bootstrap" and abs(samples.total - round(samples.total)) > _WHOLE * samples.total:
        raise ValueError(
            "sample_weight must add up to a whole number for method='bootstrap'; got "
            f"{samples.total}; method='weighted' takes any"
        )
    settings = {"tol": 1e-8, "max_iter": 10_000, "accelerate": True, **settings, "free": fit.free}
    going_on = fit_by_em(samples, fit.mixture, **settings)
    # Near a maximum, the log-likelihood falls by half the squared distance in standard errors.
    gain = going_on.log_likelihood - going_on.trace["log_likelihood"][0]
    _check_maximum(np.sqrt(2 * max(0, gain)))

    jobs = (
        delayed(_replicate)(samples, weight, fit.mixture, _DRAWS[method], own, settings)
        for own in rng.spawn(n_bootstrap)
    )
    sound = [found for found in Parallel(n_jobs=n_jobs)(jobs) if found is not None]
    if len(sound) < 2:
        raise ValueError(
            f"fit must be sound on data like X; {n_bootstrap - len(sound)} of {n_bootstrap} "
            "replicates degenerated: take a floor, fewer components or a simpler structure"
        )
    if len(sound) < _ENOUGH * n_bootstrap:
        warnings.warn(
            f"only {len(sound)} of {n_bootstrap} replicates are sound, and the intervals speak of "
            "those alone: take a floor, fewer components or a simpler structure",
            RuntimeWarning,
            stacklevel=3,
        )
    columns = zip(*(found.parameters for found in sound), strict=True)
    replicates = Parameters(*map(np.stack, columns))
    tail = (1 - level) / 2
    lower, upper = (
        Parameters(*(np.quantile(block, share, axis=0) for block in replicates))
        for share in (tail, 1 - tail)
    )
    # About one of them, so that what is known has an error of 0 to the last bit.
    errors = [np.std(block - block[0], axis=0, ddof=1) for block in replicates]
    centred = replicates.means - replicates.means[0]
    centred -= centred.mean(axis=0)
    return Uncertainty(
        mixture=fit.mixture,
        method=method,
        level=level,
        standard_errors=Parameters(*errors),
        lower=lower,
        upper=upper,
        mean_covariances=np.einsum("bki,bkj->kij", centred, centred) / (len(sound) - 1),
        replicates=replicates,
        n_degenerate=n_bootstrap - len(sound),
        n_unconverged=sum(not found.converged for found in sound),
    )


class _Replicate(NamedTuple):
    parameters: Parameters
    converged: bool


def _replicate(
    samples: Samples,
    weight: np.ndarray,
    reference: Mixture,
    draw: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    rng: np.random.Generator,
    settings: dict[str, Any],
) -> _Replicate | None:
    """Fit the samples with weights that are drawn, from `reference`; None if that degenerates."""
    try:
        drawn = Samples(samples.X, draw(weight, rng), missing=samples.has_missing)
        found = fit_by_em(drawn, reference, **settings)
    except ValueError:  # DegenerateError too; that the arguments are right is known by now
        return None
    if "covariances" in found.free and diagnostics.degenerate(found.mixture, drawn):
        return None
    ordered = _in_order(found.mixture, reference, found.free)
    return _Replicate(Parameters.of(ordered), found.converged)


def _in_order(mixture: Mixture, reference: Mixture, free: frozenset[str]) -> Mixture:
    """Return a mixture with its components in the order of the reference."""
    matched = mixture.take(diagnostics.match_mixtures(mixture, reference))
    # What is known of each component gives it a name, which it keeps wherever it goes.
    same = all(
        block in free or np.array_equal(here, there)
        for block, here, there in zip(
            BLOCKS, Parameters.of(matched), Parameters.of(reference), strict=True
        )
    )
    return matched if same else mixture
