"""Two forms of one pass over the data: the same sums, and where only one of them is exact."""

from fractions import Fraction
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    SHAPES,
    STRUCTURES,
    covering,
    every_one_of_four,
    every_shape,
    matrix_or_diagonal,
    nearest,
)
from scipy.stats import multivariate_normal

from gmmlab import Diagonal, Full, Mixture, Spherical, Tied, datasets, e_step, fit
from gmmlab._numerics import normalise
from gmmlab.covariance import MatrixCovariance
from gmmlab.em import sufficient_statistics
from gmmlab.engine.exponential_family import (
    ExponentialFamilyForm,
    exponential_family_form,
    natural_parameters,
    products_of,
)
from gmmlab.engine.passes import Pass
from gmmlab.engine.samples import Samples
from gmmlab.engine.statistics import ResidualForm, SufficientStatistics

# What the guard promises of log-densities, for each feature; half of it moves a density.
BOUND = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-3}


def products_are_exact(samples, mixture):
    return bool(exponential_family_form(samples, mixture)[1])


def random_mixture(rng, k, d, structure, width=1.0):
    """A mixture whose components lie among standard normal data, `width` wide."""
    factors = rng.normal(size=(k, d, d))
    matrices = width**2 * (factors @ factors.swapaxes(1, 2) / d + 0.2 * np.eye(d))
    weights = rng.dirichlet(np.full(k, 3.0))
    return Mixture(weights, rng.normal(size=(k, d)), nearest(structure, matrices))


