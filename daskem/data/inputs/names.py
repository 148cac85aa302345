"""What rows are called: labels that come off with the data, and go back on with the answers."""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from daskem.core.brief import Brief
from daskem.data.inputs.arrays import Array
from daskem.data.inputs.categories import Labels, decoded
from daskem.data.inputs.grids import Grid
from daskem.data.inputs.sources.protocol import Table

# Attributes by which stored numbers become others when they are read, as an answer's must not.
_OF_STORAGE = {
    "scale_factor",
    "add_offset",
    "_FillValue",
    "missing_value",
    "_Unsigned",
    "dtype",
}
# Attributes of a variable that speak of its values, which are not those of the answer.
_OF_VALUES = {
    *_OF_STORAGE,
    "units",
    "long_name",
    "standard_name",
    "cell_methods",
    "valid_min",
    "valid_max",
    "valid_range",
    "actual_range",
    "ancillary_variables",
    "flag_masks",
    "flag_meanings",
    "flag_values",
    "number_of_significant_digits",
    "least_significant_digit",
    "cell_measures",
    "coordinates",
    "units_metadata",
    "colormap",
    "scales",
    "offsets",
    "fill_value",
    "nodata",
    "valid_values",
    "unpacked_valid_range",
}
# Beginnings of such names: of rasters, and of what was GRIB.
_BEGINNINGS = ("GRIB_", "STATISTICS_", "quantization")
# What an encoding may say of dates: others could not be written as they were.
_OF_DATES = ("units", "calendar", "dtype")


@dataclass(frozen=True, eq=False, repr=False)
class Features(Brief):
    """What the columns of the data are called, and where they are found in labelled data.

    Attributes
    ----------
    names : ndarray, (feature,), or None
        None where the data have no names for them.
    dims : tuple of str or None
        Dimensions along which the features of a variable lie; the others number the rows. None
        where the data have no names for dimensions.
    variables : tuple of str or None
        The variables of a Dataset that the features are taken from.
    grids : tuple of Grid
        The shape that they have in the data, where that is more than a list.
    sequence_dim : str or None
        The dimension along which rows follow one another; the others number the sequences.
    labels : mapping of str to tuple
        What the codes 0, 1, ... of columns stand for that were no numbers in a table.
    """

    names: np.ndarray | None = None
    dims: tuple[Hashable, ...] | None = None
    variables: tuple[Hashable, ...] | None = None
    grids: tuple[Grid, ...] = ()
    sequence_dim: Hashable | None = None
    labels: Mapping[Hashable, tuple[Hashable, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Rows(Brief):
    """Data at the door.

    Attributes
    ----------
    array : ndarray or dask Array, (..., feature)
        With the features in one chunk.
    features : Features
    labels : Dataset or None
        Coordinates and attributes that describe the rows as well, if they have labels.
    dims : tuple of str
        Of the rows, where they have labels; that of the sequences is the last.
    order : tuple of str
        The order of these dims in the data.
    notes : tuple of str
        What had to be done to the data, and how to do without.
    beside : mapping of str to array
        What was asked for by name, to ride along with the rows.
    table : Table or None
        What they came from, whose kind the answers are of.
    """

    array: Array
    features: Features = field(default_factory=Features)
    labels: xr.Dataset | None = None
    dims: tuple[Hashable, ...] = ()
    order: tuple[Hashable, ...] = ()
    notes: tuple[str, ...] = ()
    beside: Mapping[Hashable, Any] = field(default_factory=dict)
    table: Table | None = None

    @property
    def is_point(self) -> bool:
        """Whether it is one row of labelled data, without a dimension that would number it."""
        return self.labels is not None and not self.dims


def labels_of(data: xr.Dataset | xr.DataArray, dims: tuple[Hashable, ...]) -> xr.Dataset:
    """What describes the rows of `data`: coordinates along `dims`, and attributes."""
    coords = data.coords.to_dataset()
    others = [name for name, c in coords.variables.items() if not set(c.dims) <= set(dims)]
    labels = coords.drop_vars(others).drop_encoding()
    for name, variable in labels.variables.items():
        # An encoding says how the input was stored, in chunks of its own; but dates keep theirs.
        stored = data[name].encoding
        kept = _OF_DATES if "units" in stored else ()
        variable.encoding = {key: stored[key] for key in kept if key in stored}
    if isinstance(data, xr.Dataset):
        mappings = [v.encoding | v.attrs for v in data.data_vars.values()]
        names = [m["grid_mapping"] for m in mappings if m.get("grid_mapping") in labels.coords]
        labels.attrs = _of_rows(data.attrs)
        return labels.assign_attrs({"grid_mapping": names[0]} if names else {})
    mapping = data.encoding.get("grid_mapping")
    named = {"grid_mapping": mapping} if mapping in labels.coords else {}
    labels.attrs = {**named, **_of_rows(data.attrs)}
    return labels


def _of_rows(attrs: Mapping[Any, Any]) -> dict[Any, Any]:
    """The attributes that describe the rows as well as the values."""
    return {
        k: v for k, v in attrs.items() if k not in _OF_VALUES and not str(k).startswith(_BEGINNINGS)
    }


def free(name: str, taken: Collection[Hashable]) -> str:
    """`name`, or one like it that nobody has taken."""
    return free(f"mixture_{name}", taken) if name in taken else name


@dataclass(frozen=True, eq=False)
class Columns:
    """What several answers for a row are: one for each component, if nothing else is said.

    Attributes
    ----------
    dim : str
        That they lie along.
    names : ndarray, (column,), or None
        Of each; None for numbers.
    attrs : mapping
        Of these names.
    labels : mapping of str to tuple
        What the codes of some of them stand for.
    """

    dim: str = "component"
    names: np.ndarray | None = None
    attrs: Mapping[str, str] = field(
        default_factory=lambda: {"long_name": "component of the mixture"}
    )
    labels: Labels = field(default_factory=dict)

    @classmethod
    def of_features(cls, features: Features) -> "Columns":
        """One for each feature, as the data call them."""
        dims = [dim for dim in features.dims or () if isinstance(dim, str)]
        return cls(dims[0] if len(dims) == 1 else "feature", features.names, {}, features.labels)


def relabel(
    answers: Array, rows: Rows, name: str, attrs: Mapping[str, Any], columns: Columns | None = None
) -> Any:
    """`answers` (...) or (..., column) with the labels of `rows`, or as a table like theirs."""
    columns = columns or Columns()
    if rows.table is not None:
        labelled = rows.table.like(answers, name, columns.names)
        return decoded(labelled, rows.table, columns.labels)
    if rows.labels is None:
        return answers
    dims, labels = rows.dims, rows.labels
    answers = answers[0] if rows.is_point else answers
    if answers.ndim > len(dims):
        # Data may have a dimension or coordinate of that name, which stays theirs.
        column_dim = free(columns.dim, {*dims, *labels.variables})
        names = np.arange(answers.shape[-1]) if columns.names is None else columns.names
        labels = labels.assign_coords({column_dim: (column_dim, names, columns.attrs)})
        dims = (*dims, column_dim)
    about = {**labels.attrs, **attrs}
    # A coordinate may have been an answer once.
    name = free(name, {*dims, *labels.variables})
    labelled = xr.DataArray(answers, dims=dims, coords=labels.coords, name=name, attrs=about)
    return labelled.transpose(*rows.order, ...)
