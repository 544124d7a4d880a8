"""Checks of the second problem set: the bound, restarts, choosing k, digits, and scores.

Like those of the first: a check takes the student's function, returns nothing if it is right, and
else raises `Wrong` with the name of the mistake.
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
    close,
    compare,
    either,
    number,
    parts,
    sealed,
)
from gmmlab.course.checks.problems import Problem

_LOG_2PI = float(np.log(2 * np.pi))

# ---- the bound ---------------------------------------------------------------------------------


def bound(function: Callable, given: Problem, r: np.ndarray | None = None) -> None:
    """Check ``bound(r, log_joint)``: expected log-joint and entropy, the two parts of the ELBO.

    Without `r` these are the responsibilities of the problem, for which the sum of both is the
    log-likelihood.
    """
    touching = r is None
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
            "0 · (−∞). Its limit is 0: use `scipy.special.entr` or `xlogy`, or leave zeros out.",
        )
    known: dict[tuple[str, str], Any] = {
        ("sign of the entropy", "Your entropy has the wrong sign: −Σ r log r is never negative."):
            -right,
        ("mean for total", "Your entropy is a mean; the ELBO is a total."): right / given.n,
    }  # fmt: skip
    compare(entropy, right, known, "the entropy")
    value = float((r * joint).sum())
    with np.errstate(over="ignore"):
        padded = {
            ("a constant inside the logarithm", f"Your expected log-joint has about {tiny:g} added "
             "inside its logarithm."): float((r * np.log(np.exp(joint) + tiny)).sum())
            for tiny in (1e-20, 1e-10, 1e-12, 1e-15, 1e-16, 1e-30, 1e-300, 1e-8)
        }  # fmt: skip
    known = {
        ("density for log-density", "Your expected log-joint has joint densities in it; log_joint "
         "holds logarithms already."): float((r * np.exp(joint)).sum()),
        ("responsibilities left out", "Your expected log-joint is not weighted by r."):
            float(joint.sum()),
        ("mean for total", "Your expected log-joint is a mean; the ELBO is a total."):
            value / given.n,
        ("the parts are mixed up", "Your first part is the whole ELBO; it should be Σ r log(πN) "
         "alone."): value + right,
        **padded,
    }  # fmt: skip
    compare(expected, value, known, "the expected log-joint")
    if touching and not close(expected + entropy, given.log_likelihood):
        raise Wrong("wrong value", "After an E-step the ELBO should be the log-likelihood.")


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
                "Your bound after the E-step is taken with parameters of after the M-step. After "
                "the E-step both are of this step, and the bound is the log-likelihood.",
            )
        if close(after_e, right[:, 0]) and (
            close(after_m, climbed[1:]) or close(after_m, right[:, 0])
        ):
            raise Wrong(
                "responsibilities and parameters of different steps",
                "Your bound after the M-step is that of another E-step. Take the new parameters "
                "with the responsibilities that made them: the bound has come off the "
                "log-likelihood.",
            )
        if close(found[:, ::-1], right):
            raise Wrong("columns swapped", "The bound after the E-step comes first.")
        compare(found, right, {}, "the staircase")

    either(function, check, {"bound": _bound})


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
            "draws without a seed",
            "random_start gives another start for a generator in the same state: something is "
            "drawn from elsewhere (`np.random...`), and no run can be repeated. Draw all from rng.",
        )
    many = [draw(seed) for seed in range(draws)]
    if all(np.array_equal(one[1], other[1]) for other in many):
        raise Wrong(
            "the same start every time",
            "random_start gives the same means whatever the generator (the true ones, say, which "
            "nobody would know): restarts would all end in one place.",
        )
    own = np.cov(X.T).reshape(d, d)
    spread = float(np.trace(own))
    for weights, means, covariances in many:
        _start_fits(weights, means, X, spread)
        _covariances_fit(covariances, spread)


def _start_fits(weights: np.ndarray, means: np.ndarray, X: np.ndarray, spread: float) -> None:
    if not close(weights.sum(), 1) or (weights <= 0).any():
        raise Wrong("weights do not sum to 1", f"The weights of your start are {weights.round(3)}.")
    margin = 3 * np.sqrt(spread)
    low, high = X.min(axis=0) - margin, X.max(axis=0) + margin
    if not np.isfinite(means).all() or ((means < low) | (means > high)).any():
        raise Wrong(
            "means that do not know the data",
            f"Your start puts a mean at {_short(means[0])}; the samples lie between "
            f"{_short(X.min(axis=0))} and {_short(X.max(axis=0))}. Means in the unit square "
            "are only for data that live there: take samples, say.",
        )


def _short(values: np.ndarray) -> str:
    return f"({', '.join(f'{value:.3g}' for value in values)})"


def _covariances_fit(covariances: np.ndarray, spread: float) -> None:
    if not np.isfinite(covariances).all():
        raise Wrong(
            "a cluster of one",
            "A covariance of your start is not finite: it was estimated from one sample or none.",
        )
    values = np.linalg.eigvalsh(covariances)
    if (values.min(axis=1) < 1e-4 * values.max(axis=1)).any() or (values <= 0).any():
        worst = int(np.argmin(values.min(axis=1)))
        raise Wrong(
            "a start that is nearly singular",
            f"Now and then a covariance of your start is nearly singular: eigenvalues "
            f"{_short(values[worst])}. A Aᵀ with random A, and the covariance of one or two "
            "samples, come out like that. The covariance of the whole data is safe.",
        )
    traces = values.sum(axis=1)
    if (traces > 300 * spread).any() or (traces < spread / 3000).any():
        raise Wrong(
            "covariances that do not know the data",
            f"The covariances of your start have trace {traces[0]:.3g}, the data {spread:.3g}. "
            "Unit covariances are only for data of that scale.",
        )


def restarts(function: Callable, seed: int) -> None:
    """Check ``restarts(run, n_starts, floor)``: the best sound run, its trace, and the failures.

    The runs are made up, so that it is known what each gives.
    """
    rng = np.random.default_rng(seed)
    n, floor = 8, 1e-3
    order = rng.permutation(n - 1)  # the last run is none of the special ones
    best, collapsed, failing, fallen = (int(i) for i in order[:4])
    levels = -rng.uniform(510, 600, n)
    levels[best], levels[collapsed], levels[fallen] = -500.0, -400.0, -505.0
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
            "a degenerate winner",
            "restarts returns the run of highest log-likelihood, which has a variance of 5e-08: a "
            "component has collapsed onto a sample, and its likelihood would grow for ever. Leave "
            "out runs whose smallest variance is not above the floor.",
        )
    if close(found, traces[-1][-1]):
        raise Wrong("the last restart", "restarts returns the last run, not the best sound one.")
    if close(found, min(t[-1] for t in traces)):
        raise Wrong("the worst restart", "restarts returns the lowest log-likelihood; take the "
                    "highest of the sound ones.")  # fmt: skip
    compare(found, right, {}, "the best log-likelihood")
    shown = np.asarray(trace, float).ravel()
    if not close(shown, traces[best]):
        which = [i for i, other in enumerate(traces) if close(shown, other)]
        raise Wrong(
            "the trace of another restart",
            f"The trace that restarts returns belongs to run {which[0] if which else '?'}; the "
            f"best sound one is run {best}. Keep the trace of the best with it.",
        )
    if number(failed, "n_failed") != 1:
        raise Wrong(
            "an error is swallowed",
            f"One of the runs fails with a LinAlgError; you report {failed}. Count it: whoever "
            "reads the result should know.",
        )
    _no_sound_run(function, run, collapsed, floor)


def _no_sound_run(function: Callable, run: Callable, collapsed: int, floor: float) -> None:
    try:
        call(function, lambda i: run(collapsed), 2, floor, name="restarts")
    except Wrong as error:
        if "ValueError" in error.words:
            return
        raise
    raise Wrong(
        "a degenerate winner",
        "Where every run has collapsed, restarts should raise a ValueError; yours returns one of "
        "them.",
    )


# ---- choosing k --------------------------------------------------------------------------------


def n_parameters(function: Callable, k: int, d: int) -> None:
    """Check ``n_parameters(k, d)``: free numbers of a mixture with full covariances."""
    found = number(call(function, k, d, name="n_parameters"), "n_parameters")
    right = k - 1 + k * d + k * d * (d + 1) // 2
    known = {
        ("weights counted whole", "You count k weights. They sum to 1, so k − 1 of them are free."):
            right + 1,
        ("covariances counted whole", "You count d² entries of each covariance; it is symmetric, "
         "so d(d + 1)/2 are free."): k - 1 + k * d + k * d * d,
        ("weights and covariances counted whole", "You count k weights and d² entries of each "
         "covariance; k − 1 and d(d + 1)/2 are free."): k + k * d + k * d * d,
        ("covariances left out", "You leave the covariances out."): k - 1 + k * d,
        ("variances only", "You count the variances only; there are d(d + 1)/2 free entries in "
         "each covariance."): k - 1 + 2 * k * d,
    }  # fmt: skip
    compare(found, float(right), known, f"n_parameters({k}, {d})")


def choose_k(function: Callable, log_likelihoods: Mapping[int, float], d: int, n: int) -> None:
    """Check ``choose_k(log_likelihoods, d, n)``: the number of components by BIC."""

    def count(k: int) -> int:
        return k - 1 + k * d + k * d * (d + 1) // 2

    scores = {k: -2 * value + count(k) * np.log(n) for k, value in log_likelihoods.items()}
    right = min(scores, key=scores.__getitem__)

    def check() -> None:
        found = number(
            call(function, dict(log_likelihoods), d, n, name="choose_k"), "the number chosen"
        )
        if found == right:
            return
        if found == max(log_likelihoods, key=log_likelihoods.__getitem__):
            raise Wrong(
                "likelihood for model order",
                f"You choose k = {found:g}, which has the highest likelihood. More components "
                "never fit worse, so the likelihood always says: more. BIC charges log n for each "
                "parameter.",
            )
        aic = {k: -2 * value + 2 * count(k) for k, value in log_likelihoods.items()}
        if found == min(aic, key=aic.__getitem__):
            raise Wrong("AIC for BIC", f"You choose k = {found:g}: a parameter is charged 2, as "
                        "AIC does; BIC charges log n.")  # fmt: skip
        half = {k: -value + count(k) * np.log(n) for k, value in log_likelihoods.items()}
        if found == min(half, key=half.__getitem__):
            raise Wrong("likelihood counted once", f"You choose k = {found:g}: BIC is "
                        "−2 log L + p log n; the 2 is missing.")  # fmt: skip
        raise Wrong("wrong number of components", f"You choose k = {found:g}; BIC is smallest at "
                    f"k = {right}.")  # fmt: skip

    reference = {"n_parameters": lambda k, d: k - 1 + k * d + k * d * (d + 1) // 2}
    either(function, check, reference)


# ---- digits ------------------------------------------------------------------------------------


def pixels(seed: int, n: int = 40, k: int = 3, d: int = 784) -> SimpleNamespace:
    """Return made-up images: grey values in bytes, of which many pixels are always 0.

    Returns
    -------
    SimpleNamespace
        X of bytes, shape (n, d); r, shape (n, k); means and variances, shape (k, d), of grey
        values between 0 and 1.
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
    """Check ``diagonal_log_gaussians(X, means, variances)``: shape (n, k), in 784 dimensions."""
    X = given.X / 255
    k, d = given.means.shape
    name = "diagonal_log_gaussians"
    found = array(call(function, X, given.means, given.variances, name=name), (len(X), k), name)
    log_dets = np.log(given.variances).sum(axis=1)
    squares = ((X[:, None] - given.means) ** 2 / given.variances).sum(axis=2)
    right = -0.5 * (d * _LOG_2PI + log_dets + squares)
    if not np.isfinite(found).all():
        raise Wrong(
            "density before logarithm",
            f"{name} holds {found[~np.isfinite(found)][0]}: the determinant, a product of {d} "
            "variances, or the density itself, is below the smallest number there is. Sum "
            "logarithms: Σ log σ².",
        )
    known = {
        ("log 2π without its d", f"{name} has ½ log 2π where ½ d log 2π belongs."):
            right + 0.5 * (d - 1) * _LOG_2PI,
        ("log 2π left out", f"{name} lacks −½ d log 2π."): right + 0.5 * d * _LOG_2PI,
        ("determinant left out", f"{name} lacks −½ Σ log σ²."): right + 0.5 * log_dets,
        ("determinant not halved", f"{name} subtracts Σ log σ²; it should be half of it."):
            right - 0.5 * log_dets,
    }  # fmt: skip
    compare(found, right, known, name)


