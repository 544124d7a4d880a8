"""Laws of the coordinates: a chart of all mixtures about one, with scores of unit variance."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.polynomial.hermite_e import hermegauss
from problems import CURVED, LINEAR, STRUCTURES, covering, every_linear, nearest
from scipy.linalg import expm
from scipy.stats import multivariate_normal

from gmmlab import Full, Mixture, Tied
from gmmlab.convergence.coordinates import Coordinates

BLOCKS = ("weights", "means", "covariances")
FREE = [frozenset(blocks) for size in (1, 2, 3) for blocks in itertools.combinations(BLOCKS, size)]


def random_mixture(rng, k, d, structure):
    """A mixture whose covariances have a condition of some hundreds at most."""
    factors = rng.normal(size=(k, d, d))
    matrices = factors @ factors.swapaxes(1, 2) / d + 0.1 * np.eye(d)
    matrices *= rng.uniform(0.1, 10, size=(k, 1, 1))
    weights = rng.dirichlet(np.full(k, 2.0)) + 1e-6
    return Mixture(
        weights / weights.sum(), 3 * rng.normal(size=(k, d)), nearest(structure, matrices)
    )


every, linear = st.sampled_from(STRUCTURES), st.sampled_from(LINEAR)


@st.composite
def pairs(draw, kinds=every):
    """Draw an origin, another mixture of its shape, and what is free."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, d, structure = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(kinds)
    origin, other = (random_mixture(rng, k, d, structure) for _ in range(2))
    return origin, other, draw(st.sampled_from(FREE))


@st.composite
def places(draw):
    """Draw an origin, what is free, and a vector of coordinates."""
    origin, _, free = draw(pairs(linear))
    size = origin.n_parameters(free)
    vector = draw(arrays(float, size, elements=st.floats(-3, 3, allow_subnormal=False)))
    return Coordinates(origin, free), vector


def block(mixture, name):
    return mixture.covariance.values if name == "covariances" else getattr(mixture, name)


def with_blocks(origin, other, free):
    """The mixture `other` where it is free and `origin` elsewhere."""
    weights, means = (
        block(other if name in free else origin, name) for name in ("weights", "means")
    )
    return Mixture(weights, means, (other if "covariances" in free else origin).covariance)


def assert_close(one, other, rtol):
    """Equal up to `rtol` of the size of each block."""
    np.testing.assert_allclose(one.weights, other.weights, rtol=rtol)
    size = np.abs(other.means).max() + 1
    np.testing.assert_allclose(one.means, other.means, atol=rtol * size)
    size = np.abs(other.covariance.values).max()
    np.testing.assert_allclose(one.covariance.values, other.covariance.values, atol=rtol * size)


# ---- a chart -----------------------------------------------------------------------------------


@given(pairs())
def test_0_is_the_origin(case):
    """C Cᵀ is Σ up to rounding; weights are divided by their sum once more."""
    origin, _, free = case
    coordinates = Coordinates(origin, free)
    assert_close(coordinates.mixture(np.zeros(coordinates.size)), origin, 1e-14)
    # log of the eigenvalues of C⁻¹ Σ C⁻ᵀ = 1 ± cond(Σ) ε
    np.testing.assert_allclose(coordinates.of(origin), 0, atol=1e-11)


@given(pairs())
def test_every_mixture_has_coordinates_that_lead_back_to_it(case):
    """Conditions are below 1e4, relative to the origin below 1e6: 1e-9 is 1e6 roundings."""
    origin, other, free = case
    other = with_blocks(origin, other, free)
    coordinates = Coordinates(origin, free)
    vector = coordinates.of(other)
    assert vector.shape == (coordinates.size,)
    assert_close(coordinates.mixture(vector), other, 1e-9)


@given(places())
def test_every_vector_is_a_proper_mixture_and_has_one_name(case):
    """The constructors check: weights sum to 1, covariances are positive definite."""
    coordinates, vector = case
    found = coordinates.mixture(vector)
    structure = type(found.covariance)
    proper = Mixture(found.weights, found.means, structure(found.covariance.values))
    assert (proper.weights > 0).all()
    # Eigenvalues of exp(√2 A) span e^(2 √2 ‖A‖): logs of the small ones lose that many digits.
    span = np.exp(2 * np.sqrt(2) * np.linalg.norm(vector))
    assume(span < 1e9)
    atol = 1e-12 * span + 1e-10
    np.testing.assert_allclose(coordinates.of(found), vector, atol=atol)


@given(pairs(st.sampled_from(CURVED)), st.floats(-2, 2))
def test_sums_of_coordinates_are_of_a_curved_structure_again(case, factor):
    """The constructor checks that what is shared still is, to a divergence of 1e-8."""
    origin, other, _ = case
    coordinates = Coordinates(origin, frozenset({"covariances"}))
    vector = coordinates.of(other)
    assume(np.abs(vector).max() < 5)  # turns by nearly half a circle have no digits
    found = coordinates.mixture(factor * vector)
    type(found.covariance)(found.covariance.values)


