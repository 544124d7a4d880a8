"""The eight curved structures: floors, ridges, published fits, and where they are used."""

import numpy as np
import pytest
from covariances import cost, moments_of_clouds, seeds
from hypothesis import given
from hypothesis import strategies as st
from problems import CURVED, every_curved, in_moment_shape, random_structure

import gmmlab
from gmmlab import (
    EEI,
    EEV,
    EII,
    EVE,
    EVI,
    VEE,
    VEI,
    VVE,
    GaussianMixture,
    Mixture,
    datasets,
    diagnostics,
    fit,
    start,
)

#: variances, matrices, axes of each component, and common axes
every_kind = pytest.mark.parametrize("structure", [VEI, VEE, EEV, EVE], ids=lambda s: s.__name__)

# ---- floors and ridges -------------------------------------------------------------------------

TAKES_THE_LARGEST = ("EEV", "VEV", "EVE", "VVE")


@given(seeds, st.sampled_from(CURVED), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_nothing_near_or_far_is_more_likely_under_a_floor(seed, structure, k, d, flat):
    """Against structures on the way to random ones, made as large as the floor."""
    rng = np.random.default_rng(seed)
    counts, moments = moments_of_clouds(rng, k, d)
    if flat:
        moments[0] = 0
    floor = rng.uniform(0.1, 3, size=d)
    if structure.model in TAKES_THE_LARGEST:
        floor[:] = floor.max()
    start_at = structure.unit(k, d).clipped(floor)[0]
    best, touched = start_at.update(counts, in_moment_shape(structure, moments), floor)

    def smallest(covariances):
        return np.linalg.eigvalsh(covariances / np.sqrt(floor[:, None] * floor))[:, 0]

    structure(best.values)  # the constructor checks that it is of the structure
    least = smallest(best.dense(k, d))
    assert least.min() >= 1 - 1e-9
    np.testing.assert_array_equal(touched, least <= 1 + 1e-9)
    lowest = cost(counts, best.dense(k, d), moments)
    chart = best.chart(d)
    for size in (1e-3, 1e-2, 0.1, 1):
        way = chart.of(random_structure(structure, rng, k, d))
        if np.abs(way).max() > 10:
            continue  # a rotation by half a circle
        other = chart.at(size * way).dense(k, d)
        other = other / min(1, smallest(other).min())
        assert cost(counts, other, moments) >= lowest - 1e-10 * (abs(lowest) + counts.sum())


@every_kind
def test_a_floor_below_all_variances_changes_nothing(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 2)
    same, touched = covariance.clipped(np.full(2, 1e-9))
    assert same == covariance
    assert not touched.any()


@every_kind
def test_a_ridge_keeps_the_structure_and_widens_every_component(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 2)
    wide = covariance.ridged(0.3)
    assert structure(wide.values) == wide
    assert (wide.log_det(2) > covariance.log_det(2)).all()
    assert covariance.ridged(0) is covariance


@given(seeds, st.sampled_from(CURVED), st.integers(1, 4), st.integers(1, 4))
def test_an_update_is_never_less_likely_than_the_value_before(seed, structure, k, d):
    """Also with several minima, and under a floor: this makes EM monotone."""
    rng = np.random.default_rng(seed)
    counts, moments = moments_of_clouds(rng, k, d)
    floor = rng.uniform(0.05, 1, size=d)
    for least in (None, floor):
        old = random_structure(structure, rng, k, d)
        old = old if least is None else old.clipped(least)[0]
        new, _ = old.update(counts, in_moment_shape(structure, moments), least)
        before, after = (cost(counts, c.dense(k, d), moments) for c in (old, new))
        assert after <= before + 1e-11 * (abs(before) + counts.sum() * d)


@pytest.mark.parametrize(("structure", "seed"), [(EVE, 24), (VVE, 52)])
def test_an_update_keeps_axes_that_are_better_than_those_it_starts_from(structure, seed):
    """From the axes of the features alone, the search ends in a worse minimum here."""
    counts, moments = moments_of_clouds(np.random.default_rng(seed), 4, 4)
    best = structure.estimate(counts, moments)
    new, _ = best.update(counts, moments)
    lowest = cost(counts, best.dense(4, 4), moments)
    assert cost(counts, new.dense(4, 4), moments) <= lowest + 1e-11 * abs(lowest)


@pytest.mark.parametrize("structure", [EEV, gmmlab.VEV, EVE, VVE], ids=lambda s: s.__name__)
def test_structures_that_units_do_not_preserve_use_the_largest_floor_for_all_features(structure):
    counts, moments = moments_of_clouds(np.random.default_rng(0), 3, 2)
    old = random_structure(structure, np.random.default_rng(1), 3, 2)
    new, touched = old.update(counts, moments, np.array([1e-3, 2.0]))
    same, _ = old.update(counts, moments, np.array([2.0, 2.0]))
    assert new == same
    assert touched.any()
    structure(new.values)  # the constructor checks that it is of the structure


# ---- published fits ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "k", "bic"),
    [("VEV", 2, -561.7285), ("VVV", 2, -574.0178), ("VEV", 3, -562.5522)],
)
def test_iris_has_the_bic_that_mclust_publishes(model, k, bic):
    """mclust's BIC, 2 log L − p log n (Scrucca et al. 2016); from the species, or two of them."""
    iris = datasets.iris()
    structure = getattr(gmmlab, model)
    first = start.from_labels(iris.X, np.minimum(iris.labels, k - 1), structure=structure)
    found = fit(iris.X, first, tol=1e-10)
    assert -found.bic == pytest.approx(bic, abs=0.01)


