"""Laws of EM, oracles, statuses and the errors of `fit`, `e_step`, `m_step` and `elbo`."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    BLOCKS,
    FOUR,
    STRUCTURES,
    every_linear,
    every_one_of_four,
    every_structure,
    iris_from_labels,
    problem,
)
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture as SklearnMixture
from threadpoolctl import threadpool_limits

from gmmlab import (
    DegenerateError,
    Diagonal,
    Full,
    Mixture,
    Spherical,
    Tied,
    datasets,
    diagnostics,
    e_step,
    elbo,
    fit,
    m_step,
    relative_floor,
    start,
)

FREE = [
    set(blocks) for size in (1, 2, 3) for blocks in itertools.combinations(sorted(BLOCKS), size)
]


problems = st.builds(
    problem,
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 4),
    d=st.integers(1, 4),
    structure=st.sampled_from(STRUCTURES),
)


def traced(X, mixture, **settings):
    """Return the trace of a fit, also of one that degenerates."""
    try:
        return fit(X, mixture, **settings).trace
    except DegenerateError as error:
        return error.fit.trace


def rounding(values, X):
    return 1e-11 * (np.abs(values).max() + X.size)


def assert_same(one, other, rtol=1e-9, atol=1e-9):
    np.testing.assert_allclose(one.weights, other.weights, rtol=rtol, atol=atol)
    np.testing.assert_allclose(one.means, other.means, rtol=rtol, atol=atol)
    np.testing.assert_allclose(one.covariance.values, other.covariance.values, rtol=rtol, atol=atol)


# ---- monotonicity (A1): Bishop (2006), section 9.4 ---------------------------------------------


@given(problems, st.sampled_from(FREE), st.sampled_from([None, 0.05, 0.5]))
def test_log_likelihood_never_falls_whatever_is_free_or_floored(case, free, floor):
    X, mixture = case
    trace = traced(X, mixture, free=free, floor=floor, max_iter=60, tol=1e-9)
    log_likelihood = trace["log_likelihood"]
    assert (np.diff(log_likelihood) >= -rounding(log_likelihood, X)).all()


@given(problems, st.sampled_from(FREE), st.sampled_from([None, 0.05]))
def test_elbo_is_tight_after_the_e_step_and_never_falls_in_the_m_step(case, free, floor):
    """(A1, B7)."""
    X, mixture = case
    trace = traced(X, mixture, free=free, floor=floor, max_iter=30, tol=1e-9)
    log_likelihood, after_m = trace["log_likelihood"], trace["elbo_m_step"]
    slack = rounding(log_likelihood, X)
    np.testing.assert_allclose(trace["elbo_e_step"], log_likelihood, atol=slack)
    assert (after_m[1:] >= log_likelihood[:-1] - slack).all()
    assert (after_m[1:] <= log_likelihood[1:] + slack).all()


@given(problems)
def test_a_fixed_mean_with_a_free_covariance_never_lowers_the_log_likelihood(case):
    """(K2): Σ about the old mean is right when that mean is fixed."""
    X, mixture = case
    new = m_step(X, e_step(X, mixture)[0], mixture, free={"covariances"})
    before, after = mixture.log_prob(X).sum(), new.log_prob(X).sum()
    assert after >= before - rounding(np.array([before]), X)


# ---- the steps: Bishop (2006), equations 9.23 to 9.26 and 9.40 ---------------------------------


@given(problems)
def test_e_step_is_bayes_rule_on_scipys_densities(case):
    """(E2): equation 9.23."""
    X, mixture = case
    joint = np.stack(
        [
            weight * multivariate_normal(mean, covariance).pdf(X)
            for weight, mean, covariance in zip(
                mixture.weights, mixture.means, mixture.covariances, strict=True
            )
        ],
        axis=1,
    )
    responsibilities, log_densities = e_step(X, mixture)
    np.testing.assert_allclose(responsibilities, joint / joint.sum(1, keepdims=True), atol=1e-10)
    np.testing.assert_allclose(log_densities, np.log(joint.sum(axis=1)), rtol=1e-10, atol=1e-10)


@given(problems.filter(lambda case: isinstance(case[1].covariance, FOUR)))
def test_m_step_is_the_weighted_moments(case):
    """(M1, M2, M4): equations 9.24 to 9.26, and their other forms (S1 to S3)."""
    X, mixture = case
    r = e_step(X, mixture)[0]
    new = m_step(X, r, mixture)
    counts = r.sum(axis=0)
    means = r.T @ X / counts[:, None]
    moments = np.stack([np.cov(X.T, aweights=column, ddof=0) for column in r.T])
    moments = moments.reshape(len(counts), X.shape[1], X.shape[1])
    expected = {
        Full: lambda: moments,
        Tied: lambda: np.average(moments, axis=0, weights=counts),
        Diagonal: lambda: np.diagonal(moments, axis1=1, axis2=2),
        Spherical: lambda: np.trace(moments, axis1=1, axis2=2) / X.shape[1],
    }[type(mixture.covariance)]()
    np.testing.assert_allclose(new.weights, counts / len(X), atol=1e-12)
    np.testing.assert_allclose(new.means, means, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(new.covariance.values, expected, rtol=1e-9, atol=1e-10)


@given(problems, st.sampled_from(FREE))
def test_one_iteration_of_fit_is_an_e_step_then_an_m_step(case, free):
    X, mixture = case
    try:
        one = fit(X, mixture, free=free, max_iter=1, tol=0).mixture
    except DegenerateError:
        return
    assert_same(one, m_step(X, e_step(X, mixture)[0], mixture, free=free), 1e-12, 1e-12)


@given(problems)
def test_elbo_laid_open_equals_the_trace(case):
    """(B4, W5): equation 9.40 plus the entropy; the bound before the E-step too."""
    X, mixture = case
    r = e_step(X, mixture)[0]
    trace = traced(X, mixture, max_iter=1, tol=0)
    tight = elbo(X, r, mixture)
    slack = 1e-10 * (abs(tight.total) + X.size)
    assert tight.total == pytest.approx(mixture.log_prob(X).sum(), abs=slack)
    assert trace["expected_log_joint"][0] == pytest.approx(tight.expected_log_joint, abs=slack)
    assert trace["entropy"][0] == pytest.approx(tight.entropy, abs=slack)
    if len(trace["iteration"]) > 1:
        new = m_step(X, r, mixture)
        assert trace["elbo_m_step"][1] == pytest.approx(elbo(X, r, new).total, abs=slack)


def test_elbo_of_other_responsibilities_is_lower_by_their_divergence():
    """(B5), Bishop equations 9.70 to 9.72: log p(X) = ELBO + Σᵢ KL(rᵢ ‖ p(component|xᵢ))."""
    X, mixture = problem(0)
    other = np.random.default_rng(0).dirichlet(np.ones(3), size=len(X))
    posterior, log_densities = e_step(X, mixture)
    divergence = (other * np.log(other / posterior)).sum()
    assert elbo(X, other, mixture).total == pytest.approx(log_densities.sum() - divergence)


def test_hard_responsibilities_have_no_entropy():
    """(B3)."""
    X, mixture = problem(0)
    assert elbo(X, np.eye(3)[mixture.predict(X)], mixture).entropy == 0


def test_the_whole_is_the_sum_of_its_blocks():
    """More samples than a block holds: the direct formula on all of them at once."""
    X, mixture = problem(3, n=20_000)
    one = fit(X, mixture, max_iter=1, tol=0)
    r = e_step(X, mixture)[0]
    np.testing.assert_allclose(one.mixture.means, r.T @ X / r.sum(0)[:, None], rtol=1e-11)
    assert one.trace["log_likelihood"][0] == pytest.approx(mixture.log_prob(X).sum(), rel=1e-13)


# ---- invariances -------------------------------------------------------------------------------


def moved(mixture, A, b):
    """Return the mixture of A x + b."""
    covariance = mixture.covariance
    if isinstance(covariance, Full | Tied):
        values = A @ covariance.values @ A.T
    else:  # a multiple of the identity
        values = covariance.values * A[0, 0] ** 2
    return Mixture(mixture.weights, mixture.means @ A.T + b, type(covariance)(values))


def assert_equivariant(X, mixture, A, b, atol=1e-9):
    try:
        ours = fit(X, mixture, max_iter=5, tol=0)
    except DegenerateError:
        return
    other = fit(X @ A.T + b, moved(mixture, A, b), max_iter=5, tol=0)
    wanted = moved(ours.mixture, A, b)
    size = np.abs(wanted.covariance.values).max()
    np.testing.assert_allclose(other.mixture.weights, wanted.weights, atol=atol)
    np.testing.assert_allclose(
        other.mixture.means, wanted.means, rtol=1e-13, atol=atol * np.sqrt(size)
    )
    np.testing.assert_allclose(
        other.mixture.covariance.values, wanted.covariance.values, atol=atol * size
    )
    change = len(X) * np.linalg.slogdet(A)[1]
    assert other.log_likelihood == pytest.approx(
        ours.log_likelihood - change, abs=1e-7 * len(X), rel=1e-9
    )


@given(problems, st.floats(-1e3, 1e3))
def test_shifting_the_data_shifts_the_fit(case, shift):
    """(W3)."""
    X, mixture = case
    assert_equivariant(X, mixture, np.eye(X.shape[1]), shift)


@given(problems, st.floats(-6, 6))
def test_scaling_the_data_scales_the_fit(case, power):
    """(W3)."""
    X, mixture = case
    assert_equivariant(X, mixture, 10.0**power * np.eye(X.shape[1]), 0.0)


@given(problems.filter(lambda case: isinstance(case[1].covariance, Full | Tied)), st.integers(0))
def test_rotating_and_stretching_the_data_does_so_to_the_fit(case, seed):
    X, mixture = case
    rng = np.random.default_rng(seed)
    A = np.linalg.cholesky(datasets.random_covariance(X.shape[1], rng, condition=100))
    assert_equivariant(X, mixture, A, rng.standard_normal(X.shape[1]))


@every_structure
def test_a_shift_of_a_hundred_million_costs_only_the_digits_of_the_data(structure):
    X, mixture = problem(1, structure=structure)
    X = np.round(X * 2**8) / 2**8  # so that the shifted data are exact too
    assert_equivariant(X, mixture, np.eye(2), 2.0**27, atol=1e-6)


@given(problems, st.randoms(use_true_random=False))
def test_relabelling_the_components_relabels_the_fit(case, random):
    X, mixture = case
    order = np.array(random.sample(range(mixture.n_components), mixture.n_components))
    relabelled = Mixture(
        mixture.weights[order], mixture.means[order], mixture.covariance.take(order)
    )
    try:
        ours = fit(X, mixture, max_iter=5, tol=0).mixture
    except DegenerateError:
        return
    other = fit(X, relabelled, max_iter=5, tol=0).mixture
    wanted = Mixture(ours.weights[order], ours.means[order], ours.covariance.take(order))
    assert_same(other, wanted)


@given(problems)
def test_samples_in_another_order_or_twice_give_the_same_fit(case):
    """Repeating every row doubles the log-likelihood and changes nothing else."""
    X, mixture = case
    try:
        ours = fit(X, mixture, max_iter=5, tol=0)
    except DegenerateError:
        return
    twice = fit(np.concatenate([X, X[::-1]]), mixture, max_iter=5, tol=0)
    assert_same(twice.mixture, ours.mixture)
    assert twice.log_likelihood == pytest.approx(2 * ours.log_likelihood, rel=1e-10, abs=1e-8)


@given(problems, st.sampled_from(FREE))
def test_a_block_that_is_not_free_comes_back_bit_for_bit(case, free):
    """(K1)."""
    X, mixture = case
    end = fit(X, mixture, free=free, max_iter=3, tol=0, degenerate="floor", floor=1e-12).mixture
    if "weights" not in free:
        assert np.array_equal(end.weights, mixture.weights)
    if "means" not in free:
        assert np.array_equal(end.means, mixture.means)
    if "covariances" not in free:
        assert end.covariance == mixture.covariance


def test_the_start_is_not_written_into():
    """An M-step that writes into what it was given changes "known" parameters."""
    X, mixture = problem(0)
    before = mixture.to_json()
    fit(X, mixture)
    assert mixture.to_json() == before


@every_structure
def test_bits_do_not_depend_on_the_number_of_threads(structure):
    X, mixture = problem(5, k=4, d=6, n=3000, structure=structure)
    ends = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            ends.append(fit(X, mixture, max_iter=20, tol=0))
    assert ends[0].mixture.to_json() == ends[1].mixture.to_json()
    assert ends[0].log_likelihood == ends[1].log_likelihood


# ---- closed forms and oracles ------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_one_component_is_the_sample_mean_and_covariance_after_one_iteration(seed, d):
    X = np.random.default_rng(seed).standard_normal((50, d)) @ np.diag(np.arange(1, d + 1)) + 7
    result = fit(X, Mixture([1.0], np.zeros((1, d)), Full(np.eye(d)[None])), max_iter=1, tol=0)
    np.testing.assert_allclose(result.mixture.means[0], X.mean(axis=0), rtol=1e-12)
    covariance = np.cov(X.T, ddof=0).reshape(d, d)
    np.testing.assert_allclose(result.mixture.covariances[0], covariance, rtol=1e-10, atol=1e-12)
    direct = -len(X) / 2 * (d * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + d)
    assert result.log_likelihood == pytest.approx(direct, rel=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@every_one_of_four
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn_from_the_same_start(structure, seed):
    X, mixture = problem(seed, n=400, structure=structure)
    theirs = SklearnMixture(
        3,
        covariance_type=structure.name,
        weights_init=mixture.weights,
        means_init=mixture.means,
        precisions_init=mixture.covariance.precisions.reshape(mixture.covariance.values.shape),
        reg_covar=0,
        tol=0,
        max_iter=30,
        init_params="random_from_data",
    ).fit(X)
    ours = fit(X, mixture, tol=0, max_iter=30)
    np.testing.assert_allclose(ours.mixture.weights, theirs.weights_, rtol=1e-10)
    np.testing.assert_allclose(ours.mixture.means, theirs.means_, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        ours.mixture.covariance.values, theirs.covariances_, rtol=1e-9, atol=1e-10
    )
    assert ours.mean_log_likelihood == pytest.approx(theirs.score(X), rel=1e-10)


@iris_from_labels
def test_iris_from_the_species_labels(structure, log_likelihood):
    """R, mclust 6.0, tolerance 1e-14: models VII, VVI, EEE and VVV."""
    data = datasets.iris()
    mixture = start.from_labels(data.X, data.labels, structure=structure)
    result = fit(data.X, mixture, tol=1e-13, max_iter=10_000)
    assert result.log_likelihood == pytest.approx(log_likelihood, abs=1e-8)


def test_old_faithful_with_two_components():
    """R, mclust 6.0, tolerance 1e-14."""
    X = datasets.old_faithful().X
    result = fit(X, start.from_labels(X, X[:, 1] > 68), tol=1e-14, max_iter=10_000)
    assert result.log_likelihood == pytest.approx(-1130.2639601847, abs=1e-9)
    assert result.mixture.weights.min() == pytest.approx(0.35587285893730, abs=1e-7)


def waiting_times():
    X = datasets.old_faithful().X[:, [1]]
    return X, start.from_labels(X, (X > 68).ravel())


def test_waiting_times_with_two_components():
    """R, mixtools 2.0, tolerance 1e-14."""
    X, mixture = waiting_times()
    result = fit(X, mixture, tol=1e-14, max_iter=10_000)
    assert result.log_likelihood == pytest.approx(-1034.0017498316, abs=1e-9)
    np.testing.assert_allclose(result.mixture.means.ravel(), [54.614858, 80.091070], atol=1e-5)
    np.testing.assert_allclose(
        result.mixture.covariances.ravel(), [34.471231, 34.430297], atol=1e-4
    )


def test_waiting_times_with_known_standard_deviations():
    """R, mixtools 2.0, tolerance 1e-14: means and weights are free, both deviations are 6."""
    X, mixture = waiting_times()
    known = Mixture(mixture.weights, mixture.means, Full(np.full((2, 1, 1), 36.0)))
    result = fit(X, known, free={"weights", "means"}, tol=1e-14, max_iter=10_000)
    assert result.log_likelihood == pytest.approx(-1034.11386787, abs=1e-7)
    assert result.mixture.weights[0] == pytest.approx(0.360372459327, abs=1e-7)
    np.testing.assert_allclose(
        result.mixture.means.ravel(), [54.6088046242, 80.0740219571], atol=1e-5
    )
    assert result.n_parameters == 3


# ---- arithmetic at its edges ---------------------------------------------------------------


def test_a_mean_that_moves_far_in_one_step_keeps_its_digits():
    """Vₖ − mₖ mₖᵀ would cancel: the second pass about the new mean saves the covariance."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 2)) * [1.0, 1e-3] + 5
    far = Mixture([0.5, 0.5], [[-1e5, 0], [-1e5, 1]], Full(np.tile(np.eye(2), (2, 1, 1))))
    half = np.full((200, 2), 0.5)
    new = m_step(X, half, far)
    np.testing.assert_allclose(new.covariances[0], np.cov(X.T, ddof=0), rtol=1e-9)


