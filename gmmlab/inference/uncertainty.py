"""The public function `uncertainty`: standard errors and confidence intervals of a fit.

There are three methods (McLachlan and Peel 2000, sections 2.15 and 2.16). The observed information
(`wald`) takes one pass over the data and is valid for large samples. The two bootstraps
(`bootstrap`) fit many resampled data sets and measure how much the fits differ.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from gmmlab._validation import check_choice, check_count, check_jobs, check_number, check_rng
from gmmlab.engine import as_samples
from gmmlab.inference.bootstrap import DRAWS, bootstrap_uncertainty
from gmmlab.inference.result import Uncertainty
from gmmlab.inference.wald import wald_uncertainty
from gmmlab.result import Fit, check_fit


def uncertainty(
    fit: Fit,
    X: Any,
    *,
    method: Literal["information", "bootstrap", "weighted"] = "information",
    level: float = 0.95,
    sample_weight: Any = None,
    rng: np.random.Generator | None = None,
    n_bootstrap: int = 999,
    n_jobs: int | None = None,
    **settings: Any,
) -> Uncertainty:
    """Return standard errors and confidence intervals of weights, means and covariances.

    Parameters
    ----------
    fit : Fit
        The result of `gmmlab.fit`, at a maximum of the likelihood. Blocks that are not free count
        as known.
    X : array_like, shape (n_samples, n_features)
        The samples of the fit.
    method : {"information", "bootstrap", "weighted"}, default "information"
        The observed information, the nonparametric bootstrap or the weighted-likelihood
        bootstrap.
    level : float, default 0.95
        Nominal coverage of the intervals, in (0, 1).
    sample_weight : array_like, shape (n_samples,), optional
        The sample weights of the fit. For "bootstrap" they are counts of copies, and their sum
        must be an integer.
    rng : numpy.random.Generator, optional
        Source of randomness; required by both bootstraps. Each replicate has a child generator.
    n_bootstrap : int, default 999
        Number of replicates, at least 2.
    n_jobs : int, optional
        No effect: all replicates are fitted at once, by `fit_many`.
    **settings
        Arguments of `fit_many` for the replicates, such as the `floor` of the fit. The defaults are
        ``tol=1e-8, max_iter=10_000, accelerate=True``. Replicates start from the fit.

    Returns
    -------
    Uncertainty

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range. If the fit is more than a tenth of a
        standard error away from a maximum of the likelihood. With "information", if entries of
        `X` are missing, or if covariances are free and components share a part of them (VEI, EVI,
        VEE, EVE, VVE, EEV, VEV and EVV); the bootstraps support both. If fewer than two
        replicates do not degenerate.

    Warns
    -----
    RuntimeWarning
        If more than half of the replicates of a bootstrap degenerate; the others are then a biased
        selection.

    Notes
    -----
    *Information.* I_obs is computed from analytic scores (Louis 1982; see `gmmlab.convergence`) in
    coordinates without constraints: k − 1 of them for the weights, and the free entries of the
    covariances. The delta method transforms its inverse to the parameters. With η = log πₖ/π_K,
    C Cᵀ = Σ and Σ = C exp(√2 A) Cᵀ,

        Var π = (diag π − π πᵀ) Var η (diag π − π πᵀ),   Var μₖ = Cₖ Var a Cₖᵀ,

    and Var Σ follows from ∂Σ/∂A. Intervals are Wald intervals: the estimate ± z standard errors,
    on the scale of log π/(1 − π) for a weight and of the logarithm for a variance. On these scales
    estimates are closer to normal, and the ends of the intervals are valid weights and variances.
    Covariances of two features can be negative and stay on their own scale.

    The method assumes that the model is correct; the bootstraps do not.

    *Bootstraps.* Standard errors are standard deviations over the replicates; intervals are
    percentile intervals. The components of each replicate are put in the order of the fit by
    `diagnostics.match_mixtures`, not by sorting a coordinate. Replicates with a degenerate
    component are counted and left out.

    The coverage of nominal 95 % intervals, over 500 samples of size 1000 from three separated
    clusters with 199 replicates each (``benchmarks/coverage.py``), was:

    ===========  =======  ======  =========  ===========
    method       weights  means   variances  covariances
    ===========  =======  ======  =========  ===========
    information  95.3 %   94.4 %  95.2 %     95.8 %
    bootstrap    94.2 %   93.6 %  93.6 %     94.7 %
    weighted     93.8 %   93.4 %  93.7 %     94.8 %
    ===========  =======  ======  =========  ===========

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import datasets, fit, start
    >>> X = datasets.old_faithful().X
    >>> result = fit(X, start.from_labels(X, X[:, 1] > 68), tol=1e-10)
    >>> uncertainty(result, X).standard_errors.means.round(3)
    array([[0.027, 0.592],
           [0.031, 0.456]])
    >>> rng = np.random.default_rng(0)
    >>> found = uncertainty(result, X, method="weighted", rng=rng, n_bootstrap=100)
    >>> found.standard_errors.weights.round(2)
    array([0.03, 0.03])
    """
    if check_fit(fit).status in ("degenerate", "not_increasing"):
        raise ValueError(
            f"fit must have the status 'converged' or 'max_iter'; got {fit.status!r}: {fit.message}"
        )
    check_choice(method, ("information", *DRAWS), name="method")
    level = check_number(level, name="level", inclusive=False)
    if not level < 1:
        raise ValueError(f"level must be in (0, 1); got {level}")
    if method == "information" and settings:
        raise TypeError(
            "settings are for the bootstraps, not for method='information'; "
            f"got {', '.join(map(repr, settings))}"
        )
    if "free" in settings:
        raise TypeError(
            "settings must not contain free, because replicates have the free blocks of fit; "
            f"got free={settings['free']!r}"
        )
    if "callback" in settings or "restart" in settings:
        raise TypeError(
            "settings must be arguments of fit_many, without callback and restart; "
            f"got {', '.join(map(repr, settings))}"
        )
    if method == "information":
        return wald_uncertainty(fit, as_samples(X, sample_weight), level)
    rng = check_rng(rng)
    n_bootstrap = check_count(n_bootstrap, name="n_bootstrap", minimum=2)
    check_jobs(n_jobs)
    samples = as_samples(
        X, sample_weight, missing=settings.get("missing") == "marginalise", in_memory=True
    )
    return bootstrap_uncertainty(fit, samples, method, level, rng, n_bootstrap, settings)
