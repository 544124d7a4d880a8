"""Test the estimate of the remaining gain, and the acceleration, over many fits.

Real and generated data are fitted with several structures and starts. Each fit is

- stopped at several tolerances, and the estimate of the remaining gain is compared with the gain
  of further EM with a tolerance of 1e-12;
- repeated with ``accelerate=True`` from the same start.

    python benchmarks/convergence.py --fits 1000
"""

import click
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.utils.parallel import Parallel, delayed

from gmmlab import DegenerateError, Diagonal, Full, Spherical, Tied, datasets, fit, start
from gmmlab.diagnostics import remaining_gain

STRUCTURES = (Full, Tied, Diagonal, Spherical)
STARTS = (start.kmeans, start.random_points, start.random_responsibilities)
TOLERANCES = (1e-3, 1e-6, 1e-8, 1e-10)
LONG = {"max_iter": 100_000}
# Two fits whose mean log-likelihoods differ by at most this have found the same optimum.
SAME = 2e-4


def draw(number):
    """Return data, a start and the free blocks of case `number`."""
    rng = np.random.default_rng(number)
    kind, structure = number % 6, STRUCTURES[number // 6 % 4]
    if kind == 0:
        X = datasets.iris().X
    elif kind == 1:
        X = datasets.old_faithful().X
    elif kind == 2:
        X = load_diabetes().data[:, :4]
    elif kind == 3:
        n, k, d = rng.integers([100, 2, 1], [800, 5, 4])
        X = datasets.random_mixture(n, k, d, separation=rng.uniform(0.5, 4), rng=rng).X
    elif kind == 4:
        X = rng.uniform(size=(rng.integers(100, 600), 2))
    else:
        X = rng.standard_t(4, size=(300, rng.integers(1, 4)))
    k = int(rng.integers(2, 6))
    free = ("weights", "means") if number % 5 == 0 else ("weights", "means", "covariances")
    return X, STARTS[number % 3](X, k, rng, structure=structure), free


def remaining(number):
    """Return the estimated and the true remaining gain per sample for each tolerance."""
    X, mixture, free = draw(number)
    stops = []
    for tol in TOLERANCES:
        result = fit(X, mixture, free=free, tol=tol, **LONG)
        mixture = result.mixture
        stops.append((tol, result.mean_log_likelihood, remaining_gain(result, X) / len(X)))
    best = fit(X, mixture, free=free, tol=1e-12, **LONG).mean_log_likelihood
    return [(tol, estimate, best - reached) for tol, reached, estimate in stops]


def acceleration(number, tol):
    """Return passes of plain and accelerated EM, the gain by acceleration, and whether it fell."""
    X, mixture, free = draw(number)
    plain = fit(X, mixture, free=free, tol=tol, **LONG)
    fast = fit(X, mixture, free=free, tol=tol, accelerate=True, **LONG)
    falls = np.diff(fast.trace["log_likelihood"]).min(initial=0) < -1e-9 * abs(fast.log_likelihood)
    gain = fast.mean_log_likelihood - plain.mean_log_likelihood
    return plain.n_iter + 1, fast.n_iter + 1, gain, falls


def unless_degenerate(function, *arguments):
    """Return the result of a function, or None if the fit degenerates."""
    try:
        return function(*arguments)
    except (DegenerateError, ValueError):
        return None


def many(function, fits, *arguments):
    """Return the results of a function for many cases, without those that degenerate."""
    jobs = (delayed(unless_degenerate)(function, number, *arguments) for number in range(fits))
    return [found for found in Parallel(n_jobs=-1)(jobs) if found is not None]


@click.command(help=__doc__.partition("\n")[0])
@click.option("--fits", default=1100, show_default=True, help="number of cases")
@click.option("--tol", default=1e-6, show_default=True, help="tolerance of both kinds of EM")
def main(fits, tol):
    stops = [stop for case in many(remaining, fits) for stop in case]
    rows = pd.DataFrame(stops, columns=["tol", "estimate", "truth"])
    # Rounding of the log-likelihood is about this large, so smaller gains are noise.
    rows["truth"] = rows["truth"].clip(lower=1e-13)
    rows["covered"] = rows["estimate"].clip(lower=1e-13) >= rows["truth"]
    rows["ratio"] = rows["estimate"] / rows["truth"]
    # An infinite estimate covers every gain but is not informative, so it is counted separately.
    rows["finite"] = np.isfinite(rows["estimate"])
    finite = rows[rows["finite"]].groupby("tol")
    table = rows.groupby("tol").agg(fits=("finite", "size"), finite=("finite", "mean"))
    table["covered"] = finite["covered"].mean()
    table["median_ratio"] = finite["ratio"].median()
    click.echo(f"Remaining gain, and how often finite estimates cover it\n{table.to_string()}\n")

    names = ["plain", "accelerated", "gain", "falls"]
    runs = pd.DataFrame(many(acceleration, fits, tol), columns=names)
    share = runs["accelerated"] / runs["plain"]
    total = runs["accelerated"].sum() / runs["plain"].sum()
    slow = runs["plain"] >= 300
    same = runs["gain"].abs() <= SAME
    click.echo(
        f"Acceleration, tol={tol:g}: {len(runs)} fits, {slow.sum()} of 300 passes or more\n"
        f"  passes, accelerated/plain: median {share[slow].median():.2f} where plain EM needs 300, "
        f"{share[~slow].median():.2f} elsewhere, {total:.2f} in total\n"
        f"  same optimum: {same.sum()}, lowest gain {runs['gain'][same].min():.1e} per sample\n"
        f"  other optimum: lower in {(runs['gain'] < -SAME).mean():.1%}, higher in "
        f"{(runs['gain'] > SAME).mean():.1%}; mean difference {runs['gain'].mean():+.1e}\n"
        f"  accelerated fits whose log-likelihood fell: {runs['falls'].sum()}"
    )


if __name__ == "__main__":
    main()
