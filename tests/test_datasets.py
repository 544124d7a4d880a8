"""The data sets: generators, generated sets, real data, MNIST."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kstest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from gmmlab import datasets, fit, load_mnist, start

#: A generated set for each way to draw: random labels, random parameters, balanced, not Gaussian.
WAYS = ("two_gaussians", "two_gaussians_3d", "four_blobs", "crescent")
ODD = ("crescent", "cross", "heavy_tails")
# Number of images of each digit (Deng 2012, IEEE Signal Processing Magazine 29(6), table 1)
TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)


def rng(seed=0):
    return np.random.default_rng(seed)


# ---- generators --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.floats(1, 1e6), st.floats(1e-6, 1e6))
def test_a_random_covariance_has_the_given_condition_number_and_scale(seed, d, condition, scale):
    covariance = datasets.random_covariance(d, rng(seed), condition=condition, scale=scale)
    np.testing.assert_array_equal(covariance, covariance.T)
    eigenvalues = np.linalg.eigvalsh(covariance)
    np.testing.assert_allclose(eigenvalues[-1] / eigenvalues[0], condition, rtol=1e-8)
    np.testing.assert_allclose(np.exp(np.log(eigenvalues).mean()), scale, rtol=1e-8)
    steps = np.diff(np.log(eigenvalues))
    np.testing.assert_allclose(steps, np.log(condition) / (d - 1), atol=1e-8)


def test_a_random_covariance_of_one_feature_is_its_scale():
    assert datasets.random_covariance(1, rng(), condition=100, scale=3.0) == [[3.0]]


def test_random_covariances_have_a_uniform_orientation():
    generator = rng()
    n = 4000
    covariances = [datasets.random_covariance(2, generator, condition=100) for _ in range(n)]
    first = [np.linalg.eigh(covariance)[1][:, 0] for covariance in covariances]
    angles = np.array([np.arctan2(y, x) % np.pi for x, y in first]) / np.pi
    assert kstest(angles, "uniform").pvalue > 1e-4


def separation(means, covariances):
    """Return the smallest distance of two means, in standard deviations along their line."""
    distances = []
    for i in range(len(means)):
        for j in range(i):
            line = means[i] - means[j]
            direction = line / np.linalg.norm(line)
            variances = [direction @ covariances[c] @ direction for c in (i, j)]
            distances.append(np.linalg.norm(line) / np.sqrt(np.mean(variances)))
    return min(distances)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 5),
    st.integers(1, 5),
    st.floats(0.1, 20),
    st.floats(1, 100),
)
def test_random_parameters_have_the_given_separation(seed, k, d, distance, condition):
    weights, means, covariances = datasets.random_parameters(
        k, d, rng(seed), separation=distance, condition=condition
    )
    assert (weights.shape, means.shape, covariances.shape) == ((k,), (k, d), (k, d, d))
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(), 1)
    np.testing.assert_allclose(separation(means, covariances), distance, rtol=1e-9)
    np.testing.assert_allclose(np.linalg.cond(covariances), condition if d > 1 else 1, rtol=1e-6)


def test_random_parameters_of_one_component_need_no_separation():
    weights, means, covariances = datasets.random_parameters(1, 2, rng())
    np.testing.assert_allclose(weights, [1], rtol=1e-15)
    assert (means.shape, covariances.shape) == ((1, 2), (1, 2, 2))


def assert_drawn_from(X, labels, weights, means, covariances):
    """Assert that samples have the moments of their components, to 5 standard errors."""
    n = len(X)
    for k, (weight, mean, covariance) in enumerate(zip(weights, means, covariances, strict=True)):
        mine = X[labels == k]
        assert abs(len(mine) - n * weight) <= 5 * np.sqrt(n * weight * (1 - weight))
        eigenvalues, vectors = np.linalg.eigh(covariance)
        some = eigenvalues > 1e-12
        along = (mine - mean) @ vectors
        assert (
            np.abs(along[:, ~some]).max(initial=0) < 1e-10
        )  # no sample is outside a flat component
        unit = along[:, some] / np.sqrt(eigenvalues[some])
        assert np.abs(unit.mean(axis=0)).max() < 5 / np.sqrt(len(mine))
        error = np.abs(unit.T @ unit / len(mine) - np.eye(some.sum())).max()
        assert error < 5 * np.sqrt(2 / len(mine))
        assert kstest((unit**2).sum(axis=1), chi2(some.sum()).cdf).pvalue > 1e-4


def test_samples_of_plain_arrays_have_the_given_moments_also_if_singular():
    truth = [0.6, 0.4], [[0, 0], [9, 9]], [[[1, 1], [1, 1]], [[2, -0.5], [-0.5, 1]]]
    assert_drawn_from(*datasets.sample(*truth, 5000, rng()), *map(np.array, truth))


def test_a_weight_of_zero_gives_no_samples():
    _, labels = datasets.sample([1, 0], [[0.0], [9.0]], [[[1.0]], [[1.0]]], 100, rng())
    assert not labels.any()


# ---- generated sets ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["two_gaussians", "two_gaussians_3d", "four_blobs", "separated_3d"]
)
def test_generated_sets_are_drawn_from_their_parameters(name):
    data = datasets.load(name, n_samples=3000, rng=rng(1))
    assert data.X.shape == (3000, len(data.features))
    assert_drawn_from(data.X, data.labels, data.weights, data.means, data.covariances)


@pytest.mark.parametrize("name", WAYS)
def test_generated_sets_repeat_with_the_same_seed_only(name):
    first, again, other = (datasets.load(name, rng=rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.X != other.X).any(axis=1).all()


def test_the_true_parameters_are_read_only():
    data = datasets.two_gaussians(10, rng=rng())
    truth = data.weights, data.means, data.covariances
    assert not any(array.flags.writeable for array in truth)


@pytest.mark.parametrize(
    "name", ["four_blobs", "three_clusters", "stretched", "separated_3d", "overlapping_3d"]
)
def test_balanced_sets_have_equally_many_samples_of_each_class_in_random_order(name):
    data = datasets.load(name, n_samples=100, rng=rng())
    counts = np.bincount(data.labels)
    assert counts.sum() == 100
    assert np.ptp(counts) <= 1
    assert (np.diff(data.labels) != 0).mean() > 0.5


def test_only_the_first_component_of_the_separated_set_is_singular():
    first, *others = datasets.separated_3d(rng=rng()).covariances
    np.testing.assert_allclose(np.linalg.eigvalsh(first), [0, 1.5, 1.5], atol=1e-14)
    assert (
        np.linalg.eigvalsh([*others, *datasets.overlapping_3d(rng=rng()).covariances]).min() > 0.2
    )


def test_random_gaussians_have_means_in_the_cube_and_the_default_condition_number():
    for seed in range(20):
        data = datasets.two_gaussians_3d(10, rng=rng(seed))
        assert data.means.min() >= 0
        assert data.means.max() <= 2
        np.testing.assert_allclose(np.linalg.cond(data.covariances), 10)
        np.testing.assert_allclose(np.linalg.det(data.covariances), 0.2**3)


def test_k_means_splits_stretched_clusters_and_a_mixture_does_not():
    data = datasets.stretched(600, rng=rng())
    clusters = KMeans(3, n_init=5, random_state=0).fit_predict(data.X)
    mixture = fit(data.X, start.from_labels(data.X, data.labels)).mixture
    assert adjusted_rand_score(data.labels, clusters) < 0.5
    assert adjusted_rand_score(data.labels, mixture.predict(data.X)) > 0.9


def test_a_random_mixture_is_drawn_from_random_parameters():
    data = datasets.random_mixture(2000, 3, 2, separation=5, condition=4, rng=rng())
    assert_drawn_from(data.X, data.labels, data.weights, data.means, data.covariances)
    np.testing.assert_allclose(separation(data.means, data.covariances), 5)
    np.testing.assert_allclose(np.linalg.cond(data.covariances), 4)


# ---- sets with a cluster that is not Gaussian ----------------------------------------------


@pytest.mark.parametrize("name", ODD)
def test_half_of_the_samples_are_not_gaussian_and_a_quarter_is_in_each_sphere(name):
    data = datasets.load(name, n_samples=4000, rng=rng())
    np.testing.assert_array_equal(np.bincount(data.labels), [2000, 1000, 1000])
    assert (np.diff(data.labels) != 0).mean() > 0.5
    for k in (1, 2):
        X = data.X[data.labels == k]
        assert kstest((X - X.mean(axis=0)) / 0.7, "norm", axis=None).pvalue > 1e-3
    assert data.weights is data.means is data.covariances is None


def test_the_clusters_that_are_not_gaussian_have_their_shapes():
    """The crescent has a radius, the arms have axes, squared distances have an F distribution."""
    sets = (datasets.load(name, n_samples=4000, rng=rng()) for name in ODD)
    bent, arms, tails = (data.X[data.labels == 0] for data in sets)
    assert kstest((np.linalg.norm(bent, axis=1) - 4) / 0.5, "norm").statistic < 0.05
    assert bent[:, 1].min() > -2
    narrow = np.abs(arms).min(axis=1)
    assert np.quantile(narrow, 0.95) < 2 * 0.3
    assert np.corrcoef(np.abs(arms).T)[0, 1] < -0.3
    assert kstest((tails / 0.8)[:, 0], "t", args=(3,)).pvalue > 1e-3
    assert kstest(((tails / 0.8) ** 2).sum(axis=1) / 2, "f", args=(2, 3)).pvalue > 1e-3


# ---- small real sets ---------------------------------------------------------------------


def test_old_faithful_has_the_summary_of_r():
    data = datasets.old_faithful()
    assert data.X.shape == (272, 2)
    assert len(data.features) == 2
    quantiles = np.quantile(data.X, [0, 0.5, 1], axis=0)
    np.testing.assert_allclose(quantiles, [[1.6, 43], [4, 76], [5.1, 96]])
    np.testing.assert_allclose(data.X.mean(axis=0), [3.488, 70.9], rtol=1e-3)


def test_iris_has_the_published_means_of_fifty_flowers_of_each_species():
    data = datasets.iris()
    assert data.X.shape == (150, 4)
    assert len(data.features) == 4
    np.testing.assert_array_equal(np.bincount(data.labels), [50, 50, 50])
    means = [data.X[data.labels == species].mean(axis=0) for species in range(3)]
    published = [
        [5.006, 3.428, 1.462, 0.246],
        [5.936, 2.770, 4.260, 1.326],
        [6.588, 2.974, 5.552, 2.026],
    ]
    np.testing.assert_allclose(means, published, atol=1e-9)


def test_every_set_has_a_name_for_each_feature_and_a_label_for_each_sample():
    for name in datasets.NAMES:
        data = datasets.load(name, rng=rng())
        assert len(data.features) == len(set(data.features)) == data.X.shape[1]
        assert data.labels is None or len(data.labels) == len(data.X)


@pytest.mark.parametrize("name", ["old_faithful", "iris"])
def test_changing_a_set_does_not_change_the_next_one(name):
    first = datasets.load(name)
    expected = first.X.copy()
    first.X[:] = 7
    np.testing.assert_array_equal(datasets.load(name).X, expected)


# ---- data files --------------------------------------------------------------------------


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """A copy of the data folder that a test may damage."""
    shutil.copytree(datasets._DATA, tmp_path / "data")
    monkeypatch.setattr(datasets, "_DATA", tmp_path / "data")
    datasets._bundled_mnist.cache_clear()
    yield tmp_path / "data"
    datasets._bundled_mnist.cache_clear()


LOADERS = {"faithful.csv": datasets.old_faithful, "mnist.npz": lambda: load_mnist(split="test")}


def test_every_data_file_has_the_recorded_checksum():
    lines = (datasets._DATA / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        checksum, name = line.split()
        assert hashlib.sha256((datasets._DATA / name).read_bytes()).hexdigest() == checksum
    assert {line.split()[1] for line in lines} == set(LOADERS)


@pytest.mark.parametrize("name", LOADERS)
def test_a_file_with_one_changed_bit_is_an_error(data_folder, name):
    content = bytearray((data_folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (data_folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} does not match its checksum"):
        LOADERS[name]()


@pytest.mark.parametrize("name", LOADERS)
def test_a_missing_file_is_an_error_that_says_where_to_get_the_data(data_folder, name):
    (data_folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing.*checkout"):
        LOADERS[name]()


def test_a_missing_record_of_checksums_is_an_error(data_folder):
    (data_folder / "SHA256SUMS").unlink()
    with pytest.raises(FileNotFoundError, match="is missing"):
        datasets.old_faithful()


# ---- MNIST -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def held_out():
    return load_mnist(split="test", rescale="none")


def test_mnist_has_the_published_number_of_each_digit(held_out):
    assert held_out.X.shape == (10_000, 784)
    assert len(held_out.features) == 784
    np.testing.assert_array_equal(np.bincount(held_out.labels), TEST_COUNTS)
    for digit, count in enumerate(TRAIN_COUNTS):
        data = load_mnist(digits=[digit], rescale="none")
        assert data.X.shape == (count, 784)
        assert (data.labels == digit).all()
    assert sum(TRAIN_COUNTS) == 60_000


def test_mnist_pixels_have_the_known_mean_and_standard_deviation():
    X = load_mnist(20_000, rng=rng()).X
    # 0.1307 and 0.3081 over all training pixels; images differ in their mean by about 0.04
    assert abs(X.mean() - 0.1307) < 5 * 0.04 / np.sqrt(20_000)
    assert abs(X.std() - 0.3081) < 0.002


def test_images_are_upright_and_features_name_the_pixels(held_out):
    ones = held_out.X[held_out.labels == 1].mean(axis=0).reshape(28, 28)
    assert ones.sum(axis=0).std() > 2 * ones.sum(axis=1).std()  # a 1 is a vertical stroke
    assert held_out.features[28 * 3 + 5] == "pixel (3, 5)"


def test_none_keeps_grey_values_from_0_to_255_as_floats(held_out):
    X = held_out.X
    assert X.dtype == np.float64
    assert (X.min(), X.max()) == (0, 255)
    np.testing.assert_array_equal(X, np.round(X))


def test_max_divides_by_255():
    grey, rescaled = (load_mnist(200, rescale=r, rng=rng()).X for r in ("none", "max"))
    np.testing.assert_allclose(rescaled * 255, grey, rtol=1e-14)
    np.testing.assert_array_equal(rescaled, load_mnist(200, rng=rng()).X)  # the default
    assert rescaled.max() <= 1


def test_unit_divides_each_image_by_its_norm():
    grey, rescaled = (load_mnist(200, rescale=r, rng=rng()).X for r in ("none", "unit"))
    lengths = np.linalg.norm(grey, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(rescaled, axis=1), 1)
    np.testing.assert_allclose(rescaled * lengths, grey, rtol=1e-12)


def test_standard_gives_each_pixel_of_the_subset_mean_0_and_deviation_1():
    grey, rescaled = (load_mnist(200, rescale=r, rng=rng()).X for r in ("none", "standard"))
    varies = grey.std(axis=0) > 0
    assert 0 < varies.sum() < 784
    np.testing.assert_allclose(rescaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(rescaled[:, varies].std(axis=0), 1)
    np.testing.assert_array_equal(rescaled[:, ~varies], 0)
    recovered = rescaled * grey.std(axis=0) + grey.mean(axis=0)
    np.testing.assert_allclose(recovered, grey, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 500),
    st.lists(st.integers(0, 9), min_size=1, unique=True),
    st.sampled_from(["train", "test"]),
)
def test_a_subset_keeps_the_proportions_of_digits_to_within_one_sample(seed, n, digits, split):
    data = load_mnist(n, digits=digits, split=split, rng=rng(seed))
    counts = np.array(TRAIN_COUNTS if split == "train" else TEST_COUNTS)
    shares = np.where(np.isin(np.arange(10), digits), counts, 0) / counts[digits].sum()
    drawn = np.bincount(data.labels, minlength=10)
    assert drawn.sum() == len(data.X) == n
    assert np.abs(drawn - n * shares).max() < 1


def test_a_subset_repeats_with_the_same_seed_only():
    first, again, other = (load_mnist(300, rng=rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.X != other.X).any(axis=1).mean() > 0.9


def test_a_subset_is_drawn_without_replacement_in_random_order(held_out):
    everything = load_mnist(10_000, split="test", rescale="none", rng=rng())
    signature = rng().normal(size=784)
    np.testing.assert_array_equal(
        np.sort(everything.X @ signature), np.sort(held_out.X @ signature)
    )
    assert (np.diff(everything.labels) != 0).mean() > 0.8


def test_images_keep_their_labels(held_out):
    signature = rng().normal(size=784)
    labels = dict(zip(held_out.X @ signature, held_out.labels, strict=True))
    subset = load_mnist(500, digits=[1, 4, 7], split="test", rescale="none", rng=rng())
    assert [labels[s] for s in subset.X @ signature] == subset.labels.tolist()


def test_the_order_of_digits_does_not_matter():
    first, second = (load_mnist(50, digits=d, rng=rng()) for d in ([3, 8], (8, 3)))
    np.testing.assert_array_equal(first.X, second.X)
    assert set(first.labels) == {3, 8}


@pytest.mark.parametrize("rescale", ["standard", "none"])
def test_changing_the_images_does_not_change_the_cached_file(rescale):
    first = load_mnist(50, rescale=rescale, rng=rng())
    X, labels = first.X.copy(), first.labels.copy()
    first.X[:], first.labels[:] = -1, -1
    again = load_mnist(50, rescale=rescale, rng=rng())
    np.testing.assert_array_equal(again.X, X)
    np.testing.assert_array_equal(again.labels, labels)
    cached = [array for split in datasets._bundled_mnist().values() for array in split]
    assert not any(array.flags.writeable for array in cached)


# ---- imports, in processes of their own --------------------------------------------------


def answer_of(script, tmp_path):
    """Run a script in a new process, without settings of Keras; return what it prints as JSON."""
    env = {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND", "JAX_PLATFORMS")}
    env["KERAS_HOME"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_gmmlab_is_light_and_bundled_mnist_needs_no_keras(tmp_path):
    script = """
