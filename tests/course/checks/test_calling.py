"""Calling a student's function, and explaining exceptions and wrong results.

The examples of the problem sets make other mistakes of this kind: see test_em and test_practice.
"""

import sys
import warnings

import numpy as np
import pytest

from gmmlab.course.checks import Wrong, calling, em, practice, problems


def raises(error):
    def function(x):
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "mistake"),
    [
        (3, "not a function"),
        (raises(NotImplementedError()), calling.NOT_DONE),
        (raises(SystemExit(0)), calling.EXIT),
        (raises(KeyboardInterrupt()), calling.ENDLESS),
        (raises(ZeroDivisionError("by 0")), calling.ERROR),
        (lambda: 1, calling.ARGUMENTS),
    ],
)
def test_a_call_that_goes_wrong_is_explained(function, mistake):
    with pytest.raises(Wrong) as caught:
        calling.call(function, np.arange(3.0))
    assert caught.value.mistake == mistake
    assert len(caught.value.message.split()) > 3


def test_warnings_and_output_to_stderr_are_not_mistakes(capsys):
    def loud(x):
        warnings.warn("careful", stacklevel=1)
        print("written", file=sys.stderr)
        return np.log(x)

    assert calling.call(loud, np.zeros(2))[0] == -np.inf
    assert capsys.readouterr() == ("written\n", "")


def test_functions_of_the_checks_cannot_be_replaced():
    for module in (em, practice, problems):
        with pytest.raises(AttributeError, match="read-only"):
            module.problem = None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones((3, 1)), "A column can broadcast"),
        ("abc", "array of numbers"),
        ([[1], [1, 2]], "array of numbers"),
    ],
)
def test_arrays_of_another_kind_are_rejected(value, message):
    with pytest.raises(Wrong, match=message):
        calling.array(value, (3,), "weights")
