"""Students and their personal seeds.

The seed of a student's data depends only on the student's id and the name of the problem set: it
consists of the first four bytes, most significant first, of the SHA-256 hash of
``<problem set>/<id>`` in UTF-8, where the id is in Unicode normalization form C. It is therefore
the same on every machine.
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

#: name of the parameter from which a student's data are generated
SEED = "seed"


@dataclass(frozen=True)
class Student:
    """A student of the course.

    Parameters
    ----------
    id : str
        The name of the student's folders; surrounding blanks are removed.
    first_name, last_name, email : str, optional

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
        object.__setattr__(self, "id", normalize_id(self.id))
        if problem := _problem(self.id):
            raise ValueError(f"a student's id {problem}; got {self.id!r}")


def normalize_id(id_: str) -> str:
    r"""Return an id in normalization form C, without surrounding blanks.

    Examples
    --------
    >>> normalize_id(" A\u030asa ") == "\u00c5sa"
    True
    """
    return unicodedata.normalize("NFC", id_).strip()


def _problem(id_: str) -> str | None:
    if not id_:
        return "must not be empty"
    if id_.startswith(".") or id_.endswith("."):
        return "must not begin or end with a dot, because it names a folder"
    if any(sign in '/\\:*?"<>|{}[]' or unicodedata.category(sign)[0] == "C" for sign in id_):
        return (
            'must not contain / \\ : * ? " < > | { } [ ] or control characters, because it names '
            "a folder"
        )
    if len(id_.encode()) > 200:
        return "must have at most 200 bytes, because it names a folder"
    return None


def seed_of(assignment: str, student: str) -> int:
    """Return the seed of a student's data.

    Parameters
    ----------
    assignment : str
        Name of the problem set.
    student : str
        Id of the student.

    Examples
    --------
    >>> seed_of("ps1-em", "ada"), seed_of("ps1-em", "ada ") == seed_of("ps1-em", "ada")
    (3395674243, True)
    """
    digest = hashlib.sha256(f"{assignment}/{normalize_id(student)}".encode()).digest()
    return int.from_bytes(digest[:4])


def owner_of_seed(assignment: str, seed: int, students: Iterable[str]) -> str | None:
    """Return which of some students has a seed, or None if none of them has it."""
    return next((student for student in students if seed_of(assignment, student) == seed), None)


def read_roster(path: Path) -> list[Student]:
    """Read a roster.

    Parameters
    ----------
    path : Path
        A CSV file with a header. The column `id` is required; `first_name`, `last_name` and
        `email` are optional.

    Returns
    -------
    list of Student

    Raises
    ------
    ValueError
        If columns are not separated with commas, the column `id` is missing, or an id is missing,
        occurs twice, or cannot be the name of a folder.
    """
    columns, rows = read_table(path)
    if "id" not in columns:
        found = ", ".join(filter(None, columns)) or "an empty line"
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
        # Many file systems do not distinguish upper from lower case.
        if student.id.casefold() in students:
            raise ValueError(f"{path}, line {number}: the id {student.id!r} occurs twice")
        students[student.id.casefold()] = student
    if not students:
        raise ValueError(f"{path} contains no students")
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
    """Return the seed in the source of a parameters cell, or None if there is no seed."""
    try:
        found = read_parameters(parameters).get(SEED)
    except (SyntaxError, ValueError):
        return None
    return None if found is None else found.default
