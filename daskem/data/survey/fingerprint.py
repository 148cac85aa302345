"""Fingerprints: one number that adds tells whether a pass has read what another did."""

import google_crc32c
import numpy as np

from daskem.data.blocks.block import Block

_BITS = 2**64 - 1


def fingerprint(block: Block) -> np.ndarray:
    """The fingerprint of a block, uint64 (1,): sums of these are those of all blocks, modulo 2^64.

    It is a hash of where the block begins and of the CRC-32C of its values, so that blocks that
    change places differ. That of rows from nowhere, a sample, is 0.
    """
    if not block.pieces:
        return np.zeros(1, np.uint64)
    mixed = _mixed(block.pieces[0].number) ^ len(block)
    for values in (block.rows, *block.along.values()):
        mixed = _mixed(mixed ^ google_crc32c.value(np.ascontiguousarray(values)))
    return np.array([mixed], np.uint64)


def _mixed(x: int) -> int:
    """Random bits of a number (splitmix64; Steele, Lea and Flood 2014)."""
    x = (x + 0x9E3779B97F4A7C15) & _BITS
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _BITS
    return x ^ (x >> 31)
