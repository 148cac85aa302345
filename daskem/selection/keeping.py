"""Where a race stands: what is written down of it after every pass, and where one goes on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daskem.errors import CheckpointError
from daskem.fitting.record import Status
from daskem.running.checkpoints.recording import Log, Recording, Saved
from daskem.selection.race import Progress, Runs
from daskem.selection.search import Cell, Field


@dataclass(frozen=True, eq=False)
class Course:
    """Where a race stands.

    Attributes
    ----------
    runs : mapping of Cell to sequence of Run
    passes : int
    progress : Progress
    """

    runs: Runs
    passes: int
    progress: Progress

    @property
    def has_ended(self) -> bool:
        every = (run for runs in self.runs.values() for run in runs)
        return all(run.status is not Status.RUNNING for run in every)

    def write(self, log: Log, field: Field) -> None:
        """Write it down."""
        log.write(
            self.passes,
            [run for runs in self.runs.values() for run in runs],
            field.survey,
            cells=[[*cell, len(runs)] for cell, runs in self.runs.items()],
            seconds=self.progress.seconds,
            mended=sorted(self.progress.mended),
        )


def course(field: Field, cells: Sequence[Cell], recording: Recording | None) -> Course:
    """A race at its start, or where it was left."""
    if recording is not None and recording.before is not None:
        return _left(field, recording.before)
    return Course(field.begin(cells), 0, Progress(0.0, set()))


def _left(field: Field, before: Saved) -> Course:
    """The race of a checkpoint."""
    try:
        cells = [((str(name), int(k)), int(n)) for name, k, n in before.about["cells"]]
        models = [field.fitted[name] for (name, _), n in cells for _ in range(n)]
        mended = {(str(name), int(k)) for name, k in before.about["mended"]}
        progress = Progress(float(before.about["seconds"]), mended)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{before.name} does not hold a selection: {error!r}") from error
    algorithm = field.search.prepared.algorithm
    runs: Iterator = iter(before.runs(field.survey, models, algorithm))
    return Course(
        {cell: [next(runs) for _ in range(n)] for cell, n in cells}, before.passes, progress
    )
