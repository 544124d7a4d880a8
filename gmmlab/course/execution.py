"""Running a submission: nbgrader's step of that name, within limits and within its folder.

nbgrader gives full marks to a test that was not run: it left no error. So here a cell that could
not be run says so, with an error.
"""

from __future__ import annotations

import os
import time
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbclient.util import run_sync
from nbgrader.preprocessors import Execute

from gmmlab.workbook.runs.kernels import Kernels

#: kernels that a submission may use up before the rest of it is given up
_KERNELS = 4
#: seconds that a kernel has to answer after it was interrupted
_PATIENCE = 3.0
#: characters of outputs of one cell that are kept
_MOST = 1_000_000


class Confined(Execute):
    """Executes each cell in a kernel that is held to the folder of the submission.

    A cell in which the kernel ends, or which cannot be interrupted, is left out, and the others
    are run again without it.

    Parameters
    ----------
    kernels : Kernels
        Where kernels come from.
    course : str
        The folder of the course.
    cell_timeout, timeout : float
        Seconds for a cell, and for the whole of a submission.
    """

    def __init__(self, kernels: Kernels, course: str, cell_timeout: float, timeout: float) -> None:
        super().__init__()
        self.kernels = kernels
        self.extra_arguments = [
            "--HistoryManager.hist_file=:memory:",
            "--IPKernelApp.exec_lines="
            f"from gmmlab.course.sandbox import confine; confine({course!r})",
        ]
        self.seconds = cell_timeout
        self.whole = timeout

    def __call__(self, nb: Any, resources: Any) -> Any:
        """Run a notebook, as nbconvert asks for it."""
        return self.preprocess(nb, resources)

    def preprocess(self, nb: Any, resources: Any = None, km: Any = None) -> Any:
        """Run a notebook; return it and the resources."""
        self.end = time.monotonic() + self.whole
        left_out: dict[int, str] = {}
        while True:
            stopped = self._run(nb, resources, left_out)
            if stopped is None:
                break
            number, reason = stopped
            left_out[number] = reason
            if len(left_out) >= _KERNELS or time.monotonic() >= self.end:
                for later in range(number, len(nb.cells)):
                    _say(nb.cells[later], reason if later == number else "NotRun: given up")
                break
        return nb, resources

    def _run(self, nb: Any, resources: Any, left_out: dict[int, str]) -> tuple[int, str] | None:
        """Run the cells but those left out; return where that ended early, and why."""
        NotebookClient.__init__(self, nb, self.kernels.manager())
        self.reset_execution_trackers()
        self._check_assign_resources(resources)
        self.timeout_func = self._seconds_left
        self.raise_on_iopub_timeout = False
        environment = {**os.environ, **self.kernels.environment, "NBGRADER_EXECUTION": "autograde"}
        with self.setup_kernel(cleanup_kc=True, env=environment):
            for number, cell in enumerate(nb.cells):
                if number in left_out:
                    _say(cell, left_out[number])
                    continue
                self.timed_out, self.size = False, 0
                try:
                    self.preprocess_cell(cell, resources, number)
                except DeadKernelError:
                    return number, "KernelDied: the kernel ended in this cell"
                if self.timed_out and not self._answers():
                    return number, "TimeOut: this cell did not end, and would not be interrupted"
        return None

    def _seconds_left(self, cell: Any = None) -> float:
        return max(0.1, min(self.seconds, self.end - time.monotonic()))

    async def _async_handle_timeout(self, timeout: int, cell: Any = None) -> Any:
        self.timed_out = True
        self.error_on_timeout = {
            "ename": "TimeOut",
            "evalue": f"no end after {timeout:.0f} s",
            "traceback": [f"TimeOut: no end after {timeout:.0f} s"],
        }
        return await super()._async_handle_timeout(timeout, cell)

    def _answers(self) -> bool:
        """Whether the kernel is free again."""
        request = self.kc.kernel_info()
        end = time.monotonic() + _PATIENCE
        while (left := end - time.monotonic()) > 0:
            try:
                message = run_sync(self.kc.get_shell_msg)(timeout=left)
            except Exception:  # `Empty` of one module or another
                return False
            if message["parent_header"].get("msg_id") == request:
                return True
        return False

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Take an output of the kernel, as long as there are not too many."""
        if msg["msg_type"] in ("stream", "display_data", "execute_result", "update_display_data"):
            self.size += sum(len(str(value)) for value in _texts(msg["content"]))
            if self.size > _MOST:
                return None
        return super().process_message(msg, cell, cell_index)


def _texts(content: dict[str, Any]) -> list[Any]:
    return [content.get("text", ""), *content.get("data", {}).values()]


def _say(cell: Any, reason: str) -> None:
    """Have a cell that was not run say so."""
    if cell.cell_type == "code" and cell.source.strip():
        name, _, words = reason.partition(": ")
        cell.outputs = [
            nbformat.v4.new_output("error", ename=name, evalue=words, traceback=[reason])
        ]
