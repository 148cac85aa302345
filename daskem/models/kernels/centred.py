"""The careful form of a Gaussian kernel, and the guard that tells when it is needed.

The careful form takes every component about its own mean, one at a time, with the Cholesky factor
of its covariance: several times slower than the product form, and accurate however narrow a
component is beside its distance from the origin.
"""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from daskem.core.parameters import Params
from daskem.core.statistics import add
from daskem.models.kernels.product import ProductKernel


class CentredKernel:
    """Same methods and same statistics as the product form; see there for the parameters."""

    def __init__(
        self,
        family: Any,
        candidates: Sequence[Params],
        offsets: Sequence[np.ndarray],
        n_features: int,
        width: int,
    ) -> None:
        self._structure = family.structure
        roots = [family.root(params) for params in candidates]
        self._means = np.concatenate([params["means"] for params in candidates])
        self._roots = np.concatenate(roots)
        self._constants = np.concatenate(
            [
                family.log_norm(root, params["means"]) + offset
                for root, params, offset in zip(roots, candidates, offsets, strict=True)
            ]
        )
        self._bounds = np.cumsum([len(params["means"]) for params in candidates])[:-1]
        self._u, self._v = np.empty((2, n_features, width))
        self._log_joint = np.empty((len(self._means), width))
        self._counts = np.zeros(len(self._means))
        self._first = np.zeros_like(self._means)
        self._second = np.zeros((len(self._means), self._structure.n_quadratics(n_features)))

    def log_joint(self, z: np.ndarray) -> np.ndarray:
        """c_k - |R_k (z - m_k)|^2 / 2, (component, row), of a tile (feature, row)."""
        n = z.shape[1]
        log_joint, u, v = self._log_joint[:, :n], self._u[:, :n], self._v[:, :n]
        for k, mean in enumerate(self._means):
            self._structure.whiten(self._roots[k], np.subtract(z, mean[:, None], out=u), out=v)
            np.einsum("ij,ij->j", v, v, out=log_joint[k])
        log_joint *= -0.5
        log_joint += self._constants[:, None]
        return log_joint

    def log_base(self, z: np.ndarray, candidate: int) -> float:
        return 0.0

    def accumulate(
        self, z: np.ndarray, responsibilities: np.ndarray, weights: np.ndarray | None
    ) -> None:
        n = z.shape[1]
        u, v = self._u[:, :n], self._v[:, :n]
        for k, r in enumerate(responsibilities):
            np.subtract(z, self._means[k][:, None], out=u)
            self._counts[k] += r.sum()
            self._first[k] += u @ r
            self._second[k] += self._structure.scatter(u, r, spare=v)

    def statistics(self) -> list[dict[str, Any]]:
        parts = [np.split(a, self._bounds) for a in (self._counts, self._first, self._second)]
        return [
            {
                "log_likelihood": 0.0,
                "counts": counts,
                "first": first,
                "second": second.sum(axis=0, keepdims=True) if self._structure.pooled else second,
            }
            for counts, first, second in zip(*parts, strict=True)
        ]


class GuardedKernel:
    """The product form while it is accurate, the centred form for the tiles where it is not.

    The error of a logit in product form is about EPS * kappa, with
    kappa = max |z|^2 * (largest eigenvalue of any precision).
    """

    LIMIT = 1e8

    def __init__(
        self,
        family: Any,
        candidates: Sequence[Params],
        offsets: Sequence[np.ndarray],
        n_features: int,
        width: int,
    ) -> None:
        self._make_centred = partial(CentredKernel, family, candidates, offsets, n_features, width)
        self._product = ProductKernel(family, candidates, offsets, n_features, width)
        self._sharpness = max(family.structure.sharpness(family.root(c)) for c in candidates)
        self._form: ProductKernel | CentredKernel = self._product

    @cached_property
    def _centred(self) -> CentredKernel:
        return self._make_centred()

    def log_joint(self, z: np.ndarray) -> np.ndarray:
        reach = np.maximum(z.max(axis=1), -z.min(axis=1))
        accurate = reach @ reach * self._sharpness <= self.LIMIT
        self._form = self._product if accurate else self._centred
        return self._form.log_joint(z)

    def log_base(self, z: np.ndarray, candidate: int = 0) -> np.ndarray | float:
        return self._form.log_base(z, candidate)

    def accumulate(
        self, z: np.ndarray, responsibilities: np.ndarray, weights: np.ndarray | None
    ) -> None:
        self._form.accumulate(z, responsibilities, weights)

    def statistics(self) -> list[dict[str, Any]]:
        if "_centred" not in vars(self):
            return self._product.statistics()
        return add(self._product.statistics(), self._centred.statistics())