import json, sys
heavy = ["keras", "jax", "sklearn", "matplotlib", "pandas", "scipy", "IPython"]
import gmmlab
package = [name for name in heavy if name in sys.modules]
import numpy as np
gmmlab.load_mnist(10, source="bundled", rng=np.random.default_rng(0))
loaded = [name for name in heavy if name in sys.modules]
print(json.dumps([package, loaded]))
"""
    package, loaded = answer_of(script, tmp_path)
    assert package == []
    assert not {"keras", "jax", "sklearn", "matplotlib"} & set(loaded)


def test_mnist_through_keras_is_the_bundled_one_on_the_jax_backend(tmp_path):
    # Keras' load_data runs with the bundled file in place of the download.
    script = """
import builtins, json, sys
import numpy as np
from gmmlab import datasets

asked = []
def bundled(fname, **options):
    asked.append(fname)
    return str(datasets._DATA / "mnist.npz")

original = builtins.__import__
def watched(name, globals=None, *rest, **options):
    module = original(name, globals, *rest, **options)
    if name == "keras" and globals["__name__"] == "gmmlab.datasets":
        sys.modules["keras.src.datasets.mnist"].get_file = bundled
    return module
builtins.__import__ = watched

before = "keras" in sys.modules
take = {"n_samples": 100, "digits": [3, 8], "split": "test"}
one, other = (
    datasets.load_mnist(**take, source=source, rng=np.random.default_rng(0))
    for source in ("bundled", "keras")
)
import keras
print(json.dumps({
    "before": before,
    "backend": keras.backend.backend(),
    "asked": asked,
    "same": np.array_equal(one.X, other.X) and np.array_equal(one.labels, other.labels),
}))
"""
    answer = answer_of(script, tmp_path)
    expected = {"before": False, "backend": "jax", "asked": ["mnist.npz"], "same": True}
    assert answer == expected


# ---- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAYS)
def test_generated_sets_require_a_generator_and_a_sample(name):
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator"):
        getattr(datasets, name)(rng=np.random.RandomState(0))
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator"):
        datasets.load(name)
    for n, error in ((0, ValueError), (10.0, TypeError)):
        with pytest.raises(error, match="n_samples must be"):
            datasets.load(name, n_samples=n, rng=rng())


@pytest.mark.parametrize("name", ["geyser", "load", None])
def test_the_error_for_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match=r"name must be one of .*iris"):
        datasets.load(name, rng=rng())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_features": 0}, ValueError, "n_features must be at least 1"),
        ({"n_features": 2.5}, TypeError, "n_features must be an integer"),
        ({"condition": 0.5}, ValueError, "condition must be"),
        ({"condition": "good"}, TypeError, "condition must be a number"),
        ({"scale": 0}, ValueError, "scale must be"),
        ({"scale": np.nan}, ValueError, "scale must be"),
        ({"rng": 0}, TypeError, "rng must be"),
    ],
)
def test_errors_of_random_covariance_name_the_argument(change, error, message):
    with pytest.raises(error, match=message):
        datasets.random_covariance(**({"n_features": 2, "rng": rng()} | change))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_components": 0}, ValueError, "n_components must be at least 1"),
        ({"n_features": -1}, ValueError, "n_features must be at least 1"),
        ({"separation": 0.0}, ValueError, "separation must be"),
        ({"condition": 0}, ValueError, "condition must be"),
        ({"rng": None}, TypeError, "rng must be"),
    ],
)
def test_errors_of_random_parameters_and_mixtures_name_the_argument(change, error, message):
    arguments = {"n_components": 2, "n_features": 2, "rng": rng()} | change
    with pytest.raises(error, match=message):
        datasets.random_parameters(**arguments)
    with pytest.raises(error, match=message):
        datasets.random_mixture(10, **arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weights": [0.5, 0.6]}, ValueError, "weights must be 2 non-negative numbers"),
        ({"weights": [1.5, -0.5]}, ValueError, "weights must be 2 non-negative numbers"),
        ({"weights": [1.0]}, ValueError, "weights must be 2 non-negative numbers"),
        ({"means": [0.0, 1.0]}, ValueError, "means must have two dimensions"),
        ({"covariances": [np.eye(2)]}, ValueError, "covariances must have shape"),
        ({"covariances": [np.eye(2), -np.eye(2)]}, ValueError, "covariances must be positive"),
        ({"covariances": [np.eye(2), [[1, 0.9], [0, 1]]]}, ValueError, "covariances must be sym"),
        ({"n_samples": 0}, ValueError, "n_samples must be at least 1"),
        ({"rng": 0}, TypeError, "rng must be"),
    ],
)
def test_errors_of_sample_name_the_argument(change, error, message):
    arguments = {
        "weights": [0.5, 0.5],
        "means": [[0.0, 0.0], [1.0, 1.0]],
        "covariances": [np.eye(2), np.eye(2)],
        "n_samples": 5,
        "rng": rng(),
    } | change
    with pytest.raises(error, match=message):
        datasets.sample(**arguments)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"split": "validation"}, ValueError, "split must be one of 'train', 'test'"),
        ({"rescale": "minmax"}, ValueError, "rescale must be one of"),
        ({"source": "web"}, ValueError, "source must be one of"),
        ({"digits": []}, ValueError, "digits must be distinct, and at least one"),
        ({"digits": [3, 3]}, ValueError, "digits must be distinct"),
        ({"digits": [10]}, ValueError, r"digits must be in \[0, 9\]"),
        ({"digits": [-1]}, ValueError, r"digits must be in \[0, 9\]"),
        ({"digits": 3}, TypeError, "digits must be a sequence"),
        ({"digits": "38"}, TypeError, "digits must be a sequence"),
        ({"n_samples": 0}, ValueError, "n_samples must be in"),
        ({"n_samples": 10_001, "split": "test"}, ValueError, r"n_samples must be in \[1, 10000\]"),
        ({"n_samples": 981, "split": "test", "digits": [0]}, ValueError, r"n_samples.*980\]"),
        ({"rng": None}, TypeError, "rng must be"),
    ],
)
def test_errors_of_load_mnist_name_the_argument(change, error, message):
    with pytest.raises(error, match=message):
        load_mnist(**({"n_samples": 10, "rng": rng()} | change))
