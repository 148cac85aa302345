"""The first read of the data, what it tells, and what later reads are checked against."""

from daskem.data.survey.changes import blamed, blaming, check_unchanged
from daskem.data.survey.domain import Domain
from daskem.data.survey.empty_features import told_void, void_features
from daskem.data.survey.fingerprint import fingerprint
from daskem.data.survey.machines import Machines
from daskem.data.survey.survey import Survey, sample_size, survey

__all__ = [
    "Domain",
    "Machines",
    "Survey",
    "blamed",
    "blaming",
    "check_unchanged",
    "fingerprint",
    "sample_size",
    "survey",
    "told_void",
    "void_features",
]
