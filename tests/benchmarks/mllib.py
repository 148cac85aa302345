"""One EM iteration on two workers against Spark MLlib's with local[2]: same rows, in memory.

    pip install pyspark      # and a Java
    python tests/benchmarks/mllib.py [--rows 400000 4000000] [--sizes 4,8 10,10] [--repeats N]

For each number of rows and (d, K): seconds of the clock for one iteration of plain EM of full
covariances, ours and theirs, and how many times theirs is as long. Of both it is what a fit of
several iterations more takes longer, so that no start, no read and no survey is in it. The two are
timed in turn, and each figure is the best of the repeats.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from common import cluster, differences, on_workers, plain_em
from estep import problem
from pyspark.ml.clustering import GaussianMixture
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession

WORKERS = 2
# Iterations of a fit, and how many more the other has.
FEW, MORE = 2, 10


def session(folder: str) -> SparkSession:
    """Two threads of one Java, with room for all rows."""
    return (
        SparkSession.builder.master(f"local[{WORKERS}]")
        .config("spark.driver.memory", "8g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.local.dir", folder)
        .getOrCreate()
    )


def in_spark(spark: SparkSession, rows: np.ndarray, folder: str) -> DataFrame:
    """The rows, in the memory of Java."""
    path = Path(folder) / "rows"
    path.write_bytes(rows.tobytes())
    records = spark.sparkContext.binaryRecords(str(path), rows.shape[1] * rows.itemsize)
    vectors = records.map(lambda record: (Vectors.dense(np.frombuffer(record)),))
    frame = vectors.toDF(["features"]).repartition(WORKERS).cache()
    frame.count()
    return frame


def theirs(frame: DataFrame, k: int, iterations: int) -> None:
    GaussianMixture(k=k, maxIter=iterations, tol=0.0, seed=0).fit(frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[400_000, 4_000_000])
    parser.add_argument("--sizes", nargs="*", default=["4,8", "10,10"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print("     rows    d    K      ours     MLlib   times")
    with tempfile.TemporaryDirectory() as folder, cluster(WORKERS) as client:
        spark = session(folder)
        spark.sparkContext.setLogLevel("ERROR")
        for n in options.rows:
            for d, k in (map(int, size.split(",")) for size in options.sizes):
                rows, params = problem(d, k, n)
                # Two chunks for each worker.
                x = on_workers(client, np.array_split(rows, 2 * WORKERS))
                frame = in_spark(spark, rows, folder)
                ways = (partial(plain_em, x, params), partial(theirs, frame, k))
                own, rival = differences(ways, FEW, MORE, options.repeats)
                print(
                    f"{n:>9,} {d:>4} {k:>4} {own:>7.3f} s {rival:>7.3f} s {rival / own:>7.1f}",
                    flush=True,
                )
                frame.unpersist()
        spark.stop()


if __name__ == "__main__":
    main()
