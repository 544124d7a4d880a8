"""Printing a page to PDF."""

import pytest
from pages import everything, run

from gmmlab.workbook.html import print_pdf, to_html


@pytest.fixture
def fake_browser(tmp_path, monkeypatch):
    """Replace the browser by a shell script."""

    def put(script):
        path = tmp_path / "bin" / "chromium"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr("shutil.which", {"chromium": str(path)}.get)

    (tmp_path / "page.html").write_text("<p>page")
    return put


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo broken >&2; exit 3", "exited with code 3: broken"),
        ("echo done", "did not write a PDF: done"),
        ("exec sleep 60", "did not finish within 0.5 s"),
    ],
)
def test_a_browser_that_fails_does_not_touch_the_old_file(fake_browser, tmp_path, script, message):
    fake_browser(script)
    target = tmp_path / "out" / "page.pdf"
    target.parent.mkdir()
    target.write_text("before")
    with pytest.raises(RuntimeError, match=message):
        print_pdf(tmp_path / "page.html", target, timeout=0.5 if "sleep" in script else 20)
    assert [path.name for path in target.parent.iterdir()] == ["page.pdf"]
    assert target.read_text() == "before"


def test_a_missing_browser_or_page_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    (tmp_path / "page.html").write_text("<p>page")
    with pytest.raises(FileNotFoundError, match="apt install chromium"):
        print_pdf(tmp_path / "page.html", tmp_path / "page.pdf")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        print_pdf(tmp_path / "none.html", tmp_path / "page.pdf")


def test_a_page_is_printed(chromium, tmp_path):
    (tmp_path / "page.html").write_text(to_html(everything(), title="T", run=run()))
    print_pdf(tmp_path / "page.html", tmp_path / "out" / "page.pdf")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.pdf"]
    printed = (tmp_path / "out" / "page.pdf").read_bytes()
    assert printed.startswith(b"%PDF")
    assert printed.rstrip().endswith(b"%%EOF")
