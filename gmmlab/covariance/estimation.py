"""Estimates of shared volumes, shapes and axes of Σₖ = λₖ Dₖ Aₖ Dₖᵀ from second moments.

The volume λₖ = |Σₖ|^(1/d) is the size of component k, the shape Aₖ, diagonal with |Aₖ| = 1, its
relative length along each axis, and the columns of the orthogonal Dₖ are the axes (Banfield and
Raftery 1993; Celeux and Govaert 1995). Each function minimises

    Σₖ Nₖ [log|Σₖ| + tr Σₖ⁻¹ Mₖ]                                                     (P1)

over covariances that share the named parts, for second moments Mₖ. Moments are matrices (k, d, d),
or variances (k, d) along known axes. With `bounded`, the minimum is subject to Σₖ ⪰ I. Searches
start from `near`, log-volumes (k,), if it is given; the result does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

#: variances (k, d) of the moments along some axes → the variances Λₖ that minimise (P1)
Estimator = Callable[[np.ndarray], np.ndarray]

# Log-volumes have converged when a step changes them by at most this. The error after a Newton
# step is about the square of the step, so that tolerance is larger than that of alternating steps.
_NEWTON, _ALTERNATING = 1e-5, 1e-12
# Newton steps that are shorter are taken without a check that the cost falls: near the minimum,
# rounding hides the change.
_NEAR = 1e-3
_MOST_STEPS = 1000
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
    return _mixed(counts / counts.sum(), moments)


# ---- volumes and shapes --------------------------------------------------------------------


def free(
    counts: np.ndarray,
    moments: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
) -> np.ndarray:
    """Return Σₖ = Mₖ for variances (k, d): the components share nothing."""
    del counts, near
    return np.maximum(moments, 1) if bounded else moments


def equal(
    counts: np.ndarray,
    moments: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
) -> np.ndarray:
    """Return Σₖ = Σₖ Nₖ Mₖ / n for variances (k, d): the components share volume and shape."""
    del near
    one = pooled(counts, moments)
    return np.broadcast_to(np.maximum(one, 1) if bounded else one, moments.shape)


def proportional(
    counts: np.ndarray,
    moments: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
) -> np.ndarray:
    """Return Σₖ = λₖ C: each component has its own volume, and they share everything else.

    For given volumes, the best C is Σₖ Nₖ Mₖ / (n λₖ). What remains, Σₖ Nₖ d log λₖ + n log|C|, is
    convex in log λ. Newton steps minimise it, with Pₖ = C⁻¹ᐟ² Mₖ C⁻¹ᐟ² / λₖ. Celeux and Govaert
    (1995) alternate between C and λₖ = tr(C⁻¹ Mₖ) / d, which reaches the same point more slowly.
    With a bound, the steps alternate, subject to C ⪰ I and λₖ ≥ 1.
    """
    d = moments.shape[1]
    if bounded:
        return _proportional_bounded(counts, moments)
    size = _traces(moments)
    alive = size > 0  # a component at a single point has no volume
    if not counts[alive].any():
        return moments
    weights, inner = counts[alive] / counts[alive].sum(), moments[alive]
    logs = np.log(size[alive] / d) if near is None else near[alive]
    try:
        cost, relative = _profile(weights, inner, logs)
        for _ in range(_MOST_STEPS):
            shares = _traces(relative) / d
            flat = relative.reshape(len(relative), -1)
            # Row k is divided by its weight. A common factor of the volumes changes nothing, so
            # the matrix is singular until the weights are added.
            curvature = np.diag(shares) + weights - flat @ flat.T * weights / d
            step = np.linalg.solve(curvature, shares - 1)
            tried = _profile(weights, inner, logs + step)
            while not tried[0] <= cost and np.abs(step).max() > _NEAR:
                step = step / 2
                tried = _profile(weights, inner, logs + step)
            fell = tried[0] < cost
            logs = logs + step
            cost, relative = tried
            if np.abs(step).max() <= _NEWTON or not fell:  # rounding hides the rest
                break
    except np.linalg.LinAlgError:  # the data lie in a subspace
        logs = np.log(size[alive] / d)
    volumes = np.zeros(len(moments))
    volumes[alive] = np.exp(logs)
    common = _mixed(weights / volumes[alive], inner)
    return _per(volumes, moments) * common


def _profile(
    weights: np.ndarray, moments: np.ndarray, logs: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return (P1), up to a constant, and Pₖ as functions of the log-volumes."""
    scaled = moments * _per(np.exp(-logs), moments)
    common = _mixed(weights, scaled)
    if moments.ndim == 2:
        if not (common > 0).all():
            raise np.linalg.LinAlgError("a feature has no variance")
        return len(common) * (weights @ logs) + np.log(common).sum(), scaled / common
    factor = np.linalg.cholesky(common)
    whitening = np.linalg.inv(factor)
    log_det = 2 * np.log(np.diagonal(factor)).sum()
    return len(common) * (weights @ logs) + log_det, whitening @ scaled @ whitening.T