def test_a_sample_very_far_from_every_mean_has_responsibilities():
    """(E5): densities that are 0/0."""
    _, mixture = problem(0)
    responsibilities, log_densities = e_step([[1e6, -1e6]], mixture)
    assert responsibilities.sum() == pytest.approx(1)
    assert np.isfinite(log_densities).all()


# ---- statuses and policies ---------------------------------------------------------------------


def test_no_iterations_return_the_start_and_its_log_likelihood():
    X, mixture = problem(0)
    result = fit(X, mixture, max_iter=0)
    assert result.mixture == mixture
    assert result.status == "max_iter"
    assert result.n_iter == 0
    assert result.log_likelihood == pytest.approx(mixture.log_prob(X).sum())


def test_log_likelihood_is_that_of_the_returned_parameters():
    """Not of the step before."""
    X, mixture = problem(2)
    for max_iter in (1, 2, 1000):
        result = fit(X, mixture, max_iter=max_iter)
        assert result.log_likelihood == pytest.approx(result.mixture.log_prob(X).sum(), rel=1e-12)


def test_converged_means_that_the_last_gain_was_within_tol():
    X, mixture = problem(2)
    result = fit(X, mixture, tol=1e-5)
    gains = np.diff(result.trace["log_likelihood"]) / len(X)
    assert result.converged
    assert result.status == "converged"
    assert gains[-1] <= 1e-5 < gains[-2]
    assert len(gains) == result.n_iter


