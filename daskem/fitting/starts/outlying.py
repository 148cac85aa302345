"""Rows far out, of which a sample has a few and a part of it may have none.

Who has never seen them takes them in where they come up, and is smeared by them.
"""

import numpy as np

from daskem.data.blocks import Block
from daskem.fitting.starts.seeds import standardised

# A row is far out that has this share of the variance of a feature,
_SHARE = 0.01
# and lies this many standard deviations away, as those of a small sample seldom do.
_FAR = 10.0
# With more of them than these, each part of a sample has some.
_MOST = 64


def outlying_first(sample: Block) -> tuple[Block, int]:
    """The rows of a sample, those far out first if they are few; and how many these are."""
    if sample.edges is not None:
        return sample, 0
    least = np.maximum(_FAR, np.sqrt(_SHARE * sample.weight / sample.counts))[:, None]
    out, n_out, before = np.zeros(len(sample), bool), 0, -1
    # Beside the farthest rows the next ones do not show.
    while before < n_out <= _MOST:
        mean, deviation = standardised(sample[~out])
        out |= (np.abs(sample.rows - mean) > least * deviation).any(axis=1)
        before, n_out = n_out, int(np.count_nonzero(out))
    if not 0 < n_out <= _MOST:
        return sample, 0
    return sample[np.argsort(~out, kind="stable")], n_out
