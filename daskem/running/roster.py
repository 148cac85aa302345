"""The fits of a scheduler, by name: those that run, and those that ended and may be asked for."""

import sys

from distributed import Scheduler, SchedulerPlugin

from daskem.errors import ParameterError
from daskem.running.jobs import PATIENCE, Job
from daskem.running.scheduler import plugin

_PLUGIN = "daskem-fits"
# Ended fits that are kept for whoever asks for them, at most, and the bytes of their results.
_MOST_ENDED = 30
_MOST_BYTES = 2**27


class Jobs(SchedulerPlugin):
    """The fits of a scheduler, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Job] = {}
        self._n_begun = 0

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        for job in self.by_name.values():
            if job.owner == client:
                job.stop()

    async def before_close(self) -> None:
        for job in self.by_name.values():
            job.stop()
        for job in self.by_name.values():
            await job.wait(sys.maxsize, PATIENCE)

    def find(self, name: str, number: int = 0) -> Job:
        """The fit of a name, and of a number unless that is 0."""
        if name not in self.by_name:
            known = sorted(self.by_name) or "none"
            raise ParameterError(
                f"there is no fit called {name!r} on this scheduler; it has {known}, and forgets "
                "all of them when it is restarted"
            )
        job = self.by_name[name]
        if number not in (0, job.number):
            raise ParameterError(
                f"the fit called {name!r} had ended, and was replaced by another one of that "
                f"name, which daskem.attach({name!r}) finds; give each a name of its own"
            )
        return job

    def add(self, job: Job) -> None:
        if job.name in self.by_name and not self.by_name[job.name].ended:
            raise ParameterError(
                f"a fit called {job.name!r} is running on this scheduler: daskem.attach("
                f"{job.name!r}) follows it; choose another name, or stop that one"
            )
        self.by_name.pop(job.name, None)
        self._make_room()
        self._n_begun += 1
        job.number = self._n_begun
        self.by_name[job.name] = job

    def _make_room(self) -> None:
        """Forget ended fits while they are too many, or too large: first what has been fetched."""
        ended = [job for job in self.by_name.values() if job.ended]
        ended.sort(key=lambda job: not job.fetched)
        while len(ended) >= _MOST_ENDED or sum(job.n_bytes for job in ended) > _MOST_BYTES:
            del self.by_name[ended.pop(0).name]


def jobs_of(scheduler: Scheduler) -> Jobs:
    return plugin(scheduler, _PLUGIN, Jobs)
