"""Time EM in gmmlab, scikit-learn and gmmx, as Markdown tables and a figure.

All fits of a case have the same data, start, number of M-steps, `reg_covar` and threads. The
implementations take turns in one process, so that other programs on the machine slow all of them
down alike. Times count only if all end at the same mean log-likelihood. See README.md.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from timeit import timeit
from typing import Any

import click
import numpy as np
import psutil
from cases import BASE, CASES, FLOAT32, SMALL, SWEEPS, WHOLE, Case, make_data, make_start
from sklearn import mixture as sklearn_mixture
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import gmmlab
from gmmlab import Diagonal, Full, Mixture

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # with tol=0 nothing converges

#: largest relative differences of mean log-likelihoods by rounding
AGREEMENT = {"float64": 1e-6, "float32": 1e-4}
FIGURES = Path(__file__).parent.parent / "reports" / "benchmarks"


@contextmanager
def threads(count: int = 2) -> Iterator[None]:
    """Limit every implementation to `count` cores, and to as many BLAS and OpenMP threads."""
    # The size of XLA's thread pool, which is read once. With two threads, two batched triangular
    # solves of gmmx can deadlock waiting for a third, so it gets more threads on the same cores.
    os.environ["NPROC"] = str(2 * count)
    if hasattr(os, "sched_setaffinity"):  # not available on macOS and Windows
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    with threadpool_limits(count):
        yield


# ---- implementations ---------------------------------------------------------------------
#
# Each function returns the call to time, and a function that extracts the number of M-steps, the
# weights, means and covariances from the result of the call.

Fitting = tuple[Callable[[], Any], Callable[[Any], tuple]]


def ours(X: np.ndarray, start: Mixture, reg_covar: float, n_iter: int) -> Fitting:
    """Prepare `gmmlab.fit`."""
    run = partial(gmmlab.fit, X, start, ridge=reg_covar, tol=0, max_iter=n_iter)
    return run, lambda fit: (fit.n_iter, *arrays(fit.mixture, np.float64))


def sklearn(X: np.ndarray, start: Mixture, reg_covar: float, n_iter: int) -> Fitting:
    """Prepare scikit-learn's `GaussianMixture`, in the precision of the data."""
    precisions = start.covariance.precisions.reshape(start.covariance.values.shape)
    model = sklearn_mixture.GaussianMixture(
        start.n_components,
        covariance_type=start.covariance.name,
        tol=0,
        reg_covar=reg_covar,
        max_iter=n_iter,
        weights_init=start.weights.astype(X.dtype),
        means_init=start.means.astype(X.dtype),
        precisions_init=precisions.astype(X.dtype),
    )
    return partial(model.fit, X), lambda fit: (fit.n_iter_, *fitted(fit))


def gmmx(X: np.ndarray, start: Mixture, reg_covar: float, n_iter: int) -> Fitting:
    """Prepare gmmx's `EMFitter`, in the precision of the data."""
    import jax
    from gmmx import EMFitter, GaussianMixtureModelJax, gmm

    jax.config.update("jax_enable_x64", bool(X.dtype == np.float64))
    gmm.check_shape = lambda array, shape: None  # it rejects float64
    weights, means, covariances = arrays(start, X.dtype)
    model = GaussianMixtureModelJax.from_squeezed(
        means, covariances, weights, covariance_type=start.covariance.name
    )
    fitter = EMFitter(max_iter=n_iter, tol=0, reg_covar=reg_covar)

    def read(fit: Any) -> tuple:
        end = fit.gmm
        return int(fit.n_iter), end.weights_numpy, end.means_numpy, end.covariances.values_numpy

    return lambda: jax.block_until_ready(fitter.fit(X, model)), read


PREPARE = {"ours": ours, "sklearn": sklearn, "gmmx": gmmx}


def arrays(mixture: Mixture, dtype: Any) -> tuple[np.ndarray, ...]:
    """Return weights, means and covariances, the last in the structure's shape."""
    values = (mixture.weights, mixture.means, mixture.covariance.values)
    return tuple(value.astype(dtype) for value in values)


def fitted(model: Any) -> tuple[np.ndarray, ...]:
    """Return the same arrays from an estimator with scikit-learn's attributes."""
    return model.weights_, model.means_, model.covariances_


def mean_log_likelihood(
    X: np.ndarray, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray
) -> float:
    """Return the mean log-likelihood of parameters, in float64 and by the same code for all."""
    weights, covariances = weights.astype(np.float64), covariances.astype(np.float64)
    if covariances.ndim == 3:  # symmetric only up to rounding in float32
        covariance = Full((covariances + covariances.swapaxes(1, 2)) / 2)
    else:
        covariance = Diagonal(covariances)
    return float(Mixture(weights / weights.sum(), means, covariance).log_prob(X).mean())


# ---- measuring ---------------------------------------------------------------------------


