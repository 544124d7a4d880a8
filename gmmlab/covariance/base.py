"""The two families of covariances: how they whiten, and what the data have to say about them.

`MatrixCovariance` whiten with a Cholesky factor, Σₖ = Cₖ Cₖᵀ, and need second moments as matrices
(k, d, d). `DiagonalCovariance` whiten with standard deviations and need them as vectors (k, d). The
structures in `covariance` are of one or the other, and add what components share: where they
share all, `values` have one matrix or number, and broadcasting fills in the rest.

Shapes: k components, d features, b samples in a block, samples last so that the long
axis is the contiguous one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar, Self

import numpy as np
from scipy.linalg.lapack import dtrtri

from gmmlab._validation import check_numeric, read_only

# An asymmetry of Σᵢⱼ this small against √(Σᵢᵢ Σⱼⱼ) is rounding, not a mistake.
_SYMMETRY = 1e-8
# A correlation matrix whose smallest eigenvalue, for each feature, is below this is singular.
_SINGULAR = 4 * np.finfo(float).eps


@dataclass(frozen=True, eq=False)
class Covariance(ABC):
    """What every structure offers; use one of those in `covariance`.

    Parameters
    ----------
    values : array_like
        Covariances or variances, in squared data units; the shape is the structure's own.

    Raises
    ------
    TypeError
        If `values` are not real numbers.
    ValueError
        If they have the wrong shape, are not finite, or are not symmetric positive definite.
    """

    values: np.ndarray

    #: the structure's name, as `GaussianMixture(covariance_type=…)` spells it
    name: ClassVar[str]
    #: volume, shape and orientation of Σₖ = λₖ Dₖ Aₖ Dₖᵀ: Equal, Variable, or I where there is none
    model: ClassVar[str]
    #: dimensions of `values`
    shape: ClassVar[tuple[str, ...]]
    #: whether what components share bends the structure within its family: the covariances of
    #: components then differ from their moments also at the maximum of the likelihood, and
    #: `coordinates` are more numbers than `n_parameters`
    curved: ClassVar[bool] = False

    def __post_init__(self) -> None:
        values = check_numeric(self.values, name=f"{type(self).__name__} values")
        if values.ndim != len(self.shape) or 0 in values.shape:
            raise ValueError(
                f"{type(self).__name__} values must have shape ({', '.join(self.shape)}); "
                f"got {values.shape}"
            )
        object.__setattr__(self, "values", read_only(self._symmetric(values)))
        self._check_positive()

    @classmethod
    def unchecked(cls, values: np.ndarray) -> Self:
        """Build without the checks; the EM step looks at what it made in its own way."""
        self = object.__new__(cls)
        values = np.asarray(values)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        return self

    def __reduce__(self) -> tuple[Any, ...]:  # a copy is read-only too
        return self.unchecked, (self.values,)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Covariance):
            return NotImplemented
        return type(self) is type(other) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((type(self), (self.values + 0.0).tobytes()))  # −0 equals 0

    # ---- the family's part -------------------------------------------------------------

    @abstractmethod
    def _check_positive(self) -> None:
        """Raise a ValueError unless every covariance is positive definite."""

    @classmethod
    def _symmetric(cls, values: np.ndarray) -> np.ndarray:
        """Return `values` with the rounding asymmetry of matrices removed."""
        return values

    @abstractmethod
    def whiten(self, residuals: np.ndarray) -> np.ndarray:
        """Return y = C⁻¹ (x − μ) for residuals (k, d, b), as (E1) has it."""

    @abstractmethod
    def colour(self, whitened: np.ndarray) -> np.ndarray:
        """Return C y for y (k, d, b): the inverse of `whiten`."""

    @abstractmethod
    def log_det(self, n_features: int) -> np.ndarray:
        """Return log |Σₖ|, shape (k,), or (1,) where all components share it."""

    @abstractmethod
    def trace(self, moments: np.ndarray) -> np.ndarray:
        """Return tr(Σₖ⁻¹ Mₖ), shape (k,), for second moments M in data coordinates."""

    @abstractmethod
    def unwhiten(self, second: np.ndarray) -> np.ndarray:
        """Return C S Cᵀ (W2): second moments in whitened coordinates taken to data coordinates."""

    @staticmethod
    @abstractmethod
    def scatter(whitened: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        """Return Σᵢ rᵢₖ yᵢₖ yᵢₖᵀ for y (k, d, b) and r (k, b), in the family's shape."""

    @staticmethod
    @abstractmethod
    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return ½ (a bᵀ + b aᵀ) for vectors (k, d), in the family's shape."""

    @staticmethod
    @abstractmethod
    def n_pairs(n_features: int) -> int:
        """Return the number p of products that `pairs` makes."""

    @staticmethod
    @abstractmethod
    def pairs(z: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return the products of coordinates of z (d, b) that second moments are sums of.

        zᵢ zⱼ for i ≤ j, or zᵢ² for variances: shape (p, b), written to `out` if it is given.
        """

    @staticmethod
    @abstractmethod
    def packed(matrices: np.ndarray) -> np.ndarray:
        """Return the coefficients (k, p) of zᵀ M z in `pairs`."""

    @staticmethod
    @abstractmethod
    def unpacked(totals: np.ndarray, n_features: int) -> np.ndarray:
        """Return second moments, in the family's shape, from sums of `pairs` (k, p)."""

    @property
    @abstractmethod
    def precisions(self) -> np.ndarray:
        """Σₖ⁻¹ in the family's shape, with axes of length 1 as in `stack`."""

    @abstractmethod
    def precision_times(self, vectors: np.ndarray) -> np.ndarray:
        """Return Σₖ⁻¹ v for v (k, d)."""

    @abstractmethod
    def magnitude(self, extent: np.ndarray) -> np.ndarray:
        """Return Σᵢⱼ |Σₖ⁻¹|ᵢⱼ eᵢ eⱼ for e (k, d): what zᵀ Σₖ⁻¹ z is summed from, in size."""

    @staticmethod
    @abstractmethod
    def smallest(moments: np.ndarray) -> np.ndarray:
        """Return the smallest eigenvalue of each second moment, shape (k,)."""

    def smallest_eigenvalues(self) -> np.ndarray:
        """Return the smallest eigenvalue of each covariance, shape (k,) or (1,)."""
        return self.smallest(self.stack)

    @abstractmethod
    def conditioning(self) -> np.ndarray:
        """Return the smallest eigenvalue of each correlation matrix, shape (k,) or (1,)."""

    @abstractmethod
    def relative_to(self, reference: Covariance) -> np.ndarray:
        """Return the smallest eigenvalue of R⁻¹ᐟ² Σₖ R⁻¹ᐟ², where `reference` is R."""

    @abstractmethod
    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        """Return the nearest structure with Σₖ ⪰ diag(floor), and which components moved.

        It is the maximum of the expected log-likelihood −N/2 (log|Σ| + tr Σ⁻¹ M) under that
        bound (S9): eigenvalues, in units of the floor, are raised to 1, eigenvectors kept.
        """

    @abstractmethod
    def ridged(self, ridge: float) -> Self:
        """Return the structure with `ridge` added to every variance."""

    @abstractmethod
    def inverse(self) -> Self:
        """Return the structure with Σₖ⁻¹ in the place of Σₖ: precisions."""

    @abstractmethod
    def precision_factor(self) -> np.ndarray:
        """Return C⁻ᵀ, for which Σ⁻¹ = C⁻ᵀ C⁻¹, in the shape of `values`."""

    @abstractmethod
    def dense(self, n_components: int, n_features: int) -> np.ndarray:
        """Return all covariances written out, shape (k, d, d)."""

    @abstractmethod
    def marginal(self, features: np.ndarray) -> Covariance:
        """Return the covariances of these features alone.

        They are of the same structure, or of one with nothing shared where some of the features
        do not share what all of them do: equal volumes, and axes.
        """

    @abstractmethod
    def given(self, known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, Covariance]:
        """Return the regression of unknown on known features, and what it leaves.

        Coefficients Σᵤₖ Σₖₖ⁻¹, shape (k, n_unknown, n_known), and the conditional covariances
        Σᵤᵤ − Σᵤₖ Σₖₖ⁻¹ Σₖᵤ (Bishop 2006, equations 2.81 and 2.82).
        """

    @abstractmethod
    def moments(self, n_components: int, n_features: int) -> np.ndarray:
        """Return the covariances as second moments, in the family's shape."""

    @staticmethod
    @abstractmethod
    def embedded(moments: np.ndarray, features: np.ndarray, n_features: int) -> np.ndarray:
        """Return second moments of some features as moments of all, 0 elsewhere."""

    @staticmethod
    @abstractmethod
    def in_units(moments: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Return second moments of features divided by the roots of `units` (d,)."""

    @staticmethod
    @abstractmethod
    def of_variances(variances: np.ndarray) -> np.ndarray:
        """Return variances (k, d) of uncorrelated features as second moments."""

    @abstractmethod
    def scores(self, whitened: np.ndarray) -> np.ndarray:
        """Return ∂ log N / ∂A, shape (q, b), for y (d, b): uncorrelated, with variance 1 (I2).

        Σ moves to C exp(√2 A) Cᵀ (I1) with A in the structure: second Hermite polynomials of y.
        """

    @abstractmethod
    def coordinates(self, new: Self, n_features: int) -> np.ndarray:
        """Return the A of `scores` that leads to `new`, as numbers: (k, q) or (1, q).

        q is the number of parameters of one component. What components share by a `curved`
        structure is in the coordinates of each, and any sum of coordinates shares it too.
        """

    @abstractmethod
    def at(self, coordinates: np.ndarray, n_features: int) -> Self:
        """Return the structure with these `coordinates`: positive definite wherever they are."""

    @abstractmethod
    def tangents(self, n_features: int) -> np.ndarray:
        """Return ∂Σ/∂A at A = 0, one for each of the q numbers of A: (k, q, …) or (1, q, …).

        Of linear structures; the dots stand for the dimensions of `stack` after the first.
        """

    # ---- the structure's part ----------------------------------------------------------

    @property
    def stack(self) -> np.ndarray:
        """`values` with axes of length 1 where components or features share a number."""
        return self.values

    @classmethod
    def unit(cls, n_components: int, n_features: int) -> Self:
        """Return identity covariances."""
        sizes = {"n_components": n_components, "n_features": n_features}
        shape = tuple(sizes[dimension] for dimension in cls.shape)
        return cls.unchecked(np.broadcast_to(cls._one(n_features), shape).copy())

    @staticmethod
    @abstractmethod
    def _one(n_features: int) -> np.ndarray:
        """Return the identity in the family's shape, for one component or number."""

    @classmethod
    @abstractmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        """Return the maximum-likelihood structure for Nₖ (k,) and second moments Mₖ (M4).

        That is the minimum of Σₖ Nₖ (log|Σₖ| + tr Σₖ⁻¹ Mₖ), (G10).
        """

    def update(
        self, counts: np.ndarray, moments: np.ndarray, floor: np.ndarray | None = None
    ) -> tuple[Self, np.ndarray]:
        """Return the next structure of an EM step, and which components the floor has raised.

        It is `estimate` under the bound Σₖ ⪰ diag(floor), if there is one. Where that is searched
        for, the search begins here too: it is never less likely than what was before.
        """
        new = self.estimate(counts, moments)
        return (new, np.zeros(len(new.stack), dtype=bool)) if floor is None else new.clipped(floor)

    @classmethod
    def n_parameters(cls, n_components: int, n_features: int) -> int:
        """Return how many free numbers the structure holds.

        A volume is 1, a shape d − 1 and an orientation d (d − 1) / 2, each once or for every
        component (Celeux and Govaert 1995, table 1).
        """
        d = n_features
        times = {"E": 1, "V": n_components, "I": 0}
        sizes = (1, d - 1, d * (d - 1) // 2)
        return sum(times[each] * size for each, size in zip(cls.model, sizes, strict=True))

    @classmethod
    @abstractmethod
    def samples_needed(cls, n_features: int) -> int:
        """Return how many samples a component needs for a covariance above zero."""

    def fits(self, n_components: int, n_features: int) -> bool:
        """Return whether the shape goes with that many components and features."""
        return self.values.shape == self.unit(n_components, n_features).values.shape

    def take(self, order: np.ndarray) -> Self:
        """Return the structure with its components in the given order."""
        return self.unchecked(self.values[order])

    def repeated(self, n_components: int) -> Self:
        """Return the structure of one component as that of many, all alike."""
        return self.take(np.zeros(n_components, dtype=np.intp))


@cache
def _upper(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows and columns of the upper triangle, row by row as `pairs` has them.

    And how many entries of a symmetric matrix each stands for.
    """
    rows, columns = np.triu_indices(d)
    return rows, columns, np.where(rows == columns, 1.0, 2.0)


@cache
def _identity(d: int) -> np.ndarray:
    return np.eye(d)


class MatrixCovariance(Covariance):
    """Structures with matrices: whitening by the Cholesky factor, moments (k, d, d)."""

    shape = ("n_components", "n_features", "n_features")

    @staticmethod
    def _one(n_features: int) -> np.ndarray:
        return _identity(n_features)

    @cached_property
    def _cholesky(self) -> np.ndarray:
        return np.linalg.cholesky(self.stack)

    @cached_property
    def _whitening(self) -> np.ndarray:
        inverse = np.empty_like(self._cholesky)
        for k, factor in enumerate(self._cholesky):
            inverse[k] = dtrtri(factor, lower=1)[0]
        return inverse

    def scores(self, whitened: np.ndarray) -> np.ndarray:
        _, _, entries = _upper(len(whitened))
        scores = self.pairs(whitened)
        scores[entries == 1] -= 1
        scores[entries == 1] /= np.sqrt(2)
        return scores

    def coordinates(self, new: Self, n_features: int) -> np.ndarray:
        rows, columns, entries = _upper(n_features)
        relative = self._whitening @ new.stack @ self._whitening.transpose(0, 2, 1)
        eigenvalues, vectors = np.linalg.eigh(relative)
        logarithm = (vectors * np.log(eigenvalues)[:, None, :]) @ vectors.transpose(0, 2, 1)
        # √2 A = log C⁻¹ Σ' C⁻ᵀ; an entry off the diagonal stands for two
        return logarithm[:, rows, columns] * np.sqrt(entries / 2)

    @staticmethod
    def _logarithm(coordinates: np.ndarray, n_features: int) -> np.ndarray:
        """Return √2 A, shape (b, d, d), whose coordinates (b, q) these are."""
        rows, columns, entries = _upper(n_features)
        logarithm = np.empty((len(coordinates), n_features, n_features))
        logarithm[:, rows, columns] = coordinates * np.sqrt(2 / entries)
        logarithm[:, columns, rows] = logarithm[:, rows, columns]
        return logarithm

    def tangents(self, n_features: int) -> np.ndarray:
        each = self._logarithm(np.eye(self.n_pairs(n_features)), n_features)
        cholesky = self._cholesky[:, None]
        return cholesky @ each @ cholesky.swapaxes(-1, -2)

    def at(self, coordinates: np.ndarray, n_features: int) -> Self:
        eigenvalues, vectors = np.linalg.eigh(self._logarithm(coordinates, n_features))
        relative = (vectors * np.exp(eigenvalues)[:, None, :]) @ vectors.transpose(0, 2, 1)
        return self.unchecked(self.unwhiten(relative).reshape(self.values.shape))

    @classmethod
    def _symmetric(cls, values: np.ndarray) -> np.ndarray:
        name = cls.__name__
        if values.shape[-1] != values.shape[-2]:
            raise ValueError(f"{name} values must be square matrices; got shape {values.shape}")
        transposed = values.swapaxes(-1, -2)
        variances = np.abs(np.diagonal(values, axis1=-2, axis2=-1))
        size = np.sqrt(variances[..., :, None] * variances[..., None, :])
        if (np.abs(values - transposed) > _SYMMETRY * size).any():
            raise ValueError(f"{name} values must be symmetric matrices; got {values.tolist()}")
        return (values + transposed) / 2

    def _check_positive(self) -> None:
        positive = (np.diagonal(self.stack, axis1=1, axis2=2) > 0).all(axis=1)
        if positive.all():
            positive = self.conditioning() > _SINGULAR * self.stack.shape[1]
        if not positive.all():
            worst = int(np.flatnonzero(~positive)[0])
            smallest = self.smallest_eigenvalues()[worst]
            raise ValueError(
                f"{type(self).__name__} values must be positive definite; matrix {worst} has "
                f"smallest eigenvalue {smallest:.3g}"
            )

    def whiten(self, residuals: np.ndarray) -> np.ndarray:
        return self._whitening @ residuals

    def colour(self, whitened: np.ndarray) -> np.ndarray:
        return self._cholesky @ whitened

    def log_det(self, n_features: int) -> np.ndarray:
        return np.log(self._cholesky.diagonal(axis1=1, axis2=2)).sum(axis=1) * 2

    def trace(self, moments: np.ndarray) -> np.ndarray:
        # tr(Σ⁻¹ M) = tr(W M Wᵀ) with W = C⁻¹
        return np.einsum("kij,kij->k", self._whitening @ moments, self._whitening)

    def unwhiten(self, second: np.ndarray) -> np.ndarray:
        moments = self._cholesky @ second @ self._cholesky.transpose(0, 2, 1)
        return (moments + moments.transpose(0, 2, 1)) / 2

    @staticmethod
    def scatter(whitened: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        # A matrix times its own transpose takes half the multiplications.
        weighted = whitened * np.sqrt(responsibilities)[:, None, :]
        return weighted @ weighted.transpose(0, 2, 1)

    @staticmethod
    def n_pairs(n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    @staticmethod
    def pairs(z: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        d, b = z.shape
        if out is None:
            out = np.empty((d * (d + 1) // 2, b), dtype=z.dtype)
        begin = 0
        for i in range(d):
            np.multiply(z[i], z[i:], out=out[begin : begin + d - i])
            begin += d - i
        return out

    @staticmethod
    def packed(matrices: np.ndarray) -> np.ndarray:
        rows, columns, entries = _upper(matrices.shape[-1])
        return matrices[:, rows, columns] * entries

    @staticmethod
    def unpacked(totals: np.ndarray, n_features: int) -> np.ndarray:
        rows, columns, _ = _upper(n_features)
        matrices = np.empty((len(totals), n_features, n_features))
        matrices[:, rows, columns] = totals
        matrices[:, columns, rows] = totals
        return matrices

    @cached_property
    def precisions(self) -> np.ndarray:
        return self._whitening.transpose(0, 2, 1) @ self._whitening

    def precision_times(self, vectors: np.ndarray) -> np.ndarray:
        return (self.precisions @ vectors[:, :, None])[:, :, 0]

    def magnitude(self, extent: np.ndarray) -> np.ndarray:
        return np.einsum("kij,ki,kj->k", np.abs(self.precisions), extent, extent)

    @staticmethod
    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        outer = a[:, :, None] * b[:, None, :]
        return (outer + outer.transpose(0, 2, 1)) / 2

    @staticmethod
    def smallest(moments: np.ndarray) -> np.ndarray:
        return np.linalg.eigvalsh(moments)[:, 0]

    def conditioning(self) -> np.ndarray:
        deviations = np.sqrt(np.diagonal(self.stack, axis1=1, axis2=2))
        return self.smallest(self.stack / (deviations[:, :, None] * deviations[:, None, :]))

    def relative_to(self, reference: Covariance) -> np.ndarray:
        whitening = reference._whitening
        return self.smallest(whitening @ self.stack @ whitening.transpose(0, 2, 1))

    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        eigenvalues, vectors = np.linalg.eigh(self.in_units(self.stack, floor))
        touched = eigenvalues[:, 0] < 1
        raised = (vectors * np.maximum(eigenvalues, 1)[:, None, :]) @ vectors.transpose(0, 2, 1)
        raised = self.in_units(raised, 1 / floor)
        values = np.where(touched[:, None, None], raised, self.stack)
        values = (values + values.transpose(0, 2, 1)) / 2
        return self.unchecked(values.reshape(self.values.shape)), touched

    def ridged(self, ridge: float) -> Self:
        return self.unchecked(self.values + ridge * _identity(self.values.shape[-1]))

    def inverse(self) -> Self:
        return type(self)(self.precisions.reshape(self.values.shape))

    def precision_factor(self) -> np.ndarray:
        return self._whitening.transpose(0, 2, 1).reshape(self.values.shape).copy()

    def dense(self, n_components: int, n_features: int) -> np.ndarray:
        return np.broadcast_to(self.stack, (n_components, n_features, n_features)).copy()

    def moments(self, n_components: int, n_features: int) -> np.ndarray:
        return np.broadcast_to(self.stack, (n_components, n_features, n_features))

    def marginal(self, features: np.ndarray) -> Covariance:
        return self.unchecked(self.values[..., features[:, None], features])

    def given(self, known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, Covariance]:
        # With C the Cholesky factor, known features first: Σᵤₖ Σₖₖ⁻¹ = Cᵤₖ Cₖₖ⁻¹, and what is
        # left is Cᵤᵤ Cᵤᵤᵀ: nothing is subtracted.
        n = len(known)
        factor = self.marginal(np.concatenate([known, unknown]))._cholesky
        transposed = factor.transpose(0, 2, 1)
        coefficients = np.linalg.solve(transposed[:, :n, :n], transposed[:, :n, n:])
        left = factor[:, n:, n:] @ transposed[:, n:, n:]
        left = left.reshape(*self.values.shape[:-2], *left.shape[1:])
        return coefficients.transpose(0, 2, 1), self.marginal(unknown).unchecked(left)

    @staticmethod
    def in_units(moments: np.ndarray, units: np.ndarray) -> np.ndarray:
        roots = np.sqrt(units)
        return moments / (roots[:, None] * roots)

    @staticmethod
    def of_variances(variances: np.ndarray) -> np.ndarray:
        return variances[:, :, None] * np.eye(variances.shape[1])

    @staticmethod
    def embedded(moments: np.ndarray, features: np.ndarray, n_features: int) -> np.ndarray:
        whole = np.zeros((len(moments), n_features, n_features))
        whole[:, features[:, None], features] = moments
        return whole


class DiagonalCovariance(Covariance):
    """Structures with variances only: whitening by standard deviations, moments (k, d)."""

    shape = ("n_components", "n_features")

    @staticmethod
    def _one(n_features: int) -> np.ndarray:
        return np.ones(())

    @cached_property
    def _positive(self) -> np.ndarray:
        # As a Cholesky factorisation does, where a variance has come out as 0 or below.
        if not (self.stack > 0).all():
            raise np.linalg.LinAlgError("variances must be above 0")
        return self.stack

    @cached_property
    def _deviations(self) -> np.ndarray:
        return np.sqrt(self._positive)

    def scores(self, whitened: np.ndarray) -> np.ndarray:
        return (whitened * whitened - 1) / np.sqrt(2)

    def coordinates(self, new: Self, n_features: int) -> np.ndarray:
        return np.log(new.stack / self.stack) / np.sqrt(2)

    def at(self, coordinates: np.ndarray, n_features: int) -> Self:
        variances = self.stack * np.exp(np.sqrt(2) * coordinates)
        return self.unchecked(variances.reshape(self.values.shape))

    def tangents(self, n_features: int) -> np.ndarray:
        return self.stack[:, None] * (np.sqrt(2) * np.eye(n_features))

    def _check_positive(self) -> None:
        if (self.values <= 0).any():
            raise ValueError(
                f"{type(self).__name__} values must be positive variances; "
                f"got {self.values.min():.3g}"
            )

    def whiten(self, residuals: np.ndarray) -> np.ndarray:
        return residuals / self._deviations[:, :, None]

    def colour(self, whitened: np.ndarray) -> np.ndarray:
        return whitened * self._deviations[:, :, None]

    def log_det(self, n_features: int) -> np.ndarray:
        logs = 2 * np.log(self._deviations)
        return np.broadcast_to(logs, (len(logs), n_features)).sum(axis=1)

    def trace(self, moments: np.ndarray) -> np.ndarray:
        return (moments * self.precisions).sum(axis=1)

    def unwhiten(self, second: np.ndarray) -> np.ndarray:
        return second * self.stack

    @staticmethod
    def scatter(whitened: np.ndarray, responsibilities: np.ndarray) -> np.ndarray:
        return ((whitened * whitened) @ responsibilities[:, :, None])[:, :, 0]

    @staticmethod
    def n_pairs(n_features: int) -> int:
        return n_features

    @staticmethod
    def pairs(z: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return np.multiply(z, z, out=out)

    @staticmethod
    def packed(matrices: np.ndarray) -> np.ndarray:
        return matrices

    @staticmethod
    def unpacked(totals: np.ndarray, n_features: int) -> np.ndarray:
        return totals

    @cached_property
    def precisions(self) -> np.ndarray:
        return 1 / self._positive

    def precision_times(self, vectors: np.ndarray) -> np.ndarray:
        return self.precisions * vectors

    def magnitude(self, extent: np.ndarray) -> np.ndarray:
        return (self.precisions * extent**2).sum(axis=1)

    @staticmethod
    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a * b

    @staticmethod
    def smallest(moments: np.ndarray) -> np.ndarray:
        return moments.min(axis=1)

    def conditioning(self) -> np.ndarray:
        return np.ones(len(self.stack))

    def relative_to(self, reference: Covariance) -> np.ndarray:
        return self.smallest(self.stack / reference.stack)

    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        return self.unchecked(np.maximum(self.values, floor)), (self.stack < floor).any(axis=1)

    def ridged(self, ridge: float) -> Self:
        return self.unchecked(self.values + ridge)

    def inverse(self) -> Self:
        return type(self)(1 / self.values)

    def precision_factor(self) -> np.ndarray:
        return np.asarray(1 / np.sqrt(self.values))

    def dense(self, n_components: int, n_features: int) -> np.ndarray:
        variances = np.broadcast_to(self.stack, (n_components, n_features))
        return variances[:, :, None] * np.eye(n_features)

    def moments(self, n_components: int, n_features: int) -> np.ndarray:
        return np.broadcast_to(self.stack, (n_components, n_features))

    def marginal(self, features: np.ndarray) -> Covariance:
        return self.unchecked(self.values[..., features])

    def given(self, known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, Covariance]:
        return np.zeros((1, len(unknown), len(known))), self.marginal(unknown)

    @staticmethod
    def in_units(moments: np.ndarray, units: np.ndarray) -> np.ndarray:
        return moments / units

    @staticmethod
    def of_variances(variances: np.ndarray) -> np.ndarray:
        return variances

    @staticmethod
    def embedded(moments: np.ndarray, features: np.ndarray, n_features: int) -> np.ndarray:
        whole = np.zeros((len(moments), n_features))
        whole[:, features] = moments
        return whole
