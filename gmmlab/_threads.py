"""One BLAS thread where bits must not depend on how many there are."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks at every loaded library: done once


def one_blas_thread() -> AbstractContextManager:
    """Return a context in which the BLAS of NumPy and SciPy uses a single thread."""
    return _controller().limit(limits=1, user_api="blas")
