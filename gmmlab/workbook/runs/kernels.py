"""Kernels, each with its own sockets, which all end when their source is closed.

On Linux, kernels are forked by a `forkserver` that has already imported what the notebook
imports, and that kills them if this process dies. Elsewhere, Jupyter starts them.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Unicode
from traitlets.config import Config

from gmmlab.workbook.runs.forkserver import NUMBER

#: environment variables that set the number of threads of libraries
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",  # the number of processes of joblib
)
#: seconds in which a kernel or the fork server must stop before it is killed
_PATIENCE = 2.0


class Kernels(AbstractContextManager):
    """A source of kernels; closing it kills them.

    Parameters
    ----------
    sources : iterable of str, optional
        The code cells of the notebook, whose imports the fork server executes in advance.
    threads : int or None, optional
        Number of threads for the numerical libraries in a kernel; None for their own default.
        Only with one thread are imports executed in advance, because a process with several
        threads cannot be forked.
    """

    def __init__(self, sources: Iterable[str] = (), *, threads: int | None = None) -> None:
        self.threads = threads
        self.closed = False
        # The path of a socket must be shorter than 107 bytes.
        self.folder = Path(
            tempfile.mkdtemp(prefix="nb-", dir="/tmp" if os.name == "posix" else None)
        )
        self._numbers = count(1)
        self._lock = Lock()
        self._statements = import_statements(sources) if threads == 1 else []
        self._fork_server: subprocess.Popen | None = None
        if sys.platform == "linux":
            self._start_fork_server()

    def _start_fork_server(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)  # a fork server removes it when it exits
        path = self.folder / "server"
        path.unlink(missing_ok=True)
        self._address = str(path)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._address)
            listener.listen(128)
            number = listener.fileno()
            command = [sys.executable, "-m", "gmmlab.workbook.runs.forkserver"]
            self._fork_server = subprocess.Popen(
                [*command, str(number), str(self.folder), json.dumps(self._statements)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=os.environ | self.environment,
                pass_fds=[number],
                start_new_session=True,  # kernels must not receive signals of the terminal
            )

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a kernel, in addition to those of this process."""
        if self.threads is None:
            return {}
        return dict.fromkeys(THREAD_VARIABLES, str(self.threads))

    def manager(self) -> KernelManager:
        """Return the manager of a new kernel with its own sockets and log; it is not started."""
        with self._lock:
            server = self._fork_server
            if server is not None and server.poll() is not None and not self.closed:
                self._start_fork_server()
        path = self.folder / f"{next(self._numbers)}"
        config = Config()
        config.KernelManager.connection_file = f"{path}.json"
        config.KernelManager.shutdown_wait_time = _PATIENCE
        if os.name == "posix":
            config.KernelManager.transport = "ipc"
            config.KernelManager.ip = str(path)
        manager = KernelManager(kernel_name="python3", config=config)
        if self._fork_server is not None:
            manager.fork_server = self._address
        return manager

    def close(self) -> None:
        """Kill all remaining kernels."""
        self.closed = True
        if self._fork_server is not None:
            self._fork_server.stdin.close()
            try:
                self._fork_server.wait(_PATIENCE)
            except subprocess.TimeoutExpired:  # it is still importing; its kernels die with it
                self._fork_server.kill()
                self._fork_server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(self, *error: object) -> None:
        self.close()


class KernelManager(AsyncKernelManager):
    """A kernel manager that uses the `Provisioner` of this module."""

    fork_server = Unicode(help="address of the fork server; empty if there is none")

    @property
    def kernel_spec(self) -> KernelSpec | None:
        """The kernel specification, with the provisioner of this module."""
        spec = super().kernel_spec
        if spec is not None:
            spec.metadata = {
                "kernel_provisioner": {
                    "provisioner_name": "gmmlab",
                    "config": {"fork_server": self.fork_server},
                }
            }
        return spec


class Provisioner(LocalProvisioner):
    """Lets the fork server fork a kernel, or starts it as Jupyter does if there is none."""

    fork_server = Unicode(config=True, help="address of the fork server; empty if there is none")

    async def launch_kernel(self, cmd: list[str], **options: Any) -> dict[str, Any]:
        """Start the kernel and return its connection info."""
        if not self.fork_server:
            with _ONE_AT_A_TIME:  # two kernels that start together could choose the same ports
                return await super().launch_kernel(cmd, **options)
        self.process = _ForkedProcess(
            self.fork_server,
            argv=cmd,
            cwd=str(options.get("cwd") or Path.cwd()),
            env=options["env"],
            log=str(Path(self.parent.connection_file).with_suffix(".log")),
        )
        self.pid = self.pgid = self.process.pid
        self.cwd = options.get("cwd") or Path.cwd()
        return self.connection_info


_ONE_AT_A_TIME = Lock()


class _ForkedProcess:
    """A kernel that the fork server has forked, with the methods of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, fork_server: str, **request: Any) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self.returncode: int | None = None
        reply = b""
        with suppress(OSError):  # the fork server does not answer
            self._connection.connect(fork_server)
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            reply = self._connection.recv(NUMBER.size)
        if not reply:
            self._connection.close()
            raise RuntimeError("the fork server has died")
        (self.pid,) = NUMBER.unpack(reply)

    def poll(self) -> int | None:
        """Return the exit code, or None while the kernel runs."""
        if self.returncode is None:
            with suppress(BlockingIOError):
                self._receive_exit_code(socket.MSG_DONTWAIT)
        return self.returncode

    def wait(self) -> int:
        """Wait until the kernel ends; return the exit code."""
        if self.returncode is None:
            self._receive_exit_code()
        return self.returncode

    def _receive_exit_code(self, flags: int = 0) -> None:
        try:
            reply = self._connection.recv(NUMBER.size, flags)
        except ConnectionError:
            reply = b""
        # Without a reply, the fork server was killed, and the kernel with it.
        self.returncode = NUMBER.unpack(reply)[0] if reply else -signal.SIGKILL
        self._connection.close()

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel and its child processes."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def terminate(self) -> None:
        """Ask the kernel to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the kernel."""
        self.send_signal(signal.SIGKILL)


def import_statements(sources: Iterable[str]) -> list[str]:
    r"""Return the distinct import statements at the top level of some code, in order.

    Examples
    --------
    >>> import_statements(["import numpy as np", "%time x", "def f():\n    import os"])
    ['import numpy as np']
    """
    found: dict[str, None] = {}
    for source in sources:
        with suppress(SyntaxError):  # for example a magic command
            for node in ast.parse(source).body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    found[ast.unparse(node)] = None
    return list(found)
