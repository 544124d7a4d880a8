"""Laws of accelerated EM: the same optima as plain EM, in fewer passes, and as monotone."""

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
    covering,
    every_structure,
    iris_from_labels,
    matrix_or_diagonal,
    problem,
    random_structure,
    some_structures,
    tolerance,
)
from threadpoolctl import threadpool_limits

from gmmlab import (
    DegenerateError,
    Full,
    Mixture,
    datasets,
    diagnostics,
    fit,
    relative_floor,
    start,
)
from gmmlab.convergence.coordinates import Coordinates
from gmmlab.convergence.squarem import Extrapolation

ALL = frozenset(BLOCKS)
FREE = [
    frozenset(blocks) for size in (0, 1, 2, 3) for blocks in itertools.combinations(BLOCKS, size)
]


problems = st.builds(
    problem,
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 4),
    d=st.integers(1, 3),
    structure=st.sampled_from(STRUCTURES),
)


def accelerated(X, mixture, **settings):
    """Return the accelerated fit, also one that degenerates."""
    try:
        return fit(X, mixture, accelerate=True, **settings)
    except DegenerateError as error:
        return error.fit


def assert_same(one, other, rtol):
    np.testing.assert_allclose(one.weights, other.weights, rtol=rtol, atol=rtol)
    size = np.abs(other.means).max()
    np.testing.assert_allclose(one.means, other.means, atol=rtol * size)
    size = np.abs(other.covariance.values).max()
    np.testing.assert_allclose(one.covariance.values, other.covariance.values, atol=rtol * size)


def assert_bits(one, other):
    assert one.mixture.to_json() == other.mixture.to_json()
    assert one.n_iter == other.n_iter
    for name in one.trace:
        np.testing.assert_array_equal(one.trace[name], other.trace[name])


def flat(structure, seed=0, n=400):
    """A likelihood with a long flat ridge: overlapping components, and more than there are."""
    rng = np.random.default_rng(seed)
    X = datasets.random_mixture(n, 2, 2, separation=1.5, rng=rng).X
    return X, start.random_points(X, 3, rng, structure=structure)


# ---- monotone ----------------------------------------------------------------------------------


@given(problems, st.sampled_from(FREE), st.sampled_from([None, 0.05, 0.5]), st.booleans())
def test_the_log_likelihood_never_falls_whatever_is_free_floored_or_weighted(
    case, free, floor, weighted
):
    """Up to rounding, as of plain EM: 10⁻¹¹ of the size of what is summed."""
    X, mixture = case
    weight = np.random.default_rng(0).exponential(size=len(X)) if weighted else None
    settings = {"free": free, "floor": floor, "sample_weight": weight}
    result = accelerated(X, mixture, **settings, max_iter=150, tol=1e-10)
    values = result.trace["log_likelihood"]
    assert np.diff(values).min(initial=0) >= -1e-11 * (np.abs(values).max() + X.size)
    assert not diagnostics.falls(result)
    highest = values.max() - 1e-11 * (np.abs(values).max() + X.size)
    assert result.log_likelihood == values[-1]
    assert values[-1] >= highest or result.status == "not_increasing"


@given(problems, st.sampled_from(FREE), st.sampled_from([None, 0.05]))
def test_the_fit_is_a_proper_mixture_with_the_log_likelihood_it_says(case, free, floor):
    X, mixture = case
    end = accelerated(X, mixture, free=free, floor=floor, max_iter=150, tol=1e-10)
    found = end.mixture
    proper = Mixture(found.weights, found.means, type(found.covariance)(found.covariance.values))
    size = 1e-10 * (abs(end.log_likelihood) + X.size)
    assert proper.log_prob(X).sum() == pytest.approx(end.log_likelihood, abs=size)
    if floor is not None and "covariances" in free:
        assert np.linalg.eigvalsh(found.covariances).min() >= floor * (1 - 1e-12)


