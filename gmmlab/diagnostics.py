"""Reading a fit: agreement with the truth, how EM behaved, whether components are sound.

Component numbers are arbitrary, so labels are matched before they are compared.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gmmlab import convergence
from gmmlab._validation import check_floor, check_labels, check_number, check_samples
from gmmlab.em import maximise, sufficient_statistics
from gmmlab.engine.samples import Samples, as_samples
from gmmlab.engine.scale import whole_covariance
from gmmlab.engine.threads import one_blas_thread
from gmmlab.mixture import Mixture, check_mixture
from gmmlab.result import Fit, check_fit

# Expected counts are not whole: half a sample short of what is needed is short.
_HALF = 0.5


def confusion(true: Any, predicted: Any) -> np.ndarray:
    """Count how often each true label meets each predicted one.

    Parameters
    ----------
    true, predicted : array_like of int, shape (n_samples,)
        Labels, from 0.

    Returns
    -------
    ndarray of int, shape (n_true, n_predicted)
        Rows are true labels, columns predicted ones; the sum is the number of samples.

    Raises
    ------
    TypeError, ValueError
        If the labels are not whole numbers from 0, or of different lengths.

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
            raise ValueError(f"{name} must hold labels from 0; got {labels.min()}")
    table = np.zeros((true.max() + 1, predicted.max() + 1), dtype=int)
    np.add.at(table, (true, predicted), 1)
    return table


