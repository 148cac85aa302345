"""Columns of tables that are categories: strings, and categoricals of pandas, as codes 0, 1, ..."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from daskem.data.inputs.sources.protocol import Table
from daskem.data.inputs.sources.tables import Frame
from daskem.errors import DataError, DataTypeError

# The labels of the codes of a column, by its name.
Labels = Mapping[Hashable, tuple[Hashable, ...]]
# Which of some columns are categories.
Chosen = Callable[[Sequence[Hashable]], Collection[Hashable]]

_CODED = "{!r} is coded by its categories: {}"
# Categories that a note or a message lists.
_SHOWN = 9


def coded(
    table: Table, places: Sequence[int], chosen: Chosen | None, known: Labels
) -> tuple[Table, Labels]:
    """The table with codes in the columns at `places` that are no numbers but categories.

    Parameters
    ----------
    table : Table
    places : sequence of int
    chosen : callable, optional
        Which columns may be coded: those of a fit, whose labels nobody knows yet.
    known : mapping
        The labels of columns that were coded in the fit.

    Raises
    ------
    DataTypeError
        If the categories of a column are not known before it is read.
    """
    names = [table.names[i] for i in places]
    wanted = set(chosen(names)) if chosen is not None else set()
    odd = [i for i in places if table.names[i] in wanted and i in table.odd]
    if not isinstance(table, Frame) or not (odd or known):
        return table, known
    labels = dict(known) or {table.names[i]: _labels(table, i) for i in odd}
    frame = table.frame
    if table.lazy:
        meta = _with_codes(frame._meta, labels, "")
        made = frame.map_partitions(_with_codes, labels, " of a partition", meta=meta)
        return Frame(made, lazy=True), labels
    return Frame(_with_codes(frame, labels, ""), lazy=False), labels


def decoded(answers: Any, like: Table, labels: Labels) -> Any:
    """Answers `like` a table, with the categories in the place of their codes."""
    if not (labels and isinstance(like, Frame)):
        return answers
    if like.lazy:
        return answers.map_partitions(_with_categories, labels)
    return _with_categories(answers, labels)


def _with_categories(frame: Any, labels: Labels) -> Any:
    made = frame.copy(deep=False)
    for name, each in labels.items():
        codes = frame[name].to_numpy()
        missing = np.isnan(codes)
        words = np.array([*each, None], dtype=object)
        made[name] = words[np.where(missing, len(each), codes).astype(np.intp)]
    return made


def notes(labels: Labels) -> list[str]:
    """What is said of the columns that are coded."""
    return [_CODED.format(name, _listed(each)) for name, each in labels.items()]


def _labels(table: Frame, place: int) -> tuple[Hashable, ...]:
    """The categories of a column: of its type, or all strings that it has, sorted."""
    from pandas import CategoricalDtype
    from pandas.api.types import infer_dtype

    name, dtype = table.names[place], table.frame.dtypes.iloc[place]
    column = table.frame.iloc[:, place]
    if isinstance(dtype, CategoricalDtype) and (not table.lazy or column.cat.known):
        return tuple(dtype.categories.tolist())
    if table.lazy:
        raise DataTypeError(
            f"column {name!r} of a table of Dask is {dtype}, and which categories it has is not "
            f"known before it is read: table.categorize([{name!r}]) reads them, or "
            "astype(pandas.CategoricalDtype([...])) says them"
        )
    if infer_dtype(column, skipna=True) != "string":
        raise DataTypeError(
            f"column {name!r} is {table.odd[place]}; categories are strings, a categorical of "
            f"pandas or whole numbers. Make it one, as with astype('category')"
        )
    return tuple(sorted(column.dropna().unique().tolist()))


def _with_codes(frame: Any, labels: Labels, of: str) -> Any:
    """A table of pandas with codes, NaN where missing, in the columns that have labels.

    Errors count the rows `of` it.
    """
    made = frame.copy(deep=False)
    for name, each in labels.items():
        made[name] = _codes(frame[name], name, each, of)
    return made


def _codes(column: Any, name: Hashable, labels: tuple[Hashable, ...], of: str) -> np.ndarray:
    import pandas as pd

    places, values = pd.factorize(column)
    codes = pd.Index(labels, dtype=object).get_indexer(pd.Index(values, dtype=object))
    if (codes < 0).any():
        new = int(np.flatnonzero(codes < 0)[0])
        row = int(np.flatnonzero(places == new)[0])
        raise DataError(
            f"Input X contains {values[new]!r:.80} in row {row}{of}, column {name!r}, a category "
            f"that the fit never saw; it knows {_listed(labels)}. Leave such rows out, make them "
            "missing, or fit with data that have them"
        )
    return np.where(places < 0, np.nan, np.append(codes, -1)[places])


def _listed(labels: Sequence[Hashable]) -> str:
    shown = ", ".join(f"{code} {label!r}" for code, label in enumerate(labels[:_SHOWN]))
    return shown + (f", ... ({len(labels)} in all)" if len(labels) > _SHOWN else "")