@given(problems, st.integers(0, 40))
def test_a_mixture_is_never_returned_that_has_collapsed(case, max_iter):
    """An extrapolation may lead there, and is not taken: EM looks before every step."""
    X, mixture = case
    X = np.append(X, X[:3] + 1e-7, axis=0)
    end = accelerated(X, mixture, max_iter=max_iter, tol=0).mixture
    whole = type(end.covariance)
    own = fit(X, Mixture([1.0], X.mean(0)[None], whole.unit(1, X.shape[1])), max_iter=1)
    assert end.covariance.relative_to(own.mixture.covariance).min() >= 1e-12


@given(problems, st.sampled_from(FREE))
def test_a_block_that_is_not_free_comes_back_bit_for_bit(case, free):
    X, mixture = case
    end = accelerated(X, mixture, free=free, max_iter=100, tol=1e-10).mixture
    if "weights" not in free:
        np.testing.assert_array_equal(end.weights, mixture.weights)
    if "means" not in free:
        np.testing.assert_array_equal(end.means, mixture.means)
    if "covariances" not in free:
        assert end.covariance == mixture.covariance


# ---- the same optima, sooner -------------------------------------------------------------------


@some_structures
@covering(free=[ALL, ALL - {"weights"}, {"means"}, {"covariances"}], weighted=[False, True])
def test_from_near_an_optimum_it_ends_in_the_optimum_of_plain_em(structure, free, weighted):
    """Both until a step gains less than 10⁻¹³: log-likelihoods agree to what remains."""
    X, mixture = problem(3, n=200, structure=structure)
    settings = {"free": free}
    if weighted:
        settings["sample_weight"] = np.random.default_rng(0).exponential(size=200)
    near = fit(X, mixture, tol=1e-5, max_iter=5000, **settings).mixture
    plain = fit(X, near, tol=1e-13, max_iter=50_000, **settings)
    fast = fit(X, near, tol=1e-13, max_iter=50_000, accelerate=True, **settings)
    assert plain.converged
    assert fast.converged
    remaining = tolerance(plain, fast)
    assert fast.log_likelihood == pytest.approx(plain.log_likelihood, abs=remaining)
    # log L is flat to second order: parameters agree to the root of what it agrees to.
    assert_same(fast.mixture, plain.mixture, 1e-4)


@iris_from_labels
def test_iris_from_the_species_labels(structure, log_likelihood):
    """R, mclust 6.0, tolerance 1e-14: models VII, VVI, EEE and VVV."""
    data = datasets.iris()
    mixture = start.from_labels(data.X, data.labels, structure=structure)
    result = fit(data.X, mixture, tol=1e-13, max_iter=10_000, accelerate=True)
    assert result.log_likelihood == pytest.approx(log_likelihood, abs=1e-8)


def slow_cases():
    """Random starts of Old Faithful and of overlapping clusters."""
    faithful = datasets.old_faithful().X
    for seed, structure in itertools.product(range(12), FOUR):
        yield (
            faithful,
            start.random_points(faithful, 3, np.random.default_rng(seed), structure=structure),
        )
    for seed, structure in itertools.product(range(6), FOUR):
        yield flat(structure, seed)


def test_where_plain_em_needs_300_passes_it_needs_a_third_of_them():
    """In the median, and without ending lower."""
    shares = []
    for X, mixture in slow_cases():
        try:
            plain = fit(X, mixture, tol=1e-8, max_iter=20_000)
        except DegenerateError:
            continue
        if plain.n_iter >= 300:
            fast = fit(X, mixture, tol=1e-8, max_iter=20_000, accelerate=True)
            shares.append(fast.n_iter / plain.n_iter)
            assert fast.log_likelihood >= plain.log_likelihood - 1e-3
    assert len(shares) >= 6
    assert max(shares) < 1
    assert np.median(shares) <= 1 / 3


