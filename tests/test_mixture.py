"""Laws of the mixture as a value: densities, sampling, canonical order, other forms."""

import copy
import itertools
import json
import pickle

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from problems import (
    FOUR,
    SHAPES,
    STRUCTURES,
    covering,
    every_shape,
    every_structure,
    nearest,
)
from scipy.special import logsumexp
from scipy.stats import chi2, kstest, multivariate_normal

from gmmlab import Diagonal, Full, Mixture, Spherical, Tied
from gmmlab.covariance import DiagonalCovariance

few = settings(max_examples=40, deadline=None)


def random_mixture(rng, k, d, structure=Full):
    """A mixture with distinct means and well-conditioned covariances."""
    factors = rng.normal(size=(k, d, d))
    matrices = factors @ factors.swapaxes(1, 2) + 0.3 * np.eye(d)
    weights = rng.dirichlet(np.full(k, 3.0))
    return Mixture(weights, 3 * rng.normal(size=(k, d)), nearest(structure, matrices))


@st.composite
def cases(draw, structures=STRUCTURES):
    """Draw a mixture and the generator it came from."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, d = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    return random_mixture(rng, k, d, draw(st.sampled_from(structures))), rng


def same_bits(first, second):
    """Whether two mixtures hold the same bits."""
    return type(first.covariance) is type(second.covariance) and all(
        a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in (
            (first.weights, second.weights),
            (first.means, second.means),
            (first.covariance.values, second.covariance.values),
        )
    )


def reordered(mixture, order):
    """The same density, with the components in another order."""
    order = np.array(order)
    return Mixture(mixture.weights[order], mixture.means[order], mixture.covariance.take(order))


@pytest.fixture
def mixture():
    return Mixture([0.7, 0.3], [[1.0, 1.0], [-1.0, -1.0]], Full([np.eye(2), 2 * np.eye(2)]))


# ---- densities ---------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(cases())
def test_densities_are_those_of_scipy(case):
    """(E1, P2, P3) against (P1) as scipy has it."""
    mixture, rng = case
    X = 5 * rng.normal(size=(20, mixture.n_features))
    parameters = zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    log_joint = np.stack(
        [
            np.log(weight) + multivariate_normal(mean, covariance).logpdf(X)
            for weight, mean, covariance in parameters
        ],
        axis=1,
    )
    log_prob = logsumexp(log_joint, axis=1)
    np.testing.assert_allclose(mixture.log_joint(X), log_joint, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(mixture.log_prob(X), log_prob, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        mixture.responsibilities(X), np.exp(log_joint - log_prob[:, None]), atol=1e-10
    )
    np.testing.assert_array_equal(mixture.predict(X), log_joint.argmax(axis=1))


@few
@given(cases())
def test_responsibilities_are_distributions(case):
    """(E4)."""
    mixture, rng = case
    r = mixture.responsibilities(100 * rng.standard_cauchy(size=(50, mixture.n_features)))
    assert (r >= 0).all()
    np.testing.assert_allclose(r.sum(axis=1), 1, rtol=1e-14)


@covering(structure=FOUR, distance=[1e3, 1e8, 1e150])
def test_far_points_belong_to_the_widest_component(structure, distance):
    values = {
        Full: [np.eye(2), 4 * np.eye(2)],
        Tied: np.eye(2),
        Diagonal: [[1, 1], [4, 4]],
        Spherical: [1, 4],
    }
    mixture = Mixture([0.5, 0.5], [[0, 0], [1, 0]], structure(values[structure]))
    X = distance * np.array([[1, 0.0], [0.6, -0.8], [1e-9, 1]])
    r = mixture.responsibilities(X)
    assert np.isfinite(mixture.log_prob(X)).all()
    np.testing.assert_allclose(r.sum(axis=1), 1, rtol=1e-14)
    if structure is not Tied:
        np.testing.assert_allclose(r[:, 1], 1)


def test_a_point_far_from_every_narrow_component_is_still_shared_by_distance():
    mixture = Mixture([0.5, 0.5], [[0.0], [1.0]], Spherical([1e-6, 1e-6]))
    r = mixture.responsibilities([[0.5], [-9.0]])
    np.testing.assert_allclose(r, [[0.5, 0.5], [1, 0]], atol=1e-9)


@few
@given(cases(), st.floats(0.01, 100), st.integers(0, 2**32 - 1))
def test_shifting_and_scaling_everything_changes_densities_by_the_volume(case, scale, seed):
    """(W3)."""
    mixture, rng = case
    shift = 10 * np.random.default_rng(seed).normal(size=mixture.n_features)
    values = type(mixture.covariance)(scale**2 * mixture.covariance.values)
    moved = Mixture(mixture.weights, scale * mixture.means + shift, values)
    X = rng.normal(size=(10, mixture.n_features))
    expected = mixture.log_prob(X) - mixture.n_features * np.log(scale)
    np.testing.assert_allclose(moved.log_prob(scale * X + shift), expected, atol=1e-8)


@few
@given(cases(structures=(Full, Tied)))
def test_linear_maps_change_densities_by_their_determinant(case):
    mixture, rng = case
    d = mixture.n_features
    linear = np.linalg.qr(rng.normal(size=(d, d)))[0] * rng.uniform(0.5, 2, size=d)
    values = type(mixture.covariance)(linear @ mixture.covariance.values @ linear.T)
    mapped = Mixture(mixture.weights, mixture.means @ linear.T, values)
    X = rng.normal(size=(10, d))
    expected = mixture.log_prob(X) - np.linalg.slogdet(linear)[1]
    np.testing.assert_allclose(mapped.log_prob(X @ linear.T), expected, atol=1e-9)


@few
@given(cases(), st.randoms(use_true_random=False))
def test_permuting_components_permutes_responsibilities(case, random):
    mixture, rng = case
    k = mixture.n_components
    order = random.sample(range(k), k)
    X = 3 * rng.normal(size=(10, mixture.n_features))
    permuted = reordered(mixture, order)
    np.testing.assert_allclose(permuted.log_prob(X), mixture.log_prob(X), rtol=1e-12)
    np.testing.assert_allclose(
        permuted.responsibilities(X), mixture.responsibilities(X)[:, order], atol=1e-13
    )


@every_shape
def test_samples_in_many_blocks_are_treated_one_by_one(structure):
    rng = np.random.default_rng(0)
    mixture = random_mixture(rng, 3, 2, structure)
    X = 3 * rng.normal(size=(20_001, 2))  # more than two blocks
    some = [0, 1, 8191, 8192, 16_383, 16_384, 20_000]
    one_by_one = np.concatenate([mixture.log_joint(X[[i]]) for i in some])
    np.testing.assert_allclose(mixture.log_joint(X)[some], one_by_one, rtol=1e-12)


@every_structure
def test_a_density_integrates_to_one(structure):
    mixture = random_mixture(np.random.default_rng(1), 2, 2, structure)
    line = np.linspace(-30, 30, 601)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    total = np.exp(mixture.log_prob(grid)).sum() * (line[1] - line[0]) ** 2
    np.testing.assert_allclose(total, 1, rtol=1e-9)


# ---- very far away -----------------------------------------------------------------------------


def widening(structure, k=3, d=2):
    """Components at 0, each twice as wide as the one before, where volumes may differ."""
    widths = 4.0 ** np.arange(k)
    matrices = widths[:, None, None] * np.eye(d)
    return Mixture(np.full(k, 1 / k), np.zeros((k, d)), nearest(structure, matrices))


@covering(structure=STRUCTURES, distance=[1e140, 1e160, 1e200, 1e300, 1.7e308])
def test_points_whose_squares_overflow_still_belong_to_the_widest_component(structure, distance):
    """And without a warning, which would be an error here."""
    mixture = widening(structure)
    X = distance * np.array([[1, 0], [-0.6, 0.8], [1, -1], [0, 1e-3], [1, 1]])
    r, log_prob = mixture.responsibilities(X), mixture.log_prob(X)
    assert np.isfinite(log_prob).all()
    np.testing.assert_allclose(r.sum(axis=1), 1, rtol=1e-14)
    if structure.model[0] == "V":
        np.testing.assert_allclose(r, np.tile([0.0, 0.0, 1.0], (5, 1)), atol=1e-14)
    elif not structure.curved:  # there, rounding of equal volumes is large so far away
        np.testing.assert_allclose(r, 1 / 3, atol=1e-14)


@every_shape
def test_log_densities_fall_with_distance_also_beyond_the_largest_square(structure):
    mixture = widening(structure)
    distances = 10.0 ** np.arange(100, 308, 4)
    for direction in ([1, 0], [0.6, -0.8], [1, 1]):
        log_prob = mixture.log_prob(distances[:, None] * direction)
        assert (np.diff(log_prob) < 0).all()


@every_shape
def test_a_far_point_leaves_the_others_as_they_are(structure):
    mixture = random_mixture(np.random.default_rng(0), 3, 2, structure)
    X = np.random.default_rng(1).normal(size=(20, 2))
    both = mixture.log_joint(np.concatenate([X, [[1e300, -1e300]]]))
    np.testing.assert_allclose(both[:-1], mixture.log_joint(X), rtol=1e-12)


def test_the_nearest_of_two_narrow_components_has_a_point_far_from_both():
    mixture = Mixture([0.5, 0.5], [[0.0], [1e200]], Spherical([1e-100, 1e-100]))
    np.testing.assert_array_equal(mixture.predict([[1e199], [0.9e200], [-1e200]]), [0, 1, 0])


# ---- parts of the features ---------------------------------------------------------------------


@st.composite
def parts(draw):
    """Draw a mixture, some of its features in any order, and samples."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, d = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    mixture = random_mixture(rng, k, d, draw(st.sampled_from(STRUCTURES)))
    some = rng.permutation(d)[: draw(st.integers(1, d - 1))]
    return mixture, some, mixture.sample(8, rng)[0]


