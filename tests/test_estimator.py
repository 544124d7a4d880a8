"""Laws of the scikit-learn face: the same interface, and the same answers where they are due."""

import inspect

import numpy as np
import pytest
import sklearn.mixture
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import check_estimator

from gmmlab import GaussianMixture, Mixture, datasets, fit
from gmmlab.covariance import STRUCTURES

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


def explicit_start(covariance_type, k=3, d=2, seed=0):
    """Weights, means and precisions for both classes."""
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
def test_every_check_that_scikit_learns_class_passes_is_passed(covariance_type):
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


def test_parameters_are_scikit_learns_with_their_defaults_and_some_more():
    ours = inspect.signature(GaussianMixture).parameters
    theirs = inspect.signature(Reference).parameters
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default, name
        assert ours[name].kind == parameter.kind, name
    more = set(ours) - set(theirs)
    assert more >= {"free", "covariances_init", "responsibilities_init", "floor", "missing"}
    assert all(name in GaussianMixture.__doc__ for name in more)


def test_methods_and_fitted_attributes_are_scikit_learns(faithful):
    ours, theirs = (cls(2, random_state=0).fit(faithful) for cls in (GaussianMixture, Reference))
    assert {name for name in dir(theirs) if not name.startswith("_")} <= set(dir(ours))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape
    assert ours.n_features_in_ == 2


# ---- the same answers --------------------------------------------------------------------


@unconverged
@every_type
@pytest.mark.parametrize("reg_covar", [0, 1e-6, 0.1])
@pytest.mark.parametrize("iterations", [1, 2, 7])
def test_the_same_start_and_iterations_give_scikit_learns_answer(
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
def test_both_find_the_same_optimum(faithful, covariance_type):
    options = {"covariance_type": covariance_type, "tol": 1e-10, "max_iter": 2000}
    means = [[2.0, 55.0], [4.3, 80.0]]
    ours, theirs = (
        cls(2, means_init=means, random_state=0, **options).fit(faithful)
        for cls in (GaussianMixture, Reference)
    )
    assert ours.converged_
    np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-4)
    assert ours.score(faithful) == pytest.approx(theirs.score(faithful), abs=1e-7)


def test_waiting_times_have_the_fit_that_two_r_packages_publish(faithful):
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
def test_no_iterations_keep_the_start(X, covariance_type):
    start = explicit_start(covariance_type)
    model = GaussianMixture(3, covariance_type=covariance_type, max_iter=0, **start).fit(X)
    np.testing.assert_allclose(model.weights_, start["weights_init"], rtol=1e-14)
    np.testing.assert_allclose(model.means_, start["means_init"], rtol=1e-14)
    np.testing.assert_allclose(model.precisions_, start["precisions_init"], rtol=1e-10)
    assert model.n_iter_ == 0


def test_no_iterations_are_no_reason_to_warn(X):
    GaussianMixture(3, max_iter=0).fit(X)


@every_type
def test_a_start_that_is_drawn_gets_the_ridge_of_every_m_step(X, covariance_type):
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
def test_covariances_init_is_the_inverse_of_precisions_init(X, covariance_type):
    start = explicit_start(covariance_type)
    structure = STRUCTURES[covariance_type]
    covariances = structure(start["precisions_init"]).inverse().values
    options = {"covariance_type": covariance_type, "max_iter": 3}
    by_precisions = GaussianMixture(3, **options, **start).fit(X)
    start["precisions_init"] = None
    by_covariances = GaussianMixture(3, **options, **start, covariances_init=covariances).fit(X)
    np.testing.assert_allclose(by_covariances.means_, by_precisions.means_, rtol=1e-12)
    np.testing.assert_allclose(by_covariances.covariances_, by_precisions.covariances_, rtol=1e-12)


# ---- fitted attributes -------------------------------------------------------------------


@every_type
def test_precisions_invert_covariances_and_have_their_factors(X, covariance_type):
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    factor = model.precisions_cholesky_
    if covariance_type in ("full", "tied"):
        identity = model.precisions_ @ model.covariances_
        np.testing.assert_allclose(identity, np.broadcast_to(np.eye(2), identity.shape), atol=1e-9)
        np.testing.assert_allclose(factor @ factor.swapaxes(-1, -2), model.precisions_, rtol=1e-9)
    else:
        np.testing.assert_allclose(model.precisions_ * model.covariances_, 1)
        np.testing.assert_allclose(factor**2, model.precisions_)


