"""Files at http(s) and s3 addresses: read by range requests, downloaded, uploaded whole."""

from geoseg.remote.address import HEAD_BYTES, Address, Place, is_remote
from geoseg.remote.body import Body, patiently
from geoseg.remote.copies import COPY_BYTES, download, require_bucket, upload

__all__ = [
    "COPY_BYTES",
    "HEAD_BYTES",
    "Address",
    "Body",
    "Place",
    "download",
    "is_remote",
    "patiently",
    "require_bucket",
    "upload",
]
