"""Reading a fit: agreement of labels, matching of components, falls, degenerate components."""

import itertools

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from problems import every_one_of_four, random_structure, some_structures
from scipy.stats import norm

from gmmlab import Diagonal, Fit, Full, Mixture, Spherical, Tied, diagnostics, fit
from gmmlab.engine import Samples
from gmmlab.result import Row, Trace

some = settings(max_examples=100, deadline=None)
few = settings(max_examples=40, deadline=None)


@st.composite
def labellings(draw, largest=4):
    """Draw two labellings of the same samples; some labels may not occur."""
    n = draw(st.integers(1, 30))
    largest_of_each = draw(st.tuples(*[st.integers(0, largest)] * 2))
    true, predicted = (
        draw(st.lists(st.integers(0, highest), min_size=n, max_size=n))
        for highest in largest_of_each
    )
    return np.array(true), np.array(predicted)


# ---- confusion ---------------------------------------------------------------------------


@some
@given(labellings())
def test_the_confusion_matrix_counts_every_pair_of_labels(labels):
    true, predicted = labels
    table = diagnostics.confusion(true, predicted)
    assert table.shape == (true.max() + 1, predicted.max() + 1)
    for i, j in np.ndindex(table.shape):
        assert table[i, j] == ((true == i) & (predicted == j)).sum()
    np.testing.assert_array_equal(diagnostics.confusion(predicted, true), table.T)


# ---- agreement of labels -----------------------------------------------------------------


@some
@given(labellings())
def test_accuracy_is_the_best_over_all_one_to_one_renamings(labels):
    true, predicted = labels
    best = max(
        (np.array(names)[predicted] == true).mean() for names in itertools.permutations(range(5))
    )
    assert diagnostics.accuracy(true, predicted) == pytest.approx(best, abs=1e-12)


@some
@given(labellings())
def test_matched_labels_agree_as_often_as_accuracy_says(labels):
    true, predicted = labels
    matched = diagnostics.match_labels(true, predicted)
    assert (matched == true).mean() == pytest.approx(diagnostics.accuracy(true, predicted))


@some
@given(labellings())
def test_matching_renames_labels_one_to_one(labels):
    true, predicted = labels
    matched = diagnostics.match_labels(true, predicted)
    pairs = set(zip(predicted.tolist(), matched.tolist(), strict=True))
    assert len(pairs) == len(np.unique(predicted)) == len(np.unique(matched))
    assert matched.min() >= 0


@some
@given(labellings(), st.permutations(range(5)))
def test_agreement_does_not_depend_on_the_names_of_labels(labels, names):
    true, predicted = labels
    renamed = np.array(names)[predicted]
    for measure in (diagnostics.accuracy, diagnostics.adjusted_rand_index):
        assert measure(true, renamed) == pytest.approx(measure(true, predicted), abs=1e-12)
        assert measure(true, np.array(names)[true]) == pytest.approx(1)


@some
@given(labellings(), st.permutations(range(5)))
def test_matching_undoes_a_renaming(labels, names):
    true, _ = labels
    np.testing.assert_array_equal(diagnostics.match_labels(true, np.array(names)[true]), true)


def test_labels_without_a_partner_get_numbers_above_the_true_labels():
    matched = diagnostics.match_labels([0, 0, 0, 1, 1], [3, 3, 0, 2, 1])
    assert matched[:2].tolist() == [0, 0]
    assert matched[2] >= 2
    assert sorted(matched[3:])[0] == 1
    assert sorted(matched[3:])[1] >= 2
    assert diagnostics.accuracy([0, 0, 0, 1, 1], [3, 3, 0, 2, 1]) == 0.6


def test_a_single_cluster_is_as_accurate_as_the_share_of_the_largest_class():
    true = np.repeat([0, 1, 2], [50, 30, 20])
    assert diagnostics.accuracy(true, np.zeros(100, int)) == 0.5
    assert diagnostics.adjusted_rand_index(true, np.zeros(100, int)) == 0


