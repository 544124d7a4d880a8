"""Problem sets released, handed in, graded and handed back, on a small one."""

import shutil
import sys
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from workbooks import ROOT, command

from gmmlab.course import feedback
from gmmlab.course import submission as handin
from gmmlab.course import written_marks as marks
from gmmlab.course.assignment import Course, grade_id
from gmmlab.course.grading import Graded, Limits, Task, _Grader, grade
from gmmlab.course.release import leaked, personal, release, write_seeds
from gmmlab.course.roster import (
    Student,
    read_roster,
    seed_in,
    seed_of,
    whose,
    with_seed,
)
from gmmlab.course.selfcheck import Scene, filled
from gmmlab.course.selfcheck import adversarial as hostile
from gmmlab.course.tables import read_table, write_table

NAME = "ps0"
TOOLS = "from gmmlab.course.checks.calling import call, compare"
LIMITS = Limits(cell=3.0, whole=60.0)


def cell(kind, source, name, **about):
    known = {"grade": False, "locked": False, "solution": False, "task": False}
    make = new_code_cell if kind == "code" else new_markdown_cell
    meta = {"grade_id": name, "schema_version": 3, **known, **about}
    return make(source, id=f"c-{name}", metadata={"nbgrader": meta})


def test_cell(name, call, hidden):
    return cell(
        "code",
        f"{call}\n### BEGIN HIDDEN TESTS\n{hidden}\n### END HIDDEN TESTS",
        f"test-{name}",
        grade=True,
        locked=True,
        points=2,
    )


test_cell.__test__ = False


def solution(name, line, answer):
    text = f"{line}\n    ### BEGIN SOLUTION\n    {answer}\n    ### END SOLUTION"
    return cell("code", text, name, solution=True)


def make_course(root):
    """Make a course of one small problem set: two functions, and an answer in words."""
    parameters = new_code_cell("seed: int = 1  # the seed of your data; >= 0", id="parameters")
    parameters.metadata["tags"] = ["parameters"]
    words = "### BEGIN SOLUTION\nBecause the sum is over $k$.\n### END SOLUTION"
    cells = [
        new_markdown_cell("# Problem set 0\n\n**Question.** Can you add? 6 points.", id="top"),
        parameters,
        cell("code", TOOLS, "tools", locked=True),
        solution("double", "def double(x):", "return 2 * x"),
        test_cell("double", "compare(call(double, 2), 4, {}, 'double')",
                  "compare(call(double, seed % 9973), 2 * (seed % 9973), {}, 'doubled')"),
        solution("triple", "def triple(x):", "return x + x + x"),
        test_cell("triple", "compare(call(triple, 1), 3, {}, 'triple')",
                  "compare(call(triple, 50), 150, {('wrong sum', 'Add, and do not subtract.'): 50},"
                  " 'tripled')"),
        cell("markdown", words, "why", grade=True, solution=True, points=2),
    ]  # fmt: skip
    path = root / "notebooks" / "assignments" / "source" / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    kernel = {"name": "python3", "display_name": "Python", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return Course.find(root)


@pytest.fixture(scope="module")
def assignment(tmp_path_factory):
    pytest.importorskip("nbgrader")
    return make_course(tmp_path_factory.mktemp("course")).assignment(NAME)


@pytest.fixture(scope="module")
def scene(assignment):
    assignment.seeds.unlink(missing_ok=True)
    return Scene(assignment)


# ---- students and seeds ------------------------------------------------------------------------


def test_a_seed_is_of_the_id_alone_and_of_the_problem_set():
    assert seed_of("ps1", "Zoë") == seed_of("ps1", " Zoe\u0308 ")
    seeds = [seed_of(name, f"s{i}") for name in ("ps1", "ps2") for i in range(2000)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert whose("ps1", seed_of("ps1", "ada"), ["bob", "ada"]) == "ada"
    assert whose("ps1", 7, ["bob", "ada"]) is None


def test_a_seed_is_written_into_the_parameters_cell_and_nothing_else_changes():
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
        ("", "must have a column `id`"),
        ("id\n", "names nobody"),
        ("id;email\nada;a@b\n", "separate columns with commas"),
        ("id\nada\nAda\n", "line 3: 'Ada' is there twice"),
        ("id,x\n,1\n", "line 2: a student's id must not be empty"),
        ("id\n../x\n", "must not begin or end with a point"),
        ("id\na/b\n", "must not have"),
        ("id\n" + "x" * 201 + "\n", "200 bytes"),
    ],
)
def test_a_roster_that_cannot_name_folders_is_refused(tmp_path, text, message):
    path = tmp_path / "roster.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_roster(path)


