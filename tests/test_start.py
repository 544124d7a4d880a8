"""The starts: valid mixtures on the scale of the data, whatever the data are."""

import numpy as np
import pytest
import scipy.cluster.hierarchy
import scipy.linalg
import sklearn.cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import FOUR, STRUCTURES, some_structures
from threadpoolctl import threadpool_info, threadpool_limits

from gmmlab import EII, EVE, VVE, Diagonal, Full, Mixture, Spherical, Tied, _kmeans, datasets, start
from gmmlab.engine import as_samples


def from_random_labels(X, n_components, rng, *, structure=Full):
    """Call `start.from_labels` with the arguments of the starts that are drawn."""
    labels = rng.permutation(np.arange(len(X)) % n_components)
    return start.from_labels(X, labels, structure=structure)


def from_random_means(X, n_components, rng, *, structure=Full):
    """Call `start.from_parameters` with the arguments of the starts that are drawn."""
    means = np.mean(X, axis=0) + np.std(X, axis=0) * rng.normal(size=(n_components, np.shape(X)[1]))
    return start.from_parameters(X, means=means, structure=structure)


DRAWN = (start.kmeans, start.kmeans_plus_plus, start.random_points, start.random_responsibilities)
SINGLE = {
    "kmeans": start.kmeans,
    "k-means++": start.kmeans_plus_plus,
    "random": start.random_responsibilities,
    "random_from_data": start.random_points,
    "hierarchical": start.hierarchical,
}
every_draw = pytest.mark.parametrize("draw", DRAWN, ids=lambda f: f.__name__)
every_kind = pytest.mark.parametrize("draw", [*DRAWN, start.hierarchical], ids=lambda f: f.__name__)

#: All structures by an M-step on responsibilities, which are random or those of a labelling.
BY_M_STEP = [
    (draw, structure)
    for structures, draw in (
        (STRUCTURES[::2], from_random_labels),
        (STRUCTURES[1::2], start.random_responsibilities),
    )
    for structure in structures
]
#: Every way to find means, with the covariance of the data.
BY_MEANS = [
    (start.kmeans_plus_plus, Full),
    (start.random_points, Tied),
    (start.random_points, VVE),
    (from_random_means, Diagonal),
]
BY_CLUSTERS = [(start.kmeans, Full), (start.kmeans, VVE), (start.hierarchical, Diagonal)]


def each(pairs):
    """Parametrise over pairs of a start and a structure."""
    names = [f"{draw.__name__}-{structure.__name__}" for draw, structure in pairs]
    return pytest.mark.parametrize(("draw", "structure"), pairs, ids=names)


every_pair = each(BY_M_STEP + BY_MEANS + BY_CLUSTERS)