@some
@given(labellings())
def test_the_adjusted_rand_index_is_that_of_hubert_and_arabie(labels):
    true, predicted = labels
    table = diagnostics.confusion(true, predicted)

    def pairs(counts):
        return (counts * (counts - 1) / 2).sum()

    rows, columns, both = pairs(table.sum(axis=1)), pairs(table.sum(axis=0)), pairs(table)
    chance = rows * columns / max(pairs(np.array([len(true)])), 1)
    assume((rows + columns) / 2 != chance)
    expected = (both - chance) / ((rows + columns) / 2 - chance)
    index = diagnostics.adjusted_rand_index(true, predicted)
    assert index == pytest.approx(expected, abs=1e-12)
    assert index == sklearn.metrics.adjusted_rand_score(true, predicted)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ([], ValueError, "must be a non-empty 1-D array"),
        ([[0, 1]], ValueError, "must be a non-empty 1-D array"),
        (3, ValueError, "must be a non-empty 1-D array"),
        ([0.0, 1.0], TypeError, "must be integers"),
        ([0, np.nan], TypeError, "must be integers"),
        (["a", "b"], TypeError, "must be integers"),
        ([0, -1], ValueError, "must be non-negative; got -1"),
    ],
)
def test_labels_must_be_non_negative_integers(bad, error, message):
    with pytest.raises(error, match=f"true {message}"):
        diagnostics.confusion(bad, [0, 1])
    with pytest.raises(error, match=f"predicted {message}"):
        diagnostics.confusion([0, 1], bad)


@pytest.mark.parametrize(
    "measure",
    [
        diagnostics.confusion,
        diagnostics.match_labels,
        diagnostics.accuracy,
        diagnostics.adjusted_rand_index,
    ],
    ids=lambda f: f.__name__,
)
def test_both_labellings_must_have_the_same_length(measure):
    with pytest.raises(ValueError, match=r"predicted must have one entry per sample \(3\); got 2"):
        measure([0, 1, 1], [0, 1])


# ---- matching of components --------------------------------------------------------------


def mixture_at(means, variances=None):
    """Return a mixture with equal weights at given means."""
    means = np.asarray(means, float)
    k = len(means)
    variances = np.ones(k) if variances is None else variances
    return Mixture(np.full(k, 1 / k), means, Spherical(variances))


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 4))
def test_matched_components_have_the_least_total_squared_mahalanobis_distance(seed, k, m):
    rng = np.random.default_rng(seed)
    m = min(k, m)
    factors = rng.normal(size=(k, 2, 2))
    covariances = factors @ factors.swapaxes(1, 2) + 0.1 * np.eye(2)
    mixture = Mixture(np.full(k, 1 / k), rng.normal(size=(k, 2)), Full(covariances))
    means = rng.normal(size=(m, 2))

    def cost(order):
        residuals = means - mixture.means[list(order)]
        precisions = np.linalg.inv(covariances[list(order)])
        return np.einsum("mi,mij,mj->", residuals, precisions, residuals)

    order = diagnostics.match_components(mixture, means)
    best = min(cost(candidate) for candidate in itertools.permutations(range(k), m))
    assert len(set(order.tolist())) == m
    assert cost(order) == pytest.approx(best, rel=1e-9)


@few
@given(st.permutations(range(4)))
def test_matching_of_components_undoes_a_permutation(order):
    means = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0], [5.0, 5.0]])
    matched = diagnostics.match_components(mixture_at(means[order]), means + 0.3)
    np.testing.assert_array_equal(np.array(order)[matched], np.arange(4))


