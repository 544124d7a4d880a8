"""Where EM begins: every function here returns a proper mixture.

Proper means weights that sum to 1 and covariances of the scale of the data, positive
definite under any structure, also where a cluster holds a single point or a feature never
changes. Each takes the data, the number of components, a generator where it draws, and
the covariance structure to start (and so to fit) with.

Where the data are too many, or not in memory, start from a part of them:
``start.kmeans(start.subsample(X, 10_000, rng), k, rng)``.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from gmmlab._validation import (
    check_count,
    check_labels,
    check_matrix,
    check_numeric,
    check_rng,
    check_samples,
    is_dask,
    listed,
    numeric,
)
from gmmlab.covariance import FOURTEEN, Covariance, Full
from gmmlab.engine.samples import Samples, as_samples
from gmmlab.engine.scale import whole_covariance
from gmmlab.engine.statistics import ResidualForm, per_component
from gmmlab.engine.threads import one_blas_thread
from gmmlab.mixture import Mixture

# A component with less than this share of the data's variance in some direction is thin.
_THIN = 1e-6
# Ward's method takes all distances between so many samples at the most.
_WARD = 2000

Structure = type[Covariance]


def kmeans(
    X: Any,
    n_components: int,
    rng: np.random.Generator,
    *,
    structure: Structure = Full,
    sample_weight: Any = None,
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
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.
    sample_weight : array_like, shape (n_samples,), optional
        How often each sample counts.

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

    samples = _check(X, n_components, sample_weight)
    seed = int(check_rng(rng).integers(2**31))
    # On two threads k-means gives other bits than on one.
    with _single_threaded(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of clusters that coincide
        clusters = KMeans(n_components, n_init=1, random_state=seed)
        labels = clusters.fit(samples.X, sample_weight=samples.weight).labels_
    if (distinct := len(np.unique(labels))) < n_components:
        raise ValueError(
            f"n_components must be at most the number of different samples in X ({distinct}); "
            f"got {n_components}"
        )
    return _from_responsibilities(samples, _one_hot(labels, n_components), structure)


def kmeans_plus_plus(
    X: Any,
    n_components: int,
    rng: np.random.Generator,
    *,
    structure: Structure = Full,
    sample_weight: Any = None,
) -> Mixture:
    """Start from k-means++ seeds: data points far apart, equal weights, the data's covariance.

    Parameters, return value and errors as in `kmeans` (Arthur and Vassilvitskii 2007).
    """
    from sklearn.cluster import kmeans_plusplus

    samples = _check(X, n_components, sample_weight)
    seed = int(check_rng(rng).integers(2**31))
    with _single_threaded():
        centres, _ = kmeans_plusplus(
            samples.X, n_components, sample_weight=samples.weight, random_state=seed
        )
    return from_parameters(samples, means=centres, structure=structure)


def random_points(
    X: Any,
    n_components: int,
    rng: np.random.Generator,
    *,
    structure: Structure = Full,
    sample_weight: Any = None,
) -> Mixture:
    """Start from data points drawn without replacement, equal weights, the data's covariance.

    Parameters, return value and errors as in `kmeans`.
    """
    samples = _check(X, n_components, sample_weight)
    share = None
    if samples.weight is not None:
        share = samples.weight / samples.total
        check_count(n_components, name="n_components", maximum=np.count_nonzero(share))
    points = check_rng(rng).choice(samples.n_samples, size=n_components, replace=False, p=share)
    return from_parameters(samples, means=samples.X[points], structure=structure)


def random_responsibilities(
    X: Any,
    n_components: int,
    rng: np.random.Generator,
    *,
    structure: Structure = Full,
    sample_weight: Any = None,
) -> Mixture:
    """Start from one M-step on responsibilities drawn evenly from the simplex.

    Every component then is near the whole data's mean and covariance, so that EM has far
    to go: a poor start on purpose. Parameters, return value and errors as in `kmeans`.
    """
    samples = _check(X, n_components, sample_weight)
    draws = check_rng(rng).dirichlet(np.ones(n_components), size=samples.n_samples)
    return _from_responsibilities(samples, draws, structure)


def hierarchical(
    X: Any,
    n_components: int,
    rng: np.random.Generator,
    *,
    structure: Structure = Full,
    sample_weight: Any = None,
) -> Mixture:
    """Start from the clusters of Ward's method, in units in which the data vary alike all ways.

    Parameters, return value and errors as in `kmeans`. Of more than 2000 samples that many are
    drawn and clustered; otherwise nothing is left to chance (Ward 1963; Fraley and Raftery 2002,
    section 2.4).
    """
    from scipy.cluster.hierarchy import fcluster, ward

    samples, rng = _check(X, n_components, sample_weight), check_rng(rng)
    if samples.weight is not None and not samples.weight.all():
        seen = samples.weight > 0  # a sample that counts nothing is none, and no cluster
        samples = _check(samples.X[seen], n_components, samples.weight[seen])
    if samples.n_samples > _WARD:
        some = rng.choice(samples.n_samples, size=_WARD, replace=False, shuffle=False)
        weight = None if samples.weight is None else samples.weight[some]
        samples = Samples(samples.X[some], weight)
    whole = Mixture([1.0], samples.X.mean(axis=0)[None], whole_covariance(samples, Full))
    alike = whole.whiten(samples.X)[0].T
    labels = np.ones(len(alike), dtype=int)
    if n_components > 1:
        tree = ward(alike)
        # By the number of a merger, not its height: of equal heights some may have to be undone.
        mergers = np.arange(len(tree), dtype=float)
        labels = fcluster(tree, n_components, "maxclust_monocrit", monocrit=mergers)
    return _from_responsibilities(samples, _one_hot(labels - 1, n_components), structure)


def completed(X: Any) -> np.ndarray:
    """Return the data with each feature's mean where it is missing, to draw a start from.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units; NaN entries are missing.

    Returns
    -------
    ndarray, shape (n_samples, n_features)
        `X` itself if nothing is missing.

    Raises
    ------
    TypeError, ValueError
        If `X` is not a 2-D array of numbers, or a feature was never observed.

    Examples
    --------
    >>> completed([[1.0, 4.0], [3.0, float("nan")]])
    array([[1., 4.],
           [3., 4.]])
    """
    return completed_samples(as_samples(X, missing=True, in_memory=True)).X


def completed_samples(samples: Samples) -> Samples:
    """Return samples with each feature's mean where it is missing: themselves if nothing is."""
    if not samples.has_missing:
        return samples
    means = np.nanmean(samples.X, axis=0)
    return Samples(np.where(np.isnan(samples.X), means, samples.X), samples.weight)