def test_out_of_iterations_says_what_to_do():
    X, mixture = problem(2)
    result = fit(X, mixture, max_iter=2, tol=1e-12)
    assert result.status == "max_iter"
    assert not result.converged
    assert "max_iter" in result.message
    assert result.n_iter == 2


def test_a_fit_goes_on_where_it_stopped():
    X, mixture = problem(2)
    halfway = fit(X, mixture, max_iter=7, tol=0)
    assert_same(
        fit(X, halfway.mixture, max_iter=5, tol=0).mixture,
        fit(X, mixture, max_iter=12, tol=0).mixture,
        rtol=1e-13,
    )


def collapsing():
    """Return data and a start that puts one component on a single sample."""
    X = np.random.default_rng(0).standard_normal((40, 2))
    values = np.stack([np.eye(2), 1e-4 * np.eye(2)])
    return X, Mixture([0.9, 0.1], [[0.0, 0.0], X[0]], Full(values))


def test_a_collapsing_component_raises_and_the_error_holds_the_fit():
    X, mixture = collapsing()
    with pytest.raises(DegenerateError, match="component 1 has collapsed") as caught:
        fit(X, mixture)
    result = caught.value.fit
    assert result.status == "degenerate"
    assert result.message == str(caught.value)
    assert result.log_likelihood == pytest.approx(result.mixture.log_prob(X).sum())
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), DegenerateError)


