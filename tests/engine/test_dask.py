"""Laws of data in Dask's blocks: the in-memory answer, wherever they are and whoever dies."""

import os
import pickle
import signal

import numpy as np
import pytest
from problems import matrix_or_diagonal, some_structures
from threadpoolctl import threadpool_info, threadpool_limits

from gmmlab import Full, Mixture, datasets, fit, relative_floor, start
from gmmlab.engine.samples import DaskSamples, Samples, as_samples
from gmmlab.engine.statistics import ResidualForm

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

#: blocks of many sizes, the samples of `problem` together
UNEVEN = (1, 400, 799, 0, 300, 500)


def problem(structure=Full, d=3, seed=0):
    """Return overlapping clusters in random order, far from the origin, and a start."""
    rng = np.random.default_rng(seed)
    X = datasets.random_mixture(2000, 3, d, separation=2, rng=rng).X + 100
    X = rng.permutation(X)
    return X, start.random_points(X, 3, rng, structure=structure)


def same(found, expected, rtol=1e-10):
    """Assert that two fits are equal up to the rounding of another order of sums."""
    assert (found.status, found.n_iter) == (expected.status, expected.n_iter)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=rtol)
    for name in ("weights", "means", "covariances"):
        theirs = getattr(expected.mixture, name)
        np.testing.assert_allclose(
            getattr(found.mixture, name), theirs, rtol=rtol, atol=rtol * np.abs(theirs).max()
        )


# ---- the answer is the one in memory -----------------------------------------------------


@some_structures
def test_the_answer_is_that_in_memory(structure):
    X, mixture = problem(structure)
    same(fit(da.from_array(X, chunks=(700, 3)), mixture), fit(X, mixture))


@pytest.mark.parametrize("chunks", [(UNEVEN, 3), (400, 2), (2000, 1)])
def test_it_does_not_depend_on_the_chunks(chunks):
    X, mixture = problem()
    same(fit(da.from_array(X, chunks=chunks), mixture), fit(X, mixture))


@matrix_or_diagonal
@pytest.mark.parametrize("wrap", [np.asarray, lambda w: da.from_array(w, chunks=333)])
def test_weights_may_be_in_memory_or_in_blocks(structure, wrap):
    X, mixture = problem(structure)
    weight = np.random.default_rng(1).gamma(1, size=len(X))
    found = fit(da.from_array(X, chunks=(600, 3)), mixture, sample_weight=wrap(weight))
    same(found, fit(X, mixture, sample_weight=weight))


@matrix_or_diagonal
def test_missing_entries_are_integrated_out_in_blocks_too(structure):
    X, mixture = problem(structure)
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    blocks = da.from_array(X, chunks=(600, 3))
    settings = {"missing": "marginalise", "tol": 1e-4}
    same(fit(blocks, mixture, **settings), fit(X, mixture, **settings))
    np.testing.assert_allclose(relative_floor(blocks), relative_floor(X), rtol=1e-10)


@matrix_or_diagonal
def test_single_precision_stays(structure):
    X, mixture = problem(structure)
    X = X.astype(np.float32)
    blocks = da.from_array(X, chunks=(600, 3))
    assert as_samples(blocks).dtype == np.float32
    settings = {"tol": 0, "max_iter": 10}
    same(fit(blocks, mixture, **settings), fit(X, mixture, **settings), rtol=1e-4)


def test_integers_become_float64():
    X, mixture = problem()
    X = np.round(10 * X).astype(np.int16)
    mixture = start.from_parameters(X, means=10 * mixture.means)
    same(fit(da.from_array(X, chunks=(600, 3)), mixture), fit(X, mixture))


@pytest.mark.parametrize("settings", [{"degenerate": "floor"}, {"floor": 0.1}, {"ridge": 1e-3}])
def test_every_policy_works_on_blocks(settings):
    X, mixture = problem()
    same(fit(da.from_array(X, chunks=(600, 3)), mixture, **settings), fit(X, mixture, **settings))


def test_a_file_may_be_mapped_into_memory(tmp_path):
    X, mixture = problem()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    expected = fit(X, mixture)
    assert fit(mapped, mixture).log_likelihood == expected.log_likelihood
    same(fit(da.from_array(mapped, chunks=(600, 3)), mixture), expected)


def test_data_set_facts_are_those_in_memory():
    X, _ = problem()
    there, here = DaskSamples(da.from_array(X, chunks=(600, 2))), Samples(X)
    assert (there.n_samples, there.n_features, there.total) == (*X.shape, len(X))
    for name in ("low", "high", "centre", "extent", "has_missing", "dtype"):
        assert np.array_equal(getattr(there, name), getattr(here, name)), name


def test_parameters_are_one_task_and_not_a_part_of_every_block():
    X, mixture = problem()
    graphs = []

    def scheduler(graph, keys, **_):
        graphs.append(graph if isinstance(graph, dict) else graph.__dask_graph__())
        return dask.get(graph, keys)

    with dask.config.set(scheduler=scheduler):
        as_samples(da.from_array(X, chunks=(100, 3))).fold(ResidualForm(mixture))
    means = mixture.means.tobytes()
    holders = [key for key, task in graphs[-1].items() if means in pickle.dumps(task)]
    assert len(graphs[-1]) > 20
    assert len(holders) == 1


