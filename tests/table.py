"""The one table of families that every law runs over.

A new family is one more row: a subclass of `Row`, and a line in `TABLE`. What a law demands of some
families only, it asks of the contract (`isinstance` of a group) or of the row, never of the name.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import digamma, logsumexp

from daskem import Bernoulli, Categorical, Gaussian, Independent, Poisson, StudentT
from daskem.models.families.covariances import STRUCTURES
from daskem.models.families.protocol import Family

KINDS = tuple(STRUCTURES)


@dataclass(frozen=True, repr=False)
class Row(ABC):
    """What the laws need to know of a family, said without its own code.

    Attributes
    ----------
    family : Family
        Of maximum likelihood, if it has a prior that can be left out.
    others : tuple of Family
        The same with other settings, such as a weak prior and a strong one.
    possible, impossible : tuple of float
        Values that it can have made, with what is extreme among them; and that it cannot.
    latent : bool
        Whether more is unseen of a row than its component. If not, one M step for rows whose
        component is known is the optimum; if so, each one is a step towards it.
    width : int or None
        How many features there are, where there can be no other number.
    """

    family: Family
    others: tuple[Family, ...] = ()

    possible = ()
    impossible = (np.nan, np.inf, -np.inf)
    latent = False
    width = None

    @abstractmethod
    def params(self, k, d, rng):
        """Overlapping components, at random."""

    @abstractmethod
    def draw(self, params, components, rng):
        """One row (sample, feature) for each entry of `components` (sample,)."""

    @abstractmethod
    def log_density(self, params, j, rows):
        """log p(row | component j), (sample,)."""

    @abstractmethod
    def statistics(self, params, rows, r):
        """What the family's docstring says, but for counts; `r` (component, sample) is weighted."""

    def alone(self, rows):
        """The params of one component that make `rows` most likely; none where no formula says."""
        return {}

    # (d, rng) -> a random matrix, or a scale for each feature, that maps its mixtures to such.
    map = None

    @property
    def twice(self):
        """The family whose fit to all rows twice is that of `family` to all rows."""
        return self.family

    # What follows from these.

    def mixture(self, k, d, rng):
        return {"weights": rng.dirichlet(np.full(k, 5.0)), **self.params(k, d, rng)}

    def some(self, k=4, d=3, n=500, seed=0):
        """Params of a mixture, and rows (sample, feature) that were drawn from it."""
        rng = np.random.default_rng(seed)
        params = self.mixture(k, d, rng)
        return params, self.draw(params, rng.choice(k, size=n, p=params["weights"]), rng)

    def rows(self, n=400, d=2, k=3, seed=0):
        return self.some(k, d, n, seed)[1]

    def log_joint(self, params, rows):
        """log weight_k p(row | k), (component, sample)."""
        components = range(len(params["weights"]))
        each = [self.log_density(params, j, rows).reshape(len(rows)) for j in components]
        return np.log(params["weights"])[:, None] + np.stack(each)

    def responsibilities(self, params, rows):
        joint = self.log_joint(params, rows)
        return np.exp(joint - logsumexp(joint, axis=0))

    def __repr__(self):
        return repr(self.family)


