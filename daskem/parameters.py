"""What a model of your own declares of its params: labels, counts and acceleration follow."""

from daskem.core.parameters import (
    NON_NEGATIVE,
    POSITIVE,
    POSITIVE_DEFINITE,
    PROBABILITY,
    REAL,
    SIMPLEX,
    Parameter,
    Params,
    Support,
)

__all__ = [
    "NON_NEGATIVE",
    "POSITIVE",
    "POSITIVE_DEFINITE",
    "PROBABILITY",
    "REAL",
    "SIMPLEX",
    "Parameter",
    "Params",
    "Support",
]
