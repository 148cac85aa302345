"""How candidates stand: which one is better, by how much, and what that is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from daskem.fitting.run import Run
from daskem.results.listings import ending
from daskem.results.tables import Listing, Table
from daskem.selection.criteria import reachable
from daskem.selection.search import SURVIVORS, Cell, Field

Key = TypeVar("Key")

# A criterion is called flat where others are as near to the best (Kass and Raftery 1995).
_NEAR = 10.0


@dataclass(frozen=True, eq=False, repr=False)
class Standing:
    """How a candidate stands.

    Attributes
    ----------
    cell : Cell
    run : Run
        The best of its runs.
    value : float
        Its criterion; lower is better.
    spread : float
        By how much another seed may change the criterion, see `spread`.
    """

    cell: Cell
    run: Run
    value: float
    spread: float

    def __str__(self) -> str:
        return f"{self.cell[0]}, K = {self.cell[1]}"

    def __repr__(self) -> str:
        return f"<{self}: {self.value:.6g}, give or take {self.spread:.3g}>"


class Standings(Listing[Standing]):
    """How candidates stand, the best one first."""

    __slots__ = ()

    def row(self, number: int, item: Standing) -> dict[str, Any]:
        about = {"model": item.cell[0], "K": item.cell[1], "value": item.value}
        return {**about, "spread": item.spread, **ending(item.run.status.name, item.run.history)}


class Candidates(dict[Cell, Sequence[Run]]):
    """The runs of every candidate, by name of the model and number of components."""

    @property
    def table(self) -> Table:
        return Table.of(
            [{"model": name, "K": k, "runs": len(runs)} for (name, k), runs in self.items()]
        )

    def __repr__(self) -> str:
        return str(self.table.short()) if self else "{}"

    def _repr_html_(self) -> str:
        return self.table.short().html() if self else "{}"


def ranked(runs: Mapping[Key, Run], badness: Mapping[Key, float]) -> list[Key]:
    """The keys of `runs`, the best one first: the one place that says which fit is better.

    Any proper fit wins over an improper one, and any over one that has failed.

    Parameters
    ----------
    runs : mapping of Run
    badness : mapping of float
        Lower is better: a criterion, or among runs of one candidate minus the objective.
    """
    return sorted(runs, key=lambda key: (*runs[key].unfit, badness[key]))


def best_of(runs: Sequence[Run]) -> Run:
    """The best run of one candidate."""
    numbered = dict(enumerate(runs))
    first, *_ = ranked(numbered, {i: -run.height for i, run in numbered.items()})
    return runs[first]


def spread(field: Field, cell: Cell, runs: Sequence[Run]) -> float:
    """By how much another seed may change the criterion of a candidate, in its units.

    So far the third best run is behind the best one, at their predicted ends: of n restarts that
    are drawn anew from n known ones, the best is no further behind with a probability of 95 %.
    Infinite where there are fewer than three restarts, or fewer than two passes; 0 for K = 1, which
    has one maximum. What is improper is as likely as one likes, and so tells nothing beside what is
    not.
    """
    if cell[1] == 1:
        return 0.0
    fit = [run for run in runs if not any(run.unfit)] or runs
    gains = [reachable(run) for run in fit]
    if len(runs) < SURVIVORS or not np.isfinite(gains).all():
        return np.inf
    ends = sorted(field.value(run, gain) for run, gain in zip(fit, gains, strict=True))
    return ends[min(SURVIVORS, len(ends)) - 1] - ends[0]


def verdict(criterion: str, n_init: int, standings: Sequence[Standing]) -> str:
    """What may be concluded from how candidates stand, the best one first.

    Evidence is what is left of a lead if other seeds make the best candidate worse by its spread,
    and another one better by its own. A maximum that no restart has found is in no spread. What is
    improper, as likely as one likes, is no rival of what is not.
    """
    best, *others = standings
    edge = _edge(best, others)
    others = [standing for standing in others if standing.run.improper == best.run.improper]
    lines = [f"best by {criterion}: {best}", *_flatness(best, others), *edge]
    if not others:
        return "\n".join(lines)
    lead = others[0].value - best.value
    lines[0] += f"; {others[0]} is {lead:.3g} behind"
    left = [s.value - best.value - s.spread - best.spread for s in others]
    if min(left) < 0:
        doubtful = [s for s, clear in zip(others, left, strict=True) if clear < 0]
        lines.insert(1, _doubt(n_init, max(s.spread for s in (best, *doubtful))))
    elif criterion == "bic":
        lines[0] += f": {_strength(min(left))} evidence"
    return "\n".join(lines)


def _doubt(n_init: int, difference: float) -> str:
    if n_init < SURVIVORS:
        return (
            f"no evidence: n_init={n_init} does not tell how far restarts of one K differ: raise "
            f"n_init to {SURVIVORS} or more"
        )
    return f"no evidence: restarts of one K differ by up to {difference:.3g}: raise n_init={n_init}"


def _flatness(best: Standing, others: Sequence[Standing]) -> list[str]:
    near = [f"{s.cell[0]} K = {s.cell[1]}" for s in others if s.value - best.value < _NEAR]
    note = f"the criterion is flat: within {_NEAR:.0f} of the best are {', '.join(near)}"
    return [note] if near else []


def _edge(best: Standing, others: Sequence[Standing]) -> list[str]:
    name, k = best.cell
    tried = [s.cell[1] for s in others if s.cell[0] == name]
    is_largest = bool(tried) and k > max(tried)
    return ["the best is the largest K tried: extend() with larger ones"] if is_largest else []


def _strength(difference: float) -> str:
    """Words of Kass and Raftery (1995, section 3.2)."""
    steps = [(2, "hardly any"), (6, "positive"), (10, "strong")]
    return next((words for most, words in steps if difference < most), "very strong")
