"""Data to fit mixtures to: generators, the generated sets of the notebooks, and real data.

generators  `random_covariance`, `random_parameters`, `sample`, `random_mixture`
sets        by their own functions, or by name with `load`
MNIST       `load_mnist`

The true parameters of a generated set are plain arrays (weights, means, covariances) and not a
`Mixture`, because one of the sets has a singular covariance, which a mixture cannot have.

Real data are read from files that come with gmmlab, after checking their SHA-256: a checkout has
all of them, an installed package has the Old Faithful data. Only `load_mnist(source="keras")`
downloads a file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gmmlab._extras import extra
from gmmlab._validation import (
    check_choice,
    check_count,
    check_number,
    check_numeric,
    check_rng,
    check_samples,
    read_only,
)

_PACKAGE = Path(__file__).resolve().parent
#: data files: inside an installed package; beside the package in a checkout
_DATA = _PACKAGE / "data" if (_PACKAGE / "data").is_dir() else _PACKAGE.parent / "data"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples with the names of their features and, if known, labels and true parameters.

    Attributes
    ----------
    X : ndarray, shape (n_samples, n_features)
        Samples, in the units of `features`.
    features : tuple of str
        Name of each feature, with its unit where it has one.
    labels : ndarray of int, shape (n_samples,), or None
        True class of each sample.
    weights, means, covariances : ndarray or None
        The parameters that a generated set was drawn from, of shape (k,), (k, d) and (k, d, d).
    """

    X: np.ndarray
    features: tuple[str, ...]
    labels: np.ndarray | None = None
    weights: np.ndarray | None = None
    means: np.ndarray | None = None
    covariances: np.ndarray | None = None


# ---- generators --------------------------------------------------------------------------


def random_covariance(
    n_features: int, rng: np.random.Generator, *, condition: float = 10.0, scale: float = 1.0
) -> np.ndarray:
    """Draw a covariance matrix with a given condition number and random orientation.

    Parameters
    ----------
    n_features : int
        Size d of the matrix.
    rng : numpy.random.Generator
        Source of randomness.
    condition : float, default 10
        Ratio of the largest to the smallest eigenvalue; at least 1. The logarithms of the
        eigenvalues are evenly spaced.
    scale : float, default 1
        Geometric mean of the eigenvalues, in squared data units.

    Returns
    -------
    ndarray, shape (n_features, n_features)
        Symmetric positive definite.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Notes
    -----
    The common choice of A Aᵀ with uniform A can be nearly singular. Here the eigenvalues are
    fixed, and the eigenvectors are uniform over rotations (Haar measure; Mezzadri 2007).

    Examples
    --------
    >>> import numpy as np
    >>> covariance = random_covariance(3, np.random.default_rng(0), condition=100)
    >>> np.linalg.cond(covariance).round(6)
    np.float64(100.0)
    """
    d = check_count(n_features, name="n_features")
    check_rng(rng)
    condition = check_number(condition, name="condition", minimum=1)
    scale = check_number(scale, name="scale", inclusive=False)
    q = np.linalg.qr(rng.standard_normal((d, d)))[0]  # Haar except for signs, which cancel below
    exponents = np.linspace(-0.5, 0.5, d) if d > 1 else np.zeros(1)
    covariance = (q * (scale * condition**exponents)) @ q.T
    return (covariance + covariance.T) / 2


