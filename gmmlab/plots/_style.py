"""What the pictures have in common, flat or turning: colours, groups of samples, ellipsoids.

`plots` draws it with matplotlib, `space` with plotly. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np

from gmmlab._validation import check_labels, check_numeric, check_samples
from gmmlab.mixture import Mixture, check_mixture

#: ten colours that people with any colour vision can tell apart (Petroff 2021)
COLOURS: tuple[str, ...] = tuple(mpl.color_sequences["petroff10"])
#: the grey of samples that have no label
UNLABELLED = "0.45"
#: more entries than this in a legend are not told apart
MOST_ENTRIES = 12


def colour(k: int) -> str:
    """Return the colour of component or label `k`; it repeats after ten."""
    return COLOURS[k % len(COLOURS)]


def check_drawable(X: Any, features: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Return samples of one to three features, and a name for each feature."""
    X = check_samples(X)
    if X.shape[1] > 3:
        raise ValueError(f"X must have one, two or three features to be drawn; got {X.shape[1]}")
    return X, feature_names(features, X.shape[1])


def feature_names(features: Sequence[str] | None, n_features: int) -> list[str]:
    """Return `features`, or x1, x2 … where there are none."""
    if features is None:
        return [f"x{j + 1}" for j in range(n_features)]
    if len(features) != n_features:
        raise ValueError(f"features must be {n_features} names; got {len(features)}")
    return list(features)


def groups(labels: Any, true: Any, n_samples: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield each pair of labels that occurs, predicted and true, and which samples have it.

    Labels that are None count as 0.
    """
    predicted, shapes = (
        np.zeros(n_samples, int)
        if values is None
        else check_labels(values, name=name, n_samples=n_samples)
        for name, values in (("labels", labels), ("true", true))
    )
    for k in np.unique(predicted):
        for t in np.unique(shapes[predicted == k]):
            yield int(k), int(t), (predicted == k) & (shapes == t)


def blend(X: np.ndarray, responsibilities: Any) -> np.ndarray:
    """Return the mixed colour of each sample, shape (n_samples, 3)."""
    responsibilities = check_samples(responsibilities, name="responsibilities")
    if len(responsibilities) != len(X):
        raise ValueError(
            f"responsibilities must have a row for each of {len(X)} samples; "
            f"got {len(responsibilities)}"
        )
    palette = np.array([mpl.colors.to_rgb(colour(k)) for k in range(responsibilities.shape[1])])
    return np.clip(responsibilities @ palette, 0, 1)


def means_and_covariances(
    mixture: Mixture | None, means: Any, covariances: Any, *, n_features: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the means and covariances of a mixture, or those given instead of it."""
    if (mixture is None) == (means is None and covariances is None):
        raise ValueError("give either mixture, or means and covariances")
    if mixture is not None:
        means, covariances = check_mixture(mixture).means, mixture.covariances
    means = check_samples(means, name="means", n_features=n_features)
    covariances = check_numeric(covariances, name="covariances")
    if covariances.shape != (len(means), n_features, n_features):
        raise ValueError(
            f"covariances must have shape {(len(means), n_features, n_features)}; "
            f"got {covariances.shape}"
        )
    return means, covariances


def line_colours(kind: str, order: Sequence[int] | None, k: int) -> list[str]:
    """Return the colour of each of `k` components' lines."""
    if kind == "true":
        return ["black"] * k
    if order is not None and len(order) != k:
        raise ValueError(f"order must be {k} numbers, one a component; got {len(order)}")
    return [colour(number) for number in (range(k) if order is None else order)]


def surfaces(means: np.ndarray, covariances: np.ndarray, sigma: float) -> np.ndarray:
    """Return points on the σ-ellipsoid of each component, turned as its covariance is.

    Shape (n_components, 17, 9, 3): 17 meridians, the last of them the first again, of 9 points
    from pole to pole. The poles are at the ends of the longest axis.
    """
    around, down = np.mgrid[0 : 2 * np.pi : 17j, 0 : np.pi : 9j]
    sphere = np.stack(
        [np.cos(around) * np.sin(down), np.sin(around) * np.sin(down), np.cos(down)], axis=-1
    )
    eigenvalues, vectors = np.linalg.eigh(covariances)
    lengths = np.sqrt(np.maximum(eigenvalues, 0))[:, None, None]
    turned = sigma * (sphere * lengths) @ vectors.swapaxes(1, 2)[:, None]
    return means[:, None, None] + turned
