"""What components share: volumes, shapes and axes of Σₖ = λₖ Dₖ Aₖ Dₖᵀ, estimated from moments.

The volume λₖ = |Σₖ|^(1/d) says how large component k is, the shape Aₖ, diagonal with |Aₖ| = 1,
how long it is along each axis, and the orthogonal Dₖ holds the axes (Banfield and Raftery 1993;
Celeux and Govaert 1995). Each function finds the minimum of

    Σₖ Nₖ [log|Σₖ| + tr Σₖ⁻¹ Mₖ]                                                     (P1)

for second moments Mₖ, under what it says is shared. Moments are matrices (k, d, d), or variances
(k, d) along axes that are known. `bounded` asks for Σₖ ⪰ I as well; `near`, log-volumes (k,), is
where a search may begin, which says nothing of where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

# Log-volumes are found when a step no longer changes them by this: the Newton step after it
# would be its square, the alternating one a share of it.
_NEWTON, _ALTERNATING = 1e-5, 1e-12
# Newton steps this short need no check that they lead down, which rounding would hide.
_NEAR = 1e-3
_MOST_STEPS = 1000
# Axes in a plane in which no component is longer one way than the other cannot be told; and
# they are found when a sweep of turns gains no more than this, which the rounding of (P1) hides
# a hundred times over: both for each sample.
_ROUND, _TURNED = 1e-14, 1e-18
_MOST_TURNS = 500
# A Newton turn that promises this little is the last, for the next would gain its square; and it
# needs no check that it leads down, which rounding would hide. Far turns are not made. The share
# of a variance that a difference quotient is taken over.
_LAST, _FAR, _SHORT = 1e-9, 0.5, 1e-6
# With more features than this, the curvature in all planes costs more than many sweeps.
_WIDE = 20
# A component with this share of the variance of all along an axis has turned flat.
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
    """Return Σₖ = Mₖ for variances (k, d): nothing is shared."""
    del counts, near
    return np.maximum(moments, 1) if bounded else moments


def equal(
    counts: np.ndarray,
    moments: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
) -> np.ndarray:
    """Return Σₖ = Σₖ Nₖ Mₖ / n for variances (k, d): volume and shape are shared."""
    del near
    one = pooled(counts, moments)
    return np.broadcast_to(np.maximum(one, 1) if bounded else one, moments.shape)


def proportional(
    counts: np.ndarray,
    moments: np.ndarray,
    bounded: bool = False,
    near: np.ndarray | None = None,
) -> np.ndarray:
    """Return Σₖ = λₖ C: volumes of their own, everything else shared.

    Of all C, Σₖ Nₖ Mₖ / (n λₖ) is best, which leaves Σₖ Nₖ d log λₖ + n log|C|: convex in log λ,
    and minimised by Newton steps with Pₖ = C⁻¹ᐟ² Mₖ C⁻¹ᐟ² / λₖ. Celeux and Govaert (1995) alternate
    between C and λₖ = tr(C⁻¹ Mₖ) / d, which comes out at the same point, later. Under a bound
    that is what is done: the bound is one of C ⪰ I and λₖ ≥ 1.
    """
    d = moments.shape[1]
    if bounded:
        return _proportional_bounded(counts, moments)
    size = _traces(moments)
    alive = size > 0  # a component that is a point has no volume
    if not counts[alive].any():
        return moments
    weights, inner = counts[alive] / counts[alive].sum(), moments[alive]
    logs = np.log(size[alive] / d) if near is None else near[alive]
    try:
        cost, relative = _profile(weights, inner, logs)
        for _ in range(_MOST_STEPS):
            shares = _traces(relative) / d
            flat = relative.reshape(len(relative), -1)
            # Row k divided by its weight; all volumes times a factor are the same, so that w adds.
            curvature = np.diag(shares) + weights - flat @ flat.T * weights / d
            step = np.linalg.solve(curvature, shares - 1)
            tried = _profile(weights, inner, logs + step)
            while not tried[0] <= cost and np.abs(step).max() > _NEAR:
                step = step / 2
                tried = _profile(weights, inner, logs + step)
            fell = tried[0] < cost
            logs = logs + step
            cost, relative = tried
            if np.abs(step).max() <= _NEWTON or not fell:  # but by what rounding hides
                break
    except np.linalg.LinAlgError:  # the data lie in fewer dimensions
        logs = np.log(size[alive] / d)
    volumes = np.zeros(len(moments))
    volumes[alive] = np.exp(logs)
    common = _mixed(weights / volumes[alive], inner)
    return _per(volumes, moments) * common


def _profile(
    weights: np.ndarray, moments: np.ndarray, logs: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return what is to be minimised over log-volumes, and Pₖ."""
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
    """Return variances (d,), or a matrix (d, d), with what is below 1 raised to it."""
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
    """Return Σₖ = λ Aₖ along known axes, for variances (k, d): one volume, shapes of their own.

    Aₖ = Mₖ / |Mₖ|^(1/d) and λ = Σₖ Nₖ |Mₖ|^(1/d) / n (Celeux and Govaert 1995).
    A component without variance in some direction has no shape and is left as it is.

    Under a bound, log Σₖⱼ = max(0, log Mₖⱼ + tₖ) with tₖ such that all sum to the same c, and c
    such that Σₖ Nₖ exp(−tₖ) = n, as the derivatives of (P1) say.
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
    """Return variances (k, d), smallest first, along the axes (k, d, d) of each component.

    Where shapes are shared, too, axes in this order are the best: tr Σ⁻¹ M is least where both
    have the same eigenvectors and their eigenvalues the same order (von Neumann's inequality).
    """
    variances, axes = np.linalg.eigh(moments)
    return np.maximum(variances, 0), axes


def common_axes(
    counts: np.ndarray,
    moments: np.ndarray,
    estimate: Callable[[np.ndarray], np.ndarray],
    begin: Iterable[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances (k, d) along axes (d, d) that all components share, and the axes.

    Parameters
    ----------
    counts, moments : ndarray, shapes (k,) and (k, d, d)
    estimate : callable
        Gives the Λₖ that minimise (P1), for variances of Mₖ along known axes.
    begin : iterable of ndarray, shape (d, d)
        Axes to begin at; the best result is returned.

    Notes
    -----
    (P1), with Λ estimated anew wherever D turns, falls by Newton steps over turns of all axes at
    once, which near a minimum double its digits. Where a step would not lead down, and with more
    than 20 features, axes are turned two by two, as those of Flury and Gautschi (1986) are: for
    known Λ, Σₖ Nₖ tr(Λₖ⁻¹ Dᵀ Mₖ D) is least over all turns in the plane of two axes where
    tan 2θ = b / a, with a and b the sums of Nₖ (1/Λₖⱼ − 1/Λₖᵢ) times (Mₖᵢᵢ − Mₖⱼⱼ)/2 and Mₖᵢⱼ.
    Planes without an axis in common are turned together (Browne and McNicholas 2014 turn all at
    once, by a shorter way). There can be several minima: the best of those that are found is no
    promise of the least.
    """
    shares = counts / counts.sum()
    found = [_turned(shares, moments, estimate, axes) for axes in begin]
    return min(found, key=lambda each: each[0])[1:]


def cost(counts: np.ndarray, variances: np.ndarray, moments: np.ndarray) -> float:
    """Return (P1) for variances and moments (k, d) along the same axes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.log(variances) + np.where(moments > 0, moments / variances, 0)
    return float(counts @ each.sum(axis=1))


def cost_along(
    counts: np.ndarray,
    moments: np.ndarray,
    estimate: Callable[[np.ndarray], np.ndarray],
    axes: np.ndarray,
) -> float:
    """Return (P1) for the best variances along given axes (d, d)."""
    variances = along(moments, axes)
    return cost(counts, estimate(variances), variances)


def along(moments: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Return the variances (k, d) of second moments along axes (d, d)."""
    return np.maximum(np.einsum("ij,kil,lj->kj", axes, moments, axes), 0)


def _turned(
    counts: np.ndarray,
    moments: np.ndarray,
    estimate: Callable[[np.ndarray], np.ndarray],
    axes: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return (P1), variances and axes after turns from `axes` on, for counts that sum to 1."""
    here = _seen(counts, axes.T @ moments @ axes, estimate)
    for _ in range(_MOST_TURNS):
        if _collapsed(counts, here.estimated):
            break  # (P1) falls without end, and the next step of EM finds a component degenerate
        turn, gain = _newton_turn(counts, here, estimate)
        if turn is not None and gain <= _LAST:
            axes = axes @ turn
            break
        there = None if turn is None else _seen(counts, turn.T @ here.moments @ turn, estimate)
        if there is None or not there.height < here.height:
            turn, gain = _sweep(counts, here.moments, estimate)
            there = _seen(counts, turn.T @ here.moments @ turn, estimate)
        axes, here = axes @ turn, there
        if gain <= _TURNED:
            break
    # Turns add up roundings; one QR takes them out, and keeps directions and order.
    axes = np.linalg.qr(axes)[0]
    along_axes = along(moments, axes)
    variances = estimate(along_axes)
    return cost(counts, variances, along_axes), variances, axes


class _View(NamedTuple):
    """What there is to be seen along some axes."""

    moments: np.ndarray  # in these axes, (k, d, d)
    variances: np.ndarray  # along them, (k, d)
    estimated: np.ndarray  # the best variances of components for those, (k, d)
    height: float  # (P1)


def _seen(
    counts: np.ndarray, moments: np.ndarray, estimate: Callable[[np.ndarray], np.ndarray]
) -> _View:
    k, d = moments.shape[:2]
    variances = np.maximum(moments.reshape(k, -1)[:, :: d + 1], 0)
    estimated = estimate(variances)
    return _View(moments, variances, estimated, cost(counts, estimated, variances))


def _collapsed(counts: np.ndarray, variances: np.ndarray) -> bool:
    return bool((variances <= _COLLAPSED * (counts @ variances)).any())


def _newton_turn(
    counts: np.ndarray, here: _View, estimate: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray | None, float]:
    """Return a turn (d, d) from the axes of a view, and the gain it promises.

    None where (P1) is not curved like a minimum, the turn would be a far one, or sweeps cost less.
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
        # With the precisions as they are, a form in each column of what the turn adds, …
        common = (precisions[:, :, None] * moments).sum(axis=0)
        within = (precisions.T @ moments.reshape(k, -1)).reshape(d, d, d)
        form = (2 * within - common - common.T).ravel()
        curvature = sum(sign * form[at] for sign, at in terms)
        # … and as they follow the variances.
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
    return np.linalg.solve(one - skew, one + skew), float(half @ half) / 2  # Cayley's form


@cache
def _planes(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[Any, np.ndarray]]]:
    """Return axes i < j of all planes, their numbers, and where pairs of planes meet in a form.

    A turn adds e_i to column j and −e_j to column i; two of them meet in a column they share.
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
    counts: np.ndarray, moments: np.ndarray, estimate: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, float]:
    """Return the product of a turn in every plane (d, d), and what it gains."""
    d = moments.shape[1]
    turned, total, gained = moments.copy(), np.eye(d), 0.0
    diagonal = np.diagonal(turned, axis1=1, axis2=2)  # a view: it turns too
    for i, j in _disjoint_planes(d):
        with np.errstate(divide="ignore", invalid="ignore"):
            precisions = 1 / estimate(np.maximum(diagonal, 0))
            wanted = counts[:, None] * (precisions[:, j] - precisions[:, i])
            a = (wanted * (diagonal[:, i] - diagonal[:, j])).sum(axis=0) / 2
            b = (wanted * turned[:, i, j]).sum(axis=0)
            length = np.hypot(a, b)
            told = (length > _ROUND) & (length < np.inf)
            gain = np.where(a > 0, b * b / (length + a), length - a)
        gained += gain[told].sum()
        angle = np.where(told, np.arctan2(b, a), 0) / 2
        turn = np.eye(d)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[j, i] = np.sin(angle)
        turn[i, j] = -turn[j, i]
        total = total @ turn
        turned[:] = turn.T @ turned @ turn
    return total, gained


@cache
def _disjoint_planes(d: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return all pairs of axes, in rounds of pairs that have no axis in common.

    As players meet in a tournament: the first stays, the others move on by one place.
    """
    players = list(range(d + d % 2))  # with an odd number, one has nobody to meet
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
    return values.reshape(-1, *[1] * (moments.ndim - 1))


def _mixed(weights: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return Σₖ wₖ Mₖ."""
    return (weights @ moments.reshape(len(moments), -1)).reshape(moments.shape[1:])


def _traces(moments: np.ndarray) -> np.ndarray:
    return moments.sum(axis=1) if moments.ndim == 2 else np.trace(moments, axis1=1, axis2=2)
