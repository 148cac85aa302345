"""Paths and URLs as they may be shown to anybody, in texts that outlive a session."""

import os
import re

# What may be a secret in a URL: user and password before the host, and the query with a signature.
_USER = re.compile(r"(?<=://)[^\s'\"]*@")
_QUERY = re.compile(r"(://[^\s'\"?]*)\?[^\s'\"]*")


def hidden(text: str) -> str:
    """A text without what may be a secret in the URLs that it has."""
    return _QUERY.sub(r"\1", _USER.sub("", text))


def shown(address: str | os.PathLike[str]) -> str:
    """A path as it is, a URL without what may be a secret in it, in quotes."""
    return repr(hidden(os.fspath(address)))


def reason(error: Exception, address: str | os.PathLike[str]) -> str:
    """What an error says of an address; its type only, where that address has a secret."""
    return hidden(str(error)) if _is_open(address) else type(error).__name__


def cause(error: Exception, address: str | os.PathLike[str]) -> Exception | None:
    """The error, as the cause of another, unless its address has a secret that it may repeat."""
    return error if _is_open(address) and hidden(str(error)) == str(error) else None


def _is_open(address: str | os.PathLike[str]) -> bool:
    return hidden(os.fspath(address)) == os.fspath(address)
