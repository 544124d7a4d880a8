"""The six structures in closed form: floors and ridges. `test_estimation` has the estimates."""

import numpy as np
from covariances import cases, cost, moments_of_clouds
from hypothesis import given
from hypothesis import strategies as st
from problems import LINEAR, in_moment_shape, in_shape, random_structure

ROUND = ("EII", "VII")


@given(cases(LINEAR), st.booleans())
def test_clipped_is_the_optimum_under_its_bound(case, flat):
    """(S9)."""
    covariance, k, d, rng = case
    structure = type(covariance)
    _, moments = moments_of_clouds(rng, k, d)
    if flat:  # also for a cloud that lies in fewer dimensions
        moments[:, -1, :] = moments[:, :, -1] = 0
    estimate = structure.estimate(np.ones(k), in_moment_shape(structure, moments))
    floor = rng.uniform(0.1, 3, size=d)
    clipped, _ = estimate.clipped(floor)
    unit = np.sqrt(floor)
    relative = clipped.dense(k, d) / (unit[:, None] * unit)
    assert np.linalg.eigvalsh(relative).min() >= 1 - 1e-10  # it satisfies the bound

    bound = np.full(d, floor.max()) if structure.model in ROUND else floor
    lowest = in_shape(structure, np.broadcast_to(np.diag(bound), (k, d, d)))
    for size in (1e-4, 1e-2, 0.3, 1):
        above = random_structure(structure, rng, k, d).values * rng.uniform(0, 3)
        other = structure((1 - size) * clipped.values + size * (lowest + above))
        matrices = (c.dense(k, d) for c in (clipped, other, estimate))
        for mine, theirs, moment in zip(*matrices, strict=True):
            one, best = np.ones(1), cost(np.ones(1), mine[None], moment[None])
            assert best <= cost(one, theirs[None], moment[None]) + 1e-12 * abs(best)


@given(cases(LINEAR))
def test_clipped_changes_exactly_the_components_below_the_floor(case):
    covariance, _, d, rng = case
    floor = rng.uniform(0.05, 2)
    clipped, touched = covariance.clipped(np.full(d, floor))
    smallest = covariance.moments.smallest(covariance.stack)
    np.testing.assert_array_equal(touched, smallest < floor)
    np.testing.assert_array_equal(clipped.stack[~touched], covariance.stack[~touched])
    np.testing.assert_allclose(clipped.moments.smallest(clipped.stack)[touched], floor, rtol=1e-12)


@given(cases(LINEAR), st.floats(1e-6, 10))
def test_a_ridge_adds_to_every_variance(case, ridge):
    covariance, k, d, _ = case
    expected = covariance.dense(k, d) + ridge * np.eye(d)
    np.testing.assert_allclose(covariance.ridged(ridge).dense(k, d), expected, rtol=1e-14)
