"""Parametric bootstrap tests of the number of components.

Twice the log-likelihood ratio of k + 1 and k components does not have a χ² distribution under the
null hypothesis, because the mixture with k + 1 components is then not identified. Its distribution
is simulated instead: both mixtures are fitted to samples drawn from the fit with k components
(McLachlan 1987; McLachlan and Peel 2000, section 6.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from gmmlab import start
from gmmlab._validation import check_count, check_jobs, check_number, check_rng
from gmmlab.covariance import Covariance, Full
from gmmlab.engine import Samples, as_samples
from gmmlab.mixture import Mixture
from gmmlab.result import DegenerateError, Fit
from gmmlab.search import search
from gmmlab.selection.search_many import Found, search_many
from gmmlab.selection.split_merge import doubled, splits

# The searches for both fits, to the data and to each replicate, use the same starts and rounds: a
# more thorough search of one of them would bias the statistic. A null fit that misses its optimum
# would make it too large, so the null fit of a replicate also starts from the mixture that the
# replicate was drawn from, and that of the data from the best fit of a long search.
_STARTS = {"k-means++": 2, "random_from_data": 6}
_ROUNDS = ((12, 3), (40, 1))
# As many replicates are fitted together as have this many entries with their products (32 MiB), in
# a copy for each start.
_ENTRIES = 2**22


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
        Source of randomness. Each drawn sample has a child generator.
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure of both mixtures.
    n_bootstrap : int, default 99
        Number B of samples drawn from the fit with k components.
    n_jobs : int or None, default -1
        No effect: the drawn samples are fitted together.
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
    ...     X, 1, rng=np.random.default_rng(0), structure=Tied, n_bootstrap=9,
    ...     progress=False,
    ... )
    >>> test.p_value
    0.1
    """
    samples = _check(X, settings)
    k = check_count(n_components, name="n_components", maximum=samples.n_samples - 1)
    n_bootstrap = check_count(n_bootstrap, name="n_bootstrap")
    check_jobs(n_jobs)
    for_search, for_data, for_replicates = check_rng(rng).spawn(3)
    null = search(samples, k, for_search, structure=structure, begin=begin, **settings)
    if null.degenerate:
        raise DegenerateError(null.best.message, null.best)
    procedure = Procedure.of(k, samples, structure, settings)
    [null], [alternative] = fit_both(
        samples.X[None], null.best.mixture, [for_data], procedure, remaining_gain=True
    )
    for found in (null, alternative):
        if not found.sound:
            raise DegenerateError(found.fit.message, found.fit)
    statistics, generators = [], for_replicates.spawn(n_bootstrap)
    label = f"{k} against {k + 1} components"
    with tqdm(total=n_bootstrap, desc=label, leave=False, disable=not progress) as bar:
        for first in range(0, n_bootstrap, procedure.batch):
            batch = generators[first : first + procedure.batch]
            statistics.append(replicate_statistics(null.fit, samples.n_samples, batch, procedure))
            bar.update(len(batch))
    replicates = np.concatenate(statistics)
    replicates.setflags(write=False)
    [statistic] = likelihood_ratios([null], [alternative])
    return BootstrapTest(null.fit, alternative.fit, float(statistic), replicates)


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