@covering(structure=STRUCTURES, length=[1e2, 1e4])
def test_a_very_long_vector_still_has_weights_above_0_that_sum_to_1(structure, length):
    origin = random_mixture(np.random.default_rng(0), 3, 2, structure)
    coordinates = Coordinates(origin, frozenset({"weights", "means"}))
    found = coordinates.mixture(length * np.resize([1, -1], coordinates.size))
    assert (found.weights > 0).all()
    assert found.weights.sum() == pytest.approx(1, rel=1e-12)
    assert np.isfinite(found.means).all()


@given(pairs())
def test_blocks_that_are_not_free_stay_bit_for_bit(case):
    origin, other, free = case
    coordinates = Coordinates(origin, free)
    found = coordinates.mixture(coordinates.of(with_blocks(origin, other, free)))
    for name in set(BLOCKS) - free:
        np.testing.assert_array_equal(block(found, name), block(origin, name))


@given(pairs())
def test_there_are_as_many_coordinates_as_free_parameters_and_each_has_a_place(case):
    """k − 1 + k d + the structure's own; the last weight has the place past the end.

    What is shared by a curved structure is in the coordinates of each component.
    """
    origin, _, free = case
    k, d = origin.means.shape
    structure = type(origin.covariance)
    own = k * structure.n_parameters(1, d) if structure.curved else structure.n_parameters(k, d)
    counts = {"weights": k - 1, "means": k * d, "covariances": own}
    coordinates = Coordinates(origin, free)
    assert coordinates.size == sum(counts[name] for name in free)
    assert coordinates.size == origin.n_parameters(free) or structure.curved
    used = set(coordinates.places.ravel().tolist())
    last = {coordinates.size} if "weights" in free else set()
    assert used == set(range(coordinates.size)) | last
    assert len(coordinates.places) == k


@given(pairs(), st.integers(0, 2**32 - 1))
def test_a_mean_moves_by_a_in_units_of_the_covariance_and_a_weight_by_its_log_ratio(case, seed):
    """(I1): ‖a‖ is the Mahalanobis distance that a mean moves."""
    origin, _, _ = case
    coordinates = Coordinates(origin, frozenset({"weights", "means"}))
    k, d = origin.means.shape
    vector = np.random.default_rng(seed).normal(size=coordinates.size)
    found = coordinates.mixture(vector)
    moved = found.means - origin.means
    squared = [m @ np.linalg.solve(s, m) for m, s in zip(moved, origin.covariances, strict=True)]
    lengths = (vector[k - 1 :].reshape(k, d) ** 2).sum(axis=1)
    np.testing.assert_allclose(squared, lengths, rtol=1e-9)
    ratios = np.log(found.weights / origin.weights)
    np.testing.assert_allclose((ratios - ratios[-1])[:-1], vector[: k - 1], atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([Full, Tied]))
def test_a_matrix_moves_by_the_matrix_exponential(seed, d, structure):
    """C exp(√2 A) Cᵀ (I1), ‖A‖² the sum of squares of the coordinates, against SciPy's expm."""
    rng = np.random.default_rng(seed)
    origin = random_mixture(rng, 1, d, structure)
    coordinates = Coordinates(origin, frozenset({"covariances"}))
    vector = rng.normal(size=coordinates.size)
    A = np.zeros((d, d))
    rows, columns = np.triu_indices(d)
    A[rows, columns] = np.where(rows == columns, vector, vector / np.sqrt(2))
    A[columns, rows] = A[rows, columns]
    assert (A**2).sum() == pytest.approx((vector**2).sum())
    C = np.linalg.cholesky(origin.covariances[0])
    wanted = C @ expm(np.sqrt(2) * A) @ C.T
    found = coordinates.mixture(vector).covariances[0]
    np.testing.assert_allclose(found, wanted, atol=1e-11 * np.abs(wanted).max())


# ---- stacks ------------------------------------------------------------------------------------


