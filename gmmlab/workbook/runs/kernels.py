"""Where kernels come from: each with sockets of its own, and none left behind.

On Linux they are forked from a `keeper` that has the imports of the notebook behind it, and
ends them if this process dies. Elsewhere they are started as Jupyter starts them.
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

#: variables by which libraries are told how many threads to use
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",  # processes of joblib
)
#: seconds that a kernel, or the keeper, has to end when it is asked to; then it is killed
_PATIENCE = 2.0


class Kernels(AbstractContextManager):
    """A source of kernels; when it is closed, so are they.

    Parameters
    ----------
    sources : iterable of str, optional
        Code whose imports the kernels will need: their cells.
    threads : int or None, optional
        Threads that libraries may use in a kernel; None for what they would choose. Imports
        are done ahead only with one thread, for a process with more cannot be forked.
    """

    def __init__(self, sources: Iterable[str] = (), *, threads: int | None = None) -> None:
        self.threads = threads
        self.closed = False
        # A socket's path must be short: under 107 bytes.
        self.folder = Path(
            tempfile.mkdtemp(prefix="nb-", dir="/tmp" if os.name == "posix" else None)
        )
        self._numbers = count(1)
        self._lock = Lock()
        self._statements = import_statements(sources) if threads == 1 else []
        self._keeper: subprocess.Popen | None = None
        if sys.platform == "linux":
            self._start_keeper()

    def _start_keeper(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)  # a keeper that has died took it along
        place = self.folder / "keeper"
        place.unlink(missing_ok=True)
        self._address = str(place)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._address)
            listener.listen(128)
            number = listener.fileno()
            command = [sys.executable, "-m", "gmmlab.workbook.runs.forkserver"]
            self._keeper = subprocess.Popen(
                [*command, str(number), str(self.folder), json.dumps(self._statements)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=os.environ | self.environment,
                pass_fds=[number],
                start_new_session=True,  # what the terminal sends is for us, not for kernels
            )

    @property
    def environment(self) -> dict[str, str]:
        """Variables that a kernel gets beside those of this process."""
        if self.threads is None:
            return {}
        return dict.fromkeys(THREAD_VARIABLES, str(self.threads))

    def manager(self) -> KernelManager:
        """Return a manager, not yet started, of a kernel with sockets and a log of its own."""
        with self._lock:
            if self._keeper is not None and self._keeper.poll() is not None and not self.closed:
                self._start_keeper()
        path = self.folder / f"{next(self._numbers)}"
        config = Config()
        config.KernelManager.connection_file = f"{path}.json"
        config.KernelManager.shutdown_wait_time = _PATIENCE
        if os.name == "posix":
            config.KernelManager.transport = "ipc"
            config.KernelManager.ip = str(path)
        manager = KernelManager(kernel_name="python3", config=config)
        if self._keeper is not None:
            manager.keeper = self._address
        return manager

    def close(self) -> None:
        """Kill what is left of the kernels."""
        self.closed = True
        if self._keeper is not None:
            self._keeper.stdin.close()
            try:
                self._keeper.wait(_PATIENCE)
            except subprocess.TimeoutExpired:  # it still imports; or its kernels end with it
                self._keeper.kill()
                self._keeper.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(self, *error: object) -> None:
        self.close()


class KernelManager(AsyncKernelManager):
    """A manager whose kernel is provisioned as said below."""

    keeper = Unicode(help="where the keeper listens; nothing if there is none")

    @property
    def kernel_spec(self) -> KernelSpec | None:
        """The specification, with our provisioner."""
        spec = super().kernel_spec
        if spec is not None:
            spec.metadata = {
                "kernel_provisioner": {
                    "provisioner_name": "gmmlab",
                    "config": {"keeper": self.keeper},
                }
            }
        return spec


class Provisioner(LocalProvisioner):
    """Has a kernel forked by the keeper; without one, starts it as any other."""

    keeper = Unicode(config=True, help="where the keeper listens; nothing if there is none")

    async def launch_kernel(self, cmd: list[str], **options: Any) -> dict[str, Any]:
        """Start the kernel and return how to reach it."""
        if not self.keeper:
            with _ONE_AFTER_ANOTHER:  # over TCP, two could take each other's ports
                return await super().launch_kernel(cmd, **options)
        self.process = _ForkedProcess(
            self.keeper,
            argv=cmd,
            cwd=str(options.get("cwd") or Path.cwd()),
            env=options["env"],
            log=str(Path(self.parent.connection_file).with_suffix(".log")),
        )
        self.pid = self.pgid = self.process.pid
        self.cwd = options.get("cwd") or Path.cwd()
        return self.connection_info


_ONE_AFTER_ANOTHER = Lock()


class _ForkedProcess:
    """A kernel of the keeper's, with the methods of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, keeper: str, **request: Any) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self.returncode: int | None = None
        told = b""
        with suppress(OSError):  # there is nobody to hear it
            self._connection.connect(keeper)
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            told = self._connection.recv(NUMBER.size)
        if not told:
            self._connection.close()
            raise RuntimeError("the process that forks kernels has died")
        (self.pid,) = NUMBER.unpack(told)

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        if self.returncode is None:
            with suppress(BlockingIOError):
                self._hear(socket.MSG_DONTWAIT)
        return self.returncode

    def wait(self) -> int:
        """Return the exit code, when there is one."""
        if self.returncode is None:
            self._hear()
        return self.returncode

    def _hear(self, flags: int = 0) -> None:
        try:
            told = self._connection.recv(NUMBER.size, flags)
        except ConnectionError:
            told = b""
        # no word: the keeper was killed, and the kernel with it
        self.returncode = NUMBER.unpack(told)[0] if told else -signal.SIGKILL
        self._connection.close()

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel and what it has started."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def import_statements(sources: Iterable[str]) -> list[str]:
    r"""Return the import statements at the top level of some code, each once, in order.

    Examples
    --------
    >>> import_statements(["import numpy as np", "%time x", "def f():\n    import os"])
    ['import numpy as np']
    """
    found: dict[str, None] = {}
    for source in sources:
        with suppress(SyntaxError):  # a magic, say
            for node in ast.parse(source).body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    found[ast.unparse(node)] = None
    return list(found)
