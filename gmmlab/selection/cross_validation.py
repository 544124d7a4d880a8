"""How likely a mixture makes samples that it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmmlab.covariance import Covariance
from gmmlab.em import sufficient_statistics
from gmmlab.engine.samples import Samples
from gmmlab.mixture import Mixture
from gmmlab.result import DegenerateError
from gmmlab.search import search

# A fold is searched from the fit to all samples too; which fit is taken is decided by the
# samples of its training alone.
_STARTS, _ROUNDS = {"kmeans": 2, "k-means++": 3}, ((40, 2),)


@dataclass(frozen=True, eq=False)
class Score:
    """Mean log-likelihood of held-out samples, in nats per sample: higher is better."""

    #: for each fold, shape (n_folds,); NaN where all fits without it are degenerate
    values: np.ndarray

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return float(self.values.mean())

    @property
    def standard_error(self) -> float:
        """Standard deviation of the folds' means over the root of their number."""
        return float(self.values.std(ddof=1) / np.sqrt(len(self.values)))

    def less(self, other: Score) -> Score:
        """Return the differences, fold by fold, of scores with the same folds."""
        return Score(self.values - other.values)


def folds(n_samples: int, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each sample, drawn so that none has two samples more than another."""
    return rng.permutation(np.arange(n_samples) % n_folds)


def cross_validated(
    samples: Samples,
    structure: type[Covariance],
    mixture: Mixture,
    fold: np.ndarray,
    rng: np.random.Generator,
    settings: Mapping[str, Any],
) -> Score:
    """Return the score of a structure and number of components, fitted without each fold in turn.

    Parameters
    ----------
    samples : Samples
        In memory.
    structure : class of `gmmlab.covariance`
    mixture : Mixture
        The fit to all samples: one of the starts.
    fold : ndarray of int, shape (n_samples,)
        Fold of each sample, from 0.
    rng : numpy.random.Generator
        Source of the other starts.
    settings : mapping
        As in `search`.

    Returns
    -------
    Score
        See Smyth (2000).
    """
    values = np.full(fold.max() + 1, np.nan)
    for number, own in enumerate(rng.spawn(len(values))):
        inside, outside = (
            Samples(
                samples.X[rows],
                None if samples.weight is None else samples.weight[rows],
                missing=samples.has_missing,
            )
            for rows in (fold != number, fold == number)
        )
        how = {"starts": _STARTS, "begin": [mixture], "rounds": _ROUNDS, **settings}
        try:
            found = search(inside, mixture.n_components, own, structure=structure, **how)
        except DegenerateError:
            continue
        if not found.degenerate:
            statistics = sufficient_statistics(outside, found.best.mixture)
            values[number] = statistics.log_likelihood / outside.total
    values.setflags(write=False)
    return Score(values)
