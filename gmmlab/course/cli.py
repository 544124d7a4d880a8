"""The commands `gmmlab course ...`: release, grade, check."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gmmlab.course.assignment import Assignment, Course
    from gmmlab.course.grades import Graded
    from gmmlab.course.roster import Student

# Only what is needed to read the command line is imported here, as in gmmlab.workbook.cli.

#: number of mistakes that `grade` prints
_SHOWN = 12

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_students = click.option(
    "--students",
    "roster",
    type=_FILE,
    metavar="ROSTER",
    help="CSV file with a column `id` (optionally first_name, last_name, email).",
)


class _AssignmentName(click.ParamType):
    name = "problem_set"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem

        names = _course(ctx).assignments
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


_assignment = click.argument("problem_set", type=_AssignmentName())


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the errors of this package into errors of the command."""
    from gmmlab.course.assignment import NbgraderError, NotInstalled

    try:
        yield
    except (NotInstalled, NbgraderError) as error:
        raise click.ClickException(str(error)) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _course(ctx: click.Context) -> Course:
    from gmmlab.course.assignment import Course

    with _errors():
        return Course.find(ctx.find_root().params.get("folder"))


@click.group()
def course() -> None:
    """Release problem sets, grade submissions, and check that the tests work."""


@course.command()
@_assignment
@_students
@click.pass_context
def release(ctx: click.Context, problem_set: str, roster: Path | None) -> None:
    """Make the students' version of a problem set.

    \b
    gmmlab course release ps1-em
    gmmlab course release ps1-em --students roster.csv

    Solutions and hidden tests are removed. With a roster, each student also gets a copy with
    personal data.
    """
    from gmmlab.course.release import release as make
    from gmmlab.course.roster import read_roster

    with _errors():
        assignment = _course(ctx).assignment(problem_set)
        made = make(assignment, read_roster(roster) if roster else ())
    click.echo(f"common version: {_relative(made[0])}")
    if len(made) > 1:
        click.echo(f"{len(made) - 1} personal copies, the first one: {_relative(made[1])}")
        click.echo(f"students and seeds: {_relative(assignment.seeds)}")


@course.command()
@_assignment
@_students
@click.option("--student", "only", multiple=True, metavar="ID", help="Grade only this student.")
@click.option(
    "--cell-timeout",
    type=click.FloatRange(min=1),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit for a cell.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit for a submission.",
)
@click.pass_context
def grade(
    ctx: click.Context,
    problem_set: str,
    roster: Path | None,
    only: tuple[str, ...],
    cell_timeout: float,
    timeout: float,
) -> None:
    """Grade submissions: points, feedback pages, and the mistakes of the class.

    \b
    gmmlab course grade ps1-em
    gmmlab course grade ps1-em --students roster.csv --student ada

    Submissions are read from submitted/<student>/<problem set>/. The same submission always gets
    the same grade. Points for written answers are entered in grades/<problem set>/written.csv.
    """
    from gmmlab.course.grading import Limits, misplaced
    from gmmlab.course.grading import grade as grade_all
    from gmmlab.course.roster import read_roster

    with _errors():
        assignment = _course(ctx).assignment(problem_set)
        students = read_roster(roster) if roster else []
        graded = grade_all(
            assignment,
            students,
            only=only,
            limits=Limits(cell_timeout, timeout),
            on_student=lambda one: _report_student(assignment, one),
        )
        for path in misplaced(assignment):
            click.secho(f"not graded: {_relative(path)} is not in submitted/<id>/{problem_set}/",
                        fg="yellow")  # fmt: skip
        _report_class(assignment, graded, students, complete=not only)


def _report_student(assignment: Assignment, graded: Graded) -> None:
    from gmmlab.course.feedback import total_points, write_page

    write_page(assignment, graded)
    total = total_points(assignment)
    click.echo(f"{graded.student}: {graded.points:g} of {total:g}, {graded.status}")
    for note in graded.notes:
        click.secho(f"  {note}", fg="yellow")


def _report_class(
    assignment: Assignment, graded: list[Graded], students: Sequence[Student], *, complete: bool
) -> None:
    from gmmlab.course import feedback
    from gmmlab.course.written_marks import marks_path, write_marks

    if not graded:
        click.echo("nothing was handed in")
        return
    assignment.grades.mkdir(parents=True, exist_ok=True)
    write_marks(assignment, graded)
    click.echo(f"feedback pages: {_relative(assignment.course.root / 'feedback')}")
    if not complete:
        click.echo(
            "grades.csv and summary.html were not updated: they are written only when the whole "
            "class is graded, without --student"
        )
        return
    known = {student.id: student for student in students or assignment.course.students()}
    click.echo(_relative(feedback.write_grades(assignment, graded, known)))
    click.echo(_relative(feedback.write_summary(assignment, graded)))
    if any(one.status == "to be marked" for one in graded):
        click.echo(
            "written answers are not marked yet: enter points in "
            f"{_relative(marks_path(assignment))}, then grade again"
        )
    undone = sum(task.mistake == feedback.NOT_DONE for one in graded for task in one.tasks)
    if undone:
        click.echo(f"not done yet: {undone} tasks of the class; see the summary")
    found = feedback.mistakes(graded)
    if found:
        click.echo("mistakes of the class:")
    for task, mistake, count, _ in found[:_SHOWN]:
        click.echo(f"  {count:4d}  {mistake}  ({task.removeprefix('test-')})")
    if len(found) > _SHOWN:
        click.echo(f"        and {len(found) - _SHOWN} more in the summary")


@course.command()
@click.argument("problem_sets", nargs=-1, type=_AssignmentName())
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use only every N-th of the wrong submissions.",
)
@click.pass_context
def check(ctx: click.Context, problem_sets: tuple[str, ...], sample: int | None) -> None:
    """Check problem sets by grading test submissions.

    \b
    gmmlab course check
    gmmlab course check ps1-em

    Right solutions in several styles must get full marks. Wrong solutions must fail in the right
    test, with feedback that names the mistake. Adversarial submissions must not affect others.
    Everything happens in a temporary folder.
    """
    from gmmlab.course.selfcheck import check as check_one

    course = _course(ctx)
    problems = 0
    for name in problem_sets or course.assignments:
        with _errors():
            for finding in check_one(course.assignment(name), every=sample or 1):
                problems += not finding.passed
                sign = "ok  " if finding.passed else "FAIL"
                click.secho(f"{sign} {name}: {finding.name}: {finding.message}",
                            fg=None if finding.passed else "red")  # fmt: skip
    click.echo(f"{problems} problems" if problems else "no problems")
    if problems:
        sys.exit(1)


def _relative(path: Path) -> str:
    """Return a path relative to the working directory if it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