CELLS = ("=1+1", "'=1", "'", "-", "@a", "Zoë; 李雷", 'a "b", c\nd', "", "2.5")


def test_a_table_comes_back_as_it_was_and_holds_no_formula(tmp_path):
    path = write_table(tmp_path / "table.csv", [f"c{i}" for i in range(len(CELLS))], [CELLS])
    ((_, row),) = read_table(path)[1]
    assert tuple(row.values()) == CELLS
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert b"\n'=1+1," in raw
    path.write_bytes(raw.removeprefix(b"\xef\xbb\xbf").replace(b"\n", b"\r\n"))
    assert read_table(path)[0][0] == "c0"


# ---- what is handed in -------------------------------------------------------------------------


def sources(notebook):
    return [c.source for c in notebook.cells]


def test_work_is_put_into_the_notebook_that_was_given_out():
    given = new_notebook(cells=[
        new_markdown_cell("text", id="text"),
        cell("code", "YOUR CODE", "task", solution=True),
        cell("code", "test", "test", grade=True, locked=True, points=1),
        new_code_cell("k = 1", id="free"),
    ])  # fmt: skip
    work = new_notebook(cells=[
        new_markdown_cell("changed", id="text"),
        new_code_cell("own = 1"),
        cell("code", "mine", "task", solution=True, points=99),
        new_code_cell("k = 2", id="free"),
        cell("code", "pass", "test", grade=True, locked=True, points=99),
        cell("code", "stray", "unknown", grade=True, locked=True, points=9),
    ])  # fmt: skip
    found = handin.put_together(given, work)
    assert sources(found.notebook) == ["text", "own = 1", "mine", "test", "stray", "k = 2"]
    assert found.notebook.cells[3].metadata.nbgrader["points"] == 1
    assert "nbgrader" not in found.notebook.cells[4].metadata
    assert found.notes == ["The test `test` had been changed; it was put back."]
    nothing = handin.put_together(given, new_notebook())
    assert sources(nothing.notebook) == sources(given)
    assert len(nothing.notes) == 2


@pytest.mark.parametrize(
    ("source", "seed", "note"),
    [
        ("seed: int = 7  # the seed; >= 0", 7, None),
        ("seed: int = 7", None, "has no seed any more"),
        ("seed = 7", None, "has no seed any more"),
        (None, None, "had been deleted"),
    ],
)
def test_the_seed_that_was_handed_in_is_read_or_missed(source, seed, note):
    parameters = new_code_cell("seed: int = 1  # the seed; >= 0", id="parameters")
    parameters.metadata["tags"] = ["parameters"]
    given = new_notebook(cells=[parameters])
    cells = [] if source is None else [new_code_cell(source, id="parameters")]
    found = handin.put_together(given, new_notebook(cells=cells))
    assert found.seed == seed
    assert [note in said for said in found.notes] == ([] if note is None else [True])
    assert sources(found.notebook) == sources(given)