def make_input(case: Case, dtype: str) -> tuple[np.ndarray, Mixture]:
    """Return the data and the start of a case."""
    X, labels = make_data(case)
    return np.ascontiguousarray(X, dtype=dtype), make_start(case, X, labels)


def milliseconds(run: Callable[[], Any], calls: int = 1) -> float:
    """Return the time of a call, averaged over a number of calls."""
    return timeit(run, number=calls) / calls * 1e3


@dataclass
class Bench:
    """The implementations, the number of repeats, and the cases whose times were rejected."""

    names: list[str]
    repeats: int
    problems: list[str] = field(default_factory=list)

    def times(self, case: Case, dtype: str) -> dict[str, list[float]]:
        """Return milliseconds per M-step by name; empty if the results differ."""
        X, start = make_input(case, dtype)
        fits = {n: PREPARE[n](X, start, case.reg_covar, case.n_iter) for n in self.names}
        steps, ends = {}, {}
        for name, (run, read) in fits.items():  # warm-up: compiles, and starts threads
            steps[name], *parameters = read(run())
            ends[name] = mean_log_likelihood(X, *parameters)
        values = np.array(list(ends.values()))
        agree = np.ptp(values) <= AGREEMENT[dtype] * np.abs(values).max()  # false for NaN
        if not agree or set(steps.values()) != {case.n_iter}:
            self.problems.append(f"{case}, {dtype}: mean log-likelihoods {ends}, M-steps {steps}")
            return {}
        times = {name: [] for name in fits}
        for _ in range(self.repeats):
            for name, (run, _) in fits.items():
                times[name].append(milliseconds(run, case.fits) / case.n_iter)
        return times


