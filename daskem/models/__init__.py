"""Models: an E step on a block of rows, an M step on the sums. No data source, no loop."""

from daskem.models.mixture import Mixture

__all__ = ["Mixture"]
