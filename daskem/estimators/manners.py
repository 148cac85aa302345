"""scikit-learn's manners: constructor, attributes and methods; all the work is done by `fit`."""

import inspect
import os
import sys
from typing import Any, Self

import numpy as np
import xarray as xr

from daskem.core.brief import brief
from daskem.core.settings import RandomState
from daskem.data.inputs.kinds import Data
from daskem.errors import NotFittedError, ParameterError
from daskem.fitting.algorithms import Algorithm
from daskem.models.protocol import Model
from daskem.results.result import Result
from daskem.results.tables import Table, paragraphs
from daskem.running.coordinator import last_of, running
from daskem.running.preparing import prepare
from daskem.running.progress import Progress


class Estimator:
    """What all estimators have: the settings of a fit, its result, and what is shown of both."""

    n_components: int
    n_init: int
    init_params: str
    algorithm: str | Algorithm
    tol: float | None
    max_seconds: float | None
    cache: str
    random_state: RandomState
    progress: Progress
    result_: Result

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows (sample, feature) and the component, or state, (sample,) of each."""
        return self._fitted.sample(n_samples, self.random_state)

    def to_dataset(self) -> xr.Dataset:
        """The parameters, with dims ``component``, or ``state``, and ``feature``."""
        return self._fitted.to_dataset()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a zarr store, for `daskem.load`."""
        self._fitted.save(path)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor settings by name."""
        return {name: getattr(self, name) for name in self._settings()}

    def set_params(self, **params: object) -> Self:
        """Change constructor settings."""
        for name, value in params.items():
            if name not in self._settings():
                raise ParameterError(
                    f"Invalid parameter {name!r} for {type(self).__name__}; there are "
                    f"{self._settings()}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={text}" for name, text in self._changed().items())
        settings = f"{type(self).__name__}({changed})"
        return f"<{settings}: {self._state}>" if hasattr(self, "result_") else settings

    def _repr_html_(self) -> str:
        settings = Table(["setting", "value"], [[n, t] for n, t in self._changed().items()])
        name, fitted = type(self).__name__, hasattr(self, "result_")
        html = paragraphs([name if fitted else f"{name}: {self._state}"]) + settings.html()
        return html + (self.result_._repr_html_() if fitted else "")

    @property
    def _state(self) -> str:
        """Whether it is fitted, and how that has ended."""
        return self.result_.best.told if hasattr(self, "result_") else "not fitted yet"

    def _changed(self) -> dict[str, str]:
        """The settings that are not as they are by default."""
        defaults = inspect.signature(type(self)).parameters
        return {
            name: brief(value)
            for name, value in self.get_params().items()
            if value is not defaults[name].default and repr(value) != repr(defaults[name].default)
        }

    @classmethod
    def _settings(cls) -> list[str]:
        """The names of the settings of the constructor, which a subclass may have its own of."""
        parameters = inspect.signature(cls).parameters.values()
        return [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "result_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type="density_estimator",
            target_tags=TargetTags(required=False),
            input_tags=InputTags(),
        )

    @property
    def _fitted(self) -> Result:
        if not hasattr(self, "result_"):
            raise _not_fitted()(f"this {type(self).__name__} is not fitted yet: call fit(X) first")
        return self.result_

    def _run(self, model: Model, X: Data, max_iter: int, **options: Any) -> Result:
        """The fit of a model to `X`, by the settings of the estimator and the options of `fit`."""
        prepared = prepare(
            model,
            X,
            self.n_components,
            n_init=self.n_init,
            init_params=self.init_params,
            algorithm=self.algorithm,
            tol=self.tol,
            max_passes=max_iter,
            max_seconds=self.max_seconds,
            random_state=self.random_state,
            cache=self.cache,
            **options,
        )
        with running(prepared, self.progress) as run:
            result = last_of(run, stacklevel=4)
        self.converged_ = result.converged
        self.n_iter_ = len(result.history)
        self.n_features_in_ = result.n_features
        return result


def _not_fitted() -> type[Exception]:
    """scikit-learn's own error, which its tools catch, wherever scikit-learn is in use."""
    if "sklearn" in sys.modules:
        import sklearn.exceptions

        return sklearn.exceptions.NotFittedError
    return NotFittedError
