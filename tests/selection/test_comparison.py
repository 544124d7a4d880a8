"""Laws of comparing mixtures: the grid is monotone, criteria are what they say, draws repeat."""

from dataclasses import replace

import joblib
import numpy as np
import pytest
from problems import STRUCTURES
from scipy.stats import multivariate_normal

from gmmlab import (
    EEE,
    EEI,
    EII,
    EVE,
    VEE,
    VEI,
    VEV,
    VII,
    VVI,
    VVV,
    DegenerateError,
    Mixture,
    datasets,
    diagnostics,
    fit,
    selection,
    start,
)
from gmmlab.engine.samples import as_samples
from gmmlab.selection import grid
from gmmlab.selection import split_merge as neighbours
from gmmlab.selection.split_merge import is_tighter

FEW = {"hierarchical": 1, "kmeans": 1, "random_from_data": 1}
SOME = (EII, VII, VEI, VVI, EEE, VEE, VEV, VVV)


def rng(seed=0):
    return np.random.default_rng(seed)


def compare(X, *arguments, **settings):
    settings = {"rng": rng(), "n_jobs": 1, "progress": False, "starts": FEW, **settings}
    return selection.compare(X, *arguments, **settings)


@pytest.fixture(scope="module")
def faithful():
    return compare(datasets.old_faithful().X, [1, 2, 3], ["EII", "EEE", "VVV"])


# ---- the grid ----------------------------------------------------------------------------------


def adjacent(found):
    """Pairs of sound cells of which every mixture of the first is one of the second."""
    sound = [cell for cell in found.cells if not cell.degenerate]
    for low in sound:
        for high in sound:
            same_k = low.n_components == high.n_components
            more = high.n_components == low.n_components + 1
            if (same_k and is_tighter(low.structure, high.structure)) or (
                more and low.structure is high.structure
            ):
                yield low, high


@pytest.mark.parametrize(
    ("X", "numbers", "structures"),
    [
        (datasets.iris().X, (1, 2, 3, 4), (EII, VII, EEE, VEV, VVV)),
        (datasets.iris().X, (2,), STRUCTURES),
        (datasets.old_faithful().X, (1, 2, 3), (EII, EEE, VVI, VVV)),
        (datasets.random_mixture(60, 3, 2, separation=2, rng=rng()).X, (2, 3), SOME),
        (rng().uniform(size=(40, 2)), (3, 4), (EII, EVE, VVV)),
    ],
    ids=["iris", "iris-all", "faithful", "clusters", "noise"],
)
def test_more_components_or_a_looser_structure_never_fit_worse(X, numbers, structures):
    found = compare(X, numbers, structures)
    pairs = list(adjacent(found))
    assert len(pairs) >= len(structures)
    for low, high in pairs:
        fall = low.fit.log_likelihood - high.fit.log_likelihood
        assert fall <= 1e-6 * max(1, abs(low.fit.log_likelihood)), (low.key, high.key)


@pytest.mark.parametrize(("structure", "k"), [(VVV, 2), (EEE, 3)], ids=["fewer", "tighter"])
def test_where_starts_are_poor_a_cell_begins_where_one_below_it_ended(monkeypatch, structure, k):
    """Every mixture of a cell is one of those above it: no start has to be lucky for the law."""
    samples = as_samples(datasets.old_faithful().X)
    low = compare(samples.X, [k], [structure]).cells[0]
    poor = start.random_responsibilities(samples.X, 3, rng(), structure=VVV)
    high = grid.Cell(VVV, 3, fit(samples, poor, max_iter=1))
    assert high.fit.log_likelihood < low.fit.log_likelihood - 100
    monkeypatch.setattr(grid, "_starts", lambda *_: [poor])
    helped = grid._helped(grid._Job(samples, {"max_iter": 1}), high, [low], rng())
    assert helped.fit.log_likelihood >= low.fit.log_likelihood - 1e-6
    assert helped.tried == {low.key: low.fit.log_likelihood}


