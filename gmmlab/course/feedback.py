"""Results of grading: a page for each student, the table of grades, a summary of the class."""

from __future__ import annotations

import copy
import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbformat.v4 import new_markdown_cell, new_notebook

from gmmlab.course.assignment import Assignment
from gmmlab.course.cells import grade_id, hidden_lines, is_graded, is_solution, visible_source
from gmmlab.course.checks.calling import NOT_DONE
from gmmlab.course.grades import Graded, Task
from gmmlab.course.roster import Student
from gmmlab.course.tables import write_table
from gmmlab.workbook.files import write_whole
from gmmlab.workbook.html import to_html
from gmmlab.workbook.notebooks import Notebook


def write_page(assignment: Assignment, graded: Graded) -> Path:
    """Write the page for a student, and return its path.

    The page shows the executed notebook with points and an explanation below each test. It works
    without a network. It does not show the cases of hidden tests.
    """
    title = Notebook.read(assignment.source).title
    cells = [new_markdown_cell(_head(assignment, graded, title))]
    metadata: Any = {}
    if graded.notebook is not None:
        tasks = {task.name: task for task in graded.tasks}
        tests = [cell for cell in assignment.notebook.cells if is_graded(cell)]
        shown = {grade_id(c): visible_source(c).rstrip() for c in tests if c.cell_type == "code"}
        hidden = [line for cell in tests for line in hidden_lines(cell)]
        metadata = graded.notebook.metadata
        for cell in graded.notebook.cells:
            cell = copy.deepcopy(cell)
            cell.source = shown.get(grade_id(cell), cell.source)
            if cell.cell_type == "markdown":  # the head of the page has the title
                cell.source = cell.source.removeprefix(f"# {title}\n")
            task = tasks.get(grade_id(cell)) if is_graded(cell) else None
            if task is not None and cell.cell_type == "code":
                cell.outputs = [o for o in cell.outputs if o.output_type != "error"]
            elif cell.cell_type == "code":  # a student can print hidden tests from the history
                cell.outputs = [o for o in cell.outputs if not any(h in str(o) for h in hidden)]
            if cell.cell_type == "markdown" and is_solution(cell):
                # HTML in a student's Markdown is shown as text.
                cell.source = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", cell.source)
            cells.append(cell)
            if task is not None:
                cells.append(new_markdown_cell(_points(task)))
    path = assignment.path("feedback", graded.student, ".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    page = new_notebook(cells=cells, metadata=metadata)
    return write_whole(path, to_html(page, title=f"{assignment.name}: {graded.student}"))


def _head(assignment: Assignment, graded: Graded, title: str) -> str:
    total = total_points(assignment)
    lines = [f"# {title}", ""]
    if graded.tasks:
        lines += [f"**{_text(graded.student)}: {graded.points:g} of {total:g} points.**", ""]
        if graded.status == "to be marked":
            lines += ["A written answer has not been marked yet.", ""]
        rows = "".join(
            f"<tr><td>{_text(task.name.removeprefix('test-'))}</td>"
            f"<td>{'–' if task.points is None else f'{task.points:g}'} of {task.max_points:g}</td>"
            f"<td>{_text(task.mistake)}</td></tr>"
            for task in graded.tasks
        )
        lines += [
            "<table><thead><tr><th>task</th><th>points</th><th>mistake</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>",
            "",
        ]
    else:
        lines += [f"**{_text(graded.student)}: {graded.status}.**", ""]
    lines += [f"<p>{_text(note)}</p>" for note in graded.notes]
    return "\n".join(lines)


def _points(task: Task) -> str:
    points = (
        "not marked yet"
        if task.points is None
        else f"{task.points:g} of {task.max_points:g} points"
    )
    message = f" {_text(task.message)}" if task.message else ""
    mistake = f" <em>({_text(task.mistake)})</em>" if task.mistake else ""
    return f"<p><strong>{_text(task.name)}: {points}.</strong>{message}{mistake}</p>"


def _text(text: str) -> str:
    """Return a text as escaped HTML, in which text between backticks is code."""
    escaped = html.escape(text).replace("$", "&#36;")
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escaped)


def total_points(assignment: Assignment) -> float:
    """Return the number of points of a problem set."""
    return sum(
        cell.metadata.nbgrader["points"] for cell in assignment.notebook.cells if is_graded(cell)
    )


# ---- the class ---------------------------------------------------------------------------------


