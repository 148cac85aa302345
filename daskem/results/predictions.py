"""What a fitted model says of the rows of a block: labels, responsibilities, log p."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from daskem.core.numerics import NOTHING
from daskem.core.parameters import Params
from daskem.data.blocks import Block
from daskem.data.survey import Domain
from daskem.errors import DataError
from daskem.fitting.loop import evaluate
from daskem.models.protocol import Incomplete, Model, Noisy, Predicts, Sequential

Answer = TypeVar("Answer")
ModelT = TypeVar("ModelT")


def label_dtype(n_components: int) -> np.dtype[Any]:
    """The smallest integers that hold the labels, and -1."""
    return np.min_scalar_type(-n_components)


def flags(
    n_components: int, missing: bool, path: bool = False, noise: bool = False
) -> dict[str, Any]:
    """Attributes that say what labels, or a `path`, mean, by the CF conventions; rasters say
    `nodata`.
    """
    meanings = ["missing"] * missing + [f"component_{k}" for k in range(n_components)]
    meanings += ["noise"] * noise
    n_labels = n_components + noise
    values = np.arange(-1 if missing else 0, n_labels, dtype=label_dtype(n_labels))
    return {
        "long_name": "state on the most probable path"
        if path
        else "most probable component of the mixture",
        "units": "1",
        "flag_values": values,
        "flag_meanings": " ".join(meanings),
        # Not ``_FillValue``, with which they would be read as floats.
        **({"nodata": -1} if missing else {}),
    }


def checked(
    block: Block,
    f: Callable[[Block, ModelT, Params], Answer],
    domain: Domain,
    model: ModelT,
    params: Params,
) -> Answer:
    """`f` of a block, unless the model cannot use some of its values."""
    bad = domain.first_bad(block)
    if bad is not None:
        raise DataError(bad)
    return f(block, model, params)


def statistics(block: Block, model: Model, params: Params) -> dict[str, Any]:
    """What an E step adds up, for the sake of the log-likelihood."""
    return evaluate(block, [(model, [params])])


def labels(block: Block, model: Predicts, params: Params) -> np.ndarray:
    """The most probable component of each row, or path of each sequence, (sample,)."""
    if isinstance(model, Sequential):
        return model.decode(block, params).states.astype(label_dtype(model.n_components(params)))
    has_noise = isinstance(model, Noisy) and model.noise_share(params) is not None
    dtype = label_dtype(model.n_components(params) + has_noise)
    labelled = np.empty(len(block), dtype=dtype)
    for span, _, shares in model.posterior(block, params):
        labelled[span] = shares.argmax(axis=0)
        if has_noise:
            noise = 1 - shares.sum(axis=0)
            labelled[span][noise > shares.max(axis=0)] = len(shares)
    return labelled


def path_log_prob(block: Block, model: Sequential, params: Params) -> float:
    """log p(x, path) of the most probable paths of the sequences of a block, in nats."""
    return float(model.decode(block, params).log_prob.sum())


def responsibilities(block: Block, model: Predicts, params: Params) -> np.ndarray:
    """Probability of each component given the row, (sample, component)."""
    probabilities = np.empty((len(block), model.n_components(params)))
    for span, _, shares in model.posterior(block, params):
        probabilities[span] = np.where(shares > NOTHING, shares, 0.0).T
    return probabilities


def imputed(block: Block, model: Incomplete, params: Params) -> np.ndarray:
    """The rows with what is expected of the values that they lack, (sample, feature)."""
    return model.impute(block, params)


def log_prob(block: Block, model: Predicts, params: Params) -> np.ndarray:
    """log p(x) of each row, (sample,), in nats."""
    densities = np.empty(len(block))
    for span, log_prob, _ in model.posterior(block, params):
        densities[span] = log_prob
    return densities