@few
@given(parts())
def test_a_marginal_has_the_densities_of_scipy(case):
    """Bishop (2006), equation 2.98."""
    mixture, some, X = case
    marginal = mixture.marginal(some)
    assert marginal.weights.tolist() == mixture.weights.tolist()
    log_joint = [
        np.log(weight)
        + multivariate_normal(mean[some], sigma[np.ix_(some, some)]).logpdf(X[:, some])
        for weight, mean, sigma in zip(
            mixture.weights, mixture.means, mixture.covariances, strict=True
        )
    ]
    expected = logsumexp(log_joint, axis=0)
    np.testing.assert_allclose(marginal.log_prob(X[:, some]), expected, rtol=1e-9, atol=1e-9)


@few
@given(parts())
def test_a_joint_density_is_the_marginal_times_the_conditional(case):
    """p(a, b) = p(b) p(a | b), for every structure."""
    mixture, known, X = case
    rest = np.setdiff1d(np.arange(mixture.n_features), known)
    marginal = mixture.marginal(known)
    for x in X:
        conditional = mixture.conditional(known, x[known])
        assert type(conditional.covariance) is type(mixture.marginal(rest).covariance)
        product = marginal.log_prob(x[None, known]) + conditional.log_prob(x[None, rest])
        np.testing.assert_allclose(product, mixture.log_prob(x[None]), rtol=1e-8, atol=1e-8)


