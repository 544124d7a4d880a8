"""The search for the global optimum: published optima, degenerate fits, messages, arguments."""

import numpy as np
import pytest
from problems import matrix_or_diagonal, some_structures

from gmmlab import (
    VVE,
    DegenerateError,
    Mixture,
    Spherical,
    Tied,
    datasets,
    diagnostics,
    fit,
    start,
)
from gmmlab.search import MIXED, search

FEW = {"kmeans": 2, "k-means++": 2, "random": 1, "random_from_data": 4}


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def clusters():
    return datasets.random_mixture(200, 3, 2, separation=4, rng=rng()).X


def with_a_tight_group(place):
    """Return two clusters, and four points so close that a component on them is spurious."""
    draws = rng()
    X = np.concatenate([draws.normal(size=(60, 2)), draws.normal(size=(60, 2)) + 6])
    group = np.array(place) + 1e-4 * np.array([[0, 0], [1, 2], [-1, 1], [1, -2]])
    return np.concatenate([X, group])


# ---- the best optimum --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "k", "log_likelihood"),
    [
        ("iris", 2, -296.4476),
        ("iris", 4, -223.0486),
        ("iris", 6, -201.7786),
        ("old_faithful", 3, -1126.3159),
        ("old_faithful", 5, -1116.1576),
    ],
)
def test_a_search_finds_the_best_known_optimum_with_tied_covariances(data, k, log_likelihood):
    """The highest published log-likelihoods for these data, to four digits."""
    X = getattr(datasets, data)().X
    found = search(X, k, rng(), structure=Tied)
    assert found.best.log_likelihood == pytest.approx(log_likelihood, abs=1e-3)
    assert found.best.converged


@some_structures
def test_no_single_start_leads_to_a_better_sound_optimum(clusters, structure):
    found = search(clusters, 3, rng(), structure=structure)
    for seed in range(10):
        for kind in (start.kmeans, start.random_points):
            try:
                one = fit(
                    clusters, kind(clusters, 3, rng(seed), structure=structure), max_iter=5000
                )
            except DegenerateError:
                continue
            if not diagnostics.degenerate(one.mixture, clusters):
                assert one.log_likelihood <= found.best.log_likelihood + 1e-3


@matrix_or_diagonal
def test_with_one_component_every_start_reaches_the_mean_of_the_data(structure):
    X = datasets.old_faithful().X
    found = search(X, 1, rng(), structure=structure, starts=FEW)
    assert found.hits == len(found.fits) == found.n_starts == 9
    np.testing.assert_allclose(found.best.mixture.means[0], X.mean(axis=0), rtol=1e-12)


# ---- the result --------------------------------------------------------------------------------


def test_hits_count_the_fits_that_reached_the_optimum_of_the_best():
    noise = rng().uniform(size=(150, 2))
    found = search(noise, 5, rng(), structure=Spherical)
    values = np.array([one.log_likelihood for one in found.fits])
    assert found.best.log_likelihood == values.max()
    assert (np.diff(values) <= 0).all()
    assert found.hits == (values > values.max() - 1e-3).sum()
    assert found.n_starts == sum(MIXED.values())


def test_the_message_says_how_often_the_optimum_was_found(clusters):
    found = search(clusters, 3, rng(), starts=FEW)
    assert found.message in found.best.message
    assert found.best.message.startswith("Converged")
    words = f"Starts: 9; run to convergence: {len(found.fits)}; reached this optimum: {found.hits}."
    assert found.message.startswith(words)
    assert "draw more starts" not in found.message
    alone = search(clusters, 3, rng(), starts={"kmeans": 1})
    assert alone.hits == 1
    assert "There may be a better optimum: draw more starts." in alone.message


# ---- degenerate fits ---------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "seed"), [([2, 2], 0), ([2, 9], 1)])
def test_a_spurious_optimum_on_a_few_points_is_set_aside(place, seed):
    """Its log-likelihood is much higher (McLachlan and Peel 2000, section 3.10).

    In the second case nearly every start leads there.
    """
    X = with_a_tight_group(place)
    found = search(X, 3, rng(seed))
    assert not diagnostics.degenerate(found.best.mixture, X)
    assert not found.degenerate
    assert found.set_aside
    assert all(one.log_likelihood > found.best.log_likelihood for one in found.set_aside)
    assert any(
        one.status == "degenerate" or diagnostics.degenerate(one.mixture, X)
        for one in found.set_aside
    )
    highest = max(one.log_likelihood for one in found.set_aside)
    words = f"a higher log-likelihood (up to {highest:.6g}) that were set aside: "
    assert f"{words}{len(found.set_aside)}." in found.message
    assert found.hits == sum(
        abs(one.log_likelihood - found.best.log_likelihood) < 1e-3 for one in found.fits
    )


def test_while_all_full_runs_degenerate_the_next_best_are_continued():
    X = with_a_tight_group([2, 9])
    found = search(X, 3, rng(), starts={"random_from_data": 20}, rounds=((1, 1),))
    assert len(found.fits) > 1  # one at a time
    assert not found.degenerate
    assert len(found.set_aside) == len(found.fits) - 1


