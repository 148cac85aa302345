"""Laws for models of your own. Nothing else in the package imports them."""

from daskem.testing.check import check_model

__all__ = ["check_model"]
