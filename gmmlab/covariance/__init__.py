"""Covariance structures: what the components' covariances have in common.

Every covariance is Σₖ = λₖ Dₖ Aₖ Dₖᵀ (S6), with a volume λₖ = |Σₖ|^(1/d), a shape Aₖ, diagonal with
|Aₖ| = 1, and an orientation Dₖ, orthogonal. Each of the three is Equal in all components or
Variable, or I: spheres have no shape, and what lies along the features has no orientation. Three
letters name a model (Celeux and Govaert 1995; Scrucca et al. 2016), and four are better known
by other names:

=====  =====================  =========  ===============================  =====================
model  structure              values     covariances                      free numbers
=====  =====================  =========  ===============================  =====================
EII    :class:`EII`           ()         λ I                              1
VII    :class:`Spherical`     (k,)       λₖ I                             k
EEI    :class:`EEI`           (d,)       λ A                              d
VEI    :class:`VEI`           (k, d)     λₖ A                             k + d − 1
EVI    :class:`EVI`           (k, d)     λ Aₖ                             1 + k (d − 1)
VVI    :class:`Diagonal`      (k, d)     λₖ Aₖ                            k d
EEE    :class:`Tied`          (d, d)     λ D A Dᵀ                         d + p
VEE    :class:`VEE`           (k, d, d)  λₖ D A Dᵀ                        k + d − 1 + p
EVE    :class:`EVE`           (k, d, d)  λ D Aₖ Dᵀ                        1 + k (d − 1) + p
VVE    :class:`VVE`           (k, d, d)  λₖ D Aₖ Dᵀ                       k d + p
EEV    :class:`EEV`           (k, d, d)  λ Dₖ A Dₖᵀ                       d + k p
VEV    :class:`VEV`           (k, d, d)  λₖ Dₖ A Dₖᵀ                      k + d − 1 + k p
EVV    :class:`EVV`           (k, d, d)  λ Dₖ Aₖ Dₖᵀ                      1 + k (d − 1) + k p
VVV    :class:`Full`          (k, d, d)  λₖ Dₖ Aₖ Dₖᵀ                     k d + k p
=====  =====================  =========  ===============================  =====================

with p = d (d − 1) / 2. A structure is a value. It knows how to whiten a residual, how it is
estimated from second moments and how many free numbers it holds; nothing else in gmmlab asks
which one it is. How to whiten it has from its family, in `families`; how shared parts are
estimated is in `parsimonious`.

Six structures are linear: all components share one covariance, or each has its own. The
others are `curved`. For those, a floor is the optimum under Σₖ ⪰ diag(floor) too, found by
iteration, but EEV, VEV, EVE and VVE, which are not themselves in other units of single features,
take the largest of the floors for all (as EII and VII do). A ridge is added to Σₖ, and the nearest
of the structure taken. Each can be accelerated; the gain that remains is not estimated.
"""

from __future__ import annotations

from functools import cached_property
from typing import Self

import numpy as np

from gmmlab.covariance import estimation as parsimonious
from gmmlab.covariance.base import Covariance, DiagonalCovariance, MatrixCovariance

# Values may be this much less likely than the nearest of their structure: what they should share
# then differs by about the square root, as single precision and printed numbers make it.
_SHARED = 1e-8
# Moments of so small a ratio of eigenvalues are of samples that lie in fewer dimensions.
_FLAT = 1e-10
# A smallest eigenvalue this near the floor is on it.
_ON_FLOOR = 1 + 1e-9


# ---- each component has its own, or all share one ----------------------------------------


class _One(Covariance):
    """Structures of one covariance, which all components share."""

    @property
    def stack(self) -> np.ndarray:
        return self.values[None]

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls.unchecked(parsimonious.pooled(counts, moments))

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 1  # the others help out

    def take(self, order: np.ndarray) -> Self:
        return self


class Full(MatrixCovariance):
    """Every component has a covariance matrix of its own: VVV.

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

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls.unchecked(moments)

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return n_features + 1


class Tied(_One, MatrixCovariance):
    """All components share one covariance matrix: EEE.

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


