"""Polygon layers read through their spatial index, repaired, and brought into one CRS."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyproj
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS

from geoseg.classes import EVERY, ClassScheme, CodeLookup
from geoseg.errors import ApartError, ClassError, InputError, VectorError
from geoseg.vector.class_polygons import Polygons
from geoseg.vector.geoparquet import Bounds
from geoseg.vector.layer import Layer, open_layer
from geoseg.vector.layer_errors import broken_geometry, did_you_mean, no_polygons
from geoseg.vector.reproject import reproject

logger = logging.getLogger(__name__)
POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)

type Refusal = Callable[[CodeLookup, ClassScheme, Path], InputError]


def _unknown_codes(found: CodeLookup, scheme: ClassScheme, where: Path) -> ClassError:
    return ClassError(
        f"{len(found.unknown)} code(s) of its polygons belong to no class",
        where=where,
        got=found.list_unknown(),
        wanted=scheme.list_codes(),
    )


def read_polygons(
    path: str | Path,
    scheme: ClassScheme,
    *,
    crs: CRS | str,
    bounds: Bounds | None = None,
    layer: str | None = None,
    column: str | None = None,
    refuse: Refusal = _unknown_codes,
) -> Polygons:
    """Read the polygons of a file that meet an area, with the class of each.

    Invalid geometries are repaired, and features without one are left out; both are counted and
    logged. Only the attribute with the code is read, and only features that meet the area.

    Args:
        path: a GeoPackage, GeoJSON (also by line), FlatGeobuf, Shapefile or GeoParquet file.
        scheme: the classes, and which codes mean them.
        crs: the CRS to bring the polygons into, such as the scene's.
        bounds: (left, bottom, right, top) of the area, in ``crs``; all features without it.
        layer: the layer's name, if the file has several.
        column: the attribute with the code; the scheme's own ``column`` without it.
        refuse: makes the error for codes of no class, for callers with better advice.

    Raises:
        ApartError: the file has no usable polygons in the area.
        VectorError: the file is broken, or the attribute is not there.
        ClassError: a code belongs to no class.
        UnsafeError: the file is remote, or makes GDAL open or run something else.

    Example:
        >>> import geopandas, shapely, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "labels.gpkg"
        >>> squares = [shapely.box(0, 0, 9, 9), shapely.box(9, 0, 18, 9)]
        >>> geopandas.GeoDataFrame({"kind": ["lake", "wood"]}, geometry=squares, crs=32633).to_file(
        ...     file)
        >>> scheme = ClassScheme(column="kind", classes=(
        ...     {"name": "wood", "color": "#00ff00"}, {"name": "lake", "color": "#0000ff"}))
        >>> read_polygons(file, scheme, crs="EPSG:32633").ids.tolist()
        [1, 0]
    """
    path, target = Path(path), CRS(crs)
    found = open_layer(path, layer)
    field = _column(found, scheme, column)
    area = _to_layer(found, target.proj, bounds)
    numbers, geometries, codes = found.read(field, area)
    skipped = Counter({"outside the area": found.features - len(numbers)})
    keep = _present(geometries, skipped)
    polygons = _polygonal(path, numbers[keep], geometries[keep], skipped)
    flat = shapely.is_empty(polygons)
    skipped["without an area"] = int(flat.sum())
    keep, polygons = keep[~flat], polygons[~flat]
    if not found.crs.equals(target.proj, ignore_axis_order=True):
        polygons = reproject(_clipped(polygons, area), found.crs, target.proj)
    _check_finite(path, numbers[keep], polygons)
    near = _meets(polygons, bounds)
    skipped["outside the area"] += int((~near).sum())
    if not near.any():
        raise _nothing_there(found, target.proj, bounds, +skipped)
    codes = [codes[i] for i in keep[near]]
    skipped["without a code"] = 0 if field is None else int(pandas.isna(codes).sum())
    coded = scheme.look_up(codes)
    if coded.unknown:
        raise refuse(coded, scheme, path)
    if +skipped:
        logger.info("%s: %s", path, _listed(+skipped))
    return Polygons(polygons[near], coded.ids, scheme, target, str(path), dict(+skipped))


def _column(found: Layer, scheme: ClassScheme, column: str | None) -> str | None:
    """The attribute with the code; None where every polygon is of one class."""
    column = column or scheme.column
    if column is None:
        if {code for each in scheme.classes for code in each.values} == {EVERY}:
            return None
        raise VectorError(
            "the attribute with the class is not given",
            where=found.path,
            got=", ".join(found.fields) or "no attributes",
            fix='name it: --column, or column: in the class file; values: "*" takes every polygon',
        )
    if column not in found.fields:
        raise VectorError(
            f"has no attribute {column!r}",
            where=found.path,
            fix=did_you_mean(column, found.fields) if found.fields else "add it: it has none",
        )
    return column


def _to_layer(found: Layer, target: pyproj.CRS, bounds: Bounds | None) -> Bounds | None:
    """The area in the layer's CRS, with a margin; None if it has no bounding box there.

    That is so across the antimeridian (left > right), and where the CRS has no coordinates for it.
    The margin makes up for sides that bow between the points at which they are transformed.
    """
    if bounds is None:
        return None
    if not found.crs.equals(target, ignore_axis_order=True):
        bounds = _transform(target, found.crs, bounds)
    left, bottom, right, top = bounds
    if not np.isfinite(bounds).all() or left > right:
        return None
    across, up = 0.02 * (right - left), 0.02 * (top - bottom)
    return left - across, bottom - up, right + across, top + up


def _transform(source: pyproj.CRS, target: pyproj.CRS, bounds: Bounds) -> Bounds:
    transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
    left, bottom, right, top = transformer.transform_bounds(*bounds, densify_pts=41)
    return left, bottom, right, top


def _present(geometries: NDArray[Any], skipped: Counter[str]) -> NDArray[np.intp]:
    missing, empty = shapely.is_missing(geometries), shapely.is_empty(geometries)
    skipped["without a geometry"] += int(missing.sum())
    skipped["with an empty geometry"] += int(empty.sum())
    return np.flatnonzero(~missing & ~empty)


def _polygonal(
    path: Path, numbers: NDArray[Any], geometries: NDArray[Any], skipped: Counter[str]
) -> NDArray[Any]:
    """Refuse points and lines, and repair invalid polygons.

    Shapely's method "structure" keeps the ground that outer rings cover and holes do not; its
    default, "linework", turns overlapping parts of a polygon into holes.
    """
    _check_finite(path, numbers, geometries)
    kinds = shapely.get_type_id(geometries)
    other = ~np.isin(kinds, (*POLYGONAL, shapely.GeometryType.GEOMETRYCOLLECTION))
    if other.any():
        raise no_polygons(
            path, f"{int(other.sum())} other geometries, as feature {numbers[other][0]}"
        )
    invalid = ~shapely.is_valid(geometries)
    skipped["repaired"] += int(invalid.sum())
    geometries = geometries.copy()
    geometries[invalid] = shapely.make_valid(
        geometries[invalid], method="structure", keep_collapsed=False
    )
    mixed = np.flatnonzero(~np.isin(shapely.get_type_id(geometries), POLYGONAL))
    for i in mixed:
        parts = shapely.get_parts(geometries[i])
        polygons = parts[np.isin(shapely.get_type_id(parts), POLYGONAL)]
        geometries[i] = shapely.multipolygons(shapely.get_parts(polygons))
    return geometries


def _check_finite(path: Path, numbers: NDArray[Any], geometries: NDArray[Any]) -> None:
    points, owner = shapely.get_coordinates(geometries, return_index=True)
    broken = np.unique(owner[~np.isfinite(points).all(axis=1)])
    if broken.size:
        raise broken_geometry(path, numbers[broken].tolist(), "a coordinate is not a finite number")


def _clipped(geometries: NDArray[Any], area: Bounds | None) -> NDArray[Any]:
    """Cut off what lies far outside the area: most CRSs have no coordinates for the whole world."""
    if area is None:
        return geometries
    left, bottom, right, top = area
    across, up = right - left, top - bottom
    frame = shapely.box(left - across, bottom - up, right + across, top + up)
    far = ~shapely.covered_by(geometries, frame)
    geometries = geometries.copy()
    geometries[far] = [_polygon_part(each) for each in shapely.intersection(geometries[far], frame)]
    return geometries


def _polygon_part(geometry: Any) -> Any:
    parts = shapely.get_parts(shapely.get_parts(geometry))
    polygons = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    return shapely.multipolygons(polygons)


def _meets(geometries: NDArray[Any], bounds: Bounds | None) -> NDArray[np.bool_]:
    there = ~shapely.is_empty(geometries)
    if bounds is None:
        return np.asarray(there)
    left, bottom, right, top = shapely.bounds(geometries).T
    across = (left <= bounds[2]) & (right >= bounds[0])
    return np.asarray(there & across & (bottom <= bounds[3]) & (top >= bounds[1]))


def _nothing_there(
    found: Layer, target: pyproj.CRS, bounds: Bounds | None, skipped: Counter[str]
) -> VectorError:
    what = f"0 of {found.features} features can be used ({_listed(skipped)})"
    if bounds is None or found.bounds is None:
        return ApartError(what, where=found.path)
    lonlat = pyproj.CRS("OGC:CRS84")
    labels, area = _transform(found.crs, lonlat, found.bounds), _transform(target, lonlat, bounds)
    swapped = labels[1], labels[0], labels[3], labels[2]
    return ApartError(
        what,
        where=found.path,
        got=f"labels at lon, lat {_corners(labels)}",
        wanted=f"something in the area at {_corners(area)}",
        fix="swap the axes of the labels: then they would meet"
        if _meet(swapped, area)
        else "check that labels and scene belong together, and the CRS of both",
    )


def _meet(one: Bounds, other: Bounds) -> bool:
    across = one[0] <= other[2] and one[2] >= other[0]
    return across and one[1] <= other[3] and one[3] >= other[1]


def _corners(bounds: Bounds) -> str:
    left, bottom, right, top = bounds
    return f"{left:.4f}, {bottom:.4f} to {right:.4f}, {top:.4f}"


def _listed(skipped: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in skipped.items())