@every_one_of_four
@pytest.mark.parametrize("place", [0.0, 0.1, 1e3])
def test_a_component_on_copies_of_one_sample_collapses_without_a_warning(structure, place):
    """Its variance comes out as 0, or by rounding below."""
    rng = np.random.default_rng(0)
    X = place + np.concatenate([np.zeros((20, 2)), rng.standard_normal((50, 2)) + 3])
    values = {
        Full: [1e-3 * np.eye(2), np.eye(2)],
        Tied: np.eye(2),
        Diagonal: [[1e-3, 1e-3], [1, 1]],
        Spherical: [1e-3, 1],
    }
    means = place + np.array([[0, 0], [3, 3]])
    mixture = Mixture([0.5, 0.5], means, structure(values[structure]))
    if structure is Tied:  # the other component lends its spread
        assert fit(X, mixture).converged
    else:
        with pytest.raises(DegenerateError, match="component 0 has collapsed"):
            fit(X, mixture)
        assert fit(X, mixture, degenerate="floor").converged


def test_the_floor_holds_a_collapsing_component_and_says_so():
    X, mixture = collapsing()
    result = fit(X, mixture, degenerate="floor", tol=1e-9)
    floor = relative_floor(X)
    scaled = result.mixture.covariances / np.sqrt(floor[:, None] * floor[None, :])
    assert np.linalg.eigvalsh(scaled).min() == pytest.approx(1, rel=1e-6)
    assert "floored: component 1" in result.trace["event"][-1]
    assert "component 1" in result.message
    assert not diagnostics.falls(result)


