"""The scale of the data: relative floors."""

import numpy as np
import pytest
from problems import every_structure

from gmmlab import Mixture, relative_floor, start
from gmmlab.engine import Samples, log_likelihood_rounding, own_covariance, total_moment


def test_a_relative_floor_is_a_fraction_of_each_variance():
    X = np.random.default_rng(0).normal(size=(50, 3)) * [1e-6, 1, 1e6]
    np.testing.assert_allclose(relative_floor(X, 0.01), 0.01 * X.var(axis=0), rtol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9])
def test_the_floor_of_a_constant_feature_is_the_mean_of_the_others(constant):
    X = np.column_stack([np.random.default_rng(0).normal(size=(50, 2)), np.full(50, constant)])
    floor = relative_floor(X, 0.5)
    np.testing.assert_allclose(floor[2], floor[:2].mean(), rtol=1e-12)


def test_the_floor_is_the_fraction_itself_if_all_features_are_constant():
    np.testing.assert_array_equal(relative_floor(np.full((7, 2), 0.1), 0.5), [0.5, 0.5])


@every_structure
def test_the_scale_of_each_fit_of_a_stack_is_that_of_its_samples(structure):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2)) * [1, 10] + 5
    own, holes = X + rng.normal(size=(3, 40, 2)), rng.random((40, 2)) < 0.1
    positive, counts = rng.exponential(size=(3, 40)), rng.integers(0, 3, size=(3, 40))
    one = start.random_points(X, 2, rng, structure=structure)
    mixture, values = Mixture.stacked([one] * 3), np.array([-10.0, -1e3, 1e5])
    for data, weight in ((own, None), (X, positive), (X, counts), (own, positive)):
        for missing in (False, True):
            found = np.where(holes, np.nan, data) if missing else data
            stack = Samples(found, weight, missing=missing, n_fits=3)
            moments, floors = total_moment(stack, structure), relative_floor(stack)
            covariance = own_covariance(stack, structure)
            rounding = log_likelihood_rounding(stack, mixture, values)
            for fit in range(3):
                alone = Samples(
                    found if found.ndim == 2 else found[fit],
                    None if weight is None else weight[fit],
                    missing=missing,
                )
                wanted = total_moment(alone, structure)
                np.testing.assert_allclose(moments[fit], wanted, rtol=1e-11, atol=1e-11)
                np.testing.assert_allclose(floors[fit], relative_floor(alone), rtol=1e-11)
                wanted = own_covariance(alone, structure).values
                np.testing.assert_allclose(covariance.values[fit], wanted, rtol=1e-10, atol=1e-10)
                bound = log_likelihood_rounding(alone, one, values[fit])
                assert rounding[fit] == pytest.approx(bound, rel=1e-9)


@every_structure
def test_only_the_covariance_of_singular_data_is_nan_in_a_stack(structure):
    X = np.random.default_rng(0).normal(size=(4, 30, 2))
    X[1, :, 1], X[3] = 7, 2  # a constant feature; one point
    values = own_covariance(Samples(X, n_fits=4), structure).values
    for fit, singular in enumerate([False, True, False, True]):
        assert np.isnan(values[fit]).all() if singular else np.isfinite(values[fit]).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[0.0], [1.0]], 0), ValueError, "fraction must be a finite number > 0"),
        (([[0.0], [1.0]], np.nan), ValueError, "fraction must be"),
        (([[0.0], [1.0]], "small"), TypeError, "fraction must be a number"),
        (([0.0, 1.0],), ValueError, "X must have two dimensions"),
        (([[0.0, np.nan]],), ValueError, "X contains only NaN in feature 1"),
    ],
)
def test_errors_of_relative_floor_name_the_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        relative_floor(*arguments)
