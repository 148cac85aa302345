"""What a fitted model says of rows: with the labels and in the chunks of these, lazily."""

import dataclasses
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from daskem.data.blocks import Blocks, map_rows
from daskem.data.blocks.sequences import Edges
from daskem.data.cluster import tell_without_workers
from daskem.data.inputs import as_blocks
from daskem.data.inputs.arrays import Array
from daskem.data.inputs.blocks import MISSING
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.data.inputs.lengths import cut, identifiers, lengths_of
from daskem.data.inputs.named_riders import names_among
from daskem.data.inputs.names import Columns, Rows, relabel
from daskem.data.inputs.origins import origin
from daskem.data.inputs.riders import aligned, as_riders
from daskem.data.inputs.rows import rows_like
from daskem.data.survey import Domain
from daskem.errors import DataError
from daskem.fitting.starts.first_read import domain
from daskem.models.asking import check_riders, check_sequences, demand, with_missing
from daskem.models.protocol import Model, Predicts, Sequential
from daskem.results import predictions
from daskem.results.outcome import Outcome
from daskem.results.sequence_scores import labelled_scores, summed


class Predictor(Outcome):
    """What a `Result` says of rows; of one block, that is in `predictions`."""

    def predict(
        self, data: Data, along: Riders | None = None, lengths: Lengths | None = None
    ) -> Any:
        """The most probable component of each row, (...), int; -1 where a row is missing.

        A row that noise most probably made has the label `n_components`, if the model has noise.

        Labels are as small as the number of components allows, and CF flags if `data` have labels;
        for NumPy arrays they are int64, as in scikit-learn. Tables get a Series with their index,
        and a DataFrame where there are several answers for a row. What the model needs besides
        goes `along`, and the `lengths` of sequences with it, here and below, as in `daskem.fit`;
        a `sequence_dim` of the fit is looked for in `data`.
        """
        path = isinstance(self.model, Sequential)
        noise = self._noise is not None
        dtype = predictions.label_dtype(self.n_components + noise)
        about = predictions.flags(self.n_components, self.missing != "raise", path, noise)
        return self._map(data, along, lengths, predictions.labels, about, fill=-1, dtype=dtype)

    def predict_proba(
        self, data: Data, along: Riders | None = None, lengths: Lengths | None = None
    ) -> Any:
        """Responsibilities of the components for each row, (..., component)."""
        about = {"long_name": "probability of the component, given the row", "units": "1"}
        return self._map(
            data, along, lengths, predictions.responsibilities, about, columns=self.n_components
        )

    def score_samples(
        self, data: Data, along: Riders | None = None, lengths: Lengths | None = None
    ) -> Any:
        """log p(x) of each row, (...), in nats; of sequences, of each of them as a whole.

        Where the fit had a `sequence_dim`, without that dimension; with `lengths`, (sequence,), in
        their order: an array, or a DataArray if `data` have labels; where `lengths` names the
        identifiers of rows, with those of the sequences, as a Series of a table of pandas. NaN for
        a sequence in which all is missing.
        """
        about = {"long_name": "log-likelihood of the row, in nats", "units": "1"}
        of_sequences = {**about, "long_name": "log-likelihood of the sequence, in nats"}
        f, dim = predictions.log_prob, self.features.sequence_dim
        if lengths is not None:
            answers, rows, edges = self._answers(data, along, lengths, f)
            assert edges is not None
            names = identifiers(rows, lengths, edges)
            return labelled_scores(summed(answers, edges), rows, names, f.__name__, of_sequences)
        answers = self._map(data, along, lengths, f, about)
        if dim is None or not isinstance(answers, xr.DataArray):
            return answers
        return answers.sum([dim], min_count=1, keep_attrs=True).assign_attrs(of_sequences)

    def impute(
        self, data: Data, along: Riders | None = None, lengths: Lengths | None = None
    ) -> Any:
        """The rows of `data`, (..., feature), with what is expected of the values that they lack.

        Given those that they have: the mean of each component there, averaged by the
        responsibilities. A row without any value stays so. Whatever the `missing` of the fit was.
        """
        about = {"long_name": "value, or what is expected of it given the others of its row"}
        return self._map(
            data,
            along,
            lengths,
            predictions.imputed,
            about,
            missing="model",
            columns=self.n_features,
            named=Columns.of_features(self.features),
        )

    def _map(
        self,
        data: Data,
        along: Riders | None,
        lengths: Lengths | None,
        f: Callable[..., np.ndarray],
        about: dict[str, Any],
        named: Columns | None = None,
        **form: Any,
    ) -> Any:
        """Answers for rows, with the labels of these."""
        answers, rows, edges = self._answers(data, along, lengths, f, stacklevel=3, **form)
        # Rows that were cut to sequences get their answers in the chunks that they came in.
        if edges is not None and isinstance(answers, da.Array) and isinstance(rows.array, da.Array):
            answers = answers.rechunk(dict(enumerate(rows.array.chunks[:-1])))
        if f is predictions.labels and rows.labels is None and isinstance(answers, np.ndarray):
            answers = answers.astype(np.int64)  # as scikit-learn's
        return relabel(answers, rows, f.__name__, about, named)

    def _answers(
        self,
        data: Data,
        along: Riders | None,
        lengths: Lengths | None,
        f: Callable[..., np.ndarray],
        *,
        missing: str | None = None,
        stacklevel: int = 2,
        **form: Any,
    ) -> tuple[Array, Rows, Edges | None]:
        """Answers for rows, in chunks that part no sequence, and whose they are."""
        demand(self.model, Predicts, "predicting")
        missing = missing or self.missing
        model = with_missing(self.model, missing)
        rows, riders, lengths = self._rows(data, None, along, lengths)
        array, edges, _ = cut(rows.array, lengths)
        form |= {"omit": MISSING[missing], "name": f.__name__}
        form |= {"along": as_riders(riders, array), "edges": edges, "origin": origin(data)}
        if isinstance(array, da.Array):
            tell_without_workers(stacklevel + 1)
        args = (f, self._domain(model), model, self.best.framed)
        return map_rows(array, predictions.checked, *args, **form), rows, edges

    def _domain(self, model: Model) -> Domain:
        known = self.n_components if isinstance(model, Predicts) else None
        model_domain = domain(model, self.features.names, known)
        return dataclasses.replace(model_domain, labels=self.features.labels)

    def _rows(
        self,
        data: Data,
        sample_weight: Values | None,
        along: Riders | None,
        lengths: Lengths | None,
    ) -> tuple[Rows, dict[str, Any], Lengths | None]:
        """The rows of `data`, as the model was fitted to such, what rides along with them, and the
        lengths of their sequences.
        """
        known = self.features
        # Lengths count rows in the order of the data.
        fitted = known if lengths is None else dataclasses.replace(known, sequence_dim=None)
        rows = rows_like(data, fitted, names_among(sample_weight, along, lengths))
        if rows.array.shape[-1] != self.n_features:
            raise DataError(
                f"X has {rows.array.shape[-1]} features, but {type(self.model).__name__} is "
                f"expecting {self.n_features} features as input"
            )
        riders = aligned(rows, sample_weight, along)
        check_riders(self.model, along or {})
        known_lengths = lengths_of(rows, lengths)
        check_sequences(self.model, known_lengths)
        return rows, riders, known_lengths

    def blocks(
        self,
        data: Data,
        sample_weight: Values | None = None,
        along: Riders | None = None,
        lengths: Lengths | None = None,
    ) -> Blocks:
        """The rows of `data`, as the model was fitted to such, for passes over them."""
        rows, riders, lengths = self._rows(data, sample_weight, along, lengths)
        called = origin(data)
        return as_blocks(
            rows.array, missing=self.missing, along=riders, lengths=lengths, origin=called
        )
