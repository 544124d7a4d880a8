"""Atomic writing of text files."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> Path:
    """Write a text file atomically and return its path.

    The text goes to a temporary file in the same folder, which then replaces the old file in one
    move. A reader sees either the old or the new text, even if this process is killed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", newline="")
    return temporary.replace(path)
