"""Compare mixtures with different covariance structures and numbers of components.

`compare` fits a grid of structures by numbers of components and ranks its cells by criteria. With
p free parameters (blocks that are not free are not counted), n samples, maximal log-likelihood ℓ
and entropy H of the responsibilities, the criteria are:

=====  ==================================  =====================================================
bic    p log n − 2 ℓ, lower is better      Schwarz (1978); Fraley and Raftery (2002)
aic    2 p − 2 ℓ, lower is better          Akaike (1974)
icl    BIC + 2 H, lower is better          Biernacki, Celeux and Govaert (2000)
cv     mean log-likelihood of held-out     Smyth (2000)
       samples, higher is better
=====  ==================================  =====================================================

BIC has the sign that it has in scikit-learn; mclust's BIC has the opposite sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gmmlab._validation import BLOCKS, check_choice, check_count, check_free, check_jobs, check_rng
from gmmlab.covariance import FOURTEEN, STRUCTURES, Covariance
from gmmlab.engine import Samples, as_samples
from gmmlab.result import Fit
from gmmlab.search import FIELDS, check_given, check_starts
from gmmlab.selection.cross_validation import Score, cross_validated, folds
from gmmlab.selection.grid import STARTS, Cell, Key, fill

if TYPE_CHECKING:
    from pandas import DataFrame

#: the criteria, and whether lower is better
CRITERIA = {"bic": True, "aic": True, "icl": True, "cv": False}
_NAMES = {"bic": "BIC", "aic": "AIC", "icl": "ICL", "cv": "cross-validation"}
# A difference in BIC below 2 is "not worth more than a bare mention" (Kass and Raftery 1995).
_CLOSE = 2.0


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of `compare`: a cell for every structure and number of components.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmlab import datasets, selection
    >>> X = datasets.old_faithful().X
    >>> found = selection.compare(
    ...     X, [1, 2], ["EII", "EEE"], rng=np.random.default_rng(0), progress=False
    ... )
    >>> found.to_frame()[["structure", "n_components", "n_parameters", "bic"]].round(1)
      structure  n_components  n_parameters     bic
    0       EII             1             3  4024.7
    1       EII             2             6  3453.0
    2       EEE             1             5  2607.6
    3       EEE             2             8  2325.2
    >>> found.best("bic").mixture.covariance.model
    'EEE'
    """

    #: the cells, ordered by structure, then by number of components
    cells: tuple[Cell, ...]
    #: the criteria of the comparison
    criteria: tuple[str, ...]
    #: cross-validation scores of the cells; empty without the criterion "cv"
    scores: Mapping[Key, Score]

    def value(self, cell: Cell, criterion: str) -> float:
        """Return the value of a criterion for a cell; NaN if the cell is degenerate."""
        check_choice(criterion, self.criteria, name="criterion")
        if cell.degenerate:
            return np.nan
        if criterion == "cv":
            return self.scores[cell.key].mean
        return float(getattr(cell.fit, criterion))

    def ranked(self, criterion: str) -> list[Cell]:
        """Return the cells sorted by a criterion, the best first; without degenerate cells."""
        sign = 1 if CRITERIA[check_choice(criterion, self.criteria, name="criterion")] else -1
        # Identical models, as of one component, differ by rounding; sorting keeps their order.
        valued = [(sign * float(f"{self.value(cell, criterion):.9g}"), cell) for cell in self.cells]
        return [cell for value, cell in sorted(_finite(valued), key=lambda pair: pair[0])]

    def best(self, criterion: str = "bic") -> Fit:
        """Return the best fit by a criterion; degenerate cells are not candidates.

        Raises
        ------
        ValueError
            If the criterion is not in `criteria`, or every cell is degenerate.
        """
        return self.best_cell(criterion).fit

    def best_cell(self, criterion: str = "bic") -> Cell:
        """Return the cell of the best fit, which has its structure and number of components."""
        ranked = self.ranked(criterion)
        if not ranked:
            raise ValueError(
                "every cell is degenerate, so there is no best one; compare fewer components or "
                "tighter structures, or set floor"
            )
        return ranked[0]

    def cell(self, structure: str | type[Covariance], n_components: int) -> Cell:
        """Return the cell of a structure, given by name or class, and a number of components.

        Raises
        ------
        ValueError
            If this cell was not compared.
        """
        key = (_structure(structure), n_components)
        for cell in self.cells:
            if cell.key == key:
                return cell
        raise ValueError(
            "structure and n_components must be those of a cell that was compared; "
            f"got {structure!r}, {n_components!r}"
        )

    def to_frame(self) -> DataFrame:
        """Return a pandas data frame with one row for each cell.

        The columns are structure (three letters), n_components, n_parameters, log_likelihood (total
        in nats), one for each criterion, cv_standard_error (with the criterion "cv"), and the
        status of the fit. The status of a degenerate cell is "degenerate", and its
        log-likelihood and criteria are NaN.
        """
        from pandas import DataFrame

        return DataFrame([self._row(cell) for cell in self.cells])

    def _row(self, cell: Cell) -> dict[str, Any]:
        row = {
            "structure": cell.structure.model,
            "n_components": cell.n_components,
            "n_parameters": cell.fit.n_parameters,
            "log_likelihood": np.nan if cell.degenerate else cell.fit.log_likelihood,
            **{criterion: self.value(cell, criterion) for criterion in self.criteria},
        }
        if "cv" in self.criteria:
            row["cv_standard_error"] = self.scores[cell.key].standard_error
        return row | {"status": "degenerate" if cell.degenerate else cell.fit.status}

    @property
    def summary(self) -> str:
        """Description of what each criterion chooses, how clearly, and where criteria disagree."""
        lines = [self._choice(criterion) for criterion in self.criteria]
        first, *others = self.criteria
        if self.ranked(first):
            lines += [self._disagreement(first, other) for other in others if self.ranked(other)]
        if left := sum(bool(cell.degenerate) for cell in self.cells):
            are = "is degenerate and was" if left == 1 else "are degenerate and were"
            lines.append(f"{left} of {len(self.cells)} cells {are} not considered.")
        return "\n".join(filter(None, lines))

    def _choice(self, criterion: str) -> str:
        name, ranked = _NAMES[criterion], self.ranked(criterion)
        if not ranked:
            return f"{name} chooses nothing: every cell is degenerate."
        first = ranked[0]
        others = [cell for cell in ranked[1:] if not _same(first, cell)]
        words = f"{name} chooses {_words(first)} ({self.value(first, criterion):.6g})"
        if not others:
            return f"{words}; there is no other candidate."
        second = others[0]
        apart = abs(self.value(second, criterion) - self.value(first, criterion))
        words += f", ahead of {_words(second)} by {apart:.2g}"
        if criterion == "cv":
            error = self.scores[first.key].less(self.scores[second.key]).standard_error
            close, why = apart < error, f"the difference has a standard error of {error:.2g}"
        else:
            close = apart < _CLOSE
            why = f"a difference below {_CLOSE:g} is not worth more than a bare mention"
        return f"{words}: too close to call, because {why}." if close else f"{words}."

    def _disagreement(self, one: str, other: str) -> str:
        """Describe how the choices of two criteria differ, or return "" if they agree."""
        ours, theirs = self.best_cell(one), self.best_cell(other)
        if ours.key == theirs.key or _same(ours, theirs):
            return ""
        there = {
            name: abs(self.value(ours, name) - self.value(theirs, name)) for name in (one, other)
        }
        better = {True: "lower", False: "higher"}
        return (
            f"{_NAMES[one]} and {_NAMES[other]} disagree: {_words(theirs)} has the "
            f"{better[CRITERIA[other]]} {_NAMES[other]} by {there[other]:.3g}, {_words(ours)} the "
            f"{better[CRITERIA[one]]} {_NAMES[one]} by {there[one]:.3g}."
        )