# ---- neither scheduler nor client matters ------------------------------------------------


@matrix_or_diagonal
def test_bits_do_not_depend_on_the_scheduler(structure):
    X, mixture = problem(structure)
    blocks = da.from_array(X, chunks=(150, 3))
    with dask.config.set(scheduler="synchronous"):
        alone = fit(blocks, mixture)
    with dask.config.set(scheduler="threads", num_workers=4):
        together = fit(blocks, mixture)
    assert together.mixture.to_json() == alone.mixture.to_json()
    assert together.log_likelihood == alone.log_likelihood


def loading(X, size, loaded):
    """Return X as a Dask array whose blocks note in a list when they are read."""

    def load(begin):
        loaded.append(begin)
        return X[begin : begin + size]

    parts = [
        da.from_delayed(dask.delayed(load)(begin), (min(size, len(X) - begin), X.shape[1]), X.dtype)
        for begin in range(0, len(X), size)
    ]
    return da.concatenate(parts)


def test_a_pass_reads_every_block_once_and_only_sums_come_back():
    X, mixture = problem()
    loaded, sizes = [], []

    def scheduler(graph, keys, **_):
        found = dask.get(graph, keys)
        sizes.append(len(pickle.dumps(found)))
        return found

    with dask.config.set(scheduler=scheduler):
        fit(loading(X, 100, loaded), mixture, max_iter=3)
    passes = len(sizes)
    assert sorted(loaded) == sorted(list(range(0, 2000, 100)) * passes)
    # range, the data's own covariance, iterations 0 to 3, and what is still to be had
    assert passes == 1 + 2 + 4 + 1
    assert max(sizes[:-1]) < X[:100].nbytes  # the last is the matrix of information


def test_blas_has_one_thread_in_every_block_and_the_limit_is_lifted():
    seen = []

    def watched(X, weight):
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return len(X)

    with threadpool_limits(2), dask.config.set(scheduler="threads", num_workers=4):
        before = threadpool_info()
        assert as_samples(da.ones((400, 2), chunks=(10, 2))).fold(watched) == 400
        assert threadpool_info() == before
    assert set(seen) == {1}


def test_a_mixture_travels_also_where_it_is_worse_conditioned_than_a_user_may_set():
    nearly_singular = np.array([[[1, 1 - 3e-16], [1 - 3e-16, 1]]])
    with pytest.raises(ValueError, match="positive definite"):
        Full(nearly_singular)
    mixture = Mixture.unchecked(np.ones(1), np.zeros((1, 2)), Full.unchecked(nearly_singular))
    assert pickle.loads(pickle.dumps(mixture)) == mixture


# ---- a start from a part of the data -----------------------------------------------------


@pytest.mark.parametrize("size", [1, 100, 2000, 5000])
def test_a_subsample_is_the_same_wherever_the_data_are(tmp_path, size):
    X, _ = problem()
    X[:, 0] = np.arange(len(X))
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    sources = (X, X.tolist(), mapped, da.from_array(X, chunks=(UNEVEN, 2)))
    drawn = [start.subsample(source, size, np.random.default_rng(0)) for source in sources]
    assert all(type(one) is np.ndarray and np.array_equal(one, drawn[0]) for one in drawn)
    assert len(drawn[0]) == min(size, len(X))
    assert (np.diff(drawn[0][:, 0]) > 0).all()  # in order, so none twice
    assert np.array_equal(drawn[0], X[drawn[0][:, 0].astype(int)])


def test_every_row_is_as_likely_as_any_other():
    rng = np.random.default_rng(0)
    drawn = np.concatenate([start.subsample(np.arange(20)[:, None], 5, rng) for _ in range(2000)])
    counts = np.bincount(drawn.ravel().astype(int), minlength=20)
    # 2000 draws of 5 in 20: each row is in 500 ± 19 of them
    assert np.abs(counts - 500).max() < 5 * 19


def test_a_subsample_leaves_types_and_missing_entries_as_data_have_them():
    X = np.array([[1.0, np.nan], [2.0, 3.0]], dtype=np.float32)
    for source in (X, da.from_array(X, chunks=1)):
        drawn = start.subsample(source, 2, np.random.default_rng(0))
        assert drawn.dtype == np.float32
        assert np.array_equal(drawn, X, equal_nan=True)
    assert start.subsample(np.eye(3, dtype=int), 2, np.random.default_rng(0)).dtype == np.float64


def test_a_subsample_reads_only_blocks_with_rows_in_it():
    X, _ = problem()
    loaded = []
    start.subsample(loading(X, 100, loaded), 2, np.random.default_rng(0))
    assert len(loaded) <= 2


