"""Coordinates of covariance structures; tests of `Coordinates` cover them within mixtures."""

import numpy as np
from covariances import cases, seeds
from hypothesis import given
from problems import random_structure

from gmmlab import EEV


@given(cases(), seeds)
def test_coordinates_lead_back_to_the_structure_they_are_of(case, seed):
    origin, k, d, _ = case
    other = random_structure(type(origin), np.random.default_rng(seed), k, d)
    chart = origin.chart(d)
    found = chart.at(chart.of(other))
    assert type(found) is type(origin)
    size = np.abs(other.values).max()
    np.testing.assert_allclose(found.values, other.values, atol=1e-8 * size)
    assert chart.of(other).shape[-1] == origin.n_parameters(1, d)
    np.testing.assert_allclose(chart.of(origin), 0, atol=1e-9)


def test_a_small_rotation_has_a_small_angle_whatever_the_signs_of_the_axes():
    """The first coordinates are logarithms of variances, and the last is the angle."""
    angle = 1e-3
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    variances = np.array([[1.0, 4.0]])
    for signs in ([1, 1], [-1, 1], [1, -1], [-1, -1]):
        origin = EEV.composed(variances, np.eye(2)[None])
        rotated = EEV.composed(variances, (rotation * signs)[None])
        np.testing.assert_allclose(origin.chart(2).of(rotated)[0, :2], 0, atol=1e-12)
        np.testing.assert_allclose(np.abs(origin.chart(2).of(rotated)[0, 2]), angle, rtol=1e-5)