def clusters(seed=0, k=3, d=2, n=60):
    """Return samples of well separated clusters, in random order."""
    rng = np.random.default_rng(seed)
    centres = 30 * np.eye(max(k, d))[:k, :d] + np.arange(k)[:, None]
    X = np.concatenate([centre + rng.normal(size=(n // k, d)) for centre in centres])
    return rng.permutation(X)


def shares(mixture, X):
    """Return the variances of components relative to those of the data, in all directions."""
    whole = np.cov(X.T, bias=True).reshape(X.shape[1], X.shape[1])
    return np.array([scipy.linalg.eigh(c, whole, eigvals_only=True) for c in mixture.covariances])


def close(first, second, rtol=1e-9):
    """Assert that two mixtures are equal up to rounding."""
    assert type(first.covariance) is type(second.covariance)
    np.testing.assert_allclose(first.weights, second.weights, rtol=rtol)
    scale = np.abs(second.means).max()
    np.testing.assert_allclose(first.means, second.means, rtol=rtol, atol=rtol * scale)
    scale = np.abs(second.covariances).max()
    np.testing.assert_allclose(first.covariances, second.covariances, rtol=rtol, atol=rtol * scale)


# ---- valid mixtures ----------------------------------------------------------------------


@every_pair
def test_a_start_has_the_structure_and_the_scale_of_the_data(draw, structure):
    X = clusters() * [1, 10]
    for k in (1, 3, 20):
        mixture = draw(X, k, np.random.default_rng(0), structure=structure)
        assert type(mixture.covariance) is structure
        assert mixture.means.shape == (k, 2)
        assert (mixture.weights > 0).all()
        assert abs(mixture.weights.sum() - 1) < 1e-12
        found = shares(mixture, X)
        assert found.min() > 1e-6
        # Spheres are wide in the narrow feature; shared shapes are wide for a few samples.
        assert found.max() < (400 if structure.curved else 100)


@pytest.mark.parametrize(
    ("structure", "d"), [(Full, 1), (Full, 5), (Tied, 2), (Diagonal, 5), (Spherical, 2)]
)
def test_a_cluster_of_one_sample_gets_half_the_covariance_of_the_data(structure, d):
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(40, d)), np.full((1, d), 50.0)])
    mixture = start.kmeans(X, 2, rng, structure=structure).sorted()
    np.testing.assert_allclose(mixture.weights, [40 / 41, 1 / 41])
    np.testing.assert_allclose(mixture.means[1], X[-1])
    if structure is not Tied:  # a shared covariance is wide because of the other cluster
        whole = structure.estimate(
            np.array([41]),
            start.from_labels(X, np.zeros(41, int), structure=structure).covariance.stack,
        )
        half = whole.dense(1, d)[0] / 2
        floor = 1e-5 * np.diag(X.var(axis=0))  # the floor of a flat covariance
        assert np.abs(mixture.covariances[1] - half).max() <= floor.max()


@each(BY_M_STEP)
def test_there_may_be_as_many_components_as_samples(draw, structure):
    X = np.random.default_rng(0).normal(size=(4, 3))
    mixture = draw(X, 4, np.random.default_rng(0), structure=structure)
    assert (np.linalg.eigvalsh(mixture.covariances) > 0).all()


@every_pair
def test_a_feature_may_be_constant(draw, structure):
    for constant in (0.0, 5.0, 0.1, -1e6):
        X = np.column_stack([clusters(d=1), np.full(60, constant)])
        mixture = draw(X, 3, np.random.default_rng(0), structure=structure)
        np.testing.assert_allclose(mixture.means[:, 1], constant, rtol=1e-12)
        eigenvalues = np.linalg.eigvalsh(mixture.covariances)
        assert eigenvalues.min() > 1e-10 * X[:, 0].var()
        assert eigenvalues.max() < 10 * X[:, 0].var()


@each(BY_M_STEP + BY_MEANS)
def test_all_samples_may_be_equal(draw, structure):
    mixture = draw(np.ones((5, 2)), 2, np.random.default_rng(0), structure=structure)
    np.testing.assert_allclose(mixture.means, 1)
    assert (np.linalg.eigvalsh(mixture.covariances) > 0).all()


@pytest.mark.parametrize("X", [np.ones((5, 2)), [[0.0], [0.0], [1.0], [1.0]]])
def test_kmeans_needs_as_many_distinct_samples_as_components(X):
    with pytest.raises(ValueError, match=r"n_components must be at most .* distinct samples"):
        start.kmeans(X, 3, np.random.default_rng(0))


@every_pair
def test_samples_may_lie_in_fewer_dimensions(draw, structure):
    X = clusters(d=2)
    X = np.column_stack([X, X @ [1, 1]])
    mixture = draw(X, 3, np.random.default_rng(0), structure=structure)
    assert (mixture.covariance.moments.conditioning(mixture.covariance.stack) > 1e-10).all()


@pytest.mark.parametrize("structure", [EVE, VVE], ids=lambda s: s.__name__)
def test_thin_clusters_with_common_axes_are_widened_until_none_is_thin(structure):
    """Widening one cluster turns the common axes, so others can become thin."""
    rng = np.random.default_rng(0)
    lines = [10 * k + rng.normal(size=(3, 1)) * rng.normal(size=3) for k in range(4)]
    X = np.concatenate([rng.normal(size=(20, 3)), *lines])
    labels = np.repeat(np.arange(5), [20, 3, 3, 3, 3])
    assert shares(start.from_labels(X, labels, structure=structure), X).min() > 1e-6


# ---- Ward's method -----------------------------------------------------------------------


def test_wards_method_does_not_depend_on_units_or_on_the_seed():
    X = clusters()
    first, again = (start.hierarchical(X, 3, np.random.default_rng(seed)) for seed in (0, 1))
    assert first == again
    assert sorted(first.weights) == pytest.approx([1 / 3] * 3)
    tilted = X @ [[1.0, 0.9], [0.0, 1e-3]]
    other = start.hierarchical(tilted, 3, np.random.default_rng(0))
    wanted = first.sorted().means @ [[1.0, 0.9], [0.0, 1e-3]]
    np.testing.assert_allclose(other.sorted().means, wanted, rtol=1e-6)


def test_wards_method_gives_the_number_of_clusters_also_with_equal_heights():
    X = np.array([[0.0], [1.0], [10.0], [11.0]])  # two pairs at equal distances
    found = start.hierarchical(X, 3, np.random.default_rng(0), structure=EII)
    assert sorted(found.weights) == pytest.approx([0.25, 0.25, 0.5])


def test_a_sample_of_weight_0_does_not_become_a_cluster():
    X, weight = clusters(), np.ones(len(clusters()))
    far, none = np.vstack([X, [[1e3] * X.shape[1]]]), np.append(weight, 0.0)
    with_it, without = (
        start.hierarchical(*data, 3, np.random.default_rng(0), sample_weight=counts)
        for data, counts in (((far,), none), ((X,), weight))
    )
    assert with_it == without


def test_wards_method_clusters_a_part_of_many_samples():
    X = clusters(n=6000)
    found = start.hierarchical(X, 3, np.random.default_rng(0))
    assert found.weights == pytest.approx(np.full(3, 1 / 3), abs=0.05)


# ---- randomness and threads --------------------------------------------------------------


@each(
    [
        (start.kmeans, Full),
        (start.kmeans_plus_plus, Tied),
        (start.random_points, Diagonal),
        (start.random_responsibilities, VVE),
    ]
)
def test_a_start_repeats_with_the_same_seed_only(draw, structure):
    X = np.random.default_rng(0).uniform(size=(200, 2))
    first, again, other = (
        draw(X, 4, np.random.default_rng(seed), structure=structure) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@every_draw
def test_a_start_does_not_use_the_global_generator(draw):
    X = np.random.default_rng(0).uniform(size=(50, 2))
    np.random.seed(0)  # noqa: NPY002  (the global generator)
    first = draw(X, 4, np.random.default_rng(1))
    np.random.seed(1)  # noqa: NPY002
    assert draw(X, 4, np.random.default_rng(1)) == first


@pytest.mark.parametrize(
    ("draw", "shape", "structure"),
    [
        (start.kmeans, (20_000, 20), Full),
        (start.kmeans_plus_plus, (20_000, 20), Full),
        (start.random_points, (20_000, 20), Full),
        (start.random_responsibilities, (20_000, 20), Full),
        (start.random_responsibilities, (1001, 300), Diagonal),
        (start.hierarchical, (1001, 300), Diagonal),
    ],
)
def test_the_bits_of_a_start_do_not_depend_on_the_number_of_threads(draw, shape, structure):
    # Long sums, and products wide enough for BLAS to use several threads.
    X = np.random.default_rng(0).uniform(size=shape)
    with threadpool_limits(1):
        alone = draw(X, 7, np.random.default_rng(1), structure=structure)
    with threadpool_limits(2):
        assert draw(X, 7, np.random.default_rng(1), structure=structure) == alone


def test_drawing_a_start_lifts_the_limit_on_threads():
    with threadpool_limits(2):
        before = threadpool_info()
        start.kmeans(clusters(), 3, np.random.default_rng(0))
        assert threadpool_info() == before


# ---- many starts at once -----------------------------------------------------------------


def in_memory(X, weight=None):
    return as_samples(X, weight, in_memory=True)


@pytest.mark.parametrize("structure", [Full, Tied, Diagonal, Spherical, VVE])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [60, 12_000])
def test_a_start_of_a_stack_is_the_start_alone(structure, weighted, n):
    rng = np.random.default_rng(0)
    X = clusters(n=n) + rng.uniform(-9, 9, size=(n, 2))
    weight = rng.integers(0, 4, size=n).astype(float) if weighted else None
    kinds = [kind for kind in start.KINDS for _ in range(3)]
    seeds = rng.permutation(len(kinds))
    rngs = [np.random.default_rng(seed) for seed in seeds]
    stack = start.draw(in_memory(X, weight), 4, kinds, rngs, structure=structure)
    for number, (kind, seed) in enumerate(zip(kinds, seeds, strict=True)):
        alone = SINGLE[kind](
            X, 4, np.random.default_rng(seed), structure=structure, sample_weight=weight
        )
        close(stack.select(number), alone, 1e-6 if structure.curved else 1e-9)


@some_structures
def test_an_m_step_on_many_responsibilities_is_that_on_each(structure):
    rng = np.random.default_rng(0)
    X, weight = clusters(), rng.uniform(size=60)
    many = rng.dirichlet(np.ones(5), size=(7, 60))
    many[3] = np.eye(5)[np.minimum(np.arange(60), 4)]  # four clusters of one sample are widened
    stack = start.stack_of_responsibilities(in_memory(X, weight), many, structure)
    for number, r in enumerate(many):
        alone = start.from_responsibilities(X, r, structure=structure, sample_weight=weight)
        close(stack.select(number), alone, 1e-6 if structure.curved else 1e-9)
    assert shares(stack.select(3), X).min() > 1e-6


def test_wards_method_runs_once_for_all_numbers_of_components(monkeypatch):
    calls = []
    original = scipy.cluster.hierarchy.ward
    monkeypatch.setattr(scipy.cluster.hierarchy, "ward", lambda y: calls.append(1) or original(y))
    samples, rng = in_memory(clusters()), np.random.default_rng(0)
    for k in (2, 3, 4):
        start.draw(samples, k, ["hierarchical"] * 3, [rng] * 3)
    assert len(calls) == 1


# ---- equivariance ------------------------------------------------------------------------


@every_pair
def test_scaling_the_data_scales_the_start(draw, structure):
    X = clusters()
    mixture = draw(X, 3, np.random.default_rng(1), structure=structure)
    for scale in (2.0**-40, 2.0**30):
        scaled = draw(scale * X, 3, np.random.default_rng(1), structure=structure)
        np.testing.assert_allclose(scaled.weights, mixture.weights, rtol=1e-12)
        np.testing.assert_allclose(scaled.means, scale * mixture.means, rtol=1e-12)
        np.testing.assert_allclose(
            scaled.covariance.values, scale**2 * mixture.covariance.values, rtol=1e-10
        )


@every_pair
def test_shifting_the_data_shifts_only_the_means(draw, structure):
    X, shift = clusters(), np.array([1e4, -3e4])
    mixture, shifted = (
        draw(data, 3, np.random.default_rng(1), structure=structure) for data in (X, X + shift)
    )
    np.testing.assert_allclose(shifted.weights, mixture.weights, rtol=1e-12)
    np.testing.assert_allclose(shifted.means - shift, mixture.means, atol=1e-9)
    np.testing.assert_allclose(
        shifted.covariances, mixture.covariances, atol=1e-8 * np.abs(mixture.covariances).max()
    )


@each(
    [
        (start.random_points, Full),
        (start.random_responsibilities, Tied),
        (start.random_responsibilities, Diagonal),
    ]
)
def test_every_feature_may_have_its_own_unit(draw, structure):
    X, units = clusters(d=3), np.array([1e-6, 1.0, 1e6])
    mixture, rescaled = (
        draw(data, 3, np.random.default_rng(1), structure=structure) for data in (X, units * X)
    )
    np.testing.assert_allclose(rescaled.means, units * mixture.means, rtol=1e-9)
    np.testing.assert_allclose(
        rescaled.covariances / (units[:, None] * units),
        mixture.covariances,
        atol=1e-9 * np.abs(mixture.covariances).max(),
    )


@pytest.mark.parametrize("structure", [Full, Diagonal])
def test_whether_a_cluster_is_thin_does_not_depend_on_units(structure):
    X = clusters(k=2, n=40)
    labels = np.arange(40) // 39  # a single sample in the second class
    units = np.array([1e-5, 1e5])
    plain, rescaled = (
        start.from_labels(data, labels, structure=structure) for data in (X, units * X)
    )
    np.testing.assert_allclose(
        rescaled.covariances / (units[:, None] * units),
        plain.covariances,
        atol=1e-9 * plain.covariances.max(),
    )


# ---- labels ------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4), st.sampled_from(FOUR))
def test_from_labels_gives_the_weights_means_and_covariances_of_the_classes(seed, k, d, structure):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(30 * k) % k)
    labels[rng.integers(30 * k, size=5)] = 0
    X = 10 * rng.normal(size=(1, d)) + rng.normal(size=(30 * k, d)) * (1 + labels[:, None])
    mixture = start.from_labels(X, labels, structure=structure)
    classes = [X[labels == c] for c in range(k)]
    weights = np.array([len(c) for c in classes]) / len(X)
    full = np.array([np.cov(c.T, bias=True).reshape(d, d) for c in classes])
    expected = {
        Full: full,
        Tied: np.tensordot(weights, full, axes=1),
        Diagonal: [c.var(axis=0) for c in classes],
        Spherical: [c.var(axis=0).mean() for c in classes],
    }
    np.testing.assert_allclose(mixture.weights, weights, rtol=1e-12)
    np.testing.assert_allclose(mixture.means, [c.mean(axis=0) for c in classes], rtol=1e-10)
    np.testing.assert_allclose(mixture.covariance.values, expected[structure], rtol=1e-9, atol=1e-9)


