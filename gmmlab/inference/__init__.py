"""Standard errors and confidence intervals of the parameters of a fit.

uncertainty  `uncertainty`: the public function; it checks arguments and chooses the method
wald         Wald intervals from the observed information
bootstrap    percentile intervals from the nonparametric and the weighted-likelihood bootstrap
result       what `uncertainty` returns
"""

from gmmlab.inference.result import Parameters, Uncertainty, check_uncertainty
from gmmlab.inference.uncertainty import uncertainty

__all__ = ["Parameters", "Uncertainty", "check_uncertainty", "uncertainty"]
