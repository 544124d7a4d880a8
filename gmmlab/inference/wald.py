"""Standard errors from the observed information (I3), and Wald intervals.

The information is computed in unconstrained coordinates. Its inverse is transformed to the
parameters by the delta method; the notes of `uncertainty` have the formulas.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, logit, ndtri

from gmmlab.convergence import Coordinates, information
from gmmlab.diagnostics import remaining_gain
from gmmlab.em import sufficient_statistics
from gmmlab.engine import Samples, one_blas_thread
from gmmlab.inference.result import Parameters, Uncertainty, check_maximum
from gmmlab.mixture import Mixture
from gmmlab.result import Fit


def wald_uncertainty(fit: Fit, samples: Samples, level: float) -> Uncertainty:
    """Return standard errors and Wald intervals from the observed information."""
    mixture = fit.mixture
    if "covariances" in fit.free and mixture.covariance.curved:
        raise ValueError(
            "fit must have known covariances or a linear covariance structure (EII, VII, EEI, "
            f"VVI, EEE or VVV) for method='information'; got {mixture.covariance.name}. "
            "Use method='bootstrap' or 'weighted'"
        )
    errors, mean_covariances = _zeros(mixture)
    if fit.n_parameters:
        check_maximum(np.sqrt(remaining_gain(fit, samples)))
        errors, mean_covariances = _delta_method(Coordinates(mixture, fit.free), samples)
    lower, upper = _intervals(Parameters.of(mixture), errors, level, _are_variances(mixture))
    return Uncertainty(
        mixture=mixture,
        method="information",
        level=level,
        standard_errors=errors,
        lower=lower,
        upper=upper,
        mean_covariances=mean_covariances,
    )


def _zeros(mixture: Mixture) -> tuple[Parameters, np.ndarray]:
    """Return standard errors and covariances of the means where every parameter is known."""
    errors = Parameters(*map(np.zeros_like, Parameters.of(mixture)))
    return errors, np.zeros((*mixture.means.shape, mixture.n_features))


def _delta_method(coordinates: Coordinates, samples: Samples) -> tuple[Parameters, np.ndarray]:
    """Transform I_obs⁻¹ to standard errors of the parameters and covariances of the means."""
    mixture, places, size = coordinates.origin, coordinates.places, coordinates.size
    covariance, d = mixture.covariance, mixture.n_features
    with one_blas_thread():
        counts = sufficient_statistics(samples, mixture).counts
        observed = information(samples, coordinates, counts).observed
        inverse = np.zeros((size + 1, size + 1))  # the coordinate of the last weight is fixed at 0
        inverse[:size, :size] = cho_solve(cho_factor(observed), np.eye(size))
    errors, of_means = _zeros(mixture)

    def among(places: np.ndarray) -> np.ndarray:
        return inverse[places[..., :, None], places[..., None, :]]

    for block, columns in coordinates.columns.items():
        mine = places[:, columns]
        if block == "weights":
            slope = np.diag(mixture.weights) - np.outer(mixture.weights, mixture.weights)
            variances = np.diagonal(slope @ among(mine[:, 0]) @ slope)
        elif block == "means":
            of_means = covariance.colour(covariance.colour(among(mine)).swapaxes(1, 2))
            variances = np.diagonal(of_means, axis1=1, axis2=2)
        else:
            slopes = covariance.chart(d).tangents()
            slopes = slopes.reshape(*slopes.shape[:2], -1)
            variances = np.einsum(
                "kqa,kqr,kra->ka", slopes, among(mine[: len(slopes)]), slopes, optimize=True
            ).reshape(covariance.values.shape)
        # Rounding can make a variance that is exactly 0, as with one component, negative.
        errors = errors._replace(**{block: np.sqrt(np.maximum(variances, 0))})
    return errors, of_means


def _are_variances(mixture: Mixture) -> np.ndarray:
    """Return which values of the covariance structure are variances, not covariances."""
    values = mixture.covariance.values
    if mixture.covariance.shape.count("n_features") < 2:
        return np.ones(values.shape, dtype=bool)
    return np.broadcast_to(np.eye(mixture.n_features, dtype=bool), values.shape)


def _intervals(
    estimates: Parameters, errors: Parameters, level: float, are_variances: np.ndarray
) -> tuple[Parameters, Parameters]:
    """Return the ends of Wald intervals, on the scales that the notes of `uncertainty` name."""
    z = ndtri((1 + level) / 2)
    ends = []
    weights, values = estimates.weights, estimates.covariances
    # The weight of a single component is known to be 1, and its logit is infinite.
    slope = np.maximum(weights * (1 - weights), np.finfo(float).tiny)
    for sign in (-z, z):
        with np.errstate(over="ignore"):  # a huge standard error makes the upper end infinite
            scaled = values * np.exp(sign * errors.covariances / np.where(are_variances, values, 1))
        ends.append(
            Parameters(
                expit(logit(weights) + sign * errors.weights / slope),
                estimates.means + sign * errors.means,
                np.where(are_variances, scaled, values + sign * errors.covariances),
            )
        )
    return ends[0], ends[1]
