"""Covariances without correlations: variances, whitened by standard deviations."""

from __future__ import annotations

from functools import cached_property
from typing import Self

import numpy as np

from gmmlab.covariance.base import Covariance
from gmmlab.covariance.charts import DiagonalChart
from gmmlab.covariance.moments import DiagonalMoments


class DiagonalCovariance(Covariance):
    """Base class of the structures without correlations: Σₖ is a diagonal matrix."""

    shape = ("n_components", "n_features")
    moments = DiagonalMoments()
    chart_class = DiagonalChart

    @classmethod
    def _checked(cls, values: np.ndarray) -> np.ndarray:
        if (values <= 0).any():
            raise ValueError(
                f"{cls.__name__} values must be positive variances; got {values.min():.3g}"
            )
        return values

    @cached_property
    def _positive(self) -> np.ndarray:
        # NaN where there is no standard deviation, as in the Cholesky factor of a singular matrix
        positive = self.stack > 0
        return self.stack if positive.all() else np.where(positive, self.stack, np.nan)

    @cached_property
    def _deviations(self) -> np.ndarray:
        return np.sqrt(self._positive)

    @cached_property
    def precisions(self) -> np.ndarray:
        return 1 / self._positive

    def whiten(self, residuals: np.ndarray) -> np.ndarray:
        return residuals / self._deviations[..., None]

    def colour(self, y: np.ndarray) -> np.ndarray:
        return y * self._deviations[..., None]

    def whiten_moments(self, moments: np.ndarray) -> np.ndarray:
        return moments / self._positive

    def colour_moments(self, moments: np.ndarray) -> np.ndarray:
        return moments * self.stack

    def log_det(self, n_features: int) -> np.ndarray:
        logs = np.log(self._positive)
        return logs.sum(axis=-1) * (n_features // logs.shape[-1])

    def trace(self, moments: np.ndarray) -> np.ndarray:
        return (moments * self.precisions).sum(axis=-1)

    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        floor = floor[..., None, :]  # the same for all components
        touched = (self.stack < floor).any(axis=-1)
        return self.unchecked(np.maximum(self.stack, floor).reshape(self.values.shape)), touched

    def marginal(self, features: np.ndarray) -> Covariance:
        return self.unchecked(self.values[..., features])

    def given(self, known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, Covariance]:
        return np.zeros((1, len(unknown), len(known))), self.marginal(unknown)
