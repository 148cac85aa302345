"""Models: an E step on a block of rows, and an M step on the statistics of all of them."""

from daskem.models.mixture import Mixture

__all__ = ["Mixture"]
