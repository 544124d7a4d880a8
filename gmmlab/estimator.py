"""The interface of scikit-learn: `GaussianMixture`, used like scikit-learn's class of that name.

The computation is in `start`, `em` and `search`. This module turns the constructor's arguments into
starts, fits them, and stores the best fit in scikit-learn's attributes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmlab import start
from gmmlab._numerics import normalise
from gmmlab._validation import BLOCKS, check_free, check_weight, is_dask
from gmmlab.covariance import STRUCTURES, Covariance, DiagonalCovariance
from gmmlab.em import fit_stack
from gmmlab.engine import Options, Samples, log_joint_observed, relative_floor
from gmmlab.mixture import Mixture
from gmmlab.result import DegenerateError, Fit
from gmmlab.search import MIXED, check_starts, search

# The wording of scikit-learn, which callers may match.
_UNCONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase "
    "max_iter, tol, or check for degenerate data."
)
_ILL_DEFINED = (
    "Fitting the mixture model failed because some components have ill-defined empirical "
    "covariance (for instance caused by singleton or collapsed samples). Try to decrease the "
    "number of components, increase reg_covar, or scale the input data."
)
# What the message of a converged fit says of its last iteration, if something happened there.
_EVENT = "At the last iteration"


class GaussianMixture(DensityMixin, BaseEstimator):
    """Gaussian mixture fitted by EM, with scikit-learn's interface.

    Parameters
    ----------
    n_components : int, default 1
        Number of components k.
    covariance_type : {"full", "tied", "diag", "spherical", "EII", …, "VVV"}, default "full"
        Covariance structure: `Full`, `Tied`, `Diagonal` or `Spherical`, or the letters of one of
        the fourteen in `gmmlab.covariance`.
    tol : float, default 1e-3
        The fit stops one step after an iteration that gains no more than this in mean
        log-likelihood.
    reg_covar : float, default 1e-6
        Added to every variance after each M-step, in squared data units. This is not part of EM:
        with a value above 0 the log-likelihood may decrease a little. With 0, a fit from a start
        ends when a component collapses.
    max_iter : int, default 100
        The largest number of M-steps from each start; with 0 the start is returned.
    n_init : int, "mixed" or mapping of str to int, default 1
        Number of starts; the fit with the highest log-likelihood is kept. A mapping gives the
        number of starts of each kind that `init_params` accepts; EM runs briefly from each, and
        the best few fits are continued (see `gmmlab.search`). "mixed" is a mapping that also finds
        optima that are hard to find.
    init_params : str, default "kmeans"
        Kind of start: "kmeans", "k-means++", "random", "random_from_data" or "hierarchical"; see
        `gmmlab.start`.
    weights_init : array_like, shape (n_components,), optional
        Initial weights.
    means_init : array_like, shape (n_components, n_features), optional
        Initial means.
    precisions_init : array_like, optional
        Initial inverse covariances, in the shape of the structure.
    covariances_init : array_like, optional
        Initial covariances, in the shape of the structure; not together with `precisions_init`.
    responsibilities_init : array_like, optional
        Responsibilities (n_samples, n_components) or labels (n_samples,) to start from, instead
        of a start that is drawn.
    free : collection of {"weights", "means", "covariances"}, default all
        The blocks that EM estimates. The other blocks keep their initial values and are not
        counted as parameters.
    floor : float, optional
        Lower bound of the eigenvalues of the covariances, as a fraction of the variances of the
        data. It replaces `reg_covar`. The fit is then a constrained optimum that scales with the
        data, and the log-likelihood never decreases.
    missing : {"raise", "marginalise"}, default "raise"
        "raise" makes NaN an error. "marginalise" treats NaN entries as not observed, and
        integrates them out.
    accelerate : bool, default False
        Whether to extrapolate where EM is slow; see `gmmlab.fit`.
    callback : callable, optional
        Called as ``callback(iteration, mixture, log_likelihood)`` after each E-step.
    random_state : int, RandomState or None, default None
        Source of randomness for the starts and for `sample`.
    warm_start : bool, default False
        Whether `fit` continues from the last fit.
    verbose : int, default 0
        Whether to print the progress of the fit.
    verbose_interval : int, default 10
        Number of iterations between two printed lines.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : ndarray
        The fitted parameters, in the shapes of scikit-learn.
    converged_ : bool
        Whether the fit converged.
    n_iter_ : int
        Number of M-steps of the fit that was kept.
    lower_bound_ : float
        Mean log-likelihood at the fitted parameters.
    lower_bounds_ : list of float
        Mean log-likelihood after each M-step.
    result_ : Fit
        The fit that was kept, with its trace, status, message and remaining gain.
    search_ : Search
        If `n_init` names kinds of start: how often the optimum was found, and which fits were set
        aside.

    See Also
    --------
    gmmlab.fit : the function that this class calls.

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
        "n_init": [Interval(Integral, 1, None, closed="left"), StrOptions({"mixed"}), dict],
        "init_params": [StrOptions(set(start.KINDS))],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "covariances_init": ["array-like", None],
        "responsibilities_init": ["array-like", None],
        "free": ["array-like", set, frozenset],
        "floor": [Interval(Real, 0.0, None, closed="neither"), None],
        "missing": [StrOptions({"raise", "marginalise"})],
        "accelerate": ["boolean"],
        "callback": [callable, None],
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
        n_init: int | str | Mapping[str, int] = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        covariances_init: Any = None,
        responsibilities_init: Any = None,
        free: Any = BLOCKS,
        floor: float | None = None,
        missing: str = "raise",
        accelerate: bool = False,
        callback: Callable[[int, Mixture, float], object] | None = None,
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
        self.responsibilities_init = responsibilities_init
        self.free = free
        self.floor = floor
        self.missing = missing
        self.accelerate = accelerate
        self.callback = callback
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    # ---- fitting -------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the mixture.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Samples, in data units. If they are of type float32, so are the attributes.
        y : object
            Ignored.
        sample_weight : array_like, shape (n_samples,), optional
            Weight of each sample; 1 by default.

        Raises
        ------
        TypeError, ValueError
            If `X` or a constructor argument is not valid, or if `reg_covar` is 0 and the
            covariances cannot be estimated from `X`.
        """
        X = self._validated(X, reset=True, ensure_min_samples=2)
        samples = Samples(X, sample_weight, missing=self.missing == "marginalise")
        if samples.n_samples < self.n_components:
            raise ValueError(
                "Expected n_samples >= n_components but got n_components = "
                f"{self.n_components}, n_samples = {samples.n_samples}"
            )
        self._set_attributes(self._best_fit(samples), samples.dtype)
        self._warn()
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit the mixture and return the component of each sample, shape (n_samples,).

        See `fit` for the parameters and errors.
        """
        return self.fit(X, y, sample_weight).predict(X)

    # ---- predictions and criteria ----------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """Return the component of each sample, shape (n_samples,)."""
        return self._log_joint(X)[0].argmax(axis=0)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the responsibilities, shape (n_samples, n_components)."""
        log_joint, dtype = self._log_joint(X)
        return normalise(log_joint)[0].T.astype(dtype, copy=False)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each sample, shape (n_samples,)."""
        log_joint, dtype = self._log_joint(X)
        return normalise(log_joint)[1].astype(dtype, copy=False)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the mean log-likelihood of `X`; `y` is ignored.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
        y : object
            Ignored.
        sample_weight : array_like, shape (n_samples,), optional
            Weight of each sample; 1 by default.
        """
        log_likelihood, n_samples = self._totals(X, sample_weight)
        return float(log_likelihood / n_samples)

    def sample(
        self, n_samples: int = 1, *, random_state: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw samples and their components, in random order.

        `random_state` replaces that of the constructor for this call.
        """
        mixture = self._fitted_mixture()
        if n_samples < 1:
            raise ValueError(
                f"Invalid value for 'n_samples': it must be at least 1; got {n_samples}"
            )
        return mixture.sample(int(n_samples), self._generator(random_state))

    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Return the Akaike information criterion (AIC) of `X`; lower is better."""
        return float(2 * self._n_parameters() - 2 * self._totals(X, sample_weight)[0])

    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Return the Bayesian information criterion (BIC) of `X`; lower is better."""
        log_likelihood, n_samples = self._totals(X, sample_weight)
        return float(self._n_parameters() * np.log(n_samples) - 2 * log_likelihood)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "marginalise"
        return tags

    def _validate_params(self) -> None:
        # scikit-learn checks every argument, which takes a while; the defaults need no check.
        given = {name: vars(self)[name] for name in _DEFAULTS}
        given = {name: value for name, value in given.items() if value is not _DEFAULTS[name]}
        validate_parameter_constraints(
            self._parameter_constraints, given, caller_name=type(self).__name__
        )

    # ---- from arguments to the best fit ----------------------------------------------------

    def _best_fit(self, samples: Samples) -> Fit:
        """Return the best fit from all starts."""
        vars(self).pop("search_", None)  # the result of an earlier call of `fit`
        settings = self._settings(samples)
        if self._continues():
            return self._best_of(start.repeated(self._fitted_mixture(), 1), samples, settings)
        if isinstance(self.n_init, str | Mapping):
            return self._best_of_search(samples, settings)
        return self._best_of(self._starts(samples), samples, settings)

    def _settings(self, samples: Samples) -> dict[str, Any]:
        """Return the arguments of `gmmlab.fit` that do not depend on the start."""
        floor = None if self.floor is None else relative_floor(samples, self.floor)
        ridge = self._ridge()
        return {
            "free": check_free(self.free),
            "tol": self.tol,
            "max_iter": self.max_iter,
            "floor": floor,
            "ridge": ridge,
            "degenerate": "floor" if ridge > 0 or floor is not None else "raise",
            "missing": self.missing,
            "callback": self.callback,
        }

    def _ridge(self) -> float:
        """Return what is added to the variances: `reg_covar`, unless a floor replaces it."""
        return self.reg_covar if self.floor is None else 0.0

    def _continues(self) -> bool:
        return self.warm_start and hasattr(self, "result_")

    def _best_of_search(self, samples: Samples, settings: dict[str, Any]) -> Fit:
        """Return the best fit of a search from several kinds of start."""
        if self.responsibilities_init is not None:
            raise ValueError(
                "responsibilities_init must be None if n_init names kinds of start; got "
                f"n_init={self.n_init!r}"
            )
        starts = MIXED if self.n_init == "mixed" else check_starts(self.n_init, name="n_init")
        try:
            self.search_ = search(
                samples,
                self.n_components,
                self._generator(),
                structure=STRUCTURES[self.covariance_type],
                starts=starts,
                given=self._given(samples.n_features),
                **settings,
            )
        except DegenerateError as error:
            return error.fit
        return self.search_.best

    def _best_of(self, starts: Mixture, samples: Samples, settings: dict[str, Any]) -> Fit:
        """Return the best fit from a stack of starts; a degenerate one only if all are."""
        settings.pop("missing")
        if self.verbose:
            settings["callback"] = self._report
        options = Options.checked(
            samples, starts, name="start", accelerate=self.accelerate, extra_step=True, **settings
        )
        if options.callback is None:
            options = options.select(start.distinct(starts))
            results = fit_stack(replace(options, remaining_gain="best"))
        else:
            numbers = range(len(starts.weights))
            results = [self._one_of(options.select([number]), number) for number in numbers]
        return max(results, key=lambda one: (one.status != "degenerate", one.log_likelihood))

    def _one_of(self, options: Options, number: int) -> Fit:
        """Return the fit from one of several starts, and print what `verbose` asks for."""
        if self.verbose:
            print(f"Initialization {number}")
        [result] = fit_stack(options)
        if self.verbose:
            print(f"Initialization {number}: {result.message}")
        return result

    def _report(self, iteration: int, mixture: Mixture, log_likelihood: float) -> None:
        """Print the progress of a fit, and call the caller's callback."""
        if iteration % self.verbose_interval == 0:
            print(f"  Iteration {iteration}: log-likelihood {log_likelihood:.6f}")
        if self.callback is not None:
            self.callback(iteration, mixture, log_likelihood)

    def _starts(self, samples: Samples) -> Mixture:
        """Return a stack of starts: what the caller gave, and the rest drawn."""
        given = self._given(samples.n_features)
        if len(given) == 3:  # every block is given
            return start.repeated(Mixture(**given), self.n_init)
        return start.with_given(self._drawn(start.completed_samples(samples)), given)

    def _generator(self, random_state: Any = None) -> np.random.Generator:
        state = self.random_state if random_state is None else random_state
        if isinstance(state, Integral):
            return np.random.default_rng(int(state))
        state = check_random_state(state)
        return np.random.default_rng(state.randint(2**32, size=4, dtype=np.uint64))

    def _drawn(self, samples: Samples) -> Mixture:
        """Return starts from `responsibilities_init`, or drawn as `init_params` says."""
        structure, k = STRUCTURES[self.covariance_type], self.n_components
        if self.responsibilities_init is not None:
            one = _from_responsibilities(samples, self.responsibilities_init, k, structure)
            drawn = start.repeated(one, self.n_init)
        else:
            rngs = self._generator().spawn(self.n_init)

            def draw(kind: str) -> Mixture:
                return start.draw(samples, k, [kind] * self.n_init, rngs, structure=structure)

            try:
                drawn = draw(self.init_params)
            except ValueError as error:  # k-means found fewer clusters than components
                if self.reg_covar == 0 and self.floor is None:
                    raise ValueError(f"{_ILL_DEFINED} {error}") from error
                words = f"{error}. Some components coincide: reduce n_components."
                warnings.warn(words, ConvergenceWarning, stacklevel=6)
                drawn = draw("k-means++")
        covariance = drawn.covariance.ridged(self._ridge())
        return Mixture.unchecked(drawn.weights, drawn.means, covariance)

    def _given(self, d: int) -> dict[str, Any]:
        """Return the blocks of a mixture that the caller gave, after checking them."""
        if self.precisions_init is not None and self.covariances_init is not None:
            raise ValueError("covariances_init and precisions_init must not both be given")
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
                lambda given: _inverse(structure(_precisions(given, shape, structure))),
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

    # ---- from the best fit to attributes and back ------------------------------------------

    def _set_attributes(self, result: Fit, dtype: np.dtype) -> None:
        mixture, covariance = result.mixture, result.mixture.covariance
        self.result_ = result
        self.weights_ = mixture.weights.astype(dtype)
        self.means_ = mixture.means.astype(dtype)
        self.covariances_ = covariance.values.astype(dtype)
        self.precisions_cholesky_ = _precision_factor(covariance).astype(dtype)
        self.precisions_ = covariance.precisions.reshape(covariance.values.shape).astype(dtype)
        self.converged_ = result.converged
        self.n_iter_ = result.n_iter
        self.lower_bound_ = result.mean_log_likelihood
        self.lower_bounds_ = (result.trace["log_likelihood"][1:] / result.n_samples).tolist()

    def _warn(self) -> None:
        """Warn if the fit did not converge or is degenerate."""
        result = self.result_
        if result.status != "converged" and self.max_iter > 0:
            words = f"{_UNCONVERGED} {result.message}"
        elif result.status == "converged" and _EVENT not in result.message:
            return  # without the trace, which computes the eigenvalues of all fits
        elif event := result.trace["event"][-1]:
            words = f"The fit is degenerate: {event}. {result.message}"
        else:
            return
        warnings.warn(words, ConvergenceWarning, stacklevel=4)

    def _fitted_mixture(self) -> Mixture:
        """Return the fitted mixture, from the attributes, because a caller may have set them."""
        structure: type[Covariance] = STRUCTURES[self.covariance_type]
        if (result := vars(self).get("result_")) is None:
            check_is_fitted(self)
        elif isinstance((fitted := result.mixture).covariance, structure):
            pairs = (
                (self.weights_, fitted.weights),
                (self.means_, fitted.means),
                (self.covariances_, fitted.covariance.values),
            )
            if all(_same_bytes(*pair) for pair in pairs):
                return fitted  # in double precision even if the attributes are in single precision
        weights = np.maximum(np.asarray(self.weights_, dtype=float), np.finfo(float).tiny)
        return Mixture(weights / weights.sum(), self.means_, structure(self.covariances_))

    def _validated(self, X: Any, reset: bool = False, **checks: Any) -> np.ndarray:
        """Return `X` as an array with the features of the fit; it may contain NaN."""
        # The checks of scikit-learn take longer than the predictions for a few hundred samples.
        if _is_plain(X, checks.get("ensure_min_samples", 1)):
            known = vars(self)
            if reset:
                known.pop("feature_names_in_", None)
                self.n_features_in_ = X.shape[1]
            if known.get("n_features_in_") == X.shape[1] and "feature_names_in_" not in known:
                return X
        if not reset:
            check_is_fitted(self)
        if is_dask(X):
            raise TypeError("X must be in memory; got a Dask array. gmmlab.fit accepts Dask arrays")
        return validate_data(
            self,
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            reset=reset,
            **checks,
        )

    def _log_joint(self, X: Any) -> tuple[np.ndarray, np.dtype]:
        """Return log πₖ N(xᵢ|μₖ, Σₖ), shape (n_components, n_samples), and the type of `X`."""
        X = self._validated(X)
        mixture = self._fitted_mixture()
        if self.missing == "marginalise":
            return log_joint_observed(X, mixture).T, X.dtype
        return mixture.log_joint(X).T, X.dtype

    def _totals(self, X: Any, sample_weight: Any) -> tuple[float, float]:
        """Return the log-likelihood of `X` and its number of samples, or the sum of weights."""
        log_densities = self.score_samples(X).astype(np.float64)
        if sample_weight is None:
            return log_densities.sum(), len(log_densities)
        weight = check_weight(sample_weight, len(log_densities))
        return weight @ log_densities, weight.sum()

    def _n_parameters(self) -> int:
        return self._fitted_mixture().n_parameters(check_free(self.free))


