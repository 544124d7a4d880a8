"""Looking for the best optimum: many starts of several kinds, a short run of each.

EM finds the optimum near its start. So many starts are drawn, each is followed for a while, and
the best few are run to convergence (short runs of EM: Biernacki, Celeux and Govaert 2003).
Short is not very short: among the slow fits, those that end highest begin to stand out only
after some hundred accelerated passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

from gmmlab import diagnostics, start
from gmmlab._validation import BLOCKS, check_choice, check_count, check_rng
from gmmlab.covariance import Covariance, Full
from gmmlab.em import fit
from gmmlab.engine.samples import as_samples
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.result import DegenerateError, Fit

#: what a `Mixture` calls its blocks
FIELDS = {"weights": "weights", "means": "means", "covariances": "covariance"}
#: kinds of start, by scikit-learn's names where it has them
STARTS: dict[str, Callable[..., Mixture]] = {
    "kmeans": start.kmeans,
    "k-means++": start.kmeans_plus_plus,
    "random": start.random_responsibilities,
    "random_from_data": start.random_points,
    "hierarchical": start.hierarchical,
}
#: how many starts of each kind a search draws unless told otherwise
MIXED = {"kmeans": 10, "k-means++": 20, "random_from_data": 70}

#: passes of a short run, and how many of them go on
ROUNDS = ((150, 10),)
# Two fits this close in total log-likelihood, in nats, have found the same optimum.
_SAME = 1e-3


@dataclass(frozen=True, eq=False)
class Search:
    """What `search` found."""

    #: the best fit that is not degenerate, or where all are the best of those
    best: Fit
    #: all fits that were run to convergence, the best first and degenerate ones last
    fits: tuple[Fit, ...]
    #: fits with a higher log-likelihood than `best` that were set aside, as degenerate
    set_aside: tuple[Fit, ...]
    #: number of starts drawn
    n_starts: int
    #: whether `best` is degenerate too, for want of others
    degenerate: bool = False

    @property
    def hits(self) -> int:
        """How many of `fits` ended in the optimum of `best`."""
        best = self.best.log_likelihood
        return sum(abs(other.log_likelihood - best) < _SAME for other in self.fits)

    @property
    def message(self) -> str:
        """How sure the winner is, in words."""
        words = (
            f"Of {self.n_starts} starts {len(self.fits)} were run to convergence, and {self.hits} "
            "of them ended in this optimum."
        )
        if self.hits == 1:
            words += " Others may be better: draw more starts."
        if self.degenerate:
            words += " But this one is degenerate, as all are: try fewer components."
        if self.set_aside:
            highest = max(other.log_likelihood for other in self.set_aside)
            words += (
                f" {len(self.set_aside)} with a higher log-likelihood (up to {highest:.6g}) were "
                "set aside as degenerate."
            )
        return words


def search(
    X: Any,
    n_components: int,
    rng: np.random.Generator,
    *,
    structure: type[Covariance] = Full,
    starts: Mapping[str, int] | None = None,
    begin: Iterable[Mixture] = (),
    rounds: Sequence[tuple[int, int]] = ROUNDS,
    given: Mapping[str, Any] | None = None,
    sample_weight: Any = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
    **settings: Any,
) -> Search:
    """Fit from many starts of several kinds, and return the best fit that is not degenerate.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    n_components : int
        Number of components; at most the number of samples.
    rng : numpy.random.Generator
        Source of the draws.
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.
    starts : mapping of str to int, optional
        How many starts of each kind: "kmeans", "k-means++", "random", "random_from_data",
        "hierarchical" (see `gmmlab.start`). By default `MIXED`: 10 from k-means, 20 from k-means++
        seeds and 70 from random samples.
    begin : iterable of Mixture, optional
        More starts, of that many components and that structure; with `starts={}` the only ones.
    rounds : sequence of (int, int), default ((150, 10),)
        How many passes the short runs of each round take, and how many of them go on to the next:
        after the last, to convergence.
    given : mapping, optional
        Blocks of a `Mixture` ("weights", "means", "covariance") that every start has.
    sample_weight : array_like, shape (n_samples,), optional
        How often each sample counts.
    tol, max_iter, **settings
        As in `fit`, for the fits that are run to convergence.

    Returns
    -------
    Search
        `best` is the winner; `message` says how often its optimum was found.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.
    DegenerateError
        If every fit degenerates; its `fit` is the one with the highest log-likelihood.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import Tied, datasets
    >>> X = datasets.old_faithful().X
    >>> found = search(X, 3, np.random.default_rng(0), structure=Tied)
    >>> round(found.best.log_likelihood, 4)
    -1126.3159
    """
    marginalise = settings.get("missing") == "marginalise"
    samples = as_samples(X, sample_weight, missing=marginalise, in_memory=True)
    filled = start.completed_samples(samples)
    rng = check_rng(rng)
    if isinstance(begin, Mixture):
        raise TypeError("begin must be an iterable of mixtures; got a Mixture: [mixture], say")
    begin = tuple(check_mixture(one, name="begin") for one in begin)
    if not (begin and starts == {}):
        starts = check_starts(MIXED if starts is None else starts)
    rounds, given = _check_rounds(rounds), check_given(given)
    settings = {"tol": tol, "accelerate": True, "free": BLOCKS, **settings}
    failed: list[DegenerateError] = []

    def run(mixtures: Iterable[Mixture], passes: int) -> Iterator[Fit]:
        for mixture in mixtures:
            try:
                yield fit(samples, mixture, max_iter=passes, **settings)
            except DegenerateError as error:
                failed.append(error)

    @cache  # a pass over the data for each fit, asked for in every ranking
    def sound(one: Fit) -> bool:
        return not diagnostics.degenerate(one.mixture, samples)

    def ranked(fits: Iterable[Fit]) -> list[Fit]:
        """Return the best first, and degenerate fits after all others."""
        return sorted(fits, key=lambda one: (sound(one), one.log_likelihood), reverse=True)

    kinds = [kind for kind, count in starts.items() for _ in range(count)]
    drawn = (
        replace(STARTS[kind](filled, n_components, own, structure=structure), **given)
        for kind, own in zip(kinds, rng.spawn(len(kinds)), strict=True)
    )
    runners: Iterable[Mixture] = chain(begin, drawn)
    *early, (passes, carried) = rounds
    for few, kept in early:
        runners = [one.mixture for one in ranked(run(runners, min(few, max_iter)))[:kept]]
    short = ranked(run(runners, min(passes, max_iter)))
    fits: list[Fit] = []
    while short and not any(map(sound, fits)):  # where the best all degenerate, others have a turn
        going, short = short[:carried], short[carried:]
        fits = ranked([*fits, *run((one.mixture for one in going), max_iter)])
    if not fits:
        raise max(failed, key=lambda error: error.fit.log_likelihood)

    best = fits[0]
    thin = [error.fit for error in failed] + [one for one in fits + short if not sound(one)]
    aside = [one for one in thin if one.log_likelihood > best.log_likelihood + _SAME]
    found = Search(best, tuple(fits), tuple(aside), len(begin) + len(kinds), not sound(best))
    return replace(found, best=replace(best, message=f"{best.message} {found.message}"))


def check_given(given: Any) -> dict[str, Any]:
    """Return the blocks that every start has, by their names in a `Mixture`."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(f"given must map blocks to their values; got {type(given).__name__}")
    for name in given:
        check_choice(name, FIELDS.values(), name="given")
    return dict(given)


def check_starts(starts: Any, *, name: str = "starts") -> dict[str, int]:
    """Return how many starts of each kind are asked for."""
    if not isinstance(starts, Mapping) or not starts:
        raise TypeError(
            f"{name} must map kinds of start to how many of them, e.g. {{'kmeans': 5}}; "
            f"got {starts!r}"
        )
    return {
        check_choice(kind, STARTS, name=name): check_count(count, name=f"{name}[{kind!r}]")
        for kind, count in starts.items()
    }


def _check_rounds(rounds: Any) -> list[tuple[int, int]]:
    """Return passes and survivors of each round."""
    try:
        pairs = [(passes, kept) for passes, kept in rounds]
    except (TypeError, ValueError):
        pairs = []
    if not pairs:
        raise TypeError(
            "rounds must hold pairs of passes and how many go on, e.g. ((150, 10),); "
            f"got {rounds!r}"
        )
    return [
        (check_count(passes, name="rounds' passes"), check_count(kept, name="rounds' survivors"))
        for passes, kept in pairs
    ]
