"""Starting points for EM: every function returns a valid mixture on the scale of the data.

drawn     `kmeans`, `kmeans_plus_plus`, `random_points`, `random_responsibilities`, `hierarchical`
given     `from_labels`, `from_responsibilities`, `from_parameters`
many      `draw` and `stack_of_responsibilities` make a stack of starts at once
the data  `completed` fills missing entries; `subsample` draws from data that are large

Weights sum to 1 and covariances are positive definite under every structure, even where a cluster
has a single sample or a feature is constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np

from gmmlab import _kmeans
from gmmlab._numerics import LONGEST_BLOCK, blocks
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
from gmmlab.covariance import FOURTEEN, Covariance, Diagonal, DiagonalCovariance, Full
from gmmlab.engine import (
    THIN,
    Samples,
    SufficientStatistics,
    as_samples,
    one_blas_thread,
    per_component,
    whole_covariance,
)
from gmmlab.engine.exponential_family import features_of, products_of
from gmmlab.engine.threads import parallel_map
from gmmlab.mixture import Mixture

# The largest number of samples whose pairwise distances Ward's method may compute.
_WARD = 2000
# With more products of features than this, second moments are products of matrices for each fit.
_MOST_PRODUCTS = 400
# The responsibilities of a slice of a stack have at most this many entries (1 MiB) in a block of
# samples, unless those of one fit have more.
_SLICE_ENTRIES = 2**17

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
    return _single("kmeans", X, n_components, rng, structure, sample_weight)


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
    return _single("k-means++", X, n_components, rng, structure, sample_weight)


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
    return _single("random_from_data", X, n_components, rng, structure, sample_weight)


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
    return _single("random", X, n_components, rng, structure, sample_weight)


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
    return _single("hierarchical", X, n_components, rng, structure, sample_weight)


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
    return _from_responsibilities(samples, np.eye(k)[labels], structure)


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
    return Mixture(weights, means, _whole_for_each(samples, k, structure))


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


# ---- many starts of the same data --------------------------------------------------------


def draw(
    samples: Samples,
    n_components: int,
    kinds: Sequence[str],
    rngs: Sequence[np.random.Generator],
    *,
    structure: Structure = Full,
) -> Mixture:
    """Draw many starts at once.

    Each is the start that its generator gives alone, to rounding.

    Parameters
    ----------
    samples : Samples
        Data in memory, without missing entries.
    n_components : int
        Number of components; at most the number of samples.
    kinds : sequence of str
        The kind of each start, a key of `KINDS`.
    rngs : sequence of numpy.random.Generator
        A generator for each start.
    structure : class of `gmmlab.covariance`, default Full
        Covariance structure.

    Returns
    -------
    Mixture
        A stack, in the order of `kinds`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """
    _check_structure(structure)
    check_count(n_components, name="n_components", maximum=samples.n_samples)
    shared = len({id(rng) for rng in rngs}) < len(rngs)  # drawn from in a fixed order
    stacks, order = [], []
    for kind in dict.fromkeys(kinds):
        mine = [number for number, other in enumerate(kinds) if other == kind]
        # What a start needs beside the mixture is bounded, so memory does not grow with the stack.
        size = _fits_of_a_slice(samples, n_components)
        slices = [mine[begin : begin + size] for begin in range(0, len(mine), size)]

        def drawn(numbers: list[int], kind: str = kind) -> Mixture:
            return KINDS[kind](samples, n_components, [rngs[i] for i in numbers], structure)

        with one_blas_thread():
            stacks += [drawn(part) for part in slices] if shared else parallel_map(drawn, slices)
        order += mine
    if len(stacks) == 1:
        return stacks[0]
    return Mixture.concatenated(stacks).select(np.argsort(order))


def repeated(mixture: Mixture, n_starts: int) -> Mixture:
    """Return a stack in which every start is the same mixture."""
    return Mixture.stacked([mixture]).select(np.zeros(n_starts, dtype=np.intp))


def with_given(starts: Mixture, given: Mapping[str, Any]) -> Mixture:
    """Return a stack of starts in which some blocks, by the fields of `Mixture`, are given.

    Raises
    ------
    TypeError, ValueError
        If the given blocks and the others do not form a mixture.
    """
    if not given:
        return starts
    checked = repeated(replace(starts.select(0), **given), len(starts.weights))
    names = (each.name for each in fields(Mixture))
    return Mixture.unchecked(
        **{name: getattr(checked if name in given else starts, name) for name in names}
    )


def distinct(starts: Mixture) -> np.ndarray:
    """Return the positions of the starts of a stack that differ, up to the order of components.

    k-means often finds the same clusters from different seeds.
    """
    order = np.argsort(starts.means[..., 0], axis=-1, kind="stable")
    sizes = starts.covariance.log_det(starts.n_features)
    each = (starts.weights, np.broadcast_to(sizes, starts.weights.shape))
    numbers = np.stack([*each, *np.moveaxis(starts.means, -1, 0)], axis=-1)
    numbers = np.take_along_axis(numbers, order[..., None], axis=-2)
    scale = np.abs(numbers).max(axis=(0, 1))
    rounded = np.round(numbers / np.where(scale > 0, scale, 1), 9).reshape(len(numbers), -1)
    return np.sort(np.unique(rounded, axis=0, return_index=True)[1])


def stack_of_responsibilities(
    samples: Samples,
    responsibilities: np.ndarray,
    structure: Structure,
    *,
    rough: bool = False,
) -> Mixture:
    """Return one M-step on each of many responsibilities, as `from_responsibilities` does.

    Parameters
    ----------
    samples : Samples
        Data in memory, without missing entries.
    responsibilities : ndarray, shape (n_fits, n_samples, n_components)
        They are not checked.
    structure : class of `gmmlab.covariance`
        Covariance structure.
    rough : bool, default False
        Whether a few steps of iterative estimators are enough.

    Returns
    -------
    Mixture
        A stack.

    Raises
    ------
    ValueError
        If a component has only samples of weight 0.
    """
    size = _fits_of_a_slice(samples, responsibilities.shape[-1])
    slices = [slice(begin, begin + size) for begin in range(0, max(len(responsibilities), 1), size)]

    def estimated(fits: slice) -> Mixture:
        return _m_step(samples, structure, _transposed, responsibilities[fits], rough=rough)

    with one_blas_thread():
        stacks = parallel_map(estimated, slices)
    return stacks[0] if len(stacks) == 1 else Mixture.concatenated(stacks)


# Every kind takes (samples, n_components, generators, structure) and returns a stack.


def _by_kmeans(
    samples: Samples, k: int, rngs: Sequence[np.random.Generator], structure: Structure
) -> Mixture:
    points = _kmeans.Points(samples)
    seeds = _kmeans.seeds(points, k, rngs)
    centres = _kmeans.lloyd(points, points.at(seeds))
    try:
        return _m_step(samples, structure, partial(points.nearest, centres), *points.kept)
    except _EmptyComponent as error:
        raise ValueError(
            "n_components must be at most the number of distinct samples in X "
            f"({k - error.components.sum()}); got {k}"
        ) from None


def _by_seeds(
    samples: Samples, k: int, rngs: Sequence[np.random.Generator], structure: Structure
) -> Mixture:
    return _at_samples(samples, _kmeans.seeds(_kmeans.Points(samples), k, rngs), structure)


def _by_points(
    samples: Samples, k: int, rngs: Sequence[np.random.Generator], structure: Structure
) -> Mixture:
    probabilities = None
    if samples.weight is not None:
        probabilities = samples.weight / samples.total
        check_count(k, name="n_components", maximum=np.count_nonzero(probabilities))
    n = samples.n_samples
    points = [rng.choice(n, size=k, replace=False, p=probabilities) for rng in rngs]
    return _at_samples(samples, np.array(points), structure)


def _by_responsibilities(
    samples: Samples, k: int, rngs: Sequence[np.random.Generator], structure: Structure
) -> Mixture:
    draws = np.array([rng.dirichlet(np.ones(k), size=samples.n_samples) for rng in rngs])
    return _m_step(samples, structure, _transposed, draws)


def _by_ward(
    samples: Samples, k: int, rngs: Sequence[np.random.Generator], structure: Structure
) -> Mixture:
    whole = samples
    if samples.weight is not None and not samples.weight.all():
        counted = samples.weight > 0  # a sample of weight 0 must not become a cluster
        whole = _check(samples.X[counted], k, samples.weight[counted])
    if whole.n_samples <= _WARD:
        one = _m_step(whole, structure, _transposed, _ward(whole, k, samples.cache))
        return repeated(one.select(0), len(rngs))
    parts = []
    for rng in rngs:
        drawn = rng.choice(whole.n_samples, size=_WARD, replace=False, shuffle=False)
        part = Samples(whole.X[drawn], None if whole.weight is None else whole.weight[drawn])
        parts.append(_m_step(part, structure, _transposed, _ward(part, k, part.cache)))
    return Mixture.concatenated(parts)


#: How each kind of start is drawn, by scikit-learn's names where it has them.
KINDS: dict[str, Callable[..., Mixture]] = {
    "kmeans": _by_kmeans,
    "k-means++": _by_seeds,
    "random": _by_responsibilities,
    "random_from_data": _by_points,
    "hierarchical": _by_ward,
}


# ---- shared steps ------------------------------------------------------------------------


def _single(
    kind: str,
    X: Any,
    n_components: Any,
    rng: Any,
    structure: Any,
    sample_weight: Any,
) -> Mixture:
    samples = _check(X, n_components, sample_weight)
    return draw(samples, n_components, [kind], [check_rng(rng)], structure=structure).select(0)


def _from_responsibilities(
    samples: Samples, responsibilities: np.ndarray, structure: Structure
) -> Mixture:
    _check_structure(structure)
    try:
        return stack_of_responsibilities(samples, responsibilities[None], structure).select(0)
    except _EmptyComponent as error:
        raise ValueError(
            "sample_weight must not be 0 for all samples of a component; it is for component "
            f"{listed(error.components)}"
        ) from None


def _at_samples(samples: Samples, rows: np.ndarray, structure: Structure) -> Mixture:
    """Return mixtures with samples (R, k) as means, equal weights, the covariance of the data."""
    n_fits, k = rows.shape
    means = np.asarray(samples.X[rows.ravel()], dtype=np.float64).reshape(n_fits, k, -1)
    values = _whole_for_each(samples, k, structure).values
    values = np.broadcast_to(values, (n_fits, *values.shape))
    return Mixture.unchecked(np.full((n_fits, k), 1 / k), means, structure.unchecked(values))


def _whole_for_each(samples: Samples, n_components: int, structure: Structure) -> Covariance:
    """Return the covariance of all samples for each of some components."""
    with one_blas_thread():
        whole = whole_covariance(samples, structure)
    return whole.take(np.zeros(n_components, dtype=np.intp))


def _ward(samples: Samples, n_components: int, cache: dict[Any, Any]) -> np.ndarray:
    """Return the clusters of Ward's method on whitened data as responsibilities (1, n, k)."""
    from scipy.cluster.hierarchy import fcluster, ward

    labels = np.ones(samples.n_samples, dtype=int)
    if n_components > 1:
        if (key := ("ward", Full)) not in cache:
            whole = Mixture([1.0], samples.X.mean(axis=0)[None], whole_covariance(samples, Full))
            cache[key] = ward(whole.whiten(samples.X)[0].T)
        tree = cache[key]
        # Cut the tree by the order of mergers: a cut by height would not separate equal heights.
        mergers = np.arange(len(tree), dtype=float)
        labels = fcluster(tree, n_components, "maxclust_monocrit", monocrit=mergers)
    return np.eye(n_components)[labels - 1][None]


