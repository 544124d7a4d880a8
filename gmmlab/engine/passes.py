"""One pass over the data for a stack of mixtures: the form for each, and slices of the stack.

Fits in lockstep share the calls of NumPy, which take nearly all of the time for small data. Slices
of a large stack fit the cache, and threads share them; their boundaries depend on shapes alone, so
the bits of a result do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gmmlab._numerics import LONGEST_BLOCK
from gmmlab.engine.exponential_family import exponential_family_form
from gmmlab.engine.missing import ObservedForm
from gmmlab.engine.samples import Samples
from gmmlab.engine.statistics import ResidualForm, SufficientStatistics
from gmmlab.engine.threads import parallel_map
from gmmlab.mixture import Mixture

# The arrays (fits, k, b) or (fits, k, d, b) of a slice have at most this many entries (512 KiB), as
# far as the number of fits decides it. So the memory of a pass does not grow with the stack.
_SLICE_ENTRIES = 2**16


class Pass:
    """A pass over the data that is ready to run.

    Parameters
    ----------
    samples : Samples
    mixture : Mixture
        One mixture, or a stack.
    about : ndarray, shape (…, n_components, n_features), optional
        The points that moments are taken about. By default, those that cost least.
    rough : bool, default False
        Whether fewer digits are enough.
    """

    def __init__(
        self,
        samples: Samples,
        mixture: Mixture,
        about: np.ndarray | None = None,
        *,
        rough: bool = False,
    ) -> None:
        self.samples = samples
        #: for each part of the stack (None is all of it), the form that is exact and fast
        self.forms: list[tuple[np.ndarray | None, Any]]
        #: whether no component has collapsed and no digits are lost, by a wide margin, for all fits
        self.surely = False
        if samples.has_missing:
            self.forms = [(None, ObservedForm(mixture, about))]
            return
        if about is not None:
            self.forms = [(None, ResidualForm(mixture, about))]
            return
        fast, exact, self.surely = exponential_family_form(samples, mixture, rough=rough)
        if self.surely or exact.all():
            self.forms = [(None, fast)]
        elif not exact.any():
            self.forms = [(None, ResidualForm(mixture))]
        else:
            exact, rest = np.flatnonzero(exact), np.flatnonzero(~exact)
            self.forms = [(exact, fast.select(exact)), (rest, ResidualForm(mixture.select(rest)))]

    def run(self) -> SufficientStatistics:
        """Return the sufficient statistics (E1 to E3)."""
        if len(self.forms) == 1:
            return _fold(self.samples, self.forms[0][1])
        parts = [_fold(self.samples.select(fits), form) for fits, form in self.forms]
        order = np.argsort(np.concatenate([fits for fits, _ in self.forms]))
        return SufficientStatistics.joined(parts, order)


def _fold(samples: Samples, form: Any) -> SufficientStatistics:
    """Return the sum over all samples of a form, slice by slice of its stack."""
    n_fits = form.mixture.means.shape[0] if form.mixture.means.ndim == 3 else 1
    one = form.entries_of_a_fit * min(samples.n_samples, LONGEST_BLOCK)
    size = max(1, _SLICE_ENTRIES // one)
    if n_fits <= size:
        return samples.fold(form)
    count = -(-n_fits // size)
    size = -(-n_fits // count)
    slices = [slice(begin, begin + size) for begin in range(0, n_fits, size)]

    def run(fits: slice) -> SufficientStatistics:
        return samples.select(fits).fold(form.select(fits))

    return SufficientStatistics.joined(parallel_map(run, slices))
