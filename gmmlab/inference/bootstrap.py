"""Standard errors and percentile intervals from two bootstraps.

Each replicate is EM on the same samples with random weights:

    nonparametric        multinomial: how often each sample is in n draws with replacement
    weighted likelihood  Exponential(1) for each sample, so that no sample is left out

(Efron and Tibshirani 1993; Newton and Raftery 1994.) The order of components is arbitrary, so the
components of each replicate are matched to those of the fit before they are compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from gmmlab import diagnostics
from gmmlab._validation import BLOCKS
from gmmlab.em import fit as fit_by_em
from gmmlab.em import fit_stack
from gmmlab.engine import Options, Samples, one_blas_thread
from gmmlab.inference.result import Parameters, Uncertainty, check_maximum
from gmmlab.mixture import Mixture
from gmmlab.result import Fit

# Replicates run together as long as their weights have at most this many entries (64 MiB).
_ENTRIES = 2**23
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
    settings: dict[str, Any],
) -> Uncertainty:
    """Return standard errors and percentile intervals from a bootstrap, one of `DRAWS`."""
    weight = samples.weight_or_one
    if method == "bootstrap" and abs(samples.total - round(samples.total)) > _WHOLE * samples.total:
        raise ValueError(
            "sample_weight must sum to an integer for method='bootstrap'; got the sum "
            f"{samples.total}. method='weighted' takes any weights"
        )
    settings = {name: value for name, value in settings.items() if name != "missing"}
    defaults = {"tol": 1e-8, "max_iter": 10_000, "accelerate": True}
    settings = {**defaults, **settings, "free": fit.free}
    continued = fit_by_em(samples, fit.mixture, **settings)
    # Near a maximum, the log-likelihood falls by half the squared distance in standard errors.
    gain = continued.log_likelihood - continued.trace["log_likelihood"][0]
    check_maximum(np.sqrt(2 * max(0, gain)))

    batches = _batches(samples, weight, DRAWS[method], rng.spawn(n_bootstrap))
    with one_blas_thread():
        found = [_sound_replicates(drawn, fit.mixture, settings) for drawn in batches]
    n_sound = sum(len(converged) for _, converged in found)
    n_degenerate = n_bootstrap - n_sound
    remedy = "Set floor, or use fewer components or a simpler structure"
    if n_sound < 2:
        raise ValueError(
            f"fit must not degenerate on resampled data; {n_degenerate} of {n_bootstrap} "
            f"replicates degenerated. {remedy}"
        )
    if n_sound < _ENOUGH * n_bootstrap:
        warnings.warn(
            f"{n_degenerate} of {n_bootstrap} replicates degenerated, and the intervals describe "
            f"only the others. {remedy}",
            RuntimeWarning,
            stacklevel=3,
        )
    mixtures = Mixture.concatenated([mixtures for mixtures, _ in found])
    replicates = in_order(mixtures, fit.mixture, fit.free)
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
        mean_covariances=np.einsum("bki,bkj->kij", centred, centred) / (n_sound - 1),
        replicates=replicates,
        n_degenerate=n_degenerate,
        n_unconverged=sum(int((~converged).sum()) for _, converged in found),
    )


def _batches(
    samples: Samples,
    weight: np.ndarray,
    draw: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    generators: list[np.random.Generator],
) -> Iterator[Samples]:
    """Yield the samples with random weights, a row for each replicate, batch by batch.

    Replicates whose weights leave nothing to fit are left out.
    """
    size = max(1, _ENTRIES // samples.n_samples)
    for begin in range(0, len(generators), size):
        weights = np.stack([draw(weight, own) for own in generators[begin : begin + size]])
        weights = weights[_usable(samples, weights)]
        if len(weights):
            yield Samples(samples.X, weights, missing=samples.has_missing, n_fits=len(weights))


def _usable(samples: Samples, weights: np.ndarray) -> np.ndarray:
    """Return for which rows of weights there are samples, with an entry for each feature."""
    usable = weights.sum(axis=1) > np.finfo(float).tiny
    if samples.has_missing:
        seen = ~np.isnan(samples.X)
        usable &= ((weights > 0) @ seen).all(axis=1)
    return usable


def _sound_replicates(
    drawn: Samples, reference: Mixture, settings: dict[str, Any]
) -> tuple[Mixture, np.ndarray]:
    """Fit all replicates at once, starting from `reference`.

    Return the mixtures that are not degenerate, as a stack, and a mask of those that converged.
    """
    starts = [reference] * len(drawn.weight)
    options = Options.checked(drawn, starts, name="fit", **settings)
    fits = fit_stack(replace(options, remaining_gain=False))
    status = np.array([one.status for one in fits])
    mixtures = Mixture.stacked([one.mixture for one in fits])
    sound = status != "degenerate"
    if "covariances" in options.free:
        sound &= [not problems for problems in diagnostics.degenerate_many(mixtures, drawn)]
    return mixtures.select(sound), status[sound] == "converged"


def in_order(mixtures: Mixture, reference: Mixture, free: frozenset[str]) -> Parameters:
    """Return the parameters of a stack, with the components of each in the order of a reference."""
    order = diagnostics.match_many(mixtures, reference)
    ours, theirs = Parameters.of(mixtures), Parameters.of(reference)
    matched = _permuted(ours, mixtures, order)
    # Known parameters identify their components, so matching must not permute them.
    moved = np.zeros(len(order), dtype=bool)
    for block, here, there in zip(BLOCKS, matched, theirs, strict=True):
        if block not in free:
            moved |= (here != there).reshape(len(order), -1).any(axis=1)
    order[moved] = np.arange(mixtures.n_components)
    return _permuted(ours, mixtures, order)


def _permuted(parameters: Parameters, mixtures: Mixture, order: np.ndarray) -> Parameters:
    """Return parameters of a stack with the components in the order (n, k)."""
    weights, means, covariances = parameters
    if "n_components" in mixtures.covariance.shape:
        covariances = _taken(covariances, order)
    return Parameters(_taken(weights, order), _taken(means, order), covariances)


def _taken(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return values (n, k, …) in the order (n, k)."""
    return values[np.arange(len(order))[:, None], order]
