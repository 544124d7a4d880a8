"""Differences between our class and scikit-learn's, each written as a law.

Every law takes the class. It must hold for ours and fail for scikit-learn's. If a law begins to
hold for scikit-learn's class too, its test fails, because there is no difference any more.
"""

import warnings

import numpy as np
import pytest
import sklearn.mixture

from gmmlab import GaussianMixture

TYPES = ("full", "tied", "diag", "spherical")
STARTS = ("kmeans", "k-means++", "random", "random_from_data")

# Some laws stop fits early, or check the warnings for degenerate data.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::RuntimeWarning"
)


def clusters():
    """Return three clusters rounded to multiples of 2⁻¹⁰, so that adding 1e8 is exact."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) + 4 * rng.integers(3, size=(300, 1))
    return np.round(X * 2**10) / 2**10


def noise():
    return np.random.default_rng(0).uniform(size=(150, 2))


def start(covariance_type):
    """Return weights, means and precisions of three components."""
    return {
        "weights_init": [0.3, 0.3, 0.4],
        "means_init": np.array([[0.0, 1.0], [4.0, 3.0], [8.0, 9.0]]),
        "precisions_init": {
            "full": np.array([np.eye(2)] * 3),
            "tied": np.eye(2),
            "diag": np.ones((3, 2)),
            "spherical": np.ones(3),
        }[covariance_type],
    }


# ---- the fit -----------------------------------------------------------------------------


def law_lower_bound_is_the_score_of_the_parameters_returned(GaussianMixture):
    # scikit-learn returns the score of the parameters before the last step.
    X = clusters()
    for covariance_type in TYPES:
        options = {"covariance_type": covariance_type, "max_iter": 3, "tol": 0}
        model = GaussianMixture(3, **options, **start(covariance_type)).fit(X)
        assert model.lower_bound_ == pytest.approx(model.score(X), rel=1e-12)
        assert model.lower_bounds_[-1] == model.lower_bound_


def law_the_start_with_the_best_score_is_kept(GaussianMixture):
    X = noise()
    for seed in range(10):
        options = {"init_params": "random_from_data", "max_iter": 2, "random_state": seed}
        # More starts include the first ones, so they can only find a better fit.
        scores = [GaussianMixture(5, n_init=n, **options).fit(X).score(X) for n in range(1, 6)]
        # Fits that run together are equal to fits alone up to rounding.
        assert scores == pytest.approx(sorted(scores), abs=1e-12)


def law_a_shift_of_the_data_shifts_the_fit(GaussianMixture):
    # At 1e8 the rounding of a mean is 1.5e-8, but that of E[x²] − μ² is 2.
    X, shift = clusters(), 1e8
    assert ((X + shift) - shift == X).all()
    for covariance_type in TYPES:
        given = start(covariance_type)
        options = {"covariance_type": covariance_type, "max_iter": 10, "tol": 0}
        model = GaussianMixture(3, **options, **given).fit(X)
        given["means_init"] = given["means_init"] + shift
        shifted = GaussianMixture(3, **options, **given).fit(X + shift)
        np.testing.assert_allclose(shifted.means_ - shift, model.means_, atol=1e-6)
        np.testing.assert_allclose(shifted.covariances_, model.covariances_, atol=1e-6)
        np.testing.assert_allclose(shifted.score_samples(X + shift), model.score_samples(X), 1e-6)


def law_tol_0_continues_until_there_is_no_gain(GaussianMixture):
    X = clusters()
    model = GaussianMixture(2, tol=0, reg_covar=0, max_iter=500, random_state=0).fit(X)
    assert model.converged_


# ---- the start ---------------------------------------------------------------------------


def law_every_start_is_a_mixture_on_the_scale_of_the_data(GaussianMixture):
    X = clusters()
    for init_params in STARTS:
        for seed in range(5):
            options = {"init_params": init_params, "max_iter": 0, "random_state": seed}
            model = GaussianMixture(3, covariance_type="diag", **options).fit(X)
            assert model.weights_.sum() == pytest.approx(1)
            assert (model.covariances_ > 1e-3 * X.var(axis=0)).all()


def law_max_iter_0_returns_and_evaluates_the_given_parameters(GaussianMixture):
    X = clusters()
    for covariance_type in TYPES:
        given = start(covariance_type)
        model = GaussianMixture(3, covariance_type=covariance_type, max_iter=0, **given).fit(X)
        np.testing.assert_allclose(model.weights_, given["weights_init"])
        np.testing.assert_allclose(model.means_, given["means_init"])
        np.testing.assert_allclose(
            model.covariances_, given["precisions_init"]
        )  # both are the identity
        assert model.lower_bound_ == pytest.approx(model.score(X), rel=1e-12)


# ---- predictions and samples -------------------------------------------------------------


def law_the_responsibilities_of_a_distant_sample_sum_to_1(GaussianMixture):
    model = GaussianMixture(2, random_state=0).fit(clusters())
    for distance in (1e160, 1e200):
        shares = model.predict_proba([[distance, 0.0], [0.0, -distance]])
        np.testing.assert_allclose(shares.sum(axis=1), 1)


def law_sample_accepts_a_random_state(GaussianMixture):
    model = GaussianMixture(3, random_state=0).fit(clusters())
    first, again, other = (model.sample(20, random_state=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(model.sample(20)[0], model.sample(20)[0])


def law_samples_come_in_random_order(GaussianMixture):
    model = GaussianMixture(3, random_state=0).fit(clusters())
    _, labels = model.sample(300)
    assert set(labels[:100]) == set(labels[200:]) == {0, 1, 2}


def law_scores_follow_covariances_set_by_a_caller(GaussianMixture):
    X = clusters()
    model = GaussianMixture(1, random_state=0).fit(X)
    before = model.score(X)
    model.covariances_ = 4 * model.covariances_
    # E ‖y‖² decreases from d to d/4, and log|Σ| increases by d log 4.
    assert model.score(X) - before == pytest.approx(0.75 - np.log(4), abs=1e-5)


def law_criteria_accept_lists(GaussianMixture):
    X = clusters()
    model = GaussianMixture(3, random_state=0).fit(X)
    assert model.bic(X.tolist()) == model.bic(X)
    assert model.aic(X.tolist()) == model.aic(X)


# ---- messages ----------------------------------------------------------------------------


def messages(GaussianMixture, X, **options):
    """Return all messages of a fit, in warnings or in its result."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = GaussianMixture(2, **options).fit(X)
    words = [str(warning.message) for warning in caught]
    if hasattr(model, "result_"):
        words += [model.result_.message, *model.result_.trace["event"]]
    return " ".join(words)


def law_an_empty_component_is_reported(GaussianMixture):
    far = [[0.0, 0.0], [1e6, 1e6]]
    assert "component 1 is empty" in messages(GaussianMixture, clusters(), means_init=far)


def law_a_collapsed_component_is_reported(GaussianMixture):
    # In scikit-learn, a cluster of one sample x has rounding times x² as its variance.
    X = np.append(np.random.default_rng(0).normal(size=(30, 2)), [[50.0, 50.0]], axis=0)
    for covariance_type in ("diag", "spherical"):
        options = {"covariance_type": covariance_type, "reg_covar": 0, "random_state": 0}
        assert "has collapsed" in messages(GaussianMixture, X, **options)


# ---- the tests ---------------------------------------------------------------------------

LAWS = {name: law for name, law in globals().items() if name.startswith("law_")}


@pytest.mark.parametrize("name", LAWS)
def test_the_law_holds_for_our_class(name):
    LAWS[name](GaussianMixture)


@pytest.mark.parametrize("name", LAWS)
def test_the_law_does_not_hold_for_the_class_of_scikit_learn(name):
    with pytest.raises((AssertionError, AttributeError, TypeError, ValueError)):
        LAWS[name](sklearn.mixture.GaussianMixture)