class _EmptyComponent(ValueError):
    """A component of a start has no samples."""

    def __init__(self, components: np.ndarray) -> None:
        super().__init__(
            f"every component must have samples; component {listed(components)} does not"
        )
        self.components = components


def _m_step(
    samples: Samples,
    structure: Structure,
    responsibilities: Callable[..., np.ndarray],
    *aligned: np.ndarray,
    rough: bool = False,
) -> Mixture:
    """Return M-steps on responsibilities, after widening the components that are too thin.

    A component is thin if its variance in some direction is below `THIN` of the data's. It is
    widened as if it had one more sample, with the second moment of the whole data.

    `responsibilities` is a function of rows of the data, and of the same rows of `aligned` arrays
    (R, n, m), that returns an array (R, k, b).
    """
    sums = _ClusterSums(samples, structure, responsibilities)
    # Iterative estimators can overflow in between; they take a smaller step then.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        statistics = sums.statistics(samples.fold(sums, *aligned))
        counts, means = statistics.counts, statistics.means()
        if (empty := ~(counts > 0)).any():
            raise _EmptyComponent(empty[empty.any(axis=-1)][0])
        moments = statistics.moments(structure)
        whole = whole_covariance(samples, structure)
        # Iterative estimators start from `unit`; a start need not maximise the likelihood.
        unit = structure.unit(*means.shape[-2:]).values
        unit = structure.unchecked(np.broadcast_to(unit, (len(counts), *unit.shape)))
        covariance = unit.update(counts, moments, rough=rough)[0]
        for _ in range(counts.shape[-1]):
            # The smallest eigenvalue of R⁻¹ᐟ² Σ R⁻¹ᐟ² is above 1 / tr(Σ⁻¹ R).
            if (covariance.trace(whole.stack) < 1 / THIN).all():
                break
            thin = ~(covariance.relative_to(whole) >= THIN)
            if not (fits := np.flatnonzero(thin.any(axis=-1))).size:
                break
            n, thin = per_component(counts[fits], moments), per_component(thin[fits], moments)
            # Where components share axes, widening one can make another one thin.
            widened = (n * moments[fits] + whole.stack) / (n + 1)
            moments = moments.copy()  # the covariances may share its memory
            moments[fits] = np.where(thin, widened, moments[fits])
            covariance = covariance.replaced(
                fits, unit.select(fits).update(counts[fits], moments[fits], rough=rough)[0]
            )
    weights = counts / counts.sum(axis=-1, keepdims=True)
    return Mixture.unchecked(weights, means, covariance)


