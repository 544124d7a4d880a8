"""Time 24 runs of a notebook: papermill in a shell loop, and gmmlab with one and with two jobs.

All three run the same quick notebook with the same parameters and seeds, in turns, and must record
the same results. Times include starting processes and importing. gmmlab also writes pages, figures
and provenance, which papermill does not.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import nbformat

from gmmlab.workbook.recording import recorded

PARAMETERS = """\
n_samples: int = 500  # number of samples; in [50, 5000]
seed: int = 0  # seed of all draws; >= 0"""
IMPORTS = """\
import matplotlib.pyplot as plt
import numpy as np

from gmmlab import datasets, diagnostics, fit, plots, record, start"""
FIT = """\
rng = np.random.default_rng(seed)
data = datasets.four_blobs(n_samples, rng=rng)
result = fit(data.X, start.kmeans_plus_plus(data.X, 4, rng), tol=1e-6)
print(result.message)"""
FIGURE = """\
ax = plots.data(data.X, result.mixture.predict(data.X))
plots.show(ax, alt=f"{n_samples} samples in the colours of four components.")"""
RECORD = "record(log_likelihood=result.log_likelihood, n_iter=result.n_iter)"


def quick_notebook(path: Path) -> None:
    """Write a notebook with the usual imports that computes little."""
    check = "from gmmlab.workbook import check_parameters\n\ncheck_parameters()"
    sources = [PARAMETERS, check, IMPORTS, FIT, FIGURE, RECORD]
    cells = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def papermill(workbook: Path, n_runs: int) -> list[dict]:
    """Run the notebook by papermill in a shell loop."""
    out = workbook / "out"
    out.mkdir()
    notebook = workbook / "notebooks" / "quick.ipynb"
    loop = (
        f'for seed in $(seq 0 {n_runs - 1}); do "{sys.executable}" -m papermill --no-progress-bar '
        f'"{notebook}" "{out}/$seed.ipynb" -p seed $seed || exit 1; done'
    )
    subprocess.run(["sh", "-c", loop], check=True, capture_output=True)
    return [recorded(nbformat.read(out / f"{seed}.ipynb", as_version=4)) for seed in range(n_runs)]


def ours(workbook: Path, n_runs: int, jobs: int) -> list[dict]:
    """Run the notebook by `gmmlab sweep`."""
    command = [sys.executable, "-m", "gmmlab", "-C", str(workbook), "sweep", "quick"]
    command += ["-g", "seed", f"0:{n_runs}", "--jobs", str(jobs), "--json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [run["results"] for run in json.loads(printed)["runs"]]


WAYS = {
    "papermill, shell loop": papermill,
    "gmmlab sweep --jobs 1": lambda workbook, n_runs: ours(workbook, n_runs, 1),
    "gmmlab sweep --jobs 2": lambda workbook, n_runs: ours(workbook, n_runs, 2),
}


@click.command()
@click.option("--runs", default=24, show_default=True, help="Number of runs in each turn.")
@click.option("--repeats", default=3, show_default=True, help="Number of turns.")
def main(runs: int, repeats: int) -> None:
    """Time the three ways in turns; print their medians and speed-ups over the shell loop."""
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    results = []
    for _ in range(repeats):
        for name, way in WAYS.items():
            folder = Path(tempfile.mkdtemp(prefix="runs-"))
            (folder / "notebooks").mkdir()
            quick_notebook(folder / "notebooks" / "quick.ipynb")
            begun = time.perf_counter()
            results.append(way(folder, runs))
            times[name].append(time.perf_counter() - begun)
            shutil.rmtree(folder)
            click.echo(f"  {name}: {times[name][-1]:.1f} s", err=True)
    if any(found != results[0] for found in results):
        raise click.ClickException("the three ways recorded different results")
    loop = statistics.median(times["papermill, shell loop"])
    click.echo(f"{runs} runs, median of {repeats} turns; all three recorded the same results")
    for name, found in times.items():
        median = statistics.median(found)
        click.echo(f"{name:<24} {median:6.1f} s   loop / this = {loop / median:4.1f}")


if __name__ == "__main__":
    main()
