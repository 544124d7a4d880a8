"""Laws of what components share: estimates, floors, and how the fourteen structures nest."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    CURVED,
    STRUCTURES,
    every_curved,
    every_structure,
    in_family,
    parts,
    random_structure,
)
from scipy.linalg import expm
from scipy.optimize import minimize

import gmmlab
from gmmlab import EVI, VEE, VVE, Full, GaussianMixture, Mixture, datasets, diagnostics, fit, start
from gmmlab.covariance import FOURTEEN
from gmmlab.covariance.base import MatrixCovariance

seeds = st.integers(0, 2**32 - 1)
every = st.sampled_from(STRUCTURES)


def moments_of_clouds(rng, k, d):
    """Counts (k,) and second moments (k, d, d) of k well-conditioned random clouds."""
    clouds = rng.normal(size=(k, 3 * d + 3, d)) * rng.uniform(0.3, 3, size=(k, 1, d))
    turns = np.linalg.qr(rng.normal(size=(k, d, d)))[0]
    moments = clouds.swapaxes(1, 2) @ clouds / clouds.shape[1]
    return rng.uniform(1, 9, size=k), turns @ moments @ turns.swapaxes(1, 2)


def cost(counts, covariances, moments):
    """Σₖ Nₖ (log|Σₖ| + tr Σₖ⁻¹ Mₖ): −2 Q but for a constant."""
    traces = np.trace(np.linalg.solve(covariances, moments), axis1=1, axis2=2)
    return counts @ (np.linalg.slogdet(covariances)[1] + traces)


def estimated(structure, counts, moments):
    k, d = moments.shape[:2]
    return structure.estimate(counts, in_family(structure, moments)).dense(k, d)


# ---- the M-step ------------------------------------------------------------------------------


def free_parameters(model, k, d):
    """How many numbers log-volumes, log-shapes and rotations are; and Σ (k, d, d) from them."""
    volume, shape, orientation = ({"E": 1, "V": k, "I": 0}[letter] for letter in model)
    sizes = (volume, shape * (d - 1), orientation * d * (d - 1) // 2)
    rows, columns = np.triu_indices(d, 1)

    def covariances(vector):
        logs, shapes, turns = np.split(vector, np.cumsum(sizes)[:2])
        shapes = shapes.reshape(shape, d - 1) if shape else np.zeros((1, d - 1))
        shapes = np.hstack([shapes, -shapes.sum(axis=1, keepdims=True)])
        skew = np.zeros((max(orientation, 1), d, d))
        if orientation:
            skew[:, rows, columns] = turns.reshape(orientation, -1)
        axes = expm(skew - skew.swapaxes(1, 2))
        variances = np.broadcast_to(np.exp(logs[:, None] + shapes), (k, d))
        return (axes * variances[:, None, :]) @ axes.swapaxes(1, 2)

    return sum(sizes), covariances


@every_structure
@pytest.mark.parametrize(("k", "d"), [(2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("seed", range(2))
def test_the_estimate_is_the_best_that_a_numerical_optimiser_finds(structure, k, d, seed):
    """BFGS over log-volumes, log-shapes of sum 0 and rotations, from several beginnings.

    It stops at gradients of 1e-5, so at 1e-10 or so from a minimum. Parameters agree to the root.
    """
    rng = np.random.default_rng(seed)
    counts, moments = moments_of_clouds(rng, k, d)
    counts /= counts.sum()
    size, covariances = free_parameters(structure.model, k, d)
    ends = [
        minimize(lambda v: cost(counts, covariances(v), moments), rng.normal(size=size))
        for _ in range(4)
    ]
    best = min(ends, key=lambda end: end.fun)
    ours = estimated(structure, counts, moments)
    assert cost(counts, ours, moments) <= best.fun + 1e-12
    assert cost(counts, ours, moments) == pytest.approx(best.fun, abs=1e-8)
    np.testing.assert_allclose(ours, covariances(best.x), atol=3e-4 * np.abs(ours).max())


@given(seeds, every, st.integers(1, 4), st.integers(1, 4))
def test_what_is_estimated_shares_what_the_letters_say(seed, structure, k, d):
    """Volumes, ratios of eigenvalues and eigenvectors: 1e-10, of conditions below 1e4."""
    counts, moments = moments_of_clouds(np.random.default_rng(seed), k, d)
    found = estimated(structure, counts, moments)
    volume, shape, orientation = structure.model
    volumes = np.exp(np.linalg.slogdet(found)[1] / d)
    if volume == "E":
        np.testing.assert_allclose(volumes, volumes[0], rtol=1e-10)
    shapes = found / volumes[:, None, None]
    if shape == "E":
        eigenvalues = np.linalg.eigvalsh(shapes)
        np.testing.assert_allclose(eigenvalues, eigenvalues[:1].repeat(k, 0), rtol=1e-9)
    if shape == "I":
        np.testing.assert_allclose(shapes, np.eye(d)[None].repeat(k, 0), atol=1e-12)
    if orientation == "I":
        np.testing.assert_array_equal(found, found * np.eye(d))
    if orientation == "E":  # the same eigenvectors: they commute
        for a, b in itertools.combinations(shapes, 2):
            size = np.abs(a).max() * np.abs(b).max()
            np.testing.assert_allclose(a @ b, b @ a, atol=1e-10 * size)


@given(seeds, every, st.integers(1, 4), st.integers(1, 4))
def test_what_is_of_the_structure_is_its_own_estimate(seed, structure, k, d):
    rng = np.random.default_rng(seed)
    covariance = random_structure(structure, rng, k, d)
    again = structure.estimate(rng.uniform(1, 9, size=k), covariance.moments(k, d))
    wanted = covariance.dense(k, d)
    np.testing.assert_allclose(again.dense(k, d), wanted, atol=1e-8 * np.abs(wanted).max())


@given(seeds, st.sampled_from(CURVED), st.integers(1, 4), st.integers(1, 4))
def test_an_update_is_never_less_likely_than_what_was_before(seed, structure, k, d):
    """Also where there are several minima, and under a floor: what makes EM monotone."""
    rng = np.random.default_rng(seed)
    counts, moments = moments_of_clouds(rng, k, d)
    floor = rng.uniform(0.05, 1, size=d)
    for least in (None, floor):
        old = random_structure(structure, rng, k, d)
        old = old if least is None else old.clipped(least)[0]
        new, _ = old.update(counts, in_family(structure, moments), least)
        before, after = (cost(counts, c.dense(k, d), moments) for c in (old, new))
        assert after <= before + 1e-11 * (abs(before) + counts.sum() * d)


# ---- nesting ---------------------------------------------------------------------------------

PAIRS = [
    (tight, loose)
    for tight, loose in itertools.permutations(FOURTEEN, 2)
    if all(
        a == b or (a, b) in (("E", "V"), ("I", "E"), ("I", "V"))
        for a, b in zip(tight.model, loose.model, strict=True)
    )
]


@pytest.mark.parametrize(("tight", "loose"), PAIRS, ids=lambda s: s.model)
def test_a_looser_structure_never_fits_worse(tight, loose):
    """One M-step from the same responsibilities."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        counts, moments = moments_of_clouds(rng, 3, 3)
        worse, better = (
            cost(counts, estimated(s, counts, moments), moments) for s in (tight, loose)
        )
        assert better <= worse + 1e-11 * abs(worse)