class NormalRow(Row):
    # Repeated, almost repeated, far, and what makes squares of very different size.
    possible = (0.0, 1.0, 1.0 + 1e-15, 2.0, -3.0, 0.1, 1e-8, 1e8)

    def params(self, k, d, rng):
        roots = rng.normal(size=(k, d, d)) / np.sqrt(d) + np.eye(d)
        covariances = {
            "full": roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(d),
            "tied": roots[0] @ roots[0].T + 0.1 * np.eye(d),
            "diag": rng.uniform(0.3, 2.0, (k, d)),
            "spherical": rng.uniform(0.3, 2.0, k),
        }
        return {
            "means": 2 * rng.normal(size=(k, d)),
            "covariances": covariances[self.family.covariance_type],
        }

    def matrix(self, params, j):
        """The covariance of component j, whatever the structure."""
        d, c = params["means"].shape[1], params["covariances"]
        return {
            "full": lambda: c[j],
            "tied": lambda: c,
            "diag": lambda: np.diag(c[j]),
            "spherical": lambda: c[j] * np.eye(d),
        }[self.family.covariance_type]()

    def draw(self, params, components, rng):
        rows = np.empty((len(components), params["means"].shape[1]))
        for j in np.unique(components):
            mine = components == j
            mean, covariance = params["means"][j], self.matrix(params, j)
            rows[mine] = rng.multivariate_normal(mean, covariance, mine.sum())
        return rows

    def log_density(self, params, j, rows):
        mean, covariance = params["means"][j], self.matrix(params, j)
        return stats.multivariate_normal.logpdf(rows, mean, covariance)

    def statistics(self, params, rows, r):
        k, d = params["means"].shape
        first, second = np.zeros((k, d)), np.zeros((k, d, d))
        for j in range(k):
            for i, x in enumerate(rows):
                u = x - params["means"][j]
                first[j] += r[j, i] * u
                second[j] += r[j, i] * np.outer(u, u)
        kind = self.family.covariance_type
        if kind == "tied":
            second = second.sum(axis=0, keepdims=True)
        if kind in ("full", "tied"):
            second = second[:, *np.triu_indices(d)]
        else:
            second = np.diagonal(second, axis1=1, axis2=2)
            second = second.sum(axis=1, keepdims=True) if kind == "spherical" else second
        return {"first": first, "second": second}

    def alone(self, rows):
        covariance = np.cov(rows.T, bias=True).reshape(rows.shape[1], -1)
        expected = {
            "full": covariance[None],
            "tied": covariance,
            "diag": np.diagonal(covariance)[None],
            "spherical": np.trace(covariance)[None] / rows.shape[1],
        }
        return {
            "means": rows.mean(axis=0)[None],
            "covariances": expected[self.family.covariance_type],
        }

    def map(self, d, rng):
        kind = self.family.covariance_type
        scales = 10.0 ** rng.uniform(-3, 3, 1 if kind == "spherical" else d) * np.ones(d)
        if kind in ("diag", "spherical"):
            return scales
        return scales[:, None] * (np.eye(d) + 0.3 * rng.normal(size=(d, d)))


class MeanRow(Row):
    """Of a family whose features are independent, and whose one parameter is the mean."""

    @property
    def mean(self):
        (name,) = self.family.parameters
        return name

    @property
    def twice(self):
        return replace(self.family, prior_rows=2 * self.family.prior_rows)

    def statistics(self, params, rows, r):
        first = np.zeros((len(r), rows.shape[1]))
        for j, i in np.ndindex(r.shape):
            first[j] += r[j, i] * rows[i]
        return {"first": first}

    def alone(self, rows):
        return {self.mean: rows.mean(axis=0)[None]}


class PoissonRow(MeanRow):
    possible = (0.0, 1.0, 2.0, 3.0, 1000.0, 1e6)
    impossible = (-1.0, 0.5, np.nan, np.inf)

    def params(self, k, d, rng):
        return {"rates": rng.gamma(2.0, 3.0, (k, d))}

    def draw(self, params, components, rng):
        return rng.poisson(params["rates"][components]).astype(float)

    def log_density(self, params, j, rows):
        return stats.poisson.logpmf(rows, params["rates"][j]).sum(axis=1)


class BernoulliRow(MeanRow):
    possible = (0.0, 1.0)
    impossible = (2.0, -1.0, 0.5, np.nan)

    def params(self, k, d, rng):
        return {"probabilities": rng.uniform(0.05, 0.95, (k, d))}

    def draw(self, params, components, rng):
        p = params["probabilities"][components]
        return (rng.random(p.shape) < p).astype(float)

    def log_density(self, params, j, rows):
        return stats.bernoulli.logpmf(rows, params["probabilities"][j]).sum(axis=1)


