"""Standard errors and percentile intervals from two bootstraps.

Each replicate is EM on the same samples with random weights:

    nonparametric        multinomial: how often each sample is in n draws with replacement
    weighted likelihood  Exponential(1) for each sample, so that no sample is left out

(Efron and Tibshirani 1993; Newton and Raftery 1994.) The order of components is arbitrary, so the
components of each replicate are matched to those of the fit before they are compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from gmmlab import diagnostics
from gmmlab._validation import BLOCKS
from gmmlab.em import fit as fit_by_em
from gmmlab.engine import Samples
from gmmlab.inference.result import Parameters, Uncertainty, check_maximum
from gmmlab.mixture import Mixture
from gmmlab.result import Fit

# A bootstrap warns if a smaller share of its replicates than this did not degenerate.
_ENOUGH = 0.5
# A sum of weights is taken for an integer if it is this close to one, relative to the sum.
_WHOLE = 1e-9


# ---- random weights ------------------------------------------------------------------------


def multinomial_weights(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how often each sample is in a sample of the same size, drawn with replacement."""
    total = weight.sum()
    return rng.multinomial(round(total), weight / total).astype(float)


def exponential_weights(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw an Exponential(1) weight for each sample; w copies of a sample add up to Gamma(w)."""
    return rng.standard_gamma(weight)


#: how each method draws the weights of a replicate
DRAWS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "bootstrap": multinomial_weights,
    "weighted": exponential_weights,
}


# ---- the bootstraps ------------------------------------------------------------------------


def bootstrap_uncertainty(
    fit: Fit,
    samples: Samples,
    method: str,
    level: float,
    rng: np.random.Generator,
    n_bootstrap: int,
    n_jobs: int | None,
    settings: dict[str, Any],
) -> Uncertainty:
    """Return standard errors and percentile intervals from a bootstrap, one of `DRAWS`."""
    weight = np.ones(samples.n_samples) if samples.weight is None else samples.weight
    if method == "bootstrap" and abs(samples.total - round(samples.total)) > _WHOLE * samples.total:
        raise ValueError(
            "sample_weight must sum to an integer for method='bootstrap'; got the sum "
            f"{samples.total}. method='weighted' takes any weights"
        )
    settings = {"tol": 1e-8, "max_iter": 10_000, "accelerate": True, **settings, "free": fit.free}
    continued = fit_by_em(samples, fit.mixture, **settings)
    # Near a maximum, the log-likelihood falls by half the squared distance in standard errors.
    gain = continued.log_likelihood - continued.trace["log_likelihood"][0]
    check_maximum(np.sqrt(2 * max(0, gain)))

    jobs = (
        delayed(_fit_replicate)(samples, weight, fit.mixture, DRAWS[method], own, settings)
        for own in rng.spawn(n_bootstrap)
    )
    sound = [found for found in Parallel(n_jobs=n_jobs)(jobs) if found is not None]
    n_degenerate = n_bootstrap - len(sound)
    remedy = "Set floor, or use fewer components or a simpler structure"
    if len(sound) < 2:
        raise ValueError(
            f"fit must not degenerate on resampled data; {n_degenerate} of {n_bootstrap} "
            f"replicates degenerated. {remedy}"
        )
    if len(sound) < _ENOUGH * n_bootstrap:
        warnings.warn(
            f"{n_degenerate} of {n_bootstrap} replicates degenerated, and the intervals describe "
            f"only the others. {remedy}",
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
    # Subtracting one replicate makes the errors of known parameters exactly 0.
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
        n_degenerate=n_degenerate,
        n_unconverged=sum(not found.converged for found in sound),
    )


class _Replicate(NamedTuple):
    parameters: Parameters
    converged: bool


def _fit_replicate(
    samples: Samples,
    weight: np.ndarray,
    reference: Mixture,
    draw: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    rng: np.random.Generator,
    settings: dict[str, Any],
) -> _Replicate | None:
    """Fit randomly weighted samples, starting from `reference`; return None if EM degenerates."""
    try:
        drawn = Samples(samples.X, draw(weight, rng), missing=samples.has_missing)
        found = fit_by_em(drawn, reference, **settings)
    except ValueError:  # the settings are valid, so it is a DegenerateError or unusable weights
        return None
    if "covariances" in found.free and diagnostics.degenerate(found.mixture, drawn):
        return None
    ordered = in_order(found.mixture, reference, found.free)
    return _Replicate(Parameters.of(ordered), found.converged)


def in_order(mixture: Mixture, reference: Mixture, free: frozenset[str]) -> Mixture:
    """Return a mixture with its components in the order of the reference."""
    matched = mixture.take(diagnostics.match_mixtures(mixture, reference))
    # Known parameters identify their components, so matching must not permute them.
    unchanged = all(
        block in free or np.array_equal(here, there)
        for block, here, there in zip(
            BLOCKS, Parameters.of(matched), Parameters.of(reference), strict=True
        )
    )
    return matched if unchanged else mixture