@few
@given(parts())
def test_conditional_weights_are_the_responsibilities_of_what_is_known(case):
    mixture, known, X = case
    conditional = mixture.conditional(known, X[0, known])
    expected = mixture.marginal(known).responsibilities(X[:1, known])[0]
    np.testing.assert_allclose(conditional.weights, expected, rtol=1e-12, atol=1e-300)


@every_structure
def test_regression_by_a_mixture_is_the_integral_of_its_density(structure):
    """E[y | x] = ∫ y p(x, y) dy / ∫ p(x, y) dy, on a grid that is exact for Gaussians."""
    mixture = random_mixture(np.random.default_rng(5), 3, 2, structure)
    line = np.linspace(-40, 40, 8001)
    for x in (-4.0, -1.0, 0.3, 2.5):
        density = np.exp(mixture.log_prob(np.column_stack([np.full_like(line, x), line])))
        conditional = mixture.conditional([0], [x])
        mean = conditional.weights @ conditional.means[:, 0]
        square = conditional.weights @ (
            conditional.means[:, 0] ** 2 + conditional.covariances[:, 0, 0]
        )
        np.testing.assert_allclose(mean, (line * density).sum() / density.sum(), rtol=1e-9)
        np.testing.assert_allclose(square, (line**2 * density).sum() / density.sum(), rtol=1e-9)


