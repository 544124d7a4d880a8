"""The interface of scikit-learn: the same methods, and the same answers where they are defined."""

import inspect
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import check_estimator

from gmmlab import Full, GaussianMixture, Mixture, datasets, fit, start
from gmmlab.covariance import STRUCTURES
from gmmlab.search import MIXED

Reference = sklearn.mixture.GaussianMixture
TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", TYPES)
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def X():
    return datasets.random_mixture(300, 3, 2, rng=np.random.default_rng(0)).X


@pytest.fixture(scope="module")
def faithful():
    return datasets.old_faithful().X


def print_nothing(iteration, mixture, log_likelihood):
    """Do nothing; a callback that can be pickled."""


def explicit_start(covariance_type, k=3, d=2, seed=0):
    """Return weights, means and precisions for either class."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(k, d, d))
    matrices = factors @ factors.swapaxes(1, 2) + 0.5 * np.eye(d)
    precisions = {
        "full": matrices,
        "tied": matrices[0],
        "diag": np.diagonal(matrices, axis1=1, axis2=2).copy(),
        "spherical": matrices[:, 0, 0].copy(),
    }
    return {
        "weights_init": rng.dirichlet(np.full(k, 5.0)),
        "means_init": 2 * rng.normal(size=(k, d)),
        "precisions_init": precisions[covariance_type],
    }


# ---- the interface -----------------------------------------------------------------------


@unconverged
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_it_passes_every_check_that_the_class_of_scikit_learn_passes(covariance_type):
    passed, expected = (
        {
            result["check_name"]
            for result in check_estimator(cls(covariance_type=covariance_type), on_skip=None)
            if result["status"] == "passed"
        }
        for cls in (GaussianMixture, Reference)
    )
    assert passed >= expected
    assert len(expected) > 30


def test_parameters_and_defaults_include_those_of_scikit_learn():
    ours = inspect.signature(GaussianMixture).parameters
    theirs = inspect.signature(Reference).parameters
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default, name
        assert ours[name].kind == parameter.kind, name
    more = set(ours) - set(theirs)
    assert more >= {"free", "covariances_init", "responsibilities_init", "floor", "missing"}
    assert all(name in GaussianMixture.__doc__ for name in more)


def test_methods_and_fitted_attributes_include_those_of_scikit_learn(faithful):
    ours, theirs = (cls(2, random_state=0).fit(faithful) for cls in (GaussianMixture, Reference))
    assert {name for name in dir(theirs) if not name.startswith("_")} <= set(dir(ours))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape
    assert ours.n_features_in_ == 2


# ---- the same answers --------------------------------------------------------------------


@unconverged
@every_type
@pytest.mark.parametrize(("reg_covar", "iterations"), [(0, 7), (1e-6, 1), (0.1, 2)])
def test_the_same_start_and_iterations_give_the_answer_of_scikit_learn(
    X, covariance_type, reg_covar, iterations
):
    options = {
        "covariance_type": covariance_type,
        "reg_covar": reg_covar,
        "max_iter": iterations,
        "tol": 0,
        **explicit_start(covariance_type),
    }
    ours, theirs = (cls(3, **options).fit(X) for cls in (GaussianMixture, Reference))
    assert ours.n_iter_ == theirs.n_iter_ == iterations
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=1e-8, atol=1e-8, err_msg=name
        )
    for method in ("score_samples", "predict_proba", "predict", "score", "aic", "bic"):
        mine, other = getattr(ours, method)(X), getattr(theirs, method)(X)
        np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-8, err_msg=method)


@every_type
def test_both_classes_find_the_same_optimum(faithful, covariance_type):
    options = {"covariance_type": covariance_type, "tol": 1e-10, "max_iter": 2000}
    means = [[2.0, 55.0], [4.3, 80.0]]
    ours, theirs = (
        cls(2, means_init=means, random_state=0, **options).fit(faithful)
        for cls in (GaussianMixture, Reference)
    )
    assert ours.converged_
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-4)
    assert ours.score(faithful) == pytest.approx(theirs.score(faithful), abs=1e-7)


@pytest.mark.parametrize(
    ("covariance_type", "tol"),
    [("full", 1e-3), ("tied", 1e-5), ("diag", 1e-2), ("spherical", 1e-3)],
)
def test_it_stops_at_the_same_iteration_as_scikit_learn(X, covariance_type, tol):
    """That is one step after the gain is within tol, so the answer is the same or better."""
    given = explicit_start(covariance_type)
    options = {"covariance_type": covariance_type, "tol": tol, "max_iter": 500, "reg_covar": 0}
    ours, theirs = (cls(3, **options, **given).fit(X) for cls in (GaussianMixture, Reference))
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-6, atol=1e-8)
    assert ours.score(X) >= theirs.score(X) - 1e-9


def test_waiting_times_have_the_fit_of_two_r_packages(faithful):
    # mixtools: Benaglia et al. (2009), J. Stat. Softw. 32(6), section 2; equal variances.
    # mclust: its vignette, the density of faithful$waiting: model E, two components.
    waiting = faithful[:, 1:]
    options = {"covariance_type": "tied", "reg_covar": 0, "tol": 1e-9, "random_state": 0}
    model = GaussianMixture(2, **options).fit(waiting)
    order = np.argsort(model.means_.ravel())
    np.testing.assert_allclose(model.weights_[order], [0.36085, 0.63915], atol=2e-4)
    np.testing.assert_allclose(model.means_[order].ravel(), [54.61364, 80.09031], atol=5e-3)
    np.testing.assert_allclose(np.sqrt(model.covariances_), 5.86909, atol=2e-3)
    assert 272 * model.score(waiting) == pytest.approx(-1034.002, abs=5e-4)
    assert model.bic(waiting) == pytest.approx(2090.427, abs=1e-3)


@unconverged
@every_type
def test_max_iter_0_keeps_the_start(X, covariance_type):
    start = explicit_start(covariance_type)
    model = GaussianMixture(3, covariance_type=covariance_type, max_iter=0, **start).fit(X)
    np.testing.assert_allclose(model.weights_, start["weights_init"], rtol=1e-14)
    np.testing.assert_allclose(model.means_, start["means_init"], rtol=1e-14)
    np.testing.assert_allclose(model.precisions_, start["precisions_init"], rtol=1e-10)
    assert model.n_iter_ == 0


def test_max_iter_0_does_not_warn(X):
    GaussianMixture(3, max_iter=0).fit(X)


@pytest.mark.parametrize("covariance_type", ["full", "spherical"])
def test_a_drawn_start_gets_the_ridge_of_every_m_step(X, covariance_type):
    plain, ridged = (
        GaussianMixture(
            3, covariance_type=covariance_type, max_iter=0, reg_covar=ridge, random_state=0
        ).fit(X)
        for ridge in (0, 0.5)
    )
    added = ridged.result_.mixture.covariances - plain.result_.mixture.covariances
    np.testing.assert_allclose(added, np.broadcast_to(0.5 * np.eye(2), (3, 2, 2)), atol=1e-12)


@unconverged
@every_type
def test_covariances_init_is_equivalent_to_the_inverse_as_precisions_init(X, covariance_type):
    start = explicit_start(covariance_type)
    precise = STRUCTURES[covariance_type](start["precisions_init"])
    covariances = precise.precisions.reshape(precise.values.shape)
    options = {"covariance_type": covariance_type, "max_iter": 3}
    by_precisions = GaussianMixture(3, **options, **start).fit(X)
    start["precisions_init"] = None
    by_covariances = GaussianMixture(3, **options, **start, covariances_init=covariances).fit(X)
    np.testing.assert_allclose(by_covariances.means_, by_precisions.means_, rtol=1e-12)
    np.testing.assert_allclose(by_covariances.covariances_, by_precisions.covariances_, rtol=1e-12)


# ---- fitted attributes -------------------------------------------------------------------


@every_type
def test_precisions_are_inverse_covariances_with_their_cholesky_factors(X, covariance_type):
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    factor = model.precisions_cholesky_
    if covariance_type in ("full", "tied"):
        identity = model.precisions_ @ model.covariances_
        np.testing.assert_allclose(identity, np.broadcast_to(np.eye(2), identity.shape), atol=1e-9)
        np.testing.assert_allclose(factor @ factor.swapaxes(-1, -2), model.precisions_, rtol=1e-9)
        np.testing.assert_array_equal(factor, np.triu(factor))
    else:
        np.testing.assert_allclose(model.precisions_ * model.covariances_, 1)
        np.testing.assert_allclose(factor**2, model.precisions_)


def test_lower_bounds_are_mean_log_likelihoods_that_increase_to_the_score(X):
    model = GaussianMixture(3, reg_covar=0, tol=1e-6, max_iter=1000, random_state=0).fit(X)
    assert len(model.lower_bounds_) == model.n_iter_
    assert model.lower_bound_ == model.lower_bounds_[-1] == pytest.approx(model.score(X), rel=1e-13)
    assert (np.diff(model.lower_bounds_) >= 0).all()
    assert model.result_.status == "converged"
    assert model.result_.n_iter == model.n_iter_


def test_changing_fitted_arrays_does_not_change_the_result(X):
    model = GaussianMixture(3, random_state=0).fit(X)
    expected = model.result_.mixture.log_prob(X)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        getattr(model, name)[:] = 1.0
    np.testing.assert_array_equal(model.result_.mixture.log_prob(X), expected)


def test_predictions_follow_the_attributes(X):
    model = GaussianMixture(3, random_state=0).fit(X)
    score = model.score(X)
    model.means_ = model.means_ + 100
    assert model.score(X + 100) == pytest.approx(score, rel=1e-9)


@pytest.mark.parametrize("weights", [np.array([0.1, 0.3, 0.6], np.float32), [0.5, 0.5, 0.0]])
def test_weights_set_by_a_caller_may_be_rounded_or_0(X, weights):
    model = GaussianMixture(3, random_state=0).fit(X)
    model.weights_ = np.asarray(weights)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    np.testing.assert_array_equal(
        np.bincount(model.sample(300)[1], minlength=3) > 0, model.weights_ > 0
    )


def test_parameters_set_by_a_caller_need_no_fit():
    model = GaussianMixture(2)
    model.weights_, model.means_ = np.array([0.5, 0.5]), np.array([[0.0, 0.0], [9.0, 9.0]])
    model.covariances_ = np.stack([np.eye(2)] * 2)
    np.testing.assert_array_equal(model.predict([[0.1, 0.0], [8.0, 9.0]]), [0, 1])
    assert model.sample(3, random_state=0)[0].shape == (3, 2)


# ---- scores ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("covariance_type", "free"),
    [
        ("full", ("weights", "means", "covariances")),
        ("tied", ("weights", "covariances")),
        ("diag", ("means",)),
        ("spherical", ("weights", "means", "covariances")),
    ],
)
def test_scores_are_those_of_their_formulas(X, covariance_type, free):
    model = GaussianMixture(3, covariance_type=covariance_type, free=free, tol=0.1, random_state=0)
    model.fit(X)
    log_densities = model.score_samples(X)
    counts = {"weights": 2, "means": 6}
    counts["covariances"] = {"full": 9, "tied": 3, "diag": 6, "spherical": 3}[covariance_type]
    p = sum(counts[block] for block in free)
    assert model.score(X) == pytest.approx(log_densities.mean())
    assert model.aic(X) == pytest.approx(2 * p - 2 * log_densities.sum())
    assert model.bic(X) == pytest.approx(p * np.log(300) - 2 * log_densities.sum())
    assert model.bic(X) == pytest.approx(model.result_.bic)
    assert model.aic(X[:50]) == pytest.approx(2 * p - 2 * log_densities[:50].sum())


def test_the_predicted_label_has_the_largest_probability(X):
    model = GaussianMixture(3, random_state=0)
    labels = model.fit_predict(X)
    probabilities = model.predict_proba(X)
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


# ---- fixed blocks ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("covariance_type", "block"),
    [
        ("full", "weights"),
        ("tied", "means"),
        ("full", "covariances"),
        ("diag", "covariances"),
    ],
)
def test_blocks_that_are_not_free_keep_their_initial_values(X, covariance_type, block):
    start = explicit_start(covariance_type)
    precise = STRUCTURES[covariance_type](start.pop("precisions_init"))
    covariances = precise.precisions.reshape(precise.values.shape)
    free = {"weights", "means", "covariances"} - {block}
    model = GaussianMixture(
        3,
        covariance_type=covariance_type,
        free=free,
        tol=1e-2,
        max_iter=500,
        covariances_init=covariances,
        **start,
    ).fit(X)
    known = {
        "weights": start["weights_init"],
        "means": start["means_init"],
        "covariances": covariances,
    }
    for name, value in known.items():
        unchanged = np.array_equal(getattr(model, f"{name}_"), value)
        assert unchanged == (name == block)


@unconverged
def test_free_blocks_are_estimated_as_in_fit(X):
    start = explicit_start("full")
    model = GaussianMixture(3, free=["means"], max_iter=4, tol=0, **start).fit(X)
    covariance = Full(Full(start["precisions_init"]).precisions)
    mixture = Mixture(start["weights_init"], start["means_init"], covariance)
    expected = fit(X, mixture, free={"means"}, max_iter=4, tol=0).mixture
    np.testing.assert_array_equal(model.means_, expected.means)


# ---- starts, restarts, warnings ----------------------------------------------------------


@pytest.mark.parametrize(
    ("init_params", "covariance_type"),
    [
        ("kmeans", "full"),
        ("k-means++", "tied"),
        ("random", "diag"),
        ("random_from_data", "spherical"),
    ],
)
def test_every_start_repeats_with_the_same_random_state_only(init_params, covariance_type):
    noise = np.random.default_rng(0).uniform(size=(200, 2))
    options = {"covariance_type": covariance_type, "init_params": init_params, "max_iter": 0}
    first, again, other = (
        GaussianMixture(6, random_state=seed, **options).fit(noise) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.means_, again.means_)
    np.testing.assert_array_equal(first.covariances_, again.covariances_)
    assert not np.array_equal(first.means_, other.means_)


def test_each_init_params_gives_the_start_of_its_name(X):
    models = {
        name: GaussianMixture(3, init_params=name, max_iter=0, random_state=0).fit(X)
        for name in ("kmeans", "k-means++", "random", "random_from_data")
    }
    samples = {tuple(x) for x in X}
    at_samples = {n: all(tuple(m) in samples for m in model.means_) for n, model in models.items()}
    assert at_samples == {
        "kmeans": False,
        "k-means++": True,
        "random": False,
        "random_from_data": True,
    }
    spread = {name: np.ptp(model.means_, axis=0).max() for name, model in models.items()}
    assert spread["random"] < 0.2 * spread["kmeans"]


@unconverged
def test_random_state_may_be_a_random_state(X):
    models = [
        GaussianMixture(3, random_state=np.random.RandomState(seed), max_iter=2).fit(X)
        for seed in (1, 1)
    ]
    np.testing.assert_array_equal(models[0].means_, models[1].means_)


@unconverged
def test_the_best_of_n_init_starts_is_kept():
    noise = np.random.default_rng(0).uniform(size=(150, 2))
    options = {"init_params": "random_from_data", "random_state": 2, "max_iter": 30}
    scores = [GaussianMixture(5, n_init=n, **options).fit(noise).score(noise) for n in (1, 2, 4, 8)]
    assert scores == sorted(scores)  # the first starts are the same
    assert scores[0] < scores[-1]


@pytest.mark.parametrize("verbose", [0, 1])
def test_starts_in_lockstep_give_the_fits_of_one_after_the_other(X, verbose, capsys):
    """A callback is told of one fit after the other; the result is the same to rounding."""
    seen = []
    options = {"n_init": 4, "init_params": "random_from_data", "tol": 1e-4, "random_state": 0}
    together = GaussianMixture(3, **options).fit(X)
    after = GaussianMixture(
        3, **options, callback=lambda *row: seen.append(row), verbose=verbose
    ).fit(X)
    assert after.n_iter_ == together.n_iter_
    np.testing.assert_allclose(after.means_, together.means_, rtol=1e-6)
    assert [row[0] for row in seen].count(0) == 4
    assert max(row[2] for row in seen) == pytest.approx(after.result_.log_likelihood)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Init")]
    numbers = [number for number in range(4) for _ in range(2)] * verbose
    assert [int(line.split()[1].rstrip(":")) for line in lines] == numbers


@unconverged
def test_a_warm_start_continues_from_the_last_fit(X):
    start = explicit_start("full")
    whole = GaussianMixture(3, max_iter=6, tol=0, **start).fit(X)
    model = GaussianMixture(3, max_iter=2, tol=0, warm_start=True, **start)
    for _ in range(3):
        model.fit(X)
    np.testing.assert_allclose(model.means_, whole.means_, rtol=1e-12)
    np.testing.assert_allclose(model.covariances_, whole.covariances_, rtol=1e-12)


@unconverged
def test_without_a_warm_start_every_fit_starts_again(X):
    model = GaussianMixture(3, max_iter=2, tol=0, **explicit_start("full")).fit(X)
    first = model.means_
    np.testing.assert_array_equal(model.fit(X).means_, first)


def test_only_a_fit_that_does_not_converge_warns(X):
    assert GaussianMixture(3, tol=0.1, random_state=0).fit(X).converged_
    with pytest.warns(ConvergenceWarning, match=r"did not converge.*max_iter"):
        model = GaussianMixture(3, max_iter=2, tol=0, random_state=0).fit(X)
    assert not model.converged_


def test_tol_is_the_gain_in_mean_log_likelihood(X):
    model = GaussianMixture(3, tol=1e-3, reg_covar=0, max_iter=500, random_state=0).fit(X)
    gains = np.diff(model.result_.trace["log_likelihood"]) / 300
    # The fit takes one more step, like scikit-learn.
    assert (gains[-2:] <= 1e-3).all()
    assert (gains[:-2] > 1e-3).all()


def with_a_far_point():
    """Return a cluster, and one sample on which a component collapses."""
    return np.append(np.random.default_rng(0).normal(size=(30, 2)), [[50.0, 50.0]], axis=0)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_a_collapse_ends_a_fit_unless_reg_covar_prevents_it(covariance_type):
    data = with_a_far_point()
    model = GaussianMixture(
        2, covariance_type=covariance_type, reg_covar=0, max_iter=500, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match=r"did not converge.*component \d has collapsed"):
        model.fit(data)
    assert not model.converged_
    assert model.result_.status == "degenerate"
    assert np.isfinite(model.score(data))
    with pytest.warns(ConvergenceWarning, match="held up by the ridge"):
        model.set_params(reg_covar=1e-3).fit(data)
    smallest = np.linalg.eigvalsh(model.result_.mixture.covariances).min()
    np.testing.assert_allclose(smallest, 1e-3, rtol=1e-6)


@unconverged
def test_a_start_that_collapses_does_not_affect_the_others():
    few = np.random.default_rng(0).normal(size=(20, 2))
    options = {"reg_covar": 0, "init_params": "random_from_data", "max_iter": 60, "tol": 1e-4}

    def status(n_init, seed):
        model = GaussianMixture(3, n_init=n_init, random_state=seed, **options).fit(few)
        return model.result_.status

    collapsing = [seed for seed in range(10) if status(1, seed) == "degenerate"]
    assert collapsing
    assert all(status(4, seed) != "degenerate" for seed in collapsing)


@unconverged
def test_a_component_with_weight_0_stays_empty(X):
    model = GaussianMixture(2, weights_init=[1.0, 0.0], random_state=0).fit(X)
    np.testing.assert_allclose(model.weights_, [1, 0], atol=1e-100)
    np.testing.assert_allclose(model.means_[0], X.mean(axis=0))


@unconverged
@pytest.mark.parametrize(
    ("covariance_type", "init_params"),
    [
        ("full", "kmeans"),
        ("spherical", "kmeans"),
        ("tied", "k-means++"),
        ("diag", "random"),
        ("full", "random_from_data"),
    ],
)
def test_there_may_be_fewer_distinct_samples_than_components(covariance_type, init_params):
    twice = np.repeat([[0.0, 1.0], [5.0, 1.0]], 6, axis=0)
    options = {"covariance_type": covariance_type, "init_params": init_params, "random_state": 0}
    model = GaussianMixture(4, **options).fit(twice)
    assert np.isfinite(model.score(twice))
    assert model.weights_.sum() == pytest.approx(1)


@unconverged
def test_components_that_coincide_cause_a_warning():
    twice = np.repeat([[0.0, 1.0], [5.0, 1.0]], 6, axis=0)
    with pytest.warns(ConvergenceWarning, match=r"distinct samples in X \(2\); got 4"):
        GaussianMixture(4, random_state=0).fit(twice)


def test_nothing_is_drawn_if_every_block_is_given(X, monkeypatch):
    monkeypatch.setattr(start, "draw", None)
    GaussianMixture(3, max_iter=0, **explicit_start("full")).fit(X)


def test_verbose_prints_at_the_given_interval(X, capsys):
    GaussianMixture(3, random_state=0, tol=1e-3).fit(X)
    assert capsys.readouterr().out == ""
    model = GaussianMixture(3, random_state=0, tol=1e-4, verbose=1, verbose_interval=2).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "Iteration" in line]) == model.n_iter_ // 2 + 1
    assert "Converged" in lines[-1]


# ---- sampling ----------------------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", ["full", "spherical"])
def test_samples_come_from_the_fitted_mixture(X, covariance_type):
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    samples, labels = model.sample(20_000)
    assert samples.shape == (20_000, 2)
    weights = np.bincount(labels) / 20_000
    assert np.abs(weights - model.weights_).max() < 5 * np.sqrt(0.25 / 20_000)
    for k, covariance in enumerate(model.result_.mixture.covariances):
        mine = samples[labels == k]
        error = np.sqrt(np.diag(covariance) / len(mine))
        assert (np.abs(mine.mean(axis=0) - model.means_[k]) < 5 * error).all()
        scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        assert (np.abs(np.cov(mine.T) - covariance) / scale).max() < 5 * np.sqrt(2 / len(mine))


def test_sample_accepts_a_random_state(X):
    model = GaussianMixture(3, random_state=0).fit(X)
    first, again, other = (model.sample(5, random_state=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    np.testing.assert_array_equal(model.sample(5)[0], model.sample(5, random_state=0)[0])
    assert model.sample()[0].shape == (1, 2)


# ---- use with scikit-learn ---------------------------------------------------------------


def test_a_clone_has_the_parameters_and_is_not_fitted(X):
    model = GaussianMixture(3, free={"means"}, covariances_init=np.ones(3), random_state=0)
    model.set_params(covariance_type="spherical").fit(X)
    again = clone(model)
    assert again.get_params()["free"] == {"means"}
    assert again.covariance_type == "spherical"
    with pytest.raises(NotFittedError):
        again.predict(X)
    np.testing.assert_array_equal(again.fit(X).means_, model.means_)


def test_a_grid_search_finds_the_number_of_components():
    data = datasets.random_mixture(400, 3, 2, separation=8, rng=np.random.default_rng(1)).X
    search = GridSearchCV(
        GaussianMixture(random_state=0, n_init=2), {"n_components": [1, 2, 3]}, cv=3
    ).fit(data)
    assert search.best_params_ == {"n_components": 3}
    model = GaussianMixture(3, random_state=0, n_init=2)
    folds = cross_val_score(model, data, cv=3)
    assert search.best_score_ == pytest.approx(folds.mean())
    assert search.best_estimator_.score(data) == pytest.approx(model.fit(data).score(data))


def test_standardising_changes_densities_only_by_the_volume(faithful):
    options = {"tol": 1e-9, "reg_covar": 0, "random_state": 0, "max_iter": 1000}
    plain = GaussianMixture(2, **options).fit(faithful)
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(2, **options)).fit(faithful)
    volume = np.log(faithful.std(axis=0)).sum()
    assert pipeline.score(faithful) - volume == pytest.approx(plain.score(faithful), abs=1e-6)
    disagree = np.mean(pipeline.predict(faithful) != plain.predict(faithful))
    assert min(disagree, 1 - disagree) < 0.01


# ---- sample weights ----------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize(
    ("covariance_type", "init_params"),
    [("full", "labels"), ("tied", "means"), ("diag", "labels"), ("spherical", "means")],
)
def test_integer_weights_are_equivalent_to_repeated_samples(X, covariance_type, init_params):
    copies = np.random.default_rng(0).integers(0, 4, size=len(X))
    labels = (X[:, 0] > np.median(X[:, 0])).astype(int)
    if init_params == "means":
        given = explicit_start(covariance_type, k=2)
        one, other = given, given
    else:
        one = {"responsibilities_init": labels}
        other = {"responsibilities_init": np.repeat(labels, copies)}
    options = {"covariance_type": covariance_type, "max_iter": 5, "tol": 0}
    weighted = GaussianMixture(2, **options, **one).fit(X, sample_weight=copies)
    repeated = GaussianMixture(2, **options, **other).fit(np.repeat(X, copies, axis=0))
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(
            getattr(weighted, name), getattr(repeated, name), rtol=1e-8, atol=1e-8
        )
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-10)
    score = weighted.score(X, sample_weight=copies)
    assert score == pytest.approx(weighted.lower_bound_, rel=1e-10)
    assert score == pytest.approx(weighted.score(np.repeat(X, copies, axis=0)), rel=1e-10)


@pytest.mark.parametrize("init_params", ["kmeans", "random"])
def test_equal_weights_are_equivalent_to_no_weights(X, init_params):
    options = {"init_params": init_params, "random_state": 0, "max_iter": 0}
    plain = GaussianMixture(3, **options).fit(X)
    weighted = GaussianMixture(3, **options).fit(X, sample_weight=np.full(len(X), 1.0))
    np.testing.assert_allclose(weighted.means_, plain.means_, rtol=1e-10)
    labels = GaussianMixture(3, random_state=0, tol=0.1).fit_predict(X, sample_weight=np.ones(300))
    assert labels.shape == (300,)


def test_criteria_accept_weights(X):
    weight = np.random.default_rng(0).integers(1, 4, size=len(X))
    model = GaussianMixture(2, random_state=0).fit(X, sample_weight=weight)
    repeated = np.repeat(X, weight, axis=0)
    assert model.bic(X, sample_weight=weight) == pytest.approx(model.bic(repeated), rel=1e-12)
    assert model.aic(X, sample_weight=weight) == pytest.approx(model.aic(repeated), rel=1e-12)
    assert model.bic(X, sample_weight=weight) == pytest.approx(model.result_.bic, rel=1e-9)


def test_weights_go_through_a_pipeline(X):
    weight = np.random.default_rng(0).exponential(size=len(X))
    model = GaussianMixture(3, random_state=0, tol=1e-2)
    pipe = make_pipeline(StandardScaler(), model).fit(X, gaussianmixture__sample_weight=weight)
    scaled = StandardScaler().fit_transform(X)
    direct = clone(model).fit(scaled, sample_weight=weight)
    np.testing.assert_array_equal(pipe[-1].means_, direct.means_)
    assert pipe[-1].result_.n_samples == pytest.approx(weight.sum())


def test_weights_are_routed_as_metadata(X):
    weight = np.random.default_rng(0).exponential(size=len(X))
    with config_context(enable_metadata_routing=True):
        model = GaussianMixture(3, random_state=0, tol=1e-2)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = make_pipeline(model).fit(X, sample_weight=weight)
        direct = GaussianMixture(3, random_state=0, tol=1e-2).fit(X, sample_weight=weight)
        np.testing.assert_array_equal(found[-1].means_, direct.means_)
        assert found.score(X, sample_weight=weight) == direct.score(X, sample_weight=weight)
        search = GridSearchCV(model, {"n_components": [1, 3]}, cv=3).fit(X, sample_weight=weight)
        assert search.best_estimator_.result_.n_samples == pytest.approx(weight.sum())


def test_fit_and_score_check_the_weights(X):
    model = GaussianMixture(3, random_state=0).fit(X)
    for method in (GaussianMixture(3).fit, model.score):
        with pytest.raises(ValueError, match="sample_weight must have one entry per sample"):
            method(X, sample_weight=np.ones(5))
        with pytest.raises(ValueError, match="sample_weight must be non-negative and not all zero"):
            method(X, sample_weight=-np.ones(300))


# ---- single precision --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("covariance_type", "options"),
    [
        ("full", {}),
        ("tied", {"floor": 1e-3}),
        ("diag", {"accelerate": True}),
        ("spherical", {"n_init": {"kmeans": 2}}),
    ],
    ids=str,
)
def test_attributes_and_predictions_keep_single_precision(X, covariance_type, options):
    options = {"covariance_type": covariance_type, "random_state": 0, **options}
    model = GaussianMixture(3, **options).fit(X.astype(np.float32))
    double = GaussianMixture(3, **options).fit(X)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(model, name).dtype == np.float32, name
        assert getattr(double, name).dtype == np.float64, name
    for dtype in (np.float32, np.float64):
        assert model.predict_proba(X.astype(dtype)).dtype == dtype
        assert model.score_samples(X.astype(dtype)).dtype == dtype
    assert model.predict(X.astype(np.float32)).dtype.kind == "i"
    assert isinstance(model.score(X.astype(np.float32)), float)
    assert model.score(X) == pytest.approx(double.score(X), abs=1e-2)


def test_predictions_use_the_fit_in_double_precision(X):
    """The attributes are rounded to single precision; the fitted mixture is not."""
    model = GaussianMixture(3, random_state=0).fit(X.astype(np.float32))
    np.testing.assert_array_equal(
        model.score_samples(X), model.result_.mixture.log_prob(X.astype(float))
    )


# ---- missing entries ---------------------------------------------------------------------


def with_holes(X, seed=0):
    """Return data without a tenth of the entries and without the whole first sample."""
    holes = np.where(np.random.default_rng(seed).random(X.shape) < 0.1, np.nan, X)
    holes[0] = np.nan
    return holes


@pytest.mark.parametrize(
    ("covariance_type", "n_init"),
    [("full", 1), ("tied", 2), ("diag", "mixed"), ("spherical", {"k-means++": 2, "random": 1})],
    ids=str,
)
def test_missing_entries_are_integrated_out_in_fit_and_prediction(X, covariance_type, n_init):
    holes = with_holes(X)
    model = GaussianMixture(
        3,
        covariance_type=covariance_type,
        missing="marginalise",
        n_init=n_init,
        random_state=0,
        max_iter=500,
    ).fit(holes)
    assert model.converged_
    probabilities, scores = model.predict_proba(holes), model.score_samples(holes)
    # With no observed entry: the weights, and a density of 1.
    np.testing.assert_allclose(probabilities[0], model.weights_)
    assert scores[0] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(holes), probabilities.argmax(axis=1))
    # With one missing entry: the marginal density of the others.
    for row in np.flatnonzero(np.isnan(holes).sum(axis=1) == 1)[:5]:
        seen = np.flatnonzero(~np.isnan(holes[row]))
        marginal = model.result_.mixture.marginal(seen)
        assert scores[row] == pytest.approx(marginal.log_prob(holes[[row]][:, seen])[0])
    assert model.score(holes) == pytest.approx(model.lower_bound_, rel=1e-10)
    # With no missing entry: the density.
    np.testing.assert_allclose(model.score_samples(X), model.result_.mixture.log_prob(X))


def test_single_precision_is_kept_with_missing_entries(X):
    holes = with_holes(X).astype(np.float32)
    model = GaussianMixture(2, missing="marginalise", random_state=0).fit(holes)
    assert model.means_.dtype == np.float32
    assert model.score_samples(holes).dtype == model.predict_proba(holes).dtype == np.float32


def test_the_error_for_nan_says_how_to_allow_it(X):
    with pytest.raises(ValueError, match=r"X contains NaN.*missing='marginalise'"):
        GaussianMixture(3).fit(with_holes(X))
    model = GaussianMixture(3, random_state=0).fit(X)
    for method in ("predict", "predict_proba", "score_samples", "score"):
        with pytest.raises(ValueError, match="X contains NaN"):
            getattr(model, method)(with_holes(X))


def test_infinity_is_an_error_also_with_missing_entries(X):
    model = GaussianMixture(3, missing="marginalise", random_state=0).fit(X)
    X = X.copy()
    X[3, 1] = np.inf
    for method in (GaussianMixture(3, missing="marginalise").fit, model.predict):
        with pytest.raises(ValueError, match="X contains infinity"):
            method(X)


# ---- floors ------------------------------------------------------------------------------


@unconverged
@pytest.mark.parametrize(
    ("covariance_type", "n_init"),
    [
        ("full", {"random_from_data": 3}),
        ("tied", 1),
        ("diag", {"random_from_data": 3}),
        ("spherical", 1),
    ],
    ids=str,
)
def test_with_a_floor_the_unit_of_the_data_does_not_matter(X, covariance_type, n_init):
    """It matters with reg_covar, which is in squared data units."""
    unit = 2.0**-12  # exact
    options = {
        "covariance_type": covariance_type,
        "floor": 1e-3,
        "max_iter": 4,
        "tol": 0,
        "init_params": "random_from_data",
        "n_init": n_init,
        "random_state": 0,
    }
    one, other = (GaussianMixture(3, **options).fit(data) for data in (X, X * unit))
    np.testing.assert_allclose(other.means_ / unit, one.means_, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(other.covariances_ / unit**2, one.covariances_, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_a_component_on_the_floor_causes_a_warning(covariance_type):
    data = with_a_far_point()
    model = GaussianMixture(
        2, covariance_type=covariance_type, floor=1e-4, max_iter=500, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="The fit is degenerate: floored: component"):
        model.fit(data)
    assert model.converged_
    smallest = np.linalg.eigvalsh(model.result_.mixture.covariances).min()
    assert smallest >= 1e-4 * data.var(axis=0).min() * (1 - 1e-9)
    values = model.result_.trace["log_likelihood"]
    assert (np.diff(values) >= -1e-9 * np.abs(values).max()).all()


def test_a_floor_below_all_variances_changes_nothing(X):
    plain = GaussianMixture(3, reg_covar=0, random_state=0).fit(X)
    floored = GaussianMixture(3, floor=1e-9, random_state=0).fit(X)
    np.testing.assert_array_equal(floored.means_, plain.means_)


@unconverged
def test_a_floor_allows_data_that_need_reg_covar():
    """These are a constant feature, and fewer distinct samples than components."""
    constant = np.column_stack([np.arange(20.0), np.full(20, 3.0)])
    model = GaussianMixture(2, floor=1e-6, reg_covar=0, random_state=0).fit(constant)
    assert np.isfinite(model.score(constant))
    twice = np.repeat([[0.0, 1.0], [5.0, 1.0]], 6, axis=0)
    model = GaussianMixture(4, floor=1e-6, reg_covar=0, random_state=0).fit(twice)
    assert np.isfinite(model.score(twice))


# ---- starts from responsibilities, acceleration, callback --------------------------------


@unconverged
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_labels_and_responsibilities_start_the_fit(X, covariance_type):
    structure = STRUCTURES[covariance_type]
    options = {"covariance_type": covariance_type, "reg_covar": 0, "max_iter": 2, "tol": 0}
    labels = np.arange(300) // 100
    soft = np.random.default_rng(0).dirichlet(np.ones(3), size=300)
    for given, mixture in (
        (labels, start.from_labels(X, labels, structure=structure)),
        (np.eye(3)[labels], start.from_labels(X, labels, structure=structure)),
        (soft, start.from_responsibilities(X, soft, structure=structure)),
        (labels.tolist(), start.from_labels(X, labels, structure=structure)),
    ):
        model = GaussianMixture(3, responsibilities_init=given, **options).fit(X)
        wanted = fit(X, mixture, max_iter=2, tol=0).mixture
        np.testing.assert_allclose(model.means_, wanted.means, rtol=1e-12)
        np.testing.assert_allclose(model.covariances_, wanted.covariance.values, rtol=1e-10)


def test_responsibilities_may_be_in_single_precision(X):
    soft = np.random.default_rng(0).dirichlet(np.ones(3), size=300)
    one, other = (
        GaussianMixture(3, responsibilities_init=given, max_iter=0).fit(X)
        for given in (soft, soft.astype(np.float32))
    )
    np.testing.assert_allclose(other.means_, one.means_, rtol=1e-4)


@unconverged
def test_given_blocks_replace_those_from_responsibilities(X):
    labels = np.arange(300) // 100
    means = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    options = {"responsibilities_init": labels, "means_init": means, "max_iter": 0}
    np.testing.assert_array_equal(GaussianMixture(3, **options).fit(X).means_, means)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.ones((300, 2)), r"responsibilities_init must have shape .* = \(300, 3\).*\(300, 2\)"),
        (
            np.ones((300, 3)),
            "responsibilities_init: responsibilities must be non-negative, and each row must sum",
        ),
        (np.zeros(300, int), "responsibilities_init: labels must be 0 to 2"),
        (np.zeros(5, int), "labels must have one entry per sample"),
    ],
)
def test_errors_of_responsibilities_name_the_argument(X, given, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(3, responsibilities_init=given).fit(X)


def test_responsibilities_exclude_several_kinds_of_start(X):
    with pytest.raises(ValueError, match=r"responsibilities_init must be None .* n_init='mixed'"):
        GaussianMixture(2, n_init="mixed", responsibilities_init=np.zeros(len(X), int)).fit(X)


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_acceleration_finds_the_optimum_in_fewer_iterations(faithful, covariance_type):
    options = {"covariance_type": covariance_type, "tol": 1e-9, "reg_covar": 0, "max_iter": 20_000}
    given = {"means_init": [[2.0, 55.0], [3.5, 70.0], [4.3, 80.0]], "random_state": 0}
    plain = GaussianMixture(3, **options, **given).fit(faithful)
    fast = GaussianMixture(3, accelerate=True, **options, **given).fit(faithful)
    assert fast.score(faithful) == pytest.approx(plain.score(faithful), abs=1e-5)
    assert fast.n_iter_ < plain.n_iter_
    assert len(fast.lower_bounds_) <= fast.n_iter_
    assert (np.diff(fast.lower_bounds_) >= -1e-12).all()


@pytest.mark.parametrize("verbose", [0, 1])
def test_the_callback_is_called_at_every_iteration(X, verbose, capsys):
    seen = []
    model = GaussianMixture(
        3, callback=lambda *row: seen.append(row), tol=1e-4, random_state=0, verbose=verbose
    ).fit(X)
    assert [row[0] for row in seen] == list(range(model.n_iter_ + 1))
    assert seen[-1][1] == model.result_.mixture
    assert seen[-1][2] == model.result_.log_likelihood
    assert ("Iteration" in capsys.readouterr().out) == bool(verbose)


# ---- searches ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("covariance_type", "n_init"),
    [
        ("full", {"kmeans": 2, "random_from_data": 3}),
        ("tied", "mixed"),
        ("spherical", {"kmeans": 2, "random_from_data": 3}),
    ],
    ids=str,
)
def test_a_search_sets_the_attributes_of_a_fit(X, covariance_type, n_init):
    options = {"covariance_type": covariance_type, "n_init": n_init, "random_state": 0}
    model = GaussianMixture(3, tol=1e-6, max_iter=1000, **options).fit(X)
    assert model.result_ is model.search_.best
    assert model.search_.n_starts == (sum(MIXED.values()) if n_init == "mixed" else 5)
    assert model.search_.message in model.result_.message
    assert model.score(X) == pytest.approx(model.lower_bound_, rel=1e-12)
    again = clone(model).fit(X)
    np.testing.assert_array_equal(again.means_, model.means_)
    single = GaussianMixture(3, covariance_type=covariance_type, random_state=0, tol=1e-6).fit(X)
    assert model.score(X) >= single.score(X) - 1e-4


def test_a_search_finds_the_best_known_optimum():
    """The optimum is that of four components with tied covariances on iris."""
    X = datasets.iris().X
    options = {"covariance_type": "tied", "n_init": "mixed", "reg_covar": 0, "random_state": 0}
    model = GaussianMixture(4, tol=1e-8, max_iter=10_000, **options).fit(X)
    assert model.result_.log_likelihood == pytest.approx(-223.0486, abs=1e-3)


def test_a_fit_without_a_search_removes_the_result_of_the_last_one(X):
    model = GaussianMixture(3, n_init={"kmeans": 2}, random_state=0).fit(X)
    assert hasattr(model, "search_")
    assert not hasattr(model.set_params(n_init=1).fit(X), "search_")


@unconverged
def test_a_search_keeps_given_blocks_that_are_not_free(X):
    weights = [0.2, 0.3, 0.5]
    model = GaussianMixture(
        3,
        n_init={"kmeans": 2, "random": 1},
        weights_init=weights,
        free={"means", "covariances"},
        random_state=0,
    ).fit(X)
    np.testing.assert_array_equal(model.weights_, weights)


def test_a_warm_start_continues_from_the_result_of_a_search(X):
    model = GaussianMixture(3, n_init={"kmeans": 2}, warm_start=True, tol=1e-6, random_state=0)
    first = model.fit(X).score(X)
    assert model.fit(X).n_iter_ <= 2
    assert model.score(X) == pytest.approx(first, abs=1e-5)


@pytest.mark.parametrize("n_init", [2, {"kmeans": 2}], ids=str)
def test_if_every_start_collapses_the_last_valid_mixture_is_kept_with_a_warning(n_init):
    model = GaussianMixture(2, reg_covar=0, n_init=n_init, max_iter=500, random_state=0)
    data = with_a_far_point()
    with pytest.warns(ConvergenceWarning, match=r"did not converge.*component \d has collapsed"):
        model.fit(data)
    assert model.result_.status == "degenerate"
    assert np.isfinite(model.score(data))


@pytest.mark.parametrize(
    ("n_init", "error", "message"),
    [
        ({"luck": 2}, ValueError, "n_init must be one of 'kmeans'.*got 'luck'"),
        ({"kmeans": 0}, ValueError, r"n_init\['kmeans'\] must be at least 1; got 0"),
        ({}, TypeError, "n_init must map kinds of start"),
    ],
    ids=str,
)
def test_errors_of_kinds_of_start_name_the_argument(X, n_init, error, message):
    with pytest.raises(error, match=message):
        GaussianMixture(3, n_init=n_init).fit(X)


# ---- use of the additional options with scikit-learn --------------------------------------


OPTIONS = (
    {"n_init": {"kmeans": 2, "random_from_data": 2}},
    {"n_init": "mixed", "covariance_type": "tied", "max_iter": 20},
    {"callback": print_nothing},
    {"floor": 1e-3, "missing": "marginalise", "accelerate": True, "covariance_type": "diag"},
)


@unconverged
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(
    "options",
    [options for options in OPTIONS if options.get("n_init") != "mixed"],
    ids=" ".join,
)
def test_it_passes_every_check_of_scikit_learn_with_the_options(options):
    results = check_estimator(GaussianMixture(**options), on_skip=None, on_fail=None)
    failed = {result["check_name"]: result["exception"] for result in results if failing(result)}
    assert not failed
    assert len(results) > 30


def failing(result):
    return result["status"] not in ("passed", "skipped")


@unconverged
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_copies_by_pickle_and_joblib_predict_the_same_bits(X, options, tmp_path):
    model = GaussianMixture(3, random_state=0, **options).fit(X)
    joblib.dump(model, tmp_path / "model.joblib")
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib")):
        np.testing.assert_array_equal(again.score_samples(X), model.score_samples(X))
        assert again.result_.message == model.result_.message
        assert again.get_params() == model.get_params()
        assert hasattr(again, "search_") == hasattr(model, "search_")


@unconverged
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_a_clone_has_the_options_and_finds_the_same_bits(X, options):
    model = GaussianMixture(3, random_state=0, **options)
    again = clone(model)
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(again.fit(X).means_, model.fit(X).means_)
    assert options.items() <= repr_params(again).items()


def repr_params(model):
    return {name: value for name, value in model.get_params().items() if name in repr(model)}


@unconverged
def test_a_grid_search_accepts_every_option():
    data = datasets.random_mixture(150, 2, 2, separation=6, rng=np.random.default_rng(1)).X
    grid = {
        "n_init": [1, {"kmeans": 1, "random": 1}],
        "floor": [None, 1e-3],
        "accelerate": [False, True],
        "missing": ["raise", "marginalise"],
        "free": [("means", "weights", "covariances"), {"means"}],
    }
    model = GaussianMixture(2, random_state=0)
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(data)
    assert len(search.cv_results_["params"]) == 32
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@unconverged
def test_feature_names_of_data_frames_are_kept_and_checked(X):
    frame = pd.DataFrame(X, columns=["length", "width"])
    weight = pd.Series(np.random.default_rng(0).exponential(size=len(X)), index=frame.index + 7)
    for options in ({}, {"missing": "marginalise"}, {"n_init": {"kmeans": 2}}):
        model = GaussianMixture(3, random_state=0, **options).fit(frame, sample_weight=weight)
        plain = GaussianMixture(3, random_state=0, **options).fit(X, sample_weight=weight)
        np.testing.assert_array_equal(model.feature_names_in_, ["length", "width"])
        np.testing.assert_array_equal(model.means_, plain.means_)
        assert model.score(frame, sample_weight=weight) == plain.score(X, sample_weight=weight)
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(frame[["width", "length"]])
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            model.predict(X)


def test_an_array_is_read_as_it_is_and_as_a_list(X):
    """Arrays of finite numbers skip the checks of scikit-learn; lists do not."""
    model = GaussianMixture(3, random_state=0).fit(X)
    other = GaussianMixture(3, random_state=0).fit(X.tolist())
    assert model.n_features_in_ == other.n_features_in_ == 2
    np.testing.assert_array_equal(model.means_, other.means_)
    for method in ("predict", "predict_proba", "score_samples"):
        expected = getattr(model, method)(X.tolist())
        for array in (X, np.asfortranarray(X), X.astype(">f8"), X[::-1][::-1]):
            np.testing.assert_allclose(getattr(model, method)(array), expected, rtol=1e-12)
        for wrong in (X[:0], X[0], X[:, :1], X[None], np.where(X.min() < X, X, np.inf)):
            with pytest.raises(ValueError, match=r"sample|2D|features|dim|infinity"):
                getattr(model, method)(wrong)


def test_a_fit_to_an_array_forgets_the_names_of_the_features(X):
    frame = pd.DataFrame(X, columns=["a", "b"])
    model = GaussianMixture(3, random_state=0).fit(frame)
    model.fit(X)
    assert not hasattr(model, "feature_names_in_")
    model.predict(X)


def test_a_data_frame_with_missing_entries_is_fitted(X):
    frame = pd.DataFrame(with_holes(X), columns=["a", "b"])
    model = GaussianMixture(2, missing="marginalise", random_state=0).fit(frame)
    assert model.predict(frame).shape == (300,)
    assert model.__sklearn_tags__().input_tags.allow_nan
    assert not GaussianMixture().__sklearn_tags__().input_tags.allow_nan


# ---- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_components": 0},
        {"covariance_type": "round"},
        {"tol": -1.0},
        {"reg_covar": -1e-6},
        {"max_iter": -1},
        {"n_init": 0},
        {"init_params": "luck"},
        {"random_state": "seed"},
        {"warm_start": "yes"},
        {"verbose_interval": 0},
        {"free": "means"},
        {"weights_init": 0.5},
        {"means_init": "centre"},
        {"precisions_init": 1},
        {"covariances_init": 1},
        {"responsibilities_init": "labels"},
        {"floor": 0.0},
        {"missing": "ignore"},
        {"accelerate": "yes"},
        {"callback": "print"},
        {"n_init": "many"},
    ],
    ids=lambda p: "-".join(map(str, p)),
)
def test_errors_of_parameters_name_the_parameter(X, parameters):
    (name,) = parameters
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of GaussianMixture"):
        GaussianMixture(**parameters).fit(X)


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weights_init": [0.5, 0.6]}, "weights_init.* should be normalized"),
        ({"weights_init": [1.2, -0.2]}, r"weights_init.* max value 1.20000, min value -0.20000"),
        ({"weights_init": [0.5, 0.3, 0.2]}, r"weights_init.* shape of \(2,\)"),
        ({"means_init": np.zeros((3, 2))}, r"means_init.* shape of \(2, 2\), but got \(3, 2\)"),
        ({"means_init": [[0, 0], [np.nan, 0]]}, "means_init.* contains NaN"),
        ({"covariances_init": EYE}, r"covariances_init.* shape of \(2, 2, 2\)"),
        (
            {"covariances_init": [EYE, [[1, 2], [2, 1]]]},
            "covariances_init.* must be positive definite",
        ),
        ({"covariances_init": [EYE, [[1, 0.5], [0, 1]]]}, "covariances_init.* must be symmetric"),
        (
            {"precisions_init": [EYE, [[1, 2], [2, 1]]]},
            "precisions_init.* should be symmetric, positive-definite",
        ),
        (
            {"precisions_init": [EYE, [[1, 0.5], [0, 1]]]},
            "precisions_init.* should be symmetric, positive-definite",
        ),
        (
            {"precisions_init": [1.0, 0.0], "covariance_type": "spherical"},
            "precisions_init.* should be positive",
        ),
        ({"precisions_init": EYE}, r"precisions_init.* shape of \(2, 2, 2\)"),
        ({"covariances_init": [EYE, EYE], "precisions_init": [EYE, EYE]}, "not both"),
        (
            {"free": ["mean"]},
            "free must contain only 'weights', 'means', 'covariances'; got 'mean'",
        ),
    ],
)
def test_errors_of_initial_values_name_the_parameter(X, parameters, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, **parameters).fit(X)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([[np.nan, 0.0], [1.0, 1.0]], "X contains NaN"),
        ([[np.inf, 0.0], [1.0, 1.0]], "X contains infinity"),
        ([0.0, 1.0, 2.0], "Expected 2D array"),
        (np.empty((0, 2)), "Found array with 0 sample"),
        ([[0.0, 1.0]], "minimum of 2 is required"),
        ([[0.0], [1.0]], "n_samples >= n_components but got n_components = 3, n_samples = 2"),
    ],
)
def test_errors_of_samples_are_those_of_scikit_learn(data, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(3).fit(data)


METHODS = ("predict", "predict_proba", "score_samples", "score", "aic", "bic")


def test_every_method_needs_a_fit(X):
    for method in METHODS:
        with pytest.raises(NotFittedError):
            getattr(GaussianMixture(), method)(X)
    with pytest.raises(NotFittedError):
        GaussianMixture().sample()


def test_every_method_checks_the_number_of_features(X):
    model = GaussianMixture(3, random_state=0).fit(X)
    for method in METHODS:
        with pytest.raises(ValueError, match=r"X has 1 features, but .* is expecting 2"):
            getattr(model, method)(X[:, :1])


def test_sample_draws_at_least_one_sample(X):
    model = GaussianMixture(3, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"'n_samples'.* must be at least 1; got 0"):
        model.sample(0)


def test_a_constant_feature_is_an_error_unless_reg_covar_is_above_0():
    constant = np.column_stack([np.arange(20.0), np.full(20, 3.0)])
    with pytest.raises(ValueError, match="X is constant in feature 1"):
        GaussianMixture(2, reg_covar=0).fit(constant)
    assert np.isfinite(GaussianMixture(2, random_state=0).fit(constant).score(constant))


def test_a_dask_array_is_an_error(X):
    array = pytest.importorskip("dask.array").from_array(X)
    with pytest.raises(
        TypeError, match=r"X must be in memory; got a Dask array\. gmmlab\.fit accepts"
    ):
        GaussianMixture(2).fit(array)


def test_the_best_of_several_fits_has_an_estimate_of_its_remaining_gain():
    model = GaussianMixture(3, n_init=8, init_params="random_from_data", random_state=0)
    result = model.fit(datasets.iris().X).result_
    assert np.isfinite(result.remaining_gain)
    assert "Further iterations would gain" in result.message
