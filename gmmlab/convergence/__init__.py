"""How far a fit is from the maximum, and how to get there faster.

coordinates   unconstrained coordinates about a mixture
information   observed information and the remaining gain
squarem       squared extrapolation
"""

from gmmlab.convergence.coordinates import Coordinates
from gmmlab.convergence.information import (
    Information,
    can_estimate_remaining_gain,
    information,
    remaining_gain,
)
from gmmlab.convergence.squarem import Extrapolation, Squarem

__all__ = [
    "Coordinates",
    "Extrapolation",
    "Information",
    "Squarem",
    "can_estimate_remaining_gain",
    "information",
    "remaining_gain",
]
