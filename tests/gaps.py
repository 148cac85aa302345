"""Rows that lack values, and what a mixture of normals makes of them, row by row."""

import numpy as np
from scipy import stats
from scipy.special import logsumexp


def holed(rows, share=0.3, seed=0, whole=False):
    """A copy that lacks a share of its values; no row lacks all of them unless `whole`."""
    rng = np.random.default_rng(seed)
    absent = rng.random(rows.shape) < share
    if not whole:
        absent[np.arange(len(rows)), rng.integers(rows.shape[1], size=len(rows))] = False
    return np.where(absent, np.nan, rows)


def conditional(x, mean, covariance):
    """log p of what a row has, and mean and covariance of all of it given that."""
    o = ~np.isnan(x)
    seen = covariance[np.ix_(o, o)]
    log_p = stats.multivariate_normal.logpdf(x[o], mean[o], seen)
    b = covariance[:, o] @ np.linalg.inv(seen)
    return log_p, mean + b @ (x[o] - mean[o]), covariance - b @ covariance[o]


def expectations(rows, weights, means, covariances):
    """log p(x) (row,), responsibilities, E[x] and E[x x^T] of each component (component, row, ..).

    `covariances` are matrices, (component, feature, feature).
    """
    each = [[conditional(x, m, c) for x in rows] for m, c in zip(means, covariances, strict=True)]
    joint = np.array([[row[0] for row in one] for one in each]) + np.log(weights)[:, None]
    log_p = logsumexp(joint, axis=0)
    first = np.array([[row[1] for row in one] for one in each])
    rest = np.array([[row[2] for row in one] for one in each])
    return log_p, np.exp(joint - log_p), first, rest + first[..., :, None] * first[..., None, :]


def em_step(rows, kind, weights, means, covariances):
    """One step of EM with per-row conditional moments (Ghahramani and Jordan 1994)."""
    d = rows.shape[1]
    log_p, r, first, second = expectations(rows, weights, means, covariances)
    n = r.sum(axis=1)
    means = np.einsum("kn,kni->ki", r, first) / n[:, None]
    total = np.einsum("kn,knij->kij", r, second) - n[:, None, None] * (
        means[:, :, None] * means[:, None, :]
    )
    matrices = {
        "full": lambda: total / n[:, None, None],
        "tied": lambda: np.broadcast_to(total.sum(axis=0) / len(rows), total.shape),
        "diag": lambda: total / n[:, None, None] * np.eye(d),
        "spherical": lambda: (np.trace(total, axis1=1, axis2=2) / n / d)[:, None, None] * np.eye(d),
    }
    return log_p.mean(), n / len(rows), means, matrices[kind]()
