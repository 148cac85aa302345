"""Chains: what the states of Markov chains were, given how likely each state makes each step.

Of one sequence, with b_t(k) = p(x_t | k), pi = initial and A = transitions (Rabiner 1989), scaled:

    a_1 = pi b_1 / c_1                a_t = (a_t-1 A) b_t / c_t               p(x) = product of c_t
    beta_T = 1                        beta_t = A (b_t+1 beta_t+1) / c_t+1
    gamma_t = a_t beta_t              xi_t = a_t^T (b_t+1 beta_t+1) / c_t+1 * A

A step is one operation on all sequences that last so long: the longest ones come first, so that
these are a prefix of them. Where nothing was observed, b_t = 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# A state gives no row less than e to this of what the best one gives it: a chain that must pass
# where the row is all but impossible has a probability above zero in any case.
LEAST = -690.0
# What is ahead of a state is at most 1 over the probability to be there. Of one that no step leads
# to it is unbounded, and counts nothing: a number makes no NaN of that.
MOST = 1e300


@dataclass(frozen=True, eq=False)
class Chains:
    """Sequences of steps, with the log-density of every step in every state.

    Attributes
    ----------
    log_density : ndarray, (state, step)
    edges : ndarray of int, (sequence + 1,)
        The steps of sequence i are ``edges[i]:edges[i + 1]``; none is without steps.
    """

    log_density: np.ndarray
    edges: np.ndarray

    def smooth(
        self, initial: np.ndarray, transitions: np.ndarray, counts: np.ndarray
    ) -> "Smoothed":
        """What the states were, given all steps of their sequence.

        Parameters
        ----------
        initial : ndarray, (state,)
        transitions : ndarray, (state, state_2)
        counts : ndarray, (sequence,)
            How many times each sequence counts among the transitions.
        """
        log_density = self._of_steps
        peak = log_density.max(axis=1)
        b = np.exp(np.maximum(log_density - peak[:, None], LEAST))
        a, c = np.empty_like(b), np.empty(len(b))
        steps = list(self._forwards())
        for current, before in steps:
            a[current] = (initial if before is None else a[before] @ transitions) * b[current]
            c[current] = a[current].sum(axis=1)
            a[current] /= c[current, None]
        beta, xi = np.ones_like(b), np.zeros_like(transitions)
        ordered = counts[self.order, None]
        for current, before in reversed(steps):
            if before is None:
                continue
            with np.errstate(over="ignore"):
                ahead = np.minimum(b[current] * beta[current] / c[current, None], MOST)
            xi += (a[before] * ordered[: len(current)]).T @ ahead
            beta[before] = ahead @ transitions.T
        moves = np.where(transitions > 0, xi, 0.0) * transitions
        return Smoothed(peak + np.log(c), (a * beta).T, moves)

    def decode(self, initial: np.ndarray, transitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The most probable states (step,) of every sequence as a whole, and log p(x, states) of
        each sequence (Viterbi 1967).
        """
        with np.errstate(divide="ignore"):
            log_initial, log_transitions = np.log(initial), np.log(transitions)
        log_density = self._of_steps
        best = np.empty_like(log_density)
        came_from = np.empty(best.shape, dtype=np.intp)
        steps = list(self._forwards())
        for current, before in steps:
            if before is None:
                best[current] = log_initial + log_density[current]
                continue
            ways = best[before][:, :, None] + log_transitions
            came_from[current] = ways.argmax(axis=1)
            best[current] = ways.max(axis=1) + log_density[current]
        states = np.empty(len(best), dtype=np.intp)
        ends = self.edges[1:] - 1
        states[ends] = best[ends].argmax(axis=1)
        for current, before in reversed(steps):
            if before is not None:
                states[before] = came_from[current, states[current]]
        return states, best[ends].max(axis=1)

    @property
    def _of_steps(self) -> np.ndarray:
        """The log-densities with those of a step side by side, (step, state)."""
        return np.ascontiguousarray(self.log_density.T)

    @property
    def order(self) -> np.ndarray:
        """The sequences, the longest ones first."""
        return np.argsort(-np.diff(self.edges), kind="stable")

    def _forwards(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """The t-th steps of all sequences that have so many, and those before them."""
        order = self.order
        lengths, starts = np.diff(self.edges)[order], self.edges[:-1][order]
        n_active = len(order) - np.searchsorted(
            lengths[::-1], np.arange(lengths[:1].sum()), "right"
        )
        for t, n in enumerate(n_active.tolist()):
            current = starts[:n] + t
            yield current, None if t == 0 else current - 1


@dataclass(frozen=True, eq=False)
class Smoothed:
    """What chains were, given their steps.

    Attributes
    ----------
    log_prob : ndarray, (step,)
        log p(x_t | x_1 ... x_t-1), whose sum over a sequence is the log-likelihood of that.
    states : ndarray, (state, step)
        gamma: the probability of each state.
    transitions : ndarray, (state, state_2)
        Expected numbers of transitions, the sum of xi over all steps.
    """

    log_prob: np.ndarray
    states: np.ndarray
    transitions: np.ndarray
