"""Fits at a maximum of the likelihood, for the tests of standard errors and intervals."""

import numpy as np
import pytest

from gmmlab import EII, Diagonal, Full, Tied, datasets, fit, start, uncertainty

METHODS = ("information", "bootstrap", "weighted")
every_method = pytest.mark.parametrize("method", METHODS)
every_bootstrap = pytest.mark.parametrize("method", METHODS[1:])
#: matrices and diagonals, shared and not, as the formulas of the information differ for them
some_linear = pytest.mark.parametrize(
    "structure", [Full, Tied, Diagonal, EII], ids=lambda structure: structure.__name__
)


def fitted(structure=Full, n=300, separation=3.0, seed=0, k=2, d=2, **settings):
    """Return samples and a fit at the maximum."""
    rng = np.random.default_rng(seed)
    data = datasets.random_mixture(n, k, d, separation=separation, rng=rng)
    begin = start.from_labels(data.X, data.labels, structure=structure)
    settings = {"tol": 1e-13, "max_iter": 20_000, **settings}
    return data.X, fit(data.X, begin, **settings)


def faithful():
    """Return the samples of Old Faithful and a fit of two components."""
    X = datasets.old_faithful().X
    return X, fit(X, start.from_labels(X, X[:, 1] < 68), tol=1e-12)


def estimate(fit, X, method="information", n_bootstrap=20, seed=0, **settings):
    """Return the uncertainty of a fit, with a new generator."""
    rng = np.random.default_rng(seed)
    return uncertainty(fit, X, method=method, rng=rng, n_bootstrap=n_bootstrap, **settings)


def assert_close(found, expected, **tolerance):
    """Compare weights, means and covariances."""
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)