class Diagonal(DiagonalCovariance):
    """Every component has variances of its own and no correlation: VVI.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features)
        Positive variances, in squared data units.

    Notes
    -----
    The M-step is the diagonal of the full one (S2).
    """

    name, model = "diag", "VVI"

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls.unchecked(moments)

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 2


class EEI(_One, DiagonalCovariance):
    """All components share the same variances, without correlation.

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


class _Round(DiagonalCovariance):
    """Structures with the same variance in every direction."""

    def scores(self, whitened: np.ndarray) -> np.ndarray:
        d = len(whitened)
        return ((whitened * whitened).sum(axis=0, keepdims=True) - d) / np.sqrt(2 * d)

    def coordinates(self, new: Self, n_features: int) -> np.ndarray:
        return np.log(new.stack / self.stack) * np.sqrt(n_features / 2)

    def at(self, coordinates: np.ndarray, n_features: int) -> Self:
        variances = self.stack * np.exp(coordinates / np.sqrt(n_features / 2))
        return self.unchecked(variances.reshape(self.values.shape))

    def tangents(self, n_features: int) -> np.ndarray:
        return self.stack[:, None] / np.sqrt(n_features / 2)

    def marginal(self, features: np.ndarray) -> Self:
        return self

    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        # σ² I ⪰ diag(floor) asks for the largest of the floors
        least = floor.max()
        return self.unchecked(np.maximum(self.values, least)), self.stack[:, 0] < least


class Spherical(_Round):
    """Every component has one variance, the same in every direction: VII.

    Parameters
    ----------
    values : array_like, shape (n_components,)
        Positive variances, in squared data units.

    Notes
    -----
    The M-step is σₖ² = tr Mₖ / d: the mean of the diagonal one (S3).
    """

    name, model = "spherical", "VII"
    shape = ("n_components",)

    @property
    def stack(self) -> np.ndarray:
        return self.values[:, None]

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls.unchecked(moments.mean(axis=1))

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 2


class EII(_One, _Round):
    """All components share one variance, the same in every direction.

    Parameters
    ----------
    values : float
        A positive variance, in squared data units.

    Notes
    -----
    The M-step is σ² = Σₖ Nₖ tr Mₖ / (n d) (S5; Celeux and Govaert 1995). Where σ² is known
    and goes to 0, EM becomes k-means (K4; Bishop 2006, section 9.3.2).
    """

    name = model = "EII"
    shape = ()

    @property
    def stack(self) -> np.ndarray:
        return self.values[None, None]

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls.unchecked(parsimonious.pooled(counts, moments).mean())


# ---- components share a part ---------------------------------------------------------------


class _Curved(Covariance):
    """Structures whose components share some of volume, shape and orientation.

    `values` are the covariances themselves, as those of the loosest structure of the family.
    """

    curved = True

    def __post_init__(self) -> None:
        super().__post_init__()
        k, d = self.values.shape[:2]
        nearest = self.estimate(np.ones(k), self.values)
        # Twice the Kullback-Leibler divergence, for each component
        excess = nearest.log_det(d) + nearest.trace(self.values) - self.log_det(d) - d
        rounding = 64 * np.finfo(float).eps / self.conditioning().min()
        if not excess.max() <= d * max(_SHARED, rounding):
            parts = zip(self.model, ("volume", "shape", "orientation"), strict=True)
            shared = " and ".join(part for letter, part in parts if letter == "E")
            raise ValueError(
                f"{self.name} values must have the same {shared} in every component; "
                f"got {self.values.tolist()}"
            )

    @classmethod
    def estimate(cls, counts: np.ndarray, moments: np.ndarray) -> Self:
        return cls._optimum(counts, moments)

    @classmethod
    def _optimum(
        cls,
        counts: np.ndarray,
        moments: np.ndarray,
        near: Self | None = None,
        units: np.ndarray | None = None,
    ) -> Self:
        """Return the estimate, under Σₖ ⪰ diag(units) if they are given, searched from `near`."""
        if units is None:
            return cls._searched(counts, moments, near, bounded=False)
        found = cls._searched(counts, cls.in_units(moments, units), near, bounded=True)
        return found._scaled(1 / units)

    @staticmethod
    def _shared(
        counts: np.ndarray, moments: np.ndarray, bounded: bool, near: np.ndarray | None
    ) -> np.ndarray:
        """Return the best covariances with the volumes and shapes of the structure.

        `near` holds log-volumes (k,) that a search may begin at.
        """
        raise NotImplementedError

    @staticmethod
    def _log_volumes(near: Self | None, moments: np.ndarray) -> np.ndarray | None:
        d = moments.shape[1]
        try:
            return None if near is None else near.log_det(d) / d
        except np.linalg.LinAlgError:  # what is flat has no volume
            return None

    @classmethod
    def _searched(
        cls, counts: np.ndarray, moments: np.ndarray, near: Self | None, bounded: bool
    ) -> Self:
        begin = cls._log_volumes(near, moments)
        return cls.unchecked(cls._shared(counts, moments, bounded, begin))

    def _scaled(self, units: np.ndarray) -> Self:
        """Return the structure for features divided by the roots of `units`."""
        return self.unchecked(self.in_units(self.values, units))

    @staticmethod
    def _units(floor: np.ndarray) -> np.ndarray:
        """Return units in which the floor is 1 and the structure is the same."""
        return floor

    def update(
        self, counts: np.ndarray, moments: np.ndarray, floor: np.ndarray | None = None
    ) -> tuple[Self, np.ndarray]:
        new = self._optimum(counts, moments, self)
        if floor is None or (new._relative(floor) >= 1).all():
            return new, np.zeros(len(self.values), dtype=bool)
        new = self._optimum(counts, moments, self, self._units(floor))
        return new, new._relative(floor) <= _ON_FLOOR

    def _relative(self, floor: np.ndarray) -> np.ndarray:
        """Return the smallest eigenvalue of each covariance in units of the floor, (k,)."""
        return self.smallest(self.in_units(self.values, self._units(floor)))

    def clipped(self, floor: np.ndarray) -> tuple[Self, np.ndarray]:
        if (self._relative(floor) >= 1).all():
            return self, np.zeros(len(self.values), dtype=bool)
        return self.update(np.ones(len(self.values)), self.values, floor)

    def ridged(self, ridge: float) -> Self:
        if ridge == 0:
            return self
        k, d = self.values.shape[:2]
        widened = self.values + self.of_variances(np.full((k, d), ridge))
        return self._optimum(np.ones(k), widened, self)


class VEI(_Curved, DiagonalCovariance):
    """Volumes of their own, one shape, along the features: Σₖ = λₖ A.

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
    _shared = staticmethod(parsimonious.proportional)

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 2