def test_other_files_come_along_but_links_and_notebooks_do_not(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "helper.py").write_text("x = 1")
    (tmp_path / "in" / "other.ipynb").write_text("{}")
    (tmp_path / "in" / ".hidden").write_text("x")
    (tmp_path / "in" / "link.py").symlink_to(tmp_path / "in" / "deep" / "helper.py")
    handin.copy_other_files(tmp_path / "in", tmp_path / "out")
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert files == [tmp_path / "out" / "deep" / "helper.py"]


# ---- release -----------------------------------------------------------------------------------


def test_a_release_has_neither_solutions_nor_hidden_tests(assignment):
    assignment.seeds.unlink(missing_ok=True)
    (path,) = release(assignment)
    text = path.read_text("utf-8")
    for secret in ("return 2 * x", "doubled", "wrong sum", "Because the sum", "BEGIN"):
        assert secret not in text
    for shown in ("YOUR CODE HERE", "YOUR ANSWER HERE", "compare(call(double, 2), 4"):
        assert shown in text


@pytest.mark.parametrize("name", ["ps1-em", "ps2-mixtures-at-work"])
def test_a_leak_would_be_seen(name):
    source = Course.find(ROOT).assignment(name).notebook
    lines = set(leaked(source, nbformat.writes(source)))
    assert len(lines) > 40
    assert "BEGIN HIDDEN TESTS" in lines


def test_each_student_gets_data_of_their_own(assignment):
    students = [Student("ada"), Student("Zoë")]
    paths = release(assignment, students)[1:]
    seeds = [
        seed_in(c.source)
        for path in paths
        for c in nbformat.read(path, as_version=4).cells
        if "parameters" in c.metadata.get("tags", ())
    ]
    assert seeds == [seed_of(NAME, "ada"), seed_of(NAME, "Zoë")]
    assert [row["id"] for _, row in read_table(assignment.seeds)[1]] == ["ada", "Zoë"]
    with pytest.raises(ValueError, match="was released with a roster"):
        release(assignment)
    release(assignment, students[1:])
    assert [path.exists() for path in paths] == [False, True]
    assignment.seeds.unlink()  # as the message has it
    release(assignment)
    assert not paths[1].exists()
    with pytest.raises(ValueError, match="name of a problem set"):
        release(assignment, [Student("PS0")])


# ---- grading -----------------------------------------------------------------------------------


def test_who_was_given_common_data_is_graded_with_them_roster_or_not(assignment):
    assignment.seeds.unlink(missing_ok=True)
    with _Grader(assignment, [Student("ada"), Student("bob")], LIMITS) as grader:
        assert grader.seed_for("ada") == 1
        assert {"ada", "bob"} <= set(grader.students(()))


ROSTER = [Student("ada", "Ada", "Lovelace"), Student("bob"), Student("eve"), Student("mallory")]


@pytest.fixture(scope="module")
def graded(assignment, scene):
    """A class: one is right, one wrong, one has handed nothing in, and one means no good."""
    wrong = {"triple": "def triple(x):\n    return x + x - x"}
    write_seeds(assignment, ROSTER)
    scene.hand_in("ada", scene.solved)
    scene.hand_in("bob", filled(scene.solved, wrong))
    scene.hand_in("mallory", filled(scene.solved, {"why": "<script>alert(1)</script> *yes* $x^2$"}))
    found = {one.student: one for one in grade(assignment, ROSTER, limits=LIMITS)}
    found["mallory"].notes.append("<img src=x onerror=alert(2)>")
    assignment.grades.mkdir(parents=True)
    return found


def test_a_class_is_graded(graded):
    assert [task.points for task in graded["ada"].tasks] == [2, 2, None]
    assert [task.points for task in graded["bob"].tasks] == [2, 0, None]
    assert graded["bob"].tasks[1].mistake == "wrong value"
    statuses = {name: one.status for name, one in graded.items()}
    assert statuses == dict.fromkeys(graded, "to be marked") | {"eve": "not handed in"}
    found = feedback.mistakes(list(graded.values()))
    assert [row[:3] for row in found] == [("test-triple", "wrong value", 1)]
    assert graded["ada"].notes == []
    assert feedback.mistakes([Graded("zoe", [Task("test-triple", 0, 2, feedback.NOT_DONE)])]) == []


