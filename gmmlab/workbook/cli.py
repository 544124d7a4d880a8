"""The command `gmmlab`: list, run, sweep, report, repeat, compare and refresh notebooks."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gmmlab.workbook.errors import DIFFERENT, EXIT_CODES, RunFailed
from gmmlab.workbook.notebooks import Notebook, Workbook
from gmmlab.workbook.parameters import Parameter, check_values, grid, unknown

if TYPE_CHECKING:
    from gmmlab.workbook.runs import Outcome, Runner, Settings, Task
    from gmmlab.workbook.runs.comparison import Comparison
    from gmmlab.workbook.sweeps import Sweep

# This module imports at its top only what parsing the command line needs, because completion
# must be quick. The commands import the rest.


class _Terminated(BaseException):
    """The process has received SIGTERM."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command and exit with one of `errors.EXIT_CODES`."""

    def terminate(*_: object) -> NoReturn:
        raise _Terminated

    _open_standard_streams()
    signal.signal(signal.SIGTERM, terminate)
    # nbformat imports jsonschema, which imports this optional module if it can: a grammar of
    # addresses that no notebook needs, and whose import takes a second.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        code = gmmlab.main(arguments, prog_name="gmmlab", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except RunFailed as failure:
        _say(f"Error: {failure.reason}", fg="red")
        code = failure.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("Interrupted. Incomplete runs were not kept.", fg="red")
        code = 130
    except _Terminated:
        _say("Terminated. Incomplete runs were not kept.", fg="red")
        code = 143
    except BrokenPipeError:  # the reader of the output has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code or 0)


