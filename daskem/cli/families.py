"""Families on the command line: each that is registered, with the fields of its dataclass."""

import argparse
import dataclasses
import inspect
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from daskem.errors import ParameterError
from daskem.models.families import FAMILIES
from daskem.models.families.protocol import Family

# What a text may mean, in words, and how it is read; a text is a word where it is nothing else.
_READERS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    NoneType: ("none", {"none": None}.__getitem__),
    bool: ("true or false", {"true": True, "false": False}.__getitem__),
    int: ("a whole number", int),
    float: ("a number", float),
    tuple[float, ...]: ("numbers A,B,...", lambda text: tuple(map(float, text.split(",")))),
    str: ("a word", str),
}


def families() -> dict[str, type[Family]]:
    """Every registered family, by its name in lower case, as options are written."""
    return {name.lower(): family for name, family in FAMILIES.items() if _is_offered(family)}


def _is_offered(family: type[Family]) -> bool:
    """Whether texts can say all that it must be told."""
    hints = get_type_hints(family)
    needed = [n for n, f in _fields(family).items() if _default(f) is dataclasses.MISSING]
    return all(_kinds(hints[name]) & _READERS.keys() for name in needed)


def options(several: bool) -> argparse.ArgumentParser:
    """``--family``, and an option for each setting of any family, which takes `several` values.

    What was given is in ``settings``: texts, by the name of the setting.
    """
    parent = argparse.ArgumentParser(add_help=False)
    parent.set_defaults(settings={})
    family = "distribution of the rows of a component (%(default)s)"
    parent.add_argument("--family", choices=sorted(families()), default="gaussian", help=family)
    for name in dict.fromkeys(name for made in families().values() for name in _fields(made)):
        owners = {family: made for family, made in families().items() if name in _fields(made)}
        text = _about(name, owners) + (" [one or more to choose among]" if several else "")
        parent.add_argument(
            _option(name),
            action=_Setting,
            nargs="+" if several else 1,
            metavar=_metavar(name, owners),
            default=argparse.SUPPRESS,
            help=text.replace("%", "%%"),
        )
    return parent


def candidates(name: str, settings: Mapping[str, Sequence[str]]) -> dict[str, Family]:
    """A family of `name` with each combination of `settings`, by what tells them apart.

    Raises
    ------
    ParameterError
        If it has no such setting, needs another one, or cannot have that value.
    """
    by_settings = {}
    for texts in itertools.product(*settings.values()):
        given = dict(zip(settings, texts, strict=True))
        family = _made(name, given)
        by_settings[_called(name, family, given)] = family
    return by_settings


class _Setting(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        namespace.settings = {**namespace.settings, self.dest: values}


def _made(name: str, given: Mapping[str, str]) -> Family:
    family = families()[name]
    fields, hints = _fields(family), get_type_hints(family)
    for setting in given:
        if setting not in fields:
            owners = " and ".join(n for n, other in families().items() if setting in _fields(other))
            raise ParameterError(
                f"{name} components have no {setting}: leave out {_option(setting)}, which is for "
                f"{owners} components"
            )
    for setting, field in fields.items():
        if setting not in given and _default(field) is dataclasses.MISSING:
            raise ParameterError(f"{name} components need {setting}: give {_option(setting)}")
    return family(**{setting: _read(setting, hints[setting], t) for setting, t in given.items()})


def _called(name: str, family: Family, given: Mapping[str, str]) -> str:
    """By its words, as `daskem.select` calls Gaussians; else as the family; and what was given."""
    hints = get_type_hints(type(family))
    words = {setting: vars(family)[setting] for setting in _fields(type(family))}
    words = {setting: word for setting, word in words.items() if hints[setting] is str}
    numbers = [f"{setting}={text}" for setting, text in given.items() if setting not in words]
    return " ".join([*(words.values() or [name]), *numbers])


def _read(setting: str, hint: object, text: str) -> Any:
    readers = [reader for kind, reader in _READERS.items() if kind in _kinds(hint)]
    for _, read in readers:
        try:
            return read(text)
        except (KeyError, ValueError):
            continue
    wanted = " or ".join(words for words, _ in readers) or f"{hint}, which no text can be"
    raise ParameterError(f"{_option(setting)} {text} should be {wanted}")


def _kinds(hint: object) -> set[Any]:
    return set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}


def _fields(family: type[Family]) -> dict[str, "dataclasses.Field[Any]"]:
    assert dataclasses.is_dataclass(family)
    return {field.name: field for field in dataclasses.fields(family) if field.init}


def _default(field: "dataclasses.Field[Any]") -> Any:
    """The default of a setting, or MISSING."""
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def _option(setting: str) -> str:
    return "--" + setting.replace("_", "-")


def _about(setting: str, owners: Mapping[str, type[Family]]) -> str:
    """Whose setting it is, the first sentence that is written of it, and its default."""
    defaults = [_default(_fields(family)[setting]) for family in owners.values()]
    shown = ["required" if value is dataclasses.MISSING else f"{value}" for value in defaults]
    sentence = _documented(setting, owners)[1].partition(". ")[0].rstrip(".")
    text = f"of {' and '.join(owners)} components: {sentence}".removesuffix(": ")
    return f"{text} ({', '.join(dict.fromkeys(shown))})"


def _metavar(setting: str, owners: Mapping[str, type[Family]]) -> str:
    """The words that it may be, where they are listed; else its name."""
    listed = re.match(r"\{.*?\}", _documented(setting, owners)[0])
    return re.sub(r"[\"'\s]", "", listed[0]) if listed else setting.upper()


def _documented(setting: str, owners: Mapping[str, type[Family]]) -> tuple[str, str]:
    """The type and the text of a setting in the docstring of the first family that has them."""
    entry = re.compile(rf"^(?:\w+, )*{setting}(?:, \w+)* : (.+)\n((?:[ ]+.+\n?)*)", re.MULTILINE)
    for family in owners.values():
        match = entry.search(inspect.getdoc(family) or "")
        if match:
            return match[1], " ".join(match[2].replace("`", "").split())
    return "", ""
