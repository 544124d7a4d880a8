"""Restrict the kernel that runs a submission to the folder of that submission.

`confine` installs an audit hook (PEP 578), which Python code cannot remove. The kernel can then
write only inside the folder. It cannot read other files of the course, such as solutions and other
submissions. It cannot start or signal processes, or connect to a network. This protects against
accidents and pranks.

Two ways out remain. An audit event reports a path but not the directory that a `dir_fd` refers
to; directories outside the folder cannot be opened, but one inside can, and after `os.chdir` it
leads out. C code, for example through `ctypes`, opens files without an event. If students may be
malicious, grade in a container.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

#: number of characters that a cell may write; the rest is dropped
MAX_OUTPUT = 200_000
_MAX_MEMORY = 8 * 2**30
_MAX_FILE = 100 * 2**20
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: audit events that change files, and how many of their arguments are paths
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
    """Restrict this process to its working directory.

    Parameters
    ----------
    course : str
        The folder of the course. Only the working directory inside it may be read.
    """
    _limit_resources()
    _limit_output()
    # `subprocess` keeps its own reference to `_posixsubprocess`, and has an audit event.
    import subprocess  # noqa: F401

    sys.modules.pop("_posixsubprocess", None)
    sys.addaudithook(_Hook(Path.cwd().resolve(), Path(course).resolve()))


class _Hook:
    """An audit hook that raises PermissionError for what is not allowed."""

    def __init__(self, folder: Path, course: Path) -> None:
        # Strings, and functions looked up now: a submission may replace attributes of modules.
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
        elif event == "sqlite3.connect":  # SQLite opens and attaches files without an event
            raise PermissionError("a submission may not use SQLite")
        elif event in ("os.kill", "os.killpg") and arguments[0] != self.me:
            raise PermissionError("a submission may not signal other programs")
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            raise PermissionError("a submission may not use the network")

    def check(self, path: Any, *, writing: bool, low_level: bool = False) -> None:
        if isinstance(path, int) or path is None:  # a file descriptor that is already open
            return
        path = os.fsdecode(path)
        if path in (os.devnull, "/dev/tty", "/dev/shm"):
            return
        real = self.real(path)
        if self.within(real, self.folder):
            return
        if writing:
            raise PermissionError(f"a submission may only write into its own folder, not {path}")
        if self.within(real, self.course):
            raise PermissionError(f"a submission may not read {path}")
        if low_level and self.is_folder(real):  # its descriptor could be a `dir_fd`
            raise PermissionError(f"a submission may not open the folder {path}")

    def within(self, path: str, folder: str) -> bool:
        return path == folder or path.startswith(folder + self.separator)


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:  # not available on Windows
        return
    for kind, limit in ((resource.RLIMIT_FSIZE, _MAX_FILE), (resource.RLIMIT_AS, _MAX_MEMORY)):
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(kind, (limit, hard))


def _limit_output() -> None:
    """Drop the output of a cell beyond `MAX_OUTPUT` characters."""
    from IPython import get_ipython

    written = {"n": 0}

    def limited(write: Any) -> Any:
        def write_at_most(text: str) -> int:
            if written["n"] <= MAX_OUTPUT:
                write(text[:MAX_OUTPUT])
                written["n"] += len(text)
                if written["n"] > MAX_OUTPUT:
                    write("\n… the rest of the output was dropped …\n")
            return len(text)

        return write_at_most

    for stream in (sys.stdout, sys.stderr):
        stream.write = limited(stream.write)  # type: ignore[method-assign]
    shell = get_ipython()
    if shell is not None:
        shell.ask_exit = lambda: None  # run the other cells even if one of them calls `exit()`
        shell.events.register("pre_run_cell", lambda *_: written.update(n=0))