def compare(
    X: Any,
    n_components: Iterable[int] = range(1, 10),
    structures: Sequence[str | type[Covariance]] | None = None,
    criteria: Sequence[str] = ("bic", "aic", "icl"),
    *,
    rng: np.random.Generator,
    starts: Mapping[str, int] | None = None,
    n_folds: int = 10,
    n_jobs: int | None = None,
    progress: bool = True,
    free: Iterable[str] = BLOCKS,
    given: Mapping[str, Any] | None = None,
    sample_weight: Any = None,
    **settings: Any,
) -> Comparison:
    """Fit every structure with every number of components and rank the fits by criteria.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
        Samples, in data units.
    n_components : iterable of int, default 1 to 9
        Numbers of components.
    structures : sequence of str or class of `gmmlab.covariance`, default all fourteen
        Covariance structures, as classes or by name ("VEV", "full").
    criteria : sequence of {"bic", "aic", "icl", "cv"}, default ("bic", "aic", "icl")
        Criteria to rank cells by; see `gmmlab.selection.comparison`. "cv" fits each cell again
        for each fold.
    rng : numpy.random.Generator
        Source of randomness.
    starts : mapping of str to int, optional
        Number of starts of each kind for every cell, as in `search`; neighbouring cells provide
        more. By default `gmmlab.selection.grid.STARTS`.
    n_folds : int, default 10
        Number of folds of the cross-validation. All cells have the same folds.
    n_jobs : int, optional
        No effect: all starts of a cell are fitted at once, as by `fit_many`.
    progress : bool, default True
        Whether to show a progress bar.
    free, given, sample_weight, **settings
        Arguments of `fit_many`, and `given` as in `search`. For known means, for example, use
        ``free={"weights", "covariances"}`` and ``given={"means": …}``. If blocks are not free or
        entries are missing, cells do not exchange starts.

    Returns
    -------
    Comparison
        `to_frame()` is the table, `best(criterion)` the best fit, and `summary` describes the
        choice of each criterion.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or is out of range.

    Notes
    -----
    The module `gmmlab.selection.grid` explains the search, and why a looser structure or more
    components never fit worse.
    """
    if "structure" in settings:
        raise TypeError(
            "structure is not an argument of compare, use structures; "
            f"got structure={settings['structure']!r}"
        )
    if wrong := settings.keys() & {"callback", "restart"}:
        raise TypeError(f"{min(wrong)} is not an argument of compare, which runs many fits at once")
    marginalise = settings.get("missing") == "marginalise"
    samples = as_samples(X, sample_weight, missing=marginalise, in_memory=True)
    rng = check_rng(rng)
    numbers = _numbers(n_components, samples.n_samples)
    chosen = _structures(structures)
    criteria = _criteria(criteria)
    check_jobs(n_jobs)
    free = check_free(free)
    given = check_given(given)
    if unknown := [name for name in BLOCKS if name not in free and FIELDS[name] not in given]:
        raise ValueError(
            f"given must have a value for every block that is not in free: {', '.join(unknown)}; "
            f"got {sorted(given) or 'nothing'}"
        )
    if "cv" in criteria:
        check_count(n_folds, name="n_folds", minimum=2, maximum=max(2, samples.n_samples))
    starts = STARTS if starts is None else check_starts(starts)
    settings |= {"free": free, "given": given}
    for_cells, for_folds, for_scores = rng.spawn(3)
    cells = fill(
        samples,
        [(structure, k) for structure in chosen for k in numbers],
        for_cells,
        starts=starts,
        progress=progress,
        exchange=free == frozenset(BLOCKS) and not given and not samples.has_missing,
        **settings,
    )
    scores: dict[Key, Score] = {}
    if "cv" in criteria:
        fold = folds(samples.n_samples, n_folds, for_folds)
        bar = tqdm(cells.items(), "cross-validation", leave=False, disable=not progress)
        for (key, cell), own in zip(bar, for_scores.spawn(len(cells)), strict=True):
            scores[key] = _score(samples, cell, fold, own, settings)
    return Comparison(tuple(cells.values()), criteria, scores)


