"""Notebooks run with other parameters record results that keep the laws."""

import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from gmmlab import load_mnist
from gmmlab.workbook.recording import recorded
from gmmlab.workbook.runs.kernels import Kernels

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
#: imports that are slow and that most notebooks need
IMPORTS = """
import matplotlib.pyplot, numpy, pandas, scipy.optimize, scipy.stats, sklearn.cluster
from gmmlab import GaussianMixture, datasets, diagnostics, fit, plots, search, selection
from gmmlab.plots import interactive
from gmmlab import start, uncertainty, workbook
"""


@pytest.fixture(scope="module")
def kernels():
    """Yield kernels that start with the imports already done."""
    with Kernels([IMPORTS], threads=1) as found:
        yield found


@pytest.fixture
def run(tmp_path, monkeypatch, kernels):
    """Return a function that runs a notebook in a temporary folder and returns its results."""
    monkeypatch.chdir(tmp_path)

    def execute(name, **parameters):
        notebook = papermill.execute_notebook(
            NOTEBOOKS / f"{name}.ipynb",
            tmp_path / "out.ipynb",
            parameters,
            engine_name=None,
            kernel_name="python3",
            progress_bar=False,
            km=kernels.manager(),
        )
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        assert not [output.text for output in outputs if output.get("name") == "stderr"]
        return recorded(notebook)

    return execute


# ---- 00: the derivation ------------------------------------------------------------------------


def test_every_equation_holds_in_four_dimensions(run):
    """See `test_derivation` for other shapes."""
    results = run("00-derivation", n_samples=50, n_features=4, separation=8.0, seed=3)
    assert results["failed"] == []
    assert results["log_likelihood_after_a_step"] >= results["log_likelihood"]


# ---- 01: known covariance ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {"data_set": "random", "n_components": 4, "n_features": 3, "separation": 6.0},
        {"data_set": "random", "n_components": 1, "n_features": 10, "n_samples": 50},
    ],
)
def test_known_covariance(run, parameters):
    results = run("01-known-covariance", **parameters)
    assert results["blocks_untouched"] is True
    # a fit with more free parameters, started from the result of the other, is no worse
    assert results["full_log_likelihood"] >= results["log_likelihood"] - 1e-6
    assert results["status"] == "converged"


def test_known_covariance_finds_the_means_with_many_samples(run):
    """The error is at most four standard errors of a mean with known labels."""
    results = run("01-known-covariance", n_samples=20_000, n_starts=8, seed=3)
    assert results["random_hits"] > 0
    assert results["mean_error"] < 4 * np.sqrt(1.4 / (20_000 * 0.3))


def test_plain_papermill_runs_a_notebook(tmp_path):
    path = tmp_path / "out.ipynb"
    words = [NOTEBOOKS / "01-known-covariance.ipynb", path, "-p", "n_samples", "200"]
    command = [sys.executable, "-m", "papermill", *map(str, words), "--no-progress-bar"]
    subprocess.run(command, cwd=NOTEBOOKS, check=True, capture_output=True)
    assert recorded(nbformat.read(path, as_version=4))["status"] == "converged"


# ---- 02: full EM -------------------------------------------------------------------------------


def test_full_em_on_old_faithful_reaches_the_published_optimum(run):
    """R, mclust 6.0: −1130.2639601847."""
    results = run("02-full-em", data_set="old_faithful", n_components=2, tol=1e-7, n_starts=2)
    assert results["log_likelihood"] == pytest.approx(-1130.2639601847, abs=1e-3)
    assert min(results["weights"]) == pytest.approx(0.35587, abs=1e-4)


# ---- 03: three dimensions ----------------------------------------------------------------------


def test_three_dimensions(run):
    parameters = {"data_set": "separated_3d", "n_samples": 90, "start_kind": "random_points"}
    results = run("03-three-dimensions", n_starts=3, **parameters)
    # dividing the variance of a flat component by 10 raises the log-likelihood by ½ N log 10
    assert results["gain_of_a_tenfold_fall"] == pytest.approx(results["predicted_gain"], rel=1e-3)
    assert results["remedies"]["none"] == "degenerate"
    assert results["remedies"]["floor"] == "converged"


