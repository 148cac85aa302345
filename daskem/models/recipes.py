"""The models of daskem itself, as files and checkpoints tell of them and make them again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from daskem.core.frames import Frame
from daskem.models.families.registry import from_recipe
from daskem.models.hiddenmarkov import HiddenMarkov
from daskem.models.mixture import Mixture

# By the name of their class.
MODELS: dict[str, type[Mixture] | type[HiddenMarkov]] = {
    made.__name__: made for made in (Mixture, HiddenMarkov)
}


def of_noise(model: object) -> dict[str, Any]:
    """What is told of the noise of a model, besides its family; nothing where it has none."""
    if not (isinstance(model, Mixture) and model.noise):
        return {}
    return {"noise": model.log_noise} | ({} if model.box is None else {"box": model.box})


def of_recipe(
    kind: type[Mixture] | type[HiddenMarkov], about: Mapping[str, Any], frame: Frame | None = None
) -> Mixture | HiddenMarkov:
    """The model of a kind whose family, and noise, is what was told."""
    made = kind(from_recipe(about), frame)
    if isinstance(made, Mixture) and "noise" in about:
        return replace(made, noise=True, log_noise=about["noise"], box=about.get("box"))
    return made
