"""The results that a notebook records, and their comparison."""

import numpy as np
import pytest

from gmmlab.workbook.recording import differences, record


@pytest.mark.parametrize("value", [np.inf, {"a": [1.0, float("nan")]}])
def test_only_finite_numbers_can_be_recorded(value):
    with pytest.raises(ValueError, match="gain must be finite"):
        record(gain=value)


def test_a_type_that_json_does_not_support_is_refused_by_name():
    with pytest.raises(TypeError, match="model must have a type that JSON supports; got object"):
        record(model=object())
    with pytest.raises(ValueError, match="at least one"):
        record()


def test_differences_are_found_at_any_depth():
    one = {"a": 1.0, "b": [1, {"c": 2.0}], "d": "x"}
    assert differences(one, {"a": 1.0 + 1e-9, "b": [1, {"c": 2.0 - 1e-9}], "d": "x"}) == {}
    assert set(differences(one, {"a": 1.1, "b": [1, {"c": 2.1}], "e": 0})) == {"a", "b", "d", "e"}
    assert set(differences({"a": True, "b": 1}, {"a": 1, "b": 1.0})) == {"a"}


def test_recorded_tolerances_apply_if_both_runs_agree_and_bits_are_not_compared():
    one = {"a": 1.0, "b": {"c": 2.0}, "tolerances": {"b": 0.1}}
    assert differences(one, {**one, "b": {"c": 2.1}}) == {}
    assert set(differences(one, {**one, "b": {"c": 2.3}})) == {"b"}
    assert set(differences(one, {**one, "a": 1.05})) == {"a"}
    assert set(differences(one, {**one, "b": {"c": 2.1}}, tolerance=0)) == {"b"}
    assert set(differences(one, {"a": 1.0, "b": {"c": 2.1}})) == {"b", "tolerances"}
    assert set(differences(one, {**one, "b": {"c": 2.1}, "tolerances": {"b": 9.0}})) == {
        "b",
        "tolerances",
    }