def test_matching_of_components_does_not_depend_on_units():
    # In the first feature the means are exchanged, in the second they are not.
    means, truth = np.array([[0.0, 0.0], [1.0, 3.0]]), np.array([[1.0, 0.0], [0.0, 3.0]])
    for unit in ([1, 1], [1e6, 1], [1, 1e6]):
        mixture = Mixture([0.5, 0.5], means * unit, Tied(np.diag(np.square(unit, dtype=float))))
        assert diagnostics.match_components(mixture, truth * unit).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("means", "error", "message"),
    [
        ([[0.0], [1.0], [2.0]], ValueError, r"means must have at most as many rows.*\(2\); got 3"),
        ([[0.0, 1.0]], ValueError, "means must have 1 features"),
        ([0.0, 1.0], ValueError, "means must have two dimensions"),
    ],
)
def test_errors_of_match_components_name_the_argument(means, error, message):
    with pytest.raises(error, match=message):
        diagnostics.match_components(mixture_at([[0.0], [1.0]]), means)
    with pytest.raises(TypeError, match="mixture must be a Mixture"):
        diagnostics.match_components(None, [[0.0]])


def bhattacharyya(first, second):
    """Return −log ∫ √(p q) of two normal densities, by a sum over a fine grid."""
    x = np.linspace(-60, 60, 200_001)
    product = norm(*first).pdf(x) * norm(*second).pdf(x)
    return -np.log(np.sqrt(product).sum() * (x[1] - x[0]))


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_matched_mixtures_have_the_least_total_bhattacharyya_distance(seed, k):
    rng = np.random.default_rng(seed)
    parameters = rng.normal(scale=2, size=(2, k)), rng.uniform(0.2, 3, size=(2, k))
    one, other = (
        Mixture(np.full(k, 1 / k), means[:, None], Spherical(deviations**2))
        for means, deviations in zip(*parameters, strict=True)
    )
    ours, theirs = (list(zip(*both, strict=True)) for both in zip(*parameters, strict=True))
    distance = np.array([[bhattacharyya(mine, wanted) for mine in ours] for wanted in theirs])
    totals = {order: distance[range(k), order].sum() for order in itertools.permutations(range(k))}
    found = tuple(diagnostics.match_mixtures(one, other))
    assert totals[found] == pytest.approx(min(totals.values()), abs=1e-6)


@some_structures
def test_matching_of_mixtures_undoes_a_permutation(structure):
    """Components with a shared covariance differ in their means; others in both."""
    rng = np.random.default_rng(0)
    mixture = Mixture(
        [0.2, 0.5, 0.3], rng.normal(size=(3, 2)), random_structure(structure, rng, 3, 2)
    )
    for order in itertools.permutations(range(3)):
        back = diagnostics.match_mixtures(mixture.take(order), mixture)
        assert mixture.take(order).take(back) == mixture


@some_structures
@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 2), (8, 6)])
def test_a_stack_is_matched_as_its_members_are_alone(structure, k, d):
    """Some in the order of the reference, some in another, and some without a clear one."""
    rng = np.random.default_rng(k)
    reference, *mixtures = (
        Mixture(np.full(k, 1 / k), rng.normal(size=(k, d)), random_structure(structure, rng, k, d))
        for _ in range(300)
    )
    near = [
        Mixture(reference.weights, reference.means + 0.01 * i, reference.covariance).take(order)
        for i, order in enumerate([np.arange(k), rng.permutation(k)])
    ]
    mixtures += near
    found = diagnostics.match_many(Mixture.stacked(mixtures), reference)
    assert found.shape == (len(mixtures), k)
    for mixture, order in zip(mixtures, found, strict=True):
        np.testing.assert_array_equal(diagnostics.match_mixtures(mixture, reference), order)


@some_structures
@pytest.mark.parametrize("factor", [0.0, np.nan, np.inf])
def test_a_degenerate_mixture_is_matched_to_some_order_and_harms_no_other(structure, factor):
    rng = np.random.default_rng(0)
    reference, *mixtures = (
        Mixture([0.2, 0.5, 0.3], rng.normal(size=(3, 2)), random_structure(structure, rng, 3, 2))
        for _ in range(4)
    )
    one = mixtures[1]
    broken = one.covariance.unchecked(factor * one.covariance.values)
    mixtures.insert(1, Mixture.unchecked(one.weights, factor * one.means, broken))
    found = diagnostics.match_many(Mixture.stacked(mixtures), reference)
    assert sorted(found[1]) == [0, 1, 2]
    wanted = [diagnostics.match_mixtures(mixtures[i], reference) for i in (0, 2, 3)]
    np.testing.assert_array_equal(np.delete(found, 1, axis=0), wanted)


