"""Components that chance makes: the few rows of a cluster that happen to lie close to a line.

Beside a likelihood without a bound there are lower peaks of the same kind, on a handful of rows in
a plane or a line, and where rows are many there always are some. Whether a component is such is
asked as of any scan for a crowd: how many rows do the other components send to its place, and does
chance, in all places that rows make, ever find as many there as there are?
"""

import numpy as np
from scipy.linalg import eigh

# The probability that chance finds such a component somewhere, from which on it may have.
CHANCE = 1e-3
# A direction is narrow if a component has less of the variance of the others there than this.
_NARROW = 1e-2


def by_chance(covariances: np.ndarray, means: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Whether chance makes components so narrow of so few rows, (component,).

    A place is made by the rows that its mean and its wide directions need. Of the others m rows are
    found there, where b are expected of all other components; by the bound of Chernoff,

        log P(as many) <= m - (b + m) log(1 + m / b)

    of each place.

    Parameters
    ----------
    covariances : ndarray, (component, feature, feature)
    means : ndarray, (component, feature)
    counts : ndarray, (component,)
        Rows of each.
    """
    d, places = means.shape[1], np.log(max(counts.sum(), 1.0))
    found = np.zeros(len(counts), bool)
    for k in np.flatnonzero(counts - d < d * places - np.log(CHANCE)):
        others = np.flatnonzero((np.arange(len(counts)) != k) & (counts > counts[k]))
        if not len(others):
            continue
        usual = np.einsum("k,kij->ij", counts[others] / counts[others].sum(), covariances[others])
        narrow = eigh(covariances[k], usual, eigvals_only=True) < _NARROW
        expected = sum(
            _expected(covariances[[k, j]], means[k] - means[j], counts[j]) for j in others
        )
        makers = 1 + (~narrow).sum()
        m, b = max(counts[k] - makers, 0.0), max(expected, 1e-300)
        tail = m - (b + m) * np.log1p(m / b)
        found[k] = narrow.any() and tail + makers * places > np.log(CHANCE)
    return found


def _expected(pair: np.ndarray, apart: np.ndarray, count: float) -> float:
    """Rows of a component j, n_j integral N(x; m_j, C_j) exp(-(x - m_k)^T C_k^-1 (x - m_k) / 2)."""
    both = pair.sum(axis=0)
    log_share = np.linalg.slogdet(pair[0])[1] - np.linalg.slogdet(both)[1]
    return float(count * np.exp((log_share - apart @ np.linalg.solve(both, apart)) / 2))