@pytest.mark.parametrize("fraction", [1e-6, 1e-8, 1e-10, 1e-12])
def test_rounding_in_a_nearly_singular_covariance_is_no_fall(fraction):
    data = datasets.separated_3d(rng=np.random.default_rng(0))  # one component is flat
    mixture = start.from_labels(data.X, data.labels)
    result = fit(data.X, mixture, floor=relative_floor(data.X, fraction), tol=1e-8)
    assert result.status == "converged"


def test_a_restart_goes_on_from_the_start_handed_in():
    X, mixture = collapsing()
    good = start.random_points(X, 2, np.random.default_rng(1))
    result = fit(X, mixture, degenerate="restart", restart=[good])
    alone = fit(X, good)
    assert result.mixture == alone.mixture
    assert sum(event.startswith("restarted") for event in result.trace["event"]) == 1
    assert not diagnostics.falls(result)


def test_restarts_that_run_out_raise():
    X, mixture = collapsing()
    with pytest.raises(DegenerateError, match="no start left"):
        fit(X, mixture, degenerate="restart", restart=[mixture])


def test_an_empty_component_raises_or_is_held():
    X = np.random.default_rng(0).standard_normal((40, 2))
    far = Mixture([0.5, 0.5], [[0, 0], [1e4, 1e4]], Full(np.tile(np.eye(2), (2, 1, 1))))
    with pytest.raises(DegenerateError, match="component 1 is empty"):
        fit(X, far)
    result = fit(X, far, degenerate="floor")
    assert np.array_equal(result.mixture.means[1], far.means[1])
    assert np.array_equal(result.mixture.covariances[1], far.covariances[1])
    assert (result.mixture.weights > 0).all()
    assert "component 1 is empty" in result.trace["event"][1]


