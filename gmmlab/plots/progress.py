"""Draw the progress of a fit: the log-likelihood and the ELBO over the iterations."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from gmmlab._validation import check_count
from gmmlab.plots._axes import axes_for
from gmmlab.plots._style import colour
from gmmlab.result import Fit, check_fit


def trace(fit: Fit, *, ax: Axes | None = None) -> Axes:
    """Draw the log-likelihood of each iteration's parameters, and the ELBO before the E-step.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes
        The vertical axis shows totals over the samples, in nats.

    Notes
    -----
    The difference of the two is the gain of the E-step: the Kullback-Leibler divergence of the old
    responsibilities from the new ones.
    """
    iterations = check_fit(fit).trace["iteration"]
    ax = axes_for(ax, 2)
    ax.plot(
        iterations,
        fit.trace["log_likelihood"],
        color=colour(0),
        marker="o",
        markersize=3,
        label="log-likelihood (ELBO after the E-step)",
    )
    ax.plot(
        iterations,
        fit.trace["elbo_m_step"],
        color=colour(1),
        marker="v",
        markersize=4,
        linestyle="",
        label="ELBO after the M-step, before the E-step",
    )
    ax.set_xlabel("iteration")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("total (nats)")
    ax.legend(fontsize="small", loc="lower right")
    return ax


def staircase(fit: Fit, *, iterations: int = 6, ax: Axes | None = None) -> Axes:
    """Draw how the M-step and the E-step each raise the ELBO in the first iterations.

    Parameters
    ----------
    fit : Fit
    iterations : int, default 6
        Number of iterations to draw.
    ax : Axes, optional
        Axes to draw into. By default, a new figure is made.

    Returns
    -------
    Axes
        The vertical axis shows totals over the samples, in nats. Each iteration has a bar for the
        M-step and, on top of it, a bar for the E-step, which ends at the log-likelihood.
    """
    check_fit(fit)
    iterations = check_count(iterations, name="iterations")
    ax = axes_for(ax, 2)
    log_likelihood, after_m = fit.trace["log_likelihood"], fit.trace["elbo_m_step"]
    last = min(iterations, len(log_likelihood) - 1)
    ax.step(
        np.arange(last + 1),
        log_likelihood[: last + 1],
        where="post",
        color="black",
        linewidth=1,
        label="log-likelihood",
    )
    for step in range(1, last + 1):
        begin, middle, end = log_likelihood[step - 1], after_m[step], log_likelihood[step]
        for low, high, line, label in (
            (begin, middle, colour(1), "M-step"),
            (middle, end, colour(0), "E-step"),
        ):
            ax.plot(
                [step, step],
                [low, high],
                color=line,
                linewidth=6,
                solid_capstyle="butt",
                label=label if step == 1 else None,
            )
    ax.set_xlabel("iteration")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("total (nats)")
    ax.legend(fontsize="small", loc="upper left")  # always empty, because the values increase
    return ax
