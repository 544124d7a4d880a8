"""Figures of samples, mixtures and fits.

Functions draw into `ax`, or into a new figure, and return the Axes. `show` puts a figure into a
notebook together with its alt text. Fitted components are dashed and true ones solid. Colours stand
for predicted labels and marker shapes for true labels.

show         `show`: display a figure in a notebook, as PNG and SVG
samples      samples, soft assignments and images
components   ellipses, ellipsoids and densities of a mixture
progress     the log-likelihood and the ELBO of a fit over its iterations
selection    criteria, the bootstrap test and merging
uncertainty  confidence regions, bootstrap distributions and classification uncertainty
interactive  3-D figures that the reader can rotate
animation    a fit, step by step
"""

from gmmlab.plots import animation, interactive
from gmmlab.plots._axes import MARKERS, marker
from gmmlab.plots._style import COLOURS, colour
from gmmlab.plots.components import density, ellipses, ellipsoids
from gmmlab.plots.progress import staircase, trace
from gmmlab.plots.samples import data, images, soft_assignment
from gmmlab.plots.selection import bootstrap_test, criterion, merging_entropy, merging_tree
from gmmlab.plots.show import PLOTLY_MIME_TYPE, show
from gmmlab.plots.uncertainty import (
    bootstrap_distribution,
    classification_uncertainty,
    mean_regions,
)

__all__ = [
    "COLOURS",
    "MARKERS",
    "PLOTLY_MIME_TYPE",
    "TURNING_MIME_TYPE",
    "animation",
    "bootstrap_distribution",
    "bootstrap_test",
    "classification_uncertainty",
    "colour",
    "criterion",
    "data",
    "density",
    "ellipses",
    "ellipsoids",
    "images",
    "interactive",
    "marker",
    "mean_regions",
    "merging_entropy",
    "merging_tree",
    "show",
    "soft_assignment",
    "staircase",
    "trace",
]

#: earlier name of `PLOTLY_MIME_TYPE`
TURNING_MIME_TYPE = PLOTLY_MIME_TYPE
