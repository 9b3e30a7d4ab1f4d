"""Which raster files may be opened, decided by their first bytes and never by their name.

GDAL tries its drivers one after the other, and some of them open other files, send requests or run
code on behalf of a file. Every open therefore names one driver from a short list.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

from geoseg.errors import RasterError, UnsafeError
from geoseg.remote import HEAD_BYTES, Address, Place, is_remote

MAGIC = (
    (b"II*\0", "GTiff"),
    (b"MM\0*", "GTiff"),
    (b"II+\0", "GTiff"),
    (b"MM\0+", "GTiff"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JP2OpenJPEG"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG"),
)
SUFFIXES = (".tif", ".tiff", ".gtif", ".gtiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg")
NOT_LOCAL = re.compile(r"/vsi|[a-zA-Z][a-zA-Z0-9+.-]+:/|<|\{")
BLANKS = b"\xef\xbb\xbf \t\r\n"
"""A byte order mark, and what XML allows before its first tag."""
MAX_VRT_BYTES = 16 << 20
"""The XML is parsed whole; a VRT of this size arranges some 70 000 files."""
MAX_VRT_DEPTH = 4
XML_DATASET = re.compile(rb"<(VRTDataset|GDAL_WMS|OGRVRT|WMS_)")
"""Descriptions that GDAL would recognise anywhere in the first bytes of a file."""


def driver_of(place: Place) -> str:
    """The GDAL driver that may open a file.

    A VRT is accepted if it is local and only arranges local rasters that are accepted themselves.

    Raises:
        RasterError: the file is missing, empty, or of no accepted format; a remote file whose
            server sends whole files only.
        UnsafeError: a VRT that is remote, runs code, reads raw bytes or names remote sources; a
            file with such a sidecar.
    """
    return _driver_of(place, depth=0) if isinstance(place, Path) else _driver_at(place)


def _driver_of(path: Path, depth: int) -> str:
    head = _head(path)
    _check_sidecars(path, depth)
    driver = _driver_by(head, path)
    if driver is None and _is_vrt(head):
        _check_vrt(path, depth)
        return "VRT"
    return driver or _refuse(head, path)


def _driver_at(address: Address) -> str:
    head = address.head
    if not head:
        raise RasterError("is empty (0 bytes)", where=address.name)
    driver = _driver_by(head, address)
    if driver is None and _is_vrt(head):
        raise UnsafeError("a VRT must be a local file", where=address.name)
    driver = driver or _refuse(head, address)
    if not address.ranged:
        raise RasterError(
            "its server sends whole files only", where=address.name, fix="download it first"
        )
    return driver


def require_local(path: str | Path) -> None:
    """Refuse paths that are not local files.

    Raises:
        UnsafeError: a URL, a GDAL virtual file, or a description instead of a path.
    """
    if NOT_LOCAL.match(str(path)):
        known = is_remote(path) or re.match(
            r"(https?|s3):/", str(path)
        )  # Path makes one slash of two
        fix = "--remote, or download it first" if known else "download it first"
        raise UnsafeError("only local files are read", got=path, fix=fix)


def _head(path: Path) -> bytes:
    require_local(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise RasterError("cannot be read", where=path, got=error.strerror) from error
    if not head:
        raise RasterError("is empty (0 bytes)", where=path, fix="fetch it again")
    return head


def _check_sidecars(path: Path, depth: int) -> None:
    """Check overviews and masks beside a file: GDAL opens them with any driver, unasked."""
    for suffix in (".ovr", ".OVR", ".msk", ".MSK"):
        sidecar = path.with_name(path.name + suffix)
        if sidecar.is_file() and _driver_of(sidecar, depth) != "GTiff":
            raise UnsafeError("its file of overviews or masks is not a GeoTIFF", where=sidecar)


def _driver_by(head: bytes, place: Place) -> str | None:
    driver = next((driver for magic, driver in MAGIC if head.startswith(magic)), None)
    if driver and XML_DATASET.search(head):
        raise UnsafeError("is both an image and a GDAL description", where=str(place))
    return driver


def _is_vrt(head: bytes) -> bool:
    return head.lstrip(BLANKS).startswith((b"<VRTDataset", b"<?xml")) and b"<VRTDataset" in head


def _refuse(head: bytes, place: Place) -> NoReturn:
    text = head.lstrip(BLANKS)
    raise RasterError(
        "is not a raster geoseg reads",
        where=str(place),
        got=_describe(text),
        wanted="GeoTIFF, COG, VRT, JPEG 2000, PNG or JPEG",
        fix=_advice(text),
    )


def _describe(text: bytes) -> str:
    if text[:1] == b"<":
        return "HTML or XML"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    return f"a file that starts with {text[:8]!r}"


def _advice(text: bytes) -> str:
    if text.startswith(b"version https://git-lfs"):
        return "git lfs pull"
    return "fetch it again: this looks like a failed download" if text[:1] == b"<" else "convert it"


def vrt_sources(path: Path) -> list[Path]:
    """The files that a VRT names; none of a file that is not a VRT.

    Raises:
        RasterError: the file is missing or empty, or a VRT that is not well-formed.
        UnsafeError: the path or a source is not local, or the VRT is too large.
    """
    return _sources(path, _parsed(path)) if _is_vrt(_head(path)) else []


def _check_vrt(path: Path, depth: int) -> None:
    if depth > MAX_VRT_DEPTH:
        raise UnsafeError("VRTs are nested too deep", where=path)
    root = _parsed(path)
    elements = [(_name(each.tag), each) for each in root.iter()]
    kinds = {_attributes(each).get("subclass", "") for _, each in elements}
    if kinds - {"", "VRTSourcedRasterBand"} or "gdalwarpoptions" in dict(elements):
        raise UnsafeError(
            "the VRT does more than arrange rasters",
            where=path,
            got=", ".join(sorted(kinds - {""})) or "GDALWarpOptions",
            fix="write it to a GeoTIFF first, with gdal_translate",
        )
    for source in _sources(path, root):
        _driver_of(source, depth + 1)


def _parsed(path: Path) -> ElementTree.Element:
    if path.stat().st_size > MAX_VRT_BYTES:
        raise UnsafeError("the VRT is too large", where=path, wanted=f"{MAX_VRT_BYTES} bytes")
    text = path.read_text(encoding="utf-8")
    if re.search(r"<!(?!--)|<\?(?!xml )", text):
        # Entities could expand without bounds, or read other files.
        raise UnsafeError("the VRT holds XML declarations", where=path)
    try:
        return ElementTree.fromstring(text)  # noqa: S314  (no entities: checked above)
    except ElementTree.ParseError as error:
        raise RasterError("is not well-formed XML", where=path, got=error) from error


def _name(name: str) -> str:
    """An XML name as GDAL compares it: without namespace, in any case."""
    return name.rpartition("}")[2].lower()


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    return {_name(name): value for name, value in element.items()}


def _sources(path: Path, root: ElementTree.Element) -> list[Path]:
    found = []
    for element in root.iter():
        if _name(element.tag) == "sourcefilename":
            name = (element.text or "").strip()
            if re.match(r"/vsi|[a-zA-Z][a-zA-Z0-9+.-]+:|<|\{", name):
                raise UnsafeError(
                    "the VRT names a source that is not a local file", where=path, got=name
                )
            relative = _attributes(element).get("relativetovrt", "0") != "0"
            found.append(path.parent / name if relative else Path(name))
    return list(dict.fromkeys(found))