_DEFAULTS = {
    name: parameter.default for name, parameter in signature(GaussianMixture).parameters.items()
}


# ---- shortcuts ---------------------------------------------------------------------------


def _is_plain(X: Any, n_samples: int) -> bool:
    """Return whether scikit-learn would accept an array as it is: at least `n_samples` samples."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in (np.float64, np.float32)
        and len(X) >= n_samples
        and X.shape[1] > 0
        and bool(np.isfinite(X).all())
    )


def _same_bytes(attribute: Any, values: np.ndarray) -> bool:
    """Return whether an attribute holds some values, in its own precision."""
    if type(attribute) is not np.ndarray or attribute.dtype not in (np.float64, np.float32):
        return False
    return (
        attribute.shape == values.shape
        and attribute.tobytes() == values.astype(attribute.dtype, copy=False).tobytes()
    )


# ---- initial values ----------------------------------------------------------------------


def _from_responsibilities(
    samples: Samples, given: Any, n_components: int, structure: type[Covariance]
) -> Mixture:
    """Return the start from responsibilities or labels."""
    array = np.asarray(given)
    shape = (samples.n_samples, n_components)
    if array.ndim != 1 and array.shape != shape:
        raise ValueError(
            f"responsibilities_init must have shape (n_samples, n_components) = {shape}, or be "
            f"labels of shape (n_samples,); got {array.shape}"
        )
    try:
        if array.ndim == 1:
            return start.from_labels(samples, array, n_components=n_components, structure=structure)
        if array.dtype == np.float32:  # rows that sum to 1 in single precision
            totals = array.sum(axis=1, keepdims=True, dtype=np.float64)
            array = np.where(np.abs(totals - 1) < 1e-5, array / totals, array)
        return start.from_responsibilities(samples, array, structure=structure)
    except (TypeError, ValueError) as error:
        raise type(error)(f"responsibilities_init: {error}") from None


# The errors of these checks have the wording of scikit-learn.


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
    # The weights of a mixture are positive; this one is the smallest possible.
    return np.maximum(weights, np.finfo(float).tiny)


def _precisions(given: Any, shape: tuple[int, ...], structure: type[Covariance]) -> np.ndarray:
    name = structure.name
    precisions = _shaped(given, shape, f"{name} precision")
    if issubclass(structure, DiagonalCovariance):
        if (precisions <= 0).any():
            raise ValueError(f"'{name} precision' should be positive")
        return precisions
    transposed = precisions.swapaxes(-1, -2)
    # Computed inverses are not exactly symmetric, especially in single precision.
    if not np.allclose(precisions, transposed) or (np.linalg.eigvalsh(precisions) <= 0).any():
        raise ValueError(f"'{name} precision' should be symmetric, positive-definite")
    return (precisions + transposed) / 2


# ---- inverse covariances -----------------------------------------------------------------


def _inverse(covariance: Covariance) -> Covariance:
    """Return the structure with Σₖ⁻¹ in the place of Σₖ."""
    return type(covariance)(covariance.precisions.reshape(covariance.values.shape))


def _precision_factor(covariance: Covariance) -> np.ndarray:
    """Return C⁻ᵀ, for which Σ⁻¹ = C⁻ᵀ C⁻¹, in the shape of the values."""
    if isinstance(covariance, DiagonalCovariance):
        return np.asarray(1 / np.sqrt(covariance.values))
    return covariance.whitening.swapaxes(-1, -2).reshape(covariance.values.shape).copy()
