"""Settings: what a person may pass as a number, a count or a seed."""

import numbers

import numpy as np

from daskem.errors import ParameterError

# What may say how random numbers are drawn.
RandomState = int | np.random.Generator | np.random.RandomState | None


def number(name: str, value: object, least: float) -> float:
    """A setting that is a number, or ParameterError."""
    if not isinstance(value, numbers.Real) or not float(value) >= least:
        raise ParameterError(f"{name}={value!r} should be a number >= {least}")
    return float(value)


def whole(name: str, value: object) -> int:
    """A setting that counts something, or ParameterError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not int(value) >= 1:
        raise ParameterError(f"{name}={value!r} should be a whole number >= 1")
    return int(value)


def generator(seed: RandomState) -> np.random.Generator:
    """The source of random numbers that a `random_state` means, or ParameterError."""
    if isinstance(seed, np.random.RandomState):
        return np.random.Generator(seed._bit_generator)
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"random_state={seed!r} should be a whole number >= 0, a Generator or a RandomState"
        ) from error
