"""Write polygons in the formats that a GIS opens, batch by batch; GeoPackages with their style."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow

from geoseg import files
from geoseg.errors import OutputError
from geoseg.vector.feature_batches import Features, LayerPlan
from geoseg.vector.write_gdal import (
    NotWrittenError,
    write_fgb,
    write_geojson,
    write_geojson_lines,
    write_gpkg,
)
from geoseg.vector.write_parquet import write_parquet

if TYPE_CHECKING:
    import geopandas

type Writer = Callable[[Path, Iterable[Features], LayerPlan], None]

PROBE_BYTES = 1 << 20
"""More than a file system would fit into blocks that the file has already."""


def write_features(path: Path, batches: Iterable[Features], plan: LayerPlan) -> None:
    """Write a layer in the format of the extension; the file appears whole or not at all.

    Only a few batches are held in memory. An error raised by ``batches`` passes through, and a
    file of that name stays as it was.

    Args:
        path: the file. A GeoPackage (.gpkg) holds a MultiPolygon layer with the geometry column
            ``geom``, a spatial index, and its QGIS style. GeoJSON (.geojson) and GeoJSON by line
            (.geojsonl, .ndjson) follow RFC 7946: WGS84, 7 decimals, outer rings counter-clockwise.
            FlatGeobuf (.fgb) and GeoParquet (.parquet) keep the CRS.
        batches: the features, all with the attributes of the plan.
        plan: the layer's name, attributes, CRS and style.

    Raises:
        OutputError: another extension, or a file that cannot be written.
        RetryError: the disk is full.

    Example:
        >>> import pyogrio, pyproj, shapely, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "fields.gpkg"
        >>> schema = pyarrow.schema([("class_id", pyarrow.int32())])
        >>> rows = pyarrow.record_batch([pyarrow.array([0], pyarrow.int32())], schema)
        >>> batch = Features(np.array([shapely.box(0, 0, 9, 9)]), rows)
        >>> write_features(file, [batch], LayerPlan("fields", schema, pyproj.CRS(32633), "<qgis/>"))
        >>> pyogrio.list_layers(file)[:, 0].tolist()
        ['fields', 'layer_styles']
    """
    check_suffix(path)
    with files.whole(path) as temporary:
        try:
            _WRITERS[path.suffix.lower()](temporary, batches, plan)
        except NotWrittenError as error:
            _find_out_why(temporary)
            raise OutputError("cannot be written", where=path, got=error) from error


def write_polygons(frame: geopandas.GeoDataFrame, path: Path, *, layer: str, qml: str) -> None:
    """Write the polygons of a GeoDataFrame, as `write_features` does.

    Args:
        frame: polygons with their attributes and a CRS.
        path: the file.
        layer: the layer's name, in formats that have layers.
        qml: the QGIS style to store in a GeoPackage.

    Raises:
        OutputError: another extension, or a file that cannot be written.
        RetryError: the disk is full.
    """
    assert frame.crs is not None, "polygons to write have a CRS"
    table = frame.drop(columns=frame.geometry.name)
    columns = pyarrow.RecordBatch.from_pandas(table, preserve_index=False)
    columns = columns.replace_schema_metadata(None)
    plan = LayerPlan(layer, columns.schema, frame.crs, qml)
    write_features(path, [Features(np.asarray(frame.geometry.values), columns)], plan)


def check_suffix(path: Path) -> None:
    """Check that an extension stands for a polygon format.

    Raises:
        OutputError: it does not.
    """
    if path.suffix.lower() not in _WRITERS:
        raise OutputError(
            "the extension stands for no polygon format",
            where=path,
            got=path.suffix or "no extension",
            wanted=", ".join(_WRITERS),
            fix=f"call it {path.with_suffix('.gpkg').name}",
        )


def _find_out_why(path: Path) -> None:
    """Let Python find that the disk is full or the folder closed, which GDAL does not report.

    Raises:
        OSError: the file cannot grow.
    """
    with path.open("ab") as stream:
        stream.write(bytes(PROBE_BYTES))
    files.sync(path)


_WRITERS: dict[str, Writer] = {
    ".gpkg": write_gpkg,
    ".geojson": write_geojson,
    ".geojsonl": write_geojson_lines,
    ".ndjson": write_geojson_lines,
    ".fgb": write_fgb,
    ".parquet": write_parquet,
}