def test_until_em_is_slow_it_is_plain_em():
    """No extrapolation while a step gains more than 10⁻³ in mean log-likelihood."""
    X, mixture = problem(2)
    plain = fit(X, mixture, tol=1e-3)
    fast = fit(X, mixture, tol=1e-3, accelerate=True)
    gains = np.diff(plain.trace["log_likelihood"]) / len(X)
    quick = 1 + int(np.argmax(gains <= 1e-3))
    for name in plain.trace:
        np.testing.assert_array_equal(fast.trace[name][:quick], plain.trace[name][:quick])


@some_structures
@pytest.mark.parametrize("seed", range(10))
def test_an_extrapolation_follows_two_slow_steps_of_em(structure, seed):
    """Consecutive ones: EM leaves a saddle slowly, then fast, and is slow again near an optimum."""
    rng = np.random.default_rng(0)
    X = datasets.random_mixture(90, 3, 2, separation=rng.uniform(1, 3), rng=rng).X + 5
    mixture = start.random_points(X, 3, np.random.default_rng([0, seed]), structure=structure)
    trace = accelerated(X, mixture, tol=1e-9, max_iter=300).trace
    gains = np.diff(trace["log_likelihood"], prepend=-np.inf) / len(X)
    slow = np.isfinite(trace["elbo_m_step"]) & (gains <= 1e-3)
    rows = np.flatnonzero(np.isnan(trace["elbo_m_step"][1:])) + 1
    assert len(rows)
    assert slow[rows - 1].all()
    assert slow[rows - 2].all()


def test_only_a_rejected_extrapolation_shortens_the_next(monkeypatch):
    """It leaves a gap in the numbers of the iterations."""
    rejected = []

    def reject(self, fits):
        rejected.extend(fits)
        original(self, fits)

    original = Extrapolation.reject
    monkeypatch.setattr(Extrapolation, "reject", reject)
    gaps = extrapolations = 0
    for seed in range(6):
        X, mixture = flat(Full, seed)
        trace = fit(X, mixture, tol=1e-9, max_iter=3000, accelerate=True).trace
        gaps += (np.diff(trace["iteration"]) == 2).sum()
        extrapolations += np.isnan(trace["elbo_m_step"][1:]).sum()
    assert 0 < gaps < extrapolations
    assert len(rejected) == gaps


# ---- iterations, tolerance, callback -----------------------------------------------------------


@covering(structure=STRUCTURES, max_iter=[0, 1, 2, 3, 7, 20, 30])
def test_there_are_at_most_max_iter_iterations_and_their_numbers_increase(structure, max_iter):
    X, mixture = flat(structure, 1)
    result = fit(X, mixture, max_iter=max_iter, tol=0, accelerate=True)
    numbers = result.trace["iteration"]
    assert result.status == "max_iter"
    assert result.n_iter == max_iter
    assert numbers[0] == 0
    assert numbers[-1] <= max_iter
    assert (np.diff(numbers) > 0).all()
    assert (np.diff(numbers) <= 2).all()  # a refused extrapolation leaves one number out
    if max_iter <= 2:
        np.testing.assert_array_equal(
            result.mixture.means, fit(X, mixture, max_iter=max_iter, tol=0).mixture.means
        )


def test_more_iterations_never_end_lower():
    """A fit of m iterations is the beginning of one of m + 1."""
    X, mixture = flat(Full, 1)
    ends = [fit(X, mixture, max_iter=m, tol=0, accelerate=True) for m in range(40)]
    values = [end.log_likelihood for end in ends]
    assert values == sorted(values)
    whole = dict(zip(ends[-1].trace["iteration"], ends[-1].trace["log_likelihood"], strict=True))
    assert all(end.log_likelihood == whole[end.trace["iteration"][-1]] for end in ends)


