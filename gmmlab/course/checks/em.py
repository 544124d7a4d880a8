"""Checks of the first problem set: the two steps of EM, the loop, plots, and reading a trace.

A check of a function takes the student's function and a `problems.Problem`. It returns nothing if
the function is right, and raises `Wrong` with the name of the mistake otherwise. A mistake is
recognised by computing the result that it leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import logsumexp

from gmmlab.course.checks import problems
from gmmlab.course.checks.calling import (
    ENDLESS,
    EXIT,
    NOT_DONE,
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

#: the layouts of responsibilities that students may choose
LAYOUTS = ("(n, k)", "(k, n)")
_TINY = (1e-300, 1e-100, 1e-50, 1e-30, 1e-20, 1e-16, 1e-15, 1e-12, 1e-10, 1e-9, 1e-8, 1e-6)
_LOG_2PI = float(np.log(2 * np.pi))


def layout(value: Any) -> None:
    """Check the layout of the responsibilities that the student declares."""
    if value not in LAYOUTS:
        raise Wrong(
            "layout not declared",
            'R_SHAPE should be "(n, k)" (a row for each sample) or "(k, n)" (a row for each '
            f"component); yours is {value!r}.",
        )


# ---- log-densities -----------------------------------------------------------------------------


def log_gaussians(function: Callable, given: Problem) -> None:
    """Check ``log_gaussians(X, means, covariances)``: shape (n, k), in the log domain."""
    name = "log_gaussians"
    found = array(
        call(function, given.X, given.means, given.covariances, name=name),
        (given.n, given.k),
        name,
        why=" (a row for each sample, a column for each component)",
    )
    right = given.log_densities
    if not close(found, right):
        _underflow(found, right, given)
    compare(found, right, _wrong_log_gaussians(given, right), name)


def no_density(function: Callable) -> None:
    """Check that ``log_gaussians`` raises or is not finite for a singular covariance."""
    flat = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    X = np.array([[0.0, 0.0], [1.0, 0.0]])  # on the line that carries all of the probability
    try:
        found = np.asarray(call(function, X, np.zeros((1, 2)), flat, name="log_gaussians"), float)
    except Wrong as error:
        if error.mistake in (NOT_DONE, ENDLESS, EXIT):
            raise
        return
    if np.isfinite(found).all():
        raise Wrong(
            "singular covariance hidden",
            "For a singular covariance there is no density, but log_gaussians returns "
            f"{found.ravel()[0]:.4g}. Do not use `allow_singular=True` or a pseudo-inverse: they "
            "hide the error.",
        )


def _underflow(found: np.ndarray, right: np.ndarray, given: Problem) -> None:
    """Raise `Wrong` if the logarithm was taken of densities that under- or overflow."""
    if np.isfinite(found).all():
        for tiny in _TINY:
            if close(found, np.log(np.exp(right) + tiny)):
                raise Wrong(
                    "constant added inside the logarithm",
                    f"log_gaussians adds about {tiny:g} to the density before it takes the "
                    f"logarithm: no value is below log {tiny:g} = {np.log(tiny):.0f}, however "
                    "far away a sample is. In the log domain, nothing has to be added.",
                )
        return
    raise Wrong(
        "not computed in the log domain",
        f"log_gaussians contains {found[~np.isfinite(found)].ravel()[0]} where the right value is "
        f"{right[~np.isfinite(found)].ravel()[0]:.6g}. A density, or a determinant (here of a "
        f"{given.d} × {given.d} matrix), was computed before its logarithm, and it under- or "
        "overflows. Add logarithms instead: the quadratic form, and the log-determinant from "
        "`np.linalg.slogdet` or a Cholesky factor.",
    )


def _wrong_log_gaussians(given: Problem, right: np.ndarray) -> Mapping[tuple[str, str], Any]:
    d = given.d
    log_dets = np.linalg.slogdet(given.covariances)[1]
    squares = -2 * right - d * _LOG_2PI - log_dets
    whole = np.trunc(given.means)
    with np.errstate(over="ignore"):
        densities = np.exp(right)
    return {
        (
            "log 2π not multiplied by d",
            "log_gaussians contains ½ log 2π instead of ½ d log 2π: each of the d features "
            "contributes a factor √(2π).",
        ): right + 0.5 * (d - 1) * _LOG_2PI,
        (
            "log 2π left out",
            "log_gaussians is right except for a constant: −½ d log 2π is missing.",
        ): right + 0.5 * d * _LOG_2PI,
        ("density instead of log-density", "log_gaussians returns densities. Return their "
         "logarithms, computed in the log domain."): densities,
        ("determinant left out", "In log_gaussians, −½ log |Σ| is missing."):
            right + 0.5 * log_dets,
        ("determinant not halved", "log_gaussians subtracts log |Σ|; it should be half of it."):
            right - 0.5 * log_dets,
        ("sign of the determinant", "log_gaussians adds ½ log |Σ|; it should be subtracted."):
            right + log_dets,
        ("quadratic form not halved", "log_gaussians subtracts the quadratic form; it should be "
         "half of it."): right - 0.5 * squares,
        ("covariance not inverted", "log_gaussians uses Σ in the quadratic form, which needs Σ⁻¹."):
            -0.5 * (d * _LOG_2PI + log_dets + _forms(given, given.covariances)),
        ("correlations left out", "log_gaussians uses only the variances; the quadratic form "
         "needs the whole matrix Σ⁻¹."): -0.5 * (d * _LOG_2PI + log_dets + _diagonal_forms(given)),
        ("log-weights included", "log_gaussians contains log π. It should not: the weights are "
         "used in the E-step."): right + np.log(given.weights),
        ("integer arrays", "log_gaussians rounds the means to integers. If X contains integers, an "
         "array made from it (with `np.zeros_like(X)`, say) does too. Make arrays of floats."):
            problems.log_gaussians(given.X, whole, given.covariances),
    }  # fmt: skip


def _forms(given: Problem, matrices: np.ndarray) -> np.ndarray:
    centred = given.X[:, None] - given.means
    return np.einsum("nki,kij,nkj->nk", centred, matrices, centred)


def _diagonal_forms(given: Problem) -> np.ndarray:
    variances = np.diagonal(given.covariances, axis1=1, axis2=2)
    return ((given.X[:, None] - given.means) ** 2 / variances).sum(axis=2)


# ---- E-step ------------------------------------------------------------------------------------


def e_step(function: Callable, given: Problem, layout: str = "(n, k)") -> None:
    """Check ``e_step(X, weights, means, covariances)``: responsibilities and log-likelihood."""

    def check() -> None:
        result = call(function, given.X, *given.parameters, name="e_step")
        r, total = parts(result, ("responsibilities", "the log-likelihood"), "e_step")
        responsibilities(r, given, layout)
        log_likelihood(total, given)

    check_with_reference(function, check, {"log_gaussians": problems.log_gaussians})


def responsibilities(value: Any, given: Problem, layout: str = "(n, k)") -> None:
    """Check responsibilities: they divide each sample among the components."""
    n, k = given.n, given.k
    shape = (n, k) if layout == "(n, k)" else (k, n)
    r = array(value, shape, "the responsibilities", why=f" (R_SHAPE says {layout})")
    r, right = (r if layout == "(n, k)" else r.T), given.responsibilities
    one = "row" if layout == "(n, k)" else "column"
    if close(r, right):
        return
    joint = given.log_densities + np.log(given.weights)
    with np.errstate(all="ignore"):
        densities = np.exp(joint)
        unsafe = densities / densities.sum(axis=1, keepdims=True)
    if not np.isfinite(r).all():
        if not np.isfinite(unsafe).all():
            raise Wrong(
                "underflow of all densities",
                "The responsibilities contain NaN. Far from every mean, all densities underflow "
                "to 0, and 0/0 is not a number. Subtract the largest logarithm of each sample "
                "before `exp` (log-sum-exp); then one of the values is 1.",
            )
        raise Wrong("not finite", "The responsibilities contain NaN or inf.")
    if k > 1 and close(r.sum(axis=0), np.ones(k)):
        raise Wrong(
            "normalised over samples",
            f"Each {one} of responsibilities should sum to 1 over the components of a sample; "
            "yours sum to 1 over the samples of a component. Divide by the sum over k.",
        )
    if close(r, (joint == joint.max(axis=1, keepdims=True)).astype(float)):
        raise Wrong(
            "hard assignment",
            "Your responsibilities are 0 or 1: each sample is assigned to one component, as in "
            "k-means. EM divides it among the components.",
        )
    for tiny in _TINY:
        if close(r, densities / (densities.sum(axis=1, keepdims=True) + tiny)) or close(
            r, (densities + tiny) / (densities + tiny).sum(axis=1, keepdims=True)
        ):
            raise Wrong(
                "constant added inside the logarithm",
                "Your responsibilities come from densities with a small constant added. Far from "
                "every mean, that constant determines them, not the data. Compute in the log "
                "domain.",
            )
    if not close(r.sum(axis=1), np.ones(n)):
        at = int(np.argmax(np.abs(r.sum(axis=1) - 1)))
        raise Wrong(
            "responsibilities not normalised",
            f"Each {one} of responsibilities should sum to 1; {one} {at} of yours sums to "
            f"{r.sum(axis=1)[at]:.6g}.",
        )
    known = {
        ("weights left out", "Your responsibilities do not use the weights π: a component "
         "with a larger weight should get more."): np.exp(_normalised(given.log_densities)),
    }  # fmt: skip
    compare(r, right, known, "the array of responsibilities")


def _normalised(joint: np.ndarray) -> np.ndarray:
    return joint - logsumexp(joint, axis=1, keepdims=True)


def log_likelihood(value: Any, given: Problem) -> None:
    """Check a log-likelihood: a total over the samples, in nats."""
    name = "the log-likelihood"
    found, right = number(value, name), given.log_likelihood
    joint = given.log_densities + np.log(given.weights)
    with np.errstate(all="ignore"):
        tops = np.log(np.exp(joint).sum(axis=1))
        if not close(found, right) and not np.isfinite(found) and not np.isfinite(tops).all():
            raise Wrong(
                "not computed in the log domain",
                f"The log-likelihood is {found}: far from every mean, the density underflows to 0. "
                "Compute it with the same log-sum-exp as the responsibilities.",
            )
        for tiny in _TINY:
            if not close(found, right) and close(found, np.log(np.exp(joint).sum(1) + tiny).sum()):
                raise Wrong(
                    "constant added inside the logarithm",
                    f"About {tiny:g} is added inside the logarithm of your log-likelihood: a "
                    "sample far from every mean never contributes less than log "
                    f"{tiny:g}.",
                )
    known = {
        ("sign of the log-likelihood", "You return the negative log-likelihood. Return the "
         "log-likelihood itself, which EM increases."): -right,
        ("mean instead of total", "You return the mean log-likelihood per sample. Return the "
         "total."): right / given.n,
        ("weights left out", "Your log-likelihood does not use the weights π."):
            logsumexp(given.log_densities, axis=1).sum(),
        ("expected complete log-likelihood", "You return Σ r log(π N), the expected complete "
         "log-likelihood. In the log-likelihood, the sum over k is inside the logarithm."):
            float((given.responsibilities * joint).sum()),
        ("logarithm taken before the sum", "You sum log(π N) over components and samples; the sum "
         "over k belongs inside the logarithm."): float(joint.sum()),
    }  # fmt: skip
    constant = given.k * given.d / 2 * _LOG_2PI
    if any(close(found, value) for value in (0.0, constant, -constant, given.n * constant)):
        raise Wrong(
            "independent of the data",
            f"Your log-likelihood is {found:.6g} whatever the data are. It is computed from the "
            "sums of r, which are always 1. Take the sum over k before r is normalised.",
        )
    if np.isnan(found):
        raise Wrong("not finite", "The log-likelihood is NaN.")
    compare(found, right, known, name)


# ---- M-step ------------------------------------------------------------------------------------


def m_step(
    function: Callable, given: Problem, layout: str = "(n, k)", *, r: np.ndarray | None = None
) -> None:
    """Check ``m_step(X, responsibilities, weights, means, covariances)``: the new parameters."""
    r = given.responsibilities if r is None else r
    result = call(function, given.X, r if layout == "(n, k)" else r.T, *given.parameters,
                  name="m_step")  # fmt: skip
    names = ("weights", "means", "covariances")
    weights, means, covariances = parts(result, names, "m_step")
    _weights(weights, r)
    _means(means, given, r)
    _covariances(covariances, given, r)


def _weights(value: Any, r: np.ndarray) -> None:
    n, k = r.shape
    counts = r.sum(axis=0)
    known = {
        ("weights not divided by n", "Your weights are the sums N_k; divide them by n, so that "
         "they sum to 1."): counts,
        ("wrong Lagrange multiplier", "Each of your weights is 1, because N_k was divided by "
         "itself. The Lagrange multiplier of Σπ = 1 is the sum over all components, n."):
            np.ones(k),
        ("weights stay uniform", "Your weights are all 1/k; they should be N_k / n."):
            np.full(k, 1 / k),
        ("weights divided by k", "Your weights are N_k / k; divide by n."): counts / k,
    }  # fmt: skip
    compare(array(value, (k,), "weights"), counts / n, known, "the weights")


def _means(value: Any, given: Problem, r: np.ndarray) -> None:
    X = given.X.astype(float)
    counts = r.sum(axis=0)[:, None]
    right = r.T @ X / counts
    known = {
        ("integer arrays", "Your means are truncated to integers, because they were written into "
         "an array of integers (made from X, which contains integers here). Make an array of "
         "floats."):
            np.trunc(right),
        ("means divided by n", "Your means are divided by n; divide each by its N_k."):
            r.T @ X / given.n,
        ("means not divided", "Your means are sums; divide each by its N_k."): r.T @ X,
        ("means without responsibilities", "Each of your means is the mean of the data: the "
         "responsibilities are missing."): np.tile(X.mean(axis=0), (given.k, 1)),
        ("means not updated", "Your means are those from before the step."): given.means,
        ("divided by N_k twice", "Your means are divided by N_k twice; divide once."):
            r.T @ X / counts**2,
    }  # fmt: skip
    compare(array(value, (given.k, given.d), "means"), right, known, "the means")


def _covariances(value: Any, given: Problem, r: np.ndarray) -> None:
    X, d = given.X.astype(float), given.d
    counts = r.sum(axis=0)
    means = r.T @ X / counts[:, None]
    right = problems.moments(X, r, means)
    found = array(value, (given.k, d, d), "covariances")
    if close(found, right):
        return
    if d > 1 and all(np.allclose(C, C[0, 0], rtol=1e-9) for C in found):
        raise Wrong(
            "dot product instead of outer product",
            "All entries of each of your covariances are equal: it is computed with the dot "
            "product (x − μ)·(x − μ) instead of the outer product (x − μ)(x − μ)ᵀ. Such a matrix "
            "is singular.",
        )
    raw = np.einsum("nk,ni,nj->kij", r, X, X) / counts[:, None, None]
    dots = _dots(X, r, means)
    known = {
        ("covariances about the old means", "Your covariances are centred on the means from before "
         "the step. The M-step centres them on the new ones. (The log-likelihood still increases, "
         "so a trace does not show this.)"): problems.moments(X, r, given.means),
        ("dot product instead of outer product", "Your covariances have a dot product on their "
         "diagonal. Use the outer product (x − μ)(x − μ)ᵀ."): dots,
        ("mean not subtracted", "Your covariances are Σ r x xᵀ / N_k: subtract the mean first."):
            raw,
        ("covariances not divided", "Your covariances are sums; divide each by its N_k."):
            right * counts[:, None, None],
        ("covariances divided by n", "Your covariances are divided by n; divide each by its "
         "N_k."): right * counts[:, None, None] / given.n,
        ("covariances divided by N_k − 1", "Your covariances are divided by N_k − 1. Maximum "
         "likelihood divides by N_k."): right * (counts / (counts - 1))[:, None, None],
        ("correlations left out", "Your covariances are diagonal; the off-diagonal entries are "
         "missing."): right * np.eye(d),
        ("responsibilities left out", "Your covariances do not use the responsibilities."):
            problems.moments(X, np.ones_like(r), means),
        ("squared responsibilities", "Your covariances weight each sample by r²; multiply by r "
         "only once."): np.einsum("nk,nki,nkj->kij", r**2, X[:, None] - means, X[:, None] - means)
            / counts[:, None, None],
        ("covariances not updated", "Your covariances are those from before the step."):
            given.covariances,
        ("integer arrays", "Your covariances are truncated to integers, because they were written "
         "into an array of integers."): np.trunc(right),
    }  # fmt: skip
    compare(found, right, known, "the covariances")


def _dots(X: np.ndarray, r: np.ndarray, means: np.ndarray) -> np.ndarray:
    squares = ((X[:, None] - means) ** 2).sum(axis=2)
    return (r * squares).sum(0)[:, None, None] / r.sum(0)[:, None, None] * np.eye(X.shape[1])


# ---- the loop ----------------------------------------------------------------------------------


def fit(function: Callable, given: Problem, layout: str = "(n, k)", *, n_iter: int = 6) -> None:
    """Check the first iterations of ``fit(X, weights, means, covariances, tol, max_iter)``."""

    def check() -> None:
        *parameters, trace = _run(function, given, -np.inf, n_iter)
        right, path = problems.climb(given, n_iter)
        _trace(trace, right)
        _ends_with(trace, parameters, given)
        for name, value, would_be in zip(
            ("weights", "means", "covariances"), parameters, path[-1], strict=True
        ):
            compare(array(value, would_be.shape, name), would_be, {}, f"the final {name}")

    check_with_reference(function, check, _steps(layout))


def stops(function: Callable, given: Problem, layout: str = "(n, k)", *, tol: float = 1e-3) -> None:
    """Check that ``fit`` stops after the first iteration that gains less than `tol`."""
    max_iter = 200

    def check() -> None:
        right, _ = problems.climb(given, max_iter, tol=tol)
        stop = len(right) - 1
        trace = _run(function, given, tol, max_iter)[-1]
        done = len(trace) - 1
        if stop - 1 <= done <= stop + 1:
            return
        if done >= max_iter:
            raise Wrong(
                "no stopping rule",
                f"fit runs until max_iter = {max_iter}, although iterations gain less than "
                f"tol = {tol:g} from iteration {stop} on.",
            )
        if done <= 1:
            raise Wrong(
                "stops at once",
                f"fit stops after {done} iteration{'s' * (done != 1)}, although the first one "
                f"gains {right[1] - right[0]:.3g} and tol is {tol:g}. Compare each log-likelihood "
                "with the one before it, once there are two.",
            )
        raise Wrong(
            "wrong stopping rule",
            f"fit stops after {done} iterations, but the gain is first below tol = {tol:g} at "
            f"iteration {stop}. Compare the gain of one iteration, in total log-likelihood, with "
            "tol.",
        )

    check_with_reference(function, check, _steps(layout))


def singular(function: Callable) -> None:
    """Check that ``fit`` raises or is not finite for singular covariances."""
    given = problems.problem(5, n=30, k=2)
    flat = Problem(given.X, given.weights, given.means, np.zeros_like(given.covariances))

    def check() -> None:
        try:
            trace = _run(function, flat, 0.0, 3)[-1]
        except Wrong as error:
            if error.mistake in (NOT_DONE, ENDLESS, EXIT):
                raise
            return
        trace = np.atleast_1d(np.asarray(trace, float))
        if np.isfinite(trace).all():
            raise Wrong(
                "exception suppressed",
                "For singular covariances (all zeros), fit returns finite log-likelihoods. Do not "
                "catch the exception that reports a singular covariance.",
            )

    def fails(*_: Any) -> None:
        raise np.linalg.LinAlgError("Matrix is not positive definite")

    check_with_reference(function, check, {"log_gaussians": fails, "e_step": fails})


def _steps(layout: str) -> dict[str, Callable]:
    return {
        "log_gaussians": problems.log_gaussians,
        "e_step": problems.transposed(problems.e_step, layout),
        "m_step": problems.transposed(problems.m_step, layout),
    }


def _run(function: Callable, given: Problem, tol: float, max_iter: int) -> list[Any]:
    result = call(function, given.X, *given.parameters, tol, max_iter, name="fit")
    *parameters, trace = parts(result, ("weights", "means", "covariances", "trace"), "fit")
    return [*parameters, _as_trace(trace)]


def _as_trace(value: Any) -> np.ndarray:
    """Return a trace as an array; each entry may be an array with one element."""
    try:
        trace = np.asarray(value, float)
    except (TypeError, ValueError):
        trace = np.empty((0, 0))
    if not trace.size or trace.size != len(trace):
        raise Wrong(
            "wrong shape", "trace should be a list of log-likelihoods, one for each iteration."
        )
    return trace.ravel()


def _trace(trace: np.ndarray, right: list[float]) -> None:
    """Check a trace that should have as many iterations as the right one."""
    n_iter = len(right) - 1
    if close(trace, right):
        return
    _sign(trace, right)
    if len(trace) <= 2:
        raise Wrong(
            "one iteration only",
            f"fit should make {n_iter} iterations; it stopped after {len(trace) - 1}. Perhaps "
            "`return` is inside the loop. (The stopping rule should not end the loop here, because "
            "tol is −∞.)",
        )
    if np.ptp(trace) < 1e-9 * max(1, abs(trace[0])):
        raise Wrong(
            "independent of the data",
            f"Every entry of your trace is {trace[0]:.6g}. A log-likelihood that never changes "
            "does not depend on the parameters. Is it computed from sums of responsibilities, "
            "which are always 1?",
        )
    if close(trace, right[1:]):
        raise Wrong(
            "the start is not in the trace",
            "trace[0] should be the log-likelihood of the start; your trace begins after the first "
            "iteration.",
        )
    if close(trace, right[:-1]):
        raise Wrong(
            "the end is not in the trace",
            "The last entry of the trace should be the log-likelihood of the parameters that fit "
            "returns; yours belongs to the parameters before the last M-step.",
        )
    if len(trace) != len(right):
        raise Wrong(
            "wrong length of the trace",
            f"After max_iter = {n_iter} iterations, the trace should have {n_iter + 1} entries, "
            f"the start first; yours has {len(trace)}.",
        )
    decreases = np.flatnonzero(np.diff(trace) < -1e-8 * np.abs(trace[1:]))
    if decreases.size:
        at = int(decreases[0])
        raise Wrong(
            "the log-likelihood decreases",
            f"In your trace, the log-likelihood decreases at iteration {at + 1}, from "
            f"{trace[at]:.6g} to {trace[at + 1]:.6g}. EM never decreases it: a step is wrong, or "
            "the trace does not contain the log-likelihood.",
        )
    compare(trace, np.asarray(right), {}, "the trace")


def _sign(trace: np.ndarray, right: list[float]) -> None:
    n = min(len(trace), len(right))
    if n and close(-trace[:n], right[:n]):
        raise Wrong(
            "sign of the log-likelihood",
            "Your trace contains the negative log-likelihood. EM increases the log-likelihood.",
        )


def _ends_with(trace: np.ndarray, parameters: list[Any], given: Problem) -> None:
    """Check that the last log-likelihood belongs to the returned parameters."""
    try:
        arrays = [np.asarray(value, float) for value in parameters]
        end = problems.e_step(given.X, *arrays)[1]
    except (TypeError, ValueError):  # their shapes are checked later
        return
    if not close(end, trace[-1]):
        raise Wrong(
            "trace and parameters of different iterations",
            f"The last entry of the trace is {trace[-1]:.8g}, but the returned parameters have "
            f"log-likelihood {end:.8g}: they belong to different iterations.",
        )


# ---- known covariances -------------------------------------------------------------------------


def fit_means(
    function: Callable, given: Problem, layout: str = "(n, k)", *, n_iter: int = 6
) -> None:
    """Check ``fit_means(X, weights, means, covariances, n_iter)``, which updates only means."""

    def check() -> None:
        result = call(function, given.X, *given.parameters, n_iter, name="fit_means")
        means, trace = parts(result, ("means", "trace"), "fit_means")
        trace = _as_trace(trace)
        right, path = problems.climb(given, n_iter, free=("means",))
        everything = problems.climb(given, n_iter)
        found = array(means, given.means.shape, "means")
        if close(trace, everything[0]) or close(found, everything[1][-1][1]):
            raise Wrong(
                "known parameters updated",
                "The weights and covariances are known, but fit_means updates them too: its result "
                "is that of full EM. Use only the means from the M-step.",
            )
        for kept in ("weights", "covariances"):
            other, moved = problems.climb(given, n_iter, free=("means", kept))
            if close(trace, other) or close(found, moved[-1][1]):
                raise Wrong(
                    "known parameters updated",
                    f"fit_means updates the {kept}, which are known. Use only the means from the "
                    "M-step.",
                )
        _trace(trace, right)
        compare(found, path[-1][1], {}, "the means")

    check_with_reference(function, check, _steps(layout))


# ---- plots -------------------------------------------------------------------------------------


def ellipse(function: Callable, mean: Any, covariance: Any, sigmas: float = 2.0) -> None:
    """Check ``ellipse(mean, covariance, sigmas)``: points on the contour, or a matplotlib patch."""
    mean, covariance = np.asarray(mean, float), np.asarray(covariance, float)
    result = call(function, mean, covariance, sigmas, name="ellipse")
    if hasattr(result, "get_patch_transform"):  # a patch: apply its transform to the unit circle
        t = np.linspace(0, 2 * np.pi, 100)
        result = result.get_patch_transform().transform(np.stack([np.cos(t), np.sin(t)], axis=1))
    points = np.asarray(result, float)
    if points.ndim == 2 and points.shape[0] == 2 != points.shape[1]:
        points = points.T
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 20:
        raise Wrong(
            "wrong shape",
            "ellipse should return points of shape (m, 2) with m at least 20, or a matplotlib "
            f"Ellipse; yours has shape {points.shape}.",
        )
    values, vectors = np.linalg.eigh(covariance)
    centred = points - mean
    if not _on(centred, covariance, sigmas):
        _explain_ellipse(centred, values, vectors, covariance, sigmas)
    angles = np.sort(np.arctan2(*_whitened(centred, covariance).T))
    if np.diff(angles, append=angles[0] + 2 * np.pi).max() > 0.7:
        raise Wrong("incomplete ellipse", "ellipse returns only a part of the contour.")


def _whitened(centred: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.linalg.solve(np.linalg.cholesky(covariance), centred.T).T


def _on(centred: np.ndarray, covariance: np.ndarray, sigmas: float) -> bool:
    distances = np.linalg.norm(_whitened(centred, covariance), axis=1)
    return bool(np.allclose(distances, sigmas, rtol=1e-4))


def _explain_ellipse(
    centred: np.ndarray,
    values: np.ndarray,
    vectors: np.ndarray,
    covariance: np.ndarray,
    sigmas: float,
) -> None:
    aligned = (np.diag(values), np.diag(values[::-1]), np.diag(np.diag(covariance)))
    if any(_on(centred, matrix, sigmas) for matrix in aligned):
        raise Wrong(
            "ellipse parallel to the axes",
            "Your ellipse has the right size, but it is parallel to the axes: it uses the "
            "eigenvalues and not the eigenvectors. Rotate it by the eigenvectors.",
        )
    mirrored = covariance * np.array([[1, -1], [-1, 1]])
    swapped = vectors @ np.diag(values[::-1]) @ vectors.T
    for matrix in (mirrored, swapped, vectors.T @ np.diag(values) @ vectors):
        if _on(centred, matrix, sigmas):
            raise Wrong(
                "ellipse rotated the wrong way",
                "Your ellipse has the right half axes, but it is rotated the wrong way. The "
                "eigenvectors are the columns of the matrix that `eigh` returns, in the order of "
                "the eigenvalues.",
            )
    squared = vectors @ np.diag(values**2) @ vectors.T
    if _on(centred, squared, sigmas):
        raise Wrong(
            "variance instead of standard deviation",
            "The half axes of your ellipse are eigenvalues, which are variances. Use their square "
            "roots.",
        )
    distances = np.linalg.norm(_whitened(centred, covariance), axis=1)
    if np.ptp(distances) < 1e-2 * distances.mean():
        raise Wrong(
            "wrong size of the ellipse",
            f"Your ellipse is {distances.mean():.3g} standard deviations away from the mean; it "
            f"should be {sigmas:g}.",
        )
    raise Wrong(
        "wrong ellipse",
        f"The points of your ellipse are {distances.min():.3g} to {distances.max():.3g} standard "
        f"deviations away from the mean, measured along their directions; all should be at "
        f"{sigmas:g}.",
    )


def members(function: Callable, seed: int, layout: str = "(n, k)") -> None:
    """Check ``members(r, j)``: the samples whose most probable component is `j`."""
    r = problems.random_responsibilities(seed, 40, 3)
    for j in range(3):
        found = np.asarray(call(function, r if layout == "(n, k)" else r.T, j, name="members"))
        right = r.argmax(axis=1) == j
        if found.dtype.kind in "iu" and found.ndim == 1 and found.dtype != bool:
            mask = np.zeros(40, bool)
            mask[found[(found >= 0) & (found < 40)]] = True
            found = mask
        if found.shape != (40,):
            raise Wrong(
                "wrong shape",
                "members should return True or False for each sample, or the indices of the "
                f"samples; yours has shape {found.shape}.",
            )
        if np.array_equal(found.astype(bool), right):
            continue
        if np.array_equal(found.astype(bool), r[:, j] == r[:, j].max()):
            raise Wrong(
                "one sample instead of a cluster",
                f"members finds only one sample of component {j}, the one with the largest "
                "responsibility. A sample belongs to a component if no other component has a "
                "larger responsibility for it: compare over the components.",
            )
        raise Wrong(
            "wrong members",
            f"members finds {int(found.sum())} samples of component {j}; there should be "
            f"{int(right.sum())}.",
        )


# ---- reading a trace ---------------------------------------------------------------------------


def names(answer: Any, traces: Mapping[str, Any]) -> None:
    """Check that `not_em` consists of names of traces, without telling if it is right."""
    _names(answer, traces)


def _names(answer: Any, traces: Mapping[str, Any]) -> set[str]:
    answered(answer, "not_em")
    try:
        given = set(map(str, answer))  # a string is split into its letters
    except TypeError:
        given = {str(answer)}
    if not given <= set(traces):
        raise Wrong(
            "invalid answer",
            f"`not_em` should be some of the names {', '.join(traces)}, such as "
            f'`"{"".join(list(traces)[:2])}"`; yours is {answer!r:.80}.',
        )
    return given


def not_em(answer: Any, traces: Mapping[str, Any]) -> None:
    """Check which traces cannot be log-likelihoods of EM: those that decrease."""
    right = {name for name, trace in traces.items() if (np.diff(trace) < -1e-9).any()}
    given = _names(answer, traces)
    if given == right:
        return
    if given - right:
        one = sorted(given - right)[0]
        raise Wrong(
            "plateau taken for an error",
            f"Trace {one} never decreases, so it can come from EM. Slow progress or a plateau is "
            "not an error.",
        )
    one = sorted(right - given)[0]
    raise Wrong(
        "decrease overlooked",
        f"Trace {one} decreases somewhere, perhaps only a little. The log-likelihood of EM never "
        "decreases.",
    )


def iteration(answer: Any, trace: Any) -> None:
    """Check that `stops_at` is the number of an iteration, without telling if it is right."""
    answered(answer, "stops_at")
    found = number(answer, "`stops_at`")
    last = len(trace) - 1
    if found != np.floor(found) or not 0 <= found <= last:
        raise Wrong(
            "invalid answer",
            f"`stops_at` should be the number of an iteration, an integer from 0 to {last}; yours "
            f"is {found:g}.",
        )


def stopping_iteration(answer: Any, trace: Any, tol: float) -> None:
    """Check at which iteration EM stops: the first one that gains less than `tol`."""
    gains = np.diff(np.asarray(trace, float))
    right = int(np.argmax(gains < tol)) + 1
    iteration(answer, trace)
    found = number(answer, "`stops_at`")
    if found == right:
        return
    if found == right - 1:
        raise Wrong(
            "off by one",
            f"Your answer is {found:g}. trace[0] belongs to the start, so the gain of iteration t "
            "is trace[t] − trace[t−1].",
        )
    relative = int(np.argmax(gains < tol * np.abs(np.asarray(trace, float)[1:]))) + 1
    if found == relative:
        raise Wrong(
            "relative tolerance",
            "You divide the gain by the log-likelihood, which has no meaningful zero. Use the gain "
            "itself.",
        )
    raise Wrong(
        "wrong iteration",
        f"Your answer is {found:g}. Find the first iteration t with trace[t] − trace[t−1] < "
        f"{tol:g}.",
    )


seal(__name__)
