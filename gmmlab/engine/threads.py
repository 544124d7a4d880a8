"""Threads: one for each core over the blocks of the data, and one BLAS thread in each of them.

BLAS threads that wait for work spin and slow down the others, and a sum over another number of
BLAS threads can have other bits. So gmmlab makes its own threads, and the work of each is fixed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from functools import cache
from threading import Lock
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


def _controller() -> ThreadpoolController:
    return _inspected("scipy.linalg" in sys.modules)


@cache
def _inspected(with_scipy: bool) -> ThreadpoolController:
    """Return a controller of all BLAS libraries that are loaded, with that of SciPy or without.

    It is made only once for each, because it inspects every loaded library.
    """
    del with_scipy
    return ThreadpoolController()


def _let_any_thread_set_limits() -> None:
    """Let every thread set limits; since 3.8, threadpoolctl accepts only the first that did."""
    for library in _controller().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


class _OneBlasThread(AbstractContextManager):
    """Limit for the whole process: the first to enter sets it, the last to leave lifts it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self.lock:
            if self._inside == 0:
                _let_any_thread_set_limits()
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self._inside -= 1
            if self._inside == 0:
                _let_any_thread_set_limits()
                self._limit.restore_original_limits()
                _let_any_thread_set_limits()


_ONE_BLAS_THREAD = _OneBlasThread()


def one_blas_thread() -> AbstractContextManager:
    """Return a context manager that limits the BLAS of NumPy and SciPy to one thread."""
    return _ONE_BLAS_THREAD


def n_threads() -> int:
    """Return the number of threads: the number of cores, or OMP_NUM_THREADS if that is smaller."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not available on every system
        cores = os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(asked)) if asked.isdigit() and int(asked) > 0 else cores


@cache
def _helpers(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="gmmlab")


def _after_fork() -> None:
    """Forget the threads and the lock of the parent process, which a fork does not have."""
    _helpers.cache_clear()
    _ONE_BLAS_THREAD.lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``[function(item) for item in items]``, computed by all threads.

    The calling thread works too, and each free thread takes the next item. The results are in the
    order of the items and do not depend on the threads.
    """
    threads = min(n_threads(), len(items)) if len(items) > 1 else 1
    if threads == 1:
        return [function(item) for item in items]
    results: list[Result] = [None] * len(items)  # type: ignore[list-item]
    left = iter(range(len(items)))

    def work() -> None:
        for number in left:
            results[number] = function(items[number])

    others = [_helpers(threads - 1).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:  # after an error, no thread may go on using the caller's arrays
        # Where no thread was free, as in a nested call, nothing is left to do for the others.
        others = [other for other in others if not other.cancel()]
        wait(others)
    for other in others:
        other.result()
    return results
