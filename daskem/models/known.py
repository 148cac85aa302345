"""Rows whose component is known: all components but that one have probability 0, before a softmax.

    log p(x, k) = log weight_k p(x | k)        r_k = 1        r_j = 0 for all others

Both are what the kernels say of rows in any case, `log_densities` and `hard`, so that none of them
knows labels, and rows without one are computed as ever.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daskem.core.known_labels import labels_among
from daskem.core.numerics import EPS, exponentiate, one_blas_thread
from daskem.core.statistics import Statistics
from daskem.models.kernels.protocol import Kernel
from daskem.models.kernels.tiles import spans
from daskem.models.views import Block, Tile

# The name of the statistic that says which labels the params do not believe.
DOUBTED = "doubted"
# Rows of one that is unknown, up to which those that are known are left in their places.
_MANY = 2
# Rows whose log-densities are looked at together.
_AT_ONCE = 2**14
# The log of no weight: below any log-density, and finite, as matrix products want numbers.
LOG_OF_NONE = -1e300


def logs_of(weights: np.ndarray) -> np.ndarray:
    """The logs of weights, none of which may be."""
    some = weights > 0
    return np.where(some, np.log(np.where(some, weights, 1.0)), LOG_OF_NONE)


@dataclass(frozen=True)
class Doubted:
    """Labels of no probability, as far as numbers tell, given their rows and the params.

    Those of neighbouring blocks add.

    Attributes
    ----------
    n : int
    first : str
        The first of them, in words.
    """

    n: int = 0
    first: str = ""

    def __add__(self, other: "Doubted") -> "Doubted":
        return Doubted(self.n + other.n, self.first or other.first)

    @classmethod
    def of(cls, block: Block, labels: np.ndarray, log_shares: np.ndarray) -> "Doubted":
        """The labels (sample,) of a block whose shares, without them, are nothing beside 1."""
        doubted = np.flatnonzero((log_shares < np.log(EPS)) & (block.counts > 0))
        if not len(doubted):
            return cls()
        row = int(doubted[0])
        return cls(len(doubted), f"that of {block.place(row)}, {labels[row]}")


def known(block: Block) -> np.ndarray | None:
    """The components of the rows of a block, int (sample,), -1 where unknown; None without any."""
    return labels_among(block.along)


def unknown(block: Block, labels: np.ndarray) -> Block:
    """The rows whose components are not known, for an E step; few others have weight 0 instead, as
    a copy of all rows would take longer.
    """
    free = labels < 0
    if free.all():
        return block
    few = np.count_nonzero(free) * _MANY > len(block)
    return block.weighted(block.counts * free) if few else block[free]


def doubts(statistics: Statistics) -> list[str]:
    """What a person should know of labels."""
    doubted = statistics.get(DOUBTED, Doubted())
    if not doubted.n:
        return []
    labels = "label has" if doubted.n == 1 else "labels have"
    return [f"{doubted.n:,} {labels} probability 0, given the row: {doubted.first}"]


def known_e_step(kernel: Kernel, block: Block, labels: np.ndarray) -> Statistics:
    """The E step of rows all of whose labels (sample,) are known, for the only candidate."""
    of_label, log_shares = np.empty(len(block)), np.empty(len(block))
    for span, joint in _log_densities(kernel, block):
        of_label[span] = np.take_along_axis(joint, labels[span][None], axis=0)[0]
        log_shares[span] = of_label[span] - _log_sum(joint)
    counts = block.counts
    return {
        **kernel.hard(block, labels),
        # What a row of weight 0 has may be anything.
        "log_likelihood": float(of_label[counts > 0] @ counts[counts > 0]),
        DOUBTED: Doubted.of(block, labels, log_shares),
    }


def known_posterior(
    kernel: Kernel, block: Block, labels: np.ndarray, groups: np.ndarray | None = None
) -> Iterator[Tile]:
    """What the only candidate says of rows of which some labels are known, tile by tile.

    Labels are of components, or of `groups` (component,) of them.
    """
    for span, joint in _log_densities(kernel, block):
        others = _ruled_out(len(joint), labels[span], groups)
        shares = np.where(others, LOG_OF_NONE, joint)
        log_prob = _log_sum(shares)
        shares = np.where(others, 0.0, shares / shares.sum(axis=0))
        yield Tile(span, log_prob, shares)


def only_known(log_density: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-densities (state, row), with none in all states that the labels (row,) rule out."""
    return np.where(_ruled_out(len(log_density), labels), LOG_OF_NONE, log_density)


def _ruled_out(
    n_components: int, labels: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Of which components rows are not, by their labels (row,): bool (component, row)."""
    numbers = np.arange(n_components) if groups is None else groups[:n_components]
    return (labels >= 0) & (labels != numbers[:, None])


def doubted_states(
    block: Block, labels: np.ndarray, kernel: Kernel, log_prob: np.ndarray
) -> Doubted:
    """The labels (sample,) whose state does not make such rows, or to which no step leads.

    `log_prob` is log p(x_t) given the rows and labels before it, (sample,): beside the density of
    the state that is known it is the probability of going there.
    """
    some = np.flatnonzero(labels >= 0)
    rows, known_labels = block[some], labels[some]
    log_shares = np.empty(len(some))
    for span, joint in _log_densities(kernel, rows):
        of_label = np.take_along_axis(joint, known_labels[span][None], axis=0)[0]
        log_moves = log_prob[some[span]] - of_label
        log_shares[span] = np.minimum(of_label - _log_sum(joint), log_moves)
    return Doubted.of(rows, known_labels, log_shares)


def _log_densities(kernel: Kernel, block: Block) -> Iterator[tuple[slice, np.ndarray]]:
    """Those of the rows of a block, few enough at a time to be small beside it."""
    for span in spans(len(block), _AT_ONCE):
        with one_blas_thread():
            joint = kernel.log_densities(block[span])
        yield span, joint


def _log_sum(joint: np.ndarray) -> np.ndarray:
    """log sum_k exp(joint_k) of every row, (row,); `joint` (component, row) is exponentiated."""
    peak, total = exponentiate(joint, np.empty((2, joint.shape[1])))
    return peak + np.log(total)