def _proportional_bounded(counts: np.ndarray, moments: np.ndarray) -> np.ndarray:
    d = moments.shape[1]
    logs = np.zeros(len(moments))
    for _ in range(_MOST_STEPS):
        common = _raised(pooled(counts, moments * _per(np.exp(-logs), moments)))
        if moments.ndim == 2:
            size = (moments / common).sum(axis=1)
        else:
            size = np.einsum("ij,kji->k", np.linalg.inv(common), moments)
        last, logs = logs, np.log(np.maximum(size / d, 1))
        if np.abs(logs - last).max() <= _ALTERNATING:
            break
    return _per(np.exp(logs), moments) * common


def _raised(moment: np.ndarray) -> np.ndarray:
    """Return variances (d,), or a matrix (d, d), with eigenvalues below 1 raised to 1."""
    if moment.ndim == 1:
        return np.maximum(moment, 1)
    eigenvalues, vectors = np.linalg.eigh(moment)
    return (vectors * np.maximum(eigenvalues, 1)) @ vectors.T


def equal_volume(
    counts: np.ndarray,
    variances: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
) -> np.ndarray:
    """Return Σₖ = λ Aₖ along known axes, for variances (k, d): one volume, variable shapes.

    Aₖ = Mₖ / |Mₖ|^(1/d) and λ = Σₖ Nₖ |Mₖ|^(1/d) / n (Celeux and Govaert 1995).
    A component without variance in some direction has no shape and is returned unchanged.

    With a bound, log Σₖⱼ = max(0, log Mₖⱼ + tₖ). The derivatives of (P1) are 0 if tₖ are such that
    every component has the same sum c over j, and c is such that Σₖ Nₖ exp(−tₖ) = n.
    """
    del near
    if bounded:
        return _equal_volume_bounded(counts, variances)
    whole = (variances > 0).all(axis=1)
    own = np.exp(np.log(np.where(whole[:, None], variances, 1)).mean(axis=1))
    volume = counts @ (own * whole) / counts.sum()
    return variances * np.where(whole, volume / own, 1)[:, None]


def _equal_volume_bounded(counts: np.ndarray, variances: np.ndarray) -> np.ndarray:
    from scipy.optimize import brentq

    weights = counts / counts.sum()
    logs = np.log(np.maximum(variances, np.finfo(float).tiny))
    sums = np.cumsum(-np.sort(-logs, axis=1), axis=1)  # of the 1, 2, … largest
    parts = np.arange(1, logs.shape[1] + 1)

    def shifts(c: float) -> np.ndarray:
        # Σⱼ max(0, log Mₖⱼ + t) is the largest of its sums over the 1, 2, … largest
        return ((c - sums) / parts).min(axis=1)

    def slope(c: float) -> float:
        return 1 - weights @ np.exp(np.minimum(-shifts(c), 700))

    largest = np.maximum(logs, 0).sum(axis=1).max()
    c = 0.0 if slope(0.0) >= 0 else brentq(slope, 0.0, largest + 1e-9, xtol=1e-14, rtol=1e-15)
    return np.exp(np.maximum(logs + shifts(c)[:, None], 0))


# ---- axes ----------------------------------------------------------------------------------


