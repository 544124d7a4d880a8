"""Time whole tasks beside mclust and scikit-learn, and check that the answers are as good.

    python benchmarks/tasks.py --only compare,n_init
    python benchmarks/tasks.py --only search --before PATH-OF-ANOTHER-CHECKOUT

gmmlab and the peer take turns, so that other programs on the machine slow both down alike. See
README.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from timeit import timeit
from typing import Any

import click
import numpy as np
from cases import CASES, make_data, make_start
from sklearn import mixture as sklearn_mixture
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import gmmlab
from gmmlab import DegenerateError, datasets, selection, start
from gmmlab.covariance import STRUCTURES
from gmmlab.engine.threads import n_threads

warnings.filterwarnings("ignore", category=ConvergenceWarning)

#: seconds of the task, and the numbers that are compared with those of the peer
Measured = tuple[float, np.ndarray]
#: called with the number of the repeat, which is the seed
Measure = Callable[[int], Measured]

#: the fourteen structures by their letters
LETTERS = [name for name in STRUCTURES if name.isupper()]
#: total log-likelihoods of two programs that differ by less have found the same optimum
NATS = 1e-3


@dataclass(frozen=True)
class Task:
    """A task, the same task by a peer, and how the answers are compared."""

    #: the group that `--only` selects
    name: str
    text: str
    ours: Measure
    #: R code is text
    peer: Measure | str | None = None
    by: str = ""
    #: differences of our answer and another one; below −`allowed`, ours is worse
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.subtract
    allowed: float = NATS
    unit: str = "s"


def apart(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return differences that are negative whichever answer is larger."""
    return -abs(ours - theirs)


