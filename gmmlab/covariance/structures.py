"""The six linear structures: all of a covariance is shared, or nothing.

In `Full`, `Diagonal` and `Spherical` each component has its own covariance; in `Tied`, `EEI` and
`EII` all components share one. The structures whose components share a part of it, such as VEV,
are in `parsimonious`.
"""

from __future__ import annotations

from typing import Self

import numpy as np

from gmmlab.covariance.base import Covariance
from gmmlab.covariance.charts import RoundChart
from gmmlab.covariance.estimation import pooled
from gmmlab.covariance.matrices import MatrixCovariance
from gmmlab.covariance.variances import DiagonalCovariance


class _Own(Covariance):
    """Structures in which every component has a covariance of its own."""

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls.unchecked(moments)


class _One(Covariance):
    """Structures of one covariance that all components share."""

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls.unchecked(pooled(counts, moments))

    def take(self, order: np.ndarray) -> Self:
        return self


class Full(_Own, MatrixCovariance):
    """Every component has its own covariance matrix (VVV).

    Parameters
    ----------
    values : array_like, shape (n_components, n_features, n_features)
        Symmetric positive definite matrices, in squared data units.

    Notes
    -----
    The M-step is Σₖ = Mₖ, the weighted second moment about the new mean (M4; Bishop 2006,
    equation 9.25).

    Examples
    --------
    >>> Full([[[1.0, 0.5], [0.5, 1.0]]]).log_det(n_features=2).round(4)
    array([-0.2877])
    >>> Full.n_parameters(n_components=3, n_features=2)
    9
    """

    name, model = "full", "VVV"


class Tied(_One, MatrixCovariance):
    """All components share one covariance matrix (EEE).

    Parameters
    ----------
    values : array_like, shape (n_features, n_features)
        A symmetric positive definite matrix, in squared data units.

    Notes
    -----
    The M-step is Σ = Σₖ Nₖ Mₖ / n, the pooled within-component covariance (S1; McLachlan and
    Peel 2000, section 3.2).
    """

    name, model = "tied", "EEE"
    shape = ("n_features", "n_features")

    @property
    def stack(self) -> np.ndarray:
        return self.values[..., None, :, :]


class Diagonal(_Own, DiagonalCovariance):
    """Every component has its own variances, without correlations (VVI).

    Parameters
    ----------
    values : array_like, shape (n_components, n_features)
        Positive variances, in squared data units.

    Notes
    -----
    The M-step is the diagonal of that of `Full` (S2).
    """

    name, model = "diag", "VVI"


class EEI(_One, DiagonalCovariance):
    """All components share the same variances, without correlations.

    Parameters
    ----------
    values : array_like, shape (n_features,)
        Positive variances, in squared data units.

    Notes
    -----
    The M-step is the diagonal of the pooled covariance, λ A = diag Σₖ Nₖ Mₖ / n (S4; Celeux
    and Govaert 1995).
    """

    name = model = "EEI"
    shape = ("n_features",)

    @property
    def stack(self) -> np.ndarray:
        return self.values[..., None, :]


class _Round(DiagonalCovariance):
    """Structures with the same variance in every direction."""

    chart_class = RoundChart

    def marginal(self, features: np.ndarray) -> Self:
        return self

    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        # σ² I ⪰ diag(floor) means that σ² is at least the largest floor.
        least = floor.max(axis=-1)[..., None, None]
        raised = np.maximum(self.stack, least).reshape(self.values.shape)
        return self.unchecked(raised), (self.stack < least)[..., 0]


class Spherical(_Round):
    """Every component has one variance, the same in every direction (VII).

    Parameters
    ----------
    values : array_like, shape (n_components,)
        Positive variances, in squared data units.

    Notes
    -----
    The M-step is σₖ² = tr Mₖ / d, the mean of the variances of `Diagonal` (S3).
    """

    name, model = "spherical", "VII"
    shape = ("n_components",)

    @property
    def stack(self) -> np.ndarray:
        return self.values[..., None]

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls.unchecked(moments.mean(axis=-1))


class EII(_One, _Round):
    """All components share one variance, the same in every direction.

    Parameters
    ----------
    values : float
        A positive variance, in squared data units.

    Notes
    -----
    The M-step is σ² = Σₖ Nₖ tr Mₖ / (n d) (S5; Celeux and Govaert 1995). If σ² is known and goes
    to 0, EM becomes k-means (K4; Bishop 2006, section 9.3.2).
    """

    name = model = "EII"
    shape = ()

    @property
    def stack(self) -> np.ndarray:
        return self.values[..., None, None]

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls.unchecked(pooled(counts, moments).mean(axis=-1))
