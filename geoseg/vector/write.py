"""Polygons to the formats a GIS opens, styled in GeoPackages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyogrio
import shapely

from geoseg import files
from geoseg.errors import OutputError

if TYPE_CHECKING:
    import geopandas

SUFFIXES = (".gpkg", ".geojson", ".fgb", ".parquet")
FIXED_DATE = "2000-01-01T00:00:00Z"
"""Stands for "now" in GeoPackages: the same polygons give the same bytes."""
MAX_SEGMENT_M = 500.0
"""An edge this long bends by under a centimetre, GeoJSON's last decimal, up to 60 degrees."""


def write_polygons(frame: geopandas.GeoDataFrame, path: Path, *, layer: str, qml: str) -> None:
    """Write polygons in the format that the extension names; the file appears whole or not at all.

    A GeoPackage (.gpkg) holds a MultiPolygon layer with the geometry column ``geom``, a spatial
    index, and its QGIS style. GeoJSON (.geojson) follows RFC 7946: WGS84, 7 decimals, outer rings
    counter-clockwise. FlatGeobuf (.fgb) and GeoParquet (.parquet) keep the CRS.

    Args:
        frame: polygons with their attributes; has a CRS.
        path: the file.
        layer: the layer's name, in formats that have layers.
        qml: the QGIS style that a GeoPackage carries.

    Raises:
        OutputError: another extension, or a file that cannot be written.

    Example:
        >>> import geopandas, shapely, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "fields.gpkg"
        >>> squares = geopandas.GeoDataFrame(
        ...     {"class_id": [0]}, geometry=[shapely.box(0, 0, 9, 9)], crs=32633)
        >>> write_polygons(squares, file, layer="fields", qml="<qgis/>")
        >>> pyogrio.list_layers(file)[:, 0].tolist()
        ['fields', 'layer_styles']
    """
    check_suffix(path)
    frame = frame.rename_geometry("geom") if frame.geometry.name != "geom" else frame
    with files.whole(path) as temporary:
        try:
            _WRITERS[path.suffix.lower()](frame, temporary, layer, qml)
        except pyogrio.errors.DataSourceError as error:
            raise OutputError("cannot be written", where=path, got=error) from error


def check_suffix(path: Path) -> None:
    """Check that polygons can be written under this name.

    Raises:
        OutputError: the extension names no format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(
            "the extension names no polygon format",
            where=path,
            got=path.suffix or "no extension",
            wanted=", ".join(SUFFIXES),
            fix=f"call it {path.with_suffix('.gpkg').name}",
        )


def _write_gpkg(frame: geopandas.GeoDataFrame, path: Path, layer: str, qml: str) -> None:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": FIXED_DATE})
    try:
        pyogrio.write_dataframe(
            frame, path, layer=layer, driver="GPKG", geometry_type="MultiPolygon",
            promote_to_multi=True, layer_options={"GEOMETRY_NAME": "geom"},
        )  # fmt: skip
        pyogrio.write_dataframe(
            _layer_styles(layer, qml), path, layer="layer_styles", driver="GPKG",
            layer_options={"FID": "id"},
        )  # fmt: skip
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def _layer_styles(layer: str, qml: str) -> Any:
    """The row that QGIS looks up: an empty schema (not NULL), table and geometry column."""
    import pandas

    return pandas.DataFrame(
        {
            "f_table_catalog": [""],
            "f_table_schema": [""],
            "f_table_name": [layer],
            "f_geometry_column": ["geom"],
            "styleName": [layer],
            "styleQML": [qml],
            "styleSLD": [""],
            "useAsDefault": [True],
            "description": ["Classes, in the colours of the class scheme"],
            "owner": [""],
            "ui": pandas.Series([None], dtype=object),
            "update_time": [pandas.Timestamp(FIXED_DATE)],
        }
    )


def _write_geojson(frame: geopandas.GeoDataFrame, path: Path, layer: str, _qml: str) -> None:
    assert frame.crs is not None, "polygons to write have a CRS"
    if frame.crs.is_projected:
        longest = MAX_SEGMENT_M / frame.crs.axis_info[0].unit_conversion_factor
        frame = frame.set_geometry(frame.geometry.segmentize(longest))
    pyogrio.write_dataframe(
        frame, path, layer=layer, driver="GeoJSON", layer_options={"RFC7946": "YES"}
    )


def _write_fgb(frame: geopandas.GeoDataFrame, path: Path, layer: str, _qml: str) -> None:
    pyogrio.write_dataframe(
        frame, path, layer=layer, driver="FlatGeobuf", geometry_type="MultiPolygon",
        promote_to_multi=True,
    )  # fmt: skip


def _write_parquet(frame: geopandas.GeoDataFrame, path: Path, _layer: str, _qml: str) -> None:
    geometry = shapely.orient_polygons(frame.geometry.values)
    frame.set_geometry(geometry, crs=frame.crs).to_parquet(
        path, index=False, compression="zstd", write_covering_bbox=True, schema_version="1.1.0"
    )


_WRITERS = {
    ".gpkg": _write_gpkg,
    ".geojson": _write_geojson,
    ".fgb": _write_fgb,
    ".parquet": _write_parquet,
}
