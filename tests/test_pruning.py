"""Pruning: the components that are taken out are those that the likelihood misses least."""

import numpy as np
from reading import look
from table import NormalRow, every_row

from daskem import EM, Gaussian, Mixture
from daskem.data.blocks import Block
from daskem.data.inputs import as_blocks
from daskem.fitting.loop import passes
from daskem.fitting.run import Run
from daskem.fitting.starts.best_starts import best_starts
from daskem.fitting.starts.pruning import joined, pruned
from daskem.fitting.starts.seedbed import begin
from daskem.fitting.stopping import Stop

FULL = NormalRow(Gaussian("full"))


def drawn(row, k=5, seed=0):
    """A model of overlapping components, its params, and rows that were drawn from it."""
    params, rows = row.some(k, 3, 3000, seed)
    return Mixture(row.family), params, rows


def without(model, params, k):
    """The params without component k, by hand."""
    kept = {
        name: np.delete(value, k, axis=0) if "component" in model.parameters[name].dims else value
        for name, value in params.items()
    }
    return {**kept, "weights": kept["weights"] / kept["weights"].sum()}


def log_likelihood(model, params, rows, weights):
    return sum(
        float(weights[here] @ log_prob)
        for here, log_prob, _ in model.posterior(Block(rows), params)
    )


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


@every_row
def test_the_first_to_go_is_the_one_whose_absence_costs_least(row):
    """By brute force, with weights, of a mixture that has been fitted."""
    model, params, rows = drawn(row)
    weights = np.random.default_rng(1).gamma(1.0, 1.0, len(rows))
    for _ in range(100):
        params = model.m_step(model.e_step(Block(rows, weights), params), params)
    left = [log_likelihood(model, without(model, params, k), rows, weights) for k in range(5)]
    found = pruned(model, params, Block(rows, weights), 4)
    assert same(found, without(model, params, int(np.argmax(left))))


@every_row
def test_each_next_one_is_chosen_as_if_the_others_had_never_been(row):
    model, params, rows = drawn(row)
    two = pruned(model, pruned(model, params, Block(rows), 4), Block(rows), 2)
    at_once = pruned(model, params, Block(rows), 2)
    for name, value in two.items():
        np.testing.assert_allclose(at_once[name], value, rtol=1e-12)


def test_components_that_labels_name_stay():
    model, params, rows = drawn(FULL)
    ones = np.ones(len(rows))
    left = [log_likelihood(model, without(model, params, k), rows, ones) for k in range(5)]
    params = {name: value[np.argsort(left)[::-1]] for name, value in params.items()}
    assert same(pruned(model, params, Block(rows), 4), without(model, params, 0))
    assert same(pruned(model, params, Block(rows), 4, n_named=1), without(model, params, 1))


def test_components_that_are_no_clusters_go_first_those_that_are_missed_least_before_others():
    model, params, rows = drawn(FULL)
    ones = np.ones(len(rows))
    left = [log_likelihood(model, without(model, params, k), rows, ones) for k in range(5)]
    most, *_, less = np.argsort(left)[:3].tolist()
    four, three = (pruned(model, params, Block(rows), k, flawed=(most, less)) for k in (4, 3))
    assert same(four, without(model, params, less))
    np.testing.assert_array_equal(three["means"], np.delete(params["means"], [most, less], axis=0))


def test_weights_are_repeats():
    model, params, rows = drawn(FULL)
    times = np.random.default_rng(2).integers(0, 4, len(rows))
    repeated = np.repeat(rows, times, axis=0)
    one = pruned(model, params, Block(rows, times.astype(float)), 3)
    assert same(one, pruned(model, params, Block(repeated), 3))


def test_the_order_of_components_does_not_matter():
    model, params, rows = drawn(FULL)
    order = np.array([3, 0, 4, 1, 2])
    moved = {name: value[order] for name, value in params.items()}
    one, other = (pruned(model, p, Block(rows), 3) for p in (params, moved))
    assert sorted(one["means"].tolist()) == sorted(other["means"].tolist())


def test_what_has_joined_is_the_mean_of_the_two_densities():
    """Each counts as many times as it has components."""
    model, one, rows = drawn(FULL, k=5)
    _, other, _ = drawn(FULL, k=2, seed=1)
    densities = [
        np.exp(
            np.concatenate(
                [log_prob.copy() for _, log_prob, _ in model.posterior(Block(rows), params)]
            )
        )
        for params in (one, other, joined(model, one, other))
    ]
    np.testing.assert_allclose(densities[2], (5 * densities[0] + 2 * densities[1]) / 7, rtol=1e-12)


def test_of_two_that_are_the_same_one_stays():
    model, params, _ = drawn(FULL)
    # Clusters far apart, so that nothing else is missed as little.
    params = {**params, "means": 20 * params["means"]}
    rows, _ = model.sample(params, 3000, np.random.default_rng(3))
    doubled = {name: np.concatenate([value, value]) for name, value in params.items()}
    doubled["weights"] = doubled["weights"] / 2
    found = pruned(model, doubled, Block(rows), 5)
    assert sorted(found["means"].tolist()) == sorted(params["means"].tolist())


def lost_by_starts(family, truth, rows, n_seeds):
    """Nats per row below the truth, of plain seeds and of `best_starts`, after thirty EM steps."""
    blocks, k = as_blocks(rows), len(truth["weights"])
    first = look(Mixture(family), blocks, seed=0)
    model = first.model

    def top(params):
        *_, (run,) = passes([Run(model, EM(), EM().start(params))], blocks, Stop(0, 30))
        return run.history[-1].objective

    best = top(model.to_frame(truth))
    for seed in range(n_seeds):
        draw = np.random.default_rng(seed)
        plain = begin(first, k, None, "k-means++", draw)
        start = best_starts(first, k, None, "k-means++", [draw])[0]
        yield best - top(plain), best - top(start.params)


def test_every_cluster_gets_a_component():
    """Of twenty seeds in twenty clusters, some come to lie in one and none in another."""
    rng = np.random.default_rng(5)
    means = 1.5 * rng.normal(size=(20, 10))
    rows = means[rng.integers(20, size=12_000)] + rng.normal(size=(12_000, 10))
    truth = {"weights": np.full(20, 0.05), "means": means, "covariances": np.ones((20, 10))}
    seeds, starts = zip(*lost_by_starts(Gaussian("diag"), truth, rows, 2), strict=True)
    assert max(starts) < 1e-3
    assert max(seeds) > 1e-2


def test_a_small_cluster_gets_a_component_though_a_large_one_has_room_for_two():
    """Half of the large one is missed more than the small one, until the other half has it all."""
    rng = np.random.default_rng(10)
    means = 0.8 * rng.normal(size=(10, 10))
    weights = np.array([0.1, 4, *np.ones(8)]) / 12.1
    roots = np.eye(10) + 0.6 * rng.normal(size=(10, 10, 10)) / np.sqrt(10)
    truth = {
        "weights": weights,
        "means": means,
        "covariances": roots @ roots.swapaxes(1, 2),
    }
    rows, _ = Mixture(Gaussian("full")).sample(truth, 16_000, rng)
    seeds, starts = zip(*lost_by_starts(Gaussian("full"), truth, rows, 2), strict=True)
    assert max(starts) < 1e-3
    assert max(seeds) > 4e-3
