"""Components that chance makes: the few rows of a cluster that happen to lie close to a line.

Beside a likelihood without a bound there are lower peaks of the same kind, on a handful of rows in
a plane or a line, and where rows are many there always are some. Whether a component is such is
asked as of any scan for a crowd: how many rows do the other components send to its place, and does
chance, in all places that rows make, ever find as many there as there are?
"""

import numpy as np
from scipy.linalg import eigh

from daskem.core.segments import Segments
from daskem.core.triangular import are_definite

# The probability that chance finds such a component somewhere, from which on it may have.
CHANCE = 1e-3
# A direction is narrow if a component has less of the variance of the others there than this.
_NARROW = 1e-2
# Rows that are expected where there are none.
_NONE = 1e-300


def by_chance(covariances: np.ndarray, means: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Whether chance makes components so narrow of so few rows, (component,).

    A place is made by the rows that its mean and its wide directions need. Of the others m rows are
    found there, where b are expected of all other components; by the bound of Chernoff,

        log P(as many) <= m - (b + m) log(1 + m / b)

    of each place.

    Parameters
    ----------
    covariances : ndarray, (component, feature, feature), or (component, feature)
        Or variances, where there are no correlations.
    means : ndarray, (component, feature)
    counts : ndarray, (component,)
        Rows of each.
    """
    d, places = means.shape[1], _places(counts.sum())
    is_chance = np.zeros(len(counts), bool)
    for k in np.flatnonzero(_are_few(counts, d, places)):
        others = np.flatnonzero((np.arange(len(counts)) != k) & (counts > counts[k]))
        if not len(others):
            continue
        shares = counts[others] / counts[others].sum()
        usual = np.einsum("k,k...->...", shares, covariances[others])
        narrow = _relative(covariances[k], usual) < _NARROW
        if narrow.any():
            makers, apart = 1 + (~narrow).sum(), means[k] - means[others]
            expected = _expected(covariances[k], covariances[others], apart, counts[others])
            m, b = max(counts[k] - makers, 0.0), max(expected, _NONE)
            is_chance[k] = m - (b + m) * np.log1p(m / b) + makers * places > np.log(CHANCE)
    return is_chance


def may_be_by_chance(
    covariances: np.ndarray, d: int, counts: np.ndarray, each: Segments
) -> np.ndarray:
    """Which components of several fits, one after the other, `by_chance` has to look at."""
    seldom = _are_few(counts, d, _places(each.total(counts))) & (counts < each.peak(counts))
    variances = covariances.reshape(len(counts), -1)
    if d > 1 and covariances.ndim > 2:
        return seldom
    return seldom & (variances < _NARROW * each.peak(variances)).any(axis=1)


def _places(n: np.ndarray) -> np.ndarray:
    """The log of how many places n rows make."""
    return np.log(np.maximum(n, 1.0))


def _are_few(counts: np.ndarray, d: int, places: np.ndarray) -> np.ndarray:
    """Which components have so few rows that chance may find as many."""
    return counts - d < d * places - np.log(CHANCE)


def _relative(covariance: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Variances of a component by those of the others, along their common axes, (feature,)."""
    if covariance.ndim == 1:
        return covariance / usual
    if not are_definite(usual[None])[0]:
        return np.ones(len(covariance))  # Beside no width nothing is narrow.
    return eigh(covariance, usual, eigvals_only=True)


def _expected(
    covariance: np.ndarray, others: np.ndarray, apart: np.ndarray, counts: np.ndarray
) -> float:
    """Rows at the place of component k: of each other one, at m_k - `apart`,

    n_j integral N(x; m_j, C_j) exp(-(x - m_k)^T C_k^-1 (x - m_k) / 2) dx.
    """
    both = covariance + others
    if covariance.ndim == 1:
        log_share, white = np.log(covariance / both).sum(axis=-1), apart / both
    else:
        log_share = np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(both)[1]
        white = np.linalg.solve(both, apart[..., None])[..., 0]
    squares = (apart * white).sum(axis=-1)
    return float(counts @ np.exp((log_share - squares) / 2))
