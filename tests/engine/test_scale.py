"""The scale of the data: relative floors."""

import numpy as np
import pytest

from gmmlab import relative_floor


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
