"""Run a submission with nbgrader, within time limits and restricted to its own folder.

nbgrader gives full marks to a test that was not run, because it has no error. Therefore, a cell
that could not be run gets an error here.
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

#: number of kernels that a submission may use up before its execution is given up
_MAX_KERNELS = 4
#: seconds that a kernel has to answer after an interrupt
_PATIENCE = 3.0
#: number of characters of a cell's outputs that are kept
_MAX_OUTPUTS = 1_000_000


class ConfinedExecute(Execute):
    """Executes each cell in a kernel that is restricted to the folder of the submission.

    If the kernel dies in a cell or cannot be interrupted, the notebook is run again without that
    cell.

    Parameters
    ----------
    kernels : Kernels
        The source of the kernels.
    course : str
        The folder of the course.
    cell_timeout, timeout : float
        Time limits in seconds, for a cell and for the whole submission.
    """

    def __init__(self, kernels: Kernels, course: str, cell_timeout: float, timeout: float) -> None:
        super().__init__()
        self.kernels = kernels
        self.extra_arguments = [
            "--HistoryManager.hist_file=:memory:",
            "--IPKernelApp.exec_lines="
            f"from gmmlab.course.sandbox import confine; confine({course!r})",
        ]
        self.cell_limit = cell_timeout
        self.limit = timeout

    def __call__(self, nb: Any, resources: Any) -> Any:
        """Run a notebook; nbconvert calls this."""
        return self.preprocess(nb, resources)

    def preprocess(self, nb: Any, resources: Any = None, km: Any = None) -> Any:
        """Run a notebook; return the notebook and the resources."""
        self.end = time.monotonic() + self.limit
        skipped: dict[int, str] = {}
        while True:
            stopped = self._run(nb, resources, skipped)
            if stopped is None:
                break
            number, reason = stopped
            skipped[number] = reason
            if len(skipped) >= _MAX_KERNELS or time.monotonic() >= self.end:
                for later in range(number, len(nb.cells)):
                    _set_error(nb.cells[later], reason if later == number else "NotRun: given up")
                break
        return nb, resources

    def _run(self, nb: Any, resources: Any, skipped: dict[int, str]) -> tuple[int, str] | None:
        """Run all cells but the skipped ones; if that fails, return the cell and the reason."""
        NotebookClient.__init__(self, nb, self.kernels.manager())
        self.reset_execution_trackers()
        self._check_assign_resources(resources)
        self.timeout_func = self._seconds_left
        self.raise_on_iopub_timeout = False
        environment = {**os.environ, **self.kernels.environment, "NBGRADER_EXECUTION": "autograde"}
        with self.setup_kernel(cleanup_kc=True, env=environment):
            for number, cell in enumerate(nb.cells):
                if number in skipped:
                    _set_error(cell, skipped[number])
                    continue
                self.timed_out, self.size = False, 0
                try:
                    self.preprocess_cell(cell, resources, number)
                except DeadKernelError:
                    return number, "KernelDied: the kernel died in this cell"
                if self.timed_out and not self._answers():
                    return number, "TimeOut: this cell did not end and could not be interrupted"
        return None

    def _seconds_left(self, cell: Any = None) -> float:
        return max(0.1, min(self.cell_limit, self.end - time.monotonic()))

    async def _async_handle_timeout(self, timeout: int, cell: Any = None) -> Any:
        self.timed_out = True
        message = f"it did not end within {timeout:.0f} s"
        self.error_on_timeout = {
            "ename": "TimeOut",
            "evalue": message,
            "traceback": [f"TimeOut: {message}"],
        }
        return await super()._async_handle_timeout(timeout, cell)

    def _answers(self) -> bool:
        """Return whether the kernel answers again."""
        request = self.kc.kernel_info()
        end = time.monotonic() + _PATIENCE
        while (left := end - time.monotonic()) > 0:
            try:
                message = run_sync(self.kc.get_shell_msg)(timeout=left)
            except Exception:  # `Empty`, of one of several modules
                return False
            if message["parent_header"].get("msg_id") == request:
                return True
        return False

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Process a message of the kernel; drop outputs beyond the limit."""
        if msg["msg_type"] in ("stream", "display_data", "execute_result", "update_display_data"):
            self.size += sum(len(str(value)) for value in _texts(msg["content"]))
            if self.size > _MAX_OUTPUTS:
                return None
        return super().process_message(msg, cell, cell_index)


def _texts(content: dict[str, Any]) -> list[Any]:
    return [content.get("text", ""), *content.get("data", {}).values()]


def _set_error(cell: Any, reason: str) -> None:
    """Replace the outputs of a code cell that was not run by an error."""
    if cell.cell_type == "code" and cell.source.strip():
        name, _, message = reason.partition(": ")
        cell.outputs = [
            nbformat.v4.new_output("error", ename=name, evalue=message, traceback=[reason])
        ]