def test_errors_of_match_mixtures_name_the_argument():
    mixture = mixture_at([[0.0], [1.0]])
    with pytest.raises(TypeError, match="mixture must be a Mixture"):
        diagnostics.match_mixtures(None, mixture)
    with pytest.raises(TypeError, match="reference must be a Mixture"):
        diagnostics.match_mixtures(mixture, [[0.0]])
    with pytest.raises(
        ValueError, match=r"reference must have .* as mixture, \(2, 1\); got \(1, 1\)"
    ):
        diagnostics.match_mixtures(mixture, mixture_at([[0.0]]))


# ---- falls -------------------------------------------------------------------------------


def fit_with(values, events=None, n_samples=10):
    """Return a fit whose trace has these log-likelihoods."""
    events = events or [""] * len(values)
    rows = [
        Row(i, value, value, np.nan, value, 0.0, 1.0, 1.0, event)
        for i, (value, event) in enumerate(zip(values, events, strict=True))
    ]
    columns = zip(*rows, strict=True)
    return Fit(
        mixture=mixture_at([[0.0]]),
        status="converged",
        message="",
        n_iter=len(values) - 1,
        log_likelihood=values[-1],
        trace=Trace({name: np.array(c) for name, c in zip(Row._fields, columns, strict=True)}),
        n_samples=n_samples,
        free=frozenset({"means"}),
    )


@some
@given(st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=8))
def test_falls_list_where_and_by_how_much_the_log_likelihood_decreases(values):
    expected = [(i, a - b) for i, (a, b) in enumerate(itertools.pairwise(values), 1) if b < a]
    assert [tuple(fall) for fall in diagnostics.falls(fit_with(values))] == expected


def test_a_decrease_is_ignored_after_a_restart_but_not_after_other_events():
    values = [-5.0, -3.0, -9.0, -10.0]
    restarted = fit_with(values, ["", "", "restarted: component 0 is empty", ""])
    assert [fall.iteration for fall in diagnostics.falls(restarted)] == [3]
    floored = fit_with(values, ["", "", "floored: component 0", ""])
    assert [fall.iteration for fall in diagnostics.falls(floored)] == [2, 3]


@pytest.mark.parametrize("size", [1.0, 1e12])
def test_rounding_is_not_a_fall_at_any_scale(size):
    rounding = fit_with([-size, -size * (1 + 1e-13)], n_samples=1)
    assert diagnostics.falls(rounding) == []
    fallen = fit_with([-size, -size * (1 + 1e-9)], n_samples=1)
    assert len(diagnostics.falls(fallen)) == 1
    assert diagnostics.falls(fallen, relative=1e-8) == []


def test_em_has_no_falls_but_a_large_ridge_has():
    """(A1)."""
    X = np.random.default_rng(0).normal(size=(100, 2)) * [1, 0.1]
    start = Mixture([0.5, 0.5], X[:2], Full([np.diag([1, 0.01])] * 2))
    assert diagnostics.falls(fit(X, start)) == []
    assert diagnostics.falls(fit(X, start, ridge=1.0))[0].iteration == 1


@pytest.mark.parametrize(("relative", "error"), [(-1.0, ValueError), ("little", TypeError)])
def test_errors_of_falls_name_the_argument(relative, error):
    with pytest.raises(error, match="relative must be"):
        diagnostics.falls(fit_with([0.0]), relative=relative)
    for wrong in (None, [-1.0, -2.0], mixture_at([[0.0]])):
        with pytest.raises(TypeError, match="fit must be a Fit"):
            diagnostics.falls(wrong)


# ---- degenerate components ---------------------------------------------------------------


def two_clusters(d=2, n=40):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(n, d)), 20 + rng.normal(size=(n, d))])


