"""What was interrupted goes on from its last checkpoint, to the bits that it would have had."""

import os
from collections.abc import Mapping
from dataclasses import replace

from daskem.core.signatures import helpful
from daskem.data.inputs import address
from daskem.data.inputs.kinds import Data, Lengths, Riders, Values
from daskem.errors import CheckpointError
from daskem.fitting.algorithms import Algorithm
from daskem.models import Mixture
from daskem.models.hiddenmarkov import HiddenMarkov
from daskem.models.protocol import Model
from daskem.results.result import Result
from daskem.running.checkpoints.identity import About, model_of
from daskem.running.checkpoints.recording import Saved, saved
from daskem.running.coordinator import last_of, running
from daskem.running.progress import Progress
from daskem.running.resuming import again, going_on, resumed
from daskem.selection.preparing import prepare_selection
from daskem.selection.search import Models
from daskem.selection.selection import Selecting, Selection


@helpful
def resume(
    path: str | os.PathLike[str],
    data: Data,
    model: Model | Models | None = None,
    *,
    sample_weight: Values | None = None,
    along: Riders | None = None,
    lengths: Lengths | None = None,
    algorithm: Algorithm | None = None,
    progress: Progress = "auto",
) -> Result | Selection:
    """Go on with a fit, or a selection, from its last checkpoint, to the bits it would have had.

    The data are read once more first, to see that they are the same. A fit that had ended is given
    back as it was.

    Parameters
    ----------
    path : path or URL
        The `checkpoint` of the fit, which goes on to be written there.
    data, sample_weight, along, lengths
        As the fit had them.
    model : Model or dict of str to Mixture or HiddenMarkov, optional
        If it is not a mixture of a registered family: the one that the fit had, or the ``models``
        of the selection.
    algorithm : object, optional
        If it is not one of daskem's: the one that the fit had.
    progress : {"auto", True, False}
        As `daskem.fit` takes it.

    Returns
    -------
    Result or Selection

    Warns
    -----
    ConvergenceWarning
        If the best run did not converge.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, or data, settings or versions are not those of the fit; says
        what differs.
    """
    before = saved(address(path))
    if "criterion" not in before.about["settings"]:
        if isinstance(model, Mapping):
            raise CheckpointError("the checkpoint is of a fit: give its model, not several by name")
        task = resumed(before, path, data, model, sample_weight, along, lengths, algorithm)
        with running(task, progress) as results:
            # The caller, past this function and what makes it helpful.
            return last_of(results, stacklevel=4)
    if not (model is None or isinstance(model, Mapping)):
        raise CheckpointError(
            "the checkpoint is of a selection: it takes models by name, as in "
            "daskem.resume(path, data, {name: model})"
        )
    selecting = _selecting(before, path, data, model, sample_weight, along, lengths, algorithm)
    with running(selecting, progress) as selections:
        return last_of(selections, stacklevel=4)


def _selecting(
    before: Saved,
    path: str | os.PathLike[str],
    data: Data,
    given_models: Models | None,
    sample_weight: Values | None,
    along: Riders | None,
    lengths: Lengths | None,
    algorithm: Algorithm | None,
) -> Selecting:
    """The selection of a checkpoint, prepared again."""
    given, known = again(before, path, algorithm), before.about["settings"]
    try:
        models = _models(known["models"]) if given_models is None else given_models
        settings = {"criterion": known["criterion"], "n_init": known["n_init"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{before.name} does not hold a selection: {error!r}") from error
    task = prepare_selection(
        data,
        models=models,
        sample_weight=sample_weight,
        along=along,
        lengths=lengths,
        **settings,
        **given,
    )
    prepared = going_on(task.search.prepared, before)
    return replace(task, search=replace(task.search, prepared=prepared))


def _models(known: Mapping[str, About]) -> dict[str, Mixture | HiddenMarkov]:
    """The models of a selection, made again; CheckpointError if they have to be given again."""
    names = [name for name, about in known.items() if "family" not in about]
    if names:
        raise CheckpointError(
            f"the selection was among models of which some have families of your own ({names}): "
            "give all of them again, as in daskem.resume(path, data, {name: model, ...})"
        )
    made = {name: model_of(about) for name, about in known.items()}
    return {
        name: model for name, model in made.items() if isinstance(model, Mixture | HiddenMarkov)
    }
