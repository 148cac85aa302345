"""Laws that the E step and M step of a model of your own must keep, each a small function."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed.protocol import pickle

from daskem.core.numerics import one_blas_thread
from daskem.core.parameters import Params, check
from daskem.core.statistics import add_all
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.data.inputs.kinds import Data
from daskem.data.inputs.rows import as_rows
from daskem.errors import ModelError, ParameterError
from daskem.fitting.starts.first_read import first_read
from daskem.fitting.starts.seedbed import begin
from daskem.models.protocol import GROUPS, Declares, Model, Penalises, lacking, members
from daskem.testing.differences import (
    ROUNDING,
    changed,
    differences,
    differs_in_form,
    leaves,
    not_numbers,
    same_bits,
    scaled,
    sizes,
)

# Iterations over which the objective is watched.
_ITERATIONS = 20
# Rows that are tried as blocks of one.
_SINGLE_ROWS = 32


def check_model(
    model: Model,
    data: Data,
    start: Mapping[str, Any] | None = None,
    n_components: int | None = None,
) -> None:
    """Tell the author of a model what is wrong with it.

    Parameters
    ----------
    model : Model
        Any object with ``e_step(block, params)`` and ``m_step(statistics, params)``; what it may
        have besides is in `daskem.models.protocol`.
    data : ndarray, (sample, feature)
        Rows that the model is meant for. Some hundreds are enough, and quick.
    start, n_components
        As `daskem.fit` takes them.

    Raises
    ------
    ModelError
        Listing every law that the model was seen to break, with the statistic, the numbers and
        the likely mistake.

    Examples
    --------
    >>> import daskem, numpy as np
    >>> from daskem.testing import check_model
    >>> rows = np.random.default_rng(0).poisson(3.0, size=(200, 2))
    >>> check_model(daskem.Mixture(daskem.Poisson()), rows, n_components=2)
    """
    array = as_rows(data).array
    rows = np.asarray(array).reshape(-1, array.shape[-1])
    with one_blas_thread():
        bench = _prepare(model, rows, n_components, start)
        # What is not statistics, or not params, cannot be held against the laws that follow.
        broken = next(filter(None, (_findings(laws, bench) for laws in _LAWS)), [])
    if broken:
        listed = "\n".join(f"- {law}: {finding}" for law, finding, _ in broken)
        cause = next((cause for _, _, cause in broken if cause is not None), None)
        raise ModelError(f"{type(model).__name__} breaks these laws:\n{listed}") from cause


class _RaisedError(Exception):
    """The model itself raised an error; says where."""


@dataclass(frozen=True)
class _Bench:
    """A model, the rows it is tried on, and params to try it at.

    The model gets copies of everything: one that writes into its arguments breaks one law by
    that, not all of them, and leaves the caller's data alone.
    """

    model: Model
    rows: np.ndarray
    start: Params

    def e_step(
        self, rows: np.ndarray, weights: np.ndarray | None = None, params: Params | None = None
    ) -> Any:
        block = Block(rows.copy(), copy.copy(weights))
        kind = "without" if weights is None else "with"
        place = f"e_step on a block of {len(rows)} rows {kind} weights"
        params = copy.deepcopy(self.start if params is None else params)
        return _attempt(place, self.model.e_step, block, params)

    def m_step(self, statistics: Any, params: Params | None = None) -> Any:
        params = copy.deepcopy(self.start if params is None else params)
        return _attempt("m_step", self.model.m_step, copy.deepcopy(statistics), params)

    def sizes(self) -> dict[str, float]:
        """Of the statistics, from parts of the rows: over all of them, terms may cancel."""
        parts = np.array_split(self.rows, min(4, len(self.rows)))
        return sizes([self.e_step(part) for part in parts])


def _prepare(
    model: Model, rows: np.ndarray, n_components: int | None, start: Mapping[str, Any] | None
) -> _Bench:
    draws = np.random.default_rng(0)
    first = first_read(model, as_blocks(rows), draws, "k-means++", [n_components])
    rng = np.random.default_rng(0)
    return _Bench(first.model, rows, begin(first, n_components, start, "k-means++", rng))


def _attempt(place: str, f: Callable[..., Any], *args: Any) -> Any:
    try:
        return f(*args)
    except Exception as error:
        raise _RaisedError(f"{place} raised {type(error).__name__}: {error}") from error


def _findings(
    laws: tuple[Callable[[_Bench], Iterator[str]], ...], bench: _Bench
) -> list[tuple[str, str, BaseException | None]]:
    """Law, finding and the model's own error if there was one."""
    findings: list[tuple[str, str, BaseException | None]] = []
    for law in laws:
        name = law.__name__.replace("_", " ")
        try:
            for finding in law(bench):
                findings.append((name, finding, None))
        except _RaisedError as error:
            findings.append((name, str(error), error.__cause__))
    return findings


# The laws. Each yields what it found wrong.


