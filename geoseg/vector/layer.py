"""A layer of a polygon file: its metadata, and its features read through the spatial index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.errors import VectorError
from geoseg.vector import geoparquet
from geoseg.vector.geojson_text import check_geojson
from geoseg.vector.geoparquet import Bounds
from geoseg.vector.layer_errors import broken_geometry, did_you_mean, named_errors, no_polygons
from geoseg.vector.polygon_formats import JSON, check_driver, driver_of

LONLAT_LIMITS = (-360.0, -90.0001, 360.0, 90.0001)
"""Longitudes may count from 0 to 360, and latitudes of a pole be off by rounding."""


@dataclass(frozen=True)
class Layer:
    """A layer of a polygon file.

    Attributes:
        path: the file.
        driver: the GDAL driver that reads it, or "Parquet".
        name: the layer; None in files without names for layers.
        fields: names of its attributes.
        crs: its CRS.
        features: number of features, > 0.
        bounds: (left, bottom, right, top) of all of them, if the file states them.
        indexed: whether a part of it is read without reading all of it.
    """

    path: Path
    driver: str
    name: str | None
    fields: tuple[str, ...]
    crs: pyproj.CRS
    features: int
    bounds: Bounds | None
    indexed: bool

    def read(
        self, column: str | None, bounds: Bounds | None
    ) -> tuple[NDArray[Any], NDArray[Any], list[Any]]:
        """Read one column of the features that meet ``bounds``, in the layer's CRS.

        A layer without a spatial index is read whole.

        Returns:
            (n,) feature numbers, (n,) geometries (None where a feature has none) and n codes.

        Raises:
            VectorError: the file cannot be read, or a geometry not be decoded; names the feature.
        """
        bounds = bounds if self.indexed else None
        columns = [] if column is None else [column]
        if self.driver == "Parquet":
            return geoparquet.read_features(self.path, columns, bounds)
        with named_errors(self.path):
            _, numbers, stored, values = pyogrio.raw.read(
                str(self.path), layer=self.name, columns=columns, bbox=bounds,
                force_2d=True, return_fids=True,
            )  # fmt: skip
        with np.errstate(invalid="ignore"):
            geometries = shapely.from_wkb(stored, on_invalid="ignore")
        broken = [n for n, w, g in zip(numbers, stored, geometries, strict=True) if w and g is None]
        if broken:
            raise broken_geometry(self.path, broken, "a ring is not closed or has under 4 points")
        codes = values[0].tolist() if values else [None] * len(numbers)
        return numbers, geometries, codes


def open_layer(path: Path, layer: str | None) -> Layer:
    """Open a layer of a polygon file, without reading its features.

    Args:
        path: the file.
        layer: the layer's name; None for the only one.

    Raises:
        VectorError: the file is no polygon file or broken, the layer is empty, has no CRS or no
            polygons, or there are several and none is named.
        UnsafeError: remote, or a file that makes GDAL open or run something else.
    """
    driver = driver_of(path)
    if driver == "Parquet":
        return _open_parquet(path)
    if driver in JSON and (crs := check_geojson(path)) is not None:
        _parse_crs(path, crs)
    name = _layer_name(path, layer)
    with named_errors(path):
        info = pyogrio.read_info(
            str(path), layer=name, force_feature_count=True, force_total_bounds=True
        )
    check_driver(path, info["driver"], driver)
    if info["features"] and re.search("Point|Line", info["geometry_type"] or ""):
        raise no_polygons(path, info["geometry_type"])
    bounds = info["total_bounds"]
    return _checked(
        Layer(
            path=path,
            driver=driver,
            name=name,
            fields=tuple(info["fields"].tolist()),
            crs=_parse_crs(path, info["crs"]),
            features=info["features"],
            bounds=None if bounds is None else tuple(bounds),
            indexed=driver not in JSON,
        )
    )


def beyond_lonlat(bounds: Bounds) -> bool:
    """Whether (left, bottom, right, top) cannot be longitudes and latitudes."""
    west, south, east, north = LONLAT_LIMITS
    left, bottom, right, top = bounds
    return left < west or right > east or bottom < south or top > north


def layer_names(path: Path) -> tuple[str, ...]:
    """The layers of a file that have geometries.

    Raises:
        VectorError: GDAL cannot open the file.
    """
    with named_errors(path):
        found = pyogrio.list_layers(str(path))
    return tuple(str(name) for name, kind in found if kind is not None)


def _layer_name(path: Path, wanted: str | None) -> str:
    names = layer_names(path)
    if wanted is not None and wanted not in names:
        raise VectorError(f"has no layer {wanted!r}", where=path, fix=did_you_mean(wanted, names))
    if not names:
        raise VectorError("has no layer with geometries", where=path)
    if wanted is None and len(names) > 1:
        raise VectorError(
            f"has {len(names)} layers", where=path, got=", ".join(names), fix="name one: --layer"
        )
    return wanted or names[0]


def _open_parquet(path: Path) -> Layer:
    found = geoparquet.read_metadata(path)
    return _checked(
        Layer(
            path=path,
            driver="Parquet",
            name=None,
            fields=found.fields,
            crs=_parse_crs(path, found.crs),
            features=found.features,
            bounds=found.bounds,
            indexed=found.indexed,
        )
    )


def _parse_crs(path: Path, text: str | None) -> pyproj.CRS:
    if not text:
        raise VectorError(
            "has no CRS", where=path, fix="set it: ogr2ogr -a_srs EPSG:32633 fixed.gpkg ..."
        )
    try:
        return pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise VectorError("its CRS is not known", where=path, got=text[:80]) from error


def _checked(layer: Layer) -> Layer:
    if not layer.features:
        raise VectorError("the layer is empty", where=layer.path, got="0 features")
    if layer.crs.is_geographic and layer.bounds is not None and beyond_lonlat(layer.bounds):
        left, bottom, right, top = layer.bounds
        raise VectorError(
            "its CRS is in degrees, but its coordinates are no longitudes and latitudes",
            where=layer.path,
            got=f"{left:.6g}, {bottom:.6g} to {right:.6g}, {top:.6g} in {layer.crs.name}",
            fix="set the right CRS: ogr2ogr -a_srs EPSG:32633 fixed.gpkg ...",
        )
    return layer
