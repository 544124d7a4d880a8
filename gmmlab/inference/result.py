"""What `uncertainty` returns: an estimate with standard errors and intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gmmlab.mixture import Mixture

if TYPE_CHECKING:
    from pandas import DataFrame

# Largest distance from the maximum, in standard errors, at which standard errors are computed.
_NEAR = 0.1


class Parameters(NamedTuple):
    """One number for each parameter of a mixture; replicates have one more leading axis."""

    #: shape (n_components,)
    weights: np.ndarray
    #: shape (n_components, n_features)
    means: np.ndarray
    #: in the shape of the structure's `values`, such as (n_features, n_features) for Tied
    covariances: np.ndarray

    @classmethod
    def of(cls, mixture: Mixture) -> Parameters:
        """Return the parameters of a mixture."""
        return cls(mixture.weights, mixture.means, mixture.covariance.values)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """The result of `uncertainty`. Blocks that were not free are known: their errors are 0."""

    #: the estimate
    mixture: Mixture
    #: "information", "bootstrap" or "weighted"
    method: str
    #: nominal coverage of the intervals
    level: float
    #: standard errors of the estimates, in their units; 0 for known parameters
    standard_errors: Parameters
    #: lower and upper ends of the intervals, which hold for each parameter separately
    lower: Parameters
    upper: Parameters
    #: covariance matrix of each estimated mean, shape (n_components, n_features, n_features)
    mean_covariances: np.ndarray
    #: bootstrap fits that did not degenerate, with components in the order of the estimate;
    #: shapes (n, …)
    replicates: Parameters | None = None
    #: number of replicates that degenerated; they are not in `replicates`
    n_degenerate: int = 0
    #: number of `replicates` that did not converge
    n_unconverged: int = 0

    @property
    def message(self) -> str:
        """Description of the intervals, with reasons not to trust them."""
        share = f"{100 * self.level:g} %"
        if self.replicates is None:
            return (
                f"{share} Wald intervals from the observed information, on the logit scale for "
                "weights and on the log scale for variances."
            )
        n = len(self.replicates.weights)
        kind = {"bootstrap": "nonparametric", "weighted": "weighted-likelihood"}[self.method]
        words = f"{share} percentile intervals from {n} replicates of the {kind} bootstrap."
        if self.n_degenerate:
            words += (
                f" {self.n_degenerate} of {n + self.n_degenerate} replicates degenerated and are "
                "left out; if many do, the intervals are too narrow."
            )
        if self.n_unconverged:
            words += f" {self.n_unconverged} replicates did not converge; raise max_iter."
        return words

    def to_frame(self) -> DataFrame:
        """Return a pandas data frame with one row for each parameter.

        The columns `component`, `feature` and `other_feature` identify the parameter. They are
        missing where they do not apply, as `component` for a covariance that all components
        share. Covariance matrices have rows for their upper triangle.
        """
        from pandas import DataFrame

        dimensions = {
            "weights": ("n_components",),
            "means": ("n_components", "n_features"),
            "covariances": self.mixture.covariance.shape,
        }
        of_matrix = ("feature", "other_feature")
        estimates, rows = Parameters.of(self.mixture), []
        for number, (block, names) in enumerate(dimensions.items()):
            places = ["component"] * ("n_components" in names)
            places += of_matrix[: names.count("n_features")]
            for index in np.ndindex(estimates[number].shape):
                place = dict(zip(places, map(int, index), strict=True))
                if place.get("other_feature", np.inf) < place.get("feature", 0):
                    continue
                rows.append(
                    {
                        "block": block,
                        **dict.fromkeys(("component", *of_matrix)),
                        **place,
                        "estimate": estimates[number][index],
                        "standard_error": self.standard_errors[number][index],
                        "lower": self.lower[number][index],
                        "upper": self.upper[number][index],
                    }
                )
        whole = dict.fromkeys(("component", *of_matrix), "Int64")
        return DataFrame(rows).astype(whole)


def check_uncertainty(found: Any) -> Uncertainty:
    """Return `found` if it is an `Uncertainty`, for functions that take one as an argument."""
    if not isinstance(found, Uncertainty):
        raise TypeError(
            "found must be an Uncertainty, as returned by gmmlab.uncertainty; "
            f"got {type(found).__name__}"
        )
    return found


def check_maximum(distance: float) -> None:
    """Raise ValueError if a fit is too far from a maximum of the likelihood.

    Parameters
    ----------
    distance : float
        Estimated distance in standard errors; infinite or NaN where the log-likelihood is not
        curved like a maximum.
    """
    if not distance <= _NEAR:
        where = (
            f"it is {distance:.2g} standard errors away"
            if distance < np.inf
            else "the log-likelihood is not curved like a maximum there"
        )
        raise ValueError(
            "fit must be within a tenth of a standard error of a maximum of the likelihood; "
            f"{where}. Continue from fit.mixture with a lower tol, or use fewer components. "
            "X, sample_weight and floor must be those of the fit"
        )
