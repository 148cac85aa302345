"""The kernel on tiles of rows, with NumPy: log-densities, softmax, sums, tile by tile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from daskem.core.frames import Frame
from daskem.core.numerics import NEGLIGIBLE, exponentiate, one_blas_thread, sum_of_logs
from daskem.core.statistics import Statistics, add_all
from daskem.models.kernels.guard import Guard
from daskem.models.kernels.protocol import Form, Rows, Sums, Weighted
from daskem.models.kernels.tiles import Tiles, narrowed, tile_width
from daskem.models.views import Tile

# Rows of a tile, up to which a call for each candidate takes longer than what it computes.
_FEW_ROWS = 2**9


@dataclass(frozen=True, eq=False)
class TiledKernel:
    """A kernel, as `daskem.models.kernels.protocol.Kernel` says.

    Attributes
    ----------
    form : Form
        Of the candidates.
    frame : Frame, optional
        In which the candidates hold their params.
    guard : Guard, optional
        Of `form`; without one it computes every tile.
    """

    form: Form
    frame: Frame | None = None
    guard: Guard | None = None

    def e_step(self, block: Rows) -> list[Statistics]:
        sweep, bounds = _Sweep(self, block), self.form.bounds
        log_likelihoods = np.zeros(len(bounds) - 1)
        for span in sweep.tiles:
            x, weights = sweep.tiles[span], sweep.weights(span)
            sums = sweep.sums(self.accurate(x))
            features = sums.features(x)
            joint = sums.log_joint(features, out=sweep.joint(span))
            log_likelihoods += normalise_each(joint, bounds, weights, sweep.spare)
            sums.add(x, features, joint, weights)
        statistics = sweep.statistics()
        for c, log_likelihood in enumerate(log_likelihoods):
            statistics[c]["log_likelihood"] = statistics[c]["log_likelihood"] + log_likelihood
        return statistics

    def posterior(self, block: Weighted) -> Iterator[Tile]:
        sweep = _Sweep(self, block)
        for span in sweep.tiles:
            with one_blas_thread():
                x = sweep.tiles[span]
                form = self.accurate(x)
                sums = sweep.sums(form)
                joint = sums.log_joint(sums.features(x), out=sweep.joint(span))
                base = form.log_base(x, 0)
            peak, total = exponentiate(joint, sweep.spare)
            joint /= total
            yield Tile(span, peak + np.log(total) + base, joint)

    def hard(self, block: Weighted, labels: np.ndarray) -> Statistics:
        components = np.arange(self.form.bounds[1])[:, None]
        return self._known(block, lambda span: (labels[span] == components).astype(np.float64))

    def soft(self, block: Weighted, responsibilities: np.ndarray) -> Statistics:
        return self._known(block, lambda span: responsibilities[:, span])

    def _known(self, block: Weighted, members: Callable[[slice], np.ndarray]) -> Statistics:
        """Statistics of rows with known responsibilities, `members` (component, row) of a tile."""
        sweep = _Sweep(self, block)
        for span in sweep.tiles:
            x, weights, r = sweep.tiles[span], sweep.weights(span), members(span)
            sums = sweep.sums(self.accurate(x))
            sums.add(x, sums.features(x), r if weights is None else r * weights, weights)
        # Of the likelihood there is only the part that the components share.
        return {n: s for n, s in sweep.statistics()[0].items() if n != "log_likelihood"}

    def log_densities(self, block: Weighted) -> np.ndarray:
        sweep, out = _Sweep(self, block), np.empty((int(self.form.bounds[-1]), len(block)))
        for span in sweep.tiles:
            x = sweep.tiles[span]
            form = self.accurate(x)
            sums = sweep.sums(form)
            joint = sums.log_joint(sums.features(x), out=sweep.joint(span))
            np.add(joint, form.log_base(x, 0), out=out[:, span])
        return out

    def usual(self, n_features: int) -> Form:
        """The form of most tiles."""
        return self.form if self.guard is None else self.guard.usual(n_features)

    def accurate(self, x: np.ndarray) -> Form:
        """The form that is accurate for a tile."""
        return self.form if self.guard is None else self.guard.form(x)


class _Sweep:
    """One sweep over the rows of a block: its tiles, its buffers, its sums in every form."""

    def __init__(self, kernel: TiledKernel, block: Rows) -> None:
        self._block = block
        self._n_features = block.rows.shape[1]
        form = kernel.usual(self._n_features)
        n_components = int(form.bounds[-1])
        n_statistics = form.n_statistics(self._n_features)
        most = tile_width(n_statistics, n_components, self._n_features)
        # Of few rows, buffers of the width of a tile would be pages that are seldom touched, and
        # whose rows share their places in a cache.
        self._width = min(most, len(block.rows))
        self.tiles = Tiles(block.rows, kernel.frame, most)
        self.spare = np.empty((2, self._width))
        self._joint = np.empty((n_components, self._width))
        self._sums = SumsOfForms(form, self._n_features, self._width)

    def weights(self, span: slice) -> np.ndarray | None:
        return None if self._block.weights is None else self._block.weights[span]

    def joint(self, span: slice) -> np.ndarray:
        """Room for the logits of a tile, (component, row)."""
        return narrowed(self._joint, span.stop - span.start)

    def sums(self, form: Form) -> Sums:
        return self._sums.of(form)

    def statistics(self) -> list[Statistics]:
        return self._sums.statistics()


class SumsOfForms:
    """The sums of tiles that need several forms, of which `usual` is that of most, and of none."""

    def __init__(self, usual: Form, n_features: int, width: int) -> None:
        self._usual, self._n_features, self._width = usual, n_features, width
        self._sums: dict[Form, Sums] = {}

    def of(self, form: Form) -> Sums:
        if form not in self._sums:
            self._sums[form] = form.sums(self._n_features, self._width)
        return self._sums[form]

    def statistics(self) -> list[Statistics]:
        """Of all tiles, whatever their form, one for each candidate."""
        # Of no tiles at all, the sums of the usual form are 0.
        made = list(self._sums.values()) or [self.of(self._usual)]
        statistics: list[Statistics] = add_all([sums.statistics() for sums in made])
        return statistics


def normalise(logits: np.ndarray, weights: np.ndarray | None, spare: np.ndarray) -> float:
    """Logits (component, row) to weighted responsibilities, in place; returns sum log p(x)."""
    peak, total = exponentiate(logits, spare)
    if weights is None:
        logits /= total
        return float(peak.sum()) + sum_of_logs(total, len(logits))
    logits *= weights / total
    return float(weights @ (peak + np.log(total)))


def normalise_each(
    joint: np.ndarray, bounds: np.ndarray, weights: np.ndarray | None, spare: np.ndarray
) -> np.ndarray:
    """The same of each candidate, whose logits lie between bounds; sum log p(x), (candidate,)."""
    if len(bounds) == 2 or joint.shape[1] > _FEW_ROWS:
        each = [normalise(joint[slice(*ends)], weights, spare) for ends in pairwise(bounds)]
        return np.array(each)
    starts, sizes = bounds[:-1], np.diff(bounds)
    peak = np.maximum.reduceat(joint, starts, axis=0)
    joint -= np.repeat(peak, sizes, axis=0)
    np.maximum(joint, NEGLIGIBLE, out=joint)
    np.exp(joint, out=joint)
    total = np.add.reduceat(joint, starts, axis=0)
    log_prob = peak + np.log(total)
    if weights is None:
        joint /= np.repeat(total, sizes, axis=0)
        return np.asarray(log_prob.sum(axis=1))
    joint *= np.repeat(weights / total, sizes, axis=0)
    return log_prob @ weights
