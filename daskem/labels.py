"""xarray at the door: labels come off on the way in, and go back on on the way out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from daskem.errors import DataError


@dataclass(frozen=True, eq=False)
class Features:
    """What the last axis of the data is called, and what its entries are.

    Attributes
    ----------
    dim : str or None
        None where the data have no names for their dimensions.
    names : ndarray or None
        The coordinate along `dim`, where the data have one.
    """

    dim: str | None = None
    names: np.ndarray | None = None


def unlabel(data: Any, feature_dim: str | None = None) -> tuple[Any, Features]:
    """The array (..., feature) in `data`, and what the features are called.

    Parameters
    ----------
    data : DataArray, DataFrame or any array
    feature_dim : str, optional
        Dimension of a DataArray that holds the features. Default: ``"feature"`` or
        ``"variable"`` if there is such a dimension, else the last one of two.

    Raises
    ------
    DataError
        If there is no such dimension, or it could be any of several.
    """
    if isinstance(data, xr.Dataset):
        raise DataError(
            f"a Dataset holds several arrays ({list(data.data_vars)}); pass one of them, or "
            'dataset.to_dataarray("feature") to use its variables as features'
        )
    if hasattr(data, "columns") and hasattr(data, "to_numpy"):
        return data.to_numpy(), Features(names=np.asarray(data.columns))
    if not isinstance(data, xr.DataArray):
        return data, Features()
    if feature_dim is None:
        if data.ndim > 2 and not _usual(data):
            raise DataError(
                f"which of the dimensions {data.dims} holds the features? Pass feature_dim=..., or "
                'ds[[...]].to_dataarray("feature") to use variables of a Dataset as features'
            )
        feature_dim = default_dim(data)
    if feature_dim not in data.dims:
        raise DataError(f"there is no dimension {feature_dim!r}; the data have {data.dims}")
    names = data.indexes.get(feature_dim)
    last = data.transpose(..., feature_dim)
    return last.data, Features(feature_dim, None if names is None else names.to_numpy())


def default_dim(data: xr.DataArray) -> str:
    """The dimension of the features where nobody says which."""
    return str((_usual(data) or data.dims[-1:])[0])


def _usual(data: xr.DataArray) -> list[str]:
    return [dim for dim in ("feature", "variable") if dim in data.dims]


def relabel(answers: Any, data: Any, features: Features, name: str) -> Any:
    """`answers` (...) or (..., component) with the labels of the rows of `data`, if it has any."""
    if not isinstance(data, xr.DataArray):
        return answers
    dims = [dim for dim in data.dims if dim != features.dim]
    coords = {key: coord for key, coord in data.coords.items() if features.dim not in coord.dims}
    if answers.ndim > len(dims):
        dims.append("component")
    return xr.DataArray(answers, dims=dims, coords=coords, name=name)


def align_weights(weights: Any, data: Any, features: Features) -> Any:
    """Weights (...) for the rows of `data`; labelled ones broadcast by the names of their dims.

    Raises
    ------
    DataError
        If they have a dimension that the rows have not.
    """
    if not isinstance(weights, xr.DataArray):
        return weights
    if not isinstance(data, xr.DataArray):
        return weights.data
    rows = data.isel({features.dim: 0}, drop=True)
    if not set(weights.dims) <= set(rows.dims):
        raise DataError(f"sample_weight has dims {weights.dims}, but the rows have {rows.dims}")
    weights = weights if rows.chunks is None else weights.chunk()
    return weights.broadcast_like(rows).transpose(*rows.dims).data


def align_features(data: Any, features: Features) -> Any:
    """`data` with its features in the order of `features`, where both have names for them.

    Raises
    ------
    DataError
        If they are not the same features.
    """
    _, found = unlabel(data, features.dim)
    if features.names is None or found.names is None:
        return data
    wanted, names = list(features.names), list(found.names)
    if names == wanted:
        return data
    if sorted(map(str, names)) != sorted(map(str, wanted)) or len(set(names)) < len(names):
        raise DataError(
            f"the features are {', '.join(map(str, names))}, but the model was fitted to "
            f"{', '.join(map(str, wanted))}"
        )
    order = [names.index(name) for name in wanted]
    return data.isel({found.dim: order}) if found.dim else data.iloc[:, order]