class _ClusterSums:
    """The sums over a chunk from which an M-step on responsibilities is made, shape (R, k, p).

    The samples are whitened by the covariance of all samples, about the centre of the data. So a
    variance keeps its digits as long as it is not small in comparison with that of the data.
    """

    def __init__(
        self, samples: Samples, structure: Structure, responsibilities: Callable[..., np.ndarray]
    ) -> None:
        self.responsibilities = responsibilities
        self.centre, self.n_features = samples.centre, samples.n_features
        self.structure = structure
        self.products = products_of(structure)
        diagonal = issubclass(structure, DiagonalCovariance)
        self.whole = whole_covariance(samples, Diagonal if diagonal else Full)
        self.narrow = self.products.count(self.n_features) <= max(_MOST_PRODUCTS, self.n_features)

    def __call__(self, X: np.ndarray, weight: np.ndarray | None, *aligned: np.ndarray) -> Any:
        d, totals = self.n_features, 0.0
        for rows in blocks(len(X), self.products.count(d) if self.narrow else d):
            whole = rows.stop - rows.start == len(X)
            part = X if whole else X[rows]
            r = self.responsibilities(part, *(array[..., rows, :] for array in aligned))
            if weight is not None:
                r = r * weight[rows]
            columns = np.ascontiguousarray(part.T)
            z = self.whole.whiten((columns - self.centre[:, None])[None])[0]
            totals = totals + self._sums(z, r)
        return totals

    def _sums(self, z: np.ndarray, r: np.ndarray) -> np.ndarray:
        if self.narrow:
            features = features_of(z.T, np.zeros(len(z)), self.products)
            totals = r.reshape(-1, z.shape[1]) @ features.T
            return totals.reshape(*r.shape[:-1], len(features))
        second = np.stack([self.structure.moments.scatter(z[None], mine) for mine in r])
        second = second.reshape(*r.shape[:-1], -1)
        return np.concatenate([r.sum(axis=-1)[..., None], r @ z.T, second], axis=-1)

    def statistics(self, totals: np.ndarray) -> SufficientStatistics:
        """Return sums as sufficient statistics in the coordinates of the data."""
        d, whole = self.n_features, self.whole
        counts, first, second = totals[..., 0], totals[..., 1 : d + 1], totals[..., d + 1 :]
        if self.narrow:
            second = self.products.moments(second, d)
        else:
            second = second.reshape(*first.shape, *[d] * (self.structure.moments.ndim - 1))
        unknown = np.full(len(counts), np.nan)
        return SufficientStatistics(
            counts,
            whole.colour(first[..., None])[..., 0],
            whole.colour_moments(second),
            unknown,
            unknown,
            np.broadcast_to(self.centre, first.shape),
        )


def _transposed(X: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
    """Return given responsibilities (R, b, k) in the shape (R, k, b)."""
    del X
    mine = responsibilities.swapaxes(-1, -2)
    return np.array(mine, dtype=np.float64, order="C")


def _fits_of_a_slice(samples: Samples, n_components: int) -> int:
    return max(1, _SLICE_ENTRIES // (n_components * min(samples.n_samples, LONGEST_BLOCK)))


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