def test_old_faithful_has_the_bic_that_mclust_publishes():
    """EEE with 3 components: −2314.316 (Scrucca et al. 2016)."""
    X = datasets.old_faithful().X
    found = gmmlab.search(X, 3, np.random.default_rng(0), structure=gmmlab.EEE, tol=1e-10).best
    assert -found.bic >= -2314.32


# ---- where structures are used -----------------------------------------------------------------


@pytest.mark.parametrize("structure", [EII, EEI, *CURVED], ids=lambda s: s.__name__)
def test_the_estimator_accepts_the_letters(structure):
    X = datasets.iris().X
    model = GaussianMixture(3, covariance_type=structure.model, random_state=0, tol=1e-5).fit(X)
    assert isinstance(model.result_.mixture.covariance, structure)
    assert model.covariances_.shape == structure.unit(3, 4).values.shape
    assert model.precisions_cholesky_.shape == model.covariances_.shape
    assert model.score(X) == pytest.approx(model.lower_bound_)
    single = GaussianMixture(3, covariance_type=structure.model, random_state=0, tol=1e-5)
    single.fit(X.astype(np.float32))
    assert single.score(X) == pytest.approx(model.score(X), abs=1e-2)
    again = Mixture.from_json(model.result_.mixture.to_json())
    assert again == model.result_.mixture


@every_kind
def test_the_remaining_gain_is_not_estimated(structure):
    X = datasets.old_faithful().X
    found = fit(X, start.from_labels(X, X[:, 1] > 68, structure=structure))
    assert np.isnan(found.remaining_gain)
    with pytest.raises(ValueError, match=f"fit must .*{structure.name}"):
        diagnostics.remaining_gain(found, X)
    known = fit(X, found.mixture, free={"means"})
    assert diagnostics.remaining_gain(known, X) >= 0


@every_kind
def test_an_empty_component_keeps_its_mean(structure):
    """Its covariance shares with the others what the structure shares."""
    X = np.random.default_rng(0).normal(size=(60, 2)) * [1, 2]
    covariance = random_structure(structure, np.random.default_rng(1), 2, 2)
    mixture = Mixture([0.5, 0.5], [[0, 0], [1e3, 0]], covariance)
    found = fit(X, mixture, degenerate="floor", max_iter=5, tol=0).mixture
    np.testing.assert_array_equal(found.means[1], [1e3, 0])
    structure(found.covariance.values)


# ---- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "values", "shared"),
    [
        (EVI, [[1.0, 2.0], [1.0, 3.0]], "volume"),
        (VEE, [np.eye(2), np.diag([1.0, 2.0])], "shape and orientation"),
        (VVE, [[[2.0, 1.0], [1.0, 2.0]], np.diag([1.0, 2.0])], "orientation"),
        (VEI, [[1.0, 2.0], [1.0, 3.0]], "shape"),
        (gmmlab.EVV, [np.eye(2), 2 * np.eye(2)], "volume"),
        (EEV, [np.eye(2), 2 * np.eye(2)], "volume and shape"),
        (gmmlab.VEV, [np.eye(2), np.diag([1.0, 2.0])], "shape"),
        (EVE, [np.eye(2), 2 * np.eye(2)], "volume and orientation"),
    ],
)
def test_values_that_do_not_share_what_the_structure_shares_are_refused(structure, values, shared):
    with pytest.raises(
        ValueError, match=f"{structure.__name__} values must have the same {shared} in"
    ):
        structure(values)


def test_common_axes_are_found_if_every_average_is_round():
    half = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    values = np.stack([half @ np.diag(v) @ half.T for v in ([1.0, 2.0], [2.0, 1.0])])
    assert VVE(values) == VVE(np.array(values))


@every_curved
def test_values_in_single_precision_are_accepted(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 4)
    structure(covariance.values.astype(np.float32))