def test_if_all_fits_are_degenerate_the_best_of_them_is_returned_with_a_message():
    """Four samples, three components: a covariance needs three samples, and rests on the floor."""
    X = rng().normal(size=(4, 2))
    found = search(X, 3, rng(), floor=0.01, starts={"random_from_data": 5})
    assert found.degenerate
    assert diagnostics.degenerate(found.best.mixture, X)
    assert "This fit is degenerate, and so are all others" in found.best.message


def test_if_every_fit_fails_the_error_holds_a_degenerate_fit():
    X = np.concatenate([np.full((20, 1), 0.0), np.full((20, 1), 5.0)])
    with pytest.raises(DegenerateError, match="collapsed") as caught:
        search(X, 2, rng(), starts={"kmeans": 3, "k-means++": 3})
    assert caught.value.fit.status == "degenerate"


# ---- the starts --------------------------------------------------------------------------------


def test_the_same_generator_gives_the_same_bits(clusters):
    one, two = (search(clusters, 3, rng(5), structure=VVE, starts=FEW) for _ in range(2))
    assert [f.mixture.to_json() for f in one.fits] == [f.mixture.to_json() for f in two.fits]
    assert one.message == two.message
    assert one.best.mixture.to_json() == two.best.mixture.to_json()


def test_another_seed_draws_other_starts():
    noise = rng().uniform(size=(100, 2))
    settings = {"starts": {"random_from_data": 3}, "max_iter": 0}
    one, two = (search(noise, 3, rng(seed), **settings) for seed in (0, 1))
    assert one.best.mixture.to_json() != two.best.mixture.to_json()


@pytest.mark.parametrize("kind", start.KINDS)
def test_every_kind_of_start_can_be_used_alone(clusters, kind):
    found = search(clusters, 3, rng(), structure=Tied, starts={kind: 3})
    assert found.n_starts == len(found.fits) == 3
    assert isinstance(found.best.mixture.covariance, Tied)


def test_only_a_few_of_many_starts_are_run_to_convergence(clusters):
    found = search(clusters, 3, rng(), starts={"random_from_data": 60}, structure=Tied)
    assert found.n_starts == 60
    assert 5 <= len(found.fits) <= 20


@pytest.mark.parametrize("max_iter", [0, 3])
def test_no_fit_has_more_than_max_iter_iterations(clusters, max_iter):
    found = search(clusters, 3, rng(), structure=Tied, max_iter=max_iter)
    assert all(one.n_iter <= max_iter for one in found.fits)


def test_max_iter_0_keeps_the_start_in_every_round(clusters):
    mixture = start.random_points(clusters, 3, rng())
    rounds = ((5, 1), (5, 1))
    found = search(clusters, 3, rng(), begin=[mixture], starts={}, rounds=rounds, max_iter=0)
    assert found.best.mixture == mixture


def test_each_round_keeps_the_given_number_of_fits(clusters):
    rounds = ((2, 5), (4, 3))
    found = search(clusters, 3, rng(), structure=Tied, starts={"kmeans": 8}, rounds=rounds)
    assert len(found.fits) == 3


# ---- arguments of fit --------------------------------------------------------------------------


@matrix_or_diagonal
def test_given_blocks_start_every_fit_and_are_kept_if_they_are_not_free(clusters, structure):
    weights, covariance = [0.5, 0.25, 0.25], structure.unit(3, 2)
    found = search(
        clusters,
        3,
        rng(),
        structure=structure,
        starts=FEW,
        given={"weights": weights, "covariance": covariance},
        free={"means"},
    )
    for one in found.fits:
        np.testing.assert_array_equal(one.mixture.weights, weights)
        assert one.mixture.covariance == covariance
    assert found.best.n_parameters == 6


@matrix_or_diagonal
def test_integer_weights_have_the_optimum_of_repeated_samples(structure):
    """The starts differ, but the optimum is the same."""
    X = datasets.random_mixture(150, 2, 2, separation=5, rng=rng()).X
    copies = rng(1).integers(1, 4, size=150)
    one = search(X, 2, rng(), structure=structure, sample_weight=copies, starts=FEW)
    other = search(np.repeat(X, copies, axis=0), 2, rng(), structure=structure, starts=FEW)
    assert one.best.n_samples == copies.sum()
    assert one.best.log_likelihood == pytest.approx(other.best.log_likelihood, abs=1e-4)


def test_samples_of_weight_0_have_no_influence():
    X = datasets.random_mixture(150, 2, 2, separation=5, rng=rng()).X
    far = np.concatenate([X, [[50, 50], [-80, 20]]])
    weight = np.append(np.ones(150), [0, 0])
    one = search(far, 2, rng(), sample_weight=weight, starts=FEW)
    other = search(X, 2, rng(), starts=FEW)
    assert one.best.log_likelihood == pytest.approx(other.best.log_likelihood, abs=1e-4)


