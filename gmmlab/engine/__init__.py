"""One pass over the data: what every fit is built of.

samples             the data in blocks, in memory or on a Dask cluster
statistics          sufficient statistics of a pass, by whitened residuals
exponential_family  the same by matrix products, faster for few features
missing             the same with missing entries
scale               the scale of the data; floors relative to it
degeneracy          empty and collapsed components
options             the checked arguments of `fit`
trace               one row for each iteration
threads             one thread for each core, and one BLAS thread in each
"""

from gmmlab.engine.degeneracy import (
    ON_FLOOR,
    SHORT,
    THIN,
    can_be_evaluated,
    degenerate_components,
    describe,
    empty,
)
from gmmlab.engine.exponential_family import (
    ExponentialFamilyForm,
    exponential_family_centre,
    natural_parameters,
)
from gmmlab.engine.missing import ObservedForm, log_joint_observed
from gmmlab.engine.options import Options
from gmmlab.engine.samples import DaskSamples, Samples, as_samples
from gmmlab.engine.scale import (
    log_likelihood_rounding,
    own_covariance,
    relative_floor,
    total_moment,
    whole_covariance,
)
from gmmlab.engine.statistics import ResidualForm, SufficientStatistics, per_component
from gmmlab.engine.threads import one_blas_thread
from gmmlab.engine.trace import Point, Recorder, Row, Trace

__all__ = [
    "ON_FLOOR",
    "SHORT",
    "THIN",
    "DaskSamples",
    "ExponentialFamilyForm",
    "ObservedForm",
    "Options",
    "Point",
    "Recorder",
    "ResidualForm",
    "Row",
    "Samples",
    "SufficientStatistics",
    "Trace",
    "as_samples",
    "can_be_evaluated",
    "degenerate_components",
    "describe",
    "empty",
    "exponential_family_centre",
    "log_joint_observed",
    "log_likelihood_rounding",
    "natural_parameters",
    "one_blas_thread",
    "own_covariance",
    "per_component",
    "relative_floor",
    "total_moment",
    "whole_covariance",
]