def _open_standard_streams() -> None:
    """Open closed standard streams; otherwise a file opened later would take their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r"))  # noqa: SIM115


# ---- arguments and options ---------------------------------------------------------------------


class _NotebookName(click.ParamType):
    name = "notebook"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        names = [path.stem for path in _workbook(ctx).notebooks]
        return _completions(names, incomplete) or [
            click.shell_completion.CompletionItem(incomplete, type="file")
        ]


class _RunName(click.ParamType):
    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        folders = (_workbook(ctx).reports / "runs").glob("*/[!.]*")
        names = [f"{folder.parent.name}/{folder.name}" for folder in sorted(folders)]
        return _completions(names, incomplete)


def _complete_parameter(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    """Complete the name of a parameter, or the value of the parameter named before it."""
    # click stops parsing at an incomplete option and leaves the remaining words in `ctx.args`.
    notebook = ctx.params.get("notebook") or next(iter(ctx.args), None)
    try:
        contract = _workbook(ctx).notebook(notebook or "").parameters
    except (click.UsageError, ValueError):  # there is no such notebook
        return []
    words = os.environ.get("COMP_WORDS", "").split()
    before = words[:-1] if incomplete and words[-1:] == [incomplete] else words
    if before and before[-1] in contract:
        return _completions(_examples(contract[before[-1]]), incomplete)
    helps = {name: parameter.help for name, parameter in contract.items()}
    return _completions(helps, incomplete, helps)


def _examples(parameter: Parameter) -> list[str]:
    from gmmlab.workbook.values import to_text

    if parameter.rule is not None and parameter.rule.kind == "one of":
        return list(parameter.rule.arguments)
    if isinstance(parameter.default, bool):
        return ["true", "false"]
    return [to_text(parameter, parameter.default)]


def _completions(
    words: Any, start: str, helps: dict[str, str] | None = None
) -> list[click.shell_completion.CompletionItem]:
    return [
        click.shell_completion.CompletionItem(word, help=(helps or {}).get(word))
        for word in words
        if word.startswith(start)
    ]


def _workbook(ctx: click.Context) -> Workbook:
    with _usage_errors():
        return Workbook.find(ctx.find_root().params.get("folder"))


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turn a ValueError into an error of usage, which exits with code 2."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from None


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_notebook = click.argument("notebook", type=_NotebookName())
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_force = click.option("--force", is_flag=True, help="Repeat runs that exist already.")
_limits = (
    click.option(
        "--cell-timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="Time limit of a cell.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Time limit of a run.  [default: no limit]",
    ),
)
_threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of the numerical libraries; results do not depend on it.  [default: chosen by"
    " the libraries]",
)
_jobs = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Number of runs at the same time, with one thread each.  [default: number of cores]",
)


def _with(*options: Callable) -> Callable:
    def decorate(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: "
    + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    + ".\n\nTo enable completion in bash (zsh and fish work the same way):"
    + ' eval "$(_GMMLAB_COMPLETE=bash_source gmmlab)"',
)
@click.option(
    "-C",
    "--workbook",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that contains `notebooks`.  [default: the nearest one, from here upwards]",
)
@click.version_option(package_name="gmmlab")
def gmmlab(folder: Path | None) -> None:
    """Run the notebooks of a workbook with different parameters, reproducibly.

    A notebook is given by its file, its name or its number: 02-full-em.ipynb, 02-full-em or 2.
    """


# ---- list --------------------------------------------------------------------------------------


@gmmlab.command("list")
@click.argument("notebooks", nargs=-1, type=_NotebookName())
@_json
@click.pass_context
def list_(ctx: click.Context, notebooks: tuple[str, ...], as_json: bool) -> None:
    """List notebooks with their questions and parameters.

    \b
    gmmlab list
    gmmlab list 2 --json
    """
    workbook = _workbook(ctx)
    with _usage_errors():
        found = [workbook.notebook(name) for name in notebooks or workbook.notebooks]
        contracts = [notebook.parameters for notebook in found]
    if as_json:
        _print_json([_described(*pair) for pair in zip(found, contracts, strict=True)])
        return
    from rich.table import Table
    from rich.text import Text

    console = _console()
    for notebook, contract in zip(found, contracts, strict=True):
        console.print(Text(notebook.name, style="bold"), Text(f"  {notebook.title}"))
        console.print(Text(notebook.question))
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("parameter", "type", "default", "meaning and allowed values"):
            table.add_column(heading, overflow="fold")
        for parameter in contract.values():
            rule = f"; {parameter.rule.text}" if parameter.rule else ""
            default = json.dumps(parameter.default, ensure_ascii=False)
            cells = (parameter.name, parameter.annotation, default, parameter.help + rule)
            table.add_row(*map(Text, cells))
        console.print(table)
        console.print()


def _described(notebook: Notebook, contract: dict[str, Parameter]) -> dict[str, Any]:
    return {
        "name": notebook.name,
        "path": str(notebook.path),
        "title": notebook.title,
        "question": notebook.question,
        "parameters": {
            parameter.name: {
                "type": parameter.annotation,
                "default": parameter.default,
                "help": parameter.help,
                "rule": parameter.rule.text if parameter.rule else None,
            }
            for parameter in contract.values()
        },
    }


# ---- run ---------------------------------------------------------------------------------------

_given = (
    click.option(
        "-p",
        "given",
        nargs=2,
        multiple=True,
        metavar="NAME VALUE",
        shell_complete=_complete_parameter,
        help="Set a parameter; can be repeated.",
    ),
)


@gmmlab.command()
@_notebook
@_with(*_given)
@click.option("-f", "file", type=_FILE, help="Read parameters from a YAML file; -p overrides it.")
@_with(_force, _threads, *_limits, _json)
@click.pass_context
def run(
    ctx: click.Context,
    notebook: str,
    given: tuple[tuple[str, str], ...],
    file: Path | None,
    force: bool,
    threads: int | None,
    cell_timeout: float,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Run a notebook and keep the run in a folder under reports/runs.

    \b
    gmmlab run 02-full-em
    gmmlab run 2 -p n_samples 2000 -p n_components none -p seed 7
    gmmlab run 4 -p digits 4,9 -p n_components 2
    gmmlab run 2 -f params.yaml

    If a run with the same notebook, parameters, code, data and libraries exists already, it is
    shown and not repeated.
    """
    workbook = _workbook(ctx)
    with _usage_errors():
        found = workbook.notebook(notebook)
        parameters = _read(found, file) | _parse(found, given)
    runner = _runner(workbook)
    with _usage_errors():
        task = runner.task(found, parameters)
    with _cells(found, hidden=as_json) as on_cell:
        settings = _settings(cell_timeout, timeout, force=force, threads=threads, on_cell=on_cell)
        (outcome,) = runner.make([task], settings)
    _show(outcome, as_json=as_json)
    if outcome.failure is not None:
        sys.exit(outcome.failure.exit_code)