@covering(structure=STRUCTURES, tol=[1e-3, 1e-5, 1e-7])
def test_converged_means_that_the_last_em_step_gained_less_than_tol(structure, tol):
    """A tenth of it, since no longer step follows; so what remains is less than plain EM leaves."""
    X, mixture = flat(structure, 2)
    result = fit(X, mixture, tol=tol, max_iter=20_000, accelerate=True)
    gains = np.diff(result.trace["log_likelihood"]) / len(X)
    assert result.converged
    assert 0 <= gains[-1] + 1e-13 <= tol / 10 + 1e-13
    # The step that stops it is EM's own, from the row before: the bound says so.
    assert np.isfinite(result.trace["elbo_m_step"][-1])


def test_a_callback_sees_every_row_of_the_trace():
    X, mixture = flat(Full, 1)
    seen = []
    result = fit(
        X,
        mixture,
        tol=1e-8,
        max_iter=2000,
        accelerate=True,
        callback=lambda *row: seen.append(row),
    )
    numbers, mixtures, values = zip(*seen, strict=True)
    np.testing.assert_array_equal(numbers, result.trace["iteration"])
    np.testing.assert_array_equal(values, result.trace["log_likelihood"])
    assert mixtures[0] == mixture
    assert mixtures[-1] == result.mixture


def test_only_an_extrapolation_has_no_bound_from_an_m_step():
    """ELBO ≤ log-likelihood: at every other row the M-step's bound lies between two of them."""
    X, mixture = flat(Full, 1)
    trace = fit(X, mixture, tol=1e-8, max_iter=2000, accelerate=True).trace
    bound, values = trace["elbo_m_step"][1:], trace["log_likelihood"]
    extrapolated = np.isnan(bound)
    assert 0 < extrapolated.sum() < len(bound) / 2
    slack = 1e-11 * (np.abs(values).max() + X.size)
    assert (bound >= values[:-1] - slack)[~extrapolated].all()
    assert (bound <= values[1:] + slack)[~extrapolated].all()


@some_structures
def test_the_same_fit_has_the_same_bits_on_any_number_of_threads(structure):
    X, mixture = problem(5, k=4, d=3, n=3000, structure=structure)
    ends = []
    for threads in (1, 2, 2):
        with threadpool_limits(threads):
            ends.append(fit(X, mixture, max_iter=60, tol=1e-9, accelerate=True))
    assert_bits(ends[0], ends[1])
    assert_bits(ends[1], ends[2])
    assert pickle.loads(pickle.dumps(ends[0])).mixture.to_json() == ends[0].mixture.to_json()


# ---- with everything else that fit takes -------------------------------------------------------


@some_structures
def test_whole_weights_are_copies(structure):
    X, mixture = flat(structure, 1, n=150)
    copies = np.random.default_rng(0).integers(0, 4, size=150)
    settings = {"tol": 1e-13, "max_iter": 20_000, "accelerate": True}
    one = fit(X, mixture, sample_weight=copies, **settings)
    other = fit(np.repeat(X, copies, axis=0), mixture, **settings)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=tolerance(one, other))


@every_structure
def test_scaling_and_shifting_the_data_does_so_to_the_fit(structure):
    """Coordinates are in units of the covariances, so that α does not depend on the scale."""
    X, mixture = flat(structure, 1)
    scale, shift = 2.0**-10, 2.0**5  # exact
    other = Mixture(
        mixture.weights,
        mixture.means * scale + shift,
        structure(mixture.covariance.values * scale**2),
    )
    one = fit(X, mixture, max_iter=20, tol=0, accelerate=True).mixture
    two = fit(X * scale + shift, other, max_iter=20, tol=0, accelerate=True).mixture
    np.testing.assert_allclose(two.weights, one.weights, rtol=1e-6)
    np.testing.assert_allclose((two.means - shift) / scale, one.means, atol=1e-6)
    values = one.covariance.values
    np.testing.assert_allclose(two.covariance.values / scale**2, values, atol=1e-6 * values.max())


