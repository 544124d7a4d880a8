"""Small workbooks for tests of runs and commands, each in its own folder."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil

from gmmlab.workbook.cli import main
from gmmlab.workbook.notebooks import Workbook
from gmmlab.workbook.runs import Runner, Settings

PARAMETERS = "k: int = 3  # number of things; in [1, 20]\nname: str = 'a=b'  # their name"
CHECK = "from gmmlab.workbook import check_parameters, record\n\ncheck_parameters()"
RECORD = "record(k=k, squares=[i**2 for i in range(k)], name=name)"
#: adds a line to a file of the workbook, so that executions can be counted
COUNT = "with open('../executions', 'a') as file:\n    file.write(f'{k}\\n')"
#: a PNG image of one pixel
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
ROOT = Path(__file__).parent.parent


def write_notebook(path, *cells, tags=None):
    """Write a notebook whose first cell is the parameters cell; `tags` are given by cell index."""
    nodes = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(cells)]
    for number, names in {0: ["parameters"], **(tags or {})}.items():
        nodes[number].metadata["tags"] = names
    node = nbformat.v4.new_notebook(cells=nodes)
    node.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python",
        "language": "python",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(node, path)
    return path


def make_workbook(root, **notebooks):
    """Make a workbook of notebooks given by their cells; by default, the notebook `quick`."""
    for name, cells in (notebooks or {"quick": (PARAMETERS, CHECK, COUNT, RECORD)}).items():
        write_notebook(root / "notebooks" / f"{name}.ipynb", *cells)
    return Workbook(root)


def executions(workbook):
    """Return the values of k in the executions that `COUNT` has counted."""
    path = workbook.root / "executions"
    return path.read_text().split() if path.exists() else []


def make(workbook, name="quick", given=None, **settings):
    """Make one run; return its outcome."""
    runner = Runner(workbook)
    task = runner.task(workbook.notebook(name), given or {})
    (outcome,) = runner.make([task], Settings(**settings))
    return outcome


def folders(workbook):
    """Return the names of all folders in the store, including those that are not runs."""
    return sorted(path.name for path in (workbook.reports / "runs").glob("*/*"))


# ---- the command -------------------------------------------------------------------------------


def start_command(workbook, *arguments, **variables):
    """Start the command as a process; its standard streams are pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "gmmlab", *map(str, arguments)],
        cwd=workbook.root,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(workbook, *arguments):
    """Run the command in this process; return its exit code, output and errors."""
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["-C", str(workbook.root), *map(str, arguments)])
        except SystemExit as ended:
            return ended.code, out.getvalue(), err.getvalue()
        finally:
            signal.signal(signal.SIGTERM, before)


def as_json(workbook, *arguments):
    """Run the command with --json in this process; return its exit code and its output."""
    code, out, err = command(workbook, *arguments, "--json")
    assert out, err
    return code, json.loads(out)


# ---- waiting ------------------------------------------------------------------------------------


def eventually(condition, seconds=30.0):
    """Wait until a condition is true; return whether it is."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def descendants(pid):
    """Return the fork servers and kernels of a process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def sockets_of(processes):
    """Return the folders of the sockets of the fork servers among some processes."""
    lines = [process.cmdline() for process in processes]
    return {Path(line[4]) for line in lines if "gmmlab.workbook.runs.forkserver" in line[:3]}


def all_gone(processes, seconds=10.0):
    """Wait until all processes have ended; return whether they have.

    They end within 5 s on an idle machine, and later beside other tests.
    """
    return not psutil.wait_procs(processes, timeout=seconds)[1]