def reasons(found):
    """Return (component, the word that characterises the reason) of each finding."""
    words = ("samples", "collapsed", "floor")
    return [(k, next(word for word in words if word in reason)) for k, reason in found]


@some_structures
def test_a_sound_fit_has_no_degenerate_component(structure):
    X = two_clusters()
    start = Mixture([0.5, 0.5], X[[0, -1]], structure.unit(2, 2))
    assert diagnostics.degenerate(fit(X, start).mixture, X, floor=1e-3) == []


@pytest.mark.parametrize(("structure", "d"), [(Full, 4), (Diagonal, 2), (Spherical, 4)])
def test_a_component_with_too_few_samples_is_listed(structure, d):
    needed = structure.samples_needed(d)
    for n, expected in ((needed, []), (needed - 1, [(1, "samples")])):
        X = np.concatenate(
            [two_clusters(d)[:40], 20 + np.random.default_rng(1).normal(size=(n, d))]
        )
        mixture = Mixture(
            [40 / (40 + n), n / (40 + n)], [np.zeros(d), np.full(d, 20)], structure.unit(2, d)
        )
        assert reasons(diagnostics.degenerate(mixture, X)) == expected


def test_a_component_with_a_shared_covariance_needs_a_single_sample():
    X = two_clusters()[:41]
    with_one = Mixture([40 / 41, 1 / 41], [[0, 0], [20, 20]], Tied(np.eye(2)))
    assert diagnostics.degenerate(with_one, X) == []
    assert reasons(diagnostics.degenerate(with_one, X[:40])) == [(1, "samples")]


@every_one_of_four
def test_a_collapsed_component_is_listed(structure):
    """(U1)."""
    X = two_clusters()
    thin = {
        Full: [np.eye(2), [[1, 1 - 1e-9], [1 - 1e-9, 1]]],
        Tied: [[1, 1 - 1e-9], [1 - 1e-9, 1]],
        Diagonal: [[1, 1], [1, 1e-8]],
        Spherical: [1, 1e-8],
    }
    mixture = Mixture([0.5, 0.5], [[0, 0], [20, 20]], structure(thin[structure]))
    collapsed = {k for k, reason in diagnostics.degenerate(mixture, X) if "collapsed" in reason}
    assert collapsed == ({0, 1} if structure is Tied else {1})


@pytest.mark.parametrize(
    ("structure", "unit"), [(Full, 1e-8), (Full, 1e8), (Tied, 1e8), (Diagonal, 1e-8)]
)
def test_collapse_does_not_depend_on_the_units_of_the_data(structure, unit):
    units = np.array([1, unit])
    X = two_clusters() * units
    means = np.array([[0, 0], [20, 20]]) * units
    covariances = {
        Full: np.array([np.diag(units**2)] * 2),
        Tied: np.diag(units**2),
        Diagonal: np.array([units**2] * 2),
    }[structure]
    sound = Mixture([0.5, 0.5], means, structure(covariances))
    collapsed = Mixture([0.5, 0.5], means, structure(1e-9 * covariances))
    assert diagnostics.degenerate(sound, X) == []
    assert {k for k, reason in diagnostics.degenerate(collapsed, X) if "collapsed" in reason} == {
        0,
        1,
    }


def test_thin_is_the_fraction_below_which_a_component_has_collapsed():
    X = np.array([[-1.0], [1.0]] * 10)  # of variance 1
    mixture = mixture_at([[0.0]], [0.01])
    assert diagnostics.degenerate(mixture, X, thin=0.0099) == []
    assert reasons(diagnostics.degenerate(mixture, X, thin=0.0101)) == [(0, "collapsed")]