@st.composite
def cases(draw):
    """Draw samples, weighted or not, anywhere, and a mixture among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, d, n = draw(st.integers(1, 4)), draw(st.integers(1, 8)), draw(st.integers(1, 400))
    width = 10.0 ** draw(st.floats(-2.5, 0.5))
    mixture = random_mixture(rng, k, d, draw(st.sampled_from(STRUCTURES)), width)
    shift = draw(st.sampled_from([0.0, 1e3])) * rng.normal(size=d)
    mixture = Mixture(mixture.weights, mixture.means + shift, mixture.covariance)
    weight = rng.exponential(size=n) if draw(st.booleans()) else None
    return Samples(rng.normal(size=(n, d)) + shift, weight), mixture


def in_moment_shape(structure, matrices):
    """MatrixCovariance (…, d, d) in the shape in which the structure takes moments."""
    dense = issubclass(structure, MatrixCovariance)
    return matrices if dense else np.diagonal(matrices, axis1=-2, axis2=-1)


def shifted(found, about, structure):
    """The second sums about other points, (k, …), by the shift law of `moments`."""
    moments = found.moments(structure, about)
    return found.counts.reshape(-1, *[1] * (moments.ndim - 1)) * moments


def double_loop(samples, mixture):
    """Every sum as it is defined, sample by sample and component by component."""
    n, k, d = samples.n_samples, mixture.n_components, mixture.n_features
    weight = np.ones(n) if samples.weight is None else samples.weight
    counts, first, second = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    log_likelihood = expected = 0.0
    densities = [
        multivariate_normal(mean, covariance)
        for mean, covariance in zip(mixture.means, mixture.covariances, strict=True)
    ]
    for x, w in zip(samples.X.astype(float), weight, strict=True):
        logs = np.log(mixture.weights) + [density.logpdf(x) for density in densities]
        log_prob = np.logaddexp.reduce(logs)
        log_likelihood += w * log_prob
        for j in range(k):
            r = w * np.exp(logs[j] - log_prob)
            z = x - mixture.means[j]
            counts[j] += r
            first[j] += r * z
            second[j] += r * np.outer(z, z)
            expected += r * logs[j]
    second = in_moment_shape(type(mixture.covariance), second)
    return counts, first, second, log_likelihood, expected


def assert_sums(found, wanted, mixture, samples, rtol):
    """Compare with sums about the means, errors against the size of what is summed."""
    counts, first, second, log_likelihood, expected = wanted
    structure = type(mixture.covariance)
    extent = np.maximum(samples.extent, np.abs(mixture.means - samples.centre)).max()
    size = rtol * samples.total
    np.testing.assert_allclose(found.counts, counts, rtol=rtol, atol=size)
    moved = found.first + found.counts[:, None] * (found.about - mixture.means)
    np.testing.assert_allclose(moved, first, rtol=rtol, atol=size * extent)
    np.testing.assert_allclose(
        shifted(found, mixture.means, structure),
        second,
        rtol=rtol,
        atol=size * extent**2,
    )
    terms = abs(log_likelihood) + abs(expected) + samples.total * mixture.n_features
    assert found.log_likelihood == pytest.approx(log_likelihood, abs=rtol * terms)
    if not np.isnan(found.expected_log_joint):
        assert found.expected_log_joint == pytest.approx(expected, abs=rtol * terms)


# ---- the same sums ---------------------------------------------------------------------------


@given(cases())
def test_both_forms_give_the_same_sums_wherever_the_guard_allows(case):
    """The bound on log-densities, for each feature, bounds relative errors of r, twice."""
    samples, mixture = case
    if not products_are_exact(samples, mixture):
        return
    one = samples.fold(ExponentialFamilyForm(mixture, samples.centre))
    other = samples.fold(ResidualForm(mixture))
    wanted = (
        other.counts,
        other.first,
        other.second,
        other.log_likelihood,
        other.expected_log_joint,
    )
    rtol = 2 * BOUND[samples.dtype] * samples.n_features
    assert_sums(one, wanted, mixture, samples, rtol)


@given(cases())
def test_the_guard_lets_log_densities_be_off_by_no_more_than_its_bound(case):
    samples, mixture = case
    if not products_are_exact(samples, mixture):
        return
    z = (samples.X - samples.centre).T
    pairs = products_of(type(mixture.covariance)).of(z)
    products = np.concatenate([np.ones((1, z.shape[1])), z, pairs])
    log_joint = natural_parameters(mixture, samples.centre) @ products
    error = np.abs(log_joint.T - mixture.log_joint(samples.X))
    assert error.max() <= BOUND[samples.dtype] * samples.n_features


@every_shape
@covering(weighted=[False, True, False, True], size=[(1, 1, 1), (1, 3, 7), (3, 1, 40), (4, 8, 30)])
def test_both_forms_are_the_sums_of_a_double_loop(structure, weighted, size):
    """(E1 to E3) as `em` states them."""
    k, d, n = size
    rng = np.random.default_rng([k, d, n])
    weight = rng.exponential(size=n) if weighted else None
    samples = Samples(rng.normal(size=(n, d)), weight)
    mixture = random_mixture(rng, k, d, structure)
    wanted = double_loop(samples, mixture)
    for form in (ExponentialFamilyForm(mixture, samples.centre), ResidualForm(mixture)):
        assert_sums(samples.fold(form), wanted, mixture, samples, 1e-11)


@given(cases())
def test_natural_parameters_times_products_are_the_log_joint(case):
    """(W6; Bishop 2006, section 2.4): θ φ(z), up to the rounding of the terms it is made of."""
    samples, mixture = case
    z = (samples.X - samples.centre).T
    pairs = products_of(type(mixture.covariance)).of(z)
    products = np.concatenate([np.ones((1, z.shape[1])), z, pairs])
    natural = natural_parameters(mixture, samples.centre)
    terms = np.abs(natural) @ np.abs(products) + np.abs(mixture.log_joint(samples.X)).T
    error = np.abs(natural @ products - mixture.log_joint(samples.X).T)
    # Precisions of a random Σ have a relative error of cond(Σ) ε, and cond(Σ) is below 1e4 here.
    assert (error <= 1e4 * np.finfo(float).eps * samples.n_features * (terms + 1)).all()


@every_shape
def test_given_responsibilities_take_the_place_of_bayes_rule(structure):
    rng = np.random.default_rng(0)
    samples, mixture = Samples(rng.normal(size=(50, 2))), random_mixture(rng, 3, 2, structure)
    r, log_prob = e_step(samples.X, mixture)
    own, handed = (
        samples.fold(ResidualForm(mixture)),
        samples.fold(ResidualForm(mixture), r),
    )
    np.testing.assert_allclose(handed.counts, own.counts, rtol=1e-12)
    np.testing.assert_allclose(handed.first, own.first, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(handed.second, own.second, rtol=1e-10, atol=1e-12)
    assert own.log_likelihood == pytest.approx(log_prob.sum(), rel=1e-13)
    assert handed.log_likelihood == 0


@matrix_or_diagonal
def test_responsibilities_of_type_bool_may_be_weighted(structure):
    rng = np.random.default_rng(0)
    weight, labels = rng.exponential(size=50), np.arange(50) % 3
    samples = Samples(rng.normal(size=(50, 2)), weight)
    form = ResidualForm(random_mixture(rng, 3, 2, structure))
    found = samples.fold(form, np.eye(3, dtype=bool)[labels])
    np.testing.assert_allclose(found.counts, np.bincount(labels, weight), rtol=1e-14)


# ---- stacks ----------------------------------------------------------------------------------

NAMES = ("counts", "first", "second", "log_likelihood", "expected_log_joint", "about")


def assert_close(found, wanted, rtol=1e-11):
    """Compare statistics, each against the largest entry of the same kind."""
    for name in NAMES:
        one, other = getattr(found, name), getattr(wanted, name)
        size = np.abs(np.nan_to_num(other)).max(initial=1)
        np.testing.assert_allclose(one, other, rtol=0, atol=rtol * size, err_msg=name)


@st.composite
def stacks(draw):
    """Draw mixtures, their samples, and what is given instead of means and responsibilities."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, d, n = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 60))
    count, structure = draw(st.integers(1, 5)), draw(st.sampled_from(STRUCTURES))
    mixtures = [random_mixture(rng, k, d, structure) for _ in range(count)]
    X = rng.normal(size=(count, n, d) if draw(st.booleans()) else (n, d))
    weight = draw(st.sampled_from([None, (n,), (count, n)]))
    weight = None if weight is None else rng.exponential(size=weight)
    return mixtures, X, weight, rng


