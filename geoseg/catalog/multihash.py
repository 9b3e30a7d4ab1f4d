"""Checksums as STAC's file extension writes them: multihashes in hexadecimal."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from geoseg import files

PREFIXES = {"1220": "sha256", "d50110": "md5"}
"""Code of the function and length of the digest; md5 because older archives publish nothing else.
The numbers are those of the multicodec table."""
MULTIHASH = re.compile(r"(1220)([0-9a-f]{64})|(d50110)([0-9a-f]{32})")


def of_file(path: Path) -> str:
    """The multihash of a file: ``1220`` and its sha256."""
    return f"1220{files.sha256(path)}"


def wrong_form(checksum: object) -> str | None:
    """What is wrong with a checksum as a text.

    Example:
        >>> wrong_form("d50110" + 32 * "0") is None, wrong_form("md5") is None
        (True, False)
    """
    if MULTIHASH.fullmatch(str(checksum)):
        return None
    return f"file:checksum is no sha2-256 multihash (1220 and 64 hex digits) or md5: {checksum!r}"


def mismatch(path: Path, checksum: str | None, size: int | None) -> str | None:
    """How a file differs from what was said of it; nothing where nothing was said."""
    if size is not None and size != path.stat().st_size:
        return f"has {path.stat().st_size} bytes, not {size}"
    match = MULTIHASH.fullmatch(checksum or "")
    if match is None:
        return None
    prefix, wanted = (part for part in match.groups() if part)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, PREFIXES[prefix]).hexdigest()
    if found == wanted:
        return None
    return f"has the {PREFIXES[prefix]} {found[:12]}..., not {wanted[:12]}..."