@pytest.mark.parametrize(
    ("structure", "floor"),
    [(Full, 0.25), (Full, [0.25, 0.25]), (Tied, 0.25), (Diagonal, [0.25, 0.25]), (Spherical, 0.25)],
)
def test_a_component_on_the_floor_is_listed(structure, floor):
    on_floor = {
        Full: [np.eye(2), [[1, 0.75], [0.75, 1]]],
        Tied: [[1, 0.75], [0.75, 1]],
        Diagonal: [[1, 1], [0.25, 1]],
        Spherical: [1, 0.25],
    }
    mixture = Mixture([0.5, 0.5], [[0, 0], [20, 20]], structure(on_floor[structure]))
    expected = [(0, "floor"), (1, "floor")] if structure is Tied else [(1, "floor")]
    X = two_clusters()
    assert reasons(diagnostics.degenerate(mixture, X, floor=floor)) == expected
    assert diagnostics.degenerate(mixture, X, floor=np.multiply(floor, 0.99)) == []
    assert diagnostics.degenerate(mixture, X) == []


def test_a_component_is_listed_once_for_each_reason():
    X = np.append(np.random.default_rng(0).normal(size=30), 50.0)[:, None]
    start = Mixture([0.9, 0.1], [[0.0], [50.0]], Spherical([1.0, 1.0]))
    result = fit(X, start, floor=1e-8)
    found = diagnostics.degenerate(result.mixture, X, floor=1e-8)
    assert sorted(reasons(found)) == [(1, "collapsed"), (1, "floor"), (1, "samples")]
    assert all(isinstance(k, int) for k, _ in found)


def troubled(structure):
    """Return a sound mixture of two clusters, one with an empty and one with a thin component."""
    rng = np.random.default_rng(0)
    covariance = random_structure(structure, rng, 2, 2)
    thin = covariance.unchecked(1e-9 * covariance.values)
    means = np.array([[0.0, 0.0], [20.0, 20.0]])
    return [
        Mixture([0.5, 0.5], means, covariance),
        Mixture([0.5, 0.5], means + np.array([[0.0], [1e3]]), covariance),
        Mixture([0.5, 0.5], means, thin),
    ]


@some_structures
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("floor", [None, np.array([[1e-3] * 2, [1e3, 1e-3], [1e-12] * 2])])
def test_the_findings_of_a_stack_are_those_of_its_members_alone(structure, weighted, floor):
    X, mixtures = two_clusters(), troubled(structure)
    weight = np.random.default_rng(0).exponential(size=(3, len(X))) if weighted else None
    found = diagnostics.degenerate_many(
        Mixture.stacked(mixtures), Samples(X, weight, n_fits=3), floor=floor
    )
    wanted = [
        diagnostics.degenerate(
            mixture,
            X,
            floor=None if floor is None else floor[i],
            sample_weight=None if weight is None else weight[i],
        )
        for i, mixture in enumerate(mixtures)
    ]
    assert found == wanted
    assert [bool(findings) for findings in found] == [False, True, True] or floor is not None


@some_structures
def test_a_mixture_of_useless_numbers_is_degenerate_and_harms_no_other(structure):
    X, mixtures = two_clusters(), troubled(structure)
    wanted = [diagnostics.degenerate(mixture, X) for mixture in mixtures]
    one = mixtures[0]
    for factor in (0.0, -1.0, np.nan):
        values = factor * one.covariance.values
        broken = Mixture.unchecked(one.weights, one.means, one.covariance.unchecked(values))
        stack = Mixture.stacked([*mixtures[:1], broken, *mixtures[1:]])
        first, second, *rest = diagnostics.degenerate_many(stack, Samples(X))
        assert [first, *rest] == wanted
        assert {finding.component for finding in second} == {0, 1}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": [[0.0, 1.0]]}, ValueError, "X must have 1 features"),
        ({"X": [[np.inf]]}, ValueError, "X contains infinity"),
        ({"floor": 0.0}, ValueError, "floor must be above 0"),
        ({"floor": [1.0, 1.0]}, ValueError, "floor must be one number"),
        ({"thin": -1.0}, ValueError, "thin must be"),
        ({"mixture": None}, TypeError, "mixture must be a Mixture"),
    ],
)
def test_errors_of_degenerate_name_the_argument(change, error, message):
    with pytest.raises(error, match=message):
        diagnostics.degenerate(**({"mixture": mixture_at([[0.0]]), "X": [[0.0], [1.0]]} | change))