def relative(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return relative differences that are negative whichever answer is larger."""
    return -abs(ours / theirs - 1)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of a call and its result."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def seconds_per_call(call: Callable[[], Any]) -> float:
    """Return the mean time of as many calls as take about a twentieth of a second."""
    calls = max(1, round(0.05 / timeit(call, number=3) * 3))
    return timeit(call, number=calls) / calls


# ---- data --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """The data sets by name; the folder has them as files for R, and the one that R has."""

    folder: Path

    @cached_property
    def sets(self) -> dict[str, np.ndarray]:
        sets = {"iris": datasets.iris().X, "Old Faithful": datasets.old_faithful().X}
        if self.file("diabetes").exists():
            sets["diabetes"] = np.loadtxt(self.file("diabetes"), delimiter=",", skiprows=1)
        return sets

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.csv"

    def write(self) -> None:
        for name, X in self.sets.items():
            header = ",".join(f"x{j}" for j in range(X.shape[1]))
            np.savetxt(self.file(name), X, "%.17g", ",", header=header, comments="")


# ---- other processes ---------------------------------------------------------------------


class Other:
    """A process that reads a line and answers with one: a mark, and JSON."""

    mark = "ANSWER "

    def __init__(self, command: list[str], **settings: Any) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **settings
        )

    def ask(self, line: str) -> Measured:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        for answer in self.process.stdout:
            if answer.startswith(self.mark):
                seconds, *numbers = json.loads(answer.removeprefix(self.mark))
                if seconds is None:
                    raise RuntimeError(numbers[0])
                return seconds, np.array(numbers, dtype=float)  # None becomes NaN
        raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


# R measures its own time, so that starting it does not count. A line is an expression that returns
# the seconds and the numbers to compare.
R = """
suppressMessages(library(mclust))
seconds <- function(call) system.time(call)[["elapsed"]]
read <- function(name) as.matrix(read.csv(file.path(folder, paste0(name, ".csv"))))
folder <- commandArgs(TRUE)[1]
X <- list(iris = read("iris"), faithful = read("Old Faithful"))
structures <- strsplit(commandArgs(TRUE)[2], " ")[[1]]
write.csv(diabetes[, -1], file.path(folder, "diabetes.csv"), row.names = FALSE)
X$diabetes <- read("diabetes")
lines <- file("stdin", "r")
while (length(line <- readLines(lines, 1)) > 0) {
  answer <- tryCatch(
    {
      x <- eval(parse(text = line))
      ifelse(is.finite(x), formatC(x, digits = 17, format = "g"), "null")
    },
    error = function(e) c("null", dQuote(conditionMessage(e), FALSE))
  )
  cat("ANSWER [", paste(answer, collapse = ","), "]\\n", sep = "")
  flush(stdout())
}
"""

COMPARE_R = """{
  t <- seconds(m <- Mclust(X$DATA, verbose = FALSE)); n <- nrow(X$DATA); d <- ncol(X$DATA);
  k <- rep(1:9, 14); s <- rep(structures, each = 9);
  b <- m$BIC[cbind(as.character(k), s)];
  c(t, (b + mapply(nMclustParams, s, d, k) * log(n)) / 2) }"""

BOOTSTRAP_TEST_R = """{
  t <- seconds(mclustBootstrapLRT(X$faithful, modelName = "VVV", nboot = 99, maxG = 2,
    verbose = FALSE));
  fitted <- function(k) Mclust(X$faithful, G = k, modelNames = "VVV", verbose = FALSE)$loglik;
  c(t, fitted(2), fitted(3)) }"""

BOOTSTRAP_R = """{
  m <- Mclust(X$faithful, G = 2, modelNames = "VVV", verbose = FALSE);
  t <- seconds(b <- MclustBootstrap(m, nboot = 999, type = "TYPE", verbose = FALSE));
  errors <- function(k) c(sd(b$pro[, k]), apply(b$mean[, , k], 2, sd),
    apply(b$variance[, , , k], 2:3, sd));
  c(t, sapply(order(m$parameters$mean[1, ]), errors)) }"""


def start_r(folder: Path) -> Other | None:
    """Start R; return None and say why if it cannot be used."""
    if which("Rscript") is None:
        click.echo("Rscript is not installed, so the rows of mclust are left out.")
        return None
    versions = "cat(R.version.string, format(packageVersion('mclust')), sep = ', mclust ')"
    asked = subprocess.run(["Rscript", "-e", versions], capture_output=True, text=True)
    if asked.returncode:
        click.echo("R has no package mclust, so the rows of mclust are left out.")
        return None
    click.echo(asked.stdout)
    Data(folder).write()
    script = folder / "peer.R"
    script.write_text(R)
    r = Other(["Rscript", str(script), str(folder), " ".join(LETTERS)])
    r.ask("0")  # the file of diabetes is there
    return r


def start_before(checkout: Path, folder: Path) -> Other:
    """Start this file with the gmmlab of another checkout."""
    return Other(
        [sys.executable, __file__, "--serve", str(folder)],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )


def serve(tasks: list[Task]) -> None:
    """Answer lines with the numbers of a task and of a repeat."""
    for line in sys.stdin:
        number, repeat = map(int, line.split())
        try:
            seconds, answer = tasks[number].ours(repeat)
            values = [seconds, *(None if np.isnan(x) else float(x) for x in answer)]
        except Exception as error:
            values = [None, f"{type(error).__name__}: {error}"]
        print(Other.mark + json.dumps(values), flush=True)


# ---- tasks -------------------------------------------------------------------------------


def every_task(data: Data) -> Iterator[Task]:
    """Yield the tasks in the order of the table."""
    X = data.sets
    for name in X:
        yield Task(
            "compare",
            f"compare {name}, 14 × 9",
            lambda seed, X=X[name]: compared(X, seed),
            COMPARE_R.replace("DATA", {"Old Faithful": "faithful"}.get(name, name)),
            "Mclust",
        )
    yield Task(
        "bootstrap_test",
        "bootstrap_test, 99, Old Faithful, 2 against 3",
        lambda seed: tested(X["Old Faithful"], seed),
        BOOTSTRAP_TEST_R,
        "mclustBootstrapLRT, also 1 against 2",
    )
    for method, kind in (("bootstrap", "bs"), ("weighted", "wlbs")):
        yield Task(
            "bootstrap",
            f"{method}, 999, Old Faithful, full, 2",
            lambda seed, method=method: bootstrapped(X["Old Faithful"], method, seed),
            BOOTSTRAP_R.replace("TYPE", kind),
            f"MclustBootstrap, {kind}",
            relative,  # with 999 replicates, the standard deviation of a ratio is 0.03
            allowed=0.15,
        )
    for name, k in (("iris", 3), ("Old Faithful", 2)):
        yield Task(
            "n_init",
            f"GaussianMixture(n_init=20), {name}, full, {k}",
            lambda seed, X=X[name], k=k: restarted(gmmlab.GaussianMixture, X, k, seed),
            lambda seed, X=X[name], k=k: restarted(sklearn_mixture.GaussianMixture, X, k, seed),
            "scikit-learn",
            allowed=1e-3,  # per sample: both stop when an iteration gains less than that
            unit="ms",
        )
    yield Task(
        "search",
        "search, 100 starts, iris, full, 3",
        lambda seed: searched(X["iris"], 3, seed),
    )
    yield Task(
        "step",
        "one EM step, 500 × 2, full, 2",
        lambda seed: stepped(our_steps),
        lambda seed: stepped(sklearn_steps),
        "scikit-learn",
        apart,
        allowed=1e-6,  # of the mean log-likelihood
        unit="µs",
    )
    yield from predictions(X["iris"], 3, "150 × 4")
    yield from predictions(make_data(CASES["A"])[0], 2, "500 × 2")
    for name, k in (("Old Faithful", 2), ("iris", 3), ("iris", 6)):
        for count in (1, 10, 100):
            yield many(name, X[name], k, count)


def compared(X: np.ndarray, seed: int) -> Measured:
    """Measure the default comparison; degenerate cells are NaN."""
    rng = np.random.default_rng(seed)
    seconds, found = timed(lambda: selection.compare(X, rng=rng, progress=False))
    cells = [found.cell(name, k) for name in LETTERS for k in range(1, 10)]
    return seconds, np.array([np.nan if c.degenerate else c.fit.log_likelihood for c in cells])


def tested(X: np.ndarray, seed: int) -> Measured:
    """Measure the bootstrap test; the answer is the log-likelihoods under both hypotheses."""
    rng = np.random.default_rng(seed)
    seconds, found = timed(lambda: selection.bootstrap_test(X, 2, rng=rng, progress=False))
    return seconds, np.array([found.null.log_likelihood, found.alternative.log_likelihood])


def bootstrapped(X: np.ndarray, method: str, seed: int) -> Measured:
    """Measure a bootstrap; the answer is the standard errors, component by component."""
    fit = gmmlab.fit(X, start.from_labels(X, X[:, 1] > 68), tol=1e-10)
    rng = np.random.default_rng(seed)
    seconds, found = timed(
        lambda: gmmlab.uncertainty(fit, X, method=method, rng=rng, n_bootstrap=999)
    )
    order, errors = np.argsort(fit.mixture.means[:, 0]), found.standard_errors
    return seconds, np.concatenate([np.ravel(part[k]) for k in order for part in errors])


def restarted(cls: type, X: np.ndarray, k: int, seed: int) -> Measured:
    """Measure a fit from 20 starts; the answer is the mean log-likelihood."""
    model = cls(k, n_init=20, random_state=seed)
    if cls is gmmlab.GaussianMixture:
        seconds, _ = timed(lambda: model.fit(X))
    else:
        with threadpool_limits(1):  # with more it is slower on small arrays
            seconds, _ = timed(lambda: model.fit(X))
    return seconds, np.array([model.lower_bound_])


def searched(X: np.ndarray, k: int, seed: int) -> Measured:
    """Measure a search with the default starts; the answer is the log-likelihood."""
    rng = np.random.default_rng(seed)
    seconds, found = timed(lambda: gmmlab.search(X, k, rng))
    return seconds, np.array([found.best.log_likelihood])


def stepped(prepare: Callable[..., Callable[[], float]]) -> Measured:
    """Measure an EM step: the difference of two fits, so that the set-up does not count."""
    X, labels = make_data(CASES["A"])
    first = make_start(CASES["A"], X, labels)
    few, more = 10, CASES["A"].n_iter  # a fit that takes no more than this does not end early
    short, long = prepare(X, first, few), prepare(X, first, more)
    answer = long()
    with threadpool_limits(1):
        times = [(timed(short)[0], timed(long)[0]) for _ in range(25)]
    shortest, longest = np.median(times, axis=0)
    return (longest - shortest) / (more - few), np.array([answer])


def our_steps(X: np.ndarray, first: gmmlab.Mixture, n_iter: int) -> Callable[[], float]:
    def run() -> float:
        fit = gmmlab.fit(X, first, ridge=CASES["A"].reg_covar, tol=0, max_iter=n_iter)
        assert fit.n_iter == n_iter, fit.message
        return fit.mean_log_likelihood

    return run


def sklearn_steps(X: np.ndarray, first: gmmlab.Mixture, n_iter: int) -> Callable[[], float]:
    model = sklearn_mixture.GaussianMixture(
        2,
        tol=0,
        reg_covar=CASES["A"].reg_covar,
        max_iter=n_iter,
        weights_init=first.weights,
        means_init=first.means,
        precisions_init=first.covariance.precisions,
    )

    def run() -> float:
        assert model.fit(X).n_iter_ == n_iter
        return model.lower_bound_

    return run


def predictions(X: np.ndarray, k: int, size: str) -> Iterator[Task]:
    """Yield tasks of one method each, with the same parameters in both programs."""

    @cache
    def models() -> dict[str, Any]:
        ours = gmmlab.GaussianMixture(k, random_state=0).fit(X)
        theirs = sklearn_mixture.GaussianMixture(k)
        for name in ("weights", "means", "covariances", "precisions", "precisions_cholesky"):
            setattr(theirs, f"{name}_", getattr(ours, f"{name}_"))
        theirs.n_features_in_ = X.shape[1]
        return {"GaussianMixture": ours, "Mixture": ours.result_.mixture, "peer": theirs}

    def method(of: str, name: str) -> Measure:
        return lambda seed: called(getattr(models()[of], name), X)

    for name, same in (("predict_proba", "responsibilities"), ("score_samples", "log_prob")):
        for ours, our_name in (("GaussianMixture", name), ("Mixture", same)):
            yield Task(
                "predict",
                f"{ours}.{our_name}, {size}, {k}",
                method(ours, our_name),
                method("peer", name),
                f"scikit-learn, {name}",
                apart,
                allowed=1e-8,
                unit="µs",
            )


def called(function: Callable[[np.ndarray], np.ndarray], X: np.ndarray) -> Measured:
    """Measure a method of a fitted mixture."""
    answer = function(X)
    with threadpool_limits(1):
        return seconds_per_call(lambda: function(X)), answer.ravel()


def many(name: str, X: np.ndarray, k: int, count: int) -> Task:
    """Return the task to fit from many starts, beside one fit after the other."""
    settings = {"tol": 1e-8, "max_iter": 100}  # a last step more or less gains 1e-6 nats
    found: list[tuple[gmmlab.Mixture, float]] = []  # starts, and log-likelihoods of their fits

    def starts(how_many: int) -> list[gmmlab.Mixture]:
        """Draw starts from which `fit` does not degenerate."""
        rng = np.random.default_rng(len(found))
        while len(found) < how_many:
            drawn = start.kmeans_plus_plus(X, k, rng)
            try:
                fit = gmmlab.fit(X, drawn, **settings)
            except DegenerateError:
                continue
            found.append((drawn, fit.log_likelihood))
        return [first for first, _ in found[:how_many]]

    def together(seed: int) -> Measured:
        fit_many, these = gmmlab.fit_many, starts(count)
        seconds, fits = timed(lambda: fit_many(X, these, **settings))
        steps = sum(fit.n_iter for fit in fits)
        return seconds / steps, np.array([fit.log_likelihood for fit in fits])

    def alone(seed: int) -> Measured:
        these = starts(count)[:10]  # more would take as long for each
        seconds, fits = timed(lambda: [gmmlab.fit(X, first, **settings) for first in these])
        steps = sum(fit.n_iter for fit in fits)
        return seconds / steps, np.array([value for _, value in found[:count]])

    text = f"fit_many, {count}, {name}, full, {k}; per fit and iteration"
    return Task("fit_many", text, together, alone, "fit in a loop", apart, 1e-5, "µs")


# ---- measuring ---------------------------------------------------------------------------

PER_SECOND = {"s": 1, "ms": 1e3, "µs": 1e6}


def clocked(seconds: list[float], unit: str) -> str:
    """Return the median and the range as text."""
    times = np.array(seconds) * PER_SECOND[unit]
    return f"{np.median(times):.3g} {unit} ({times.min():.3g}–{times.max():.3g})"


def quotient(ours: list[float], theirs: list[float]) -> str:
    """Return the ratio of the medians in words."""
    ratio = np.median(ours) / np.median(theirs)
    return f"{ratio:.3g} × slower" if ratio > 1 else f"{1 / ratio:.3g} × faster"


def measure(task: Task, others: dict[str, Measure], quick: bool) -> dict[str, list[Measured]]:
    """Measure in turns: 3 to 15 times, for about 10 seconds (quick: 1 to 3 times, for a second).

    A first run is a warm-up, which loads modules and starts threads, unless it takes longer.
    """
    least, most, budget = (1, 3, 1) if quick else (3, 15, 10)
    runs = {"ours": task.ours, **others}
    measured: dict[str, list[Measured]] = {name: [] for name in runs}
    began = time.perf_counter()
    for repeat in range(most + 1):
        for name, run in runs.items():
            measured[name].append(run(repeat))
        if repeat == 0 and time.perf_counter() - began < 10:
            measured, began = {name: [] for name in runs}, time.perf_counter()
        if len(measured["ours"]) >= least and time.perf_counter() - began > budget:
            break
    return measured


def checked(task: Task, ours: list[Measured], theirs: list[Measured]) -> tuple[str, bool]:
    """Return the worst difference of the answers in words, and whether it is allowed."""
    gaps = np.array([task.compare(a, b) for (_, a), (_, b) in zip(ours, theirs, strict=True)])
    both = np.isfinite(gaps)
    worst = gaps[both].min() + 0.0 if both.any() else -np.inf  # + 0.0: no negative zero
    words = f"{worst:+.1e} ≥ −{task.allowed:g}".replace("+0.0e+00", "0").replace("-", "−")
    if not both.all():
        words += f" in {both[0].sum()} of {both[0].size}"
    fine = bool(worst >= -task.allowed)
    return words if fine else words.replace("≥", "<") + " FAILED", fine


Others = dict[str, Measure | None]


def with_others(task: Task, number: int, r: Other | None, older: Other | None) -> Others:
    """Return the functions that measure the others, by name; None for those that cannot."""
    others: Others = {"peer": task.peer}
    if isinstance(task.peer, str):
        code = " ".join(task.peer.split())
        others["peer"] = (lambda seed: r.ask(f"set.seed({seed}); {code}")) if r else None
    if older:
        others["before"] = lambda seed: older.ask(f"{number} {seed}")
        if task.name == "fit_many":  # which older checkouts do not have
            try:
                others["before"](0)
            except RuntimeError:
                others["before"] = None
    return others


def row(task: Task, others: Others, quick: bool) -> tuple[list[str], bool]:
    """Return a row of the table, and whether our answers are as good as the others."""
    try:
        measured = measure(task, {name: run for name, run in others.items() if run}, quick)
    except Exception as error:
        return [task.text, f"FAILED, {type(error).__name__}: {error}"], False
    times = {name: [seconds for seconds, _ in values] for name, values in measured.items()}
    cells, passed = [task.text, clocked(times["ours"], task.unit)], True
    for name, run in others.items():
        if run is None:
            cells += ["—"] * 3
            continue
        words, fine = checked(task, measured["ours"], measured[name])
        by = f"{task.by}: " if name == "peer" else ""
        cells += [by + clocked(times[name], task.unit), quotient(times["ours"], times[name]), words]
        passed &= fine
    return cells, passed


# ---- command -----------------------------------------------------------------------------

GROUPS = (
    "compare",
    "bootstrap_test",
    "bootstrap",
    "n_init",
    "search",
    "step",
    "predict",
    "fit_many",
)


def groups(context: click.Context, option: click.Parameter, text: str) -> list[str]:
    """Split the value of an option at commas, and reject unknown names."""
    chosen = text.split(",")
    if not set(chosen) <= set(GROUPS):
        raise click.BadParameter(f"{text} (choose from {', '.join(GROUPS)})")
    return chosen


@click.command(context_settings={"show_default": True}, help=__doc__.partition("\n")[0])
@click.option("--only", default=",".join(GROUPS), callback=groups)
@click.option("--quick", is_flag=True, help="Measure each task once, or up to 3 times in a second.")
@click.option("--before", type=click.Path(exists=True, path_type=Path, resolve_path=True),
              help="Another checkout, whose gmmlab takes turns too.")  # fmt: skip
@click.option("--serve", "folder", type=click.Path(path_type=Path), hidden=True)
def main(only: list[str], quick: bool, before: Path | None, folder: Path | None) -> None:
    if folder:
        serve(list(every_task(Data(folder))))
        return
    versions = (f"{p} {version(p)}" for p in ("gmmlab", "numpy", "scikit-learn"))
    click.echo(f"{', '.join(versions)}; {n_threads()} cores; scikit-learn has one thread")
    with TemporaryDirectory() as name:
        folder = Path(name)
        r = start_r(folder)
        older = start_before(before, folder) if before else None
        tasks = list(every_task(Data(folder)))
        if not hasattr(gmmlab, "fit_many"):
            only = [name for name in only if name != "fit_many"]
            click.echo("gmmlab has no fit_many, so its rows are left out.")
        title = ["task", "ours", "peer", "ours / peer", "lowest ours − peer"]
        title += ["before", "ours / before", "lowest ours − before"] if older else []
        click.echo("\nMedian time (lowest and highest); ratio of medians; difference of answers\n")
        click.echo(f"| {' | '.join(title)} |\n|{'---|' * len(title)}")
        passed = True
        for number, task in enumerate(tasks):
            if task.name not in only or (isinstance(task.peer, str) and not (r or older)):
                continue
            cells, fine = row(task, with_others(task, number, r, older), quick)
            click.echo(f"| {' | '.join(cells)} |")
            passed &= fine
        for process in (r, older):
            if process:
                process.close()
    if not passed:
        raise click.ClickException("an answer is worse than allowed")


if __name__ == "__main__":
    main()
