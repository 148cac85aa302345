"""Which dimensions of labelled data hold features; all others number the rows."""

from collections.abc import Hashable, Mapping

import xarray as xr

from daskem.data.inputs.wanted import Wanted
from daskem.errors import DataError

Variables = Mapping[Hashable, xr.DataArray]


def dims_of_features(variables: Variables, wanted: Wanted, single: bool) -> tuple[Hashable, ...]:
    """The dimensions that hold features; all others number the rows.

    Parameters
    ----------
    variables : mapping of hashable to DataArray
    wanted : Wanted
    single : bool
        Whether the data are a DataArray, one of whose dimensions holds the features.

    Raises
    ------
    DataError
        If a dimension that somebody names is not there, or it could be any of several.
    """
    dims = tuple(dict.fromkeys(dim for v in variables.values() for dim in v.dims))
    if not wanted.fitted:
        _check_there(dims, wanted)
    if wanted.sample_dims is not None:
        return tuple(dim for dim in dims if dim not in wanted.sample_dims)
    feature_dims = wanted.feature_dims
    # An array may hold what were several variables along a dimension of its own.
    if feature_dims is None or (single and len(wanted.variables or ()) > 1):
        feature_dims = tuple([dim for dim in ("feature", "variable") if dim in dims][:1])
        if single and not feature_dims:
            feature_dims = _last(dims, wanted.fitted)
        if not wanted.fitted and len(dims) == 1:
            feature_dims = ()  # the one dimension that there is numbers the rows
    if not wanted.fitted:
        _check_alike(variables, feature_dims)
    elif single and not set(feature_dims) <= set(dims):
        raise DataError(
            f"the features lie along {feature_dims} in what the model was fitted to, and the data "
            f"have {dims}"
        )
    return tuple(dim for dim in feature_dims if dim in dims)


def _check_there(dims: tuple[Hashable, ...], wanted: Wanted) -> None:
    """Raise DataError unless the dimensions that somebody names are there, each with one role."""
    samples, features = wanted.sample_dims or (), wanted.feature_dims or ()
    for dim in (*samples, *features):
        if dim not in dims:
            raise DataError(f"there is no dimension {dim!r}; the data have {dims}")
        if dim in samples and dim in features:
            raise DataError(f"{dim!r} is both the feature_dim and one of the sample_dims")


def _last(dims: tuple[Hashable, ...], fitted: bool) -> tuple[Hashable, ...]:
    """The last dimension of an array, of two, or of as many as there are if a model is `fitted`."""
    if len(dims) > 2 and not fitted:
        raise DataError(
            f"which of the dimensions {dims} holds the features? Pass feature_dim=..., or "
            "sample_dims=[...], the dimensions that number the rows"
        )
    return dims[-1:]


def _check_alike(variables: Variables, feature_dims: tuple[Hashable, ...]) -> None:
    """Raise DataError unless the same dimensions number the rows of all variables."""
    shapes = {name: [d for d in v.dims if d not in feature_dims] for name, v in variables.items()}
    if len({frozenset(shape) for shape in shapes.values()}) > 1:
        listed = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise DataError(
            f"the variables have different dimensions: {listed}. Choose among them with "
            "features=[...], or pass sample_dims=[...], the dimensions that number the rows: "
            "others become columns, and a variable is repeated along those that it lacks"
        )