def test_lower_bounds_are_mean_log_likelihoods_that_rise_to_the_score(X):
    model = GaussianMixture(3, reg_covar=0, tol=1e-6, max_iter=1000, random_state=0).fit(X)
    assert len(model.lower_bounds_) == model.n_iter_
    assert model.lower_bound_ == model.lower_bounds_[-1] == pytest.approx(model.score(X), rel=1e-13)
    assert (np.diff(model.lower_bounds_) >= 0).all()
    assert model.result_.status == "converged"
    assert model.result_.n_iter == model.n_iter_


def test_fitted_arrays_belong_to_the_caller_and_the_fit_stays_what_it_was(X):
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
def test_weights_that_a_caller_sets_may_be_rounded_or_0(X, weights):
    model = GaussianMixture(3, random_state=0).fit(X)
    model.weights_ = np.asarray(weights)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    np.testing.assert_array_equal(
        np.bincount(model.sample(300)[1], minlength=3) > 0, model.weights_ > 0
    )


# ---- scores ------------------------------------------------------------------------------


@every_type
@pytest.mark.parametrize(
    "free", [("weights", "means", "covariances"), ("means",), ("weights", "covariances")]
)
def test_scores_are_what_their_formulas_say(X, covariance_type, free):
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


def test_labels_are_those_of_the_largest_probability(X):
    model = GaussianMixture(3, random_state=0)
    labels = model.fit_predict(X)
    probabilities = model.predict_proba(X)
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


# ---- what is known -----------------------------------------------------------------------


@every_type
@pytest.mark.parametrize("block", ["weights", "means", "covariances"])
def test_blocks_that_are_not_free_keep_their_starting_values(X, covariance_type, block):
    start = explicit_start(covariance_type)
    covariances = STRUCTURES[covariance_type](start.pop("precisions_init")).inverse().values
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
def test_free_blocks_move_as_in_fit(X):
    start = explicit_start("full")
    model = GaussianMixture(3, free=["means"], max_iter=4, tol=0, **start).fit(X)
    covariance = STRUCTURES["full"](start["precisions_init"]).inverse()
    mixture = Mixture(start["weights_init"], start["means_init"], covariance)
    expected = fit(X, mixture, free={"means"}, max_iter=4, tol=0).mixture
    np.testing.assert_array_equal(model.means_, expected.means)


# ---- starts, restarts, warnings ----------------------------------------------------------


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
@every_type
def test_every_start_repeats_with_random_state(X, init_params, covariance_type):
    options = {"covariance_type": covariance_type, "init_params": init_params, "tol": 0.1}
    first, again = (GaussianMixture(3, random_state=5, **options).fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.means_, again.means_)
    np.testing.assert_array_equal(first.covariances_, again.covariances_)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_starts_differ_with_random_state(init_params):
    noise = np.random.default_rng(0).uniform(size=(200, 2))
    options = {"init_params": init_params, "max_iter": 0}
    means = [
        GaussianMixture(6, random_state=seed, **options).fit(noise).means_ for seed in range(3)
    ]
    assert not np.array_equal(means[0], means[1])
    assert not np.array_equal(means[1], means[2])


def test_starts_have_the_names_that_say_what_they_are(X):
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


@unconverged
def test_a_warm_start_goes_on_where_the_last_fit_stopped(X):
    start = explicit_start("full")
    whole = GaussianMixture(3, max_iter=6, tol=0, **start).fit(X)
    model = GaussianMixture(3, max_iter=2, tol=0, warm_start=True, **start)
    for _ in range(3):
        model.fit(X)
    np.testing.assert_allclose(model.means_, whole.means_, rtol=1e-12)
    np.testing.assert_allclose(model.covariances_, whole.covariances_, rtol=1e-12)


@unconverged
def test_without_a_warm_start_every_fit_begins_anew(X):
    model = GaussianMixture(3, max_iter=2, tol=0, **explicit_start("full")).fit(X)
    first = model.means_
    np.testing.assert_array_equal(model.fit(X).means_, first)


