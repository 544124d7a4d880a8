"""Laws of standard errors and intervals: information, and the two bootstraps.

Louis (1982); McLachlan and Peel (2000), sections 2.15 and 2.16; Efron and Tibshirani (1993);
Newton and Raftery (1994).
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from problems import LINEAR, every_curved, every_linear, every_structure, random_structure
from scipy.stats import kstest

from gmmlab import (
    Diagonal,
    Full,
    Mixture,
    Spherical,
    Tied,
    datasets,
    fit,
    start,
    uncertainty,
)
from gmmlab.inference.uncertainty import _copies, _exponential

BLOCKS = ("weights", "means", "covariances")
METHODS = ("information", "bootstrap", "weighted")
every_method = pytest.mark.parametrize("method", METHODS)
every_bootstrap = pytest.mark.parametrize("method", METHODS[1:])
every_free = pytest.mark.parametrize(
    "free",
    [set(blocks) for size in (0, 1, 2, 3) for blocks in itertools.combinations(BLOCKS, size)],
    ids=lambda free: "-".join(sorted(free)) or "none",
)


def fitted(structure=Full, n=300, separation=3.0, seed=0, k=2, d=2, **settings):
    """Return samples and a fit at the maximum."""
    rng = np.random.default_rng(seed)
    data = datasets.random_mixture(n, k, d, separation=separation, rng=rng)
    begin = start.from_labels(data.X, data.labels, structure=structure)
    settings = {"tol": 1e-13, "max_iter": 20_000, **settings}
    return data.X, fit(data.X, begin, **settings)


def faithful():
    X = datasets.old_faithful().X
    return X, fit(X, start.from_labels(X, X[:, 1] < 68), tol=1e-12)


def told(fit, X, method="information", n_bootstrap=20, seed=0, **settings):
    """Ask for uncertainty, with a generator of its own."""
    rng = np.random.default_rng(seed)
    return uncertainty(fit, X, method=method, rng=rng, n_bootstrap=n_bootstrap, **settings)


def close(found, wanted, **tolerance):
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)


# ---- information: oracles ----------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("structure", LINEAR, ids=lambda s: s.__name__)
def test_of_one_component_they_are_those_of_a_normal_sample(structure, d):
    """Σ/n for the mean; (Σᵢᵢ Σⱼⱼ + Σᵢⱼ²)/n for the covariance (Wishart), 2 σ⁴/(n d) for σ²."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, d)) @ rng.normal(size=(d, d))
    found = fit(X, Mixture([1.0], np.zeros((1, d)), structure.unit(1, d)), tol=0)
    one = told(found, X)
    sigma = found.mixture.covariances[0]
    np.testing.assert_allclose(one.mean_covariances[0], sigma / 80, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(one.standard_errors.means[0], np.sqrt(np.diag(sigma) / 80))
    variances = np.diag(sigma)
    wanted = {
        "VVV": (np.outer(variances, variances) + sigma**2) / 80,
        "VVI": 2 * variances**2 / 80,
        "VII": 2 * variances[0] ** 2 / (80 * d),
    }
    model = {"EEE": "VVV", "EEI": "VVI", "EII": "VII"}.get(structure.model, structure.model)
    np.testing.assert_allclose(
        one.standard_errors.covariances.ravel() ** 2, wanted[model].ravel(), rtol=1e-10
    )
    assert one.standard_errors.weights == 0
    assert one.lower.weights == one.upper.weights == 1


def test_of_components_far_apart_they_are_those_of_known_labels():
    """Binomial for the weights, Σₖ/Nₖ for the means, Wishart for the covariances."""
    X, found = fitted(separation=60, k=3)
    mixture, one = found.mixture, told(found, X)
    counts = 300 * mixture.weights
    wanted = np.sqrt(mixture.weights * (1 - mixture.weights) / 300)
    np.testing.assert_allclose(one.standard_errors.weights, wanted)
    of_means = mixture.covariances / counts[:, None, None]
    np.testing.assert_allclose(one.mean_covariances, of_means)
    sigma = mixture.covariances
    variances = np.diagonal(sigma, axis1=1, axis2=2)
    wishart = (variances[:, :, None] * variances[:, None, :] + sigma**2) / counts[:, None, None]
    np.testing.assert_allclose(one.standard_errors.covariances**2, wishart)


@every_linear
@every_free
def test_they_are_those_of_a_numerical_hessian_in_the_parameters_themselves(structure, free):
    """Central differences of log L in π₁, …, πₖ₋₁, μ and the free entries of Σ.

    Steps are 1/50 of a standard error: in those units log L has second derivatives of about 1, so
    differences are off by about 10⁻⁴ and rounding, ε |log L|, by 10⁻⁹ over the step squared.
    """
    X, found = fitted(structure, separation=2.5, free=free)
    mixture, one = found.mixture, told(found, X)
    free_entries = np.ones(mixture.covariance.values.shape, dtype=bool)
    if mixture.covariance.shape.count("n_features") == 2:
        free_entries = np.broadcast_to(np.triu(np.ones((2, 2), dtype=bool)), free_entries.shape)
    picked = (
        (slice(0, 1) if "weights" in free else slice(0, 0)),
        np.full(mixture.means.shape, "means" in free),
        free_entries & ("covariances" in free),
    )
    own = (mixture.weights, mixture.means, mixture.covariance.values)
    steps = np.concatenate(
        [
            errors[mine].ravel() / 50
            for errors, mine in zip(one.standard_errors, picked, strict=True)
        ]
    )
    sizes = np.cumsum([block[mine].size for block, mine in zip(own, picked, strict=True)])[:-1]

    def value(vector):
        weights, means, values = (block.copy() for block in own)
        moves = np.split(vector, sizes)
        weights[picked[0]] += moves[0]
        weights[-1] = 1 - weights[:-1].sum()
        means[picked[1]] += moves[1]
        values[picked[2]] += moves[2]
        if mixture.covariance.shape.count("n_features") == 2:
            values[..., 1, 0] = values[..., 0, 1]
        return Mixture(weights, means, structure(values)).log_prob(X).sum()

    if not len(steps):
        assert not any(errors.any() for errors in one.standard_errors)
        return
    hessian = np.empty((len(steps), len(steps)))
    moves = np.diag(steps)
    for i, j in itertools.product(range(len(steps)), repeat=2):
        corners = [
            first * second * value(first * moves[i] + second * moves[j])
            for first in (1, -1)
            for second in (1, -1)
        ]
        hessian[i, j] = sum(corners) / 4
    # In units of the steps, as the differences are
    wanted = steps * np.sqrt(np.diag(np.linalg.inv(-hessian)))
    np.testing.assert_allclose(50 * steps, wanted, rtol=2e-3)


# ---- information: laws -------------------------------------------------------------------------


@every_linear
def test_whoever_moves_scales_or_turns_the_data_moves_scales_or_turns_the_ellipses(structure):
    X, found = fitted(structure)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    turn = turn if structure.model[2] != "I" or structure.model[1] == "I" else np.eye(2)
    moved = 7 * X @ turn.T + [100, -50]
    mixture = start.from_labels(moved, found.mixture.predict(X), structure=structure)
    again = told(fit(moved, mixture, tol=1e-13, max_iter=20_000), moved)
    one = told(found, X)
    wanted = 49 * turn @ one.mean_covariances @ turn.T
    np.testing.assert_allclose(again.mean_covariances, wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        again.standard_errors.weights, one.standard_errors.weights, rtol=1e-5
    )


@every_linear
def test_other_numbers_of_components_only_permute(structure):
    X, found = fitted(structure, k=3)
    order = [2, 0, 1]
    again = told(fit(X, found.mixture.take(order), max_iter=0), X)
    one = told(found, X)
    for name in ("standard_errors", "lower", "upper"):
        here, there = getattr(again, name), getattr(one, name)
        np.testing.assert_allclose(here.weights, there.weights[order], rtol=1e-8)
        np.testing.assert_allclose(here.means, there.means[order], rtol=1e-8)
        values = there.covariances
        values = values[order] if "n_components" in structure.shape else values
        np.testing.assert_allclose(here.covariances, values, rtol=1e-8)
    np.testing.assert_allclose(again.mean_covariances, one.mean_covariances[order], rtol=1e-8)


@every_linear
def test_m_copies_of_the_data_divide_variances_by_m(structure):
    X, found = fitted(structure)
    one = told(found, X)
    four = np.repeat(X, 4, axis=0)
    copied = told(fit(four, found.mixture, max_iter=0), four)
    weight = np.full(len(X), 4.0)
    weighted = told(
        fit(X, found.mixture, max_iter=0, sample_weight=weight), X, sample_weight=weight
    )
    for other in (copied, weighted):
        close(other.standard_errors, [errors / 2 for errors in one.standard_errors], rtol=1e-8)
        np.testing.assert_allclose(other.mean_covariances, one.mean_covariances / 4, rtol=1e-8)


def test_errors_of_weights_are_those_of_numbers_that_sum_to_1():
    """With two, that of one is that of the other."""
    X, found = fitted(separation=1.5)
    errors = told(found, X).standard_errors.weights
    assert errors[0] == pytest.approx(errors[1], rel=1e-12)


def test_the_more_components_overlap_the_wider_the_intervals():
    """Than with known labels, as here in one dimension with equal halves."""
    ratios = []
    for separation in (6, 4, 3, 2.5):
        X = np.random.default_rng(0).normal(size=(4000, 1))
        X[::2] += separation
        begin = Mixture([0.5, 0.5], [[0.0], [separation]], Spherical([1.0, 1.0]))
        found = fit(X, begin, tol=1e-13, max_iter=20_000)
        ratios.append(told(found, X).standard_errors.weights[0] / np.sqrt(0.25 / 4000))
    assert ratios == sorted(ratios)
    assert ratios[0] < 1.05
    assert ratios[-1] > 1.5


@every_linear
def test_wald_ends_are_weights_and_variances_however_wide(structure):
    X, found = fitted(structure, n=60, separation=2.0)
    one = told(found, X, level=1 - 1e-12)
    for ends in (one.lower, one.upper):
        assert ((ends.weights > 0) & (ends.weights < 1)).all()
        variances = ends.covariances
        if structure.shape.count("n_features") == 2:
            variances = np.diagonal(variances, axis1=-2, axis2=-1)
        assert (variances > 0).all()


@every_method
def test_intervals_grow_with_their_level(method):
    X, found = fitted()
    widths = []
    for level in (0.5, 0.9, 0.99):
        one = told(found, X, method, level=level, n_bootstrap=30)
        ends = zip(one.lower, one.upper, strict=True)
        widths.append(np.concatenate([(high - low).ravel() for low, high in ends]))
    assert (np.diff(widths, axis=0) > 0).all()


@pytest.mark.parametrize("structure", [Full, Tied])
def test_nominal_intervals_hold_the_truth_as_often_as_they_say(structure):
    """Of 200 samples of separated clusters; benchmarks/coverage.py takes 500 and all methods.

    A block has one, four, and three or six numbers that differ: the share of 200 times as many
    intervals has a standard error of 0.015 for weights, and of less than 0.01 for the others.
    """
    rng = np.random.default_rng(1)
    covariance = {
        Full: Full([[[1.0, 0.5], [0.5, 2.0]], [[1.5, -0.4], [-0.4, 1.0]]]),
        Tied: Tied([[1.0, 0.5], [0.5, 2.0]]),
    }[structure]
    truth = Mixture([0.4, 0.6], [[0.0, 0.0], [6.0, 5.0]], covariance)
    held = {block: [] for block in BLOCKS}
    for _ in range(200):
        X, _ = truth.sample(300, rng)
        one = told(fit(X, truth, tol=1e-10), X)
        wanted = (truth.weights, truth.means, truth.covariance.values)
        for block, low, true, high in zip(BLOCKS, one.lower, wanted, one.upper, strict=True):
            held[block].append(((low <= true) & (true <= high)).ravel())
    for block in BLOCKS:
        assert 0.92 <= np.mean(held[block]) <= 0.98, block


# ---- information: where there is none ----------------------------------------------------------


@every_curved
def test_information_is_of_structures_whose_components_share_all_or_nothing(structure):
    X, found = fitted()
    covariance = random_structure(structure, np.random.default_rng(0), 2, 2)
    mixture = Mixture([0.5, 0.5], found.mixture.means, covariance)
    with pytest.raises(ValueError, match=f"got {structure.name}: take method='bootstrap'"):
        told(fit(X, mixture, max_iter=0), X)
    known = fit(X, mixture, free={"weights", "means"}, tol=1e-14, max_iter=20_000)
    assert (told(known, X).standard_errors.means > 0).all()


def test_a_saddle_has_no_standard_errors():
    X = datasets.old_faithful().X
    one = fit(X, Mixture([1.0], X.mean(axis=0)[None], Full.unit(1, 2)), tol=0).mixture
    twice = Mixture([0.5, 0.5], np.repeat(one.means, 2, axis=0), one.covariance.repeated(2))
    with pytest.raises(
        ValueError, match=r"fit must be at a maximum .*, and it is not curved as there"
    ):
        told(fit(X, twice), X)


@every_method
def test_a_fit_that_has_farther_to_go_has_none_yet(method):
    X, found = fitted(separation=2.5)
    moved = Mixture(found.mixture.weights, found.mixture.means + 0.05, found.mixture.covariance)
    early = fit(X, moved, max_iter=0)
    with pytest.raises(ValueError, match=r"and it is [\d.]+ standard errors away"):
        told(early, X, method)


@every_method
def test_the_data_are_those_of_the_fit(method):
    X, found = fitted()
    with pytest.raises(ValueError, match="give X, sample_weight and the floor as they were in fit"):
        told(found, X + 0.3, method)


def test_missing_entries_are_for_the_bootstraps():
    X, found = fitted(n=100)
    X = X.copy()
    X[::10, 0] = np.nan
    found = fit(X, found.mixture, missing="marginalise", tol=1e-10)
    with pytest.raises(ValueError, match="X contains NaN"):
        told(found, X)
    one = told(found, X, "bootstrap", missing="marginalise")
    assert (one.standard_errors.means > 0).all()


# ---- the bootstraps ----------------------------------------------------------------------------


@every_bootstrap
def test_old_faithful_has_the_errors_that_others_find(method):
    """Of order: 0.031 for π, (0.031, 0.476) and (0.028, 0.603) for the means.

    Those are a bootstrap's too: of 200 replicates, each has an error of 5 %; 15 % are three.
    """
    X, found = faithful()
    errors = told(found, X, method, n_bootstrap=200, n_jobs=2).standard_errors
    np.testing.assert_allclose(errors.weights, [0.031, 0.031], rtol=0.15)
    np.testing.assert_allclose(errors.means, [[0.031, 0.476], [0.028, 0.603]], rtol=0.15)


@every_bootstrap
def test_of_one_component_the_mean_has_the_error_of_a_mean(method):
    """√(S/n); of 200 replicates a standard deviation has an error of 5 %."""
    X = np.random.default_rng(0).normal(size=(200, 2)) @ np.diag([1, 10])
    found = fit(X, Mixture([1.0], np.zeros((1, 2)), Diagonal.unit(1, 2)), tol=0)
    one = told(found, X, method, n_bootstrap=200)
    np.testing.assert_allclose(
        one.standard_errors.means[0], X.std(axis=0) / np.sqrt(200), rtol=0.15
    )
    assert one.standard_errors.weights == 0


@every_bootstrap
def test_with_many_samples_bootstraps_and_information_agree(method):
    """The model is right, so both estimate one thing: 200 replicates know it to 5 % each."""
    X, found = fitted(n=3000, separation=4)
    errors = told(found, X, method, n_bootstrap=200, n_jobs=2).standard_errors
    close(errors, told(found, X).standard_errors, rtol=0.2)


@every_bootstrap
@every_structure
def test_every_structure_can_be_bootstrapped(method, structure):
    X, found = fitted(structure, n=200, separation=5, tol=1e-10)
    one = told(found, X, method, n_bootstrap=5)
    assert one.n_degenerate == 0
    assert one.replicates.covariances.shape == (5, *found.mixture.covariance.values.shape)
    for values in one.replicates.covariances:
        structure(values)  # refuses others
    for errors in one.standard_errors:
        assert (errors > 0).any()


@every_bootstrap
def test_the_bits_do_not_depend_on_the_number_of_jobs(method):
    X, found = fitted(n=100)
    one, two, other = (
        told(found, X, method, n_jobs=jobs, seed=seed) for jobs, seed in ((1, 0), (2, 0), (1, 1))
    )
    for here, there in zip(one.replicates, two.replicates, strict=True):
        np.testing.assert_array_equal(here, there)
    for here, there in zip(one.standard_errors, two.standard_errors, strict=True):
        np.testing.assert_array_equal(here, there)
    assert (one.replicates.means != other.replicates.means).all()


@every_bootstrap
def test_replicates_stand_in_the_order_of_the_fit(method):
    """Though the components are about one mean, so that no coordinate sorts them."""
    truth = Mixture([0.5, 0.5], [[0.0, 0.0], [0.0, 0.0]], Diagonal([[1.0, 25.0], [25.0, 1.0]]))
    X, _ = truth.sample(500, np.random.default_rng(0))
    found = fit(X, truth, tol=1e-12)
    variances = told(found, X, method).replicates.covariances
    assert (variances[:, 0, 0] < variances[:, 0, 1]).all()
    assert (variances[:, 1, 0] > variances[:, 1, 1]).all()


def test_samples_drawn_with_replacement_are_as_many_as_there_were():
    rng = np.random.default_rng(0)
    weight = np.array([1.0, 2.0, 0.0, 5.0])
    drawn = np.array([_copies(weight, rng) for _ in range(4000)])
    assert (drawn.sum(axis=1) == 8).all()
    np.testing.assert_allclose(drawn.mean(axis=0), weight, atol=0.1)
    np.testing.assert_allclose(drawn.var(axis=0), weight * (1 - weight / 8), atol=0.2)


def test_weights_of_a_sample_are_exponential_and_those_of_its_copies_add_up():
    rng = np.random.default_rng(0)
    drawn = np.array([_exponential(np.array([1.0, 0.0, 3.0]), rng) for _ in range(4000)])
    assert kstest(drawn[:, 0], "expon").pvalue > 1e-3
    assert (drawn[:, 1] == 0).all()
    assert kstest(drawn[:, 2], rng.exponential(size=(4000, 3)).sum(axis=1)).pvalue > 1e-3


@every_bootstrap
def test_weighted_samples_are_copies_in_the_bootstraps_too(method):
    """Four times the data halves the errors; 100 replicates know them to 7 %."""
    X, found = fitted(n=200, separation=5)
    weight = np.full(len(X), 4.0)
    four = fit(X, found.mixture, sample_weight=weight, tol=1e-13)
    few = told(found, X, method, n_bootstrap=100)
    many = told(four, X, method, n_bootstrap=100, sample_weight=weight, seed=1)
    np.testing.assert_allclose(many.standard_errors.means, few.standard_errors.means / 2, rtol=0.3)


def test_how_often_to_draw_is_a_whole_number():
    X, found = fitted(n=100)
    weight = np.full(100, 0.123)
    found = fit(X, found.mixture, sample_weight=weight, tol=1e-13)
    with pytest.raises(ValueError, match=r"whole number for method='bootstrap'; got 12\.29"):
        told(found, X, "bootstrap", sample_weight=weight)
    told(found, X, "weighted", sample_weight=weight)


@every_method
@every_free
def test_what_is_known_has_no_error(method, free):
    X, found = fitted(Tied, n=100, free=free)
    one = told(found, X, method, n_bootstrap=5)
    own = (found.mixture.weights, found.mixture.means, found.mixture.covariance.values)
    for block, errors, low, value, high in zip(
        BLOCKS, one.standard_errors, one.lower, own, one.upper, strict=True
    ):
        if block in free:
            assert (errors > 0).all()
        else:
            assert not errors.any()
            np.testing.assert_allclose(low, value, rtol=1e-14)
            np.testing.assert_allclose(high, value, rtol=1e-14)
    assert one.mean_covariances.any() == ("means" in free)


@every_bootstrap
def test_known_weights_are_the_names_of_their_components(method):
    """A mean that comes nearer to the other's place does not take the other's weight."""
    truth = Mixture([0.8, 0.2], [[0.0], [0.5]], Spherical([1.0, 1.0]))
    X, _ = truth.sample(50, np.random.default_rng(0))
    found = fit(X, truth, free={"means"}, tol=1e-14, max_iter=50_000)
    one = told(found, X, method, n_bootstrap=50)
    assert not one.standard_errors.weights.any()
    crossed = one.replicates.means[:, 0, 0] > one.replicates.means[:, 1, 0]
    assert crossed.any()
    assert not crossed.all()


@every_bootstrap
def test_replicates_that_degenerate_are_counted_and_told(method):
    """Of three samples in a cluster, many draws with replacement leave one or none."""
    X = np.concatenate([np.random.default_rng(0).normal(size=40), [50.0, 50.5, 51.5]])[:, None]
    found = fit(X, start.from_labels(X, (X[:, 0] > 20).astype(int)), tol=1e-12)
    one = told(found, X, method, n_bootstrap=60)
    assert len(one.replicates.weights) == 60 - one.n_degenerate
    if method == "bootstrap":
        assert 5 < one.n_degenerate < 50
        assert f"{one.n_degenerate} of 60 degenerated" in one.message
    floored = fit(X, found.mixture, floor=0.05, tol=1e-12)
    assert told(floored, X, method, floor=0.05).n_degenerate <= one.n_degenerate


def test_where_most_replicates_degenerate_there_is_a_warning():
    """A draw holds both samples of the small cluster with a chance of about (1 − 1/e)² = 0.4."""
    X = np.concatenate([np.random.default_rng(0).normal(size=40), [50.0, 50.5]])[:, None]
    found = fit(X, start.from_labels(X, (X[:, 0] > 20).astype(int)), tol=1e-12)
    with pytest.warns(RuntimeWarning, match=r"only \d+ of 40 replicates are sound"):
        one = told(found, X, "bootstrap", n_bootstrap=40)
    assert 2 <= len(one.replicates.weights) < 20


def test_where_nearly_all_replicates_degenerate_there_are_no_errors():
    X = np.array([[0.0], [1.0], [10.0], [11.0]])
    found = fit(X, start.from_labels(X, [0, 0, 1, 1]), tol=1e-12)
    with pytest.raises(ValueError, match=r"\d of 3 replicates degenerated"):
        told(found, X, "bootstrap", n_bootstrap=3)


def test_replicates_that_do_not_converge_are_counted_and_told():
    X, found = fitted(n=100, separation=2)
    one = told(found, X, "weighted", max_iter=2)
    assert one.n_unconverged == 20
    assert "20 did not converge" in one.message


# ---- the table ---------------------------------------------------------------------------------


@every_linear
def test_the_table_has_one_row_a_parameter(structure):
    X, found = fitted(structure, k=3)
    one = told(found, X)
    frame = one.to_frame()
    assert len(frame) == 1 + found.n_parameters  # all weights
    assert not frame.duplicated(["block", "component", "feature", "other_feature"]).any()
    assert (frame["lower"] < frame["estimate"]).all()
    assert (frame["estimate"] < frame["upper"]).all()
    for block, errors in zip(BLOCKS, one.standard_errors, strict=True):
        rows = frame[frame["block"] == block]
        assert set(rows["standard_error"].round(9)) == set(errors.ravel().round(9))


def test_rows_of_the_table_say_which_parameter_they_are():
    X, found = faithful()
    one = told(found, X)
    frame = one.to_frame().set_index(["block", "component", "feature", "other_feature"])
    row = frame.loc[("covariances", 1, 0, 1)]
    assert row["estimate"].item() == found.mixture.covariances[1, 0, 1]
    assert row["upper"].item() == one.upper.covariances[1, 0, 1]
    assert frame.loc["means"].loc[(0, 1)]["lower"].item() == one.lower.means[0, 1]


# ---- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"method": "jackknife"}, ValueError, "method must be one of 'information', 'bootstrap'"),
        ({"level": 0.0}, ValueError, "level must be a finite number > 0"),
        ({"level": 1.0}, ValueError, r"level must be in \(0, 1\); got 1.0"),
        ({"level": "95"}, TypeError, "level must be a number"),
        ({"levl": 0.9}, TypeError, "settings are for the bootstraps; got 'levl'"),
        ({"method": "bootstrap", "levl": 0.9}, TypeError, "levl"),
        ({"method": "bootstrap", "rng": 0}, TypeError, r"rng must be a numpy.random.Generator"),
        ({"method": "weighted", "rng": None}, TypeError, r"rng must be a numpy.random.Generator"),
        ({"method": "weighted", "n_bootstrap": 1}, ValueError, "n_bootstrap must be at least 2"),
        (
            {"method": "weighted", "n_jobs": 0},
            ValueError,
            "n_jobs must be None, or an integer other",
        ),
        ({"method": "weighted", "n_jobs": 1.5}, TypeError, "n_jobs must be an integer"),
        ({"method": "weighted", "free": {"means"}}, TypeError, "settings must not hold free"),
    ],
)
def test_errors_name_the_argument(settings, error, message):
    X, found = fitted(n=50)
    with pytest.raises(error, match=message):
        uncertainty(found, X, **{"rng": np.random.default_rng(0), **settings})


def test_it_is_about_a_sound_fit():
    X, found = fitted(n=50)
    with pytest.raises(TypeError, match="fit must be a Fit"):
        uncertainty(found.mixture, X)
    for status in ("degenerate", "not_increasing"):
        with pytest.raises(ValueError, match=f"fit must be a sound one; this one is '{status}'"):
            uncertainty(replace(found, status=status), X)
