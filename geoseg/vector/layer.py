"""Which polygon files may be opened, decided by their first bytes, and what is in them."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.errors import UnsafeError, VectorError

type Bounds = tuple[float, float, float, float]

logger = logging.getLogger(__name__)
FORMATS = "GeoPackage, GeoJSON, FlatGeobuf, Shapefile or GeoParquet"
JSON = ("GeoJSON", "GeoJSONSeq")
"""Features in a list, and line by line; which of both a file is, GDAL finds out."""
RECORD = b"\x1e"
"""What may stand before each feature of a sequence (RFC 8142)."""
GEOPACKAGE_IDS = (b"GPKG", b"GP10", b"GP11")
CODE = (b"<OGRVRTDataSource", b"gdal_streamed_alg")


@dataclass(frozen=True)
class Layer:
    """A layer of a polygon file.

    Attributes:
        path: the file.
        driver: the GDAL driver that reads it, or "Parquet".
        name: the layer.
        fields: names of its attributes.
        crs: its CRS.
        features: how many features it has, > 0.
        bounds: (left, bottom, right, top) of all of them, where the file knows it.
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
            Feature numbers, geometries (None where a feature has none) and codes.

        Raises:
            VectorError: a geometry cannot be decoded; names the feature.
        """
        bounds = bounds if self.indexed else None
        columns = [] if column is None else [column]
        if self.driver == "Parquet":
            return _read_parquet(self.path, columns, bounds)
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
    """Find out what a polygon file holds, without reading its features.

    Raises:
        VectorError: not a polygon file, broken, empty, no CRS, or the layer is not clear.
        UnsafeError: remote, or a file that makes GDAL open or run something else.
    """
    driver = driver_of(path)
    if driver == "Parquet":
        return _open_parquet(path)
    if driver in JSON:
        _check_geojson(path)
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
            crs=_crs(path, info["crs"]),
            features=info["features"],
            bounds=None if bounds is None else tuple(bounds),
            indexed=driver not in JSON,
        )
    )


def driver_of(path: Path) -> str:
    """The driver a polygon file may be opened with.

    Raises:
        VectorError: the file is missing, empty, or of no accepted format; a Shapefile without all
            of its parts.
        UnsafeError: remote, or a file that makes GDAL open or run something else.
    """
    head = _head(path)
    if any(mark in head for mark in CODE):
        raise UnsafeError(
            "makes GDAL open or run something else",
            where=path,
            fix="write what it stands for to a GeoPackage, with ogr2ogr",
        )
    if head.startswith(b"SQLite format 3\0"):
        if head[68:72] not in GEOPACKAGE_IDS:
            raise VectorError("is a database, but no GeoPackage", where=path, wanted=FORMATS)
        return "GPKG"
    if head.startswith(b"fgb"):
        return "FlatGeobuf"
    if head.startswith(b"PAR1"):
        return "Parquet"
    if head.startswith(b"\0\0\x27\x0a"):
        _check_shapefile(path)
        return "ESRI Shapefile"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n" + RECORD).startswith(b"{"):
        return "GeoJSON"
    raise VectorError(
        "is not a polygon file geoseg reads",
        where=path,
        got=f"a file that starts with {head[:8]!r}",
        wanted=FORMATS,
        fix="unzip it first" if head.startswith(b"PK") else "convert it, or fetch it again",
    )


def check_driver(path: Path, found: str, wanted: str) -> None:
    """Check that GDAL has opened a file as what its first bytes say it is.

    Raises:
        UnsafeError: it has not.
    """
    if found != wanted and not {found, wanted} <= {*JSON}:
        raise UnsafeError("is not what it seems", where=path, got=found, wanted=wanted)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn GDAL's errors into ones that name the file, and its warnings into log lines."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except (RuntimeError, UnicodeDecodeError, ValueError) as error:
            raise VectorError(
                "cannot be read", where=path, got=error, fix="repair it, or fetch it again"
            ) from error
    for each in caught:
        logger.info("%s: %s", path, each.message)


def broken_geometry(path: Path, numbers: list[Any], why: str) -> VectorError:
    """The error for features whose geometry means nothing."""
    listed = ", ".join(str(number) for number in numbers[:10])
    return VectorError(
        f"{len(numbers)} feature(s) have a broken geometry: {why}",
        where=path,
        got=f"feature {listed}",
        fix="repair or delete them",
    )


def no_polygons(path: Path, kind: object) -> VectorError:
    """The error for points and lines."""
    return VectorError(
        "labels have to be polygons",
        where=path,
        got=kind,
        fix="buffer points and lines to the area they stand for",
    )


def did_you_mean(name: str, known: tuple[str, ...]) -> str:
    """A fix that names what was probably meant, or everything there is."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"name one of: {', '.join(known)}"


