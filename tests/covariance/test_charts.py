"""Coordinates of covariance structures; tests of `Coordinates` cover them within mixtures."""

import itertools

import numpy as np
import pytest
from covariances import cases, seeds
from hypothesis import given
from problems import random_structure
from scipy.spatial.transform import Rotation

from gmmlab import VVE


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


@pytest.mark.parametrize("signs", list(itertools.product([1, -1], repeat=3)))
def test_a_small_rotation_has_a_small_angle_whatever_the_signs_of_the_axes(signs):
    """The angles are 2 tan(θ/2) in the Cayley transform, and no variance changes."""
    theta, variances = 0.3, np.array([[1.0, 4.0, 9.0], [3.0, 1.0, 2.0]])
    rotation = Rotation.from_rotvec(theta * np.array([2, -1, 2]) / 3).as_matrix()
    origin = VVE.composed(variances, np.eye(3)[None])
    rotated = VVE.composed(variances, (rotation * signs)[None])
    coordinates = origin.chart(3).of(rotated)
    np.testing.assert_allclose(coordinates[:, :3], 0, atol=1e-12)
    lengths = np.linalg.norm(coordinates[:, 3:], axis=1)
    np.testing.assert_allclose(lengths, 2 * np.tan(theta / 2), rtol=1e-12)
