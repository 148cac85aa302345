"""A fitted model from its file, whatever that holds."""

import os

import numpy as np

from daskem.core.addresses import shown
from daskem.core.parameters import sizes
from daskem.data.blocks import Block
from daskem.data.inputs import address
from daskem.data.inputs.blocks import MISSING
from daskem.errors import ModelFileError
from daskem.models.hiddenmarkov import HiddenMarkov
from daskem.models.mixture import Mixture
from daskem.models.protocol import Declares, Model
from daskem.results import modelfile
from daskem.results.description import restore
from daskem.results.result import Result


def load(path: str | os.PathLike[str], model: type | Model | None = None) -> Result:
    """The fitted model that `Result.save` wrote to `path`; its predictions have the same bits.

    Parameters
    ----------
    path : path or URL
    model : type or Model, optional
        Of a model of your own: its class, or one of it where the class alone is not enough.

    Raises
    ------
    StoreNotFoundError, ModelFileError
        If there is none, or it is damaged, its family is not registered, or its class is one of
        yours and not given.
    """
    about, state, _ = modelfile.read(path)
    try:
        run, features = restore(about, state, model)
        settings = {"missing": about["missing"], "constant": tuple(about.get("constant", ()))}
        result = Result([run], about["n_features"], about["n_rows"], features, **settings)
        _try(result)
    except ModelFileError:
        raise
    # Whatever a file holds: one with a digest that is right may be anything that JSON can be.
    except Exception as error:
        raise ModelFileError(
            f"{shown(address(path))} does not hold what a model needs ({error!r:.200}): fit again, "
            "or restore it from a copy"
        ) from error
    return result


def _try(result: Result) -> None:
    """Raise an error unless what was read is a result, of which one may ask what one asks."""
    d, names = result.n_features, result.features.names
    if type(d) is not int or d < 1 or (names is not None and len(names) != d):
        raise ValueError(f"{d!r} features, called {names}")
    # What data are asked for by these names must be what a name can be.
    dims, variables = result.features.dims or (), result.features.variables or ()
    hash((*dims, *variables, *([] if names is None else names), result.features.sequence_dim))
    if isinstance(result.model, Declares):
        lengths = sizes(result.model.parameters, result.best.framed)
        if lengths.get("feature", d) != d:
            raise ValueError(f"params of {lengths}, and {d} features")
    if not (isinstance(result.n_rows, float | int) and 0 <= result.n_rows < np.inf):
        raise ValueError(f"{result.n_rows!r} rows")
    if result.missing not in MISSING or not all(i in range(d) for i in result.constant):
        raise ValueError(f"missing={result.missing!r}, constant={result.constant}")
    if isinstance(result.model, Mixture | HiddenMarkov):
        str(result)
        one = Block(np.zeros((1, d)), edges=np.array([0, 1]))
        list(result.model.posterior(one, result.best.framed))
