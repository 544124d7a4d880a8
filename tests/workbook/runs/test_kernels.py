"""Kernels: forked and fresh kernels are equivalent, and none outlives its client."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from workbooks import CHECK, PARAMETERS, ROOT, all_gone, descendants, eventually, write_notebook

from gmmlab.workbook.errors import RunFailed
from gmmlab.workbook.recording import recorded
from gmmlab.workbook.runs.execution import Limits, execute
from gmmlab.workbook.runs.kernels import Kernels, _ForkedProcess, import_statements

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")

RECORD = "from gmmlab.workbook import record"
#: records the state of the kernel
STATE = f"""{RECORD}
import os, random, signal, sys, threading
import numpy as np
import matplotlib
record(
    path=sys.path, cwd=os.getcwd(), main=__name__,
    environment={{n: v for n, v in os.environ.items() if not n.startswith(("JPY_", "KERNEL_"))}},
    backend=matplotlib.get_backend(), input=sys.stdin.read(),
    interrupt=str(signal.getsignal(signal.SIGINT)), child=str(signal.getsignal(signal.SIGCHLD)),
    umask=os.umask(0o022), threads=threading.active_count(),
)"""


def execute_in(folder, kernels, *cells, limits=None):
    path = write_notebook(folder / "n.ipynb", PARAMETERS, CHECK, *cells)
    return execute(
        nbformat.read(path, as_version=4),
        {},
        folder / "out.ipynb",
        folder=folder,
        kernels=kernels,
        limits=limits or Limits(cell=30),
    )


def run_in(folder, kernels, *cells):
    return recorded(execute_in(folder, kernels, *cells))


class FreshKernels(Kernels):
    """Kernels that are started as Jupyter starts them."""

    def _start_fork_server(self):
        pass


def processes_of(kernels):
    return descendants(kernels._fork_server.pid)


def test_a_forked_kernel_has_the_state_of_a_fresh_one(tmp_path):
    with FreshKernels([STATE], threads=1) as fresh, Kernels([STATE], threads=1) as forked:
        expected = run_in(tmp_path, fresh, STATE)
        found = run_in(tmp_path, forked, STATE)
    assert expected["cwd"] == str(tmp_path)
    assert expected["backend"] in ("inline", "module://matplotlib_inline.backend_inline")
    assert expected["environment"].pop("OMP_NUM_THREADS") == "1"
    assert found["environment"].pop("OMP_NUM_THREADS") == "1"
    differs = set(found["environment"].items()) ^ set(expected["environment"].items())
    assert not differs
    assert found == expected


def test_a_forked_kernel_shows_figures(tmp_path):
    cell = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
    with Kernels([cell], threads=1) as kernels:
        executed = execute_in(tmp_path, kernels, cell)
    (output,) = executed.cells[2].outputs
    assert set(output.data) == {"image/png", "text/plain"}


def test_imports_happen_in_advance_and_each_kernel_has_its_own_random_numbers(tmp_path):
    (tmp_path / "marker.py").write_text("import os\nwhere = os.getpid()")
    cell = f"""{RECORD}
