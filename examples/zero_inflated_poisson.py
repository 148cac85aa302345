"""A model of your own: counts in which some of the zeros come from another cause.

Fish caught by visitors of a park, say: a share of them (the `inflation`) does not fish at all,
the others catch Poisson(`rate`) each. Of a zero nobody recorded which kind it is, so the E step
says how probable it is that it came from somebody who does not fish.
"""

import dask.array as da
import numpy as np
from scipy.special import gammaln

import daskem
from daskem.testing import check_model

TRUTH = {"inflation": 0.3, "rate": 2.5}
START = {"inflation": 0.5, "rate": 1.0}


class ZeroInflatedPoisson:
    """p(0) = inflation + (1 - inflation) exp(-rate); p(n) = (1 - inflation) Poisson(n | rate)."""

    def e_step(self, block, params):
        counts = block.rows[:, 0].astype(float)
        times = np.ones(len(counts)) if block.weights is None else block.weights
        inflation, rate = params["inflation"], params["rate"]
        fishing = (1 - inflation) * np.exp(counts * np.log(rate) - rate - gammaln(counts + 1))
        idle = inflation * (counts == 0)
        return {
            "log_likelihood": times @ np.log(idle + fishing),
            "visitors": times.sum(),
            "zeros": times @ (idle / (idle + fishing)),
            "total": times @ counts,
        }

    def m_step(self, statistics, params):
        visitors, zeros = statistics["visitors"], statistics["zeros"]
        return {"inflation": zeros / visitors, "rate": statistics["total"] / (visitors - zeros)}


def simulate(n, seed=0):
    """Catches (sample, feature) of `n` visitors; the one feature is the number of fish."""
    rng = np.random.default_rng(seed)
    fishes = rng.random(n) >= TRUTH["inflation"]
    return (fishes * rng.poisson(TRUTH["rate"], n))[:, None]


def main():
    catches = simulate(200_000)
    check_model(ZeroInflatedPoisson(), catches[:500], START)
    here = daskem.fit(ZeroInflatedPoisson(), catches, start=START)
    # The same on chunks, as they would come from a store that does not fit in memory.
    lazy = da.from_array(catches, chunks=(50_000, 1))
    chunked = daskem.fit(ZeroInflatedPoisson(), lazy, start=START)
    for name, true in TRUTH.items():
        print(f"{name:>9}: {here.params[name]:.4f}, from chunks {chunked.params[name]:.4f}")
        print(f"{'':>9}  {true} in truth")
    return here, chunked


if __name__ == "__main__":
    main()
