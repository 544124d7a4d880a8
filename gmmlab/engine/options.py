"""The arguments of `fit`, checked before any work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gmmlab._validation import check_choice, check_count, check_floor, check_free, check_number
from gmmlab.engine.degeneracy import describe
from gmmlab.engine.samples import Samples, as_samples
from gmmlab.engine.scale import relative_floor
from gmmlab.mixture import Mixture, check_mixture


@dataclass(frozen=True)
class Options:
    """The checked arguments of a fit; `fit` documents them."""

    samples: Samples
    start: Mixture
    free: frozenset[str]
    tol: float
    max_iter: int
    floor: np.ndarray | None
    degenerate: str
    restarts: Iterator[Mixture]
    callback: Callable[[int, Mixture, float], object] | None
    ridge: float
    accelerate: bool
    extra_step: bool

    @classmethod
    def checked(
        cls,
        X: Any,
        start: Any,
        *,
        free: Any,
        tol: Any,
        max_iter: Any,
        floor: Any,
        degenerate: Any,
        restart: Any,
        callback: Any,
        ridge: Any,
        sample_weight: Any,
        missing: Any,
        accelerate: Any,
        extra_step: Any,
    ) -> Self:
        """Return the options, or raise an error that names the wrong argument."""
        check_choice(missing, ("raise", "marginalise"), name="missing")
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable or None; got {callback!r}")
        if not isinstance(accelerate, bool | np.bool_):
            raise TypeError(f"accelerate must be True or False; got {accelerate!r}")
        samples = as_samples(X, sample_weight, missing=missing == "marginalise")
        if check_mixture(start, name="start").n_features != samples.n_features:
            raise ValueError(
                f"start must have as many features as X ({samples.n_features}); "
                f"got {start.n_features}"
            )
        if samples.n_samples < start.n_components:
            raise ValueError(
                "X must have at least as many samples as start has components "
                f"({start.n_components}); got {samples.n_samples}"
            )
        free = check_free(free)
        tol = check_number(tol, name="tol")
        max_iter = check_count(max_iter, name="max_iter", minimum=0)
        ridge = check_number(ridge, name="ridge")
        check_choice(degenerate, ("raise", "floor", "restart"), name="degenerate")
        restarts = _check_restart(restart, degenerate)
        if floor is not None:
            floor = check_floor(floor, samples.n_features)
        elif degenerate == "floor" and ridge == 0:
            floor = relative_floor(samples)
        return cls(
            samples=samples,
            start=start,
            free=free,
            tol=tol,
            max_iter=max_iter,
            floor=floor,
            degenerate=degenerate,
            restarts=restarts,
            callback=callback,
            ridge=ridge,
            accelerate=accelerate,
            extra_step=extra_step,
        )

    @property
    def may_collapse(self) -> bool:
        """Whether nothing keeps covariances from collapsing."""
        return "covariances" in self.free and self.floor is None and self.ridge == 0

    def raised(self, mixture: Mixture) -> tuple[Mixture, str]:
        """Return the mixture with its covariances raised to the floor, and the event if any."""
        if "covariances" not in self.free or self.floor is None:
            return mixture, ""
        covariance, floored = mixture.covariance.clipped(self.floor)
        raised = Mixture.unchecked(mixture.weights, mixture.means, covariance)
        return raised, describe(floored, "floored")

    def next_restart(self) -> Mixture | None:
        """Return the next start of `restart`, or None."""
        if self.degenerate != "restart" or (fresh := next(self.restarts, None)) is None:
            return None
        same_shape = check_mixture(fresh, name="restart").means.shape == self.start.means.shape
        if not same_shape or type(fresh.covariance) is not type(self.start.covariance):
            raise ValueError(
                "restart must hold mixtures of the same shape and structure as start; got "
                f"{fresh.means.shape} and {type(fresh.covariance).__name__}"
            )
        return fresh


def _check_restart(restart: Iterable[Mixture] | None, degenerate: str) -> Iterator[Mixture]:
    if (restart is not None) != (degenerate == "restart"):
        raise ValueError(
            "restart must be given if and only if degenerate='restart'; "
            f"got restart={restart!r} with degenerate={degenerate!r}"
        )
    try:
        return iter(restart or ())
    except TypeError:
        raise TypeError(f"restart must be an iterable of Mixture; got {restart!r}") from None
