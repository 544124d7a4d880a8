"""Threads: one for each core over the blocks of the data, and one for BLAS in each of them.

BLAS threads that wait for work spin, and slow down the others; and a sum over more BLAS
threads may have other bits. So the threads are ours, and what each of them does is fixed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from functools import cache
from threading import Lock
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def _controller() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  a worker may not have loaded its BLAS yet

    return ThreadpoolController()  # looks at every loaded library: done once


def _let_any_thread_set_limits() -> None:
    """Undo that threadpoolctl, from 3.8 on, takes limits from the first thread that sets one."""
    for library in _controller().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


class _OneBlasThread(AbstractContextManager):
    """The limit is the process's: the first to enter sets it, and the last to leave lifts it."""

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
    """Return a context in which the BLAS of NumPy and SciPy uses a single thread."""
    return _ONE_BLAS_THREAD


def n_threads() -> int:
    """Return the number of threads: the cores there are, or OMP_NUM_THREADS if that is less."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not every system can say
        cores = os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(asked)) if asked.isdigit() and int(asked) > 0 else cores


@cache
def _helpers(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="gmmlab")


def _after_fork() -> None:
    """Forget the parent's threads: a fork has none of them, nor their hold on the lock."""
    _helpers.cache_clear()
    _ONE_BLAS_THREAD.lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``[function(item) for item in items]``, made by all threads.

    The calling thread works too, and whoever is free takes the next item: each item's result
    is the same whoever made it, and the results are in the order of the items.
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
    finally:  # an error here must not leave the others at work on the caller's arrays
        wait(others)
    for other in others:
        other.result()
    return results
