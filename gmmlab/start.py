"""Where EM begins: every function here returns a proper mixture.

Proper means weights that sum to 1 and covariances of the scale of the data, positive
definite under any structure, also where a cluster holds a single point or a feature never
changes. Each takes the data, the number of components, a generator where it draws, and
the covariance structure to start (and so to fit) with.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from gmmlab._threads import one_blas_thread
from gmmlab._validation import check_count, check_labels, check_numeric, check_rng, check_samples
from gmmlab.covariance import STRUCTURES, Covariance, Full
from gmmlab.em import moments, sums
from gmmlab.mixture import Mixture
from gmmlab.scale import relative_floor, total_moment

# A component with less than this share of the data's variance in some direction is thin.
_THIN = 1e-6

Structure = type[Covariance]


def kmeans(
    X: Any, n_components: int, rng: np.random.Generator, *, structure: Structure = Full
) -> Mixture:
    """Start from the clusters of k-means (Lloyd, one k-means++ start).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    n_components : int
        Number of components; at most the number of samples.
    rng : numpy.random.Generator
        Source of the draws.
    structure : {Full, Tied, Diagonal, Spherical}, default Full
        Covariance structure.

    Returns
    -------
    Mixture
        Weights, means and covariances of the clusters.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import start
    >>> X = np.array([[0.0], [0.2], [5.0], [5.2]])
    >>> start.kmeans(X, 2, np.random.default_rng(0)).sorted().means.round(1).ravel()
    array([0.1, 5.1])
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    X, n_components = _check(X, n_components)
    seed = int(check_rng(rng).integers(2**31))
    # On two threads k-means gives other bits than on one.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of clusters that coincide
        labels = KMeans(n_components, n_init=1, random_state=seed).fit(X).labels_
    if (distinct := len(np.unique(labels))) < n_components:
        raise ValueError(
            f"n_components must be at most the number of different samples in X ({distinct}); "
            f"got {n_components}"
        )
    return from_labels(X, labels, n_components=n_components, structure=structure)


def kmeans_plus_plus(
    X: Any, n_components: int, rng: np.random.Generator, *, structure: Structure = Full
) -> Mixture:
    """Start from k-means++ seeds: data points far apart, equal weights, the data's covariance.

    Parameters, return value and errors as in `kmeans` (Arthur and Vassilvitskii 2007).
    """
    from sklearn.cluster import kmeans_plusplus

    X, n_components = _check(X, n_components)
    seed = int(check_rng(rng).integers(2**31))
    with threadpool_limits(1):
        centres, _ = kmeans_plusplus(X, n_components, random_state=seed)
    return from_parameters(X, means=centres, structure=structure)


def random_points(
    X: Any, n_components: int, rng: np.random.Generator, *, structure: Structure = Full
) -> Mixture:
    """Start from data points drawn without replacement, equal weights, the data's covariance.

    Parameters, return value and errors as in `kmeans`.
    """
    X, n_components = _check(X, n_components)
    points = check_rng(rng).choice(len(X), size=n_components, replace=False)
    return from_parameters(X, means=X[points], structure=structure)


def random_responsibilities(
    X: Any, n_components: int, rng: np.random.Generator, *, structure: Structure = Full
) -> Mixture:
    """Start from one M-step on responsibilities drawn evenly from the simplex.

    Every component then is near the whole data's mean and covariance, so that EM has far
    to go: a poor start on purpose. Parameters, return value and errors as in `kmeans`.
    """
    X, n_components = _check(X, n_components)
    draws = check_rng(rng).dirichlet(np.ones(n_components), size=len(X))
    return _from_responsibilities(X, draws, structure)


def from_labels(
    X: Any, labels: Any, *, n_components: int | None = None, structure: Structure = Full
) -> Mixture:
    """Start from a labelling: weights, means and covariances of each class.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    labels : array_like of int, shape (n_samples,)
        Class of each sample, from 0; every class must occur.
    n_components : int, optional
        Number of classes; by default one more than the largest label.
    structure : {Full, Tied, Diagonal, Spherical}, default Full
        Covariance structure.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError, ValueError
        If `labels` are not whole numbers, one a sample, or a class has no sample.

    Examples
    --------
    >>> from gmmlab import start
    >>> mixture = start.from_labels([[0.0], [1.0], [7.0], [9.0]], [0, 0, 1, 1])
    >>> mixture.means.ravel(), mixture.weights
    (array([0.5, 8. ]), array([0.5, 0.5]))
    """
    X = check_samples(X)
    labels = check_labels(labels, n_samples=len(X))
    if n_components is None:
        n_components = max(int(labels.max()) + 1, 1)
    k = check_count(n_components, name="n_components")
    if not np.array_equal(np.unique(labels), np.arange(k)):
        raise ValueError(
            f"labels must be 0 to {k - 1}, each at least once; got {np.unique(labels).tolist()}"
        )
    return _from_responsibilities(X, np.eye(k)[labels], structure)


def from_parameters(
    X: Any,
    *,
    means: Any,
    weights: Any = None,
    covariances: Any = None,
    structure: Structure = Full,
) -> Mixture:
    """Start from given parameters; what is left out takes the scale of the data.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    means : array_like, shape (n_components, n_features)
        Component means.
    weights : array_like, shape (n_components,), optional
        Mixing weights; equal by default.
    covariances : array_like, optional
        Values of the structure, in its own shape; by default every component gets the
        covariance of all samples.
    structure : {Full, Tied, Diagonal, Spherical}, default Full
        Covariance structure.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError, ValueError
        If the parameters do not make a mixture with as many features as `X`.
    """
    X = check_samples(X)
    means = check_samples(means, name="means", n_features=X.shape[1])
    k = len(means)
    weights = np.full(k, 1 / k) if weights is None else check_numeric(weights, name="weights")
    _check_structure(structure)
    if covariances is not None:
        return Mixture(weights, means, structure(covariances))
    everywhere = np.full((len(X), k), 1 / k)
    return Mixture(weights, means, _from_responsibilities(X, everywhere, structure).covariance)


def _check(X: Any, n_components: Any) -> tuple[np.ndarray, int]:
    X = check_samples(X)
    return X, check_count(n_components, name="n_components", maximum=len(X))


def _check_structure(structure: Any) -> None:
    if structure not in STRUCTURES.values():
        raise TypeError(f"structure must be Full, Tied, Diagonal or Spherical; got {structure!r}")


def _from_responsibilities(
    X: np.ndarray, responsibilities: np.ndarray, structure: Structure
) -> Mixture:
    """One M-step; a component too thin to start from is widened towards the whole data."""
    _check_structure(structure)
    k, d = responsibilities.shape[1], X.shape[1]
    with one_blas_thread():
        counts = responsibilities.sum(axis=0)
        means = (responsibilities / counts).T @ X
        unit = Mixture(np.full(k, 1 / k), means, structure.unit(k, d))
        within = moments(sums(X, unit, responsibilities=responsibilities), unit, means)
        whole = structure.estimate(np.array([len(X)]), total_moment(X, structure))
        whole, _ = whole.clipped(relative_floor(X, _THIN))
        thin = structure.estimate(counts, within).relative_to(whole) < _THIN
        # As if each thin component had one more sample, which varies as the whole data do.
        axes = (slice(None), *[None] * (within.ndim - 1))
        padded = (counts[axes] * within + whole.stack) / (counts[axes] + 1)
        covariance = structure.estimate(counts, np.where(thin[axes], padded, within))
    return Mixture(counts / counts.sum(), means, structure(covariance.values))
