"""The command line: parse, call, print."""

import contextlib
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import xarray as xr

from daskem.cli.arguments import parser
from daskem.cli.families import candidates
from daskem.cli.weights import weights
from daskem.core.known_labels import COMPONENT
from daskem.data.inputs import address, member, opened_source
from daskem.data.inputs.kinds import Data
from daskem.data.inputs.sources.files import is_netcdf
from daskem.errors import ClusterError, DaskemError, ParameterError
from daskem.fitting.record import Pass
from daskem.models import Mixture
from daskem.models.asking import demand
from daskem.results.files import aside, check_path, is_remote, make_folder, stored
from daskem.results.loading import load
from daskem.results.modelfile import check_target
from daskem.results.result import Result
from daskem.running.coordinator import running
from daskem.running.planning import planned
from daskem.running.preparing import prepare
from daskem.running.progress import Progress
from daskem.selection.resuming import resume as go_on
from daskem.selection.selection import Selection
from daskem.selection.verbs import select as choose


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 when it cannot be done as it was asked for."""
    options = vars(parser([fit, select, resume, predict, info, demo]).parse_args(argv))
    command = options.pop("command")
    try:
        return int(command(**options) or 0)
    except DaskemError as error:
        print(f"daskem: {error}", file=sys.stderr)
        return 2


def fit(
    store: str,
    array: str | None,
    out: str | None,
    family: str,
    scheduler: str | None,
    plan: bool,
    labels: str | None,
    settings: Mapping[str, Sequence[str]],
    progress: Progress,
    **options: Any,
) -> None:
    """Fit a mixture to the rows of a zarr store."""
    if out is None and not plan:
        raise ParameterError("say where to save the model, --out MODEL; or --plan, to fit nothing")
    if out is not None:
        check_free(out)  # better now than after the fit
    (chosen,) = candidates(family, settings).values()
    model = Mixture(chosen)
    data = open_rows(store, array)
    options["sample_weight"] = _weights(options["sample_weight"], data)
    options["along"] = _along(labels)
    with _cluster(scheduler):
        if plan:
            print(planned(prepare(model, data, **{**options, "cache": "none", "checkpoint": None})))
            return
        with running(prepare(model, data, **options), progress) as run:
            result = follow(run)
        if scheduler is not None:
            print(f"the loop ran {result.coordinator}")
    print(result.table())
    assert out is not None
    result.save(out)
    print(f"model: {out}")


def select(
    store: str,
    array: str | None,
    out: str | None,
    plot: str | None,
    n_components: range,
    family: str,
    scheduler: str | None,
    labels: str | None,
    settings: Mapping[str, Sequence[str]],
    **options: Any,
) -> None:
    """Choose the number of components, and settings of their family, by a criterion."""
    if out is not None:
        check_free(out)
    models = {name: Mixture(made) for name, made in candidates(family, settings).items()}
    data = open_rows(store, array)
    options["sample_weight"] = _weights(options["sample_weight"], data)
    options["along"] = _along(labels)
    with _cluster(scheduler):
        selection = choose(data, n_components, models=models, **options)
    print(selection)
    print(f"{selection.n_reads} reads of the data")
    if plot is not None:
        selection.plot().savefig(plot, dpi=150)
        print(f"plot: {plot}")
    if out is not None:
        selection.best.save(out)
        print(f"model: {out}")


def resume(
    store: str,
    array: str | None,
    checkpoint: str,
    labels: str | None,
    out: str | None,
    scheduler: str | None,
    progress: Progress,
) -> None:
    """Go on with a fit or a selection that was interrupted, from its checkpoint."""
    if out is not None:
        check_target(out)
    data = open_rows(store, array)
    with _cluster(scheduler):
        outcome = go_on(checkpoint, data, along=_along(labels), progress=progress)
    print(outcome)
    if out is not None:
        (outcome.best if isinstance(outcome, Selection) else outcome).save(out)
        print(f"model: {out}")


def predict(
    store: str, array: str | None, model: str, labels: str | None, out: str, proba: bool
) -> None:
    """Write the most probable component of every row, or the probability of each, to zarr."""
    _check_folder(out)
    result, data = load(model), open_rows(store, array)
    answer = result.predict_proba if proba else result.predict
    write(answer(data, _along(labels)), out)
    print(f"{'responsibilities' if proba else 'labels'}: {out}")


def info(model: str) -> None:
    """Print how a model was fitted, and its clusters."""
    result = load(model)
    family = demand(result.model, Mixture, "info").family
    settings = ", ".join(f"{k}={v}" for k, v in vars(family).items())
    print(f"{type(family).__name__} mixture{settings and ': '}{settings}")
    print(
        f"{result.n_components} components of {result.n_features} features, from "
        f"{result.n_rows:,.0f} rows"
    )
    if result.resolution is not None:
        steps = ", ".join("none" if math.isnan(h) else f"{h:.4g}" for h in result.resolution[:8])
        print(f"resolution of the record: {steps}{' ...' if result.n_features > 8 else ''}")
    print(
        f"{result.status.value}\n{len(result.history)} passes, log-likelihood "
        f"{result.log_likelihood:.9g} per row"
    )
    print(result.table())


def demo(rows: int | None, out: str) -> int:
    """Make data larger than memory from a known mixture, fit it, and compare; in one minute."""
    from daskem.cli.demo import run

    return 0 if run(Path(out), rows, follow) else 1


def follow(results: Iterable[Result]) -> Result:
    """Print a line for each pass, then how the fit ended; returns the last of `results`."""
    print("pass  log-likelihood/row  left to gain  seconds     MB/s", flush=True)
    events: dict[str, int] = {}
    printed = 0
    for result in results:
        # A fit elsewhere may have made several passes since.
        longest = max((run.history for run in result.runs), key=len)
        for number, of_all in enumerate(longest[printed:], printed + 1):
            # The best run may have ended in an earlier pass than the last one.
            best = result.history[:number][-1]
            print(f"{number:>4}  {_line(best, of_all)}", flush=True)
            for event in best.events:
                events.setdefault(event, number)
        printed = len(longest)
    print(result.status.value)
    for note in result.notes:
        print(f"note: {note}")
    for event, number in events.items():
        print(f"from pass {number}: {event}")
    return result


def _line(best: Pass, of_all: Pass) -> str:
    left = f"{best.remaining:.2g}" if math.isfinite(best.remaining) else "-"
    rate = of_all.n_bytes / of_all.seconds / 1e6
    return f"{best.log_likelihood:>18.9g}  {left:>12}  {of_all.seconds:>7.2f}  {rate:>7.1f}"


def _cluster(address: str | None) -> Any:
    """A client of the scheduler at `address`; without one, the threads of this machine."""
    if address is None:
        return contextlib.nullcontext()
    from distributed import Client

    try:
        return Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"nobody answers at {address}: is a dask scheduler running there? ({error})"
        ) from error


def open_rows(store: str, name: str | None) -> Any:
    """A store, or its array `name`, lazily; with labels where xarray has written them."""
    if is_netcdf(address(store)):
        dataset = xr.open_dataset(address(store), chunks="auto")
        if name is not None and name not in dataset.variables:
            raise ParameterError(f"{store!r} has no variable {name!r}; it has {list(dataset)}")
        return dataset if name is None else dataset[name]
    return store if name is None else member(store, name)


def _weights(text: str | None, data: Data) -> Any:
    return text if text is None or text.isidentifier() else weights(text, opened_source(data))


def _along(labels: str | None) -> dict[str, str] | None:
    return None if labels is None else {COMPONENT: labels}


def check_free(out: str) -> None:
    """Refuse a place for a model that is taken, or that lies in a folder that is not there."""
    _check_folder(out)
    check_target(out)


def _check_folder(out: str | os.PathLike[str]) -> None:
    folder = Path(address(out)).absolute().parent
    if not is_remote(address(out)) and not folder.is_dir():
        raise ParameterError(f"--out {os.fspath(out)}: there is no folder {str(folder)!r}")


def write(answers: da.Array | xr.DataArray, out: str | os.PathLike[str]) -> None:
    """Compute `answers` chunk by chunk into a zarr store at `out`, which must not be there yet.

    On this machine it appears when it is complete: a store with a chunk missing reads as zeros.
    """
    out = address(out).rstrip("/")
    check_path(out)
    if stored(out) if is_remote(out) else os.path.lexists(out):
        raise ParameterError(f"{out!r} exists already; choose another path, or remove it first")
    if is_remote(out):
        _to_zarr(answers, out)
        return
    with aside(Path(out)) as partial:
        make_folder(partial, out)
        _to_zarr(answers, str(partial))
        os.rename(partial, out)


def _to_zarr(answers: da.Array | xr.DataArray, path: str) -> None:
    if isinstance(answers, xr.DataArray):
        # The encodings are those of the input: its compressors, and chunks of another shape.
        answers = answers.drop_encoding()
        answers.to_zarr(path, mode="w-", zarr_format=2, consolidated=True)
    else:
        answers.to_zarr(path)
