"""The data's own scale: what floors and degeneracy are measured against."""

from __future__ import annotations

from typing import Any

import numpy as np

from gmmlab._validation import check_number, check_samples, listed
from gmmlab.covariance import Covariance
from gmmlab.mixture import block_slices

# A correlation matrix with a smaller eigenvalue than this is singular to working precision.
_SINGULAR = 1e-13


def relative_floor(X: Any, fraction: float = 1e-6) -> np.ndarray:
    """Return a floor of covariance eigenvalues that goes with the data's own scale.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    fraction : float, default 1e-6
        Share of each feature's variance; above 0.

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
    X = check_samples(X)
    fraction = check_number(fraction, name="fraction", inclusive=False)
    variances = X.var(axis=0)
    constant = _constant(X, variances)
    if constant.all():
        return np.full(X.shape[1], fraction)
    return fraction * np.where(constant, variances[~constant].mean(), variances)


def total_moment(X: np.ndarray, structure: type[Covariance]) -> np.ndarray:
    """Return the second moment of all of `X` about its mean, in a structure's shape, k = 1."""
    n, d = X.shape
    mean = X.mean(axis=0)
    total = sum(
        structure.scatter(
            np.ascontiguousarray((X[block] - mean).T)[None], np.ones((1, len(X[block])))
        )
        for block in block_slices(n, 1, d)
    )
    return total / n


def own_covariance(X: np.ndarray, structure: type[Covariance]) -> Covariance:
    """Return the covariance of all of `X` under a structure: the fit with k = 1, exact.

    It is the scale against which a component counts as collapsed.

    Raises
    ------
    ValueError
        If it is singular, so that no component's covariance can be estimated either.
    """
    n, d = X.shape
    covariance = structure.estimate(np.array([n]), total_moment(X, structure))
    variances = np.diagonal(covariance.dense(1, d)[0])
    advice = "drop features, choose another structure, or give floor=…"
    if (constant := _constant(X, variances)).any():
        raise ValueError(
            f"X is constant in feature {listed(constant)}, so {structure.__name__} covariances "
            f"cannot be estimated: {advice}"
        )
    if covariance.conditioning()[0] < _SINGULAR:
        raise ValueError(
            f"X must span all of its {d} features, and its {n} samples lie in fewer dimensions, "
            f"so {structure.__name__} covariances cannot be estimated: {advice}"
        )
    return covariance


def _constant(X: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return which features have no variance beyond rounding."""
    size = np.maximum(np.abs(X.max(axis=0)), np.abs(X.min(axis=0)))
    return variances <= (8 * np.finfo(float).eps * size) ** 2
