"""The scikit-learn face: `GaussianMixture`, used like the class of that name there.

All the work is in `start` and `em`; this module turns constructor arguments into a start,
runs it, and lays the answer out in scikit-learn's attributes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmlab import start
from gmmlab._validation import BLOCKS, check_free
from gmmlab.covariance import STRUCTURES, Covariance
from gmmlab.em import fit
from gmmlab.mixture import Mixture
from gmmlab.result import DegenerateError, Fit

# scikit-learn's names for the starts
_STARTS: dict[str, Callable[..., Mixture]] = {
    "kmeans": start.kmeans,
    "k-means++": start.kmeans_plus_plus,
    "random": start.random_responsibilities,
    "random_from_data": start.random_points,
}
# scikit-learn's words, which callers may match
_UNCONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase "
    "max_iter, tol, or check for degenerate data."
)
_ILL_DEFINED = (
    "Fitting the mixture model failed because some components have ill-defined empirical "
    "covariance (for instance caused by singleton or collapsed samples). Try to decrease the "
    "number of components, increase reg_covar, or scale the input data."
)


class GaussianMixture(DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by EM, with scikit-learn's interface.

    Parameters
    ----------
    n_components : int, default 1
        Number of components k.
    covariance_type : {"full", "tied", "diag", "spherical"}, default "full"
        Covariance structure: `Full`, `Tied`, `Diagonal` or `Spherical`.
    tol : float, default 1e-3
        Stop when an iteration gains no more than this in mean log-likelihood.
    reg_covar : float, default 1e-6
        Added to every variance after each M-step, in squared data units. It is not part of EM:
        with a value above 0 the log-likelihood may fall a little. With 0 a fit ends where a
        component collapses, unless another start goes on.
    max_iter : int, default 100
        At most this many M-steps from each start; 0 keeps the start.
    n_init : int, default 1
        Number of starts; the fit with the highest log-likelihood is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"}, default "kmeans"
        Kind of start; see `gmmlab.start`.
    weights_init : array_like, shape (n_components,), optional
    means_init : array_like, shape (n_components, n_features), optional
    precisions_init : array_like, optional
        Inverse covariances, in the shape of the structure.
    covariances_init : array_like, optional
        Covariances, in the shape of the structure; not together with `precisions_init`.
    free : collection of {"weights", "means", "covariances"}, default all
        What EM may move; the other blocks keep their starting values and are not counted
        as parameters.
    random_state : int, RandomState or None, default None
    warm_start : bool, default False
        Whether `fit` goes on from the last one.
    verbose : int, default 0
    verbose_interval : int, default 10
        Iterations between two lines of output.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : ndarray
        The fitted parameters, in the shapes of scikit-learn.
    converged_ : bool
    n_iter_ : int
        M-steps of the fit that was kept.
    lower_bound_ : float
        Mean log-likelihood at the fitted parameters.
    lower_bounds_ : list of float
        Mean log-likelihood after each M-step.
    result_ : Fit
        The fit that was kept: trace, status and message.

    See Also
    --------
    gmmlab.fit : the function underneath.

    Examples
    --------
    >>> from gmmlab import GaussianMixture, datasets
    >>> X = datasets.old_faithful().X
    >>> model = GaussianMixture(2, tol=1e-8, reg_covar=0, random_state=0).fit(X)
    >>> sorted(model.weights_.round(4).tolist())
    [0.3559, 0.6441]
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(STRUCTURES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(_STARTS))],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "covariances_init": ["array-like", None],
        "free": ["array-like", set, frozenset],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        covariances_init: Any = None,
        free: Any = BLOCKS,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.covariances_init = covariances_init
        self.free = free
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    # ---- fitting -------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the mixture to samples `X`, shape (n_samples, n_features); `y` is ignored.

        Raises
        ------
        TypeError, ValueError
            If `X` or a constructor argument is not valid, or `X` cannot carry the covariances
            while `reg_covar` is 0.
        """
        self.fit_predict(X, y)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit the mixture and return the component of each sample, shape (n_samples,)."""
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        if len(X) < self.n_components:
            raise ValueError(
                "Expected n_samples >= n_components but got n_components = "
                f"{self.n_components}, n_samples = {len(X)}"
            )
        best = max(self._fits(X), key=lambda result: result.log_likelihood)
        self._lay_out(best)
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(
                f"{_UNCONVERGED} {best.message}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return best.mixture.predict(X)

    def _fits(self, X: np.ndarray) -> list[Fit]:
        """Run EM from every start; a start that degenerates counts only if all do."""
        starts = [self._mixture()] if self._goes_on() else self._starts(X)
        results, degenerate = [], []
        for number, mixture in enumerate(starts):
            if self.verbose:
                print(f"Initialization {number}")
            try:
                result = fit(
                    X,
                    mixture,
                    free=check_free(self.free),
                    tol=self.tol,
                    max_iter=self.max_iter,
                    ridge=self.reg_covar,
                    degenerate="floor" if self.reg_covar > 0 else "raise",
                    callback=self._report if self.verbose else None,
                )
                results.append(result)
            except DegenerateError as error:
                result = error.fit
                degenerate.append(result)
            if self.verbose:
                print(f"Initialization {number}: {result.message}")
        return results or degenerate

    def _report(self, iteration: int, mixture: Mixture, log_likelihood: float) -> None:
        if iteration % self.verbose_interval == 0:
            print(f"  Iteration {iteration}: log-likelihood {log_likelihood:.6f}")

    def _goes_on(self) -> bool:
        return self.warm_start and hasattr(self, "result_")

    def _starts(self, X: np.ndarray) -> list[Mixture]:
        seed = check_random_state(self.random_state).randint(2**32, size=4, dtype=np.uint64)
        given = self._given(X.shape[1])
        return [
            # What is given altogether needs no draw.
            Mixture(**given) if len(given) == 3 else replace(self._drawn(X, rng), **given)
            for rng in np.random.default_rng(seed).spawn(self.n_init)
        ]

    def _drawn(self, X: np.ndarray, rng: np.random.Generator) -> Mixture:
        structure = STRUCTURES[self.covariance_type]
        try:
            drawn = _STARTS[self.init_params](X, self.n_components, rng, structure=structure)
        except ValueError as error:  # k-means found fewer clusters than components
            if self.reg_covar == 0:
                raise ValueError(f"{_ILL_DEFINED} {error}") from error
            warnings.warn(f"{error}. Some components coincide.", ConvergenceWarning, stacklevel=2)
            drawn = start.kmeans_plus_plus(X, self.n_components, rng, structure=structure)
        return replace(drawn, covariance=drawn.covariance.ridged(self.reg_covar))

    def _given(self, d: int) -> dict[str, Any]:
        """Return the blocks of a mixture that the caller gave, refusing what does not fit."""
        if self.precisions_init is not None and self.covariances_init is not None:
            raise ValueError("give covariances_init or precisions_init, not both")
        k, structure = self.n_components, STRUCTURES[self.covariance_type]
        shape = structure.unit(k, d).values.shape
        readers: dict[str, tuple[str, Callable[[Any], Any]]] = {
            "weights_init": ("weights", lambda given: _weights(given, k)),
            "means_init": ("means", lambda given: _shaped(given, (k, d), "means")),
            "covariances_init": (
                "covariance",
                lambda given: structure(_shaped(given, shape, f"{structure.name} covariance")),
            ),
            "precisions_init": (
                "covariance",
                lambda given: structure(_precisions(given, shape, structure.name)).inverse(),
            ),
        }
        blocks: dict[str, Any] = {}
        for name, (block, read) in readers.items():
            if (given := getattr(self, name)) is not None:
                try:
                    blocks[block] = read(given)
                except (TypeError, ValueError) as error:
                    raise type(error)(f"{name}: {error}") from None
        return blocks

    def _lay_out(self, result: Fit) -> None:
        covariance = result.mixture.covariance
        self.result_ = result
        self.weights_ = result.mixture.weights.copy()
        self.means_ = result.mixture.means.copy()
        self.covariances_ = covariance.values.copy()
        self.precisions_cholesky_ = covariance.precision_factor()
        self.precisions_ = covariance.inverse().values.copy()
        self.converged_ = result.converged
        self.n_iter_ = result.n_iter
        self.lower_bound_ = result.mean_log_likelihood
        self.lower_bounds_ = (result.trace["log_likelihood"][1:] / result.n_samples).tolist()

    # ---- using the fit -------------------------------------------------------------------

    def _mixture(self) -> Mixture:
        """Return the fitted mixture, from the attributes, which a caller may have set."""
        check_is_fitted(self)
        structure: type[Covariance] = STRUCTURES[self.covariance_type]
        # Of single precision, or set by hand, they need not sum to 1 to the last digit.
        weights = np.maximum(np.asarray(self.weights_, dtype=float), np.finfo(float).tiny)
        return Mixture(weights / weights.sum(), self.means_, structure(self.covariances_))

    def _validated(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False)

    def predict(self, X: Any) -> np.ndarray:
        """Return the component of each sample, shape (n_samples,)."""
        X = self._validated(X)
        return self._mixture().predict(X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the responsibilities, shape (n_samples, n_components)."""
        X = self._validated(X)
        return self._mixture().responsibilities(X)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each sample, shape (n_samples,)."""
        X = self._validated(X)
        return self._mixture().log_prob(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood of `X`; `y` is ignored."""
        return float(self.score_samples(X).mean())

    def sample(
        self, n_samples: int = 1, *, random_state: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw samples and the component of each, in random order.

        `random_state` takes the place of the constructor's for this call.
        """
        mixture = self._mixture()
        if n_samples < 1:
            raise ValueError(
                f"Invalid value for 'n_samples': it must be at least 1; got {n_samples}"
            )
        state = check_random_state(self.random_state if random_state is None else random_state)
        seed = state.randint(2**32, size=4, dtype=np.uint64)
        return mixture.sample(int(n_samples), np.random.default_rng(seed))

    def aic(self, X: Any) -> float:
        """Return Akaike's criterion on `X`: lower is better."""
        return float(2 * self._n_parameters() - 2 * self.score_samples(X).sum())

    def bic(self, X: Any) -> float:
        """Return Schwarz's criterion on `X`: lower is better."""
        log_densities = self.score_samples(X)
        penalty = self._n_parameters() * np.log(len(log_densities))
        return float(penalty - 2 * log_densities.sum())

    def _n_parameters(self) -> int:
        return self._mixture().n_parameters(check_free(self.free))


# ---- starting values, refused in scikit-learn's words ------------------------------------


def _shaped(given: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    array = check_array(
        given, dtype=np.float64, ensure_2d=False, allow_nd=True, copy=True, input_name=name
    )
    if array.shape != shape:
        raise ValueError(
            f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}"
        )
    return array


def _weights(given: Any, n_components: int) -> np.ndarray:
    single = getattr(given, "dtype", None) == np.float32
    weights = _shaped(given, (n_components,), "weights")
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError(
            "The parameter 'weights' should be in the range [0, 1], but got max value "
            f"{weights.max():.5f}, min value {weights.min():.5f}"
        )
    if abs(weights.sum() - 1) > (1e-6 if single else 1e-8):
        raise ValueError(
            "The parameter 'weights' should be normalized, but got sum(weights) = "
            f"{weights.sum():.5f}"
        )
    if single:
        weights /= weights.sum()
    # A mixture has no weight of 0; this one is as small as weights get.
    return np.maximum(weights, np.finfo(float).tiny)


def _precisions(given: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    precisions = _shaped(given, shape, f"{name} precision")
    if name in ("diag", "spherical"):
        if (precisions <= 0).any():
            raise ValueError(f"'{name} precision' should be positive")
        return precisions
    transposed = precisions.swapaxes(-1, -2)
    # Inverses that a caller computed, in single precision perhaps, are not quite symmetric.
    if not np.allclose(precisions, transposed) or (np.linalg.eigvalsh(precisions) <= 0).any():
        raise ValueError(f"'{name} precision' should be symmetric, positive-definite")
    return (precisions + transposed) / 2