def of_fit(array, number, dimensions):
    """Return the part of an array that belongs to a fit, or all of it if all fits share it."""
    return array[number] if np.ndim(array) > dimensions else array


@given(stacks(), st.booleans(), st.booleans())
def test_the_sums_of_a_stack_are_those_of_its_members(case, about_given, r_given):
    mixtures, X, weight, rng = case
    stack, samples = Mixture.stacked(mixtures), Samples(X, weight, n_fits=len(mixtures))
    about = rng.normal(size=stack.means.shape) if about_given else None
    shape = len(mixtures), samples.n_samples, stack.n_components
    r = [rng.dirichlet(np.ones(shape[2]), size=shape[:2])] if r_given else []
    whitened = samples.fold(ResidualForm(stack, about), *r)
    products = samples.fold(ExponentialFamilyForm(stack, samples.centre))
    for number, mixture in enumerate(mixtures):
        alone = Samples(of_fit(X, number, 2), of_fit(weight, number, 1))
        form = ResidualForm(mixture, of_fit(about, number, 2))
        assert_close(whitened.select(number), alone.fold(form, *(each[number] for each in r)))
        wanted = alone.fold(ExponentialFamilyForm(mixture, alone.centre))
        assert_close(products.select(number), wanted, 1e-9)


@given(stacks())
def test_the_moments_and_exactness_of_a_stack_are_those_of_its_members(case):
    mixtures, X, weight, rng = case
    stack, samples = Mixture.stacked(mixtures), Samples(X, weight, n_fits=len(mixtures))
    structure, means = type(stack.covariance), stack.means + rng.normal(size=stack.means.shape)
    whole = samples.fold(ResidualForm(stack))
    # steps of one to ten thousand deviations
    far = 10.0 ** rng.uniform(0, 4, size=(len(mixtures), 1, 1))
    moved = Mixture.unchecked(stack.weights, stack.means + far, stack.covariance)
    exact = whole.is_exact_for(moved, samples.dtype)
    for number in range(len(mixtures)):
        one = whole.select(number)
        np.testing.assert_array_equal(whole.means()[number], one.means())
        for about in (None, means):
            found, wanted = (
                each.moments(structure, of_fit(about, place, 2))
                for each, place in ((whole, slice(None)), (one, number))
            )
            np.testing.assert_allclose(found[number], wanted, rtol=1e-13, atol=1e-13)
        assert exact[number] == one.is_exact_for(moved.select(number), samples.dtype)


