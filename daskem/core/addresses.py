"""Paths and URLs as they may be shown to anybody."""

import os
import re

# What comes before the host, as in https://user:password@host, and after the path, as signatures.
_USER = re.compile(r"(?<=://)[^/@]*@")
_QUERY = re.compile(r"[?#].*$", re.DOTALL)


def shown(address: str | os.PathLike[str]) -> str:
    """An address without what may be a secret in a URL: user, password, query and fragment."""
    text = os.fspath(address)
    if "://" not in text:
        return text
    return _QUERY.sub("?...", _USER.sub("...@", text))
