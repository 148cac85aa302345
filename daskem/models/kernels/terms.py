"""What the second-order features of a row are, by name: machine code cannot ask a family."""

from enum import IntEnum


class Terms(IntEnum):
    """What T(x) has besides 1 and x."""

    LINEAR = 0  # nothing
    NORM = 1  # |x|^2
    SQUARES = 2  # x_i^2
    PRODUCTS = 3  # x_i x_j, i <= j
