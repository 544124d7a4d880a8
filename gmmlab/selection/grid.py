"""Fit a grid of covariance structures by numbers of components.

A search from random starts finds the best optimum of some cells and misses that of others. So
after every cell has been searched on its own, cells exchange starts with their neighbours: with
one component more or less, and with the next tighter and looser structures (see `split_merge`).
Sweeps over the grid, from few components and tight structures to many and loose, and back, search
each cell from the fits of the neighbours that have improved, until no fit does. All starts of a
cell run in lockstep, and only the most promising go on.

The result is monotone where theory demands it: a looser structure or one more component never
fits worse. If EM from the fit of a neighbour exceeds every fit of a cell but degenerates, the
likelihood of the cell has no maximum there, and the cell is marked as degenerate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from gmmlab import diagnostics, start
from gmmlab.covariance import EEE, Covariance
from gmmlab.em import fit_stack
from gmmlab.engine import Options, Samples
from gmmlab.mixture import Mixture
from gmmlab.result import Fit
from gmmlab.selection import split_merge

#: structure and number of components
Key = tuple[type[Covariance], int]

#: number of starts of each kind with which every cell is searched on its own
STARTS = {"hierarchical": 1, "kmeans": 1, "k-means++": 3, "random_from_data": 2}
# A search runs EM for `_SHORT` iterations from each start, of which fewer and fewer go on (at which
# iteration, how many), and for at most `_LONG` accelerated ones from the best `_KEPT`. It stops
# after the short run if the fit would need to gain more than `_HOPE` nats to improve on the cell.
_SHORT, _CUTS, _KEPT, _LONG, _HOPE = 14, {3: 12, 8: 6}, 4, 150, 5.0
# The share of responsibilities that agree from which on two fits lead to the same optimum.
_NEAR = 0.99
# The tolerance of these runs; only the best fit of each cell is run to convergence.
_COARSE = 1e-6
# Gains in total log-likelihood too small to search neighbouring cells again; decreases within
# rounding, relative to the log-likelihood.
_SAME, _MONOTONE = 1e-2, 1e-6
_MOST_SWEEPS = 12


@dataclass(frozen=True, eq=False)
class Cell:
    """The best fit of one structure with one number of components."""

    structure: type[Covariance]
    n_components: int
    #: the best fit; if the cell is degenerate, the best of its degenerate fits
    fit: Fit
    #: why the cell is degenerate, or ""; a degenerate cell is never chosen
    degenerate: str = ""
    #: log-likelihoods of the neighbours whose starts were tried
    tried: Mapping[Key, float] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> Key:
        """Structure and number of components."""
        return self.structure, self.n_components

    @property
    def log_likelihood(self) -> float:
        """The log-likelihood of the fit."""
        return self.fit.log_likelihood


class Problem:
    """What all cells have in common: the samples and the arguments of the fits."""

    def __init__(self, samples: Samples, settings: Mapping[str, Any]) -> None:
        self.samples = samples
        self.completed = start.completed_samples(samples)
        self.settings = {**settings}
        self.settings.pop("missing", None)
        self.given = self.settings.pop("given", {})

    def options(self, starts: Mixture | Sequence[Mixture]) -> Options:
        """Return the options of fits in lockstep."""
        return Options.checked(self.samples, starts, name="starts", **self.settings)

    def starts(self, responsibilities: np.ndarray, structure: type[Covariance]) -> Mixture:
        """Return the M-step of a structure on a stack of responsibilities."""
        known = self.completed, responsibilities, structure
        return start.with_given(start.stack_of_responsibilities(*known, rough=True), self.given)


def fill(
    samples: Samples,
    keys: Iterable[Key],
    rng: np.random.Generator,
    *,
    starts: Mapping[str, int],
    progress: bool,
    exchange: bool,
    **settings: Any,
) -> dict[Key, Cell]:
    """Return the fitted cells of all keys.

    Parameters
    ----------
    samples : Samples
        In memory.
    keys : iterable of (structure, n_components)
    rng : numpy.random.Generator
        Source of randomness.
    starts : mapping of str to int
        Number of starts of each kind with which every cell is searched on its own. All structures
        have the same starts.
    progress : bool
        Whether to show a progress bar.
    exchange : bool
        Whether cells are searched from starts of their neighbours too. This is not possible
        if blocks are given.
    **settings
        Arguments of `fit`, and `given`.
    """
    keys, problem = list(keys), Problem(samples, settings)
    upwards = sorted(keys, key=_rank)
    around = {key: [one for one in keys if _are_neighbours(one, key, keys)] for key in keys}
    own = {k: _own_starts(problem, k, starts, rng) for k in sorted({k for _, k in keys})}
    cells: dict[Key, Cell] = {}
    hidden = {"leave": False, "disable": not progress}
    for key in tqdm(upwards, "cells", **hidden):
        cells[key] = _searched_alone(problem, key, own[key[1]], exchange=exchange)
    for number in range(_MOST_SWEEPS if exchange else 0):
        searched = False
        order = upwards[::-1] if number % 2 else upwards
        for key in tqdm(order, f"sweep {number + 1}", **hidden):
            if near := _improved(cells[key], around, cells):
                cells[key] = _searched(problem, cells[key], near, rng)
                searched = True
        if not searched:
            break
    for key in tqdm(upwards, "last steps", **hidden):
        cells[key] = _finished(problem, cells[key], cells if exchange else {})
    return {key: with_verdict(cells[key], cells) for key in keys}


def _rank(key: Key) -> tuple[int, int]:
    """Return a number that is larger for every cell of which another one is a special case."""
    structure, k = key
    return k, sum("IEV".index(letter) for letter in structure.model)


# ---- search of one cell --------------------------------------------------------------------


def _own_starts(
    problem: Problem, k: int, starts: Mapping[str, int], rng: np.random.Generator
) -> np.ndarray:
    """Return responsibilities (n_starts, n_samples, k) of starts that are drawn."""
    if k == 1:  # one component has a single optimum
        return np.ones((1, problem.samples.n_samples, 1))
    kinds = [kind for kind, count in starts.items() for _ in range(count)]
    drawn = start.draw(problem.completed, k, kinds, rng.spawn(len(kinds)), structure=EEE)
    X = problem.completed.X
    return np.stack([drawn.select(number).responsibilities(X) for number in range(len(kinds))])


def _searched_alone(problem: Problem, key: Key, own: np.ndarray, *, exchange: bool) -> Cell:
    """Search a cell from its own starts, by short runs if it is to be searched again."""
    fits, why = _short_runs(problem, own, key[0])
    if not (exchange or why[0]):
        fits, why = _long_runs(problem, _sound(fits, why))
    return _better(Cell(*key, None), fits, why)


def _searched(
    problem: Problem, cell: Cell, neighbours: Sequence[Cell], rng: np.random.Generator
) -> Cell:
    """Search a cell from the fits of neighbours."""
    begin = [starts_from(problem.samples, cell, neighbour, rng) for neighbour in neighbours]
    fits, why = _short_runs(problem, np.concatenate(begin), cell.structure)
    new, sound = _better(cell, fits, why), _sound(fits, why)
    if not cell.degenerate:
        least = cell.log_likelihood - _HOPE
        hopeful = [one for one in sound if fits[0].log_likelihood >= least]
        sound = [one for one in hopeful if not _nears(one, cell, problem.samples)]
        if cell.fit.status == "max_iter":  # the fit of the cell goes on too
            sound.append(cell.fit.mixture)
    if sound:
        new = _better(new, *_long_runs(problem, sound))
    # If a special case of the cell still fits better, start from its mixture itself.
    better = [one for one in neighbours if _is_below(one.key, cell.key) and _exceeds(one, new)]
    if better:
        embedded = _embedded(max(better, key=lambda one: one.log_likelihood), cell)
        new = _better(new, *_long_runs(problem, [embedded]))
    tried = {neighbour.key: neighbour.log_likelihood for neighbour in neighbours}
    return replace(new, tried={**cell.tried, **tried})


# Runs return fits from best to worst, with degenerate ones last, and for each of them why it is
# degenerate, or "".


def _short_runs(
    problem: Problem, responsibilities: np.ndarray, structure: type[Covariance]
) -> tuple[list[Fit], list[str]]:
    """Run EM for a while from each start, and a little longer from the best."""
    options = problem.options(problem.starts(responsibilities, structure))
    return _ranked(options.short(_SHORT, _COARSE, cuts=_CUTS, accelerate=False))


def _long_runs(problem: Problem, starts: Sequence[Mixture]) -> tuple[list[Fit], list[str]]:
    """Run accelerated EM nearly to convergence."""
    return _ranked(problem.options(starts).short(_LONG, _COARSE))


def _sound(fits: Sequence[Fit], why: Sequence[str]) -> list[Mixture]:
    """Return the mixtures of the best fits that are not degenerate."""
    return [one.mixture for one, reason in zip(fits, why, strict=True) if not reason][:_KEPT]


def _nears(mixture: Mixture, cell: Cell, samples: Samples) -> bool:
    """Return whether EM is on the way to the fit that the cell has already.

    Then nearly all responsibilities agree, up to the order of components: the overlap
    Σᵢ maxⱼ Σₙ (rₙᵢ sₙⱼ)¹ᐟ² is nearly the number of samples.
    """
    r, s = (np.sqrt(each.responsibilities(samples.X)) for each in (mixture, cell.fit.mixture))
    return bool((r.T @ s).max(axis=1).sum() >= _NEAR * len(r))


def _ranked(options: Options) -> tuple[list[Fit], list[str]]:
    """Run EM; return the fits and why they are degenerate, as described above."""
    fits = fit_stack(options)
    why = [""] * len(fits)
    for number in np.flatnonzero(~diagnostics.sound_fits(fits, options.samples)).tolist():
        failed = fits[number].status == "degenerate"
        why[number] = fits[number].message if failed else "every fit has a degenerate component"
    order = sorted(range(len(fits)), key=lambda i: (not why[i], fits[i].log_likelihood))[::-1]
    return [fits[i] for i in order], [why[i] for i in order]


def _better(cell: Cell, fits: Sequence[Fit], why: Sequence[str]) -> Cell:
    """Return the cell with the better of its fit and the first of some fits."""
    new = replace(cell, fit=fits[0], degenerate=why[0])
    if cell.fit is None:
        return new
    return max(cell, new, key=lambda one: (not one.degenerate, one.log_likelihood))


def _finished(problem: Problem, cell: Cell, cells: Mapping[Key, Cell]) -> Cell:
    """Run the fit of a cell to convergence; also from a special case that still fits better."""
    if not cell.degenerate:
        cell = _converged(problem, cell, cell.fit.mixture)
    better = [one for key, one in cells.items() if _is_below(key, cell.key) and _exceeds(one, cell)]
    if better := [one for one in better if not one.degenerate]:
        embedded = _embedded(max(better, key=lambda one: one.log_likelihood), cell)
        cell = _converged(problem, cell, embedded)
    return cell


def _converged(problem: Problem, cell: Cell, mixture: Mixture) -> Cell:
    """Return the cell with the fit from a mixture, run to convergence, unless that is worse."""
    fits, why = _ranked(problem.options([mixture]))
    new = replace(cell, fit=fits[0], degenerate=why[0])
    # The log-likelihood of a rough run may be higher by rounding.
    return cell if _exceeds(cell, new) and not cell.degenerate else new


# ---- neighbours ----------------------------------------------------------------------------


def _improved(
    cell: Cell, around: Mapping[Key, Sequence[Key]], cells: Mapping[Key, Cell]
) -> list[Cell]:
    """Return the neighbours that have improved since the cell was searched from them."""
    return [
        cells[key]
        for key in around[cell.key]
        if key in cells
        and not cells[key].degenerate
        and cells[key].log_likelihood > cell.tried.get(key, -np.inf) + _SAME
    ]


def _are_neighbours(one: Key, other: Key, among: Iterable[Key]) -> bool:
    """Return whether two cells are one component, or one step in structure, apart."""
    (structure, k), (of_other, k_other) = one, other
    if structure is of_other:
        return abs(k - k_other) == 1
    if k != k_other or k == 1:
        return k == k_other and _is_below(one, other)
    low, high = (one, other) if _is_below(one, other) else (other, one)
    return _is_below(low, high) and not any(
        _is_below(low, middle) and _is_below(middle, high) for middle in among
    )


def _is_below(low: Key, high: Key) -> bool:
    """Return whether `low` is a special case of `high`: tighter, or with one component less."""
    (tight, few), (loose, more) = low, high
    if tight is loose:
        return more == few + 1
    return few == more and split_merge.is_tighter(tight, loose)


def _embedded(low: Cell, high: Cell) -> Mixture:
    """Return the mixture of a cell as a mixture of a cell of which it is a special case."""
    if low.structure is high.structure:
        return split_merge.doubled(low.fit.mixture)
    return split_merge.relaxed(low.fit.mixture, high.structure)


def starts_from(
    samples: Samples, cell: Cell, neighbour: Cell, rng: np.random.Generator
) -> np.ndarray:
    """Return responsibilities (n_starts, n_samples, k) for a cell from the fit of a neighbour."""
    mixture = neighbour.fit.mixture
    if neighbour.n_components < cell.n_components:
        return split_merge.splits(samples, mixture, rng)
    if neighbour.n_components > cell.n_components:
        return split_merge.merges(samples, mixture)
    return mixture.responsibilities(samples.X)[None]


def _exceeds(low: Cell, high: Cell) -> bool:
    """Return whether a special case fits better, or the general case is degenerate."""
    slack = _MONOTONE * max(1.0, abs(low.log_likelihood))
    return bool(high.degenerate) or low.log_likelihood > high.log_likelihood + slack


def with_verdict(cell: Cell, cells: Mapping[Key, Cell]) -> Cell:
    """Return the cell, marked as degenerate if a special case of it still fits better."""
    if cell.degenerate:
        return cell
    for key, low in cells.items():
        if _is_below(key, cell.key) and not low.degenerate and _exceeds(low, cell):
            why = f"EM from the fit of {key[0].model} with {key[1]} components degenerates"
            return replace(cell, degenerate=why)
    return cell
