"""Estimates of shared volumes, shapes and axes of Σₖ = λₖ Dₖ Aₖ Dₖᵀ from second moments.

The volume λₖ = |Σₖ|^(1/d) is the size of component k, the shape Aₖ, diagonal with |Aₖ| = 1, its
relative length along each axis, and the columns of the orthogonal Dₖ are the axes (Banfield and
Raftery 1993; Celeux and Govaert 1995). Each function minimises

    Σₖ Nₖ [log|Σₖ| + tr Σₖ⁻¹ Mₖ]                                                     (P1)

over covariances that share the named parts, for second moments Mₖ. Moments are matrices (k, d, d),
or variances (k, d) along known axes. With `bounded`, the minimum is subject to Σₖ ⪰ I. Searches
start from `near`, log-volumes (k,), if it is given; the result does not depend on it.

Counts (k,), moments and `near` may have the same leading axes, of n fits. The searches of all fits
take their steps together, and a fit that has converged leaves the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from gmmlab.covariance._linalg import (
    are_positive_definite,
    cholesky,
    eigh,
    identity,
    inverse_of_lower,
    solve,
)

#: counts (k,) and variances (k, d) of the moments along some axes → the variances Λₖ that minimise
#: (P1)
Estimator = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Log-volumes have converged when a step changes them by at most this. The error after a Newton
# step is about the square of the step, so that tolerance is larger than that of alternating steps.
_NEWTON, _ALTERNATING = 1e-5, 1e-12
# The root of a function of one number is known to this fraction of it.
_EXACT = 4 * np.finfo(float).eps
# Newton steps that are shorter are taken without a check that the cost falls. The third derivative
# of the cost along a step is at most about its length times the second, so they cannot fail.
_NEAR = 0.1
_MOST_STEPS = 1000
# A rough search takes this many steps or rotations.
_FEW = 1
# Two axes are not rotated if (P1) for each sample changes with the angle by at most `_ROUND`: all
# components are round in their plane. The search stops when a sweep gains at most `_GAIN` for each
# sample, which is a hundredth of the rounding of (P1).
_ROUND, _GAIN = 1e-14, 1e-18
_MOST_ROTATIONS = 500
# A Newton rotation that promises at most `_LAST` is the last one, because the next would gain the
# square of it; it is taken without a check that the cost falls. A rotation by more than `_FAR` is
# rejected.
_LAST, _FAR = 1e-9, 0.5
# Difference quotients change variances by this fraction.
_SHORT = 1e-6
# With more features than this, one Newton rotation costs more than many sweeps.
_WIDE = 20
# A component is flat along an axis if it has at most this fraction of the pooled variance there.
_COLLAPSED = 1e-14


def pooled(counts: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return Σₖ Nₖ Mₖ / n: the estimate where all components share one covariance."""
    return _mixed(_shares(counts), moments)


# ---- volumes and shapes --------------------------------------------------------------------


def free(
    counts: np.ndarray,
    moments: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
    rough: bool = False,
) -> np.ndarray:
    """Return Σₖ = Mₖ for variances (k, d): the components share nothing."""
    del counts, near, rough
    return np.maximum(moments, 1) if bounded else moments


def equal(
    counts: np.ndarray,
    moments: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
    rough: bool = False,
) -> np.ndarray:
    """Return Σₖ = Σₖ Nₖ Mₖ / n for variances (k, d): the components share volume and shape."""
    del near, rough
    one = pooled(counts, moments)[..., None, :]
    return np.broadcast_to(np.maximum(one, 1) if bounded else one, moments.shape)


