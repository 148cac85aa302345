"""Wines of which a fifth of the measurements are missing: clusters, and what was not measured.

Of 178 wines with 13 measurements each, nine have all of them. `missing="omit"` would have these
alone; `missing="model"` lets every wine take part with what was measured of it.
"""

import numpy as np
import xarray as xr
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score

import daskem

# Of the measurements, those that nobody made.
MISSING = 0.2


def wines(seed=0):
    """All measurements as a Dataset (wine), the same with gaps, and the grape of each wine."""
    data = load_wine()
    columns = zip(data.feature_names, data.data.T, strict=True)
    complete = xr.Dataset({name: ("wine", values) for name, values in columns})
    rng = np.random.default_rng(seed)
    measured = {name: ("wine", rng.random(len(data.data)) >= MISSING) for name in complete}
    return complete, complete.where(xr.Dataset(measured)), data.target


def main():
    """How well the grapes are found, and the errors of what is imputed and of the means."""
    complete, gaps, grapes = wines()
    whole = int(np.isfinite(gaps.to_dataarray()).all("variable").sum())
    print(f"{whole} of {gaps.sizes['wine']} wines have all measurements")
    # One covariance for all: three of their own would have more parameters than there are values.
    model = daskem.Mixture(daskem.Gaussian("tied"))
    result = daskem.fit(model, gaps, 3, missing="model", random_state=0)
    agreement = adjusted_rand_score(grapes, result.predict(gaps))
    print(f"agreement with the three grapes: {agreement:.2f} (1: all wines, 0: chance)")
    imputed = result.impute(gaps).to_dataset("feature")

    def error(filled):
        """Root mean square of what was missing, in standard deviations of each measurement."""
        apart = ((filled - complete) / complete.std()).where(gaps.isnull())
        return float(np.sqrt((apart.to_dataarray() ** 2).mean()))

    errors = error(imputed), error(gaps.fillna(gaps.mean()))
    print("errors of what is imputed {:.2f}, of means {:.2f} standard deviations".format(*errors))
    return whole, agreement, *errors


if __name__ == "__main__":
    main()
