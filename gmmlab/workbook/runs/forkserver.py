"""A process that imports what notebooks import, and forks itself into a kernel on request.

Starting Python and importing the scientific stack takes seconds; a fork has everything at once.
This process also kills its kernels when the process that requested them dies.

    python -m gmmlab.workbook.runs.forkserver LISTENER FOLDER STATEMENTS

`LISTENER` is the number of an inherited listening socket, and `STATEMENTS` is a JSON list of
import statements. One connection is one kernel. The client sends a line of JSON (`argv`, `cwd`,
`env`, `log`) and receives the process id of the kernel and later, when the kernel has ended, its
exit code, each as a `NUMBER`. If a client closes its connection or dies, its kernel is killed.
At the end of the standard input, the server kills all kernels, removes `FOLDER` and exits. If
the server itself is killed, the operating system kills its kernels.

This works on Linux only: elsewhere a fork is not safe, or may outlive its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

NUMBER = struct.Struct("=i")
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Serve until the end of the standard input."""
    listener, folder, statements = int(arguments[0]), arguments[1], json.loads(arguments[2])
    if sys.path[0] in ("", os.getcwd()):  # inserted by `python -m`; PYTHONPATH may repeat it
        del sys.path[0]
    variables = _import(statements)
    if statements and len(os.listdir("/proc/self/task")) > 1:
        # An import has started threads, which a fork would not have. Start again without these
        # imports; each kernel then imports for itself. This happens once at most: threads that
        # Python starts by itself, for a debugger say, are left out of the kernels.
        module = [sys.executable, "-m", "gmmlab.workbook.runs.forkserver"]
        os.execv(sys.executable, [*module, str(listener), folder, "[]"])
    try:
        _Server(socket.socket(fileno=listener), variables).serve()
    finally:
        if os.getpid() == os.getsid(0):  # not in a forked kernel that exits
            shutil.rmtree(folder, ignore_errors=True)


#: imports of every kernel during its start
_KERNEL_IMPORTS = (
    "import ipykernel.kernelapp",
    "import ipykernel.debugger",
    "import IPython.core.completerlib",
    "import IPython.core.oinspect",
    "import IPython.extensions.storemagic",
    "import psutil, sqlite3, tornado.platform.asyncio, tornado.queues",
)


def _import(statements: Sequence[str]) -> dict[str, str]:
    """Execute import statements; return the environment variables that they have set."""
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # keeps debugpy from writing to stderr
    # A kernel sets this too, before matplotlib reads it during its import.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    before = dict(os.environ)
    for statement in (*_KERNEL_IMPORTS, *statements):
        # An import that fails here fails in the notebook too, where the reader sees it.
        with contextlib.suppress(Exception):
            exec(statement, {})
    return {name: text for name, text in os.environ.items() if before.get(name) != text}


class _Server:
    def __init__(self, listener: socket.socket, variables: dict[str, str]) -> None:
        self.listener = listener
        self.variables = variables
        self.kernels: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        # Signals write to `wakeup`, so that the selector sees the end of a child process.
        self.child_ended, self.wakeup = socket.socketpair()
        self.wakeup.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wakeup.fileno())
        for watched in (sys.stdin, listener, self.child_ended):
            self.selector.register(watched, selectors.EVENT_READ)

    def serve(self) -> None:
        """Start and stop kernels until the end of the standard input."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is sys.stdin:
                    for pid in self.kernels:
                        _kill(pid)
                    for pid in self.kernels:  # none may still write while `main` cleans up
                        os.waitpid(pid, 0)
                    return
                if key.fileobj is self.listener:
                    self._start()
                elif key.fileobj is self.child_ended:
                    self.child_ended.recv(4096)
                    self._report_ended()
                else:  # a client has disconnected: clients send nothing after their request
                    self.selector.unregister(key.fileobj)
                    _kill(key.data)

    def _start(self) -> None:
        connection, _ = self.listener.accept()
        try:
            request = json.loads(connection.makefile().readline())
        except (OSError, ValueError):  # the client has died
            connection.close()
            return
        request["env"] |= self.variables
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_kernel(request, server)
        _lead_process_group(pid)
        self.kernels[pid] = connection
        self.selector.register(connection, selectors.EVENT_READ, data=pid)
        with contextlib.suppress(OSError):
            connection.sendall(NUMBER.pack(pid))

    def _report_ended(self) -> None:
        """Send the exit codes of the kernels that have ended."""
        while self.kernels:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            if ended.si_pid in self.kernels:
                # Kill its child processes now, before its process id can be reused.
                _kill(ended.si_pid)
            pid, status = os.waitpid(ended.si_pid, 0)
            connection = self.kernels.pop(pid, None)
            if connection is None:  # not a kernel, but a process that an import has started
                continue
            with contextlib.suppress(KeyError):
                self.selector.unregister(connection)
            with contextlib.suppress(OSError):
                connection.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
            connection.close()


def _kill(pid: int) -> None:
    """Kill a kernel and its child processes; its exit status remains to be read."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _lead_process_group(pid: int) -> None:
    # The server and the kernel both call this, because either may need the group first.
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.setpgid(pid, pid)


def _become_kernel(request: dict[str, Any], server: int) -> NoReturn:
    """Turn this fork of the server into the requested kernel."""
    _lead_process_group(0)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # the server was killed before `prctl`
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _redirect(os.devnull, os.O_RDONLY, [0])
    _redirect(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, [1, 2])
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    if "numpy" in sys.modules:  # otherwise all kernels share the state of the global generator
        sys.modules["numpy"].random.seed()
    from ipykernel.kernelapp import launch_new_instance

    # `argv` is: python -m ipykernel_launcher …
    sys.argv = [*request["argv"][2:], f"--IPKernelApp.parent_handle={server}"]
    launch_new_instance()
    sys.exit()


def _redirect(path: str, flags: int, descriptors: Sequence[int]) -> None:
    opened = os.open(path, flags, 0o600)
    for descriptor in descriptors:
        os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    main(sys.argv[1:])
