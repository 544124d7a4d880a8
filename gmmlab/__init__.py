"""Gaussian mixtures and the EM algorithm.

The core is the whole idea, read from top to bottom:

    mixture      the model as a value
    em           e_step, m_step, elbo and fit: the algorithm
    result       what a fit returns
    start        initialisation
    search       many starts
    datasets     generators and real data
    diagnostics  reading a fit
    estimator    scikit-learn's interface

Beside it are the wings, each with one public face:

    covariance   the fourteen covariance structures
    engine       one pass over the data: samples, sufficient statistics, missing entries
    convergence  how far a fit is from the maximum, and how to get there faster
    inference    standard errors and confidence intervals
    selection    how many components, and of which structure
    plots        figures, still, interactive and animated
    workbook     notebooks: parameters, runs, sweeps and reports
    course       problem sets: release, submission and grading

Names are loaded when they are first used, so that importing the package is cheap.
"""

import sys
from types import ModuleType

import lazy_loader

from gmmlab import _moved

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        *("covariance", "datasets", "diagnostics", "inference", "plots"),
        *("selection", "start", "workbook"),
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
    """`gmmlab.search` is the function; importing the module of that name must not replace it."""

    def __setattr__(self, name: str, value: object) -> None:
        is_module = name == "search" and isinstance(value, ModuleType)
        super().__setattr__(name, value.search if is_module else value)


sys.modules[__name__].__class__ = _Package