class EVI(_Curved, DiagonalCovariance):
    """One volume, shapes of their own, along the features: Σₖ = λ Aₖ.

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
    _shared = staticmethod(parsimonious.equal_volume)

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 2

    def marginal(self, features: np.ndarray) -> Covariance:
        kind = EVI if len(features) == self.values.shape[1] else Diagonal
        return kind.unchecked(self.values[:, features])


class VEE(_Curved, MatrixCovariance):
    """Volumes of their own, one shape and orientation: Σₖ = λₖ C.

    Parameters
    ----------
    values : array_like, shape (n_components, n_features, n_features)
        Symmetric positive definite matrices, in squared data units; each a multiple of every
        other.

    Raises
    ------
    ValueError
        Also if one is no multiple of another.

    Notes
    -----
    The M-step has no closed form; see `gmmlab.covariance.estimation.proportional`
    (Celeux and Govaert 1995).
    """

    name = model = "VEE"
    _shared = staticmethod(parsimonious.proportional)

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 2


class _Oriented(_Curved, MatrixCovariance):
    """Structures that are Σₖ = Dₖ Λₖ Dₖᵀ with conditions on Λ, or Dₖ = D."""

    @property
    def _along(self) -> tuple[np.ndarray, np.ndarray]:
        """Variances Λ (k, d) and the axes D that they are along, (k, d, d) or (1, d, d)."""
        raise NotImplementedError

    @classmethod
    def _composed(cls, variances: np.ndarray, axes: np.ndarray) -> Self:
        values = (axes * variances[:, None, :]) @ axes.swapaxes(-1, -2)
        return cls.unchecked((values + values.swapaxes(1, 2)) / 2)

    @staticmethod
    def _units(floor: np.ndarray) -> np.ndarray:
        # In other units of single features, what has the same shape or axes has not.
        return np.full(len(floor), floor.max())

    def marginal(self, features: np.ndarray) -> Covariance:
        kind = type(self) if len(features) == self.values.shape[1] else Full
        return kind.unchecked(self.values[:, features[:, None], features])

    def coordinates(self, new: Self, n_features: int) -> np.ndarray:
        """Logarithms of Λ'/Λ, and S of the turn R = Dᵀ D' = (I − S)⁻¹ (I + S), S = −Sᵀ (Cayley)."""
        (variances, axes), (new_variances, new_axes) = self._along, new._along
        turn = axes.swapaxes(1, 2) @ new_axes
        # Axes have no direction: those are taken that are near, and make a turn, no reflection.
        diagonal = np.diagonal(turn, axis1=1, axis2=2)
        signs = np.where(diagonal < 0, -1.0, 1.0)
        far = np.abs(diagonal).argmin(axis=1)[:, None]
        reflected = np.linalg.det(turn * signs[:, None, :]) < 0
        far_signs = np.take_along_axis(signs, far, axis=1)
        np.put_along_axis(signs, far, np.where(reflected[:, None], -far_signs, far_signs), axis=1)
        turn *= signs[:, None, :]
        one = np.eye(n_features)
        skew = np.linalg.solve(turn + one, turn - one)[:, *np.triu_indices(n_features, 1)]
        logs = np.log(new_variances / variances) / np.sqrt(2)
        return np.hstack([logs, np.broadcast_to(2 * skew, (len(logs), skew.shape[1]))])

    def at(self, coordinates: np.ndarray, n_features: int) -> Self:
        variances, axes = self._along
        d, one = n_features, np.eye(n_features)
        skew = np.zeros((len(axes), d, d))
        rows, columns = np.triu_indices(d, 1)
        skew[:, rows, columns] = coordinates[: len(axes), d:] / 2
        skew -= skew.swapaxes(1, 2)
        axes = axes @ np.linalg.solve(one - skew, one + skew)
        return self._composed(variances * np.exp(np.sqrt(2) * coordinates[:, :d]), axes)


class _OwnAxes(_Oriented):
    """Structures with an orientation of each component's own."""

    @cached_property
    def _along(self) -> tuple[np.ndarray, np.ndarray]:
        return parsimonious.own_axes(self.values)

    @classmethod
    def _searched(
        cls, counts: np.ndarray, moments: np.ndarray, near: Self | None, bounded: bool
    ) -> Self:
        variances, axes = parsimonious.own_axes(moments)
        begin = cls._log_volumes(near, moments)
        return cls._composed(cls._shared(counts, variances, bounded, begin), axes)


