"""The families that can be named: in model files, and on the command line."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from daskem.errors import ModelFileError, ParameterError
from daskem.models.families.protocol import Family

# By the name of their class. What is not here can be fitted, but not saved.
FAMILIES: dict[str, type[Family]] = {}

F = TypeVar("F", bound=type[Family])


def register(family: F) -> F:
    """Let a family of your own be saved and loaded; a decorator of its class.

    A model file holds the name of the class and its fields, so that `daskem.load` needs the class
    to be registered too, under the same name.

    Parameters
    ----------
    family : type
        A frozen dataclass with the members of `daskem.models.families.protocol.Family`, whose
        fields JSON can hold: numbers, text, None.

    Raises
    ------
    ParameterError
        If it is no dataclass, or its name is that of another family, capitals or not.
    """
    if not isinstance(family, type) or not dataclasses.is_dataclass(family):
        raise ParameterError(
            f"{family!r:.80} is no dataclass: put @dataclass(frozen=True) above the class, "
            "below @daskem.register_family"
        )
    for other in FAMILIES.values():
        alike = other.__name__.lower() == family.__name__.lower()
        if alike and _home(other) != _home(family):
            raise ParameterError(
                f"there is a family {other.__name__} already, of {other.__module__}: choose "
                "another name"
            )
    FAMILIES[family.__name__] = family
    return family


def recipe(family: Family) -> dict[str, Any]:
    """What a model file holds of a family: the name of its class, and its settings.

    Raises
    ------
    ParameterError
        If its class is not registered, so that nobody could make it again.
    """
    name = type(family).__name__
    if name not in FAMILIES or _home(FAMILIES[name]) != _home(type(family)):
        raise ParameterError(
            f"{name} is not registered, so that `load` could not make it again: put "
            "@daskem.register_family above its class, which is to be a frozen dataclass"
        )
    assert dataclasses.is_dataclass(family)
    names = [field.name for field in dataclasses.fields(family)]
    return {"family": name, "settings": {n: _as_json(vars(family)[n]) for n in names}}


def _as_json(value: Any) -> Any:
    """A setting, with the recipes of the families that it holds."""
    if isinstance(value, tuple | list):
        return [_as_json(each) for each in value]
    is_family = dataclasses.is_dataclass(value) and isinstance(value, Family)
    return recipe(value) if is_family else value


def _remade(value: Any) -> Any:
    """The setting that was told."""
    if isinstance(value, tuple | list):
        return tuple(_remade(each) for each in value)
    return from_recipe(value) if isinstance(value, Mapping) and "family" in value else value


def from_recipe(recipe: Mapping[str, Any]) -> Family:
    """The family that `recipe` was made of, or its equal.

    Raises
    ------
    ModelFileError
        If its class is not registered here.
    """
    name = recipe["family"]
    if name not in FAMILIES:
        raise ModelFileError(
            f"the model is a mixture of {name} distributions, and there is no such family here: "
            "register it first, with @daskem.register_family above its class, then load"
        )
    return FAMILIES[name](**{n: _remade(value) for n, value in recipe["settings"].items()})


def _home(family: type) -> tuple[str, str]:
    """What stays the same if a cell of a notebook runs twice, which makes another class."""
    return family.__module__, family.__qualname__
