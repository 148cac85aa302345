"""Handwritten digits: do clusters that were told nothing find the ten digits?"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

import daskem


def main():
    """Adjusted Rand index of clusters and digits: 1 if they agree, 0 as by chance."""
    images, digits = load_digits(return_X_y=True)
    rows = PCA(n_components=20, random_state=0).fit_transform(images)
    # Ten full matrices of 20 x 20 are many numbers for 1797 images: a firm prior and some starts.
    model = daskem.GaussianMixture(10, reg_covar=1e-2, n_init=10, random_state=0)
    clusters = model.fit_predict(rows)
    print("rows: clusters by size; columns: digits 0 to 9")
    for k in np.argsort(-model.weights_):
        print(np.bincount(digits[clusters == k], minlength=10))
    score = adjusted_rand_score(digits, clusters)
    print(f"adjusted Rand index {score:.3f} after {model.n_iter_} passes")
    return score


if __name__ == "__main__":
    main()
