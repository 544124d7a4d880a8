"""Which mixture: how many components, and what their covariances have in common.

comparison        `compare`: a grid of structures by numbers of components, ranked by criteria
grid              the fits of its cells
split_merge       starts that a cell gets from its neighbours
cross_validation  scores on held-out samples
bootstrap_test    is one more component more than chance?
merging           clusters made of several components
"""

from gmmlab.selection.bootstrap_test import (
    BootstrapTest,
    SequentialTest,
    bootstrap_test,
    sequential_test,
)
from gmmlab.selection.comparison import CRITERIA, Comparison, compare
from gmmlab.selection.grid import Cell
from gmmlab.selection.merging import Merging, merge

__all__ = [
    "CRITERIA",
    "BootstrapTest",
    "Cell",
    "Comparison",
    "Merging",
    "SequentialTest",
    "bootstrap_test",
    "compare",
    "merge",
    "sequential_test",
]
