"""Random second moments, structures and their likelihoods, for the tests of covariances."""

import numpy as np
from hypothesis import strategies as st
from problems import STRUCTURES, in_moment_shape, random_structure

seeds = st.integers(0, 2**32 - 1)


@st.composite
def cases(draw, structures=STRUCTURES):
    """Draw a structure with random values, its k and d, and a generator."""
    rng = np.random.default_rng(draw(seeds))
    k, d = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    return random_structure(draw(st.sampled_from(structures)), rng, k, d), k, d, rng


def moments_of_clouds(rng, k, d):
    """Return counts (k,) and second moments (k, d, d) of k well-conditioned random clouds."""
    clouds = rng.normal(size=(k, 3 * d + 3, d)) * rng.uniform(0.3, 3, size=(k, 1, d))
    rotations = np.linalg.qr(rng.normal(size=(k, d, d)))[0]
    moments = clouds.swapaxes(1, 2) @ clouds / clouds.shape[1]
    return rng.uniform(1, 9, size=k), rotations @ moments @ rotations.swapaxes(1, 2)


def cost(counts, covariances, moments):
    """Return Σₖ Nₖ (log|Σₖ| + tr Σₖ⁻¹ Mₖ), which is −2 Q up to a constant."""
    traces = np.trace(np.linalg.solve(covariances, moments), axis1=1, axis2=2)
    return counts @ (np.linalg.slogdet(covariances)[1] + traces)


def estimated(structure, counts, moments):
    """Return the estimate from second moments (k, d, d) as matrices."""
    k, d = moments.shape[:2]
    return structure.estimate(counts, in_moment_shape(structure, moments)).dense(k, d)


@st.composite
def stacks(draw):
    """Draw counts (n, k) and second moments (n, k, d, d) of many fits, and a generator.

    In one of them, a component may lie at a single point.
    """
    rng = np.random.default_rng(draw(seeds))
    n, k, d = draw(st.integers(2, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    clouds = [moments_of_clouds(rng, k, d) for _ in range(n)]
    counts, moments = (np.stack(each) for each in zip(*clouds, strict=True))
    if draw(st.booleans()):
        moments[-1, -1] = 0
    return counts, moments, rng
