"""Areas and lengths on the ground: square metres and metres on the ellipsoid of any CRS."""

from geoseg.ground.pixels import (
    area_table,
    areas_by_value,
    gsd_m,
    pixel_area_m2,
    pixel_areas_m2,
    row_steps_m,
    steps_m,
)
from geoseg.ground.polygons import areas_m2, perimeters_m
from geoseg.ground.surface import (
    distance_m,
    meet,
    metres_per_unit,
    same_body,
    surface_of,
    to_lonlat,
    unit_lengths_m,
)

__all__ = [
    "area_table",
    "areas_by_value",
    "areas_m2",
    "distance_m",
    "gsd_m",
    "meet",
    "metres_per_unit",
    "perimeters_m",
    "pixel_area_m2",
    "pixel_areas_m2",
    "row_steps_m",
    "same_body",
    "steps_m",
    "surface_of",
    "to_lonlat",
    "unit_lengths_m",
]