def test_what_comes_back_is_a_page_that_names_the_mistake(assignment, graded):
    bob = graded["bob"]
    page = feedback.write_page(assignment, bob).read_text("utf-8")
    assert "2 of 6 points" in page
    assert bob.tasks[1].words.split(":")[0] in page
    assert "<math" in page
    assert "tripled" not in page.replace("tripled is not right", "")
    assert "Traceback" not in page
    assert "default-src 'self' file: data: blob:" in page
    path = feedback.write_grades(assignment, [bob], {"bob": Student("bob", "Bob", "B, C")})
    ((_, row),) = read_table(path)[1]
    assert (row["last_name"], row["points"], row["mistakes"]) == ("B, C", "2", "wrong value")
    assert "wrong value" in feedback.write_summary(assignment, [bob]).read_text("utf-8")


def test_html_in_a_submission_is_text_in_its_page(assignment, graded):
    mallory = graded["mallory"]
    page = feedback.write_page(assignment, mallory).read_text("utf-8")
    page += feedback.write_summary(assignment, [mallory]).read_text("utf-8")
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_graded_again_with_points_for_the_answer_all_else_is_the_same(assignment, graded):
    marks.write_marks(assignment, graded.values())
    table = assignment.grades / "written.csv"
    assert "Because the sum is over $k$." in table.read_text("utf-8")
    table.write_text(table.read_text("utf-8").replace("ada,why,,2,,", "ada,why,1.5,2,good,"))
    write_seeds(assignment, ROSTER)
    ada, bob = grade(assignment, ROSTER, only=["ada", "bob"], limits=LIMITS)
    assert (ada.points, ada.status, ada.tasks[2].words) == (5.5, "graded", "good")
    assert bob.tasks == graded["bob"].tasks
    assert not any("has changed" in note for note in ada.notes)
    marks.write_marks(assignment, [ada, bob])
    text = table.read_text("utf-8")
    assert "ada,why,1.5,2,good," in text
    assert "mallory,why,,2,," in text
    with assignment.course.gradebook() as gradebook:
        assert gradebook.find_submission(NAME, "ada").score == 5.5
    shutil.rmtree(assignment.course.root / "submitted")


def test_points_are_for_the_answer_that_was_marked(assignment):
    def answered(text):
        why = cell("markdown", text, "why", grade=True, solution=True, points=2)
        task = Task("why", None, 2.0, written=True)
        return Graded("ada", [task], notebook=new_notebook(cells=[why]))

    table = assignment.grades / "written.csv"
    assignment.grades.mkdir(parents=True, exist_ok=True)
    before = table.read_bytes() if table.exists() else None
    try:
        table.unlink(missing_ok=True)
        marks.write_marks(assignment, [answered("=first")])
        table.write_text(table.read_text("utf-8").replace("ada,why,,2", "ada,why,1,2"), "utf-8")
        for text in ("=first", "second"):  # written twice: the points stay with the first
            marks.write_marks(assignment, [answered(text)])
        mark = marks.read_marks(assignment)["ada", "why"]
        assert (mark.points, mark.is_for("=first"), mark.is_for("second")) == (1, True, False)
        table.write_text(table.read_text("utf-8").replace(mark.marked, ""), "utf-8")
        marks.write_marks(assignment, [answered("second")])
        assert marks.read_marks(assignment)["ada", "why"].is_for("second")
    finally:
        table.unlink()
        if before is not None:
            table.write_bytes(before)


