"""Small problems to apply a student's functions to, with the right answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr, logsumexp

from gmmlab.course.checks.calling import seal
from gmmlab.covariance import Full
from gmmlab.mixture import Mixture


@dataclass(frozen=True)
class Problem:
    """Samples and the parameters of a mixture, which need not be a good fit.

    Parameters
    ----------
    X : ndarray, shape (n, d)
    weights : ndarray, shape (k,)
    means : ndarray, shape (k, d)
    covariances : ndarray, shape (k, d, d)
    """

    X: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.X)

    @property
    def d(self) -> int:
        """Number of features."""
        return self.X.shape[1]

    @property
    def k(self) -> int:
        """Number of components."""
        return len(self.weights)

    @property
    def parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights, means and covariances."""
        return self.weights, self.means, self.covariances

    @property
    def mixture(self) -> Mixture:
        """The mixture with these parameters, which gives the right answers."""
        return Mixture(self.weights, self.means, Full(self.covariances))

    @property
    def log_densities(self) -> np.ndarray:
        """Log-density of each sample under each component, shape (n, k)."""
        return self.mixture.log_joint(self.X) - np.log(self.weights)

    @property
    def responsibilities(self) -> np.ndarray:
        """The right responsibilities, shape (n, k)."""
        return self.mixture.responsibilities(self.X)

    @property
    def log_likelihood(self) -> float:
        """The right log-likelihood: the total, in nats."""
        return float(self.mixture.log_prob(self.X).sum())


def problem(
    seed: int,
    n: int = 60,
    k: int = 3,
    d: int = 2,
    *,
    distance: float = 4.0,
    away: float = 0.0,
    spread: float = 1.0,
    integers: bool = False,
) -> Problem:
    """Draw a problem.

    Parameters
    ----------
    seed : int
        The same seed gives the same problem.
    n, k, d : int
        Numbers of samples, components and features.
    distance : float, default 4.0
        Side length of the box that contains the means, in standard deviations.
    away : float, default 0.0
        How far the first sample is moved away, along every axis.
    spread : float, default 1.0
        Typical standard deviation, in data units.
    integers : bool, default False
        Whether the samples are whole numbers, in an array of integers.

    Returns
    -------
    Problem

    Examples
    --------
    >>> drawn = problem(0, n=5, k=2, d=3)
    >>> drawn.X.shape, drawn.means.shape, bool(drawn.weights.sum().round(9) == 1)
    ((5, 3), (2, 3), True)
    """
    rng = np.random.default_rng([seed, n, k, d])
    weights = rng.dirichlet(np.full(k, 5.0))
    means = spread * distance * rng.uniform(size=(k, d))
    A = rng.normal(size=(k, d, d)) / np.sqrt(d)
    covariances = spread**2 * (A @ A.transpose(0, 2, 1) + 0.3 * np.eye(d))
    labels = rng.choice(k, size=n, p=weights)
    noise = rng.normal(size=(n, d, 1))
    X = means[labels] + (np.linalg.cholesky(covariances)[labels] @ noise)[..., 0]
    X[0] += away
    if integers:
        X = np.rint(10 * X).astype(int)
        means, covariances = 10 * means, 100 * covariances
    return Problem(X, weights, means, covariances)


def random_responsibilities(seed: int, n: int, k: int) -> np.ndarray:
    """Return random responsibilities, shape (n, k)."""
    return np.random.default_rng([seed, n, k, 1]).dirichlet(np.full(k, 1.5), size=n)


# ---- reference functions, with the arguments of the tasks ----------------------------------------


def log_gaussians(X: Any, means: Any, covariances: Any) -> np.ndarray:
    """Return log N(x | μ, Σ) for each sample and component, shape (n, k)."""
    k = len(means)
    return Mixture(np.full(k, 1 / k), means, Full(covariances)).log_joint(X) + np.log(k)


def e_step(X: Any, weights: Any, means: Any, covariances: Any) -> tuple[np.ndarray, float]:
    """Return responsibilities, shape (n, k), and the log-likelihood."""
    joint = Mixture(weights, means, Full(covariances)).log_joint(X)
    log_density = logsumexp(joint, axis=1, keepdims=True)
    return np.exp(joint - log_density), float(log_density.sum())


