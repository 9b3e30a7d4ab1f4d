"""Where a raster lies: its CRS, its geotransform, and sidecar files that replace them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyproj
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader

from geoseg import ground
from geoseg.errors import GridError
from geoseg.problems import Problem

EARTH_RADII_M = (6.30e6, 6.45e6)
"""Semi-major axes of the Earth's ellipsoids, and of spheres that stand for it."""
SQUARE = 0.01
"""By how much the sides of a pixel may differ."""
FAR_DEGREES = 5.0
"""Scenes often reach beyond the area of use that a CRS declares, such as over a UTM zone's edge."""
FINEST_M = 0.001
"""No camera has finer pixels; degrees read as metres do."""
NOWHERE = ("crs-degenerate", "not-earth")
"""Codes of CRSs whose coordinates cannot be looked up on the Earth."""


@dataclass(frozen=True)
class Georeference:
    """The georeference of a raster file, from the file itself and its sidecars.

    Attributes:
        crs: the file's own as rasterio writes it: an EPSG code where there is one, else WKT.
        wkt: the same as WKT.
        known_crs: the same as pyproj knows it; None if it does not.
        transform: the affine from (column, row) to CRS coordinates; the identity if it has none.
        shape: (height, width) of the raster.
        sidecars: file names of sidecars.
    """

    crs: str | None
    wkt: str | None
    known_crs: pyproj.CRS | None
    transform: Affine
    shape: tuple[int, int]
    sidecars: tuple[str, ...]

    @classmethod
    def of(cls, dataset: DatasetReader) -> Georeference:
        """Read it from an open file."""
        return cls(
            crs=dataset.crs.to_string() if dataset.crs else None,
            wkt=dataset.crs.to_wkt() if dataset.crs else None,
            known_crs=_known_crs(dataset),
            transform=dataset.transform,
            shape=dataset.shape,
            sidecars=tuple(sorted(Path(name).name for name in _sidecars(dataset))),
        )

    @property
    def resolution(self) -> tuple[float, float] | None:
        """(width, height) of a pixel in units of the CRS."""
        at = self.transform
        return None if at.is_identity else (math.hypot(at.a, at.d), math.hypot(at.b, at.e))

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """(left, bottom, right, top) in the CRS, of rotated and south-up rasters too."""
        at, (rows, cols) = self.transform, self.shape
        if at.is_identity:
            return None
        xs = [at.c + at.a * col + at.b * row for col in (0, cols) for row in (0, rows)]
        ys = [at.f + at.d * col + at.e * row for col in (0, cols) for row in (0, rows)]
        return min(xs), min(ys), max(xs), max(ys)

    @cached_property
    def gsd_m(self) -> float | None:
        """Ground sampling distance in metres; None where the CRS does not allow to measure it."""
        if self.known_crs is None or self.wkt is None or self.transform.is_identity:
            return None
        try:
            return ground.gsd_m(GeoBox(self.shape, self.transform, self.wkt))
        except (GridError, pyproj.exceptions.ProjError, ValueError, ZeroDivisionError):
            return None


def georeference_problems(path: Path, driver: str, dataset: DatasetReader) -> list[Problem]:
    """Problems with CRS, geotransform and sidecars.

    Args:
        path: the file.
        driver: the GDAL driver that opens it.
        dataset: the file, opened.
    """
    where = Georeference.of(dataset)
    found = _transform_problems(dataset)
    if where.known_crs is None:
        fix = "name it: --crs EPSG:32633, or gdal_edit -a_srs"
        found.append(Problem("no-crs", "error", "it has no CRS", fix))
    else:
        crs_problems = _crs_problems(where.known_crs)
        found += crs_problems
        if where.bounds is not None and not any(each.code in NOWHERE for each in crs_problems):
            found += _place_problems(where.known_crs, where.bounds, where.gsd_m)
    return found + _sidecar_problems(path, driver, dataset)


def _transform_problems(dataset: DatasetReader) -> list[Problem]:
    at: Affine = dataset.transform
    if at.is_identity:
        return [_no_geotransform(dataset)]
    if at.is_degenerate:
        return [Problem("degenerate", "error", "its pixels have no area", "georeference it again")]
    found = []
    if at.b or at.d:
        degrees = math.degrees(math.atan2(at.d, at.a))
        text = f"its grid is rotated by {degrees:.4g} degrees or sheared"
        found.append(Problem("rotated", "note", text))
    elif at.e > 0:
        found.append(Problem("south-up", "note", "its first row is the southernmost"))
    across, up = math.hypot(at.a, at.d), math.hypot(at.b, at.e)
    if abs(across / up - 1) > SQUARE:
        text = f"its pixels are {across:g} wide and {up:g} high"
        found.append(Problem("not-square", "note", text))
    return found


def _no_geotransform(dataset: DatasetReader) -> Problem:
    points, _ = dataset.gcps
    instead = f"{len(points)} ground control points" if points else "RPCs" if dataset.rpcs else None
    if instead is None:
        text, fix = "it has no geotransform", "georeference it, for example with gdal_edit -a_ullr"
    else:
        text, fix = f"it has no geotransform, but {instead}", "gdalwarp it to a grid"
    return Problem("no-geotransform", "error", text, fix)


