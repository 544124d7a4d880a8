"""Squared extrapolation (SQUAREM): longer steps where EM is slow.

Two EM steps θ₀ → θ₁ → θ₂, with r = θ₁ − θ₀ and v = (θ₂ − θ₁) − r, show the slowest direction of
the EM map. The point

    θ' = θ₀ + 2 α r + α² v,   α = ‖r‖ / ‖v‖

is where many more such steps would lead (Varadhan and Roland 2008, scheme S3). It is computed in
`Coordinates`, so θ' is a valid mixture for every α, and lengths are weighted by the share of the
samples that each component has.

Fits in lockstep extrapolate when each is ready: all arrays have a leading axis for the fits.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from gmmlab.convergence.coordinates import Coordinates
from gmmlab.engine import Options, Pass, Point, can_be_evaluated
from gmmlab.mixture import Mixture

# The longest step allowed at first, and the factor by which it grows or shrinks as
# extrapolations succeed or fail (Varadhan and Roland 2008, section 7).
_FIRST, _FACTOR = 1.0, 4.0
# EM is slow once a step gains no more than this in mean log-likelihood.
_SLOW = 1e-3


class EMMap(Protocol):
    """The EM iteration that `Squarem` wraps."""

    options: Options

    def select(self, fits: Any) -> EMMap:
        """Return the map of some fits of the stack."""

    def advance(self, point: Point, step: Any, following: Pass) -> tuple[Point, None]:
        """Return the point that an M-step from `point` leads to."""


class Extrapolation:
    """Extrapolations of growing length from every second EM step.

    Parameters
    ----------
    free : frozenset of str
        The blocks that EM estimates.
    n_fits : int
        The number of fits in the stack.
    """

    def __init__(self, free: frozenset[str], n_fits: int) -> None:
        self.free = free
        self.longest = np.full(n_fits, _FIRST)
        # The mixtures before the first of two steps, and for which fits there are any.
        self._first: Mixture | None = None
        self._waiting = np.zeros(n_fits, dtype=bool)

    def select(self, fits: Any) -> Extrapolation:
        """Return the extrapolations of some fits of the stack."""
        part = Extrapolation(self.free, 0)
        part.longest, part._waiting = self.longest[fits], self._waiting[fits]
        part._first = None if self._first is None else self._first.select(fits)
        return part

    def propose(
        self, mixture: Mixture, new: Mixture, slow: np.ndarray
    ) -> tuple[np.ndarray, Mixture | None]:
        """Return extrapolations after the EM step from `mixture` to `new`.

        An extrapolation needs two slow steps, one after the other.

        Parameters
        ----------
        mixture, new : Mixture
        slow : ndarray of bool, shape (R,)
            For which fits EM is slow.

        Returns
        -------
        fits : ndarray of int
            The positions of the fits that have an extrapolation.
        farther : Mixture or None
            The extrapolations of these fits.
        """
        ready = np.flatnonzero(slow & self._waiting)
        farther = None
        if len(ready):
            ready, farther = self._farther(ready, mixture, new)
        first = slow & ~self._waiting
        if first.any():
            if self._first is None or first.all():
                self._first = mixture
            else:
                fits = np.flatnonzero(first)
                self._first = self._first.replaced(fits, mixture.select(fits))
        self._waiting = first
        return ready, farther

    def _farther(
        self, ready: np.ndarray, mixture: Mixture, new: Mixture
    ) -> tuple[np.ndarray, Mixture | None]:
        coordinates = Coordinates(self._first.select(ready), self.free)
        r, both = coordinates.of(Mixture.stacked([mixture.select(ready), new.select(ready)]))
        v = both - 2 * r
        weight = coordinates.per_coordinate(coordinates.origin.weights)
        length, bend = (np.sqrt((weight * each**2).sum(axis=-1)) for each in (r, v))
        longest = self.longest[ready]
        alpha = np.minimum(np.where(bend > 0, length / bend, np.inf), longest)[:, None]
        self.longest[ready] = np.where(alpha[:, 0] == longest, longest * _FACTOR, longest)
        farther = coordinates.mixture(2 * alpha * r + alpha**2 * v)
        longer = np.flatnonzero(alpha[:, 0] > 1)
        return ready[longer], farther.select(longer) if len(longer) else None

    def forget(self) -> None:
        """Begin again with the first of two steps: they must follow each other."""
        self._waiting[:] = False

    def reject(self, fits: np.ndarray) -> None:
        """Shorten the longest step of fits whose last extrapolation lowered the log-likelihood."""
        self.longest[fits] = np.maximum(self.longest[fits] / _FACTOR, _FIRST)


class Squarem:
    """An EM map that extrapolates where EM is slow.

    Every second slow step of a fit is replaced by an extrapolation. If that lowers the
    log-likelihood, the EM step is taken after all.

    Parameters
    ----------
    em : EMMap
        The map to accelerate.
    extrapolation : Extrapolation, optional
        A new one by default.
    """

    #: The next step of an accelerated fit may be longer than the last, so the last step gains at
    #: most this fraction of the tolerance.
    sharper = 0.1

    def __init__(self, em: EMMap, extrapolation: Extrapolation | None = None) -> None:
        self.em = em
        if extrapolation is None:
            extrapolation = Extrapolation(em.options.free, len(em.options.start.weights))
        self.extrapolation = extrapolation

    def select(self, fits: Any) -> Squarem:
        """Return the map of some fits of the stack."""
        return Squarem(self.em.select(fits), self.extrapolation.select(fits))

    def advance(self, point: Point, step: Any, following: Pass) -> tuple[Point, np.ndarray | None]:
        """Return the next point: extrapolations if they are not worse, otherwise EM's steps.

        The second result are the positions of fits for which a rejected extrapolation was the last
        iteration, or None.
        """
        options = self.em.options
        slow = point.gain <= _SLOW * options.samples.total
        if not slow.any():
            self.extrapolation.forget()
            return self.em.advance(point, step, following)
        fits, farther = self._extrapolated(point.mixture, step.mixture, slow)
        if not len(fits):
            return self.em.advance(point, step, following)
        mixture = step.mixture.replaced(fits, farther)
        statistics = options.one_pass(mixture).run()
        iteration = point.iteration + 1
        accepted = statistics.log_likelihood[fits] >= point.log_likelihood[fits]
        fits, rejected = fits[accepted], fits[~accepted]
        if len(rejected):
            self.extrapolation.reject(rejected)
            iteration[rejected] += 1
            back = step.mixture.select(rejected)
            mixture = mixture.replaced(rejected, back)
            known = options.select(rejected).one_pass(back).run()
            statistics = statistics.replaced(rejected, known)
        gain = statistics.log_likelihood - point.log_likelihood
        led = step.counts.copy(), step.moments.copy(), point.entropy
        for unknown in led:
            unknown[fits] = np.nan
        gain[fits] = np.inf
        exhausted = rejected[iteration[rejected] > options.max_iter]
        new = Point(iteration, mixture, statistics, gain, *led)
        return new, exhausted if len(exhausted) else None

    def _extrapolated(
        self, mixture: Mixture, new: Mixture, slow: np.ndarray
    ) -> tuple[np.ndarray, Mixture | None]:
        """Return the positions of the fits with mixtures to try in place of the EM step."""
        fits, farther = self.extrapolation.propose(mixture, new, slow)
        if not len(fits):
            return fits, None
        farther, _ = self.em.options.select(fits).raised(farther)
        valid = can_be_evaluated(farther)
        return fits[valid], farther.select(valid)
