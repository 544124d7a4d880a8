"""Students, and the data that are each one's own.

A student's seed is made of the student's id and the name of the problem set, and of nothing else:
the first four bytes, most significant first, of the SHA-256 of ``<problem set>/<id>`` in UTF-8,
with the id in Unicode's normal form C. So it is the same on any machine, at any time.
"""

from __future__ import annotations

import ast
import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gmmlab.course.tables import read_table
from gmmlab.workbook.parameters import read_parameters

#: the parameter that makes a student's data
SEED = "seed"


@dataclass(frozen=True)
class Student:
    """Somebody who takes the course.

    Raises
    ------
    ValueError
        If the id cannot be the name of a folder.
    """

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", normal(self.id))
        if problem := _problem(self.id):
            raise ValueError(f"a student's id {problem}; got {self.id!r}")


def normal(id_: str) -> str:
    r"""Return an id as it is compared: in normal form C, without space around it.

    Examples
    --------
    >>> normal(" A\u030asa ") == "\u00c5sa"
    True
    """
    return unicodedata.normalize("NFC", id_).strip()


def _problem(id_: str) -> str | None:
    if not id_:
        return "must not be empty"
    if id_.startswith(".") or id_.endswith("."):
        return "must not begin or end with a point: it names a folder"
    if any(sign in '/\\:*?"<>|{}[]' or unicodedata.category(sign)[0] == "C" for sign in id_):
        return 'must not have / \\ : * ? " < > | { } [ ] or control characters: it names a folder'
    if len(id_.encode()) > 200:
        return "must be of 200 bytes at the most: it names a folder"
    return None


def seed_of(assignment: str, student: str) -> int:
    """Return the seed of a student's data.

    Examples
    --------
    >>> seed_of("ps1-em", "ada"), seed_of("ps1-em", "ada ") == seed_of("ps1-em", "ada")
    (3395674243, True)
    """
    digest = hashlib.sha256(f"{assignment}/{normal(student)}".encode()).digest()
    return int.from_bytes(digest[:4])


def read_roster(path: Path) -> list[Student]:
    """Read a roster.

    Parameters
    ----------
    path : Path
        CSV with a heading: `id`, and if you like `first_name`, `last_name` and `email`.

    Returns
    -------
    list of Student

    Raises
    ------
    ValueError
        If columns are not separated with commas, there is no column `id`, or an id is missing,
        given twice, or cannot name a folder.
    """
    columns, rows = read_table(path)
    if "id" not in columns:
        found = ", ".join(filter(None, columns)) or "nothing"
        raise ValueError(f"{path} must have a column `id` in its first line; got {found}")
    students: dict[str, Student] = {}
    for number, row in rows:
        fields = {
            field: row[field].strip()
            for field in ("id", "first_name", "last_name", "email")
            if field in columns
        }
        try:
            student = Student(**fields)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        # Folders of many systems do not tell capitals from small letters.
        if student.id.casefold() in students:
            raise ValueError(f"{path}, line {number}: {student.id!r} is there twice")
        students[student.id.casefold()] = student
    if not students:
        raise ValueError(f"{path} names nobody")
    return list(students.values())


def with_seed(parameters: str, seed: int) -> str:
    """Return the source of a parameters cell with another seed.

    Examples
    --------
    >>> with_seed("seed: int = 1  # of your data; >= 0", 7)
    'seed: int = 7  # of your data; >= 0'
    """
    node = next(
        node
        for node in ast.parse(parameters).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == SEED
    )
    lines = parameters.splitlines()
    line = lines[node.value.lineno - 1].encode()
    begin, end = node.value.col_offset, node.value.end_col_offset
    lines[node.value.lineno - 1] = (line[:begin] + str(seed).encode() + line[end:]).decode()
    return "\n".join(lines)


def seed_in(parameters: str) -> int | None:
    """Return the seed that a parameters cell has, or None if it is no such cell."""
    try:
        found = read_parameters(parameters).get(SEED)
    except (SyntaxError, ValueError):
        return None
    return None if found is None else found.default


def whose(assignment: str, seed: int, students: Iterable[str]) -> str | None:
    """Return whose seed it is, among some students; None if nobody's."""
    return next((student for student in students if seed_of(assignment, student) == seed), None)
