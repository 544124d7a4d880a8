"""Fit a grid of covariance structures by numbers of components.

A search from random starts finds the best optimum of some cells and misses that of others.
So after every cell has been searched on its own, it is searched again from starts that are made
from the fits of its neighbours (see `split_merge`), round by round, until no fit improves. The
result is monotone where theory demands it: a looser structure or one more component never
fits worse. If EM from the fit of a neighbour exceeds every fit of a cell but degenerates, the
likelihood of the cell has no maximum there, and the cell is marked as degenerate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from gmmlab.covariance import Covariance
from gmmlab.engine import Samples
from gmmlab.mixture import Mixture
from gmmlab.result import DegenerateError, Fit
from gmmlab.search import search
from gmmlab.selection import split_merge

#: structure and number of components
Key = tuple[type[Covariance], int]

#: number of starts of each kind with which every cell is searched on its own
STARTS = {"hierarchical": 1, "kmeans": 1, "k-means++": 3, "random_from_data": 2}
# Rounds of short runs, as in `search`: for a cell's own starts, and for those from neighbours.
_OWN, _FROM_NEIGHBOURS = ((12, 3), (50, 1)), ((6, 3), (50, 1))
# Gains in total log-likelihood too small to search neighbouring cells again; decreases within
# rounding, relative to the log-likelihood.
_SAME, _MONOTONE = 1e-3, 1e-6
_MOST_ROUNDS = 30


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


@dataclass(frozen=True, eq=False)
class Problem:
    """What all cells have in common: the samples and the arguments of `search`."""

    samples: Samples
    settings: Mapping[str, Any]


def fill(
    samples: Samples,
    keys: Iterable[Key],
    rng: np.random.Generator,
    *,
    starts: Mapping[str, int],
    n_jobs: int | None,
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
        Source of randomness. Every cell has a child generator in every round, so the result does
        not depend on where and in which order cells are searched.
    starts : mapping of str to int
        Number of starts of each kind with which every cell is searched on its own.
    n_jobs : int or None
        As in joblib.
    progress : bool
        Whether to show a progress bar.
    exchange : bool
        Whether cells are searched from starts of their neighbours too. This is not possible
        if blocks are given.
    **settings
        Arguments of `search`.
    """
    keys, problem = list(keys), Problem(samples, settings)
    with Parallel(n_jobs=n_jobs, return_as="generator") as parallel:

        def each(
            function: Callable[..., Cell], tasks: list[tuple[Any, ...]], what: str
        ) -> dict[Key, Cell]:
            jobs = (
                delayed(function)(problem, *task, own)
                for task, own in zip(tasks, rng.spawn(len(tasks)), strict=True)
            )
            bar = tqdm(parallel(jobs), what, len(tasks), leave=False, disable=not progress)
            return {cell.key: cell for cell in bar}

        cells = each(_search_alone, [(key, starts) for key in keys], "cells")
        for number in range(_MOST_ROUNDS if exchange else 0):
            tasks = [
                (cell, improved)
                for cell in cells.values()
                if (improved := _improved_neighbours(cell, cells))
            ]
            if not tasks:
                break
            cells |= each(search_from_neighbours, tasks, f"round {number + 1}")
    return {key: with_verdict(cell, cells) for key, cell in cells.items()}


# ---- search of one cell --------------------------------------------------------------------


def _search_alone(
    problem: Problem, key: Key, starts: Mapping[str, int], rng: np.random.Generator
) -> Cell:
    """Search a cell from its own starts."""
    structure, k = key
    starts = starts if k > 1 else {"random_from_data": 1}  # one component has a single optimum
    return search_cell(problem, Cell(structure, k, None), rng, starts=starts, rounds=_OWN)


def search_from_neighbours(
    problem: Problem, cell: Cell, neighbours: list[Cell], rng: np.random.Generator
) -> Cell:
    """Search a cell from starts that are made from the fits of its neighbours."""
    begin = [
        start
        for neighbour in neighbours
        for start in starts_from(problem.samples, cell, neighbour, rng)
    ]
    found = search_cell(problem, cell, rng, starts={}, begin=begin, rounds=_FROM_NEIGHBOURS)
    # If a special case of the cell still fits better, start from its mixture itself.
    better = [one for one in neighbours if _is_below(one.key, cell.key) and _exceeds(one, found)]
    if better:
        begin = [_embedded(max(better, key=_log_likelihood), cell)]
        found = search_cell(problem, found, rng, starts={}, begin=begin, rounds=((1, 1),))
    tried = {neighbour.key: neighbour.fit.log_likelihood for neighbour in neighbours}
    return replace(found, tried={**cell.tried, **tried})


def search_cell(problem: Problem, cell: Cell, rng: np.random.Generator, **how: Any) -> Cell:
    """Return the cell with the better of its fit and the best fit of a search."""
    how = {**problem.settings, **how, "structure": cell.structure}
    try:
        found = search(problem.samples, cell.n_components, rng, **how)
        why = "every fit has a degenerate component" if found.degenerate else ""
        new = replace(cell, fit=found.best, degenerate=why)
    except DegenerateError as error:
        new = replace(cell, fit=error.fit, degenerate=str(error))
    if cell.fit is None:
        return new
    return max(cell, new, key=lambda one: (not one.degenerate, one.fit.log_likelihood))


# ---- neighbours ----------------------------------------------------------------------------


def _improved_neighbours(cell: Cell, cells: Mapping[Key, Cell]) -> list[Cell]:
    """Return the neighbours that have improved since the cell was searched from them."""
    return [
        other
        for key, other in cells.items()
        if _are_neighbours(key, cell.key, cells)
        and not other.degenerate
        and other.fit.log_likelihood > cell.tried.get(key, -np.inf) + _SAME
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
) -> Iterator[Mixture]:
    """Yield starts for a cell that are made from the fit of a neighbour."""
    mixture = neighbour.fit.mixture
    if neighbour.n_components < cell.n_components:
        yield from split_merge.splits(samples, mixture, rng)
    elif neighbour.n_components > cell.n_components:
        yield from split_merge.merges(samples, mixture)
    else:
        yield split_merge.recast(samples, mixture, cell.structure)


def _log_likelihood(cell: Cell) -> float:
    return cell.fit.log_likelihood


def _exceeds(low: Cell, high: Cell) -> bool:
    """Return whether a special case fits better, or the general case is degenerate."""
    slack = _MONOTONE * max(1.0, abs(low.fit.log_likelihood))
    return bool(high.degenerate) or low.fit.log_likelihood > high.fit.log_likelihood + slack


def with_verdict(cell: Cell, cells: Mapping[Key, Cell]) -> Cell:
    """Return the cell, marked as degenerate if a special case of it still fits better."""
    if cell.degenerate:
        return cell
    for key, low in cells.items():
        if _is_below(key, cell.key) and not low.degenerate and _exceeds(low, cell):
            why = f"EM from the fit of {key[0].model} with {key[1]} components degenerates"
            return replace(cell, degenerate=why)
    return cell
