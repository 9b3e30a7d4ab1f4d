"""Checksums as in STAC's file extension: multihashes in hexadecimal (multiformats.io/multihash)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from geoseg import files

PREFIXES = {"1220": "sha256", "d50110": "md5"}
"""Hash function by its code in the multicodec table and the length of the digest; MD5 because older
archives publish nothing else."""
MULTIHASH = re.compile(r"(1220)([0-9a-f]{64})|(d50110)([0-9a-f]{32})")


def of_file(path: Path) -> str:
    """The multihash of a file: ``1220`` and its SHA-256."""
    return f"1220{files.sha256(path)}"


def wrong_form(checksum: object) -> str | None:
    """What is wrong with the form of a checksum; None if nothing.

    Example:
        >>> wrong_form("d50110" + 32 * "0") is None, wrong_form("md5") is None
        (True, False)
    """
    if MULTIHASH.fullmatch(str(checksum)):
        return None
    return (
        f"file:checksum is not a sha2-256 multihash (1220 and 64 hex digits) or md5: {checksum!r}"
    )


def mismatch(path: Path, checksum: str | None, size: int | None) -> str | None:
    """How a file differs from its stated size or checksum; None if it does not."""
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
