"""Notebooks as experiments: their parameters, runs, sweeps and reports.

    parameters, values      the parameters cell as a contract; values as people write them
    recording               the results that a notebook records
    notebooks               the workbook folder, and notebooks before they are run
    errors, files           what can go wrong with a run; atomic writing of files
    runs                    executing notebooks, and the folder that each run leaves
    sweeps                  many runs over a grid of parameters, and their table
    html                    the HTML pages of runs, sweeps and the index
    reports                 the pages of a reports folder
    cli                     the command `gmmlab`

No module of this package knows about mixtures. Names are loaded when they are first used.
"""

import lazy_loader

from gmmlab._extras import extra

_load, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "errors": ["RunFailed"],
        "notebooks": ["Workbook"],
        "parameters": ["check_parameters"],
        "recording": ["record"],
        "runs.comparison": ["check", "compare", "rerun"],
        "runs.execution": ["Limits"],
        "runs.runner": ["run"],
        "runs.store": ["Run"],
        "sweeps": ["sweep"],
    },
)


def __getattr__(name: str) -> object:
    with extra("workbook"):
        return _load(name)
