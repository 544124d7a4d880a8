"""Structures without correlations."""

import numpy as np
import pytest

from gmmlab import EEI, EII, EVI, Diagonal, Spherical


@pytest.mark.parametrize(
    ("structure", "bad"), [(Diagonal, 0.0), (EEI, -1.0), (Spherical, 0.0), (EII, -1.0), (EVI, 0.0)]
)
def test_variances_must_be_positive(structure, bad):
    values = np.array(structure.unit(2, 2).values)
    values.flat[-1] = bad
    with pytest.raises(ValueError, match=f"{structure.__name__} values must be positive"):
        structure(values)
