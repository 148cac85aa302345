"""Tables of every make as columns that are numbers, and columns that are not."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import dask.array as da
import numpy as np
import xarray as xr

from daskem.data.blocks.plain import plain
from daskem.data.inputs.sources.protocol import Array, kind
from daskem.data.inputs.sources.wrapped import masked
from daskem.errors import DataTypeError

# What pandas finds in a column of Python objects that are numbers, or missing.
_NUMBERS = {"floating", "integer", "mixed-integer-float", "decimal", "boolean", "empty"}


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns that are read one by one."""

    names: np.ndarray
    odd: Mapping[int, str]
    read: Callable[[int], Array]
    raw: Callable[[int], Any]
    index: Any = None

    def identifiers(self, place: int) -> np.ndarray:
        return np.asarray(self.raw(place))

    def rows(self, places: Sequence[int]) -> Array:
        columns = [self.read(i) for i in places]
        if any(isinstance(column, da.Array) for column in columns):
            return da.stack(columns, axis=-1)
        return np.stack([plain(column) for column in columns], axis=-1)

    def like(self, answers: Array, name: str, columns: np.ndarray | None) -> Array:
        return answers


@dataclass(frozen=True, eq=False)
class Frame:
    """A DataFrame of pandas, or of Dask, whose partitions stay the chunks."""

    frame: Any
    lazy: bool
    odd: Mapping[int, str] = field(init=False)

    def __post_init__(self) -> None:
        words = {i: self._odd(i, dtype) for i, dtype in enumerate(self.frame.dtypes)}
        object.__setattr__(self, "odd", {i: word for i, word in words.items() if word})

    @property
    def names(self) -> np.ndarray:
        names = np.asarray(self.frame.columns)
        return _alike(names) if names.dtype.kind == "O" else names

    @property
    def index(self) -> Any:
        return None if self.lazy else self.frame.index

    def rows(self, places: Sequence[int]) -> Array:
        whole = list(places) == list(range(self.frame.shape[1]))
        chosen = self.frame if whole else self.frame.iloc[:, list(places)]
        if self.lazy:
            return _partitioned(_floats(chosen)).to_dask_array()
        if any(map(_is_objects, chosen.dtypes)):
            columns = [chosen.iloc[:, i] for i in range(chosen.shape[1])]
            return np.stack([_numbers(column) for column in columns], axis=-1)
        return np.asarray(_floats(chosen).to_numpy())

    def identifiers(self, place: int) -> np.ndarray:
        column = self.frame.iloc[:, place]
        return np.asarray((column.compute() if self.lazy else column).to_numpy())

    def like(self, answers: Array, name: str, columns: np.ndarray | None) -> Any:
        """Answers with the index of the rows, lazy if these are; a column for each component, or
        those that are named.
        """
        if self.lazy:
            from dask.dataframe import from_dask_array

            numbers: Any = name if answers.ndim == 1 else range(answers.shape[1])
            called, index = columns if columns is not None else numbers, self.frame.index
            return from_dask_array(answers, columns=called, index=_partitioned(index))
        import pandas as pd

        if answers.ndim == 1:
            return pd.Series(answers, self.frame.index, name=name)
        components = pd.RangeIndex(answers.shape[1], name="component")
        return pd.DataFrame(answers, self.frame.index, components if columns is None else columns)

    def _odd(self, place: int, dtype: Any) -> str:
        """What a column holds that is no real number; empty if it is numbers."""
        from pandas.api.types import infer_dtype, is_numeric_dtype

        if _is_objects(dtype) and not self.lazy:
            inferred = infer_dtype(self.frame.iloc[:, place], skipna=True)
            return "" if inferred in _NUMBERS else f"object: {inferred}"
        real = is_numeric_dtype(dtype) and dtype.kind != "c"
        return "" if real else str(dtype)


def _partitioned(frame: Any) -> Any:
    """A table of Dask in the partitions that it says it has.

    Dask joins those of files once few of their columns are used, as many as are few: other ones
    for the features than for their weights, or for the index that the answers are to have.
    """
    from dask.dataframe import from_graph

    # All that makes a plan shorter, but for what joins partitions.
    plan = frame.simplify().expr.lower_completely()
    keys, name = plan.__dask_keys__(), "partitioned"
    return from_graph(plan.__dask_graph__(), plan._meta, plan.divisions, keys, name)


def _is_objects(dtype: object) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def _floats(frame: Any) -> Any:
    """The same, with what is no type of NumPy's as floats, in which NaN is missing."""
    foreign = {
        name: np.float64
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if not isinstance(dtype, np.dtype) or (dtype.kind == "b" and frame.shape[1] > 1)
    }
    return frame.astype(foreign) if foreign else frame