def m_step(
    X: Any, responsibilities: Any, weights: Any, means: Any, covariances: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return new weights, means and covariances for responsibilities of shape (n, k)."""
    X, r = np.asarray(X, float), np.asarray(responsibilities, float)
    counts = r.sum(axis=0)
    new = r.T @ X / counts[:, None]
    return counts / len(X), new, moments(X, r, new)


def moments(X: np.ndarray, r: np.ndarray, about: np.ndarray) -> np.ndarray:
    """Return the weighted second moments about given points, shape (k, d, d)."""
    centred = X[:, None] - about
    return np.einsum("nk,nki,nkj->kij", r, centred, centred) / r.sum(axis=0)[:, None, None]


def bound(X: Any, r: np.ndarray, weights: Any, means: Any, covariances: Any) -> tuple[float, float]:
    """Return the two parts of the ELBO: expected log-joint and entropy."""
    mixture = Mixture(weights, means, Full(covariances))
    return float((r * mixture.log_joint(X)).sum()), float(entr(r).sum())


def climb(
    start: Problem,
    n_iter: int,
    *,
    tol: float = -np.inf,
    free: tuple[str, ...] = ("weights", "means", "covariances"),
) -> tuple[list[float], list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Run EM, and return the log-likelihood and the parameters after each iteration.

    Parameters
    ----------
    start : Problem
        The data, and the parameters to start from.
    n_iter : int
        Number of iterations.
    tol : float, optional
        Stop after an iteration that gains less than this; by default never.
    free : tuple of str, optional
        The blocks of parameters that are updated; by default all.

    Returns
    -------
    trace : list of float
        Log-likelihoods, beginning with that of the start.
    path : list of tuple
        Weights, means and covariances, beginning with the start.
    """
    parameters, trace, path = start.parameters, [], []
    for _ in range(n_iter + 1):
        r, log_likelihood = e_step(start.X, *parameters)
        trace.append(log_likelihood)
        path.append(parameters)
        if len(trace) > 1 and trace[-1] - trace[-2] < tol:
            break
        weights, means, covariances = m_step(start.X, r, *parameters)
        if "means" not in free:
            covariances = moments(start.X, r, parameters[1])
        new = {"weights": weights, "means": means, "covariances": covariances}
        names = ("weights", "means", "covariances")
        parameters = tuple(
            new[name] if name in free else old for name, old in zip(names, parameters, strict=True)
        )
    return trace, path


def transposed(function: Callable, layout: str) -> Callable:
    """Return a reference `e_step` or `m_step` for a layout of the responsibilities.

    Parameters
    ----------
    function : callable
        `e_step` or `m_step` of this module.
    layout : str
        "(n, k)" or "(k, n)", as declared by the student.
    """
    if layout == "(n, k)":
        return function
    if function is e_step:

        def e_step_transposed(*arguments: Any) -> tuple[np.ndarray, float]:
            r, log_likelihood = e_step(*arguments)
            return r.T, log_likelihood

        return e_step_transposed

    def m_step_transposed(X: Any, r: Any, *parameters: Any) -> tuple:
        return m_step(X, np.transpose(r), *parameters)

    return m_step_transposed


def traces(rng: np.random.Generator, n_iter: int = 40) -> list[np.ndarray]:
    """Return four traces: two that EM can produce, and two that it cannot.

    The first one increases and levels off. The second one has a plateau in the middle. The third
    one is like the first, except for one small decrease. The fourth one decreases throughout.
    """
    t = np.arange(n_iter + 1)
    level = -rng.uniform(900, 1100)
    rise = level + rng.uniform(40, 60) * (1 - np.exp(-t / rng.uniform(4, 7)))
    late = 30 / (1 + np.exp(-(t - rng.uniform(22, 30)) / 1.5))
    plateau = level + rng.uniform(25, 35) * (1 - np.exp(-t / 2)) + late
    dip = rise.copy()
    dip[int(rng.integers(8, 20)) :] -= rng.uniform(3, 5)
    negative = -level - rng.uniform(40, 60) * (1 - np.exp(-t / rng.uniform(4, 7)))
    return [rise, plateau, dip, negative]


seal(__name__)