def diagonal_m_step(function: Callable, given: SimpleNamespace, floor: float) -> None:
    """Check ``diagonal_m_step(X, r, floor)``: weights, means and variances not below a floor.

    The samples are bytes, as images are.
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
    whole = ("integer arrays", "Your means are cut to whole numbers: X holds bytes, and so does an "
             "array made like it. Make X an array of floats first.")  # fmt: skip
    compare(array(means, (k, d), "means"), mean, {whole: np.trunc(mean)}, "the means")
    if np.ndim(variances) == 3:
        raise Wrong(
            "covariances not diagonal",
            f"Your variances have shape {np.shape(variances)}: whole matrices. With {d} pixels "
            f"and {n} images they are singular; keep the diagonal, shape {(k, d)}.",
        )
    found = array(variances, (k, d), "variances")
    plain = np.einsum("nk,nkd->kd", r, (X[:, None] - mean) ** 2) / counts[:, None]
    right = np.maximum(plain, floor)
    known = {
        ("no floor", "Pixels that are always black have variance 0 in your result: nothing keeps "
         "variances above the floor, and the next E-step divides by 0."): plain,
        ("the floor is added", "You add the floor to every variance. A floor leaves alone what "
         "is above it: take the larger of the two."): plain + floor,
        ("standard deviations for variances", "Your variances are standard deviations."):
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
        "Your variances overflow: the square of a byte is a byte again, 200² = 64. Make X an array "
        "of floats first.",
    )
    if (found < 0).any() or close(found, np.maximum(raw, floor)):
        raise Wrong(*overflow)
    compare(found, right, known | {overflow: np.maximum(wrapped, floor)}, "the variances")


# ---- scores ------------------------------------------------------------------------------------


def agreement(function: Callable, seed: int, k: int = 3, clusters: int | None = None) -> None:
    """Check ``agreement(labels, truth)``: the share that agrees after the best matching."""
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
            "two clusters for one class",
            "Your agreement lets several clusters stand for one class, so that more clusters are "
            "always better. Match one to one (`scipy.optimize.linear_sum_assignment`).",
        )
    known = {
        ("labels not matched", "Your agreement compares the numbers of clusters with those of "
         "classes. The numbers mean nothing: match clusters to classes first, the best way."):
            float((labels == truth).mean()),
        ("a count for a share", "Your agreement is a count; divide by the number of samples."):
            right * len(truth),
        ("disagreement", "Your agreement is the share that differs."): 1 - right,
    }  # fmt: skip
    compare(found, right, known, "agreement")


def best_agreement(labels: Any, truth: Any) -> float:
    """Return the share of samples that agree after the best one-to-one matching.

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
    """Check that `winner` is one of the answers that are allowed, right or not."""
    answered(answer, "winner")
    if not isinstance(answer, str) or answer not in allowed:
        raise Wrong(
            "no answer",
            f"`winner` should be one of {', '.join(map(repr, allowed))}; yours is {answer!r:.80}.",
        )


def winner(answer: Any, labels: Mapping[str, Any], truth: Any, *, tie: float = 0.02) -> None:
    """Check which of two methods agrees better with the truth; within `tie` neither does."""
    scores = {name: best_agreement(found, truth) for name, found in labels.items()}
    (one, first), (other, second) = scores.items()
    right = "tie" if abs(first - second) <= tie else one if first > second else other
    method(answer, (*scores, "tie"))
    if answer == right:
        return
    raise Wrong(
        "a claim without a score",
        f"You answer {answer!r}; on these data {one} agrees with the truth on {first:.1%} of the "
        f"samples, {other} on {second:.1%}.",
    )


sealed(__name__)
