"""The data's own scale: what floors and degeneracy are measured against."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from gmmlab._validation import check_number, listed
from gmmlab.covariance import Covariance, Diagonal
from gmmlab.engine.samples import Samples, as_samples
from gmmlab.engine.statistics import ResidualForm
from gmmlab.mixture import Mixture

# A correlation matrix with a smaller eigenvalue than this is singular to working precision.
_SINGULAR = 1e-13

Found = TypeVar("Found")
OfSamples = Callable[[Samples, type[Covariance]], Found]


def _remembered(function: OfSamples[Found]) -> OfSamples[Found]:
    """Keep what is found with the samples that it was found of."""

    @wraps(function)
    def asked(samples: Samples, structure: type[Covariance]) -> Found:
        key = function.__name__, structure
        if key not in samples.remembered:
            samples.remembered[key] = function(samples, structure)
        return samples.remembered[key]

    return asked


def relative_floor(X: Any, fraction: float = 1e-6, *, sample_weight: Any = None) -> np.ndarray:
    """Return a floor of covariance eigenvalues that goes with the data's own scale.

    Parameters
    ----------
    X : array_like or dask.array.Array, shape (n_samples, n_features)
        Samples, in data units; NaN entries are left out.
    fraction : float, default 1e-6
        Share of each feature's variance; above 0.
    sample_weight : array_like, shape (n_samples,), optional
        How often each sample counts.

    Returns
    -------
    ndarray, shape (n_features,)
        For `fit(…, floor=…)`, in squared data units. A constant feature has no scale: it gets
        the mean of the others' (or `fraction` itself where all are constant).

    Raises
    ------
    TypeError, ValueError
        If `X` is not a finite 2-D array or `fraction` not above 0.

    Examples
    --------
    >>> relative_floor([[0.0, 5.0], [2.0, 5.0]], fraction=0.01)
    array([0.01, 0.01])
    """
    samples = as_samples(X, sample_weight, missing=True)
    fraction = check_number(fraction, name="fraction", inclusive=False)
    constant = _constant(samples)
    if constant.all():
        return np.full(samples.n_features, fraction)
    variances = total_moment(samples, Diagonal)[0]
    return fraction * np.where(constant, variances[~constant].mean(), variances)


@_remembered
def total_moment(samples: Samples, structure: type[Covariance]) -> np.ndarray:
    """Return the second moment of all samples about their mean, in a structure's shape, k = 1.

    Where entries are missing, each feature's variance is that of its observed entries, and
    features count as uncorrelated: a scale is all that is asked for.
    """
    if samples.has_missing:
        return structure.of_variances(_observed_variances(samples)[None])
    centre = Mixture([1.0], samples.centre[None], structure.unit(1, samples.n_features))
    mean = samples.fold(ResidualForm(centre)).means()
    return samples.fold(ResidualForm(centre, about=mean)).moments(structure, mean)


@_remembered
def whole_covariance(samples: Samples, structure: type[Covariance]) -> Covariance:
    """Return the covariance of all samples, positive definite also where a feature is constant."""
    whole = structure.estimate(np.ones(1), total_moment(samples, structure))
    return whole.clipped(relative_floor(samples))[0]


def _observed_variances(samples: Samples) -> np.ndarray:
    """Return the variance of the observed entries of each feature."""
    centre = samples.centre  # `powers` may travel to where the blocks are, the samples may not

    def powers(X: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        seen = ~np.isnan(X)
        share = seen if weight is None else seen * weight[:, None]
        z = np.where(seen, X - centre, 0)
        return np.stack([share.sum(axis=0), (share * z).sum(axis=0), (share * z * z).sum(axis=0)])

    count, first, second = samples.fold(powers)
    return second / count - (first / count) ** 2


@_remembered
def own_covariance(samples: Samples, structure: type[Covariance]) -> Covariance:
    """Return the covariance of all samples under a structure: the fit with k = 1, exact.

    It is the scale against which a component counts as collapsed.

    Raises
    ------
    ValueError
        If it is singular, so that no component's covariance can be estimated either.
    """
    advice = "drop features, choose another structure, or give floor=…"
    if (constant := _constant(samples)).any():
        raise ValueError(
            f"X is constant in feature {listed(constant)}, so {structure.__name__} covariances "
            f"cannot be estimated: {advice}"
        )
    covariance = structure.estimate(np.ones(1), total_moment(samples, structure))
    if covariance.conditioning()[0] < _SINGULAR:
        raise ValueError(
            f"X must span all of its {samples.n_features} features, and its {samples.n_samples} "
            f"samples lie in fewer dimensions, so {structure.__name__} covariances cannot be "
            f"estimated: {advice}"
        )
    return covariance


def _constant(samples: Samples) -> np.ndarray:
    """Return which features never change, but for rounding."""
    low, high = samples.spread
    size = np.maximum(np.abs(high), np.abs(low))
    return high - low <= 8 * np.finfo(samples.dtype).eps * size
