"""A fit that is written down: what its checkpoints hold, and where one goes on from."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from daskem.data.inputs import address
from daskem.data.survey import Survey
from daskem.errors import CheckpointError
from daskem.fitting.algorithms import Algorithm
from daskem.fitting.run import Run
from daskem.models.protocol import Model
from daskem.results.files import is_remote
from daskem.running.checkpoints.container import decode
from daskem.running.checkpoints.identity import (
    About,
    check_same,
    of_arithmetic,
    of_survey,
    plain,
)
from daskem.running.checkpoints.run_arrays import again, keep
from daskem.running.checkpoints.shelf import Shelf, last, opened


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint, as it was read: arrays that are pickled may lie otherwise in memory.

    Attributes
    ----------
    name : str
    content : bytes
    """

    name: str
    content: bytes

    @cached_property
    def about(self) -> About:
        """With ``settings``, ``seed``, ``survey``, ``passes``, ``runs``, and what else was kept."""
        return decode(self.content, self.name)[0]

    @property
    def passes(self) -> int:
        return int(self.about["passes"])

    @property
    def seed(self) -> int:
        return int(self.about["seed"])

    @property
    def orders_fixed(self) -> list[bool]:
        """Of each run, whether its start or labels number the components."""
        try:
            return [bool(fixed) for fixed in self.about["orders_fixed"]]
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{self.name} does not hold a fit: {error!r}") from error

    @property
    def restarts(self) -> list[list[int]]:
        """The numbers of runs that differ in nothing but what is drawn."""
        try:
            return [[int(i) for i in numbers] for numbers in self.about["restarts"]]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self.name} does not hold a fit: {error!r}") from error

    def runs(
        self, survey: Survey, models: Sequence[Model], algorithm: str | Algorithm
    ) -> list[Run]:
        """The runs, if the data are those that they were fitted to.

        Raises
        ------
        CheckpointError
            If `survey` is of other data, or the checkpoint does not hold what it should.
        """
        check_same(
            "what the first read tells of the data",
            self.about["survey"],
            of_survey(survey),
            "A fit goes on with the data that it began with, in the same chunks",
        )
        try:
            arrays = decode(self.content, self.name)[1]
            n_features = survey.sample.rows.shape[1]
            return again(self.about["runs"], arrays, models, algorithm, n_features)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the checkpoint holds no runs of a fit: {error!r}") from error


@dataclass(frozen=True, eq=False)
class Recording:
    """That a fit is to be written down.

    Attributes
    ----------
    path : str
    settings : dict
        What it takes to prepare the fit again, but for the data.
    before : Saved or None
        Where it goes on from.
    """

    path: str
    settings: About
    before: Saved | None = None

    @classmethod
    def at(cls, path: str | os.PathLike[str], settings: About) -> "Recording":
        """A new one, at a path or URL; a path means the same whoever opens it.

        Raises
        ------
        CheckpointError
            If JSON cannot hold a setting.
        """
        place = address(path)
        return cls(place if is_remote(place) else os.path.abspath(place), plain(settings))

    def of(self, more: About) -> "Recording":
        """The same of what has more settings."""
        return replace(self, settings=plain({**self.settings, **more}))

    def after(self, before: Saved) -> "Recording":
        """The same that goes on from a checkpoint; CheckpointError if that has other settings."""
        check_same("the fit", before.about["settings"], self.settings, "Give what it was given")
        return replace(self, before=before)

    def opened(self, seed: int) -> "Log":
        """A log of this fit; earlier ones at the same place end."""
        return Log(opened(self.path, fresh=self.before is None), self.settings, seed)


class Log:
    """What is written to the shelf of a fit, after the starts and after every pass."""

    def __init__(self, shelf: Shelf, settings: About, seed: int) -> None:
        self.shelf = shelf
        self._same: About = {"settings": settings, "seed": seed, "made by": of_arithmetic()}

    def write(self, passes: int, runs: Sequence[Run], survey: Survey, **more: object) -> None:
        """Write down how `runs` stand after so many passes, and whatever else JSON can hold."""
        if "survey" not in self._same:
            self._same["survey"] = of_survey(survey)
        kept, arrays = keep(runs)
        self.shelf.write(passes, {**self._same, "passes": passes, "runs": kept, **more}, arrays)


def saved(path: str) -> Saved:
    """The last whole checkpoint at `path`, if this daskem, on this machine, can go on from it.

    Raises
    ------
    CheckpointError
        If there is none, or what would go on computes otherwise.
    """
    saved = Saved(*last(path))
    try:
        made_by, *others = (saved.about[name] for name in ("made by", "settings", "survey"))
        if not all(isinstance(about, dict) for about in (made_by, *others)):
            raise TypeError("what a fit is")
        if saved.passes < 0 or saved.seed < 0 or "runs" not in saved.about:
            raise ValueError("what a fit is")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{saved.name} does not hold a fit: {error!r}") from error
    check_same(
        "who computes",
        made_by,
        of_arithmetic(),
        "The last bits would differ: go on with the versions that the fit began with",
    )
    return saved
