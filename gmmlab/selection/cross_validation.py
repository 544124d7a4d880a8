"""Cross-validation: the log-likelihood of samples that a mixture was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmmlab.covariance import Covariance
from gmmlab.em import sufficient_statistics
from gmmlab.engine import Samples
from gmmlab.mixture import Mixture
from gmmlab.result import DegenerateError
from gmmlab.search import search

# Starts and rounds of the search for each fold, in addition to the fit to all samples. Only the
# training samples of the fold decide which fit is best.
_STARTS, _ROUNDS = {"kmeans": 2, "k-means++": 3}, ((40, 2),)


@dataclass(frozen=True, eq=False)
class Score:
    """Mean log-likelihood of held-out samples, in nats per sample; higher is better."""

    #: value for each fold, shape (n_folds,); NaN where all fits without the fold degenerate
    values: np.ndarray

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return float(self.values.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over the folds."""
        return float(self.values.std(ddof=1) / np.sqrt(len(self.values)))

    def less(self, other: Score) -> Score:
        """Return this score minus another with the same folds, fold by fold."""
        return Score(self.values - other.values)


def folds(n_samples: int, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random fold for each sample; the sizes of folds differ by at most one."""
    return rng.permutation(np.arange(n_samples) % n_folds)


def cross_validated(
    samples: Samples,
    structure: type[Covariance],
    mixture: Mixture,
    fold: np.ndarray,
    rng: np.random.Generator,
    settings: Mapping[str, Any],
) -> Score:
    """Return the cross-validated score of a structure and a number of components (Smyth 2000).

    Parameters
    ----------
    samples : Samples
        In memory.
    structure : class of `gmmlab.covariance`
    mixture : Mixture
        The fit to all samples. It sets the number of components and is one of the starts.
    fold : ndarray of int, shape (n_samples,)
        Fold of each sample, from 0.
    rng : numpy.random.Generator
        Source of the other starts.
    settings : mapping
        Arguments of `search`.

    Returns
    -------
    Score
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
            held_out = sufficient_statistics(outside, found.best.mixture)
            values[number] = held_out.log_likelihood / outside.total
    values.setflags(write=False)
    return Score(values)
