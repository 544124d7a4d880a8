"""Structures to parametrise over, and random problems, that several files of tests share."""

import numpy as np
import pytest

from gmmlab import EEI, EII, VVE, Diagonal, Full, Spherical, Tied, datasets, start
from gmmlab.covariance import FOURTEEN, MatrixCovariance

STRUCTURES = FOURTEEN
CURVED = tuple(structure for structure in FOURTEEN if structure.curved)
LINEAR = tuple(structure for structure in FOURTEEN if not structure.curved)
#: The structures of scikit-learn.
FOUR = (Full, Tied, Diagonal, Spherical)
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.__name__)
BLOCKS = ("weights", "means", "covariances")
every_one_of_four = pytest.mark.parametrize("structure", FOUR, ids=lambda s: s.__name__)
#: One structure for each shape of `values`.
SHAPES = (Full, Tied, Diagonal, EEI, Spherical, EII)
every_shape = pytest.mark.parametrize("structure", SHAPES, ids=lambda s: s.__name__)
#: For slow tests: matrices, a shared matrix, variances, and an iterative estimator.
some_structures = pytest.mark.parametrize(
    "structure", [Full, Tied, Diagonal, VVE], ids=lambda s: s.__name__
)
#: For tests that depend only on whether second moments are matrices or variances.
matrix_or_diagonal = pytest.mark.parametrize(
    "structure", [Full, Diagonal], ids=lambda s: s.__name__
)
every_linear = pytest.mark.parametrize("structure", LINEAR, ids=lambda s: s.__name__)
every_curved = pytest.mark.parametrize("structure", CURVED, ids=lambda s: s.__name__)
#: Fits to iris from the labels of the species: R, mclust 6.0, tolerance 1e-14.
iris_from_labels = pytest.mark.parametrize(
    ("structure", "log_likelihood"),
    [
        (Spherical, -384.314095060822),
        (Diagonal, -306.860460506224),
        (Tied, -256.354043125584),
        (Full, -180.185477131304),
        (EII, -401.802175788983),
        (EEI, -361.425522042766),
    ],
)


def parts(model, rng, k, d):
    """Return random volumes (k,), shapes (k, d) and axes (k, d, d) of a model of three letters."""
    times = {"E": 1, "V": k, "I": 1}
    volume, shape, orientation = model
    volumes = np.exp(rng.normal(size=times[volume]))
    shapes = np.zeros((1, d)) if shape == "I" else rng.normal(size=(times[shape], d))
    shapes = np.exp(shapes - shapes.mean(axis=1, keepdims=True))
    axes = np.linalg.qr(rng.normal(size=(times[orientation], d, d)))[0]
    axes = np.eye(d)[None] if orientation == "I" else axes
    return (np.broadcast_to(a, (k, *a.shape[1:])) for a in (volumes, shapes, axes))


def composed(volumes, shapes, axes):
    """Return λₖ Dₖ Aₖ Dₖᵀ, shape (k, d, d)."""
    return (axes * (volumes[:, None] * shapes)[:, None, :]) @ axes.swapaxes(1, 2)


def in_shape(structure, dense):
    """Return covariances (k, d, d) of a structure in the shape of its values."""
    return {
        ("n_components", "n_features", "n_features"): dense,
        ("n_features", "n_features"): dense[0],
        ("n_components", "n_features"): np.diagonal(dense, axis1=1, axis2=2),
        ("n_features",): np.diagonal(dense[0]),
        ("n_components",): dense[:, 0, 0],
        (): dense[0, 0, 0],
    }[structure.shape]


def in_moment_shape(structure, matrices):
    """Return matrices (…, d, d) in the shape of the structure's second moments."""
    diagonal = np.diagonal(matrices, axis1=-2, axis2=-1).copy()
    return matrices if issubclass(structure, MatrixCovariance) else diagonal


def random_structure(structure, rng, k, d):
    """Return a structure with random values, built with the constructor only."""
    return structure(in_shape(structure, composed(*parts(structure.model, rng, k, d))))


def nearest(structure, matrices):
    """Return the maximum-likelihood estimate from second moments (k, d, d), with all checks."""
    moments = in_moment_shape(structure, matrices)
    return structure(structure.estimate(np.ones(len(matrices)), moments).values)


def tolerance(*fits):
    """Return a bound on the difference of log-likelihoods of fits that stopped near an optimum."""
    # If the remaining gain was not estimated, allow for 1e7 steps of 1e-13.
    return max(np.nan_to_num(fit.remaining_gain, nan=1e-6) for fit in fits) + 1e-9


def problem(seed, k=3, d=2, n=120, structure=Full):
    """Return random data with clusters, and a random start."""
    rng = np.random.default_rng(seed)
    X = datasets.random_mixture(n, k, d, separation=rng.uniform(0.5, 5), rng=rng).X
    return X, start.random_points(X, k, rng, structure=structure)


def covering(**values):
    """Parametrize so that every value of each argument occurs, without their product.

    The longest list sets the number of cases; the others are cycled through, one step further
    each time around.
    """
    count = max(map(len, values.values()))
    cases = [tuple(v[(i + i // len(v)) % len(v)] for v in values.values()) for i in range(count)]
    return pytest.mark.parametrize(tuple(values), cases)