def peak_memory(case: Case, dtype: str, name: str) -> float:
    """Return the increase of resident memory during a fit, in MB."""
    process, done = psutil.Process(), threading.Event()
    with threads():
        X, start = make_input(case, dtype)
        PREPARE[name](X[:500].copy(), start, case.reg_covar, 1)[0]()  # a first fit loads modules
        run, _ = PREPARE[name](X, start, case.reg_covar, 2)
        before = peak = process.memory_info().rss

        def watch() -> None:
            nonlocal peak
            while not done.wait(5e-4):
                peak = max(peak, process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        run()
        done.set()
        watcher.join()
    return (peak - before) / 1e6


def in_new_process(function: Callable[..., float], *args: Any) -> float:
    """Call a function in a new process, where no earlier fit has left memory to reuse."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


# ---- tables ------------------------------------------------------------------------------


def echo_table(title: str, rows: Iterable[dict[str, Any]]) -> None:
    """Print a Markdown table row by row, as they are measured."""
    click.echo(f"\n{title}: median (interquartile range)\n")
    for i, row in enumerate(rows):
        widths = [max(len(name), 13 if "ms" in name else 7) for name in row]
        lines = [row.values()] if i else [row, ["-" * (w - 1) + ":" for w in widths], row.values()]
        for line in lines:
            cells = (str(cell).rjust(width) for cell, width in zip(line, widths, strict=True))
            click.echo(f"| {' | '.join(cells)} |")


def spread(times: dict[str, list[float]], name: str) -> str:
    """Return the median and the interquartile range as text."""
    if name not in times:
        return "—"
    low, middle, high = np.percentile(times[name], (25, 50, 75))
    return f"{middle:.3g} ({high - low:.1g})"


def ratio(times: dict[str, list[float]], name: str) -> str:
    """Return the median time of an implementation divided by that of gmmlab."""
    return f"{np.median(times[name]) / np.median(times['ours']):.2f}" if name in times else "—"


def iteration_rows(bench: Bench, jobs: list[tuple[Case, str]]) -> Iterator[dict[str, Any]]:
    """Measure time per M-step and peak memory."""
    for case, dtype in jobs:
        row = {"case": case.name, "n": case.n, "d": case.d, "k": case.k}
        row |= {"structure": case.structure.name, "dtype": dtype}
        times = bench.times(case, dtype)
        row |= {f"{name}, ms": spread(times, name) for name in PREPARE}
        row |= {f"{name}/ours": ratio(times, name) for name in ("sklearn", "gmmx")}
        row |= {"reach": case.reach, "aim": case.aim}
        for name in ("ours", "sklearn"):
            row[f"{name}, MB"] = f"{in_new_process(peak_memory, case, dtype, name):.1f}"
        yield row


def whole_rows(cases: list[Case], repeats: int) -> Iterator[dict[str, Any]]:
    """Measure fits with default arguments, including their starts (gmmx has no default start)."""
    classes = {"ours": gmmlab.GaussianMixture, "sklearn": sklearn_mixture.GaussianMixture}
    for case in cases:
        X, _ = make_data(case)
        times, steps, ends = ({name: [] for name in classes} for _ in range(3))
        for seed in (None, *range(repeats)):
            for name, create in classes.items():
                model = create(case.k, covariance_type=case.structure.name, random_state=seed or 0)
                if seed is None:  # warm-up
                    model.fit(X[: case.few])
                    continue
                times[name].append(milliseconds(partial(model.fit, X)))
                steps[name].append(model.n_iter_)
                ends[name].append(mean_log_likelihood(X, *fitted(model)))
        gains = np.subtract(ends["ours"], ends["sklearn"])
        yield {
            "data": case.name,
            "n": case.n,
            "d": case.d,
            "k": case.k,
            "ours, ms": spread(times, "ours"),
            "sklearn, ms": spread(times, "sklearn"),
            "sklearn/ours": ratio(times, "sklearn"),
            "M-steps": "/".join(f"{np.median(steps[name]):g}" for name in classes),
            "log-likelihood, ours − sklearn": f"{np.median(gains):+.1e}",
            "smallest": f"{gains.min():+.1e}",
            "largest": f"{gains.max():+.1e}",
        }


# ---- figure ------------------------------------------------------------------------------


def figure(bench: Bench, scale: float) -> None:
    """Plot the time per M-step against n, d and k."""
    import matplotlib.pyplot as plt

    from gmmlab.plots import colour, marker

    nouns = {"n": "samples", "d": "features", "k": "components"}
    _, panels = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True, layout="constrained")
    for panel, (size, values) in zip(panels, SWEEPS.items(), strict=True):
        cases = [replace(BASE, **{size: value}).scaled(scale) for value in values]
        times = [bench.times(case, "float64") for case in cases]
        for i, name in enumerate(bench.names):
            medians = [np.median(each.get(name, np.nan)) for each in times]
            sizes = [getattr(case, size) for case in cases]
            panel.loglog(sizes, medians, color=colour(i), marker=marker(i), label=name)
        others = (f"{s} = {getattr(cases[-1], s)}" for s in SWEEPS if s != size)
        panel.set(xlabel=f"number of {nouns[size]} {size}", title=", ".join(others))
        panel.set_xticks(sizes, [f"{each:,}" for each in sizes])
        panel.set_xticks([], minor=True)
    panels[0].set_ylabel("time per M-step (ms)")
    panels[0].legend()
    FIGURES.mkdir(parents=True, exist_ok=True)
    for suffix in ("png", "svg"):
        plt.savefig(FIGURES / f"em.{suffix}", dpi=150)
    click.echo("\nFigure: reports/benchmarks/em.png and em.svg")


# ---- command -----------------------------------------------------------------------------


def names(context: click.Context, option: click.Parameter, text: str) -> list[str]:
    """Split the value of an option at commas, and reject unknown names."""
    known = list(CASES) if option.name == "cases" else ["sklearn", "gmmx"]
    chosen = [name for name in text.split(",") if name]
    if not set(chosen) <= set(known):
        raise click.BadParameter(f"{text} (choose from {', '.join(known)})")
    return chosen


@click.command(context_settings={"show_default": True})
@click.option("--cases", default=",".join(CASES), callback=names)
@click.option("--peers", default="sklearn,gmmx", callback=names)
@click.option("--repeats", default=7, type=click.IntRange(1), help="Number of timed fits.")
@click.option("--threads", "cores", default=2, type=click.IntRange(1), help="Number of cores.")
@click.option("--scale", default=1.0, help="Factor for the numbers of samples.")
@click.option("--dtype", default="both", type=click.Choice(["float64", "float32", "both"]))
@click.option("--whole/--no-whole", default=True, help="Whether to time default fits.")
@click.option("--plot/--no-plot", default=True, help="Whether to plot time against size.")
def main(cases: list[str], peers: list[str], repeats: int, scale: float, **do: Any) -> None:
    """Time EM against scikit-learn and gmmx. Fail if their results differ."""
    if "gmmx" in peers and find_spec("gmmx") is None:
        peers.remove("gmmx")
        click.echo("gmmx is not installed and is left out.")
    packages = ["gmmlab", "numpy", "scikit-learn"] + ["gmmx", "jax"] * ("gmmx" in peers)
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    click.echo(f"{versions}; {do['cores']} threads each; {repeats} repeats after a warm-up")

    bench = Bench(["ours", *peers], repeats)
    chosen = {name: CASES[name].scaled(scale) for name in cases}
    jobs = [(case, "float64") for case in chosen.values() if do["dtype"] != "float32"]
    in_float32 = FLOAT32 if do["dtype"] == "both" else CASES
    if do["dtype"] != "float64":
        jobs += [(case, "float32") for name, case in chosen.items() if name in in_float32]
    with threads(do["cores"]):
        echo_table("Time per M-step", iteration_rows(bench, jobs))
        if do["whole"]:
            large = [case for name, case in chosen.items() if name in WHOLE]
            rows = whole_rows([*large, *SMALL], repeats)
            echo_table("Default fit, including the start, over seeds", rows)
        if do["plot"]:
            figure(bench, scale)
    if bench.problems:
        raise click.ClickException("results differ:\n" + "\n".join(bench.problems))


if __name__ == "__main__":
    main()
