"""Tests of the nonparametric and the weighted-likelihood bootstrap.

Efron and Tibshirani (1993); Newton and Raftery (1994); McLachlan and Peel (2000), section 2.16.
"""

import numpy as np
import pytest
from inference_helpers import assert_close, estimate, every_bootstrap, faithful, fitted
from scipy.stats import kstest

from gmmlab import (
    EEV,
    EII,
    VEI,
    VVE,
    DegenerateError,
    Diagonal,
    Full,
    Mixture,
    Spherical,
    Tied,
    diagnostics,
    fit,
    start,
)
from gmmlab.inference import bootstrap
from gmmlab.inference.bootstrap import exponential_weights, in_order, multinomial_weights
from gmmlab.inference.result import Parameters

# ---- random weights ----------------------------------------------------------------------------


def test_multinomial_weights_count_draws_with_replacement():
    rng = np.random.default_rng(0)
    weight = np.array([1.0, 2.0, 0.0, 5.0])
    drawn = np.array([multinomial_weights(weight, rng) for _ in range(4000)])
    assert (drawn.sum(axis=1) == 8).all()
    np.testing.assert_allclose(drawn.mean(axis=0), weight, atol=0.1)
    np.testing.assert_allclose(drawn.var(axis=0), weight * (1 - weight / 8), atol=0.2)


def test_exponential_weights_of_copies_add_up():
    rng = np.random.default_rng(0)
    drawn = np.array([exponential_weights(np.array([1.0, 0.0, 3.0]), rng) for _ in range(4000)])
    assert kstest(drawn[:, 0], "expon").pvalue > 1e-3
    assert (drawn[:, 1] == 0).all()
    assert kstest(drawn[:, 2], rng.exponential(size=(4000, 3)).sum(axis=1)).pvalue > 1e-3


@every_bootstrap
def test_weighted_samples_are_copies(method):
    """Four times the data halves the errors; 100 replicates determine them to 7 %."""
    X, found = fitted(n=100, separation=5)
    weight = np.full(len(X), 4.0)
    four = fit(X, found.mixture, sample_weight=weight, tol=1e-13)
    few = estimate(found, X, method, n_bootstrap=100)
    many = estimate(four, X, method, n_bootstrap=100, sample_weight=weight, seed=1)
    np.testing.assert_allclose(many.standard_errors.means, few.standard_errors.means / 2, rtol=0.3)


def test_weights_for_the_nonparametric_bootstrap_must_sum_to_an_integer():
    X, found = fitted(n=100)
    weight = np.full(100, 0.123)
    found = fit(X, found.mixture, sample_weight=weight, tol=1e-13)
    with pytest.raises(ValueError, match=r"integer for method='bootstrap'; got the sum 12\.29"):
        estimate(found, X, "bootstrap", sample_weight=weight)
    estimate(found, X, "weighted", sample_weight=weight)


# ---- standard errors ---------------------------------------------------------------------------


@every_bootstrap
def test_old_faithful_has_the_published_standard_errors(method):
    """About 0.031 for π, and (0.031, 0.476) and (0.028, 0.603) for the means.

    The published errors are from a bootstrap too. 200 replicates determine each to 5 %; 15 % are
    three standard errors.
    """
    X, found = faithful()
    errors = estimate(found, X, method, n_bootstrap=200).standard_errors
    np.testing.assert_allclose(errors.weights, [0.031, 0.031], rtol=0.15)
    np.testing.assert_allclose(errors.means, [[0.031, 0.476], [0.028, 0.603]], rtol=0.15)


@every_bootstrap
def test_the_mean_of_one_component_has_the_standard_error_of_a_mean(method):
    """√(S/n); 200 replicates determine a standard deviation to 5 %."""
    X = np.random.default_rng(0).normal(size=(200, 2)) @ np.diag([1, 10])
    found = fit(X, Mixture([1.0], np.zeros((1, 2)), Diagonal.unit(1, 2)), tol=0)
    one = estimate(found, X, method, n_bootstrap=200)
    np.testing.assert_allclose(
        one.standard_errors.means[0], X.std(axis=0) / np.sqrt(200), rtol=0.15
    )
    assert one.standard_errors.weights == 0


@every_bootstrap
def test_bootstraps_and_information_agree_for_many_samples(method):
    """The model is correct, so all estimate the same; 200 replicates determine it to 5 %."""
    X, found = fitted(n=3000, separation=4)
    errors = estimate(found, X, method, n_bootstrap=200).standard_errors
    assert_close(errors, estimate(found, X).standard_errors, rtol=0.2)