def _parse(notebook: Notebook, given: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    from gmmlab.workbook.values import from_text

    contract = notebook.parameters
    _check_names(contract, given)
    return {name: from_text(contract[name], text) for name, text in given}


def _check_names(contract: dict[str, Parameter], given: tuple[tuple[str, str], ...]) -> None:
    names = [name for name, _ in given]
    for name in names:
        if name not in contract:
            raise ValueError(unknown(name, contract))
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice")


def _read(notebook: Notebook, file: Path | None) -> dict[str, Any]:
    from gmmlab.workbook.values import read_values

    return {} if file is None else read_values(file, notebook.parameters)


def _runner(workbook: Workbook) -> Runner:
    """Return a runner on this machine, after recovering its store."""
    from gmmlab.workbook.runs import Runner

    runner = Runner(workbook)
    _recover(runner)
    return runner


def _recover(runner: Runner) -> None:
    """Clean up the runs of processes that were killed."""
    for message in runner.store.recover():
        _say(f"Note: {message}.", fg="yellow")


def _settings(cell_timeout: float, timeout: float | None, **options: Any) -> Settings:
    from gmmlab.workbook.runs import Limits, Settings

    with _usage_errors():
        return Settings(limits=Limits(cell=cell_timeout, run=timeout), **options)


@contextmanager
def _cells(notebook: Notebook, *, hidden: bool) -> Iterator[Callable[[Task, int], None]]:
    """Show the progress of a run by cell, starting with its first cell."""
    with ExitStack() as stack:
        bars: list[Any] = []

        def on_cell(task: Task, index: int) -> None:
            if not bars:
                total = len(notebook.content["cells"])
                bars.append(stack.enter_context(_bar(total, notebook.name, "cell", hidden=hidden)))
            bars[0].update(index - bars[0].n)

        yield on_cell


def _bar(total: int, name: str, unit: str, *, hidden: bool) -> Any:
    from tqdm import tqdm

    interval = 0.1 if sys.stderr.isatty() else 10  # seconds; a log needs fewer lines
    return tqdm(
        total=total, desc=name, unit=unit, disable=hidden, mininterval=interval, leave=False
    )


def _show(outcome: Outcome, *, as_json: bool) -> None:
    """Print the outcome of a run."""
    run = outcome.run
    if as_json:
        _print_json(_as_json(outcome))
        return
    if outcome.failure is not None:
        _say(_failure(outcome), fg="red")
        if outcome.failure.details:
            _say(outcome.failure.details)
        return
    if outcome.made:
        click.echo(f"{run.name}: completed in {run.provenance['seconds']:.1f} s")
    else:
        ended = run.provenance["ended"]
        click.echo(f"{run.name}: exists already, completed {ended}; use --force to repeat it")
    for name, value in run.results.items():
        if isinstance(value, int | float | str):
            click.echo(f"  {name}: {value}")
    click.echo(_relative(run.page))


def _failure(outcome: Outcome) -> str:
    """Return a line about a failed run."""
    if outcome.run is None:
        name = f"{outcome.task.notebook.name}/{outcome.task.id}"
        return f"{name}: failed: {outcome.failure.reason}"
    files = f"its files are in {_relative(outcome.run.folder)}"
    return f"{outcome.run.name}: failed: {outcome.run.failure}; {files}"


def _as_json(outcome: Outcome) -> dict[str, Any]:
    run, failure = outcome.run, outcome.failure
    return {
        "run": run.name if run else None,
        "folder": str(run.folder) if run else None,
        "status": "failed" if failure else "completed",
        "made": outcome.made,
        "parameters": outcome.task.parameters,
        "results": run.results if run and not failure else None,
        "reason": failure.reason if failure else None,
        "exit_code": failure.exit_code if failure else 0,
    }


# ---- sweep -------------------------------------------------------------------------------------


@gmmlab.command()
@_notebook
@click.option(
    "-g",
    "swept",
    nargs=2,
    multiple=True,
    metavar="NAME VALUES",
    shell_complete=_complete_parameter,
    help="Sweep a parameter over values such as 2,3,4 or 0:20; can be repeated, for every"
    " combination.",
)
@click.option(
    "-f", "file", type=_FILE, help="Read a grid or a list of parameter sets from a YAML file."
)
@_with(*_given, _jobs)
@click.option("--scheduler", metavar="ADDRESS", help="Make the runs on a Dask cluster.")
@_with(_force, *_limits, _json)
@click.pass_context
def sweep(
    ctx: click.Context,
    notebook: str,
    swept: tuple[tuple[str, str], ...],
    file: Path | None,
    given: tuple[tuple[str, str], ...],
    jobs: int | None,
    scheduler: str | None,
    force: bool,
    cell_timeout: float,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Run a notebook over a grid of parameters.

    \b
    gmmlab sweep 02-full-em -g n_components 2,3,4 -g seed 0:20
    gmmlab sweep 2 -g structure full,tied -g seed 0:5 -p n_samples 1000 --jobs 4
    gmmlab sweep 2 -f grid.yaml --scheduler tcp://10.0.0.1:8786

    One table and one page collect the results of all runs. Only missing runs are made: the same
    command resumes a sweep that was interrupted, and a larger grid reuses the existing runs. A
    failed run does not stop the others.
    """
    from gmmlab.workbook import sweeps

    if jobs and scheduler:
        raise click.UsageError("--jobs and --scheduler exclude each other; give only one of them")
    workbook = _workbook(ctx)
    with _usage_errors():
        found = workbook.notebook(notebook)
        fixed = _parse(found, given)
        sets = _sets(found, swept, file)
    runner = sweeps.runner_of(workbook, scheduler)
    _recover(runner)
    with _usage_errors():
        tasks = sweeps.plan(runner, found, sets, fixed)
    settings = _settings(cell_timeout, timeout, jobs=jobs or _cores(), threads=1, force=force)
    with _bar(len(tasks), found.name, "run", hidden=as_json) as bar:
        made = sweeps.make(runner, found, tasks, fixed, settings, lambda outcome: bar.update())
    _show_sweep(made, as_json=as_json)
    if made.failures:
        sys.exit(max(outcome.failure.exit_code for outcome in made.failures))


def _sets(
    notebook: Notebook, swept: tuple[tuple[str, str], ...], file: Path | None
) -> list[dict[str, Any]]:
    from gmmlab.workbook.values import many_from_text, read_grid

    contract = notebook.parameters
    _check_names(contract, swept)
    listed = [{}] if file is None else read_grid(file, contract)
    combined = grid({name: many_from_text(contract[name], text) for name, text in swept})
    if both := sorted({name for each in listed for name in each} & {name for name, _ in swept}):
        raise ValueError(f"a parameter is swept by both -g and the file: {', '.join(both)}")
    sets = [{**one, **other} for one in listed for other in combined]
    if sets == [{}]:
        raise ValueError("a sweep needs values: give -g NAME VALUES or -f FILE")
    return sets


def _cores() -> int:
    from gmmlab.workbook.runs.provenance import cores

    return cores()


def _show_sweep(made: Sweep, *, as_json: bool) -> None:
    """Print the outcome of a sweep."""
    if as_json:
        _print_json(
            {
                "folder": str(made.folder),
                "swept": made.swept,
                "runs": [_as_json(outcome) for outcome in made.outcomes],
            }
        )
        return
    new = sum(outcome.made for outcome in made.outcomes)
    existing = len(made.outcomes) - new
    click.echo(f"{len(made.outcomes)} runs: {new} new, {existing} existing")
    if made.failures:
        _say(f"{len(made.failures)} failed:", fg="red")
        for outcome in made.failures:
            given = ", ".join(f"{n}={outcome.task.parameters[n]}" for n in made.swept)
            _say(f"  {given}: {_failure(outcome)}", fg="red")
    click.echo(_relative(made.folder / "sweep.csv"))
    click.echo(_relative(made.folder / "sweep.html"))


# ---- report ------------------------------------------------------------------------------------


@gmmlab.command()
@click.argument("runs", nargs=-1, type=_RunName())
@click.option("--pdf", is_flag=True, help="Also print the pages to PDF; requires Chromium.")
@_with(_jobs, _force, *_limits, _json)
@click.pass_context
def report(
    ctx: click.Context,
    runs: tuple[str, ...],
    pdf: bool,
    jobs: int | None,
    force: bool,
    cell_timeout: float,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Write the pages of runs, and an index with a card for each.

    \b
    gmmlab report                      every notebook with its default parameters
    gmmlab report 02-full-em/3f2a      only these runs
    """
    from gmmlab.workbook import reports
    from gmmlab.workbook.runs.store import writing

    workbook = _workbook(ctx)
    runner = _runner(workbook)
    outcomes: list[Outcome] = []
    with _usage_errors():
        found = [runner.store.find(name) for name in runs]
    if not runs:
        with _usage_errors():
            tasks = [runner.task(workbook.notebook(path), {}) for path in workbook.notebooks]
        settings = _settings(cell_timeout, timeout, jobs=jobs or _cores(), threads=1, force=force)
        with _bar(len(tasks), "notebooks", "run", hidden=as_json) as bar:
            for outcome in runner.make(tasks, settings):
                outcomes.append(outcome)
                bar.update()
        made = {outcome.task.id: outcome.run for outcome in outcomes}
        found = [made[task.id] for task in tasks if made[task.id] is not None]
    with _usage_errors(), writing(workbook.reports):
        for run in found:
            reports.renew(run)
        index = reports.write_index(found, workbook.reports)
    try:
        pdfs = {run.name: reports.write_pdf(run) for run in found} if pdf else {}
    except (FileNotFoundError, RuntimeError) as error:  # Chromium is not installed, or it fails
        raise click.ClickException(str(error)) from None
    failed = [outcome for outcome in outcomes if outcome.failure is not None]
    if as_json:
        pages = {run.name: str(run.page) for run in found}
        _print_json(
            {
                "index": str(index),
                "pages": pages,
                "pdf": {name: str(path) for name, path in pdfs.items()},
                "failed": [_as_json(outcome) for outcome in failed],
            }
        )
    else:
        for run in found:
            click.echo(f"{run.name} → {_relative(run.page)}")
            if run.name in pdfs:
                click.echo(f"{run.name} → {_relative(pdfs[run.name])}")
        for outcome in failed:
            _say(_failure(outcome), fg="red")
        click.echo(_relative(index))
    if failed:
        sys.exit(max(outcome.failure.exit_code for outcome in failed))


# ---- rerun, diff -------------------------------------------------------------------------------


@gmmlab.command()
@click.argument("run", type=_RunName())
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="Only check whether the results are the same; keep no new run.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="With --check: the largest difference allowed between numbers, relative to their size.",
)
@_with(_threads, *_limits, _json)
@click.pass_context
def rerun(
    ctx: click.Context,
    run: str,
    only_check: bool,
    tolerance: float,
    threads: int | None,
    cell_timeout: float,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Repeat a run with the current code.

    \b
    gmmlab rerun 02-full-em/3f2a
    gmmlab rerun 3f2a --check --threads 1

    The notebook and the parameters are those of the run, even if the notebook has changed since.
    """
    from gmmlab.workbook.runs import comparison

    workbook = _workbook(ctx)
    store = _runner(workbook).store
    settings = _settings(cell_timeout, timeout, force=True, threads=threads)
    with _usage_errors():
        old = store.find(run)
        notebook = comparison.recorded_notebook(old)
        check_values(notebook.parameters, old.parameters)
        if tolerance and not only_check:
            raise ValueError("--tolerance requires --check")
        if only_check:
            comparison.check_completed(old)
    with _cells(notebook, hidden=as_json) as on_cell:
        options = {**vars(settings), "on_cell": on_cell}
        if only_check:
            found = comparison.check(old, workbook=workbook, tolerance=tolerance, **options)
        else:
            new = comparison.rerun(old, workbook=workbook, **options)
            found = comparison.compare(old, new)
    if as_json:
        made = {} if only_check else {"run": new.name}
        _print_json({"same": found.same, **made, **vars(found)})
    elif found.same:
        click.echo(f"{old.name}: the same results" + (" to the last bit" if not tolerance else ""))
    else:
        _say(f"{old.name}: different results", fg="red")
        _print_tables(found, "before", "now")
    if not as_json and not only_check:
        click.echo(_relative(new.page))
    if only_check and not found.same:
        sys.exit(DIFFERENT)


@gmmlab.command()
@click.argument("one", type=_RunName())
@click.argument("other", type=_RunName())
@_json
@click.pass_context
def diff(ctx: click.Context, one: str, other: str, as_json: bool) -> None:
    """Show the differences between two runs.

    They are listed by kind: parameters, results and environment. The exit code is 0 if there are
    none, and 6 otherwise.

    \b
    gmmlab diff 3f2a 81c0
    """
    from gmmlab.workbook.runs.comparison import compare
    from gmmlab.workbook.runs.store import Store

    store = Store(_workbook(ctx).reports / "runs")
    with _usage_errors():
        runs = [store.find(name) for name in (one, other)]
    found = compare(*runs)
    if as_json:
        _print_json(vars(found))
    elif any(vars(found).values()):
        _print_tables(found, *(run.name for run in runs))
    else:
        click.echo("no difference in parameters, results or environment")
    if any(vars(found).values()):
        sys.exit(DIFFERENT)


def _print_tables(found: Comparison, one: str, other: str) -> None:
    """Print a table of each kind of differences."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    for name, differences in vars(found).items():
        if not differences:
            click.echo(f"{name}: no difference")
            continue
        table = Table(box=None, padding=(0, 2, 0, 0), title=name, title_justify="left")
        for heading in ("", one, other):
            table.add_column(heading, overflow="fold")
        for key, values in differences.items():
            texts = (json.dumps(value, ensure_ascii=False) for value in values)
            table.add_row(*map(Text, (key, *texts)))
        console.print(table)


# ---- refresh -----------------------------------------------------------------------------------


@gmmlab.command()
@click.argument("notebooks", nargs=-1, type=_NotebookName())
@click.pass_context
def refresh(ctx: click.Context, notebooks: tuple[str, ...]) -> None:
    """Execute notebooks in place and clean them for a commit.

    \b
    gmmlab refresh                     all notebooks
    gmmlab refresh 2
    """
    from nbclient.exceptions import CellExecutionError

    from gmmlab.workbook.runs import execution

    workbook = _workbook(ctx)
    with _usage_errors():
        found = [workbook.notebook(name) for name in notebooks or workbook.notebooks]
    failed = []
    for notebook in found:
        try:
            execution.refresh(notebook.path)
        except (CellExecutionError, ValueError) as error:
            failed.append(notebook.name)
            _say(f"{notebook.name}: {error}", fg="red")
        else:
            click.echo(f"{notebook.name} refreshed")
    if failed:
        _say(f"Failed: {', '.join(failed)}", fg="red")
        sys.exit(1)


# ---- printing ----------------------------------------------------------------------------------


def _say(text: str, **style: Any) -> None:
    click.secho(text, err=True, **style)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _relative(path: Path) -> str:
    """Return a path relative to the current folder, if it is inside."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _console() -> Any:
    from rich.console import Console

    # A pipe has no width: use a wide one, and wrap text instead of truncating it.
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)