def test_running_out_of_iterations_warns(X):
    with pytest.warns(ConvergenceWarning, match=r"did not converge.*max_iter"):
        model = GaussianMixture(3, max_iter=2, tol=0, random_state=0).fit(X)
    assert not model.converged_


def test_converging_does_not_warn(X):
    assert GaussianMixture(3, tol=0.1, random_state=0).fit(X).converged_


def test_tol_is_the_gain_in_mean_log_likelihood(X):
    model = GaussianMixture(3, tol=1e-3, reg_covar=0, max_iter=500, random_state=0).fit(X)
    gains = np.diff(model.result_.trace["log_likelihood"]) / 300
    assert gains[-1] <= 1e-3
    assert (gains[:-1] > 1e-3).all()


def with_a_far_point():
    """A cluster, and one point that a component will collapse onto."""
    return np.append(np.random.default_rng(0).normal(size=(30, 2)), [[50.0, 50.0]], axis=0)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_a_collapse_ends_a_fit_without_reg_covar_and_none_with_it(covariance_type):
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
    smallest = model.result_.mixture.covariance.smallest_eigenvalues().min()
    np.testing.assert_allclose(smallest, 1e-3, rtol=1e-6)


@unconverged
def test_a_start_that_collapses_does_not_spoil_the_others():
    few = np.random.default_rng(0).normal(size=(20, 2))
    options = {"reg_covar": 0, "init_params": "random_from_data", "max_iter": 60, "tol": 1e-4}

    def status(n_init, seed):
        model = GaussianMixture(3, n_init=n_init, random_state=seed, **options).fit(few)
        return model.result_.status

    collapsing = [seed for seed in range(10) if status(1, seed) == "degenerate"]
    assert collapsing
    assert all(status(4, seed) != "degenerate" for seed in collapsing)


@unconverged
def test_a_weight_of_0_is_a_component_that_nothing_belongs_to(X):
    model = GaussianMixture(2, weights_init=[1.0, 0.0], random_state=0).fit(X)
    np.testing.assert_allclose(model.weights_, [1, 0], atol=1e-100)
    np.testing.assert_allclose(model.means_[0], X.mean(axis=0))


@every_type
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fewer_different_samples_than_components_are_no_error(covariance_type, init_params):
    twice = np.repeat([[0.0, 1.0], [5.0, 1.0]], 6, axis=0)
    options = {"covariance_type": covariance_type, "init_params": init_params, "random_state": 0}
    model = GaussianMixture(4, **options).fit(twice)
    assert np.isfinite(model.score(twice))
    assert model.weights_.sum() == pytest.approx(1)


@unconverged
def test_clusters_that_coincide_are_reported():
    twice = np.repeat([[0.0, 1.0], [5.0, 1.0]], 6, axis=0)
    with pytest.warns(ConvergenceWarning, match=r"different samples in X \(2\); got 4"):
        GaussianMixture(4, random_state=0).fit(twice)


def test_what_is_given_altogether_needs_no_draw(X, monkeypatch):
    monkeypatch.setattr("sklearn.cluster.KMeans.fit", None)
    GaussianMixture(3, max_iter=0, **explicit_start("full")).fit(X)


def test_verbose_reports_every_so_many_iterations(X, capsys):
    GaussianMixture(3, random_state=0, tol=1e-3).fit(X)
    assert capsys.readouterr().out == ""
    model = GaussianMixture(3, random_state=0, tol=1e-4, verbose=1, verbose_interval=2).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "Iteration" in line]) == model.n_iter_ // 2 + 1
    assert "Converged" in lines[-1]


# ---- sampling ----------------------------------------------------------------------------


@every_type
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


