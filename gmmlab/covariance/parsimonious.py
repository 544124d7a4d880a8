"""The eight structures whose components share some of volume, shape and orientation.

They are *curved*: an average of two values of such a structure is in general not a value of it.
Their `values` are the covariances of all components, as in `Full` or `Diagonal`. The module
`gmmlab.covariance.estimation` has the searches of the M-steps.

The M-step with a floor is the optimum under Σₖ ⪰ diag(floor), found by iteration. A change of the
units of single features does not preserve EEV, VEV, EVE and VVE, so these apply the largest of the
floors to all features, like EII and VII. A ridge is added to each Σₖ, and the result is the
nearest value of the structure.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Self

import numpy as np

from gmmlab.covariance import estimation
from gmmlab.covariance._linalg import cholesky, eigh, identity
from gmmlab.covariance.base import Covariance
from gmmlab.covariance.charts import MatrixChart, OrientedChart
from gmmlab.covariance.matrices import MatrixCovariance
from gmmlab.covariance.structures import Diagonal, Full
from gmmlab.covariance.variances import DiagonalCovariance

# Values are of the structure if they are less likely than the nearest of the structure by no more
# than this. What they share may then differ by about the square root of it, as it does in single
# precision and in printed numbers.
_SHARED = 1e-8
# A second moment with a smaller ratio of eigenvalues is of samples in fewer dimensions.
_FLAT = 1e-10
# A covariance is on the floor if its smallest eigenvalue, in units of the floor, is at most this.
_ON_FLOOR = 1 + 1e-9


class Curved(Covariance):
    """Base class of the structures that share some, but not all, of their parts."""

    curved = True

    def __post_init__(self) -> None:
        super().__post_init__()
        d = self.values.shape[-1]
        nearest = self.estimate(self._ones(), self.values)
        # Twice the Kullback-Leibler divergence of each component
        excess = nearest.log_det(d) + nearest.trace(self.values) - self.log_det(d) - d
        rounding = 64 * np.finfo(float).eps / self.moments.conditioning(self.values).min()
        if not excess.max() <= d * max(_SHARED, rounding):
            parts = zip(self.model, ("volume", "shape", "orientation"), strict=True)
            shared = " and ".join(part for letter, part in parts if letter == "E")
            raise ValueError(
                f"{self.name} values must have the same {shared} in every component; "
                f"got {self.values.tolist()}"
            )

    # ---- what each structure defines -----------------------------------------------------

    @staticmethod
    def _shared(
        counts: np.ndarray,
        moments: np.ndarray,
        bounded: bool = False,
        near: np.ndarray | None = None,
        rough: bool = False,
    ) -> np.ndarray:
        """Return the most likely covariances with the volumes and shapes of the structure.

        `near` are log-volumes (k,) from which a search may start.
        """
        raise NotImplementedError

    @classmethod
    def _searched(
        cls,
        counts: np.ndarray,
        moments: np.ndarray,
        near: Self | None,
        bounded: bool,
        rough: bool = False,
    ) -> Self:
        """Return the most likely covariances of the structure, with Σₖ ⪰ I if `bounded`.

        A `rough` search takes a few steps only.
        """
        begin = cls._log_volumes(near)
        return cls.unchecked(cls._shared(counts, moments, bounded, begin, rough))

    @classmethod
    def _log_volumes(cls, near: Self | None) -> np.ndarray | None:
        """Return where to begin a search for variable volumes."""
        if near is None or cls.model[0] == "E":
            return None
        d = near.values.shape[-1]
        return near.log_det(d) / d

    def _ones(self) -> np.ndarray:
        """Return equal counts, shape (k,)."""
        return np.ones(self.values.shape[: -self.moments.ndim])

    @staticmethod
    def _units(floor: np.ndarray) -> np.ndarray:
        """Return units that preserve the structure and in which no floor is above 1."""
        return floor

    def _scaled(self, units: np.ndarray) -> Self:
        """Return the structure for features divided by the square roots of `units`."""
        return self.unchecked(self.moments.in_units(self.values, units))

    # ---- estimation ----------------------------------------------------------------------

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls._searched(counts, moments, None, bounded=False)

    def update(
        self,
        counts: np.ndarray,
        moments: np.ndarray,
        floor: np.ndarray | None = None,
        *,
        rough: bool = False,
    ) -> tuple[Self, np.ndarray]:
        new = self._searched(counts, moments, self, bounded=False, rough=rough)
        touched = new.untouched()
        low = None if floor is None else new._low(floor)
        if low is None:
            return new, touched
        units = self._units(_of(floor, low))
        scaled = self.moments.in_units(moments[low], units)
        part = self._searched(counts[low], scaled, self.select(low), bounded=True)
        part = part._scaled(1 / units)
        touched[low] = part._relative(units) <= _ON_FLOOR
        return new.replaced(low, part), touched

    def _low(self, floor: np.ndarray) -> np.ndarray | None:
        """Return a mask of the fits that are below the floor, or None if there are none.

        The mask of one fit is a scalar, which selects a stack of one.
        """
        if self.moments.all_above(self.values, self._units(floor)):
            return None
        low = np.asarray(~(self._relative(floor) >= 1).all(axis=-1))
        return low if low.any() else None

    def _relative(self, floor: np.ndarray) -> np.ndarray:
        """Return the smallest eigenvalue of each covariance in units of the floor, (k,)."""
        return self.moments.smallest(self.moments.in_units(self.values, self._units(floor)))

    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        touched, low = self.untouched(), self._low(floor)
        if low is None:
            return self, touched
        part = self.select(low)
        part, touched[low] = part.update(part._ones(), part.values, _of(floor, low))
        return self.replaced(low, part), touched

    def ridged(self, ridge: float) -> Self:
        if ridge == 0:
            return self
        widened = self.values + ridge * self.moments.identity(self.values.shape[-1])
        return self._searched(self._ones(), widened, self, bounded=False)


def _of(floor: np.ndarray, fits: np.ndarray) -> np.ndarray:
    """Return the floors (n, d) of some fits; a floor (d,) is that of all fits."""
    return np.broadcast_to(floor, (*fits.shape, floor.shape[-1]))[fits]


# ---- along the features, or of one orientation and shape --------------------------------------


class VEI(Curved, DiagonalCovariance):
    """Variable volumes and one shape, along the features: Σₖ = λₖ A.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features)
        Positive variances, in squared data units; each row a multiple of every other.

    Raises
    ------
    ValueError
        Also if the rows have different shapes.

    Notes
    -----
    The M-step has no closed form; see `gmmlab.covariance.estimation.proportional`
    (Celeux and Govaert 1995).
    """

    name = model = "VEI"
    _shared = staticmethod(estimation.proportional)


class EVI(Curved, DiagonalCovariance):
    """One volume and variable shapes, along the features: Σₖ = λ Aₖ.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features)
        Positive variances, in squared data units; all rows with the same product.

    Raises
    ------
    ValueError
        Also if the rows have different products.

    Notes
    -----
    The M-step is Aₖ = diag Mₖ / |diag Mₖ|^(1/d) and λ = Σₖ Nₖ |diag Mₖ|^(1/d) / n (S7; Celeux
    and Govaert 1995).
    """

    name = model = "EVI"
    _shared = staticmethod(estimation.equal_volume)

    def marginal(self, features: np.ndarray) -> Covariance:
        kind = EVI if len(features) == self.values.shape[-1] else Diagonal
        return kind.unchecked(self.values[..., features])


class VEE(Curved, MatrixCovariance):
    """Variable volumes, one shape and one orientation: Σₖ = λₖ C.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features, n_features)
        Symmetric positive definite matrices, in squared data units; each a multiple of every
        other.

    Raises
    ------
    ValueError
        Also if one matrix is not a multiple of another.

    Notes
    -----
    The M-step has no closed form; see `gmmlab.covariance.estimation.proportional`
    (Celeux and Govaert 1995).
    """

    name = model = "VEE"
    _shared = staticmethod(estimation.proportional)


# ---- with axes ---------------------------------------------------------------------------------


class Oriented(Curved, MatrixCovariance):
    """Base class of Σₖ = Dₖ Λₖ Dₖᵀ with conditions on the variances Λ, or with Dₖ = D."""

    chart_class = OrientedChart

    @property
    def decomposition(self) -> tuple[np.ndarray, np.ndarray]:
        """Variances Λ (k, d) and axes D, (k, d, d), or (1, d, d) if the components share them."""
        raise NotImplementedError

    @classmethod
    def composed(cls, variances: np.ndarray, axes: np.ndarray) -> Self:
        """Return the structure with these variances along these axes."""
        factor = axes * np.sqrt(variances)[..., None, :]
        return cls.unchecked(factor @ factor.swapaxes(-1, -2))

    @staticmethod
    def _units(floor: np.ndarray) -> np.ndarray:
        # Equal shapes or axes are preserved only if all features have the same unit.
        return np.broadcast_to(floor.max(axis=-1, keepdims=True), floor.shape)

    def marginal(self, features: np.ndarray) -> Covariance:
        kind = type(self) if len(features) == self.values.shape[-1] else Full
        return kind.unchecked(self.values[..., features[:, None], features])


class _OwnAxes(Oriented):
    """Structures in which each component has its own orientation."""

    @cached_property
    def decomposition(self) -> tuple[np.ndarray, np.ndarray]:
        return estimation.own_axes(self.values)

    @classmethod
    def _searched(
        cls,
        counts: np.ndarray,
        moments: np.ndarray,
        near: Self | None,
        bounded: bool,
        rough: bool = False,
    ) -> Self:
        variances, axes = estimation.own_axes(moments)
        found = cls._shared(counts, variances, bounded, cls._log_volumes(near), rough)
        return cls.composed(found, axes)


class EEV(_OwnAxes):
    """One volume and shape, variable orientations: Σₖ = λ Dₖ A Dₖᵀ.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features, n_features)
        Symmetric positive definite matrices, in squared data units; all with the same eigenvalues.

    Raises
    ------
    ValueError
        Also if the eigenvalues differ.

    Notes
    -----
    The M-step takes Dₖ from Mₖ = Dₖ Ωₖ Dₖᵀ, with eigenvalues in order, and λ A = Σₖ Nₖ Ωₖ / n
    (Celeux and Govaert 1995).
    """

    name = model = "EEV"
    _shared = staticmethod(estimation.equal)


class VEV(_OwnAxes):
    """One shape, variable volumes and orientations: Σₖ = λₖ Dₖ A Dₖᵀ.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features, n_features)
        Symmetric positive definite matrices, in squared data units; the eigenvalues of each a
        multiple of those of every other.

    Raises
    ------
    ValueError
        Also if the ratios of eigenvalues differ.

    Notes
    -----
    The M-step takes Dₖ from Mₖ = Dₖ Ωₖ Dₖᵀ, with eigenvalues in order, and estimates λₖ A from Ωₖ
    as `VEI` does from variances (Celeux and Govaert 1995).
    """

    name = model = "VEV"
    _shared = staticmethod(estimation.proportional)


class EVV(_OwnAxes):
    """One volume, variable shapes and orientations: Σₖ = λ Dₖ Aₖ Dₖᵀ.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features, n_features)
        Symmetric positive definite matrices, in squared data units; all with the same determinant.

    Raises
    ------
    ValueError
        Also if the determinants differ.

    Notes
    -----
    The M-step is Σₖ = λ Mₖ / |Mₖ|^(1/d) with λ = Σₖ Nₖ |Mₖ|^(1/d) / n
    (Celeux and Govaert 1995).
    """

    name = model = "EVV"
    _shared = staticmethod(estimation.equal_volume)
    # Equal determinants stay equal in other units, and in the coordinates of all matrices.
    _units = staticmethod(Curved._units)
    chart_class = MatrixChart

    @classmethod
    def _searched(
        cls,
        counts: np.ndarray,
        moments: np.ndarray,
        near: Self | None,
        bounded: bool,
        rough: bool = False,
    ) -> Self:
        if bounded:
            return super()._searched(counts, moments, near, bounded, rough)
        # Without a bound, determinants are enough.
        logs = 2 * np.log(cholesky(moments).diagonal(axis1=-2, axis2=-1)).mean(axis=-1)
        factors = estimation.equalising(counts, logs)
        return cls.unchecked(moments * factors[..., None, None])


class _CommonAxes(Oriented):
    """Structures with one orientation and variable shapes."""

    carried = ("decomposition",)

    @cached_property
    def decomposition(self) -> tuple[np.ndarray, np.ndarray]:
        return self._axes(self._ones(), self.values, None, bounded=False)

    @classmethod
    def composed(cls, variances: np.ndarray, axes: np.ndarray) -> Self:
        new = super().composed(variances, axes)
        new.__dict__["decomposition"] = variances, axes  # saves the search
        return new

    def _scaled(self, units: np.ndarray) -> Self:
        variances, axes = self.decomposition
        return self.composed(variances / units[..., None, :], axes)

    @classmethod
    def _searched(
        cls,
        counts: np.ndarray,
        moments: np.ndarray,
        near: Self | None,
        bounded: bool,
        rough: bool = False,
    ) -> Self:
        return cls.composed(*cls._axes(counts, moments, near, bounded, rough))

    @classmethod
    def _axes(
        cls,
        counts: np.ndarray,
        moments: np.ndarray,
        near: Self | None,
        bounded: bool,
        rough: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the most likely variances (k, d), and the axes of all components (1, d, d)."""
        shared = partial(cls._shared, bounded=bounded)
        # Start from the axes of VVI and EEE.
        pooled = eigh(estimation.pooled(counts, moments))[1]
        features = identity(pooled.shape[-1])
        if near is None:
            # Also from those of VEE, and of each component that is not flat.
            multiple = estimation.proportional(counts, moments)[..., 0, :, :]
            eigenvalues, own = eigh(moments)
            flat = ~(eigenvalues[..., 0] > _FLAT * eigenvalues[..., -1])
            own = np.where(flat[..., None, None], features, own)
            own = np.moveaxis(own, -3, 0)
            begin = np.empty((3 + len(own), *pooled.shape))
            begin[0], begin[1], begin[2], begin[3:] = features, pooled, eigh(multiple)[1], own
        else:  # an EM step starts from the best of them and of the current axes
            begin = np.empty((3, *pooled.shape))
            begin[0], begin[1], begin[2] = features, pooled, near.decomposition[1][..., 0, :, :]
        variances, axes = estimation.common_axes(
            counts, moments, shared, begin, only_best=near is not None, rough=rough
        )
        return variances, axes[..., None, :, :]


