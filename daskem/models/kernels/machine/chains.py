"""Chains, see `daskem.models.kernels.chain`, in machine code: eight sequences at a time.

A lane is a sequence. The longest ones come first, so that those that are not over yet are the first
lanes; the others go on with numbers that count nothing.
"""

from typing import NamedTuple

import numpy as np

from daskem.models.kernels.machine.compiling import part, whole
from daskem.models.kernels.machine.exponentials import exp, log
from daskem.models.kernels.machine.products import total
from daskem.models.kernels.machine.vectors import LANES, fma, load, splat, store


class Steps(NamedTuple):
    """What is known of all steps, and what is found: `width` steps are there, a multiple of eight.

    Attributes
    ----------
    b : ndarray, (state, width)
        The density of a step in each state, over that of the best one.
    a : ndarray, (state, width)
        As Rabiner's scaled alpha, and then gamma.
    c : ndarray, (1, width)
        As his scale.
    log_prob : ndarray, (1, width)
        The log-density in the best state, and then log p(x_t | x_1 ... x_t-1).
    """

    b: np.ndarray
    a: np.ndarray
    c: np.ndarray
    log_prob: np.ndarray

    @classmethod
    def of(cls, n_states: int, n_steps: int) -> "Steps":
        width = -(-n_steps // LANES) * LANES
        b, a = np.empty((n_states, width)), np.empty((n_states, width))
        return cls(b, a, np.ones((1, width)), np.empty((1, width)))


class Lanes(NamedTuple):
    """Eight sequences, at one step of each.

    Attributes
    ----------
    starts, lengths : ndarray of int64, (lane,)
        Which steps they have; without steps, if there are fewer sequences than lanes.
    counts : ndarray, (1, lane)
        How many times each counts.
    b, a, beta, ahead : ndarray, (state, lane)
    c : ndarray, (1, lane)
    xi : ndarray, (state * state_2, lane)
        Of all steps so far.
    """

    starts: np.ndarray
    lengths: np.ndarray
    counts: np.ndarray
    b: np.ndarray
    a: np.ndarray
    c: np.ndarray
    beta: np.ndarray
    ahead: np.ndarray
    xi: np.ndarray

    @classmethod
    def of(cls, n_states: int) -> "Lanes":
        b, a, beta, ahead = (np.ones((n_states, LANES)) for _ in range(4))
        starts, lengths = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
        counts, c = np.ones((1, LANES)), np.ones((1, LANES))
        xi = np.zeros((n_states**2, LANES))
        return cls(starts, lengths, counts, b, a, c, beta, ahead, xi)


@whole
def smooth(log_density, edges, order, counts, initial, transitions, limits, steps, lanes, moves):
    """Fill `steps`, and `moves` (state, state_2) with what the transitions were.

    Sequences come in `order`; `limits` are LEAST and MOST.
    """
    least, most = limits
    _densities(log_density, least, steps, lanes.ahead)
    for first in range(0, len(order), LANES):
        for lane in range(LANES):
            some = first + lane < len(order)
            i = order[first + lane] if some else 0
            lanes.starts[lane] = edges[i] if some else 0
            lanes.lengths[lane] = edges[i + 1] - edges[i] if some else 0
            lanes.counts[0, lane] = counts[i] if some else 0.0
        _forwards(steps, lanes, initial, transitions)
        _backwards(steps, lanes, transitions, most)
    for j in range(0, steps.c.shape[1], LANES):
        # c is no more than 1, and `log` is of what is no less.
        surprise = log(splat(1.0) / load(steps.c, 0, j))
        store(steps.log_prob, 0, j, load(steps.log_prob, 0, j) - surprise)
    for i in range(len(moves)):
        for j in range(len(moves)):
            moves[i, j] = 0.0
            if transitions[i, j] > 0.0:
                moves[i, j] = total(load(lanes.xi, i * len(moves) + j, 0)) * transitions[i, j]


@part
def _densities(log_density, least, steps, spare):
    """b = exp(log_density - peak), and the peaks."""
    n_states, n = log_density.shape
    for j in range(0, steps.b.shape[1], LANES):
        rows, first = log_density, j
        if j + LANES > n:
            for k in range(n_states):
                for i in range(j, n):
                    spare[k, i - j] = log_density[k, i]
            rows, first = spare, 0
        peak = load(rows, 0, first)
        for k in range(1, n_states):
            peak = max(peak, load(rows, k, first))
        for k in range(n_states):
            store(steps.b, k, j, exp(max(load(rows, k, first) - peak, splat(least))))
        store(steps.log_prob, 0, j, peak)


@part
def _active(lanes, t, n):
    """How many lanes have a step `t`, where `n` had the one before or after."""
    while n > 0 and lanes.lengths[n - 1] <= t:
        n -= 1
    while n < LANES and lanes.lengths[n] > t:
        n += 1
    return n


@part
def _gather(array, t, n, lanes, out):
    """Step `t` of the first `n` lanes."""
    for k in range(len(out)):
        for lane in range(n):
            out[k, lane] = array[k, lanes.starts[lane] + t]


@part
def _scatter(array, t, n, lanes, out):
    for k in range(len(array)):
        for lane in range(n):
            out[k, lanes.starts[lane] + t] = array[k, lane]


@part
def _forwards(steps, lanes, initial, transitions):
    """a_t = (a_t-1 A) b_t / c_t."""
    n = LANES
    for t in range(lanes.lengths[0]):
        n = _active(lanes, t, n)
        _gather(steps.b, t, n, lanes, lanes.b)
        c = splat(0.0)
        for k in range(len(transitions)):
            p = splat(initial[k])
            if t > 0:
                p = splat(0.0)
                for i in range(len(transitions)):
                    p = fma(load(lanes.a, i, 0), splat(transitions[i, k]), p)
            p = p * load(lanes.b, k, 0)
            store(lanes.ahead, k, 0, p)
            c = c + p
        one_over = splat(1.0) / c
        store(lanes.c, 0, 0, c)
        for k in range(len(transitions)):
            store(lanes.a, k, 0, load(lanes.ahead, k, 0) * one_over)
        _scatter(lanes.a, t, n, lanes, steps.a)
        _scatter(lanes.c, t, n, lanes, steps.c)


@part
def _backwards(steps, lanes, transitions, most):
    """beta_t-1 = A (b_t beta_t) / c_t, gamma = a beta, and xi, see there."""
    n = 0
    # A sequence that has not begun, from its end, has a of 0: it counts nothing.
    store(lanes.c, 0, 0, splat(1.0))
    for k in range(len(transitions)):
        store(lanes.a, k, 0, splat(0.0))
        store(lanes.b, k, 0, splat(1.0))
        store(lanes.beta, k, 0, splat(1.0))
    for t in range(lanes.lengths[0] - 1, 0, -1):
        n = _active(lanes, t, n)
        _gather(steps.b, t, n, lanes, lanes.b)
        _gather(steps.c, t, n, lanes, lanes.c)
        _gather(steps.a, t - 1, n, lanes, lanes.a)
        one_over = splat(1.0) / load(lanes.c, 0, 0)
        for k in range(len(transitions)):
            ahead = load(lanes.b, k, 0) * load(lanes.beta, k, 0) * one_over
            store(lanes.ahead, k, 0, min(ahead, splat(most)))
        _step_back(lanes, transitions)
        _scatter(lanes.a, t - 1, n, lanes, steps.a)
        for k in range(len(transitions)):
            for lane in range(n, LANES):
                lanes.beta[k, lane] = 1.0


@part
def _step_back(lanes, transitions):
    """From what is ahead of a step to xi, to its beta, and to its gamma in the place of a."""
    n_states = len(transitions)
    for i in range(n_states):
        a, beta = load(lanes.a, i, 0), splat(0.0)
        weighted = a * load(lanes.counts, 0, 0)
        for j in range(n_states):
            ahead = load(lanes.ahead, j, 0)
            beta = fma(ahead, splat(transitions[i, j]), beta)
            at = i * n_states + j
            store(lanes.xi, at, 0, fma(weighted, ahead, load(lanes.xi, at, 0)))
        store(lanes.beta, i, 0, beta)
        store(lanes.a, i, 0, a * beta)


@whole
def decode(log_density, edges, log_initial, log_transitions, best, states, log_prob):
    """Fill `states` (step,) with the most probable path of every sequence, and `log_prob`.

    `best` (state, step) is to be the best paths up to a step that end in a state.
    """
    for i in range(len(edges) - 1):
        first, last = edges[i], edges[i + 1] - 1
        for k in range(len(best)):
            best[k, first] = log_initial[k] + log_density[k, first]
        for t in range(first + 1, last + 1):
            for k in range(len(best)):
                came_from = _best_way(best, t - 1, log_transitions, k)
                way = best[came_from, t - 1] + log_transitions[came_from, k]
                best[k, t] = way + log_density[k, t]
        state = 0
        for k in range(1, len(best)):
            if best[k, last] > best[state, last]:
                state = k
        states[last], log_prob[i] = state, best[state, last]
        for t in range(last, first, -1):
            state = _best_way(best, t - 1, log_transitions, state)
            states[t - 1] = state


@part
def _best_way(best, t, log_transitions, k):
    """From which state at step `t` the best path to state `k` comes: the first of them."""
    came_from, most = 0, best[0, t] + log_transitions[0, k]
    for i in range(1, len(best)):
        way = best[i, t] + log_transitions[i, k]
        if way > most:
            came_from, most = i, way
    return came_from
