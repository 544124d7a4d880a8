"""A page as PDF, printed by a browser that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

#: names under which browsers that can print without a window are found
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")


def pdf(page: Path, to: Path, *, timeout: float = 120) -> None:
    """Print a page to PDF with headless Chromium.

    The file appears whole, or not at all.

    Parameters
    ----------
    page : Path
        The HTML file.
    to : Path
        The PDF file; its folder is made if need be.
    timeout : float, default 120
        Seconds that the browser may take.

    Raises
    ------
    FileNotFoundError
        If there is no such page, or no browser; the message says what to install.
    RuntimeError
        If the browser fails or takes too long.
    """
    if not page.is_file():
        raise FileNotFoundError(f"there is no page {page}")
    browser = _browser()
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=to.parent, prefix=".printing-", ignore_cleanup_errors=True
    ) as aside:
        # The browser's own folder, so that one which is open already does not take the job over.
        printed, profile, log = (Path(aside) / name for name in ("page.pdf", "profile", "log"))
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
            command.insert(1, "--no-sandbox")  # Chromium's sandbox does not work for root
        _run(command, log, timeout)
        if not printed.is_file() or not printed.stat().st_size:
            raise RuntimeError(f"{browser} printed nothing: {_tail(log)}")
        printed.replace(to)


def _browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise FileNotFoundError(
            "a PDF needs Chromium, Google Chrome or Edge: install one so that it is found as "
            f"{', '.join(BROWSERS)} (on Debian and Ubuntu: apt install chromium)"
        )
    return found


def _run(command: list[str], log: Path, timeout: float) -> None:
    # Into a file: the browser's own processes would keep a pipe open after its end.
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
            raise RuntimeError(f"{command[0]} did not print within {timeout:g} s") from None
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "it said nothing"