@some_structures
def test_renaming_the_labels_renames_the_components(structure):
    X, labels, names = clusters(), np.arange(60) % 3, np.array([2, 0, 1])
    mixture = start.from_labels(X, labels, structure=structure)
    renamed = start.from_labels(X, names[labels], structure=structure)
    np.testing.assert_allclose(renamed.means[names], mixture.means, rtol=1e-12)
    np.testing.assert_allclose(renamed.covariances[names], mixture.covariances, rtol=1e-9)


@some_structures
def test_the_order_of_the_samples_does_not_matter(structure):
    X, labels = clusters(), np.arange(60) % 3
    order = np.random.default_rng(0).permutation(60)
    close(
        start.from_labels(X[order], labels[order], structure=structure),
        start.from_labels(X, labels, structure=structure),
    )


def test_labels_may_be_booleans():
    X = clusters(k=2)
    assert start.from_labels(X, X[:, 0] > 15) == start.from_labels(X, (X[:, 0] > 15).astype(int))


@pytest.mark.parametrize("draw", [start.kmeans, start.random_responsibilities])
def test_covariances_within_and_between_add_up_to_that_of_the_data(draw):
    X = clusters(seed=1)
    mixture = draw(X, 3, np.random.default_rng(0))
    centre = mixture.weights @ mixture.means
    between = (mixture.means - centre).T @ (mixture.weights[:, None] * (mixture.means - centre))
    within = np.tensordot(mixture.weights, mixture.covariances, axes=1)
    np.testing.assert_allclose(centre, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(within + between, np.cov(X.T, bias=True), rtol=1e-9)


# ---- the law of each start ---------------------------------------------------------------


def test_the_means_of_kmeans_are_the_centres_of_the_nearest_samples():
    X = np.random.default_rng(0).uniform(size=(300, 2))
    mixture = start.kmeans(X, 5, np.random.default_rng(0))
    nearest = ((X[:, None] - mixture.means) ** 2).sum(axis=2).argmin(axis=1)
    for k in range(5):
        np.testing.assert_allclose(X[nearest == k].mean(axis=0), mixture.means[k], atol=0.02)
        assert abs((nearest == k).mean() - mixture.weights[k]) < 0.02


def test_kmeans_finds_separated_clusters():
    X = clusters()
    mixture = start.kmeans(X, 3, np.random.default_rng(0))
    np.testing.assert_allclose(mixture.weights, 1 / 3)
    assert shares(mixture, X).max() < 0.05


@each(BY_MEANS[:3])
def test_seeds_are_distinct_samples_with_equal_weights_and_the_covariance_of_the_data(
    draw, structure
):
    X = np.random.default_rng(0).normal(size=(12, 2))
    mixture = draw(X, 12, np.random.default_rng(0), structure=structure)
    np.testing.assert_array_equal(np.unique(mixture.means, axis=0), np.unique(X, axis=0))
    np.testing.assert_allclose(mixture.weights, 1 / 12, rtol=1e-14)
    whole = start.from_labels(X, np.zeros(12, int), structure=structure)
    expected = np.broadcast_to(whole.covariances, (12, 2, 2))
    np.testing.assert_allclose(mixture.covariances, expected, rtol=1e-9, atol=1e-14)


def test_kmeans_plus_plus_finds_all_clusters_where_random_points_do_not():
    X = np.repeat([0.0, 100.0, 200.0], 20)[:, None] + np.random.default_rng(0).normal(size=(60, 1))

    def finds_all(draw, seed):
        return len(np.unique(np.round(draw(X, 3, np.random.default_rng(seed)).means / 100))) == 3

    assert all(finds_all(start.kmeans_plus_plus, seed) for seed in range(20))
    assert not all(finds_all(start.random_points, seed) for seed in range(20))


def test_random_points_are_drawn_uniformly():
    X = np.arange(5.0)[:, None]
    rng = np.random.default_rng(0)
    draws = np.concatenate([start.random_points(X, 2, rng).means.ravel() for _ in range(500)])
    counts = np.bincount(draws.astype(int), minlength=5)  # each of them in 2 of 5 draws
    assert np.abs(counts - 200).max() < 5 * np.sqrt(500 * 0.4 * 0.6)


def test_random_responsibilities_are_uniform_on_the_simplex():
    X = np.random.default_rng(0).normal(size=(2000, 2))
    starts = [start.random_responsibilities(X, 4, np.random.default_rng(s)) for s in range(100)]
    # Each r is Beta(1, 3), with mean 1/4 and variance 3/80; so these are the standard errors.
    weight, mean = np.sqrt(3 / 80 / 2000), 4 * np.sqrt(3 / 80 / 2000) * X.std(axis=0)
    weights = np.array([mixture.weights for mixture in starts]) - 1 / 4
    means = np.array([mixture.means for mixture in starts]) - X.mean(axis=0)
    for errors in (weights / weight, means / mean):
        assert abs((errors**2).mean() - 1) < 5 * np.sqrt(2 / errors.size)


def test_given_parameters_are_kept():
    X = clusters()
    means, weights, covariances = X[:2], np.array([0.3, 0.7]), np.array([[1.0, 2.0], [3.0, 4.0]])
    mixture = start.from_parameters(
        X, means=means, weights=weights, covariances=covariances, structure=Diagonal
    )
    np.testing.assert_array_equal(mixture.means, means)
    np.testing.assert_array_equal(mixture.weights, weights)
    np.testing.assert_array_equal(mixture.covariance.values, covariances)


# ---- k-means -----------------------------------------------------------------------------


def by_scikit_learn(X, centres, weight=None):
    """Return the centres and the inertia of scikit-learn's k-means from the same centres."""
    found = sklearn.cluster.KMeans(len(centres), init=centres, n_init=1).fit(
        X, sample_weight=weight
    )
    return found.cluster_centers_, found.inertia_


def inertia(X, centres, weight=None):
    """Return the sum of squared distances from the nearest centres."""
    squared = ((X[:, None] - centres) ** 2).sum(axis=-1).min(axis=1)
    return np.average(squared, weights=weight) * (len(X) if weight is None else weight.sum())


def lloyd(X, centres, weight=None):
    """Return the centres (R, k, d) of k-means from other centres, in the units of the data."""
    points = _kmeans.Points(in_memory(X, weight))
    found = _kmeans.lloyd(points, (centres - points.centre) / points.scale)
    return points.centre + points.scale * found


@pytest.mark.parametrize(
    ("n", "d", "k", "weighted"), [(150, 4, 3, 0), (150, 4, 3, 1), (90, 1, 8, 0), (20_000, 3, 5, 1)]
)
def test_kmeans_ends_where_that_of_scikit_learn_does(n, d, k, weighted):
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, d)) + 2 * rng.integers(3, size=(n, 1))
    weight = rng.uniform(0.5, 2, size=n) if weighted else None
    begin = X[np.array([rng.choice(n, k, replace=False) for _ in range(6)])]
    for centres, first in zip(lloyd(X, begin, weight), begin, strict=True):
        expected, value = by_scikit_learn(X, first, weight)
        np.testing.assert_allclose(centres, expected, rtol=1e-9, atol=1e-9)
        assert inertia(X, centres, weight) == pytest.approx(value, rel=1e-9)


