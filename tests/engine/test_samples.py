"""Samples: rows in chunks, in a fixed order, whatever the threads and wherever the data are."""

import multiprocessing
import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import SHAPES, covering, every_shape
from threadpoolctl import threadpool_info, threadpool_limits

from gmmlab import Full, fit, start
from gmmlab.engine import threads as _threads
from gmmlab.engine.samples import Samples, as_samples
from gmmlab.engine.threads import n_threads, parallel_map


class Rows(list):
    """What a chunk held, so that the sum over chunks lists all of it."""

    def __add__(self, other):
        return Rows([*self, *other])


def problem(n=3000, d=3, k=3, structure=Full, seed=0, dtype=np.float64):
    """Return two clouds and a start in them."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) + 3 * (np.arange(n) % 2)[:, None]).astype(dtype)
    return X, start.random_points(X, k, rng, structure=structure)


def bits(result):
    return result.mixture.to_json(), result.trace["log_likelihood"].tobytes()


# ---- chunks ----------------------------------------------------------------------------------


@given(st.integers(1, 70_000), st.sampled_from([1, 2, 40, 1000]))
def test_chunks_hold_every_row_once_and_in_order(n, d):
    n = min(n, 2_000_000 // d)
    X = np.broadcast_to(np.arange(float(n))[:, None], (n, d))
    weight, aligned = np.arange(n) + 1.0, np.arange(n)[:, None] + 2
    seen = Samples(X, weight).fold(
        lambda rows, share, more: Rows([(rows[:, -1].copy(), share, more)]), aligned
    )
    rows, shares, more = (np.concatenate(part) for part in zip(*seen, strict=True))
    np.testing.assert_array_equal(rows, np.arange(n))
    np.testing.assert_array_equal(shares, weight)
    np.testing.assert_array_equal(more, aligned)
    assert len(seen) <= 64


def test_samples_that_all_count_as_one_have_no_weights():
    assert Samples([[0.0]]).fold(lambda rows, share: Rows([share])) == [None]


def test_samples_are_taken_as_they_are():
    samples = Samples([[0.0], [1.0]])
    assert as_samples(samples) is samples


@covering(structure=SHAPES, threads=[1, 2, 3, 7])
def test_bits_do_not_depend_on_the_number_of_threads(structure, threads, monkeypatch):
    X, mixture = problem(20_000, structure=structure)
    ends = []
    for count in (1, threads):
        monkeypatch.setattr(_threads, "n_threads", lambda count=count: count)
        ends.append(bits(fit(X, mixture, max_iter=5, tol=0)))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("threads", [3])
def test_bits_of_weights_and_missing_entries_do_not_depend_on_threads_either(threads, monkeypatch):
    X, mixture = problem(20_000)
    rng = np.random.default_rng(1)
    X[rng.random(X.shape) < 0.1] = np.nan
    settings = {"sample_weight": rng.exponential(size=len(X)), "missing": "marginalise"}
    ends = []
    for count in (1, threads):
        monkeypatch.setattr(_threads, "n_threads", lambda count=count: count)
        ends.append(bits(fit(X, mixture, max_iter=3, tol=0, **settings)))
    assert ends[0] == ends[1]


def test_the_environment_may_ask_for_fewer_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = n_threads()
    for asked, count in (("1", 1), ("100000", cores), ("0", cores), ("two", cores), ("", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert n_threads() == count


# ---- what data may be ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.longdouble, np.float64),
        (np.uint64, np.float64),
        (bool, np.float64),
        (">f8", np.float64),
    ],
)
def test_single_precision_stays_and_all_else_becomes_double(dtype, kept):
    X = np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype)
    samples = Samples(X)
    assert samples.dtype == samples.X.dtype == kept
    np.testing.assert_array_equal(samples.X, X)
    assert samples.low.dtype == samples.centre.dtype == samples.extent.dtype == np.float64


def test_lists_become_double_precision():
    samples = Samples([[1, 2], [3, 4], [5, 6]])
    assert samples.dtype == np.float64
    assert (samples.n_samples, samples.n_features, samples.total) == (3, 2, 3)


def test_valid_data_are_not_copied():
    for X in (np.zeros((4, 2)), np.zeros((4, 2), np.float32), np.zeros((2, 4)).T):
        assert Samples(X).X is X


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X: X[::-1].copy()[::-1],
    "big-endian": lambda X: X.astype(">f8"),
    "a matrix": np.asmatrix,
    "nested lists": np.ndarray.tolist,
    "fields": lambda X: np.ascontiguousarray(X).view([("row", float, X.shape[1])])["row"][:, 0],
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@covering(layout=list(LAYOUTS), structure=SHAPES)
def test_bits_do_not_depend_on_the_layout_in_memory(structure, layout):
    X, mixture = problem(600, structure=structure)
    other = LAYOUTS[layout](X)
    np.testing.assert_array_equal(other, X)
    assert bits(fit(other, mixture, max_iter=4, tol=0)) == bits(fit(X, mixture, max_iter=4, tol=0))


@every_shape
def test_data_that_are_read_only_stay_as_they_are(structure):
    X, mixture = problem(300, structure=structure)
    before = X.copy()
    X.setflags(write=False)
    weight = np.ones(300)
    weight.setflags(write=False)
    fit(X, mixture, max_iter=4, sample_weight=weight)
    start.random_responsibilities(X, 2, np.random.default_rng(0), sample_weight=weight)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(weight, 1)


@covering(structure=SHAPES, dtype=[np.float32, np.float64])
def test_a_memory_mapped_file_gives_the_same_bits_as_memory(structure, dtype, tmp_path):
    X, mixture = problem(20_000, structure=structure, dtype=dtype)
    on_disk = np.memmap(tmp_path / "X", dtype=dtype, mode="w+", shape=X.shape)
    on_disk[:] = X
    on_disk.flush()
    for mode in ("r", "c", "r+"):
        mapped = np.memmap(tmp_path / "X", dtype=dtype, mode=mode, shape=X.shape)
        assert np.shares_memory(Samples(mapped).X, mapped)
        one, other = (fit(data, mixture, max_iter=4, tol=0) for data in (mapped, X))
        assert bits(one) == bits(other)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    draws = [start.random_points(data, 3, np.random.default_rng(0)) for data in (mapped, X)]
    assert draws[0] == draws[1]


# ---- centre and extent -----------------------------------------------------------------------


@given(
    st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=6),
    st.sampled_from([np.float32, np.float64]),
)
def test_no_sample_is_farther_from_the_centre_than_the_extent(values, dtype):
    X = np.array(values)[:, None]
    X = (X if dtype is np.float64 else X * 1e-70).astype(dtype)
    samples = Samples(X)
    assert samples.low[0] == X.min()
    assert samples.high[0] == X.max()
    assert samples.centre[0] == dtype(samples.centre[0])  # representable in the data's own type
    assert X.min() <= samples.centre[0] <= X.max()
    assert (np.abs(X.astype(float) - samples.centre) <= samples.extent).all()
    half = float(X.max()) / 2 - float(X.min()) / 2
    assert samples.extent[0] == pytest.approx(half, rel=1e-6, abs=1e-6 * float(np.abs(X).max()))


def test_missing_entries_have_no_part_in_centre_and_extent():
    samples = Samples([[np.nan, 1.0], [0.0, np.nan], [4.0, 3.0]], missing=True)
    assert samples.has_missing
    np.testing.assert_array_equal(samples.centre, [2, 2])
    np.testing.assert_array_equal(samples.extent, [2, 1])


def test_samples_of_weight_zero_have_no_part_in_the_spread():
    X = np.array([[0.0, 5.0], [1.0, 5.0], [7.0, 9.0]])
    low, high = Samples(X, [1, 1, 0]).spread
    np.testing.assert_array_equal(low, [0, 5])
    np.testing.assert_array_equal(high, [1, 5])
    np.testing.assert_array_equal(Samples(X).spread[1], [7, 9])


# ---- stacks ----------------------------------------------------------------------------------


def stacks(rng, n=50):
    """Yield data and weights of four fits, which have them in common or not."""
    X = rng.normal(size=(n, 2)) + 5
    own = X + rng.normal(size=(4, 1, 2)) * [1, 10]
    counts = rng.multinomial(n, np.full(n, 1 / n), size=4)
    for weight in (None, rng.exponential(size=n), rng.exponential(size=(4, n)), counts):
        for data in (X, own):
            yield data, weight


def of_fit(array, number, dimensions):
    """Return the part of an array that belongs to a fit, or all of it if all fits share it."""
    return array[number] if np.ndim(array) > dimensions else array


def test_the_samples_of_each_fit_are_those_of_a_fit_alone():
    for X, weight in stacks(np.random.default_rng(0)):
        samples = Samples(X, weight, n_fits=4)
        assert samples.stack == ((4,) if np.ndim(X) == 3 or np.ndim(weight) == 2 else ())
        assert (samples.n_samples, samples.n_features) == (50, 2)
        for number in range(4):
            alone = Samples(of_fit(X, number, 2), of_fit(weight, number, 1))
            for fits in (slice(number, number + 1), np.array([number]), np.arange(4) == number):
                part = samples.select(fits)
                assert part.stack == ((1,) if samples.stack else ())
                for name in ("total", "low", "high", "centre", "extent", "largest"):
                    wanted = getattr(alone, name)
                    np.testing.assert_allclose(np.squeeze(getattr(part, name)), wanted, rtol=1e-14)
            for end, wanted in zip(samples.spread, alone.spread, strict=True):
                np.testing.assert_array_equal(of_fit(end, number, 1), wanted)
            assert samples.largest_weight >= alone.largest_weight


def test_ranges_of_a_stack_have_an_entry_for_each_fit():
    """Also where the fits share the data and no weight is 0, as the sums of weights have."""
    for X, weight in stacks(np.random.default_rng(0)):
        samples = Samples(X, weight, n_fits=4)
        for end in samples.spread:
            assert end.shape == (*samples.stack, 2)


def test_fits_with_the_same_samples_share_one_object():
    samples = Samples(np.arange(8.0).reshape(4, 2), [1, 2, 3, 4], n_fits=3)
    assert samples.select(np.array([1])) is samples


@given(st.integers(1, 70_000))
def test_chunks_of_a_stack_hold_every_row_of_every_fit(n):
    X = np.arange(2.0 * n).reshape(2, n, 1)
    weight, aligned = X[..., 0] + 1, X + 2
    seen = Samples(X, weight, n_fits=2).fold(
        lambda rows, share, more: Rows([(rows.copy(), share[..., None], more)]), aligned
    )
    assert len(seen) == len(Samples(X[0]).fold(lambda *_: Rows([0])))
    for part, whole in zip(zip(*seen, strict=True), (X, X + 1, X + 2), strict=True):
        np.testing.assert_array_equal(np.concatenate(part, axis=1), whole)


# ---- errors ----------------------------------------------------------------------------------


def with_entry(value, row=7, n=20_000, dtype=np.float64):
    X = np.zeros((n, 2), dtype=dtype)
    X[row, 1] = value
    return X


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (with_entry(np.nan), ValueError, "X contains NaN.*missing='marginalise'"),
        (with_entry(np.nan, 19_999), ValueError, "X contains NaN"),
        (with_entry(np.inf), ValueError, "X contains infinity"),
        (with_entry(-np.inf, 19_999), ValueError, "X contains infinity"),
        (np.array([[np.nan], [np.inf]]), ValueError, "X contains infinity"),
        (
            with_entry(1e151),
            ValueError,
            "range of each feature of X must be at most.*feature 1 exceeds",
        ),
        (np.zeros(3), ValueError, r"X must have two dimensions.*reshape"),
        (np.zeros((0, 2)), ValueError, "X must have at least one sample and one feature"),
        (np.zeros((2, 0)), ValueError, "X must have at least one sample and one feature"),
        ([[1.0], [1.0, 2.0]], ValueError, "X must be an array of numbers"),
        ([["a"]], TypeError, "X must be an array of real numbers; got dtype <U1"),
        ([[1j]], TypeError, "X must be an array of real numbers"),
        (np.array([[1.0]], dtype=object), TypeError, "X must be an array of real numbers"),
        (np.zeros(3, dtype=[("a", float)]), TypeError, "X must be an array of real numbers"),
        (None, TypeError, "X must be an array of real numbers"),
    ],
)
def test_data_that_are_no_finite_table_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        Samples(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[np.nan, 1.0], [np.nan, 2.0]], "X contains only NaN in feature 0; drop"),
        ([[np.nan, np.inf], [1.0, 2.0]], "X contains infinity"),
        ([[np.nan, np.nan]], "X contains only NaN in feature 0, 1; drop"),
    ],
)
def test_data_with_missing_entries_must_show_something_of_every_feature(X, message):
    with pytest.raises(ValueError, match=message):
        Samples(X, missing=True)


def test_a_feature_seen_only_with_weight_zero_is_not_seen():
    X = [[0.0, 1.0], [1.0, np.nan], [2.0, np.nan]]
    with pytest.raises(ValueError, match="only NaN in feature 1"):
        Samples(X, [0.0, 1.0, 1.0], missing=True)


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ([1.0, -1.0, 1.0], ValueError, "sample_weight must be non-negative.*-1"),
        ([0.0, 0.0, 0.0], ValueError, "sample_weight must be non-negative and not all zero"),
        ([1.0, 1.0], ValueError, r"sample_weight must have one entry per sample, shape \(3,\)"),
        ([[1.0], [1.0], [1.0]], ValueError, r"sample_weight must have one entry.*\(3, 1\)"),
        ([1.0, np.nan, 1.0], ValueError, "sample_weight contains NaN"),
        ([1.0, np.inf, 1.0], ValueError, "sample_weight contains infinity"),
        (["1", "1", "1"], TypeError, "sample_weight must be an array of real numbers"),
        ([1e308, 1e308, 1e308], ValueError, "sample_weight must have a sum between"),
        ([1e-320, 0.0, 0.0], ValueError, "sample_weight must have a sum between"),
    ],
)
def test_weights_that_do_not_go_with_the_data_are_refused(weight, error, message):
    with pytest.raises(error, match=message):
        Samples([[0.0], [1.0], [2.0]], weight)
    with pytest.raises(error, match=message):
        start.kmeans([[0.0], [1.0], [2.0]], 1, np.random.default_rng(0), sample_weight=weight)


# ---- threads ---------------------------------------------------------------------------------


@covering(count=[0, 1, 2, 100], threads=[1, 2, 5])
def test_a_parallel_map_keeps_the_order(threads, count, monkeypatch):
    monkeypatch.setattr(_threads, "n_threads", lambda: threads)
    assert parallel_map(lambda item: item**2, range(count)) == [i**2 for i in range(count)]


def test_a_parallel_map_works_on_all_threads_at_once(monkeypatch):
    monkeypatch.setattr(_threads, "n_threads", lambda: 3)
    meeting = threading.Barrier(3, timeout=30)  # passes only if three wait at the same time

    def meet(item):
        meeting.wait()
        return threading.get_ident()

    assert len(set(parallel_map(meet, range(3)))) == 3


@pytest.mark.parametrize("in_helper", [True, False])
def test_an_error_on_any_thread_reaches_the_caller_once_all_have_stopped(in_helper, monkeypatch):
    monkeypatch.setattr(_threads, "n_threads", lambda: 3)
    caller, meeting, busy = threading.get_ident(), threading.Barrier(3, timeout=30), []

    def fail(item):
        busy.append(item)
        meeting.wait()
        try:
            if (threading.get_ident() != caller) is in_helper:
                raise KeyError("on purpose")
        finally:
            busy.remove(item)

    with pytest.raises(KeyError, match="on purpose"):
        parallel_map(fail, range(3))
    assert busy == []
    assert parallel_map(abs, [-1, 2]) == [1, 2]  # and the threads are there for the next


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_a_forked_child_can_fit(monkeypatch):
    """The parent's threads are not there in the child."""
    monkeypatch.setattr(_threads, "n_threads", lambda: 2)
    X, mixture = problem(40_000)
    ours = fit(X, mixture, max_iter=3, tol=0)  # the helpers are at work before the fork
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(
        target=lambda: sender.send(bits(fit(X, mixture, max_iter=3, tol=0))), daemon=True
    )
    child.start()
    try:
        assert receiver.poll(60), "the child hangs"
        assert receiver.recv() == bits(ours)
    finally:
        child.kill()
        child.join()
    assert bits(fit(X, mixture, max_iter=3, tol=0)) == bits(ours)


def test_fits_on_several_threads_at_once_give_the_same_bits():
    X, mixture = problem(20_000)
    alone = bits(fit(X, mixture, max_iter=3, tol=0))
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(bits(fit(X, mixture, max_iter=3, tol=0))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


def blas_threads():
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


def test_blas_has_one_thread_until_the_last_of_several_fits_ends():
    """The limit is the whole process's, and here the first fit to begin is the first to end."""
    X, mixture = problem(300)
    second_runs, first_is_done, seen = threading.Event(), threading.Event(), []

    def first(iteration, *_):
        if iteration == 1:
            assert second_runs.wait(30)
            seen.append(blas_threads())

    def second(iteration, *_):
        second_runs.set()
        assert first_is_done.wait(30)
        seen.append(blas_threads())

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        threads = [
            threading.Thread(
                target=fit, args=(X, mixture), kwargs={"max_iter": 1, "tol": 0, "callback": call}
            )
            for call in (first, second)
        ]
        for thread in threads:
            thread.start()
        threads[0].join(30)
        first_is_done.set()
        threads[1].join(30)
        assert blas_threads() == before
    assert seen == [{1}, {1}, {1}]
