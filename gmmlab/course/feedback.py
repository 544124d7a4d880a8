"""What comes back: a page for each student, the table of grades, and what the class got wrong."""

from __future__ import annotations

import copy
import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbformat.v4 import new_markdown_cell, new_notebook

from gmmlab.course.assignment import (
    Assignment,
    grade_id,
    in_the_open,
    is_graded,
    is_solution,
    left_out,
)
from gmmlab.course.checks.calling import NOT_DONE
from gmmlab.course.grading import Graded, Task
from gmmlab.course.roster import Student
from gmmlab.course.tables import write_table
from gmmlab.course.written_marks import answer
from gmmlab.workbook.files import write_whole
from gmmlab.workbook.html import to_html
from gmmlab.workbook.notebooks import Notebook


def write_page(assignment: Assignment, graded: Graded) -> Path:
    """Write the page that a student gets back, and return its path.

    It holds the notebook as it was run, with points and words under each test, and needs no
    network. The cases of hidden tests are not in it.
    """
    cells = [new_markdown_cell(_head(assignment, graded))]
    metadata: Any = {}
    if graded.notebook is not None:
        tasks = {task.name: task for task in graded.tasks}
        tests = [cell for cell in assignment.notebook.cells if is_graded(cell)]
        shown = {grade_id(c): in_the_open(c).rstrip() for c in tests if c.cell_type == "code"}
        hidden = [line for cell in tests for line in left_out(cell)]
        metadata = graded.notebook.metadata
        for cell in graded.notebook.cells:
            cell = copy.deepcopy(cell)
            cell.source = shown.get(grade_id(cell), cell.source)
            if cell.cell_type == "markdown":  # the page has its title already
                cell.source = cell.source.removeprefix(
                    f"# {Notebook.read(assignment.source).title}\n"
                )
            task = tasks.get(grade_id(cell)) if is_graded(cell) else None
            if task is not None and cell.cell_type == "code":
                cell.outputs = [o for o in cell.outputs if o.output_type != "error"]
            elif cell.cell_type == "code":  # IPython's history has the hidden tests
                cell.outputs = [o for o in cell.outputs if not any(h in str(o) for h in hidden)]
            if cell.cell_type == "markdown" and is_solution(cell):
                # A student's Markdown may hold HTML; here it is text, formulas and emphasis.
                cell.source = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", cell.source)
            cells.append(cell)
            if task is not None:
                cells.append(new_markdown_cell(_points(task)))
    path = assignment.path("feedback", graded.student, ".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    page = new_notebook(cells=cells, metadata=metadata)
    return write_whole(path, to_html(page, title=f"{assignment.name}: {graded.student}"))


def _head(assignment: Assignment, graded: Graded) -> str:
    most = points_of(assignment)
    title = Notebook.read(assignment.source).title
    lines = [f"# {title}", ""]
    if graded.tasks:
        lines += [f"**{_text(graded.student)}: {graded.points:g} of {most:g} points.**", ""]
        if graded.status == "to be marked":
            lines += ["A written answer is still to be marked.", ""]
        rows = "".join(
            f"<tr><td>{_text(task.name.removeprefix('test-'))}</td>"
            f"<td>{'–' if task.points is None else f'{task.points:g}'} of {task.most:g}</td>"
            f"<td>{_text(task.mistake)}</td></tr>"
            for task in graded.tasks
        )
        lines += [
            "<table><thead><tr><th>task</th><th>points</th><th>what is wrong</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>",
            "",
        ]
    else:
        lines += [f"**{_text(graded.student)}: {graded.status}.**", ""]
    lines += [f"<p>{_text(note)}</p>" for note in graded.notes]
    return "\n".join(lines)


def _points(task: Task) -> str:
    points = "not yet marked" if task.points is None else f"{task.points:g} of {task.most:g} points"
    words = f" {_text(task.words)}" if task.words else ""
    mistake = f" <em>({_text(task.mistake)})</em>" if task.mistake else ""
    return f"<p><strong>{_text(task.name)}: {points}.</strong>{words}{mistake}</p>"


def _text(words: str) -> str:
    """Return words as HTML, whatever is in them; what stands between backticks is code."""
    escaped = html.escape(words).replace("$", "&#36;")
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escaped)


