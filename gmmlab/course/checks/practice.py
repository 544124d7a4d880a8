"""Checks of the second problem set: the ELBO, restarts, choosing k, digits, and scores.

As in `em`, a check takes the student's function. It returns nothing if the function is right, and
raises `Wrong` with the name of the mistake otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import entr

from gmmlab.course.checks import problems
from gmmlab.course.checks.calling import (
    Wrong,
    answered,
    array,
    call,
    check_with_reference,
    close,
    compare,
    number,
    parts,
    seal,
)
from gmmlab.course.checks.problems import Problem

_LOG_2PI = float(np.log(2 * np.pi))

# ---- the ELBO ----------------------------------------------------------------------------------


def bound(function: Callable, given: Problem, r: np.ndarray | None = None) -> None:
    """Check ``bound(r, log_joint)``: the two parts of the ELBO, expected log-joint and entropy.

    Parameters
    ----------
    function : callable
    given : Problem
    r : ndarray, shape (n, k), optional
        By default the responsibilities of the problem. Then the ELBO must be the log-likelihood.
    """
    tight = r is None
    r = given.responsibilities if r is None else r
    joint = given.log_densities + np.log(given.weights)
    result = call(function, r, joint, name="bound")
    names = ("the expected log-joint", "the entropy")
    expected, entropy = map(number, parts(result, names, "bound"), names)
    right = float(entr(r).sum())
    if np.isnan(entropy):
        raise Wrong(
            "0 log 0",
            "The entropy is NaN: a responsibility is exactly 0, and 0 · log 0 is computed as "
            "0 · (−∞). The limit is 0: use `scipy.special.entr` or `xlogy`, or leave out zeros.",
        )
    known: dict[tuple[str, str], Any] = {
        ("sign of the entropy", "Your entropy has the wrong sign: −Σ r log r is never negative."):
            -right,
        ("mean instead of total", "Your entropy is a mean per sample. Return the total."):
            right / given.n,
    }  # fmt: skip
    compare(entropy, right, known, "the entropy")
    value = float((r * joint).sum())
    with np.errstate(over="ignore"):
        padded = {
            ("constant added inside the logarithm", f"In your expected log-joint, about {tiny:g} "
             "is added inside the logarithm."): float((r * np.log(np.exp(joint) + tiny)).sum())
            for tiny in (1e-20, 1e-10, 1e-12, 1e-15, 1e-16, 1e-30, 1e-300, 1e-8)
        }  # fmt: skip
    known = {
        ("density instead of log-density", "Your expected log-joint uses joint densities. Use "
         "log_joint as it is: it contains logarithms already."): float((r * np.exp(joint)).sum()),
        ("responsibilities left out", "Your expected log-joint is not weighted by r."):
            float(joint.sum()),
        ("mean instead of total", "Your expected log-joint is a mean per sample. Return the "
         "total."): value / given.n,
        ("ELBO instead of its first part", "Your first part is the whole ELBO; it should be only "
         "Σ r log(πN)."): value + right,
        **padded,
    }  # fmt: skip
    compare(expected, value, known, "the expected log-joint")
    if tight and not close(expected + entropy, given.log_likelihood):
        raise Wrong(
            "wrong value", "After an E-step, the ELBO should be equal to the log-likelihood."
        )


def staircase(function: Callable, given: Problem, n_iter: int = 5) -> None:
    """Check ``staircase(X, mixture, n_iter)``: the ELBO after each E-step and each M-step."""

    def check() -> None:
        result = call(function, given.X, given.mixture, n_iter, name="staircase")
        found = array(result, (n_iter, 2), "staircase", why=" (a row for each iteration)")
        right = _stairs(given, n_iter)
        if close(found, right):
            return
        after_e, after_m = found.T
        climbed, _ = problems.climb(given, n_iter)
        if close(after_e, right[:, 1]) or close(after_e, climbed[1:]):
            raise Wrong(
                "responsibilities and parameters of different steps",
                "Your ELBO after the E-step uses the parameters after the M-step. Use the "
                "parameters that the responsibilities were computed with: then the ELBO is the "
                "log-likelihood.",
            )
        if close(after_e, right[:, 0]) and (
            close(after_m, climbed[1:]) or close(after_m, right[:, 0])
        ):
            raise Wrong(
                "responsibilities and parameters of different steps",
                "Your ELBO after the M-step uses the responsibilities of another E-step. Use the "
                "new parameters with the responsibilities that they were computed from: then the "
                "ELBO is below the log-likelihood.",
            )
        if close(found[:, ::-1], right):
            raise Wrong("columns swapped", "The ELBO after the E-step should be the first column.")
        compare(found, right, {}, "the staircase")

    check_with_reference(function, check, {"bound": _bound})


def _bound(r: np.ndarray, log_joint: np.ndarray) -> tuple[float, float]:
    return float((r * log_joint).sum()), float(entr(r).sum())


def _stairs(given: Problem, n_iter: int) -> np.ndarray:
    parameters, rows = given.parameters, []
    for _ in range(n_iter):
        r, log_likelihood = problems.e_step(given.X, *parameters)
        parameters = problems.m_step(given.X, r, *parameters)
        rows.append((log_likelihood, sum(problems.bound(given.X, r, *parameters))))
    return np.array(rows)


# ---- starts and restarts -----------------------------------------------------------------------


def random_start(function: Callable, given: Problem, *, draws: int = 40) -> None:
    """Check ``random_start(X, k, rng)``: parameters on the scale of the data."""
    X, k, d = given.X, given.k, given.d
    names = ("weights", "means", "covariances")

    def draw(seed: int, data: np.ndarray = X) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        found = parts(call(function, data, k, rng, name="random_start"), names, "random_start")
        shapes = ((k,), (k, d), (k, d, d))
        return tuple(map(array, found, shapes, names))

    one, again = draw(0), draw(0)
    if not all(map(np.array_equal, one, again)):
        raise Wrong(
            "random numbers not drawn from rng",
            "random_start gives different results for generators in the same state, so a run "
            "cannot be repeated. Draw all random numbers from rng, and not from `np.random`.",
        )
    many = [draw(seed) for seed in range(draws)]
    if all(np.array_equal(one[1], other[1]) for other in many):
        raise Wrong(
            "the same start every time",
            "random_start gives the same means for every generator (perhaps the true means, which "
            "are not known in practice), so all restarts would give the same result.",
        )
    own = np.cov(X.T).reshape(d, d)
    spread = float(np.trace(own))
    for weights, means, covariances in many:
        _start_fits(weights, means, X, spread)
        _covariances_fit(covariances, spread)


def _start_fits(weights: np.ndarray, means: np.ndarray, X: np.ndarray, spread: float) -> None:
    if not close(weights.sum(), 1) or (weights <= 0).any():
        raise Wrong(
            "weights do not sum to 1",
            f"The weights of your start should be positive and sum to 1; yours are "
            f"{weights.round(3)}.",
        )
    margin = 3 * np.sqrt(spread)
    low, high = X.min(axis=0) - margin, X.max(axis=0) + margin
    outside = ~((means >= low) & (means <= high)).all(axis=1)  # or not finite
    if outside.any():
        raise Wrong(
            "means outside the data",
            f"Your start has a mean at {_short(means[outside.argmax()])}, but the samples are "
            f"between {_short(X.min(axis=0))} and {_short(X.max(axis=0))}. Choose means on the "
            "scale of the data, for example some of the samples.",
        )


def _short(values: np.ndarray) -> str:
    return f"({', '.join(f'{value:.3g}' for value in values)})"


def _covariances_fit(covariances: np.ndarray, spread: float) -> None:
    if not np.isfinite(covariances).all():
        raise Wrong(
            "covariance of a single sample",
            "A covariance of your start is not finite: it was estimated from one sample or none.",
        )
    values = np.linalg.eigvalsh(covariances)
    if (values.min(axis=1) < 1e-4 * values.max(axis=1)).any() or (values <= 0).any():
        worst = int(np.argmin(values.min(axis=1)))
        raise Wrong(
            "nearly singular start",
            "For some seeds, a covariance of your start is nearly singular, with eigenvalues "
            f"{_short(values[worst])}. This can happen for A Aᵀ with a random A, and for the "
            "covariance of a few samples. The covariance of all data is safe.",
        )
    traces = values.sum(axis=1)
    odd = (traces > 300 * spread) | (traces < spread / 3000)
    if odd.any():
        raise Wrong(
            "covariances not on the scale of the data",
            f"A covariance of your start has trace {traces[odd.argmax()]:.3g}, but that of the "
            f"data has {spread:.3g}. Choose covariances on the scale of the data.",
        )


def restarts(function: Callable, seed: int) -> None:
    """Check ``restarts(run, n_starts, floor)``: best valid run, its trace, number of failures.

    The runs are invented, so that the right result is known.
    """
    rng = np.random.default_rng(seed)
    n, floor = 8, 1e-3
    order = rng.permutation(n - 1)  # the last run is an ordinary one
    best, collapsed, failing, second = (int(i) for i in order[:4])
    levels = -rng.uniform(510, 600, n)
    levels[best], levels[collapsed], levels[second] = -500.0, -400.0, -505.0
    traces = [list(level - np.array([90.0, 40.0, 7.0, 0.0]) - i / 10) for i, level in
              enumerate(levels)]  # fmt: skip
    variances = np.where(np.arange(n) == collapsed, 5e-8, 0.3)

    def run(i: int) -> dict[str, Any]:
        if i == failing:
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        return {
            "log_likelihood": traces[i][-1],
            "trace": list(traces[i]),
            "smallest_variance": float(variances[i]),
        }

    result = call(function, run, n, floor, name="restarts")
    level, trace, failed = parts(result, ("log_likelihood", "trace", "n_failed"), "restarts")
    found, right = number(level, "log_likelihood"), traces[best][-1]
    if close(found, traces[collapsed][-1]):
        raise Wrong(
            "degenerate run chosen",
            "restarts returns the run with the highest log-likelihood, but it has a variance of "
            "5e-08: a component has collapsed onto a sample, and the likelihood has no upper "
            "bound. Leave out runs whose smallest variance is not above the floor.",
        )
    if close(found, traces[-1][-1]):
        raise Wrong("last run chosen", "restarts returns the last run, not the best valid one.")
    if close(found, min(t[-1] for t in traces)):
        raise Wrong("worst run chosen", "restarts returns the lowest log-likelihood. Return the "
                    "highest one of the valid runs.")  # fmt: skip
    compare(found, right, {}, "the best log-likelihood")
    shown = np.asarray(trace, float).ravel()
    if not close(shown, traces[best]):
        which = [f"run {i}" for i, one in enumerate(traces) if close(shown, one)]
        other = which[0] if which else "no run"
        raise Wrong(
            "trace of another run",
            f"The trace that restarts returns belongs to {other}, but the best valid run is run "
            f"{best}. Keep the trace together with the log-likelihood.",
        )
    if number(failed, "n_failed") != 1:
        raise Wrong(
            "failed runs not counted",
            f"One of the runs fails with a LinAlgError, but your number of failed runs is "
            f"{failed}. Count each run that raises this exception.",
        )
    _no_valid_run(function, run, collapsed, floor)


def _no_valid_run(function: Callable, run: Callable, collapsed: int, floor: float) -> None:
    try:
        call(function, lambda i: run(collapsed), 2, floor, name="restarts")
    except Wrong as error:
        if "ValueError" in error.message:
            return
        raise
    raise Wrong(
        "degenerate run chosen",
        "If every run has collapsed, restarts should raise a ValueError; yours returns one of the "
        "runs.",
    )


# ---- choosing k --------------------------------------------------------------------------------


def n_parameters(function: Callable, k: int, d: int) -> None:
    """Check ``n_parameters(k, d)``: free parameters of a mixture with full covariances."""
    found = number(call(function, k, d, name="n_parameters"), "n_parameters")
    right = _count(k, d)
    known = {
        ("all weights counted as free", "You count k weights. They sum to 1, so only k − 1 of "
         "them are free."): right + 1,
        ("all covariance entries counted as free", "You count d² entries of each covariance. It is "
         "symmetric, so only d(d + 1)/2 of them are free."): k - 1 + k * d + k * d * d,
        ("all weights and covariance entries counted as free", "You count k weights and d² entries "
         "of each covariance. Only k − 1 and d(d + 1)/2 of them are free."): k + k * d + k * d * d,
        ("covariances left out", "You do not count the covariances."): k - 1 + k * d,
        ("variances only", "You count only the variances. Each covariance has d(d + 1)/2 free "
         "entries."): k - 1 + 2 * k * d,
    }  # fmt: skip
    compare(found, float(right), known, f"n_parameters({k}, {d})")


def choose_k(function: Callable, log_likelihoods: Mapping[int, float], d: int, n: int) -> None:
    """Check ``choose_k(log_likelihoods, d, n)``: the number of components by BIC."""
    counts = {k: _count(k, d) for k in log_likelihoods}
    scores = {k: -2 * value + counts[k] * np.log(n) for k, value in log_likelihoods.items()}
    right = min(scores, key=scores.__getitem__)

    def check() -> None:
        found = number(
            call(function, dict(log_likelihoods), d, n, name="choose_k"), "the number chosen"
        )
        if found == right:
            return
        if found == max(log_likelihoods, key=log_likelihoods.__getitem__):
            raise Wrong(
                "k chosen by likelihood",
                f"You choose k = {found:g}, which has the highest likelihood. More components "
                "never fit worse, so the likelihood always prefers more of them. BIC penalises "
                "each parameter by log n.",
            )
        aic = {k: -2 * value + 2 * counts[k] for k, value in log_likelihoods.items()}
        if found == min(aic, key=aic.__getitem__):
            raise Wrong("AIC instead of BIC", f"You choose k = {found:g}, as AIC does: it "
                        "penalises each parameter by 2, and BIC by log n.")  # fmt: skip
        half = {k: -value + counts[k] * np.log(n) for k, value in log_likelihoods.items()}
        if found == min(half, key=half.__getitem__):
            raise Wrong("factor 2 missing in BIC", f"You choose k = {found:g}, as "
                        "−log L + p log n does; BIC is −2 log L + p log n.")  # fmt: skip
        raise Wrong("wrong number of components", f"You choose k = {found:g}; BIC is smallest at "
                    f"k = {right}.")  # fmt: skip

    check_with_reference(function, check, {"n_parameters": _count})


def _count(k: int, d: int) -> int:
    return k - 1 + k * d + k * d * (d + 1) // 2


# ---- digits ------------------------------------------------------------------------------------


def pixels(seed: int, n: int = 40, k: int = 3, d: int = 784) -> SimpleNamespace:
    """Return random images: grey values in bytes, with many pixels that are always 0.

    Returns
    -------
    SimpleNamespace
        The images X, bytes of shape (n, d); responsibilities r, shape (n, k); means and
        variances, shape (k, d), for grey values between 0 and 1.
    """
    rng = np.random.default_rng([seed, d])
    X = rng.integers(0, 256, size=(n, d)).astype(np.uint8)
    X[:, : d // 3] = 0
    return SimpleNamespace(
        X=X,
        r=problems.random_responsibilities(seed, n, k),
        means=rng.uniform(size=(k, d)),
        variances=rng.uniform(0.01, 1.0, size=(k, d)),
    )


def diagonal_log_gaussians(function: Callable, given: SimpleNamespace) -> None:
    """Check ``diagonal_log_gaussians(X, means, variances)``: shape (n, k), in the log domain."""
    X = given.X / 255
    k, d = given.means.shape
    name = "diagonal_log_gaussians"
    found = array(call(function, X, given.means, given.variances, name=name), (len(X), k), name)
    log_dets = np.log(given.variances).sum(axis=1)
    squares = ((X[:, None] - given.means) ** 2 / given.variances).sum(axis=2)
    right = -0.5 * (d * _LOG_2PI + log_dets + squares)
    if not np.isfinite(found).all():
        raise Wrong(
            "not computed in the log domain",
            f"{name} contains {found[~np.isfinite(found)][0]}: the determinant, a product of {d} "
            "variances, or the density itself underflows to 0. Add logarithms: Σ log σ².",
        )
    known = {
        ("log 2π not multiplied by d", f"{name} contains ½ log 2π instead of ½ d log 2π."):
            right + 0.5 * (d - 1) * _LOG_2PI,
        ("log 2π left out", f"In {name}, −½ d log 2π is missing."):
            right + 0.5 * d * _LOG_2PI,
        ("determinant left out", f"In {name}, −½ Σ log σ² is missing."):
            right + 0.5 * log_dets,
        ("determinant not halved", f"{name} subtracts Σ log σ²; it should be half of it."):
            right - 0.5 * log_dets,
    }  # fmt: skip
    compare(found, right, known, name)


def diagonal_m_step(function: Callable, given: SimpleNamespace, floor: float) -> None:
    """Check ``diagonal_m_step(X, r, floor)``: weights, means and floored variances.

    The samples are arrays of bytes, like images.
    """
    name = "diagonal_m_step"
    result = call(function, given.X, given.r, floor, name=name)
    weights, means, variances = parts(result, ("weights", "means", "variances"), name)
    X, r = given.X.astype(float), given.r
    n, d = X.shape
    counts = r.sum(axis=0)
    k = len(counts)
    compare(array(weights, (k,), "weights"), counts / n, {}, "the weights")
    mean = r.T @ X / counts[:, None]
    truncated = (
        "integer arrays",
        "Your means are truncated to integers. X contains bytes, and so does an array made from it "
        "(with `np.zeros_like(X)`, say). Convert X to floats first.",
    )
    compare(array(means, (k, d), "means"), mean, {truncated: np.trunc(mean)}, "the means")
    if np.ndim(variances) == 3:
        raise Wrong(
            "covariances not diagonal",
            f"Your variances have shape {np.shape(variances)}: they are full matrices. With {d} "
            f"pixels and {n} images, these may be singular. Return the diagonals, shape {(k, d)}.",
        )
    found = array(variances, (k, d), "variances")
    plain = np.einsum("nk,nkd->kd", r, (X[:, None] - mean) ** 2) / counts[:, None]
    right = np.maximum(plain, floor)
    known = {
        ("no floor", "Your variances can be below the floor: pixels that are always black have "
         "variance 0, and the next E-step divides by 0."): plain,
        ("floor added", "You add the floor to every variance. A variance above the floor should "
         "not change: take the larger of the two."): plain + floor,
        ("standard deviations instead of variances", "Your variances are standard deviations."):
            np.maximum(np.sqrt(plain), floor),
        ("variances without responsibilities", "Your variances do not use the responsibilities."):
            np.maximum(np.tile(X.var(axis=0), (k, 1)), floor),
    }  # fmt: skip
    bytes_ = ((given.X[:, None] - mean.astype(np.uint8)) ** 2).astype(float)
    wrapped = np.einsum("nk,nkd->kd", r, bytes_) / counts[:, None]
    squares = (given.X**2).astype(float)
    raw = (r.T @ squares) / counts[:, None] - mean**2
    overflow = (
        "integer arrays",
        "Your variances overflow: the square of a byte is stored in a byte, so that 200² = 64. "
        "Convert X to floats first.",
    )
    if (found < 0).any() or close(found, np.maximum(raw, floor)):
        raise Wrong(*overflow)
    compare(found, right, known | {overflow: np.maximum(wrapped, floor)}, "the variances")


# ---- scores ------------------------------------------------------------------------------------


def agreement(function: Callable, seed: int, k: int = 3, clusters: int | None = None) -> None:
    """Check ``agreement(labels, truth)``: the proportion that agrees after the best matching."""
    rng = np.random.default_rng([seed, k])
    truth = rng.integers(k, size=80)
    turned = (truth + 1) % k
    labels = np.where(rng.uniform(size=80) < 0.3, rng.integers(k, size=80), turned)
    if clusters is not None:
        labels = np.where(labels == 0, rng.integers(k, clusters, size=80), labels)
    found = number(call(function, labels, truth, name="agreement"), "agreement")
    right, purity = best_agreement(labels, truth), _purity(labels, truth)
    if not close(right, purity) and close(found, purity):
        raise Wrong(
            "clusters not matched one to one",
            "Your agreement matches several clusters to the same class, so that more clusters are "
            "never worse. Match them one to one (`scipy.optimize.linear_sum_assignment`).",
        )
    known = {
        ("labels not matched", "Your agreement compares the labels of clusters and classes. The "
         "labels of clusters are arbitrary: first find the best matching of clusters to classes."):
            float((labels == truth).mean()),
        ("count instead of a proportion", "Your agreement is a count; divide it by the number of "
         "samples."):
            right * len(truth),
        ("disagreement", "Your agreement is the proportion of samples that differ."): 1 - right,
    }  # fmt: skip
    compare(found, right, known, "agreement")


def best_agreement(labels: Any, truth: Any) -> float:
    """Return the proportion of samples that agree after the best one-to-one matching.

    Examples
    --------
    >>> best_agreement([1, 1, 0, 0], [0, 0, 1, 0])
    0.75
    """
    table = _table(labels, truth)
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].sum() / len(truth))


def _purity(labels: np.ndarray, truth: np.ndarray) -> float:
    return float(_table(labels, truth).max(axis=1).sum() / len(truth))


def _table(labels: Any, truth: Any) -> np.ndarray:
    labels, truth = np.asarray(labels), np.asarray(truth)
    return np.array([[np.sum((labels == a) & (truth == b)) for b in np.unique(truth)]
                     for a in np.unique(labels)])  # fmt: skip


def method(answer: Any, allowed: tuple[str, ...] = ("mixture", "k-means", "tie")) -> None:
    """Check that `winner` is one of the allowed answers, without telling if it is right."""
    answered(answer, "winner")
    if not isinstance(answer, str) or answer not in allowed:
        raise Wrong(
            "invalid answer",
            f"`winner` should be one of {', '.join(map(repr, allowed))}; yours is {answer!r:.80}.",
        )


def winner(answer: Any, labels: Mapping[str, Any], truth: Any, *, tie: float = 0.02) -> None:
    """Check which of two methods agrees better with the truth; within `tie`, it is a tie."""
    scores = {name: best_agreement(found, truth) for name, found in labels.items()}
    (one, first), (other, second) = scores.items()
    right = "tie" if abs(first - second) <= tie else one if first > second else other
    method(answer, (*scores, "tie"))
    if answer == right:
        return
    raise Wrong(
        "conclusion contradicts the scores",
        f"Your answer is {answer!r}, but {one} agrees with the truth on {first:.1%} of the samples "
        f"and {other} on {second:.1%}.",
    )


seal(__name__)