def own_axes(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return variances (k, d) in ascending order along the axes (k, d, d) of each component.

    These axes are also the best if components share their shape: tr Σ⁻¹ M is smallest if Σ and M
    have the same eigenvectors, with eigenvalues in the same order (von Neumann's inequality).
    """
    variances, axes = np.linalg.eigh(moments)
    return np.maximum(variances, 0), axes


def common_axes(
    counts: np.ndarray,
    moments: np.ndarray,
    estimate: Estimator,
    begin: Iterable[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances (k, d) along axes (d, d) that all components share, and the axes.

    Parameters
    ----------
    counts, moments : ndarray, shapes (k,) and (k, d, d)
    estimate : callable
        Returns the Λₖ that minimise (P1), for variances of Mₖ along known axes.
    begin : iterable of ndarray, shape (d, d)
        Axes to start from. The best of the results is returned.

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
    shares = counts / counts.sum()
    found = [_rotated(shares, moments, estimate, axes) for axes in begin]
    return min(found, key=lambda each: each[0])[1:]


def cost(counts: np.ndarray, variances: np.ndarray, moments: np.ndarray) -> float:
    """Return (P1) for variances and moments (k, d) along the same axes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.log(variances) + np.where(moments > 0, moments / variances, 0)
    return float(counts @ each.sum(axis=1))


def cost_along(
    counts: np.ndarray,
    moments: np.ndarray,
    estimate: Estimator,
    axes: np.ndarray,
) -> float:
    """Return (P1) for the best variances along given axes (d, d)."""
    variances = along(moments, axes)
    return cost(counts, estimate(variances), variances)


def along(moments: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the variances (k, d) of second moments along axes (d, d)."""
    return np.maximum(np.einsum("ij,kil,lj->kj", axes, moments, axes), 0)


def _rotated(
    counts: np.ndarray,
    moments: np.ndarray,
    estimate: Estimator,
    axes: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return (P1), variances and axes at a minimum near `axes`, for counts that sum to 1."""
    here = _view(counts, axes.T @ moments @ axes, estimate)
    for _ in range(_MOST_ROTATIONS):
        if _collapsed(counts, here.estimated):
            break  # (P1) has no minimum; the next EM step reports a degenerate component
        rotation, gain = _newton_rotation(counts, here, estimate)
        if rotation is not None and gain <= _LAST:
            axes = axes @ rotation
            break
        there = None
        if rotation is not None:
            there = _view(counts, rotation.T @ here.moments @ rotation, estimate)
        if there is None or not there.cost < here.cost:
            rotation, gain = _sweep(counts, here.moments, estimate)
            there = _view(counts, rotation.T @ here.moments @ rotation, estimate)
        axes, here = axes @ rotation, there
        if gain <= _GAIN:
            break
    # A QR decomposition removes the rounding errors of many rotations; it keeps the order.
    axes = np.linalg.qr(axes)[0]
    along_axes = along(moments, axes)
    variances = estimate(along_axes)
    return cost(counts, variances, along_axes), variances, axes


class _View(NamedTuple):
    """Moments along some axes, and the estimate from them."""

    moments: np.ndarray  # in the coordinates of the axes, (k, d, d)
    variances: np.ndarray  # their diagonals, (k, d)
    estimated: np.ndarray  # the variances Λ that minimise (P1), (k, d)
    cost: float  # (P1)


def _view(counts: np.ndarray, moments: np.ndarray, estimate: Estimator) -> _View:
    k, d = moments.shape[:2]
    variances = np.maximum(moments.reshape(k, -1)[:, :: d + 1], 0)
    estimated = estimate(variances)
    return _View(moments, variances, estimated, cost(counts, estimated, variances))


def _collapsed(counts: np.ndarray, variances: np.ndarray) -> bool:
    """Return whether a component is flat along an axis."""
    return bool((variances <= _COLLAPSED * (counts @ variances)).any())


def _newton_rotation(
    counts: np.ndarray, here: _View, estimate: Estimator
) -> tuple[np.ndarray | None, float]:
    """Return a rotation (d, d) from the axes of a view, and the gain it promises.

    The rotation is None if (P1) is not curved like a minimum, if it would be too far, or if
    sweeps cost less.
    """
    moments, variances = here.moments, here.variances
    k, d = variances.shape
    if d > _WIDE or not (variances > 0).all():
        return None, np.nan
    i, j, planes, terms = _planes(d)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        precisions = counts[:, None] / here.estimated
        tilts = 2 * moments[:, i, j]
        gradient = (tilts * (precisions[:, j] - precisions[:, i])).sum(axis=0)
        # Part of the curvature with the precisions held fixed, a quadratic form for each column
        # of what the rotation adds.
        common = (precisions[:, :, None] * moments).sum(axis=0)
        within = (precisions.T @ moments.reshape(k, -1)).reshape(d, d, d)
        form = (2 * within - common - common.T).ravel()
        curvature = sum(sign * form[at] for sign, at in terms)
        # Part that comes from the precisions, which follow the variances.
        slopes = np.zeros((len(i), k, d))
        slopes[planes, :, j], slopes[planes, :, i] = tilts.T, -tilts.T
        short = _SHORT / np.maximum(np.abs(slopes / variances).max(axis=(1, 2), initial=0), _SHORT)
        moved = variances + short[:, None, None] * slopes
        changes = np.array([counts[:, None] / estimate(each) - precisions for each in moved])
        size = len(i), k * d
        curvature = curvature + (changes.reshape(size) / short[:, None]) @ slopes.reshape(size).T
    try:
        factor = np.linalg.cholesky((curvature + curvature.T) / 2)
    except np.linalg.LinAlgError:
        return None, np.nan
    half = np.linalg.solve(factor, -gradient)
    step = np.linalg.solve(factor.T, half)
    if not np.abs(step).max(initial=0) < _FAR:
        return None, np.nan
    skew = np.zeros((d, d))
    skew[i, j], skew[j, i] = step / 2, -step / 2
    one = np.eye(d)
    rotation = np.linalg.solve(one - skew, one + skew)  # Cayley transform
    return rotation, float(half @ half) / 2


@cache
def _planes(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[Any, np.ndarray]]]:
    """Return the axes i < j of all planes, their numbers, and the terms of the curvature.

    A rotation in a plane adds e_i to column j and −e_j to column i. Each term is a sign for every
    two planes that share a column, and the place of their entry in the quadratic forms.
    """
    i, j = np.triu_indices(d, 1)
    p, q = i[:, None], j[:, None]

    def at(column: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return (column * d + one) * d + other

    terms = [
        (1.0 * (q == j), at(q, p, i)),
        (-1.0 * (q == i), at(q, p, j)),
        (-1.0 * (p == j), at(p, q, i)),
        (1.0 * (p == i), at(p, q, j)),
    ]
    return i, j, np.arange(len(i)), terms


def _sweep(
    counts: np.ndarray, moments: np.ndarray, estimate: Estimator
) -> tuple[np.ndarray, float]:
    """Return the product of one rotation in every plane (d, d), and the gain of all."""
    d = moments.shape[1]
    rotated, total, gained = moments.copy(), np.eye(d), 0.0
    diagonal = np.diagonal(rotated, axis1=1, axis2=2)  # a view, which follows `rotated`
    for i, j in _disjoint_planes(d):
        with np.errstate(divide="ignore", invalid="ignore"):
            precisions = 1 / estimate(np.maximum(diagonal, 0))
            wanted = counts[:, None] * (precisions[:, j] - precisions[:, i])
            a = (wanted * (diagonal[:, i] - diagonal[:, j])).sum(axis=0) / 2
            b = (wanted * rotated[:, i, j]).sum(axis=0)
            length = np.hypot(a, b)
            defined = (length > _ROUND) & (length < np.inf)
            gain = np.where(a > 0, b * b / (length + a), length - a)
        gained += gain[defined].sum()
        angle = np.where(defined, np.arctan2(b, a), 0) / 2
        rotation = np.eye(d)
        rotation[i, i] = rotation[j, j] = np.cos(angle)
        rotation[j, i] = np.sin(angle)
        rotation[i, j] = -rotation[j, i]
        total = total @ rotation
        rotated[:] = rotation.T @ rotated @ rotation
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


def _per(values: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return values (k,) in a shape that multiplies the moments of the components."""
    return values.reshape(-1, *[1] * (moments.ndim - 1))


def _mixed(weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return Σₖ wₖ Mₖ."""
    return (weights @ moments.reshape(len(moments), -1)).reshape(moments.shape[1:])


def _traces(moments: np.ndarray) -> np.ndarray:
    """Return tr Mₖ, shape (k,)."""
    return moments.sum(axis=1) if moments.ndim == 2 else np.trace(moments, axis1=1, axis2=2)
