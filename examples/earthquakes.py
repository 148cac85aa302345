"""Quiet and busy decades: a hidden Markov model of how many major earthquakes a year has.

The counts vary more than those of a Poisson distribution can, and busy years follow busy ones. Are
there two rates, and years in which the earth changes from one to the other?
"""

import numpy as np
import xarray as xr

import daskem

# Earthquakes of magnitude 7 and more in the world, 1900 to 2006: Zucchini, MacDonald and Langrock
# (2016), Hidden Markov Models for Time Series, table 1.1.
# fmt: off
COUNTS = [
    13, 14, 8, 10, 16, 26, 32, 27, 18, 32, 36, 24, 22, 23, 22, 18, 25, 21, 21, 14, 8, 11, 14, 23,
    18, 17, 19, 20, 22, 19, 13, 26, 13, 14, 22, 24, 21, 22, 26, 21, 23, 24, 27, 41, 31, 27, 35,
    26, 28, 36, 39, 21, 17, 22, 17, 19, 15, 34, 10, 15, 22, 18, 15, 20, 15, 22, 19, 16, 30, 27,
    29, 23, 20, 16, 21, 21, 25, 16, 18, 15, 18, 14, 10, 15, 8, 15, 6, 11, 8, 7, 18, 16, 13, 12,
    13, 20, 15, 16, 12, 18, 15, 16, 13, 15, 16, 11, 11,
]
# fmt: on


def earthquakes():
    """Major earthquakes of each year, (year)."""
    years = np.arange(1900, 1900 + len(COUNTS))
    return xr.DataArray(COUNTS, {"year": years}, name="earthquakes")


def main():
    """The selection among chains and mixtures, and the state of each year."""
    data = earthquakes()
    poisson = daskem.Poisson()
    # Chains know which year follows which; mixtures do not.
    models = {"chain": daskem.HiddenMarkov(poisson), "mixture": daskem.Mixture(poisson)}
    chosen = daskem.select(
        data, range(1, 4), models=models, sequence_dim="year", tol=1e-6, random_state=0
    )
    print(chosen)
    chain = chosen.best
    states, busy = chain.predict(data), int(np.argmax(chain.params["rates"]))
    rates, stay = chain.params["rates"].ravel(), np.diag(chain.params["transitions"])
    for state in np.argsort(rates):
        share = float((states == state).mean())
        lasting = 1 / (1 - stay[state])
        print(f"{rates[state]:.1f} a year in {share:.0%} of the years, {lasting:.0f} in a row")
    print("busy years:", *states["year"].values[states == busy])
    return chosen, states


if __name__ == "__main__":
    main()
