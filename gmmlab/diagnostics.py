"""Reading a fit: agreement with the truth, convergence of EM, degenerate components.

labels       `confusion`, `match_labels`, `accuracy`, `adjusted_rand_index`
components   `match_components`, `match_mixtures`; `match_many` for a stack
convergence  `falls`, `remaining_gain`
degeneracy   `degenerate`; `degenerate_many` for a stack; `sound_fits`

The numbers of components are arbitrary, so labels are matched before they are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gmmlab._validation import check_floor, check_labels, check_number, check_samples
from gmmlab.convergence import remaining_gain as estimated_gain
from gmmlab.covariance import solve
from gmmlab.em import maximise, sufficient_statistics
from gmmlab.engine import (
    ON_FLOOR,
    SHORT,
    THIN,
    Samples,
    as_samples,
    one_blas_thread,
    whole_covariance,
)
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.result import Fit, check_fit

# The distances of a slice of a stack need arrays of at most this many numbers.
_ENTRIES = 2**18
# Components that cannot be compared are this far apart; a sum of such distances is finite.
_FAR = 1e300

# ---- agreement of labels -----------------------------------------------------------------


def confusion(true: Any, predicted: Any) -> np.ndarray:
    """Return the confusion matrix: how often each true label occurs with each predicted label.

    Parameters
    ----------
    true, predicted : array_like of int, shape (n_samples,)
        Labels, from 0.

    Returns
    -------
    ndarray of int, shape (n_true, n_predicted)
        Rows are true labels and columns are predicted labels; the sum is the number of samples.

    Raises
    ------
    TypeError, ValueError
        If the labels are not non-negative integers, or their lengths differ.

    Examples
    --------
    >>> confusion([0, 0, 1, 1], [1, 1, 0, 1])
    array([[0, 2],
           [1, 1]])
    """
    true = check_labels(true, name="true")
    predicted = check_labels(predicted, name="predicted", n_samples=len(true))
    for name, labels in (("true", true), ("predicted", predicted)):
        if labels.min() < 0:
            raise ValueError(f"{name} must be non-negative; got {labels.min()}")
    table = np.zeros((true.max() + 1, predicted.max() + 1), dtype=int)
    np.add.at(table, (true, predicted), 1)
    return table


def match_labels(true: Any, predicted: Any) -> np.ndarray:
    """Rename predicted labels so that as many samples as possible agree with the true labels.

    The best one-to-one renaming is found by the Hungarian method (Kuhn 1955). A predicted label
    without a partner gets a number of its own above all true labels. See `confusion` for the
    parameters and errors.

    Returns
    -------
    ndarray of int, shape (n_samples,)
        The renamed predicted labels.

    Examples
    --------
    >>> match_labels([0, 0, 1, 1], [1, 1, 0, 0])
    array([0, 0, 1, 1])
    """
    table = confusion(true, predicted)
    rows, columns = _assigned(-table)
    names = np.full(table.shape[1], -1)
    names[columns] = rows
    names[names < 0] = table.shape[0] + np.arange((names < 0).sum())
    return names[check_labels(predicted)]


def accuracy(true: Any, predicted: Any) -> float:
    """Return the fraction of samples that agree after `match_labels`, in [0, 1].

    See `confusion` for the parameters and errors.

    Examples
    --------
    >>> accuracy([0, 0, 1, 1], [1, 1, 0, 1])
    0.75
    """
    table = confusion(true, predicted)
    rows, columns = _assigned(-table)
    return float(table[rows, columns].sum() / table.sum())


def adjusted_rand_index(true: Any, predicted: Any) -> float:
    """Return the adjusted Rand index (Hubert and Arabie 1985).

    It is 1 for equal partitions and about 0 for independent ones. Of all pairs of samples, a are
    together in both partitions, b in the first only, c in the second only, and d in neither; the
    index is 2 (a d − b c) / [(a + b) (b + d) + (a + c) (c + d)]. See `confusion` for the parameters
    and errors.

    Examples
    --------
    >>> adjusted_rand_index([0, 0, 1, 1], [1, 1, 0, 0])
    1.0
    >>> adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1])
    -0.5
    """
    table = confusion(true, predicted)
    together = _pairs(table)
    one, other = _pairs(table.sum(axis=1)) - together, _pairs(table.sum(axis=0)) - together
    if one == other == 0:
        return 1.0
    neither = _pairs(table.sum()) - together - one - other
    chance = (together + one) * (one + neither) + (together + other) * (other + neither)
    return 2 * (together * neither - one * other) / chance


def _pairs(counts: np.ndarray) -> int:
    """Return the number of pairs of samples that share an entry of a table of counts."""
    return int((counts * (counts - 1) // 2).sum())


# ---- matching of components --------------------------------------------------------------


def match_components(mixture: Mixture, means: Any) -> np.ndarray:
    """Return the component that matches each of the given means.

    The assignment minimises the total squared Mahalanobis distance, by the covariance of each
    component, so it does not depend on units.

    Parameters
    ----------
    mixture : Mixture
    means : array_like, shape (n_means, n_features)
        True means; at most as many as there are components.

    Returns
    -------
    ndarray of int, shape (n_means,)
        ``mixture.means[match_components(mixture, means)]`` is in the order of `means`.

    Raises
    ------
    TypeError, ValueError
        If there are more means than components, or the numbers of features differ.

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical
    >>> mixture = Mixture([0.5, 0.5], [[4.0], [0.0]], Spherical([1.0, 1.0]))
    >>> match_components(mixture, [[0.1], [4.1]])
    array([1, 0])
    """
    check_mixture(mixture)
    means = check_samples(means, name="means", n_features=mixture.n_features)
    if len(means) > mixture.n_components:
        raise ValueError(
            f"means must have at most as many rows as mixture has components "
            f"({mixture.n_components}); got {len(means)}"
        )
    squared = (mixture.whiten(means) ** 2).sum(axis=1)  # (k, n_means)
    return _assigned(squared.T)[1]


def match_mixtures(mixture: Mixture, reference: Mixture) -> np.ndarray:
    """Return the component of a mixture that matches each component of a reference.

    The assignment, found by the Hungarian method (Kuhn 1955), minimises the total Bhattacharyya
    distance between component densities,

        D = ⅛ δᵀ Σ⁻¹ δ + ½ log |Σ| / √(|Σ₁| |Σ₂|)    with Σ = (Σ₁ + Σ₂)/2, δ = μ₁ − μ₂.

    It does not depend on the units or the rotation of the features, and it distinguishes
    components with equal means by their covariances (Fukunaga 1990, section 3.4). Weights are
    ignored.

    Parameters
    ----------
    mixture, reference : Mixture
        They must have the same numbers of components and features.

    Returns
    -------
    ndarray of int, shape (n_components,)
        ``mixture.take(match_mixtures(mixture, reference))`` is in the order of `reference`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a `Mixture`, or their shapes differ.

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical
    >>> reference = Mixture([0.5, 0.5], [[0.0], [0.0]], Spherical([1.0, 9.0]))
    >>> match_mixtures(Mixture([0.4, 0.6], [[0.3], [0.1]], Spherical([8.0, 1.2])), reference)
    array([1, 0])
    """
    check_mixture(mixture)
    if check_mixture(reference, name="reference").means.shape != mixture.means.shape:
        raise ValueError(
            "reference must have as many components and features as mixture, "
            f"{mixture.means.shape}; got {reference.means.shape}"
        )
    return match_many(mixture, reference)


def match_many(mixtures: Mixture, reference: Mixture) -> np.ndarray:
    """Return `match_mixtures` of each mixture of a stack and one reference, shape (…, k)."""
    k, d = reference.means.shape
    # A slice of the stack has a bounded number of entries in (k, k, d, d).
    step = max(_ENTRIES // (k * d) ** 2, 1)
    # A component without a proper covariance is no reason to warn.
    with np.errstate(all="ignore"):
        means = mixtures.means.reshape(-1, k, d)
        covariances = mixtures.covariances.reshape(-1, k, d, d)
        parts = [slice(begin, begin + step) for begin in range(0, len(means), step)]
        costs = np.concatenate(
            [_distances(means[part], covariances[part], reference) for part in parts]
        )
    # If each component of the reference is nearest to another one, this is the best assignment.
    matched = costs.argmin(axis=-1)
    repeated = (np.sort(matched, axis=-1) != np.arange(k)).any(axis=-1)
    for fit in np.flatnonzero(repeated):
        matched[fit] = _assigned(costs[fit])[1]
    return matched.reshape(mixtures.weights.shape)


def _distances(means: np.ndarray, covariances: np.ndarray, reference: Mixture) -> np.ndarray:
    """Return Bhattacharyya distances from components of a reference to others, shape (…, k, k)."""
    ours, theirs = covariances[..., None, :, :, :], reference.covariances[:, None]
    shared = (ours + theirs) / 2
    apart = means[..., None, :, :] - reference.means[:, None]
    across = solve(shared, apart[..., None])[..., 0]
    log_dets = [np.linalg.slogdet(matrices)[1] for matrices in (shared, ours, theirs)]
    distances = (apart * across).sum(axis=-1) / 8 + log_dets[0] / 2 - sum(log_dets[1:]) / 4
    return np.where(np.isfinite(distances), distances, _FAR)


# ---- convergence -------------------------------------------------------------------------


class Fall(NamedTuple):
    """An iteration at which the log-likelihood decreased, and by how much."""

    iteration: int
    amount: float


def falls(fit: Fit, *, relative: float = 1e-11) -> list[Fall]:
    """List the iterations at which the log-likelihood decreased by more than rounding.

    EM cannot decrease it (A1; Bishop 2006, section 9.4). A decrease shows a mistake in the code, a
    step that is not EM (a ridge) or the limit of the arithmetic. A restart does not count.

    Parameters
    ----------
    fit : Fit
    relative : float, default 1e-11
        Decreases below this fraction of the size of the log-likelihood count as rounding.

    Returns
    -------
    list of Fall
        Empty if the log-likelihood never decreased. Amounts are positive, in total log-likelihood.
    """
    relative = check_number(relative, name="relative")
    values = check_fit(fit).trace["log_likelihood"]
    found = []
    for row in range(1, len(values)):
        fall = values[row - 1] - values[row]
        size = abs(values[row]) + fit.n_samples * fit.mixture.n_features
        if fall > relative * size and not fit.trace["event"][row].startswith("restarted"):
            found.append(Fall(int(fit.trace["iteration"][row]), float(fall)))
    return found


def remaining_gain(fit: Fit, X: Any, *, sample_weight: Any = None) -> float:
    """Estimate how much the log-likelihood would increase if the fit were continued.

    `Fit.remaining_gain` is the same number wherever it is cheap to compute. This function always
    computes it, with one pass over the data, n p² multiplications and a matrix of p² numbers, for
    p free parameters.

    Parameters
    ----------
    fit : Fit
        The result of `gmmlab.fit`. No floor or ridge may be active.
    X : array_like, shape (n_samples, n_features)
        The samples of the fit, without missing entries.
    sample_weight : array_like, shape (n_samples,), optional
        The weights of the fit.

    Returns
    -------
    float
        A total over the samples, in nats; infinite if the fit is not near a maximum.

    Raises
    ------
    TypeError, ValueError
        If `fit` is not a `Fit`, or `X` has another number of features; or if the covariances are
        free and components share a part of them (VEI, EVI, VEE, EVE, VVE, EEV, VEV and EVV).

    Notes
    -----
    The estimate is twice the Newton decrement (I6); see `gmmlab.convergence`. It was compared with
    the gain of going on to ``tol=1e-12``, over 1000 fits of real and generated data
    (``benchmarks/convergence.py``):

    ======  ===========  ======================  ======================
    tol     is finite    if finite, covers gain  median ratio to gain
    ======  ===========  ======================  ======================
    1e-10   92 %         99.9 %                  2.0
    1e-8    89 %         99.6 %                  2.0
    1e-6    83 %         96.1 %                  2.0
    1e-3    52 %         92.2 %                  2.0
    ======  ===========  ======================  ======================

    An infinite estimate means that EM has not come near a maximum, or is on a plateau.

    Examples
    --------
    >>> from gmmlab import datasets, fit, start
    >>> X = datasets.old_faithful().X
    >>> result = fit(X, start.from_labels(X, X[:, 1] > 68), tol=1e-3)
    >>> estimate = remaining_gain(result, X)
    >>> better = fit(X, result.mixture, tol=1e-12)
    >>> better.log_likelihood - result.log_likelihood < estimate < 1
    True
    """
    mixture = check_fit(fit).mixture
    if "covariances" in fit.free and mixture.covariance.curved:
        raise ValueError(
            "fit must have fixed covariances, or a structure in which components share all of "
            f"their covariance or none of it; got {mixture.covariance.name}. Continue the fit from "
            "fit.mixture to see what it gains"
        )
    samples = _samples(X, mixture, sample_weight)
    # A collapsed component leads to divisions by 0; the estimate is then infinite.
    with one_blas_thread(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        statistics = sufficient_statistics(samples, mixture)
        new = maximise(statistics, mixture, fit.free).mixture
        return estimated_gain(samples, mixture, new, statistics.counts, fit.free)


# ---- degenerate components ---------------------------------------------------------------


class Degeneracy(NamedTuple):
    """A component that is degenerate, and the reason."""

    component: int
    reason: str


def degenerate(
    mixture: Mixture,
    X: Any,
    *,
    floor: Any = None,
    thin: float = THIN,
    sample_weight: Any = None,
) -> list[Degeneracy]:
    """List the components that are not valid estimates, and the reasons.

    The likelihood is unbounded where a component shrinks onto samples (U1), so a high likelihood
    means nothing for a degenerate fit.

    Parameters
    ----------
    mixture : Mixture
        A fitted mixture.
    X : array_like, shape (n_samples, n_features)
        The samples of the fit.
    floor : float or array_like of shape (n_features,), optional
        The floor of the fit. If given, components on the floor are listed too.
    thin : float, default 1e-6
        A component has collapsed if its smallest variance is below this fraction of the variance
        of all samples, in the direction in which that fraction is smallest.
    sample_weight : array_like, shape (n_samples,), optional
        Weight of each sample; 1 by default.

    Returns
    -------
    list of Degeneracy
        A component is listed once for each reason: it has fewer samples than its covariance needs,
        it has collapsed, or it is on the floor.

    Raises
    ------
    TypeError, ValueError
        If `X` is not an array with as many features as the mixture.

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical
    >>> X = [[0.0], [0.1], [0.2], [9.0]]
    >>> mixture = Mixture([0.75, 0.25], [[0.1], [9.0]], Spherical([0.01, 1e-15]))
    >>> for component, reason in degenerate(mixture, X):
    ...     print(component, reason)
    1 has 1.0 samples, but its covariance needs at least 2
    1 has collapsed: its smallest variance is 6.7e-17 of the data's variance
    """
    samples = _samples(X, check_mixture(mixture), sample_weight)
    thin = check_number(thin, name="thin")
    if floor is not None:
        floor = check_floor(floor, mixture.n_features)
    return degenerate_many(mixture, samples, floor=floor, thin=thin)[0]


def degenerate_many(
    mixtures: Mixture, samples: Samples, *, floor: np.ndarray | None = None, thin: float = THIN
) -> list[list[Degeneracy]]:
    """Return `degenerate` of each mixture of a stack, in a list.

    The floor has shape (…, n_features). In a mixture with parameters that are not numbers, all
    components are degenerate.
    """
    covariance, d = mixtures.covariance, mixtures.n_features
    counts, needed = sufficient_statistics(samples, mixtures).counts, covariance.samples_needed(d)
    shares = covariance.relative_to(whole_covariance(samples, type(covariance)))
    on_floor = False if floor is None else covariance.clipped(floor * ON_FLOOR)[1]
    shape = (-1, mixtures.n_components)
    short, collapsed, on_floor = (
        np.broadcast_to(mask, counts.shape).reshape(shape)
        for mask in (~(counts >= needed - SHORT), shares < thin, on_floor)
    )
    shares = np.broadcast_to(shares, counts.shape).reshape(shape)
    counts = counts.reshape(shape)
    found: list[list[Degeneracy]] = [[] for _ in counts]
    for i, j in np.argwhere(short | collapsed | on_floor).tolist():
        if short[i, j]:
            reason = f"has {counts[i, j]:.1f} samples, but its covariance needs at least {needed}"
            found[i].append(Degeneracy(j, reason))
        if collapsed[i, j]:
            share = f"{shares[i, j]:.1e} of the data's variance"
            found[i].append(Degeneracy(j, f"has collapsed: its smallest variance is {share}"))
        if on_floor[i, j]:
            found[i].append(Degeneracy(j, "is on the floor"))
    return found


def sound_fits(fits: Sequence[Fit], samples: Samples) -> np.ndarray:
    """Return which fits of the same shape and structure have no degenerate component."""
    with one_blas_thread():
        found = degenerate_many(Mixture.stacked([fit.mixture for fit in fits]), samples)
    pairs = zip(fits, found, strict=True)
    return np.array([fit.status != "degenerate" and not problems for fit, problems in pairs])


# ---- shared steps ------------------------------------------------------------------------


def _samples(X: Any, mixture: Mixture, sample_weight: Any) -> Samples:
    samples = as_samples(X, sample_weight)
    if samples.n_features != mixture.n_features:
        raise ValueError(f"X must have {mixture.n_features} features; got {samples.n_features}")
    return samples


def _assigned(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the one-to-one assignment with the least total cost."""
    from scipy.optimize import linear_sum_assignment  # imported here because it loads slowly

    return linear_sum_assignment(costs)
