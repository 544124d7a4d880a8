"""Samples and mixtures that the tests of figures draw."""

import numpy as np

from gmmlab import Full, Mixture

X2 = np.random.default_rng(0).normal(size=(20, 2))
X3 = np.ones((5, 3))


def tilted(d=2, k=2, seed=0):
    """A mixture whose components are turned in all directions."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(k, d, d))
    covariances = factors @ factors.swapaxes(1, 2) + 0.1 * np.eye(d)
    return Mixture(np.full(k, 1 / k), 5 * rng.normal(size=(k, d)), Full(covariances))


def distances(points, mean, covariance):
    """Mahalanobis distances of points (…, d) from a mean."""
    residuals = points - mean
    return np.sqrt(np.einsum("...i,ij,...j", residuals, np.linalg.inv(covariance), residuals))
