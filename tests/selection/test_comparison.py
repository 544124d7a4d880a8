"""Tests of `compare`: criteria, the choice of cells, and arguments."""

from dataclasses import replace

import numpy as np
import pytest

from gmmlab import EEE, EII, VVV, datasets, selection
from gmmlab.engine import threads

FEW = {"hierarchical": 1, "kmeans": 1, "random_from_data": 1}


def rng(seed=0):
    return np.random.default_rng(seed)


def compare(X, *arguments, **settings):
    settings = {"rng": rng(), "progress": False, "starts": FEW, **settings}
    return selection.compare(X, *arguments, **settings)


@pytest.fixture(scope="module")
def faithful():
    return compare(datasets.old_faithful().X, [1, 2, 3], ["EII", "EEE", "VVV"])


def test_old_faithful_is_fitted_as_published(faithful):
    """R, mclust 6.0.0, with tolerance 1e-10."""
    assert faithful.cell("VVV", 2).fit.log_likelihood == pytest.approx(-1130.263960, abs=1e-4)
    assert faithful.cell("EEE", 3).fit.bic == pytest.approx(2314.2957, abs=1e-3)
    assert faithful.best("bic") is faithful.cell("EEE", 3).fit


def test_cells_are_ordered_by_structure_and_number(faithful):
    assert [cell.key for cell in faithful.cells] == [
        (structure, k) for structure in (EII, EEE, VVV) for k in (1, 2, 3)
    ]
    assert faithful.cell("VVV", 2) is faithful.cell(VVV, 2) is faithful.cells[7]
    unsorted = compare([[0.0], [1.0], [3.0]], [2, 1, 2], ["EII"])
    assert [cell.key for cell in unsorted.cells] == [(EII, 1), (EII, 2)]


# ---- parallel ----------------------------------------------------------------------------------


def assert_equal(one, other):
    """Compare two comparisons bit for bit."""
    for a, b in zip(one.cells, other.cells, strict=True):
        assert a.fit.mixture.to_json() == b.fit.mixture.to_json()
    assert one.to_frame().equals(other.to_frame())


def test_the_result_does_not_depend_on_the_number_of_threads(monkeypatch):
    X = datasets.random_mixture(3000, 2, 2, separation=2, rng=rng()).X

    def compared(count):
        monkeypatch.setattr(threads, "n_threads", lambda: count)
        return compare(X, [1, 2, 3], ["VVI", "VVV"], ["bic", "cv"], n_folds=3)

    assert_equal(compared(1), compared(3))


# ---- degenerate cells --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scarce():
    """Six samples are too few for three components of full covariance, which need nine."""
    return compare(rng().normal(size=(6, 2)), [1, 3], ["EII", "VVV"])


def test_a_degenerate_cell_is_shown_but_not_chosen(scarce):
    lost = scarce.cell("VVV", 3)
    assert lost.degenerate
    row = scarce.to_frame().set_index(["structure", "n_components"]).loc["VVV", 3]
    assert row["status"] == "degenerate"
    assert np.isnan(row[["log_likelihood", "bic", "aic", "icl"]].astype(float)).all()
    for criterion in scarce.criteria:
        assert lost not in scarce.ranked(criterion)
    assert "1 of 4 cells is degenerate and was not considered" in scarce.summary


def test_nothing_is_chosen_if_every_cell_is_degenerate(scarce):
    lost = replace(scarce, cells=(scarce.cell("VVV", 3),))
    with pytest.raises(ValueError, match="every cell is degenerate"):
        lost.best("bic")
    assert "chooses nothing" in lost.summary


# ---- criteria ----------------------------------------------------------------------------------


def test_criteria_follow_their_formulas(faithful):
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
def test_the_best_cell_has_the_lowest_value(faithful, criterion):
    frame = faithful.to_frame()
    lowest = frame.loc[frame[criterion].idxmin()]
    best = faithful.best_cell(criterion)
    assert (best.structure.model, best.n_components) == (lowest.structure, lowest.n_components)


def test_known_blocks_are_not_counted_as_parameters():
    X = datasets.old_faithful().X
    means = np.array([[2.0, 54.5], [4.3, 80.0]])
    found = compare(X, [2], ["EEE", "VVV"], free={"weights", "covariances"}, given={"means": means})
    for cell in found.cells:
        np.testing.assert_array_equal(cell.fit.mixture.means, means)
    assert list(found.to_frame().n_parameters) == [1 + 3, 1 + 2 * 3]


def test_cells_that_differ_by_rounding_are_ranked_in_their_order(faithful):
    best = faithful.best_cell("bic")
    higher = best.fit.log_likelihood + 1e-12 * abs(best.fit.log_likelihood)
    other = replace(best, fit=replace(best.fit, log_likelihood=higher))
    assert replace(faithful, cells=(best, other)).ranked("bic")[0] is best


