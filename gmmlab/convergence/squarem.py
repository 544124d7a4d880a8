"""Longer steps than EM's own where it is slow: squared extrapolation.

From two EM steps θ₀ → θ₁ → θ₂, with r = θ₁ − θ₀ and v = (θ₂ − θ₁) − r, the map's slowest
direction is seen, and

    θ' = θ₀ + 2 α r + α² v,   α = ‖r‖ / ‖v‖

is where many more such steps would lead (SQUAREM; Varadhan and Roland 2008, scheme S3). It is
taken in `Coordinates`, so that θ' is a mixture whatever α is, and lengths are weighed by how
many samples see them. `fit` keeps θ' only if the log-likelihood there is not lower.
"""

from __future__ import annotations

import numpy as np

from gmmlab.convergence.coordinates import Coordinates
from gmmlab.mixture import Mixture

# Steps are lengthened by at most this factor at first, and by this much more or less as
# extrapolations hold or fail (Varadhan and Roland 2008, section 7).
_FIRST, _FACTOR = 1.0, 4.0


class Squarem:
    """Extrapolation from every second EM step."""

    def __init__(self, free: frozenset[str]) -> None:
        self.free = free
        self.longest = _FIRST
        self._first: Mixture | None = None

    def propose(self, mixture: Mixture, new: Mixture) -> Mixture | None:
        """Return an extrapolation after the EM step from `mixture` to `new`, or None.

        It takes two steps in a row; the first returns None.
        """
        if self._first is None:
            self._first = mixture
            return None
        origin, self._first = self._first, None
        coordinates = Coordinates(origin, self.free)
        r = coordinates.of(mixture)
        v = coordinates.of(new) - 2 * r
        weight = self._weight(coordinates)
        bend = np.sqrt(weight @ v**2)
        ratio = np.sqrt(weight @ r**2) / bend if bend > 0 else np.inf
        alpha = min(ratio, self.longest)
        if alpha == self.longest:
            self.longest *= _FACTOR
        if not alpha > 1:
            return None
        return coordinates.mixture(2 * alpha * r + alpha**2 * v)

    def reject(self) -> None:
        """Be told that the last extrapolation was worse than no extrapolation."""
        self.longest = max(self.longest / _FACTOR, _FIRST)

    @staticmethod
    def _weight(coordinates: Coordinates) -> np.ndarray:
        shares = np.zeros(coordinates.size + 1)
        np.add.at(shares, coordinates.places, coordinates.origin.weights[:, None])
        return shares[:-1]
