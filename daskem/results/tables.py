"""Tables for reading: the same cells as text, and as HTML for notebooks."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

# Lines that a screen has room for.
SCREEN = 20

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """Cells under a header, and what is to be said below them.

    Attributes
    ----------
    header : sequence of str
    cells : sequence of sequence of str
    below : str
    """

    header: Sequence[str]
    cells: Sequence[Sequence[str]]
    below: str = ""

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, object]], below: str = "") -> "Table":
        """A line for each of `rows`, under a line of their keys."""
        header = list(rows[0]) if rows else []
        return cls(header, [[cell(value) for value in row.values()] for row in rows], below)

    def short(self, most: int = SCREEN) -> "Table":
        """No more than so many lines: the first ones, and the last."""
        left = len(self.cells) - most
        if left <= 0:
            return self
        kept = [*self.cells[: most // 2], *self.cells[len(self.cells) - most // 2 :]]
        kept.insert(most // 2, ["..." for _ in self.header])
        return Table(self.header, kept, f"{len(self.cells):,} in all\n{self.below}".strip())

    def __str__(self) -> str:
        lines = [self.header, *self.cells]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join(f"{c:>{width}}" for c, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return "\n".join([*aligned, *filter(None, [self.below])])

    def html(self) -> str:
        """The same as a table of HTML; names of the user are escaped."""
        import pandas as pd

        frame = pd.DataFrame([list(line) for line in self.cells], columns=list(self.header))
        return str(frame.to_html(escape=True, index=False, border=0)) + paragraphs([self.below])


def cell(value: object) -> str:
    """A value as a cell."""
    if isinstance(value, float):
        return f"{value:.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.5g}"
    return str(value)


def paragraphs(texts: Iterable[str]) -> str:
    """Texts in HTML, escaped, one below the other."""
    return "".join(f"<p>{html.escape(line)}</p>" for t in texts for line in t.splitlines())


class Listing(tuple[T, ...], Generic[T]):
    """A tuple that prints as a table which fits on a screen."""

    __slots__ = ()

    def row(self, number: int, item: T) -> dict[str, Any]:
        """The cells of an item, by their header."""
        raise NotImplementedError

    @property
    def table(self) -> Table:
        return Table.of([self.row(number, item) for number, item in enumerate(self)])

    def __repr__(self) -> str:
        return str(self.table.short()) if self else "()"

    def _repr_html_(self) -> str:
        return self.table.short().html() if self else "()"