import marker
import random
import numpy as np
import numpy.random  # otherwise NumPy loads it at its first use
import os
record(in_advance=marker.where != os.getpid(), draws=[float(np.random.rand()), random.random()])"""
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tmp_path), str(ROOT), before]))
    try:
        with Kernels([cell], threads=1) as kernels:
            one, other = run_in(tmp_path, kernels, cell), run_in(tmp_path, kernels, cell)
        with Kernels([cell], threads=2) as kernels:
            alone = run_in(tmp_path, kernels, cell)
    finally:
        os.environ["PYTHONPATH"] = before
    assert one["in_advance"]
    assert other["in_advance"]
    assert not alone["in_advance"]  # libraries with more than one thread cannot be forked
    assert not set(one["draws"]) & set(other["draws"])


START_THREAD = """import os, threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
where = os.getpid()
"""


def test_each_kernel_imports_a_module_that_starts_threads_for_itself(tmp_path, monkeypatch):
    (tmp_path / "threaded.py").write_text(START_THREAD)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    cell = f"{RECORD}\nimport threaded\nimport os\nrecord(own=threaded.where == os.getpid())"
    with Kernels([cell], threads=1) as kernels:
        assert run_in(tmp_path, kernels, cell) == {"own": True}


def test_the_fork_server_starts_again_at_most_once(tmp_path, monkeypatch):
    """Threads that Python itself starts are there again after each start."""
    (tmp_path / "sitecustomize.py").write_text(
        f"{START_THREAD}open({str(tmp_path / 'starts')!r}, 'a').write('x')"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    cell = f"import json\n{RECORD}\nrecord(k=k)"
    for threads, starts in ((1, "xx"), (2, "x")):
        with Kernels([cell], threads=threads) as kernels:
            assert run_in(tmp_path, kernels, cell) == {"k": 3}
        assert (tmp_path / "starts").read_text() == starts
        (tmp_path / "starts").unlink()


def test_an_import_that_fails_does_so_in_the_notebook(tmp_path):
    cell = "import no_such_module"
    with Kernels([cell], threads=1) as kernels, pytest.raises(Exception, match="no_such_module"):
        execute_in(tmp_path, kernels, cell)


def test_import_statements_are_read_without_running():
    sources = [
        "import numpy as np\nfrom a import b\nx = 1",
        "%magic\nimport os",
        "import numpy as np",
    ]
    assert import_statements(sources) == ["import numpy as np", "from a import b"]


def start(kernels, folder):
    """Let the fork server fork a kernel; return its process."""
    manager = kernels.manager()
    argv = ["python", "-m", "ipykernel_launcher", "-f", f"{manager.connection_file}"]
    log = str(folder / "log")
    return _ForkedProcess(
        manager.fork_server, argv=argv, cwd=str(folder), env=dict(os.environ), log=log
    )


@pytest.fixture
def two(tmp_path):
    """Start two kernels of one fork server."""
    with Kernels() as kernels:
        one, other = start(kernels, tmp_path), start(kernels, tmp_path)
        assert one.pid != other.pid
        assert one.poll() is other.poll() is None
        yield kernels, one, other


def test_closing_kills_all_kernels_and_removes_the_sockets(two):
    kernels, one, other = two
    processes = processes_of(kernels)
    assert {process.pid for process in processes} == {one.pid, other.pid}
    kernels.close()
    assert all_gone(processes)
    assert not kernels.folder.exists()
    assert one.wait() == other.wait() == -signal.SIGKILL
    kernels.close()  # closing twice is allowed


def test_only_the_kernel_of_a_client_that_disconnects_is_killed(two):
    kernels, one, other = two
    process = psutil.Process(one.pid)
    one._connection.close()
    assert all_gone([process])
    assert other.poll() is None
    assert kernels._fork_server.poll() is None


def test_each_kernel_can_be_killed_or_terminated_alone(two):
    _, one, other = two
    one.kill()
    assert one.wait() == -signal.SIGKILL
    assert other.poll() is None
    other.terminate()
    assert other.wait() in (0, -signal.SIGTERM)


def test_kernels_die_with_the_fork_server_and_a_new_one_is_started(two):
    kernels, one, other = two
    processes = processes_of(kernels)
    # A fork writes its connection file once it is a kernel.
    assert eventually(lambda: len(list(kernels.folder.glob("*.json"))) == 2)
    for process in processes:
        process.suspend()  # so that it cannot notice the death of its parent itself
    kernels._fork_server.kill()
    kernels._fork_server.wait()
    gone = all_gone(processes)
    for process in processes if not gone else ():
        process.kill()  # suspended processes would stay forever
    assert gone
    assert one.wait() == other.wait() == -signal.SIGKILL
    assert start(kernels, kernels.folder).poll() is None


CLIENT = """
import sys
from pathlib import Path
from test_kernels import Kernels, start
kernels = Kernels()
kernel = start(kernels, kernels.folder)  # kept: a kernel ends with its connection
print(kernels.folder, kernels._fork_server.pid, flush=True)
sys.stdin.read()
"""


def test_no_process_or_file_outlives_a_killed_client():
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    environment = os.environ | {"PYTHONPATH": path}
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with client:
        folder, server = client.stdout.readline().split()
        processes = [psutil.Process(int(server)), *descendants(int(server))]
        assert len(processes) == 2
        client.kill()
    assert all_gone(processes)
    assert not os.path.exists(folder)


def test_closing_stops_a_fork_server_that_is_still_importing(tmp_path, monkeypatch):
    (tmp_path / "slow_import.py").write_text("import time\ntime.sleep(30)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    kernels = Kernels(["import slow_import"], threads=1)
    time.sleep(0.5)
    start_of_closing = time.monotonic()
    kernels.close()
    assert time.monotonic() - start_of_closing < 5
    assert not kernels.folder.exists()


@pytest.mark.parametrize("end", ["pass", "import os; os._exit(1)", "import time; time.sleep(60)"])
def test_a_process_that_a_cell_has_started_ends_with_the_kernel(tmp_path, end):
    cell = "import subprocess\nname = str(subprocess.Popen(['sleep', '60']).pid)\nprint(name)"
    with Kernels() as kernels:
        fails = contextlib.nullcontext() if end == "pass" else pytest.raises(RunFailed)
        with fails:
            execute_in(tmp_path, kernels, cell, end, limits=Limits(cell=2))
        saved = json.loads((tmp_path / "out.ipynb").read_text())
        pid = int("".join(saved["cells"][2]["outputs"][0]["text"]))
        assert eventually(lambda: not psutil.pid_exists(pid), seconds=5)