@pytest.mark.parametrize(
    ("points", "message"), [("3", "from 0 to 2"), ("-1", "from 0 to 2"), ("x", "from 0 to 2")]
)
def test_marks_that_cannot_be_are_refused(assignment, points, message):
    assignment.grades.mkdir(parents=True, exist_ok=True)
    table = assignment.grades / "written.csv"
    before = table.read_text("utf-8") if table.exists() else None
    try:
        table.write_text(f"id,task,points,most,comment,answer\nada,why,{points},2,,\n")
        with pytest.raises(ValueError, match=message):
            marks.read_marks(assignment)
    finally:
        table.unlink()
        if before is not None:
            table.write_text(before)


HOSTILE = (
    "a loop without end",
    "the kernel is killed",
    "huge output",
    "not JSON",
    "a link",
    "writes elsewhere",
    "reads the solution",
)


def test_hostile_submissions_harm_nobody(scene):
    """A sample; `gmmlab course check` hands all of them in."""
    found = list(hostile.hostiles(scene, only=HOSTILE, limits=LIMITS))
    assert [finding for finding in found if not finding.sound] == []
    assert len(found) == len(HOSTILE) + 3


# ---- commands ----------------------------------------------------------------------------------


def course_command(root, *arguments):
    from gmmlab import __main__  # noqa: F401  (adds the commands)

    return command(SimpleNamespace(root=root), "course", *arguments)


def test_release_hand_in_grade(tmp_path):
    """The real first problem set, by the commands, with a right and a wrong submission."""
    pytest.importorskip("nbgrader")
    real = Course.find(ROOT).assignment("ps1-em")
    course = Course(tmp_path / "notebooks" / "assignments")
    ours = course.root / "source" / "ps1-em" / "ps1-em.ipynb"
    ours.parent.mkdir(parents=True)
    ours.write_bytes(real.source.read_bytes())
    roster = tmp_path / "roster.csv"
    roster.write_text("id\nada\nÖmer\n")
    code, out, err = course_command(tmp_path, "release", "ps1-em", "--students", str(roster))
    assert (code, err) == (0, "")
    assert "2 personal copies" in out
    assignment = course.assignment("ps1-em")
    solutions = {grade_id(c): c.source for c in real.notebook.cells if "SOLUTION" in c.source}
    rows = "np.exp(log_joint - log_density)"
    wrong = solutions["e-step"].replace(rows, "np.exp(log_joint - logsumexp(log_joint, axis=0))")
    for student, changes in {"ada": {}, "Ömer": {"e-step": wrong}}.items():
        given = nbformat.read(assignment.path("release", student), as_version=4)
        path = assignment.path("submitted", student)
        path.parent.mkdir(parents=True)
        nbformat.write(filled(given, solutions | changes), path)
    code, out, err = course_command(tmp_path, "grade", "ps1-em")
    assert (code, err) == (0, "")
    assert "ada: 24 of 24, graded" in out
    assert "Ömer: 20 of 24, graded" in out
    assert "1  normalised over samples  (e-step)" in out
    page = assignment.path("feedback", "Ömer", ".html").read_text("utf-8")
    assert "yours sum to 1 over the samples of a component" in page
    assert "away=1e3" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("release", "ps1"), "there is no problem set 'ps1': did you mean"),
        (("release", "ps1-em", "--students", __file__), "must have a column `id`"),
        (("grade", "ps9"), "there is no problem set 'ps9'"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    code, _, err = course_command(ROOT, *arguments)
    assert code == 2
    assert message in err


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, tmp_path):
    make_course(tmp_path)
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    code, _, err = course_command(tmp_path, "release", NAME)
    assert code == 1
    assert "pip install 'gmmlab[course]'" in err


def test_personal_copies_differ_in_their_seed_alone(scene):
    one, other = (personal(scene.given, seed) for seed in (3, 4))
    differing = [(a, b) for a, b in zip(sources(one), sources(other), strict=True) if a != b]
    assert differing == [
        ("seed: int = 3  # the seed of your data; >= 0",
         "seed: int = 4  # the seed of your data; >= 0")
    ]  # fmt: skip
