"""One pass over the data: what every fit is built of.

samples             the data in blocks, in memory or on a Dask cluster
statistics          sufficient statistics of a pass, by whitened residuals
exponential_family  the same by matrix products, faster for few features
missing             the same with missing entries
passes              a pass for a stack of fits: the form for each, in slices
scale               the scale of the data; floors relative to it
degeneracy          empty and collapsed components
options             the checked arguments of `fit` and `fit_many`
trace               points, steps and traces
lockstep            which fits of a stack go on, and how the others ended
threads             one thread for each core, and one BLAS thread in each
"""

from gmmlab.engine.degeneracy import (
    ON_FLOOR,
    SHORT,
    THIN,
    are_sound,
    can_be_evaluated,
    degenerate_components,
    describe,
    empty,
    may_be_empty,
)
from gmmlab.engine.exponential_family import ExponentialFamilyForm, natural_parameters
from gmmlab.engine.lockstep import Ending, Lockstep, describe_each
from gmmlab.engine.missing import ObservedForm, log_joint_observed
from gmmlab.engine.options import Options, marginalises
from gmmlab.engine.passes import Pass
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
from gmmlab.engine.trace import Point, Row, Step, Trace

__all__ = [
    "ON_FLOOR",
    "SHORT",
    "THIN",
    "DaskSamples",
    "Ending",
    "ExponentialFamilyForm",
    "Lockstep",
    "ObservedForm",
    "Options",
    "Pass",
    "Point",
    "ResidualForm",
    "Row",
    "Samples",
    "Step",
    "SufficientStatistics",
    "Trace",
    "are_sound",
    "as_samples",
    "can_be_evaluated",
    "degenerate_components",
    "describe",
    "describe_each",
    "empty",
    "log_joint_observed",
    "log_likelihood_rounding",
    "marginalises",
    "may_be_empty",
    "natural_parameters",
    "one_blas_thread",
    "own_covariance",
    "per_component",
    "relative_floor",
    "total_moment",
    "whole_covariance",
]