def e_step_gives_sums(bench: _Bench) -> Iterator[str]:
    statistics = bench.e_step(bench.rows)
    if not isinstance(statistics, dict):
        yield f"e_step returned a {type(statistics).__name__}, not a dict of arrays"
        return
    if "log_likelihood" not in statistics:
        yield (
            f"e_step returned {sorted(statistics)}, without 'log_likelihood': the sum over the "
            "rows of log p(x)"
        )
    elif np.shape(statistics["log_likelihood"]) != ():
        shape = np.shape(statistics["log_likelihood"])
        yield f"'log_likelihood' has shape {shape}, not (): sum it over the rows"
    yield from not_numbers(statistics, "statistic")
    for name, value in leaves(statistics).items():
        if value.dtype.kind == "f" and value.dtype.itemsize < 8:
            yield (
                f"statistic {name!r} is {value.dtype}, too few digits for a sum over many rows: "
                "sum in float64"
            )


def groups_are_whole(bench: _Bench) -> Iterator[str]:
    for group in GROUPS:
        missing = lacking(bench.model, group)
        present = sorted(members(group) - set(missing))
        if present and missing:
            buys = (inspect.getdoc(group) or "").partition("\n")[0]
            yield (
                f"it has {', '.join(present)}, but lacks {', '.join(missing)}. Together they buy "
                f"this: {buys}"
            )


def m_step_gives_params(bench: _Bench) -> Iterator[str]:
    statistics = bench.e_step(bench.rows)
    params = bench.m_step(statistics)
    if not isinstance(params, dict):
        yield f"m_step returned a {type(params).__name__}, not a dict of arrays"
        return
    if set(params) != set(bench.start):
        yield f"m_step returned {sorted(params)}, but was given params {sorted(bench.start)}"
    yield from not_numbers(params, "param")


def statistics_add(bench: _Bench) -> Iterator[str]:
    singles = min(len(bench.rows), _SINGLE_ROWS)
    parts = [*np.split(bench.rows[:singles], singles), bench.rows[singles:], bench.rows[:0]]
    statistics = [bench.e_step(part) for part in parts]
    whole = leaves(bench.e_step(bench.rows))
    for part, sums in zip(parts, statistics, strict=True):
        wrong = list(differs_in_form(leaves(sums), whole, f"for a block of {len(part)} rows"))
        if wrong:
            yield from wrong
            return
    zeros = {name: np.zeros_like(value) for name, value in whole.items()}
    for text in differences(leaves(statistics[-1]), zeros, dict.fromkeys(zeros, 0.0)):
        yield f"{text} for a block of no rows. Is something added once for each block?"
    for text in differences(whole, leaves(add_all(statistics)), sizes(statistics)):
        yield (
            f"{text}, the sum over {len(parts)} blocks of the same rows. Is it a mean, or does it "
            "depend on the block in another way (its length, its largest value)?"
        )


_ONCE = "Multiply each row's term by block.weights, once, in every statistic"


def weights_are_repeats(bench: _Bench) -> Iterator[str]:
    n = len(bench.rows)
    plain = bench.e_step(bench.rows)
    times = np.arange(n) % 3
    repeated = bench.e_step(bench.rows.repeat(times, axis=0))
    cases = [
        ("weights 0, 1, 2, 0, ...", times.astype(float), repeated, _ONCE),
        ("all weights 1/2", np.full(n, 0.5), scaled(plain, 0.5), "Are they rounded?"),
        ("all weights 1", np.ones(n), plain, "Are they handled apart from no weights?"),
    ]
    for words, weights, expected, hint in cases:
        got, wanted = leaves(bench.e_step(bench.rows, weights)), leaves(expected)
        wrong = list(differs_in_form(got, wanted, f"with {words}"))
        wrong += [
            f"{text} with {words}. {hint}" for text in differences(got, wanted, bench.sizes())
        ]
        yield from wrong
        if wrong:
            return


def order_does_not_matter(bench: _Bench) -> Iterator[str]:
    plain = bench.e_step(bench.rows)
    shuffled = bench.e_step(np.random.default_rng(0).permutation(bench.rows))
    for text in differences(leaves(shuffled), leaves(plain), bench.sizes()):
        yield (
            f"{text} with the rows in another order. Rows are independent draws: does the E step "
            "look at neighbours, or at a row's place in the block?"
        )


def arguments_stay_as_they_are(bench: _Bench) -> Iterator[str]:
    block = Block(bench.rows.copy(), np.ones(len(bench.rows)))
    params = copy.deepcopy(bench.start)
    statistics = _attempt("e_step", bench.model.e_step, block, params)
    kept = copy.deepcopy(statistics)
    if not same_bits(block.rows, bench.rows):
        yield "e_step changed block.rows, which is the user's own array: work on a copy"
    if not same_bits(block.weights, np.ones(len(bench.rows))):
        yield "e_step changed block.weights, which is the user's own array: work on a copy"
    for name in changed(params, bench.start):
        yield f"e_step changed params[{name!r}], which other blocks read too: work on a copy"
    params = copy.deepcopy(bench.start)
    _attempt("m_step", bench.model.m_step, statistics, params)
    for name in changed(statistics, kept):
        yield f"m_step changed statistics[{name!r}], which the history keeps: work on a copy"
    for name in changed(params, bench.start):
        yield f"m_step changed params[{name!r}], the iterate before it: return new arrays"


