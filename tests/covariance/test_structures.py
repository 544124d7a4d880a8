"""Laws of the fourteen covariance structures."""

import copy
import itertools
import pickle
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import (
    LINEAR,
    STRUCTURES,
    every_linear,
    every_structure,
    in_family,
    in_shape,
    random_structure,
)

import gmmlab
from gmmlab import Diagonal, Full, Mixture, Spherical, Tied
from gmmlab.covariance.base import MatrixCovariance

ROUND = ("EII", "VII")
few = settings(max_examples=40, deadline=None)


def random_moments(rng, k, d):
    """Second moments of k well-conditioned random clouds, shape (k, d, d)."""
    clouds = rng.normal(size=(k, 3 * d + 3, d)) * rng.uniform(0.3, 3, size=(k, 1, d))
    return clouds.swapaxes(1, 2) @ clouds / clouds.shape[1]


@st.composite
def cases(draw, structures=STRUCTURES):
    """Draw a structure with random values, its k and d, and a generator."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k, d = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    return random_structure(draw(st.sampled_from(structures)), rng, k, d), k, d, rng


def expected_log_likelihood(count, covariance, moment):
    """−½ N (log|Σ| + tr Σ⁻¹ M)."""
    return (
        -count
        / 2
        * (np.linalg.slogdet(covariance)[1] + np.trace(np.linalg.inv(covariance) @ moment))
    )


# ---- whitening ---------------------------------------------------------------------------


@few
@given(cases())
def test_whitening_takes_the_covariance_to_the_identity(case):
    """Σ = C Cᵀ (E1)."""
    covariance, k, d, _ = case
    whitening = covariance.whiten(np.broadcast_to(np.eye(d), (k, d, d)))
    whitened = whitening @ covariance.dense(k, d) @ whitening.transpose(0, 2, 1)
    np.testing.assert_allclose(whitened, np.broadcast_to(np.eye(d), (k, d, d)), atol=1e-10)


@few
@given(cases())
def test_whiten_and_colour_undo_each_other(case):
    covariance, k, d, rng = case
    residuals = rng.normal(size=(k, d, 7))
    np.testing.assert_allclose(
        covariance.colour(covariance.whiten(residuals)), residuals, atol=1e-10
    )
    np.testing.assert_allclose(
        covariance.whiten(covariance.colour(residuals)), residuals, atol=1e-10
    )


@few
@given(cases())
def test_moments_of_whitened_residuals_unwhiten_to_moments_of_residuals(case):
    """(W1, W2)."""
    covariance, k, d, rng = case
    residuals, responsibilities = rng.normal(size=(k, d, 9)), rng.uniform(size=(k, 9))
    scatter = covariance.scatter(covariance.whiten(residuals), responsibilities)
    expected = np.einsum("kb,kib,kjb->kij", responsibilities, residuals, residuals)
    np.testing.assert_allclose(
        covariance.unwhiten(scatter), in_family(type(covariance), expected), atol=1e-9
    )


@few
@given(cases())
def test_product_is_the_symmetric_outer_product(case):
    covariance, k, d, rng = case
    a, b = rng.normal(size=(2, k, d))
    outer = a[:, :, None] * b[:, None, :]
    expected = in_family(type(covariance), (outer + outer.swapaxes(1, 2)) / 2)
    np.testing.assert_allclose(covariance.product(a, b), expected, atol=1e-14)


# ---- determinants, traces, inverses ------------------------------------------------------


@few
@given(cases())
def test_log_det_is_that_of_the_dense_matrices(case):
    """(E1), its second half."""
    covariance, k, d, _ = case
    expected = np.linalg.slogdet(covariance.dense(k, d))[1]
    np.testing.assert_allclose(np.broadcast_to(covariance.log_det(d), k), expected, atol=1e-10)


def test_log_det_survives_where_the_determinant_does_not():
    d, small = 30, 1e-12
    assert np.linalg.det(small * np.eye(d)) == 0.0
    for structure in STRUCTURES:
        covariance = structure(small * structure.unit(1, d).values)
        np.testing.assert_allclose(covariance.log_det(d), d * np.log(small), rtol=1e-12)


@few
@given(cases())
def test_trace_is_that_of_precision_times_moment(case):
    covariance, k, d, rng = case
    moments = random_moments(rng, k, d)
    expected = np.trace(np.linalg.inv(covariance.dense(k, d)) @ moments, axis1=1, axis2=2)
    actual = covariance.trace(in_family(type(covariance), moments))
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


@few
@given(cases())
def test_inverse_holds_the_inverse_matrices(case):
    covariance, k, d, _ = case
    inverse = covariance.inverse()
    assert type(inverse) is type(covariance)
    identity = inverse.dense(k, d) @ covariance.dense(k, d)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(d), (k, d, d)), atol=1e-9)


@few
@given(cases())
def test_precision_factor_times_its_transpose_is_the_precision(case):
    covariance = case[0]
    factor = covariance.precision_factor()
    assert factor.shape == covariance.values.shape
    if isinstance(covariance, MatrixCovariance):
        np.testing.assert_array_equal(factor, np.triu(factor))
        product = factor @ factor.swapaxes(-1, -2)
    else:
        product = factor**2
    np.testing.assert_allclose(product, covariance.inverse().values, rtol=1e-9, atol=1e-10)


# ---- eigenvalues -------------------------------------------------------------------------


@few
@given(cases())
def test_smallest_eigenvalues_are_those_of_the_dense_matrices(case):
    covariance, k, d, _ = case
    expected = np.linalg.eigvalsh(covariance.dense(k, d)).min(axis=1)
    actual = np.broadcast_to(covariance.smallest_eigenvalues(), k)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


@few
@given(cases())
def test_conditioning_is_of_the_correlations_whatever_the_units(case):
    covariance, k, d, rng = case
    dense = covariance.dense(k, d)
    deviations = np.sqrt(np.diagonal(dense, axis1=1, axis2=2))
    correlations = dense / (deviations[:, :, None] * deviations[:, None, :])
    expected = np.linalg.eigvalsh(correlations).min(axis=1)
    np.testing.assert_allclose(np.broadcast_to(covariance.conditioning(), k), expected, atol=1e-10)
    units = 10 ** rng.uniform(-6, 6, size=d)
    rescaled = Full(dense * units[:, None] * units)
    np.testing.assert_allclose(rescaled.conditioning(), expected, atol=1e-9)


@few
@given(cases(), st.integers(0, 2**32 - 1))
def test_relative_to_is_the_smallest_generalised_eigenvalue(case, seed):
    covariance, k, d, _ = case
    reference = random_structure(type(covariance), np.random.default_rng(seed), 1, d)
    expected = [
        scipy.linalg.eigh(matrix, reference.dense(1, d)[0], eigvals_only=True)[0]
        for matrix in covariance.dense(k, d)
    ]
    actual = np.broadcast_to(covariance.relative_to(reference), k)
    np.testing.assert_allclose(actual, expected, rtol=1e-8)


# ---- estimates and floors ----------------------------------------------------------------


@few
@given(cases())
def test_estimate_is_the_most_likely_of_its_structure(case):
    """(G10), and (M4, S1 to S8) for what it leads to."""
    covariance, k, d, rng = case
    structure = type(covariance)
    counts, moments = rng.uniform(1, 9, size=k), random_moments(rng, k, d)

    def likelihood(candidate):
        pairs = zip(counts, candidate.dense(k, d), moments, strict=True)
        return sum(expected_log_likelihood(*pair) for pair in pairs)

    best = structure.estimate(counts, in_family(structure, moments))
    slack = 1e-13 * abs(likelihood(best))
    for size in (1e-3, 1e-2, 0.1, 0.5, 1):
        way = best.coordinates(random_structure(structure, rng, k, d), d)
        other = structure(best.at(size * way, d).values)  # the constructor checks the structure
        assert likelihood(best) >= likelihood(other) - slack


@few
@given(cases(LINEAR), st.booleans())
def test_clipped_is_the_optimum_under_its_bound(case, flat):
    """(S9)."""
    covariance, k, d, rng = case
    structure = type(covariance)
    moments = random_moments(rng, k, d)
    if flat:  # also of a cloud that lies in fewer dimensions
        moments[:, -1, :] = moments[:, :, -1] = 0
    estimate = structure.estimate(np.ones(k), in_family(structure, moments))
    floor = rng.uniform(0.1, 3, size=d)
    clipped, _ = estimate.clipped(floor)
    unit = np.sqrt(floor)
    relative = clipped.dense(k, d) / (unit[:, None] * unit)
    assert np.linalg.eigvalsh(relative).min() >= 1 - 1e-10  # it obeys the bound

    bound = np.full(d, floor.max()) if structure.model in ROUND else floor
    lowest = in_shape(structure, np.broadcast_to(np.diag(bound), (k, d, d)))
    for size in (1e-4, 1e-2, 0.3, 1):
        above = random_structure(structure, rng, k, d).values * rng.uniform(0, 3)
        feasible = lowest + above
        other = structure((1 - size) * clipped.values + size * feasible)
        triples = zip(clipped.dense(k, d), other.dense(k, d), estimate.dense(k, d), strict=True)
        for mine, theirs, moment in triples:
            best = expected_log_likelihood(1, mine, moment)
            assert best >= expected_log_likelihood(1, theirs, moment) - 1e-12 * abs(best)


@few
@given(cases(LINEAR))
def test_clipped_touches_exactly_what_is_below_the_floor(case):
    covariance, _, d, rng = case
    floor = rng.uniform(0.05, 2)
    clipped, touched = covariance.clipped(np.full(d, floor))
    np.testing.assert_array_equal(touched, covariance.smallest_eigenvalues() < floor)
    np.testing.assert_array_equal(clipped.stack[~touched], covariance.stack[~touched])
    np.testing.assert_allclose(clipped.smallest_eigenvalues()[touched], floor, rtol=1e-12)


@few
@given(cases(LINEAR), st.floats(1e-6, 10))
def test_a_ridge_adds_to_every_variance(case, ridge):
    covariance, k, d, _ = case
    expected = covariance.dense(k, d) + ridge * np.eye(d)
    np.testing.assert_allclose(covariance.ridged(ridge).dense(k, d), expected, rtol=1e-14)


# ---- products of coordinates, and parts --------------------------------------------------


@few
@given(cases())
def test_packed_times_pairs_is_the_quadratic_form(case):
    """zᵀ M z, for any symmetric M of the family and for precisions."""
    covariance, k, d, rng = case
    structure, z = type(covariance), rng.normal(size=(d, 9))
    pairs = structure.pairs(z)
    assert pairs.shape == (structure.n_pairs(d), 9)
    matrices = rng.normal(size=(k, d, d))
    matrices = in_family(structure, matrices + matrices.swapaxes(1, 2))
    dense = (
        matrices if issubclass(structure, MatrixCovariance) else matrices[:, :, None] * np.eye(d)
    )
    expected = np.einsum("in,kij,jn->kn", z, dense, z)
    np.testing.assert_allclose(structure.packed(matrices) @ pairs, expected, atol=1e-11)
    expected = (covariance.whiten(np.broadcast_to(z, (k, d, 9))) ** 2).sum(axis=1)
    precisions = np.broadcast_to(covariance.precisions, dense.shape[: matrices.ndim])
    np.testing.assert_allclose(structure.packed(precisions) @ pairs, expected, rtol=1e-9, atol=1e-9)


@few
@given(cases())
def test_unpacked_sums_of_pairs_are_second_moments(case):
    covariance, k, d, rng = case
    structure = type(covariance)
    z, r = rng.normal(size=(d, 9)), rng.uniform(size=(k, 9))
    expected = in_family(structure, np.einsum("kn,in,jn->kij", r, z, z))
    actual = structure.unpacked(r @ structure.pairs(z).T, d)
    np.testing.assert_allclose(actual, expected, atol=1e-13)


@every_structure
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pairs_keep_their_type_and_go_where_they_are_told(structure, dtype):
    z = np.random.default_rng(0).normal(size=(3, 5)).astype(dtype)
    pairs = structure.pairs(z)
    assert pairs.dtype == dtype
    for order in "CF":
        out = np.empty(pairs.shape, dtype=dtype, order=order)
        assert structure.pairs(z, out=out) is out
        np.testing.assert_array_equal(out, pairs)


@few
@given(cases())
def test_precisions_are_the_inverse_matrices(case):
    covariance, k, d, rng = case
    dense = np.linalg.inv(covariance.dense(k, d))
    full = (k, d, d) if isinstance(covariance, MatrixCovariance) else (k, d)
    precisions = np.broadcast_to(covariance.precisions, full)
    np.testing.assert_allclose(precisions, in_family(type(covariance), dense), rtol=1e-8, atol=1e-9)
    vectors = rng.normal(size=(k, d))
    expected = np.einsum("kij,kj->ki", dense, vectors)
    np.testing.assert_allclose(covariance.precision_times(vectors), expected, rtol=1e-8, atol=1e-9)


@few
@given(cases())
def test_magnitude_bounds_the_terms_of_every_quadratic_form_in_its_box(case):
    covariance, k, d, rng = case
    extent = rng.uniform(0.1, 3, size=(k, d))
    dense = np.abs(np.linalg.inv(covariance.dense(k, d)))
    expected = np.einsum("ki,kij,kj->k", extent, dense, extent)
    magnitude = covariance.magnitude(extent)
    np.testing.assert_allclose(magnitude, expected, rtol=1e-8)
    z = extent[:, :, None] * rng.uniform(-1, 1, size=(k, d, 50))
    assert ((covariance.whiten(z) ** 2).sum(axis=1) <= magnitude[:, None] * (1 + 1e-9)).all()


@few
@given(cases(), st.integers(0, 2**32 - 1))
def test_given_is_the_regression_and_what_it_leaves(case, seed):
    """Bishop (2006), equations 2.73 and 2.75, by the precision: Λᵤᵤ⁻¹ and −Λᵤᵤ⁻¹ Λᵤₖ."""
    covariance, k, d, _ = case
    order = np.random.default_rng(seed).permutation(d)
    known, unknown = order[: d // 2], order[d // 2 :]
    if len(known) == 0:
        return
    coefficients, left = covariance.given(known, unknown)
    assert type(left) is type(covariance.marginal(known))
    precision = np.linalg.inv(covariance.dense(k, d))
    own = precision[:, unknown[:, None], unknown]
    expected = np.linalg.inv(own)
    np.testing.assert_allclose(left.dense(k, len(unknown)), expected, rtol=1e-7, atol=1e-9)
    cross = -expected @ precision[:, unknown[:, None], known]
    shape = (k, len(unknown), len(known))
    np.testing.assert_allclose(np.broadcast_to(coefficients, shape), cross, rtol=1e-7, atol=1e-9)


@few
@given(cases(), st.integers(0, 2**32 - 1))
def test_marginal_is_rows_and_columns_of_the_dense_matrices(case, seed):
    covariance, k, d, _ = case
    some = np.random.default_rng(seed).permutation(d)[: max(1, d // 2)]
    expected = covariance.dense(k, d)[:, some[:, None], some]
    np.testing.assert_array_equal(covariance.marginal(some).dense(k, len(some)), expected)


@few
@given(cases(), st.integers(0, 2**32 - 1))
def test_embedded_moments_are_zero_but_for_their_features(case, seed):
    covariance, k, d, _ = case
    structure = type(covariance)
    some = np.random.default_rng(seed).permutation(d)[: max(1, d // 2)]
    part = covariance.marginal(some)
    whole = structure.embedded(part.moments(k, len(some)), some, d)
    expected = np.zeros((k, d, d))
    expected[:, some[:, None], some] = part.dense(k, len(some))
    np.testing.assert_array_equal(whole, in_family(structure, expected))


@few
@given(cases())
def test_moments_are_the_covariances_in_the_shape_of_moments(case):
    covariance, k, d, _ = case
    moments = covariance.moments(k, d)
    np.testing.assert_array_equal(moments, in_family(type(covariance), covariance.dense(k, d)))
    again = type(covariance).estimate(np.ones(k), moments)
    rtol = 1e-9 if covariance.curved else 1e-14  # found by iteration
    np.testing.assert_allclose(again.dense(k, d), covariance.dense(k, d), rtol=rtol, atol=rtol)


@every_structure
def test_uncorrelated_variances_are_moments_too(structure):
    variances = np.array([[1.0, 2.0], [3.0, 4.0]])
    expected = in_family(structure, variances[:, :, None] * np.eye(2))
    np.testing.assert_array_equal(structure.of_variances(variances), expected)


@every_structure
def test_repeated_is_the_first_component_many_times(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 1, 2)
    repeated = covariance.repeated(4)
    assert repeated.fits(4, 2)
    np.testing.assert_array_equal(repeated.dense(4, 2), np.tile(covariance.dense(1, 2), (4, 1, 1)))


@every_structure
@pytest.mark.parametrize("bad", [0.0, -1e-20, np.nan])
def test_what_an_m_step_made_singular_is_a_linalg_error_and_no_warning(structure, bad):
    values = np.array(structure.unit(2, 2).values)
    values.flat[-1] = bad
    covariance = structure.unchecked(values)
    for use in (
        lambda: covariance.whiten(np.ones((2, 2, 1))),
        lambda: covariance.log_det(2),
        lambda: covariance.trace(structure.unit(2, 2).moments(2, 2)),
        lambda: covariance.precisions,
    ):
        if np.isnan(bad) and issubclass(structure, MatrixCovariance):
            continue  # LAPACK may or may not notice
        with pytest.raises(np.linalg.LinAlgError):
            use()


# ---- counting ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "by_formula", "for_k_3_d_4"),
    [
        ("EII", lambda k, d, p: 1, 1),
        ("VII", lambda k, d, p: k, 3),
        ("EEI", lambda k, d, p: d, 4),
        ("VEI", lambda k, d, p: k + d - 1, 6),
        ("EVI", lambda k, d, p: 1 + k * (d - 1), 10),
        ("VVI", lambda k, d, p: k * d, 12),
        ("EEE", lambda k, d, p: d + p, 10),
        ("VEE", lambda k, d, p: k + d - 1 + p, 12),
        ("EVE", lambda k, d, p: 1 + k * (d - 1) + p, 16),
        ("VVE", lambda k, d, p: k * d + p, 18),
        ("EEV", lambda k, d, p: d + k * p, 22),
        ("VEV", lambda k, d, p: k + d - 1 + k * p, 24),
        ("EVV", lambda k, d, p: 1 + k * (d - 1) + k * p, 28),
        ("VVV", lambda k, d, p: k * (d + p), 30),
    ],
)
def test_n_parameters_are_the_published_ones(model, by_formula, for_k_3_d_4):
    """(K3, S6): Celeux and Govaert (1995), table 1; and as mclust counts them."""
    structure = getattr(gmmlab, model)
    assert structure.n_parameters(3, 4) == for_k_3_d_4
    for k, d in itertools.product((1, 2, 5), (1, 2, 7)):
        assert structure.n_parameters(k, d) == by_formula(k, d, d * (d - 1) // 2)


@every_linear
@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 3), (3, 1), (3, 2), (2, 4)])
def test_n_parameters_is_the_dimension_of_the_structure(structure, k, d):
    rng = np.random.default_rng(0)
    draws = [random_structure(structure, rng, k, d).dense(k, d).ravel() for _ in range(50)]
    assert structure.n_parameters(k, d) == np.linalg.matrix_rank(np.array(draws))


@pytest.mark.parametrize("structure", [Full, Diagonal, Spherical])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_one_sample_fewer_than_needed_leaves_a_zero_variance(structure, d):
    needed = structure.samples_needed(d)
    for n, above_zero in ((needed, True), (needed - 1, False)):
        X = np.random.default_rng(n).normal(size=(n, d))
        moment = (X - X.mean(axis=0)).T @ (X - X.mean(axis=0)) / n
        estimate = structure.estimate(np.array([n]), in_family(structure, moment[None]))
        assert (estimate.smallest_eigenvalues()[0] > 1e-12) is np.bool_(above_zero)


@every_structure
def test_unit_is_the_identity(structure):
    identity = np.broadcast_to(np.eye(2), (3, 2, 2))
    np.testing.assert_array_equal(structure.unit(3, 2).dense(3, 2), identity)


@every_structure
def test_fits_says_which_shapes_go_together(structure):
    covariance = structure.unit(3, 2)
    mixtures_of = [(k, d) for k in (2, 3) for d in (2, 3) if covariance.fits(k, d)]
    assert mixtures_of == [
        (k, d)
        for k in (2, 3)
        for d in (2, 3)
        if (k == 3 or "n_components" not in structure.shape)
        and (d == 2 or "n_features" not in structure.shape)
    ]


@few
@given(cases(), st.randoms(use_true_random=False))
def test_take_reorders_components(case, random):
    covariance, k, d, _ = case
    order = np.array(random.sample(range(k), k))
    expected = covariance.dense(k, d)[order]
    np.testing.assert_array_equal(covariance.take(order).dense(k, d), expected)


# ---- values ------------------------------------------------------------------------------


@every_structure
def test_values_are_read_only_and_not_the_callers(structure):
    source = np.array(structure.unit(3, 2).values)
    covariance = structure(source)
    source *= 7
    np.testing.assert_array_equal(covariance.values, structure.unit(3, 2).values)
    with pytest.raises(ValueError, match="read-only"):
        covariance.values[...] = 7
    with pytest.raises(AttributeError):
        covariance.values = source


@every_structure
@pytest.mark.parametrize(
    "derived",
    [
        lambda c: c.precision_factor(),
        lambda c: c.dense(3, 2),
        lambda c: c.whiten(np.ones((3, 2, 1))),
        lambda c: c.colour(np.ones((3, 2, 1))),
        lambda c: c.log_det(2),
        lambda c: c.clipped(np.full(2, 1e-9))[0].values,
    ],
    ids=["precision_factor", "dense", "whiten", "colour", "log_det", "clipped"],
)
def test_writing_into_a_result_changes_no_later_answer(structure, derived):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 2)
    first = np.array(derived(covariance))
    handed_out = derived(covariance)
    if handed_out.flags.writeable:
        handed_out[...] = 7
    np.testing.assert_array_equal(derived(covariance), first)
    whitening = covariance.whiten(np.broadcast_to(np.eye(2), (3, 2, 2)))
    precision = whitening.transpose(0, 2, 1) @ whitening
    np.testing.assert_allclose(
        precision, np.linalg.inv(covariance.dense(3, 2)), rtol=1e-10, atol=1e-12
    )


@every_structure
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_copies_are_equal_and_read_only(structure, duplicate):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 2)
    again = duplicate(covariance)
    assert again == covariance
    assert type(again) is structure
    assert not again.values.flags.writeable


@every_structure
def test_equal_structures_have_equal_hashes(structure):
    rng = np.random.default_rng(0)
    first, other = (random_structure(structure, rng, 3, 2) for _ in range(2))
    same = structure(first.values)
    assert same == first
    assert hash(same) == hash(first)
    assert first != other
    assert first != "full"


def test_signed_zeros_are_equal_and_hash_alike():
    plus, minus = (Full([[[1.0, zero], [zero, 1.0]]]) for zero in (0.0, -0.0))
    assert plus == minus
    assert hash(plus) == hash(minus)


def test_structures_with_the_same_numbers_differ():
    values = [[2.0, 1.0], [1.0, 2.0]]
    assert Tied(values) != Diagonal(values)


def test_rounding_asymmetry_is_removed():
    values = Full([[[2.0, 0.5 + 1e-13], [0.5, 1.0]]]).values
    np.testing.assert_array_equal(values, values.swapaxes(1, 2))


# ---- errors ------------------------------------------------------------------------------

SHAPES = {structure: (2,) * len(structure.shape) for structure in STRUCTURES}


@every_structure
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(structure, bad):
    values = np.array(structure.unit(2, 2).values)
    values.flat[-1] = bad
    with pytest.raises(ValueError, match=f"{structure.__name__} values.*(NaN|infinity)"):
        structure(values)


@every_structure
@pytest.mark.parametrize("bad", ["full", None, [1j], [["a", "b"]]])
def test_values_that_are_not_numbers_are_refused(structure, bad):
    with pytest.raises(TypeError, match=f"{structure.__name__} values"):
        structure(bad)


@every_structure
def test_ragged_values_are_refused(structure):
    with pytest.raises(ValueError, match=f"{structure.__name__} values"):
        structure([[1.0], [1.0, 2.0]])


@every_structure
def test_values_of_another_shape_are_refused(structure):
    wrong = [(), (0,), (2,), (0, 0), (2, 2), (0, 2, 2), (2, 2, 2), (1, 1, 1, 1)]
    for shape in wrong:
        if shape != SHAPES[structure]:
            with pytest.raises(ValueError, match=f"{structure.__name__} values must have shape"):
                structure(np.ones(shape))


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if issubclass(s, MatrixCovariance)])
def test_matrices_must_be_square(structure):
    with pytest.raises(ValueError, match=f"{structure.__name__} values must be square"):
        structure(np.ones((*SHAPES[structure][:-1], 3)))


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if issubclass(s, MatrixCovariance)])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_asymmetric_matrices_are_refused_in_any_unit(structure, scale):
    matrix = scale * np.array([[1.0, 0.3], [0.2, 1.0]])
    with pytest.raises(ValueError, match=f"{structure.__name__} values must be symmetric"):
        structure(in_shape(structure, matrix[None]))


def test_asymmetry_is_judged_by_its_own_variances():
    lopsided = np.array([[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(ValueError, match="Full values must be symmetric"):
        Full([lopsided, 1e10 * np.eye(2)])
    with pytest.raises(ValueError, match="Tied values must be symmetric"):
        Tied(scipy.linalg.block_diag(lopsided, 1e10))


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if issubclass(s, MatrixCovariance)])
def test_indefinite_matrices_are_refused_by_number(structure):
    good, bad = np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]])
    values, number = (bad, 0) if structure is Tied else (np.stack([good, bad]), 1)
    with pytest.raises(ValueError, match=f"{structure.__name__} values.*matrix {number}.*-1"):
        structure(values)


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1), st.integers(-6, 6))
def test_matrices_of_less_than_full_rank_are_refused(d, seed, exponent):
    factor = 10.0**exponent * np.random.default_rng(seed).normal(size=(d, d - 1))
    with pytest.raises(ValueError, match="Full values must be positive definite"):
        Full([factor @ factor.T])


@pytest.mark.parametrize(
    "structure", [s for s in STRUCTURES if not issubclass(s, MatrixCovariance)]
)
@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_variances_must_be_positive(structure, bad):
    values = np.array(structure.unit(2, 2).values)
    values.flat[-1] = bad
    with pytest.raises(ValueError, match=f"{structure.__name__} values must be positive"):
        structure(values)


def test_units_far_from_one_are_no_reason_to_refuse():
    units = np.array([1e-9, 1e9])
    correlated = np.array([[1.0, 0.9], [0.9, 1.0]]) * units[:, None] * units
    mixture = Mixture([1.0], [[0.0, 0.0]], Full([correlated]))
    np.testing.assert_allclose(mixture.covariance.conditioning(), 0.1, rtol=1e-9)


@pytest.mark.parametrize("structure", [Full, Tied])
def test_conditioning_on_nearly_equal_features_keeps_what_digits_there_are(structure):
    """Bishop (2006), equation 2.82, against rational arithmetic."""
    gap = 2.0**-20  # of two features whose correlation is 1 − gap / 2
    matrix = np.array([[1.0, 1 - gap / 2, 0.5], [1 - gap / 2, 1.0, 0.5 + gap / 4], [0.5, 0.5, 1.0]])
    matrix[2] = matrix[:, 2]
    covariance = structure(matrix[None] if structure is Full else matrix)
    _, left = covariance.given(np.array([0, 1]), np.array([2]))
    a, b, c = (Fraction(matrix[i]) for i in ((0, 0), (0, 1), (1, 1)))
    u, v = Fraction(matrix[0, 2]), Fraction(matrix[1, 2])
    exact = 1 - (u * u * c - 2 * u * v * b + v * v * a) / (a * c - b * b)
    # The condition number times the rounding of one operation.
    np.testing.assert_allclose(left.values.ravel(), float(exact), rtol=4 / gap * 2.3e-16)
