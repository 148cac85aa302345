"""Blocks: the data, with one verb, the tree sum of f(block, ...) over all of them."""

from daskem.blocks.block import Block, Piece
from daskem.blocks.mapping import map_rows
from daskem.blocks.partitions import Outline
from daskem.blocks.placement import place, spread
from daskem.blocks.resources import Machines, current_client, machines
from daskem.blocks.sources import as_array, as_blocks, features_in_one_chunk
from daskem.blocks.stores import address, is_labelled, open_labelled, open_zarr
from daskem.blocks.survey import Survey, survey
from daskem.blocks.usable import Usable

__all__ = [
    "Block",
    "Machines",
    "Outline",
    "Piece",
    "Survey",
    "Usable",
    "address",
    "as_array",
    "as_blocks",
    "current_client",
    "features_in_one_chunk",
    "is_labelled",
    "machines",
    "map_rows",
    "open_labelled",
    "open_zarr",
    "place",
    "spread",
    "survey",
]
