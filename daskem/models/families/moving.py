"""The M step of normal components."""

import numpy as np

from daskem.core.frames import Frame, identity
from daskem.core.numerics import EPS
from daskem.core.parameters import Params
from daskem.core.statistics import Statistics
from daskem.models.families.structure import Structure


def moved(
    structure: Structure,
    statistics: Statistics,
    params: Params,
    frame: Frame | None,
    total: np.ndarray,
    pseudo: float = 0.0,
) -> Params:
    """Means and covariances that maximise the expected (penalised) log-likelihood.

    Parameters
    ----------
    structure : Structure
    statistics : dict
        Those of `Gaussian`.
    params : Params
        At which they were taken.
    frame : Frame or None
    total : ndarray, () or (component,)
        How many rows there are, of all components, beside which a component may have none.
    pseudo : float
        Imaginary rows with the covariance of the data that each component has besides.
    """
    counts, old, d = statistics["counts"], params["covariances"], params["means"].shape[1]
    empty = counts <= EPS * total
    rows, without = counts[:, None], empty[:, None]
    shift = np.where(without, 0.0, statistics["first"] / np.where(without, 1.0, rows))
    # The scatter about where the means move to.
    vectors = structure.of_vectors(shift)
    vectors *= rows
    scatter = statistics["second"] - structure.pool(vectors)
    covariances = structure.covariances(scatter, structure.pool(counts), pseudo, d)
    if pseudo == 0 and not structure.pooled:
        covariances[empty] = old[empty]
    covariances = structure.floored(covariances, old, frame or identity(d))
    return Params({"means": params["means"] + shift, "covariances": covariances})