def _known_crs(dataset: DatasetReader) -> pyproj.CRS | None:
    """The CRS as the EPSG registry has it, where it is listed there.

    Files store a definition without area of use, and mostly without the deprecation.
    """
    if not dataset.crs:
        return None
    try:
        crs = pyproj.CRS.from_wkt(dataset.crs.to_wkt())
        code = crs.to_authority(min_confidence=90)
        return crs if code is None else pyproj.CRS.from_authority(*code)
    except pyproj.exceptions.CRSError:
        return None


def _crs_problems(crs: pyproj.CRS) -> list[Problem]:
    radius = crs.ellipsoid.semi_major_metre if crs.ellipsoid else None
    if crs.is_engineering or radius is None:
        text = f"its CRS, {crs.name}, is not tied to the Earth"
        return [Problem("crs-degenerate", "error", text, "name the right one: --crs EPSG:32633")]
    if not EARTH_RADII_M[0] < radius < EARTH_RADII_M[1]:
        text = (
            f"its CRS, {crs.name}, is of a body with a radius of {radius / 1000:.0f} km; "
            "areas and lengths are measured on that body"
        )
        return [Problem("not-earth", "warning", text)]
    if crs.is_deprecated or "deprecated" in crs.name:
        newer = "; ".join(f"use {each.to_string()}" for each in crs.get_non_deprecated())
        text = f"its CRS, {crs.name}, is deprecated"
        return [Problem("crs-deprecated", "note", text, newer or None)]
    if not crs.is_bound and crs.to_epsg(min_confidence=70) is None and crs.to_authority() is None:
        return [Problem("crs-without-code", "note", f"its CRS, {crs.name}, has no EPSG code")]
    return []


def _place_problems(
    crs: pyproj.CRS, bounds: tuple[float, float, float, float], gsd_m: float | None
) -> list[Problem]:
    left, bottom, right, top = bounds
    if crs.is_geographic and (left < -360 or right > 360 or bottom < -90.001 or top > 90.001):
        return [
            Problem(
                "not-lonlat",
                "warning",
                f"its CRS, {crs.name}, is in degrees, but its coordinates go from "
                f"{left:.8g}, {bottom:.8g} to {right:.8g}, {top:.8g}",
                "name the right CRS: --crs EPSG:32633",
            )
        ]
    if gsd_m is not None and gsd_m < FINEST_M:
        text = f"its pixels would be {gsd_m * 1000:.2g} mm wide: degrees in a CRS of metres?"
        return [Problem("pixel-size", "warning", text, "name the right CRS: --crs EPSG:4326")]
    lon, lat = _lonlat(crs, (left + right) / 2, (bottom + top) / 2)
    area = crs.area_of_use
    if not math.isfinite(lon + lat):
        text = "its CRS does not reach its centre"
    elif area is not None and not _near(lon, lat, area.bounds):
        text = f"its centre, at lon, lat {lon:.3f}, {lat:.3f}, is far outside {area.name}"
    else:
        return []
    fix = "check whether the CRS is the right one"
    return [Problem("outside-crs", "warning", f"{text} ({crs.name})", fix)]


def _lonlat(crs: pyproj.CRS, x: float, y: float) -> tuple[float, float]:
    try:
        return pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y)
    except pyproj.exceptions.ProjError:
        return math.nan, math.nan


def _near(lon: float, lat: float, area: tuple[float, float, float, float]) -> bool:
    """Whether a point lies in an area of use or near it; areas may cross the antimeridian."""
    west, south, east, north = area
    inside = (lon - west + FAR_DEGREES) % 360 <= (east - west) % 360 + 2 * FAR_DEGREES
    everywhere = east - west >= 360 - 2 * FAR_DEGREES
    return (everywhere or inside) and south - FAR_DEGREES <= lat <= north + FAR_DEGREES


def _sidecar_problems(path: Path, driver: str, dataset: DatasetReader) -> list[Problem]:
    """Compare the file with and without its .aux.xml, which GDAL prefers to the file itself."""
    if not any(name.endswith(".aux.xml") for name in _sidecars(dataset)):
        return []
    with (
        rasterio.Env(GDAL_PAM_ENABLED="NO"),
        rasterio.open(path, driver=driver, sharing=False) as alone,
    ):
        pairs = {
            "CRS": (alone.crs, dataset.crs),
            "transform": (alone.transform, dataset.transform),
            "nodata": (_text(alone.nodata), _text(dataset.nodata)),
        }
        without = {name: not own or own == Affine.identity() for name, (own, _) in pairs.items()}
        changed = [name for name, (own, used) in pairs.items() if own != used]
    found = []
    replaced = [name for name in changed if not without[name]]
    supplied = [name for name in changed if without[name]]
    if replaced:
        text = f"{path.name}.aux.xml replaces {' and '.join(replaced)} of the file itself"
        fix = "remove the sidecar, or gdal_translate to a file that holds the right ones"
        found.append(Problem("sidecar-overrides", "warning", text, fix))
    if supplied:
        verb = "is" if len(supplied) == 1 else "are"
        text = f"its {' and '.join(supplied)} {verb} stored in {path.name}.aux.xml only"
        found.append(Problem("sidecar", "note", text, "keep the two files together"))
    return found


def _text(nodata: float | None) -> str | None:
    """As text, because NaN differs from itself."""
    return None if nodata is None else str(nodata)


def _sidecars(dataset: DatasetReader) -> list[str]:
    """The files beside it; of a VRT, GDAL lists the rasters it arranges."""
    return [] if dataset.driver == "VRT" else [str(name) for name in dataset.files[1:]]
