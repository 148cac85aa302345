"""Components of a family with noise beside them, whose density is the same everywhere.

The form of the family is wrapped: the logits of a candidate get a row more, the last one, and its
moments the sum of what that row takes.
"""

from collections.abc import Sequence

import numpy as np

from daskem.core.statistics import Statistics
from daskem.errors import ModelError
from daskem.models.kernels.product import ProductForm
from daskem.models.kernels.protocol import Form, Kernel
from daskem.models.kernels.tiled import TiledKernel


def noisy(kernel: Kernel, log_noise: Sequence[float]) -> TiledKernel:
    """The same kernel with noise of each candidate, of log weight plus log density `log_noise`.

    Its tiles have a responsibility more, the last one, and its statistics ``noise``, sum r of it.

    Raises
    ------
    ModelError
        If it has no form whose components share nothing: what they share in the product form, its
        moments sum over all rows, those of noise too.
    """
    if isinstance(kernel, TiledKernel):
        form = kernel.form if kernel.guard is None else kernel.guard.centred
        if not isinstance(form, ProductForm):
            return TiledKernel(NoisyForm(form, log_noise), kernel.frame)
    raise ModelError(f"noise needs a kernel whose components share nothing, not {kernel!r:.80}")


class NoisyForm:
    """A form with a component more for each candidate, see `daskem.models.kernels.protocol`."""

    def __init__(self, form: Form, log_noise: Sequence[float]) -> None:
        self.inner, self.log_noise = form, np.array(log_noise)[:, None]
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
        self._spare = np.empty((len(form.others), width))

    def features(self, x: np.ndarray) -> np.ndarray:
        return self._inner.features(x)

    def log_joint(self, features: np.ndarray, out: np.ndarray) -> np.ndarray:
        spare = self._spare[:, : out.shape[1]]
        out[self._form.others] = self._inner.log_joint(features, out=spare)
        out[self._form.places] = self._form.log_noise
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
