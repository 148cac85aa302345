"""A pass of plain EM on a cluster: two threads of one worker, and two workers, against one of each.

    python tests/benchmarks/workers.py [--sizes 2,3 4,8] [--rows N] [--repeats N]

Milliseconds of the clock for one pass over rows in the memory of the workers, as what a fit of more
passes takes longer, and how many times faster the two are. The three clusters are timed in turn,
and each figure is the best of the repeats.
"""

import argparse
from contextlib import ExitStack
from functools import partial

import numpy as np
from common import cluster, on_workers, plain_em, seconds
from estep import problem

# Workers, and threads of each.
CLUSTERS = ((1, 1), (1, 2), (2, 1))
FEW, MORE = 3, 10


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
            rows, params = problem(d, k, n)
            times = np.full((len(clients), options.repeats + 1), np.inf)
            held = [on_workers(client, np.array_split(rows, 4)) for client in clients]
            for repeat in range(options.repeats + 1):
                for i, (client, x) in enumerate(zip(clients, held, strict=True)):
                    with client.as_current():
                        few, many = (
                            seconds(partial(plain_em, x, params, n_passes))
                            for n_passes in (FEW, FEW + MORE)
                        )
                    times[i, repeat] = (many - few) / MORE * 1e3
            one, threads, workers = times[:, 1:].min(axis=1)
            print(
                f"{n:>10,} {d:>4} {k:>4} {one:>6.1f} ms {threads:>6.1f} ms {one / threads:>4.2f}"
                f" {workers:>6.1f} ms {one / workers:>4.2f}",
                flush=True,
            )
            del held


if __name__ == "__main__":
    main()
