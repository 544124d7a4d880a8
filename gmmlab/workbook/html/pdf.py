"""Printing a page to PDF with an installed browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

#: names of the executables of browsers that can print without a window
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")


def print_pdf(page: Path, to: Path, *, timeout: float = 120) -> None:
    """Print a page to PDF with headless Chromium.

    The PDF file is written atomically.

    Parameters
    ----------
    page : Path
        The HTML file.
    to : Path
        The PDF file; its folder is created if it does not exist.
    timeout : float, default 120
        Time limit of the browser, in seconds.

    Raises
    ------
    FileNotFoundError
        If the page does not exist, or no browser is installed. The message says what to install.
    RuntimeError
        If the browser fails or exceeds the time limit.
    """
    if not page.is_file():
        raise FileNotFoundError(f"the page {page} does not exist")
    browser = _browser()
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=to.parent, prefix=".printing-", ignore_cleanup_errors=True
    ) as folder:
        # With its own profile, this browser does not hand the job to one that is open already.
        printed, profile, log = (Path(folder) / name for name in ("page.pdf", "profile", "log"))
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-pdf-header-footer",
            f"--user-data-dir={profile.resolve()}",
            f"--print-to-pdf={printed.resolve()}",
            page.resolve().as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # the sandbox of Chromium does not work for root
        _run(command, log, timeout)
        if not printed.is_file() or not printed.stat().st_size:
            raise RuntimeError(f"{browser} did not write a PDF: {_tail(log)}")
        printed.replace(to)


def _browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise FileNotFoundError(
            "printing a PDF requires Chromium, Google Chrome or Edge: install one of them (on "
            f"Debian and Ubuntu: apt install chromium); looked for {', '.join(BROWSERS)}"
        )
    return found


def _run(command: list[str], log: Path, timeout: float) -> None:
    # Write to a file: child processes of the browser would keep a pipe open after its end.
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{command[0]} did not finish within {timeout:g} s") from None
    if done.returncode:
        raise RuntimeError(f"{command[0]} exited with code {done.returncode}: {_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "no output"