@every_structure
def test_of_one_component_all_of_a_family_are_the_same(structure):
    counts, moments = moments_of_clouds(np.random.default_rng(0), 1, 3)
    loosest = next(
        s for s in reversed(FOURTEEN) if s.model[1:] == structure.model[1:].replace("E", "V")
    )
    np.testing.assert_allclose(
        estimated(structure, counts, moments),
        estimated(loosest, counts, moments),
        rtol=1e-9,
        atol=1e-12,
    )


@every_structure
def test_of_one_feature_there_is_only_a_volume(structure):
    counts, moments = moments_of_clouds(np.random.default_rng(0), 3, 1)
    as_spheres = getattr(gmmlab, structure.model[0] + "II")
    np.testing.assert_allclose(
        estimated(structure, counts, moments), estimated(as_spheres, counts, moments), rtol=1e-12
    )
    assert structure.n_parameters(3, 1) == as_spheres.n_parameters(3, 1)


# ---- invariances -----------------------------------------------------------------------------


def equivariant(structure, linear):
    counts, moments = moments_of_clouds(np.random.default_rng(0), 3, 3)
    wanted = linear @ estimated(structure, counts, moments) @ linear.T
    found = estimated(structure, counts, linear @ moments @ linear.T)
    return np.allclose(found, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())