def points_of(assignment: Assignment) -> float:
    """Return how many points a problem set brings."""
    return sum(
        cell.metadata.nbgrader["points"] for cell in assignment.notebook.cells if is_graded(cell)
    )


# ---- the class ---------------------------------------------------------------------------------


def write_grades(
    assignment: Assignment, graded: Sequence[Graded], students: Mapping[str, Student]
) -> Path:
    """Write the table of grades, a line for each student, and return its path."""
    tasks = [grade_id(cell) for cell in assignment.notebook.cells if is_graded(cell)]
    most = points_of(assignment)
    rows = []
    for one in graded:
        student = students.get(one.student)  # a folder of any name may have been handed in
        points = {task.name: task.points for task in one.tasks}
        rows.append(
            (
                one.student,
                student.last_name if student else "",
                student.first_name if student else "",
                f"{one.points:g}",
                f"{most:g}",
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
    """Return task, mistake, how many students made it, and the words to one of them.

    The most frequent come first, and of equals those of earlier tasks. What was not done yet is no
    mistake.
    """
    counts: Counter[tuple[str, str]] = Counter()
    words: dict[tuple[str, str], str] = {}
    # in the order of the notebook, which a count keeps
    tasks = [task for of_one in zip(*(o.tasks for o in graded if o.tasks), strict=True)
             for task in of_one]  # fmt: skip
    for task in tasks:
        if task.mistake and task.mistake != NOT_DONE:
            counts[task.name, task.mistake] += 1
            words.setdefault((task.name, task.mistake), task.words)
    return [
        (*key, count, words[key])
        for key, count in sorted(counts.items(), key=lambda item: -item[1])
    ]


def write_summary(assignment: Assignment, graded: Sequence[Graded]) -> Path:
    """Write the page on the class: grades, mistakes, written answers; return its path."""
    cells = [new_markdown_cell(part) for part in _summary(assignment, graded)]
    page = to_html(new_notebook(cells=cells), title=f"{assignment.name}: the class")
    assignment.grades.mkdir(parents=True, exist_ok=True)
    return write_whole(assignment.grades / "summary.html", page)


def _summary(assignment: Assignment, graded: Sequence[Graded]) -> Iterator[str]:
    most = points_of(assignment)
    done = sorted(one.points for one in graded if one.tasks)
    yield f"# {assignment.name}: the class"
    if done:
        median = (done[(len(done) - 1) // 2] + done[len(done) // 2]) / 2
        yield (
            f"{len(done)} of {len(graded)} students have a grade. Points, of {most:g}: median "
            f"{median:g}, from {done[0]:g} to {done[-1]:g}."
        )
    yield "## Which mistakes were made\n\n" + _table(
        ("task", "mistake", "students", "what they were told, for example"),
        [(task.removeprefix("test-"), name, str(n), words)
         for task, name, n, words in mistakes(graded)],
    )  # fmt: skip
    yield "## Tasks\n\n" + _table(("task", "right", "not done yet", "of"), list(_right(graded)))
    yield "## Students\n\n" + _table(
        ("student", "points", "status", "notes"),
        [(one.student, f"{one.points:g}", one.status, " ".join(one.notes)) for one in graded],
    )
    for task in (cell for cell in assignment.notebook.cells if is_graded(cell)):
        if task.cell_type == "markdown":
            texts = [(one.student, answer(one, grade_id(task))) for one in graded if one.tasks]
            yield (
                f"## Answers to {grade_id(task)}\n\nPoints go into "
                f"`grades/{assignment.name}/written.csv`; then grade again.\n\n"
                + _table(("student", "answer"), texts)
            )


def _right(graded: Sequence[Graded]) -> Iterator[tuple[str, str, str, str]]:
    names = dict.fromkeys(task.name for one in graded for task in one.tasks)
    for name in names:
        tasks = [task for one in graded for task in one.tasks if task.name == name]
        marked = [task for task in tasks if task.points is not None]
        full = sum(task.points == task.most for task in marked)
        undone = sum(task.mistake == NOT_DONE for task in tasks)
        yield name.removeprefix("test-"), str(full), str(undone), str(len(marked))


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
