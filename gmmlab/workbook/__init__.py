"""Notebooks: their parameters, their runs, and what these leave behind.

    parameters, values      the parameters cell as a contract; values as people write them
    recording               what a notebook leaves for whoever ran it
    notebooks               the workbook's folder, and notebooks before they are run
    failures, files         what can go wrong with a run; files that are whole
    keeper, kernels         processes that run code, none of which is left behind
    execution               one notebook executed, within limits
    provenance              what results depend on
    store, runs             the folder of runs, and making them
    sweeps, cluster         many runs, on this machine or on others
    comparison              two runs side by side; the same run again
    page, reports           what a person reads
    cli                     the command `gmmlab`

Nothing here knows of mixtures. Names are loaded when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "runs.comparison": ["check", "compare", "rerun"],
        "runs.execution": ["Limits"],
        "errors": ["RunFailed"],
        "notebooks": ["Workbook"],
        "parameters": ["check_parameters"],
        "recording": ["record"],
        "runs": ["run"],
        "runs.store": ["Run"],
        "sweeps": ["sweep"],
    },
)
