"""Tests of the search of a grid: more components or a looser structure never fit worse."""

import itertools

import numpy as np
import pytest
from problems import STRUCTURES

from gmmlab import (
    EEE,
    EII,
    EVE,
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
from gmmlab.engine import as_samples
from gmmlab.selection import grid, is_tighter

FEW = {"hierarchical": 1, "kmeans": 1, "random_from_data": 1}
POOR = {"random": 1}  # so that without starts from neighbours some cells fit worse


def rng(seed=0):
    return np.random.default_rng(seed)


def filled(X, numbers, structures, starts=FEW):
    """Return the cells of a grid."""
    settings = {"rng": rng(), "progress": False, "starts": starts}
    return selection.compare(X, numbers, structures, **settings).cells


def nested(cells):
    """Yield pairs of sound cells where the first is a special case of the second."""
    sound = [cell for cell in cells if not cell.degenerate]
    for low, high in itertools.permutations(sound, 2):
        (tight, few), (loose, more) = low.key, high.key
        if (few == more and is_tighter(tight, loose)) or (tight is loose and more == few + 1):
            yield low, high


@pytest.mark.parametrize(
    ("X", "numbers", "structures"),
    [
        (datasets.iris().X, (1, 2, 3), (EII, VII, EEE, VEV, VVV)),
        (datasets.iris().X, (2,), STRUCTURES),
        (datasets.old_faithful().X, (1, 2, 3), (EII, EEE, VVV)),
        (
            datasets.random_mixture(60, 3, 2, separation=2, rng=rng()).X,
            (2, 3),
            (EII, VEI, VVI, VEV, VVV),
        ),
        (rng().uniform(size=(40, 2)), (3, 4), (EII, EVE, VVV)),
    ],
    ids=["iris", "iris-all", "faithful", "clusters", "noise"],
)
def test_more_components_or_a_looser_structure_never_fit_worse(X, numbers, structures):
    cells = filled(X, numbers, structures, POOR)
    assert not any(cell.degenerate for cell in cells)  # as a cell that fits worse would be
    pairs = list(nested(cells))
    assert len(pairs) >= len(structures)
    for low, high in pairs:
        fall = low.fit.log_likelihood - high.fit.log_likelihood
        assert fall <= 1e-6 * max(1, abs(low.fit.log_likelihood)), (low.key, high.key)


@pytest.mark.parametrize(("structure", "k"), [(VVV, 2), (EEE, 3)], ids=["fewer", "tighter"])
def test_a_poor_cell_starts_from_the_fit_of_its_special_case(monkeypatch, structure, k):
    """So the law above does not depend on good starts."""
    samples = as_samples(datasets.old_faithful().X)
    (low,) = filled(samples.X, [k], [structure])
    poor = start.random_responsibilities(samples.X, 3, rng(), structure=VVV)
    high = grid.Cell(VVV, 3, fit(samples, poor, max_iter=1))
    assert high.fit.log_likelihood < low.fit.log_likelihood - 100
    monkeypatch.setattr(grid, "starts_from", lambda *_: poor.responsibilities(samples.X)[None])
    problem = grid.Problem(samples, {"max_iter": 1})
    found = grid._searched(problem, high, [low], rng())
    assert found.fit.log_likelihood >= low.fit.log_likelihood - 1e-6
    assert found.tried == {low.key: low.fit.log_likelihood}


def test_a_cell_that_fits_worse_than_its_special_case_is_degenerate():
    X = datasets.old_faithful().X
    low, high = filled(X, [1, 2], ["VVV"])
    worse = grid.Cell(VVV, 2, fit(X, start.random_points(X, 2, rng()), max_iter=0))
    assert worse.fit.log_likelihood < low.fit.log_likelihood
    for cell, expected in ((high, ""), (worse, "EM from the fit of VVV with 1 components")):
        found = grid.with_verdict(cell, {low.key: low, cell.key: cell})
        assert found.degenerate.startswith(expected)
        assert bool(found.degenerate) == bool(expected)


def test_no_cell_is_worse_than_a_fit_from_the_true_labels():
    data = datasets.random_mixture(150, 3, 2, separation=2, rng=rng(1))
    for cell in filled(data.X, [3], (EII, VEI, VVI, EEE, VEV, VVV)):
        near = start.from_labels(data.X, data.labels, structure=cell.structure)
        known = fit(data.X, near, tol=1e-8, max_iter=5000)
        assert cell.fit.log_likelihood >= known.log_likelihood - 1e-3


def test_every_cell_is_a_converged_fit_of_its_structure_and_number():
    X = datasets.old_faithful().X
    cells = filled(X, [1, 2], ["EII", "VVV"])
    assert [cell.key for cell in cells] == [(EII, 1), (EII, 2), (VVV, 1), (VVV, 2)]
    for cell in cells:
        assert type(cell.fit.mixture.covariance) is cell.structure
        assert cell.fit.mixture.n_components == cell.n_components
        assert cell.fit.log_likelihood == pytest.approx(cell.fit.mixture.log_prob(X).sum())
        assert cell.fit.status == "converged"
        assert not diagnostics.degenerate(cell.fit.mixture, X)


def test_a_degenerate_fit_does_not_replace_a_sound_one():
    """The likelihood of a component that shrinks onto seven equal samples is unbounded."""
    X = np.append(np.zeros(7), rng().normal(5, 1, 20))[:, None]
    sound = fit(X, start.from_labels(X, np.arange(27) % 2), max_iter=2)
    narrow = Mixture([0.3, 0.7], [[0.0], [5.0]], VVV([[[1e-6]], [[1.0]]]))
    problem = grid.Problem(as_samples(X), {})
    cell = grid.Cell(VVV, 2, sound)
    with pytest.raises(DegenerateError) as raised:
        fit(X, narrow)
    assert raised.value.fit.log_likelihood > sound.log_likelihood
    assert grid._better(cell, *grid._long_runs(problem, [narrow])) is cell


def test_a_fit_is_recognised_in_any_order_of_components_and_another_optimum_is_not():
    samples = as_samples(datasets.old_faithful().X)
    (cell,) = filled(samples.X, [3], [EEE])
    mixture = cell.fit.mixture
    moved = Mixture(mixture.weights, mixture.means * 1.0001, mixture.covariance)
    assert grid._nears(moved.take([2, 0, 1]), cell, samples)
    assert not grid._nears(start.kmeans(samples.X, 3, rng(1), structure=EEE), cell, samples)


def test_the_fits_of_cells_are_run_to_convergence_exactly():
    """Rough runs only lead there: they do not estimate the remaining gain."""
    for cell in filled(datasets.old_faithful().X, [1, 2, 3], ["EII", "EEE", "VVV"]):
        assert cell.fit.remaining_gain < 1e-4
        assert "Further iterations would gain" in cell.fit.message
