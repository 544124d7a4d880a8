"""Squared extrapolation (SQUAREM): longer steps where EM is slow.

Two EM steps θ₀ → θ₁ → θ₂, with r = θ₁ − θ₀ and v = (θ₂ − θ₁) − r, show the slowest direction of
the EM map. The point

    θ' = θ₀ + 2 α r + α² v,   α = ‖r‖ / ‖v‖

is where many more such steps would lead (Varadhan and Roland 2008, scheme S3). It is computed in
`Coordinates`, so θ' is a valid mixture for every α, and lengths are weighted by the share of the
samples that each component has.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from gmmlab.convergence.coordinates import Coordinates
from gmmlab.engine import Options, Point, can_be_evaluated
from gmmlab.mixture import Mixture

# The longest step allowed at first, and the factor by which it grows or shrinks as
# extrapolations succeed or fail (Varadhan and Roland 2008, section 7).
_FIRST, _FACTOR = 1.0, 4.0
# EM is slow once a step gains no more than this in mean log-likelihood.
_SLOW = 1e-3


class EMMap(Protocol):
    """The EM iteration that `Squarem` wraps."""

    def evaluate(self, mixture: Mixture, iteration: int, **known: Any) -> Point:
        """Return the point at a mixture."""

    def advance(self, point: Point, step: Any, event: str, iteration: int) -> Point:
        """Return the point that an M-step from `point` leads to."""


class Extrapolation:
    """Extrapolations of growing length from every second EM step.

    Parameters
    ----------
    free : frozenset of str
        The blocks that EM estimates.
    """

    def __init__(self, free: frozenset[str]) -> None:
        self.free = free
        self.longest = _FIRST
        self._first: Mixture | None = None

    def propose(self, mixture: Mixture, new: Mixture) -> Mixture | None:
        """Return an extrapolation after the EM step from `mixture` to `new`, or None.

        An extrapolation needs two steps, so the first call of two returns None.
        """
        if self._first is None:
            self._first = mixture
            return None
        origin, self._first = self._first, None
        coordinates = Coordinates(origin, self.free)
        r = coordinates.of(mixture)
        v = coordinates.of(new) - 2 * r
        weight = self._weight(coordinates)
        bend = np.sqrt(weight @ v**2)
        ratio = np.sqrt(weight @ r**2) / bend if bend > 0 else np.inf
        alpha = min(ratio, self.longest)
        if alpha == self.longest:
            self.longest *= _FACTOR
        if not alpha > 1:
            return None
        return coordinates.mixture(2 * alpha * r + alpha**2 * v)

    def reject(self) -> None:
        """Shorten the longest step, because the last extrapolation lowered the log-likelihood."""
        self.longest = max(self.longest / _FACTOR, _FIRST)

    @staticmethod
    def _weight(coordinates: Coordinates) -> np.ndarray:
        shares = np.zeros(coordinates.size + 1)
        np.add.at(shares, coordinates.places, coordinates.origin.weights[:, None])
        return shares[:-1]


class Squarem:
    """An EM map that extrapolates where EM is slow.

    Every second slow step is replaced by an extrapolation. If that lowers the log-likelihood,
    the EM step is taken after all.

    Parameters
    ----------
    em : EMMap
        The map to accelerate.
    options : Options
        The arguments of the fit.
    """

    def __init__(self, em: EMMap, options: Options) -> None:
        self.em = em
        self.options = options
        self.extrapolation = Extrapolation(options.free)

    def advance(self, point: Point, step: Any, event: str) -> Point | None:
        """Return the next point: an extrapolation if it is not worse, otherwise EM's step.

        Return None if a rejected extrapolation was the last iteration.
        """
        iteration = point.iteration + 1
        farther = self._extrapolated(point, step.mixture)
        if farther is not None:
            leap = self.em.evaluate(farther, iteration, event=event)
            if leap.log_likelihood >= point.log_likelihood:
                return leap
            self.extrapolation.reject()
            iteration += 1
            if iteration > self.options.max_iter:
                return None
        return self.em.advance(point, step, event, iteration)

    def _extrapolated(self, point: Point, new: Mixture) -> Mixture | None:
        """Return a mixture to try in place of the EM step to `new`, or None."""
        if not point.gain <= _SLOW * self.options.samples.total:
            return None
        try:
            farther = self.extrapolation.propose(point.mixture, new)
            if farther is None:
                return None
            farther, _ = self.options.raised(farther)
            return farther if can_be_evaluated(farther) else None
        except np.linalg.LinAlgError:
            return None
