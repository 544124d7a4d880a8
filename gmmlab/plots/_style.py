"""What static and interactive figures share: colours, checks of arguments, points on ellipsoids.

Nothing here draws: `samples` and `components` draw with matplotlib, and `interactive` with plotly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np

from gmmlab._validation import check_labels, check_numeric, check_samples
from gmmlab.mixture import Mixture, check_mixture

#: ten colours that can be distinguished with any colour vision (Petroff 2021)
COLOURS: tuple[str, ...] = tuple(mpl.color_sequences["petroff10"])
#: grey, for samples without labels
UNLABELLED = "0.45"
#: a legend with more entries is left out, because they could not be distinguished
MAX_LEGEND_ENTRIES = 12


def colour(k: int) -> str:
    """Return the colour of component or label `k`; colours repeat after ten."""
    return COLOURS[k % len(COLOURS)]


def check_drawable(X: Any, features: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Return the checked samples, of one to three features, and the features' names."""
    X = check_samples(X)
    if X.shape[1] > 3:
        raise ValueError(f"X must have one, two or three features to be drawn; got {X.shape[1]}")
    return X, feature_names(features, X.shape[1])


def feature_names(features: Sequence[str] | None, n_features: int) -> list[str]:
    """Return `features`, or the default names x1, x2, … if it is None."""
    if features is None:
        return [f"x{j + 1}" for j in range(n_features)]
    if len(features) != n_features:
        raise ValueError(f"features must contain {n_features} names; got {len(features)}")
    return list(features)


def groups(labels: Any, true: Any, n_samples: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield each pair of predicted and true label that occurs, and a mask of its samples.

    Labels that are not given are taken as 0.
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
    """Return the average colour of each sample's components, shape (n_samples, 3)."""
    responsibilities = check_samples(responsibilities, name="responsibilities")
    if len(responsibilities) != len(X):
        raise ValueError(
            f"responsibilities must have one row for each of {len(X)} samples; "
            f"got {len(responsibilities)}"
        )
    palette = np.array([mpl.colors.to_rgb(colour(k)) for k in range(responsibilities.shape[1])])
    return np.clip(responsibilities @ palette, 0, 1)


def means_and_covariances(
    mixture: Mixture | None, means: Any, covariances: Any, *, n_features: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the means and covariances of `mixture`, or the checked arrays."""
    if (mixture is None) == (means is None and covariances is None):
        raise ValueError("give either mixture, or both means and covariances")
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
    """Return the line colour of each of `k` components."""
    if kind == "true":
        return ["black"] * k
    if order is not None and len(order) != k:
        raise ValueError(
            f"order must contain {k} numbers, one for each component; got {len(order)}"
        )
    return [colour(number) for number in (range(k) if order is None else order)]


def surfaces(means: np.ndarray, covariances: np.ndarray, sigma: float) -> np.ndarray:
    """Return points on the σ-ellipsoid of each component, shape (n_components, 17, 9, 3).

    Each ellipsoid has 17 meridians of 9 points, from pole to pole; the last meridian repeats the
    first. The poles are the ends of the longest axis.
    """
    around, down = np.mgrid[0 : 2 * np.pi : 17j, 0 : np.pi : 9j]
    sphere = np.stack(
        [np.cos(around) * np.sin(down), np.sin(around) * np.sin(down), np.cos(down)], axis=-1
    )
    eigenvalues, vectors = np.linalg.eigh(covariances)
    lengths = np.sqrt(np.maximum(eigenvalues, 0))[:, None, None]
    rotated = sigma * (sphere * lengths) @ vectors.swapaxes(1, 2)[:, None]
    return means[:, None, None] + rotated
