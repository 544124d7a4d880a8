"""The M-step of every structure: the optimum, how structures nest, and their invariances."""

import itertools

import numpy as np
import pytest
from covariances import cases, cost, estimated, moments_of_clouds, seeds
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    CURVED,
    LINEAR,
    STRUCTURES,
    every_curved,
    every_structure,
    in_moment_shape,
    random_structure,
)
from scipy.linalg import expm
from scipy.optimize import minimize

import gmmlab
from gmmlab.covariance import FOURTEEN

every = st.sampled_from(STRUCTURES)


# ---- the optimum -------------------------------------------------------------------------------


def free_parameters(model, k, d):
    """How many numbers log-volumes, log-shapes and rotations are; and Σ (k, d, d) from them."""
    volume, shape, orientation = ({"E": 1, "V": k, "I": 0}[letter] for letter in model)
    sizes = (volume, shape * (d - 1), orientation * d * (d - 1) // 2)
    rows, columns = np.triu_indices(d, 1)

    def covariances(vector):
        logs, shapes, angles = np.split(vector, np.cumsum(sizes)[:2])
        shapes = shapes.reshape(shape, d - 1) if shape else np.zeros((1, d - 1))
        shapes = np.hstack([shapes, -shapes.sum(axis=1, keepdims=True)])
        skew = np.zeros((max(orientation, 1), d, d))
        if orientation:
            skew[:, rows, columns] = angles.reshape(orientation, -1)
        axes = expm(skew - skew.swapaxes(1, 2))
        variances = np.broadcast_to(np.exp(logs[:, None] + shapes), (k, d))
        return (axes * variances[:, None, :]) @ axes.swapaxes(1, 2)

    return sum(sizes), covariances


@pytest.mark.parametrize(
    ("structure", "k", "d", "seed"),
    [(s, 2, 3, 0) for s in LINEAR]
    + [(s, *case) for s in CURVED for case in [(2, 2, 0), (3, 2, 1), (2, 3, 0)]],
)
def test_the_estimate_is_the_best_that_a_numerical_optimiser_finds(structure, k, d, seed):
    """BFGS over log-volumes, log-shapes of sum 0 and rotations, from several starts.

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


@given(cases())
def test_no_other_value_of_the_structure_is_more_likely_than_the_estimate(case):
    """(G10), and (M4, S1 to S8) for what it leads to."""
    covariance, k, d, rng = case
    structure = type(covariance)
    counts, moments = moments_of_clouds(rng, k, d)
    best = structure.estimate(counts, in_moment_shape(structure, moments))
    lowest = cost(counts, best.dense(k, d), moments)
    chart = best.chart(d)
    for size in (1e-3, 1e-2, 0.1, 0.5, 1):
        way = chart.of(random_structure(structure, rng, k, d))
        other = structure(chart.at(size * way).values)  # the constructor checks the structure
        assert lowest <= cost(counts, other.dense(k, d), moments) + 1e-13 * abs(lowest)


@given(seeds, every, st.integers(1, 4), st.integers(1, 4))
def test_estimates_share_what_the_letters_say(seed, structure, k, d):
    """Volumes, ratios of eigenvalues and eigenvectors: 1e-10, for conditions below 1e4."""
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
    if orientation == "E":  # matrices with the same eigenvectors commute
        for a, b in itertools.combinations(shapes, 2):
            size = np.abs(a).max() * np.abs(b).max()
            np.testing.assert_allclose(a @ b, b @ a, atol=1e-10 * size)


@given(seeds, every, st.integers(1, 4), st.integers(1, 4))
def test_values_of_the_structure_are_their_own_estimate(seed, structure, k, d):
    rng = np.random.default_rng(seed)
    wanted = random_structure(structure, rng, k, d).dense(k, d)
    again = estimated(structure, rng.uniform(1, 9, size=k), wanted)
    rtol = 1e-8 if structure.curved else 1e-14
    np.testing.assert_allclose(again, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())


# ---- nesting -----------------------------------------------------------------------------------


def is_nested(tight, loose):
    steps = [("E", "V"), ("I", "E"), ("I", "V")]
    pairs = zip(tight.model, loose.model, strict=True)
    return tight is not loose and all(a == b or (a, b) in steps for a, b in pairs)


#: each structure and the next looser ones: the other pairs follow
PAIRS = [
    (tight, loose)
    for tight, loose in itertools.permutations(FOURTEEN, 2)
    if is_nested(tight, loose)
    and not any(is_nested(tight, middle) and is_nested(middle, loose) for middle in FOURTEEN)
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


@every_curved
def test_structures_that_differ_in_what_is_shared_are_the_same_for_one_component(structure):
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


@every_curved
def test_only_the_volume_matters_for_one_feature(structure):
    counts, moments = moments_of_clouds(np.random.default_rng(0), 3, 1)
    as_spheres = getattr(gmmlab, structure.model[0] + "II")
    np.testing.assert_allclose(
        estimated(structure, counts, moments), estimated(as_spheres, counts, moments), rtol=1e-12
    )


# ---- invariances -------------------------------------------------------------------------------


def equivariant(structure, linear):
    counts, moments = moments_of_clouds(np.random.default_rng(0), 3, 3)
    wanted = linear @ estimated(structure, counts, moments) @ linear.T
    found = estimated(structure, counts, linear @ moments @ linear.T)
    return np.allclose(found, wanted, rtol=0, atol=1e-8 * np.abs(wanted).max())


@every_structure
def test_the_estimate_follows_the_maps_of_the_data_that_preserve_the_structure(structure):
    """Not rotations if it is along the features, nor stretches if it shares axes or shapes."""
    rng = np.random.default_rng(1)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    stretch = np.diag([0.1, 1.0, 20.0])
    assert equivariant(structure, 1e3 * np.eye(3))
    # Signs and order of features matter to none of them.
    assert equivariant(structure, np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0]]))
    round_or_rotated = structure.model[1] == "I" or structure.model[2] != "I"
    assert equivariant(structure, rotation) == round_or_rotated
    stretched = ("EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV")
    assert equivariant(structure, stretch) == (structure.model in stretched)
    assert equivariant(structure, rotation @ stretch) == (structure.model in stretched[4:])


@given(seeds, every, st.integers(2, 4), st.integers(1, 4))
def test_relabelling_components_relabels_the_estimate(seed, structure, k, d):
    counts, moments = moments_of_clouds(np.random.default_rng(seed), k, d)
    order = np.random.default_rng(seed).permutation(k)
    found = estimated(structure, counts[order], moments[order])
    wanted = estimated(structure, counts, moments)[order]
    np.testing.assert_allclose(found, wanted, atol=1e-8 * np.abs(wanted).max())
