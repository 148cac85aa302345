"""Blocks: one verb, the tree sum of f(block, ...). No word of EM, and none of zarr or xarray."""

from daskem.data.blocks.block import Block, Piece
from daskem.data.blocks.mapping import map_rows
from daskem.data.blocks.partitions import Outline
from daskem.data.blocks.placement import moved, place
from daskem.data.blocks.protocol import Blocks
from daskem.data.blocks.resources import Machines, current_client, machines
from daskem.data.blocks.survey import Survey, survey
from daskem.data.blocks.usable import Usable

__all__ = [
    "Block",
    "Blocks",
    "Machines",
    "Outline",
    "Piece",
    "Survey",
    "Usable",
    "current_client",
    "machines",
    "map_rows",
    "moved",
    "place",
    "survey",
]
