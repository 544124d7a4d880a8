"""Random problems that several files of tests share."""

import numpy as np
import pytest

from gmmlab import Diagonal, Full, Spherical, Tied, datasets, start

STRUCTURES = (Full, Tied, Diagonal, Spherical)
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=lambda s: s.__name__)
BLOCKS = ("weights", "means", "covariances")
#: iris from the species labels: R, mclust 6.0, tolerance 1e-14, models VII, VVI, EEE and VVV
iris_from_labels = pytest.mark.parametrize(
    ("structure", "log_likelihood"),
    [
        (Spherical, -384.314095060822),
        (Diagonal, -306.860460506224),
        (Tied, -256.354043125584),
        (Full, -180.185477131304),
    ],
)


def problem(seed, k=3, d=2, n=120, structure=Full):
    """Return random data with clusters in them, and a random proper start."""
    rng = np.random.default_rng(seed)
    X = datasets.random_mixture(n, k, d, separation=rng.uniform(0.5, 5), rng=rng).X
    return X, start.random_points(X, k, rng, structure=structure)
