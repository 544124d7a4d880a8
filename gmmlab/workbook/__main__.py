"""Commands on notebooks: ``python -m gmmlab.workbook report`` and ``… refresh``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from nbclient.exceptions import CellExecutionError
from papermill import PapermillExecutionError

from gmmlab.workbook import execution

_NOTEBOOKS = click.argument(
    "notebooks",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)


@click.group()
def main() -> None:
    """Execute notebooks."""


@main.command()
@_NOTEBOOKS
@click.option(
    "--to",
    "folder",
    default="reports",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the executed notebooks and their pages go.",
)
def report(notebooks: tuple[Path, ...], folder: Path) -> None:
    """Run notebooks through papermill and leave each, and its page, in a folder."""
    failed = []
    for notebook in notebooks:
        try:
            _, page = execution.report(notebook, folder)
        except PapermillExecutionError as error:
            failed.append(notebook.name)
            click.secho(f"{notebook}: {error.ename}: {error.evalue}", fg="red", err=True)
        else:
            click.echo(f"{notebook} → {page}")
    _finish(failed)


@main.command()
@_NOTEBOOKS
def refresh(notebooks: tuple[Path, ...]) -> None:
    """Execute notebooks in place, clean, as they are to be committed."""
    failed = []
    for notebook in notebooks:
        try:
            execution.refresh(notebook)
        except (CellExecutionError, ValueError) as error:
            failed.append(notebook.name)
            click.secho(f"{notebook}: {error}", fg="red", err=True)
        else:
            click.echo(f"{notebook} refreshed")
    _finish(failed)


def _finish(failed: list[str]) -> None:
    if failed:
        click.secho(f"Failed: {', '.join(failed)}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="python -m gmmlab.workbook")
