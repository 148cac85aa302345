"""The cluster: who computes, with how much memory, and whether anybody answers.

Everything that is asked of Dask and its scheduler, and nothing of rows: each question has an answer
or a named error, and no wait is without an end.
"""

from daskem.data.cluster.asking import SILENCE, SLOW, SilentError, address_of, asked, foreign
from daskem.data.cluster.graph import (
    check_reachable,
    check_synchronous,
    current_client,
    seceded,
)
from daskem.data.cluster.openness import tell_if_open
from daskem.data.cluster.resources import Machines, machines
from daskem.data.cluster.waiting import check_workers, tell_without_workers, told_without_workers

__all__ = [
    "SILENCE",
    "SLOW",
    "Machines",
    "SilentError",
    "address_of",
    "asked",
    "check_reachable",
    "check_synchronous",
    "check_workers",
    "current_client",
    "foreign",
    "machines",
    "seceded",
    "tell_if_open",
    "tell_without_workers",
    "told_without_workers",
]
