"""Search for the global optimum: a short run of EM from many starts, then full runs of the best.

EM finds the local optimum near its start. `search` therefore draws many starts of several kinds,
runs EM for a while from each, and runs the best few to convergence (short runs of EM: Biernacki,
Celeux and Govaert 2003). A short run still takes more than a hundred accelerated passes: only then
do the slow fits that will end highest begin to stand out.
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
from gmmlab.engine import as_samples
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.result import DegenerateError, Fit

#: The field of a `Mixture` that holds each block.
FIELDS = {"weights": "weights", "means": "means", "covariances": "covariance"}
#: The kinds of start, by scikit-learn's names where it has them.
STARTS: dict[str, Callable[..., Mixture]] = {
    "kmeans": start.kmeans,
    "k-means++": start.kmeans_plus_plus,
    "random": start.random_responsibilities,
    "random_from_data": start.random_points,
    "hierarchical": start.hierarchical,
}
#: The number of starts of each kind that a search draws by default.
MIXED = {"kmeans": 10, "k-means++": 20, "random_from_data": 70}
#: The default rounds: the passes of a short run, and how many of the fits go on.
ROUNDS = ((150, 10),)
# Two fits whose total log-likelihoods differ by less than this, in nats, are the same optimum.
_SAME = 1e-3


@dataclass(frozen=True, eq=False)
class Search:
    """The result of `search`.

    Attributes
    ----------
    best : Fit
        The sound fit with the highest log-likelihood; if all fits are degenerate, the best of
        those.
    fits : tuple of Fit
        All fits that were run to convergence, from best to worst, with degenerate ones last.
    set_aside : tuple of Fit
        The degenerate fits with a higher log-likelihood than `best`.
    n_starts : int
        Number of starts.
    degenerate : bool
        Whether `best` is degenerate too, because no fit is sound.
    """

    best: Fit
    fits: tuple[Fit, ...]
    set_aside: tuple[Fit, ...]
    n_starts: int
    degenerate: bool = False

    @property
    def hits(self) -> int:
        """Number of `fits` that reached the same optimum as `best`."""
        best = self.best.log_likelihood
        return sum(abs(other.log_likelihood - best) < _SAME for other in self.fits)

    @property
    def message(self) -> str:
        """How often the optimum was found, and what to do if that is not enough."""
        words = (
            f"Starts: {self.n_starts}; run to convergence: {len(self.fits)}; reached this optimum: "
            f"{self.hits}."
        )
        if self.hits == 1:
            words += " There may be a better optimum: draw more starts."
        if self.degenerate:
            words += " This fit is degenerate, and so are all others: try fewer components."
        if self.set_aside:
            highest = max(other.log_likelihood for other in self.set_aside)
            words += (
                f" Degenerate fits with a higher log-likelihood (up to {highest:.6g}) that were "
                f"set aside: {len(self.set_aside)}."
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
        Source of randomness.
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.
    starts : mapping of str to int, optional
        Number of starts of each kind: "kmeans", "k-means++", "random", "random_from_data",
        "hierarchical" (see `gmmlab.start`). By default `MIXED`: 10 from k-means, 20 from k-means++
        seeds and 70 from random samples.
    begin : iterable of Mixture, optional
        Further starts, with that number of components and that structure; with `starts={}` they
        are the only ones.
    rounds : sequence of (int, int), default ((150, 10),)
        For each round, the number of passes of a short run and how many of the fits go on to the
        next round. The fits that are left after the last round are run to convergence.
    given : mapping, optional
        Blocks of a `Mixture` ("weights", "means", "covariance") that all starts have in common.
    sample_weight : array_like, shape (n_samples,), optional
        Weight of each sample; 1 by default.
    tol, max_iter, **settings
        As in `fit`, for the fits that are run to convergence.

    Returns
    -------
    Search
        `best` is the best fit; `message` says how often its optimum was found.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    DegenerateError
        If every fit degenerates. Its attribute `fit` is the one with the highest log-likelihood.

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
    completed = start.completed_samples(samples)
    rng = check_rng(rng)
    if isinstance(begin, Mixture):
        raise TypeError("begin must be an iterable of Mixture, e.g. [mixture]; got a Mixture")
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

    @cache  # it takes a pass over the data, and every ranking asks for it
    def is_sound(one: Fit) -> bool:
        return not diagnostics.degenerate(one.mixture, samples)

    def ranked(fits: Iterable[Fit]) -> list[Fit]:
        """Sort from best to worst, with degenerate fits last."""
        return sorted(fits, key=lambda one: (is_sound(one), one.log_likelihood), reverse=True)

    # The short runs. Each start has a generator of its own, and is drawn when its turn comes.
    kinds = [kind for kind, count in starts.items() for _ in range(count)]
    drawn = (
        replace(STARTS[kind](completed, n_components, own, structure=structure), **given)
        for kind, own in zip(kinds, rng.spawn(len(kinds)), strict=True)
    )
    mixtures: Iterable[Mixture] = chain(begin, drawn)
    *early, (passes, n_full) = rounds
    for few, n_kept in early:
        mixtures = [one.mixture for one in ranked(run(mixtures, min(few, max_iter)))[:n_kept]]
    short = ranked(run(mixtures, min(passes, max_iter)))

    # The full runs: of the best, and of the next best as long as all are degenerate.
    fits: list[Fit] = []
    while short and not any(map(is_sound, fits)):
        promising, short = short[:n_full], short[n_full:]
        fits = ranked([*fits, *run((one.mixture for one in promising), max_iter)])
    if not fits:
        raise max(failed, key=lambda error: error.fit.log_likelihood)

    best = fits[0]
    degenerate = [error.fit for error in failed]
    degenerate += [one for one in fits + short if not is_sound(one)]
    aside = [one for one in degenerate if one.log_likelihood > best.log_likelihood + _SAME]
    n_starts = len(begin) + len(kinds)
    found = Search(best, tuple(fits), tuple(aside), n_starts, degenerate=not is_sound(best))
    return replace(found, best=replace(best, message=f"{best.message} {found.message}"))


def check_given(given: Any) -> dict[str, Any]:
    """Return the blocks that all starts have in common, by the names of `Mixture`."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            "given must map names of blocks to their values, e.g. {'means': means}; "
            f"got {type(given).__name__}"
        )
    for name in given:
        check_choice(name, FIELDS.values(), name="given")
    return dict(given)


def check_starts(starts: Any, *, name: str = "starts") -> dict[str, int]:
    """Return the number of starts of each kind."""
    if not isinstance(starts, Mapping) or not starts:
        raise TypeError(
            f"{name} must map kinds of start to the number of each, e.g. {{'kmeans': 5}}; "
            f"got {starts!r}"
        )
    return {
        check_choice(kind, STARTS, name=name): check_count(count, name=f"{name}[{kind!r}]")
        for kind, count in starts.items()
    }


def _check_rounds(rounds: Any) -> list[tuple[int, int]]:
    """Return the number of passes and of kept fits of each round."""
    try:
        pairs = [(passes, kept) for passes, kept in rounds]
    except (TypeError, ValueError):
        pairs = []
    if not pairs:
        raise TypeError(
            "rounds must hold pairs (number of passes, number of fits to keep), e.g. "
            f"((150, 10),); got {rounds!r}"
        )
    return [
        (
            check_count(passes, name="the number of passes in rounds"),
            check_count(kept, name="the number of fits to keep in rounds"),
        )
        for passes, kept in pairs
    ]