def test_kmeans_is_a_fixed_point_and_never_worse_than_its_seeds():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    begin = X[np.array([rng.choice(200, 6, replace=False) for _ in range(20)])]
    found = lloyd(X, begin)
    again = lloyd(X, found)
    before, after, later = ([inertia(X, c) for c in many] for many in (begin, found, again))
    assert (np.array(after) < before).all()
    np.testing.assert_allclose(later, after, rtol=1e-2)
    order = rng.permutation(20)
    np.testing.assert_allclose(lloyd(X, begin[order]), found[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(300, 2), (20_000, 2), (9000, 40)])
def test_kmeans_of_large_and_mapped_data_is_that_of_small_data(monkeypatch, tmp_path, n, d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + 3 * rng.integers(4, size=(n, 1))
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    kept = start.kmeans(X, 4, np.random.default_rng(0), structure=Diagonal)
    monkeypatch.setattr(_kmeans, "_KEPT", 0)
    close(start.kmeans(mapped, 4, np.random.default_rng(0), structure=Diagonal), kept)


def test_generators_that_several_starts_share_are_used_in_order():
    X = np.random.default_rng(0).normal(size=(9000, 2))  # more than one slice of starts
    first, again = (
        start.draw(in_memory(X), 5, ["random_from_data"] * 9, [np.random.default_rng(0)] * 9)
        for _ in range(2)
    )
    assert first == again
    assert len(np.unique(first.means[:, 0, 0])) == 9


def test_a_centre_without_samples_moves_to_the_farthest_sample():
    X = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [99.0]])
    begin = np.array([[[0.0], [200.0], [300.0]], [[1.0], [1.0], [1.0]]])
    for centres in lloyd(X, begin):
        np.testing.assert_allclose(np.sort(centres.ravel()), [1, 50.5, 99])
    weight = np.array([1, 1, 1, 1, 1, 0.0])  # the farthest sample is not there
    centres = lloyd(X, begin[:1, :2], weight)
    np.testing.assert_allclose(np.sort(centres.ravel()), [1, 50.5])