def from_labels(
    X: Any,
    labels: Any,
    *,
    n_components: int | None = None,
    structure: Structure = Full,
    sample_weight: Any = None,
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
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.
    sample_weight : array_like, shape (n_samples,), optional
        How often each sample counts.

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
    samples = as_samples(X, sample_weight, in_memory=True)
    labels = check_labels(labels, n_samples=samples.n_samples)
    if n_components is None:
        n_components = max(int(labels.max()) + 1, 1)
    k = check_count(n_components, name="n_components")
    if not np.array_equal(np.unique(labels), np.arange(k)):
        raise ValueError(
            f"labels must be 0 to {k - 1}, each at least once; got {np.unique(labels).tolist()}"
        )
    return _from_responsibilities(samples, _one_hot(labels, k), structure)


def from_responsibilities(
    X: Any, responsibilities: Any, *, structure: Structure = Full, sample_weight: Any = None
) -> Mixture:
    """Start from given responsibilities: one M-step on them.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    responsibilities : array_like, shape (n_samples, n_components)
        Not negative; each row sums to 1.
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.
    sample_weight : array_like, shape (n_samples,), optional
        How often each sample counts.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError, ValueError
        If `responsibilities` have another shape, or rows that are no distributions.
    """
    samples = as_samples(X, sample_weight, in_memory=True)
    r = check_samples(responsibilities, name="responsibilities")
    if len(r) != samples.n_samples:
        raise ValueError(
            f"responsibilities must have one row a sample ({samples.n_samples}); got {len(r)}"
        )
    if (r < 0).any() or (np.abs(r.sum(axis=1) - 1) > 1e-8).any() or not r.any(axis=0).all():
        raise ValueError(
            "responsibilities must not be negative, each row must sum to 1, and every component "
            "must have some"
        )
    return _from_responsibilities(samples, r, structure)


def from_parameters(
    X: Any,
    *,
    means: Any,
    weights: Any = None,
    covariances: Any = None,
    structure: Structure = Full,
    sample_weight: Any = None,
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
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.
    sample_weight : array_like, shape (n_samples,), optional
        How often each sample counts.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError, ValueError
        If the parameters do not make a mixture with as many features as `X`.
    """
    samples = as_samples(X, sample_weight)
    means = check_samples(means, name="means", n_features=samples.n_features)
    k = len(means)
    weights = np.full(k, 1 / k) if weights is None else check_numeric(weights, name="weights")
    _check_structure(structure)
    if covariances is not None:
        return Mixture(weights, means, structure(covariances))
    with one_blas_thread():
        whole = whole_covariance(samples, structure)
    return Mixture(weights, means, whole.repeated(k))


def subsample(X: Any, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw samples without replacement, to start from where there are too many of them.

    Parameters
    ----------
    X : array_like or dask.array.Array, shape (n_total, n_features)
        Samples, in data units. Of a memory-mapped array only the rows that were drawn are read;
        a Dask array is gone through block by block.
    n_samples : int
        How many to draw; all, where there are no more.
    rng : numpy.random.Generator
        Source of the draw, which is the same wherever the data are.

    Returns
    -------
    ndarray, shape (min(n_samples, n_total), n_features)
        Samples in the order they have in `X`. float32 stays float32, everything else becomes
        float64; missing entries stay NaN.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import start
    >>> X = np.arange(20.0).reshape(10, 2)
    >>> start.subsample(X, 3, np.random.default_rng(0))
    array([[10., 11.],
           [12., 13.],
           [18., 19.]])
    """
    check_count(n_samples, name="n_samples")
    if not (is_dask(X) or isinstance(X, np.ndarray)):
        X = numeric(X, name="X")
    check_matrix(X.shape)
    size = min(n_samples, len(X))
    rows = np.sort(check_rng(rng).choice(len(X), size=size, replace=False, shuffle=False))
    drawn = X[rows].compute() if is_dask(X) else X[rows]
    return numeric(drawn, name="X", keep=(np.float32, np.float64))


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # a look at every loaded library, scikit-learn's among them


def _single_threaded() -> AbstractContextManager:
    """Return a context in which scikit-learn's own threads are one; it is loaded by then."""
    return _libraries().limit(limits=1)


def _check(X: Any, n_components: Any, sample_weight: Any) -> Samples:
    samples = as_samples(X, sample_weight, in_memory=True)
    check_count(n_components, name="n_components", maximum=samples.n_samples)
    return samples


def _one_hot(labels: np.ndarray, n_components: int) -> np.ndarray:
    return np.eye(n_components, dtype=bool)[labels]


def _check_structure(structure: Any) -> None:
    if structure not in FOURTEEN:
        names = ", ".join(each.__name__ for each in FOURTEEN)
        raise TypeError(
            f"structure must be a class of gmmlab.covariance ({names}); got {structure!r}"
        )


def _from_responsibilities(
    samples: Samples, responsibilities: np.ndarray, structure: Structure
) -> Mixture:
    """One M-step; a component too thin to start from is widened towards the whole data."""
    _check_structure(structure)
    k, d = responsibilities.shape[1], samples.n_features
    # Where a search for what is shared goes too far, it turns back.
    with one_blas_thread(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        centre = np.broadcast_to(samples.centre, (k, d))
        near = structure.unit(k, d)  # where a search for what is shared begins: a start need not
        unit = Mixture(np.full(k, 1 / k), centre, near)  # be the likeliest of all
        means = samples.fold(ResidualForm(unit), responsibilities).means()
        found = samples.fold(ResidualForm(unit, means), responsibilities)
        counts, within = found.counts, found.moments(structure, means)
        if (empty := ~(counts > 0)).any():
            raise ValueError(
                f"sample_weight must not be 0 for all of a component's samples; they are for "
                f"component {listed(empty)}"
            )
        whole = whole_covariance(samples, structure)
        # As if each thin component had one more sample, which varies as the whole data do.
        share = per_component(counts, within)
        padded = (share * within + whole.stack) / (share + 1)
        covariance = near.update(counts, within)[0]
        for _ in range(k):  # where components share axes, others may become thin along new ones
            if not (thin := covariance.relative_to(whole) < _THIN).any():
                break
            within = np.where(per_component(thin, within), padded, within)
            covariance = near.update(counts, within)[0]
    return Mixture(counts / counts.sum(), means, covariance)
