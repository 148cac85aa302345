"""Components of a family with noise beside them, whose density is the same everywhere.

The form of the family is wrapped: the logits of a candidate get a row more, the last one, and its
moments the sum of what that row takes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from daskem.core.statistics import Statistics
from daskem.errors import ModelError
from daskem.models.kernels.incomplete import IncompleteKernel, Part, Seen
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Form, Kernel
from daskem.models.kernels.tiled import TiledKernel
from daskem.models.views import Tile


def noisy(
    kernel: Kernel, log_noise: Sequence[float], log_widths: np.ndarray | None = None
) -> Kernel:
    """The same kernel with noise of each candidate, of log weight plus log density `log_noise`.

    Its tiles have a responsibility more, the last one, and its statistics ``noise``, sum r of it.
    Of rows that may lack values, `log_widths` (feature,) are those of the box: the density of what
    a row has is higher by the widths of what it lacks.

    Raises
    ------
    ModelError
        If it has no form whose components share nothing: what they share in the product form, its
        moments sum over all rows, those of noise too.
    """
    if isinstance(kernel, IncompleteKernel):
        assert log_widths is not None
        complete = noisy(kernel.complete, log_noise)
        apart = partial(_noisy_parts, kernel.apart, log_noise, log_widths)
        return IncompleteKernel(complete, apart)
    if isinstance(kernel, TiledKernel):
        form = kernel.form if kernel.guard is None else kernel.guard.centred
        if not isinstance(form, ProductForm):
            return TiledKernel(NoisyForm(form, log_noise, log_widths), kernel.frame)
    raise ModelError(f"noise needs a kernel whose components share nothing, not {kernel!r:.80}")


def without_noise(tiles: Iterator[Tile]) -> Iterator[Tile]:
    """The same tiles, but for the responsibility of noise: the components' add to what is left."""
    for tile in tiles:
        yield tile._replace(responsibilities=tile.responsibilities[:-1])


def _noisy_parts(
    apart: Callable[[Seen], Iterable[Part]],
    log_noise: Sequence[float],
    log_widths: np.ndarray,
    rows: Seen,
) -> Iterator[Part]:
    for part in apart(rows):
        if part.rows.rows.shape[1] == len(log_widths):
            yield part._replace(kernel=noisy(part.kernel, log_noise, log_widths))
            continue
        # All of its rows lack the same features.
        absent = np.isnan(rows.rows[part.places][0])
        more = [each + float(log_widths @ absent) for each in log_noise]
        yield part._replace(kernel=noisy(part.kernel, more))


class NoisyForm:
    """A form with a component more for each candidate, see `daskem.models.kernels.protocol`."""

    def __init__(
        self, form: Form, log_noise: Sequence[float], log_widths: np.ndarray | None
    ) -> None:
        self.inner, self.log_noise = form, np.array(log_noise)[:, None]
        self.log_widths = log_widths
        self.bounds = form.bounds + np.arange(len(form.bounds))
        # Where the noise of each candidate is, and all else.
        self.places = self.bounds[1:] - 1
        self.others = np.setdiff1d(np.arange(self.bounds[-1]), self.places)

    def n_statistics(self, n_features: int) -> int:
        return self.inner.n_statistics(n_features)

    def log_base(self, x: np.ndarray, candidate: int) -> float:
        return 0.0

    def sums(self, n_features: int, width: int) -> "NoisySums":
        return NoisySums(self, n_features, width)


class NoisySums:
    """The sums of a form, and of what is noise."""

    def __init__(self, form: NoisyForm, n_features: int, width: int) -> None:
        self._form = form
        self._inner = form.inner.sums(n_features, width)
        self._noise = np.zeros(len(form.places))
        # What the density of noise gains by what rows of a tile lack.
        self._absent: np.ndarray | float = 0.0
        self._spare = np.empty((len(form.others), width))

    def features(self, x: np.ndarray) -> np.ndarray:
        widths = self._form.log_widths
        self._absent = 0.0 if widths is None else widths @ np.isnan(x)
        return self._inner.features(x)

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        spare = self._spare[:, : out.shape[1]]
        out[self._form.others] = self._inner.log_joint(features, out=spare)
        out[self._form.places] = self._form.log_noise + self._absent
        return out

    def add(
        self,
        x: np.ndarray,
        features: np.ndarray,
        responsibilities: np.ndarray,
        weights: np.ndarray | None,
    ) -> None:
        self._noise += responsibilities[self._form.places].sum(axis=1)
        self._inner.add(x, features, responsibilities[self._form.others], weights)

    def statistics(self) -> list[Statistics]:
        pairs = zip(self._inner.statistics(), self._noise, strict=True)
        return [{**statistics, "noise": noise} for statistics, noise in pairs]
