"""Covariance structures: which properties the covariances of the components share.

Every covariance is Σₖ = λₖ Dₖ Aₖ Dₖᵀ (S6). The volume λₖ = |Σₖ|^(1/d) is a number, the shape Aₖ a
diagonal matrix with |Aₖ| = 1, and the orientation Dₖ an orthogonal matrix. Each is E (equal in all
components), V (variable) or I (the identity): spheres have no shape, and diagonal matrices have no
orientation. Three letters name a structure (Celeux and Govaert 1995; Scrucca et al. 2016), and
four structures are better known by other names:

=====  =====================  =========  ===============================  =====================
model  structure              values     covariances                      free parameters
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

with p = d (d − 1) / 2. A structure is an immutable value. It whitens residuals, estimates itself
from second moments and counts its free parameters; no other part of gmmlab asks which structure
it has.

A structure may hold the covariances of many fits: its values then have leading axes, and every
method works for all fits at once. A covariance that is singular gives NaN, and harms no other.

Six structures are linear: all components share one covariance, or each has its own. The others
are `curved`: they can be accelerated like any other, but the remaining gain of a fit is not
estimated.

base          the base classes of structures and of charts
moments       second moments as matrices or as variances
charts        coordinates for second-order methods
matrices      structures with correlations
variances     structures without correlations
structures    the six linear structures, in closed form
parsimonious  the eight curved structures
estimation    the searches of their M-steps
_linalg       linear algebra of stacks in which single matrices may be singular
"""

from gmmlab.covariance._linalg import cholesky, eigh, solve
from gmmlab.covariance.base import Covariance
from gmmlab.covariance.matrices import MatrixCovariance
from gmmlab.covariance.moments import upper_products, upper_triangle
from gmmlab.covariance.parsimonious import EEV, EVE, EVI, EVV, VEE, VEI, VEV, VVE
from gmmlab.covariance.structures import EEI, EII, Diagonal, Full, Spherical, Tied
from gmmlab.covariance.variances import DiagonalCovariance

#: the four structures with names of their own, by their letters
VII, VVI, EEE, VVV = Spherical, Diagonal, Tied, Full

# The old names of the two base classes.
Matrices, Variances = MatrixCovariance, DiagonalCovariance

#: the fourteen structures: without correlations and with them, each from the tightest to the
#: loosest
FOURTEEN: tuple[type[Covariance], ...] = (
    *(EII, VII, EEI, VEI, EVI, VVI),
    *(EEE, VEE, EVE, VVE, EEV, VEV, EVV, VVV),
)

#: the structures by name: scikit-learn's four names, and the letters of all fourteen
STRUCTURES: dict[str, type[Covariance]] = {
    **{structure.name: structure for structure in (Full, Tied, Diagonal, Spherical)},
    **{structure.model: structure for structure in FOURTEEN},
}

__all__ = [
    "EEE",
    "EEI",
    "EEV",
    "EII",
    "EVE",
    "EVI",
    "EVV",
    "FOURTEEN",
    "STRUCTURES",
    "VEE",
    "VEI",
    "VEV",
    "VII",
    "VVE",
    "VVI",
    "VVV",
    "Covariance",
    "Diagonal",
    "DiagonalCovariance",
    "Full",
    "MatrixCovariance",
    "Spherical",
    "Tied",
    "cholesky",
    "eigh",
    "solve",
    "upper_products",
    "upper_triangle",
]