@pytest.mark.parametrize(
    ("X", "size", "rng", "error", "match"),
    [
        (np.eye(3), 0, np.random.default_rng(0), ValueError, "n_samples must be at least 1"),
        (np.eye(3), 1.5, np.random.default_rng(0), TypeError, "n_samples must be an integer"),
        (np.eye(3), 2, 0, TypeError, "rng must be a numpy.random.Generator"),
        (np.ones(3), 2, np.random.default_rng(0), ValueError, "two dimensions"),
        (np.ones((0, 3)), 2, np.random.default_rng(0), ValueError, "at least one sample"),
        ([["a"]], 1, np.random.default_rng(0), TypeError, "real numbers"),
    ],
)
def test_a_subsample_is_checked(X, size, rng, error, match):
    with pytest.raises(error, match=match):
        start.subsample(X, size, rng)


# ---- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "error", "match"),
    [
        (da.ones(10, chunks=5), ValueError, "two dimensions"),
        (da.ones((0, 3), chunks=5), ValueError, "at least one sample"),
        (da.ones((10, 3), chunks=5).astype(object), TypeError, "real numbers"),
        (da.ones((10, 3), chunks=5).astype(complex), TypeError, "real numbers"),
        (da.ones((10, 3), chunks=5) / 0, ValueError, "infinity"),
        (da.ones((10, 3), chunks=5) * np.nan, ValueError, "NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_data_are_checked_as_in_memory(X, error, match):
    with pytest.raises(error, match=match):
        fit(X, problem()[1])


def test_chunks_of_unknown_sizes_are_refused_and_the_advice_works():
    X, mixture = problem()
    blocks = da.from_array(X, chunks=(600, 3))
    some = blocks[blocks[:, 0] > X[:, 0].mean()]
    for function in (lambda: fit(some, mixture), lambda: start.subsample(some, 3, None)):
        with pytest.raises(ValueError, match=r"X\.compute_chunk_sizes\(\)"):
            function()
    some.compute_chunk_sizes()
    same(fit(some, mixture, max_iter=3), fit(X[X[:, 0] > X[:, 0].mean()], mixture, max_iter=3))


@pytest.mark.parametrize(
    ("weight", "error", "match"),
    [
        (da.ones(7), ValueError, r"one entry per sample, shape \(2000,\)"),
        (-da.ones(2000), ValueError, "must be non-negative"),
        (da.zeros(2000), ValueError, "not all zero"),
        (da.ones(2000) * np.nan, ValueError, "NaN"),
        (da.ones(2000).astype(complex), TypeError, "real numbers"),
        (np.ones(7), ValueError, r"one entry per sample, shape \(2000,\)"),
    ],
)
def test_weights_are_checked_as_in_memory(weight, error, match):
    X, mixture = problem()
    with pytest.raises(error, match=f"sample_weight.*{match}"):
        fit(da.from_array(X, chunks=(600, 3)), mixture, sample_weight=weight)


@pytest.mark.parametrize(
    "function",
    [
        lambda X: start.kmeans(X, 3, np.random.default_rng(0)),
        lambda X: start.kmeans_plus_plus(X, 3, np.random.default_rng(0)),
        lambda X: start.random_points(X, 3, np.random.default_rng(0)),
        lambda X: start.random_responsibilities(X, 3, np.random.default_rng(0)),
        lambda X: start.from_labels(X, np.arange(len(X)) % 3),
        lambda X: start.from_responsibilities(X, np.ones((len(X), 1))),
        lambda X: problem()[1].log_prob(X),
    ],
)
def test_what_needs_the_rows_says_so_and_what_to_do(function):
    loaded = []
    with pytest.raises(TypeError, match=r"X must be in memory.*start\.subsample"):
        function(loading(problem()[0], 100, loaded))
    assert not loaded


def test_a_start_from_parameters_needs_only_sums():
    X, mixture = problem()
    found = start.from_parameters(da.from_array(X, chunks=(600, 3)), means=mixture.means)
    np.testing.assert_allclose(found.covariances, mixture.covariances, rtol=1e-10)


# ---- two worker processes, one of them killed --------------------------------------------


def load(path, begin, size, trap):
    """Read a block where the worker is; the first to find the trap dies of it."""
    if begin == 1000 and trap.exists():
        trap.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return np.array(np.load(path, mmap_mode="r")[begin : begin + size])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that kills")
def test_a_worker_may_be_killed_in_the_middle_of_a_pass(tmp_path):
    distributed = pytest.importorskip("distributed")
    X, mixture = problem()
    path, trap = tmp_path / "X.npy", tmp_path / "trap"
    np.save(path, X)
    blocks = da.concatenate(
        [
            da.from_delayed(dask.delayed(load)(path, begin, 100, trap), (100, 3), X.dtype)
            for begin in range(0, 2000, 100)
        ]
    )

    def set_trap(iteration, *_):
        if iteration == 2:
            trap.touch()

    settings = {"max_iter": 6, "tol": 0}
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=tmp_path,
            silence_logs="CRITICAL",  # of the death that is meant to be
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        before = set(client.run(os.getpid).values())
        found = fit(blocks, mixture, callback=set_trap, **settings)
        client.wait_for_workers(2)
        after = set(client.run(os.getpid).values())
    assert len(before - after) == 1
    same(found, fit(X, mixture, **settings))
    with dask.config.set(scheduler="synchronous"):  # the same bits as without any worker
        assert fit(blocks, mixture, **settings).mixture.to_json() == found.mixture.to_json()
