"""The benchmark cases: sizes, generated data and starts of EM."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from gmmlab import Diagonal, Full, Mixture, datasets, start


@dataclass(frozen=True)
class Case:
    """Data of one kind and size, and the number of M-steps of a fit."""

    name: str
    n: int
    d: int
    k: int
    structure: type[Full] | type[Diagonal]
    n_iter: int
    #: speed-up over scikit-learn: within reach, and aimed at
    reach: int = 0
    aim: int = 0
    reg_covar: float = 1e-6

    @property
    def few(self) -> int:
        """Smallest number of samples that determines the covariances."""
        return max(500, 10 * self.k * (self.d if self.structure is Full else 10))

    @property
    def fits(self) -> int:
        """Number of fits timed together: one, or more if a fit is too short to time."""
        return max(1, 2_000_000 // (self.n * self.d * self.k * self.n_iter))

    def scaled(self, scale: float) -> Case:
        """Return the case with `scale` times as many samples, but at least `few`."""
        return replace(self, n=max(round(self.n * scale), min(self.n, self.few)))

    def __str__(self) -> str:
        return f"{self.name} ({self.n} × {self.d}, k={self.k}, {self.structure.name})"


CASES = {
    case.name: case
    for case in (
        Case("A", 500, 2, 2, Full, 40, reach=4, aim=10),
        Case("B", 100_000, 2, 4, Full, 20, reach=10, aim=25),
        Case("C", 1_000_000, 2, 8, Full, 3, reach=12, aim=40),
        Case("D", 100_000, 3, 3, Full, 20, reach=10, aim=25),
        Case("E", 100_000, 16, 10, Full, 5, reach=4, aim=8),
        Case("F", 20_000, 64, 10, Full, 8, reach=3, aim=6),
        Case("G", 60_000, 784, 10, Diagonal, 5, reach=3, aim=5, reg_covar=1e-3),
        Case("H", 1_000_000, 8, 16, Diagonal, 3, reach=4, aim=10),
        Case("I", 60_000, 50, 10, Full, 5, reach=3, aim=6),
    )
}
#: cases that are also measured in float32
FLOAT32 = ("B", "E", "H")
#: cases that are also measured from a default start to convergence, beside real data
WHOLE = ("B", "E", "H")
SMALL = (Case("iris", 150, 4, 3, Full, 0), Case("old_faithful", 272, 2, 2, Full, 0))
#: the case of the figure: one size varies, the others are fixed
BASE = Case("sweep", 20_000, 8, 8, Full, 3)
SWEEPS = {
    "n": (1_000, 10_000, 100_000, 1_000_000),
    "d": (2, 4, 8, 16, 32, 64),
    "k": (2, 4, 8, 16, 32),
}


def make_data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return samples and labels; components overlap, so that EM converges slowly."""
    rng = np.random.default_rng(0)
    if case in SMALL:
        data = getattr(datasets, case.name)()
    elif case.name == "G":
        return mnist_like(case.n, case.k, rng)
    else:
        data = datasets.random_mixture(case.n, case.k, case.d, separation=1.0, rng=rng)
    if case.name == "I":  # variances of principal components decrease
        return data.X / np.sqrt(np.arange(1, case.d + 1)), data.labels
    return data.X, data.labels


def make_start(case: Case, X: np.ndarray, labels: np.ndarray) -> Mixture:
    """Return the mixture of the true classes, with a third of the labels drawn at random."""
    rng = np.random.default_rng(1)
    drawn = rng.integers(case.k, size=len(X))
    labels = np.where(rng.random(len(X)) < 1 / 3, drawn, labels)
    mixture = start.from_labels(X, labels, n_components=case.k, structure=case.structure)
    return replace(mixture, covariance=mixture.covariance.ridged(case.reg_covar))


def mnist_like(n: int, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of 28 × 28 pixels in [0, 1] that are mostly 0, and always 0 at the border."""
    prototypes = gaussian_filter(rng.standard_normal((k, 28, 28)), (0, 2, 2))
    prototypes = np.clip(prototypes / prototypes.std() - 0.5, 0, 1)
    prototypes[:, [0, 1, -2, -1]] = prototypes[:, :, [0, 1, -2, -1]] = 0
    prototypes = prototypes.reshape(k, -1)
    # Each image is a mean of two prototypes, so that components are not far apart.
    labels, others = rng.integers(k, size=(2, n))
    share = rng.uniform(0.5, 1, size=(n, 1))
    X = rng.normal(-0.15, 0.1, size=(n, prototypes.shape[1]))
    X += share * prototypes[labels] + (1 - share) * prototypes[others]
    X[:, prototypes.max(axis=0) == 0] = 0
    return np.clip(X, 0, 1, out=X), labels
