"""Measure the quality and time of `selection.compare`, and the p-values of the bootstrap test.

python benchmarks/selection.py grid --data iris --data old_faithful
python benchmarks/selection.py grid --csv diabetes.csv --against diabetes-mclust.csv
python benchmarks/selection.py null --tests 200
"""

import time
from itertools import permutations
from pathlib import Path

import click
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import binomtest

from gmmlab import Mixture, Spherical, Tied, datasets, selection
from gmmlab.selection import is_tighter

# Negligible differences in total log-likelihood: relative to it, and in nats between programs.
_FALL, _SAME = 1e-6, 1e-3


def pairs(cells):
    """Yield pairs of sound cells where the first is a special case of the second."""
    for low, high in permutations([cell for cell in cells if not cell.degenerate], 2):
        (tight, few), (loose, more) = low.key, high.key
        if (few == more and is_tighter(tight, loose)) or (tight is loose and more == few + 1):
            yield low, high


def falls(low, high):
    """Return whether the second cell of a pair fits worse."""
    fall = low.fit.log_likelihood - high.fit.log_likelihood
    return fall > _FALL * max(1, abs(low.fit.log_likelihood))


def versus(found, path):
    """Compare the cells with a file that has structure, n_components and log_likelihood."""
    theirs = pd.read_csv(path).dropna()
    both = found.to_frame().merge(theirs, on=["structure", "n_components"], suffixes=("", "_there"))
    apart = (both.log_likelihood - both.log_likelihood_there).dropna()
    return (
        f"{len(apart)} cells that are degenerate in neither: {(apart > _SAME).sum()} better, "
        f"{(apart.abs() <= _SAME).sum()} equal, {(apart < -_SAME).sum()} worse; the worst "
        f"difference is {apart.min():.2g} nats"
    )


def seconds():
    """Return wall time and processor time in seconds."""
    return time.perf_counter(), time.process_time()


@click.group(help=__doc__.partition("\n")[0])
def main():
    pass


@main.command(help="Run the default comparison; compare it with another program.")
@click.option("--data", "names", multiple=True, help="name of a data set in gmmlab.datasets")
@click.option("--csv", "path", type=click.Path(path_type=Path), help="file of data, with a header")
@click.option("--against", type=click.Path(path_type=Path), help="file of another program")
@click.option("--seed", default=0, show_default=True)
def grid(names, path, against, seed):
    every = {name: getattr(datasets, name)().X for name in names}
    if path:
        every[path.stem] = pd.read_csv(path).to_numpy(float)
    for name, X in every.items():
        began = seconds()
        rng = np.random.default_rng(seed)
        found = selection.compare(X, rng=rng, progress=False)
        wall, processors = (b - a for a, b in zip(began, seconds(), strict=True))
        nested = list(pairs(found.cells))
        lost = sum(bool(cell.degenerate) for cell in found.cells)
        click.echo(f"{name}: {wall:.1f} s, {processors:.1f} s of processor time")
        click.echo(f"  {sum(falls(*pair) for pair in nested)} of {len(nested)} nested pairs fall")
        click.echo(f"  {lost} of {len(found.cells)} cells are degenerate")
        if against:
            click.echo(f"  {versus(found, against)}")
        click.echo("  " + found.summary.replace("\n", "\n  "))


def p_value(truth, n_samples, n_bootstrap, rng):
    """Return the p-value of a test of the true number of components."""
    X, _ = truth.sample(n_samples, rng)
    test = selection.bootstrap_test(
        X,
        truth.n_components,
        rng=rng,
        structure=type(truth.covariance),
        n_bootstrap=n_bootstrap,
        progress=False,
    )
    return test.p_value


@main.command(help="Compute p-values under the null hypothesis, which should be uniform.")
@click.option("--tests", default=200, show_default=True, help="number of tests")
@click.option("--n-samples", default=100, show_default=True, help="size of each sample")
@click.option("--n-bootstrap", default=39, show_default=True)
@click.option("--n-jobs", default=-1, show_default=True)
def null(tests, n_samples, n_bootstrap, n_jobs):
    truths = {
        "one component": Mixture([1.0], [[0.0, 0.0]], Tied(np.eye(2))),
        "two": Mixture([0.5, 0.5], [[0.0, 0.0], [5.0, 0.0]], Spherical([1.0, 1.0])),
    }
    for name, truth in truths.items():
        jobs = (
            delayed(p_value)(truth, n_samples, n_bootstrap, rng)
            for rng in np.random.default_rng(0).spawn(tests)
        )
        found = np.array(Parallel(n_jobs=n_jobs)(jobs))
        click.echo(f"{name}: {tests} tests of {n_samples} samples, {n_bootstrap} replicates each")
        for level in (0.05, 0.1, 0.25, 0.5, 0.75):
            rejected = int((found <= level + 1e-12).sum())
            low, high = binomtest(rejected, tests).proportion_ci()
            share = f"{rejected / tests:.3f} ({low:.3f} to {high:.3f})"
            click.echo(f"  p ≤ {level}: {share}")


if __name__ == "__main__":
    main()
