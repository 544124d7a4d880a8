"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> Path:
    """Write a text aside and put it in the place of what was there, in one move; return the path.

    Whoever reads the file meanwhile, and whatever ends this process, has the old one or the new.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8", newline="")
    return aside.replace(path)
