"""The right answers agree with the package."""

import numpy as np
import pytest

from gmmlab import Full, Mixture, e_step, elbo, m_step
from gmmlab.course.checks import problems


def test_reference_functions_agree_with_the_package():
    given = problems.problem(3, n=30, k=2, d=3)
    mixture = Mixture(*given.parameters[:2], Full(given.covariances))
    r, log_densities = e_step(given.X, mixture)
    mine, total = problems.e_step(given.X, *given.parameters)
    np.testing.assert_allclose(mine, r, atol=1e-12)
    assert total == pytest.approx(log_densities.sum(), rel=1e-12)
    new = m_step(given.X, r, mixture)
    weights, means, covariances = problems.m_step(given.X, r, *given.parameters)
    np.testing.assert_allclose(weights, new.weights, rtol=1e-12)
    np.testing.assert_allclose(means, new.means, rtol=1e-12)
    np.testing.assert_allclose(covariances, new.covariances, rtol=1e-9)
    parts = problems.bound(given.X, r, weights, means, covariances)
    bound = elbo(given.X, r, new)
    assert parts == pytest.approx((bound.expected_log_joint, bound.entropy), rel=1e-9)


def test_two_traces_never_decrease_and_two_do():
    decreases = [(np.diff(t) < 0).any() for t in problems.traces(np.random.default_rng(5))]
    assert decreases == [False, False, True, True]
