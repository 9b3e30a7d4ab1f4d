"""Where a raster lies: its CRS, its transform, and the sidecars that change them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyproj
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader

from geoseg import ground
from geoseg.errors import GridError
from geoseg.steps.info.entry import Problem, problem

EARTH_RADII_M = (6.30e6, 6.45e6)
SQUARE = 0.01
FAR_DEGREES = 5.0
FINEST_M = 0.001
NOWHERE = ("crs-degenerate", "not-earth")


def facts(dataset: DatasetReader) -> dict[str, Any]:
    """CRS, pixel size in its units and in metres, bounds, sidecar files."""
    crs, at, known = dataset.crs, dataset.transform, _crs(dataset)
    located = known is not None and not at.is_identity
    return {
        "crs": crs.to_string() if crs else None,
        "crs_name": None if known is None else known.name,
        "resolution": None if at.is_identity else [math.hypot(at.a, at.d), math.hypot(at.b, at.e)],
        "gsd_m": _gsd_m(dataset) if located else None,
        "bounds": None if at.is_identity else list(_bounds(dataset)),
        "sidecars": sorted(Path(name).name for name in _sidecars(dataset)),
    }


def problems(path: Path, driver: str, dataset: DatasetReader) -> list[Problem]:
    """Rows about CRS, transform and sidecars."""
    rows = _transform_problems(dataset)
    crs = _crs(dataset)
    if crs is None:
        rows.append(
            problem(
                "no-crs", "error", "it has no CRS", "name it: --crs EPSG:32633, or gdal_edit -a_srs"
            )
        )
    else:
        found = _crs_problems(crs)
        rows += found
        if not dataset.transform.is_identity and not any(r["code"] in NOWHERE for r in found):
            rows += _place_problems(crs, dataset)
    return rows + _sidecar_problems(path, driver, dataset)


def _transform_problems(dataset: DatasetReader) -> list[Problem]:
    at: Affine = dataset.transform
    if at.is_identity:
        return [_no_geotransform(dataset)]
    if at.is_degenerate:
        return [problem("degenerate", "error", "its pixels have no area", "georeference it again")]
    rows = []
    if at.b or at.d:
        degrees = math.degrees(math.atan2(at.d, at.a))
        rows.append(
            problem("rotated", "note", f"its grid is rotated by {degrees:.4g} degrees or sheared")
        )
    elif at.e > 0:
        rows.append(problem("south-up", "note", "its first row is the southernmost"))
    across, up = math.hypot(at.a, at.d), math.hypot(at.b, at.e)
    if abs(across / up - 1) > SQUARE:
        rows.append(
            problem("not-square", "note", f"its pixels are {across:g} wide and {up:g} high")
        )
    return rows


def _no_geotransform(dataset: DatasetReader) -> Problem:
    points, _ = dataset.gcps
    instead = f"{len(points)} ground control points" if points else "RPCs" if dataset.rpcs else None
    if instead is None:
        text, fix = "it has no geotransform", "georeference it, as with gdal_edit -a_ullr"
    else:
        text, fix = f"it has no geotransform, but {instead}", "gdalwarp it to a grid"
    return problem("no-geotransform", "error", text, fix)


def _crs(dataset: DatasetReader) -> pyproj.CRS | None:
    """The CRS as the EPSG registry has it, which knows more of it than the file can say."""
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
        return [
            problem(
                "crs-degenerate",
                "error",
                f"its CRS, {crs.name}, says nothing about where on Earth it lies",
                "name the right one: --crs EPSG:32633",
            )
        ]
    if not EARTH_RADII_M[0] < radius < EARTH_RADII_M[1]:
        return [
            problem(
                "not-earth",
                "warning",
                f"its CRS, {crs.name}, is of a body with a radius of {radius / 1000:.0f} km; "
                "areas and lengths are measured on that body",
            )
        ]
    if crs.is_deprecated or "deprecated" in crs.name:
        return [
            problem(
                "crs-deprecated",
                "note",
                f"its CRS, {crs.name}, is deprecated",
                "; ".join(f"use {each.to_string()}" for each in crs.get_non_deprecated()) or None,
            )
        ]
    if not crs.is_bound and crs.to_epsg(min_confidence=70) is None and crs.to_authority() is None:
        return [problem("crs-without-code", "note", f"its CRS, {crs.name}, has no EPSG code")]
    return []


def _place_problems(crs: pyproj.CRS, dataset: DatasetReader) -> list[Problem]:
    left, bottom, right, top = _bounds(dataset)
    if crs.is_geographic and (left < -360 or right > 360 or bottom < -90.001 or top > 90.001):
        return [
            problem(
                "not-lonlat",
                "warning",
                f"its CRS, {crs.name}, wants degrees, and its coordinates go from "
                f"{left:.8g}, {bottom:.8g} to {right:.8g}, {top:.8g}",
                "name the right CRS: --crs EPSG:32633",
            )
        ]
    gsd_m = _gsd_m(dataset)
    if gsd_m is not None and gsd_m < FINEST_M:
        text = f"its pixels would be {gsd_m * 1000:.2g} mm wide: degrees in a CRS of metres?"
        return [problem("pixel-size", "warning", text, "name the right CRS: --crs EPSG:4326")]
    lon, lat = _lonlat(crs, (left + right) / 2, (bottom + top) / 2)
    area = crs.area_of_use
    if not math.isfinite(lon + lat):
        found = "its CRS has no place on Earth for its centre"
    elif area is not None and not _near(lon, lat, area.bounds):
        found = f"its centre, at lon, lat {lon:.3f}, {lat:.3f}, is far outside {area.name}"
    else:
        return []
    fix = "check whether the CRS is the right one"
    return [problem("outside-crs", "warning", f"{found} ({crs.name})", fix)]


def _lonlat(crs: pyproj.CRS, x: float, y: float) -> tuple[float, float]:
    try:
        return pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y)
    except pyproj.exceptions.ProjError:
        return math.nan, math.nan


def _near(lon: float, lat: float, area: tuple[float, float, float, float]) -> bool:
    west, south, east, north = area
    inside = (lon - west + FAR_DEGREES) % 360 <= (east - west) % 360 + 2 * FAR_DEGREES
    everywhere = east - west >= 360 - 2 * FAR_DEGREES
    return (everywhere or inside) and south - FAR_DEGREES <= lat <= north + FAR_DEGREES


def _sidecar_problems(path: Path, driver: str, dataset: DatasetReader) -> list[Problem]:
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
    rows = []
    overridden = [name for name in changed if not without[name]]
    given = [name for name in changed if without[name]]
    if overridden:
        rows.append(
            problem(
                "sidecar-overrides",
                "warning",
                f"{path.name}.aux.xml replaces {' and '.join(overridden)} of the file itself",
                "remove the sidecar, or gdal_translate to a file that holds the right ones",
            )
        )
    if given:
        text = f"its {' and '.join(given)} stands only in {path.name}.aux.xml"
        rows.append(problem("sidecar", "note", text, "keep the two files together"))
    return rows


def _text(nodata: float | None) -> str | None:
    """NaN differs from itself; its name does not."""
    return None if nodata is None else str(nodata)


def _sidecars(dataset: DatasetReader) -> list[str]:
    return [] if dataset.driver == "VRT" else [str(name) for name in dataset.files[1:]]


def _bounds(dataset: DatasetReader) -> tuple[float, float, float, float]:
    """Left, bottom, right and top, of rotated and south-up grids too."""
    rows, cols = dataset.shape
    at = dataset.transform
    xs = [at.c + at.a * col + at.b * row for col in (0, cols) for row in (0, rows)]
    ys = [at.f + at.d * col + at.e * row for col in (0, cols) for row in (0, rows)]
    return min(xs), min(ys), max(xs), max(ys)


def _gsd_m(dataset: DatasetReader) -> float | None:
    try:
        return ground.gsd_m(GeoBox(dataset.shape, dataset.transform, dataset.crs.to_wkt()))
    except (GridError, pyproj.exceptions.ProjError, ValueError, ZeroDivisionError):
        return None