def _score(
    samples: Samples,
    cell: Cell,
    fold: np.ndarray,
    rng: np.random.Generator,
    settings: Mapping[str, Any],
) -> Score:
    """Return the cross-validation score of a cell; NaN if the cell is degenerate."""
    if cell.degenerate:
        return Score(np.full(fold.max() + 1, np.nan))
    return cross_validated(samples, cell.structure, cell.fit.mixture, fold, rng, settings)


def _finite(valued: Iterable[tuple[float, Cell]]) -> list[tuple[float, Cell]]:
    return [(value, cell) for value, cell in valued if np.isfinite(value)]


def _same(one: Cell, other: Cell) -> bool:
    """Return whether two cells are the same model.

    With one component or one feature, many structures coincide.
    """
    alone = one.n_components == 1 or one.fit.mixture.n_features == 1
    return (
        alone
        and one.n_components == other.n_components
        and one.fit.n_parameters == other.fit.n_parameters
    )


def _words(cell: Cell) -> str:
    components = "component" if cell.n_components == 1 else "components"
    return f"{cell.structure.model} with {cell.n_components} {components}"


# ---- checks --------------------------------------------------------------------------------


def _numbers(n_components: Any, n_samples: int) -> list[int]:
    numbers = [n_components] if isinstance(n_components, Integral) else n_components
    try:
        numbers = [
            check_count(k, name="n_components", maximum=n_samples) for k in dict.fromkeys(numbers)
        ]
    except TypeError as error:
        raise TypeError(f"n_components must contain integers; got {n_components!r}") from error
    if not numbers:
        raise ValueError("n_components must contain at least one number; got none")
    return sorted(numbers)


def _structures(structures: Any) -> list[type[Covariance]]:
    if structures is None:
        return list(FOURTEEN)
    several = [structures] if isinstance(structures, str | type) else structures
    if not isinstance(several, Iterable):
        raise TypeError(f"structures must contain structures or their names; got {structures!r}")
    chosen = list(dict.fromkeys(_structure(one) for one in several))
    if not chosen:
        raise ValueError("structures must contain at least one structure; got none")
    return chosen


def _structure(structure: Any) -> type[Covariance]:
    if structure in FOURTEEN:
        return structure
    return STRUCTURES[check_choice(structure, STRUCTURES, name="structures")]


def _criteria(criteria: Any) -> tuple[str, ...]:
    several = [criteria] if isinstance(criteria, str) else criteria
    if not isinstance(several, Iterable):
        raise TypeError(f"criteria must contain names of criteria; got {criteria!r}")
    chosen = tuple(dict.fromkeys(check_choice(one, CRITERIA, name="criteria") for one in several))
    if not chosen:
        raise ValueError("criteria must contain at least one criterion; got none")
    return chosen
