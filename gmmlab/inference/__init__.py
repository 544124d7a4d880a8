"""Standard errors and confidence intervals of a fit's parameters.

uncertainty   `uncertainty`: by the observed information or the bootstrap
"""

from gmmlab.inference.uncertainty import (
    Parameters,
    Uncertainty,
    check_uncertainty,
    uncertainty,
)

__all__ = ["Parameters", "Uncertainty", "check_uncertainty", "uncertainty"]