def test_errors_are_standard_deviations_and_intervals_percentiles_of_the_replicates():
    X, found = fitted(n=100)
    one = estimate(found, X, "bootstrap", level=0.8)
    for name, wanted in (
        ("standard_errors", lambda block: block.std(axis=0, ddof=1)),
        ("lower", lambda block: np.quantile(block, 0.1, axis=0)),
        ("upper", lambda block: np.quantile(block, 0.9, axis=0)),
    ):
        assert_close(getattr(one, name), map(wanted, one.replicates), rtol=1e-9)
    for k, covariance in enumerate(one.mean_covariances):
        np.testing.assert_allclose(covariance, np.cov(one.replicates.means[:, k].T), rtol=1e-9)


# ---- replicates --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "method"),
    [
        *((structure, "bootstrap") for structure in (Full, EII, VEI)),
        *((structure, "weighted") for structure in (Tied, EEV, VVE)),
    ],
)
def test_replicates_have_the_structure_of_the_fit(structure, method):
    X, found = fitted(structure, n=200, separation=5, tol=1e-10)
    one = estimate(found, X, method, n_bootstrap=5)
    assert one.n_degenerate == 0
    assert one.replicates.covariances.shape == (5, *found.mixture.covariance.values.shape)
    for values in one.replicates.covariances:
        structure(values)  # raises for other values
    for errors in one.standard_errors:
        assert (errors > 0).any()


@pytest.fixture(scope="module")
def fragile():
    """Samples and a fit with a cluster of four: many draws with replacement degenerate."""
    X = np.random.default_rng(0).normal(size=(44, 2)) + np.repeat([[0, 0], [50, 50]], [40, 4], 0)
    return X, fit(X, start.from_labels(X, np.repeat([0, 1], [40, 4])), tol=1e-12)