class CategoricalRow(Row):
    possible = (0.0, 1.0, 2.0)
    impossible = (3.0, -1.0, 0.5, np.nan, np.inf)

    @property
    def twice(self):
        return replace(self.family, prior_rows=2 * self.family.prior_rows)

    def params(self, k, d, rng):
        return {"probabilities": rng.dirichlet(np.full(self.family.levels, 1.5), (k, d))}

    def draw(self, params, components, rng):
        limits = params["probabilities"][components].cumsum(axis=2)[:, :, :-1]
        u = rng.random(limits.shape[:2])
        return (u[:, :, None] >= limits).sum(axis=2).astype(float)

    def log_density(self, params, j, rows):
        shares = params["probabilities"][j]
        answers = np.eye(3)[rows.T.astype(int)]  # (feature, sample, category)
        pairs = zip(answers, shares, strict=True)
        return np.sum([stats.multinomial.logpmf(a, 1, p) for a, p in pairs], axis=0)

    def statistics(self, params, rows, r):
        levels = np.zeros((len(r), *params["probabilities"].shape[1:]))
        for j, i in np.ndindex(r.shape):
            for feature, level in enumerate(rows[i].astype(int)):
                levels[j, feature, level] += r[j, i]
        return {"levels": levels}

    def alone(self, rows):
        return {"probabilities": np.stack([rows == level for level in range(3)], -1).mean(0)[None]}


class StudentRow(NormalRow):
    latent = True

    def df(self, params, k):
        df = params["df"] if isinstance(self.family.df, str) else self.family.df
        return np.broadcast_to(df, k)

    def params(self, k, d, rng):
        shape = {"each": (k,), "tied": ()}.get(self.family.df)
        fitted = {} if shape is None else {"df": np.array(rng.uniform(2.0, 9.0, shape))}
        return {**super().params(k, d, rng), **fitted}

    def draw(self, params, components, rng):
        df = self.df(params, len(params["means"]))[components]
        zero = {**params, "means": 0 * params["means"]}
        normal = super().draw(zero, components, rng)
        return params["means"][components] + normal / np.sqrt(rng.chisquare(df) / df)[:, None]

    def log_density(self, params, j, rows):
        mean, df = params["means"][j], self.df(params, len(params["means"]))[j]
        return stats.multivariate_t.logpdf(rows, mean, self.matrix(params, j), df)

    def statistics(self, params, rows, r):
        k, d = params["means"].shape
        scales, logs, scaled = np.zeros(k), np.zeros(k), np.zeros_like(r)
        for j, i in np.ndindex(r.shape):
            z, df = rows[i] - params["means"][j], self.df(params, k)[j]
            # The unseen scale of a row is Gamma, given the row.
            shape, rate = (df + d) / 2, (df + z @ np.linalg.solve(self.matrix(params, j), z)) / 2
            u = shape / rate
            scaled[j, i] = r[j, i] * u
            scales[j] += r[j, i] * u
            logs[j] += r[j, i] * (digamma(shape) - np.log(rate) - u)
        found = super().statistics(params, rows, scaled)
        return {"scales": scales, "logs": logs, **found}

    def alone(self, rows):
        return {}