def test_no_cell_is_worse_than_a_fit_from_the_true_labels():
    data = datasets.random_mixture(150, 3, 2, separation=2, rng=rng(1))
    for cell in compare(data.X, [3], SOME).cells:
        near = start.from_labels(data.X, data.labels, structure=cell.structure)
        known = fit(data.X, near, tol=1e-8, max_iter=5000)
        assert cell.fit.log_likelihood >= known.log_likelihood - 1e-3


def test_every_cell_is_a_fit_of_its_structure_and_number(faithful):
    X = datasets.old_faithful().X
    assert [cell.key for cell in faithful.cells] == [
        (structure, k) for structure in (EII, EEE, VVV) for k in (1, 2, 3)
    ]
    for cell in faithful.cells:
        assert type(cell.fit.mixture.covariance) is cell.structure
        assert cell.fit.mixture.n_components == cell.n_components
        assert cell.fit.log_likelihood == pytest.approx(cell.fit.mixture.log_prob(X).sum())
        assert cell.fit.status == "converged"
        assert not diagnostics.degenerate(cell.fit.mixture, X)


def test_old_faithful_is_fitted_as_published(faithful):
    """R, mclust 6.0.0, with tolerance 1e-10."""
    assert faithful.cell("VVV", 2).fit.log_likelihood == pytest.approx(-1130.263960, abs=1e-4)
    assert faithful.cell("EEE", 3).fit.bic == pytest.approx(2314.2957, abs=1e-3)
    assert faithful.best("bic") is faithful.cell("EEE", 3).fit


def test_the_bits_do_not_depend_on_the_number_of_jobs():
    X = datasets.random_mixture(60, 2, 2, separation=2, rng=rng()).X
    one, two = (
        compare(X, [1, 2, 3], ["VVI", "VVV"], ["bic", "cv"], n_folds=3, n_jobs=n_jobs)
        for n_jobs in (1, 2)
    )
    for a, b in zip(one.cells, two.cells, strict=True):
        assert a.fit.mixture.to_json() == b.fit.mixture.to_json()
    assert one.to_frame().equals(two.to_frame())


@pytest.mark.filterwarnings("ignore")  # of Dask's shutting down
def test_workers_of_dask_make_the_same_bits():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is an extra")
    X = datasets.random_mixture(60, 2, 2, separation=2, rng=rng()).X

    def compared(n_jobs):
        return compare(X, [1, 2], ["EII", "VVV"], ["bic", "cv"], n_folds=3, n_jobs=n_jobs)

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        there = compared(None)
    here = compared(1)
    for a, b in zip(there.cells, here.cells, strict=True):
        assert a.fit.mixture.to_json() == b.fit.mixture.to_json()
    assert there.to_frame().equals(here.to_frame())


# ---- degenerate cells --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scarce():
    """Six samples: three components of full covariance cannot all have the three they need."""
    return compare(rng().normal(size=(6, 2)), [1, 3], ["EII", "VVV"])


def test_a_degenerate_cell_is_shown_and_not_chosen(scarce):
    lost = scarce.cell("VVV", 3)
    assert lost.degenerate
    row = scarce.to_frame().set_index(["structure", "n_components"]).loc["VVV", 3]
    assert row["status"] == "degenerate"
    assert np.isnan(row[["log_likelihood", "bic", "aic", "icl"]].astype(float)).all()
    for criterion in scarce.criteria:
        assert lost not in scarce.ranked(criterion)
    assert "1 of 4 cells is degenerate, and left out" in scarce.summary


def test_a_fit_that_is_sound_is_not_given_up_for_a_degenerate_one():
    """Seven samples alike: a component that shrinks onto them has no bound to its likelihood."""
    X = np.append(np.zeros(7), rng().normal(5, 1, 20))[:, None]
    sound = fit(X, start.from_labels(X, np.arange(27) % 2), max_iter=2)
    narrow = Mixture([0.3, 0.7], [[0.0], [5.0]], VVV([[[1e-6]], [[1.0]]]))
    job = grid._Job(as_samples(X), {})
    cell = grid.Cell(VVV, 2, sound)
    with pytest.raises(DegenerateError) as raised:
        fit(X, narrow)
    assert raised.value.fit.log_likelihood > sound.log_likelihood
    assert grid._searched(job, cell, rng(), starts={}, begin=[narrow]) is cell