def test_equal_samples_do_not_share_two_clusters():
    X = np.repeat([[0.1], [0.3], [0.7]], [5, 1, 9], axis=0)
    for seed in range(10):
        mixture = start.kmeans(X, 3, np.random.default_rng(seed)).sorted()
        np.testing.assert_allclose(mixture.weights, [5 / 15, 1 / 15, 9 / 15])


def test_seeds_are_drawn_by_squared_distance():
    X, weight = np.array([0.0, 1.0, 4.0, 4.0])[:, None], np.array([1.0, 2.0, 0.5, 0.0])
    points = _kmeans.Points(in_memory(X, weight))
    seeds = _kmeans.seeds(points, 2, np.random.default_rng(0).spawn(4000))
    first = np.bincount(seeds[:, 0], minlength=4) / 4000
    np.testing.assert_allclose(first, weight / weight.sum(), atol=0.04)
    # From 0, sample 1 has mass 2 · 1² and sample 2 has ½ · 4². Sample 2 is the better seed, so it
    # is kept unless both candidates are sample 1.
    second = seeds[seeds[:, 0] == 0, 1]
    assert (second == 2).mean() == pytest.approx(1 - 0.2**2, abs=0.03)
    assert (seeds != 3).all()


# ---- missing entries ---------------------------------------------------------------------


