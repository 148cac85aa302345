"""The demo: a fit of more data than fits in memory, whose answer is known beforehand."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.utils import format_bytes
from distributed import Client, LocalCluster
from scipy.linalg import block_diag, null_space
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax

from daskem.core.parameters import DataParams
from daskem.errors import ParameterError
from daskem.models import Mixture
from daskem.models.families import Gaussian
from daskem.results.palette import require_matplotlib
from daskem.results.plot import plot
from daskem.results.result import Result
from daskem.running.verbs import fit, iterate

WORKERS, MEMORY = 2, 500_000_000
CHUNK_ROWS, START_ROWS = 500_000, 100_000
SEED = 2026
MADE = ["water.zarr", "model.zarr", "labels.zarr", "fit.png"]

FEATURES = ["salinity", "temperature", "oxygen", "nitrate"]

# Five kinds of sea water, as a bottle on a wire would sample them: warm and salty at the surface,
# the oxygen minimum below it, intermediate, deep and bottom water. Each is a share of the rows, a
# mean and standard deviation of every feature, and a loading: the features i and j of one kind
# have correlation loading_i * loading_j, with signs and sizes that differ between the kinds.
SHARES = np.array([0.30, 0.10, 0.25, 0.22, 0.13])
MEANS = np.array(
    [
        [35.80, 20.0, 215.0, 4.0],
        [34.90, 10.5, 80.0, 32.0],
        [34.40, 6.0, 225.0, 25.0],
        [34.93, 3.2, 255.0, 18.0],
        [34.70, 0.6, 228.0, 32.0],
    ]
)
SPREADS = np.array(
    [
        [0.32, 2.4, 15.0, 2.8],
        [0.26, 2.2, 32.0, 5.5],
        [0.22, 2.0, 22.0, 4.6],
        [0.11, 1.4, 18.0, 3.0],
        [0.08, 0.8, 17.0, 3.3],
    ]
)
LOADINGS = np.array(
    [
        [0.80, 0.85, -0.70, -0.50],
        [0.60, 0.75, -0.65, 0.55],
        [-0.70, -0.80, 0.30, 0.60],
        [0.55, 0.75, 0.70, -0.80],
        [0.70, 0.85, -0.20, -0.40],
    ]
)


def truth() -> DataParams:
    """The params of the mixture that the data are drawn from."""
    correlations = LOADINGS[:, :, None] * LOADINGS[:, None, :]
    correlations[:, range(len(FEATURES)), range(len(FEATURES))] = 1.0
    covariances = SPREADS[:, :, None] * correlations * SPREADS[:, None, :]
    return DataParams({"weights": SHARES, "means": MEANS, "covariances": covariances})


def run(out: Path, rows: int | None, follow: Callable[[Iterator[Result]], Result]) -> bool:
    """Make a store at `out`, fit it and compare; whether the truth was recovered.

    Parameters
    ----------
    out : Path
        A directory that is not there, is empty, or was made by an earlier demo.
    rows : int, optional
        Default: a fifth more than all workers could hold in their memory.
    follow : callable
        Exhausts the iterator of a fit, and returns its last result.
    """
    require_matplotlib()
    clear(out)
    if rows is None:
        rows = int(1.2 * WORKERS * MEMORY / (8 * len(FEATURES)))
    with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            memory_limit=MEMORY,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster),
    ):
        print(
            f"cluster: {WORKERS} workers of {format_bytes(MEMORY)}, dashboard at "
            f"{cluster.dashboard_link}"
        )
        drawn = make(truth(), rows)
        print(
            f"data: {out / 'water.zarr'}, {rows:,} rows of {', '.join(FEATURES)}, "
            f"{format_bytes(drawn.nbytes)}",
            flush=True,
        )
        # Nothing is missing: a fill value would have every read look for it, at some cost.
        whole = {"water": {"_FillValue": None}}
        drawn.to_zarr(out / "water.zarr", encoding=whole, zarr_format=2)
        data = xr.open_zarr(out / "water.zarr")["water"]
        result = follow(fitting(data))
        print(result.table())
        result.save(out / "model.zarr")
        result.predict(data).to_zarr(out / "labels.zarr", zarr_format=2)
        plot(result, data[:5000]).savefig(out / "fit.png", dpi=160)
    for name in MADE[1:]:
        print(f"{name.partition('.')[0]}: {out / name}")
    return verdict(departures(result.params, truth(), standard_errors(truth(), rows)))


def clear(out: Path) -> None:
    """Remove what an earlier demo left in `out`, and nothing else."""
    mark = out / ".made-by-daskem-demo"
    if out.exists() and not mark.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ParameterError(
            f"{str(out)!r} exists and is not the work of an earlier demo, so it stays as it is; "
            "choose another directory with --out"
        )
    for name in MADE:
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    mark.touch()


def make(params: DataParams, rows: int) -> xr.Dataset:
    """Rows drawn from the mixture of `params`, to be made on the workers, chunk by chunk."""
    sizes = [min(CHUNK_ROWS, rows - start) for start in range(0, rows, CHUNK_ROWS)]
    water = da.map_blocks(
        _chunk,
        chunks=(tuple(sizes), (len(FEATURES),)),
        dtype=np.float64,
        meta=np.empty((0, 0)),
        params=params,
    )
    return xr.Dataset({"water": (("sample", "feature"), water)}, coords={"feature": FEATURES})


def _chunk(params: DataParams, block_info: Any) -> np.ndarray:
    place = block_info[None]
    return draw(params, place["chunk-shape"][0], [SEED, place["chunk-location"][0]])


def draw(params: DataParams, n_rows: int, seed: int | list[int]) -> np.ndarray:
    """For each row pick a component, then draw from it; (row, feature)."""
    rng = np.random.default_rng(seed)
    picked = rng.choice(len(params["weights"]), size=n_rows, p=params["weights"])
    rows = np.empty((n_rows, params["means"].shape[1]))
    for k, covariance in enumerate(params["covariances"]):
        mine = np.flatnonzero(picked == k)
        rows[mine] = rng.multivariate_normal(
            params["means"][k], covariance, len(mine), method="cholesky"
        )
    return rows


def fitting(data: xr.DataArray) -> Iterator[Result]:
    """Maximum likelihood, to well within the standard errors of so many rows.

    A point that is g nats below the top of the log-likelihood lies within sqrt(2 g) standard
    errors of it in every parameter: half of one, at a tenth of a nat over all rows. Of
    several starts on the first few rows, which cost next to nothing, the best one goes on.
    """
    model = Mixture(Gaussian("full", reg_covar=0))
    first = fit(model, data[:START_ROWS].load(), len(SHARES), n_init=8, random_state=SEED)
    return iterate(model, data, start=first.params, tol=0.1 / len(data), random_state=SEED)


def departures(params: DataParams, true: DataParams, errors: DataParams) -> dict[str, np.ndarray]:
    """How far every parameter is from its true value, in standard errors, in the order of those."""
    deviations = np.sqrt(np.einsum("kii->ki", true["covariances"]))
    apart = (true["means"][:, None] - params["means"]) / deviations[:, None]
    order = linear_sum_assignment(np.square(apart).sum(axis=-1))[1]
    return {name: np.abs(params[name][order] - true[name]) / errors[name] for name in errors}


def standard_errors(params: DataParams, n_rows: int) -> DataParams:
    """Of the maximum-likelihood estimates from `n_rows` rows: the inverse of Fisher's information.

    The information is the mean outer product of the scores, over rows drawn from `params`; what
    the overlap of the components costs is thereby counted in.
    """
    k, d = params["means"].shape
    upper = np.triu_indices(d)
    rows = draw(params, 50_000, SEED)
    # The weights sum to one: they can only move along the directions that keep it so.
    free = block_diag(null_space(np.ones((1, k))), np.eye(k * d + k * len(upper[0])))
    scores = scores_of(rows, params) @ free
    covariance = free @ np.linalg.inv(scores.T @ scores / len(rows)) @ free.T
    errors = np.sqrt(np.diagonal(covariance) / n_rows)
    matrices = np.empty((k, d, d))
    matrices[:, *upper] = matrices[:, *upper[::-1]] = errors[k + k * d :].reshape(k, -1)
    return DataParams(
        {
            "weights": errors[:k],
            "means": errors[k : k + k * d].reshape(k, d),
            "covariances": matrices,
        }
    )


def scores_of(rows: np.ndarray, params: DataParams) -> np.ndarray:
    """Gradient of log p(x) in the weights, means and upper triangles of the covariances.

    (row, parameter); with u = P (x - mean) and P the precision, a component's log-density has
    gradient u in its mean and (u u^T - P) / 2 in its covariance (Magnus and Neudecker 2019).
    """
    precisions = np.linalg.inv(params["covariances"])
    x = rows[:, None, :] - params["means"]
    u = np.einsum("kij,nkj->nki", precisions, x)
    log_density = (np.linalg.slogdet(precisions)[1] - np.einsum("nki,nki->nk", u, x)) / 2
    r = softmax(np.log(params["weights"]) + log_density, axis=1)
    i, j = np.triu_indices(rows.shape[1])
    # An entry off the diagonal stands at two places of the matrix.
    in_covariance = np.where(i == j, 0.5, 1.0) * (u[..., i] * u[..., j] - precisions[:, i, j])
    parts = [r / params["weights"], r[..., None] * u, r[..., None] * in_covariance]
    return np.concatenate([part.reshape(len(rows), -1) for part in parts], axis=1)


def verdict(distances: dict[str, np.ndarray], limit: float = 5.0) -> bool:
    """Print how far off the fit is, and say whether chance explains it.

    Of 75 estimates the farthest is beyond 5 standard errors in one of 20,000 demos.
    """
    worst = ", ".join(f"{name} {values.max():.1f}" for name, values in distances.items())
    print(f"farthest from the truth, in standard errors: {worst}")
    good = all((values <= limit).all() for values in distances.values())
    print("the truth is recovered" if good else f"the truth is NOT recovered: beyond {limit:g}")
    return good