@dataclass(frozen=True)
class Procedure:
    """How both mixtures are fitted: the structure, and the arguments of `search`."""

    structure: type[Covariance]
    #: the kind of each start that is drawn
    kinds: tuple[str, ...]
    rounds: Sequence[tuple[int, int]]
    #: blocks that all starts have in common
    given: Mapping[str, Any]
    #: arguments of `fit`
    settings: Mapping[str, Any]
    #: number of replicates that are fitted together
    batch: int

    @classmethod
    def of(
        cls,
        k: int,
        samples: Samples,
        structure: type[Covariance],
        settings: Mapping[str, Any],
    ) -> Procedure:
        """Split the arguments of a `search` for the samples, which has checked them."""
        settings = {"starts": None, "rounds": _ROUNDS, "given": None, **settings}
        starts = _STARTS if (starts := settings.pop("starts")) is None else starts
        kinds = tuple(kind for kind, count in starts.items() for _ in range(count))
        rounds, given = settings.pop("rounds"), settings.pop("given") or {}
        for name in ("missing", "sample_weight"):
            settings.pop(name, None)
        n, d = samples.X.shape
        entries = (len(kinds) + 3 * k + 1) * n * (d + 1 + d * (d + 3) // 2)
        return cls(structure, kinds, rounds, given, settings, max(1, _ENTRIES // entries))

    def drawn(self, samples: Samples, k: int, rng: np.random.Generator) -> list[Mixture]:
        """Return a stack of drawn starts, in a list that is empty if none are drawn."""
        if not self.kinds:
            return []
        generators = [rng] * len(self.kinds)
        drawn = start.draw(samples, k, self.kinds, generators, structure=self.structure)
        return [start.with_given(drawn, self.given)]

    def split(self, samples: Samples, null: Mixture, rng: np.random.Generator) -> list[Mixture]:
        """Return stacks of starts with one component more than a fit: split, and doubled.

        So the log-likelihood ratio is not negative.
        """
        stacks = [Mixture.stacked([doubled(null)])]
        halves = splits(samples, null, rng)
        if len(halves):
            stack = start.stack_of_responsibilities(samples, halves, self.structure)
            stacks.append(start.with_given(stack, self.given))
        return stacks

    def searched(
        self, X: np.ndarray, starts: Sequence[Sequence[Mixture]], remaining_gain: bool
    ) -> list[Found]:
        """Return the best fit to each of several samples (R, n, d), from starts of its own."""
        return search_many(
            Samples(X, n_fits=len(X)),
            [Mixture.concatenated(each) for each in starts],
            self.settings,
            rounds=self.rounds,
            remaining_gain=remaining_gain,
        )


def fit_both(
    X: np.ndarray,
    begin: Mixture,
    generators: Sequence[np.random.Generator],
    procedure: Procedure,
    *,
    remaining_gain: bool = False,
) -> tuple[list[Found], list[Found]]:
    """Return the best fits with k and with k + 1 components to each of several samples.

    Parameters
    ----------
    X : ndarray, shape (R, n_samples, n_features)
    begin : Mixture
        A start with k components for all samples.
    generators : sequence of numpy.random.Generator
        One for each of the samples.
    procedure : Procedure
    remaining_gain : bool, default False
        Whether to estimate the remaining gain of the fits.
    """
    each, k, first = [Samples(one) for one in X], begin.n_components, Mixture.stacked([begin])
    starts = [
        [first, *procedure.drawn(one, k, rng)] for one, rng in zip(each, generators, strict=True)
    ]
    nulls = procedure.searched(X, starts, remaining_gain)
    starts = [
        [*procedure.split(one, null.fit.mixture, rng), *procedure.drawn(one, k + 1, rng)]
        for one, null, rng in zip(each, nulls, generators, strict=True)
    ]
    return nulls, procedure.searched(X, starts, remaining_gain)


def replicate_statistics(
    null: Fit, n_samples: int, generators: Sequence[np.random.Generator], procedure: Procedure
) -> np.ndarray:
    """Return the statistics of samples drawn from a null fit; infinite where a fit degenerates."""
    X = np.stack([null.mixture.sample(n_samples, rng)[0] for rng in generators])
    return likelihood_ratios(*fit_both(X, null.mixture, generators, procedure))


def likelihood_ratios(nulls: Sequence[Found], alternatives: Sequence[Found]) -> np.ndarray:
    """Return twice the log-likelihood ratio for each pair of fits."""
    return np.array(
        [
            2 * (more.fit.log_likelihood - few.fit.log_likelihood)
            if few.sound and more.sound
            else np.inf
            for few, more in zip(nulls, alternatives, strict=True)
        ]
    )