def proportional(
    counts: np.ndarray,
    moments: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
    rough: bool = False,
) -> np.ndarray:
    """Return Σₖ = λₖ C: each component has its own volume, and they share everything else.

    For given volumes, the best C is Σₖ Nₖ Mₖ / (n λₖ). What remains, Σₖ Nₖ d log λₖ + n log|C|, is
    convex in log λ. Newton steps minimise it, with Pₖ = C⁻¹ᐟ² Mₖ C⁻¹ᐟ² / λₖ. Celeux and Govaert
    (1995) alternate between C and λₖ = tr(C⁻¹ Mₖ) / d, which reaches the same point more slowly.
    With a bound, the steps alternate, subject to C ⪰ I and λₖ ≥ 1.
    """
    d = moments.shape[-1]
    weights, inner = _flat(counts, moments)
    if bounded:
        return _proportional_bounded(weights, inner).reshape(moments.shape)
    size = _traces(weights, inner) / d
    alive = size > 0  # a component at a single point has no volume
    if alive.all():
        alive = None
    else:
        weights = weights * alive
        size = np.where(alive, size, 1)
    with np.errstate(all="ignore"):  # the data of a fit may lie in a subspace
        weights = _shares(weights)
        logs = first = np.log(size)
        if near is not None:
            logs = near.reshape(first.shape)
            logs = np.where(np.isfinite(logs), logs, first)
        logs = _log_volumes(weights, inner, logs, alive, _FEW if rough else _MOST_STEPS)
        logs = np.where(np.isfinite(logs), logs, first)
        volumes = np.exp(logs)
        common = _mixed(weights / volumes, inner)
        found = _per(volumes, inner) * common[:, None]
    if alive is not None:
        found = np.where(_per(alive, inner), found, inner)
        found = np.where(_per(weights.sum(axis=-1) > 0, inner), found, inner)
    return found.reshape(moments.shape)


def _log_volumes(
    weights: np.ndarray,
    moments: np.ndarray,
    logs: np.ndarray,
    alive: np.ndarray | None,
    most_steps: int,
) -> np.ndarray:
    """Return the log-volumes (n, k) that minimise (P1), or NaN; by Newton's method.

    Components that are not `alive` have weight 0 and keep theirs. None means that all are.
    """
    found = logs.copy()
    left = np.arange(len(found))  # the fits that have not converged
    k, d = logs.shape[1], moments.shape[-1]
    last = promised = np.inf
    here = _profile(weights, moments, logs)
    for _ in range(most_steps):
        shares = _traces(weights, here.relative) / d
        if alive is not None:
            shares = np.where(alive, shares, 1)
        rows = here.relative.reshape(*weights.shape, -1)
        # Row k is divided by its weight. A common factor of the volumes changes nothing, so the
        # matrix is singular until the weights are added.
        curvature = (1 - rows @ rows.swapaxes(-1, -2) / d) * weights[:, None, :]
        curvature += shares[..., None] * identity(k)
        excess = shares - 1
        step = solve(curvature, excess[..., None])[..., 0]
        size = np.abs(step).max(axis=-1)
        largest = np.fmax.reduce(size)  # without NaN
        if not largest > _NEWTON:
            found[left] = logs + step
            break
        # Rounding hides the rest if steps near the minimum no longer promise less and less.
        gain = (weights * excess * step).sum(axis=-1)
        go = (size > _NEWTON) & ((last > _NEAR) | (gain < promised / 2))
        if largest > _NEAR:
            step, here = _shortened(weights, moments, logs, here, step, size)
        else:
            here = None
        logs = logs + step
        found[left] = logs
        last, promised = size, gain
        if not go.all():
            left, weights, moments, logs = left[go], weights[go], moments[go], logs[go]
            last, promised = last[go], promised[go]
            alive = None if alive is None else alive[go]
            if len(left) == 0:
                break
            here = None
        if here is None:
            here = _profile(weights, moments, logs)
    return found


def _shortened(
    weights: np.ndarray,
    moments: np.ndarray,
    logs: np.ndarray,
    here: _Profile,
    step: np.ndarray,
    size: np.ndarray,
) -> tuple[np.ndarray, _Profile]:
    """Return steps, halved until (P1) does not rise or they are short, and where they lead."""
    cost = here.cost(weights, logs)
    while True:
        there = _profile(weights, moments, logs + step)
        falls = there.cost(weights, logs + step) <= cost
        rises = ~falls & (size > _NEAR) & (size < np.inf)
        if not rises.any():
            return step, there
        factor = np.where(rises, 0.5, 1)
        step, size = step * factor[:, None], size * factor


