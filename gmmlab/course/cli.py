"""The commands `gmmlab course …`: release, grade, check."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gmmlab.course.assignment import Assignment, Course
    from gmmlab.course.grading import Graded

# Only what is needed to read the command line is imported here, as in gmmlab.workbook.cli.

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_students = click.option(
    "--students",
    "roster",
    type=_FILE,
    metavar="ROSTER",
    help="CSV with a column `id` (and first_name, last_name, email).",
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
def _asked() -> Iterator[None]:
    """Take for an error of usage what was asked for and cannot be; say what is not installed."""
    from gmmlab.course.assignment import CannotGrade, NotInstalled

    try:
        yield
    except (NotInstalled, CannotGrade) as error:
        raise click.ClickException(str(error)) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _course(ctx: click.Context) -> Course:
    from gmmlab.course.assignment import Course

    with _asked():
        return Course.find(ctx.find_root().params.get("folder"))


@click.group()
def course() -> None:
    """Release problem sets, grade what is handed in, and check that the tests are sound."""


@course.command()
@_assignment
@_students
@click.pass_context
def release(ctx: click.Context, problem_set: str, roster: Path | None) -> None:
    """Make the students' version of a problem set.

    \b
    gmmlab course release ps1-em
    gmmlab course release ps1-em --students roster.csv

    Solutions and hidden tests are left out. With a roster there is also a copy for each student,
    with data of the student's own.
    """
    from gmmlab.course.release import release as make
    from gmmlab.course.roster import read_roster

    with _asked():
        assignment = _course(ctx).assignment(problem_set)
        made = make(assignment, read_roster(roster) if roster else ())
    click.echo(f"for everybody: {_near(made[0])}")
    if len(made) > 1:
        click.echo(f"{len(made) - 1} personal copies, the first of them: {_near(made[1])}")
        click.echo(f"students and seeds: {_near(assignment.seeds)}")


@course.command()
@_assignment
@_students
@click.option("--student", "only", multiple=True, metavar="ID", help="Grade this student only.")
@click.option(
    "--cell-timeout",
    type=click.FloatRange(min=1),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a cell may take.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a submission may take.",
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
    """Grade what was handed in: points, pages to hand back, and what the class got wrong.

    \b
    gmmlab course grade ps1-em
    gmmlab course grade ps1-em --students roster.csv --student ada

    Submissions are found in submitted/<student>/<problem set>/. Graded again, the same work gets
    the same grade. Written answers get their points in grades/<problem set>/written.csv.
    """
    from gmmlab.course.grading import Limits, astray
    from gmmlab.course.grading import grade as grade_all
    from gmmlab.course.roster import read_roster

    with _asked():
        assignment = _course(ctx).assignment(problem_set)
        students = read_roster(roster) if roster else []
        graded = grade_all(
            assignment,
            students,
            only=only,
            limits=Limits(cell_timeout, timeout),
            on_student=lambda one: _show(assignment, one),
        )
        for path in astray(assignment):
            click.secho(f"not graded: {_near(path)} is not at submitted/<id>/{problem_set}/",
                        fg="yellow")  # fmt: skip
        _hand_back(assignment, graded, students, whole=not only)


def _show(assignment: Assignment, graded: Graded) -> None:
    from gmmlab.course.feedback import points_of, write_page

    write_page(assignment, graded)
    click.echo(f"{graded.student}: {graded.points:g} of {points_of(assignment):g}, {graded.status}")
    for note in graded.notes:
        click.secho(f"  {note}", fg="yellow")


def _hand_back(
    assignment: Assignment, graded: list[Graded], students: list[Any], *, whole: bool
) -> None:
    from gmmlab.course import feedback
    from gmmlab.course import written_marks as marks

    if not graded:
        click.echo("nothing was handed in")
        return
    marks_path = assignment.grades / "written.csv"
    assignment.grades.mkdir(parents=True, exist_ok=True)
    marks.write_marks(assignment, graded)
    click.echo(f"pages: {_near(assignment.course.root / 'feedback')}")
    if not whole:  # tables are of the class
        click.echo("grades.csv and summary.html are as they were: grade without --student")
        return
    names = {student.id: student for student in students or assignment.course.students()}
    click.echo(_near(feedback.write_grades(assignment, graded, names)))
    click.echo(_near(feedback.write_summary(assignment, graded)))
    if any(one.status == "to be marked" for one in graded):
        click.echo(f"written answers wait for points in {_near(marks_path)}; then grade again")
    undone = sum(task.mistake == feedback.NOT_DONE for one in graded for task in one.tasks)
    if undone:
        click.echo(f"not done yet: {undone} tasks of the class (which ones, says the summary)")
    found = feedback.mistakes(graded)
    if found:
        click.echo("mistakes of the class:")
    for task, mistake, count, _ in found[:12]:
        click.echo(f"  {count:4d}  {mistake}  ({task.removeprefix('test-')})")
    if len(found) > 12:
        click.echo(f"        and {len(found) - 12} more, in the summary")


@course.command()
@click.argument("problem_sets", nargs=-1, type=_AssignmentName())
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only every N-th of the wrong submissions.",
)
@click.pass_context
def check(ctx: click.Context, problem_sets: tuple[str, ...], sample: int | None) -> None:
    """Release, hand in and grade made-up submissions: say whether the course is sound.

    \b
    gmmlab course check
    gmmlab course check ps1-em

    Right solutions in several styles must get full marks; wrong ones must fail in the right cell,
    with words that name the mistake; hostile ones must harm nothing. All of it happens in a
    folder that is removed again.
    """
    from gmmlab.course.selfcheck import check as check_one

    course = _course(ctx)
    problems = 0
    for name in problem_sets or course.assignments:
        with _asked():
            assignment = course.assignment(name)
            for made in check_one(assignment, every=sample or 1):
                problems += not made.sound
                sign = "ok  " if made.sound else "FAIL"
                click.secho(f"{sign} {name}: {made.name}: {made.words}",
                            fg=None if made.sound else "red")  # fmt: skip
    click.echo(f"{problems} problems" if problems else "sound")
    if problems:
        sys.exit(1)


def _near(path: Path) -> str:
    """Return a path as seen from here, where it is below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
