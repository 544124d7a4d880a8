"""Many fits at once: `fit_many` runs EM from many starts in lockstep.

Restarts, replicates of a bootstrap and folds of a cross-validation are many small fits. One after
the other, nearly all of the time is spent on calls of NumPy; in lockstep, they share these calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from gmmlab import engine
from gmmlab._validation import BLOCKS
from gmmlab.em import fit_stack
from gmmlab.mixture import Mixture
from gmmlab.result import Fit


def fit_many(
    X: Any,
    starts: Iterable[Mixture],
    *,
    free: Iterable[str] = BLOCKS,
    tol: float = 1e-6,
    max_iter: int = 1000,
    floor: float | np.ndarray | None = None,
    degenerate: Literal["raise", "floor"] = "raise",
    ridge: float = 0.0,
    sample_weight: Any = None,
    missing: Literal["raise", "marginalise"] = "raise",
    accelerate: bool = False,
    extra_step: bool = False,
) -> list[Fit]:
    """Fit Gaussian mixtures by EM from many starts at once.

    The fits run in lockstep, which takes a small fraction of the time of one after the other if the
    data are small. Each is what `fit` returns, with numbers equal to rounding.

    Parameters
    ----------
    X : array_like or dask.array.Array, shape (n_samples, n_features)
        Samples, in data units. If each fit has data of its own, in memory, the shape is
        (n_fits, n_samples, n_features).
    starts : iterable of Mixture
        Initial mixtures. They may have different structures and numbers of components; those that
        agree in both run together.
    sample_weight : array_like, shape (n_samples,) or (n_fits, n_samples), optional
        Non-negative weights of the samples, 1 by default. With a row for each fit, for data in
        memory, a replicate of a bootstrap is the same data with multinomial weights, and a fold of
        a cross-validation is the same data with weights 0 and 1.
    degenerate : {"raise", "floor"}, default "raise"
        As in `fit`, except that a degenerate fit does not raise an error: it is returned with the
        status "degenerate", and the others go on.
    free, tol, max_iter, floor, ridge, missing, accelerate, extra_step
        As in `fit`, for all fits.

    Returns
    -------
    list of Fit
        In the order of `starts`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Notes
    -----
    Fits that have ended leave the stack. The stack is processed in slices that fit the cache, on
    all cores: beside the data and the weights, a pass takes a few MiB for each core, however many
    fits there are, and the traces keep up to 32 MiB for what is computed when it is read. The bits
    of the results do not depend on the number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import datasets, fit_many, start
    >>> X = datasets.old_faithful().X
    >>> rng = np.random.default_rng(0)
    >>> fits = fit_many(X, [start.random_points(X, 2, rng) for _ in range(100)])
    >>> len(fits), round(max(fit.log_likelihood for fit in fits), 2)
    (100, -1130.26)
    """
    if isinstance(starts, Mixture) or not isinstance(starts, Iterable):
        raise TypeError(f"starts must be an iterable of Mixture; got {type(starts).__name__}")
    starts = list(starts)
    if wrong := [start for start in starts if not isinstance(start, Mixture)]:
        raise TypeError(f"starts must contain only Mixtures; got {type(wrong[0]).__name__}")
    marginalise = engine.marginalises(missing)
    samples = engine.as_samples(X, sample_weight, missing=marginalise, n_fits=len(starts))
    stacks = []
    for numbers in _alike(starts):
        part = samples if len(numbers) == len(starts) else samples.select(numbers)
        options = engine.Options.checked(
            part, [starts[number] for number in numbers], name="starts", free=free, tol=tol,
            max_iter=max_iter, floor=floor, degenerate=degenerate, ridge=ridge,
            accelerate=accelerate, extra_step=extra_step,
        )  # fmt: skip
        stacks.append((numbers, options))
    found = {}
    for numbers, options in stacks:
        found |= zip(numbers, fit_stack(options), strict=True)
    return [found[number] for number in range(len(starts))]


def _alike(starts: Sequence[Mixture]) -> list[list[int]]:
    """Return the numbers of the starts with the same structure and shape, group by group."""
    groups: dict[Any, list[int]] = {}
    for number, mixture in enumerate(starts):
        key = type(mixture.covariance), mixture.means.shape
        groups.setdefault(key, []).append(number)
    return list(groups.values())
