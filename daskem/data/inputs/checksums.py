"""Checksums of zarr stores: whether a chunk whose bits have changed is told when it is read."""

from collections.abc import Mapping, Sequence
from typing import Any

import zarr

from daskem.core.addresses import hidden

# What decodes nothing but what was encoded; zlib, gzip, bz2 and lzma have checksums inside.
_CHECKED = {"crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"}
_CHECKED |= {"gzip", "zlib", "bz2", "lzma"}


def unchecked(arrays: Sequence[zarr.Array]) -> tuple[str, ...]:
    """A note on those of some arrays whose chunks have no checksums; none if all have."""
    places = [hidden(str(array.store_path)) for array in arrays if not _is_checked(array)]
    if not places:
        return ()
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return (
        f"the chunks of {places[0]}{more} have no checksums: what had changed there before the "
        "first read is fitted as it is, what changes after it is told",
    )


def _is_checked(array: zarr.Array) -> bool:
    about: Any = array.metadata.to_dict()
    codecs = about.get("codecs") or [*(about.get("filters") or ()), about.get("compressor") or {}]
    # Older versions of zarr have codecs of the second format themselves there.
    described = [c if isinstance(c, Mapping) else c.get_config() for c in codecs]
    return any(map(_checks, described))


def _checks(codec: Mapping[str, Any]) -> bool:
    """Whether a codec has checksums, as either version of the format describes it."""
    settings = codec.get("configuration", codec)
    # Those of a shard; its index is another matter.
    inner = any(map(_checks, settings.get("codecs", ())))
    named = codec.get("name", codec.get("id"))
    return inner or named in _CHECKED or bool(settings.get("checksum"))