@every_structure
def test_scaling_turning_and_stretching_the_data_does_so_to_the_estimate_or_not(structure):
    """What is along the features may not be turned; spheres, and axes or shapes, not stretched."""
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    stretch = np.diag([0.1, 1.0, 20.0])
    assert equivariant(structure, 1e3 * np.eye(3))
    # Signs and order of features are nothing to any
    assert equivariant(structure, np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0]]))
    round_or_turned = structure.model[1] == "I" or structure.model[2] != "I"
    assert equivariant(structure, turn) == round_or_turned
    stretched = ("EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV")
    assert equivariant(structure, stretch) == (structure.model in stretched)
    assert equivariant(structure, turn @ stretch) == (structure.model in stretched[4:])


@given(seeds, every, st.integers(2, 4), st.integers(1, 4))
def test_relabelling_components_relabels_the_estimate(seed, structure, k, d):
    counts, moments = moments_of_clouds(np.random.default_rng(seed), k, d)
    order = np.random.default_rng(seed).permutation(k)
    found = estimated(structure, counts[order], moments[order])
    wanted = estimated(structure, counts, moments)[order]
    np.testing.assert_allclose(found, wanted, atol=1e-8 * np.abs(wanted).max())


# ---- floors and ridges -----------------------------------------------------------------------

TAKES_THE_LARGEST = ("EEV", "VEV", "EVE", "VVE")


@given(seeds, st.sampled_from(CURVED), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_under_a_floor_nothing_near_or_far_is_likelier(seed, structure, k, d, flat):
    """Against others of the structure on the way to random ones, made as large as the floor."""
    rng = np.random.default_rng(seed)
    counts, moments = moments_of_clouds(rng, k, d)
    if flat:
        moments[0] = 0
    floor = rng.uniform(0.1, 3, size=d)
    if structure.model in TAKES_THE_LARGEST:
        floor[:] = floor.max()
    start_at = structure.unit(k, d).clipped(floor)[0]
    best, touched = start_at.update(counts, in_family(structure, moments), floor)

    def smallest(covariances):
        return np.linalg.eigvalsh(covariances / np.sqrt(floor[:, None] * floor))[:, 0]

    structure(best.values)  # the constructor checks that it is of the structure
    least = smallest(best.dense(k, d))
    assert least.min() >= 1 - 1e-9
    np.testing.assert_array_equal(touched, least <= 1 + 1e-9)
    lowest = cost(counts, best.dense(k, d), moments)
    for size in (1e-3, 1e-2, 0.1, 1):
        way = best.coordinates(random_structure(structure, rng, k, d), d)
        if np.abs(way).max() > 10:
            continue  # a turn by half a circle
        other = best.at(size * way, d).dense(k, d)
        other = other / min(1, smallest(other).min())
        assert cost(counts, other, moments) >= lowest - 1e-10 * (abs(lowest) + counts.sum())


@every_curved
def test_a_floor_below_everything_changes_nothing(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 2)
    same, touched = covariance.clipped(np.full(2, 1e-9))
    assert same == covariance
    assert not touched.any()


@every_curved
def test_with_a_ridge_it_stays_of_the_structure(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 2)
    wide = covariance.ridged(0.3)
    assert structure(wide.values) == wide
    assert (wide.log_det(2) > covariance.log_det(2)).all()


# ---- published fits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "k", "bic"),
    [("VEV", 2, -561.7285), ("VVV", 2, -574.0178), ("VEV", 3, -562.5522)],
)
def test_iris_is_fitted_as_well_as_mclust_publishes(model, k, bic):
    """mclust's BIC, 2 log L − p log n (Scrucca et al. 2016); from the species, or two of them."""
    iris = datasets.iris()
    structure = getattr(gmmlab, model)
    first = start.from_labels(iris.X, np.minimum(iris.labels, k - 1), structure=structure)
    found = fit(iris.X, first, tol=1e-10)
    assert -found.bic == pytest.approx(bic, abs=0.01)