@given(stacks())
def test_stacks_of_statistics_are_cut_and_joined_bit_for_bit(case):
    mixtures, X, weight, _ = case
    stack = Mixture.stacked(mixtures)
    whole = Samples(X, weight, n_fits=len(mixtures)).fold(ResidualForm(stack))
    places = np.arange(len(mixtures))
    parts = [whole.select(places[::2]), whole.select(places[1::2])]
    order = np.argsort(np.concatenate([places[::2], places[1::2]]))
    joined = SufficientStatistics.joined(parts, order)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))


@every_shape
@pytest.mark.parametrize("own", [False, True])
def test_each_fit_of_a_stack_has_the_form_that_is_right_for_it(structure, own):
    """Narrow members take whitened residuals, and the others do not change by it."""
    rng = np.random.default_rng(0)
    widths = np.array([1, 1e-4, 1, 1e-4, 1])
    mixtures = [random_mixture(rng, 2, 2, structure, width) for width in widths]
    X = rng.normal(size=(5, 40, 2) if own else (40, 2))
    samples, stack = Samples(X, n_fits=5), Mixture.stacked(mixtures)
    fast = Pass(samples, stack)
    assert not fast.surely
    assert [type(form) for _, form in fast.forms] == [ExponentialFamilyForm, ResidualForm]
    assert [fits.tolist() for fits, _ in fast.forms] == [[0, 2, 4], [1, 3]]
    found = fast.run()
    for number, mixture in enumerate(mixtures):
        alone = sufficient_statistics(Samples(of_fit(X, number, 2)), mixture)
        assert_close(found.select(number), alone)
        np.testing.assert_array_equal(found.about[number], alone.about)


# ---- sums add up -----------------------------------------------------------------------------


@given(cases(), st.integers(1, 5))
def test_the_sums_of_the_whole_are_the_sums_of_its_parts(case, parts):
    """(W4)."""
    samples, mixture = case
    cuts = np.array_split(np.arange(samples.n_samples), min(parts, samples.n_samples))
    for form in (ExponentialFamilyForm(mixture, samples.centre), ResidualForm(mixture)):
        whole = form(samples.X, samples.weight)
        pieces = [
            form(samples.X[cut], None if samples.weight is None else samples.weight[cut])
            for cut in cuts
        ]
        total = reduce(add, pieces)
        for name in ("counts", "first", "second", "log_likelihood", "expected_log_joint"):
            one, other = getattr(whole, name), getattr(total, name)
            size = sum(np.abs(getattr(piece, name)) for piece in pieces)
            # Sums of n terms are off by less than n ε of the terms' size; terms of both signs
            # are at most as large as the data's extent allows.
            extent = np.abs(samples.X - whole.about[0]).max() + np.abs(whole.about).max() + 1
            slack = 1e-11 * (np.max(size) + samples.total * extent**2)
            np.testing.assert_allclose(other, one, rtol=1e-11, atol=slack)