def test_where_all_are_degenerate_there_is_nothing_to_choose(scarce):
    lost = replace(scarce, cells=(scarce.cell("VVV", 3),))
    with pytest.raises(ValueError, match="every cell is degenerate"):
        lost.best("bic")
    assert "nothing to choose" in lost.summary


# ---- criteria ----------------------------------------------------------------------------------


def test_criteria_are_what_their_formulas_say(faithful):
    X = datasets.old_faithful().X
    for row, cell in zip(faithful.to_frame().itertuples(), faithful.cells, strict=True):
        r = cell.fit.mixture.responsibilities(X)
        entropy = -(r * np.log(r)).sum()
        p = cell.fit.mixture.n_parameters()
        assert row.n_parameters == p
        assert row.bic == pytest.approx(p * np.log(len(X)) - 2 * row.log_likelihood)
        assert row.aic == pytest.approx(2 * p - 2 * row.log_likelihood)
        assert row.icl == pytest.approx(row.bic + 2 * entropy, abs=1e-6)


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl"])
def test_the_best_has_the_lowest_value(faithful, criterion):
    frame = faithful.to_frame()
    lowest = frame.loc[frame[criterion].idxmin()]
    best = faithful.best_cell(criterion)
    assert (best.structure.model, best.n_components) == (lowest.structure, lowest.n_components)


def test_blocks_that_are_known_are_not_counted():
    X = datasets.old_faithful().X
    means = np.array([[2.0, 54.5], [4.3, 80.0]])
    found = compare(X, [2], ["VVV"], free={"weights", "covariances"}, given={"means": means})
    (cell,) = found.cells
    np.testing.assert_array_equal(cell.fit.mixture.means, means)
    assert found.to_frame().n_parameters[0] == 1 + 2 * 3


def test_a_held_out_score_of_one_component_is_that_of_the_mean_and_covariance():
    X = datasets.old_faithful().X[:60]
    found = compare(X, [1], ["VVV"], "cv", n_folds=4)
    score = found.scores[VVV, 1]
    assert len(score.values) == 4
    # the folds are drawn from the second child of the generator
    from gmmlab.selection.cross_validation import folds

    fold = folds(60, 4, rng().spawn(3)[1])
    for number, value in enumerate(score.values):
        inside, outside = X[fold != number], X[fold == number]
        normal = multivariate_normal(inside.mean(axis=0), np.cov(inside.T, bias=True))
        assert value == pytest.approx(normal.logpdf(outside).mean(), abs=1e-6)
    row = found.to_frame().iloc[0]
    assert row.cv == pytest.approx(score.values.mean())
    assert row.cv_standard_error == pytest.approx(score.values.std(ddof=1) / 2)


def test_models_that_are_the_same_but_for_rounding_are_chosen_in_order():
    """With one component EEE, VEE, EVE and so on are one model."""
    X = datasets.separated_3d(50, rng=rng()).X
    found = compare(X, [1], ["EVE", "EEE", "VVV", "VEV"], ["bic", "icl", "cv"], n_folds=3)
    for criterion in found.criteria:
        assert found.best_cell(criterion) is found.cells[0]


def test_by_cross_validation_higher_is_better():
    X = datasets.random_mixture(80, 2, 2, separation=6, rng=rng()).X
    found = compare(X, [1, 2], ["EII"], ["cv"], n_folds=4)
    assert found.best_cell("cv").n_components == 2
    assert found.value(found.cell("EII", 2), "cv") > found.value(found.cell("EII", 1), "cv")


def test_whole_weights_are_copies():
    X = datasets.random_mixture(60, 2, 2, separation=5, rng=rng()).X
    copies = rng(1).integers(1, 4, size=60)
    one = compare(X, [1, 2], ["VVV"], sample_weight=copies)
    other = compare(np.repeat(X, copies, axis=0), [1, 2], ["VVV"])
    for name in ("log_likelihood", "bic", "icl"):
        np.testing.assert_allclose(one.to_frame()[name], other.to_frame()[name], atol=1e-3)


# ---- in words ----------------------------------------------------------------------------------


