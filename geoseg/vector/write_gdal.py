"""GeoPackage, FlatGeobuf and GeoJSON, written by GDAL from a stream of Arrow batches.

GDAL reports few failed writes, least of all those of a full disk when it closes a file. Each format
is therefore checked by what is written last: an index, the last feature, a closing bracket.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.vector.feature_batches import GEOMETRY, Features, LayerPlan, wkb
from geoseg.vector.lonlat import FINER_DECIMALS, WGS84, rounded, to_lonlat

FIXED_DATE = "2000-01-01T00:00:00.000Z"
"""The date that GeoPackages get, instead of now: the same polygons give the same bytes."""
GEOJSON_ENDS = (b"}]}", b"[]}")
"""The end of the last feature, of the list and of the file; or of an empty list and the file."""


class NotWrittenError(Exception):
    """GDAL could not write a layer, or left an incomplete file."""


def write_gpkg(path: Path, batches: Iterable[Features], plan: LayerPlan) -> None:
    """Write a GeoPackage: a MultiPolygon layer with a spatial index, and its QGIS style.

    Raises:
        NotWrittenError: GDAL could not, or features or the index are missing.
    """
    with _fixed_date():
        stream = _Stream(_multipolygons(batches), plan.schema)
        stream.write(
            path, plan, "GPKG", plan.crs, geometry_type="MultiPolygon",
            layer_options={"GEOMETRY_NAME": GEOMETRY},
        )  # fmt: skip
        _write_style(path, plan)
    _check_gpkg(path, plan.name, stream.rows)


def write_fgb(path: Path, batches: Iterable[Features], plan: LayerPlan) -> None:
    """Write a FlatGeobuf of MultiPolygons; its index sorts them along a Hilbert curve.

    Raises:
        NotWrittenError: GDAL could not, or the last feature is missing.
    """
    stream = _Stream(_multipolygons(batches), plan.schema)
    stream.write(path, plan, "FlatGeobuf", plan.crs, geometry_type="MultiPolygon")
    if stream.rows:
        _check_last(path, stream.rows)


def write_geojson(path: Path, batches: Iterable[Features], plan: LayerPlan) -> None:
    """Write GeoJSON as in RFC 7946.

    Raises:
        NotWrittenError: GDAL could not, or the end of the file is missing.
        VectorError: a vertex has no longitude and latitude.
    """
    stream = _Stream(_lonlat(batches, plan.crs), plan.schema)
    stream.write(
        path, plan, "GeoJSON", WGS84, geometry_type="Unknown",
        layer_options={"RFC7946": "YES", "COORDINATE_PRECISION": str(FINER_DECIMALS)},
    )  # fmt: skip
    if not b"".join(_tail(path).split()).endswith(GEOJSON_ENDS):
        raise NotWrittenError("its end is missing")


def write_geojson_lines(path: Path, batches: Iterable[Features], plan: LayerPlan) -> None:
    """Write one GeoJSON feature per line, each as in RFC 7946.

    Raises:
        NotWrittenError: GDAL could not, or lines are missing.
        VectorError: a vertex has no longitude and latitude.
    """
    stream = _Stream(_lonlat(batches, plan.crs), plan.schema)
    stream.write(
        path, plan, "GeoJSONSeq", WGS84, geometry_type="Unknown",
        layer_options={"COORDINATE_PRECISION": str(FINER_DECIMALS)},
    )  # fmt: skip
    lines = _count_lines(path)
    if lines != stream.rows:
        raise NotWrittenError(f"{lines} of {stream.rows} lines are there")


class _Stream:
    """An iterator of Arrow batches that counts features and keeps the error that stops it.

    GDAL pulls the batches through Arrow's C interface, which turns any exception into text.

    Args:
        batches: the geometries to write, with the features they belong to.
        schema: the attributes.
    """

    def __init__(
        self, batches: Iterator[tuple[NDArray[Any], Features]], schema: pyarrow.Schema
    ) -> None:
        self.schema = schema.append(pyarrow.field(GEOMETRY, pyarrow.binary()))
        self.rows = 0
        self._batches = batches
        self._error: BaseException | None = None

    def write(
        self, path: Path, plan: LayerPlan, driver: str, crs: pyproj.CRS, **options: Any
    ) -> None:
        """Write all features.

        Raises:
            NotWrittenError: GDAL could not.
            Exception: the one that ``batches`` raised, if it did.
        """
        failure = None
        reader = pyarrow.RecordBatchReader.from_batches(self.schema, self)
        try:
            pyogrio.write_arrow(
                reader, path, layer=plan.name, driver=driver, geometry_name=GEOMETRY,
                crs=crs.to_wkt(), **options,
            )  # fmt: skip
        except RuntimeError as error:
            failure = error
        if self._error is not None:
            raise self._error
        if failure is not None:
            raise NotWrittenError(str(failure)) from failure

    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> pyarrow.RecordBatch:
        """The next batch, with the geometries as its last column."""
        try:
            geometries, features = next(self._batches)
            columns = [*features.columns.columns, wkb(geometries)]
            batch = pyarrow.record_batch(columns, self.schema)
        except StopIteration:
            raise
        except BaseException as error:
            self._error = error
            raise
        self.rows += batch.num_rows
        return batch


def _multipolygons(batches: Iterable[Features]) -> Iterator[tuple[NDArray[Any], Features]]:
    for features in batches:
        single = shapely.get_type_id(features.geometries) == shapely.GeometryType.POLYGON
        geometries = features.geometries.copy()
        geometries[single] = shapely.multipolygons(geometries[single][:, None])
        yield geometries, features


def _lonlat(
    batches: Iterable[Features], crs: pyproj.CRS
) -> Iterator[tuple[NDArray[Any], Features]]:
    for features in batches:
        yield rounded(to_lonlat(features.geometries, crs)), features


@contextmanager
def _fixed_date() -> Iterator[None]:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": FIXED_DATE})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def _write_style(path: Path, plan: LayerPlan) -> None:
    try:
        pyogrio.write_dataframe(
            _layer_styles(plan), path, layer="layer_styles", driver="GPKG",
            layer_options={"FID": "id"},
        )  # fmt: skip
    except RuntimeError as error:
        raise NotWrittenError(str(error)) from error


def _layer_styles(plan: LayerPlan) -> Any:
    """The row that QGIS looks up by schema (empty, not NULL), table and geometry column."""
    import pandas

    return pandas.DataFrame(
        {
            "f_table_catalog": [""],
            "f_table_schema": [""],
            "f_table_name": [plan.name],
            "f_geometry_column": [GEOMETRY],
            "styleName": [plan.name],
            "styleQML": [plan.qml],
            "styleSLD": [plan.sld],
            "useAsDefault": [True],
            "description": ["Classes, in the colours of the class scheme"],
            "owner": [""],
            "ui": pandas.Series([None], dtype=object),
            "update_time": [pandas.Timestamp(FIXED_DATE)],
        }
    )


def _check_gpkg(path: Path, layer: str, rows: int) -> None:
    """Count the features in the table and in its index, which is written last."""
    table = layer.replace('"', '""')
    try:
        with closing(sqlite3.connect(path)) as database:
            counts = [
                database.execute(f'SELECT count(*) FROM "{each}"').fetchone()[0]  # noqa: S608
                for each in (table, f"rtree_{table}_{GEOMETRY}")
            ]
            state = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise NotWrittenError(str(error)) from error
    if counts != [rows, rows] or state != "ok":
        raise NotWrittenError(f"{counts} of {rows} features are stored and indexed, {state}")


def _check_last(path: Path, rows: int) -> None:
    try:
        *_, geometries, _ = pyogrio.raw.read(path, columns=[], skip_features=rows - 1)
    except RuntimeError as error:
        raise NotWrittenError(str(error)) from error
    if len(geometries) != 1 or geometries[0] is None:
        raise NotWrittenError("its last feature is missing")


def _tail(path: Path) -> bytes:
    with path.open("rb") as stream:
        stream.seek(-min(64, path.stat().st_size), os.SEEK_END)
        return stream.read()


def _count_lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))