def test_missing_entries_are_completed_by_the_mean_of_the_feature():
    X = np.array([[1.0, 5.0], [2.0, np.nan], [6.0, 7.0], [np.nan, 0.0]])
    expected = [[1, 5], [2, 4], [6, 7], [3, 0]]
    np.testing.assert_allclose(start.completed(X), expected, rtol=1e-14)
    with pytest.raises(ValueError, match="X contains only NaN in feature 1"):
        start.completed([[1.0, np.nan], [2.0, np.nan]])


# ---- errors ------------------------------------------------------------------------------


@every_kind
def test_every_start_that_is_drawn_checks_its_arguments(draw):
    X, rng = clusters(), np.random.default_rng(0)
    with pytest.raises(ValueError, match="X contains NaN"):
        draw([[0.0, np.nan]], 1, rng)
    for k, error in ((0, ValueError), (61, ValueError), (2.0, TypeError)):
        with pytest.raises(error, match="n_components must be"):
            draw(X, k, rng)
    for wrong in (0, None, np.random.RandomState(0)):
        with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator"):
            draw(X, 2, wrong)
    for structure in ("full", Full([[[1.0]]])):
        with pytest.raises(TypeError, match=r"structure must be a class of gmmlab\.covariance"):
            draw(X, 2, rng, structure=structure)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([[0.0, np.nan]], ValueError, "X contains NaN"),
        ([[0.0, np.inf]], ValueError, "X contains infinity"),
        (np.empty((0, 2)), ValueError, "X must have at least one sample"),
        ([0.0, 1.0], ValueError, "X must have two dimensions"),
        ([["a"], ["b"]], TypeError, "X must be an array of real numbers"),
    ],
)
def test_samples_must_be_a_finite_matrix(X, error, message):
    with pytest.raises(error, match=message):
        start.from_labels(X, [0])
    with pytest.raises(error, match=message):
        start.from_responsibilities(X, [[1.0]])
    with pytest.raises(error, match=message):
        start.from_parameters(X, means=[[0.0]])