@st.composite
def stacks(draw, kinds=every):
    """Draw origins of the same shape, as many other mixtures, and what is free."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, d, structure = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(kinds)
    count = draw(st.integers(1, 4))
    origins, others = (
        [random_mixture(rng, k, d, structure) for _ in range(count)] for _ in range(2)
    )
    return origins, others, draw(st.sampled_from(FREE))


@given(stacks())
def test_coordinates_of_a_stack_are_those_of_its_members_alone(case):
    """Conditions are below 1e6 relative to the origin, and 1e-9 is 1e6 roundings."""
    origins, others, free = case
    coordinates = Coordinates(Mixture.stacked(origins), free)
    vectors = coordinates.of(Mixture.stacked(others))
    assert vectors.shape == (len(origins), coordinates.size)
    found = coordinates.mixture(vectors)
    for i, (origin, other) in enumerate(zip(origins, others, strict=True)):
        alone = Coordinates(origin, free)
        np.testing.assert_array_equal(alone.places, coordinates.places)
        np.testing.assert_allclose(vectors[i], alone.of(other), atol=1e-9)
        assert_close(found.select(i), alone.mixture(vectors[i]), 1e-9)


@given(stacks(), st.sampled_from([0.0, np.nan]))
def test_a_degenerate_member_of_a_stack_harms_no_other(case, factor):
    """As an origin, and as a mixture whose coordinates are wanted; all its numbers are useless."""
    origins, others, free = case
    broken = Mixture.unchecked(
        factor * origins[0].weights,
        factor * origins[0].means,
        origins[0].covariance.unchecked(factor * origins[0].covariance.values),
    )
    wanted = Coordinates(Mixture.stacked(origins), free).of(Mixture.stacked(others))
    with np.errstate(all="ignore"):
        coordinates = Coordinates(Mixture.stacked([*origins, broken, origins[0]]), free)
        vectors = coordinates.of(Mixture.stacked([*others, others[0], broken]))
        found = coordinates.mixture(vectors)
    np.testing.assert_allclose(vectors[:-2], wanted, atol=1e-9)
    for i, origin in enumerate(origins):
        assert_close(found.select(i), Coordinates(origin, free).mixture(wanted[i]), 1e-9)


@given(stacks())
def test_a_value_of_each_component_is_added_up_over_those_that_share_a_coordinate(case):
    origins, others, free = case
    coordinates = Coordinates(Mixture.stacked(origins), free)
    values = np.stack([other.weights for other in others])
    found = coordinates.per_coordinate(values)
    for mine, theirs in zip(values, found, strict=True):
        wanted = np.zeros(coordinates.size + 1)
        np.add.at(wanted, coordinates.places, mine[:, None])
        np.testing.assert_allclose(theirs, wanted[:-1], rtol=1e-14)
        np.testing.assert_allclose(coordinates.per_coordinate(mine), theirs, rtol=1e-14)


# ---- scores ------------------------------------------------------------------------------------


@every_linear
@pytest.mark.parametrize("d", [1, 3])
def test_scores_are_the_derivatives_of_the_log_density_along_the_coordinates(structure, d):
    """Central differences: off by h² times a third derivative, below 1e3 here, and ε |log N| / h"""
    rng = np.random.default_rng(d)
    origin = random_mixture(rng, 1, d, structure)
    mean, scale = origin.means[0], np.linalg.cholesky(origin.covariances[0])
    y = rng.normal(size=(d, 20))
    X = mean + (scale @ y).T
    if structure is Full:  # C⁻¹ (x − μ) with C the Cholesky factor
        np.testing.assert_allclose(origin.whiten(X)[0], y, atol=1e-10)
    y, h = origin.whiten(X)[0], 1e-5

    def log_density(coordinates, vector):
        moved = coordinates.mixture(vector)
        return multivariate_normal(moved.means[0], moved.covariances[0]).logpdf(X)

    for free, wanted in (("means", y), ("covariances", origin.covariance.chart(d).scores(y))):
        coordinates = Coordinates(origin, frozenset({free}))
        assert wanted.shape == (coordinates.size, 20)
        for step, score in zip(h * np.eye(coordinates.size), wanted, strict=True):
            slope = (log_density(coordinates, step) - log_density(coordinates, -step)) / (2 * h)
            np.testing.assert_allclose(slope, score.ravel(), atol=1e-7)


@every_linear
@pytest.mark.parametrize("d", [1, 3])
def test_scores_are_uncorrelated_with_mean_0_and_variance_1(structure, d):
    """(I2): Gauss-Hermite quadrature with 4 points is exact for the 4th moments (degree 7)."""
    points, share = hermegauss(4)
    share = share / share.sum()
    y = np.stack([axis.ravel() for axis in np.meshgrid(*[points] * d, indexing="ij")])
    mass = np.prod(np.meshgrid(*[share] * d, indexing="ij"), axis=0).ravel()
    covariance = random_mixture(np.random.default_rng(d), 1, d, structure).covariance
    scores = np.concatenate([y, covariance.chart(d).scores(y)])
    assert len(scores) == d + covariance.n_parameters(1, d)
    np.testing.assert_allclose(scores @ mass, 0, atol=1e-13)
    np.testing.assert_allclose((scores * mass) @ scores.T, np.eye(len(scores)), atol=1e-13)


@every_linear
@pytest.mark.parametrize("d", [1, 3])
def test_tangents_are_the_derivatives_of_the_covariance_along_its_coordinates(structure, d):
    """Central differences with h = 10⁻⁴ are off by h²/6 times third derivatives."""
    covariance = random_mixture(np.random.default_rng(d), 3, d, structure).covariance
    chart, h = covariance.chart(d), 1e-4
    tangents = chart.tangents()
    rows, q = len(covariance.stack), covariance.n_parameters(1, d)
    assert tangents.shape == (rows, q, *covariance.stack.shape[1:])
    for j in range(q):
        step = np.zeros((rows, q))
        step[:, j] = h
        ahead, behind = chart.at(step).stack, chart.at(-step).stack
        np.testing.assert_allclose(tangents[:, j], (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-6)
