"""What a pass costs on a warm cluster before any row is touched, beside a tree of idle tasks.

    python tests/benchmarks/warm_passes.py [--partitions 1 8 64] [--passes N] [--repeats N]

Milliseconds of the clock for one pass of plain EM (d = 4, K = 8) over 4,096 rows in the memory of
two workers, as what a fit of more passes takes longer; then for as many Dask tasks that return
None, added by the same tree, sent and awaited by a client; and how many times that a pass takes. At
last 400,000 rows in two partitions, with the E steps alone, in one thread, beside them. The two are
timed in turn, and each figure is the best of the repeats.
"""

import argparse
from functools import partial

import dask
import numpy as np
from common import MODEL, best_of, cluster, differences, on_workers, plain_em
from distributed import Client
from estep import problem

from daskem.core.numerics import one_blas_thread
from daskem.core.statistics import FAN_IN
from daskem.data.blocks import Block

WORKERS, D, K, ROWS = 2, 4, 8, 4096


def nothing(*parts: None) -> None:
    return None


def bare(client: Client, n: int, n_passes: int) -> None:
    """As many trees of tasks that do nothing, each awaited before the next."""
    for _ in range(n_passes):
        level = [dask.delayed(nothing)() for _ in range(n)]
        while len(level) > 1:
            groups = [level[i : i + FAN_IN] for i in range(0, len(level), FAN_IN)]
            level = [dask.delayed(nothing)(*group) for group in groups]
        client.compute(level[0]).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--passes", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=4)
    options = parser.parse_args()
    more = options.passes
    print("partitions      pass   nothing   times")
    with cluster(WORKERS) as client:
        for n in options.partitions:
            rows, params = problem(D, K, ROWS)
            x = on_workers(client, np.array_split(rows, n))
            ways = (partial(plain_em, x, params), partial(bare, client, n))
            own, rival = differences(ways, 2, more, options.repeats) * 1e3
            print(f"{n:>10} {own:>6.1f} ms {rival:>6.1f} ms {own / rival:>7.2f}", flush=True)
        rows, params = problem(D, K, 400_000)
        x = on_workers(client, np.array_split(rows, WORKERS))
        (own,) = differences([partial(plain_em, x, params)], 2, more, 3) * 1e3
        with one_blas_thread():
            kernel = best_of(lambda: MODEL.e_step(Block(rows), MODEL.to_frame(params)), 5)
        print(f"400,000 rows: {own:.1f} ms; E steps {kernel * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
