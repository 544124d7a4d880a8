"""Cross-validation: the log-likelihood of samples that a mixture was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmmlab import start
from gmmlab.covariance import Covariance
from gmmlab.em import sufficient_statistics
from gmmlab.engine import Samples, one_blas_thread
from gmmlab.mixture import Mixture
from gmmlab.selection.search_many import search_many

# Starts and rounds of the search for each fold, in addition to the fit to all samples. Only the
# training samples of the fold decide which fit is best.
_STARTS, _ROUNDS = {"kmeans": 2, "k-means++": 3}, ((40, 2),)
# Folds are fitted together as long as their weights, a copy for each start, have at most this many
# entries (64 MiB).
_ENTRIES = 2**23


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
    settings = {"starts": _STARTS, "rounds": _ROUNDS, "given": {}, **settings}
    starts, rounds, given = (settings.pop(name) for name in ("starts", "rounds", "given"))
    settings.pop("missing", None)
    kinds = [kind for kind, count in starts.items() for _ in range(count)]
    weight = samples.weight_or_one
    held_out = fold == np.arange(fold.max() + 1)[:, None]

    def weighted(part: np.ndarray) -> Samples:
        """Return the samples once for each fold, with weight 0 for those that are not in it."""
        weights = part * weight
        return Samples(samples.X, weights, missing=samples.has_missing, n_fits=len(weights))

    def starts_without(part: np.ndarray, own: np.random.Generator) -> Mixture:
        """Return the starts for the samples that are not in a part."""
        own_weight = None if samples.weight is None else samples.weight[~part]
        rows = Samples(samples.X[~part], own_weight, missing=samples.has_missing)
        rows, k = start.completed_samples(rows), mixture.n_components
        stacks = [Mixture.stacked([mixture])]
        if kinds:
            drawn = start.draw(rows, k, kinds, own.spawn(len(kinds)), structure=structure)
            stacks.append(start.with_given(drawn, given))
        return Mixture.concatenated(stacks)

    def scored(held_out: np.ndarray, generators: list[np.random.Generator]) -> np.ndarray:
        """Return the values of some folds."""
        pairs = zip(held_out, generators, strict=True)
        begin = [starts_without(part, own) for part, own in pairs]
        found = search_many(weighted(~held_out), begin, settings, rounds=rounds)
        outside = weighted(held_out)
        with one_blas_thread():
            best = Mixture.stacked([one.fit.mixture for one in found])
            values = sufficient_statistics(outside, best).log_likelihood / outside.total
        return np.where([one.sound for one in found], values, np.nan)

    generators = rng.spawn(len(held_out))
    size = max(1, _ENTRIES // (samples.n_samples * (len(kinds) + 1)))
    batches = [slice(begin, begin + size) for begin in range(0, len(held_out), size)]
    values = np.concatenate([scored(held_out[some], generators[some]) for some in batches])
    values.setflags(write=False)
    return Score(values)
