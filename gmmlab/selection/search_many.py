"""Search many data sets at once: the rounds of `search`, in lockstep for all of them.

The replicates of a bootstrap test and the folds of a cross-validation are small problems of one
shape. One after the other, nearly all of the time is spent on calls of NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gmmlab import diagnostics
from gmmlab.em import fit_stack
from gmmlab.engine import Options, Samples, one_blas_thread
from gmmlab.mixture import Mixture
from gmmlab.result import Fit

# The tolerance of short runs, of which only the order counts.
_COARSE = 1e-5
# Extrapolations cost more than they gain in a run of so few passes.
_FEW = 20


class Found(NamedTuple):
    """The best fit to one of the data sets, and whether no component is degenerate."""

    fit: Fit
    sound: bool


def search_many(
    samples: Samples,
    starts: Sequence[Mixture],
    settings: Mapping[str, Any],
    *,
    rounds: Sequence[tuple[int, int]],
    remaining_gain: bool = False,
) -> list[Found]:
    """Return the best fit to each data set from starts of its own.

    As in `search`, the fits that are left after the last round are run to convergence. As long as
    all fits to a data set are degenerate, the next best of the round go on, and of the rounds
    before. A fit that degenerates does not change the others.

    Parameters
    ----------
    samples : Samples
        A stack: the data sets have data or weights of their own.
    starts : sequence of Mixture
        A stack of starts for each data set, with the same number of components and the same
        structure. The numbers of starts may differ.
    settings : mapping
        Arguments of `fit`.
    rounds : sequence of (int, int)
        As in `search`.
    remaining_gain : bool, default False
        Whether to estimate the remaining gain of the fits.
    """
    first = Mixture.concatenated([each.select([0]) for each in starts])
    with one_blas_thread():
        options = Options.checked(samples, first, name="starts", **settings)
    owners = np.repeat(np.arange(len(starts)), [len(each.weights) for each in starts])
    mixtures = Mixture.concatenated(starts)
    best = _searched(replace(options, remaining_gain=remaining_gain), owners, mixtures, rounds)
    return [best[owner] for owner in range(len(starts))]


def _searched(
    options: Options, owners: np.ndarray, mixtures: Mixture, rounds: Sequence[tuple[int, int]]
) -> dict[int, Found]:
    """Return the best fit to each data set, by the number of the data set.

    After the short runs of a round, the best go on to the later rounds, and the next best as long
    as all of a data set degenerate.
    """
    if not rounds:
        return _run(options, owners, mixtures).best()
    (passes, n_kept), *later = rounds
    runs = _short_runs(options, owners, mixtures, passes)
    best: dict[int, Found] = {}
    going = np.ones(owners.max() + 1, dtype=bool)
    for begin in range(0, int(runs.places.max()) + 1, n_kept):
        turn = (begin <= runs.places) & (runs.places < begin + n_kept) & going[runs.owners]
        if not turn.any():
            break
        for owner, found in _searched(options, *runs.chosen(turn), later).items():
            best[owner] = max(best.get(owner, found), found, key=_rank)
            going[owner] = not best[owner].sound
    return best


def _rank(found: Found) -> tuple[bool, bool, float]:
    return found.sound, found.fit.status != "degenerate", found.fit.log_likelihood


class _Runs(NamedTuple):
    """Fits to several data sets; those of each are sorted from best to worst."""

    fits: list[Fit]
    #: the number of the data set of each fit
    owners: np.ndarray
    sound: np.ndarray
    #: the place of each fit among those of its data set, from 0
    places: np.ndarray

    def chosen(self, mask: np.ndarray) -> tuple[np.ndarray, Mixture]:
        """Return the owners and the mixtures of some fits."""
        numbers = np.flatnonzero(mask)
        return self.owners[numbers], Mixture.stacked([self.fits[i].mixture for i in numbers])

    def best(self) -> dict[int, Found]:
        """Return the best fit to each data set, by the number of the data set."""
        return {
            int(self.owners[i]): Found(self.fits[i], bool(self.sound[i]))
            for i in np.flatnonzero(self.places == 0)
        }


def _short_runs(options: Options, owners: np.ndarray, mixtures: Mixture, passes: int) -> _Runs:
    accelerate = options.accelerate and passes > _FEW
    return _run(options.short(passes, _COARSE, accelerate=accelerate), owners, mixtures)


def _run(options: Options, owners: np.ndarray, mixtures: Mixture) -> _Runs:
    """Run EM from mixtures, each of which belongs to the data set with the number `owners`."""
    options = replace(options.select(owners), start=mixtures)
    fits = fit_stack(options)
    failed = np.array([one.status == "degenerate" for one in fits])
    sound = diagnostics.sound_fits(fits, options.samples)
    values = np.array([one.log_likelihood for one in fits])
    order = np.lexsort((-values, failed, ~sound, owners))
    owners = owners[order]
    places = np.arange(len(order)) - np.searchsorted(owners, owners)
    return _Runs([fits[i] for i in order], owners, sound[order], places)