class _Profile(NamedTuple):
    """What the best C for given log-volumes makes of the moments."""

    relative: np.ndarray  # Pₖ
    scale: np.ndarray  # C, or the diagonal of its Cholesky factor, (n, d)

    def cost(self, weights: np.ndarray, logs: np.ndarray) -> np.ndarray:
        """Return (P1) of each fit, up to a constant, shape (n,)."""
        d, times = self.scale.shape[-1], self.relative.ndim - weights.ndim
        log_det = times * np.log(self.scale).sum(axis=-1)
        return d * (weights * logs).sum(axis=-1) + log_det


def _profile(weights: np.ndarray, moments: np.ndarray, logs: np.ndarray) -> _Profile:
    scaled = moments * _per(np.exp(-logs), moments)
    common = _mixed(weights, scaled)
    if common.ndim == 2:
        return _Profile(scaled / common[:, None], common)
    factor = cholesky(common)
    whitening = inverse_of_lower(factor)[:, None]
    relative = whitening @ scaled @ whitening.swapaxes(-1, -2)
    return _Profile(relative, factor.diagonal(axis1=-2, axis2=-1))


def _proportional_bounded(counts: np.ndarray, moments: np.ndarray) -> np.ndarray:
    weights, d = _shares(counts), moments.shape[-1]
    found = np.empty(moments.shape)
    left, logs = np.arange(len(found)), np.zeros(weights.shape)
    with np.errstate(all="ignore"):  # moments may be infinite
        for _ in range(_MOST_STEPS):
            common = _raised(_mixed(weights, moments * _per(np.exp(-logs), moments)))
            if common.ndim == 2:
                size = (moments / common[:, None]).sum(axis=-1)
            else:
                size = (solve(common, identity(d))[:, None] * moments).sum(axis=(-1, -2))
            last, logs = logs, np.log(np.maximum(size / d, 1))
            found[left] = _per(np.exp(logs), moments) * common[:, None]
            go = np.abs(logs - last).max(axis=-1) > _ALTERNATING
            if not go.any():
                break
            if not go.all():
                left, weights, moments, logs = left[go], weights[go], moments[go], logs[go]
    return found


def _raised(moments: np.ndarray) -> np.ndarray:
    """Return variances (n, d), or matrices (n, d, d), with eigenvalues below 1 raised to 1."""
    if moments.ndim == 2:
        return np.maximum(moments, 1)
    eigenvalues, vectors = eigh(moments)
    return (vectors * np.maximum(eigenvalues, 1)[..., None, :]) @ vectors.swapaxes(-1, -2)


def equal_volume(
    counts: np.ndarray,
    variances: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
    rough: bool = False,
) -> np.ndarray:
    """Return Σₖ = λ Aₖ along known axes, for variances (k, d): one volume, variable shapes.

    Aₖ = Mₖ / |Mₖ|^(1/d) and λ = Σₖ Nₖ |Mₖ|^(1/d) / n (Celeux and Govaert 1995).
    A component without variance in some direction has no shape and is returned unchanged.

    With a bound, log Σₖⱼ = max(0, log Mₖⱼ + tₖ). The derivatives of (P1) are 0 if tₖ are such that
    every component has the same sum c over j, and c is such that Σₖ Nₖ exp(−tₖ) = n.
    """
    del near, rough
    if bounded:
        return _equal_volume_bounded(counts, variances)
    positive = variances > 0
    if positive.all():
        logs = np.log(variances)
    else:
        positive = positive.all(axis=-1, keepdims=True)
        logs = np.where(positive, np.log(np.where(positive, variances, 1)), np.nan)
    return variances * equalising(counts, logs.sum(axis=-1) / logs.shape[-1])[..., None]


