"""How many components, and of which shape: all candidates share the reads of the data."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from dask.system import CPU_COUNT

from daskem.core.parameters import whole
from daskem.core.signatures import check_call
from daskem.errors import ConvergenceWarning, ParameterError
from daskem.fitting.loop import Run
from daskem.fitting.starts.begin import framed, sampled, surveyed
from daskem.models import Mixture
from daskem.models.families import Gaussian
from daskem.results.report import aligned
from daskem.results.result import Result
from daskem.running.coordinator import prepare
from daskem.selection.criteria import CRITERIA, entropies, judge, verdict
from daskem.selection.race import Cell, Search, race


def select(
    data: Any,
    n_components: Iterable[int] = range(1, 11),
    covariance_type: str | Sequence[str] = "full",
    *,
    models: Mapping[str, Mixture] | None = None,
    criterion: str = "bic",
    n_init: int = 5,
    tol: float | None = None,
    **options: Any,
) -> "Selection":
    """Choose among mixtures by a criterion, all of them fitted in the same reads of the data.

    Restarts compete on the sample of the survey. The survivors of every model and number of
    components ride the same passes; a run is dropped when another one of its kind is predicted
    to end better, and the passes end when the best candidate has converged and no other one can
    still overtake it. What the others had reached by then is in the table.

    Parameters
    ----------
    data : array-like, (..., feature)
        As `daskem.fit` takes it.
    n_components : iterable of int
    covariance_type : {"full", "tied", "diag", "spherical"} or sequence of them
    models : dict of str to Mixture, optional
        What to choose among instead of Gaussians, by name, such as
        ``{"poisson": Mixture(Poisson())}``.
    criterion : {"bic", "aic", "icl", "heldout"}
        Schwarz (1978); Akaike (1974); BIC plus twice the entropy of the responsibilities, which
        favours components that do not overlap (Biernacki, Celeux and Govaert 2000), for one
        more read; -2 log-likelihood of a tenth of the rows, which are not fitted. Lower is
        better.
    n_init : int
        Restarts for each candidate; they cost no reads.
    tol : float, optional
        What may be left to gain in the best candidate, nats per row; the default is a tenth of its
        statistical accuracy, p/2N. Where others come close, passes go on until the criterion
        is known to 1.
    **options
        Any other parameter of `daskem.fit`: ``sample_weight``, ``features``, ``missing``,
        ``random_state`` and so on.

    Returns
    -------
    Selection

    Raises
    ------
    DataError, ParameterError
        As `daskem.fit`.
    """
    if criterion not in CRITERIA:
        raise ParameterError(f"criterion={criterion!r} is not one of {list(CRITERIA)}")
    if models is None:
        kinds = [covariance_type] if isinstance(covariance_type, str) else covariance_type
        models = {kind: Mixture(Gaussian(kind)) for kind in kinds}
    check_call(prepare, (None, data, n_components), options, "select")
    widest = max(models.values(), key=lambda model: model.cross_moments)
    if not isinstance(n_components, Iterable):
        raise ParameterError(
            f"n_components={n_components!r} leaves nothing to choose: pass several numbers, as in "
            "range(1, 11), or fit that one"
        )
    counts = [whole("n_components", k) for k in n_components]
    fit = prepare(widest, data, counts, tol=tol, **options)
    rng = np.random.default_rng(fit.seed)
    seed = int(rng.integers(2**63))
    _, seen = surveyed(widest, fit.blocks, seed, fit.features.names)
    seen = sampled(fit.blocks, seen, fit.init_params, counts, seed, rng)
    framed_models = {name: framed(model, seen) for name, model in models.items()}
    search = Search(fit, seen, framed_models, criterion, whole("n_init", n_init))
    return Selection(search, {}, {}).extend(counts)


@dataclass(frozen=True, eq=False)
class Selection:
    """What `daskem.select` returns.

    Attributes
    ----------
    search : Search
        The data and settings, for `extend`.
    runs : dict
        The runs of every candidate, by name of the model and number of components.
    entropies : dict
        Of the responsibilities, summed over rows, where the criterion needs them.
    """

    search: Search
    runs: Mapping[Cell, Sequence[Run]]
    entropies: Mapping[Cell, float]

    def extend(self, n_components: Iterable[int]) -> "Selection":
        """The selection with more numbers of components; what is fitted already is kept."""
        search = self.search
        wanted = [(name, whole("n_components", k)) for name in search.models for k in n_components]
        cells = [cell for cell in dict.fromkeys(wanted) if cell not in self.runs]
        if not cells:
            if not self.runs:
                raise ParameterError("n_components is empty: there is nothing to choose among")
            return self
        longest_first = sorted(cells, key=lambda cell: -cell[1])
        with ThreadPoolExecutor(CPU_COUNT) as pool:
            begun = dict(zip(longest_first, pool.map(search.begin, longest_first), strict=True))
        known = min((self._value(cell) for cell in self.runs), default=np.inf)
        found = race(search, begun, known)
        entropy = {}
        if search.criterion == "icl":
            best = [_best(found[cell]) for cell in cells]
            pairs = [(run.model, run.params) for run in best]
            totals = search.fit.blocks.sum(entropies, pairs, name="entropy")
            entropy = dict(zip(cells, map(float, totals), strict=True))
        extended = Selection(search, {**self.runs, **found}, {**self.entropies, **entropy})
        if not extended.best.converged:
            warnings.warn(extended.best.status.value, ConvergenceWarning, stacklevel=2)
        return extended

    def _value(self, cell: Cell) -> float:
        entropy = 2 * self.entropies.get(cell, 0.0)
        return self.search.value(_best(self.runs[cell])) + entropy

    @property
    def best_candidate(self) -> Cell:
        """Name of the model and number of components of the best candidate."""
        return min(self.runs, key=self._value)

    @property
    def best(self) -> Result:
        """The fit of the best candidate."""
        return self.result(*self.best_candidate)

    def result(self, model: str, n_components: int) -> Result:
        """The fit of a candidate."""
        search, runs = self.search, self.runs[model, n_components]
        bare = [replace(run, model=search.models[model]) for run in runs]
        coordinator = "here: a selection runs where it is called"
        return search.fit.result(bare, search.seen, coordinator)

    @property
    def n_reads(self) -> int:
        """Full reads of the data so far, one of them the survey."""
        longest = max(len(run.history) for runs in self.runs.values() for run in runs)
        return 1 + longest + bool(self.entropies)

    @property
    def table(self) -> xr.Dataset:
        """Every candidate, dims ``model`` and ``n_components``: criteria, and how it ended."""
        names, counts = list(self.search.models), sorted({k for _, k in self.runs})
        rows = {cell: self._row(cell) for cell in self.runs}
        first = next(iter(rows.values()))
        variables = {}
        for key in first:
            grid = [[rows[name, k][key] for k in counts] for name in names]
            variables[key] = (("model", "n_components"), np.array(grid))
        dataset = xr.Dataset(variables, {"model": names, "n_components": counts})
        return dataset.assign_attrs(criterion=self.search.criterion, n_reads=self.n_reads)

    def _row(self, cell: Cell) -> dict[str, Any]:
        run = _best(self.runs[cell])
        found = judge(run, self.search.seen.weight)
        if cell in self.entropies:
            found["entropy"] = self.entropies[cell]
            found["icl"] += 2 * self.entropies[cell]
        else:
            found.pop("icl")
        last = run.history[-1]
        ending = {"passes": len(run.history), "remaining": last.remaining}
        return {**found, **ending, "status": run.status.name.lower()}

    def __str__(self) -> str:
        values = {cell: self._value(cell) for cell in self.runs}
        order = sorted(values, key=values.__getitem__)
        rows = [{"model": cell[0], "K": cell[1], **self._row(cell)} for cell in order]
        return "\n".join([aligned(rows), verdict(self.search.criterion, values)])

    def plot(self) -> Any:
        """The criterion against the number of components; a matplotlib Figure."""
        from daskem.results.plot import plot_criterion

        return plot_criterion(self.table)


def _best(runs: Sequence[Run]) -> Run:
    return max(runs, key=lambda run: run.history[-1].objective)
