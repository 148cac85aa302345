"""A pass of plain EM on a cluster: two threads of one worker, and two workers, against one of each.

    python tests/benchmarks/workers.py [--sizes 2,3 4,8] [--rows N] [--repeats N]

Milliseconds of the clock for one pass over rows in the memory of the workers, as what a fit of more
passes takes longer, and how many times faster the two are. The three clusters are timed in turn,
and each figure is the best of the repeats.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
from common import cluster, differences, on_workers, plain_em
from distributed import Client
from estep import problem

# Workers, and threads of each.
CLUSTERS = ((1, 1), (1, 2), (2, 1))
# Passes of a fit, and how many more the other has.
FEW, MORE = 3, 10


def way(client: Client, rows: np.ndarray, params: dict[str, np.ndarray]) -> Callable[[int], None]:
    """So many passes over rows in the memory of a cluster."""
    x = on_workers(client, np.array_split(rows, 4))

    def passes(n: int) -> None:
        with client.as_current():
            plain_em(x, params, n)

    return passes


def line(clients: Sequence[Client], d: int, k: int, n: int, repeats: int) -> str:
    rows, params = problem(d, k, n)
    ways = [way(client, rows, params) for client in clients]
    one, threads, workers = differences(ways, FEW, MORE, repeats) * 1e3
    return (
        f"{n:>10,} {d:>4} {k:>4} {one:>6.1f} ms {threads:>6.1f} ms {one / threads:>4.2f}"
        f" {workers:>6.1f} ms {one / workers:>4.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", default=["2,3", "4,8", "10,10", "30,20", "50,50"])
    parser.add_argument("--rows", type=int, help="4e8 / dK, and 4 million at most, by default")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print("      rows    d    K       one    2 threads       2 workers")
    with ExitStack() as stack:
        clients = [
            stack.enter_context(cluster(workers, threads=threads)) for workers, threads in CLUSTERS
        ]
        for d, k in (map(int, size.split(",")) for size in options.sizes):
            n = options.rows or int(min(4e8 / (d * k), 4e6))
            print(line(clients, d, k, n, options.repeats), flush=True)


if __name__ == "__main__":
    main()
