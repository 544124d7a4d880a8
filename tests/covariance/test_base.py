"""Laws of all covariance structures: values, parameter counts, whitening, parts of features."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import scipy.linalg
from covariances import cases, moments_of_clouds, seeds
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    SHAPES,
    STRUCTURES,
    every_linear,
    every_shape,
    every_structure,
    in_moment_shape,
    random_structure,
)

import gmmlab
from gmmlab import VVE, Diagonal, Full, Mixture, Tied
from gmmlab.covariance import FOURTEEN, MatrixCovariance

# ---- names -------------------------------------------------------------------------------------


def test_every_structure_has_the_name_of_its_letters():
    assert gmmlab.VVV is Full
    for structure in FOURTEEN:
        assert getattr(gmmlab, structure.model) is structure
        assert gmmlab.covariance.STRUCTURES[structure.model] is structure
        assert gmmlab.covariance.STRUCTURES[structure.name] is structure
        assert issubclass(structure, MatrixCovariance) == (structure.model[2] != "I")


# ---- values ------------------------------------------------------------------------------------


@every_shape
def test_values_are_a_read_only_copy(structure):
    source = np.array(structure.unit(3, 2).values)
    covariance = structure(source)
    source *= 7
    np.testing.assert_array_equal(covariance.values, structure.unit(3, 2).values)
    with pytest.raises(ValueError, match="read-only"):
        covariance.values[...] = 7
    with pytest.raises(AttributeError):
        covariance.values = source


@pytest.mark.parametrize("structure", [*SHAPES, VVE])
def test_writing_into_a_result_changes_no_later_result(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 2)
    for method in (
        lambda c: c.dense(3, 2),
        lambda c: c.whiten(np.ones((3, 2, 1))),
        lambda c: c.colour(np.ones((3, 2, 1))),
        lambda c: c.log_det(2),
        lambda c: c.clipped(np.full(2, 1e-9))[0].values,
    ):
        first = np.array(method(covariance))
        result = method(covariance)
        if result.flags.writeable:
            result[...] = 7
        np.testing.assert_array_equal(method(covariance), first)
    whitening = covariance.whiten(np.broadcast_to(np.eye(2), (3, 2, 2)))
    precision = whitening.transpose(0, 2, 1) @ whitening
    np.testing.assert_allclose(
        precision, np.linalg.inv(covariance.dense(3, 2)), rtol=1e-10, atol=1e-12
    )


@every_structure
def test_copies_are_equal_and_read_only(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 3, 2)
    for again in (
        copy.copy(covariance),
        copy.deepcopy(covariance),
        pickle.loads(pickle.dumps(covariance)),
    ):
        assert again == covariance
        assert type(again) is structure
        assert not again.values.flags.writeable


@every_shape
def test_equal_structures_have_equal_hashes(structure):
    rng = np.random.default_rng(0)
    first, other = (random_structure(structure, rng, 3, 2) for _ in range(2))
    same = structure(first.values)
    assert same == first
    assert hash(same) == hash(first)
    assert first != other
    assert first != "full"


def test_signed_zeros_are_equal_and_have_equal_hashes():
    plus, minus = (Full([[[1.0, zero], [zero, 1.0]]]) for zero in (0.0, -0.0))
    assert plus == minus
    assert hash(plus) == hash(minus)


def test_different_structures_with_the_same_values_are_not_equal():
    values = [[2.0, 1.0], [1.0, 2.0]]
    assert Tied(values) != Diagonal(values)


@every_shape
def test_unit_is_the_identity(structure):
    identity = np.broadcast_to(np.eye(2), (3, 2, 2))
    np.testing.assert_array_equal(structure.unit(3, 2).dense(3, 2), identity)


@given(cases(), st.randoms(use_true_random=False))
def test_take_reorders_components(case, random):
    covariance, k, d, _ = case
    order = np.array(random.sample(range(k), k))
    expected = covariance.dense(k, d)[order]
    np.testing.assert_array_equal(covariance.take(order).dense(k, d), expected)


@every_shape
def test_one_component_may_be_taken_many_times(structure):
    covariance = random_structure(structure, np.random.default_rng(0), 1, 2)
    repeated = covariance.take(np.zeros(4, dtype=int))
    assert repeated.values.shape == structure.unit(4, 2).values.shape
    np.testing.assert_array_equal(repeated.dense(4, 2), np.tile(covariance.dense(1, 2), (4, 1, 1)))


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "values", "error"),
    [
        (gmmlab.EEV, "full", TypeError),
        (Diagonal, None, TypeError),
        (gmmlab.EII, [1j], TypeError),
        (Full, [["a", "b"]], TypeError),
        (Tied, [[1.0], [1.0, 2.0]], ValueError),
    ],
)
def test_values_that_are_not_an_array_of_numbers_are_refused(structure, values, error):
    with pytest.raises(error, match=f"{structure.__name__} values"):
        structure(values)


@pytest.mark.parametrize(
    ("structure", "bad"),
    [(Full, np.nan), (Tied, np.inf), (Diagonal, -np.inf), (gmmlab.EII, np.nan), (VVE, np.inf)],
)
def test_values_that_are_not_finite_are_refused(structure, bad):
    values = np.array(structure.unit(2, 2).values)
    values.flat[-1] = bad
    with pytest.raises(ValueError, match=f"{structure.__name__} values.*(NaN|infinity)"):
        structure(values)


@every_shape
def test_values_of_another_shape_are_refused(structure):
    for shape in [(), (0,), (2,), (0, 0), (2, 2), (0, 2, 2), (2, 2, 2), (1, 1, 1, 1)]:
        if shape != (2,) * len(structure.shape):
            with pytest.raises(ValueError, match=f"{structure.__name__} values must have shape"):
                structure(np.ones(shape))


# ---- counting ----------------------------------------------------------------------------------


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
def test_n_parameters_is_the_dimension_of_the_structure(structure):
    for k, d in [(1, 1), (1, 3), (3, 1), (3, 2), (2, 4)]:
        rng = np.random.default_rng(0)
        draws = [random_structure(structure, rng, k, d).dense(k, d).ravel() for _ in range(50)]
        assert structure.n_parameters(k, d) == np.linalg.matrix_rank(np.array(draws))


@pytest.mark.parametrize("structure", [s for s in STRUCTURES if s.model not in ("EVE", "VVE")])
def test_a_component_with_one_sample_fewer_than_needed_has_a_zero_variance(structure):
    """The other component has enough samples. EVE and VVE search for axes that are not generic."""
    for d in (1, 2, 4):
        needed = structure.samples_needed(d)
        rng = np.random.default_rng(d)
        other = moments_of_clouds(rng, 1, d)[1][0]
        for n in (needed, needed - 1):
            X = rng.normal(size=(n, d))
            own = (X - X.mean(axis=0)).T @ (X - X.mean(axis=0)) / n if n else np.zeros((d, d))
            moments = in_moment_shape(structure, np.stack([own, other]))
            estimate = structure.estimate(np.array([n, 50.0]), moments)
            smallest = np.linalg.eigvalsh(estimate.dense(2, d)[0])[0]
            if n:  # a component without samples has no estimate of its own
                assert (smallest > 1e-12) == (n == needed)


def test_samples_needed_by_common_axes_are_those_of_a_volume():
    assert [gmmlab.EVE.samples_needed(d) for d in (1, 4)] == [2, 2]
    assert [gmmlab.VVE.samples_needed(d) for d in (1, 4)] == [2, 2]


# ---- whitening ---------------------------------------------------------------------------------


@given(cases())
def test_whitening_makes_the_covariance_the_identity(case):
    """Σ = C Cᵀ (E1)."""
    covariance, k, d, _ = case
    whitening = covariance.whiten(np.broadcast_to(np.eye(d), (k, d, d)))
    whitened = whitening @ covariance.dense(k, d) @ whitening.transpose(0, 2, 1)
    np.testing.assert_allclose(whitened, np.broadcast_to(np.eye(d), (k, d, d)), atol=1e-10)


@given(cases())
def test_whiten_and_colour_are_inverse(case):
    covariance, k, d, rng = case
    residuals = rng.normal(size=(k, d, 7))
    whitened, coloured = covariance.whiten(residuals), covariance.colour(residuals)
    np.testing.assert_allclose(covariance.colour(whitened), residuals, atol=1e-10)
    np.testing.assert_allclose(covariance.whiten(coloured), residuals, atol=1e-10)


@given(cases())
def test_moments_of_whitened_residuals_are_whitened_moments(case):
    """(W1, W2), in both directions."""
    covariance, k, d, rng = case
    structure = type(covariance)
    residuals, r = rng.normal(size=(k, d, 9)), rng.uniform(size=(k, 9))
    moments = in_moment_shape(structure, np.einsum("kb,kib,kjb->kij", r, residuals, residuals))
    whitened = structure.moments.scatter(covariance.whiten(residuals), r)
    np.testing.assert_allclose(covariance.colour_moments(whitened), moments, atol=1e-9)
    np.testing.assert_allclose(covariance.whiten_moments(moments), whitened, rtol=1e-7, atol=1e-9)


@given(cases())
def test_log_det_is_that_of_the_dense_matrices(case):
    """(E1), its second half."""
    covariance, k, d, _ = case
    expected = np.linalg.slogdet(covariance.dense(k, d))[1]
    np.testing.assert_allclose(np.broadcast_to(covariance.log_det(d), k), expected, atol=1e-10)


def test_log_det_is_finite_where_the_determinant_underflows():
    d, small = 30, 1e-12
    assert np.linalg.det(small * np.eye(d)) == 0.0
    for structure in STRUCTURES:
        covariance = structure(small * structure.unit(1, d).values)
        np.testing.assert_allclose(covariance.log_det(d), d * np.log(small), rtol=1e-12)


@given(cases())
def test_trace_is_that_of_precision_times_moment(case):
    covariance, k, d, rng = case
    _, moments = moments_of_clouds(rng, k, d)
    expected = np.trace(np.linalg.inv(covariance.dense(k, d)) @ moments, axis1=1, axis2=2)
    actual = covariance.trace(in_moment_shape(type(covariance), moments))
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


@given(cases())
def test_precisions_are_the_inverse_matrices(case):
    covariance, k, d, _ = case
    expected = in_moment_shape(type(covariance), np.linalg.inv(covariance.dense(k, d)))
    precisions = np.broadcast_to(covariance.precisions, expected.shape)
    np.testing.assert_allclose(precisions, expected, rtol=1e-8, atol=1e-9)


@given(cases(), seeds)
def test_relative_to_is_the_smallest_generalised_eigenvalue(case, seed):
    covariance, k, d, _ = case
    reference = random_structure(type(covariance), np.random.default_rng(seed), 1, d)
    expected = [
        scipy.linalg.eigh(matrix, reference.dense(1, d)[0], eigvals_only=True)[0]
        for matrix in covariance.dense(k, d)
    ]
    actual = np.broadcast_to(covariance.relative_to(reference), k)
    np.testing.assert_allclose(actual, expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("structure", "bad"),
    [(s, 0.0) for s in SHAPES] + [(Full, -1e-20), (Diagonal, -1e-20), (Diagonal, np.nan)],
)
def test_singular_values_from_an_m_step_make_nan_and_no_warning(structure, bad):
    values = np.array(structure.unit(2, 2).values)
    values.flat[-1] = bad
    covariance = structure.unchecked(values)
    moments = in_moment_shape(structure, structure.unit(2, 2).dense(2, 2))
    for undefined in (
        covariance.whiten(np.ones((2, 2, 1))),
        covariance.log_det(2),
        covariance.trace(moments),
        covariance.precisions,
        covariance.chart(2).of(structure.unit(2, 2)),
    ):
        assert np.isnan(undefined[-1]).any()
        if len(undefined) == 2:  # the first component has a covariance of its own
            assert np.isfinite(undefined[0]).all() == (len(covariance.stack) == 2)


# ---- some of the features ----------------------------------------------------------------------


@given(cases(), seeds)
def test_marginal_is_rows_and_columns_of_the_dense_matrices(case, seed):
    covariance, k, d, _ = case
    some = np.random.default_rng(seed).permutation(d)[: max(1, d // 2)]
    expected = covariance.dense(k, d)[:, some[:, None], some]
    np.testing.assert_array_equal(covariance.marginal(some).dense(k, len(some)), expected)


@given(cases(), seeds)
def test_a_marginal_of_all_features_keeps_the_structure_and_the_others_are_valid(case, seed):
    covariance, _, d, _ = case
    order = np.random.default_rng(seed).permutation(d)
    assert type(covariance.marginal(order)) is type(covariance)
    part = covariance.marginal(order[: max(1, d // 2)])
    assert type(part)(part.values) == part


@given(cases(), seeds)
def test_given_is_the_regression_and_the_conditional_covariance(case, seed):
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


def test_units_far_from_one_are_allowed():
    units = np.array([1e-9, 1e9])
    correlated = np.array([[1.0, 0.9], [0.9, 1.0]]) * units[:, None] * units
    mixture = Mixture([1.0], [[0.0, 0.0]], Full([correlated]))
    smallest = mixture.covariance.moments.conditioning(mixture.covariance.stack)
    np.testing.assert_allclose(smallest, 0.1, rtol=1e-9)