def match_labels(true: Any, predicted: Any) -> np.ndarray:
    """Rename predicted labels so that as many samples as possible agree with the true ones.

    The best one-to-one renaming (the Hungarian method, Kuhn 1955). A predicted label left
    without a partner gets a number of its own above all true ones.

    Parameters and errors as in `confusion`.

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
    """Return the share of samples that agree after `match_labels`, in [0, 1].

    Parameters and errors as in `confusion`.

    Examples
    --------
    >>> accuracy([0, 0, 1, 1], [1, 1, 0, 1])
    0.75
    """
    table = confusion(true, predicted)
    rows, columns = _assigned(-table)
    return float(table[rows, columns].sum() / table.sum())


def adjusted_rand_index(true: Any, predicted: Any) -> float:
    """Return the adjusted Rand index (Hubert and Arabie 1985): 1 if equal, about 0 by chance.

    Of all pairs of samples, a are together in both partitions, b and c in one only, and d in
    neither: the index is 2 (a d − b c) / [(a + b) (b + d) + (a + c) (c + d)].

    Parameters and errors as in `confusion`.

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
    """Return in how many pairs samples can be drawn that are counted together."""
    return int((counts * (counts - 1) // 2).sum())


def match_components(mixture: Mixture, means: Any) -> np.ndarray:
    """Return which component belongs to each of the given means.

    The assignment with the least total squared distance, each distance measured by the
    component's own covariance (Mahalanobis), so that units do not matter.

    Parameters
    ----------
    mixture : Mixture
    means : array_like, shape (n_means, n_features)
        True means, at most as many as there are components.

    Returns
    -------
    ndarray of int, shape (n_means,)
        ``mixture.means[match_components(mixture, means)]`` stands in the order of `means`.

    Raises
    ------
    TypeError, ValueError
        If `means` are more than the components or of another number of features.

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
            f"means must be at most as many as the components ({mixture.n_components}); "
            f"got {len(means)}"
        )
    squared = (mixture.whiten(means) ** 2).sum(axis=1)  # (k, n_means)
    return _assigned(squared.T)[1]


def match_mixtures(mixture: Mixture, reference: Mixture) -> np.ndarray:
    """Return which component of a mixture belongs to each of a reference.

    The assignment (the Hungarian method, Kuhn 1955) with the least total Bhattacharyya distance
    between component densities,

        D = ⅛ δᵀ Σ⁻¹ δ + ½ log |Σ| / √(|Σ₁| |Σ₂|)    with Σ = (Σ₁ + Σ₂)/2, δ = μ₁ − μ₂,

    which neither units nor turns of the features change, and which tells components about one
    mean by their covariances (Fukunaga 1990, section 3.4). Weights do not count.

    Parameters
    ----------
    mixture, reference : Mixture
        With the same numbers of components and features.

    Returns
    -------
    ndarray of int, shape (n_components,)
        ``mixture.take(match_mixtures(mixture, reference))`` stands in the order of `reference`.

    Raises
    ------
    TypeError, ValueError
        If one is no mixture, or the numbers differ.

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
            "reference must have the components and features of mixture, "
            f"{mixture.means.shape}; got {reference.means.shape}"
        )
    ours, theirs = mixture.covariances[:, None], reference.covariances[None, :]
    shared = (ours + theirs) / 2
    apart = mixture.means[:, None] - reference.means[None, :]
    across = np.linalg.solve(shared, apart[..., None])[..., 0]
    log_dets = [np.linalg.slogdet(matrices)[1] for matrices in (shared, ours, theirs)]
    distances = (apart * across).sum(axis=2) / 8 + log_dets[0] / 2 - sum(log_dets[1:]) / 4
    return _assigned(distances.T)[1]


class Fall(NamedTuple):
    """A place in a trace where the log-likelihood went down."""

    iteration: int
    amount: float


def falls(fit: Fit, *, relative: float = 1e-11) -> list[Fall]:
    """List the iterations at which the log-likelihood fell, by more than rounding.

    EM cannot make it fall (A1; Bishop 2006, section 9.4): a fall is a mistake in the code, a
    step that is not EM (a ridge), or arithmetic at its end. A restart begins anew.

    Parameters
    ----------
    fit : Fit
    relative : float, default 1e-11
        Falls smaller than this share of the log-likelihood's size are rounding.

    Returns
    -------
    list of Fall
        Empty if all is well; amounts are positive, in total log-likelihood.
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
    """Estimate how much log-likelihood is still to be had by going on from a fit.

    `Fit.remaining_gain` has it already where it was cheap. Here it takes one pass over the data,
    n p² multiplications and a matrix of p² numbers, for p free parameters.

    Parameters
    ----------
    fit : Fit
        What `gmmlab.fit` returned, without a floor or ridge at work.
    X : array_like, shape (n_samples, n_features)
        The samples that it was fitted to, every entry observed.
    sample_weight : array_like, shape (n_samples,), optional
        The weights it was fitted with.

    Returns
    -------
    float
        A total over the samples, in nats; infinite where the fit is no maximum.

    Raises
    ------
    TypeError, ValueError
        If `fit` is not a `Fit`, or `X` not data of its width; or if the covariances are free
        and components share a part of them (VEI, EVI, VEE, EVE, VVE, EEV, VEV and EVV).

    Notes
    -----
    Twice the Newton decrement (I6); see `gmmlab.convergence`. Over 1000 fits of real and made-up
    data (``benchmarks/convergence.py``), each compared with going on to a gain of 1e-12:

    ======  ========  ========================  ====================
    tol     is told   covers the gain, if told  median ratio to it
    ======  ========  ========================  ====================
    1e-10   92 %      99.9 %                    2.0
    1e-8    89 %      99.6 %                    2.0
    1e-6    83 %      96.1 %                    2.0
    1e-3    52 %      92.2 %                    2.0
    ======  ========  ========================  ====================

    Where it is not told, being infinite, EM has not come near a maximum, or rests on a plateau.

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
            "fit must have covariances that are known, or of which components share all or "
            f"nothing; got {mixture.covariance.name}: go on from fit.mixture to see what remains"
        )
    samples = _samples(X, mixture, sample_weight)
    # A component that collapses divides by 0, and has no maximum to go to.
    with one_blas_thread(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        found = sufficient_statistics(samples, mixture)
        new = maximise(found, mixture, fit.free).mixture
        return convergence.remaining_gain(samples, mixture, new, found.counts, fit.free)


class Degeneracy(NamedTuple):
    """One thing that is wrong with a component."""

    component: int
    reason: str


def degenerate(
    mixture: Mixture,
    X: Any,
    *,
    floor: Any = None,
    thin: float = 1e-6,
    sample_weight: Any = None,
) -> list[Degeneracy]:
    """List the components that are not sound estimates of anything, and why.

    The likelihood of a component that shrinks onto samples has no bound (U1), so a high one
    says nothing for such a fit.

    Parameters
    ----------
    mixture : Mixture
        A fitted mixture.
    X : array_like, shape (n_samples, n_features)
        The samples it was fitted to.
    floor : float or array_like of shape (n_features,), optional
        The floor of the fit: components that sit on it are listed too.
    thin : float, default 1e-6
        A component has collapsed when its smallest variance, in the direction where that is
        least against the variance of all samples, is under this share of it.
    sample_weight : array_like, shape (n_samples,), optional
        How often each sample counts.

    Returns
    -------
    list of Degeneracy
        A component can appear more than once. The reasons are that it has fewer samples than
        it takes to estimate its covariance, that it has collapsed, or that it sits on the
        floor.

    Raises
    ------
    TypeError, ValueError
        If `X` does not go with the mixture.

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical
    >>> X = [[0.0], [0.1], [0.2], [9.0]]
    >>> mixture = Mixture([0.75, 0.25], [[0.1], [9.0]], Spherical([0.01, 1e-15]))
    >>> for component, reason in degenerate(mixture, X):
    ...     print(component, reason)
    1 has 1.0 samples, and its covariance takes at least 2
    1 has collapsed: its smallest variance is 6.7e-17 of the data's own
    """
    samples = _samples(X, check_mixture(mixture), sample_weight)
    thin = check_number(thin, name="thin")
    covariance = mixture.covariance
    counts = sufficient_statistics(samples, mixture).counts
    needed = covariance.samples_needed(mixture.n_features)
    found = [
        Degeneracy(
            int(k), f"has {counts[k]:.1f} samples, and its covariance takes at least {needed}"
        )
        for k in np.flatnonzero(counts < needed - _HALF)
    ]
    whole = whole_covariance(samples, type(covariance))
    shares = np.broadcast_to(covariance.relative_to(whole), mixture.n_components)
    found += [
        Degeneracy(
            int(k), f"has collapsed: its smallest variance is {shares[k]:.1e} of the data's own"
        )
        for k in np.flatnonzero(shares < thin)
    ]
    if floor is not None:
        floor = check_floor(floor, mixture.n_features) * (1 + 1e-9)
        on_floor = np.broadcast_to(covariance.clipped(floor)[1], mixture.n_components)
        found += [Degeneracy(int(k), "sits on the floor") for k in np.flatnonzero(on_floor)]
    return sorted(found)


def _samples(X: Any, mixture: Mixture, sample_weight: Any) -> Samples:
    samples = as_samples(X, sample_weight)
    if samples.n_features != mixture.n_features:
        raise ValueError(f"X must have {mixture.n_features} features; got {samples.n_features}")
    return samples


def _assigned(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and their columns for which the sum of costs is least."""
    from scipy.optimize import linear_sum_assignment  # which takes as long to load as all else here

    return linear_sum_assignment(costs)