def test_the_summary_says_where_criteria_disagree_and_by_how_much(faithful):
    words = faithful.summary
    ours, theirs = faithful.best_cell("bic"), faithful.best_cell("icl")
    assert ours.key != theirs.key
    assert "BIC and ICL disagree: VVV with 2 components has the lower ICL" in words
    assert f"the lower BIC by {theirs.fit.bic - ours.fit.bic:.3g}" in words


def test_the_summary_says_where_two_cells_are_close(faithful):
    best = faithful.best_cell("bic")
    near = replace(best, fit=replace(best.fit, log_likelihood=best.fit.log_likelihood - 0.9))
    close = replace(faithful, cells=(best, near), criteria=("bic",))
    assert "by 1.8: too close to call" in close.summary
    far = replace(best, fit=replace(best.fit, log_likelihood=best.fit.log_likelihood - 1.1))
    assert "too close" not in replace(close, cells=(best, far)).summary


# ---- starts from neighbours --------------------------------------------------------------------


def test_tighter_is_a_partial_order_with_one_least_and_one_greatest():
    for a in STRUCTURES:
        assert not is_tighter(a, a)
        assert a is EII or is_tighter(EII, a)
        assert a is VVV or is_tighter(a, VVV)
        for b in STRUCTURES:
            assert not (is_tighter(a, b) and is_tighter(b, a))
            if is_tighter(a, b):
                assert a.n_parameters(3, 4) < b.n_parameters(3, 4)
    assert not is_tighter(VEI, EEE)
    assert is_tighter(EEI, EVE)


@pytest.mark.parametrize("tight", STRUCTURES, ids=lambda s: s.__name__)
def test_relaxed_and_doubled_are_the_same_distribution(tight):
    X = datasets.iris().X
    mixture = fit(X, start.kmeans(X, 3, rng(), structure=tight), tol=1e-4).mixture
    expected = mixture.log_prob(X)
    for loose in STRUCTURES:
        if is_tighter(tight, loose):
            np.testing.assert_allclose(
                neighbours.relaxed(mixture, loose).log_prob(X), expected, atol=1e-6
            )
    twice = neighbours.doubled(mixture)
    assert twice.n_components == 4
    np.testing.assert_allclose(twice.log_prob(X), expected, atol=1e-9)


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rng": 0}, TypeError, "rng must be a numpy.random.Generator"),
        ({"n_components": [0]}, ValueError, "n_components must be in"),
        ({"n_components": []}, ValueError, "n_components must hold at least one"),
        ({"n_components": [1.5]}, TypeError, "n_components must hold integers"),
        ({"n_components": None}, TypeError, "n_components must hold integers"),
        ({"structure": "VEV"}, TypeError, "structures is the argument; got structure='VEV'"),
        ({"free": {"means"}}, ValueError, "given must hold what is not free.*weights, covariances"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be None, or an integer other than 0"),
        ({"structures": ["VVX"]}, ValueError, "structures must be one of.*got 'VVX'"),
        ({"structures": []}, ValueError, "structures must hold at least one"),
        ({"structures": 3}, TypeError, "structures must hold names or classes"),
        ({"criteria": ["dic"]}, ValueError, "criteria must be one of.*got 'dic'"),
        ({"criteria": []}, ValueError, "criteria must hold at least one"),
        ({"criteria": 3}, TypeError, "criteria must hold names"),
        ({"criteria": "cv", "n_folds": 1}, ValueError, "n_folds must be"),
        ({"starts": {"luck": 1}}, ValueError, "starts must be one of"),
        ({"X": [[np.nan]]}, ValueError, "X contains NaN"),
        ({"free": {"mean"}}, ValueError, "free must contain only"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        compare(
            **{"X": [[0.0], [1.0], [2.0]], "n_components": [1], "structures": ["EII"], **arguments}
        )


def test_what_was_not_compared_is_refused(faithful):
    with pytest.raises(ValueError, match="criterion must be one of 'bic', 'aic', 'icl'; got 'cv'"):
        faithful.best("cv")
    with pytest.raises(ValueError, match="must be of a cell that was compared"):
        faithful.cell("VVV", 7)