@every_linear
def test_a_ridge_is_added_as_scikit_learn_adds_it(structure):
    X, mixture = problem(0, structure=structure)
    plain = fit(X, mixture, max_iter=1, tol=0).mixture.covariances
    ridged = fit(X, mixture, max_iter=1, tol=0, ridge=0.3).mixture.covariances
    np.testing.assert_allclose(ridged - plain, np.broadcast_to(0.3 * np.eye(2), plain.shape))


def test_the_callback_sees_every_iteration():
    X, mixture = problem(0)
    seen = []
    result = fit(X, mixture, callback=lambda *args: seen.append(args))
    assert [iteration for iteration, _, _ in seen] == list(range(result.n_iter + 1))
    assert seen[0][1] == mixture
    assert seen[-1][1] == result.mixture
    assert np.array_equal([value for *_, value in seen], result.trace["log_likelihood"])


def test_the_trace_is_a_table_of_what_happened():
    X, mixture = problem(0)
    result = fit(X, mixture)
    frame = result.trace.to_frame()
    assert len(frame) == result.n_iter + 1
    last = frame.iloc[-1]
    assert last["log_likelihood"] == result.log_likelihood
    assert last["smallest_weight"] == result.mixture.weights.min()
    eigenvalues = np.linalg.eigvalsh(result.mixture.covariances)
    assert last["smallest_eigenvalue"] == pytest.approx(eigenvalues.min())
    with pytest.raises(ValueError, match="read-only"):
        result.trace["log_likelihood"][0] = 0


def test_criteria_count_the_free_numbers_only():
    X, mixture = problem(0)
    result = fit(X, mixture, free={"means"})
    assert result.n_parameters == 6
    assert result.bic == pytest.approx(6 * np.log(len(X)) - 2 * result.log_likelihood)
    assert result.aic == pytest.approx(12 - 2 * result.log_likelihood)


# ---- errors ------------------------------------------------------------------------------------

