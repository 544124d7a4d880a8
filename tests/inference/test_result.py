"""Tests of the table of an `Uncertainty`."""

from inference_helpers import estimate, faithful, fitted, some_linear
from problems import BLOCKS


@some_linear
def test_the_table_has_one_row_for_each_parameter(structure):
    X, found = fitted(structure, k=3)
    one = estimate(found, X)
    frame = one.to_frame()
    assert len(frame) == 1 + found.n_parameters  # all weights
    assert not frame.duplicated(["block", "component", "feature", "other_feature"]).any()
    assert (frame["lower"] < frame["estimate"]).all()
    assert (frame["estimate"] < frame["upper"]).all()
    for block, errors in zip(BLOCKS, one.standard_errors, strict=True):
        rows = frame[frame["block"] == block]
        assert set(rows["standard_error"].round(9)) == set(errors.ravel().round(9))


def test_rows_of_the_table_identify_their_parameter():
    X, found = faithful()
    one = estimate(found, X)
    frame = one.to_frame().set_index(["block", "component", "feature", "other_feature"])
    row = frame.loc[("covariances", 1, 0, 1)]
    assert row["estimate"].item() == found.mixture.covariances[1, 0, 1]
    assert row["upper"].item() == one.upper.covariances[1, 0, 1]
    assert frame.loc["means"].loc[(0, 1)]["lower"].item() == one.lower.means[0, 1]