@some_structures
def test_missing_entries_are_integrated_out(structure):
    X = datasets.random_mixture(200, 2, 2, separation=6, rng=rng()).X
    holes = np.where(rng(1).random(X.shape) < 0.1, np.nan, X)
    found = search(holes, 2, rng(), structure=structure, starts=FEW, missing="marginalise")
    near = fit(X, found.best.mixture).mixture
    again = fit(holes, near, tol=1e-9, missing="marginalise", max_iter=5000)
    assert found.best.log_likelihood == pytest.approx(again.log_likelihood, abs=1e-3)


def test_fits_are_accelerated_by_default():
    X = datasets.old_faithful().X
    begin = start.kmeans(X, 3, rng(), structure=Tied)
    once = {"begin": [begin], "starts": {}, "structure": Tied, "rounds": ((1, 1),)}
    fast, same, slow = (
        search(X, 3, rng(), **once, **settings).best
        for settings in ({}, {"accelerate": True}, {"accelerate": False})
    )
    assert fast.n_iter == same.n_iter < slow.n_iter / 2


@pytest.mark.parametrize("settings", [{"floor": 1e-3}, {"ridge": 1e-6}, {"accelerate": False}])
def test_settings_are_passed_to_every_fit(clusters, settings):
    found = search(clusters, 3, rng(), starts={"kmeans": 2}, **settings)
    settings = {"accelerate": True, **settings}
    again = fit(clusters, found.best.mixture, tol=1e-8, **settings)
    assert again.log_likelihood == pytest.approx(found.best.log_likelihood, abs=1e-5)


def test_a_callback_is_told_of_one_fit_after_the_other(clusters):
    seen = []
    settings = {"starts": {"kmeans": 2, "random_from_data": 2}, "accelerate": False}
    one = search(clusters, 3, rng(), **settings)
    other = search(clusters, 3, rng(), callback=lambda *row: seen.append(row), **settings)
    assert [row[0] for row in seen].count(0) == 8  # four short runs, and four full runs
    assert other.best.log_likelihood == pytest.approx(one.best.log_likelihood, abs=1e-6)
    assert other.hits == one.hits


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"starts": {"luck": 3}}, ValueError, "starts must be one of 'kmeans'.*got 'luck'"),
        ({"starts": {"kmeans": 0}}, ValueError, r"starts\['kmeans'\] must be at least 1; got 0"),
        ({"starts": {"kmeans": True}}, TypeError, r"starts\['kmeans'\] must be an integer"),
        ({"starts": {}}, TypeError, "starts must map kinds of start to the number of each"),
        ({"starts": "kmeans"}, TypeError, "starts must map kinds of start to the number of each"),
        ({"rounds": 150}, TypeError, "rounds must hold pairs .number of passes"),
        ({"rounds": ((0, 10),)}, ValueError, "the number of passes in rounds must be at least 1"),
        ({"rounds": ((150, 0),)}, ValueError, "the number of fits to keep in rounds must be at"),
        ({"begin": [1]}, TypeError, "begin must be a Mixture"),
        (
            {"begin": [Mixture([1.0], [[0, 0]], Spherical([1]))]},
            ValueError,
            r"begin must hold mixtures of .* Full and \(3, 2\); got Spherical and \(1, 2\)",
        ),
        (
            {"degenerate": "restart"},
            ValueError,
            "degenerate must be .*'raise', 'floor'; got 'restart'",
        ),
        (
            {"begin": Mixture([1.0], [[0, 0]], Spherical([1]))},
            TypeError,
            "begin must be an iterable",
        ),
        ({"rng": 0}, TypeError, "rng must be a numpy.random.Generator"),
        ({"n_components": 500}, ValueError, "n_components must be"),
        ({"X": [[np.nan], [1.0]]}, ValueError, "X contains NaN.*missing='marginalise'"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight must have one entry per sample"),
        ({"given": {"means": np.zeros((2, 2))}}, ValueError, "means"),
        ({"given": {"covariances": 1}}, ValueError, "given must be one of.*'covariance'; got"),
        ({"given": [1]}, TypeError, "given must map names of blocks to their values.*got list"),
        ({"structure": "EII"}, TypeError, "structure must be a class of gmmlab.covariance.*'EII'"),
        ({"tol": -1}, ValueError, "tol must be"),
        ({"max_iter": -1}, ValueError, "max_iter must be"),
        ({"missing": "ignore"}, ValueError, "missing must be one of"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
    ids=str,
)
def test_errors_name_the_argument(clusters, arguments, error, message):
    arguments = {"X": clusters, "n_components": 3, "rng": rng(), **arguments}
    with pytest.raises(error, match=message):
        search(**arguments)


def test_arguments_are_not_modified(clusters):
    given = {"weights": np.array([0.2, 0.3, 0.5])}
    starts = {"kmeans": 2}
    before = clusters.copy()
    search(clusters, 3, rng(), starts=starts, given=given)
    assert starts == {"kmeans": 2}
    np.testing.assert_array_equal(given["weights"], [0.2, 0.3, 0.5])
    np.testing.assert_array_equal(clusters, before)
