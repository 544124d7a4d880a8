"""Runs: a notebook is executed with parameters, and its results are kept in a folder.

    tasks         a run to be made, its outcome, and settings
    store         the folder of runs
    kernels       kernels, which end together with their client
    forkserver    the process that forks kernels
    execution     executing one notebook, within time limits
    provenance    everything that results depend on
    runner        making runs on this machine
    cluster       making runs on a Dask cluster
    comparison    comparing two runs; repeating a run

Names are loaded when they are first used, because `python -m gmmlab.workbook.runs.forkserver`
imports this package and must import as little as possible.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cluster": ["ClusterRunner"],
        "execution": ["Limits"],
        "kernels": ["Kernels"],
        "runner": ["Runner", "run", "write_page"],
        "store": ["Run", "Store"],
        "tasks": ["Outcome", "Settings", "Task", "command"],
    },
)
