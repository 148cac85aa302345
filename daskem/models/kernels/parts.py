"""Forms side by side, each of some of the features: their log-densities add.

Each part keeps what its family made: its form, the frame in which that sees the features, and the
guard that chooses between its forms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskem.core.statistics import Statistics
from daskem.models.kernels.protocol import Tiled
from daskem.models.kernels.tiled import SumsOfForms
from daskem.models.kernels.tiles import narrowed


@dataclass(frozen=True, eq=False)
class Part:
    """The kernel of some features, without offsets.

    Attributes
    ----------
    label : str
        What begins the names of its statistics.
    columns : sequence of int
        Which features.
    kernel : Tiled
        Of as many candidates as the other parts have.
    """

    label: str
    columns: Sequence[int]
    kernel: Tiled


class SideBySide:
    """A form of rows in the units of the data, see `daskem.models.kernels.protocol.Form`.

    Parameters
    ----------
    parts : sequence of Part
    offsets : sequence of ndarray, (component,)
        What is added to the log-density of each component: the log of its weight.
    """

    def __init__(self, parts: Sequence[Part], offsets: Sequence[np.ndarray]) -> None:
        self.parts, self.bounds = parts, np.cumsum([0, *map(len, offsets)])
        self.offsets = np.concatenate(offsets)[:, None]
        self.n_features = sum(len(part.columns) for part in parts)

    def n_statistics(self, n_features: int) -> int:
        parts = ((p.kernel.usual(len(p.columns)), len(p.columns)) for p in self.parts)
        return sum(form.n_statistics(d) for form, d in parts)

    def log_base(self, x: np.ndarray, candidate: int) -> float:
        return 0.0

    def sums(self, n_features: int, width: int) -> "SideBySideSums":
        if n_features != self.n_features:
            raise ValueError(f"mismatch: {n_features} features, of {self.n_features} in all parts")
        return SideBySideSums(self, width)


class SideBySideSums:
    """The sums of all parts."""

    def __init__(self, form: SideBySide, width: int) -> None:
        self._form = form
        self._sums = [_PartSums(part, width) for part in form.parts]
        self._spare = np.empty((form.bounds[-1], width))

    def features(self, x: np.ndarray) -> np.ndarray:
        for sums in self._sums:
            sums.see(x)
        return x

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        out[...] = self._form.offsets
        for sums in self._sums:
            out += sums.log_joint(self._spare[:, : out.shape[1]])
        return out

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        for sums in self._sums:
            sums.add(responsibilities, weights)

    def statistics(self) -> list[Statistics]:
        """``counts``, and those of the parts, whose names begin with the label of the part."""
        each = zip(*(sums.statistics() for sums in self._sums), strict=True)
        return [self._joined(of_parts) for of_parts in each]

    def _joined(self, of_parts: Sequence[Statistics]) -> Statistics:
        joined: Statistics = {"log_likelihood": 0.0, "counts": of_parts[0]["counts"]}
        for part, statistics in zip(self._form.parts, of_parts, strict=True):
            # What the components share of log-densities is in `log_joint` already.
            part_sums = {n: s for n, s in statistics.items() if n not in joined}
            joined |= {f"{part.label}.{name}": value for name, value in part_sums.items()}
        return joined


class _PartSums:
    """The sums of one part, in all forms that its tiles need, and its features of one tile."""

    def __init__(self, part: Part, width: int) -> None:
        self._part = part
        self._columns, d = np.array(part.columns), len(part.columns)
        self._z, self._scratch = np.empty((2, d, width))
        usual = part.kernel.usual(d)
        self._sums = SumsOfForms(usual, d, width)
        self._form, self._x, self._features = usual, self._z[:, :0], self._z[:, :0]

    def see(self, x: np.ndarray) -> None:
        n, kernel = x.shape[1], self._part.kernel
        self._x = narrowed(self._z, n)
        if kernel.frame is None:
            self._x[...] = x[self._columns]
        else:
            kernel.frame.tile(x[self._columns].T, out=self._x, spare=self._scratch[:, :n])
        self._form = kernel.accurate(self._x)
        self._features = self._sums.of(self._form).features(self._x)

    def log_joint(self, out: np.ndarray) -> np.ndarray:
        self._sums.of(self._form).log_joint(self._features, out=out)
        bounds = self._form.bounds
        for c in range(len(bounds) - 1):
            out[bounds[c] : bounds[c + 1]] += self._form.log_base(self._x, c)
        return out

    def add(self, responsibilities: np.ndarray, weights: np.ndarray | None) -> None:
        sums = self._sums.of(self._form)
        sums.add(self._x, self._features, responsibilities, weights)

    def statistics(self) -> list[Statistics]:
        return self._sums.statistics()
