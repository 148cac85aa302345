"""Blocks of data, and one verb: the tree sum of f(block, ...).

The ladder, each rung cut from the one before it, or joined from the one below:

    input       rows and what rides along with them, as the user has them: an array of any size
    chunk       what the input is stored in, or cut into: the least that is read
    partition   consecutive chunks of about equal work: one task of a pass, on one worker
    block       small chunks of a partition joined, or a large one alone: what `f` is given
    tile        rows of a block that stay in the cache of a processor: the business of `f`

Sums go up by a tree of fixed shape: blocks of a partition, partitions of the input. The shape
depends on the data alone, so that whatever computes them, sums have the same bits. Rows that
belong together (a sequence) are parted on none of the rungs.

What is summed is none of the concern of these files, and neither is where the data are stored.
"""

from daskem.data.blocks.block import WEIGHT, Block
from daskem.data.blocks.mapping import map_rows
from daskem.data.blocks.partitions import Outline
from daskem.data.blocks.piece import Piece
from daskem.data.blocks.placement import moved, place
from daskem.data.blocks.protocol import Blocks
from daskem.data.blocks.watch import Sign, Watch, counted, unwatched

__all__ = [
    "WEIGHT",
    "Block",
    "Blocks",
    "Outline",
    "Piece",
    "Sign",
    "Watch",
    "counted",
    "map_rows",
    "moved",
    "place",
    "unwatched",
]
