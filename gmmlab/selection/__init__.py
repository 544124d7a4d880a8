"""Model selection: the number of components and the covariance structure.

comparison        `compare`: fit structures by numbers of components and rank them by criteria
grid              fit the cells of such a grid; cells exchange starts
split_merge       starts made from other fits, by splitting and merging components
search_many       the search of many data sets at once
cross_validation  log-likelihood of held-out samples
bootstrap_test    likelihood-ratio tests of the number of components
merging           clusters that consist of several components
"""

from gmmlab.selection.bootstrap_test import (
    BootstrapTest,
    SequentialTest,
    bootstrap_test,
    sequential_test,
)
from gmmlab.selection.comparison import CRITERIA, Comparison, compare
from gmmlab.selection.cross_validation import Score
from gmmlab.selection.grid import Cell
from gmmlab.selection.merging import Merging, merge
from gmmlab.selection.split_merge import is_tighter

__all__ = [
    "CRITERIA",
    "BootstrapTest",
    "Cell",
    "Comparison",
    "Merging",
    "Score",
    "SequentialTest",
    "bootstrap_test",
    "compare",
    "is_tighter",
    "merge",
    "sequential_test",
]
