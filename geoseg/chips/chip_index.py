"""The index of chips: a row with a footprint per chip, for programs and for a GIS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geoseg import files, grid
from geoseg.chips.overlaps import PlacedChips
from geoseg.chips.split import Split


def write_index(
    path: Path,
    placed: PlacedChips,
    split: Split,
    valid: NDArray[np.float64],
    geoboxes: Sequence[GeoBox],
) -> None:
    """Write the index.

    Args:
        path: GeoPackage to write.
        placed: chips with their places.
        split: their splits, one per fold.
        valid: (chips,) valid fraction of each.
        geoboxes: grids of the scenes, by index.
    """
    table = pd.DataFrame(
        {
            "chip": np.arange(len(placed.scene)),
            "scene": placed.scene,
            "row": placed.corners[:, 0],
            "col": placed.corners[:, 1],
            "block": split.blocks,
            "split": split.rounds[0].astype(object),
        }
    )
    for fold, names in enumerate(split.rounds if len(split.rounds) > 1 else (), start=1):
        table[f"split_{fold}"] = names.astype(object)
    table["valid"] = valid.round(4)
    for index in range(placed.pixels.shape[1]):
        table[f"pixels_{index}"] = placed.pixels[:, index]
    shapes = np.empty(len(table), dtype=object)
    for scene, geobox in enumerate(geoboxes):
        here = placed.scene == scene
        shapes[here] = _footprints(placed.corners[here], placed.size, geobox)
    frame = gpd.GeoDataFrame(table, geometry=shapes, crs=4326)
    with files.whole(path) as temporary:
        # GDAL writes the current time otherwise, and the same chips would have other bytes
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "1970-01-01T00:00:00Z"})
        pyogrio.write_dataframe(frame, temporary, layer="chips", driver="GPKG")


def _footprints(corners: NDArray[np.int64], size: int, geobox: GeoBox) -> NDArray[np.object_]:
    square = np.array([(0, 0), (0, size), (size, size), (size, 0), (0, 0)])
    points = (corners[:, None, ::-1] + square).reshape(-1, 2).astype(float)
    xs, ys = geobox.affine @ (points[:, 0], points[:, 1])
    to_lonlat = Transformer.from_crs(grid.crs_of(geobox).proj, 4326, always_xy=True)
    lonlat = np.column_stack(to_lonlat.transform(xs, ys)).reshape(-1, 5, 2)
    polygons: NDArray[np.object_] = shapely.polygons(lonlat)
    return polygons