def test_old_faithful_is_fitted_as_well_as_mclust_publishes():
    """EEE with 3 components: −2314.316 (Scrucca et al. 2016)."""
    X = datasets.old_faithful().X
    found = gmmlab.search(X, 3, np.random.default_rng(0), structure=gmmlab.EEE, tol=1e-10).best
    assert -found.bic >= -2314.32


# ---- where structures go ---------------------------------------------------------------------


@every_structure
def test_the_estimator_takes_the_letters(structure):
    X = datasets.iris().X
    model = GaussianMixture(3, covariance_type=structure.model, random_state=0, tol=1e-5).fit(X)
    assert isinstance(model.result_.mixture.covariance, structure)
    assert model.covariances_.shape == structure.unit(3, 4).values.shape
    assert model.score(X) == pytest.approx(model.lower_bound_)
    single = GaussianMixture(3, covariance_type=structure.model, random_state=0, tol=1e-5)
    single.fit(X.astype(np.float32))
    assert single.score(X) == pytest.approx(model.score(X), abs=1e-2)
    again = Mixture.from_json(model.result_.mixture.to_json())
    assert again == model.result_.mixture


@every_curved
def test_remaining_gain_is_refused_by_name(structure):
    X = datasets.old_faithful().X
    found = fit(X, start.from_labels(X, X[:, 1] > 68, structure=structure))
    assert np.isnan(found.remaining_gain)
    with pytest.raises(ValueError, match=f"fit must have covariances.*{structure.name}"):
        diagnostics.remaining_gain(found, X)
    known = fit(X, found.mixture, free={"means"})
    assert diagnostics.remaining_gain(known, X) >= 0


@every_curved
def test_an_empty_component_keeps_its_place(structure):
    """Its shared parts follow the others; the rest stays."""
    X = np.random.default_rng(0).normal(size=(60, 2)) * [1, 2]
    covariance = random_structure(structure, np.random.default_rng(1), 2, 2)
    mixture = Mixture([0.5, 0.5], [[0, 0], [1e3, 0]], covariance)
    found = fit(X, mixture, degenerate="floor", max_iter=5, tol=0).mixture
    np.testing.assert_array_equal(found.means[1], [1e3, 0])
    structure(found.covariance.values)


# ---- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "values", "shared"),
    [
        (EVI, [[1.0, 2.0], [1.0, 3.0]], "volume"),
        (VEE, [np.eye(2), np.diag([1.0, 2.0])], "shape and orientation"),
        (VVE, [[[2.0, 1.0], [1.0, 2.0]], np.diag([1.0, 2.0])], "orientation"),
        (gmmlab.VEI, [[1.0, 2.0], [1.0, 3.0]], "shape"),
        (gmmlab.EVV, [np.eye(2), 2 * np.eye(2)], "volume"),
        (gmmlab.EEV, [np.eye(2), 2 * np.eye(2)], "volume and shape"),
        (gmmlab.VEV, [np.eye(2), np.diag([1.0, 2.0])], "shape"),
        (gmmlab.EVE, [np.eye(2), 2 * np.eye(2)], "volume and orientation"),
    ],
)
def test_values_that_do_not_share_what_they_should_are_refused(structure, values, shared):
    with pytest.raises(ValueError, match=f"{structure.name} values must have the same {shared} in"):
        structure(values)


def test_axes_are_found_where_every_average_is_round():
    half = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    values = np.stack([half @ np.diag(v) @ half.T for v in ([1.0, 2.0], [2.0, 1.0])])
    assert VVE(values) == VVE(np.array(values))


@every_structure
def test_structures_of_single_precision_are_taken(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 4)
    structure(covariance.values.astype(np.float32))


def test_letters_are_names():
    assert gmmlab.VVV is Full
    for structure in FOURTEEN:
        assert getattr(gmmlab, structure.model) is structure
        volumes, shapes, axes = parts(structure.model, np.random.default_rng(0), 2, 3)
        assert (len(volumes), shapes.shape, axes.shape) == (2, (2, 3), (2, 3, 3))
        assert issubclass(structure, MatrixCovariance) == (structure.model[2] != "I")
