"""One pass over the data: samples in blocks, sufficient statistics, and what they are checked by.

samples             the data in blocks, in memory or on a Dask cluster
statistics          sufficient statistics of one pass, by whitened residuals
missing             the pass over data with missing entries
scale               the data's own scale, and floors relative to it
degeneracy          empty and collapsed components
threads             one thread for each core, one BLAS thread in each
"""

from gmmlab.engine.exponential_family import natural_parameters
from gmmlab.engine.samples import Samples, as_samples
from gmmlab.engine.scale import relative_floor

__all__ = ["Samples", "as_samples", "natural_parameters", "relative_floor"]