@pytest.mark.parametrize("structure", [Full, Tied, VEI, "fragile"])
def test_weighted_replicates_are_fits_to_the_drawn_rows(structure, fragile):
    """Each is what `fit` finds for the drawn rows alone, also beside replicates that degenerate."""
    X, found = fragile if structure == "fragile" else fitted(structure, n=100, tol=1e-12)
    settings = {"tol": 1e-12, "accelerate": True, "max_iter": 10_000}
    one = estimate(found, X, "bootstrap", n_bootstrap=20, tol=1e-12)
    alone = []
    for own in np.random.default_rng(0).spawn(20):
        rows = np.repeat(X, multinomial_weights(np.ones(len(X)), own).astype(int), axis=0)
        try:
            again = fit(rows, found.mixture, **settings).mixture
        except DegenerateError:
            continue
        if not diagnostics.degenerate(again, rows):
            order = diagnostics.match_mixtures(again, found.mixture)
            alone.append(Parameters.of(again.take(order)))
    assert len(alone) == 20 - one.n_degenerate
    assert bool(one.n_degenerate) == (structure == "fragile")
    for block, each in zip(one.replicates, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(block, each, rtol=1e-4)  # each is at its own maximum to 1e-6


@every_bootstrap
def test_the_result_does_not_depend_on_batches(method, fragile, monkeypatch):
    X, found = fragile
    one = estimate(found, X, method)
    sizes = []

    class Noted(bootstrap.Samples):
        def __init__(self, X, weight, **settings):
            sizes.append(weight.size)
            super().__init__(X, weight, **settings)

    monkeypatch.setattr(bootstrap, "Samples", Noted)
    monkeypatch.setattr(bootstrap, "_ENTRIES", 7 * len(X))
    other = estimate(found, X, method)
    assert len(sizes) == 3
    assert max(sizes) <= 7 * len(X)
    assert other.n_degenerate == one.n_degenerate
    for here, there in zip(one.replicates, other.replicates, strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-8)


def test_the_result_depends_on_the_seed_and_not_on_threads_and_jobs(monkeypatch):
    X, found = fitted(n=100)
    one = estimate(found, X, "bootstrap", n_bootstrap=1000)  # enough for several slices
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    two, other = (
        estimate(found, X, "bootstrap", n_bootstrap=1000, n_jobs=jobs, seed=seed)
        for jobs, seed in ((2, 0), (1, 1))
    )
    for here, there in zip(one.replicates, two.replicates, strict=True):
        np.testing.assert_array_equal(here, there)
    for here, there in zip(one.standard_errors, two.standard_errors, strict=True):
        np.testing.assert_array_equal(here, there)
    assert (one.replicates.means != other.replicates.means).all()


def test_components_of_replicates_are_in_the_order_of_the_fit():
    """Both components have the same mean, so no coordinate sorts them."""
    truth = Mixture([0.5, 0.5], [[0.0, 0.0], [0.0, 0.0]], Diagonal([[1.0, 25.0], [25.0, 1.0]]))
    X, _ = truth.sample(500, np.random.default_rng(0))
    found = fit(X, truth, tol=1e-12)
    variances = estimate(found, X, "bootstrap").replicates.covariances
    assert (variances[:, 0, 0] < variances[:, 0, 1]).all()
    assert (variances[:, 1, 0] > variances[:, 1, 1]).all()


@pytest.mark.parametrize("structure", [Full, Tied, VEI])
def test_permuted_components_are_put_in_the_order_of_the_fit(structure):
    _, found = fitted(structure, k=3)
    permuted = [found.mixture.take(order) for order in ([2, 0, 1], [0, 2, 1], [0, 1, 2])]
    ordered = in_order(Mixture.stacked(permuted), found.mixture, found.free)
    for block, wanted in zip(ordered, Parameters.of(found.mixture), strict=True):
        np.testing.assert_array_equal(block, np.stack([wanted] * 3))


def test_known_weights_keep_their_components():
    """A mean that moves to the place of the other does not take the weight of the other."""
    truth = Mixture([0.8, 0.2], [[0.0], [0.5]], Spherical([1.0, 1.0]))
    X, _ = truth.sample(50, np.random.default_rng(0))
    found = fit(X, truth, free={"means"}, tol=1e-14, max_iter=50_000)
    one = estimate(found, X, "bootstrap", n_bootstrap=50)
    assert not one.standard_errors.weights.any()
    crossed = one.replicates.means[:, 0, 0] > one.replicates.means[:, 1, 0]
    assert crossed.any()
    assert not crossed.all()


def test_missing_entries_are_supported():
    X, found = fitted(n=100)
    X = X.copy()
    X[::10, 0] = np.nan
    found = fit(X, found.mixture, missing="marginalise", tol=1e-10)
    with pytest.raises(ValueError, match="X contains NaN"):
        estimate(found, X)
    one = estimate(found, X, "bootstrap", missing="marginalise")
    assert (one.standard_errors.means > 0).all()


# ---- degenerate and unconverged replicates -----------------------------------------------------


@every_bootstrap
def test_degenerate_replicates_are_counted_and_left_out(method):
    """Many draws with replacement contain one or none of the three samples of a cluster."""
    X = np.concatenate([np.random.default_rng(0).normal(size=40), [50.0, 50.5, 51.5]])[:, None]
    found = fit(X, start.from_labels(X, (X[:, 0] > 20).astype(int)), tol=1e-12)
    one = estimate(found, X, method, n_bootstrap=60)
    assert len(one.replicates.weights) == 60 - one.n_degenerate
    if method == "bootstrap":
        assert 5 < one.n_degenerate < 50
        assert f"{one.n_degenerate} of 60 replicates degenerated" in one.message
    floored = fit(X, found.mixture, floor=0.05, tol=1e-12)
    other = estimate(floored, X, method, floor=0.05, n_bootstrap=60)
    assert other.n_degenerate <= one.n_degenerate
    if method == "bootstrap":  # EM ends with a single sample in a cluster, which is too few
        assert (43 * other.replicates.weights > 1.5).all()


def test_a_majority_of_degenerate_replicates_warns():
    """A draw contains both samples of the small cluster with probability (1 − 1/e)² ≈ 0.4."""
    X = np.concatenate([np.random.default_rng(0).normal(size=40), [50.0, 50.5]])[:, None]
    found = fit(X, start.from_labels(X, (X[:, 0] > 20).astype(int)), tol=1e-12)
    with pytest.warns(RuntimeWarning, match=r"\d+ of 40 replicates degenerated") as caught:
        one = estimate(found, X, "bootstrap", n_bootstrap=40)
    assert 2 <= len(one.replicates.weights) < 20
    assert caught[0].filename.endswith("inference_helpers.py")  # the caller of `uncertainty`


def test_a_replicate_without_any_entry_of_a_feature_is_degenerate():
    X, found = fitted(n=60, separation=8)
    X = X.copy()
    X[2:, 0] = np.nan  # a draw contains neither of two samples with probability e⁻² ≈ 0.14
    found = fit(X, found.mixture, missing="marginalise", floor=0.5, tol=1e-12, max_iter=50_000)
    one = estimate(found, X, "bootstrap", missing="marginalise", floor=0.5, n_bootstrap=100)
    draws = [
        multinomial_weights(np.ones(60), own)[:2] for own in np.random.default_rng(0).spawn(100)
    ]
    assert one.n_degenerate >= sum(not draw.any() for draw in draws) > 0
    assert np.isfinite(one.replicates.means).all()


def test_fewer_than_two_sound_replicates_raise():
    X = np.array([[0.0], [1.0], [10.0], [11.0]])
    found = fit(X, start.from_labels(X, [0, 0, 1, 1]), tol=1e-12)
    with pytest.raises(ValueError, match=r"\d of 3 replicates degenerated"):
        estimate(found, X, "bootstrap", n_bootstrap=3)


def test_unconverged_replicates_are_counted():
    X, found = fitted(n=100, separation=2)
    one = estimate(found, X, "weighted", max_iter=2)
    assert one.n_unconverged == 20
    assert "20 replicates did not converge; raise max_iter" in one.message
