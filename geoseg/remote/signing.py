"""Addresses that need a signature valid for an hour: those of the Planetary Computer's storage.

Its signing service needs no account. GDAL asks it by itself, and again when the hour is over; the
default service and the setting that replaces it are GDAL's:
https://gdal.org/en/stable/user/virtual_file_systems.html#vsicurl-http-https-ftp-files-random-access
"""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit

STORAGE = ".blob.core.windows.net"
SIGNER = "https://planetarycomputer.microsoft.com/api/sas/v1/sign?href="
SETTING = "VSICURL_PC_SAS_SIGN_HREF_URL"


def needs_signature(link: str) -> bool:
    """Whether an address is in such a storage and has no signature yet.

    Example:
        >>> needs_signature("https://sentinel1euwestrtc.blob.core.windows.net/sentinel1-grd-rtc/vv.tif")
        True
        >>> needs_signature("https://example.com/vv.tif")
        False
    """
    parts = urlsplit(link)
    return (parts.hostname or "").endswith(STORAGE) and not parts.query


def signer_of(link: str) -> str:
    """The address at which the signature of an address is requested."""
    return os.environ.get(SETTING, SIGNER) + quote(link, safe="")


def signed_by_gdal(link: str) -> str:
    """The name under which GDAL signs and reads an address."""
    return f"/vsicurl?pc_url_signing=yes&url={quote(link, safe='')}"
