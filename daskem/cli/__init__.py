"""The command line: parse, call, print. Nothing is computed here."""

from daskem.cli.commands import main

__all__ = ["main"]