@every_shape
def test_many_blocks_and_chunks_are_one_pass(structure):
    """More samples than a block of either form holds, and more than one chunk."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40_000, 2))
    mixture = random_mixture(rng, 3, 2, structure)
    r, log_prob = e_step(X, mixture)
    samples = Samples(X)
    for form in (ExponentialFamilyForm(mixture, samples.centre), ResidualForm(mixture)):
        found = samples.fold(form)
        np.testing.assert_allclose(found.counts, r.sum(axis=0), rtol=1e-11)
        np.testing.assert_allclose(found.means(), r.T @ X / r.sum(0)[:, None], atol=1e-11)
        assert found.log_likelihood == pytest.approx(log_prob.sum(), rel=1e-12)


# ---- moments about any point -----------------------------------------------------------------


@given(cases(), st.floats(0, 3))
def test_moments_about_any_point_follow_the_shift_law(case, distance):
    """(M3): Σ r (x−b)(x−b)ᵀ / N directly, from sums about another point a."""
    samples, mixture = case
    structure, k = type(mixture.covariance), mixture.n_components
    rng = np.random.default_rng(samples.n_samples)
    about = mixture.means + distance * rng.normal(size=mixture.means.shape)
    points = mixture.means + distance * rng.normal(size=mixture.means.shape)
    X = samples.X
    r = mixture.responsibilities(X)
    if samples.weight is not None:
        r = r * samples.weight[:, None]
    found = samples.fold(ResidualForm(mixture, about))
    np.testing.assert_array_equal(found.about, about)
    assert np.isnan(found.expected_log_joint)
    well = found.counts > 1e-8
    direct = np.stack(
        [np.einsum("n,ni,nj->ij", r[:, j], X - points[j], X - points[j]) for j in range(k)]
    )
    direct /= found.divisor[:, None, None]
    size = ((np.abs(X).max() - np.abs(X).min() + 3 * distance + 10) ** 2) * 1e-10
    np.testing.assert_allclose(
        found.moments(structure, points)[well],
        in_moment_shape(structure, direct)[well],
        rtol=1e-9,
        atol=size,
    )
    mean = r.T @ (X - samples.centre) / found.divisor[:, None] + samples.centre
    np.testing.assert_allclose(found.means()[well], mean[well], rtol=1e-12, atol=1e-9)


@matrix_or_diagonal
def test_a_component_that_nothing_belongs_to_has_moments_of_zero(structure):
    mixture = Mixture([0.5, 0.5], [[0.0], [2.0]], structure.unit(2, 1))
    samples = Samples([[0.0], [1.0]])
    found = samples.fold(ResidualForm(mixture), np.array([[1.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(found.means(), [[0.5], [2.0]])
    assert (found.moments(structure, found.means())[1] == 0).all()


# ---- the guard -------------------------------------------------------------------------------


@every_shape
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_guard_is_a_bound_on_width_against_distance(structure, dtype):
    """d × 10⁵ squared deviations in double precision, d × 10³ in single."""
    samples = Samples(np.array([[-1, -1], [1, 1], [1, -1], [-1, 1]], dtype=dtype))
    largest = {np.float64: 1e5, np.float32: 1e3}[dtype]
    for factor, allowed in ((1.1, True), (0.9, False)):
        values = factor / largest * structure.unit(2, 2).values
        mixture = Mixture([0.5, 0.5], [[0, 0], [1, 1]], structure(values))
        assert products_are_exact(samples, mixture) is allowed


@every_one_of_four
def test_one_narrow_component_or_mean_far_outside_is_enough_to_refuse(structure):
    samples = Samples(np.random.default_rng(0).normal(size=(50, 2)))
    good = Mixture([0.5, 0.5], np.zeros((2, 2)), structure.unit(2, 2))
    assert products_are_exact(samples, good)
    far = Mixture([0.5, 0.5], [[0, 0], [1e4, 0]], structure.unit(2, 2))
    assert not products_are_exact(samples, far)
    if structure is not Tied:
        narrow = structure.unit(2, 2).values.copy()
        narrow[1] *= 1e-6
        assert not products_are_exact(samples, Mixture([0.5, 0.5], [[0, 0]] * 2, structure(narrow)))


@pytest.mark.parametrize(
    ("structure", "d", "allowed"),
    [
        (Full, 27, True),
        (Full, 28, False),
        (Tied, 28, False),
        (Diagonal, 784, True),
        (Spherical, 784, True),
    ],
)
def test_products_are_made_where_there_are_few_of_them(structure, d, allowed):
    samples = Samples(np.random.default_rng(0).normal(size=(5, d)))
    mixture = Mixture([1.0], np.zeros((1, d)), structure.unit(1, d))
    assert products_are_exact(samples, mixture) is allowed


@every_shape
def test_products_lose_digits_exactly_where_the_guard_refuses_them(structure):
    """Against rational arithmetic: 10⁸ deviations from the middle, residuals keep every digit."""
    far, narrow = 2.0**20, 2.0**-8
    X = np.array([[-far, 0.0], [far, 0.0], [far + narrow, narrow], [far - narrow, -narrow]])
    values = narrow**2 * structure.unit(1, 2).values
    mixture = Mixture([1.0], [[far, 0.0]], structure(values))
    samples = Samples(X)
    assert not products_are_exact(samples, mixture)

    # −½ Σ (x − μ)² / σ², without rounding; the determinant and π are the same to both
    squares = sum(
        (Fraction(x) - Fraction(m)) ** 2 / Fraction(narrow) ** 2
        for row in X
        for x, m in zip(row, (far, 0.0), strict=True)
    )
    constant = 4 * mixture.log_normaliser[0]
    near = X[1:]
    exact = 3 * mixture.log_normaliser[0] - 2  # ‖y‖² is 0, 2 and 2
    residual = ResidualForm(mixture)(near, None).log_likelihood
    product = ExponentialFamilyForm(mixture, samples.centre)(near, None).log_likelihood
    assert residual == pytest.approx(exact, abs=1e-12)
    assert abs(product - exact) > 1e-4
    whole = samples.fold(ResidualForm(mixture)).log_likelihood
    assert whole == pytest.approx(constant - float(squares) / 2, rel=1e-14)
    # `sufficient_statistics` takes the form that is right
    assert sufficient_statistics(samples, mixture).log_likelihood == whole


@every_shape
def test_a_shift_back_by_a_power_of_two_gives_the_exact_sums(structure):
    """The same component near the middle: what products lose is the distance, nothing else."""
    rng = np.random.default_rng(0)
    near = np.round(rng.normal(size=(200, 2)) * 2**10) / 2**10
    far = np.concatenate([near + 2.0**24, [[-(2.0**24), 0.0]]])
    values = structure.unit(1, 2).values
    middle = Mixture([1.0], np.zeros((1, 2)), structure(values))
    away = Mixture([1.0], np.full((1, 2), 2.0**24), structure(values))
    wanted = Samples(near).fold(ExponentialFamilyForm(middle, np.zeros(2)))
    assert products_are_exact(Samples(near), middle)
    assert not products_are_exact(Samples(far), away)
    exact = ResidualForm(away)(far[:-1], None)
    rough = ExponentialFamilyForm(away, Samples(far).centre)(far[:-1], None)
    np.testing.assert_allclose(
        exact.moments(structure, away.means),
        wanted.moments(structure, middle.means),
        rtol=1e-13,
        atol=1e-13,
    )
    assert exact.log_likelihood == pytest.approx(wanted.log_likelihood, rel=1e-13)
    assert abs(rough.log_likelihood - wanted.log_likelihood) > 1e-3


# ---- single precision ------------------------------------------------------------------------


@given(cases())
def test_sums_in_single_precision_are_right_to_four_digits(case):
    samples, mixture = case
    low = Samples(samples.X.astype(np.float32), samples.weight)
    # the same numbers in double precision
    high = Samples(low.X.astype(np.float64), samples.weight)
    found, wanted = sufficient_statistics(low, mixture), high.fold(ResidualForm(mixture))
    # d × 1e-3 is what log-densities may be off by at worst
    rtol = 1e-4 * samples.n_features
    np.testing.assert_allclose(found.counts, wanted.counts, atol=rtol * low.total)
    terms = abs(wanted.log_likelihood) + low.total * samples.n_features
    assert found.log_likelihood == pytest.approx(wanted.log_likelihood, abs=1e-4 * terms)
    extent = np.maximum(high.extent, np.abs(mixture.means - high.centre)).max()
    structure = type(mixture.covariance)
    np.testing.assert_allclose(
        shifted(found, mixture.means, structure),
        wanted.second,
        atol=rtol * low.total * extent**2,
    )


@covering(structure=SHAPES, power=[-30, -20, -12, 12, 20, 30])
def test_the_unit_of_single_precision_data_does_not_matter(structure, power):
    """Squares beyond 10³⁸ overflow in single precision: such data take the other form."""
    rng = np.random.default_rng(0)
    X, mixture = rng.normal(size=(100, 2)).astype(np.float32), random_mixture(rng, 2, 2, structure)
    unit = 10.0**power
    scaled = Mixture(
        mixture.weights,
        unit * mixture.means,
        structure(unit**2 * mixture.covariance.values),
    )
    one = sufficient_statistics(Samples(X), mixture)
    other = sufficient_statistics(Samples((X * unit).astype(np.float32)), scaled)
    np.testing.assert_allclose(other.counts, one.counts, rtol=1e-4)
    change = 100 * 2 * np.log(unit)
    assert other.log_likelihood + change == pytest.approx(one.log_likelihood, rel=1e-4)


@covering(structure=SHAPES, weight=[1e-60, 1e-30, 1e30, 1e60])
def test_weights_out_of_the_range_of_single_precision_are_no_obstacle(structure, weight):
    rng = np.random.default_rng(0)
    X, mixture = rng.normal(size=(100, 2)).astype(np.float32), random_mixture(rng, 2, 2, structure)
    one, other = (
        sufficient_statistics(Samples(X), mixture),
        sufficient_statistics(Samples(X, np.full(100, weight)), mixture),
    )
    np.testing.assert_allclose(other.counts / weight, one.counts, rtol=1e-4)
    assert other.log_likelihood / weight == pytest.approx(one.log_likelihood, rel=1e-4)


@every_shape
def test_a_fit_in_single_precision_is_that_in_double_to_three_digits(structure):
    """Well-conditioned data, far from the origin, both forms of the pass on the way."""
    data = datasets.random_mixture(3000, 3, 3, separation=4, rng=np.random.default_rng(0))
    X = (data.X + 10).astype(np.float32)
    mixture = Mixture(
        np.full(3, 1 / 3),
        [X[data.labels == k][:20].mean(axis=0) for k in range(3)],
        structure(np.cov(X.T).max() * structure.unit(3, 3).values),
    )
    low = fit(X, mixture, tol=1e-9, max_iter=50)
    high = fit(X.astype(np.float64), mixture, tol=0, max_iter=200)
    assert low.log_likelihood == pytest.approx(high.log_likelihood, rel=1e-4)
    np.testing.assert_allclose(low.mixture.weights, high.mixture.weights, atol=1e-3)
    size = np.abs(high.mixture.means).max()
    np.testing.assert_allclose(low.mixture.means, high.mixture.means, atol=1e-3 * size)
    size = high.mixture.covariances.max()
    np.testing.assert_allclose(low.mixture.covariances, high.mixture.covariances, atol=1e-3 * size)
    assert low.mixture.means.dtype == np.float64


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_normalised_responsibilities_are_distributions_in_either_precision(seed, dtype):
    log_joint = np.random.default_rng(seed).normal(size=(4, 30)) * 200
    r, log_prob = normalise(log_joint.astype(dtype))
    assert r.dtype == log_prob.dtype == dtype
    np.testing.assert_allclose(r.sum(axis=0), 1, rtol=8 * np.finfo(dtype).eps)
    np.testing.assert_allclose(
        log_prob, np.logaddexp.reduce(log_joint, axis=0), rtol=4 * np.finfo(dtype).eps, atol=1e-4
    )
