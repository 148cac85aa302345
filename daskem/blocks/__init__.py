"""Blocks: the data, with one verb, the tree sum of f(block, ...) over all of them."""

from daskem.blocks.block import Block, Piece
from daskem.blocks.machines import current_client
from daskem.blocks.mapping import map_rows
from daskem.blocks.placement import place, spread
from daskem.blocks.sources import as_array, as_blocks
from daskem.blocks.survey import Survey, first_bad, survey

__all__ = [
    "Block",
    "Piece",
    "Survey",
    "as_array",
    "as_blocks",
    "current_client",
    "first_bad",
    "map_rows",
    "place",
    "spread",
    "survey",
]
