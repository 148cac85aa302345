"""What a test wants of the data before it fits by itself."""

from daskem.data.blocks import Blocks
from daskem.fitting.starts.first_read import FirstRead, framed, surveyed
from daskem.models.protocol import Model


def look(model: Model, blocks: Blocks, seed: int = 0) -> FirstRead:
    """The first read, with the sample that `seed` draws."""
    survey = surveyed(model, blocks, seed)
    return FirstRead(framed(model, survey), survey)