GOOD_X, GOOD_START = problem(0)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.where(np.arange(240).reshape(120, 2) == 7, np.nan, 1.0), ValueError, "X contains NaN"),
        (np.where(np.arange(240).reshape(120, 2) == 7, np.inf, 1.0), ValueError, "X contains inf"),
        (np.empty((0, 2)), ValueError, "X must have at least one sample"),
        (np.zeros(5), ValueError, r"X must have two dimensions.*reshape"),
        (np.zeros((4, 2, 2)), ValueError, "X must have two dimensions"),
        ([["a", "b"]], TypeError, "X must be an array of real numbers"),
        ([[1j, 0]], TypeError, "X must be an array of real numbers"),
        ([[1.0, 2.0], [3.0]], ValueError, "X must be an array of numbers"),
        (GOOD_X[:2], ValueError, "X must have at least as many samples"),
        (GOOD_X[:, :1], ValueError, "start must have as many features as X"),
        (GOOD_X * [1, 0], ValueError, "X is constant in feature 1"),
        (GOOD_X[:, [0, 0]], ValueError, "X must span all of its 2 features"),
    ],
)
def test_bad_data_are_refused_by_name(X, error, message):
    with pytest.raises(error, match=message):
        fit(X, GOOD_START)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("free", {"mean"}, ValueError),
        ("free", "means", TypeError),
        ("free", 3, TypeError),
        ("tol", -1e-3, ValueError),
        ("tol", np.nan, ValueError),
        ("tol", "small", TypeError),
        ("max_iter", -1, ValueError),
        ("max_iter", 2.5, TypeError),
        ("max_iter", True, TypeError),
        ("floor", 0.0, ValueError),
        ("floor", [1.0, 2.0, 3.0], ValueError),
        ("floor", "low", TypeError),
        ("ridge", -1.0, ValueError),
        ("degenerate", "ignore", ValueError),
        ("degenerate", "restart", ValueError),
        ("restart", [GOOD_START], ValueError),
        ("start", GOOD_START.means, TypeError),
    ],
)
def test_bad_settings_are_refused_by_name(argument, value, error):
    arguments = {"X": GOOD_X, "start": GOOD_START} | {argument: value}
    with pytest.raises(error, match=argument):
        fit(**arguments)


def test_a_restart_of_another_shape_is_refused():
    X, mixture = collapsing()
    other = start.random_points(X, 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="restart must hold mixtures of the same shape"):
        fit(X, mixture, degenerate="restart", restart=[other])


@pytest.mark.parametrize("function", [elbo, m_step])
@pytest.mark.parametrize(
    "responsibilities",
    [
        np.ones((120, 3)),
        np.full((120, 2), 0.5),
        np.tile([1.5, -0.5, 0.0], (120, 1)),
        np.full((120, 3), np.nan),
    ],
)
def test_bad_responsibilities_are_refused_by_name(function, responsibilities):
    with pytest.raises(ValueError, match="responsibilities"):
        function(GOOD_X, responsibilities, GOOD_START)


def test_an_m_step_without_samples_for_a_component_is_refused():
    alone = np.eye(3)[np.zeros(120, int)]
    with pytest.raises(ValueError, match="component 1 is empty"):
        m_step(GOOD_X, alone, GOOD_START)


def test_steps_refuse_data_of_another_width():
    wide, half = np.zeros((2, 5)), np.full((2, 3), 1 / 3)
    for step in (
        lambda: e_step(wide, GOOD_START),
        lambda: m_step(wide, half, GOOD_START),
        lambda: elbo(wide, half, GOOD_START),
    ):
        with pytest.raises(ValueError, match="X must have 2 features"):
            step()


def test_a_covariance_that_the_ridge_is_too_small_for_is_degenerate():
    """1e-6 is nothing beside variances of 1e12: the sum is singular to working precision."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2)) * 1e6
    X[:50, 1] = X[:50, 0]
    mixture = start.from_labels(X, np.repeat([0, 1], 50))
    with pytest.raises(DegenerateError) as caught:
        fit(X, mixture, degenerate="floor", ridge=1e-6)
    assert np.isfinite(caught.value.fit.log_likelihood)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"callback": 3}, "callback"),
        ({"accelerate": "yes"}, "accelerate"),
        ({"accelerate": 1}, "accelerate"),
        ({"free": [["means"]]}, "free"),
    ],
)
def test_what_is_no_function_truth_value_or_block_is_refused_before_any_work(settings, name):
    with pytest.raises(TypeError, match=f"^{name} must"):
        fit(np.eye(4), start.from_labels(np.eye(4), [0, 0, 1, 1]), **settings)