def random_parameters(
    n_components: int,
    n_features: int,
    rng: np.random.Generator,
    *,
    separation: float = 3.0,
    condition: float = 10.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the parameters of a mixture with a given distance between the nearest components.

    Parameters
    ----------
    n_components, n_features : int
        k and d.
    rng : numpy.random.Generator
        Source of randomness.
    separation : float, default 3
        Smallest distance between two means, in standard deviations along the line between them
        (the square root of the mean of both variances in that direction); above 0. At about 2 the
        components overlap, at 4 they are separated.
    condition : float, default 10
        Condition number of every covariance.

    Returns
    -------
    weights : ndarray, shape (n_components,)
        Drawn from a Dirichlet distribution with parameter 5, so that none is very small.
    means : ndarray, shape (n_components, n_features)
    covariances : ndarray, shape (n_components, n_features, n_features)

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.
    """
    k = check_count(n_components, name="n_components")
    d = check_count(n_features, name="n_features")
    check_rng(rng)
    separation = check_number(separation, name="separation", inclusive=False)
    weights = rng.dirichlet(np.full(k, 5.0))
    covariances = np.stack([random_covariance(d, rng, condition=condition) for _ in range(k)])
    means = rng.standard_normal((k, d))
    if k > 1:
        means *= separation / _separation(means, covariances)
    return weights, means, covariances


def sample(
    weights: Any, means: Any, covariances: Any, n_samples: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw labelled samples from a mixture given as plain arrays.

    Parameters
    ----------
    weights : array_like, shape (n_components,)
        Non-negative, summing to 1.
    means : array_like, shape (n_components, n_features)
    covariances : array_like, shape (n_components, n_features, n_features)
        Symmetric and positive semi-definite; singular matrices are allowed.
    n_samples : int
        Number of samples.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    X : ndarray, shape (n_samples, n_features)
    labels : ndarray of int, shape (n_samples,)
        The component of each sample. Components are in random order.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape, or is out of range.
    """
    weights = check_numeric(weights, name="weights")
    means = check_samples(means, name="means")
    k = len(means)
    if weights.shape != (k,) or (weights < 0).any() or abs(weights.sum() - 1) > 1e-8:
        raise ValueError(
            f"weights must be {k} non-negative numbers that sum to 1; got {weights.tolist()}"
        )
    n_samples = check_count(n_samples, name="n_samples")
    labels = check_rng(rng).choice(k, size=n_samples, p=weights / weights.sum())
    return _draw(labels, means, covariances, rng), labels


def random_mixture(
    n_samples: int,
    n_components: int,
    n_features: int,
    *,
    separation: float = 3.0,
    condition: float = 10.0,
    rng: np.random.Generator,
) -> Dataset:
    """Draw the parameters of a mixture, and samples from it.

    See `random_parameters` and `sample` for the parameters and errors.
    """
    truth = random_parameters(
        n_components, n_features, rng, separation=separation, condition=condition
    )
    return _generated(*truth, n_samples, rng)


def _generated(
    weights: Any,
    means: Any,
    covariances: Any,
    n_samples: int,
    rng: np.random.Generator,
    *,
    balanced: bool = False,
) -> Dataset:
    """Draw a set. In a balanced one, the numbers of samples of the classes differ by at most 1."""
    weights, means, covariances = (np.asarray(v, float) for v in (weights, means, covariances))
    if balanced:
        n_samples = check_count(n_samples, name="n_samples")
        labels = check_rng(rng).permutation(np.arange(n_samples) % len(weights))
        X = _draw(labels, means, covariances, rng)
    else:
        X, labels = sample(weights, means, covariances, n_samples, rng)
    return Dataset(
        X=X,
        features=tuple(f"x{j + 1}" for j in range(X.shape[1])),
        labels=labels,
        weights=read_only(weights),
        means=read_only(means),
        covariances=read_only(covariances),
    )


def _separation(means: np.ndarray, covariances: np.ndarray) -> float:
    """Return the smallest distance between two means, in standard deviations along their line."""
    first, second = np.triu_indices(len(means), 1)
    lines = means[first] - means[second]
    lengths = np.linalg.norm(lines, axis=1)
    directions = lines / lengths[:, None]
    pooled = (covariances[first] + covariances[second]) / 2
    variances = np.einsum("pi,pij,pj->p", directions, pooled, directions)
    return float((lengths / np.sqrt(variances)).min())


def _draw(
    labels: np.ndarray, means: np.ndarray, covariances: Any, rng: np.random.Generator
) -> np.ndarray:
    """Draw one sample for each label."""
    k, d = means.shape
    covariances = check_numeric(covariances, name="covariances")
    if covariances.shape != (k, d, d):
        raise ValueError(f"covariances must have shape {(k, d, d)}; got {covariances.shape}")
    if (np.abs(covariances - covariances.swapaxes(1, 2)) > 1e-10 * np.abs(covariances).max()).any():
        raise ValueError("covariances must be symmetric; got a matrix that is not")
    eigenvalues, vectors = np.linalg.eigh(covariances)
    if (eigenvalues < -1e-10 * np.abs(eigenvalues).max()).any():
        raise ValueError(
            "covariances must be positive semi-definite; got a matrix with eigenvalue "
            f"{eigenvalues.min():.3g}"
        )
    roots = vectors * np.sqrt(np.maximum(eigenvalues, 0))[:, None, :]
    X = rng.standard_normal((len(labels), d))
    for component in range(k):
        mine = labels == component
        X[mine] = means[component] + X[mine] @ roots[component].T
    return X


# ---- generated sets ----------------------------------------------------------------------


def two_gaussians(n_samples: int = 500, *, rng: np.random.Generator) -> Dataset:
    """Draw two overlapping Gaussians in two dimensions, with weights 0.7 and 0.3."""
    return _generated(
        weights=[0.7, 0.3],
        means=[[1, 1], [-1, -1]],
        covariances=[[[0.6, 0], [0, 0.6]], [[0.8, -0.3], [-0.3, 0.6]]],
        n_samples=n_samples,
        rng=rng,
    )


def two_gaussians_3d(n_samples: int = 500, *, rng: np.random.Generator) -> Dataset:
    """Draw two Gaussians in three dimensions: means uniform in [0, 2]³, random covariances."""
    means = check_rng(rng).uniform(0, 2, size=(2, 3))
    covariances = [random_covariance(3, rng, scale=0.2) for _ in range(2)]
    return _generated([0.5, 0.5], means, covariances, n_samples, rng)


def four_blobs(n_samples: int = 500, *, rng: np.random.Generator) -> Dataset:
    """Draw four spherical clusters of variance 1.5²; two of them overlap a little."""
    return _generated(
        weights=np.full(4, 0.25),
        means=[[1, -1], [5, 5], [8, 7], [10, 0]],
        covariances=np.tile(1.5**2 * np.eye(2), (4, 1, 1)),
        n_samples=n_samples,
        rng=rng,
        balanced=True,
    )


#: The numbers of samples with which the experiments use `four_blobs`.
BLOB_SIZES = {"small": 105, "medium": 500, "large": 5000}


def three_clusters(n_samples: int = 300, *, rng: np.random.Generator) -> Dataset:
    """Draw three well separated clusters in two dimensions; one has correlated features."""
    return _generated(
        weights=np.full(3, 1 / 3),
        means=[[2, 3], [7, 7], [10, 2]],
        covariances=[[[1, -0.5], [-0.5, 1]], np.eye(2), np.eye(2)],
        n_samples=n_samples,
        rng=rng,
        balanced=True,
    )


def stretched(n_samples: int = 300, *, rng: np.random.Generator) -> Dataset:
    """Draw three long parallel clusters, which k-means splits and a mixture does not."""
    return _generated(
        weights=np.full(3, 1 / 3),
        means=[[0, 0], [2, -2], [4, -4]],
        covariances=np.tile([[4.0, 3.4], [3.4, 4.0]], (3, 1, 1)),
        n_samples=n_samples,
        rng=rng,
        balanced=True,
    )


def separated_3d(n_samples: int = 300, *, rng: np.random.Generator) -> Dataset:
    """Draw three separated clusters in three dimensions; the first has a singular covariance."""
    return _generated(
        weights=np.full(3, 1 / 3),
        means=[[2, 3, 4], [7, 7, 6], [10, 2, 3]],
        covariances=[
            [[1, -0.5, 0.5], [-0.5, 1, 0.5], [0.5, 0.5, 1]],  # eigenvalues 0, 1.5, 1.5
            [[1, 0, 0.5], [0, 1, -0.5], [0.5, -0.5, 1]],
            [[1, 0.5, 0], [0.5, 1, -0.5], [0, -0.5, 1]],
        ],
        n_samples=n_samples,
        rng=rng,
        balanced=True,
    )


def overlapping_3d(n_samples: int = 300, *, rng: np.random.Generator) -> Dataset:
    """Draw three overlapping clusters in three dimensions."""
    return _generated(
        weights=np.full(3, 1 / 3),
        means=[[4, 5, 4], [6, 6, 5], [8, 4, 5]],
        covariances=[
            [[2, -0.5, 1], [-0.5, 2, 1], [1, 1, 2]],
            [[2, 0.5, 1], [0.5, 2, -1], [1, -1, 2]],
            [[2, 0.5, 0.5], [0.5, 2, -1], [0.5, -1, 2]],
        ],
        n_samples=n_samples,
        rng=rng,
        balanced=True,
    )


# Clusters that are not Gaussian, to study how many components a likelihood criterion selects.


def crescent(n_samples: int = 400, *, rng: np.random.Generator) -> Dataset:
    """Draw a crescent of radius 4 (half of the samples) and two spherical clusters."""

    def bent(n: int) -> np.ndarray:
        angle = rng.uniform(0, np.pi, n)
        noise = rng.standard_normal((n, 2))
        return 4 * np.column_stack([np.cos(angle), np.sin(angle)]) + 0.5 * noise

    return _with_two_spheres(bent, [[0, -1], [7, 1]], n_samples, rng)


def cross(n_samples: int = 400, *, rng: np.random.Generator) -> Dataset:
    """Draw a cross of two Gaussian arms (half of the samples) and two spherical clusters."""

    def arms(n: int) -> np.ndarray:
        X = rng.standard_normal((n, 2)) * [2, 0.3]
        return np.where(rng.random((n, 1)) < 0.5, X, X[:, ::-1])

    return _with_two_spheres(arms, [[5, 5], [6, -4]], n_samples, rng)


def heavy_tails(n_samples: int = 400, *, rng: np.random.Generator) -> Dataset:
    """Draw from Student's t with 3 degrees of freedom (half) and two spherical clusters."""

    def student(n: int) -> np.ndarray:
        return 0.8 * rng.standard_normal((n, 2)) / np.sqrt(rng.chisquare(3, (n, 1)) / 3)

    return _with_two_spheres(student, [[5, 4], [7, -3]], n_samples, rng)


def _with_two_spheres(
    draw: Callable[[int], np.ndarray], means: Any, n_samples: int, rng: np.random.Generator
) -> Dataset:
    """Return half of the samples from `draw` as class 0, and a quarter about each mean."""
    check_rng(rng)
    n_samples = check_count(n_samples, name="n_samples")
    labels = np.maximum(rng.permutation(np.arange(n_samples) % 4) - 1, 0)
    X = np.concatenate([np.zeros((1, 2)), means])[labels]
    drawn = labels == 0
    X[drawn] += draw(int(drawn.sum()))
    X[~drawn] += 0.7 * rng.standard_normal((int((~drawn).sum()), 2))
    return Dataset(X=X, features=("x1", "x2"), labels=labels)


# ---- real data -----------------------------------------------------------------------------


def four_points() -> Dataset:
    """Return four points, two at x1 = 1 and two at x1 = 4, on which two components collapse."""
    return Dataset(X=np.array([[1.0, 2], [4, 2], [1, 3], [4, 3]]), features=("x1", "x2"))


def old_faithful() -> Dataset:
    """Return the durations of 272 eruptions of the Old Faithful geyser, and the waiting times.

    The data are R's `faithful` (Azzalini and Bowman 1990).
    """
    X = np.loadtxt(_checked("faithful.csv"), delimiter=",", skiprows=1)
    return Dataset(X=X, features=("eruption (min)", "waiting (min)"))


def iris() -> Dataset:
    """Return Anderson's measurements of 150 irises of three species (Fisher 1936)."""
    from sklearn.datasets import load_iris

    data = load_iris()
    return Dataset(X=data.data, features=tuple(data.feature_names), labels=data.target)


# ---- sets by name ------------------------------------------------------------------------

_GENERATED = {
    function.__name__: function
    for function in (
        two_gaussians,
        two_gaussians_3d,
        four_blobs,
        three_clusters,
        stretched,
        separated_3d,
        overlapping_3d,
        crescent,
        cross,
        heavy_tails,
    )
}
_FIXED = {function.__name__: function for function in (four_points, old_faithful, iris)}
#: The names that `load` accepts.
NAMES = (*_GENERATED, *_FIXED)


def load(
    name: str, *, n_samples: int | None = None, rng: np.random.Generator | None = None
) -> Dataset:
    """Return a data set by name.

    Parameters
    ----------
    name : str
        One of `datasets.NAMES`; each is the name of a function of this module.
    n_samples : int, optional
        Size of a generated set; each set has its own default. Ignored for real data.
    rng : numpy.random.Generator, optional
        Source of randomness; required for a generated set.

    Returns
    -------
    Dataset

    Raises
    ------
    TypeError, ValueError
        If the name is unknown, or `n_samples` or `rng` is not valid for a generated set.

    Examples
    --------
    >>> load("old_faithful").X.shape
    (272, 2)
    """
    check_choice(name, NAMES, name="name")
    if name in _FIXED:
        return _FIXED[name]()
    size = {} if n_samples is None else {"n_samples": n_samples}
    return _GENERATED[name](**size, rng=check_rng(rng))


# ---- MNIST -------------------------------------------------------------------------------

Rescale = Literal["max", "unit", "standard", "none"]


def load_mnist(
    n_samples: int | None = None,
    *,
    digits: Any = None,
    split: Literal["train", "test"] = "train",
    rescale: Rescale = "max",
    source: Literal["bundled", "keras"] = "bundled",
    rng: np.random.Generator | None = None,
) -> Dataset:
    """Return handwritten digits (LeCun, Cortes and Burges), one image of 28 × 28 pixels per row.

    Parameters
    ----------
    n_samples : int, optional
        Size of a random subset, in which the proportions of the digits are those of the whole to
        within one sample. All samples by default.
    digits : sequence of int, optional
        The digits to include, from 0 to 9; all by default.
    split : {"train", "test"}, default "train"
        The 60 000 images for training or the 10 000 for testing.
    rescale : {"max", "unit", "standard", "none"}, default "max"
        "max" divides the grey values (0 to 255) by 255. "unit" divides each image by its
        Euclidean norm. "standard" gives each pixel mean 0 and standard deviation 1 over the
        returned samples (a constant pixel becomes 0). "none" keeps 0 to 255.
    source : {"bundled", "keras"}, default "bundled"
        "bundled" reads the file in the `data` folder of a checkout and checks its SHA-256.
        "keras" downloads the data with `keras.datasets.mnist`.
    rng : numpy.random.Generator, optional
        Source of randomness; required if `n_samples` is given.

    Returns
    -------
    Dataset
        `X` is float64, shape (n_samples, 784); `labels` are the digits.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> data = load_mnist(100, digits=[3, 8], rng=np.random.default_rng(0))
    >>> data.X.shape, set(data.labels.tolist())
    ((100, 784), {8, 3})
    """
    check_choice(split, ("train", "test"), name="split")
    check_choice(rescale, ("max", "unit", "standard", "none"), name="rescale")
    check_choice(source, ("bundled", "keras"), name="source")
    wanted = _check_digits(digits)
    if n_samples is not None:
        check_rng(rng)
    images, labels = (_bundled_mnist() if source == "bundled" else _keras_mnist())[split]
    chosen = np.flatnonzero(np.isin(labels, wanted))
    if n_samples is not None:
        check_count(n_samples, name="n_samples", maximum=len(chosen))
        chosen = _stratified(chosen, labels, n_samples, rng)
    return Dataset(
        X=_rescaled(images[chosen].reshape(len(chosen), -1).astype(float), rescale),
        features=tuple(f"pixel ({row}, {column})" for row in range(28) for column in range(28)),
        labels=labels[chosen].astype(np.intp),
    )


def _check_digits(digits: Any) -> list[int]:
    if digits is None:
        return list(range(10))
    if isinstance(digits, str | bytes) or not np.iterable(digits):
        raise TypeError(f"digits must be a sequence of integers; got {digits!r}")
    wanted = [check_count(digit, name="digits", minimum=0, maximum=9) for digit in digits]
    if not wanted or len(set(wanted)) < len(wanted):
        raise ValueError(f"digits must be distinct, and at least one; got {digits!r}")
    return wanted


def _stratified(
    chosen: np.ndarray, labels: np.ndarray, n_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw from `chosen` with the proportions of its labels, to within one sample."""
    values, counts = np.unique(labels[chosen], return_counts=True)
    quotas = n_samples * counts / counts.sum()
    sizes = np.floor(quotas).astype(int)
    largest_remainders = np.argsort(sizes - quotas, kind="stable")
    sizes[largest_remainders[: n_samples - sizes.sum()]] += 1
    drawn = [
        rng.choice(chosen[labels[chosen] == value], size=size, replace=False)
        for value, size in zip(values, sizes, strict=True)
    ]
    return rng.permutation(np.concatenate(drawn))


def _rescaled(X: np.ndarray, rescale: Rescale) -> np.ndarray:
    if rescale == "max":
        return X / 255
    if rescale == "unit":
        return X / np.linalg.norm(X, axis=1, keepdims=True)
    if rescale == "standard":
        deviations = X.std(axis=0)
        return (X - X.mean(axis=0)) / np.where(deviations > 0, deviations, 1)
    return X


Splits = dict[str, tuple[np.ndarray, np.ndarray]]


@cache
def _bundled_mnist() -> Splits:
    with np.load(_checked("mnist.npz")) as file:
        arrays = {name: file[name] for name in file.files}
    for array in arrays.values():
        array.setflags(write=False)
    return {split: (arrays[f"x_{split}"], arrays[f"y_{split}"]) for split in ("train", "test")}


def _keras_mnist() -> Splits:
    # Keras reads its backend from the environment when it is first imported.
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    with extra("keras"):
        import keras

    train, test = keras.datasets.mnist.load_data()
    return {"train": train, "test": test}


def _checked(name: str) -> Path:
    """Return the path of a data file, after checking its SHA-256 against the recorded one."""
    path, record = _DATA / name, _DATA / "SHA256SUMS"
    if not path.exists() or not record.exists():
        raise FileNotFoundError(
            f"{path if record.exists() else record} is missing: a checkout of gmmlab has all data "
            "files (install it with pip install -e .), an installed package only the Old Faithful "
            "data. To download MNIST, use load_mnist(source='keras')."
        )
    sums = dict(reversed(line.split()) for line in record.read_text().splitlines())
    if hashlib.sha256(path.read_bytes()).hexdigest() != sums[name]:
        raise ValueError(f"{path} does not match its checksum in {record.name}; get the file again")
    return path
