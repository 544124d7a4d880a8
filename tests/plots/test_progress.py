"""The trace and the staircase show the log-likelihood and the ELBO of a fit."""

import numpy as np
import pytest
from drawings import small_fit, texts, tilted

from gmmlab import plots


def test_a_trace_shows_both_columns_over_the_iterations(axes):
    result = small_fit()
    plots.trace(result, ax=axes)
    likelihood, elbo = axes.lines
    np.testing.assert_array_equal(likelihood.get_xdata(), np.arange(6))
    np.testing.assert_array_equal(likelihood.get_ydata(), result.trace["log_likelihood"])
    np.testing.assert_array_equal(elbo.get_ydata(), result.trace["elbo_m_step"])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", "total (nats)")
    first, second = texts(axes.get_legend())
    assert first.startswith("log-likelihood")
    assert second.startswith("ELBO after the M-step")


@pytest.mark.parametrize(("iterations", "drawn"), [(3, 3), (99, 5)])
def test_each_stair_is_an_m_step_and_then_an_e_step(axes, iterations, drawn):
    result = small_fit()
    plots.staircase(result, iterations=iterations, ax=axes)
    values, elbos = result.trace["log_likelihood"], result.trace["elbo_m_step"]
    landing, *risers = axes.lines
    np.testing.assert_array_equal(landing.get_ydata(), values[: drawn + 1])
    assert len(risers) == 2 * drawn
    for step in range(1, drawn + 1):
        m_step, e_step = risers[2 * step - 2 : 2 * step]
        assert list(m_step.get_xdata()) == list(e_step.get_xdata()) == [step, step]
        assert list(m_step.get_ydata()) == [values[step - 1], elbos[step]]
        assert list(e_step.get_ydata()) == [elbos[step], values[step]]
        assert m_step.get_color() != e_step.get_color()
    assert texts(axes.get_legend()) == ["log-likelihood", "M-step", "E-step"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration", "total (nats)")


def test_a_fit_without_iterations_can_be_drawn():
    result = small_fit(max_iter=0)
    assert len(plots.trace(result).lines[0].get_xdata()) == 1
    assert len(plots.staircase(result).lines) == 1


INVALID = {
    "trace: fit": (lambda: plots.trace(tilted()), TypeError, "fit must be"),
    "staircase: fit": (lambda: plots.staircase(tilted()), TypeError, "fit must be"),
    "staircase: iterations": (
        lambda: plots.staircase(small_fit(), iterations=0),
        ValueError,
        "iterations must be at least 1",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_raise(case):
    call, error, message = INVALID[case]
    with pytest.raises(error, match=message):
        call()
