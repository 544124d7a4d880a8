"""What is measured: sizes, generated data, and where EM starts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from gmmlab import Diagonal, Full, Mixture, datasets, start


@dataclass(frozen=True)
class Case:
    """Data of a kind and size, and how many M-steps a fit does."""

    name: str
    n: int
    d: int
    k: int
    structure: type[Full] | type[Diagonal]
    n_iter: int
    #: how many times faster than scikit-learn: within reach, and aimed at
    reach: int = 0
    aim: int = 0
    reg_covar: float = 1e-6

    @property
    def few(self) -> int:
        """Fewest samples that carry the covariances."""
        return max(500, 10 * self.k * (self.d if self.structure is Full else 10))

    @property
    def fits(self) -> int:
        """How many fits in a row are timed: one, or enough to see a small case on the clock."""
        return max(1, 2_000_000 // (self.n * self.d * self.k * self.n_iter))

    def scaled(self, scale: float) -> Case:
        """Return the case with `scale` times the samples, but not too few."""
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
#: measured in float32 too
FLOAT32 = ("B", "E", "H")
#: measured from a default start to convergence too, with real data beside them
WHOLE = ("B", "E", "H")
SMALL = (Case("iris", 150, 4, 3, Full, 0), Case("old_faithful", 272, 2, 2, Full, 0))
#: the figure: one size varies, the others stay
BASE = Case("sweep", 20_000, 8, 8, Full, 3)
SWEEPS = {
    "n": (1_000, 10_000, 100_000, 1_000_000),
    "d": (2, 4, 8, 16, 32, 64),
    "k": (2, 4, 8, 16, 32),
}


def make_data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return samples and their labels; components overlap, so that EM gains for long."""
    rng = np.random.default_rng(0)
    if case in SMALL:
        data = getattr(datasets, case.name)()
    elif case.name == "G":
        return mnist_like(case.n, case.k, rng)
    else:
        data = datasets.random_mixture(case.n, case.k, case.d, separation=1.0, rng=rng)
    if case.name == "I":  # the variances of principal components fall
        return data.X / np.sqrt(np.arange(1, case.d + 1)), data.labels
    return data.X, data.labels


def make_start(case: Case, X: np.ndarray, labels: np.ndarray) -> Mixture:
    """Return the mixture of the true classes after a third of the labels was drawn anew."""
    rng = np.random.default_rng(1)
    drawn = rng.integers(case.k, size=len(X))
    labels = np.where(rng.random(len(X)) < 1 / 3, drawn, labels)
    mixture = start.from_labels(X, labels, n_components=case.k, structure=case.structure)
    return replace(mixture, covariance=mixture.covariance.ridged(case.reg_covar))


def mnist_like(n: int, k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of 28 × 28 pixels in [0, 1]: mostly 0, and always 0 along the border."""
    prototypes = gaussian_filter(rng.standard_normal((k, 28, 28)), (0, 2, 2))
    prototypes = np.clip(prototypes / prototypes.std() - 0.5, 0, 1)
    prototypes[:, [0, 1, -2, -1]] = prototypes[:, :, [0, 1, -2, -1]] = 0
    prototypes = prototypes.reshape(k, -1)
    # Each image is between two prototypes, so that components are not far apart.
    labels, others = rng.integers(k, size=(2, n))
    share = rng.uniform(0.5, 1, size=(n, 1))
    X = rng.normal(-0.15, 0.1, size=(n, prototypes.shape[1]))
    X += share * prototypes[labels] + (1 - share) * prototypes[others]
    X[:, prototypes.max(axis=0) == 0] = 0
    return np.clip(X, 0, 1, out=X), labels
