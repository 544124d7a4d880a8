"""Parametric bootstrap tests of the number of components.

Twice the log-likelihood ratio of k + 1 and k components does not have a χ² distribution under the
null hypothesis, because the mixture with k + 1 components is then not identified. Its distribution
is simulated instead: both mixtures are fitted to samples drawn from the fit with k components
(McLachlan 1987; McLachlan and Peel 2000, section 6.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from gmmlab._validation import check_count, check_jobs, check_number, check_rng
from gmmlab.covariance import Covariance, Full
from gmmlab.engine import Samples, as_samples
from gmmlab.mixture import Mixture
from gmmlab.result import DegenerateError, Fit
from gmmlab.search import Search, search
from gmmlab.selection.split_merge import doubled, splits

# Both fits, to the data and to each replicate, use the same starts and rounds: a more thorough
# search for one of them would bias the statistic. The null fit of a replicate also starts from the
# mixture that the replicate was drawn from; a null fit that misses its optimum would make the
# statistic too large.
_STARTS = {"hierarchical": 1, "kmeans": 2, "k-means++": 3, "random_from_data": 2}
_ROUNDS = ((12, 4), (60, 2))


@dataclass(frozen=True, eq=False)
class BootstrapTest:
    """The result of `bootstrap_test`: k components against k + 1."""

    #: the fits with k and with k + 1 components
    null: Fit
    alternative: Fit
    #: twice the difference of their log-likelihoods
    statistic: float
    #: the statistics of samples drawn from `null`, shape (n_bootstrap,); infinite where one of the
    #: two fits degenerated, which counts against a rejection
    replicates: np.ndarray

    @property
    def n_components(self) -> int:
        """Number of components under the null hypothesis."""
        return self.null.mixture.n_components

    @property
    def p_value(self) -> float:
        """Fraction of statistics at least as large as that of the data, which counts too."""
        as_large = int((self.replicates >= self.statistic).sum())
        return (1 + as_large) / (len(self.replicates) + 1)

    @property
    def message(self) -> str:
        """The result in words."""
        k = self.n_components
        return (
            f"{k} against {k + 1} components: 2 × log-likelihood ratio {self.statistic:.4g}, "
            f"p = {self.p_value:.3g} from {len(self.replicates)} samples drawn under {k}."
        )


@dataclass(frozen=True, eq=False)
class SequentialTest:
    """The result of `sequential_test`: tests up to the first that does not reject."""

    tests: tuple[BootstrapTest, ...]
    #: significance level of each test
    alpha: float

    @property
    def p_values(self) -> np.ndarray:
        """The p-values of the tests, for 1, 2, … components against one more."""
        return np.array([test.p_value for test in self.tests])

    @property
    def rejected(self) -> bool:
        """Whether the last test rejects too, so that more components may be needed."""
        return bool(self.p_values[-1] <= self.alpha)

    @property
    def n_components(self) -> int:
        """The first number of components that is not rejected, or else one more than the last."""
        return self.tests[-1].n_components + self.rejected

    @property
    def fit(self) -> Fit:
        """The fit with `n_components` components."""
        return self.tests[-1].alternative if self.rejected else self.tests[-1].null

    @property
    def message(self) -> str:
        """The results in words."""
        k, last = self.n_components, self.tests[-1]
        end = f"{k} components are not rejected at {self.alpha:g}."
        if self.rejected:
            end = f"All were rejected at {self.alpha:g}: there are at least {k} components."
        n = len(last.replicates)
        error = np.sqrt(self.alpha * (1 - self.alpha) / n)
        if abs(last.p_value - self.alpha) < 2 * error:
            end += (
                f" The last p is too close to {self.alpha:g} to decide, because it is only known "
                f"to ± {2 * error:.2g} from {n} samples; raise n_bootstrap."
            )
        return "\n".join([*(test.message for test in self.tests), end])


def bootstrap_test(
    X: Any,
    n_components: int,
    *,
    rng: np.random.Generator,
    structure: type[Covariance] = Full,
    n_bootstrap: int = 99,
    n_jobs: int | None = -1,
    progress: bool = True,
    begin: Iterable[Mixture] = (),
    **settings: Any,
) -> BootstrapTest:
    """Test k components against k + 1 by a parametric bootstrap of the likelihood ratio.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units, without missing entries.
    n_components : int
        Number of components k under the null hypothesis; less than the number of samples.
    rng : numpy.random.Generator
        Source of randomness. The result does not depend on `n_jobs`.
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure of both mixtures.
    n_bootstrap : int, default 99
        Number B of samples drawn from the fit with k components.
    n_jobs : int or None, default -1
        Number of drawn samples that are fitted in parallel, as in joblib.
    progress : bool, default True
        Whether to show a progress bar.
    begin : iterable of Mixture, optional
        More starts for the fit of k components to the data. A better null fit makes the statistic
        smaller, so it cannot make a rejection more likely. The null fit of each replicate starts
        from the mixture that it was drawn from.
    **settings
        Arguments of `search`, such as `starts`, `rounds` and `tol`, for the fits to the data and
        to the replicates.

    Returns
    -------
    BootstrapTest
        p = (1 + #{replicates ≥ statistic}) / (B + 1), which is at least 1 / (B + 1).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    DegenerateError
        If every fit to the data degenerates.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import Tied, datasets, selection
    >>> X = datasets.old_faithful().X
    >>> test = selection.bootstrap_test(
    ...     X, 1, rng=np.random.default_rng(0), structure=Tied, n_bootstrap=9, n_jobs=1,
    ...     progress=False,
    ... )
    >>> test.p_value
    0.1
    """
    samples = _check(X, settings)
    k = check_count(n_components, name="n_components", maximum=samples.n_samples - 1)
    n_bootstrap, n_jobs = check_count(n_bootstrap, name="n_bootstrap"), check_jobs(n_jobs)
    for_data, for_replicates = check_rng(rng).spawn(2)
    settings = {**settings, "structure": structure}
    null, alternative = fit_both(samples, k, for_data, settings, begin)
    jobs = (
        delayed(replicate_statistic)(null, samples.n_samples, own, settings)
        for own in for_replicates.spawn(n_bootstrap)
    )
    done = Parallel(n_jobs=n_jobs, return_as="generator")(jobs)
    label = f"{k} against {k + 1} components"
    replicates = np.array(list(tqdm(done, label, n_bootstrap, leave=False, disable=not progress)))
    replicates.setflags(write=False)
    return BootstrapTest(null, alternative, _statistic(null, alternative), replicates)


def sequential_test(
    X: Any,
    *,
    rng: np.random.Generator,
    alpha: float = 0.05,
    max_components: int = 9,
    **settings: Any,
) -> SequentialTest:
    """Test 1 component against 2, 2 against 3 and so on, until a test does not reject.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units, without missing entries.
    rng : numpy.random.Generator
        Source of randomness.
    alpha : float, default 0.05
        Significance level of each test, in (0, 1): a number of components is rejected if
        p ≤ alpha. The smallest possible p is 1 / (n_bootstrap + 1), so `n_bootstrap` must be at
        least 1 / alpha − 1.
    max_components : int, default 9
        Largest number of components to test.
    **settings
        Arguments of `bootstrap_test`.

    Returns
    -------
    SequentialTest

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    DegenerateError
        If every fit to the data with some number of components degenerates.
    """
    samples = _check(X, settings)
    alpha = check_number(alpha, name="alpha", inclusive=False)
    n_bootstrap = check_count(settings.get("n_bootstrap", 99), name="n_bootstrap")
    if not alpha < 1:
        raise ValueError(f"alpha must be in (0, 1); got {alpha}")
    if 1 / (n_bootstrap + 1) > alpha:
        raise ValueError(
            f"n_bootstrap must be at least 1 / alpha − 1 = {1 / alpha - 1:g} for a test to be able "
            f"to reject; got {n_bootstrap}"
        )
    check_count(max_components, name="max_components", maximum=samples.n_samples - 1)
    tests: list[BootstrapTest] = []
    for k, own in enumerate(check_rng(rng).spawn(max_components), start=1):
        # The alternative of one test is the null hypothesis of the next.
        begin = [tests[-1].alternative.mixture] if tests else []
        tests.append(bootstrap_test(X, k, rng=own, begin=begin, **settings))
        if tests[-1].p_value > alpha:
            break
    return SequentialTest(tuple(tests), alpha)


def _check(X: Any, settings: Mapping[str, Any]) -> Samples:
    if settings.get("sample_weight") is not None:
        raise TypeError("sample_weight is not supported by the bootstrap test; got weights")
    samples = as_samples(X, in_memory=True)
    if samples.n_samples < 2:
        raise ValueError(f"X must have at least 2 samples; got {samples.n_samples}")
    return samples


def fit_both(
    samples: Samples,
    k: int,
    rng: np.random.Generator,
    settings: dict[str, Any],
    begin: Iterable[Mixture] = (),
) -> tuple[Fit, Fit]:
    """Return the best fits with k and with k + 1 components.

    The second search also starts from the first fit, with one component split or doubled, so that
    the log-likelihood ratio is not negative.
    """
    one, other, for_splits = rng.spawn(3)
    settings = {"starts": _STARTS, "rounds": _ROUNDS, **settings}
    null = _sound(search(samples, k, one, begin=begin, **settings))
    more = [*splits(samples, null.mixture, for_splits), doubled(null.mixture)]
    return null, _sound(search(samples, k + 1, other, begin=more, **settings))


def _sound(found: Search) -> Fit:
    if found.degenerate:
        raise DegenerateError(found.best.message, found.best)
    return found.best


def replicate_statistic(
    null: Fit, n_samples: int, rng: np.random.Generator, settings: dict[str, Any]
) -> float:
    """Return the statistic of samples drawn from a null fit; infinite if a fit degenerates."""
    X, _ = null.mixture.sample(n_samples, rng)
    try:
        return _statistic(
            *fit_both(
                as_samples(X, in_memory=True),
                null.mixture.n_components,
                rng,
                settings,
                begin=[null.mixture],
            )
        )
    except DegenerateError:
        return np.inf


def _statistic(null: Fit, alternative: Fit) -> float:
    return 2 * (alternative.log_likelihood - null.log_likelihood)
