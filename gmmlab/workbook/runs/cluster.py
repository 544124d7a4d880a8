"""Making runs on the workers of a Dask cluster; each comes back as the files of its folder."""

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

from gmmlab.workbook.errors import Elsewhere, RunFailed
from gmmlab.workbook.notebooks import Workbook
from gmmlab.workbook.runs.kernels import KernelManager, Kernels
from gmmlab.workbook.runs.provenance import Surroundings
from gmmlab.workbook.runs.store import Store

if TYPE_CHECKING:
    from distributed import Worker

    from gmmlab.workbook.runs.runner import Maker, Outcome, Settings, Task


def make_elsewhere(maker: Maker, tasks: Sequence[Task], settings: Settings) -> Iterator[Outcome]:
    """Have tasks done by the workers of `settings.scheduler`; yield outcomes as they come.

    The runs of a worker that is lost are done again by another. What has come back is kept
    here, and done no more.

    Raises
    ------
    Elsewhere
        If Dask is not installed, or the scheduler cannot be reached.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise Elsewhere("a scheduler needs Dask here too: pip install -e '.[dask]'") from None
    try:
        with ThreadPoolExecutor(1) as executor:  # there may be a loop in this thread, as in Jupyter
            executor.submit(asyncio.run, _greet(settings.scheduler)).result()
        client = Client(settings.scheduler, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise Elsewhere(f"no scheduler answers at {settings.scheduler}: {error}") from None
    there = replace(settings, scheduler=None, on_cell=_nothing)
    with client:
        futures = {
            client.submit(
                make_here, task, maker.surroundings, there, key=f"{task.id}-{id(tasks)}", pure=False
            ): task
            for task in tasks
        }
        try:
            for future in as_completed(futures, loop=client.loop):
                yield _outcome(maker, futures[future], future)
                future.release()  # it has its folder here; its memory there is no more needed
        finally:
            client.cancel(list(futures))


async def _greet(scheduler: str) -> None:
    """See whether somebody answers; a client that found nobody takes half a minute to end."""
    from distributed.comm import connect
    from distributed.security import Security

    there = await connect(scheduler, timeout=5, **Security().get_connection_args("client"))
    await there.close()


def _nothing(task: Task, number: int) -> None:
    pass


def _outcome(maker: Maker, task: Task, future: object) -> Outcome:
    from gmmlab.workbook.runs.runner import Outcome

    name = task.notebook.name
    try:
        archive, failure = future.result()
        if archive is None:
            return Outcome(task, None, failure)
        with maker.store.aside(name, task.id) as aside:
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                files.extractall(aside, filter="data")
            if failure is None:
                return Outcome(task, maker.store.keep(aside, name, task.id))
            reason = (aside / "FAILED.txt").read_text(encoding="utf-8")
            return Outcome(task, maker.store.keep_failed(aside, name, task.id, reason), failure)
    except RunFailed as failure:
        return Outcome(task, None, failure)
    except Exception as error:  # of Dask: a run that has taken several workers with it, say
        return Outcome(task, None, Elsewhere(f"{type(error).__name__}: {error}"))


def make_here(
    task: Task, surroundings: Surroundings, settings: Settings
) -> tuple[bytes | None, RunFailed | None]:
    """Make a run on this worker; return its folder as an archive, and its failure.

    Raises
    ------
    Elsewhere
        If code, data or libraries are not here what they are where the run is wanted.
    """
    from gmmlab.workbook.runs.runner import Maker

    workbook = Workbook.find()
    with tempfile.TemporaryDirectory(prefix="run-") as folder:
        maker = Maker(workbook, Store(Path(folder)))
        _check_the_same(surroundings, maker.surroundings)
        with _Wanted(_kernels(tuple(task.notebook.sources), settings.threads)) as kernels:
            outcome = maker.make_one(task, kernels, settings)
        if outcome.run is None:
            return None, outcome.failure
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as files:
            files.add(outcome.run.folder, arcname=".")
        return archive.getvalue(), outcome.failure


class _Wanted(AbstractContextManager):
    """The kernels of one run, killed if the client takes the run back, or is no more.

    Dask forgets such a task, but cannot stop one that has begun.
    """

    def __init__(self, kernels: Kernels) -> None:
        self.environment = kernels.environment
        self.closed = False
        self._kernels = kernels
        self._managers: list[KernelManager] = []
        self._over = Event()

    def __enter__(self) -> _Wanted:
        from distributed import get_worker

        with suppress(ValueError):  # called by hand, on no worker
            worker = get_worker()
            Thread(target=self._watch, args=(worker, worker.get_current_task())).start()
        return self

    def manager(self) -> KernelManager:
        """Return a manager, as `Kernels.manager` does."""
        self._managers.append(self._kernels.manager())
        return self._managers[-1]

    def _watch(self, worker: Worker, key: str) -> None:
        while not self._over.wait(0.5):
            task = worker.state.tasks.get(key)
            if task is not None and task.state != "cancelled":
                continue
            self.closed = True  # so that the run is not taken for a failed one
            for manager in self._managers:
                process = manager.provisioner and manager.provisioner.process
                if process:
                    process.kill()

    def __exit__(self, *error: object) -> None:
        self._over.set()


def _check_the_same(wanted: Surroundings, here: Surroundings) -> None:
    different = [name for name in vars(wanted) if getattr(wanted, name) != getattr(here, name)]
    if different:
        raise Elsewhere(
            f"a worker has another {' and '.join(different)}; install there what is installed here"
        )


@cache
def _kernels(sources: tuple[str, ...], threads: int | None) -> Kernels:
    """Return the kernels for a notebook; they are kept as long as the worker lives."""
    kernels = Kernels(sources, threads=threads)
    atexit.register(kernels.close)
    return kernels