@pytest.mark.parametrize(
    ("labels", "k", "error", "message"),
    [
        ([0, 1], None, ValueError, r"labels must have one entry per sample \(3\)"),
        ([0, 2, 2], None, ValueError, "labels must be 0 to 2, each at least once"),
        ([-1, 0, 1], None, ValueError, "labels must be 0 to 1"),
        ([1, 1, 1], None, ValueError, "labels must be 0 to 1"),
        ([-1, -1, -1], None, ValueError, "labels must be 0 to 0"),
        ([[0, 1, 0]], None, ValueError, "labels must be a non-empty 1-D array"),
        ([0.0, 1.0, 1.0], None, TypeError, "labels must be integers"),
        ([0, 1, 1], 1, ValueError, "labels must be 0 to 0"),
        ([0, 1, 1], 3, ValueError, "labels must be 0 to 2"),
        ([0, 2, 2], 2, ValueError, "labels must be 0 to 1"),
        ([0, 1, 1], 0, ValueError, "n_components must be"),
        ([0, 1, 1], 2.0, TypeError, "n_components must be"),
    ],
)
def test_labels_must_be_integers_from_0_that_all_occur(labels, k, error, message):
    with pytest.raises(error, match=message):
        start.from_labels([[0.0], [1.0], [2.0]], labels, n_components=k)


