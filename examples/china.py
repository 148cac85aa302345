"""A photograph clustered by colour: soft clusters of a labelled (y, x, band) image.

A satellite scene works in the same way, whatever its size; give a path to write a PNG in which
every pixel has the mean colour of its cluster: python examples/china.py china.png
"""

import sys

import numpy as np
import xarray as xr
from sklearn.datasets import load_sample_image

import daskem


def photograph():
    """The Summer Palace in Beijing, in chunks, as it would come from a store."""
    return xr.DataArray(
        load_sample_image("china.jpg"),
        dims=("y", "x", "band"),
        coords={"band": ["red", "green", "blue"]},
        name="china",
    ).chunk(y=128, x=320)


def main(path=None, n_components=4):
    """Labels of the pixels (y, x), still lazy, and the fitted mixture."""
    image = photograph()
    model = daskem.GaussianMixture(n_components, random_state=0)
    model.fit(image, feature_dim="band")
    print(model.result_)
    labels = model.predict(image)
    if path is not None:
        write(path, labels, model)
    return labels, model


def write(path, labels, model):
    from PIL import Image

    colours = np.clip(model.means_, 0, 255).astype(np.uint8)
    Image.fromarray(colours[labels.to_numpy()]).save(path)


if __name__ == "__main__":
    main(*sys.argv[1:2])
