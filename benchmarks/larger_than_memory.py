"""Compare a fit of data larger than memory, while a worker is killed, with a fit in memory.

Two worker processes read a file block by block; Dask terminates a worker that exceeds its memory
limit. One worker is killed in the middle of a pass, and Dask starts another in its place.

    python benchmarks/larger_than_memory.py --megabytes 1500 --iterations 6
"""

import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread, Timer
from time import perf_counter

import click
import dask
import dask.array as da
import numpy as np
import psutil
from distributed import Client, LocalCluster

from gmmlab import Full, Mixture, datasets, fit, start

MIB = 2**20
# By default Dask also sets MALLOC_TRIM_THRESHOLD_ for its workers, so that freed memory returns to
# the system at once. Every temporary array then needs new pages, which doubles the time of a pass.
ENVIRONMENT = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}


def write(path, n_samples, n_features, n_components, block_rows, rng):
    """Write draws from one mixture to a file of float64, block by block."""
    *known, covariances = datasets.random_parameters(n_components, n_features, rng, separation=2)
    truth = Mixture(*known, Full(covariances))
    with path.open("wb") as file:
        for begin in range(0, n_samples, block_rows):
            truth.sample(min(block_rows, n_samples - begin), rng)[0].tofile(file)


def read(path, begin, shape):
    """Read a block of the file. It is not mapped, because mapped memory counts as used."""
    values = np.fromfile(path, count=shape[0] * shape[1], offset=begin * shape[1] * 8)
    return values.reshape(shape)


def blocks_of(path, n_samples, n_features, block_rows):
    """Return the file as a Dask array; the workers read its blocks."""
    parts = []
    for begin in range(0, n_samples, block_rows):
        shape = (min(block_rows, n_samples - begin), n_features)
        parts.append(da.from_delayed(dask.delayed(read)(path, begin, shape), shape, np.float64))
    return da.concatenate(parts)


class Peaks(Thread):
    """Monitor the memory of this process, which includes Dask's scheduler, and of its children."""

    def __init__(self):
        super().__init__(daemon=True)
        self.client, self.children, self.done = 0, {}, Event()

    def run(self):
        here = psutil.Process()
        while not self.done.wait(0.02):
            self.client = max(self.client, here.memory_info().rss)
            for child in here.children():
                with suppress(psutil.NoSuchProcess):
                    rss = child.memory_info().rss
                    self.children[child.pid] = max(self.children.get(child.pid, 0), rss)


class Killer:
    """A callback of `fit` that times iterations and kills a worker in the middle of a pass."""

    def __init__(self, pid, after):
        self.pid, self.after, self.times = pid, after, [perf_counter()]

    def __call__(self, iteration, mixture, log_likelihood):
        self.times.append(perf_counter())
        seconds = self.times[-1] - self.times[-2]
        note = ""
        if iteration == self.after:
            Timer(seconds / 2, os.kill, (self.pid, signal.SIGKILL)).start()
            note = f"   worker {self.pid} will be killed in {seconds / 2:.1f} s"
        click.echo(f"  {iteration:3}  {log_likelihood:.6f}  {seconds:6.2f} s{note}")


@click.command()
@click.option("--megabytes", default=512, show_default=True, help="Size of the data, in MiB.")
@click.option("--limit", default=256, show_default=True, help="Memory of each worker, in MiB.")
@click.option("--block", default=4, show_default=True, help="Size of a block, in MiB.")
@click.option("--features", default=8, show_default=True)
@click.option("--components", default=5, show_default=True)
@click.option("--iterations", default=4, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Folder for the temporary data.")
def main(megabytes, limit, block, features, components, iterations, seed, folder):
    """Fit data larger than memory on two workers, one of which is killed."""
    rng = np.random.default_rng(seed)
    n_samples = megabytes * MIB // (8 * features)
    block_rows = block * MIB // (8 * features)
    settings = {"max_iter": iterations, "tol": 0}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch, "X.f64")
        write(path, n_samples, features, components, block_rows, rng)
        X = blocks_of(path, n_samples, features, block_rows)
        click.echo(f"data     {megabytes} MiB: {n_samples} samples, {X.numblocks[0]} blocks")
        click.echo(f"limit    {limit} MiB for each of two workers")

        peaks = Peaks()
        peaks.start()
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}),
            LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                memory_limit=f"{limit}MiB",
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                local_directory=scratch,
            ) as cluster,
            Client(cluster) as client,
        ):
            begin = start.kmeans(start.subsample(X, 10_000, rng), components, rng)
            workers = client.run(os.getpid).values()
            killer = Killer(min(workers), after=iterations // 2)
            far = fit(X, begin, callback=killer, **settings)
            client.wait_for_workers(2)
            everyone = {*workers, *client.run(os.getpid).values()}
        peaks.done.set()
        peaks.join()

        before = perf_counter()
        near = fit(np.memmap(path, np.float64, "r", shape=(n_samples, features)), begin, **settings)
        seconds = perf_counter() - before

    for pid in sorted(everyone):
        fate = "killed" if pid == killer.pid else "alive"
        click.echo(f"worker   {pid} {fate}, peak {peaks.children[pid] / MIB:.0f} MiB")
    click.echo(f"client   peak {peaks.client / MIB:.0f} MiB, including the scheduler")
    passes = np.diff(killer.times[1:])
    click.echo(f"time     {np.median(passes):.2f} s per iteration, at most {passes.max():.2f} s")
    click.echo(f"         {seconds / (near.n_iter + 1):.2f} s in memory, on all cores")
    click.echo(f"log-likelihood  {far.log_likelihood!r} on workers")
    click.echo(f"                {near.log_likelihood!r} in memory")
    difference = abs(far.log_likelihood / near.log_likelihood - 1)
    means = np.abs(far.mixture.means - near.mixture.means).max()
    click.echo(f"difference      {difference:.1e} relative; of the means at most {means:.1e}")


if __name__ == "__main__":
    main()
