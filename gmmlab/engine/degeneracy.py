"""When a component is no estimate of anything: it is empty, or has collapsed.

The likelihood has no maximum where a covariance shrinks onto a few samples (U1), and no sample
speaks about a component that none belongs to. Both are seen here and reported by `fit`.
"""

from __future__ import annotations

import numpy as np

from gmmlab._validation import listed
from gmmlab.covariance import Covariance
from gmmlab.mixture import Mixture

#: a component is *collapsed* when its smallest variance is below this share of the data's own
COLLAPSED = 1e-12
#: a component is *empty* when fewer samples than this are expected from it, or where weights
#: sum to less than 1, a smaller share than this of them
EMPTY = 1e-6


def empty(counts: np.ndarray) -> np.ndarray:
    """Return which components no sample speaks about, given Nₖ."""
    return counts < EMPTY * min(1.0, counts.sum())


def trouble(mixture: Mixture, counts: np.ndarray, own: Covariance | None) -> str:
    """Say which components are empty or, against the data's own covariance, collapsed; or ""."""
    found = [
        f"component {k} is empty (fewer than {EMPTY:g} samples are expected from it)"
        for k in np.flatnonzero(empty(counts))
    ]
    if own is not None and not _surely_wide(mixture.covariance, own):
        shares = mixture.covariance.relative_to(own)
        who = ["component " + str(k) for k in range(len(shares))]
        if len(shares) < mixture.n_components:  # one covariance for all
            who = ["the shared covariance"]
        found += [
            f"{who[k]} has collapsed (smallest variance below {COLLAPSED:g} of the data's own)"
            for k in np.flatnonzero(~(shares >= COLLAPSED))
        ]
    return "; ".join(found)


def _surely_wide(covariance: Covariance, own: Covariance) -> bool:
    """Return whether no covariance can have collapsed, without looking for eigenvalues.

    The smallest eigenvalue of R⁻¹ᐟ² Σ R⁻¹ᐟ² is above 1 / tr(Σ⁻¹ R).
    """
    try:
        return bool(covariance.trace(own.stack).max() < 1 / COLLAPSED)
    except np.linalg.LinAlgError:
        return False


def held(components: np.ndarray, by: str) -> str:
    """Say which covariances (a mask, with one entry where all share one) something holds up."""
    if not components.any():
        return ""
    who = f"component {listed(components)}" if len(components) > 1 else "the covariance"
    return f"{by}: {who}"