def test_equal_models_are_ranked_in_the_order_of_the_cells():
    """With one component EEE, VEE, EVE and so on are the same model, up to rounding."""
    X = datasets.separated_3d(50, rng=rng()).X
    found = compare(X, [1], ["EVE", "EEE", "VVV", "VEV"], ["bic", "icl", "cv"], n_folds=3)
    for criterion in found.criteria:
        assert found.best_cell(criterion) is found.cells[0]


def test_a_higher_cross_validation_score_is_better():
    X = datasets.random_mixture(80, 2, 2, separation=6, rng=rng()).X
    found = compare(X, [1, 2], ["EII"], ["cv"], n_folds=4)
    assert found.best_cell("cv").n_components == 2
    assert found.value(found.cell("EII", 2), "cv") > found.value(found.cell("EII", 1), "cv")
    row = found.to_frame().iloc[1]
    score = found.scores[EII, 2]
    assert (row.cv, row.cv_standard_error) == (score.mean, score.standard_error)


def test_integer_weights_are_copies():
    X = datasets.random_mixture(60, 2, 2, separation=5, rng=rng()).X
    copies = rng(1).integers(1, 4, size=60)
    one = compare(X, [1, 2], ["VVV"], sample_weight=copies)
    other = compare(np.repeat(X, copies, axis=0), [1, 2], ["VVV"])
    for name in ("log_likelihood", "bic", "icl"):
        np.testing.assert_allclose(one.to_frame()[name], other.to_frame()[name], atol=1e-3)


# ---- the summary -------------------------------------------------------------------------------


def test_the_summary_describes_where_criteria_disagree_and_by_how_much(faithful):
    words = faithful.summary
    ours, theirs = faithful.best_cell("bic"), faithful.best_cell("icl")
    assert ours.key != theirs.key
    assert "BIC and ICL disagree: VVV with 2 components has the lower ICL" in words
    assert f"the lower BIC by {theirs.fit.bic - ours.fit.bic:.3g}" in words


def test_the_summary_describes_which_cells_are_close(faithful):
    best = faithful.best_cell("bic")
    near = replace(best, fit=replace(best.fit, log_likelihood=best.fit.log_likelihood - 0.9))
    close = replace(faithful, cells=(best, near), criteria=("bic",))
    assert "by 1.8: too close to call" in close.summary
    far = replace(best, fit=replace(best.fit, log_likelihood=best.fit.log_likelihood - 1.1))
    assert "too close" not in replace(close, cells=(best, far)).summary


# ---- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rng": 0}, TypeError, "rng must be a numpy.random.Generator"),
        ({"n_components": [0]}, ValueError, "n_components must be in"),
        ({"n_components": []}, ValueError, "n_components must contain at least one"),
        ({"n_components": [1.5]}, TypeError, "n_components must contain integers"),
        ({"n_components": None}, TypeError, "n_components must contain integers"),
        ({"structure": "VEV"}, TypeError, "use structures; got structure='VEV'"),
        ({"free": {"means"}}, ValueError, "given must have a value for .*: weights, covariances"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be"),
        ({"structures": ["VVX"]}, ValueError, "structures must be one of.*got 'VVX'"),
        ({"structures": []}, ValueError, "structures must contain at least one"),
        ({"structures": 3}, TypeError, "structures must contain structures or their names"),
        ({"criteria": ["dic"]}, ValueError, "criteria must be one of.*got 'dic'"),
        ({"criteria": []}, ValueError, "criteria must contain at least one"),
        ({"criteria": 3}, TypeError, "criteria must contain names"),
        ({"criteria": "cv", "n_folds": 1}, ValueError, "n_folds must be"),
        ({"starts": {"luck": 1}}, ValueError, "starts must be one of"),
        ({"X": [[np.nan]]}, ValueError, "X contains NaN"),
        ({"free": {"mean"}}, ValueError, "free"),
    ],
    ids=str,
)
def test_errors_name_the_argument(arguments, error, message):
    with pytest.raises(error, match=message):
        compare(
            **{"X": [[0.0], [1.0], [2.0]], "n_components": [1], "structures": ["EII"], **arguments}
        )


def test_a_criterion_or_cell_that_was_not_compared_raises(faithful):
    with pytest.raises(ValueError, match="criterion must be one of 'bic', 'aic', 'icl'; got 'cv'"):
        faithful.best("cv")
    with pytest.raises(ValueError, match="must be those of a cell that was compared"):
        faithful.cell("VVV", 7)