@dataclass(frozen=True, repr=False)
class ColumnsRow(Row):
    """Of columns of several kinds, as many as they are, whatever a law asks for.

    Attributes
    ----------
    rows_of : tuple of (tuple of int, Row)
        Those of the families, and their columns.
    """

    rows_of: tuple[tuple[tuple[int, ...], Row], ...] = ()

    # A value of each column, the last of which is no category.
    possible = (2.0, 1e8, -3.0)
    impossible = (5.0,)
    width = 4

    def _named(self, found, columns, form):
        label = "_".join(map(str, columns))
        return {form.format(name, label): value for name, value in found.items()}

    def _own(self, params, columns):
        end = "_" + "_".join(map(str, columns))
        return {n.removesuffix(end): v for n, v in params.items() if n.endswith(end)}

    @property
    def twice(self):
        return replace(self.family, families=[(c, row.twice) for c, row in self.rows_of])

    def params(self, k, d, rng):
        found = {}
        for columns, row in self.rows_of:
            found |= self._named(row.params(k, len(columns), rng), columns, "{}_{}")
        return found

    def draw(self, params, components, rng):
        drawn = np.empty((len(components), self.width))
        for columns, row in self.rows_of:
            own = row.draw(self._own(params, columns), components, rng)
            drawn[:, list(columns)] = own
        return drawn

    def log_density(self, params, j, rows):
        each = (
            row.log_density(self._own(params, columns), j, rows[:, list(columns)])
            for columns, row in self.rows_of
        )
        return sum(np.reshape(density, len(rows)) for density in each)

    def statistics(self, params, rows, r):
        found = {}
        for columns, row in self.rows_of:
            own = row.statistics(self._own(params, columns), rows[:, list(columns)], r)
            found |= self._named(own, columns, "{1}.{0}")
        return found

    def alone(self, rows):
        found = {}
        for columns, row in self.rows_of:
            found |= self._named(row.alone(rows[:, list(columns)]), columns, "{}_{}")
        return found


def columns_row(*rows_of):
    family = Independent([(columns, row.family) for columns, row in rows_of])
    return ColumnsRow(family, rows_of=rows_of)


TABLE = [
    *(NormalRow(Gaussian(k, 0.0), (Gaussian(k, 1e-6), Gaussian(k, 0.05))) for k in KINDS),
    PoissonRow(Poisson(), (Poisson(prior_rows=2.0),)),
    BernoulliRow(Bernoulli(), (Bernoulli(prior_rows=2.0),)),
    CategoricalRow(Categorical(3), (Categorical(3, prior_rows=2.0),)),
    StudentRow(StudentT()),
    StudentRow(StudentT("tied", "tied")),
    StudentRow(StudentT("diag", 4.0), (StudentT("diag", 12),)),
    columns_row(
        ((0,), PoissonRow(Poisson())),
        ((2, 1), NormalRow(Gaussian("full", 0.0))),
        ((3,), CategoricalRow(Categorical(3))),
    ),
]


def all_settings(row):
    """The row, and one for each of its other settings."""
    return [replace(row, family=family, others=()) for family in (row.family, *row.others)]


SETTINGS = [one for row in TABLE for one in all_settings(row)]
GAUSSIANS = [Gaussian(kind, reg_covar) for kind in KINDS for reg_covar in (0.0, 1e-6)]

every_row = pytest.mark.parametrize("row", TABLE, ids=repr)
every_setting = pytest.mark.parametrize("row", SETTINGS, ids=repr)


# Those that may have any number of features.
ANY_WIDTH = [row for row in TABLE if row.width is None]
every_row_of_any_width = pytest.mark.parametrize("row", ANY_WIDTH, ids=repr)
every_setting_of_any_width = pytest.mark.parametrize(
    "row", [one for row in ANY_WIDTH for one in all_settings(row)], ids=repr
)


def every_row_with(group):
    """The rows of any width whose families have the members of `group`."""
    having = [row for row in ANY_WIDTH if isinstance(row.family, group)]
    return pytest.mark.parametrize("row", having, ids=repr)


# What is known of families whose one parameter is a mean, and of Gaussians, only.
every_mean_row = pytest.mark.parametrize(
    "row", [row for row in TABLE if isinstance(row, MeanRow)], ids=repr
)
every_kind = pytest.mark.parametrize("kind", KINDS)
every_gaussian = pytest.mark.parametrize("family", GAUSSIANS, ids=repr)
every_plain_gaussian = pytest.mark.parametrize("row", TABLE[: len(KINDS)], ids=repr)
