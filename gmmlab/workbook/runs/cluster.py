"""Making runs on the workers of a Dask cluster; each run comes back as an archive of its folder."""

from __future__ import annotations

import asyncio
import atexit
import io
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from gmmlab.workbook.errors import ClusterError, RunFailed
from gmmlab.workbook.notebooks import Workbook
from gmmlab.workbook.runs.kernels import KernelManager, Kernels
from gmmlab.workbook.runs.provenance import Fingerprint
from gmmlab.workbook.runs.runner import Runner
from gmmlab.workbook.runs.store import Store
from gmmlab.workbook.runs.tasks import Outcome, Settings, Task

if TYPE_CHECKING:
    from distributed import Worker

# Dask is an optional dependency: it is imported where it is needed.


class ClusterRunner(Runner):
    """Makes the runs of a workbook on the workers of a Dask cluster.

    Parameters
    ----------
    workbook : Workbook
    scheduler : str
        Address of the Dask scheduler.
    store : Store, optional
        As for `Runner`.
    """

    def __init__(self, workbook: Workbook, scheduler: str, store: Store | None = None) -> None:
        super().__init__(workbook, store)
        self.scheduler = scheduler

    def make_missing(self, tasks: Sequence[Task], settings: Settings) -> Iterator[Outcome]:
        """Make runs on the workers; yield each outcome as it comes.

        If a worker is lost, another worker repeats its runs. A run that has come back is kept in
        the store of this machine and is not repeated.

        Raises
        ------
        ClusterError
            If Dask is not installed, or the scheduler cannot be reached.
        """
        try:
            from distributed import Client, as_completed
        except ImportError:
            raise ClusterError(
                "a scheduler requires Dask; install it with: pip install 'gmmlab[dask]'"
            ) from None
        try:
            # In its own thread, because this one may run an event loop, as in Jupyter.
            with ThreadPoolExecutor(1) as executor:
                executor.submit(asyncio.run, _check_scheduler(self.scheduler)).result()
            client = Client(self.scheduler, timeout="10s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise ClusterError(f"no scheduler answers at {self.scheduler}: {error}") from None
        remote = replace(settings, on_cell=_ignore)
        with client:
            futures = {
                client.submit(
                    make_here,
                    task,
                    self.fingerprint,
                    remote,
                    key=f"{task.id}-{id(tasks)}",
                    pure=False,
                ): task
                for task in tasks
            }
            try:
                for future in as_completed(futures, loop=client.loop):
                    yield self._outcome(futures[future], future)
                    future.release()  # the run is in the store now: free the worker's memory
            finally:
                client.cancel(list(futures))

    def _outcome(self, task: Task, future: object) -> Outcome:
        """Keep the run that a worker has made."""
        name = task.notebook.name
        try:
            archive, failure = future.result()
            if archive is None:
                return Outcome(task, None, failure)
            with self.store.staging(name, task.id) as staging:
                with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                    files.extractall(staging, filter="data")
                if failure is None:
                    return Outcome(task, self.store.keep(staging, name, task.id))
                reason = (staging / "FAILED.txt").read_text(encoding="utf-8")
                run = self.store.keep_failed(staging, name, task.id, reason)
                return Outcome(task, run, failure)
        except RunFailed as failure:
            return Outcome(task, None, failure)
        except Exception as error:  # raised by Dask, for example if a run killed several workers
            return Outcome(task, None, ClusterError(f"{type(error).__name__}: {error}"))


async def _check_scheduler(address: str) -> None:
    """Check that a scheduler answers; a `Client` takes half a minute to give up."""
    from distributed.comm import connect
    from distributed.security import Security

    connection = await connect(address, timeout=5, **Security().get_connection_args("client"))
    await connection.close()


def _ignore(task: Task, index: int) -> None:
    pass


def make_here(
    task: Task, fingerprint: Fingerprint, settings: Settings
) -> tuple[bytes | None, RunFailed | None]:
    """Make a run on this worker; return its folder as an archive, and its failure.

    Raises
    ------
    ClusterError
        If code, data or libraries of this worker differ from those of the client.
    """
    workbook = Workbook.find()
    with tempfile.TemporaryDirectory(prefix="run-") as folder:
        runner = Runner(workbook, Store(Path(folder)))
        _check_same(fingerprint, runner.fingerprint)
        with _KernelsOfOneRun(_kernels(tuple(task.notebook.sources), settings.threads)) as kernels:
            outcome = runner.make_one(task, kernels, settings)
        if outcome.run is None:
            return None, outcome.failure
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as files:
            files.add(outcome.run.folder, arcname=".")
        return archive.getvalue(), outcome.failure


class _KernelsOfOneRun(AbstractContextManager):
    """The kernels of one run, which are killed if the client cancels the run or disconnects.

    Dask forgets a cancelled task, but cannot stop one that is running.
    """

    def __init__(self, kernels: Kernels) -> None:
        self.environment = kernels.environment
        self.closed = False
        self._kernels = kernels
        self._managers: list[KernelManager] = []
        self._finished = Event()

    def __enter__(self) -> _KernelsOfOneRun:
        from distributed import get_worker

        with suppress(ValueError):  # not called by a worker
            worker = get_worker()
            Thread(target=self._watch, args=(worker, worker.get_current_task())).start()
        return self

    def manager(self) -> KernelManager:
        """Return a manager, as `Kernels.manager` does."""
        self._managers.append(self._kernels.manager())
        return self._managers[-1]

    def _watch(self, worker: Worker, key: str) -> None:
        while not self._finished.wait(0.5):
            task = worker.state.tasks.get(key)
            if task is not None and task.state != "cancelled":
                continue
            self.closed = True  # the runner must not take this for a failure of the run
            for manager in self._managers:
                process = manager.provisioner and manager.provisioner.process
                if process:
                    process.kill()

    def __exit__(self, *error: object) -> None:
        self._finished.set()


def _check_same(client: Fingerprint, worker: Fingerprint) -> None:
    different = [name for name in vars(client) if getattr(client, name) != getattr(worker, name)]
    if different:
        raise ClusterError(
            f"a worker does not match this machine (different: {', '.join(different)}); "
            "install the same code, data and libraries on it"
        )


@cache
def _kernels(sources: tuple[str, ...], threads: int | None) -> Kernels:
    """Return the kernels for a notebook; they stay open as long as the worker lives."""
    kernels = Kernels(sources, threads=threads)
    atexit.register(kernels.close)
    return kernels