def _head(path: Path) -> bytes:
    if re.match(r"/vsi|<|\{|[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise UnsafeError("only local files are read", got=path, fix="download it first")
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise VectorError("cannot be read", where=path, got=error.strerror) from error
    if not head:
        raise VectorError("is empty (0 bytes)", where=path, fix="fetch it again")
    return head


def _check_shapefile(path: Path) -> None:
    there = {each.suffix.lower() for each in path.parent.glob(f"{path.stem}.*")}
    missing = [part for part in (".shx", ".dbf", ".prj") if part not in there]
    if missing:
        raise VectorError(
            "the Shapefile is not complete",
            where=path,
            got=f"no {', '.join(path.stem + part for part in missing)}",
            fix="copy all files of that name, or export it as a GeoPackage",
        )


def _check_geojson(path: Path) -> None:
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise VectorError(
            f"is not UTF-8 at byte {error.start}", where=path, fix="save it as UTF-8"
        ) from error
    if any(mark in data for mark in CODE):
        raise UnsafeError("makes GDAL open or run something else", where=path)
    if re.search(rb"[\[,]\s*-?(NaN|Infinity)\s*[\],]", data, re.IGNORECASE):
        _check_numbers(path, data)
    found = re.search(rb'"crs"\s*:\s*\{[^{}]*\{\s*"name"\s*:\s*"([^"]*)"', data)
    if found:
        _crs(path, found[1].decode())


def _check_numbers(path: Path, data: bytes) -> None:
    """GDAL leaves out a vertex that is not a number, so the text itself has to be looked at."""
    try:
        features = _features(data)
    except (ValueError, AttributeError):
        return
    broken = [i for i, each in enumerate(features) if _has_nan(each.get("geometry"))]
    if broken:
        raise broken_geometry(path, broken, "a coordinate is not a number")


def _features(data: bytes) -> list[dict[str, Any]]:
    try:
        return list(json.loads(data).get("features", []))
    except ValueError:
        lines = (line.strip() for line in data.replace(RECORD, b"").splitlines())
        return [json.loads(line) for line in lines if line]


def _has_nan(geometry: Any) -> bool:
    return bool(re.search("NaN|Infinity", json.dumps(geometry)))


def _layer_name(path: Path, wanted: str | None) -> str:
    with named_errors(path):
        found = pyogrio.list_layers(str(path))
    names = tuple(str(name) for name, kind in found if kind is not None)
    if wanted is not None and wanted not in names:
        raise VectorError(f"has no layer {wanted!r}", where=path, fix=did_you_mean(wanted, names))
    if not names:
        raise VectorError("has no layer with geometries", where=path)
    if wanted is None and len(names) > 1:
        raise VectorError(
            f"has {len(names)} layers", where=path, got=", ".join(names), fix="name one: --layer"
        )
    return wanted or names[0]


def _crs(path: Path, text: str | None) -> pyproj.CRS:
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
    if layer.crs.is_geographic and layer.bounds is not None:
        left, bottom, right, top = layer.bounds
        if left < -360 or right > 360 or bottom < -90.0001 or top > 90.0001:
            raise VectorError(
                "its coordinates are no longitudes and latitudes, but its CRS says so",
                where=layer.path,
                got=f"{left:.6g}, {bottom:.6g} to {right:.6g}, {top:.6g} in {layer.crs.name}",
                fix="say what they are: ogr2ogr -a_srs EPSG:32633 fixed.gpkg ...",
            )
    return layer


def _open_parquet(path: Path) -> Layer:
    import pyarrow.parquet

    with named_errors(path):
        facts = pyarrow.parquet.read_metadata(path)
        schema = facts.schema.to_arrow_schema()
    if b"geo" not in (schema.metadata or {}):
        raise VectorError("is a Parquet file, but no GeoParquet", where=path, wanted=FORMATS)
    geo = json.loads(schema.metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    crs = column.get("crs", "OGC:CRS84")
    bounds = column.get("bbox")
    return _checked(
        Layer(
            path=path,
            driver="Parquet",
            name=None,
            fields=tuple(name for name in schema.names if name not in geo["columns"]),
            crs=_crs(path, json.dumps(crs) if isinstance(crs, dict) else crs),
            features=facts.num_rows,
            bounds=tuple(bounds) if len(bounds or ()) == 4 else None,
            indexed="covering" in column,
        )
    )


def _read_parquet(
    path: Path, columns: list[str], bounds: Bounds | None
) -> tuple[NDArray[Any], NDArray[Any], list[Any]]:
    import geopandas
    import pyarrow.parquet

    geo = json.loads(pyarrow.parquet.read_schema(path).metadata[b"geo"])
    with named_errors(path):
        frame = geopandas.read_parquet(path, columns=[*columns, geo["primary_column"]], bbox=bounds)
    geometries = shapely.force_2d(np.asarray(frame.geometry.values))
    codes = frame[columns[0]].tolist() if columns else [None] * len(frame)
    return np.arange(len(frame)), geometries, codes