@pytest.mark.parametrize(
    ("responsibilities", "message"),
    [
        ([[0.5, 0.5]], r"responsibilities must have shape .* = \(2, 2\); got \(1, 2\)"),
        ([[0.5, 0.6], [0.5, 0.5]], "responsibilities must be non-negative, and each row must sum"),
        ([[1.5, -0.5], [0.5, 0.5]], "responsibilities must be non-negative"),
        ([[1.0, 0.0], [1.0, 0.0]], "above 0 for some sample .* all 0 for component 1"),
        ([0.5, 0.5], "responsibilities must have two dimensions"),
    ],
)
def test_responsibilities_must_be_distributions_that_reach_every_component(
    responsibilities, message
):
    with pytest.raises(ValueError, match=message):
        start.from_responsibilities([[0.0], [1.0]], responsibilities)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"means": [[0.0]]}, ValueError, "means must have 2 features"),
        ({"means": [0.0, 1.0]}, ValueError, "means must have two dimensions"),
        ({"weights": [0.5, 0.6]}, ValueError, "weights must sum to 1"),
        ({"weights": [1.0]}, ValueError, "weights must have shape"),
        ({"weights": "equal"}, TypeError, "weights must be an array"),
        ({"covariances": [np.eye(2)]}, ValueError, "covariance must have 2 components"),
        ({"covariances": np.eye(2)}, ValueError, "Full values must have shape"),
        ({"structure": "full"}, TypeError, "structure must be a class of gmmlab.covariance"),
    ],
)
def test_given_parameters_must_form_a_mixture(parameters, error, message):
    complete = {"means": [[0.0, 0.0], [1.0, 1.0]]} | parameters
    with pytest.raises(error, match=message):
        start.from_parameters(clusters(), **complete)


def test_starts_that_k_means_draws_again_are_found_up_to_the_order_of_components():
    mixture = start.kmeans(datasets.iris().X, 3, np.random.default_rng(0))
    other = start.random_points(datasets.iris().X, 3, np.random.default_rng(0))
    again = mixture.take([2, 0, 1])
    stack = Mixture.stacked([mixture, other, again, mixture, other.take([1, 0, 2])])
    assert start.distinct(stack).tolist() == [0, 1]
