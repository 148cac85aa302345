"""The guard of the product form: it tells which tiles need the careful one."""

from dataclasses import dataclass

import numpy as np

from daskem.models.kernels.protocol import Form

# The largest kappa at which logits in product form are accurate: their error is about EPS * kappa,
# 1e-8 here, and so is that of the responsibilities.
LIMIT = 1e8


@dataclass(frozen=True, eq=False)
class Guard:
    """Which form is accurate for a tile, by kappa = max |z|^2 * sharpness.

    Attributes
    ----------
    product, centred : Form
        The fast one, and the one that is accurate in any case.
    sharpness : float
        The largest eigenvalue of any precision, or a bound on it.
    """

    product: Form
    centred: Form
    sharpness: float

    def form(self, z: np.ndarray) -> Form:
        """The form for a tile (feature, row)."""
        reach = np.maximum(z.max(axis=1), -z.min(axis=1))
        return self.product if reach @ reach * self.sharpness <= LIMIT else self.centred
