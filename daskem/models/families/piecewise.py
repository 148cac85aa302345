"""Surveys and frames of some columns, and frames of some columns joined to that of all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, overload

import numpy as np

from daskem.core.frames import Frame
from daskem.core.resolution import Resolution
from daskem.models.families.protocol import Coordinates, Family, Levelled
from daskem.models.views import Levels, Survey


class Placed(Protocol):
    """A family of some columns."""

    @property
    def places(self) -> list[int]: ...
    @property
    def family(self) -> Family: ...


class SomeLevels(NamedTuple):
    values: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...]
    names: tuple[str, ...]


class PartOfSurvey:
    """What a survey tells of some columns."""

    def __init__(self, survey: Survey, places: Sequence[int]) -> None:
        self._survey, self._places = survey, list(places)

    @property
    def weight(self) -> float:
        return self._survey.weight

    @property
    def mean(self) -> np.ndarray:
        return self._survey.mean[self._places]

    @property
    def variances(self) -> np.ndarray:
        return self._survey.variances[self._places]

    @property
    def covariance(self) -> np.ndarray:
        return self._survey.covariance[np.ix_(self._places, self._places)]

    @property
    def spans(self) -> np.ndarray:
        return self._survey.spans[self._places]

    @property
    def resolution(self) -> Resolution:
        resolution = self._survey.resolution
        return Resolution(resolution.grid[self._places], resolution.spacing[self._places])

    @property
    def levels(self) -> Levels | None:
        levels = self._survey.levels
        if levels is None:
            return None
        return SomeLevels(
            tuple(levels.values[place] for place in self._places),
            tuple(levels.weights[place] for place in self._places),
            tuple(levels.names[place] for place in self._places),
        )


def joined(frames: Sequence[tuple[Sequence[int], Frame]]) -> Frame:
    """The frames of some columns each, (places, frame), as that of all: none mixes with another.

    Where one of them has shares of categories, `mean` is (feature, category), with the means of
    other columns first.
    """
    d = sum(len(places) for places, _ in frames)
    origin, floor, recorded = np.empty(d), np.empty(d), np.empty(d, dtype=bool)
    linear, inverse = np.zeros((2, d, d))
    n_categories = max(f.mean.shape[1] if f.mean.ndim > 1 else 1 for _, f in frames)
    mean = np.zeros((d, n_categories))
    for places, frame in frames:
        origin[places], floor[places] = frame.origin, frame.floor
        recorded[places] = frame.recorded
        block = np.ix_(places, places)
        linear[block], inverse[block] = _matrix(frame.linear), _matrix(frame.inverse)
        of_part = frame.mean if frame.mean.ndim > 1 else frame.mean[:, None]
        mean[places, : of_part.shape[1]] = of_part
    if all(frame.linear.ndim == 1 for _, frame in frames):
        linear, inverse = np.diagonal(linear).copy(), np.diagonal(inverse).copy()
    return Frame(origin, linear, inverse, floor, recorded, mean[:, 0] if n_categories < 2 else mean)


def _matrix(linear: np.ndarray) -> np.ndarray:
    return np.diag(linear) if linear.ndim == 1 else linear


@overload
def part_of(frame: Frame, member: Placed) -> Frame: ...
@overload
def part_of(frame: None, member: Placed) -> None: ...
@overload
def part_of(frame: Frame | None, member: Placed) -> Frame | None: ...
def part_of(frame: Frame | None, member: Placed) -> Frame | None:
    """The frame of some columns."""
    if frame is None:
        return None
    places, mean = member.places, frame.mean[member.places]
    if mean.ndim > 1 and not isinstance(member.family, Levelled):
        mean = mean[:, 0]
    linear, inverse = (_block(each, member) for each in (frame.linear, frame.inverse))
    floor, recorded = frame.floor[places], frame.recorded[places]
    return replace(
        frame,
        origin=frame.origin[places],
        linear=linear,
        inverse=inverse,
        floor=floor,
        recorded=recorded,
        mean=mean,
    )


def _block(matrix: np.ndarray, member: Placed) -> np.ndarray:
    """A scale for each column, or the matrix of some, as their family made it."""
    if matrix.ndim == 1:
        return matrix[member.places]
    block = matrix[np.ix_(member.places, member.places)]
    mixes = isinstance(member.family, Coordinates) and member.family.cross_moments
    return block if mixes else np.diagonal(block)
