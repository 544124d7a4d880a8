"""Search for the global optimum: a short run of EM from many starts, then full runs of the best.

EM finds the local optimum near its start. `search` therefore draws many starts of several kinds,
runs EM for a while from each, and runs the best few to convergence (short runs of EM: Biernacki,
Celeux and Govaert 2003). A short run still takes more than a hundred accelerated passes: only then
do the slow fits that will end highest begin to stand out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gmmlab import diagnostics, engine, start
from gmmlab._validation import check_choice, check_count, check_rng
from gmmlab.covariance import Covariance, Full
from gmmlab.em import fit_stack
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.result import DegenerateError, Fit

#: The field of a `Mixture` that holds each block.
FIELDS = {"weights": "weights", "means": "means", "covariances": "covariance"}
#: The number of starts of each kind that a search draws by default.
MIXED = {"kmeans": 10, "k-means++": 20, "random_from_data": 70}
#: The default rounds: the passes of a short run, and how many of the fits go on.
ROUNDS = ((150, 10),)
# The smallest tolerance of a short run, of which only the rank and the mixture count.
_COARSE = 1e-6
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
    missing = engine.marginalises(settings.pop("missing", "raise"))
    samples = engine.as_samples(X, sample_weight, missing=missing, in_memory=True)
    rng = check_rng(rng)
    begin = _check_begin(begin, (n_components, samples.n_features), structure)
    if not (begin and starts == {}):
        starts = check_starts(MIXED if starts is None else starts)
    rounds, given = _check_rounds(rounds), check_given(given)

    # The short runs of all starts, each of which has a generator of its own
    kinds = [kind for kind, count in starts.items() for _ in range(count)]
    rngs = rng.spawn(len(kinds))
    stacks = [Mixture.stacked(begin)] if begin else []
    if kinds:
        whole = start.completed_samples(samples)
        drawn = start.draw(whole, n_components, kinds, rngs, structure=structure)
        stacks.append(start.with_given(drawn, given))
    stack = stacks[0] if len(stacks) == 1 else Mixture.concatenated(stacks)
    n_starts = len(stack.weights)
    options = engine.Options.checked(
        samples, stack, name="start", tol=tol, max_iter=max_iter, **settings
    )
    runs = _Runs(options)
    *early, (passes, n_full) = rounds
    for few, n_kept in early:
        stack = Mixture.stacked([one.fit.mixture for one in runs.short(stack, few)[:n_kept]])
    short = runs.short(stack, passes)

    # The full runs: of the best, and of the next best as long as all are degenerate.
    full: list[_Judged] = []
    while short and not any(one.sound for one in full):
        promising, short = short[:n_full], short[n_full:]
        full = sorted(full + runs.full([one.fit.mixture for one in promising]), reverse=True)
    if not full:
        worst = max(runs.failed, key=lambda one: one.log_likelihood)
        raise DegenerateError(worst.message, worst)

    best = full[0].fit
    degenerate = runs.failed + [one.fit for one in full + short if not one.sound]
    aside = [one for one in degenerate if one.log_likelihood > best.log_likelihood + _SAME]
    fits = tuple(one.fit for one in full)
    found = Search(best, fits, tuple(aside), n_starts, degenerate=not full[0].sound)
    return replace(found, best=replace(best, message=f"{best.message} {found.message}"))


@dataclass(frozen=True, order=True)
class _Judged:
    """A fit, and whether no component is degenerate: sound fits are better than others."""

    sound: bool
    log_likelihood: float
    fit: Fit = field(compare=False)


class _Runs:
    """Runs of EM from stacks of mixtures; the fits that degenerate are collected in `failed`."""

    def __init__(self, options: engine.Options) -> None:
        self.options = options
        self.failed: list[Fit] = []

    def short(self, stack: Mixture, passes: int) -> list[_Judged]:
        """Return the fits after some passes, from best to worst; only their mixtures count."""
        return self._run(self.options.short(passes, _COARSE, start=stack))

    def full(self, mixtures: Sequence[Mixture]) -> list[_Judged]:
        """Return the fits after all passes, from best to worst."""
        return self._run(replace(self.options, start=Mixture.stacked(mixtures)))

    def _run(self, options: engine.Options) -> list[_Judged]:
        together = [options]
        if options.callback is not None:  # it is told of one fit after the other
            together = [options.select([number]) for number in range(len(options.start.weights))]
        fits = [one for part in together for one in fit_stack(part)]
        self.failed += [one for one in fits if one.status == "degenerate"]
        fits = [one for one in fits if one.status != "degenerate"]
        if not fits:
            return []
        sound = diagnostics.sound_fits(fits, options.samples).tolist()
        judged = [
            _Judged(mask, one.log_likelihood, one) for one, mask in zip(fits, sound, strict=True)
        ]
        return sorted(judged, reverse=True)


def _check_begin(begin: Any, shape: tuple[int, int], structure: type[Covariance]) -> list[Mixture]:
    """Return the starts that the caller gives, which must have that shape and structure."""
    if isinstance(begin, Mixture):
        raise TypeError("begin must be an iterable of Mixture, e.g. [mixture]; got a Mixture")
    begin = [check_mixture(one, name="begin") for one in begin]
    for one in begin:
        if type(one.covariance) is not structure or one.means.shape != shape:
            raise ValueError(
                "begin must hold mixtures of the structure, the number of components and the "
                f"number of features of the search, {getattr(structure, '__name__', structure)} "
                f"and {shape}; got {type(one.covariance).__name__} and {one.means.shape}"
            )
    return begin


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
        check_choice(kind, start.KINDS, name=name): check_count(count, name=f"{name}[{kind!r}]")
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
