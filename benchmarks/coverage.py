"""Measure the coverage of nominal 95 % intervals over many samples of one mixture.

The mixture has three separated clusters in the plane; EM starts from the true parameters. The
coverage is averaged over the parameters of a block. With 500 samples, the measured coverage of a
parameter whose true coverage is 95 % is between 93 and 97 % in 19 cases of 20.

    python benchmarks/coverage.py --fits 500
"""

import click
import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from gmmlab import Full, Mixture, fit, uncertainty

#: means are at least 6 standard deviations apart, along the line between them
TRUTH = Mixture(
    [0.3, 0.3, 0.4],
    [[0.0, 0.0], [8.0, 2.0], [2.0, 9.0]],
    Full([[[1.0, 0.5], [0.5, 1.5]], [[1.5, -0.6], [-0.6, 1.0]], [[1.0, 0.0], [0.0, 2.0]]]),
)
METHODS = ("information", "bootstrap", "weighted")
COLUMNS = ["block", "component", "feature", "other_feature"]


def measure(rng, n_samples, n_bootstrap, methods):
    """Return a frame of parameters, estimates and true values for one sample and each method."""
    X, _ = TRUTH.sample(n_samples, rng)
    result = fit(X, TRUTH, tol=1e-10)
    frames = []
    for method in methods:
        one = uncertainty(result, X, method=method, rng=rng, n_bootstrap=n_bootstrap)
        frame = one.to_frame().assign(method=method, degenerate=one.n_degenerate)
        frame["truth"] = _truth(frame)
        frames.append(frame)
    return pd.concat(frames)


def _truth(frame):
    """Return the true value of the parameter in each row."""
    values = {
        "weights": lambda row: TRUTH.weights[row.component],
        "means": lambda row: TRUTH.means[row.component, row.feature],
        "covariances": lambda row: TRUTH.covariances[row.component, row.feature, row.other_feature],
    }
    return [values[row.block](row) for row in frame.itertuples()]


def kind(frame):
    """Return the block of each row, with variances separate from covariances."""
    variance = (frame["feature"] == frame["other_feature"]).fillna(False)
    return frame["block"].where(~variance, "variances")


@click.command(help=__doc__.partition("\n")[0])
@click.option("--fits", default=500, show_default=True, help="number of samples")
@click.option("--n-samples", default=1000, show_default=True, help="size of each sample")
@click.option("--n-bootstrap", default=199, show_default=True, help="number of replicates")
@click.option("--method", "methods", multiple=True, default=METHODS, show_default=True)
def main(fits, n_samples, n_bootstrap, methods):
    jobs = (
        delayed(measure)(rng, n_samples, n_bootstrap, methods)
        for rng in np.random.default_rng(0).spawn(fits)
    )
    frame = pd.concat(Parallel(n_jobs=-1)(jobs))
    frame["kind"] = kind(frame)
    frame["covered"] = frame["truth"].between(frame["lower"], frame["upper"])
    single = frame.groupby(["method", "kind", *COLUMNS], dropna=False, observed=True)
    each = single.agg(
        covered=("covered", "mean"),
        estimated=("standard_error", "median"),
        true=("estimate", "std"),
    )
    each["ratio"] = each["estimated"] / each["true"]
    table = each.groupby(["method", "kind"]).agg(
        parameters=("covered", "size"),
        coverage=("covered", "mean"),
        lowest=("covered", "min"),
        highest=("covered", "max"),
        ratio=("ratio", "median"),
    )
    click.echo(f"{fits} samples of {n_samples}, {n_bootstrap} replicates each\n")
    click.echo(table.to_string(float_format="{:.3f}".format))
    click.echo(f"\nDegenerate replicates: {frame.groupby('method')['degenerate'].max().sum()}")


if __name__ == "__main__":
    main()
