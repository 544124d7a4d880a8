"""The bookkeeping of a stack of fits: which of them go on, and how the others ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gmmlab.engine.degeneracy import (
    are_sound,
    can_be_evaluated,
    degenerate_components,
    describe,
)
from gmmlab.engine.options import Options
from gmmlab.engine.scale import log_likelihood_rounding, own_covariance
from gmmlab.engine.trace import Point, Recorder, Trace
from gmmlab.mixture import Mixture

_NOBODY = np.empty(0, dtype=np.intp)
# Fits that have ended are dropped from the stack when they are at least this share of it.
_MANY = 0.125


class Ending(NamedTuple):
    """How a fit of a stack ended."""

    status: str
    mixture: Mixture
    log_likelihood: float
    #: number of M-steps
    n_iter: int
    #: the iteration of the last row of the trace, and its gain over the row before
    iteration: int
    gain: float
    #: number of samples, or the sum of their weights
    total: float
    #: estimate of the remaining gain, or NaN
    remaining_gain: float
    #: why a fit is degenerate; for other fits, the event of the last row of the trace
    event: str


class Lockstep:
    """The fits of a stack that go on, by their numbers.

    Parameters
    ----------
    options : Options
    sharper : float
        Factor of the tolerance.
    """

    def __init__(self, options: Options, sharper: float) -> None:
        self.options = options
        self.fits = np.arange(len(options.start.weights))
        if options.callback is not None and len(self.fits) > 1:
            raise TypeError("callback must be None where many fits run at once")
        self._endings: dict[int, Ending] = {}
        # The covariance of the data, if components may collapse
        self._reference = None
        if options.may_collapse:
            structure = type(options.start.covariance)
            self._reference = own_covariance(options.samples, structure)
        #: whether the data of every fit determine covariances
        finite = self._reference is None or np.isfinite(self._reference.values).all()
        self.determined = bool(finite)
        # If the data are as thin as the ridge, no component is held up by the ridge.
        wide = (options.samples.extent**2 > 2 * options.ridge).all(axis=-1)
        ridges = np.broadcast_to(np.where(wide, options.ridge, 0.0), self.fits.shape)
        self._recorder = Recorder(ridges)
        self._sharper = sharper
        self._enough = options.tol * options.samples.total * sharper
        # A fit that has settled stops at this iteration.
        self._settled = np.zeros(len(self.fits), dtype=bool)
        self._going = np.ones(len(self.fits), dtype=bool)
        self._finals: list[tuple[np.ndarray, Point]] = []
        self._n_ended = 0  # of the fits that are still in the stack
        self._n_rows = np.zeros(len(self.fits), dtype=int)
        self._stop_at = np.full(len(self.fits), options.max_iter)
        self._events: Mapping[int, str] = {}
        self._turns = -1

    def record(self, point: Point, events: Mapping[int, str]) -> None:
        """Record a point of the fits that go on, and events by their positions in the stack."""
        self._events = events
        self._turns += 1
        self._recorder.add(self.fits, point, events)
        if self.options.callback is not None:
            self.options.callback(*point.single())

    def reasons(self, point: Point) -> dict[str, np.ndarray]:
        """Return the reasons to stop at a point, and the positions of the fits that do."""
        options, gain = self.options, point.gain
        reached = (np.abs(gain) if options.ridge else gain) <= self._enough
        cut = self._cut(point) if self._turns in options.cuts else _NOBODY
        stopping = (reached | (point.iteration >= self._stop_at)) & self._going
        if not stopping.any() and not len(cut):
            return {}
        fell = (gain < 0) & (options.ridge == 0) & (not options.rough)
        if fell.any():
            known = options.samples, point.mixture, point.log_likelihood
            fell &= -gain > log_likelihood_rounding(*known)
        reached &= ~fell
        self._settled |= reached
        soonest = np.minimum(self._stop_at, point.iteration + options.extra_step)
        self._stop_at = np.where(reached, soonest, self._stop_at)
        there = (point.iteration >= self._stop_at) & self._settled
        converged = there & (gain < np.inf) & ~fell
        out = point.iteration >= options.max_iter
        out[cut] = True
        out &= ~converged & ~fell
        found = {"not_increasing": fell, "converged": converged, "max_iter": out}
        found = {status: np.flatnonzero(mask & self._going) for status, mask in found.items()}
        return {status: which for status, which in found.items() if len(which)}

    def _cut(self, point: Point) -> np.ndarray:
        """Return the positions of the fits that are not among the best, after some turns."""
        n_kept = self.options.cuts[self._turns]
        going = np.flatnonzero(self._going)
        reached = np.nan_to_num(point.log_likelihood[going], nan=-np.inf)
        return going[np.argsort(reached, kind="stable")[: max(len(going) - n_kept, 0)]]

    def problems(self, point: Point, new: Mixture) -> dict[int, str]:
        """Describe what is degenerate after an M-step to `new`, by positions in the stack."""
        counts = point.statistics.counts
        sound, free = can_be_evaluated(new), self.options.free
        if free:
            sound = sound & are_sound(new, counts, self._reference)
        found = {}
        for position in np.flatnonzero(~sound & self._going).tolist():
            words, reference = "", self._reference
            if reference is not None and self.options.samples.stack:
                reference = reference.select(position)
            if free:
                known = new.select(position), counts[position], reference
                words = degenerate_components(*known)
            found[position] = words or "a covariance is singular to working precision"
        return found

    def lost(self, problems: Mapping[int, str], new: Mixture) -> dict[int, str]:
        """Return the problems that end a fit."""
        if self.options.degenerate != "floor":
            return dict(problems)
        finite = can_be_evaluated(new)
        return {position: words for position, words in problems.items() if not finite[position]}

    def restart(self, point: Point, event: str) -> None:
        """Record a point from which the only fit starts again."""
        self.record(point, {0: event})
        self._settled[:] = False
        self._stop_at[:] = self.options.max_iter

    def close(
        self,
        which: np.ndarray,
        status: str,
        point: Point,
        before: Point,
        problems: Sequence[str] | None = None,
    ) -> None:
        """Note how some fits ended.

        Parameters
        ----------
        which : ndarray of int
            Their positions in the stack.
        status : str
        point, before : Point
            The last two points that were recorded. If the log-likelihood fell, the result is the
            mixture before.
        problems : sequence of str, optional
            Why the fits are degenerate.
        """
        which = which[self._going[which]]
        self._going[which] = False
        self._n_ended += len(which)
        self._n_rows[self.fits[which]] = self._turns + 1
        gains = point.log_likelihood - before.log_likelihood
        totals = np.broadcast_to(self.options.samples.total, gains.shape).tolist()
        last = (before if status == "not_increasing" else point).select(which)
        if status in ("converged", "max_iter"):
            self._finals.append((self.fits[which], last))
        held = [""] * len(which)
        if self.options.ridge and status == "converged":
            held = self._recorder.held_up(self.fits[which], last.mixture.covariance)
        for number, position in enumerate(which.tolist()):
            event = "; ".join(filter(None, (self._events.get(position, ""), held[number])))
            iteration = int(point.iteration[position])
            self._endings[int(self.fits[position])] = Ending(
                status,
                last.mixture.select(number),
                float(last.log_likelihood[number]),
                self.options.max_iter if status == "max_iter" else iteration,
                iteration,
                float(gains[position]),
                totals[position],
                np.nan,
                event if problems is None else problems[number],
            )

    def finals(self, only_best: bool) -> tuple[np.ndarray, Point] | None:
        """Return the numbers of the fits that ran to their end, and the points they reached."""
        if not self._finals:
            return None
        fits, points = zip(*self._finals, strict=True)
        fits, point = np.concatenate(fits), Point.concatenated(points)
        if only_best:
            best = [point.log_likelihood.argmax()]
            return fits[best], point.select(best)
        return fits, point

    def note_remaining_gain(self, fits: np.ndarray, gains: np.ndarray) -> None:
        """Note the estimates of the remaining gain of some fits."""
        for fit, gain in zip(fits.tolist(), gains.tolist(), strict=True):
            self._endings[fit] = self._endings[fit]._replace(remaining_gain=gain)

    @property
    def over(self) -> bool:
        """Whether no fit goes on."""
        return not self._going.any()

    @property
    def few_left(self) -> bool:
        """Whether enough fits have ended to drop them: this takes a copy of all that is left."""
        return self._n_ended > 0 and self._n_ended >= _MANY * len(self.fits)

    def drop_ended(self) -> np.ndarray:
        """Return the positions of the fits that go on, and drop the others."""
        going, self._n_ended = np.flatnonzero(self._going), 0
        self.options = self.options.select(going)
        if self.options.samples.stack and self._reference is not None:
            self._reference = self._reference.select(going)
        for name in ("fits", "_settled", "_stop_at", "_going"):
            setattr(self, name, getattr(self, name)[going])
        self._enough = self.options.tol * self.options.samples.total * self._sharper
        return going

    def ended(self) -> list[tuple[Ending, Trace]]:
        """Return how each fit ended, and its trace."""
        traces = self._recorder.traces(self._n_rows)
        return [(self._endings[number], trace) for number, trace in enumerate(traces)]


def describe_each(components: np.ndarray | None, what: str) -> dict[int, str]:
    """Return `describe` for each position of a stack whose mask of components has a true entry."""
    if components is None or not components.any():
        return {}
    return {
        int(position): describe(components[position], what)
        for position in np.flatnonzero(components.any(axis=-1))
    }
