"""What has a result: one itself, or an estimator that was fitted."""

from typing import Protocol, runtime_checkable

from daskem.results.result import Result


@runtime_checkable
class Fitted(Protocol):
    """An estimator that was fitted, as `daskem.GaussianMixture`."""

    result_: Result


def result_of(fitted: Result | Fitted) -> Result:
    """The result itself, or that of an estimator."""
    return fitted.result_ if isinstance(fitted, Fitted) else fitted
