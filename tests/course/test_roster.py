"""Students and their personal seeds."""

import pytest

from gmmlab.course.roster import (
    Student,
    owner_of_seed,
    read_roster,
    seed_in,
    seed_of,
    with_seed,
)


def test_a_seed_depends_only_on_the_id_and_the_problem_set():
    assert seed_of("ps1", "Zoë") == seed_of("ps1", " Zoe\u0308 ")
    seeds = [seed_of(name, f"s{i}") for name in ("ps1", "ps2") for i in range(2000)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert owner_of_seed("ps1", seed_of("ps1", "ada"), ["bob", "ada"]) == "ada"
    assert owner_of_seed("ps1", 7, ["bob", "ada"]) is None


def test_a_seed_replaces_the_value_in_the_parameters_cell_and_nothing_else():
    before = 'name: str = "é"  # seed: int = 3\nseed: int = 12  # of your data; >= 0'
    after = with_seed(before, 345)
    assert after == before.replace("= 12 ", "= 345 ")
    assert (seed_in(before), seed_in(after), seed_in("seed = 3"), seed_in("(")) == (
        12, 345, None, None,
    )  # fmt: skip


def test_a_roster_is_read_as_spreadsheets_write_it(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_bytes("\ufeffID,last_name\r\nada,Lovelace\r\n\r\n李雷,\r\n".encode())
    assert read_roster(path) == [Student("ada", last_name="Lovelace"), Student("李雷")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\nada\n", "must have a column `id`"),
        ("", "must have a column `id`.*an empty line"),
        ("id\n", "contains no students"),
        ("id;email\nada;a@b\n", "separate columns with commas"),
        ("id\nada\nAda\n", "line 3: the id 'Ada' occurs twice"),
        ("id,x\n,1\n", "line 2: a student's id must not be empty"),
    ],
)
def test_an_invalid_roster_is_rejected(tmp_path, text, message):
    path = tmp_path / "roster.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_roster(path)


@pytest.mark.parametrize(
    ("id_", "message"),
    [("../x", "a dot"), ("x.", "a dot"), ("a/b", "must not contain"), ("x" * 201, "200 bytes")],
)
def test_an_id_that_cannot_name_a_folder_is_rejected(id_, message):
    with pytest.raises(ValueError, match=message):
        Student(id_)