def write_grades(
    assignment: Assignment, graded: Sequence[Graded], students: Mapping[str, Student]
) -> Path:
    """Write the table of grades, with a row for each student, and return its path."""
    tasks = [grade_id(cell) for cell in assignment.notebook.cells if is_graded(cell)]
    total = total_points(assignment)
    rows = []
    for one in graded:
        student = students.get(one.student)  # None for a folder that names no known student
        points = {task.name: task.points for task in one.tasks}
        rows.append(
            (
                one.student,
                student.last_name if student else "",
                student.first_name if student else "",
                f"{one.points:g}",
                f"{total:g}",
                one.status,
                *("" if points.get(task) is None else f"{points[task]:g}" for task in tasks),
                "; ".join(dict.fromkeys(task.mistake for task in one.tasks if task.mistake)),
                " ".join(one.notes),
            )
        )
    head = ("id", "last_name", "first_name", "points", "most", "status")
    assignment.grades.mkdir(parents=True, exist_ok=True)
    path = assignment.grades / "grades.csv"
    return write_table(path, [*head, *map(str, tasks), "mistakes", "notes"], rows)


def mistakes(graded: Sequence[Graded]) -> list[tuple[str, str, int, str]]:
    """Return task, mistake, number of students, and the message to one of these students.

    The most frequent mistakes come first; ties are in the order of the notebook. A task that is
    not done yet does not count as a mistake.
    """
    counts: Counter[tuple[str, str]] = Counter()
    messages: dict[tuple[str, str], str] = {}
    by_task = zip(*(one.tasks for one in graded if one.tasks), strict=True)
    for task in (task for tasks in by_task for task in tasks):
        if task.mistake and task.mistake != NOT_DONE:
            counts[task.name, task.mistake] += 1
            messages.setdefault((task.name, task.mistake), task.message)
    return [(*key, count, messages[key]) for key, count in counts.most_common()]


def write_summary(assignment: Assignment, graded: Sequence[Graded]) -> Path:
    """Write the summary of the class, with grades, mistakes and written answers."""
    cells = [new_markdown_cell(part) for part in _summary(assignment, graded)]
    page = to_html(new_notebook(cells=cells), title=f"{assignment.name}: the class")
    assignment.grades.mkdir(parents=True, exist_ok=True)
    return write_whole(assignment.grades / "summary.html", page)


def _summary(assignment: Assignment, graded: Sequence[Graded]) -> Iterator[str]:
    done = sorted(one.points for one in graded if one.tasks)
    yield f"# {assignment.name}: the class"
    if done:
        median = (done[(len(done) - 1) // 2] + done[len(done) // 2]) / 2
        yield (
            f"{len(done)} of {len(graded)} students have a grade. Of "
            f"{total_points(assignment):g} points, the median is {median:g} and the range is "
            f"{done[0]:g} to {done[-1]:g}."
        )
    yield "## Mistakes\n\n" + _table(
        ("task", "mistake", "students", "example of the feedback"),
        [(task.removeprefix("test-"), name, str(n), message)
         for task, name, n, message in mistakes(graded)],
    )  # fmt: skip
    yield "## Tasks\n\n" + _table(("task", "right", "not done yet", "graded"), _right(graded))
    yield "## Students\n\n" + _table(
        ("student", "points", "status", "notes"),
        [(one.student, f"{one.points:g}", one.status, " ".join(one.notes)) for one in graded],
    )
    for task in (cell for cell in assignment.notebook.cells if is_graded(cell)):
        if task.cell_type == "markdown":
            name = grade_id(task)
            yield (
                f"## Answers to {name}\n\nEnter points in "
                f"`grades/{assignment.name}/written.csv`, then grade again.\n\n"
                + _table(
                    ("student", "answer"),
                    [(one.student, one.answer(name)) for one in graded if one.tasks],
                )
            )


def _right(graded: Sequence[Graded]) -> list[tuple[str, str, str, str]]:
    """Return for each task how many students have it right, have not done it, have a grade."""
    rows = []
    for name in dict.fromkeys(task.name for one in graded for task in one.tasks):
        tasks = [task for one in graded for task in one.tasks if task.name == name]
        marked = [task for task in tasks if task.points is not None]
        full = sum(task.points == task.max_points for task in marked)
        undone = sum(task.mistake == NOT_DONE for task in tasks)
        rows.append((name.removeprefix("test-"), str(full), str(undone), str(len(marked))))
    return rows


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "None."
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{_lines(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _lines(value: str) -> str:
    return _text(value).replace("\n", "<br>")
