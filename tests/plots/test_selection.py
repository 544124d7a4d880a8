"""Figures of criteria, merging and the bootstrap test show the results that they are given."""

from dataclasses import replace

import numpy as np
import pytest
from drawings import X2, tilted

from gmmlab import Tied, datasets, plots, selection, start


@pytest.fixture(scope="module")
def comparison():
    X = datasets.old_faithful().X
    settings = {"rng": np.random.default_rng(0), "progress": False}
    return selection.compare(X, [2, 3], ["EII", "VII", "EEE"], starts={"kmeans": 1}, **settings)


@pytest.mark.parametrize(("name", "best"), [("bic", 3), ("icl", 2)])
def test_a_criterion_has_a_line_for_each_structure_and_a_ring_around_the_best(
    comparison, name, best
):
    ax = plots.criterion(comparison, name)
    *lines, ring = ax.lines
    assert [line.get_label() for line in lines] == ["EII", "VII", "EEE"]
    values = comparison.to_frame().set_index("structure")[name]
    for line in lines:
        np.testing.assert_allclose(line.get_ydata(), values[line.get_label()])
    assert ring.get_xdata() == [best]
    assert ring.get_ydata() == [values.min()]
    styles = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(styles) == 3


def test_a_degenerate_cell_is_a_gap_and_a_cross(comparison):
    first, *others = comparison.cells
    degenerate = replace(comparison, cells=(replace(first, degenerate="reason"), *others))
    ax = plots.criterion(degenerate)
    assert np.isnan(ax.lines[0].get_ydata()[0])
    (cross,) = (line for line in ax.lines if line.get_marker() == "x")
    assert len(cross.get_xdata()) == 1
    assert cross.get_color() == ax.lines[0].get_color()


def test_merging_is_drawn_as_entropies_and_as_a_tree():
    X = datasets.old_faithful().X
    merging = selection.merge(start.kmeans(X, 5, np.random.default_rng(0)), X)
    ax = plots.merging_entropy(merging)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), merging.entropies)
    assert merging.bend < 5
    assert f"bend: {merging.bend} clusters" in {line.get_label() for line in ax.lines}
    tree = plots.merging_tree(merging)
    assert sorted(tick.get_text() for tick in tree.get_xticklabels()) == list("01234")


def test_the_bootstrap_test_shows_all_replicates_and_the_statistic():
    X = np.random.default_rng(0).normal(size=(30, 1))
    test = selection.bootstrap_test(
        X,
        1,
        rng=np.random.default_rng(0),
        structure=Tied,
        n_bootstrap=9,
        progress=False,
    )
    ax = plots.bootstrap_test(test)
    assert sum(bar.get_height() for bar in ax.patches) == np.isfinite(test.replicates).sum()
    assert ax.lines[0].get_xdata()[0] == test.statistic


@pytest.mark.parametrize(
    "draw",
    [plots.criterion, plots.merging_entropy, plots.merging_tree, plots.bootstrap_test],
)
def test_arguments_of_another_type_raise(draw):
    with pytest.raises(TypeError, match=r"must be a .*; got int"):
        draw(3)


def test_one_component_has_no_tree():
    merging = selection.merge(tilted(k=1), X2)
    with pytest.raises(ValueError, match="merging must have at least two components; got 1"):
        plots.merging_tree(merging)


def test_the_criterion_must_be_one_of_the_comparison(comparison):
    with pytest.raises(ValueError, match="name must be one of 'bic', 'aic', 'icl'; got 'cv'"):
        plots.criterion(comparison, "cv")
