"""The Gaussian mixture as an immutable value: weights, means and covariances.

    p(x) = Σₖ πₖ N(x | μₖ, Σₖ)                                                     (P3)

(Bishop 2006, equation 9.7). Equation numbers such as (P3) are those of notebook 00, which derives
and checks the equations. An EM step takes a mixture and returns a new one; it never writes into
the arrays of the first, so known parameters keep their values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np

from gmmlab._numerics import blocks, huge_squares, normalise
from gmmlab._validation import (
    BLOCKS,
    check_choice,
    check_count,
    check_free,
    check_labels,
    check_numeric,
    check_rng,
    check_samples,
    read_only,
)
from gmmlab.covariance import STRUCTURES, Covariance

_LOG_2_PI = float(np.log(2 * np.pi))
# Weights from files and printed pages are rounded; their sum may be off by this much.
_SUM = 1e-8


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussian mixture with given parameters.

    Parameters
    ----------
    weights : array_like, shape (n_components,)
        Mixing weights π, strictly positive, summing to 1.
    means : array_like, shape (n_components, n_features)
        Component means μ, in data units.
    covariance : Full, Tied, Diagonal, Spherical or another structure
        Component covariances Σ, in squared data units; see `gmmlab.covariance`.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the shapes do not match, an entry is not finite, or the weights are not positive with
        sum 1.

    Examples
    --------
    >>> from gmmlab import Mixture, Spherical
    >>> mixture = Mixture([0.7, 0.3], [[0.0], [4.0]], Spherical([1.0, 1.0]))
    >>> mixture.responsibilities([[2.0]]).round(2)
    array([[0.7, 0.3]])
    """

    weights: np.ndarray
    means: np.ndarray
    covariance: Covariance

    def __post_init__(self) -> None:
        weights = check_numeric(self.weights, name="weights")
        means = check_samples(self.means, name="means")
        n_components, n_features = means.shape
        if weights.shape != (n_components,):
            raise ValueError(
                f"weights must have shape ({n_components},), one entry for each row of means; "
                f"got {weights.shape}"
            )
        if (weights <= 0).any():
            raise ValueError(f"weights must be strictly positive; got {weights.tolist()}")
        if abs(weights.sum() - 1) > _SUM:
            raise ValueError(
                f"weights must sum to 1; got {weights.tolist()}, which sums to {weights.sum()}"
            )
        if not isinstance(self.covariance, Covariance):
            raise TypeError(
                "covariance must be a covariance structure, such as Full or Tied; "
                f"got {type(self.covariance).__name__}"
            )
        expected = self.covariance.unit(n_components, n_features).values.shape
        if self.covariance.values.shape != expected:
            raise ValueError(
                f"covariance must have {n_components} components and {n_features} features, "
                f"like means; got {type(self.covariance).__name__} values of shape "
                f"{self.covariance.values.shape}"
            )
        object.__setattr__(self, "weights", read_only(weights))
        object.__setattr__(self, "means", read_only(means))

    @classmethod
    def unchecked(cls, weights: np.ndarray, means: np.ndarray, covariance: Covariance) -> Self:
        """Build a mixture without checks, for arrays that are known to be valid.

        Arrays with leading axes make a stack of mixtures, which is processed in lockstep.
        """
        self = object.__new__(cls)
        for name, array in (("weights", weights), ("means", means)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "covariance", covariance)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return self.unchecked, (self.weights, self.means, self.covariance)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mixture):
            return NotImplemented
        return (
            np.array_equal(self.weights, other.weights)
            and np.array_equal(self.means, other.means)
            and self.covariance == other.covariance
        )

    def __hash__(self) -> int:
        return hash((self.weights.tobytes(), (self.means + 0.0).tobytes(), self.covariance))

    # ---- shape ---------------------------------------------------------------------------

    @property
    def n_components(self) -> int:
        """Number of components k."""
        return self.means.shape[-2]

    @property
    def n_features(self) -> int:
        """Number of features d."""
        return self.means.shape[-1]

    @property
    def covariances(self) -> np.ndarray:
        """Covariance matrices of all components, shape (n_components, n_features, n_features)."""
        return self.covariance.dense(self.n_components, self.n_features)

    def n_parameters(self, free: Iterable[str] = BLOCKS) -> int:
        """Return the number of free parameters (K3).

        Parameters
        ----------
        free : collection of {"weights", "means", "covariances"}
            Blocks that are estimated; the others are known.

        Returns
        -------
        int
            k − 1 for the weights, k·d for the means, and the count of the structure for the
            covariances.
        """
        free = check_free(free)
        k, d = self.n_components, self.n_features
        sizes = (k - 1, k * d, self.covariance.n_parameters(k, d))
        return sum(size for block, size in zip(BLOCKS, sizes, strict=True) if block in free)

    # ---- stacks --------------------------------------------------------------------------

    @classmethod
    def stacked(cls, mixtures: Sequence[Mixture]) -> Self:
        """Return mixtures of the same shape and structure as one stack."""
        weights, means, parts = cls._columns(mixtures)
        return cls.unchecked(np.stack(weights), np.stack(means), type(parts[0]).stacked(parts))

    @classmethod
    def concatenated(cls, stacks: Sequence[Mixture]) -> Self:
        """Return the mixtures of several stacks as one stack."""
        weights, means, covariances = cls._columns(stacks)
        covariance = type(covariances[0]).concatenated(covariances)
        return cls.unchecked(np.concatenate(weights), np.concatenate(means), covariance)

    @staticmethod
    def _columns(mixtures: Sequence[Mixture]) -> tuple[list[Any], ...]:
        return tuple([getattr(one, each.name) for one in mixtures] for each in fields(Mixture))

    def select(self, fits: Any) -> Self:
        """Return some mixtures of a stack, by an index, a slice, an array of indices or a mask."""
        return self.unchecked(self.weights[fits], self.means[fits], self.covariance.select(fits))

    def replaced(self, fits: np.ndarray, by: Mixture) -> Self:
        """Return this stack with some mixtures replaced by those of another stack."""
        weights, means = self.weights.copy(), self.means.copy()
        weights[fits], means[fits] = by.weights, by.means
        return self.unchecked(weights, means, self.covariance.replaced(fits, by.covariance))

    # ---- densities -----------------------------------------------------------------------

    def whiten(self, X: np.ndarray, about: np.ndarray | None = None) -> np.ndarray:
        """Return yₖᵢ = Cₖ⁻¹ (xᵢ − μₖ), shape (…, k, d, b), for a validated block X (…, b, d).

        `about` (…, k, d) replaces the means.
        """
        centres = self.means if about is None else about
        columns = np.ascontiguousarray(X.swapaxes(-1, -2))
        return self.covariance.whiten(columns[..., None, :, :] - centres[..., None])

    def log_joint_whitened(self, whitened: np.ndarray) -> np.ndarray:
        """Return log πₖ − ½ (d log 2π + log|Σₖ| + ‖yₖᵢ‖²), shape (…, k, b), for whitened y (E1)."""
        with np.errstate(over="ignore"):
            log_joint = np.einsum("...db,...db->...b", whitened, whitened)
        if not np.isfinite(log_joint).all():
            log_joint = huge_squares(whitened)
        log_joint /= -2
        log_joint += self.log_normaliser[..., None]
        return log_joint

    @cached_property
    def log_normaliser(self) -> np.ndarray:
        """The log-joint at the mean, log πₖ − ½ (d log 2π + log|Σₖ|), shape (…, k).

        It is NaN where a covariance is singular.
        """
        d = self.n_features
        return np.log(self.weights) - (d * _LOG_2_PI + self.covariance.log_det(d)) / 2

    def expected_log_joint(self, counts: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return Σᵢₖ rᵢₖ log πₖ N(xᵢ|μₖ, Σₖ), shape (…), from its sufficient statistics (G1, M5).

        These are `counts` Nₖ = Σᵢ rᵢₖ, shape (…, k), and `second`, Σᵢ rᵢₖ (xᵢ − μₖ)(xᵢ − μₖ)ᵀ in
        the shape of the structure.
        """
        terms = counts * self.log_normaliser - self.covariance.trace(second) / 2
        return terms.sum(axis=-1)

    def log_joint(self, X: np.ndarray) -> np.ndarray:
        """Return log πₖ N(xᵢ | μₖ, Σₖ), (P2).

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Samples, in data units.

        Returns
        -------
        ndarray, shape (n_samples, n_components)

        Raises
        ------
        TypeError, ValueError
            If `X` is not a finite numeric array of that shape.
        """
        X = check_samples(X, n_features=self.n_features)
        log_joint = np.empty((self.n_components, len(X)))
        with np.errstate(over="ignore", invalid="ignore"):  # handled by `huge_squares`
            for rows in blocks(len(X), self.means.size):
                log_joint[:, rows] = self.log_joint_whitened(self.whiten(X[rows]))
        return log_joint.T

    def log_prob(self, X: np.ndarray) -> np.ndarray:
        """Return log p(xᵢ) = log Σₖ πₖ N(xᵢ | μₖ, Σₖ), shape (n_samples,); the sum is (P4).

        Parameters and errors are those of `log_joint`.
        """
        return normalise(self.log_joint(X).T)[1]

    def responsibilities(self, X: np.ndarray) -> np.ndarray:
        """Return p(component k | xᵢ) (E2), shape (n_samples, n_components); rows sum to 1 (E4).

        Parameters and errors are those of `log_joint`.
        """
        return normalise(self.log_joint(X).T)[0].T

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the component with the largest responsibility, shape (n_samples,)."""
        return self.log_joint(X).argmax(axis=1)

    def classification_uncertainty(self, X: np.ndarray) -> np.ndarray:
        """Return 1 − maxₖ p(component k | xᵢ), shape (n_samples,), in [0, 1 − 1/k].

        It is the probability that `predict` is wrong about a sample if the mixture is right. It
        is near 0 in the middle of a well-separated component and 1 − 1/k where all components are
        equally likely (Fraley and Raftery 2002, section 2.3).

        Parameters and errors are those of `log_joint`.

        Examples
        --------
        >>> from gmmlab import Mixture, Spherical
        >>> mixture = Mixture([0.5, 0.5], [[0.0], [2.0]], Spherical([1.0, 1.0]))
        >>> mixture.classification_uncertainty([[0.0], [1.0]]).round(3)
        array([0.119, 0.5  ])
        """
        responsibilities = self.responsibilities(X)
        np.put_along_axis(responsibilities, responsibilities.argmax(axis=1)[:, None], 0.0, axis=1)
        return responsibilities.sum(axis=1)  # 1 − max would lose digits where it is small

    # ---- parts of the features -----------------------------------------------------------

    def marginal(self, features: Any) -> Mixture:
        """Return the marginal distribution of some features.

        Parameters
        ----------
        features : array_like of int, shape (n_some,)
            Indices of the features, each at most once, in the order of the result.

        Returns
        -------
        Mixture
            The mixture of these features, with the same weights (Bishop 2006, equation 2.98). The
            structure is the same, except that a subset of the features has neither equal volumes
            nor common axes: EVI becomes `Diagonal`; EVE, VVE, EEV, VEV and EVV become `Full`.

        Raises
        ------
        TypeError, ValueError
            If `features` are not distinct feature indices.

        Examples
        --------
        >>> from gmmlab import Full, Mixture
        >>> Mixture([1.0], [[1.0, 2.0]], Full([[[4.0, 1.0], [1.0, 9.0]]])).marginal([1]).means
        array([[2.]])
        """
        features = self._check_features(features)
        return Mixture.unchecked(
            self.weights, self.means[..., features], self.covariance.marginal(features)
        )

    def conditional(self, features: Any, values: Any) -> Mixture:
        """Return the distribution of the other features given the values of some.

        Parameters
        ----------
        features : array_like of int, shape (n_some,)
            Indices of the known features, each at most once, and not all of them.
        values : array_like, shape (n_some,)
            Values of these features, in data units.

        Returns
        -------
        Mixture
            The mixture of the remaining features in their order, with the structure of
            `marginal`. The weights are πₖ N(values), normalised; means and covariances follow by
            Gaussian conditioning (Bishop 2006, equations 2.81 and 2.82).

        Raises
        ------
        TypeError, ValueError
            If `features` are not distinct feature indices, or `values` do not match them.

        Examples
        --------
        >>> from gmmlab import Full, Mixture
        >>> mixture = Mixture([1.0], [[0.0, 0.0]], Full([[[1.0, 0.6], [0.6, 1.0]]]))
        >>> given = mixture.conditional([0], [2.0])
        >>> given.means.round(2), given.covariances.round(2)
        (array([[1.2]]), array([[[0.64]]]))
        """
        features = self._check_features(features)
        rest = np.setdiff1d(np.arange(self.n_features), features)
        if len(rest) == 0:
            raise ValueError("features must leave at least one feature; got all of them")
        values = check_numeric(values, name="values")
        if values.shape != (len(features),):
            raise ValueError(
                f"values must have shape ({len(features)},), one entry for each of features; "
                f"got {values.shape}"
            )
        coefficients, left = self.covariance.given(features, rest)
        residuals = values - self.means[:, features]
        means = self.means[:, rest] + (coefficients @ residuals[:, :, None])[:, :, 0]
        weights = self.marginal(features).responsibilities(values[None])[0]
        # Weights must be positive, but can underflow to 0.
        weights = np.maximum(weights, np.finfo(float).tiny)
        return Mixture(weights / weights.sum(), means, type(left)(left.values))

    def _check_features(self, features: Any) -> np.ndarray:
        if np.asarray(features).dtype == bool:
            raise TypeError("features must be feature indices; got a boolean mask")
        features = check_labels(features, name="features")
        allowed = np.isin(features, np.arange(self.n_features)).all()
        if not allowed or len(np.unique(features)) < len(features):
            raise ValueError(
                f"features must be distinct integers from 0 to {self.n_features - 1}; "
                f"got {features.tolist()}"
            )
        return features

    # ---- other forms ---------------------------------------------------------------------

    def sample(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw samples together with the component that each came from.

        Parameters
        ----------
        n : int
            Number of samples.
        rng : numpy.random.Generator
            Random number generator.

        Returns
        -------
        X : ndarray, shape (n, n_features)
        labels : ndarray of int, shape (n,)

        Raises
        ------
        TypeError, ValueError
            If `n` is not a positive integer or `rng` is not a generator.
        """
        n = check_count(n, name="n")
        rng = check_rng(rng)
        labels = rng.choice(self.n_components, size=n, p=self.weights / self.weights.sum())
        noise = rng.standard_normal((n, self.n_features))
        X = np.empty_like(noise)
        for k in range(self.n_components):
            mine = labels == k
            covariance = self.covariance.take(np.array([k]))
            X[mine] = self.means[k] + covariance.colour(noise[mine].T[None])[0].T
        return X, labels

    def take(self, order: Any) -> Mixture:
        """Return the same mixture with its components in another order.

        Parameters
        ----------
        order : array_like of int, shape (n_components,)
            Each component index once, for example from ``diagnostics.match_components``.

        Raises
        ------
        TypeError, ValueError
            If `order` does not contain each component index once.
        """
        order = check_labels(order, name="order")
        if not np.array_equal(np.sort(order), np.arange(self.n_components)):
            raise ValueError(
                f"order must contain each of 0 to {self.n_components - 1} once; "
                f"got {order.tolist()}"
            )
        return Mixture(self.weights[order], self.means[order], self.covariance.take(order))

    def sorted(self) -> Mixture:
        """Return the same mixture with its components ordered by their means.

        Components are ordered by the first feature, ties by the next features, then by weight and
        covariance. Two fits that differ only in their labels become equal up to rounding.
        """
        k, stack = self.n_components, self.covariance.stack
        shapes = np.broadcast_to(stack.reshape(len(stack), -1), (k, stack[0].size))
        keys = np.column_stack([self.means, self.weights, shapes])
        return self.take(np.lexsort(keys.T[::-1]))

    def to_json(self) -> str:
        """Return the parameters as JSON; `from_json` restores the same bits."""
        return json.dumps(
            {
                "weights": self.weights.tolist(),
                "means": self.means.tolist(),
                "covariance_type": self.covariance.name,
                "covariances": self.covariance.values.tolist(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the mixture that `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is not JSON, lacks a field, or does not describe a valid mixture.
        """
        names = ("weights", "means", "covariance_type", "covariances")
        try:
            fields = json.loads(text)
        except json.JSONDecodeError:
            fields = None
        if not isinstance(fields, dict) or set(fields) != set(names):
            raise ValueError(f"text must be a JSON object with the fields {', '.join(names)}")
        name = check_choice(fields["covariance_type"], STRUCTURES, name="covariance_type")
        structure = STRUCTURES[name]
        return cls(fields["weights"], fields["means"], structure(fields["covariances"]))


def check_mixture(mixture: Any, *, name: str = "mixture") -> Mixture:
    """Return `mixture` if it is a `Mixture`, for functions that take one as an argument."""
    if not isinstance(mixture, Mixture):
        raise TypeError(f"{name} must be a Mixture; got {type(mixture).__name__}")
    return mixture
