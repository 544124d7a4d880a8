"""CSV tables that spreadsheets can open and save."""

import pytest

from gmmlab.course.tables import read_table, write_table

CELLS = ("=1+1", "'=1", "'", "-", "@a", "Zoë; 李雷", 'a "b", c\nd', "", "2.5")


def test_a_table_is_read_as_it_was_written_and_contains_no_formula(tmp_path):
    path = write_table(tmp_path / "table.csv", [f"c{i}" for i in range(len(CELLS))], [CELLS])
    ((_, row),) = read_table(path)[1]
    assert tuple(row.values()) == CELLS
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert b"\n'=1+1," in raw
    path.write_bytes(raw.removeprefix(b"\xef\xbb\xbf").replace(b"\n", b"\r\n"))
    assert read_table(path)[0][0] == "c0"


def test_a_table_in_another_encoding_is_rejected(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("id\nZoë\n".encode("latin-1"))
    with pytest.raises(ValueError, match="must be in UTF-8"):
        read_table(path)
