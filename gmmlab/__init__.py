"""Gaussian mixtures and the EM algorithm.

The core, in reading order:

    mixture      the model as an immutable value
    em           e_step, m_step, elbo and fit: the algorithm
    result       what a fit returns
    start        initial mixtures
    many         many fits at once
    search       the best fit from many starts
    datasets     generators and real data
    diagnostics  measures of a fit
    estimator    the interface of scikit-learn

The wings, each a subpackage that exports what others use:

    covariance   the fourteen covariance structures
    engine       one pass over the data: samples, sufficient statistics, missing entries
    convergence  distance to the maximum, and acceleration
    inference    standard errors and confidence intervals
    selection    the number of components and the covariance structure
    plots        figures: still, interactive and animated
    workbook     notebooks: parameters, runs, sweeps and reports
    course       problem sets: release, submission and grading

Names load when they are first used, so that importing gmmlab is cheap.
"""

import sys
from types import ModuleType

import lazy_loader

from gmmlab import _moved

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        *("convergence", "course", "covariance", "datasets", "diagnostics", "engine"),
        *("inference", "plots", "selection", "start", "workbook"),
    ],
    submod_attrs={
        "covariance": [
            *("Diagonal", "Full", "Spherical", "Tied"),
            *("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE"),
            *("VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"),
        ],
        "datasets": ["load_mnist"],
        "em": ["e_step", "elbo", "fit", "m_step"],
        "engine": ["relative_floor"],
        "estimator": ["GaussianMixture"],
        "inference": ["uncertainty"],
        "many": ["fit_many"],
        "mixture": ["Mixture"],
        "result": ["DegenerateError", "Fit"],
        "search": ["search"],
        "selection": ["merge"],
        "workbook.recording": ["record"],
    },
)


def __getattr__(name: str) -> object:
    return _moved.module(name) if name in _moved.MODULES else _load(name)


class _Package(ModuleType):
    """Keep `gmmlab.search` the function.

    Importing the module `gmmlab.search` would otherwise replace the function by the module.
    """

    def __setattr__(self, name: str, value: object) -> None:
        is_module = name == "search" and isinstance(value, ModuleType)
        super().__setattr__(name, value.search if is_module else value)


sys.modules[__name__].__class__ = _Package
