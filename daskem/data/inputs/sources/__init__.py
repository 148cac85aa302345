"""Where rows come from: one line for each kind of container, and how it is opened.

A new source is a function that opens it, in a file here, and a line in `SOURCES`. What it returns
is nearer to the canonical forms (Dataset, DataArray, `Table`, NumPy or Dask array) than what it
takes, and is opened again until there is nothing to open.
"""

from collections.abc import Hashable, Sequence
from typing import Any

from daskem.data.inputs.sources import refused, tables, wrapped
from daskem.data.inputs.sources.protocol import Source, Table, alone, kind
from daskem.data.inputs.sources.zarr_stores import as_dask, at_path, in_group, in_store, is_address

__all__ = ["SOURCES", "Table", "opened_source"]

SOURCES: Sequence[Source] = (
    Source(is_address, at_path),
    Source(kind("zarr.abc.store", "Store"), alone(in_store)),
    Source(kind("zarr", "Group"), in_group),
    Source(kind("zarr", "Array"), alone(as_dask)),
    Source(kind("pandas", "DataFrame", "Series"), alone(tables.of_pandas)),
    Source(kind("dask.dataframe", "DataFrame", "Series"), alone(tables.of_pandas)),
    Source(kind("polars", "DataFrame", "Series"), alone(tables.of_polars)),
    Source(kind("pyarrow", "Table", "RecordBatch"), alone(tables.of_arrow)),
    Source(kind("pyarrow", "ChunkedArray", "Array"), alone(tables.of_arrow_column)),
    Source(kind("astropy.table", "Table"), alone(tables.of_astropy)),
    Source(tables.is_record, alone(tables.of_records)),
    Source(kind("xarray", "Variable"), alone(wrapped.variable)),
    Source(kind("pint", "Quantity"), alone(wrapped.magnitude)),
    Source(kind("astropy.utils.masked", "Masked"), alone(wrapped.masked)),
    Source(kind("h5py", "Dataset"), alone(wrapped.in_file)),
    Source(kind("h5netcdf", "Variable"), alone(wrapped.in_file)),
    Source(kind("netCDF4", "Variable"), alone(wrapped.in_file)),
    *(Source(holds, refused.because(words)) for holds, words in refused.REFUSED),
    Source(tables.is_arrow_stream, alone(tables.of_arrow_stream)),
)


def opened_source(data: object, names: Sequence[Hashable] | None = None) -> Any:
    """`data` in one of the canonical forms, lazily; what nobody knows comes out as it is.

    Parameters
    ----------
    data : anything
    names : sequence of str, optional
        The arrays to take from a group that nobody has labelled.

    Raises
    ------
    DataError, DataTypeError, StoreNotFoundError
        If it cannot be opened, or is of a kind that is refused; says what to do.
    """
    while (source := next((s for s in SOURCES if s.holds(data)), None)) is not None:
        data = source.open(data, names)
    return data
