"""More components, and fewer: those that a mixture misses least are taken out, one by one."""

from collections.abc import Callable, Collection

import numpy as np

from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.models.protocol import Declares, Starts

# Responsibilities that are held at a time: of as many rows as this leaves room for.
_MOST_SHARES = 2**21
# What is left of a row, at least, without the component that made it.
_LEAST = 1e-300


def joined(model: Declares, one: Params, other: Params) -> Params:
    """The components of two mixtures, each as many as it has of them; the rest is that of `one`."""
    both = _componentwise(
        model, one, lambda name, value, axis: np.concatenate([value, other[name]], axis)
    )
    counts = [len(params["weights"]) for params in (one, other)]
    weights = both["weights"] * np.repeat(counts, counts) / sum(counts)
    return Params({**both, "weights": weights})


def pruned(
    model: Starts,
    params: Params,
    sample: Block,
    n_components: int,
    n_named: int = 0,
    flawed: Collection[int] = (),
) -> Params:
    """The params of a mixture with no more than the `n_components` that it misses most.

    Without component k the density at a row x is (1 - r_k(x)) p(x) / (1 - weight_k), with r_k its
    responsibility, so that the log-likelihood falls by

        loss_k = W log(1 - weight_k) - sum_x w(x) log(1 - r_k(x))

    for rows of weights w(x) that add to W. The component of the least loss goes, the
    responsibilities of the others become r / (1 - r_k), and so on. Nothing is fitted again, so that
    one of two components of a cluster seems to be missed until the other has its rows. (Figueiredo
    and Jain 2002 begin with too many components as well, and take out those that have lost their
    weight.)

    Parameters
    ----------
    model : Mixture
    params : Params
    sample : Block
        Its first rows decide, where there are many.
    n_components : int
    n_named : int
        The first so many stay in any case, and keep their numbers.
    flawed : collection of int
        Components that go before all others: their few rows would miss them as much as one likes.
    """
    k = model.n_components(params)
    if k <= n_components:
        return params
    few = sample[: max(_MOST_SHARES // k, 1)]
    shares = np.empty((k, len(few)))
    for span, _, r in model.posterior(few, params):
        shares[:, span] = r
    alive = _missed_most(shares, few.counts, n_components, n_named, flawed)
    kept = _componentwise(model, params, lambda _, value, axis: value.take(alive, axis))
    return Params({**kept, "weights": kept["weights"] / kept["weights"].sum()})


def _componentwise(
    model: Declares, params: Params, change: Callable[[str, np.ndarray, int], np.ndarray]
) -> dict[str, np.ndarray]:
    """`change` of every array that has an axis of components; the others as they are."""
    declared = model.parameters
    return {
        name: change(name, value, declared[name].dims.index("component"))
        if "component" in declared[name].dims
        else value
        for name, value in params.items()
    }


def _missed_most(
    shares: np.ndarray,
    weights: np.ndarray,
    n_components: int,
    n_named: int,
    flawed: Collection[int],
) -> list[int]:
    """The components that stay, of responsibilities (component, row)."""
    alive, total = list(range(len(shares))), weights.sum()
    while len(alive) > n_components:
        others = np.maximum(1 - shares[alive], _LEAST)
        weight = np.minimum(shares[alive] @ weights / total, 1 - 1e-16)
        loss = total * np.log1p(-weight) - np.log(others) @ weights
        alive.pop(min(range(n_named, len(alive)), key=lambda i: (alive[i] not in flawed, loss[i])))
        shares[alive] /= shares[alive].sum(axis=0)
    return alive