# ---- 04: MNIST ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_samples": 200, "digits": [4, 9], "n_components": 2, "rescale": "none"},
        {"n_samples": 100, "rescale": "standard", "n_components": 1},
    ],
)
def test_mnist(run, parameters):
    results = run("04-mnist", **parameters)
    # scaling the data by c only adds −n d log c to the log-likelihood
    moved = results["scaled_log_likelihood"] - results["log_likelihood"]
    assert moved == pytest.approx(results["expected_shift"], rel=1e-9)
    # scikit-learn has the same start, ridge and number of iterations
    assert results["ridge_log_likelihood"] == pytest.approx(
        results["sklearn_log_likelihood"], rel=1e-9
    )
    assert sum(results["weights"]) == pytest.approx(1)


# ---- 05: the bound -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {"data_set": "old_faithful", "n_components": 2, "tol": 1e-10, "n_restarts": 4},
        {"data_set": "stretched", "n_samples": 20, "n_components": 5, "n_restarts": 3},
        {"data_set": "two_gaussians", "structure": "tied", "max_iter": 1, "n_components": 2},
    ],
)
def test_elbo(run, parameters):
    results = run("05-elbo", **parameters)
    assert results["largest_gap"] >= 0  # a Kullback–Leibler divergence
    assert results["entropy"] >= 0
    assert 0 <= results["n_tops"] <= results["n_sound"] <= parameters.get("n_restarts", 10)
    assert sum(results["hundred"]["runs"]) <= 100
    if results["n_sound"]:
        assert results["log_likelihood"] <= results["highest_log_likelihood"] + 1e-9
    if parameters["data_set"] == "old_faithful":
        assert results["log_likelihood"] == pytest.approx(-1130.2639601847, abs=1e-4)
        assert results["hundred"]["height"][0] == pytest.approx(-1130.26)
        assert results["hundred"]["runs"][0] > 50


# ---- 06: model order ---------------------------------------------------------------------------

FEW = {"n_bootstrap": 39, "n_repeats": 5}


def check_model_order(results):
    # the table is monotone, and the search with single starts finds nothing better
    assert results["n_falls"] == 0
    assert results["ahead_of_search"] < 0.05
    # merging the components of the non-Gaussian cluster recovers the three clusters
    groups, agreement = results["groups"]["groups"], results["groups"]["agreement"]
    assert groups["components by BIC"] > groups["clusters by merging"] == 3
    assert agreement["components by BIC"] + 0.1 < agreement["clusters by merging"] > 0.95
    # if no candidate is true, more samples select more components
    assert results["growth"][-1] > results["growth"][0]
    # one component is not enough for any of the data sets, and so many replicates can show it
    assert results["p_values"][0] == 1 / (1 + FEW["n_bootstrap"])
    # BIC finds a true number of components with many samples
    assert results["shares"]["BIC"][-1] >= 0.8


def test_model_order_on_iris_finds_the_published_choice(run):
    """R, mclust 6.0: VEV with two components, BIC −561.7285 in its sign convention."""
    results = run(
        "06-model-order",
        data_set="iris",
        structures=["VEV"],
        max_components=2,
        odd_cluster="cross",
        **FEW,
    )
    check_model_order(results)
    assert results["choices"]["bic"] == ["VEV", 2]
    assert results["bic"] == pytest.approx(561.7285, abs=1e-2)


def test_model_order_leaves_degenerate_cells_out(run):
    """One of the three clusters is flat; its covariance is singular unless clusters share one."""
    results = run(
        "06-model-order",
        data_set="separated_3d",
        n_samples=60,
        structures=["EEE", "VVV"],
        max_components=3,
        criterion="aic",
        odd_cluster="heavy_tails",
        seed=1,
        **FEW,
    )
    assert results["n_degenerate"] == 1
    assert results["choices"]["aic"] == ["EEE", 3]


