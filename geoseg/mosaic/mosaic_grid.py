"""The grid of a mosaic: the CRS and pixel size asked for, over the extent of all scenes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from odc.geo import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox
from pyproj.exceptions import CRSError

from geoseg.errors import GridError
from geoseg.raster import FileSource

MAX_SIDE = 10_000_000
"""Pixels along a side of a mosaic: the Earth's equator at 4 m."""

ALIKE = 0.02
"""Relative difference below which two pixel sizes count as one: 10 m in UTM are 10 m in LAEA."""


def mosaic_grid(text: str, boxes: Sequence[GeoBox]) -> GeoBox:
    """The grid of a mosaic.

    Args:
        text: a CRS, "EPSG:3035"; a CRS and a pixel size in its units, "EPSG:3035@10"; or a raster
            file whose grid is taken as it is. Without a size, pixels are as fine as the finest of
            ``boxes`` on the ground.
        boxes: the grids of the scenes, at least one; the mosaic covers them all, and its edges lie
            on whole multiples of the pixel size.

    Raises:
        GridError: the text is neither a file nor a CRS, the pixel size is not positive, the CRS
            does not cover a scene, or the mosaic would be too large.

    Example:
        >>> scene = GeoBox.from_bbox((500_000, 4_999_110, 501_190, 5_000_000), 32632, resolution=10)
        >>> mosaic_grid("EPSG:32632@20", [scene]).shape
        Shape2d(x=60, y=45)
    """
    if Path(text).is_file():
        return FileSource(Path(text)).geobox
    name, at, number = text.rpartition("@") if "@" in text else (text, "", "")
    crs = _crs(name, text)
    frames = [frame_in(box, crs) for box in boxes]
    pixel = _number(number, text) if at else min(_pixel(box, crs) for box in boxes)
    left, bottom = min(each.left for each in frames), min(each.bottom for each in frames)
    right, top = max(each.right for each in frames), max(each.top for each in frames)
    if max(right - left, top - bottom) / pixel > MAX_SIDE:
        raise GridError(
            "the mosaic would be too large",
            where=text,
            got=f"{(top - bottom) / pixel:.3g} x {(right - left) / pixel:.3g} px",
            fix=f"name a larger pixel, in units of {crs}, or leave out scenes that lie far away",
        )
    return GeoBox.from_bbox(BoundingBox(left, bottom, right, top, crs), resolution=pixel)


def frame_in(box: GeoBox, crs: CRS) -> BoundingBox:
    """The bounds of a grid in another CRS.

    Raises:
        GridError: the CRS does not cover the grid.
    """
    with _quiet():
        frame = box.footprint(crs).boundingbox
    if not all(map(math.isfinite, frame.bbox)):
        raise GridError(
            "the CRS does not cover a scene",
            where=str(crs),
            got=f"a scene in {box.crs}",
            fix="name a CRS made for that part of the world",
        )
    return frame


def _pixel(box: GeoBox, crs: CRS) -> float:
    """A scene's pixel size in units of ``crs``.

    A fit gives 9.9987 m for 10 m pixels of a neighbouring UTM zone; the round number is kept.
    """
    with _quiet():
        fit = abs(float(box.to_crs(crs, resolution="fit").resolution.y))
    own = abs(float(box.resolution.y))
    return own if math.isclose(own, fit, rel_tol=ALIKE) else fit


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise GridError(
            "the pixel size must be positive",
            where=where,
            got=text or "nothing",
            wanted="EPSG:3035@10",
        )
    return number


def _crs(text: str, where: str) -> CRS:
    try:
        crs = CRS(text)
    except CRSError as error:
        raise GridError(
            "is neither a raster file nor a CRS", where=where, wanted="EPSG:3035 or EPSG:3035@10"
        ) from error
    if not (crs.geographic or crs.projected):
        raise GridError(
            "is neither a geographic nor a projected CRS", where=where, got=crs.proj.type_name
        )
    return crs


@contextmanager
def _quiet() -> Iterator[None]:
    """odc-geo projects outlines with a function that shapely 2.1 deprecates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
