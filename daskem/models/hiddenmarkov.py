"""The hidden Markov model: the state of a row depends on that of the row before it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskem.core.candidates import Candidates
from daskem.core.numerics import EPS, NOTHING, one_blas_thread
from daskem.core.parameters import SIMPLEX, DataParams, Parameter, Params
from daskem.core.statistics import Statistics, add_all
from daskem.models.asking import demand
from daskem.models.composed import ComposedModel
from daskem.models.families.protocol import Draws
from daskem.models.kernels.backends import COMPILED, NUMPY
from daskem.models.kernels.chain import Chains
from daskem.models.kernels.compiled_chain import CompiledChains
from daskem.models.kernels.protocol import Kernel
from daskem.models.known import DOUBTED, doubted_states
from daskem.models.mixture import Mixture
from daskem.models.steps import Steps
from daskem.models.views import Block, Decoded, Tile

# The probability of staying in a state where a mixture becomes a chain: some ten steps.
_STICKY = 0.9
# Steps for each state that decide the transitions of a restart, and what they have of these: of 24
# restarts four led to the best known fit of earthquakes with four states, none of as many from one
# start, and no start is without a way from any state to any other.
_STEPS, _DRAWN = 1.0, 0.9
# The probability of a move that is impossible, but for what is known of the states.
_LEAST = 1e-200
# A long sequence has two to this of steps.
_DOUBLINGS = 10
# Numbers (state, step) that are looked at together, unless a sequence has more: of twice as many
# the arrays come anew from the system each time, which takes a quarter longer.
_NUMBERS = 2**20


@dataclass(frozen=True)
class HiddenMarkov(ComposedModel):
    """Sequences that walk from state to state, each row drawn from the component of its state.

        p(x) = sum over paths s of  initial[s_1] p(x_1 | s_1)
                                    prod over t of  transitions[s_t-1, s_t] p(x_t | s_t)

    Parameters
    ----------
    family : Gaussian, Poisson, Bernoulli, or one of your own
        Of the rows, given their state; as for `Mixture`.
    frame : Frame, optional
        As for `Mixture`.
    backend : {"numpy", "compiled"}
        As for `Mixture`.
    incomplete : bool, default False
        As for `Mixture`.

    Notes
    -----
    Parameters: ``initial`` (state), ``transitions`` (state, state_2), from the first to the second,
    and those of the family. Statistics: those of the family, with ``initial`` the sum of gamma_1
    and ``transitions`` that of xi, see `daskem.models.kernels.chain`; `sample_weight` is that of a
    sequence. A row that is missing is a step without emission.

    References
    ----------
    Rabiner (1989), A tutorial on hidden Markov models, Proc. IEEE 77.
    """

    @property
    def parameters(self) -> dict[str, Parameter]:
        of_chain = {
            "initial": Parameter(("state",), SIMPLEX),
            "transitions": Parameter(("state", "state_2"), SIMPLEX),
        }
        return of_chain | {name: _of_states(p) for name, p in self.family.parameters.items()}

    def n_components(self, params: Params) -> int:
        return len(params["initial"])

    def shares(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """How many of the steps of a long sequence are in each state, (state,)."""
        shares, ahead = np.eye(len(params["initial"])), params["transitions"]
        for _ in range(_DOUBLINGS):
            # The mean of twice as many steps is that of the first half, and of as many after them.
            shares, ahead = (shares + shares @ ahead) / 2, ahead @ ahead
        return params["initial"] @ shares

    def e_step(self, block: Block, params: Params) -> Statistics:
        """What the states of the sequences of a block were, summed into sufficient statistics."""
        return self.e_steps(block, [params])[0]

    def e_steps(self, block: Block, candidates: Sequence[Params]) -> list[Statistics]:
        if isinstance(candidates, Candidates):
            kernels = candidates.made(self, self._kernels)
        else:
            kernels = self._kernels(candidates)
        pairs = zip(kernels, candidates, strict=True)
        return [self._e_step(block, kernel, params) for kernel, params in pairs]

    def _e_step(self, block: Block, kernel: Kernel, params: Params) -> Statistics:
        labels, parts, log_prob = self.known(block), [], np.empty(len(block))
        moves = _moves(params, labels)
        for steps in self._runs(block, params):
            smoothed = self._chains(block, kernel, steps, labels).smooth(*moves, steps.counts)
            log_prob[steps.span] = smoothed.log_prob[steps.kept]
            of_sequences = steps.each_sequence(smoothed.log_prob)
            statistics = {
                **kernel.soft(steps.rows(block), smoothed.states[:, steps.kept]),
                "log_likelihood": float(steps.counts @ of_sequences),
                "initial": steps.counts @ smoothed.states[:, steps.edges[:-1]].T,
                "transitions": smoothed.transitions,
            }
            parts.append(statistics)
        of_labels = {}
        if labels is not None:
            of_labels[DOUBTED] = doubted_states(block, labels, kernel, log_prob)
        return {**of_labels, **add_all(parts)}

    def m_step(self, statistics: Statistics, params: Params) -> Params:
        """The params that maximise the expected (penalised) log-likelihood.

        A state that no sequence leaves keeps its transitions.
        """
        initial, moves = statistics["initial"], statistics["transitions"]
        left = moves.sum(axis=1, keepdims=True)
        some = left > NOTHING * moves.sum()
        transitions = np.where(some, moves / np.where(some, left, 1.0), params["transitions"])
        of_chain = {"initial": initial / initial.sum(), "transitions": transitions}
        return Params({**of_chain, **self.family.m_step(statistics, params, self.frame)})

    def events(self, statistics: Statistics, params: Params) -> list[str]:
        events = super().events(statistics, params)
        if not statistics["transitions"].any():
            events.append("no sequence has a second step: the transitions are those of the start")
        return events

    @property
    def backends(self) -> tuple[str, ...]:
        return NUMPY, COMPILED

    @property
    def simpler(self) -> Mixture:
        """The mixture that a fit begins with."""
        return Mixture(self.family, None, self.backend, self.incomplete)

    def grown(self, params: DataParams) -> Params:
        """Params of a mixture as those of chains that like to stay where they are."""
        weights = params["weights"]
        stay = _STICKY if len(weights) > 1 else 1.0
        of_chain = {
            "initial": weights,
            "transitions": stay * np.eye(len(weights)) + (1 - stay) * weights,
        }
        family = {name: value for name, value in params.items() if name != "weights"}
        return self.allowed(self.to_frame(DataParams({**of_chain, **family})))

    def varied(self, params: Params, rng: np.random.Generator) -> Params:
        """The same states with other transitions: where a few steps are drawn from each row."""
        transitions = params["transitions"]
        few = np.maximum(_STEPS * len(transitions) * transitions, EPS)
        drawn = np.stack([rng.dirichlet(row) for row in few])
        return Params({**params, "transitions": _DRAWN * drawn + (1 - _DRAWN) * transitions})

    def posterior(self, block: Block, params: Params) -> Iterator[Tile]:
        """Of the rows of a block, given all of their sequence; ``log_prob`` is log p(x_t) given
        the rows before, which adds up to that of the sequence.
        """
        with one_blas_thread():
            (kernel,) = self._kernels([params])
        labels = self.known(block)
        moves = _moves(params, labels)
        for steps in self._runs(block, params):
            with one_blas_thread():
                chains = self._chains(block, kernel, steps, labels)
                smoothed = chains.smooth(*moves, steps.counts)
            states = smoothed.states[:, steps.kept]
            yield Tile(steps.span, smoothed.log_prob[steps.kept], states)

    def decode(self, block: Block, params: Params) -> Decoded:
        """The most probable states of every sequence as a whole."""
        with one_blas_thread():
            (kernel,) = self._kernels([params])
            labels, states, log_prob = self.known(block), [], []
            moves = _moves(params, labels)
            for steps in self._runs(block, params):
                path, of_sequences = self._chains(block, kernel, steps, labels).decode(*moves)
                states.append(path[steps.kept])
                log_prob.append(of_sequences)
        return Decoded(np.concatenate(states), np.concatenate(log_prob))

    def sample(
        self, params: Params, n_samples: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw one sequence of rows (sample, feature), and the state (sample,) of each."""
        family = demand(self.family, Draws, "drawing rows")
        states = np.empty(n_samples, dtype=np.intp)
        limits, state = np.cumsum(params["transitions"], axis=1), -1
        for t, u in enumerate(rng.random(n_samples)):
            limit = np.cumsum(params["initial"]) if t == 0 else limits[state]
            states[t] = state = int(np.searchsorted(limit[:-1], u, "right"))
        return self.restore(family.sample(params, states, rng)), states

    def _kernels(self, candidates: Sequence[Params]) -> list[Kernel]:
        """The densities of the family in the data's units, and their statistics, of each."""
        return [self.of_family([p], [np.full(len(p["initial"]), self.log_det)]) for p in candidates]

    def _runs(self, block: Block, params: Params) -> Iterator[Steps]:
        """The steps of a block, of as many whole sequences at a time as a cache holds."""
        return Steps.of(block).runs(_NUMBERS // len(params["initial"]))

    def _chains(
        self, block: Block, kernel: Kernel, steps: Steps, labels: np.ndarray | None
    ) -> Chains:
        """Steps of a block, with their densities."""
        log_density = steps.log_density(kernel, block, labels)
        kind = CompiledChains if self.backend == COMPILED else Chains
        return kind(log_density, steps.edges)


def _moves(params: Params, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """`initial` and `transitions`, none of which rule out what is known of a block."""
    initial, transitions = params["initial"], params["transitions"]
    if labels is None or not (labels >= 0).any():
        return initial, transitions
    return np.maximum(initial, _LEAST), np.maximum(transitions, _LEAST)


def _of_states(parameter: Parameter) -> Parameter:
    return replace(
        parameter, dims=tuple(dim.replace("component", "state") for dim in parameter.dims)
    )
