"""The scale of the data: the reference for floors, degeneracy and rounding."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from gmmlab._validation import check_number, listed
from gmmlab.covariance import Covariance, Diagonal
from gmmlab.engine.degeneracy import CONSTANT, SINGULAR
from gmmlab.engine.samples import Samples, as_samples
from gmmlab.engine.statistics import ResidualForm
from gmmlab.mixture import Mixture

# Two log-likelihoods that differ by less than this fraction of their size differ by rounding.
_ROUNDING = {np.dtype(np.float64): 1e-11, np.dtype(np.float32): 1e-4}

Found = TypeVar("Found")
OfSamples = Callable[[Samples, type[Covariance]], Found]


def _cached(function: OfSamples[Found]) -> OfSamples[Found]:
    """Cache results on the `Samples` object: every fit of a search asks for the same ones."""

    @wraps(function)
    def cached(samples: Samples, structure: type[Covariance]) -> Found:
        key = function.__name__, structure
        if key not in samples.cache:
            samples.cache[key] = function(samples, structure)
        return samples.cache[key]

    return cached


def relative_floor(X: Any, fraction: float = 1e-6, *, sample_weight: Any = None) -> np.ndarray:
    """Return a floor for covariance eigenvalues that is relative to the scale of the data.

    Parameters
    ----------
    X : array_like or dask.array.Array, shape (n_samples, n_features)
        Samples, in data units. NaN entries are ignored.
    fraction : float, default 1e-6
        Fraction of each feature's variance; must be above 0.
    sample_weight : array_like, shape (n_samples,), optional
        Weight of each sample; 1 by default.

    Returns
    -------
    ndarray, shape (n_features,)
        A value for `fit(…, floor=…)`, in squared data units. A constant feature has no scale of
        its own and gets the mean of the other features (`fraction` if all are constant).

    Raises
    ------
    TypeError, ValueError
        If `X` is not a finite 2-D array or `fraction` is not above 0.

    Examples
    --------
    >>> relative_floor([[0.0, 5.0], [2.0, 5.0]], fraction=0.01)
    array([0.01, 0.01])
    """
    samples = as_samples(X, sample_weight, missing=True)
    fraction = check_number(fraction, name="fraction", inclusive=False)
    constant = _constant(samples)
    variances = total_moment(samples, Diagonal)[..., 0, :]
    varying = ~constant
    count = varying.sum(axis=-1, keepdims=True)
    mean = (variances * varying).sum(axis=-1, keepdims=True) / np.maximum(count, 1)
    return fraction * np.where(count == 0, 1.0, np.where(constant, mean, variances))


@_cached
def total_moment(samples: Samples, structure: type[Covariance]) -> np.ndarray:
    """Return the second moment of all samples about their mean, in a structure's shape, k = 1.

    A stack of fits with data or weights of their own has a stack of moments. If entries are
    missing, the variance of each feature is that of its observed entries, and features are treated
    as uncorrelated: this is enough for a scale.
    """
    if samples.has_missing:
        return structure.moments.of_variances(_observed_variances(samples)[..., None, :])
    stack = samples.stack
    means = np.broadcast_to(samples.centre[..., None, :], (*stack, 1, samples.n_features))
    unit = structure.unit(1, samples.n_features)
    units = structure.unchecked(np.broadcast_to(unit.values, (*stack, *unit.values.shape)))
    centre = Mixture.unchecked(np.ones((*stack, 1)), means, units)
    mean = samples.fold(ResidualForm(centre)).means()
    return samples.fold(ResidualForm(centre, about=mean)).moments(structure, mean)


@_cached
def whole_covariance(samples: Samples, structure: type[Covariance]) -> Covariance:
    """Return the covariance of all samples; it is positive definite even for constant features."""
    return _whole(samples, structure).clipped(relative_floor(samples))[0]


def _observed_variances(samples: Samples) -> np.ndarray:
    """Return the variance of the observed entries of each feature."""
    centre = samples.centre  # Dask sends `powers` to its workers; it must not hold the samples

    def powers(X: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        seen = ~np.isnan(X)
        share = seen if weight is None else seen * weight[..., None]
        z = np.where(seen, X - centre[..., None, :], 0)
        return np.stack([part.sum(axis=-2) for part in (share, share * z, share * z * z)])

    count, first, second = samples.fold(powers)
    return second / count - (first / count) ** 2


@_cached
def own_covariance(samples: Samples, structure: type[Covariance]) -> Covariance:
    """Return the covariance of all samples under a structure, which is the exact fit for k = 1.

    A component is compared with it to decide whether it has collapsed.

    Raises
    ------
    ValueError
        If it is singular. The covariance of a component cannot be estimated then either.
    """
    advice = "drop features, choose another structure, or give floor=…"
    constant = _constant(samples)
    if samples.stack:
        return _own_covariances(samples, structure, constant.any(axis=-1))
    if constant.any():
        raise ValueError(
            f"X is constant in feature {listed(constant)}, so {structure.__name__} covariances "
            f"cannot be estimated: {advice}"
        )
    covariance = _whole(samples, structure)
    if not structure.moments.conditioning(covariance.stack)[0] >= SINGULAR:
        raise ValueError(
            f"X must span all of its {samples.n_features} features; its {samples.n_samples} "
            f"samples lie in fewer dimensions, so {structure.__name__} covariances cannot be "
            f"estimated: {advice}"
        )
    return covariance


def _own_covariances(
    samples: Samples, structure: type[Covariance], constant: np.ndarray
) -> Covariance:
    """Return a stack of covariances, NaN for singular data, so that these fits are degenerate."""
    covariance = _whole(samples, structure)
    values = covariance.values.reshape(len(constant), -1)
    singular = ~(structure.moments.conditioning(covariance.stack) >= SINGULAR).all(axis=-1)
    values = np.where((constant | singular)[:, None], np.nan, values)
    return covariance.unchecked(values.reshape(covariance.values.shape))


def _whole(samples: Samples, structure: type[Covariance]) -> Covariance:
    """Return the estimate of a structure with one component."""
    moment = total_moment(samples, structure)
    return structure.estimate(np.ones((*samples.stack, 1)), moment)


def _constant(samples: Samples) -> np.ndarray:
    """Return a mask (…, d) of the features that are constant up to rounding."""
    low, high = samples.spread
    size = np.maximum(np.abs(high), np.abs(low))
    return high - low <= CONSTANT * np.finfo(samples.dtype).eps * size


def log_likelihood_rounding(
    samples: Samples, mixture: Mixture, log_likelihood: np.ndarray
) -> np.ndarray:
    """Return a bound on the rounding error of a log-likelihood, or of each in a stack.

    It has two parts: rounding in the sum over samples, and the error of ‖y‖² when a covariance
    is nearly singular.
    """
    covariance = mixture.covariance
    conditioning = covariance.moments.conditioning(covariance.stack).min(axis=-1)
    conditioning = np.maximum(conditioning, np.finfo(float).eps)
    whitening = 8 * np.finfo(float).eps * samples.total / conditioning
    size = np.abs(log_likelihood) + samples.total * samples.n_features
    return _ROUNDING[samples.dtype] * size + whitening