@some_structures
def test_with_missing_entries_the_optimum_is_that_of_plain_em(structure):
    X, mixture = problem(3, n=200, structure=structure)
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.15, np.nan, X)
    settings = {"missing": "marginalise", "max_iter": 20_000}
    near = fit(X, mixture, tol=1e-6, **settings).mixture
    plain = fit(X, near, tol=1e-12, **settings)
    fast = fit(X, near, tol=1e-12, accelerate=True, **settings)
    assert not diagnostics.falls(fast)
    assert fast.n_iter <= plain.n_iter
    assert fast.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)


@some_structures
def test_with_a_floor_the_optimum_under_it_is_that_of_plain_em(structure):
    """A floor that is felt: components sit on it."""
    X, mixture = problem(3, n=200, structure=structure)
    floor = relative_floor(X, 0.2)
    near = fit(X, mixture, floor=floor, tol=1e-6, max_iter=5000).mixture
    plain = fit(X, near, floor=floor, tol=1e-13, max_iter=20_000)
    fast = fit(X, near, floor=floor, tol=1e-13, max_iter=20_000, accelerate=True)
    assert fast.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-7)
    assert_same(fast.mixture, plain.mixture, 1e-3)
    np.testing.assert_array_equal(
        diagnostics.degenerate(fast.mixture, X, floor=floor),
        diagnostics.degenerate(plain.mixture, X, floor=floor),
    )


@some_structures
def test_with_a_small_ridge_the_fixed_point_is_that_of_plain_em(structure):
    X, mixture = problem(3, n=200, structure=structure)
    settings = {"ridge": 1e-6, "max_iter": 20_000}
    near = fit(X, mixture, tol=1e-6, **settings).mixture
    plain = fit(X, near, tol=1e-11, **settings)
    fast = fit(X, near, tol=1e-11, accelerate=True, **settings)
    assert plain.converged
    assert fast.converged
    assert fast.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-5)


@some_structures
def test_in_single_precision_it_ends_where_plain_em_does_to_single_precision(structure):
    X, mixture = problem(3, n=200, structure=structure)
    near = fit(X, mixture, tol=1e-5).mixture
    plain = fit(X.astype(np.float32), near, tol=1e-6, max_iter=2000)
    fast = fit(X.astype(np.float32), near, tol=1e-6, max_iter=2000, accelerate=True)
    assert fast.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-3)


# ---- degenerate fits ---------------------------------------------------------------------------


def collapsing(structure=Full):
    """Return data and a start that puts one component on a single sample."""
    X = np.random.default_rng(0).standard_normal((40, 2))
    values = structure.unit(2, 2).values.copy()
    values[1] *= 1e-4
    return X, Mixture([0.9, 0.1], [[0.0, 0.0], X[0]], structure(values))


@matrix_or_diagonal
def test_a_collapse_raises_and_the_error_holds_the_fit_of_plain_em(structure):
    X, mixture = collapsing(structure)
    errors = []
    for accelerate in (False, True):
        with pytest.raises(DegenerateError, match="component 1 has collapsed") as caught:
            fit(X, mixture, accelerate=accelerate)
        errors.append(caught.value)
    assert str(errors[0]) == str(errors[1])
    assert_bits(errors[0].fit, errors[1].fit)


@matrix_or_diagonal
def test_a_restart_goes_on_as_without_acceleration(structure):
    X, mixture = collapsing(structure)
    fresh = start.kmeans(X, 2, np.random.default_rng(1), structure=structure)
    ends = [
        fit(X, mixture, degenerate="restart", restart=iter([fresh]), accelerate=accelerate)
        for accelerate in (False, True)
    ]
    assert ends[0].converged
    assert "restarted" in " ".join(ends[1].trace["event"])
    assert_bits(*ends)
    with pytest.raises(DegenerateError, match="restart has no start left"):
        fit(X, mixture, degenerate="restart", restart=[], accelerate=True)