# ---- 07: uncertainty ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        {"data_set": "old_faithful", "n_components": 2},
        {"n_samples": 40, "n_components": 5, "structure": "full", "level": 0.5},
    ],
)
def test_uncertainty(run, parameters):
    results = run("07-uncertainty", n_bootstrap=20, n_repeats=10, **parameters)
    # where uncertainty is refused, the notebook says so and uses fewer components
    assert results["n_components"] + results["n_refused"] == parameters["n_components"]
    assert (np.array(results["standard_errors"]["information"]) > 0).all()
    # a known block never makes a mean less certain (Schur complement of the information)
    assert results["gain_by_knowing"] >= 1 - 1e-3
    # overlap increases standard errors: the factor is largest at the smallest separation
    assert max(results["factors"]) == results["factors"][0]
    assert results["laplace_ratio"] > 1
    if parameters.get("data_set") == "old_faithful":
        # of order: bootstrap standard errors of (0.028, 0.603) and (0.031, 0.476)
        errors = sorted(results["standard_errors"]["bootstrap"])
        assert np.allclose(errors, [[0.028, 0.603], [0.031, 0.476]], rtol=0.5)


# ---- 08: pitfalls ------------------------------------------------------------------------------


def test_every_mistake_is_caught_on_other_data(run):
    results = run("08-pitfalls", data_set="old_faithful", n_components=5, seed=2)
    assert results["missed"] == results["broken_by_right"] == results["never_broken"] == []
    assert results["stale_means_climb"] is True


# ---- 09: MNIST beyond pixels -------------------------------------------------------------------


def test_mnist_beyond_pixels_has_densities_of_images(run):
    """With one component a digit, the model on principal components is a Gaussian of pixels."""
    given = {"n_samples": 1000, "n_principal": 10, "seed": 2}
    rest = {"n_test": 500, "n_latent": 3, "n_epochs": 2, "n_clusters": 4}
    results = run("09-mnist-beyond-pixels", per_digit=1, **given, **rest)

    train = load_mnist(1000, rng=np.random.default_rng(2))
    test = load_mnist(split="test")
    eigenvalues, vectors = np.linalg.eigh(np.cov(train.X.T))
    floor = 0.1 * train.X.var(axis=0).mean()
    kept, dropped = (
        vectors[:, -10:],
        vectors[:, :-10] * np.sqrt(np.maximum(eigenvalues, floor))[:-10],
    )
    log_joint = []
    for c in range(10):
        mine = train.X[train.labels == c]
        inside = kept @ np.cov(kept.T @ mine.T, bias=True) @ kept.T
        # dropped directions have the mean of all digits
        mean = train.X.mean(axis=0) + kept @ kept.T @ (mine - train.X.mean(axis=0)).mean(axis=0)
        root = np.linalg.cholesky(inside + dropped @ dropped.T)
        white = solve_triangular(root, (test.X[:500] - mean).T, lower=True)
        log_normal = (
            -0.5 * (white**2).sum(axis=0) - np.log(np.sqrt(2 * np.pi) * root.diagonal()).sum()
        )
        log_joint.append(log_normal + np.log(len(mine) / 1000))
    log_joint = np.array(log_joint)

    read = np.mean(log_joint.argmax(axis=0) == test.labels[:500])
    assert results["PCA"]["accuracy"] == pytest.approx(read, abs=1e-9)
    nats = logsumexp(log_joint[:, :200], axis=0).mean()
    assert results["PCA"]["log_likelihood"] == pytest.approx(nats, abs=1e-5)
    for space in ("pixels", "PCA", "autoencoder"):  # a tenth is chance
        assert 0.2 < results[space]["accuracy"] < 1


# ---- wrong parameters --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("02-full-em", {"n_component": 3}, "n_components"),
        ("04-mnist", {"digits": [3, 10]}, r"digits must be list\[int\], in \[0, 9\]"),
        ("03-three-dimensions", {"data_set": "cubes"}, "data_set must be str, one of"),
    ],
)
def test_a_wrong_parameter_stops_the_notebook_in_its_check(run, name, parameters, message):
    with pytest.raises(papermill.PapermillExecutionError, match=message) as caught:
        run(name, **parameters)
    assert caught.value.exec_count == 3  # the parameters and papermill's cell come before