def test_sampling_repeats_with_its_own_random_state(X):
    model = GaussianMixture(3, random_state=0).fit(X)
    first, again, other = (model.sample(5, random_state=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    np.testing.assert_array_equal(model.sample(5)[0], model.sample(5, random_state=0)[0])
    assert model.sample()[0].shape == (1, 2)


# ---- together with scikit-learn ----------------------------------------------------------


def test_a_clone_has_the_parameters_and_nothing_fitted(X):
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


def test_standardising_in_a_pipeline_changes_densities_by_the_volume_alone(faithful):
    options = {"tol": 1e-9, "reg_covar": 0, "random_state": 0, "max_iter": 1000}
    plain = GaussianMixture(2, **options).fit(faithful)
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(2, **options)).fit(faithful)
    volume = np.log(faithful.std(axis=0)).sum()
    assert pipeline.score(faithful) - volume == pytest.approx(plain.score(faithful), abs=1e-6)
    disagree = np.mean(pipeline.predict(faithful) != plain.predict(faithful))
    assert min(disagree, 1 - disagree) < 0.01


# ---- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_components": 0},
        {"n_components": 2.0},
        {"covariance_type": "round"},
        {"tol": -1.0},
        {"reg_covar": -1e-6},
        {"max_iter": -1},
        {"n_init": 0},
        {"init_params": "luck"},
        {"random_state": "seed"},
        {"random_state": np.random.default_rng(0)},
        {"warm_start": "yes"},
        {"verbose_interval": 0},
        {"free": "means"},
        {"weights_init": 0.5},
        {"means_init": "centre"},
        {"precisions_init": 1},
        {"covariances_init": 1},
    ],
    ids=lambda p: "-".join(map(str, p)),
)
def test_parameters_of_the_wrong_kind_or_range_are_refused_by_name(X, parameters):
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
        ({"means_init": np.zeros((2, 3))}, r"means_init.* shape of \(2, 2\), but got \(2, 3\)"),
        ({"means_init": [[0, 0], [np.nan, 0]]}, "means_init.* contains NaN"),
        ({"covariances_init": EYE}, r"covariances_init.* shape of \(2, 2, 2\)"),
        ({"covariances_init": [EYE]}, r"covariances_init.* shape of \(2, 2, 2\)"),
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
        ({"precisions_init": [EYE, EYE * np.nan]}, "precisions_init.* contains NaN"),
        ({"precisions_init": EYE}, r"precisions_init.* shape of \(2, 2, 2\)"),
        ({"covariances_init": [EYE, EYE], "precisions_init": [EYE, EYE]}, "not both"),
        ({"free": ["mean"]}, "free may hold 'weights', 'means', 'covariances'; got 'mean'"),
    ],
)
def test_starting_values_that_do_not_fit_are_refused_by_name(X, parameters, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, **parameters).fit(X)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([[np.nan, 0.0], [1.0, 1.0]], "X contains NaN"),
        ([[np.inf, 0.0], [1.0, 1.0]], "X contains infinity"),
        ([0.0, 1.0, 2.0], "Expected 2D array"),
        (np.empty((0, 2)), "Found array with 0 sample"),
        ([["a", "b"], ["c", "d"]], "could not convert string|dtype='numeric'"),
        ([[0.0, 1.0]], "minimum of 2 is required"),
        ([[0.0], [1.0]], "n_samples >= n_components but got n_components = 3, n_samples = 2"),
    ],
)
def test_samples_are_checked_as_everywhere_in_scikit_learn(data, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(3).fit(data)


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "score_samples", "score", "aic", "bic", "sample"]
)
def test_nothing_works_before_fit(X, method):
    arguments = () if method == "sample" else (X,)
    with pytest.raises(NotFittedError):
        getattr(GaussianMixture(), method)(*arguments)


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "score_samples", "score", "aic", "bic"]
)
def test_new_samples_have_the_features_of_the_old(X, method):
    model = GaussianMixture(3, random_state=0).fit(X)
    with pytest.raises(ValueError, match="X has 1 features, but GaussianMixture is expecting 2"):
        getattr(model, method)(X[:, :1])


def test_a_sample_has_at_least_one_row(X):
    model = GaussianMixture(3, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"'n_samples'.* must be at least 1; got 0"):
        model.sample(0)


def test_data_that_carry_no_covariance_are_refused_with_advice():
    constant = np.column_stack([np.arange(20.0), np.full(20, 3.0)])
    with pytest.raises(ValueError, match="X is constant in feature 1"):
        GaussianMixture(2, reg_covar=0).fit(constant)
    assert np.isfinite(GaussianMixture(2, random_state=0).fit(constant).score(constant))