class EEV(_OwnAxes):
    """One volume and shape, orientations of their own: Σₖ = λ Dₖ A Dₖᵀ.

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
    The M-step is Dₖ from Mₖ = Dₖ Ωₖ Dₖᵀ, eigenvalues in order, and λ A = Σₖ Nₖ Ωₖ / n
    (Celeux and Govaert 1995).
    """

    name = model = "EEV"
    _shared = staticmethod(parsimonious.equal)

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 1


class VEV(_OwnAxes):
    """One shape, volumes and orientations of their own: Σₖ = λₖ Dₖ A Dₖᵀ.

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
    The M-step is Dₖ from Mₖ = Dₖ Ωₖ Dₖᵀ, eigenvalues in order, and λₖ A from Ωₖ as VEI has it from
    variances (Celeux and Govaert 1995).
    """

    name = model = "VEV"
    _shared = staticmethod(parsimonious.proportional)

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 2


class EVV(_OwnAxes):
    """One volume, shapes and orientations of their own: Σₖ = λ Dₖ Aₖ Dₖᵀ.

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
    _shared = staticmethod(parsimonious.equal_volume)
    # Equal determinants stay equal in other units, and along any chart of matrices.
    _units = staticmethod(_Curved._units)
    coordinates, at = MatrixCovariance.coordinates, MatrixCovariance.at

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return n_features + 1


class _CommonAxes(_Oriented):
    """Structures with one orientation, but not one shape."""

    @cached_property
    def _along(self) -> tuple[np.ndarray, np.ndarray]:
        counts = np.ones(len(self.values))
        variances, axes = self._axes(counts, self.values, None, bounded=False)
        return variances, axes[None]

    @classmethod
    def _composed(cls, variances: np.ndarray, axes: np.ndarray) -> Self:
        made = super()._composed(variances, axes)
        made.__dict__["_along"] = variances, axes  # what would be found again
        return made

    def _scaled(self, units: np.ndarray) -> Self:
        variances, axes = self._along
        return self._composed(variances / units, axes)

    @classmethod
    def _searched(
        cls, counts: np.ndarray, moments: np.ndarray, near: Self | None, bounded: bool
    ) -> Self:
        variances, axes = cls._axes(counts, moments, near, bounded)
        return cls._composed(variances, axes[None])

    @classmethod
    def _axes(
        cls, counts: np.ndarray, moments: np.ndarray, near: Self | None, bounded: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return variances, and the axes that they are along, (d, d)."""

        def shared(variances: np.ndarray) -> np.ndarray:
            return cls._shared(counts, variances, bounded, None)

        def cost(axes: np.ndarray) -> float:
            return parsimonious.cost_along(counts, moments, shared, axes)

        # The axes of VVI and EEE
        one = parsimonious.pooled(counts, moments)
        begin = [np.eye(len(one)), np.linalg.eigh(one)[1]]
        if near is None:
            # and of VEE, and of components, but not of those that would be flat along them
            multiple = parsimonious.proportional(counts, moments)
            eigenvalues, axes = np.linalg.eigh(moments)
            begin += [np.linalg.eigh(multiple[0])[1]]
            begin += list(axes[eigenvalues[:, 0] > _FLAT * eigenvalues[:, -1]])
        else:  # a step of EM goes on from what is best of them and its own
            begin = [min([*begin, near._along[1][0]], key=cost)]
        return parsimonious.common_axes(counts, moments, shared, begin)


