"""The arguments of `fit` and `fit_many`, checked before any work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from gmmlab._validation import (
    BLOCKS,
    check_choice,
    check_count,
    check_floor,
    check_free,
    check_number,
)
from gmmlab.engine.passes import Pass
from gmmlab.engine.samples import Samples
from gmmlab.engine.scale import relative_floor
from gmmlab.mixture import Mixture, check_mixture


@dataclass(frozen=True)
class Options:
    """The checked arguments of a stack of fits; `fit` documents them.

    The first axis of `start` numbers the fits. `floor` has the shape (…, n_features): the fits of
    a stack may have floors of their own.
    """

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
    #: whether to estimate the remaining gain of each fit, or only of the "best"
    remaining_gain: bool | str = True
    #: whether fewer digits are enough, as for a short run from which the next one starts
    rough: bool = False
    #: after some turns, how many of the fits go on: those with the highest log-likelihoods
    cuts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def checked(
        cls,
        samples: Samples,
        starts: Sequence[Any] | Mixture,
        *,
        name: str,
        free: Any = BLOCKS,
        tol: Any = 1e-8,
        max_iter: Any = 10_000,
        floor: Any = None,
        degenerate: Any = "raise",
        ridge: Any = 0.0,
        accelerate: Any = True,
        extra_step: Any = False,
        policies: Sequence[str] = ("raise", "floor"),
        restart: Any = None,
        callback: Any = None,
        **unknown: Any,
    ) -> Self:
        """Return the options, or raise an error that names the wrong argument.

        `starts` have the same number of components and the same structure, or are a stack. Errors
        call one of them `name`. The defaults are those of searches, which run to convergence.
        """
        if unknown:
            allowed = "free, tol, max_iter, floor, degenerate, ridge, accelerate and extra_step"
            raise TypeError(
                f"{next(iter(unknown))} is not an argument of a fit; the arguments are {allowed}"
            )
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable or None; got {callback!r}")
        for switch, value in (("accelerate", accelerate), ("extra_step", extra_step)):
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"{switch} must be True or False; got {value!r}")
        start = starts if isinstance(starts, Mixture) else starts[0]
        if check_mixture(start, name=name).n_features != samples.n_features:
            raise ValueError(
                f"{name} must have as many features as X ({samples.n_features}); "
                f"got {start.n_features}"
            )
        if samples.n_samples < start.n_components:
            raise ValueError(
                f"X must have at least as many samples as {name} has components "
                f"({start.n_components}); got {samples.n_samples}"
            )
        free = check_free(free)
        tol = check_number(tol, name="tol")
        max_iter = check_count(max_iter, name="max_iter", minimum=0)
        ridge = check_number(ridge, name="ridge")
        check_choice(degenerate, policies, name="degenerate")
        restarts = _check_restart(restart, degenerate)
        if floor is not None:
            floor = check_floor(floor, samples.n_features)
        elif degenerate == "floor" and ridge == 0:
            floor = relative_floor(samples)
        return cls(
            samples=samples,
            start=start if start is starts else Mixture.stacked(starts),
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

    def one_pass(self, mixture: Mixture) -> Pass:
        """Return the pass over the data at a stack of mixtures."""
        return Pass(self.samples, mixture, rough=self.rough)

    def short(self, passes: int, tol: float, **how: Any) -> Self:
        """Return the options of a rough run, of which only the mixtures and their ranks are used.

        It ends after a number of passes, or at the tolerance `tol` if that is larger.
        """
        bounds = {"max_iter": min(passes, self.max_iter), "tol": max(tol, self.tol)}
        return replace(self, **bounds, rough=True, remaining_gain=False, **how)

    def select(self, fits: Any) -> Self:
        """Return the options of some fits of the stack."""
        floor = self.floor
        if floor is not None and floor.ndim == 2:
            floor = floor[fits]
        return replace(
            self, samples=self.samples.select(fits), start=self.start.select(fits), floor=floor
        )

    def raised(self, mixture: Mixture) -> tuple[Mixture, np.ndarray | None]:
        """Return mixtures with covariances raised to the floor, and which have changed if any."""
        if "covariances" not in self.free or self.floor is None:
            return mixture, None
        covariance, floored = mixture.covariance.clipped(self.floor)
        return Mixture.unchecked(mixture.weights, mixture.means, covariance), floored

    def next_restart(self) -> Mixture | None:
        """Return the next start of `restart`, or None."""
        if self.degenerate != "restart" or (fresh := next(self.restarts, None)) is None:
            return None
        shape = self.start.means.shape[-2:]
        same_shape = check_mixture(fresh, name="restart").means.shape == shape
        if not same_shape or type(fresh.covariance) is not type(self.start.covariance):
            raise ValueError(
                "restart must hold mixtures of the same shape and structure as start; got "
                f"{fresh.means.shape} and {type(fresh.covariance).__name__}"
            )
        return fresh


def marginalises(missing: Any) -> bool:
    """Return whether the argument `missing` says that NaN marks a missing entry."""
    return check_choice(missing, ("raise", "marginalise"), name="missing") == "marginalise"


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
