"""The base classes of the covariance structures and of their coordinates.

`MatrixCovariance` and `DiagonalCovariance` derive from `Covariance` and implement whitening; the
fourteen structures derive from one of those and define what the components share. A `Chart` gives
the coordinates of the structures near one of them.

Shapes: k components, d features, b samples in a block. Samples are on the last axis, so that the
long axis is contiguous. Every array may have leading axes, of many fits; all axes are counted from
the end. A structure that holds the covariances of many fits is a *stack*. What a singular
covariance makes undefined is NaN, for this covariance only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from gmmlab._validation import check_numeric, read_only
from gmmlab.covariance.moments import Moments


@dataclass(frozen=True, eq=False)
class Covariance(ABC):
    """Base class of the covariance structures.

    A structure is an immutable value that holds the covariances Σₖ of all components.

    Parameters
    ----------
    values : array_like
        Covariances or variances, in squared data units; each structure has its own shape.

    Raises
    ------
    TypeError
        If `values` are not real numbers.
    ValueError
        If `values` have the wrong shape, are not finite, or are not symmetric positive definite.
    """

    values: np.ndarray

    #: the structure's name, as in ``GaussianMixture(covariance_type=…)``
    name: ClassVar[str]
    #: volume, shape and orientation of Σₖ = λₖ Dₖ Aₖ Dₖᵀ: E for equal in all components, V for
    #: variable, I for the identity
    model: ClassVar[str]
    #: dimensions of `values`
    shape: ClassVar[tuple[str, ...]]
    #: whether components share some of volume, shape and orientation, but not all. At a maximum
    #: of the likelihood, the covariances then differ from the second moments, and a chart has
    #: more coordinates than `n_parameters`.
    curved: ClassVar[bool] = False
    #: the form of the second moments from which the structure is estimated
    moments: ClassVar[Moments]
    #: names of cached tuples of arrays that go along when fits are selected or joined
    carried: ClassVar[tuple[str, ...]] = ()
    #: the coordinates that `chart` returns
    chart_class: ClassVar[type[Chart]]

    # ---- the value -----------------------------------------------------------------------

    def __post_init__(self) -> None:
        values = check_numeric(self.values, name=f"{type(self).__name__} values")
        if values.ndim != len(self.shape) or 0 in values.shape:
            raise ValueError(
                f"{type(self).__name__} values must have shape ({', '.join(self.shape)}); "
                f"got {values.shape}"
            )
        object.__setattr__(self, "values", read_only(self._checked(values)))

    @classmethod
    @abstractmethod
    def _checked(cls, values: np.ndarray) -> np.ndarray:
        """Return symmetric values; raise a ValueError unless they are positive definite."""

    @classmethod
    def unchecked(cls, values: np.ndarray) -> Self:
        """Build a structure without checks, for values that EM has computed.

        They may be singular, and they may be a stack, with leading axes.
        """
        self = object.__new__(cls)
        values = np.asarray(values)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        return self

    @classmethod
    def unit(cls, n_components: int, n_features: int) -> Self:
        """Return identity covariances."""
        sizes = {"n_components": n_components, "n_features": n_features}
        shape = tuple(sizes[dimension] for dimension in cls.shape)
        return cls.unchecked(np.broadcast_to(cls.moments.identity(n_features), shape).copy())

    def __reduce__(self) -> tuple[Any, ...]:  # a copy is read-only too
        return self.unchecked, (self.values,)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Covariance):
            return NotImplemented
        return type(self) is type(other) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((type(self), (self.values + 0.0).tobytes()))  # −0 equals 0

    @property
    def stack(self) -> np.ndarray:
        """`values` with axes of length 1 where components or features share a number."""
        return self.values

    def dense(self, n_components: int, n_features: int) -> np.ndarray:
        """Return all covariances as a new array of matrices, shape (k, d, d)."""
        return self.moments.dense(self.stack, n_components, n_features)

    def take(self, order: np.ndarray) -> Self:
        """Return the structure with its components in the given order."""
        return self.unchecked(self.values.take(order, axis=-len(self.shape)))

    # ---- stacks --------------------------------------------------------------------------

    @classmethod
    def stacked(cls, members: Sequence[Self]) -> Self:
        """Return a stack of structures of the same shape."""
        return cls._joined(lambda *values: np.stack(values), *members)

    @classmethod
    def concatenated(cls, stacks: Sequence[Self]) -> Self:
        """Return the structures of several stacks as one stack."""
        return cls._joined(lambda *values: np.concatenate(values), *stacks)

    def select(self, fits: Any) -> Self:
        """Return the covariances of some fits of a stack.

        `fits` is an index of the leading axis, a slice, an array of indices, or a mask.
        """
        return self._joined(lambda values: values[fits], self)

    def replaced(self, fits: Any, by: Self) -> Self:
        """Return a stack in which the covariances of some fits are those of another stack."""

        def changed(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
            values = mine.copy()
            values[fits] = theirs
            return values

        return self._joined(changed, self, by)

    @classmethod
    def _joined(cls, change: Callable[..., np.ndarray], *members: Self) -> Self:
        """Apply a change to the values, and to those of `carried` that all members have."""
        new = cls.unchecked(change(*(member.values for member in members)))
        for name in cls.carried:
            if all(name in member.__dict__ for member in members):
                arrays = zip(*(member.__dict__[name] for member in members), strict=True)
                new.__dict__[name] = tuple(change(*each) for each in arrays)
        return new

    # ---- parts ---------------------------------------------------------------------------

    @abstractmethod
    def marginal(self, features: np.ndarray) -> Covariance:
        """Return the covariances of some of the features.

        The result has the same structure if it can. Equal volumes and equal axes do not stay
        equal without the other features, so structures with these become `Diagonal` or `Full`.
        """

    @abstractmethod
    def given(self, known: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, Covariance]:
        """Return the regression of unknown on known features, and the conditional covariances.

        The coefficients are Σᵤₖ Σₖₖ⁻¹, shape (k, n_unknown, n_known), and the covariances
        Σᵤᵤ − Σᵤₖ Σₖₖ⁻¹ Σₖᵤ (Bishop 2006, equations 2.81 and 2.82).
        """

    # ---- counting ------------------------------------------------------------------------

    @classmethod
    def n_parameters(cls, n_components: int, n_features: int) -> int:
        """Return the number of free parameters.

        A volume has 1, a shape d − 1 and an orientation d (d − 1) / 2, each counted once if it
        is equal in all components and k times if it is variable (Celeux and Govaert 1995,
        table 1).
        """
        d = n_features
        times = {"E": 1, "V": n_components, "I": 0}
        sizes = (1, d - 1, d * (d - 1) // 2)
        return sum(times[letter] * size for letter, size in zip(cls.model, sizes, strict=True))

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        """Return how many samples a component needs for a positive definite estimate.

        A component with its own shape and orientation needs d + 1 samples, and one with its own
        volume or shape needs 2. Otherwise one is enough: the other components determine the rest.
        """
        volume, shape, orientation = cls.model
        if shape == orientation == "V":
            return n_features + 1
        return 2 if "V" in (volume, shape) else 1

    # ---- whitening -----------------------------------------------------------------------

    @abstractmethod
    def whiten(self, residuals: np.ndarray) -> np.ndarray:
        """Return y = C⁻¹ (x − μ) (E1) for residuals (k, d, b), where Σ = C Cᵀ."""

    @abstractmethod
    def colour(self, y: np.ndarray) -> np.ndarray:
        """Return C y for y (k, d, b), the inverse of `whiten`."""

    @abstractmethod
    def whiten_moments(self, moments: np.ndarray) -> np.ndarray:
        """Return C⁻¹ M C⁻ᵀ for second moments M in data coordinates."""

    @abstractmethod
    def colour_moments(self, moments: np.ndarray) -> np.ndarray:
        """Return C S Cᵀ (W2) for second moments S in whitened coordinates."""

    @abstractmethod
    def log_det(self, n_features: int) -> np.ndarray:
        """Return log |Σₖ|, shape (k,), or (1,) if all components share one covariance."""

    @abstractmethod
    def trace(self, moments: np.ndarray) -> np.ndarray:
        """Return tr(Σₖ⁻¹ Mₖ), shape (k,), for second moments M in data coordinates."""

    @property
    @abstractmethod
    def precisions(self) -> np.ndarray:
        """Σₖ⁻¹ in the form of the moments, with axes of length 1 as in `stack`."""

    def relative_to(self, reference: Covariance) -> np.ndarray:
        """Return the smallest eigenvalue of R⁻¹ᐟ² Σₖ R⁻¹ᐟ² for each k, where R is `reference`."""
        return self.moments.smallest(reference.whiten_moments(self.stack))

    # ---- estimation ----------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        """Return the maximum-likelihood estimate for Nₖ (k,) and second moments Mₖ (M4).

        It minimises Σₖ Nₖ (log|Σₖ| + tr Σₖ⁻¹ Mₖ) (G10).
        """

    def update(
        self,
        counts: np.ndarray,
        moments: np.ndarray,
        floor: np.ndarray | None = None,
        *,
        rough: bool = False,
    ) -> tuple[Self, np.ndarray]:
        """Return the covariances after an M-step, and which of them the floor has raised.

        The result is `estimate`, subject to Σₖ ⪰ diag(floor) if there is a floor. Iterative
        estimators start from the current value, so the result is never less likely than that. A
        `rough` update takes a few steps of them only.
        """
        new = self.estimate(counts, moments)
        return (new, new.untouched()) if floor is None else new.clipped(floor)

    def untouched(self) -> np.ndarray:
        """Return False for each component, shape (k,), or (1,) if all share one covariance."""
        return np.zeros(self.stack.shape[: -self.moments.ndim], dtype=bool)

    @abstractmethod
    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        """Return the nearest structure with Σₖ ⪰ diag(floor), and which components changed.

        It maximises the expected log-likelihood −N/2 (log|Σ| + tr Σ⁻¹ M) under that bound, where
        M are the covariances before (S9): eigenvalues below 1, in units of the floor, are raised
        to 1, and eigenvectors are kept.
        """

    def ridged(self, ridge: float) -> Self:
        """Return the structure with `ridge` added to every variance."""
        return self.unchecked(self.values + ridge * self.moments.identity(self.stack.shape[-1]))

    # ---- coordinates ---------------------------------------------------------------------

    def chart(self, n_features: int) -> Chart:
        """Return coordinates of the structures near this one."""
        return self.chart_class(self, n_features)


class Chart(ABC):
    """Coordinates of the structures near `origin`.

    In linear structures, the coordinates are those of a symmetric matrix A, and Σ moves from C Cᵀ
    to C exp(√2 A) Cᵀ (I1). In a curved structure, every component has coordinates of all that it
    shares, and structures that share something have coordinates that share it, so sums and
    multiples of coordinates are coordinates of the structure.

    Parameters
    ----------
    origin : Covariance
        The structure with coordinates 0.
    n_features : int
        The number of features d.
    """

    def __init__(self, origin: Covariance, n_features: int) -> None:
        self.origin = origin
        self.n_features = n_features

    @abstractmethod
    def scores(self, y: np.ndarray) -> np.ndarray:
        """Return the derivatives of log N at A = 0, shape (q, b), for whitened samples y (d, b).

        They are second Hermite polynomials of y. Only for linear structures.
        """

    @abstractmethod
    def of(self, new: Covariance) -> np.ndarray:
        """Return the coordinates of another value of the same structure, shape (k, q)."""

    @abstractmethod
    def at(self, coordinates: np.ndarray) -> Covariance:
        """Return the structure that has these coordinates (k, q)."""

    @abstractmethod
    def tangents(self) -> np.ndarray:
        """Return the derivatives of Σ at A = 0, shape (k, q) plus the shape of one moment.

        Only for linear structures.
        """
