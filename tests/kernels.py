"""Laws that hold with any kernel: the compiled one where numba is installed, one on a GPU."""

import numpy as np
import pytest
from table import TABLE

from daskem import Mixture
from daskem.data.blocks import Block
from daskem.models.families.protocol import Compiles
from daskem.models.kernels.backends import COMPILED, CUPY, present

needs_numba = pytest.mark.skipif(not present(COMPILED), reason="numba is not installed")
needs_gpu = pytest.mark.skipif(not present(CUPY), reason="there is no GPU, or no CuPy")
KERNELS = ["numpy", pytest.param("compiled", marks=needs_numba)]

every_kernel = pytest.mark.parametrize("kernel", KERNELS)
every_compilable = pytest.mark.parametrize(
    "row", [row for row in TABLE if isinstance(row.family, Compiles)], ids=repr
)


def kernels_of(row, counts, d, frame, backend):
    """The kernels of candidates of so many components, NumPy's and that of a backend."""
    candidates = [row.mixture(k, d, np.random.default_rng(k)) for k in counts]
    model = Mixture(row.family, frame)
    return model.kernel(candidates), model.with_kernel(backend).kernel(candidates)


def assert_close(found, expected, scale):
    """Statistics that are the same to 1e-12 of the largest number, or of `scale`."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.shape(found[name]) == np.shape(value)
        atol = 1e-12 * max(np.abs(value).max(), scale)
        np.testing.assert_allclose(found[name], value, 0, atol, err_msg=name)


def joined(tiles):
    """log p(x) of all rows, and their responsibilities."""
    parts = [(log_prob.copy(), r.copy()) for _, log_prob, r in tiles]
    return np.concatenate([p for p, _ in parts]), np.concatenate([r for _, r in parts], axis=1)


# (d, n)
SIZES = [(1, 500), (2, 0), (3, 20_000), (4, 1), (5, 3001), (50, 700)]


def assert_computes_alike(both, row, weighted, d, n):
    """E steps, and statistics of known responsibilities, are those of NumPy."""
    rng = np.random.default_rng(d)
    weights = rng.uniform(0, 2, n) if weighted else None
    block = Block(row.rows(max(n, 2), d)[:n], weights)
    for counts in ((4, 1, 2), (3,)):
        plain, fast = both(row, counts, d)
        for one, other in zip(fast.e_step(block), plain.e_step(block), strict=True):
            assert_close(one, other, n)
    labels = rng.integers(3, size=n)
    assert_close(fast.hard(block, labels), plain.hard(block, labels), n)
    shares = rng.dirichlet(np.ones(3), n).T
    assert_close(fast.soft(block, shares), plain.soft(block, shares), n)


def assert_says_alike(both, row, d, n):
    """What is said of rows is what NumPy says."""
    block = Block(row.rows(n, d), np.full(n, 2.0))
    plain, fast = both(row, (3,), d)
    for one, other in zip(
        joined(fast.posterior(block)), joined(plain.posterior(block)), strict=True
    ):
        np.testing.assert_allclose(one, other, 1e-12, 1e-12 * max(np.abs(other).max(), d))
    one, other = fast.log_densities(block), plain.log_densities(block)
    np.testing.assert_allclose(one, other, 1e-12, 1e-12 * np.abs(other).max())
