"""A process that has imported what notebooks import, and forks a kernel from itself when asked.

Starting a Python and importing the scientific stack takes seconds; a fork has it all at once.
And whatever happens to the process that asked for kernels, the keeper is there to end them.

    python -m gmmlab.workbook.runs.forkserver LISTENER FOLDER STATEMENTS

`LISTENER` is the number of an inherited listening socket, `STATEMENTS` a JSON list of import
statements. One connection is one kernel: the client sends a line of JSON (`argv`, `cwd`,
`env`, `log`), hears the process number, and then, when the kernel has ended, its exit code;
each as a `NUMBER`.
A client that closes its connection, or dies, has its kernel killed. When the standard input
ends, all kernels are killed, `FOLDER` is removed, and so ends the keeper; if the keeper itself
is killed, the system kills its kernels.

Linux only: elsewhere a fork is not safe, or not certain to end with its parent.
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
    """Serve until the standard input ends."""
    listener, folder, statements = int(arguments[0]), arguments[1], arguments[2]
    if sys.path[0] in ("", os.getcwd()):  # of `python -m`; PYTHONPATH may name it once more
        del sys.path[0]
    variables = _import(json.loads(statements))
    if len(os.listdir("/proc/self/task")) > 1:
        # Something that was imported has started threads; a fork would be without them. So
        # begin again, and let kernels import for themselves.
        module = [sys.executable, "-m", "gmmlab.workbook.runs.forkserver"]
        os.execv(sys.executable, [*module, str(listener), folder, "[]"])
    try:
        _Keeper(socket.socket(fileno=listener), variables).serve()
    finally:
        if os.getpid() == os.getsid(0):  # not in a kernel, which leaves the loop by SystemExit
            shutil.rmtree(folder, ignore_errors=True)


#: what a kernel imports while it starts
_OF_A_KERNEL = (
    "import ipykernel.kernelapp",
    "import ipykernel.debugger",
    "import IPython.core.completerlib",
    "import IPython.core.oinspect",
    "import IPython.extensions.storemagic",
    "import psutil, sqlite3, tornado.platform.asyncio, tornado.queues",
)


def _import(statements: Sequence[str]) -> dict[str, str]:
    """Import ahead; return the variables of the environment that modules have set."""
    # as in a kernel, where matplotlib reads it when it is imported
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # or debugpy writes to stderr
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    before = dict(os.environ)
    for statement in (*_OF_A_KERNEL, *statements):
        # What fails here fails in the notebook too, where it can be seen.
        with contextlib.suppress(Exception):
            exec(statement, {})
    return {name: text for name, text in os.environ.items() if before.get(name) != text}


class _Keeper:
    def __init__(self, listener: socket.socket, variables: dict[str, str]) -> None:
        self.listener = listener
        self.variables = variables
        self.kernels: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        ended, self.wake = socket.socketpair()
        self.wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake.fileno())
        self.ended = ended
        for watched in (sys.stdin, listener, ended):
            self.selector.register(watched, selectors.EVENT_READ)

    def serve(self) -> None:
        """Start kernels and end them, until nobody wants any."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is sys.stdin:
                    for pid in self.kernels:
                        _kill(pid)
                    for pid in self.kernels:  # that none writes where we clear up
                        os.waitpid(pid, 0)
                    return
                if key.fileobj is self.listener:
                    self._start()
                elif key.fileobj is self.ended:
                    self.ended.recv(4096)
                    self._bury()
                else:  # a client that has gone, for it has nothing more to say
                    self.selector.unregister(key.fileobj)
                    _kill(key.data)

    def _start(self) -> None:
        connection, _ = self.listener.accept()
        try:
            request = json.loads(connection.makefile().readline())
        except (OSError, ValueError):  # the client is no more
            connection.close()
            return
        request["env"] |= self.variables
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_kernel(request, keeper)
        _lead_a_group(pid)
        self.kernels[pid] = connection
        self.selector.register(connection, selectors.EVENT_READ, data=pid)
        with contextlib.suppress(OSError):
            connection.sendall(NUMBER.pack(pid))

    def _bury(self) -> None:
        while self.kernels:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            if ended.si_pid in self.kernels:
                _kill(ended.si_pid)  # what it has started, before its number can be another's
            pid, status = os.waitpid(ended.si_pid, 0)
            connection = self.kernels.pop(pid, None)
            if connection is None:  # not a kernel: something that was imported started it
                continue
            with contextlib.suppress(KeyError):
                self.selector.unregister(connection)
            with contextlib.suppress(OSError):
                connection.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
            connection.close()


def _kill(pid: int) -> None:
    """Kill a kernel, and whatever it has started; its status is still to be read."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _lead_a_group(pid: int) -> None:
    # by keeper and kernel, since it must be so before either of them goes on
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.setpgid(pid, pid)


def _become_kernel(request: dict[str, Any], keeper: int) -> NoReturn:
    """Turn this fork of the keeper into the kernel that was asked for."""
    _lead_a_group(0)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:  # it was killed before that
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _redirect(os.devnull, os.O_RDONLY, [0])
    _redirect(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, [1, 2])
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    if "numpy" in sys.modules:  # or all kernels would share the state of the global generator
        sys.modules["numpy"].random.seed()
    from ipykernel.kernelapp import launch_new_instance

    # python -m ipykernel_launcher …
    sys.argv = [*request["argv"][2:], f"--IPKernelApp.parent_handle={keeper}"]
    launch_new_instance()
    sys.exit()


def _redirect(path: str, flags: int, descriptors: Sequence[int]) -> None:
    opened = os.open(path, flags, 0o600)
    for descriptor in descriptors:
        os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    main(sys.argv[1:])
