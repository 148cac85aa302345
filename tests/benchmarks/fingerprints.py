"""What fingerprints cost: their CPU time for that of a pass over blocks in memory, in per cent.

    python tests/benchmarks/fingerprints.py

Reading, of which there is none here, makes a pass longer and the share smaller.
"""

import time

import numpy as np

from daskem import Gaussian, Mixture
from daskem.data.blocks import fingerprint
from daskem.data.blocks.block import Block
from daskem.data.blocks.piece import Piece
from daskem.fitting.loop import evaluate

_BLOCKS, _ROUNDS = 8, 5


def share(k: int, d: int, kind: str) -> tuple[float, float]:
    """Seconds of fingerprints, and of whole passes with them: the fastest of some rounds."""
    rng = np.random.default_rng(0)
    n = 2**19 // d
    rows = [rng.normal(size=(n, d)) for _ in range(_BLOCKS)]
    blocks = [Block(x, pieces=(Piece((i,), i, (n,)),)) for i, x in enumerate(rows)]
    model = Mixture(Gaussian(kind))
    params = model.from_labels(blocks[0], rng.integers(k, size=n), rows[0][:k])
    prints, passes = [], []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for block in blocks:
            fingerprint(block)
        prints.append(time.process_time() - began)
        began = time.process_time()
        for block in blocks:
            evaluate(block, [(model, [params])])
        passes.append(time.process_time() - began)
    return min(prints), min(passes)


if __name__ == "__main__":
    print("  K   d  covariance  fingerprints ms  pass ms  per cent")
    for k, d, kind in (
        (3, 2, "diag"),
        (3, 2, "full"),
        (8, 4, "full"),
        (8, 20, "full"),
        (20, 10, "full"),
    ):
        own, whole = share(k, d, kind)
        print(
            f"{k:>3} {d:>3}  {kind:>10} {1e3 * own:>16.2f} {1e3 * whole:>8.1f} "
            f"{100 * own / whole:>9.2f}"
        )