def equalising(counts: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """Return factors (k,) that make volumes equal: λ / λₖ with λ = Σₖ Nₖ λₖ / n.

    `logs` are log λₖ, or NaN for components without volume: their factor is 1, and they add
    nothing to λ.
    """
    volumes = np.exp(logs)
    total = (counts * volumes).sum(axis=-1, keepdims=True)
    if np.isfinite(total).all():
        return total / (counts.sum(axis=-1, keepdims=True) * volumes)
    some = np.isfinite(volumes)
    total = (counts * np.where(some, volumes, 0)).sum(axis=-1, keepdims=True)
    return np.where(some, total / (counts.sum(axis=-1, keepdims=True) * volumes), 1)


def _equal_volume_bounded(counts: np.ndarray, variances: np.ndarray) -> np.ndarray:
    logs = np.log(np.maximum(variances, np.finfo(float).tiny))
    sums = np.cumsum(-np.sort(-logs, axis=-1), axis=-1)  # of the 1, 2, … largest
    parts = np.arange(1, logs.shape[-1] + 1)
    with np.errstate(all="ignore"):
        weights = np.log(_shares(counts))
        # Σⱼ max(0, log Mₖⱼ + t) = c if t is the smallest of (c − sum) / part. The logarithm of
        # Σₖ Nₖ exp(−tₖ) / n is convex in c and falls. So Newton steps from the left do not
        # overshoot its root; the minimum is at c = 0 if there is none to the right of it.
        c = np.zeros(variances.shape[:-2])
        for _ in range(_MOST_STEPS):
            each = (c[..., None, None] - sums) / parts
            shifts = each.min(axis=-1)
            terms = weights - shifts
            top = terms.max(axis=-1, keepdims=True)
            terms = np.exp(terms - top)
            total = terms.sum(axis=-1)
            excess = top[..., 0] + np.log(total)
            step = excess * total / (terms / parts[each.argmin(axis=-1)]).sum(axis=-1)
            going = step > _EXACT * np.maximum(c, 1)
            if not going.any():
                break
            c = np.where(going, c + step, c)
        return np.exp(np.maximum(logs + shifts[..., None], 0))


# ---- axes ----------------------------------------------------------------------------------


def own_axes(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return variances (k, d) in ascending order along the axes (k, d, d) of each component.

    These axes are also the best if components share their shape: tr Σ⁻¹ M is smallest if Σ and M
    have the same eigenvectors, with eigenvalues in the same order (von Neumann's inequality).
    """
    variances, axes = eigh(moments)
    return np.maximum(variances, 0), axes


def common_axes(
    counts: np.ndarray,
    moments: np.ndarray,
    estimate: Estimator,
    begin: np.ndarray,
    *,
    only_best: bool = False,
    rough: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances (k, d) along axes (d, d) that all components share, and the axes.

    Parameters
    ----------
    counts, moments : ndarray, shapes (k,) and (k, d, d)
    estimate : callable
        Returns the Λₖ that minimise (P1), for counts and variances of Mₖ along known axes.
    begin : ndarray, shape (n_starts, d, d)
        Axes to start from; leading axes, of many fits, are between these. The best of the results
        is returned.
    only_best : bool
        Whether each fit starts only from the axes that have the lowest (P1).
    rough : bool
        Whether a few rotations are enough.

    Notes
    -----
    Newton steps rotate all axes D at once and minimise (P1), with Λ estimated for each D; they
    converge quadratically near a minimum. If a Newton step would not lower (P1), and always with
    more than 20 features, a sweep rotates the axes in pairs, like the algorithm of Flury and
    Gautschi (1986). For known Λ, the rotation in the plane of axes i and j that minimises
    Σₖ Nₖ tr(Λₖ⁻¹ Dᵀ Mₖ D) has tan 2θ = b / a, where a and b are the sums of Nₖ (1/Λₖⱼ − 1/Λₖᵢ)
    times (Mₖᵢᵢ − Mₖⱼⱼ)/2 and Mₖᵢⱼ. Planes that have no axis in common are rotated together (Browne
    and McNicholas 2014 rotate all axes at once, by an MM algorithm). The result is a local minimum.
    """
    starts, d = len(begin), moments.shape[-1]
    weights, inner = _flat(_shares(counts), moments)
    axes = begin.reshape(starts, -1, d, d)
    most = _FEW if rough else _MOST_ROTATIONS
    with np.errstate(all="ignore"):  # (P1) has no minimum if a component is flat
        if not only_best:
            rows, flat = np.tile(weights, (starts, 1)), axes.reshape(-1, d, d)
            here = _view(rows, _turned(np.tile(inner, (starts, 1, 1, 1)), flat), estimate)
            axes = _rotated(rows, here, estimate, flat, most).reshape(axes.shape)
        here = _view(weights, _turned(inner, axes), estimate)
        best = _lowest(here.cost(weights))
        axes = axes[best]
        if only_best:
            axes = _rotated(weights, here.of(best), estimate, axes, most)
        axes = axes.reshape(begin.shape[1:])
        return estimate(counts, along(moments, axes)), axes


def _lowest(costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the lowest of the costs (n_starts, n) of each fit."""
    costs = np.where(np.isnan(costs), np.inf, costs)
    return costs.argmin(axis=0), np.arange(costs.shape[1])


def along(moments: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the variances (k, d) of second moments along axes (d, d)."""
    axes = axes[..., None, :, :]
    return np.maximum((moments @ axes * axes).sum(axis=-2), 0)


def _rotated(
    counts: np.ndarray, here: _View, estimate: Estimator, axes: np.ndarray, most: int
) -> np.ndarray:
    """Return the axes (n, d, d) of minima near those of a view, for counts that sum to 1."""
    found = axes.copy()
    left, weights = np.arange(len(axes)), counts  # of the fits whose axes still rotate
    # (P1) has no minimum for these; the next EM step reports a degenerate component.
    go = ~_collapsed(weights, here.estimated)
    for _ in range(most):
        if not go.all():
            left, weights, here = left[go], weights[go], here.of(go)
            if len(left) == 0:
                break
        rotation, gain = _newton_rotation(weights, here, estimate)
        last = gain <= _LAST
        if last.all():
            found[left] = found[left] @ rotation
            break
        there = _view(weights, _turned(here.moments, rotation), estimate)
        worse = ~last & ~(there.cost(weights) < here.cost(weights))
        if worse.any():
            some, part = weights[worse], here.moments[worse]
            rotation[worse], gain[worse] = _sweep(some, part, estimate)
            swept = _view(some, _turned(part, rotation[worse]), estimate)
            for whole, each in zip(there, swept, strict=True):
                whole[worse] = each
        found[left] = found[left] @ rotation
        here = there
        go = ~last & (gain > _GAIN) & ~_collapsed(weights, here.estimated)
    # One step of the iteration of Newton and Schulz makes the axes orthogonal again, after the
    # rounding errors of many rotations.
    return found @ (1.5 * identity(axes.shape[-1]) - found.swapaxes(-1, -2) @ found / 2)


class _View(NamedTuple):
    """Moments along some axes, and the estimate from them."""

    moments: np.ndarray  # in the coordinates of the axes, (n, k, d, d)
    variances: np.ndarray  # their diagonals, (n, k, d)
    estimated: np.ndarray  # the variances Λ that minimise (P1), (n, k, d)

    def cost(self, counts: np.ndarray) -> np.ndarray:
        """Return (P1) of each fit, shape (n,)."""
        logs, variances = np.log(self.estimated), self.variances
        each = logs + np.where(variances > 0, variances / self.estimated, 0)
        return (counts * each.sum(axis=-1)).sum(axis=-1)

    def of(self, fits: Any) -> _View:
        """Return the views of some fits."""
        return _View(*(each[fits] for each in self))


def _view(counts: np.ndarray, moments: np.ndarray, estimate: Estimator) -> _View:
    variances = np.maximum(moments.diagonal(axis1=-2, axis2=-1), 0)
    return _View(moments, variances, estimate(counts, variances))


def _turned(moments: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return moments (n, k, d, d) in the coordinates of axes (n, d, d)."""
    axes = axes[..., None, :, :]
    return axes.swapaxes(-1, -2) @ moments @ axes


def _collapsed(counts: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return whether a component of a fit is flat along an axis, or NaN; shape (n,)."""
    flat = _COLLAPSED * (counts[:, None, :] @ variances)
    return ~(variances > flat).all(axis=(-1, -2))


def _newton_rotation(
    counts: np.ndarray, here: _View, estimate: Estimator
) -> tuple[np.ndarray, np.ndarray]:
    """Return rotations (n, d, d) from the axes of a view, and the gains they promise (n,).

    The rotation is the identity and the gain NaN if (P1) is not curved like a minimum, if it would
    be too far, or if sweeps cost less.
    """
    moments, variances = here.moments, here.variances
    n, k, d = variances.shape
    one = identity(d)
    if d > _WIDE:
        return np.broadcast_to(one, (n, d, d)).copy(), np.full(n, np.nan)
    i, j, planes, places, signs, skews = _planes(d)
    precisions = counts[..., None] / here.estimated
    tilts = 2 * moments[..., i, j]
    gradient = (tilts * (precisions @ planes.T)).sum(axis=-2)
    # Part of the curvature with the precisions held fixed, a quadratic form for each column of
    # what the rotation adds.
    within = precisions.swapaxes(-1, -2) @ moments.reshape(*precisions.shape[:-1], d * d)
    within = within.reshape(n, d, d, d)
    common = within.diagonal(axis1=-3, axis2=-2)
    form = 2 * within - (common + common.swapaxes(-1, -2))[:, None]
    curvature = (form.reshape(n, -1)[:, places] * signs).sum(axis=1)
    # Part that comes from the precisions, which follow the variances.
    slopes = tilts.swapaxes(-1, -2)[..., None] * planes[:, None, :]  # (n, planes, k, d)
    largest = np.abs(slopes / variances[:, None]).max(axis=(-1, -2))
    short = _SHORT / np.maximum(largest, _SHORT)
    moved = variances[:, None] + short[..., None, None] * slopes
    changes = counts[:, None, :, None] / estimate(counts[:, None], moved) - precisions[:, None]
    flat = *slopes.shape[:2], k * d
    changes = changes.reshape(flat) / short[..., None]
    curvature += changes @ slopes.reshape(flat).swapaxes(-1, -2)
    curvature = (curvature + curvature.swapaxes(-1, -2)) / 2
    step = solve(curvature, -gradient[..., None])[..., 0]
    gain = -(gradient * step).sum(axis=-1) / 2
    near = np.abs(step).max(axis=-1, initial=0) < _FAR  # not NaN
    bad = ~(near & are_positive_definite(curvature))
    if bad.any():
        step[bad], gain[bad] = 0, np.nan
    skew = (step[:, None, :] @ skews).reshape(n, d, d)
    return solve(one - skew, one + skew), gain  # Cayley transform


class _Planes(NamedTuple):
    """The planes of axes i < j.

    A rotation in a plane adds e_i to column j and −e_j to column i.
    """

    i: np.ndarray
    j: np.ndarray
    #: e_j − e_i of each plane, (planes, d)
    difference: np.ndarray
    #: the terms of the curvature: the places in the quadratic forms of what two planes add to a
    #: column that they share, and the signs, or 0 where they share none, (4, planes, planes)
    places: np.ndarray
    signs: np.ndarray
    #: the skew matrices (e_i e_jᵀ − e_j e_iᵀ) / 2, as rows
    skews: np.ndarray


@cache
def _planes(d: int) -> _Planes:
    i, j = np.triu_indices(d, 1)
    p, q = i[:, None], j[:, None]

    def at(column: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return (column * d + one) * d + other

    places = np.stack([at(q, p, i), at(q, p, j), at(p, q, i), at(p, q, j)])
    signs = np.stack([1.0 * (q == j), -1.0 * (q == i), -1.0 * (p == j), 1.0 * (p == i)])
    one = identity(d)
    skews = one[i][:, :, None] * one[j][:, None, :]
    skews = (skews - skews.swapaxes(1, 2)).reshape(len(i), d * d) / 2
    return _Planes(i, j, one[j] - one[i], places, signs, skews)


def _sweep(
    counts: np.ndarray, moments: np.ndarray, estimate: Estimator
) -> tuple[np.ndarray, np.ndarray]:
    """Return products of one rotation in every plane (n, d, d), and the gains of all (n,)."""
    n, _, d, _ = moments.shape
    total, gained = np.broadcast_to(identity(d), (n, d, d)), np.zeros(n)
    for i, j in _disjoint_planes(d):
        diagonal = moments.diagonal(axis1=-2, axis2=-1)
        precisions = 1 / estimate(counts, np.maximum(diagonal, 0))
        wanted = counts[..., None] * (precisions[..., j] - precisions[..., i])
        a = (wanted * (diagonal[..., i] - diagonal[..., j])).sum(axis=-2) / 2
        b = (wanted * moments[..., i, j]).sum(axis=-2)
        length = np.hypot(a, b)
        defined = (length > _ROUND) & (length < np.inf)
        gain = np.where(a > 0, b * b / (length + a), length - a)
        gained += np.where(defined, gain, 0).sum(axis=-1)
        angle = np.where(defined, np.arctan2(b, a), 0) / 2
        rotation = np.broadcast_to(identity(d), (n, d, d)).copy()
        rotation[:, i, i] = rotation[:, j, j] = np.cos(angle)
        rotation[:, j, i] = np.sin(angle)
        rotation[:, i, j] = -rotation[:, j, i]
        total = total @ rotation
        moments = _turned(moments, rotation)
    return total, gained


@cache
def _disjoint_planes(d: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return all pairs of axes, in rounds of pairs that have no axis in common.

    It is the schedule of a round-robin tournament: the first player stays, and the others move on
    by one place after each round.
    """
    players = list(range(d + d % 2))  # the last of an odd number of axes has a dummy opponent
    rounds = []
    for _ in players[1:]:
        half = len(players) // 2
        met = zip(players[:half], reversed(players[half:]), strict=True)
        pairs = np.array([pair for pair in met if max(pair) < d], dtype=np.intp).reshape(-1, 2)
        rounds.append((pairs[:, 0], pairs[:, 1]))
        players = [players[0], players[-1], *players[1:-1]]
    return rounds


# ---- helpers -------------------------------------------------------------------------------


def _flat(counts: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return counts (n, k) and moments with one leading axis, of all fits."""
    k = counts.shape[-1]
    return counts.reshape(-1, k), moments.reshape(-1, *moments.shape[counts.ndim - 1 :])


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(axis=-1, keepdims=True)


def _per(values: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return values (…, k) in a shape that multiplies the moments of the components."""
    return values.reshape(*values.shape, *[1] * (moments.ndim - values.ndim))


def _mixed(weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return Σₖ wₖ Mₖ."""
    rows = moments.reshape(*weights.shape, -1)
    shape = *weights.shape[:-1], *moments.shape[weights.ndim :]
    return (weights[..., None, :] @ rows).reshape(shape)


def _traces(weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return tr Mₖ in the shape of the weights."""
    if moments.ndim > weights.ndim + 1:
        moments = moments.diagonal(axis1=-2, axis2=-1)
    return moments.sum(axis=-1)
