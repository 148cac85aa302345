"""Laws that the E step and M step of a model of your own must keep, each a small function."""

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from distributed.protocol import pickle

from daskem.core.parameters import Params, check
from daskem.core.statistics import add_all
from daskem.data.blocks import Block
from daskem.errors import ParameterError
from daskem.models.asking import lacking, members
from daskem.models.protocol import GROUPS, Declares, Penalises
from daskem.testing.bench import Bench, attempt
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

# A law yields what it finds wrong.
Law = Callable[[Bench], Iterator[str]]


def e_step_gives_sums(bench: Bench) -> Iterator[str]:
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


def groups_are_whole(bench: Bench) -> Iterator[str]:
    for group in GROUPS:
        missing = lacking(bench.model, group)
        present = sorted(members(group) - set(missing))
        if present and missing:
            buys = (inspect.getdoc(group) or "").partition("\n")[0]
            yield (
                f"it has {', '.join(present)}, but lacks {', '.join(missing)}. Together they buy "
                f"this: {buys}"
            )


def m_step_gives_params(bench: Bench) -> Iterator[str]:
    statistics = bench.e_step(bench.rows)
    params = bench.m_step(statistics)
    if not isinstance(params, dict):
        yield f"m_step returned a {type(params).__name__}, not a dict of arrays"
        return
    if set(params) != set(bench.start):
        yield f"m_step returned {sorted(params)}, but was given params {sorted(bench.start)}"
    yield from not_numbers(params, "param")


def statistics_add(bench: Bench) -> Iterator[str]:
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


def weights_are_repeats(bench: Bench) -> Iterator[str]:
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


def order_does_not_matter(bench: Bench) -> Iterator[str]:
    plain = bench.e_step(bench.rows)
    shuffled = bench.e_step(np.random.default_rng(0).permutation(bench.rows))
    for text in differences(leaves(shuffled), leaves(plain), bench.sizes()):
        yield (
            f"{text} with the rows in another order. Rows are independent draws: does the E step "
            "look at neighbours, or at a row's place in the block?"
        )


def arguments_stay_as_they_are(bench: Bench) -> Iterator[str]:
    block = Block(bench.rows.copy(), np.ones(len(bench.rows)))
    params = copy.deepcopy(bench.start)
    statistics = attempt("e_step", bench.model.e_step, block, params)
    kept = copy.deepcopy(statistics)
    if not same_bits(block.rows, bench.rows):
        yield "e_step changed block.rows, which is the user's own array: work on a copy"
    if not same_bits(block.weights, np.ones(len(bench.rows))):
        yield "e_step changed block.weights, which is the user's own array: work on a copy"
    for name in changed(params, bench.start):
        yield f"e_step changed params[{name!r}], which other blocks read too: work on a copy"
    params = copy.deepcopy(bench.start)
    attempt("m_step", bench.model.m_step, statistics, params)
    for name in changed(statistics, kept):
        yield f"m_step changed statistics[{name!r}], which the history keeps: work on a copy"
    for name in changed(params, bench.start):
        yield f"m_step changed params[{name!r}], the iterate before it: return new arrays"


def nothing_is_remembered(bench: Bench) -> Iterator[str]:
    statistics = bench.e_step(bench.rows)
    params = bench.m_step(statistics)
    bench.m_step(bench.e_step(bench.rows[: len(bench.rows) // 2], params=params), params)
    hint = "Is something kept on self, or drawn at random? Each call may run on another machine"
    again = bench.m_step(statistics)
    for name in changed(again, params):
        yield f"m_step gave another {name!r} for the same statistics, after other calls. {hint}"
    for name in changed(bench.e_step(bench.rows), statistics):
        yield f"e_step gave another {name!r} for the same block, after other calls. {hint}"


def the_model_travels(bench: Bench) -> Iterator[str]:
    try:
        arrived = pickle.loads(pickle.dumps(bench.model))
    except Exception as error:
        yield (
            f"it cannot be pickled, as it must be to reach the workers of a cluster: {error}. Make "
            "files, locks, loggers and the like inside the method that needs them"
        )
        return
    elsewhere = Bench(arrived, bench.rows, bench.start)
    statistics = bench.e_step(bench.rows)
    for name in changed(elsewhere.e_step(bench.rows), statistics):
        yield f"e_step gives another {name!r} after pickling: a setting was left behind"
    for name in changed(elsewhere.m_step(statistics), bench.m_step(statistics)):
        yield f"m_step gives another {name!r} after pickling: a setting was left behind"


def the_objective_never_falls(bench: Bench) -> Iterator[str]:
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


def declared_parameters_hold(bench: Bench) -> Iterator[str]:
    if not isinstance(bench.model, Declares):
        return
    declared = bench.model.parameters
    for number, (_, params) in enumerate(_iterates(bench, bench.start)):
        try:
            check(declared, params)
        except ParameterError as error:
            yield f"after {number} iterations from the start: {error}"
            return


def repeating_the_data_changes_nothing(bench: Bench) -> Iterator[str]:
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
LAWS = ((e_step_gives_sums, groups_are_whole), (m_step_gives_params,), _REST)


def _iterates(bench: Bench, params: Params) -> Iterator[tuple[dict[str, Any], Params]]:
    """Statistics and the params at which they were taken, iteration by iteration."""
    for _ in range(_ITERATIONS):
        statistics = bench.e_step(bench.rows, params=params)
        yield statistics, params
        params = bench.m_step(statistics, params)


def _climb(bench: Bench, params: Params) -> str | None:
    """Iterate, and say where the objective fell, if it did."""
    before, n = -np.inf, len(bench.rows)
    for number, (statistics, iterate) in enumerate(_iterates(bench, params)):
        log_prior = 0.0
        if isinstance(bench.model, Penalises):
            log_prior = attempt("log_prior", bench.model.log_prior, iterate, float(n))
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