class EVE(_CommonAxes):
    """One volume and orientation, variable shapes: Σₖ = λ D Aₖ Dᵀ.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features, n_features)
        Symmetric positive definite matrices, in squared data units; all with the same
        eigenvectors and the same determinant.

    Raises
    ------
    ValueError
        Also if eigenvectors or determinants differ.

    Notes
    -----
    The M-step rotates D until the likelihood no longer increases, with λ Aₖ estimated from
    diag Dᵀ Mₖ D as `EVI` does; see `gmmlab.covariance.estimation.common_axes` (Celeux and Govaert
    1995; Browne and McNicholas 2014). The result is never less likely than the D before; it is a
    local maximum.
    """

    name = model = "EVE"
    _shared = staticmethod(estimation.equal_volume)


class VVE(_CommonAxes):
    """One orientation, variable volumes and shapes: Σₖ = λₖ D Aₖ Dᵀ, common principal axes.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features, n_features)
        Symmetric positive definite matrices, in squared data units; all with the same
        eigenvectors.

    Raises
    ------
    ValueError
        Also if eigenvectors differ.

    Notes
    -----
    The M-step rotates D until the likelihood with Λₖ = diag Dᵀ Mₖ D no longer increases; see
    `gmmlab.covariance.estimation.common_axes` (Flury 1984; Celeux and Govaert 1995; Browne and
    McNicholas 2014). The result is never less likely than the D before; it is a local maximum.
    """

    name = model = "VVE"
    _shared = staticmethod(estimation.free)
