"""Starting points for EM: every function returns a valid mixture on the scale of the data.

drawn     `kmeans`, `kmeans_plus_plus`, `random_points`, `random_responsibilities`, `hierarchical`
given     `from_labels`, `from_responsibilities`, `from_parameters`
the data  `completed` fills missing entries; `subsample` draws from data that are large

Weights sum to 1 and covariances are positive definite under every structure, even where a cluster
has a single sample or a feature is constant.
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
    check_responsibilities,
    check_rng,
    check_samples,
    is_dask,
    listed,
    numeric,
)
from gmmlab.covariance import FOURTEEN, Covariance, Full
from gmmlab.engine import (
    THIN,
    ResidualForm,
    Samples,
    as_samples,
    one_blas_thread,
    per_component,
    whole_covariance,
)
from gmmlab.mixture import Mixture

# The largest number of samples whose pairwise distances Ward's method may compute.
_WARD = 2000

Structure = type[Covariance]

# ---- starts that are drawn ---------------------------------------------------------------


def kmeans(
    X: Any,
    n_components: int,
    rng: np.random.Generator,
    *,
    structure: Structure = Full,
    sample_weight: Any = None,
) -> Mixture:
    """Start from the clusters of k-means (Lloyd's algorithm, one k-means++ start).

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    n_components : int
        Number of components; at most the number of samples.
    rng : numpy.random.Generator
        Source of randomness.
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.
    sample_weight : array_like, shape (n_samples,), optional
        Weight of each sample; 1 by default.

    Returns
    -------
    Mixture
        Weights, means and covariances of the clusters.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

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
    # The bits of k-means depend on the number of threads.
    with _single_threaded(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # too few clusters: an error below
        clusters = KMeans(n_components, n_init=1, random_state=seed)
        labels = clusters.fit(samples.X, sample_weight=samples.weight).labels_
    if (distinct := len(np.unique(labels))) < n_components:
        raise ValueError(
            f"n_components must be at most the number of distinct samples in X ({distinct}); "
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
    """Start from k-means++ seeds: distant samples, equal weights, the covariance of the data.

    See `kmeans` for the parameters, the return value and the errors, and Arthur and
    Vassilvitskii (2007) for the method.
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
    """Start from samples drawn without replacement, equal weights, the covariance of the data.

    See `kmeans` for the parameters, the return value and the errors.
    """
    samples = _check(X, n_components, sample_weight)
    probabilities = None
    if samples.weight is not None:
        probabilities = samples.weight / samples.total
        check_count(n_components, name="n_components", maximum=np.count_nonzero(probabilities))
    points = check_rng(rng).choice(
        samples.n_samples, size=n_components, replace=False, p=probabilities
    )
    return from_parameters(samples, means=samples.X[points], structure=structure)


def random_responsibilities(
    X: Any,
    n_components: int,
    rng: np.random.Generator,
    *,
    structure: Structure = Full,
    sample_weight: Any = None,
) -> Mixture:
    """Start from one M-step on responsibilities that are uniform on the simplex.

    Every component then has nearly the mean and the covariance of the data, so EM has a long way
    to go: this is a poor start on purpose. See `kmeans` for the parameters, the return value and
    the errors.
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
    """Start from the clusters of Ward's method on whitened data.

    The data are whitened by their covariance. If there are more than 2000 samples, Ward's method
    runs on 2000 drawn at random; otherwise the start is deterministic (Ward 1963; Fraley and
    Raftery 2002, section 2.4). See `kmeans` for the parameters, the return value and the errors.
    """
    from scipy.cluster.hierarchy import fcluster, ward

    samples, rng = _check(X, n_components, sample_weight), check_rng(rng)
    if samples.weight is not None and not samples.weight.all():
        counted = samples.weight > 0  # a sample of weight 0 must not become a cluster
        samples = _check(samples.X[counted], n_components, samples.weight[counted])
    if samples.n_samples > _WARD:
        drawn = rng.choice(samples.n_samples, size=_WARD, replace=False, shuffle=False)
        weight = None if samples.weight is None else samples.weight[drawn]
        samples = Samples(samples.X[drawn], weight)
    whole = Mixture([1.0], samples.X.mean(axis=0)[None], whole_covariance(samples, Full))
    whitened = whole.whiten(samples.X)[0].T
    labels = np.ones(len(whitened), dtype=int)
    if n_components > 1:
        tree = ward(whitened)
        # Cut the tree by the order of mergers: a cut by height would not separate equal heights.
        mergers = np.arange(len(tree), dtype=float)
        labels = fcluster(tree, n_components, "maxclust_monocrit", monocrit=mergers)
    return _from_responsibilities(samples, _one_hot(labels - 1, n_components), structure)


# ---- starts that are given ---------------------------------------------------------------


def from_labels(
    X: Any,
    labels: Any,
    *,
    n_components: int | None = None,
    structure: Structure = Full,
    sample_weight: Any = None,
) -> Mixture:
    """Start from a labelling: the weight, mean and covariance of each class.

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
        Weight of each sample; 1 by default.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError, ValueError
        If `labels` are not integers, one per sample, or if a class has no sample.

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
    """Start from one M-step on given responsibilities.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    responsibilities : array_like, shape (n_samples, n_components)
        Non-negative; each row sums to 1.
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.
    sample_weight : array_like, shape (n_samples,), optional
        Weight of each sample; 1 by default.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError, ValueError
        If `responsibilities` have the wrong shape, a row is not a distribution, or a column is
        zero.
    """
    samples = as_samples(X, sample_weight, in_memory=True)
    n_components = check_samples(responsibilities, name="responsibilities").shape[1]
    r = check_responsibilities(responsibilities, shape=(samples.n_samples, n_components))
    if (empty := ~r.any(axis=0)).any():
        raise ValueError(
            "responsibilities must be above 0 for some sample of every component; they are all 0 "
            f"for component {listed(empty)}"
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
    """Start from given parameters; defaults are on the scale of the data.

    Parameters
    ----------
    X : array_like or dask.array.Array, shape (n_samples, n_features)
        Samples, in data units.
    means : array_like, shape (n_components, n_features)
        Component means.
    weights : array_like, shape (n_components,), optional
        Mixing weights; equal by default.
    covariances : array_like, optional
        Values of the structure, in its own shape. By default every component has the covariance
        of all samples.
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.
    sample_weight : array_like, shape (n_samples,), optional
        Weight of each sample; 1 by default.

    Returns
    -------
    Mixture

    Raises
    ------
    TypeError, ValueError
        If the parameters do not form a mixture with as many features as `X`.
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
    return Mixture(weights, means, whole.take(np.zeros(k, dtype=np.intp)))


# ---- preparation of the data -------------------------------------------------------------


def completed(X: Any) -> np.ndarray:
    """Return the data with each missing entry replaced by the mean of its feature.

    The result is for drawing a start; `fit` itself should be given the data with missing entries.

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
        If `X` is not a 2-D array of numbers, or a feature has no observed entry.

    Examples
    --------
    >>> completed([[1.0, 4.0], [3.0, float("nan")]])
    array([[1., 4.],
           [3., 4.]])
    """
    return completed_samples(as_samples(X, missing=True, in_memory=True)).X


def completed_samples(samples: Samples) -> Samples:
    """Do what `completed` does, for `Samples`; return the same object if nothing is missing."""
    if not samples.has_missing:
        return samples
    means = np.nanmean(samples.X, axis=0)
    return Samples(np.where(np.isnan(samples.X), means, samples.X), samples.weight)


def subsample(X: Any, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw samples without replacement, to start from a part of large data.

    Parameters
    ----------
    X : array_like or dask.array.Array, shape (n_total, n_features)
        Samples, in data units. Only the drawn rows of a memory-mapped array are read; a Dask
        array is read block by block.
    n_samples : int
        Number of samples to draw; all of them if there are not more.
    rng : numpy.random.Generator
        Source of randomness. The draw does not depend on where the data are stored.

    Returns
    -------
    ndarray, shape (min(n_samples, n_total), n_features)
        The drawn samples in the order of `X`. float32 is kept, every other type becomes float64;
        missing entries stay NaN.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

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


# ---- shared steps ------------------------------------------------------------------------


def _from_responsibilities(
    samples: Samples, responsibilities: np.ndarray, structure: Structure
) -> Mixture:
    """Return one M-step on responsibilities, after widening the components that are too thin.

    A component is thin if its variance in some direction is below `THIN` of the data's. It is
    widened as if it had one more sample, with the second moment of the whole data.
    """
    _check_structure(structure)
    k, d = responsibilities.shape[1], samples.n_features
    # Iterative estimators can overflow in between; they take a smaller step then.
    with one_blas_thread(), np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        # Iterative estimators start from `unit`; a start need not maximise the likelihood.
        unit = structure.unit(k, d)
        centre = Mixture(np.full(k, 1 / k), np.broadcast_to(samples.centre, (k, d)), unit)
        means = samples.fold(ResidualForm(centre), responsibilities).means()
        statistics = samples.fold(ResidualForm(centre, means), responsibilities)
        counts, moments = statistics.counts, statistics.moments(structure, means)
        if (empty := ~(counts > 0)).any():
            raise ValueError(
                "sample_weight must not be 0 for all samples of a component; it is for component "
                f"{listed(empty)}"
            )
        whole = whole_covariance(samples, structure)
        n = per_component(counts, moments)
        widened = (n * moments + whole.stack) / (n + 1)
        covariance = unit.update(counts, moments)[0]
        for _ in range(k):  # where components share axes, widening one can make another one thin
            if not (thin := covariance.relative_to(whole) < THIN).any():
                break
            moments = np.where(per_component(thin, moments), widened, moments)
            covariance = unit.update(counts, moments)[0]
    return Mixture(counts / counts.sum(), means, covariance)


def _one_hot(labels: np.ndarray, n_components: int) -> np.ndarray:
    return np.eye(n_components, dtype=bool)[labels]


def _check(X: Any, n_components: Any, sample_weight: Any) -> Samples:
    samples = as_samples(X, sample_weight, in_memory=True)
    check_count(n_components, name="n_components", maximum=samples.n_samples)
    return samples


def _check_structure(structure: Any) -> None:
    if structure not in FOURTEEN:
        names = ", ".join(each.__name__ for each in FOURTEEN)
        raise TypeError(
            f"structure must be a class of gmmlab.covariance ({names}); got {structure!r}"
        )


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # finds the thread pools of all loaded libraries


def _single_threaded() -> AbstractContextManager:
    """Return a context in which scikit-learn, which must be loaded, uses one thread."""
    return _libraries().limit(limits=1)
