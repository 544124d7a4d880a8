"""A kernel that runs a submission is held to the submission's own folder.

`confine` installs an audit hook (PEP 578), which Python code cannot take away again. Files
outside the folder can then not be written, and other files of the course, with solutions and other
people's work, not even read; no process is started or signalled, no host is called. It keeps
mistakes and pranks from doing harm.

What is left open: an event tells paths, but not at which directory one with a `dir_fd` begins. So
directories outside cannot be opened, yet one inside can, and a detour by `os.chdir` leads out.
And code in C (`ctypes`, say) opens files without an event. Against somebody who means harm, grade
in a container.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

#: characters that a cell may write before the rest is dropped
MOST_OUTPUT = 200_000
_MOST_MEMORY = 8 * 2**30
_MOST_FILE = 100 * 2**20
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: audit events of which each path is changed
_CHANGES = {
    "os.chmod": 1, "os.chown": 1, "os.link": 2, "os.mkdir": 1, "os.remove": 1, "os.rename": 2,
    "os.rmdir": 1, "os.symlink": 2, "os.truncate": 1, "os.utime": 1, "os.setxattr": 1,
    "os.chflags": 1, "shutil.rmtree": 1,
}  # fmt: skip
_PROCESSES = (
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system",
    "pty.spawn", "subprocess.Popen",
)  # fmt: skip


def confine(course: str) -> None:
    """Hold this process to its working directory.

    Parameters
    ----------
    course : str
        The folder of the course, of which nothing but the working directory may be read.
    """
    _limit_resources()
    _limit_output()
    import subprocess  # noqa: F401  # keeps what it has of the module, and has an event of its own

    sys.modules.pop("_posixsubprocess", None)
    sys.addaudithook(_Hook(Path.cwd().resolve(), Path(course).resolve()))


class _Hook:
    def __init__(self, folder: Path, course: Path) -> None:
        # Text, and functions looked up now: what a submission does to modules must not matter.
        self.folder, self.course = str(folder), str(course)
        self.real, self.is_folder = os.path.realpath, os.path.isdir
        self.me, self.separator = os.getpid(), os.sep

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writing = isinstance(flags, int) and bool(flags & _WRITING)
            self.check(path, writing=writing, low_level=mode is None)
        elif event in _CHANGES:
            for path in arguments[: _CHANGES[event]]:
                self.check(path, writing=True)
        elif event in _PROCESSES or (event == "import" and arguments[0] == "_posixsubprocess"):
            raise PermissionError("a submission may not start other programs")
        elif event == "sqlite3.connect":  # SQLite opens files, attached ones too, without an event
            raise PermissionError("a submission may not use SQLite")
        elif event in ("os.kill", "os.killpg") and arguments[0] != self.me:
            raise PermissionError("a submission may not signal other programs")
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            raise PermissionError("a submission may not use the network")

    def check(self, path: Any, *, writing: bool, low_level: bool = False) -> None:
        if isinstance(path, int) or path is None:  # a descriptor that is open already
            return
        path = os.fsdecode(path)
        if path in (os.devnull, "/dev/tty", "/dev/shm"):
            return
        real = self.real(path)
        if self.within(real, self.folder):
            return
        if writing:
            raise PermissionError(f"a submission may write into its own folder only, not {path}")
        if self.within(real, self.course):
            raise PermissionError(f"a submission may not read {path}")
        if low_level and self.is_folder(real):  # from there a path could lead anywhere
            raise PermissionError(f"a submission may not open the folder {path}")

    def within(self, path: str, folder: str) -> bool:
        return path == folder or path.startswith(folder + self.separator)


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:  # Windows has none
        return
    for kind, most in ((resource.RLIMIT_FSIZE, _MOST_FILE), (resource.RLIMIT_AS, _MOST_MEMORY)):
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(kind, (most, hard))


def _limit_output() -> None:
    """Drop what a cell writes beyond `MOST_OUTPUT`."""
    from IPython import get_ipython

    written = {"n": 0}

    def limited(write: Any) -> Any:
        def write_at_most(text: str) -> int:
            if written["n"] <= MOST_OUTPUT:
                write(text[:MOST_OUTPUT])
                written["n"] += len(text)
                if written["n"] > MOST_OUTPUT:
                    write("\n… the rest of the output was dropped …\n")
            return len(text)

        return write_at_most

    for stream in (sys.stdout, sys.stderr):
        stream.write = limited(stream.write)  # type: ignore[method-assign]
    shell = get_ipython()
    if shell is not None:
        shell.ask_exit = lambda: None  # `exit()` in a cell is no reason to leave out the others
        shell.events.register("pre_run_cell", lambda *_: written.update(n=0))