def nothing_is_remembered(bench: _Bench) -> Iterator[str]:
    statistics = bench.e_step(bench.rows)
    params = bench.m_step(statistics)
    bench.m_step(bench.e_step(bench.rows[: len(bench.rows) // 2], params=params), params)
    hint = "Is something kept on self, or drawn at random? Each call may run on another machine"
    again = bench.m_step(statistics)
    for name in changed(again, params):
        yield f"m_step gave another {name!r} for the same statistics, after other calls. {hint}"
    for name in changed(bench.e_step(bench.rows), statistics):
        yield f"e_step gave another {name!r} for the same block, after other calls. {hint}"


def the_model_travels(bench: _Bench) -> Iterator[str]:
    try:
        arrived = pickle.loads(pickle.dumps(bench.model))
    except Exception as error:
        yield (
            f"it cannot be pickled, as it must be to reach the workers of a cluster: {error}. Make "
            "files, locks, loggers and the like inside the method that needs them"
        )
        return
    elsewhere = _Bench(arrived, bench.rows, bench.start)
    statistics = bench.e_step(bench.rows)
    for name in changed(elsewhere.e_step(bench.rows), statistics):
        yield f"e_step gives another {name!r} after pickling: a setting was left behind"
    for name in changed(elsewhere.m_step(statistics), bench.m_step(statistics)):
        yield f"m_step gives another {name!r} after pickling: a setting was left behind"


def the_objective_never_falls(bench: _Bench) -> Iterator[str]:
    # An M step on some of the rows leads to params that are as far off as one likes, and yet
    # satisfy whatever the model demands of them.
    rng = np.random.default_rng(0)
    n = len(bench.rows)
    resampled = [bench.rows[rng.integers(n, size=max(n // 8, 1))] for _ in range(2)]
    starts = {"the start": bench.start}
    for i, some in enumerate(resampled):
        starts[f"the M step on random rows, number {i}"] = bench.m_step(bench.e_step(some))
    for words, params in starts.items():
        finding = _climb(bench, params)
        if finding is not None:
            yield f"from {words}, {finding}"
            return


def declared_parameters_hold(bench: _Bench) -> Iterator[str]:
    if not isinstance(bench.model, Declares):
        return
    declared = bench.model.parameters
    for number, (_, params) in enumerate(_iterates(bench, bench.start)):
        try:
            check(declared, params)
        except ParameterError as error:
            yield f"after {number} iterations from the start: {error}"
            return


def repeating_the_data_changes_nothing(bench: _Bench) -> Iterator[str]:
    if isinstance(bench.model, Penalises):
        return
    statistics = bench.e_step(bench.rows)
    once, twice = bench.m_step(statistics), bench.m_step(scaled(statistics, 2))
    for text in differences(leaves(twice), leaves(once), sizes([once])):
        yield (
            f"{text} when all statistics are doubled, as they are for the data twice over. Does "
            "the M step divide by a fixed number, or hold a prior? (Then say so in "
            "log_prior(params, n_rows))"
        )


_REST = (
    statistics_add,
    weights_are_repeats,
    order_does_not_matter,
    arguments_stay_as_they_are,
    nothing_is_remembered,
    the_model_travels,
    the_objective_never_falls,
    declared_parameters_hold,
    repeating_the_data_changes_nothing,
)
_LAWS = ((e_step_gives_sums, groups_are_whole), (m_step_gives_params,), _REST)


def _iterates(bench: _Bench, params: Params) -> Iterator[tuple[dict[str, Any], Params]]:
    """Statistics and the params at which they were taken, iteration by iteration."""
    for _ in range(_ITERATIONS):
        statistics = bench.e_step(bench.rows, params=params)
        yield statistics, params
        params = bench.m_step(statistics, params)


def _climb(bench: _Bench, params: Params) -> str | None:
    """Iterate, and say where the objective fell, if it did."""
    before, n = -np.inf, len(bench.rows)
    for number, (statistics, iterate) in enumerate(_iterates(bench, params)):
        log_prior = 0.0
        if isinstance(bench.model, Penalises):
            log_prior = _attempt("log_prior", bench.model.log_prior, iterate, float(n))
        objective = float(statistics["log_likelihood"]) + log_prior
        if not np.isfinite(objective):
            return f"it is {objective} after {number} iterations"
        if objective < before - ROUNDING * max(n, abs(before)):
            return (
                f"it fell from {before:.10g} to {objective:.10g} in iteration {number}. The M "
                "step does not maximise what the E step computes: a wrong divisor, moments about "
                "another mean, a term of the log-likelihood that was left out, or a prior that "
                "log_prior does not know of"
            )
        before = objective
    return None
