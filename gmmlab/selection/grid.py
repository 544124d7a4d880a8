"""The fits of several structures by several numbers of components: a grid, each cell searched well.

A search from random starts ends in the best optimum of some cells and misses that of others. So
cells help each other: each is searched again from starts that the fits of its neighbours give (see
`split_merge`), round by round, until no fit gets better. What is left is monotone where
theory says so: a looser structure or a component more never fits worse. Where EM from a neighbour
climbs above all that was found only to degenerate, the likelihood of the cell has no maximum up
there, and the cell counts as degenerate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from gmmlab.covariance import Covariance
from gmmlab.engine.samples import Samples
from gmmlab.mixture import Mixture
from gmmlab.result import DegenerateError, Fit
from gmmlab.search import search
from gmmlab.selection import split_merge as neighbours

#: structure and number of components
Key = tuple[type[Covariance], int]

#: starts of a cell's own, by kind
STARTS = {"hierarchical": 1, "kmeans": 1, "k-means++": 3, "random_from_data": 2}
# Short runs of a cell's own starts, and of the many starts that neighbours give: passes, and how
# many go on.
_OWN, _FROM_NEIGHBOURS = ((12, 3), (50, 1)), ((6, 3), (50, 1))
# Gains in total log-likelihood that neighbours need not hear of, and falls that are none.
_SAME, _MONOTONE = 1e-3, 1e-6
_MOST_ROUNDS = 30


@dataclass(frozen=True, eq=False)
class Cell:
    """The best fit of one structure and number of components."""

    structure: type[Covariance]
    n_components: int
    #: the best fit; where the cell is degenerate, the best of those there are
    fit: Fit
    #: why the cell is degenerate and no candidate, or ""
    degenerate: str = ""
    #: log-likelihoods of neighbours whose starts have been tried
    tried: Mapping[Key, float] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> Key:
        """Structure and number of components."""
        return self.structure, self.n_components


@dataclass(frozen=True, eq=False)
class _Job:
    """What the search of a cell needs, wherever it is done."""

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
    together: bool,
    **settings: Any,
) -> dict[Key, Cell]:
    """Return the cells of all keys, searched in rounds.

    Parameters
    ----------
    samples : Samples
        In memory.
    keys : iterable of (structure, n_components)
    rng : numpy.random.Generator
        Every cell has a generator of its own in every round, so that the same draws are made
        wherever and in whatever order cells are searched.
    starts : mapping of str to int
        Starts of each cell's own, by kind.
    n_jobs : int or None
        As in joblib.
    progress : bool
        Whether to show how far it is.
    together : bool
        Whether cells give each other starts; they cannot where blocks are given.
    **settings
        As in `search`.
    """
    keys, job = list(keys), _Job(samples, settings)
    with Parallel(n_jobs=n_jobs, return_as="generator") as parallel:

        def each(function: Any, tasks: list[tuple[Any, ...]], what: str) -> dict[Key, Cell]:
            jobs = (
                delayed(function)(job, *task, own)
                for task, own in zip(tasks, rng.spawn(len(tasks)), strict=True)
            )
            bar = tqdm(parallel(jobs), what, len(tasks), leave=False, disable=not progress)
            return {cell.key: cell for cell in bar}

        cells = each(_alone, [(key, starts) for key in keys], "cells")
        for number in range(_MOST_ROUNDS if together else 0):
            tasks = [(cell, helpers) for cell in cells.values() if (helpers := _news(cell, cells))]
            if not tasks:
                break
            cells |= each(_helped, tasks, f"round {number + 1}")
    return {key: _judged(cell, cells) for key, cell in cells.items()}


# ---- the search of one cell ----------------------------------------------------------------


def _alone(job: _Job, key: Key, starts: Mapping[str, int], rng: np.random.Generator) -> Cell:
    """Search a cell from starts of its own."""
    structure, k = key
    starts = starts if k > 1 else {"random_from_data": 1}  # one component has one optimum
    return _searched(job, Cell(structure, k, None), rng, starts=starts, rounds=_OWN)


def _helped(job: _Job, cell: Cell, helpers: list[Cell], rng: np.random.Generator) -> Cell:
    """Search a cell from the starts that its neighbours give."""
    found = _searched(
        job,
        cell,
        rng,
        starts={},
        begin=[start for helper in helpers for start in _starts(job.samples, cell, helper, rng)],
        rounds=_FROM_NEIGHBOURS,
    )
    # What can be no worse than a neighbour begins where that one is.
    above = [one for one in helpers if _is_below(one.key, cell.key) and _exceeds(one, found)]
    if above:
        begin = [_embedded(max(above, key=_log_likelihood), cell)]
        found = _searched(job, found, rng, starts={}, begin=begin, rounds=((1, 1),))
    told = {helper.key: helper.fit.log_likelihood for helper in helpers}
    return replace(found, tried={**cell.tried, **told})


def _searched(job: _Job, cell: Cell, rng: np.random.Generator, **how: Any) -> Cell:
    """Return the cell with the best of its fit and those of a search."""
    how = {**job.settings, **how, "structure": cell.structure}
    try:
        found = search(job.samples, cell.n_components, rng, **how)
        new = replace(cell, fit=found.best, degenerate=_why(found.degenerate))
    except DegenerateError as error:
        new = replace(cell, fit=error.fit, degenerate=str(error))
    if cell.fit is None:
        return new
    return max(cell, new, key=lambda one: (not one.degenerate, one.fit.log_likelihood))


def _why(degenerate: bool) -> str:
    return "every fit has a component that is degenerate" if degenerate else ""


# ---- neighbours ----------------------------------------------------------------------------


def _news(cell: Cell, cells: Mapping[Key, Cell]) -> list[Cell]:
    """Return the neighbours that have got better since the cell was helped by them."""
    return [
        other
        for key, other in cells.items()
        if _are_neighbours(key, cell.key, cells)
        and not other.degenerate
        and other.fit.log_likelihood > cell.tried.get(key, -np.inf) + _SAME
    ]


def _are_neighbours(one: Key, other: Key, among: Iterable[Key]) -> bool:
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
    """Return whether every mixture of `low` is one of `high`, in one step."""
    (tight, few), (loose, more) = low, high
    if tight is loose:
        return more == few + 1
    return few == more and neighbours.is_tighter(tight, loose)


def _embedded(low: Cell, high: Cell) -> Mixture:
    """Return the mixture of a cell as one of a cell above it."""
    if low.structure is high.structure:
        return neighbours.doubled(low.fit.mixture)
    return neighbours.relaxed(low.fit.mixture, high.structure)


def _starts(
    samples: Samples, cell: Cell, helper: Cell, rng: np.random.Generator
) -> Iterator[Mixture]:
    mixture = helper.fit.mixture
    if helper.n_components < cell.n_components:
        yield from neighbours.splits(samples, mixture, rng)
    elif helper.n_components > cell.n_components:
        yield from neighbours.merges(samples, mixture)
    else:
        yield neighbours.recast(samples, mixture, cell.structure)


def _log_likelihood(cell: Cell) -> float:
    return cell.fit.log_likelihood


def _exceeds(low: Cell, high: Cell) -> bool:
    slack = _MONOTONE * max(1.0, abs(low.fit.log_likelihood))
    return bool(high.degenerate) or low.fit.log_likelihood > high.fit.log_likelihood + slack


def _judged(cell: Cell, cells: Mapping[Key, Cell]) -> Cell:
    """Return the cell as degenerate where EM leads from a fit below it to none that is sound."""
    if cell.degenerate:
        return cell
    for key, low in cells.items():
        if _is_below(key, cell.key) and not low.degenerate and _exceeds(low, cell):
            words = f"EM from the fit of {key[0].model} with {key[1]} components degenerates"
            return replace(cell, degenerate=words)
    return cell
