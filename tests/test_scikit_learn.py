"""scikit-learn's own tests of its class, run on ours.

Its wheel ships them. Each function becomes a test of this module, with its own parameters and
marks, unless it is listed below with the reason. One that a new release brings is run at once:
where it fails for calling what is private to scikit-learn, NOT_RUN is the place for it.
"""

import inspect

import numpy as np
import pytest
from sklearn.mixture.tests import test_gaussian_mixture as theirs
from sklearn.mixture.tests import test_mixture as of_every_mixture

from gmmlab import GaussianMixture

PRIVATE = "calls private functions of scikit-learn, and no estimator"
ARRAYS = "about arrays that are not NumPy's, which gmmlab does not take"
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

# scikit-learn runs these with warnings as warnings: some fits stop at max_iter.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def functions(module):
    """The test functions that a module defines, by name."""
    return {
        name: function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("test_") and function.__module__ == module.__name__
    }


RUN = {name: function for name, function in functions(theirs).items() if name not in NOT_RUN}


def put_right(function):
    """Their message names the smallest weight as the largest and back; ours does not."""
    source = inspect.getsource(function)
    source = source.replace("max value {np.min(", "max value {np.max(")
    source = source.replace("min value {np.max(", "min value {np.min(")
    exec(source, vars(theirs), found := {})
    return found[function.__name__]


RUN["test_check_weights"] = put_right(RUN["test_check_weights"])
globals().update(RUN)  # where pytest collects them


@pytest.fixture(autouse=True)
def _our_class(monkeypatch):
    monkeypatch.setattr(theirs, "GaussianMixture", GaussianMixture)


# The fixtures that scikit-learn's conftest provides.
@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 0


@pytest.mark.parametrize("name", functions(of_every_mixture))
def test_what_holds_for_every_mixture_of_scikit_learn_holds_for_ours(name):
    # Its parameters are instances, made on import; one of our class takes their place.
    functions(of_every_mixture)[name](estimator=GaussianMixture())


def test_every_function_of_scikit_learn_is_run_or_left_out_for_a_reason():
    assert len(RUN) >= 31
    gone = set(NOT_RUN) - set(functions(theirs))
    assert not gone, f"not in this scikit-learn; take out of NOT_RUN: {sorted(gone)}"


@pytest.mark.parametrize("name", [name for name, why in NOT_RUN.items() if why is PRIVATE])
def test_functions_left_out_as_private_make_no_estimator(name):
    assert "GaussianMixture(" not in inspect.getsource(functions(theirs)[name])
