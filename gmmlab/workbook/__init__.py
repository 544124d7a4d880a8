"""Notebooks: their parameters, what they record, and how they are executed.

    parameters    the parameters cell as a contract
    recording     what a notebook leaves for whoever ran it
    execution     running notebooks: a report of each, or in place
    page          the HTML of an executed notebook, self-contained

Nothing here knows of mixtures. ``python -m gmmlab.workbook --help`` shows the commands.
"""

from gmmlab.workbook.parameters import check_parameters
from gmmlab.workbook.recording import record

__all__ = ["check_parameters", "record"]
