"""scikit-learn's own tests of its class, run on ours.

The wheel of scikit-learn includes them. Each function becomes a test of this module, with its
parameters and marks, unless NOT_RUN lists it with a reason. The tests of a new release run too; add
those that fail because they call private functions of scikit-learn to NOT_RUN.
"""

import inspect

import numpy as np
import pytest
from sklearn.mixture.tests import test_gaussian_mixture as theirs
from sklearn.mixture.tests import test_mixture as of_every_mixture

from gmmlab import GaussianMixture

PRIVATE = "calls private functions of scikit-learn, not an estimator"
ARRAYS = "needs arrays that are not of NumPy, which gmmlab does not support"
NOT_RUN = {
    "test_suffstat_sk_full": PRIVATE,
    "test_suffstat_sk_tied": PRIVATE,
    "test_suffstat_sk_diag": PRIVATE,
    "test_gaussian_suffstat_sk_spherical": PRIVATE,
    "test_compute_log_det_cholesky": PRIVATE,
    "test_gaussian_mixture_log_probabilities": PRIVATE,
    "test_gaussian_mixture_precisions_init": "calls _set_parameters and _initialize",
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": (
        "counts calls of a private function of scikit-learn"
    ),
    "test_gaussian_mixture_array_api_compliance": ARRAYS,
    "test_gaussian_mixture_raises_where_array_api_not_implemented": ARRAYS,
}

# scikit-learn does not turn warnings into errors: some fits stop at max_iter.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def functions(module):
    """Return the test functions that a module defines, by name."""
    return {
        name: function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("test_") and function.__module__ == module.__name__
    }


RUN = {name: function for name, function in functions(theirs).items() if name not in NOT_RUN}


def corrected(function):
    """Return a test without its mistake: it exchanges the smallest and the largest weight."""
    source = inspect.getsource(function)
    source = source.replace("max value {np.min(", "max value {np.max(")
    source = source.replace("min value {np.max(", "min value {np.min(")
    exec(source, vars(theirs), found := {})
    return found[function.__name__]


RUN["test_check_weights"] = corrected(RUN["test_check_weights"])
globals().update(RUN)  # pytest collects them here


class OurClusters:
    """k-means as our class starts with it: the order of the clusters depends on the draws."""

    def __init__(self, n_clusters, *, n_init, random_state):
        self.model = GaussianMixture(n_clusters, random_state=random_state, max_iter=0)

    def fit(self, X):
        means = self.model.fit(X).means_
        self.labels_ = ((X[:, None] - means) ** 2).sum(axis=-1).argmin(axis=1)
        return self


@pytest.fixture(autouse=True)
def _our_class(monkeypatch):
    monkeypatch.setattr(theirs, "GaussianMixture", GaussianMixture)
    monkeypatch.setattr(theirs, "KMeans", OurClusters)


# The fixtures that scikit-learn's conftest provides.
@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 0


@pytest.mark.parametrize("name", functions(of_every_mixture))
def test_our_class_passes_the_tests_of_every_mixture_of_scikit_learn(name):
    # The parameters of these tests are instances; an instance of our class replaces them.
    functions(of_every_mixture)[name](estimator=GaussianMixture())


def test_not_run_lists_only_existing_tests():
    assert len(RUN) >= 31
    gone = set(NOT_RUN) - set(functions(theirs))
    assert not gone, f"not in this release of scikit-learn; remove from NOT_RUN: {sorted(gone)}"


@pytest.mark.parametrize("name", [name for name, why in NOT_RUN.items() if why is PRIVATE])
def test_private_functions_that_are_not_run_do_not_use_an_estimator(name):
    assert "GaussianMixture(" not in inspect.getsource(functions(theirs)[name])
