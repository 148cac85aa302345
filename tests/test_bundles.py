"""Sums over what lies in memory: once they are known to be short, few tasks of the same bits."""

import os
from importlib import import_module

import dask
import numpy as np
import pytest
from cluster import bits
from distributed import wait
from samples import chunked, overlapping

import daskem
from daskem.data.blocks.placement import moved
from daskem.data.inputs import as_blocks

bundles = import_module("daskem.data.blocks.bundles")
ROWS, SIZE = overlapping(1700), 50
WORKERS = 2


@pytest.fixture(autouse=True)
def long(monkeypatch):
    """However slow this machine is, a sum is short, and no more is light."""
    monkeypatch.setattr(bundles, "_SHORT", np.inf)
    monkeypatch.setattr(bundles, "_LIGHT_IN_A_SECOND", 0)


@pytest.fixture
def signs():
    return []


@pytest.fixture
def blocks(client, signs):
    """In the memory of two workers of one thread."""
    persisted = client.persist(chunked(ROWS, SIZE))
    wait(persisted)
    return moved(as_blocks(persisted), client).watched(signs.append)


def product(block, n=1, times=()):
    """Sums whose last bits tell in which order they were added."""
    return np.tile((block.rows / 3).T @ block.rows, (n, 1))


@pytest.fixture(scope="module")
def expected():
    with dask.config.set(scheduler="synchronous"):
        return as_blocks(chunked(ROWS, SIZE)).sum(product)


def test_the_second_sum_of_a_name_has_a_task_for_each_thread(blocks, signs, expected):
    many = blocks.outline.n_partitions
    assert many > 16 * WORKERS - 1
    for name, n in [("a", many), ("a", WORKERS), ("a", WORKERS), ("b", many), ("b", WORKERS)]:
        assert (blocks.sum(product, name=name) == expected).all()
        assert signs[-1].of == n


def test_long_sums_and_large_ones_have_a_task_for_each_partition(blocks, signs, monkeypatch):
    many = blocks.outline.n_partitions
    large = bundles._LIGHT // many // 32
    for n, times in [(large + 1, ()), (1, np.zeros(bundles._LIGHT // 8 // WORKERS))]:
        for _ in range(2):
            blocks.sum(product, n, times, name=f"{n}")
            assert signs[-1].of == many
    monkeypatch.setattr(bundles, "_SHORT", 0.0)
    for _ in range(2):
        blocks.sum(product)
        assert signs[-1].of == many


def test_what_several_partitions_need_and_nobody_keeps_is_not_in_memory(client, signs, expected):
    cut = chunked(ROWS, 2 * SIZE).map_blocks(np.array).rechunk((SIZE, -1))
    read = moved(as_blocks(cut), client).watched(signs.append)
    for _ in range(2):
        assert (read.sum(product) == expected).all()
        assert signs[-1].of == read.outline.n_partitions


@pytest.mark.parametrize("look", [0.0, np.inf])
def test_a_worker_that_dies_between_two_sums_costs_no_bit(
    client, blocks, expected, look, monkeypatch
):
    monkeypatch.setattr(bundles, "_LOOK", look)
    for _ in range(2):
        blocks.sum(product)
    worker = min(client.nthreads())
    client.run(os._exit, 1, workers=[worker], on_error="ignore")
    assert (blocks.sum(product) == expected).all()
    client.wait_for_workers(WORKERS)
    assert (blocks.sum(product) == expected).all()


@pytest.mark.filterwarnings("ignore::daskem.errors.ConvergenceWarning")
def test_a_fit_has_the_bits_that_it_has_elsewhere(client):
    how = {"random_state": 0, "max_passes": 5, "algorithm": "em", "tol": 0}
    fits = [daskem.fit(daskem.Mixture(daskem.Gaussian()), chunked(ROWS, SIZE), 3, **how)]
    with dask.config.set(scheduler="synchronous"):
        fits.append(daskem.fit(daskem.Mixture(daskem.Gaussian()), chunked(ROWS, SIZE), 3, **how))
    assert bits(fits[0]) == bits(fits[1])


@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        ("aaabbb", [[0, 1, 2], [3, 4, 5]]),
        ("ababab", [[0, 2, 4], [1, 3, 5]]),
        ("aaaabb", [[0, 1, 2, 3], [4, 5]]),
        ("aaab", [[0, 1], [2], [3]]),
        ("aaaaab", [[0, 1, 2], [3, 4], [5]]),
        ("aaaaa", [[0, 1, 2], [3, 4]]),
    ],
)
def test_each_thread_has_what_lies_there_but_for_what_is_too_much(client, lie, expected):
    where = dict(zip("ab", client.nthreads(), strict=True))
    futures = [client.scatter(n, [where[of]], hash=False) for n, of in enumerate(lie)]
    known = bundles.Bundles()
    assert known.of("sum", client, [[f.key] for f in futures]) == []
    known.learn("sum", 0.0, 0)
    assert known.of("sum", client, [[f.key] for f in futures]) == expected
    assert known.of("sum", client, [[f.key, "of nobody"] for f in futures]) == expected
    known.looked = -np.inf
    assert known.of("sum", client, [[f.key, "of nobody"] for f in futures]) == []


def test_what_several_workers_hold_is_done_by_who_has_least_to_do(client):
    """Blocks that have once been sent elsewhere lie in both places; three of four took longer."""
    where = dict(zip("ab", client.nthreads(), strict=True))
    futures = [client.scatter(n, [where[of]], hash=False) for n, of in enumerate("aaab")]
    client.replicate(futures[:2], WORKERS)
    known = bundles.Bundles()
    known.learn("sum", 0.0, 0)
    of_each = known.of("sum", client, [[future.key] for future in futures])
    # The third lies in one place, the fourth in the other; the first two go one to each.
    assert sorted(of_each) in ([[0, 2], [1, 3]], [[0, 3], [1, 2]])


def test_more_is_light_to_a_sum_that_takes_longer(monkeypatch):
    monkeypatch.setattr(bundles, "_LIGHT_IN_A_SECOND", 2**23)
    known = bundles.Bundles()
    for seconds, light in [(0.0, bundles._LIGHT), (0.5, 2**22)]:
        known.learn("sum", seconds, 0)
        assert known.light("sum") == light
