"""Gaussian mixtures and the EM algorithm: what the notebooks import.

    mixture, covariance     the model, as a value
    families, parsimonious  how covariances whiten; what components share of them
    samples, sums, missing  the data in blocks, and one pass over them
    scale, degeneracy       the data's own scale, and components that are none
    em, result              E-step, M-step, ELBO, fit; what a fit tells
    coordinates, information, acceleration
                            how far there is to go, and how to go faster
    start, many_starts      where to begin; many beginnings
    datasets                generators and real data
    diagnostics, plots      reading a fit, and seeing it
    player, space           EM as a film; figures that turn
    intervals               standard errors of a fit's parameters
    selection               which mixture: how many components, of what structure
    grid, neighbours, cross_validation, likelihood_ratio, merging
                            its parts: all cells of a comparison, starts they give each other,
                            held-out samples, a test of one component more, clusters
    estimator               the scikit-learn face
    workbook                parameters, runs and reports of notebooks
    course                  problem sets: released, graded, handed back

Names are loaded when they are first used, so importing the package costs next to nothing.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        *("datasets", "diagnostics", "player", "plots"),
        *("selection", "space", "start", "workbook"),
    ],
    submod_attrs={
        "covariance": [
            *("Diagonal", "Full", "Spherical", "Tied"),
            *("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE"),
            *("VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"),
        ],
        "datasets": ["load_mnist"],
        "em": ["e_step", "elbo", "fit", "m_step"],
        "estimator": ["GaussianMixture"],
        "intervals": ["uncertainty"],
        "many_starts": ["search"],
        "merging": ["merge"],
        "mixture": ["Mixture"],
        "result": ["DegenerateError", "Fit"],
        "scale": ["relative_floor"],
        "workbook.recording": ["record"],
    },
)