@matrix_or_diagonal
def test_a_floor_holds_the_component_up_as_without_acceleration(structure):
    X, mixture = collapsing(structure)
    settings = {"degenerate": "floor", "tol": 1e-12, "max_iter": 10_000}
    plain = fit(X, mixture, **settings)
    fast = fit(X, mixture, accelerate=True, **settings)
    assert fast.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)
    assert fast.trace["event"][-1] == plain.trace["event"][-1] == "floored: component 1"


def test_an_empty_component_is_kept_under_the_floor_policy():
    X = np.random.default_rng(0).standard_normal((60, 2))
    far = Mixture([0.5, 0.5], [[0, 0], [1e3, 1e3]], Full(np.stack([np.eye(2)] * 2)))
    plain = fit(X, far, degenerate="floor", tol=1e-9)
    fast = fit(X, far, degenerate="floor", tol=1e-9, accelerate=True)
    np.testing.assert_array_equal(fast.mixture.means[1], [1e3, 1e3])
    assert fast.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)


@given(problems, st.sampled_from(["raise", "floor"]))
def test_it_degenerates_only_where_plain_em_does_too(case, policy):
    """An extrapolation that leads to a collapse is no reason: EM begins again without."""
    X, mixture = case
    settings = {"degenerate": policy, "tol": 1e-7, "max_iter": 150}
    try:
        fit(X, mixture, accelerate=True, **settings)
    except DegenerateError as error:
        with pytest.raises(DegenerateError) as caught:
            fit(X, mixture, **settings)
        assert_bits(caught.value.fit, error.fit)


# ---- the extrapolation by itself ---------------------------------------------------------------


def proposed(extrapolation, mixture, new):
    """Return the extrapolation of a stack of one fit, or None."""
    stacks = (Mixture.stacked([each]) for each in (mixture, new))
    fits, farther = extrapolation.propose(*stacks, np.array([True]))
    assert fits.tolist() == ([] if farther is None else [0])
    return None if farther is None else farther.select(0)


def line(structure, free, seed=0):
    """Return coordinates about a mixture, and a direction in them of moderate length."""
    rng = np.random.default_rng(seed)
    mixture = start.random_points(rng.normal(size=(50, 2)), 3, rng, structure=structure)
    coordinates = Coordinates(mixture, frozenset(free))
    other = Mixture(
        rng.dirichlet(np.full(3, 9.0)),
        mixture.means + rng.normal(size=(3, 2)),
        random_structure(structure, rng, 3, 2),
    )
    return coordinates, 0.1 * coordinates.of(other)


@every_structure
@covering(free=[{"means"}, {"means", "weights"}, {"covariances"}, ALL], rate=[0.5, 0.9, 0.99, -0.5])
def test_on_a_linear_map_of_one_direction_it_lands_on_the_fixed_point(structure, free, rate):
    """θ₂ − θ* = λ² (θ₀ − θ*): r = (λ − 1)(θ₀ − θ*), v = (λ − 1) r, so α = 1 / |1 − λ|.

    (1 − α (1 − λ))² = 0 is what is left; for λ < 0, α < 1, and no longer step is taken.
    """
    coordinates, away = line(structure, free)
    extrapolation = Extrapolation(frozenset(free), 1)
    extrapolation.longest[:] = 1e6
    steps = [coordinates.mixture((1 - rate**n) * away) for n in range(3)]
    # θ₀ is the origin, θ* is `away`
    assert proposed(extrapolation, steps[0], steps[1]) is None
    found = proposed(extrapolation, steps[1], steps[2])
    if rate < 0:
        assert found is None
    else:
        np.testing.assert_allclose(coordinates.of(found), away, atol=1e-7)


@some_structures
def test_the_first_step_is_no_longer_than_em_and_then_four_times_as_long(structure):
    """α at most 1, 4, 16, …: each cut to what is allowed (Varadhan and Roland 2008, section 7)."""
    coordinates, away = line(structure, ALL)
    extrapolation = Extrapolation(ALL, 1)
    rate = 0.999
    steps = [coordinates.mixture((1 - rate**n) * away) for n in range(3)]
    for alpha in (1, 4, 16, 64):
        assert proposed(extrapolation, steps[0], steps[1]) is None
        found = proposed(extrapolation, steps[1], steps[2])
        if alpha == 1:
            assert found is None
            continue
        wanted = (1 - (1 - alpha * (1 - rate)) ** 2) * away
        np.testing.assert_allclose(coordinates.of(found), wanted, atol=1e-8)