@few
@given(parts())
def test_conditioning_in_two_steps_is_conditioning_at_once(case):
    mixture, _, X = case
    if mixture.n_features < 3:
        return
    at_once = mixture.conditional([0, 1], X[0, :2])
    in_steps = mixture.conditional([0], X[0, :1]).conditional([0], X[0, 1:2])
    np.testing.assert_allclose(in_steps.weights, at_once.weights, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(in_steps.means, at_once.means, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(in_steps.covariances, at_once.covariances, rtol=1e-8, atol=1e-8)


@every_structure
def test_a_marginal_of_all_features_reorders_them(structure):
    mixture = random_mixture(np.random.default_rng(0), 3, 3, structure)
    assert mixture.marginal([0, 1, 2]) == mixture
    turned = mixture.marginal([2, 0, 1])
    np.testing.assert_array_equal(turned.means, mixture.means[:, [2, 0, 1]])
    assert turned.marginal([1, 2, 0]) == mixture


@covering(structure=FOUR, value=[1e3, 1e160, 1e300])
def test_a_condition_far_from_every_component_leaves_a_proper_mixture(structure, value):
    conditional = widening(structure).conditional([1], [value])
    assert (conditional.weights > 0).all()
    assert conditional.weights.sum() == pytest.approx(1, rel=1e-14)
    if structure is not Tied:
        assert conditional.weights[2] == pytest.approx(1)


def test_the_log_normaliser_is_the_log_joint_at_the_means():
    for structure in STRUCTURES:
        mixture = random_mixture(np.random.default_rng(0), 3, 2, structure)
        at_means = np.diagonal(mixture.log_joint(mixture.means))
        np.testing.assert_allclose(mixture.log_normaliser, at_means, rtol=1e-12)


@few
@given(cases())
def test_the_expected_log_joint_needs_only_counts_and_moments(case):
    """(G1, M5): Bishop (2006), equation 9.40."""
    mixture, rng = case
    X = rng.normal(size=(9, mixture.n_features))
    r = rng.dirichlet(np.ones(mixture.n_components), size=9)
    residuals = X[:, None] - mixture.means
    second = np.einsum("nk,nki,nkj->kij", r, residuals, residuals)
    if isinstance(mixture.covariance, DiagonalCovariance):
        second = np.diagonal(second, axis1=1, axis2=2)
    direct = (r * mixture.log_joint(X)).sum()
    found = mixture.expected_log_joint(r.sum(axis=0), second)
    assert found == pytest.approx(direct, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("features", "error"),
    [
        ([], ValueError),
        ([2], ValueError),
        ([-1], ValueError),
        ([0, 0], ValueError),
        ([[0]], ValueError),
        (0, ValueError),
        ([0.0], TypeError),
        ([True, False], TypeError),
        ("0", ValueError),
    ],
)
def test_features_are_different_feature_numbers(mixture, features, error):
    with pytest.raises(error, match="features must"):
        mixture.marginal(features)
    with pytest.raises(error, match="features must"):
        mixture.conditional(features, [0.0])


@pytest.mark.parametrize(
    ("features", "values", "error", "message"),
    [
        ([0, 1], [0.0, 0.0], ValueError, "features must leave at least one feature"),
        ([0], [0.0, 1.0], ValueError, r"values must have shape \(1,\)"),
        ([0], 0.0, ValueError, r"values must have shape \(1,\)"),
        ([0], [np.nan], ValueError, "values contains NaN"),
        ([0], [np.inf], ValueError, "values contains infinity"),
        ([0], ["a"], TypeError, "values must be an array of real numbers"),
    ],
)
def test_a_condition_has_a_value_for_each_of_some_features(
    mixture, features, values, error, message
):
    with pytest.raises(error, match=message):
        mixture.conditional(features, values)


# ---- sampling ----------------------------------------------------------------------------


@every_shape
def test_samples_have_the_moments_of_the_component_they_are_labelled_with(structure):
    mixture = random_mixture(np.random.default_rng(2), 3, 2, structure)
    n = 20_000
    X, labels = mixture.sample(n, np.random.default_rng(3))
    assert X.shape == (n, 2)
    assert labels.dtype.kind == "i"
    for k, (weight, mean, covariance) in enumerate(
        zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    ):
        mine = X[labels == k]
        # five standard errors each; of unit normals: mean 1/√m, variance √(2/m)
        assert abs(len(mine) - n * weight) < 5 * np.sqrt(n * weight * (1 - weight))
        unit = np.linalg.solve(np.linalg.cholesky(covariance), (mine - mean).T)
        assert np.abs(unit.mean(axis=1)).max() < 5 / np.sqrt(len(mine))
        assert np.abs(np.cov(unit) - np.eye(2)).max() < 5 * np.sqrt(2 / len(mine))
        assert kstest((unit**2).sum(axis=0), chi2(2).cdf).pvalue > 1e-4


def test_samples_come_in_random_order_of_components(mixture):
    _, labels = mixture.sample(1000, np.random.default_rng(0))
    changes = np.count_nonzero(labels[::2] != labels[1::2])  # 500 independent pairs
    chance = 2 * 0.7 * 0.3
    assert abs(changes - 500 * chance) < 5 * np.sqrt(500 * chance * (1 - chance))


def test_sampling_repeats_with_the_seed_and_only_with_it(mixture):
    first, again, other = (mixture.sample(9, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).all()


# ---- counting ----------------------------------------------------------------------------


@every_shape
def test_parameters_of_the_free_blocks_add_up(structure):
    """(K3)."""
    k, d = 3, 4
    mixture = random_mixture(np.random.default_rng(0), k, d, structure)
    blocks = {"weights": 2, "means": 12, "covariances": structure.n_parameters(k, d)}
    for size in range(4):
        for free in itertools.combinations(blocks, size):
            assert mixture.n_parameters(free) == sum(blocks[block] for block in free)
            assert mixture.n_parameters(set(free)) == mixture.n_parameters([*free, *free])
    assert mixture.n_parameters() == sum(blocks.values())


# ---- order of components -----------------------------------------------------------------


@few
@given(cases(), st.randoms(use_true_random=False))
def test_taking_an_order_and_its_inverse_gives_the_same_bits(case, random):
    mixture, _ = case
    order = np.array(random.sample(range(mixture.n_components), mixture.n_components))
    taken = mixture.take(order)
    assert taken == reordered(mixture, order)
    assert same_bits(taken.take(np.argsort(order)), mixture)


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ([0], ValueError),
        ([0, 0], ValueError),
        ([-1, 0], ValueError),
        ([[0, 1]], ValueError),
        ([0.0, 1.0], TypeError),
        ("01", ValueError),
    ],
)
def test_an_order_holds_each_component_once(mixture, order, error):
    with pytest.raises(error, match="order must"):
        mixture.take(order)


@few
@given(cases())
def test_sorted_is_the_same_for_every_order_of_components(case):
    mixture, _ = case
    forms = [
        reordered(mixture, order).sorted()
        for order in itertools.permutations(range(mixture.n_components))
    ]
    assert all(form == forms[0] for form in forms)
    assert forms[0].sorted() == forms[0]
    rows = forms[0].means.tolist()
    assert rows == sorted(rows)


@few
@given(cases())
def test_sorted_is_the_same_density(case):
    mixture, rng = case
    X = 3 * rng.normal(size=(10, mixture.n_features))
    np.testing.assert_allclose(mixture.sorted().log_prob(X), mixture.log_prob(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("weights", "means", "variances"),
    [
        ([0.5, 0.5], [[0.0, 2.0], [0.0, 1.0]], [1.0, 2.0]),  # the second feature decides
        ([0.6, 0.4], [[0.0, 1.0], [0.0, 1.0]], [1.0, 2.0]),  # the weight does
        ([0.5, 0.5], [[0.0, 1.0], [0.0, 1.0]], [2.0, 1.0]),  # the covariance does
    ],
)
def test_sorted_breaks_ties(weights, means, variances):
    mixture = Mixture(weights, means, Spherical(variances))
    swapped = reordered(mixture, [1, 0])
    assert swapped != mixture
    assert swapped.sorted() == mixture.sorted()


# ---- other forms -------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(1e-150, 1e150)


@st.composite
def mixtures_of_any_floats(draw):
    """Draw a mixture of two components in the plane with arbitrary numbers."""
    share = draw(st.floats(5e-324, 1 - 2**-53))
    means = draw(st.lists(st.tuples(finite, finite), min_size=2, max_size=2))
    variances = np.array(draw(st.lists(st.tuples(positive, positive), min_size=2, max_size=2)))
    correlation = draw(st.floats(-0.9, 0.9))
    matrices = variances[:, :, None] * np.eye(2)
    matrices[:, 0, 1] = matrices[:, 1, 0] = correlation * np.sqrt(variances).prod(axis=1)
    covariance = draw(
        st.sampled_from(
            [Full(matrices), Tied(matrices[0]), Diagonal(variances), Spherical(variances[:, 0])]
        )
    )
    return Mixture([share, 1 - share], means, covariance)


@settings(max_examples=200, deadline=None)
@given(mixtures_of_any_floats())
@example(Mixture([1 / 3, 2 / 3], [[-0.0, 5e-324], [0.1 + 0.2, 1e308]], Spherical([1 / 3, 1e-300])))
def test_json_keeps_every_bit(mixture):
    text = mixture.to_json()
    assert same_bits(Mixture.from_json(text), mixture)
    assert json.loads(text)["covariance_type"] == mixture.covariance.name


def test_json_names_the_blocks(mixture):
    assert json.loads(mixture.to_json()) == {
        "weights": [0.7, 0.3],
        "means": [[1, 1], [-1, -1]],
        "covariance_type": "full",
        "covariances": [[[1, 0], [0, 1]], [[2, 0], [0, 2]]],
    }


@covering(
    structure=SHAPES, duplicate=[copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_hold_the_same_bits_read_only(structure, duplicate):
    random = random_mixture(np.random.default_rng(0), 3, 2, structure)
    weights = [0.5, 0.3, 0.2 + 1e-9]  # they need not be rescaled to be taken, nor to be copied
    mixture = Mixture(weights, random.means, random.covariance)
    again = duplicate(mixture)
    assert same_bits(again, mixture)
    arrays = again.weights, again.means, again.covariance.values
    assert not any(array.flags.writeable for array in arrays)


# ---- values ------------------------------------------------------------------------------


def test_arrays_are_read_only_and_not_the_callers():
    weights, means = np.array([0.7, 0.3]), np.zeros((2, 1))
    mixture = Mixture(weights, means, Spherical([1.0, 2.0]))
    weights[:], means[:] = 0.5, 7
    np.testing.assert_array_equal(mixture.weights, [0.7, 0.3])
    np.testing.assert_array_equal(mixture.means, [[0], [0]])
    for array in (mixture.weights, mixture.means):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7
    with pytest.raises(AttributeError):
        mixture.means = means


@every_shape
def test_covariances_written_out_are_the_callers_to_change(structure):
    mixture = random_mixture(np.random.default_rng(0), 3, 2, structure)
    written = mixture.covariances
    assert written.shape == (3, 2, 2)
    np.testing.assert_array_equal(written, mixture.covariance.dense(3, 2))
    before = written.copy()
    written[:] = 7
    np.testing.assert_array_equal(mixture.covariances, before)


def test_equality_is_of_all_three_blocks(mixture):
    again = Mixture(mixture.weights, mixture.means, mixture.covariance)
    assert again == mixture
    assert hash(again) == hash(mixture)
    assert mixture != Mixture([0.3, 0.7], mixture.means, mixture.covariance)
    assert mixture != Mixture(mixture.weights, mixture.means + 1, mixture.covariance)
    assert mixture != Mixture(mixture.weights, mixture.means, Full([np.eye(2), np.eye(2)]))
    assert mixture != "mixture"


def test_signed_zeros_are_equal_and_hash_alike():
    plus, minus = (Mixture([1.0], [[zero]], Spherical([1.0])) for zero in (0.0, -0.0))
    assert plus == minus
    assert hash(plus) == hash(minus)


def test_integers_become_floats():
    mixture = Mixture([1], [[1, 2]], Spherical([3]))
    arrays = mixture.weights, mixture.means, mixture.covariance.values
    assert {array.dtype for array in arrays} == {np.dtype(float)}
    assert (mixture.n_components, mixture.n_features) == (1, 2)


# ---- stacks ------------------------------------------------------------------------------


def stack_of(structure, count=4, k=3, d=2):
    """Return mixtures of one structure, and the stack of them."""
    rng = np.random.default_rng(0)
    mixtures = [random_mixture(rng, k, d, structure) for _ in range(count)]
    return mixtures, Mixture.stacked(mixtures)


@every_structure
def test_a_stack_holds_its_members_bit_for_bit(structure):
    mixtures, stack = stack_of(structure)
    assert (stack.n_components, stack.n_features) == (3, 2)
    assert stack.n_parameters() == mixtures[0].n_parameters()
    for number, mixture in enumerate(mixtures):
        assert same_bits(stack.select(number), mixture)
    for fits in (slice(1, 3), np.array([2, 0]), np.array([False, True, False, True])):
        chosen = stack.select(fits)
        for position, number in enumerate(np.arange(4)[fits]):
            assert same_bits(chosen.select(position), mixtures[number])
    parts = [stack.select(slice(0, 1)), stack.select(slice(1, 4))]
    assert same_bits(Mixture.concatenated(parts), stack)
    assert same_bits(pickle.loads(pickle.dumps(stack)), stack)
    assert not stack.means.flags.writeable


@every_structure
def test_members_of_a_stack_are_replaced_by_those_of_another(structure):
    _, stack = stack_of(structure)
    other = stack.select(np.arange(4)[::-1])
    mine = np.array([True, False, False, True])
    theirs = np.flatnonzero(~mine)
    found = stack.replaced(theirs, other.select(theirs))
    for number, kept in enumerate(mine):
        assert same_bits(found.select(number), (stack if kept else other).select(number))


@every_structure
def test_densities_of_a_stack_are_those_of_its_members(structure):
    mixtures, stack = stack_of(structure)
    rng = np.random.default_rng(1)
    shared, own = rng.normal(size=(7, 2)), rng.normal(size=(4, 7, 2))
    counts, about = rng.uniform(1, 9, size=(4, 3)), rng.normal(size=(4, 3, 2))
    normaliser, covariances = stack.log_normaliser, stack.covariances
    moments = stack.covariance.moments.scatter(rng.normal(size=(4, 3, 2, 9)), np.ones((4, 3, 9)))
    expected = stack.expected_log_joint(counts, moments)
    for number, mixture in enumerate(mixtures):
        np.testing.assert_allclose(normaliser[number], mixture.log_normaliser, rtol=1e-12)
        np.testing.assert_allclose(covariances[number], mixture.covariances, rtol=1e-14)
        wanted = mixture.expected_log_joint(counts[number], moments[number])
        np.testing.assert_allclose(expected[number], wanted, rtol=1e-11)
        for X in (shared, own):
            mine = X if X.ndim == 2 else X[number]
            for centres in (None, about):
                whitened = stack.whiten(X, centres)[number]
                wanted = mixture.whiten(mine, None if centres is None else centres[number])
                np.testing.assert_allclose(whitened, wanted, rtol=1e-11, atol=1e-11)
            log_joint = stack.log_joint_whitened(stack.whiten(X))[number]
            np.testing.assert_allclose(log_joint.T, mixture.log_joint(mine), rtol=1e-11)


@every_structure
def test_a_singular_member_has_a_density_of_nan_and_harms_no_other(structure):
    mixtures, stack = stack_of(structure)
    bad = structure.unchecked(np.zeros(mixtures[2].covariance.values.shape))
    broken = [*mixtures]
    broken[2] = Mixture.unchecked(mixtures[2].weights, mixtures[2].means, bad)
    with np.errstate(all="ignore"):
        found = Mixture.stacked(broken)
        normaliser = found.log_normaliser
        log_joint = found.log_joint_whitened(found.whiten(np.ones((5, 2))))
    assert not np.isfinite(normaliser[2]).any()
    good = [0, 1, 3]
    np.testing.assert_array_equal(normaliser[good], stack.log_normaliser[good])
    wanted = stack.log_joint_whitened(stack.whiten(np.ones((5, 2))))
    np.testing.assert_allclose(log_joint[good], wanted[good], rtol=1e-13)


# ---- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([0.5, 0.6], ValueError, "weights must sum to 1"),
        ([0.5, 0.5 + 1e-7], ValueError, "weights must sum to 1"),
        ([1.0, 0.0], ValueError, "weights must be strictly positive"),
        ([1.5, -0.5], ValueError, "weights must be strictly positive"),
        ([1.0], ValueError, r"weights must have shape \(2,\)"),
        ([[0.5], [0.5]], ValueError, r"weights must have shape \(2,\)"),
        ([0.5, np.nan], ValueError, "weights contains NaN"),
        (["a", "b"], TypeError, "weights must be an array of real numbers"),
        (None, TypeError, "weights must be an array of real numbers"),
    ],
)
def test_weights_that_are_no_distribution_are_refused(weights, error, message):
    with pytest.raises(error, match=message):
        Mixture(weights, [[0.0], [1.0]], Spherical([1.0, 1.0]))


@pytest.mark.parametrize(
    ("means", "error", "message"),
    [
        ([0.0, 1.0], ValueError, "means must have two dimensions"),
        (np.empty((0, 1)), ValueError, "means must have at least one"),
        ([[0.0], [np.nan]], ValueError, "means contains NaN"),
        ([["a"], ["b"]], TypeError, "means must be an array of real numbers"),
        ([[0.0], [1.0, 2.0]], ValueError, "means must be an array of numbers"),
    ],
)
def test_means_that_are_no_finite_table_are_refused(means, error, message):
    with pytest.raises(error, match=message):
        Mixture([0.5, 0.5], means, Spherical([1.0, 1.0]))


@every_shape
def test_a_covariance_of_another_size_is_refused(structure):
    covariance = structure.unit(3, 1)
    if not structure.shape:
        return  # one number goes with every size
    with pytest.raises(ValueError, match="covariance must have 2 components and 2 features"):
        Mixture([0.5, 0.5], np.zeros((2, 2)), covariance)


def test_a_covariance_without_structure_is_refused():
    with pytest.raises(TypeError, match="covariance must be a covariance structure"):
        Mixture([1.0], [[0.0, 0.0]], np.eye(2)[None])


BAD_SAMPLES = [
    ([[0.0, np.nan]], ValueError, "X contains NaN"),
    ([[0.0, np.inf]], ValueError, "X contains infinity"),
    (np.empty((0, 2)), ValueError, "X must have at least one sample"),
    ([0.0, 1.0], ValueError, "X must have two dimensions"),
    ([[0.0]], ValueError, "X must have 2 features; got 1"),
    ([["a", "b"]], TypeError, "X must be an array of real numbers"),
    ([[0.0], [0.0, 1.0]], ValueError, "X must be an array of numbers"),
    (None, TypeError, "X must be an array of real numbers"),
]


@few
@given(cases())
def test_classification_uncertainty_is_the_probability_of_the_other_components(case):
    mixture, rng = case
    X = mixture.means[0] + 3 * rng.standard_normal((20, mixture.n_features))
    found = mixture.classification_uncertainty(X)
    np.testing.assert_allclose(found, 1 - mixture.responsibilities(X).max(axis=1), atol=1e-14)
    assert (found >= 0).all()
    assert (found <= 1 - 1 / mixture.n_components + 1e-14).all()


def test_classification_uncertainty_keeps_its_digits_where_it_is_small():
    """Odds of e⁻⁸⁰ are e⁻⁸⁰, not 0, which 1 − max r would be."""
    mixture = Mixture([0.5, 0.5], [[0.0], [10.0]], Spherical([1.0, 1.0]))
    found = mixture.classification_uncertainty([[-3.0], [5.0]])
    np.testing.assert_allclose(found, [np.exp(-80.0), 0.5], rtol=1e-12)


@pytest.mark.parametrize(("X", "error", "message"), BAD_SAMPLES)
def test_samples_that_do_not_fit_are_refused(mixture, X, error, message):
    for method in (
        *(mixture.log_joint, mixture.log_prob, mixture.responsibilities),
        *(mixture.predict, mixture.classification_uncertainty),
    ):
        with pytest.raises(error, match=message):
            method(X)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_sampling_takes_a_positive_count(mixture, n, error):
    with pytest.raises(error, match="n must be"):
        mixture.sample(n, np.random.default_rng(0))


@pytest.mark.parametrize("rng", [0, np.random.RandomState(0)])
def test_sampling_takes_a_generator(mixture, rng):
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator"):
        mixture.sample(3, rng)


@pytest.mark.parametrize(
    ("free", "error"), [("means", TypeError), (3, TypeError), (["mean"], ValueError)]
)
def test_free_holds_block_names(mixture, free, error):
    with pytest.raises(error, match="free"):
        mixture.n_parameters(free)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [0.5, 0.6]}, "weights must sum to 1"),
        ({"means": [[0, 0]]}, "weights must have shape"),
        ({"covariances": [1, 2]}, "Full values"),
        ({"covariance_type": "round"}, "covariance_type must be one of .*full.*tied"),
        ({"covariance_type": ["full"]}, "covariance_type must be one of"),
        ({"weights": [0.7, float("nan")]}, "weights contains NaN"),
        ({"extra": 1}, "text must be a JSON object with the fields"),
    ],
)
def test_json_of_no_mixture_is_refused(mixture, change, message):
    fields = json.loads(mixture.to_json()) | change
    with pytest.raises(ValueError, match=message):
        Mixture.from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"weights": [1.0]}'])
def test_text_that_is_not_the_json_of_a_mixture_is_refused(text):
    with pytest.raises(ValueError, match="text must be"):
        Mixture.from_json(text)


def test_json_with_a_missing_field_is_refused(mixture):
    fields = json.loads(mixture.to_json())
    for name in fields:
        text = json.dumps({key: value for key, value in fields.items() if key != name})
        with pytest.raises(ValueError, match=name):
            Mixture.from_json(text)


@few
@given(cases(), st.data())
def test_refused_weights_are_never_repaired(case, data):
    mixture, _ = case
    factor = data.draw(st.floats(0.1, 10).filter(lambda f: abs(f - 1) > 1e-6))
    assume(mixture.n_components > 1)
    with pytest.raises(ValueError, match="weights must sum to 1"):
        Mixture(factor * mixture.weights, mixture.means, mixture.covariance)
