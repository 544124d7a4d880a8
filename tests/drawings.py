"""Samples, mixtures and fits that the tests of figures draw."""

from functools import cache

import numpy as np

from gmmlab import Full, Mixture, Spherical, fit, uncertainty

X2 = np.random.default_rng(0).normal(size=(20, 2))
X3 = np.ones((5, 3))
X4 = np.ones((5, 4))


def tilted(d=2, k=2, seed=0):
    """Return a mixture whose components have random orientations."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(k, d, d))
    covariances = factors @ factors.swapaxes(1, 2) + 0.1 * np.eye(d)
    return Mixture(np.full(k, 1 / k), 5 * rng.normal(size=(k, d)), Full(covariances))


def distances(points, mean, covariance):
    """Return the Mahalanobis distances of points (…, d) from a mean."""
    residuals = points - mean
    return np.sqrt(np.einsum("...i,ij,...j", residuals, np.linalg.inv(covariance), residuals))


def univariate_mixture():
    return Mixture([0.7, 0.3], [[0.0], [4.0]], Spherical([1.0, 0.25]))


def small_fit(max_iter=5):
    X = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0.0], [3.0]], 30, axis=0)
    return fit(X, Mixture([0.5, 0.5], X[:2], Spherical([1.0, 1.0])), max_iter=max_iter, tol=0)


@cache
def fit_uncertainty(method="information", level=0.9):
    """Return the uncertainty of a fit of two features."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) + np.repeat([[0.0], [6.0]], 30, axis=0)
    found = fit(X, Mixture([0.5, 0.5], [[0.0, 0.0], [6.0, 6.0]], Full.unit(2, 2)), tol=1e-12)
    return uncertainty(found, X, method=method, level=level, rng=rng, n_bootstrap=30)


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]