def test_a_refusal_shortens_the_next_step():
    coordinates, away = line(Full, ALL)
    extrapolation = Extrapolation(ALL, 1)
    steps = [coordinates.mixture((1 - 0.999**n) * away) for n in range(3)]

    def length():
        proposed(extrapolation, steps[0], steps[1])
        found = proposed(extrapolation, steps[1], steps[2])
        return 0.0 if found is None else np.linalg.norm(coordinates.of(found))

    lengths = [length() for _ in range(3)]
    assert lengths == sorted(lengths)
    for _ in range(2):
        extrapolation.reject(np.array([0]))
    assert length() == pytest.approx(lengths[1])
    for _ in range(9):
        extrapolation.reject(np.array([0]))
    assert extrapolation.longest == 1


def test_steps_without_a_bend_are_lengthened_and_steps_of_0_are_not():
    """v = 0: the ratio is infinite, and what is allowed is taken; r = 0 stays where it is."""
    coordinates, away = line(Full, {"means"})
    extrapolation = Extrapolation(frozenset({"means"}), 1)
    extrapolation.longest[:] = 4.0
    steps = [coordinates.mixture(n * away) for n in range(3)]
    proposed(extrapolation, steps[0], steps[1])
    found = coordinates.of(proposed(extrapolation, steps[1], steps[2]))
    np.testing.assert_allclose(found, 8 * away, rtol=1e-6, atol=1e-9)  # 2 α r
    still = coordinates.mixture(0 * away)
    proposed(extrapolation, still, still)
    with np.errstate(invalid="ignore"):  # 0 / 0; `fit` ignores it too
        found = proposed(extrapolation, still, still)
    assert found is None or np.abs(coordinates.of(found)).max() < 1e-12


@every_structure
def test_each_fit_of_a_stack_extrapolates_when_it_is_ready(structure):
    """Fits that are slow from different steps on: each proposes what it does alone."""
    rng = np.random.default_rng(0)
    paths, n_fits = [], 4
    for seed in range(n_fits):
        coordinates, away = line(structure, ALL, seed)
        paths.append([coordinates.mixture((1 - 0.99**n) * away) for n in range(9)])
    slow = np.arange(8)[:, None] >= np.array([0, 1, 2, 3])
    slow &= rng.random(slow.shape) < 0.9
    together = Extrapolation(ALL, n_fits)
    alone = [Extrapolation(ALL, 1) for _ in range(n_fits)]
    longer = 0
    for n in range(8):
        before, after = (Mixture.stacked([path[i] for path in paths]) for i in (n, n + 1))
        fits, farther = together.propose(before, after, slow[n])
        wanted = [
            each.propose(*(Mixture.stacked([path[i]]) for i in (n, n + 1)), slow[n, [number]])[1]
            for number, (each, path) in enumerate(zip(alone, paths, strict=True))
        ]
        assert fits.tolist() == [i for i, one in enumerate(wanted) if one is not None]
        for position, number in enumerate(fits):
            longer += 1
            assert_same(farther.select(position), wanted[number].select(0), 1e-9)
        refused = fits[::2]
        together.reject(refused)
        for number in refused:
            alone[number].reject(np.array([0]))
        np.testing.assert_array_equal(
            together.longest, np.concatenate([each.longest for each in alone])
        )
        if n == 5:  # a fit leaves the stack
            kept = [0, 2, 3]
            together = together.select(kept)
            paths, alone, slow = [paths[i] for i in kept], [alone[i] for i in kept], slow[:, kept]
    assert longer > 3