class EVE(_CommonAxes):
    """One volume and orientation, shapes of their own: Σₖ = λ D Aₖ Dᵀ.

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
    The M-step turns D until λ Aₖ, which is estimated from diag Dᵀ Mₖ D as EVI has it, can
    gain no more; see `gmmlab.covariance.estimation.common_axes` (Celeux and Govaert 1995;
    Browne and McNicholas 2014). It never is less likely than the D before; another D may
    be likelier still.
    """

    name = model = "EVE"
    _shared = staticmethod(parsimonious.equal_volume)

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 2


class VVE(_CommonAxes):
    """One orientation, volumes and shapes of their own: Σₖ = λₖ D Aₖ Dᵀ, common principal axes.

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
    The M-step turns D until Λₖ = diag Dᵀ Mₖ D can gain no more; see
    `gmmlab.covariance.estimation.common_axes` (Flury 1984; Celeux and Govaert 1995; Browne and
    McNicholas 2014). It never is less likely than the D before; another D may be likelier still.
    """

    name = model = "VVE"
    _shared = staticmethod(parsimonious.free)

    @classmethod
    def samples_needed(cls, n_features: int) -> int:
        return 2


#: the four that have names of their own, by their letters
VII, VVI, EEE, VVV = Spherical, Diagonal, Tied, Full

#: the fourteen structures, from the tightest of each family to the loosest
FOURTEEN: tuple[type[Covariance], ...] = (
    *(EII, VII, EEI, VEI, EVI, VVI),
    *(EEE, VEE, EVE, VVE, EEV, VEV, EVV, VVV),
)

#: the structures by name: scikit-learn's four names, and the letters of all fourteen
STRUCTURES: dict[str, type[Covariance]] = {
    **{structure.name: structure for structure in (Full, Tied, Diagonal, Spherical)},
    **{structure.model: structure for structure in FOURTEEN},
}