def _numbers(column: Any) -> np.ndarray:
    """A column of pandas, of numbers of any kind, as floats."""
    values = column.to_numpy(dtype=object)
    return numbers(values) if _is_objects(column.dtype) else np.asarray(column.astype(np.float64))


def numbers(values: np.ndarray) -> np.ndarray:
    """Python objects as floats, with NaN for None, NA and NaT; TypeError if some are no numbers."""
    from pandas import isna

    floats = np.full(values.shape, np.nan)
    present = ~isna(values)
    for value in values[present].ravel():
        if isinstance(value, str | bytes):
            raise TypeError(f"{value!r:.40} is no number")
    floats[present] = values[present].astype(np.float64)
    return floats


def of_pandas(data: Any) -> Frame:
    frame = data.to_frame() if data.ndim == 1 else data
    return Frame(frame, lazy=type(data).__module__.startswith("dask"))


def of_polars(data: Any) -> Columns:
    import polars as pl

    frame = data.to_frame() if isinstance(data, pl.Series) else data

    def read(i: int) -> np.ndarray:
        column = frame.to_series(i)
        whole = column.dtype.is_integer() and not column.null_count()
        whole &= "128" not in str(column.dtype)  # NumPy has no integers of so many bits.
        kept = column if column.dtype.is_float() or whole else column.cast(pl.Float64)
        return np.asarray(kept.to_numpy())

    odd = {
        i: str(dtype)
        for i, dtype in enumerate(frame.dtypes)
        if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null))
    }
    return Columns(_objects(frame.columns), odd, read, lambda i: frame.to_series(i).to_numpy())


def of_arrow(data: Any) -> Columns:
    import pyarrow as pa

    real = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    others = (pa.types.is_decimal, pa.types.is_null)

    def read(i: int) -> np.ndarray:
        column = data.column(i)
        exact = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        if column.null_count or not exact:
            column = column.cast(pa.float64())
        return np.asarray(column.to_numpy(zero_copy_only=False))

    types = enumerate(data.schema.types)
    odd = {i: str(t) for i, t in types if not any(is_one(t) for is_one in (*real, *others))}

    def raw(i: int) -> np.ndarray:
        return np.asarray(data.column(i).to_numpy(zero_copy_only=False))

    return Columns(_objects(data.schema.names), odd, read, raw)


def of_arrow_column(data: Any) -> Any:
    import pyarrow as pa

    return pa.table({"column": data})


@runtime_checkable
class ArrowStream(Protocol):
    """A table that gives its columns as Arrow has them: of narwhals, DuckDB, Ibis, and others."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


def is_arrow_stream(data: object) -> bool:
    # What xarray gives to Arrow has its dimensions as columns.
    return isinstance(data, ArrowStream) and not isinstance(data, xr.Dataset | xr.DataArray)


def of_arrow_stream(data: ArrowStream) -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise DataTypeError(
            f"a {type(data).__module__}.{type(data).__qualname__} is read by pyarrow, which is not "
            "installed: install it, or pass a table of pandas"
        ) from error
    rows = pa.chunked_array(data)
    several = pa.types.is_struct(rows.type)
    return pa.Table.from_struct_array(rows) if several else of_arrow_column(rows)


def of_astropy(data: Any) -> Columns:
    # A column of times or of sky coordinates is no array.
    columns = [data[name] for name in data.colnames]
    odd = {
        i: str(c.dtype) if isinstance(c, np.ndarray) else type(c).__name__
        for i, c in enumerate(columns)
        if not isinstance(c, np.ndarray) or c.dtype.kind not in "fiub" or c.ndim > 1
    }
    return Columns(
        _objects(data.colnames), odd, lambda i: _unmasked(columns[i]), lambda i: columns[i]
    )


def _unmasked(column: Any) -> np.ndarray:
    return plain(masked(column) if kind("astropy.utils.masked", "Masked")(column) else column)


def is_record(data: object) -> bool:
    """Whether this is an array whose dtype has fields."""
    return isinstance(data, np.ndarray | da.Array) and data.dtype.names is not None


def of_records(data: Any) -> Columns:
    names = data.dtype.names
    odd = {
        i: str(data.dtype[name])
        for i, name in enumerate(names)
        if data.dtype[name].kind not in "fiub"
    }

    def read(i: int) -> Any:
        return data[names[i]]

    return Columns(_objects(names), odd, read, read)


def _objects(names: Sequence[Hashable]) -> np.ndarray:
    array = np.empty(len(names), dtype=object)
    for i, name in enumerate(names):
        array[i] = name
    return array


def _alike(names: np.ndarray) -> np.ndarray:
    return _objects([comparable(name) for name in names])


def comparable(name: Hashable) -> Hashable:
    """A name with one NaN for all, where it is missing: no other is equal to itself."""
    if isinstance(name, tuple):
        return tuple(map(comparable, name))
    return np.nan if isinstance(name, float) and name != name else name
