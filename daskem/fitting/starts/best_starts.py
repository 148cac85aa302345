"""The best of many starts, on a sample, which costs no read: seed or partition, over-fit, prune,
compare, regrow, polish, in this order; of a simpler model, where rows are few for this one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import TypeGuard

import numpy as np

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params
from daskem.core.settings import whole
from daskem.fitting.algorithms import Draft
from daskem.fitting.starts.contest import Contest
from daskem.fitting.starts.effort import Effort, searched_rows, simpler_read
from daskem.fitting.starts.first_read import FirstRead
from daskem.fitting.starts.seedbed import Seedbed, begin
from daskem.fitting.starts.short_climbs import Judged
from daskem.fitting.starts.shortlist import Shortlist, drawn, grown, grown_each, regrown, winners
from daskem.fitting.starts.start_params import Start, params_in_start
from daskem.models.asking import allowed, demand
from daskem.models.protocol import Declares, Model, Simplifies, Starts


def best_starts(
    first: FirstRead,
    n_components: int | None,
    start: Start | None,
    init_params: str,
    rngs: Sequence[np.random.Generator],
) -> list[Draft]:
    """Params to start from, in the coordinates of the model, one for each of `rngs`; where nothing
    is given, each the best of many. It takes the parameters of `begin`.
    """
    read = starting(first, n_components, start)
    if read is not first:
        known = _known_to(first, read, start)
        drafts = best_starts(read, n_components, known, init_params, rngs)
        grown_drafts = grown_each(first.model, read.model, drafts, rngs)
        return [Draft(_with_known(first, d.params, n_components, start)) for d in grown_drafts]
    if not is_searched(first, n_components, start):
        return [Draft(begin(first, n_components, start, init_params, rng)) for rng in rngs]
    k = whole("n_components", n_components)
    return [entry.draft for entry in best_of_many(first, k, init_params, rngs)]


def unsearched_start(
    first: FirstRead,
    n_components: int | None,
    start: Start | None,
    init_params: str,
    rng: np.random.Generator,
) -> Params:
    """Params of the shapes of `best_starts`, which no search has chosen."""
    read = starting(first, n_components, start)
    params = begin(read, n_components, _known_to(first, read, start), init_params, rng)
    if read is first:
        return params
    grown_params = grown(first.model, read.model, params)
    return _with_known(first, grown_params, n_components, start)


def starting(first: FirstRead, n_components: int | None, start: Start | None) -> FirstRead:
    """The first read for the model that makes the starts: a simpler one, where it alone has any."""
    if n_components is None or not _begins_simply(first.model):
        return first
    if isinstance(first.model, Declares) and set(start or {}) >= set(first.model.parameters):
        return first
    return first.of(demand(first.model.simpler, Starts, "starting"))


def _known_to(first: FirstRead, read: FirstRead, start: Start | None) -> Start | None:
    """What of a start is of the model that makes the rest of it."""
    if start is None or read is first or not isinstance(read.model, Declares):
        return start
    return {name: value for name, value in start.items() if name in read.model.parameters}


def _with_known(
    first: FirstRead, params: Params, n_components: int | None, start: Start | None
) -> Params:
    """Params that have grown from those of a simpler model, with what is given of its own."""
    known = params_in_start(first.model, start, len(first.survey.mean), n_components)
    return allowed(first.model, Params({**params, **known})) if known else params


def _begins_simply(model: Model) -> TypeGuard[Simplifies]:
    """Whether a model has no starts but those of a simpler one."""
    return isinstance(model, Simplifies) and not isinstance(model, Starts)


def is_searched(first: FirstRead, n_components: int | None, start: Start | None) -> bool:
    """Whether `best_starts` looks for the best of many starts."""
    read = starting(first, n_components, start)
    if _known_to(first, read, start) or n_components in (None, 1):
        return False
    return isinstance(read.model, Starts)


@one_blas_thread()
def shortlists(first: FirstRead, init_params: str, counts: Iterable[int]) -> dict[int, Shortlist]:
    """What becomes the better ones of many starts, by the number of components; none drawn yet.

    Several starts compete on the sample of the survey: short runs on a small part of it, some with
    more components than wanted, which are then pruned; the better ones go on to larger parts, and
    the best are fitted to all of it (Biernacki, Celeux and Govaert 2003). In between, the best one
    is regrown a few times, which takes components from where there are too many to where one is
    missing (as the splits and merges of Ueda et al. 2000). What the last fit has learned of the
    curvature goes on to the data. Where a model has no starts of its own, or rows are few for so
    many parameters, all this is done with a simpler one, whose components grow into those of this
    one.
    """
    counts = list(counts)
    read, simply = _begun_simply(first, counts)
    is_all = len(first.survey.sample) == first.survey.n_rows
    contests = _contests(first, init_params, [k for k in counts if k not in simply])
    lists = {k: Shortlist(contest, (first.model,), is_all) for k, contest in contests.items()}
    if simply:
        for k, listed in shortlists(read, init_params, simply).items():
            lists[k] = replace(listed, models=(*listed.models, first.model))
    return lists


def _begun_simply(first: FirstRead, counts: Sequence[int]) -> tuple[FirstRead, Sequence[int]]:
    """The first read for the simpler model with which some of these begin, and which do."""
    read = starting(first, max(counts), None)
    if read is not first:
        return read, counts
    sample = first.survey.start_sample
    n, d = int((sample.counts > 0).sum()), sample.rows.shape[1]
    reads = {k: simpler_read(first, k, d, n) for k in counts}
    simply = [k for k, simpler in reads.items() if simpler is not None]
    return next(filter(None, reads.values()), first), simply


def _contests(first: FirstRead, init_params: str, counts: Sequence[int]) -> dict[int, Contest]:
    """The contests of starts with these numbers of components."""
    if not counts:
        return {}
    model, n_named = first.model, first.survey.n_named
    assert isinstance(model, Starts)
    sample, n_out = searched_rows(model, first.survey.start_sample)
    n, d = sample.rows.shape
    # Parts of one size are one, on which climbs go on, and those of all contests go in step.
    part = cache(lambda size: sample[:size])
    bed = cache(lambda size: Seedbed(model, part(size), init_params, n_out))
    contests = {}
    for k in counts:
        effort = Effort.of(model, k, d, n, init_params, n_named, n_out)
        parts = [part(size) for size in effort.sizes]
        contests[k] = Contest(model, parts, effort, k, n_named, n_out, bed(effort.sizes[0]))
    return contests


def best_of_many(
    first: FirstRead, n_components: int, init_params: str, rngs: Sequence[np.random.Generator]
) -> list[Judged]:
    """The best of many starts, as the sample judges it; one for each of `rngs`."""
    lists = shortlists(first, init_params, [n_components]).values()
    (starts,) = winners(regrown(drawn([*lists], [rngs])), [0.0])
    return starts
