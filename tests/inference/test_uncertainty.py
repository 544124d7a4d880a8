"""Tests of `uncertainty` that concern every method, and of its arguments."""

from dataclasses import replace

import numpy as np
import pytest
from inference_helpers import estimate, every_method, fitted
from problems import BLOCKS

from gmmlab import Mixture, Tied, fit, uncertainty


@pytest.mark.parametrize(
    ("method", "free"),
    [
        ("information", ()),
        ("information", ("weights",)),
        ("information", ("means", "covariances")),
        ("information", BLOCKS),
        ("bootstrap", ()),
        ("bootstrap", ("means",)),
        ("bootstrap", ("weights", "covariances")),
        ("weighted", ("covariances",)),
        ("weighted", ("weights", "means")),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "none",
)
def test_known_blocks_have_no_error(method, free):
    X, found = fitted(Tied, n=100, free=set(free))
    one = estimate(found, X, method, n_bootstrap=5)
    own = (found.mixture.weights, found.mixture.means, found.mixture.covariance.values)
    for block, errors, low, value, high in zip(
        BLOCKS, one.standard_errors, one.lower, own, one.upper, strict=True
    ):
        if block in free:
            assert (errors > 0).all()
        else:
            assert not errors.any()
            np.testing.assert_allclose(low, value, rtol=1e-14)
            np.testing.assert_allclose(high, value, rtol=1e-14)
    assert one.mean_covariances.any() == ("means" in free)


@every_method
def test_a_fit_away_from_the_maximum_raises(method):
    X, found = fitted(separation=2.5)
    moved = Mixture(found.mixture.weights, found.mixture.means + 0.05, found.mixture.covariance)
    early = fit(X, moved, max_iter=0)
    with pytest.raises(ValueError, match=r"it is [\d.]+ standard errors away"):
        estimate(early, X, method)


@every_method
def test_other_data_than_those_of_the_fit_raise(method):
    X, found = fitted()
    with pytest.raises(ValueError, match="X, sample_weight and floor must be those of the fit"):
        estimate(found, X + 0.3, method)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"method": "jackknife"}, ValueError, "method must be one of 'information', 'bootstrap'"),
        ({"level": 0.0}, ValueError, "level must be a finite number > 0"),
        ({"level": 1.0}, ValueError, r"level must be in \(0, 1\); got 1.0"),
        ({"level": "95"}, TypeError, "level must be a number"),
        ({"levl": 0.9}, TypeError, "settings are for the bootstraps, .*; got 'levl'"),
        ({"method": "bootstrap", "levl": 0.9}, TypeError, "levl"),
        ({"method": "weighted", "rng": None}, TypeError, r"rng must be a numpy.random.Generator"),
        ({"method": "weighted", "n_bootstrap": 1}, ValueError, "n_bootstrap must be at least 2"),
        ({"method": "weighted", "n_jobs": 0}, ValueError, "n_jobs must be"),
        ({"method": "weighted", "free": {"means"}}, TypeError, "settings must not contain free"),
        ({"method": "weighted", "callback": print}, TypeError, "without callback and restart"),
    ],
    ids=str,
)
def test_errors_name_the_argument(settings, error, message):
    X, found = fitted(n=50)
    with pytest.raises(error, match=message):
        uncertainty(found, X, **{"rng": np.random.default_rng(0), **settings})


def test_the_fit_must_be_sound():
    X, found = fitted(n=50)
    with pytest.raises(TypeError, match="fit must be a Fit"):
        uncertainty(found.mixture, X)
    for status in ("degenerate", "not_increasing"):
        with pytest.raises(ValueError, match=f"or 'max_iter'; got '{status}'"):
            uncertainty(replace(found, status=status), X)
