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
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks at every loaded library: done once


def one_blas_thread() -> AbstractContextManager:
    """Return a context in which the BLAS of NumPy and SciPy uses a single thread."""
    return _controller().limit(limits=1, user_api="blas")


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


if hasattr(os, "register_at_fork"):  # a fork has none of its parent's threads
    os.register_at_fork(after_in_child=_helpers.cache_clear)


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
