"""The columns of the polygon layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.ground import areas_m2, perimeters_m
from geoseg.steps.vectorize.rows import RegionRows
from geoseg.vector import Features, LayerPlan
from geoseg.vector.zonal_means import means

if TYPE_CHECKING:
    from geoseg.raster import RasterSource


@dataclass(frozen=True)
class Table:
    """Computes the columns of a layer, batch by batch.

    Attributes:
        geobox: the grid of the class raster.
        names: class names, by id.
        stats: the raster to average over each polygon, by column name.
        source: file name of the class raster.
        run: key of the run that made it.
    """

    geobox: GeoBox
    names: tuple[str, ...]
    stats: Mapping[str, RasterSource]
    source: str
    run: str

    def plan(self, layer: str, qml: str, sld: str) -> LayerPlan:
        """The schema, CRS and styles of the layer."""
        schema = pyarrow.schema(
            [
                ("class_id", pyarrow.int32()),
                ("class_name", pyarrow.string()),
                ("area_m2", pyarrow.float64()),
                ("perimeter_m", pyarrow.float64()),
                ("confidence", pyarrow.float64()),
                ("n_pixels", pyarrow.int64()),
                ("touches_edge", pyarrow.bool_()),
                *((name, pyarrow.float64()) for name in self.stats),
                ("source", pyarrow.string()),
                ("run", pyarrow.string()),
            ]
        )
        return LayerPlan(layer, schema, grid.crs_of(self.geobox).proj, qml, sld)

    def features(self, rows: RegionRows) -> Features:
        """The polygons of a batch with their columns; areas and lengths are geodesic."""
        crs = grid.crs_of(self.geobox).proj
        columns = {
            "class_id": pyarrow.array(rows.ids),
            "class_name": pyarrow.array(self.names).take(pyarrow.array(rows.ids)),
            "area_m2": pyarrow.array(areas_m2(rows.geometries, self.geobox)),
            "perimeter_m": pyarrow.array(perimeters_m(rows.geometries, self.geobox)),
            "confidence": _or_null(rows.confidence),
            "n_pixels": pyarrow.array(rows.pixels),
            "touches_edge": pyarrow.array(rows.touches_edge),
            **{
                name: _or_null(means(rows.geometries, crs, source))
                for name, source in self.stats.items()
            },
            "source": pyarrow.repeat(self.source, len(rows)),
            "run": pyarrow.repeat(self.run, len(rows)),
        }
        return Features(rows.geometries, pyarrow.RecordBatch.from_pydict(columns))


def _or_null(values: NDArray[np.float64]) -> pyarrow.Array:
    return pyarrow.array(values, mask=np.isnan(values))
