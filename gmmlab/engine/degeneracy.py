"""Degenerate components: empty or collapsed, and every threshold that decides it.

The likelihood has no maximum where a covariance shrinks onto a few samples (U1), and a component
without samples cannot be estimated. `fit` detects and reports both.
"""

from __future__ import annotations

import numpy as np

from gmmlab._validation import listed
from gmmlab.covariance import Covariance
from gmmlab.mixture import Mixture

#: A component has *collapsed* in a fit when its smallest variance is below this fraction of the
#: variance of the data.
COLLAPSED = 1e-12
#: A finished fit counts as collapsed below this fraction (`diagnostics.degenerate`), and starts are
#: widened to it.
THIN = 1e-6
#: A component is *empty* when it has fewer expected samples than this; if the weights sum to
#: less than 1, when it has less than this fraction of their sum.
EMPTY = 1e-6
#: A component is *short of samples* when it has this many fewer than its covariance needs; expected
#: counts are not integers.
SHORT = 0.5
#: A variance is on the floor when it is at most this multiple of it; the rest is rounding.
ON_FLOOR = 1 + 1e-9
#: The data are singular when the smallest eigenvalue of their correlation matrix is below this.
SINGULAR = 1e-13
#: A feature is constant when its range is at most this many rounding errors of its values.
CONSTANT = 8
#: A component is held up by the ridge when its smallest variance is below this multiple of it.
RIDGE = 2


def empty(counts: np.ndarray) -> np.ndarray:
    """Return a mask of the components with no effective samples, given Nₖ, shape (…, k)."""
    return counts < EMPTY * np.minimum(1.0, counts.sum(axis=-1, keepdims=True))


def may_be_empty(counts: np.ndarray) -> bool:
    """Return False if no component of a stack is empty, at the least cost."""
    return not counts.min() >= EMPTY


def degenerate_components(
    mixture: Mixture, counts: np.ndarray, reference: Covariance | None
) -> str:
    """Describe the components that are empty or have collapsed.

    Parameters
    ----------
    mixture : Mixture
    counts : ndarray, shape (n_components,)
        Expected number of samples of each component, Nₖ.
    reference : Covariance or None
        Covariance of the data, of the same structure and with one component. None skips the
        check for collapse.

    Returns
    -------
    str
        A description for messages; empty if every component is sound.
    """
    found = [
        f"component {k} is empty (fewer than {EMPTY:g} expected samples)"
        for k in np.flatnonzero(empty(counts))
    ]
    if reference is not None:
        shares = mixture.covariance.relative_to(reference)
        names = [f"component {k}" for k in range(len(shares))]
        if len(shares) < mixture.n_components:  # one covariance for all components
            names = ["the shared covariance"]
        found += [
            f"{names[k]} has collapsed (smallest variance below {COLLAPSED:g} of the data's)"
            for k in np.flatnonzero(~(shares >= COLLAPSED))
        ]
    return "; ".join(found)


def are_sound(mixture: Mixture, counts: np.ndarray, reference: Covariance | None) -> np.ndarray:
    """Return for which mixtures of a stack `degenerate_components` finds nothing, shape (…)."""
    sound = ~empty(counts).any(axis=-1)
    if reference is not None:
        # The smallest eigenvalue of R⁻¹ᐟ² Σ R⁻¹ᐟ² is above 1 / tr(Σ⁻¹ R).
        wide = (mixture.covariance.trace(reference.stack) < 1 / COLLAPSED).all(axis=-1)
        if not wide.all():
            wide = (mixture.covariance.relative_to(reference) >= COLLAPSED).all(axis=-1)
        sound = sound & wide
    return sound


def can_be_evaluated(mixture: Mixture) -> np.ndarray:
    """Return whether the densities of a mixture are finite: no covariance is singular.

    For a stack, the result has one entry for each mixture.
    """
    return np.isfinite(mixture.log_normaliser).all(axis=-1)


def describe(components: np.ndarray, what: str) -> str:
    """Return ``"what: component 0, 2"`` for a mask of components, or "" if it is all False.

    A mask with a single entry stands for the covariance that all components share.
    """
    if not components.any():
        return ""
    names = f"component {listed(components)}" if len(components) > 1 else "the covariance"
    return f"{what}: {names}"
