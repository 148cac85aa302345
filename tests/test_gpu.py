"""The kernel on a GPU says what the NumPy kernel says; run where CuPy sees one."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernels import (
    SIZES,
    assert_close,
    assert_computes_alike,
    assert_says_alike,
    every_compilable,
    joined,
    kernels_of,
    needs_gpu,
)
from table import TABLE, every_kind

import daskem
from daskem import Gaussian, Mixture
from daskem.core.frames import identity, scaling, whitening
from daskem.data.blocks import Block
from daskem.errors import KernelError


def both(row, counts, d, frame=None):
    """The kernels of some candidates, NumPy's and that of a GPU."""
    return kernels_of(row, counts, d, frame, "cupy")


@pytest.fixture
def narrow_tiles(monkeypatch):
    """Tiles of 512 rows, so that few rows are several of them."""
    monkeypatch.setattr("daskem.models.kernels.device.sweep.tile_width", lambda *sizes: 512)


@needs_gpu
@every_compilable
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("d", "n"), SIZES)
def test_it_computes_what_numpy_computes(row, weighted, d, n, narrow_tiles):
    assert_computes_alike(both, row, weighted, d, n)


@needs_gpu
@every_compilable
@pytest.mark.parametrize(("d", "n"), [(1, 500), (3, 20_000), (50, 700)])
def test_it_says_of_rows_what_numpy_says(row, d, n, narrow_tiles):
    assert_says_alike(both, row, d, n)


@needs_gpu
@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_rows_are_seen_in_the_frame(kind, narrow_tiles):
    (row,) = (r for r in TABLE[:4] if r.family == Gaussian(kind, 0.0))
    rng, d = np.random.default_rng(3), 3
    frame = scaling(rng.normal(size=d), rng.uniform(1, 9, d))
    if kind in ("full", "tied"):
        roots = rng.normal(size=(d, d))
        frame = whitening(rng.normal(size=d), roots @ roots.T + np.eye(d))
    plain, fast = both(row, (3, 2), d, frame)
    block = Block(row.rows(2000, d))
    for one, other in zip(fast.e_step(block), plain.e_step(block), strict=True):
        assert_close(one, other, 2000)


@needs_gpu
def test_rows_of_any_type_and_order_are_the_same_rows():
    _, fast = both(TABLE[0], (3,), 3)
    rows = np.round(TABLE[0].rows(3000, 3))
    expected = fast.e_step(Block(rows))[0]
    for same in (
        rows.astype(np.float32),
        rows.astype(np.int16),
        rows.astype(">f8"),
        np.asfortranarray(rows),
    ):
        for name, value in fast.e_step(Block(same))[0].items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


@needs_gpu
@every_kind
@pytest.mark.parametrize("scale", [1e-3, 1e-7])
def test_narrow_components_are_taken_with_care(kind, scale, narrow_tiles):
    """Some rows, or all of them, are too far from narrow components for the product form."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 3.0], [3.0, 0.0]])
    labels = np.repeat([0, 1], 600)
    far, near = np.repeat([50.0, 1.0], 600)[:, None], centres[labels]
    rows = np.where(far > 1, 30.0, 1.0) * near + scale * rng.normal(size=(1200, 2))
    params = {"weights": np.full(2, 0.5), **Gaussian(kind).at(centres)}
    params["covariances"] = params["covariances"] * scale**2
    model, block = Mixture(Gaussian(kind), identity(2)), Block(rows, np.linspace(0, 2, 1200))
    plain, fast = model.kernel([params]), model.with_kernel("cupy").kernel([params])
    shares = rng.dirichlet(np.ones(2), 1200).T
    for found, expected in (
        (fast.e_step(block)[0], plain.e_step(block)[0]),
        (fast.hard(block, labels), plain.hard(block, labels)),
        (fast.soft(block, shares), plain.soft(block, shares)),
    ):
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, 1e-8, 1e-8 * np.abs(value).max())
    for one, other in zip(
        joined(fast.posterior(block)), joined(plain.posterior(block)), strict=True
    ):
        np.testing.assert_allclose(one, other, 1e-7, 1e-7)


@needs_gpu
def test_rows_that_are_no_numbers_are_no_numbers():
    rows = TABLE[0].rows(100, 2)
    rows[7, 1] = np.nan
    _, fast = both(TABLE[0], (2,), 2)
    ((_, log_prob, _),) = fast.posterior(Block(rows))
    assert np.flatnonzero(np.isnan(log_prob)).tolist() == [7]


@needs_gpu
def test_threads_make_the_same_bits(narrow_tiles):
    _, fast = both(TABLE[0], (4, 2), 4)
    blocks = [Block(TABLE[0].rows(5000, 4, seed=seed)) for seed in range(6)]
    alone = [fast.e_step(block) for block in blocks]
    with ThreadPoolExecutor(3) as pool:
        for one, other in zip(pool.map(fast.e_step, blocks), alone, strict=True):
            for a, b in zip(one, other, strict=True):
                for name in a:
                    np.testing.assert_array_equal(a[name], b[name])


@needs_gpu
@every_compilable
def test_rows_of_another_width_are_refused(row):
    _, fast = both(row, (2,), 3)
    with pytest.raises(ValueError, match="mismatch"):
        fast.e_step(Block(row.rows(10, 2)))


@needs_gpu
def test_a_fit_is_the_same_fit_on_a_gpu(tmp_path):
    rows = TABLE[0].rows(2000, 2, 3)
    options = {"random_state": 0, "tol": 1e-4}
    result = daskem.fit(Mixture(Gaussian()), rows, 3, kernel="cupy", **options)
    again = daskem.fit(Mixture(Gaussian()), rows, 3, kernel="cupy", **options)
    other = daskem.fit(Mixture(Gaussian()), rows, 3, kernel="numpy", **options)
    assert (result.kernel, other.kernel) == ("cupy", "numpy")
    assert result.log_likelihood == again.log_likelihood
    assert result.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-10)
    result.save(tmp_path / "model.zarr")
    loaded = daskem.load(tmp_path / "model.zarr")
    assert loaded.kernel == "cupy"
    np.testing.assert_array_equal(loaded.score_samples(rows), result.score_samples(rows))


def test_without_a_gpu_it_is_told(monkeypatch):
    monkeypatch.setattr("daskem.models.kernels.backends._gpu", lambda: False)
    with pytest.raises(KernelError, match=r"kernel='cupy' needs CuPy and a GPU.*none here"):
        daskem.fit(Mixture(Gaussian()), np.ones((10, 2)), 1, kernel="cupy")
    # As in a worker that has joined since.
    with pytest.raises(KernelError, match="none in this process"):
        both(TABLE[0], (2,), 2)[1].e_step(Block(np.ones((10, 2))))
