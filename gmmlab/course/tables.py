"""CSV tables that spreadsheets can open and save.

Tables are comma-separated and in UTF-8. Excel recognises UTF-8 only by a byte order mark, and
treats a cell that begins with `=` as a formula, even if a student wrote it. Written tables
therefore begin with the mark and have an apostrophe before such cells. Both are optional in tables
that are read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from gmmlab.workbook.files import write_whole

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a table.

    Parameters
    ----------
    path : Path

    Returns
    -------
    columns : list of str
        Column names in lower case, without surrounding blanks.
    rows : list of (int, dict of str to str)
        The number of the line on which each row ends, and its cells by column. Empty rows are
        left out.

    Raises
    ------
    ValueError
        If the file is not in UTF-8, or is separated by semicolons or tabs.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} must be in UTF-8: save it as “CSV UTF-8”") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    columns = [name.strip().lower() for name in next(reader, ())]
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t"):
        raise ValueError(
            f"{path} must separate columns with commas; got {columns[0]!r}: save it as CSV with "
            "the comma as separator"
        )
    rows = []
    for cells in reader:
        if any(cell.strip() for cell in cells):
            cells += [""] * (len(columns) - len(cells))
            row = {name: _unescape(cell) for name, cell in zip(columns, cells, strict=False)}
            rows.append((reader.line_num, row))
    return columns, rows


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a table and return its path."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_escape(str(cell)) for cell in row] for row in rows)
    return write_whole(path, "\ufeff" + text.getvalue())


def _escape(cell: str) -> str:
    """Return a cell that no spreadsheet treats as a formula; `_unescape` restores it."""
    return f"'{cell}" if cell.lstrip("'").startswith(_FORMULA) else cell


def _unescape(cell: str) -> str:
    formula = cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA)
    return cell[1:] if formula else cell
